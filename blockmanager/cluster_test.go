package blockmanager

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestDeadNodeIsRepaired(t *testing.T) {
	w := cluster(t, 5)
	var blocks []dfs.Block
	for range 300 {
		blocks = append(blocks, w.create(3))
	}
	dead := w.nodes[2]
	w.stop(dead)
	st := w.m.Stats(w.now)
	require.Equal(t, 4, st.Nodes.Live)
	require.Equal(t, 1, st.Nodes.Dead)
	w.check()
	w.pass(10 * time.Minute)
	for _, b := range blocks {
		locs := w.locs(b.ID)
		require.Len(t, locs, 3)
		require.NotContains(t, locs, dead.reg.Node.UUID)
	}
	// It comes back with all it had: one of four goes, never the last good one (guard).
	w.start(dead)
	w.pass(10 * time.Minute)
	for _, b := range blocks {
		require.Len(t, w.holders(b), 3)
		require.Len(t, w.locs(b.ID), 3)
	}
	require.Zero(t, w.m.Stats(w.now).Blocks.Excess)
	w.check()
}

func TestSweepIsSliced(t *testing.T) {
	w := cluster(t, 2)
	for range 3 * evaluateBudget {
		w.create(2)
	}
	n := w.nodes[0]
	n.up = false
	for w.now = w.now.Add(w.m.cfg.deadAfter() - time.Second); w.m.Tick(w.now); {
	}
	require.NoError(t, must(w.m.Heartbeat(w.now, &Heartbeat{UUID: "uuid-1", Storages: w.nodes[1].reg.Storages})))
	w.now = w.now.Add(3 * time.Second)
	slices := 0
	for w.m.Tick(w.now) {
		slices++
	}
	require.Greater(t, slices, 2)
	require.Zero(t, w.m.dirty)
	require.Equal(t, int64(3*evaluateBudget), w.m.total)
	w.check()
}

func must(_ []Command, err error) error { return err }

func TestVolumeFailure(t *testing.T) {
	w := newWorld(t, testConfig)
	for range 4 {
		w.addNode("", 2)
	}
	w.m.SetStartup(w.now, false)
	var blocks []dfs.Block
	for range 200 {
		blocks = append(blocks, w.create(3))
	}
	n := w.nodes[0]
	lost := n.reg.Storages[1].UUID
	require.NotEmpty(t, n.disks[lost], "both volumes are used")
	n.reg.Storages[1].Failed = true
	delete(n.disks, lost)
	w.pass(10 * time.Minute)
	for _, b := range blocks {
		require.Len(t, w.holders(b), 3)
		require.Len(t, w.locs(b.ID), 3)
	}
	w.check()
	// Left out of the heartbeat altogether.
	n.reg.Storages = n.reg.Storages[:1]
	w.settle()
	require.Equal(t, 7, w.m.Stats(w.now).Nodes.Storages)
}

func TestPauseOfTheNameNodeKillsNobody(t *testing.T) {
	cfg := testConfig
	cfg.Liveness.MaxPause = 0
	w := newWorld(t, cfg)
	w.addNode("", 1)
	w.tick()
	w.now = w.now.Add(time.Hour)
	w.tick()
	require.Equal(t, 1, w.m.Stats(w.now).Nodes.Live)
	w.nodes[0].up = false
	for range 300 {
		w.now = w.now.Add(5 * time.Second)
		w.tick()
	}
	require.Equal(t, 0, w.m.Stats(w.now).Nodes.Live)
}

func TestReplacedNode(t *testing.T) {
	w := cluster(t, 2)
	b := w.create(2)
	n := w.nodes[0]
	n.reg.Node.UUID = "another"
	n.disks["new"] = map[dfs.BlockID]Replica{}
	n.reg.Storages = []dfs.StorageReport{{UUID: "new", Type: dfs.StorageDisk, Remaining: 1 << 40}}
	w.start(n)
	require.Nil(t, w.m.Node("uuid-0"))
	require.Len(t, w.m.Nodes(dfs.ReportAll), 2)
	require.Len(t, w.locs(b.ID), 1)
	w.settle()
	require.Len(t, w.locs(b.ID), 2)
	w.check()
	_, err := w.m.Heartbeat(w.now, &Heartbeat{UUID: "uuid-0"})
	require.True(t, dfs.Is(err, dfs.UnregisteredDatanode))
	require.Error(t, w.m.Incremental(w.now, "uuid-0", nil))
}

func TestRestartedManagerLearnsEverything(t *testing.T) {
	w := cluster(t, 4)
	var blocks []dfs.Block
	for range 100 {
		blocks = append(blocks, w.create(3))
	}
	open, targets := w.allocate(3)
	for _, tg := range targets {
		n := w.node(tg.Node.UUID)
		n.disks[tg.Storage][open.ID] = Replica{Block: dfs.Block{ID: open.ID, GenStamp: open.GenStamp, Length: 5}, State: dfs.ReplicaRBW}
	}
	lost := w.create(1)
	holder := w.holders(lost)[0]
	delete(holder.disks[holder.reg.Storages[0].UUID], lost.ID)

	m, err := New(testConfig, w)
	require.NoError(t, err)
	w.m = m
	for i, n := range w.nodes {
		safe, nodes := m.Safe()
		require.Equal(t, i, nodes)
		require.LessOrEqual(t, safe, int64(100))
		w.start(n)
	}
	safe, _ := m.Safe()
	require.Equal(t, int64(100), safe)
	require.Len(t, m.Expected(open.ID), 3, "open blocks are where they are reported")
	require.Zero(t, m.Stats(w.now).Blocks.Missing)
	m.SetStartup(w.now, false)
	w.tick()
	require.Equal(t, []dfs.BlockID{lost.ID}, m.Missing(0, 10))
	require.Empty(t, m.Missing(lost.ID, 10))
	st := m.Stats(w.now)
	require.Equal(t, []int64{1, 1}, []int64{st.Blocks.Missing, st.Blocks.MissingReplOne})
	require.Zero(t, st.Blocks.LowRedundancy)
	for _, b := range blocks {
		require.Len(t, w.locs(b.ID), 3)
	}
	w.check()
}

func TestSetReplication(t *testing.T) {
	w := cluster(t, 6, "/a", "/b")
	b := w.create(3)
	w.setReplication(b.ID, 5)
	w.settle()
	require.Len(t, w.holders(b), 5)
	w.setReplication(b.ID, 2)
	w.settle()
	left := w.holders(b)
	require.Len(t, left, 2)
	require.NotEqual(t, left[0].reg.Location, left[1].reg.Location, "both racks keep one")
	w.check()
	// A choice that has not gone out is taken back.
	w.mute = true
	w.setReplication(b.ID, 1)
	require.Equal(t, int64(1), w.m.Stats(w.now).Blocks.Excess)
	w.setReplication(b.ID, 2)
	require.Zero(t, w.m.Stats(w.now).Blocks.Excess)
	w.mute = false
	w.settle()
	require.Len(t, w.holders(b), 2)
	w.check()
}

func TestSecondRackArrives(t *testing.T) {
	w := cluster(t, 3, "/a")
	b := w.create(3)
	w.addNode("/b", 1)
	w.addNode("/b", 1)
	w.pass(2 * time.Minute)
	racks := map[string]bool{}
	for _, n := range w.holders(b) {
		racks[n.reg.Location] = true
	}
	require.Len(t, racks, 2)
	require.Len(t, w.holders(b), 3)
	w.check()
}

func TestDamagedReplicas(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(3)
	locs := w.locs(b.ID)
	w.m.BadReplica(w.now, b, locs[0], "")
	require.Len(t, w.locs(b.ID), 2)
	w.check()
	// There is no fourth node: the damaged replica makes room for a good one.
	w.settle()
	require.Len(t, w.locs(b.ID), 3)
	require.Zero(t, w.m.Stats(w.now).Blocks.Corrupt)
	// All damaged: kept, located and counted.
	for _, n := range w.locs(b.ID) {
		w.m.BadReplica(w.now, b, n, "")
	}
	require.Len(t, w.locs(b.ID), 4)
	require.Contains(t, w.locs(b.ID), "corrupt")
	w.settle()
	require.Len(t, w.holders(b), 3)
	require.Equal(t, int64(1), w.m.Stats(w.now).Blocks.Missing)
	w.m.BadReplica(w.now, b, "nobody", "")
	w.m.BadReplica(w.now, dfs.Block{ID: 1}, "uuid-0", "")
	w.check()
}

func TestDecommission(t *testing.T) {
	w := cluster(t, 4)
	var blocks []dfs.Block
	for range 100 {
		blocks = append(blocks, w.create(2))
	}
	out := w.nodes[1].reg.Node.UUID
	want := func(state dfs.AdminState) func(dfs.DatanodeID) dfs.AdminState {
		return func(id dfs.DatanodeID) dfs.AdminState {
			if id.UUID == out {
				return state
			}
			return dfs.AdminNormal
		}
	}
	w.m.SetAdmin(w.now, want(dfs.AdminDecommissioning))
	require.Len(t, w.m.Nodes(dfs.ReportDecommissioning), 1)
	w.round()
	require.Equal(t, dfs.AdminDecommissioning, w.m.Node(out).Admin, "its blocks are not elsewhere yet")
	w.pass(10 * time.Minute)
	require.Equal(t, dfs.AdminDecommissioned, w.m.Node(out).Admin)
	for _, b := range blocks {
		others := 0
		for _, n := range w.holders(b) {
			if n.reg.Node.UUID != out {
				others++
			}
		}
		require.GreaterOrEqual(t, others, 2)
		locs, _ := w.m.Locate(nil, b.ID, netip.Addr{})
		for i, l := range locs {
			require.True(t, l.Node.UUID != out || i == len(locs)-1, "it comes last")
		}
	}
	for range 20 {
		for _, tg := range w.m.Choose(&PlaceRequest{Count: 4, Size: 1, Policy: dfs.PolicyHot}) {
			require.NotEqual(t, out, tg.Node.UUID)
		}
	}
	w.m.SetAdmin(w.now, want(dfs.AdminNormal))
	w.pass(10 * time.Minute)
	for _, b := range blocks {
		require.Len(t, w.holders(b), 2)
	}
	w.check()
}

func TestMaintenance(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(2)
	solo := w.create(1)
	n := w.holders(solo)[0]
	state := dfs.AdminEnteringMaintenance
	admin := func(id dfs.DatanodeID) dfs.AdminState {
		if id.UUID == n.reg.Node.UUID {
			return state
		}
		return dfs.AdminNormal
	}
	w.m.SetAdmin(w.now, admin)
	w.pass(3 * time.Minute)
	require.Equal(t, dfs.AdminInMaintenance, w.m.Node(n.reg.Node.UUID).Admin)
	require.Len(t, w.holders(solo), 2, "one replica must stay elsewhere")
	before := len(w.holders(b))
	w.stop(n)
	w.settle()
	require.Len(t, w.holders(b), before, "it will be back: nothing is copied")
	state = dfs.AdminNormal
	w.m.SetAdmin(w.now, admin)
	w.settle()
	require.Equal(t, 1, w.m.Stats(w.now).Nodes.Dead)
	w.check()
}

func TestRecoveryOrders(t *testing.T) {
	w := cluster(t, 3)
	w.mute = true
	b, targets := w.allocate(3)
	require.True(t, w.m.StartRecovery(w.now, Recovery{Block: b, ID: 5000, NewLength: -1}))
	find := func() (string, Command) {
		for _, n := range w.nodes {
			for _, c := range w.beat(n) {
				require.Equal(t, Recover, c.Kind)
				return n.reg.Node.UUID, c
			}
		}
		return "", Command{}
	}
	first, c := find()
	require.Len(t, c.Targets, 3)
	require.Equal(t, dfs.GenStamp(5000), c.RecoveryID)
	require.Equal(t, int64(1), w.m.Stats(w.now).Blocks.PendingRecovery)
	require.True(t, w.m.StartRecovery(w.now, Recovery{Block: b, ID: 5001, NewLength: -1}))
	require.True(t, w.m.StartRecovery(w.now, Recovery{Block: b, ID: 5002, NewLength: -1}))
	second, c := find()
	require.NotEqual(t, first, second, "another one each time")
	require.Equal(t, dfs.GenStamp(5002), c.RecoveryID)
	third, _ := find()
	require.Empty(t, third, "an order that was not fetched is replaced")
	for _, tg := range targets {
		w.node(tg.Node.UUID).up = false
	}
	w.pass(w.m.cfg.deadAfter() + time.Second)
	require.False(t, w.m.StartRecovery(w.now, Recovery{Block: b, ID: 5003}))
	require.False(t, w.m.StartRecovery(w.now, Recovery{Block: dfs.Block{ID: 7}}))
}

func TestRepairLimitsAndTimeouts(t *testing.T) {
	w := cluster(t, 3)
	for range 50 {
		b, targets := w.allocate(1)
		w.receive(targets[0], b)
		w.complete(b)
	}
	w.mute = true
	for id := range w.facts {
		w.setReplication(id, 2)
	}
	w.pass(time.Minute)
	require.Equal(t, 3*4, w.m.Stats(w.now).Nodes.PendingTransfers, "four streams a node for blocks in most danger")
	w.check()
	w.mute = false
	w.pass(6 * time.Minute)
	w.settle()
	st := w.m.Stats(w.now)
	require.Zero(t, st.Blocks.LowRedundancy)
	require.Zero(t, st.Blocks.PendingRepair)
	for id := range w.facts {
		require.Len(t, w.locs(id), 2)
	}
	w.check()
}

func TestPausedManagerOrdersNothing(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(3)
	gone := w.create(3)
	w.setReplication(b.ID, 4)
	w.m.SetPaused(true)
	w.remove(gone)
	w.settle()
	require.Len(t, w.holders(b), 3)
	require.Len(t, w.holders(gone), 3)
	w.m.SetPaused(false)
	w.settle()
	require.Len(t, w.holders(b), 4)
	require.Empty(t, w.holders(gone))
	w.check()
}

func TestBalancingMove(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(1)
	from := w.holders(b)[0]
	var to *fakeNode
	for _, n := range w.nodes {
		if n != from {
			to = n
		}
	}
	v := to.reg.Storages[0].UUID
	to.disks[v][b.ID] = Replica{Block: b}
	require.NoError(t, w.m.Incremental(w.now, to.reg.Node.UUID, []Event{{Kind: Received, Storage: v, Block: b, DeleteHint: from.reg.Node.UUID}}))
	w.settle()
	require.Equal(t, []*fakeNode{to}, w.holders(b))
	w.check()
}

func TestRemovalLimit(t *testing.T) {
	cfg := testConfig
	cfg.Repair.InvalidateLimit = 10
	w := newWorld(t, cfg)
	w.addNode("", 1)
	w.m.SetStartup(w.now, false)
	for range 25 {
		w.remove(w.create(1))
	}
	w.mute = true
	for _, want := range []int{10, 10, 5} {
		require.Len(t, one(t, w.beat(w.nodes[0]), Invalidate).Blocks, want)
	}
	require.Empty(t, w.beat(w.nodes[0]))
}

// What readers were given stays as it was: they look at it without a lock.
func TestDescriptionsAreNeverChanged(t *testing.T) {
	w := newWorld(t, testConfig)
	n := w.addNode("", 1)
	w.m.SetStartup(w.now, false)
	w.settle()
	b := w.create(1)
	locs, _ := w.m.Locate(nil, b.ID, netip.Addr{})
	given, before := locs[0].Node, *locs[0].Node
	w.now = w.now.Add(time.Second)
	_, err := w.m.Heartbeat(w.now, &Heartbeat{UUID: n.reg.Node.UUID, Storages: n.reg.Storages, Xceivers: 7, CacheCapacity: 8, CacheUsed: 9})
	require.NoError(t, err)
	for volume := range n.disks {
		w.fullReport(n, volume)
	}
	require.Equal(t, before, *given)
	locs, _ = w.m.Locate(nil, b.ID, netip.Addr{})
	require.EqualValues(t, 9, locs[0].Node.CacheUsed)
	require.Greater(t, locs[0].Node.LastReport, before.LastReport)
}
