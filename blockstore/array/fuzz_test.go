package array

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

func someSuper() *super {
	s := &super{place: 1, unit: 512, events: 7}
	s.array[3], s.self[0] = 9, 2
	for i := range 3 {
		s.table = append(s.table, seat{dir: fmt.Sprint("/m", i), state: Active, first: uint64(i) << 40, done: 3})
		s.table[i].id[0] = byte(i + 1)
	}
	return s
}

func FuzzSuper(f *testing.F) {
	good := someSuper().encode()
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte(superMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSuper(b)
		if err != nil {
			return
		}
		again, err := decodeSuper(s.encode())
		require.NoError(t, err)
		require.Equal(t, s, again)
		_, _ = elect([]*super{s, someSuper(), again})
	})
}

func someTree(t testing.TB) *tree {
	tr := newTree()
	for _, r := range []record{
		{kind: recMkdir, path: "/d", time: 1}, {kind: recCreate, path: "/d/a", id: 1, time: 2}, {kind: recLink, path: "/d/a", to: "/b", time: 3},
		{kind: recCommit, id: 1, size: 5000, time: 4, moves: []int64{3, 1, 4, 0}}, {kind: recCreate, path: "/c", id: 2, time: 5},
		{kind: recRename, path: "/c", to: "/d/c", time: 6}, {kind: recCommit, id: 2, size: 1 << 40, time: 7},
		{kind: recCreate, path: "/x", id: 9, time: 8}, {kind: recRemove, path: "/x", time: 9},
	} {
		_, err := tr.apply(&r)
		require.NoError(t, err)
	}
	return tr
}

func FuzzLog(f *testing.F) {
	var id ident
	f.Add(someTree(f).checkpoint(id, 5, 3)[batchHeader:])
	f.Add([]byte{0x93, 1, 0xa2, '/', 'd', 5})
	f.Fuzz(func(t *testing.T, records []byte) {
		b := append(make([]byte, batchHeader), records...)
		seal(b, id, 5, 3, batchLast)
		h, err := parseLog(b, id, 3)
		require.NoError(t, err)
		tr, err := h.replay()
		if err != nil {
			return
		}
		// What was read is what is written again.
		first := tr.checkpoint(id, 5, 3)
		h, err = parseLog(first, id, 3)
		require.NoError(t, err)
		again, err := h.replay()
		require.NoError(t, err)
		require.Equal(t, names1(tr), names1(again))
		_, _ = parseLog(records, id, 3)
	})
}

// names1 lists a tree.
func names1(t *tree) map[string]string {
	m := map[string]string{"next": fmt.Sprint(t.nextID)}
	t.walk(t.root, "", func(name string, e *dirent) {
		if e.isDir() {
			m[name] = "dir"
		} else {
			m[name] = fmt.Sprint(e.file.id, e.file.logged, e.file.over, e.file.links)
		}
	})
	return m
}

// Every prefix of a log, and every byte of it changed, is a shorter log or none.
func TestLogDamage(t *testing.T) {
	var id ident
	b := someTree(t).checkpoint(id, 5, 3)
	head := len(b)
	for i := range 3 {
		x := (&record{kind: recMkdir, path: fmt.Sprint("/more", i), time: 1}).append(make([]byte, batchHeader))
		seal(x, id, 6+uint64(i), 3, batchFlush)
		b = append(b, x...)
	}
	for n := range len(b) {
		h, err := parseLog(b[:n], id, 3)
		require.Equal(t, n >= head, err == nil)
		if err == nil {
			require.LessOrEqual(t, h.seq, uint64(8))
			_, err = h.replay()
			require.NoError(t, err)
		}
		c := append([]byte(nil), b...)
		c[n] ^= 0x40
		h, err = parseLog(c, id, 3)
		require.Equal(t, n >= head, err == nil)
		if err == nil {
			require.Less(t, h.seq, uint64(8))
		}
	}
	_, err := parseLog(b, id, 4)
	require.Error(t, err, "of another generation")
	id[0] = 1
	_, err = parseLog(b, id, 3)
	require.Error(t, err, "of another array")
}

// Superblocks with any byte changed are refused.
func TestSuperDamage(t *testing.T) {
	b := someSuper().encode()
	for i := range b {
		c := append([]byte(nil), b...)
		c[i] ^= 0x04
		_, err := decodeSuper(c)
		require.Error(t, err)
		_, err = decodeSuper(b[:i])
		require.Error(t, err)
	}
	b[len(superMagic)] = 2
	_, err := decodeSuper(b)
	require.ErrorContains(t, err, "version 2")
}

// FuzzUnit reads units with any bytes on one member: what comes out is right.
func FuzzUnit(f *testing.F) {
	f.Add(int64(0), []byte{1, 2, 3}, uint8(0))
	f.Add(int64(540), []byte{0, 0, 0, 0, 255, 255, 255, 255}, uint8(1))
	f.Fuzz(func(t *testing.T, off int64, junk []byte, member uint8) {
		m := vfs.NewMem()
		c := dirs(m, 3)
		c.Unit = 512
		a := mustOpen(t, c)
		want := noise(1, 9000)
		put(t, a, "/a", want)
		name := unitPath(fmt.Sprint("/m", member%3), 1, 0)
		file, err := m.OpenWrite(name)
		require.NoError(t, err)
		_, err = file.WriteAt(junk[:min(len(junk), 1000)], max(0, off%9000))
		require.NoError(t, err)
		require.Equal(t, want, get(t, a, "/a"))
		require.NoError(t, a.Close())
	})
}
