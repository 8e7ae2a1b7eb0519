package array

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/internal/pace"
	"redoubt/vfs"
	"redoubt/vfs/slowfs"
)

// virtual runs do in virtual time on an array of n emulated disks of 100 MiB/s with a
// latency of 1 ms, and tells how long it took and what the disks did.
func virtual(t *testing.T, n int, hole bool, prepare, do func(a *Array, list []*slowfs.Disk)) (spent time.Duration, c slowfs.Counters) {
	synctest.Test(t, func(t *testing.T) {
		on := map[string]*slowfs.Disk{}
		var list []*slowfs.Disk
		cfg := Config{hole: hole}
		for i := range n {
			d := slowfs.NewDisk(0, 0)
			list = append(list, d)
			on[fmt.Sprintf("/%d", i)] = d
			cfg.Members = append(cfg.Members, Member{Dir: fmt.Sprintf("/%d", i)})
		}
		cfg.FS = slowfs.New(vfs.NewMem(), on)
		a, err := Open(cfg)
		require.NoError(t, err)
		prepare(a, list)
		for _, d := range list {
			d.SetLimits(diskRate, diskLatency)
		}
		before, start := counters(list), time.Now()
		do(a, list)
		// A disk makes up for some of the time in which it had nothing to do: that counts too.
		spent, c = time.Since(start)+pace.Slack, counters(list).Sub(before)
		for _, d := range list {
			d.SetLimits(0, 0)
		}
		require.NoError(t, a.Close())
	})
	return spent, c
}

const speedFile = 48 << 20

func share(bytes int64, disks int, spent time.Duration) float64 {
	return float64(bytes) / (spent.Seconds() * diskRate * float64(disks))
}

func writeAll(t *testing.T, f vfs.FS, piece int) { writeSynced(t, f, piece, speedFile) }

// writeSynced syncs after each so many bytes.
func writeSynced(t *testing.T, f vfs.FS, piece int, every int64) {
	file, err := f.Create("/a")
	require.NoError(t, err)
	data := noise(1, piece)
	for off := int64(0); off < speedFile; off += int64(piece) {
		_, err := file.WriteAt(data, off)
		require.NoError(t, err)
		if end := off + int64(piece); end%every == 0 || end == speedFile {
			require.NoError(t, file.Sync())
		}
	}
	require.NoError(t, file.Close())
}

// With the emulated disks as the only limit: a large file is written and synced in
// packets at no less than 70 % of the sum of the disks (parity included, which they have
// to write), and with the write hole closed no slower by 10 % than with it open.
func TestWriteSpeed(t *testing.T) {
	for _, n := range []int{3, 4, 5, 9} {
		var took [2]time.Duration
		for i, hole := range []bool{false, true} {
			spent, c := virtual(t, n, hole, func(*Array, []*slowfs.Disk) {}, func(a *Array, _ []*slowfs.Disk) { writeAll(t, a, 64<<10) })
			took[i] = spent
			raw := share(c.BytesWritten, n, spent)
			t.Logf("%d disks, hole %v: %v, %.0f %% of the disks, %.0f %% by user bytes, %d seeks", n, hole, spent, 100*raw, 100*share(speedFile, n, spent), c.Seeks)
			require.Greater(t, raw, 0.7)
		}
		require.Less(t, took[0].Seconds(), 1.1*took[1].Seconds())
	}
}

// A sync every so often, in the middle of stripes: that is where closing the hole costs,
// since what is left of a stripe goes elsewhere and then home.
func TestSyncSpeed(t *testing.T) {
	for _, every := range []int64{64 << 10, 1 << 20, 8 << 20} {
		var took [2]time.Duration
		for i, hole := range []bool{false, true} {
			took[i], _ = virtual(t, 4, hole, func(*Array, []*slowfs.Disk) {}, func(a *Array, _ []*slowfs.Disk) { writeSynced(t, a, 64<<10, every) })
		}
		t.Logf("a sync every %d KiB: %v with the hole closed, %v open", every>>10, took[0], took[1])
		require.Less(t, took[0].Seconds(), 1.1*took[1].Seconds())
	}
}

// Reading in sequence, in packets and in large pieces, with all disks and with one away.
func TestReadSpeed(t *testing.T) {
	for _, n := range []int{4, 5} {
		for _, piece := range []int{64 << 10, 4 << 20} {
			var took [2]time.Duration
			for i, degraded := range []bool{false, true} {
				spent, c := virtual(t, n, false, func(a *Array, list []*slowfs.Disk) {
					writeAll(t, a, 1<<20)
					if degraded {
						list[1].Pull()
						_, err := a.Usage("/")
						require.NoError(t, err)
						require.True(t, a.Status().Degraded)
					}
				}, func(a *Array, _ []*slowfs.Disk) {
					f, err := a.Open("/a")
					require.NoError(t, err)
					p := make([]byte, piece)
					for off := int64(0); off < speedFile; off += int64(piece) {
						_, err := f.ReadAt(p, off)
						require.NoError(t, err)
					}
					require.NoError(t, f.Close())
				})
				took[i] = spent
				user := share(speedFile, n, spent)
				t.Logf("%d disks, pieces of %d KiB, degraded %v: %v, %.0f %% of the disks by user bytes, %.0f %% with parity, %d seeks",
					n, piece>>10, degraded, spent, 100*user, 100*share(c.BytesRead, n, spent), c.Seeks)
				require.Greater(t, user, 0.65)
			}
			require.Less(t, took[1].Seconds(), took[0].Seconds()/0.8, "degraded reads are at least 80 % as fast")
		}
	}
}

// A rebuild is as fast as the disk that it fills.
func TestRebuildSpeed(t *testing.T) {
	spent, _ := virtual(t, 4, false, func(a *Array, _ []*slowfs.Disk) { writeAll(t, a, 1<<20) }, func(a *Array, _ []*slowfs.Disk) {
		next := slowfs.NewDisk(diskRate, diskLatency)
		require.NoError(t, a.ReplaceWith("/2", Member{Dir: "/new", FS: slowfs.New(vfs.NewMem(), map[string]*slowfs.Disk{"/new": next})}))
		require.NoError(t, a.WaitRebuild(context.Background()))
	})
	rate := float64(speedFile/3) / spent.Seconds() / diskRate
	t.Logf("%v, %.0f %% of the disk", spent, 100*rate)
	require.Greater(t, rate, 0.7)
}
