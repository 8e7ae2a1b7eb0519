package journal

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// slowDisk has every sync take so long, in the bubble's time.
func slowDisk(sync time.Duration) vfs.FS {
	fs := faultfs.New(vfs.NewMem())
	fs.SetHook(func(op faultfs.Op) faultfs.Fault {
		if op.Kind == faultfs.Sync {
			time.Sleep(sync)
		}
		return faultfs.Fault{}
	})
	return fs
}

// TestGatherOnASlowDisk: callers who come back at once share one sync each time, instead
// of two halves syncing by turns; a lone caller pays nothing for it.
func TestGatherOnASlowDisk(t *testing.T) {
	const sync1, rounds = 4 * time.Millisecond, 50
	for _, callers := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			fs := slowDisk(sync1)
			require.NoError(t, Format(fs, []string{"nn"}, cluster, false))
			j, err := Open(background, Options{FS: fs, Dirs: []string{"nn"}, Machine: newMachine(),
				NoFinalCheckpoint: true, FillChunk: -1, IdlePromise: -1, CheckpointInterval: -1})
			require.NoError(t, err)
			begun := time.Now()
			var group sync.WaitGroup
			for c := range callers {
				group.Go(func() {
					for i := range rounds {
						if c%2 == 1 && i == 0 {
							time.Sleep(sync1 / 2) // half of them begin behind the other half's sync
						}
						time.Sleep(sync1 / 8) // what a caller does between its calls
						if _, _, err := j.Propose(background, number(uint64(c*rounds+i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			took := time.Since(begun)
			batches := j.Stats().Batches
			require.NoError(t, j.Close())
			require.LessOrEqual(t, batches, uint64(rounds+5), "%d callers", callers)
			require.Less(t, took, rounds*(sync1+sync1/8)+5*sync1, "%d callers", callers)
		})
	}
}
