package namespace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// hadoopsOrder is how HDFS 3.4.3 listed these names.
var hadoopsOrder = []string{
	"\u0085x", "\u00a0x", "\u00e9", "\u0439", "\u2028y", "\u3000part", "\ue000", "\uffee", "\U0001f600", "\x1f", "%41", "A", "a", "a b",
	"a!b", "a-b", "a.b", "aZ", "part", "z", "~", "\x7f",
}

func listing(t *testing.T, s *State, dir dfs.InodeID, after string, size int) (names []string) {
	for {
		page, rest := s.List(nil, dir, after, size)
		for i := range page {
			after = page[i].Name
			names = append(names, after)
		}
		if rest == 0 {
			return names
		}
		require.Len(t, page, size)
	}
}

func TestNamesAreListedAsHDFSDoes(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/d")
	names := slices.Clone(hadoopsOrder)
	slices.Sort(names)
	for _, n := range names {
		h.create("/d/"+n, "w")
	}
	for _, s := range []*State{h.s, restored(t, h.s)} {
		for _, size := range []int{1, 3, 100} {
			require.Equal(t, hadoopsOrder, listing(t, s, h.id("/d"), "", size))
		}
		// Names to start after, there or not, as HDFS answered.
		require.Equal(t, hadoopsOrder[19:], listing(t, s, h.id("/d"), "part", 2))
		require.Equal(t, hadoopsOrder[6:], listing(t, s, h.id("/d"), "\u3000part", 2))
		require.Equal(t, hadoopsOrder[3:], listing(t, s, h.id("/d"), "\u0400", 2))
	}
}

// A directory with enough names to be kept in order is listed alike, and is freed in the
// order of bytes, in which old logs have freed theirs.
func TestHugeDirectoryOfAllScripts(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/d")
	var names []string
	for i := range 2*dirSplit + 100 {
		n := fmt.Sprintf("%s%x", hadoopsOrder[i%len(hadoopsOrder)], uint32(i*2654435761))
		names = append(names, n)
		h.create("/d/"+n, "w")
	}
	slices.SortFunc(names, CompareNames)
	for k, n := range names { // removal finds them, among ASCII names and others
		if k%5 == 0 {
			h.must(&Delete{Parent: h.id("/d"), Name: n})
		}
	}
	kept := names[:0:0]
	for k, n := range names {
		if k%5 != 0 {
			kept = append(kept, n)
		}
	}
	require.NoError(t, h.s.Check())
	s := restored(t, h.s)
	require.Equal(t, kept, listing(t, h.s, h.id("/d"), "", 1000))
	require.Equal(t, kept, listing(t, s, h.id("/d"), "", 999))

	slices.Sort(kept)
	slot := s.inodes.at(s.live(h.id("/d"))).slot()
	var first []string
	for _, i := range s.dirs.reapable(s, nil, slot, 3000) {
		first = append(first, string(s.nameOf(s.inodes.at(i))))
	}
	require.Equal(t, kept[:3000], first)
	require.NoError(t, s.Check())

	h.must(&Delete{Parent: dfs.RootInodeID, Name: "d", Recursive: true})
	require.NoError(t, h.s.Check())
	require.Equal(t, h.s.Digest(), restored(t, h.s).Digest())
	require.Positive(t, h.s.Counts().Files, "it is freed in slices")
}

func TestNameOrders(t *testing.T) {
	names := []string{"", "a", "\x80"}
	for _, n := range hadoopsOrder {
		names = append(names, n, "12345678"+n, "1234567"+n, n+"\x80", n+"\x80\x80", strings.Repeat(n, 9))
	}
	signed := func(a, b string) int {
		return slices.CompareFunc([]byte(a), []byte(b), func(x, y byte) int { return int(int8(x)) - int(int8(y)) })
	}
	for _, a := range names {
		for _, b := range names {
			x, y := []byte(a), []byte(b)
			require.Equal(t, min(1, max(-1, signed(a, b))), listed.compare(x, y), "%q %q", a, b)
			require.Equal(t, strings.Compare(a, b), bytewise.compare(x, y))
			for _, o := range []nameOrder{listed, bytewise} {
				if o.key(x) < o.key(y) {
					require.Negative(t, o.compare(x, y), "%q %q", a, b)
				}
			}
		}
		require.Equal(t, strings.IndexFunc(a, func(r rune) bool { return r >= 0x80 }) < 0, ascii([]byte(a)), "%q", a)
	}
}
