package slowfs_test

import (
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/slowfs"
	"redoubt/vfs/vfstest"
)

const mb = 1 << 20

func TestIsAFileSystem(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		return slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/": slowfs.NewDisk(0, 0)}), "/"
	})
}

// took runs f in a bubble and gives the virtual time that it takes.
func took(t *testing.T, f func(t *testing.T)) (d time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f(t)
		synctest.Wait()
		d = time.Since(begin)
	})
	return d
}

func create(t *testing.T, f vfs.FS, name string) vfs.File {
	file, err := f.Create(name)
	require.NoError(t, err)
	return file
}

func writeAll(t *testing.T, f vfs.File, size, piece int) {
	buf := make([]byte, piece)
	for off := 0; off < size; off += piece {
		_, err := f.WriteAt(buf, int64(off))
		require.NoError(t, err)
	}
}

// A disk is as fast as it was said to be, whatever the pieces and however many use it.
func TestRate(t *testing.T) {
	for _, c := range []struct{ users, piece int }{{1, 1 << 20}, {1, 64 << 10}, {1, 512}, {5, 64 << 10}, {8, 4 << 10}} {
		var disk *slowfs.Disk
		d := took(t, func(t *testing.T) {
			disk = slowfs.NewDisk(40*mb, 0)
			f := slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/": disk})
			var wg sync.WaitGroup
			for i := range c.users {
				file := create(t, f, "/"+string(rune('a'+i)))
				wg.Go(func() { writeAll(t, file, 20*mb/c.users/c.piece*c.piece, c.piece) })
			}
			wg.Wait()
		})
		n := float64(20 * mb / c.users / c.piece * c.piece * c.users)
		require.InEpsilon(t, 40*mb, n/d.Seconds(), 0.03, "%+v took %v", c, d)
		require.Equal(t, int64(n), disk.Counters().BytesWritten)
	}
}

// Two disks do not wait for each other, one disk serves reads and writes in turn.
func TestDisksAreApart(t *testing.T) {
	var a, b *slowfs.Disk
	d := took(t, func(t *testing.T) {
		a, b = slowfs.NewDisk(10*mb, 0), slowfs.NewDisk(20*mb, 0)
		f := slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/": a, "/b": b})
		require.NoError(t, f.MkdirAll("/b"))
		x, y := create(t, f, "/bx"), create(t, f, "/b/y")
		var wg sync.WaitGroup
		wg.Go(func() { writeAll(t, x, 10*mb, mb) })
		wg.Go(func() { writeAll(t, y, 10*mb, mb); _, err := y.ReadAt(make([]byte, 10*mb), 0); require.NoError(t, err) })
		wg.Wait()
		require.ErrorIs(t, f.Rename("/bx", "/b/x"), syscall.EXDEV)
		require.ErrorIs(t, f.Link("/bx", "/b/x"), syscall.EXDEV)
	})
	require.InEpsilon(t, time.Second, d, 0.03)
	require.Equal(t, int64(10*mb), a.Counters().BytesWritten)
	require.Equal(t, int64(10*mb), b.Counters().BytesRead)
	require.InEpsilon(t, time.Second, b.Busy(), 0.01)
}

// Only what does not go on where the last operation on a file ended pays the latency.
func TestLatency(t *testing.T) {
	d := took(t, func(t *testing.T) {
		disk := slowfs.NewDisk(0, 10*time.Millisecond)
		f := slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/": disk})
		file := create(t, f, "/f")      // 1
		writeAll(t, file, mb, 64<<10)   // from the start of a new file: none
		require.NoError(t, file.Sync()) // 2
		buf := make([]byte, 512)
		for i := range 100 {
			_, err := file.ReadAt(buf, int64(i*4096)) // 100 more
			require.NoError(t, err)
		}
		_, err := file.Size()
		require.NoError(t, err)
		require.NoError(t, f.Rename("/f", "/g")) // 103
		require.Equal(t, int64(103), disk.Counters().Seeks)
	})
	require.InEpsilon(t, 1030*time.Millisecond, d, 0.03)
}

func TestPull(t *testing.T) {
	disk := slowfs.NewDisk(0, 0)
	f := slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/": disk})
	file := create(t, f, "/f")
	writeAll(t, file, mb, mb)
	disk.Pull()
	_, err := file.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, syscall.EIO)
	_, err = file.WriteAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorIs(t, file.Sync(), syscall.EIO)
	_, err = f.Open("/f")
	require.ErrorIs(t, err, syscall.EIO)
	_, err = f.ReadDir("/")
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorIs(t, f.Rename("/f", "/g"), syscall.EIO)
	disk.Plug()
	size, err := file.Size()
	require.NoError(t, err)
	require.Equal(t, int64(mb), size)
}

// What an unlimited disk costs, beside the file system alone: a page of 64 KiB read from memory.
func BenchmarkUnlimited(b *testing.B) {
	for name, wrap := range map[string]func(vfs.FS) vfs.FS{
		"plain": func(f vfs.FS) vfs.FS { return f },
		"slow":  func(f vfs.FS) vfs.FS { return slowfs.New(f, map[string]*slowfs.Disk{"/": slowfs.NewDisk(0, 0)}) },
	} {
		b.Run(name, func(b *testing.B) {
			f := wrap(vfs.NewMem())
			file, err := f.Create("/f")
			require.NoError(b, err)
			buf := make([]byte, 64<<10)
			_, err = file.WriteAt(buf, 0)
			require.NoError(b, err)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := file.ReadAt(buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
