package journal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/vfs"
)

// oracle knows which numbers were sent and which were acknowledged. Numbers are sent in
// order, one at a time, so the state must be 1..n with acked <= n <= sent.
type oracle struct {
	sent, acked uint64
	phase       string // what is being done
}

func (o *oracle) doing() string { return o.phase }

func (o *oracle) propose(j *Journal, n int) error {
	o.phase = "append"
	for range n {
		o.sent++
		if _, _, err := j.Propose(background, number(o.sent)); err != nil {
			return err
		}
		o.acked = o.sent
	}
	return nil
}

// check opens the directories and judges the state; then it goes on writing, closes,
// and opens again.
func (o *oracle) check(fs vfs.FS, dirs ...string) error {
	m := newMachine()
	j, err := Open(background, options(fs, m, dirs...))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	n := uint64(len(m.list))
	for i, got := range m.list {
		if got != uint64(i+1) {
			return fmt.Errorf("state is %v", m.list)
		}
	}
	if n < o.acked || n > o.sent {
		return fmt.Errorf("state has %d numbers, acknowledged %d, sent %d", n, o.acked, o.sent)
	}
	for _, d := range j.Stats().Dirs {
		if !d.Alive {
			return fmt.Errorf("directory %s is out: %s", d.Dir, d.Err)
		}
	}
	if _, _, err := j.Propose(background, number(n+1)); err != nil {
		return err
	}
	if err := j.Close(); err != nil {
		return err
	}
	for _, d := range dirs { // each directory is a whole copy by itself
		again := newMachine()
		j, err := Open(background, options(fs, again, d))
		if err != nil {
			return fmt.Errorf("open %s alone: %w", d, err)
		}
		if uint64(len(again.list)) != n+1 || again.digest != m.digest {
			return fmt.Errorf("%s alone has %d numbers, not %d", d, len(again.list), n+1)
		}
		if err := j.Close(); err != nil {
			return err
		}
	}
	return nil
}

// start is a start, all by itself.
func start(fs vfs.FS, dirs ...string) error {
	j, err := Open(background, options(fs, newMachine(), dirs...))
	if err != nil {
		return err
	}
	return j.Close()
}

// scenario runs work against an open journal in dirs.
func scenario(dirs []string, work func(o *oracle, j *Journal) error) func() crashtest.Scenario {
	return func() crashtest.Scenario {
		o := &oracle{phase: "start"}
		return crashtest.Scenario{
			Phase: o.doing,
			Setup: func(fs vfs.FS) error { return Format(fs, dirs, cluster, false) },
			Run: func(fs vfs.FS) error {
				j, err := Open(background, options(fs, newMachine(), dirs...))
				if err != nil {
					return err
				}
				if err := work(o, j); err != nil {
					_ = j.Close() // joins the goroutines; the power is off
					return powerOff(err)
				}
				o.phase = "stop"
				return powerOff(j.Close())
			},
			Recover: func(fs vfs.FS) error { return start(fs, dirs...) },
			Check:   func(fs vfs.FS) error { return o.check(fs, dirs...) },
		}
	}
}

// powerOff keeps only the cause of what a journal on a dead disk says.
func powerOff(err error) error {
	if errors.Is(err, vfs.ErrPowerOff) {
		return vfs.ErrPowerOff
	}
	return err
}

func TestCrashAppendRollCheckpointPurge(t *testing.T) {
	crashtest.EachPoint(t, scenario([]string{"/a"}, func(o *oracle, j *Journal) error {
		for _, checkpoint := range []string{"checkpoint", "checkpoint", "checkpoint with purge"} {
			if err := o.propose(j, 4); err != nil {
				return err
			}
			o.phase = "roll"
			if _, err := j.Roll(background); err != nil {
				return err
			}
			if err := o.propose(j, 1); err != nil {
				return err
			}
			o.phase = checkpoint
			if _, err := j.Checkpoint(background); err != nil {
				return err
			}
		}
		return o.propose(j, 2)
	}))
}

func TestCrashTwoDirectories(t *testing.T) {
	crashtest.EachPoint(t, scenario([]string{"/a", "/b"}, func(o *oracle, j *Journal) error {
		if err := o.propose(j, 4); err != nil {
			return err
		}
		o.phase = "checkpoint"
		if _, err := j.Checkpoint(background); err != nil {
			return err
		}
		return o.propose(j, 3)
	}))
}

// A format that was cut off at any step is done again by the same command: one without
// force needs none then. What had been reported as formatted is not formatted again.
func TestCrashFormat(t *testing.T) {
	for _, forced := range []bool{false, true} {
		dirs := []string{"/a", "/b"}
		if forced {
			dirs = dirs[:1]
		}
		n := crashtest.EachPoint(t, func() crashtest.Scenario {
			done := false
			before := cluster
			before.ClusterID = "CID-before"
			again := func(fs vfs.FS) error {
				err := Format(fs, dirs, cluster, forced)
				if dfs.Is(err, dfs.AlreadyExists) { // it was over, but for saying so
					return nil
				}
				if err == nil && done && !forced {
					return errors.New("formatted again over a namespace that was done")
				}
				return err
			}
			return crashtest.Scenario{
				Setup: func(fs vfs.FS) error {
					if !forced {
						return nil
					}
					if err := Format(fs, dirs, before, false); err != nil {
						return err
					}
					j, err := Open(background, options(fs, newMachine(), dirs...))
					if err != nil {
						return err
					}
					return errors.Join(new(oracle).propose(j, 3), j.Close())
				},
				Run: func(fs vfs.FS) error {
					if err := Format(fs, dirs, cluster, forced); err != nil {
						return err
					}
					done = true
					return nil
				},
				Recover: again,
				Check: func(fs vfs.FS) error {
					if err := again(fs); err != nil {
						return err
					}
					if got, err := ReadCluster(fs, dirs); err != nil || got != cluster {
						return fmt.Errorf("cluster %s: %w", got.ClusterID, err)
					}
					return new(oracle).check(fs, dirs...)
				},
			}
		})
		require.Positive(t, n)
	}
}

// What an interrupted format left does not start, and whoever looks at it is told what to do.
func TestInterruptedFormatIsNamed(t *testing.T) {
	mem, _ := imagesAt(t, "/a")
	require.NoError(t, Format(mem, []string{"/b"}, cluster, false))
	require.NoError(t, mem.Rename("/b/current/VERSION", "/b/current/formatting"))
	for _, dirs := range [][]string{{"/b"}, {"/a", "/b"}} {
		_, err := Open(background, options(mem, newMachine(), dirs...))
		require.True(t, dfs.Is(err, dfs.IllegalState))
		require.ErrorContains(t, err, "name directory /b is not formatted: a format of it was interrupted")
		rep, err := Inspect(mem, dirs)
		require.NoError(t, err)
		require.False(t, rep.Recoverable)
		require.Contains(t, rep.Dirs[len(dirs)-1].Problem, "a format of it was interrupted")
	}
	err := Format(mem, []string{"/a", "/b"}, cluster, false)
	require.ErrorContains(t, err, "name directory /a holds a namespace already", "an interrupted format beside it is no leave")
	require.NoError(t, Format(mem, []string{"/b"}, cluster, false))
	require.NotContains(t, files(t, mem, "/b"), "formatting")

	// An older program's format wrote no note, and VERSION last.
	require.NoError(t, mem.Remove("/b/current/VERSION"))
	require.NoError(t, mem.Remove("/b/current/watermark"))
	require.NoError(t, Format(mem, []string{"/b"}, cluster, false))
}

// A restart that replays, cuts a torn tail, finishes segments and fetches copies is cut
// at each of its steps, and so is the restart after it.
func TestCrashRestart(t *testing.T) {
	dirs := []string{"/a", "/b"}
	crashtest.EachPoint(t, func() crashtest.Scenario {
		o := new(oracle)
		return crashtest.Scenario{
			Setup: func(fs vfs.FS) error {
				if err := Format(fs, dirs, cluster, false); err != nil {
					return err
				}
				j, err := Open(background, options(fs, newMachine(), dirs...))
				if err != nil {
					return err
				}
				err = o.propose(j, 3)
				if _, cerr := j.Checkpoint(background); err == nil {
					err = cerr
				}
				if err == nil {
					err = o.propose(j, 5)
				}
				// The process is killed; /b loses its last batch half-way.
				mem := fs.(*vfs.Mem)
				file, err2 := mem.OpenWrite("/b/current/edits_inprogress_0000000000000000004")
				if err2 != nil {
					return err2
				}
				log := j.dirs[1].log
				if _, err := file.WriteAt(make([]byte, 16), log.Size()-16); err != nil {
					return err
				}
				return errors.Join(err, file.Close())
			},
			Run:     func(fs vfs.FS) error { return powerOff(start(fs, dirs...)) },
			Recover: func(fs vfs.FS) error { return powerOff(start(fs, dirs...)) },
			Check:   func(fs vfs.FS) error { return o.check(fs, dirs...) },
		}
	})
}
