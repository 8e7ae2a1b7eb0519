package journal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/crashtest"
	"redoubt/vfs"
)

// split are the options of a journal whose log stands apart from its images.
func split(fs vfs.FS, m Machine, images, edits []string) Options {
	opt := options(fs, m, images...)
	opt.EditsDirs = edits
	return opt
}

func formatSplit(t testing.TB, fs vfs.FS, images, edits []string) {
	require.NoError(t, FormatAndTell(fs, images, edits, cluster, nil, false, func() {}))
}

// kinds tells what a directory holds: images, log, or both.
func kinds(t testing.TB, fs vfs.FS, dir string) string {
	var has []string
	all := strings.Join(files(t, fs, dir), " ")
	if strings.Contains(all, "fsimage_") {
		has = append(has, "images")
	}
	if strings.Contains(all, "edits_") {
		has = append(has, "log")
	}
	return strings.Join(has, "+")
}

// TestLogApart holds that each directory gets what it is for and nothing else, that all of it
// comes back, and that the log can be put apart and back again over the same namespace.
func TestLogApart(t *testing.T) {
	fs := vfs.NewMem()
	images, edits := []string{"/a", "/b"}, []string{"/b", "/c"}
	formatSplit(t, fs, images, edits)
	run := func(opt Options, from, to uint64) {
		m := newMachine()
		opt.Machine = m
		j := open(t, opt)
		require.Equal(t, upTo(from-1), m.list)
		propose(t, j, from, to)
		_, err := j.Checkpoint(background)
		require.NoError(t, err)
		propose(t, j, to+1, to+1)
		require.NoError(t, j.Close())
	}
	run(split(fs, nil, images, edits), 1, 9)
	run(split(fs, nil, images, edits), 11, 19)
	for dir, want := range map[string]string{"/a": "images", "/b": "images+log", "/c": "log"} {
		require.Equal(t, want, kinds(t, fs, dir), dir)
	}
	// Together, apart again in other places, and together once more.
	run(options(fs, nil, "/a", "/b"), 21, 29)
	require.Equal(t, "images+log", kinds(t, fs, "/a"))
	require.NoError(t, fs.MkdirAll("/d"))
	run(split(fs, nil, []string{"/a", "/b"}, []string{"/c", "/d"}), 31, 39)
	run(split(fs, nil, []string{"/a"}, []string{"/d"}), 41, 49)
	require.NoError(t, fs.MkdirAll("/new"))
	for _, without := range []Options{options(fs, newMachine(), "/a"), split(fs, newMachine(), []string{"/a"}, []string{"/new"}), options(fs, newMachine(), "/a", "/new")} {
		_, err := Open(background, without)
		require.ErrorContains(t, err, "none of the directories has it")
	}
	run(options(fs, nil, "/a", "/d"), 51, 59)
	require.Equal(t, "images+log", kinds(t, fs, "/a"))
	run(options(fs, nil, "/a"), 61, 69)
	rep, err := Inspect(fs, []string{"/a", "/d"})
	require.NoError(t, err)
	require.True(t, rep.Recoverable, rep.Problem)
}

// TestLogApartLosesADirectory takes directories away under a running journal: it goes on while
// one for the log is left, takes checkpoints while one for images is, and brings both kinds back.
func TestLogApartLosesADirectory(t *testing.T) {
	fs := vfs.NewMem()
	images, edits := []string{"/a", "/b"}, []string{"/c", "/d"}
	formatSplit(t, fs, images, edits)
	m := newMachine()
	j := open(t, split(fs, m, images, edits))
	propose(t, j, 1, 5)
	out := func(dir string) {
		done := make(chan struct{})
		require.True(t, j.queue.control(func() {
			for _, d := range j.dirs {
				if d.path == dir {
					j.drop(d, fmt.Errorf("%s is pulled", dir))
				}
			}
			close(done)
		}))
		<-done
	}
	alive := func() (n int) {
		for _, d := range j.Stats().Dirs {
			if d.Alive {
				n++
			}
		}
		return n
	}
	out("/a")
	out("/c")
	require.Equal(t, 2, alive())
	propose(t, j, 6, 10)
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.Equal(t, 4, alive(), "both are back: %+v", j.Stats().Dirs)
	propose(t, j, 11, 12)
	out("/d")
	propose(t, j, 13, 14)
	out("/c")
	_, _, err = j.Propose(background, number(15))
	require.ErrorContains(t, err, "no name directory is left")
	_ = j.Close() // it has stopped for good
	again := newMachine()
	j = open(t, split(fs, again, images, edits))
	require.Equal(t, upTo(14), again.list)
	require.NoError(t, j.Close())
}

// TestCrashLogApart cuts the power at every I/O of a journal whose log stands apart.
func TestCrashLogApart(t *testing.T) {
	images, edits := []string{"/a"}, []string{"/c", "/d"}
	crashtest.EachPoint(t, func() crashtest.Scenario {
		o := &oracle{phase: "start"}
		openIt := func(fs vfs.FS, m Machine) (*Journal, error) {
			return Open(background, split(fs, m, images, edits))
		}
		return crashtest.Scenario{
			Phase: o.doing,
			Setup: func(fs vfs.FS) error { return FormatAndTell(fs, images, edits, cluster, nil, false, func() {}) },
			Run: func(fs vfs.FS) error {
				j, err := openIt(fs, newMachine())
				if err != nil {
					return powerOff(err)
				}
				for range 3 {
					if err = o.propose(j, 3); err != nil {
						break
					}
					o.phase = "checkpoint"
					if _, err = j.Checkpoint(background); err != nil {
						break
					}
				}
				if err != nil {
					_ = j.Close() // joins the goroutines; the power is off
					return powerOff(err)
				}
				return powerOff(j.Close())
			},
			Check: func(fs vfs.FS) error {
				m := newMachine()
				j, err := openIt(fs, m)
				if err != nil {
					return err
				}
				if n := uint64(len(m.list)); n < o.acked || n > o.sent {
					return fmt.Errorf("state has %d numbers, acknowledged %d, sent %d", n, o.acked, o.sent)
				}
				return j.Close()
			},
		}
	})
}

// TestCrashFormatLogApart cuts the power at every I/O of a format; formatting again needs no force.
func TestCrashFormatLogApart(t *testing.T) {
	images, edits := []string{"/a"}, []string{"/c"}
	crashtest.EachPoint(t, func() crashtest.Scenario {
		format := func(fs vfs.FS) error {
			return powerOff(FormatAndTell(fs, images, edits, cluster, nil, false, func() {}))
		}
		done := false // somebody was told that it is
		return crashtest.Scenario{
			Run: func(fs vfs.FS) error {
				return powerOff(FormatAndTell(fs, images, edits, cluster, nil, false, func() { done = true }))
			},
			Check: func(fs vfs.FS) error {
				if !done {
					if err := format(fs); err != nil {
						return fmt.Errorf("format again: %w", err)
					}
				}
				j, err := Open(background, split(fs, newMachine(), images, edits))
				if err != nil {
					return err
				}
				return j.Close()
			},
		}
	})
}
