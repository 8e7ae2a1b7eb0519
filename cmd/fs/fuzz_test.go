package main

import (
	"context"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// FuzzPathArgument: what a path argument means is the same when it is written out and
// read again, and is clean.
func FuzzPathArgument(f *testing.F) {
	for _, seed := range []string{"/a//b/../c", "a/b", "hdfs://h:1/x", "hdfs:/x", "file:///", "//h/x", "a:b", ":", "/a:b", "..", "hdfs://h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parsePath(s)
		if err != nil {
			require.True(t, isUsage(err), "%v", err)
			return
		}
		if u.path != "" {
			require.Equal(t, path.Clean(u.path), u.path)
		}
		_ = typedURI(s).String()
		joined := joinPath("/home", u.path)
		require.Equal(t, path.Clean(joined), joined)
		require.True(t, strings.HasPrefix(joined, "/"))
		if strings.HasPrefix(u.path, "/") && (u.scheme != "" || !strings.HasPrefix(u.path, "//")) && u.authority == "" {
			again, err := parsePath(u.String())
			require.NoError(t, err, "%q", u.String())
			require.Equal(t, u.path, again.path)
		}
	})
}

// FuzzGlob: a pattern without wild cards matches itself only; braces and sets are either
// refused or translated, and the number of patterns is bounded by the text.
func FuzzGlob(f *testing.F) {
	for _, seed := range []string{"a*b?", "[a-c]", "[^a]", "{a,b/c}", `\*`, "{{a,b},{c,d/e}}", "[", "}", "{a/b", "[z-a]", "{/,/}{/,/}{/,/}"} {
		f.Add(seed, "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 64 {
			return
		}
		patterns, err := expandBraces(pattern)
		if err != nil {
			return
		}
		for _, p := range patterns {
			for part := range strings.SplitSeq(p, "/") {
				re, err := globRegexp(part)
				if err != nil {
					require.ErrorContains(t, err, "Illegal file pattern")
					continue
				}
				if re != nil {
					re.MatchString(name)
					continue
				}
				if strings.ContainsAny(part, "\\") || !utf8.ValidString(part) {
					continue
				}
				star, err := globRegexp(part + "*")
				require.NoError(t, err)
				require.True(t, star.MatchString(part), "%q", part)
			}
		}
	})
}

// FuzzMode: a mode argument changes permission bits and no others; applied twice it is
// as applied once.
func FuzzMode(f *testing.F) {
	f.Add("u+x,go-w", uint16(0o644), true)
	f.Add("1777", uint16(0), false)
	f.Add("a=X,+t", uint16(0o1111), false)
	f.Fuzz(func(t *testing.T, change string, from uint16, dir bool) {
		if _, err := parseUmask(change); err != nil {
			require.NotEmpty(t, err.Error())
		}
		m, err := parseModeChange(change)
		if err != nil {
			require.True(t, isUsage(err))
			return
		}
		once := m.apply(dfs.Mode(from)&dfs.ModeMask, dir)
		require.Equal(t, once&dfs.ModeMask, once)
		if !strings.Contains(change, "X") {
			require.Equal(t, once, m.apply(once, dir))
		}
	})
}

// FuzzFind: an expression is refused as a usage error or gives terms.
func FuzzFind(f *testing.F) {
	f.Add("/a\x00-name\x00*.x\x00-a\x00-print")
	f.Add("-iname\x00[a\x00-and\x00-print0")
	f.Add("-name\x00a\xff")
	f.Fuzz(func(t *testing.T, line string) {
		inv := &invocation{ctx: context.Background(), cmd: findCmd}
		_, _, _, err := inv.parseFind(strings.Split(line, "\x00"))
		if err != nil {
			require.NotEmpty(t, err.Error())
		}
	})
}
