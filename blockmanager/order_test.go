package blockmanager

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestCreateReadRemove(t *testing.T) {
	w := cluster(t, 4, "/a", "/b")
	b := w.create(3)
	require.Len(t, w.locs(b.ID), 3)
	require.Equal(t, 3, w.m.Finalized(b))
	w.check()
	w.remove(b)
	require.Empty(t, w.locs(b.ID))
	require.Equal(t, int64(3), w.m.Stats(w.now).Blocks.PendingDeletion)
	w.settle()
	require.Empty(t, w.holders(b))
	require.Zero(t, w.m.table.used)
	w.check()
}

func TestReceivedBeforeCommit(t *testing.T) {
	w := cluster(t, 3)
	woken := 0
	w.m.cfg.OnFinalized = func(dfs.BlockID) { woken++ }
	b, targets := w.allocate(3)
	require.Zero(t, w.m.Finalized(b))
	w.receive(targets[0], b)
	w.receive(targets[0], b) // twice
	require.Equal(t, 1, w.m.Finalized(b))
	require.Equal(t, 2, woken)
	w.complete(b) // the other two are late
	require.Len(t, w.locs(b.ID), 1)
	require.Zero(t, w.m.Stats(w.now).Blocks.LowRedundancy, "they are expected still")
	w.receive(targets[2], b)
	w.receive(targets[1], b)
	require.Len(t, w.locs(b.ID), 3)
	require.Zero(t, w.m.Stats(w.now).Blocks.Building)
	w.check()
}

func TestReceivingAfterReceived(t *testing.T) {
	w := cluster(t, 3)
	b, targets := w.allocate(1)
	w.receive(targets[0], b)
	n := w.node(targets[0].Node.UUID)
	w.event(n, targets[0].Storage, Receiving, b)
	require.Equal(t, 1, w.m.Finalized(b))
	w.complete(b)
	w.event(n, targets[0].Storage, Receiving, b)
	w.event(n, targets[0].Storage, Receiving, dfs.Block{ID: b.ID, GenStamp: b.GenStamp - 1})
	require.Len(t, w.locs(b.ID), 1)
	require.Zero(t, w.m.Stats(w.now).Blocks.Corrupt)
	w.check()
}

func TestPipelineNeverReports(t *testing.T) {
	w := cluster(t, 4)
	b, targets := w.allocate(3)
	w.receive(targets[0], b)
	w.complete(b)
	w.settle()
	require.Len(t, w.holders(b), 1, "the pipeline has time")
	w.pass(5 * time.Minute)
	w.settle()
	require.Len(t, w.holders(b), 3)
	require.Zero(t, w.m.Stats(w.now).Blocks.Building)
	w.check()
}

func TestStaleStampAfterPipelineRecovery(t *testing.T) {
	w := cluster(t, 4)
	old, targets := w.allocate(3)
	for _, tg := range targets {
		w.event(w.node(tg.Node.UUID), tg.Storage, Receiving, old)
	}
	w.stamp++
	b := old
	b.GenStamp = w.stamp
	f := w.facts[b.ID]
	f.GenStamp = b.GenStamp
	w.facts[b.ID] = f
	w.m.Pipeline(w.now, b, []dfs.DatanodeID{targets[0].Node, targets[1].Node}, []string{targets[0].Storage, targets[1].Storage})
	require.Len(t, w.m.Expected(b.ID), 2)
	// The third comes back with what it had.
	n := w.node(targets[2].Node.UUID)
	n.disks[targets[2].Storage][b.ID] = Replica{Block: dfs.Block{ID: b.ID, GenStamp: old.GenStamp, Length: 7}, State: dfs.ReplicaRWR}
	w.receive(targets[0], b)
	w.receive(targets[1], b)
	w.complete(b)
	w.start(n)
	require.NotContains(t, w.locs(b.ID), n.reg.Node.UUID)
	w.settle()
	require.Len(t, w.holders(b), 3, "the stale one went, and a good one was made")
	for _, o := range w.nodes {
		for _, disk := range o.disks {
			if r, ok := disk[b.ID]; ok {
				require.Equal(t, b, r.Block)
			}
		}
	}
	require.Zero(t, w.m.Stats(w.now).Blocks.Corrupt)
	w.check()
}

func TestWrongLengthIsCorrupt(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(2)
	n := w.holders(b)[0]
	v := n.reg.Storages[0].UUID
	short := b
	short.Length--
	n.disks[v][b.ID] = Replica{Block: short}
	w.fullReport(n, v)
	require.Len(t, w.locs(b.ID), 1)
	require.Equal(t, int64(1), w.m.Stats(w.now).Blocks.Corrupt)
	w.settle()
	require.Len(t, w.holders(b), 2)
	require.Zero(t, w.m.Stats(w.now).Blocks.Corrupt)
	w.check()
}

func TestAppend(t *testing.T) {
	w := cluster(t, 3)
	old := w.create(3)
	f := w.facts[old.ID]
	f.State = Building
	w.facts[old.ID] = f
	w.m.Reopened(w.now, old)
	require.Len(t, w.m.Expected(old.ID), 3)
	require.Len(t, w.locs(old.ID), 3)
	w.check()
	targets := w.m.Expected(old.ID)
	w.stamp++
	b := dfs.Block{ID: old.ID, GenStamp: w.stamp, Length: old.Length + 5}
	f.GenStamp = b.GenStamp
	w.facts[old.ID] = f
	w.m.Pipeline(w.now, dfs.Block{ID: old.ID, GenStamp: b.GenStamp, Length: old.Length}, []dfs.DatanodeID{targets[0].Node, targets[1].Node}, nil)
	w.receive(targets[0], b)
	w.receive(targets[1], b)
	w.complete(b)
	require.Len(t, w.locs(old.ID), 2, "the third has the old stamp")
	w.settle()
	require.Len(t, w.holders(b), 3)
	w.check()
	// Reopened and closed without a change.
	f = w.facts[b.ID]
	f.State = Building
	w.facts[b.ID] = f
	w.m.Reopened(w.now, b)
	w.complete(b)
	require.Len(t, w.locs(b.ID), 3)
	w.check()
}

func TestUnknownBlocks(t *testing.T) {
	w := newWorld(t, testConfig)
	n := w.addNode("", 1)
	v := n.reg.Storages[0].UUID
	w.last, w.stamp = dfs.FirstBlockID+10, dfs.FirstGenStamp+10
	for id, stamp := range map[dfs.BlockID]dfs.GenStamp{w.last - 1: w.stamp, w.last: w.stamp + 1, w.last + 1: w.stamp, 5: w.stamp, 1 << 62: 1} {
		n.disks[v][id] = Replica{Block: dfs.Block{ID: id, GenStamp: stamp, Length: 10}}
	}
	w.fullReport(n, v)
	require.Equal(t, int64(4), w.m.Stats(w.now).Blocks.Future)
	require.Equal(t, int64(40), w.m.Stats(w.now).Blocks.FutureBytes)
	w.settle()
	require.Len(t, n.disks[v], 5, "nothing is removed in start-up mode")
	w.m.SetStartup(w.now, false)
	w.settle()
	require.Len(t, n.disks[v], 4, "what this history never handed out stays")
	require.Zero(t, w.m.table.used)
	w.check()
}

func TestDeletedEvents(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(2)
	n := w.holders(b)[0]
	v := n.reg.Storages[0].UUID
	w.event(n, v, Deleted, dfs.Block{ID: b.ID, GenStamp: b.GenStamp - 1})
	require.Len(t, w.locs(b.ID), 2, "an older one was removed")
	w.known[v][b.ID] = Replica{Block: b}
	delete(n.disks[v], b.ID)
	w.event(n, v, Deleted, b)
	w.event(n, v, Deleted, b)
	require.Len(t, w.locs(b.ID), 1)
	w.settle()
	require.Len(t, w.holders(b), 2)
	w.check()
}

func TestFullReportForgetsWhatIsNotThere(t *testing.T) {
	w := cluster(t, 3)
	var blocks []dfs.Block
	for range 2000 {
		blocks = append(blocks, w.create(2))
	}
	n := w.nodes[0]
	v := n.reg.Storages[0].UUID
	gone := 0
	for id := range n.disks[v] {
		if gone%2 == 0 {
			delete(n.disks[v], id)
		}
		gone++
	}
	w.fullReport(n, v)
	w.check()
	require.Equal(t, int64(len(n.disks[v])), w.m.volume(n.reg.Node.UUID, v).blocks)
	w.pass(10 * time.Minute)
	for _, b := range blocks {
		require.Len(t, w.holders(b), 2)
	}
	w.check()
}

func TestReportInParts(t *testing.T) {
	w := cluster(t, 2)
	b1, b2 := w.create(2), w.create(2)
	n := w.nodes[0]
	v := n.reg.Storages[0].UUID
	part := func(id uint64, i int, list ...dfs.Block) bool {
		p := ReportPart{Node: n.reg.Node.UUID, Storage: v, ID: id, Part: i, Parts: 2}
		require.NoError(t, w.m.BeginReport(p))
		for _, b := range list {
			require.NoError(t, w.m.Report(w.now, p, []Replica{{Block: b}}))
		}
		done, err := w.m.EndReport(w.now, p)
		require.NoError(t, err)
		w.check()
		return done
	}
	require.False(t, part(100, 1, b2))
	require.False(t, part(100, 1, b2), "repeated")
	w.tick()
	require.Len(t, w.locs(b1.ID), 2, "not before all parts")
	require.True(t, part(100, 0, b1))
	require.False(t, part(101, 0, b1), "cut off")
	require.False(t, part(102, 0, b1))
	require.True(t, part(102, 1))
	w.tick()
	require.Len(t, w.locs(b1.ID), 2)
	require.Len(t, w.locs(b2.ID), 1)
	w.check()
	// What a report saw that was cut off counts as seen.
	w.receive(w.m.volume(n.reg.Node.UUID, v).target(), b2)
	require.False(t, part(104, 0, b2))
	require.False(t, part(105, 0, b1))
	require.True(t, part(105, 1))
	w.tick()
	require.Len(t, w.locs(b2.ID), 2)
	require.Error(t, w.m.BeginReport(ReportPart{Node: n.reg.Node.UUID, Storage: v, ID: 1, Part: 2, Parts: 2}))
	require.Error(t, w.m.BeginReport(ReportPart{Node: n.reg.Node.UUID, Storage: v, ID: 1, Parts: 1 << 30}))
	require.Error(t, w.m.BeginReport(ReportPart{Node: "x", Storage: v, Parts: 1}))
	require.Error(t, w.m.BeginReport(ReportPart{Node: n.reg.Node.UUID, Storage: "x", Parts: 1}))
	require.Error(t, w.m.Report(w.now, ReportPart{Node: n.reg.Node.UUID, Storage: v, ID: 999, Parts: 1}, nil))
}

// After a restart, what is left of an earlier pipeline is no place of a block being written.
func TestStaleReplicaIsNoPlaceAfterRestart(t *testing.T) {
	w := cluster(t, 2)
	b, _ := w.allocate(1)
	old := dfs.Block{ID: b.ID, GenStamp: b.GenStamp - 1, Length: 7}
	m, err := New(testConfig, w)
	require.NoError(t, err)
	w.m = m
	for i, r := range []Replica{{Block: old, State: dfs.ReplicaRWR}, {Block: b, State: dfs.ReplicaRWR}} {
		n := w.nodes[i]
		volume := n.reg.Storages[0].UUID
		n.disks[volume] = map[dfs.BlockID]Replica{b.ID: r}
		w.start(n)
		require.Len(t, w.m.Expected(b.ID), i)
		require.Equal(t, i == 1, w.m.StartRecovery(w.now, Recovery{Block: b, ID: w.stamp + 1, NewLength: -1}))
		require.False(t, w.m.AllExpected(b.ID))
	}
	w.check()
}

// A replica that was behind when its removal was chosen may have caught up, fully or not,
// when its datanode comes back: the order names what is there, or would never be obeyed.
func TestOrdersNameTheStampThatIsThere(t *testing.T) {
	for _, length := range []int64{100, 70} {
		w := cluster(t, 4)
		old, targets := w.allocate(3)
		for _, tg := range targets {
			w.event(w.node(tg.Node.UUID), tg.Storage, Receiving, old)
		}
		w.stamp++
		b := old
		b.GenStamp, b.Length = w.stamp, 100
		f := w.facts[b.ID]
		f.GenStamp = b.GenStamp
		w.facts[b.ID] = f
		w.m.Pipeline(w.now, b, []dfs.DatanodeID{targets[0].Node, targets[1].Node}, []string{targets[0].Storage, targets[1].Storage})
		w.receive(targets[0], b)
		w.receive(targets[1], b)
		n := w.node(targets[2].Node.UUID)
		n.up = false
		w.event(n, targets[2].Storage, Received, dfs.Block{ID: b.ID, GenStamp: old.GenStamp, Length: 100})
		w.complete(b)
		w.pass(3 * time.Second) // long enough to choose it for removal, not to declare its node dead
		n.disks[targets[2].Storage][b.ID] = Replica{Block: dfs.Block{ID: b.ID, GenStamp: b.GenStamp, Length: length}}
		n.up = true
		w.fullReport(n, targets[2].Storage)
		w.settle()
		require.Len(t, w.holders(b), 3)
		s := w.m.Stats(w.now).Blocks
		require.Zero(t, s.Corrupt+s.Excess, "length %d: %+v", length, s)
		w.check()
	}
}
