package journal

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

// rmAll removes what is below a directory, and it.
func rmAll(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	entries, err := fs.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Dir {
			rmAll(t, fs, dir+"/"+e.Name)
		} else {
			require.NoError(t, fs.Remove(dir+"/"+e.Name))
		}
	}
	require.NoError(t, fs.Remove(dir))
}

const firstSegment = "/current/edits_inprogress_0000000000000000001"

// vanishings are the ways in which a name directory goes away under a running journal.
// saved: the state can still be written there.
var vanishings = []struct {
	what  string
	name  string // of what is missed
	saved bool
	do    func(t *testing.T, fs vfs.FS, dir string)
}{
	{"directory removed", "/in_use.lock", false, func(t *testing.T, fs vfs.FS, dir string) { rmAll(t, fs, dir) }},
	{"current removed", "/current/watermark", false, func(t *testing.T, fs vfs.FS, dir string) { rmAll(t, fs, dir+"/current") }},
	{"segment removed", firstSegment, true, func(t *testing.T, fs vfs.FS, dir string) { require.NoError(t, fs.Remove(dir+firstSegment)) }},
	{"segment replaced", firstSegment, true, func(t *testing.T, fs vfs.FS, dir string) {
		require.NoError(t, fs.Remove(dir+firstSegment))
		f, err := fs.Create(dir + firstSegment)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}},
	{"segment renamed", firstSegment, true, func(t *testing.T, fs vfs.FS, dir string) {
		require.NoError(t, fs.Rename(dir+firstSegment, dir+"/current/old"))
	}},
	{"watermark removed", "/current/watermark", true, func(t *testing.T, fs vfs.FS, dir string) { require.NoError(t, fs.Remove(dir+"/current/watermark")) }},
	{"lock removed", "/in_use.lock", false, func(t *testing.T, fs vfs.FS, dir string) { require.NoError(t, fs.Remove(dir+"/in_use.lock")) }},
	{"directory renamed", "/in_use.lock", false, func(t *testing.T, fs vfs.FS, dir string) { require.NoError(t, fs.Rename(dir, dir+".old")) }},
	{"another mounted", "/in_use.lock", false, func(t *testing.T, fs vfs.FS, dir string) {
		require.NoError(t, fs.Rename(dir, dir+".old"))
		require.NoError(t, fs.MkdirAll(dir+"/current"))
	}},
}

// The only directory goes away: within a second nothing is acknowledged any more, and what
// was can still be had, unless the files themselves are gone.
func TestOnlyDirectoryVanishes(t *testing.T) {
	for _, v := range vanishings {
		for _, busy := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				mem := formatted(t, "/a")
				fatal := make(chan error, 1)
				opt := options(mem, newMachine(), "/a")
				opt.OnFatal = func(err error) { fatal <- err }
				j := open(t, opt)
				propose(t, j, 1, 5)
				v.do(t, mem, "/a")
				acked := uint64(5)
				for range 100 {
					time.Sleep(10 * time.Millisecond)
					if !busy {
						continue
					}
					if _, _, err := j.Propose(background, number(acked+1)); err == nil {
						acked++
					}
				}
				synctest.Wait()
				require.LessOrEqual(t, acked, uint64(30), "%s: a quarter of a second's", v.what)
				err := <-fatal
				var vanished *VanishedError
				require.ErrorAs(t, err, &vanished, v.what)
				require.Equal(t, "/a"+v.name, vanished.Name, v.what)
				require.False(t, j.Stats().Dirs[0].Alive)
				_, _, err = j.Propose(background, number(999))
				require.ErrorContains(t, err, "stopped for good")
				require.Error(t, j.Close())
				if v.saved {
					m := newMachine()
					disk := crash(mem)
					j = open(t, options(disk, m, "/a"))
					require.Equal(t, upTo(acked), m.list, v.what)
					require.NoError(t, j.Close())
				}
			})
		}
	}
}

// With another directory left the journal goes on, and the one that vanished comes back.
func TestOneOfTwoDirectoriesVanishes(t *testing.T) {
	for _, v := range vanishings {
		synctest.Test(t, func(t *testing.T) {
			mem := formatted(t, "/a", "/b")
			m := newMachine()
			j := open(t, options(mem, m, "/a", "/b"))
			propose(t, j, 1, 5)
			v.do(t, mem, "/a")
			time.Sleep(time.Second)
			synctest.Wait()
			require.False(t, j.Stats().Dirs[0].Alive, v.what)
			require.Contains(t, j.Stats().Dirs[0].Err, v.name)
			propose(t, j, 6, 9)
			require.NoError(t, mem.MkdirAll("/a"))
			_, err := j.Checkpoint(background)
			require.NoError(t, err)
			require.True(t, j.Stats().Dirs[0].Alive, "%s: %s", v.what, j.Stats().Dirs[0].Err)
			propose(t, j, 10, 12)
			disk := crash(mem)
			require.NoError(t, j.Close())
			again := newMachine()
			j = open(t, options(disk, again, "/a"))
			require.Equal(t, m, again, v.what)
			require.NoError(t, j.Close())
		})
	}
}

// The operating system's files are told apart as Mem's are.
func TestVanishedOnTheDisk(t *testing.T) {
	for _, v := range vanishings {
		dir := filepath.Join(t.TempDir(), "name")
		fs := vfs.OS()
		require.NoError(t, Format(fs, []string{dir}, cluster, false))
		fatal := make(chan error, 1)
		opt := options(fs, newMachine(), dir)
		opt.OnFatal = func(err error) { fatal <- err }
		j := open(t, opt)
		propose(t, j, 1, 3)
		start := time.Now()
		if v.what == "directory removed" {
			require.NoError(t, os.RemoveAll(dir))
		} else {
			v.do(t, fs, dir)
		}
		require.ErrorContains(t, <-fatal, dir+v.name)
		require.Less(t, time.Since(start), 30*time.Second, "a quarter of a second on a machine that is not busy")
		require.Error(t, j.Close())
	}
}
