package blockmanager

import (
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// TestReplicasOfAnotherHistory holds that what this history has never handed out is counted
// once however often it is told, kept, never located, and forgotten with its volume or file.
func TestReplicasOfAnotherHistory(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(3)
	n := w.holders(b)[0]
	v := n.reg.Storages[0].UUID
	lost := dfs.FirstBlockID + 1000
	w.gaps = [][2]dfs.BlockID{{lost, lost + 100}}
	w.last, w.stamp = lost+200, w.stamp+50
	alien := dfs.Block{ID: lost + 7, GenStamp: w.stamp, Length: 10}       // an id of the gap
	newer := dfs.Block{ID: b.ID, GenStamp: w.stamp + 1, Length: b.Length} // our block, changed by others
	count := func() [2]int64 {
		replicas, bytes, _, _ := w.m.Future()
		return [2]int64{replicas, bytes}
	}
	n.disks[v][alien.ID] = Replica{Block: alien}
	n.disks[v][b.ID] = Replica{Block: newer}
	for range 3 {
		w.fullReport(n, v)
		w.settle()
		require.Equal(t, [2]int64{2, 10 + b.Length}, count())
	}
	require.Len(t, n.disks[v], 2, "both are kept")
	require.Len(t, w.m.FutureBlocks(10), 2)
	require.Len(t, w.m.FutureBlocks(1), 1)
	_, _, id, stamp := w.m.Future()
	require.Equal(t, alien.ID, id)
	require.Equal(t, newer.GenStamp, stamp)
	require.Len(t, w.locs(b.ID), 2, "a replica of another history is no place of the block")
	require.NoError(t, w.m.Incremental(w.now, n.reg.Node.UUID, []Event{{Kind: Deleted, Storage: v, Block: alien}}))
	require.Equal(t, [2]int64{1, b.Length}, count())
	require.NoError(t, w.m.Incremental(w.now, n.reg.Node.UUID, []Event{{Kind: Received, Storage: v, Block: alien}}))
	require.Equal(t, [2]int64{2, 10 + b.Length}, count())
	w.stop(n)
	require.Equal(t, [2]int64{}, count(), "its volume is gone")
}

// TestGapsCostNothing holds that looking at all blocks passes over ids that no block can have.
func TestGapsCostNothing(t *testing.T) {
	w := cluster(t, 4)
	a := w.create(3)
	w.gaps = [][2]dfs.BlockID{{a.ID + 1, a.ID + 1<<30}}
	w.last = a.ID + 1<<30 - 1
	b := w.create(3)
	require.Equal(t, a.ID+1<<30, b.ID)
	w.m.mu.Lock()
	w.m.evaluateAll()
	w.m.mu.Unlock()
	ticks := 0
	for w.m.Tick(w.now) {
		ticks++
		require.Less(t, ticks, 100)
	}
	w.stop(w.holders(b)[0])
	w.settle()
	require.Len(t, w.locs(b.ID), 3, "a block behind the gap is repaired")
	w.check()
}
