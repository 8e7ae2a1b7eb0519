package dfs

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestComponents(t *testing.T) {
	for path, want := range map[string][]string{
		"/": nil, "//": nil, "/a": {"a"}, "/a/": {"a"}, "//a///b//": {"a", "b"}, "/a b/ä": {"a b", "ä"}, "/...": {"..."}, "/.a": {".a"},
	} {
		got, err := Components(path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
	for _, path := range []string{"", "a", "a/b", "/a/./b", "/..", "/a:b", "/a\x00", "/ä:b", "/a\xff", strings.Repeat("/x", MaxComponents+1)} {
		_, err := Components(path)
		require.True(t, Is(err, InvalidPath), path)
	}
	_, err := Components(strings.Repeat("/x", MaxComponents))
	require.NoError(t, err)
}

func TestJoinAndSplit(t *testing.T) {
	require.Equal(t, "/", Join())
	require.Equal(t, "/a/b", Join("a", "b"))
	for path, want := range map[string][2]string{"/": {"/", ""}, "/a": {"/", "a"}, "/a/b": {"/a", "b"}, "a": {"/", "a"}} {
		parent, name := Split(path)
		require.Equal(t, want, [2]string{parent, name}, path)
	}
}

// FuzzPath holds Components against its rules spelled out one by one.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a//b/", "/a/../b", "/ä/ö:", "x", "/\xff", "/a\x00b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		parts := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
		good := strings.HasPrefix(path, "/") && len(parts) <= MaxComponents
		for _, p := range parts {
			good = good && p != "." && p != ".." && utf8.ValidString(p) && !strings.ContainsAny(p, ":\x00")
		}
		got, err := Components(path)
		require.Equal(t, good, err == nil, "%v", err)
		if err != nil {
			require.True(t, Is(err, InvalidPath))
			return
		}
		require.True(t, slices.Equal(parts, got))
		clean := Join(got...)
		again, err := Components(clean)
		require.NoError(t, err)
		require.True(t, slices.Equal(got, again))
		if parent, name := Split(clean); len(got) > 0 {
			require.Equal(t, got[len(got)-1], name)
			require.Equal(t, Join(got[:len(got)-1]...), parent)
		}
	})
}

// FuzzACL: what is understood is spelled the same way again, and never costs more than
// its text.
func FuzzACL(f *testing.F) {
	f.Add("user::rwx,user:a:r--,group::r-x,mask::rwx,other::---,default:user::rwx", true)
	f.Add("user:a,group:b,default:mask:", false)
	f.Fuzz(func(t *testing.T, spec string, perms bool) {
		entries, err := ParseACL(spec, perms)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(entries), strings.Count(spec, ",")+1)
		var words []string
		for _, e := range entries {
			words = append(words, e.String())
		}
		again, err := ParseACL(strings.Join(words, ","), true)
		require.NoError(t, err, "%q", words)
		require.Equal(t, entries, again)
	})
}

// FuzzXAttrName: a name that is understood is spelled the same way again.
func FuzzXAttrName(f *testing.F) {
	f.Add("user.a")
	f.Add("RAW.x.y")
	f.Add("trusted.")
	f.Fuzz(func(t *testing.T, full string) {
		x, err := ParseXAttrName(full)
		if err != nil {
			return
		}
		again, err := ParseXAttrName(x.FullName())
		require.NoError(t, err)
		require.Equal(t, x, again)
	})
}
