package array

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/golden"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// frozen compares bytes with a file that never changes.
func frozen(t *testing.T, name string, got []byte) {
	t.Helper()
	require.Equal(t, golden.Frozen(t, filepath.Join("testdata", "v1", name), got), got, name)
}

// Version 1 of every format, byte for byte.
func TestGoldenFormats(t *testing.T) {
	frozen(t, "superblock", someSuper().encode())
	var id ident
	id[7] = 5
	// A tree of one name in each directory: the order of others is any.
	tr := newTree()
	for _, r := range []record{
		{kind: recMkdir, path: "/d", time: 1}, {kind: recCreate, path: "/d/a", id: 1, time: 2},
		{kind: recCommit, id: 1, size: 5000, time: 4, moves: []int64{3, 1, 4, 0}},
	} {
		_, err := tr.apply(&r)
		require.NoError(t, err)
	}
	b := tr.checkpoint(id, 5, 3)
	x := make([]byte, batchHeader)
	for _, r := range []record{
		{kind: recLink, path: "/d/a", to: "/b", time: 3}, {kind: recRename, path: "/b", to: "/c", time: 1 << 60}, {kind: recRemove, path: "/c", time: 9},
		{kind: recCommit, id: 1, size: 1 << 33, time: 300, moves: []int64{3, home}},
	} {
		x = r.append(x)
	}
	seal(x, id, 6, 3, batchFlush)
	frozen(t, "log.3", append(b, x...))
	a := &Array{}
	a.id = id
	a.setGeometry(3, 512)
	g := a.newGroup(2)
	g.fill[0] = 700
	a.copyIn(g, 9, 0, 0, noise(1, 700))
	require.NoError(t, a.encode(g, 9, 0))
	var units []byte
	for p := range 3 {
		units = append(units, a.unit(g, 0, p)[:a.stored(g, 9, 0, p)]...)
	}
	frozen(t, "units", units)
}

// What one member sees of a file that is made, synced in the middle of a stripe, gone on
// with and removed: the order of writes that docs/formats/array.md promises.
func TestGoldenTrace(t *testing.T) {
	x := faultfs.New(vfs.NewMem())
	c := dirs(x, 3)
	c.Unit = 512
	a := mustOpen(t, c)
	x.ResetTrace()
	f, err := a.Create("/a")
	require.NoError(t, err)
	for i, n := range []int{700, 200, 400} { // at home, in a slot, home again and on
		_, err = f.WriteAt(noise(uint64(i), n), []int64{0, 700, 900}[i])
		require.NoError(t, err)
		require.NoError(t, f.Sync())
	}
	require.NoError(t, f.Close())
	require.NoError(t, a.Rename("/a", "/b"))
	require.NoError(t, a.SyncDir("/"))
	require.NoError(t, a.Remove("/b"))
	require.NoError(t, a.SyncDir("/"))
	var lines []string
	for line := range strings.Lines(x.TraceText()) {
		if strings.Contains(line, "/m1/") {
			lines = append(lines, line)
		}
	}
	got := strings.Join(lines, "")
	require.NoError(t, faultfs.Golden(got, golden.Reviewed(t, "testdata/file.trace", []byte(got))))
}
