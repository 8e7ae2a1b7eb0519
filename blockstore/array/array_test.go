package array

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/crashtest"
	"redoubt/vfs"
	"redoubt/vfs/vfstest"
)

func TestMain(m *testing.M) { crashtest.Main(m) }

// dirs gives the configuration of an array of n directories on one file system.
func dirs(f vfs.FS, n int) Config {
	c := Config{FS: f}
	for i := range n {
		c.Members = append(c.Members, Member{Dir: fmt.Sprintf("/m%d", i)})
	}
	return c
}

// disks gives the configuration of an array of n file systems.
func disks(fs ...vfs.FS) Config {
	var c Config
	for i, f := range fs {
		c.Members = append(c.Members, Member{Dir: fmt.Sprintf("/m%d", i), FS: f})
	}
	return c
}

func mustOpen(t testing.TB, c Config) *Array {
	t.Helper()
	a, err := Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// noise is n bytes that never repeat.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewPCG(seed, 1)
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := i; j < min(n, i+8); j++ {
			b[j] = byte(v >> (8 * (j - i)))
		}
	}
	return b
}

func put(t testing.TB, f vfs.FS, name string, data []byte) {
	t.Helper()
	file, err := f.Create(name)
	require.NoError(t, err)
	for off := 0; off < len(data); {
		n := min(len(data)-off, 50_000)
		_, err = file.WriteAt(data[off:off+n], int64(off))
		require.NoError(t, err)
		off += n
	}
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
	require.NoError(t, f.SyncDir("/"))
}

func get(t testing.TB, f vfs.FS, name string) []byte {
	t.Helper()
	b, err := vfs.ReadFile(f, name, 1<<40)
	require.NoError(t, err)
	return b
}

func TestFileSystem(t *testing.T) {
	for _, c := range []struct{ n, unit int }{{3, 0}, {4, 512}, {5, 4096}, {17, 512}} {
		t.Run(fmt.Sprintf("%d members, unit %d", c.n, c.unit), func(t *testing.T) {
			vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
				cfg := dirs(vfs.NewMem(), c.n)
				cfg.Unit = int64(c.unit)
				return mustOpen(t, cfg), "/"
			})
		})
	}
}

func TestFileSystemDegraded(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		m := vfs.NewMem()
		c := dirs(m, 4)
		c.Unit = 512
		a := mustOpen(t, c)
		require.NoError(t, a.MkdirAll("/d"))
		require.NoError(t, a.Close())
		require.NoError(t, m.Rename("/m2", "/gone"))
		return mustOpen(t, c), "/d"
	})
}

func TestOnDisk(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		dir := t.TempDir()
		c := Config{FS: vfs.OS()}
		for i := range 3 {
			c.Members = append(c.Members, Member{Dir: fmt.Sprintf("%s/%d", dir, i)})
		}
		return mustOpen(t, c), "/"
	})
}

// Every size around the edges of units, stripes and groups comes back, after a restart,
// and with each member away.
func TestSizes(t *testing.T) {
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m := vfs.NewMem()
			c := dirs(m, n)
			c.Unit = 1024
			a := mustOpen(t, c)
			var sizes []int
			for _, base := range []int{0, 512, 1024, (n - 1) * 1024, (n - 1) * 1024 * 2, (n - 1) * 1024 * 8, (n - 1) * 1024 * 17, 200_000} {
				for d := -1; d <= 1; d++ {
					if base+d >= 0 {
						sizes = append(sizes, base+d)
					}
				}
			}
			for i, size := range sizes {
				put(t, a, fmt.Sprint("/", i), noise(uint64(i), size))
			}
			check := func(a *Array) {
				for i, size := range sizes {
					require.Equal(t, noise(uint64(i), size), get(t, a, fmt.Sprint("/", i)), "size %d", size)
				}
			}
			check(a)
			rep, err := a.Verify(context.Background())
			require.NoError(t, err)
			require.Empty(t, rep.Damaged)
			require.Zero(t, rep.Repaired)
			require.Equal(t, len(sizes), rep.Files)
			require.NoError(t, a.Close())
			check(mustOpen(t, dirs(m.CrashClone(vfs.Choice{}), n)))
			for lost := range n {
				d := m.CrashClone(vfs.Choice{})
				require.NoError(t, d.Rename(fmt.Sprint("/m", lost), "/gone"))
				a := mustOpen(t, dirs(d, n))
				check(a)
				require.True(t, a.Status().Degraded)
			}
		})
	}
}

func TestReplace(t *testing.T) {
	for lost := range 4 {
		m := vfs.NewMem()
		c := dirs(m, 4)
		c.Unit = 512
		a := mustOpen(t, c)
		for i := range 20 {
			put(t, a, fmt.Sprint("/", i), noise(uint64(i), i*i*300))
		}
		require.NoError(t, a.Replace(fmt.Sprint("/m", lost), "/new"))
		for i := 20; i < 30; i++ {
			put(t, a, fmt.Sprint("/", i), noise(uint64(i), i*300))
		}
		require.NoError(t, a.WaitRebuild(context.Background()))
		st := a.Status()
		require.False(t, st.Degraded)
		require.Equal(t, "/new", st.Members[lost].Dir)
		rep, err := a.Verify(context.Background())
		require.NoError(t, err)
		require.Zero(t, rep.Repaired)
		require.Empty(t, rep.Damaged)
		require.NoError(t, a.Close())
		for away := range 4 {
			d := m.CrashClone(vfs.Choice{})
			dir := st.Members[away].Dir
			require.NoError(t, d.Rename(dir, "/gone"))
			a := mustOpen(t, dirs(d, 4))
			for i := range 20 {
				require.Equal(t, noise(uint64(i), i*i*300), get(t, a, fmt.Sprint("/", i)))
			}
			require.NoError(t, a.Close())
		}
	}
}

// A reader in sequence in small pieces, on its own and beside a writer.
func TestReadAhead(t *testing.T) {
	m := vfs.NewMem()
	c := dirs(m, 4)
	c.Unit = 4096
	a := mustOpen(t, c)
	data := noise(1, 5<<20)
	put(t, a, "/a", data)
	f, err := a.OpenWrite("/a")
	require.NoError(t, err)
	read := func(f vfs.File, data []byte) {
		buf := make([]byte, 10_000)
		for off := 0; off < len(data); {
			n, err := f.ReadAt(buf, int64(off))
			if off+n < len(data) && err != nil {
				t.Errorf("at %d: %v", off, err)
				return
			}
			if string(buf[:n]) != string(data[off:off+n]) {
				t.Errorf("other bytes at %d", off)
				return
			}
			off += n
		}
	}
	read(f, data)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			r, err := a.Open("/a")
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				read(r, data)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		for i := range 50 { // the same bytes again, at other places
			off := (i * 100_003) % (4 << 20)
			if _, err := f.WriteAt(data[off:off+30_000], int64(off)); err != nil {
				t.Error(err)
			}
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	require.NoError(t, f.Close())
	require.Equal(t, data, get(t, a, "/a"))
}

// A file is being overwritten when a member is replaced: what the log says of it, the old
// bytes or the new, must be on the new member when the array counts as whole.
func TestReplaceUnderAnOpenFile(t *testing.T) {
	for i := range 6 {
		m := vfs.NewMem()
		c := dirs(m, 3)
		c.Unit = 512
		a := mustOpen(t, c)
		was, is, lost := noise(1, 40_000), noise(2, 40_000), i/2
		put(t, a, "/a", was)
		f, err := a.OpenWrite("/a")
		require.NoError(t, err)
		if i%2 == 0 {
			_, err = f.WriteAt(is, 0)
		} else { // what changes is in memory yet
			is = append([]byte(nil), was...)
			copy(is[600:], "not written to any member")
			_, err = f.WriteAt(is[600:700], 600)
		}
		require.NoError(t, err)
		require.NoError(t, a.Replace("/m1", "/new"))
		require.NoError(t, a.WaitRebuild(context.Background()))
		require.False(t, a.Status().Degraded)
		d := m.CrashClone(vfs.Choice{})
		require.NoError(t, d.Rename(a.Status().Members[lost].Dir, "/gone"))
		b := mustOpen(t, dirs(d, 3))
		if got := get(t, b, "/a"); string(got) != string(was) {
			require.Equal(t, is, got)
		}
		require.NoError(t, b.Close())
		require.NoError(t, f.Close())
		require.Equal(t, is, get(t, a, "/a"))
		rep, err := a.Verify(context.Background())
		require.NoError(t, err)
		require.Zero(t, rep.Repaired)
		require.Empty(t, rep.Damaged)
	}
}

// Reads of all lengths at all places on one handle, in sequence for a while and then not.
func TestReadsAnywhere(t *testing.T) {
	c := dirs(vfs.NewMem(), 3)
	c.Unit = 512
	a := mustOpen(t, c)
	data := noise(1, 300_000)
	put(t, a, "/a", data)
	f, err := a.Open("/a")
	require.NoError(t, err)
	defer f.Close()
	r := rand.New(rand.NewPCG(3, 4))
	at := 0
	for i := range 4000 {
		if i == 3000 {
			a.ahead.Add(aheadTotal - 2) // others read ahead too
		}
		if r.IntN(5) == 0 {
			at = r.IntN(len(data))
		}
		p := make([]byte, 1+r.IntN([]int{300, 3000, 30_000, 100_000}[r.IntN(4)]))
		n, err := f.ReadAt(p, int64(at))
		if at+len(p) <= len(data) {
			require.NoError(t, err)
		}
		require.Equal(t, min(len(p), len(data)-at), n)
		require.True(t, string(data[at:at+n]) == string(p[:n]), "%d bytes at %d", n, at)
		if at += n; at == len(data) {
			at = 0
		}
	}
}
