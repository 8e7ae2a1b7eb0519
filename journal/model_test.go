package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// A journal does what a list does, whatever happens between: rolls, checkpoints,
// restarts, power cuts with any unsynced effects, a directory that fails and comes
// back, a disk that is swapped for a blank one.
func TestAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dirs := []string{"/a", "/b"}
		mem := vfs.NewMem()
		require.NoError(t, Format(mem, dirs, cluster, false))
		fs := faultfs.New(mem)
		var model []uint64
		var j *Journal
		var m *machine
		openIt := func() {
			m = newMachine()
			opt := options(fs, m, dirs...)
			opt.Retain = rapid.IntRange(1, 3).Draw(t, "retain")
			var err error
			j, err = Open(background, opt)
			require.NoError(t, err)
			require.Equal(t, model, m.list)
		}
		openIt()
		sick := ""
		t.Repeat(map[string]func(*rapid.T){
			"propose": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					n := rapid.Uint64Range(0, 50).Draw(t, "number")
					_, _, err := j.Propose(background, number(n))
					if !m.seen[n] || !errors.Is(err, errTwice) {
						require.NoError(t, err)
						model = append(model, n)
					}
				}
			},
			"roll":       func(t *rapid.T) { _, err := j.Roll(background); require.NoError(t, err) },
			"checkpoint": func(t *rapid.T) { _, err := j.Checkpoint(background); require.NoError(t, err) },
			"restart": func(t *rapid.T) {
				if sick != "" {
					return
				}
				require.NoError(t, j.Close())
				openIt()
			},
			"power cut": func(t *rapid.T) {
				if sick != "" {
					return
				}
				choices := mem.Choices(8, rapid.Uint64().Draw(t, "seed"))
				clone := mem.CrashClone(rapid.SampledFrom(choices).Draw(t, "choice"))
				_ = j.Close() // of a process that is gone; its disk is not looked at again
				mem = clone
				fs = faultfs.New(mem)
				openIt()
			},
			"fall sick": func(t *rapid.T) {
				if sick == "" {
					sick = rapid.SampledFrom(dirs).Draw(t, "dir")
					fs.SetHook(failing(under(sick)))
				}
			},
			"heal": func(t *rapid.T) {
				if sick == "" {
					return
				}
				fs.SetHook(nil)
				sick = ""
				n := uint64(1000 + len(model)) // whoever is dropped is known after this
				_, _, err := j.Propose(background, number(n))
				require.NoError(t, err)
				model = append(model, n)
				_, err = j.Checkpoint(background)
				require.NoError(t, err)
				for _, d := range j.Stats().Dirs {
					require.True(t, d.Alive, "%+v", d)
				}
			},
			"swap a disk": func(t *rapid.T) {
				if sick != "" {
					return
				}
				require.NoError(t, j.Close())
				dir := rapid.SampledFrom(dirs).Draw(t, "dir")
				entries, err := mem.ReadDir(dir + "/current")
				require.NoError(t, err)
				for _, e := range entries {
					require.NoError(t, mem.Remove(dir+"/current/"+e.Name))
				}
				openIt()
			},
			"": func(t *rapid.T) { require.Equal(t, model, m.list) },
		})
		_ = j.Close()
	})
}

func TestCheckpointsWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := formatted(t, "/a")
		opt := options(fs, newMachine(), "/a")
		opt.CheckpointTxns, opt.CheckpointInterval = 10, time.Hour
		j := open(t, opt)
		propose(t, j, 1, 9)
		synctest.Wait()
		require.Zero(t, j.Stats().Checkpoints)
		propose(t, j, 10, 10)
		synctest.Wait()
		require.EqualValues(t, 10, j.Stats().Checkpoint.TxID, "by count")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 1, j.Stats().Checkpoints, "nothing new: none by time")
		propose(t, j, 11, 12)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.EqualValues(t, 12, j.Stats().Checkpoint.TxID, "by time")
		propose(t, j, 13, 18)
		require.NoError(t, j.Close())
		opt.CheckpointTxns, opt.Machine = 5, newMachine()
		j = open(t, opt)
		synctest.Wait()
		require.EqualValues(t, 18, j.Stats().Checkpoint.TxID, "at start, if the log is long")
		require.NoError(t, j.Close())
	})
}

// The last batch of a journal that falls silent is promised, so that its damage is not
// taken for a torn tail.
func TestIdleJournalPromises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := formatted(t, "/a")
		opt := options(fs, newMachine(), "/a")
		opt.IdlePromise = time.Second
		j := open(t, opt)
		propose(t, j, 1, 1)
		const segment = "/a/current/edits_inprogress_0000000000000000001"
		before := crash(fs)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		after := crash(fs)
		propose(t, j, 2, 3)
		require.NoError(t, j.Close())

		flip(t, before, segment, 512+50)
		_, err := Open(background, options(before, newMachine(), "/a"))
		require.ErrorContains(t, err, "torn tail of 57 bytes at offset 512", "the watermark knows better")
		require.ErrorContains(t, err, "/a/current/watermark says that transaction 1 was durable")
		require.NoError(t, before.Remove("/a/current/watermark"))
		again := open(t, options(before, newMachine(), "/a"))
		require.Zero(t, again.Stats().LastTx, "alone, it can't be told from a torn batch")
		require.NoError(t, again.Close())
		flip(t, after, segment, 512+50)
		require.NoError(t, after.Remove("/a/current/watermark"))
		_, err = Open(background, options(after, newMachine(), "/a"))
		require.True(t, dfs.Is(err, dfs.Corrupt), "the promise knows")
		m := newMachine()
		again = open(t, options(fs, m, "/a"))
		require.Equal(t, upTo(3), m.list)
		require.NoError(t, again.Close())
	})
}

func TestNoGoroutineIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // tests of crashes leave journals behind
	fs := formatted(t, "/a", "/b")
	j := open(t, options(fs, newMachine(), "/a", "/b"))
	propose(t, j, 1, 10)
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	_, err = Open(background, options(fs, newMachine(), "/missing"))
	require.Error(t, err)
}

// A slow disk doesn't hold operations up for long: they gather, and go in one batch.
func TestCallersGatherWhileTheDiskSyncs(t *testing.T) {
	fs := faultfs.New(formatted(t, "/a"))
	j := open(t, options(fs, newMachine(), "/a"))
	propose(t, j, 1, 1)
	stall, stalled := make(chan struct{}), make(chan struct{}, 1)
	fs.SetHook(func(op faultfs.Op) faultfs.Fault {
		if op.Kind != faultfs.Sync {
			return faultfs.Fault{}
		}
		select {
		case stalled <- struct{}{}:
		default:
		}
		return faultfs.Fault{Stall: stall}
	})
	answers := make(chan error, 100)
	for n := uint64(2); n <= 100; n++ {
		j.ProposeFunc(number(n), func(_ any, _ dfs.TxID, err error) { answers <- err })
		if n == 2 {
			<-stalled
		}
	}
	require.Empty(t, answers, "nothing is answered before it is durable")
	close(stall)
	for range 99 {
		require.NoError(t, <-answers)
	}
	require.EqualValues(t, 3, j.Stats().Batches)
	require.Equal(t, 98, j.Stats().MaxBatch)
	require.NoError(t, j.Close())
}

// Nothing is over its bounds: a proposer waits outside, or gives up.
func TestFullQueueHoldsProposersBack(t *testing.T) {
	q := newQueue()
	var ps []*proposal
	for i := range maxWaiting {
		ps = append(ps, &proposal{rec: number(uint64(i))})
		require.NoError(t, q.push(background, ps[i]))
	}
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		for _, p := range ps {
			require.NoError(t, q.push(background, p))
		}
		ctx, cancel := context.WithCancel(background)
		errs := make(chan error, 2)
		go func() { errs <- q.push(ctx, &proposal{}) }()
		synctest.Wait()
		require.Empty(t, errs)
		cancel()
		require.Error(t, <-errs)
		go func() { errs <- q.push(background, &proposal{}) }()
		synctest.Wait()
		require.Empty(t, errs)
		got, _, _ := q.take(nil, 10)
		require.Len(t, got, 10)
		require.NoError(t, <-errs)
		go func() {
			for range 20 {
				if err := q.push(background, &proposal{}); err != nil {
					errs <- err
					return
				}
			}
		}()
		synctest.Wait()
		q.close(fmt.Errorf("over"))
		require.ErrorContains(t, <-errs, "over")
	})
}
