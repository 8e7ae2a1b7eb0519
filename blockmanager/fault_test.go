package blockmanager

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestNoExcessChosenBeforeAllHaveReported(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(3)
	n := w.holders(b)[0]
	// It registers again and has not reported yet: perhaps it is removing its replica.
	w.m.Register(w.now, &n.reg)
	w.setReplication(b.ID, 2)
	require.Zero(t, w.m.Stats(w.now).Blocks.Excess)
	w.fullReport(n, n.reg.Storages[0].UUID)
	w.settle()
	require.Len(t, w.holders(b), 2)
	w.check()
}

func TestOrderedRemovalIsRepeated(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(3)
	w.mute = true
	w.setReplication(b.ID, 2)
	var n *fakeNode
	for _, o := range w.nodes {
		if cmds := w.beat(o); len(cmds) > 0 {
			require.Nil(t, n)
			require.Len(t, one(t, cmds, Invalidate).Blocks, 1)
			n = o
		}
	}
	require.Empty(t, w.beat(n))
	w.fullReport(n, n.reg.Storages[0].UUID) // the order was lost
	require.Len(t, one(t, w.beat(n), Invalidate).Blocks, 1)
	w.check()
}

func TestCopyIsGivenToOthersWhenAPartyDies(t *testing.T) {
	for _, party := range []string{"source", "target"} {
		w := cluster(t, 4)
		b := w.create(2)
		w.mute = true
		w.setReplication(b.ID, 3)
		w.round()
		p := w.m.repairs[b.ID]
		require.NotNil(t, p)
		n := p.source
		if party == "target" {
			n = p.targets[0].node
		}
		w.node(n.id.UUID).up = false
		w.m.die(w.now, n)
		w.tick()
		w.check()
		w.round()
		again := w.m.repairs[b.ID]
		require.NotNil(t, again)
		require.NotSame(t, p, again)
		require.NotEqual(t, n, again.source)
		for _, tg := range again.targets {
			require.NotEqual(t, n, tg.node)
		}
	}
}

func TestFullestVolumeLosesTheExcess(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(4)
	w.nodes[2].reg.Storages[0].Remaining = 1 << 20
	w.round()
	w.setReplication(b.ID, 3)
	w.settle()
	require.NotContains(t, w.locs(b.ID), "uuid-2")
	require.Len(t, w.holders(b), 3)
}

func TestRackKeepsItsLastReplica(t *testing.T) {
	w := newWorld(t, testConfig)
	for _, rack := range []string{"/a", "/a", "/a", "/b"} {
		w.addNode(rack, 1)
	}
	w.m.SetStartup(w.now, false)
	w.nodes[3].reg.Storages[0].Remaining = 1 << 30 // the fullest, but alone on its rack
	w.round()
	b := w.create(4)
	w.setReplication(b.ID, 2)
	w.settle()
	require.Contains(t, w.locs(b.ID), "uuid-3")
	require.Len(t, w.locs(b.ID), 2)
}

func TestTwoReplicasOnOneNodeCountOnce(t *testing.T) {
	w := newWorld(t, testConfig)
	n := w.addNode("", 2)
	w.addNode("", 1)
	w.m.SetStartup(w.now, false)
	b, _ := w.allocate(2)
	for _, s := range n.reg.Storages {
		n.disks[s.UUID][b.ID] = Replica{Block: b}
		w.event(n, s.UUID, Received, b)
	}
	w.complete(b)
	w.pass(w.m.cfg.Repair.PendingTimeout)
	w.settle()
	require.Equal(t, []string{"uuid-0", "uuid-0", "uuid-1"}, w.locs(b.ID))
	// An order to remove names no volume, so that the good one must not go with the bad.
	w.m.BadReplica(w.now, b, "uuid-0", n.reg.Storages[0].UUID)
	w.settle()
	require.Equal(t, []string{"uuid-0", "uuid-1"}, w.locs(b.ID))
	w.check()
}

func TestAnnouncementsThatComeTooLate(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(3)
	old := b
	w.m.Allocated(w.now, b, nil) // of a block that is complete by now
	w.m.Reopened(w.now, b)
	w.m.Pipeline(w.now, b, nil, nil)
	require.Len(t, w.locs(b.ID), 3)
	f := w.facts[b.ID]
	f.State = Building
	w.facts[b.ID] = f
	w.m.Reopened(w.now, b)
	w.m.Completed(w.now, old) // of its life before
	require.Len(t, w.m.Expected(b.ID), 3)
	w.remove(b)
	w.m.Completed(w.now, old)
	w.m.Removed(w.now, []dfs.Block{old})
	require.Zero(t, w.m.table.used)
	// Completed, but nobody said so: the next report tells.
	b, targets := w.allocate(2)
	w.receive(targets[0], b)
	f = w.facts[b.ID]
	f.State, f.Length = Complete, b.Length
	w.facts[b.ID] = f
	w.receive(targets[1], b)
	require.Len(t, w.locs(b.ID), 2)
	require.Zero(t, w.m.Stats(w.now).Blocks.Building)
	w.check()
}

func TestManyReplicas(t *testing.T) {
	w := cluster(t, 20)
	b := w.create(20)
	require.Len(t, w.locs(b.ID), 20)
	w.setReplication(b.ID, 2)
	w.settle()
	require.Len(t, w.holders(b), 2)
	w.setReplication(b.ID, 11)
	w.settle()
	require.Len(t, w.locs(b.ID), 11)
	w.check()
	w.remove(b)
	require.Zero(t, w.m.table.used)
	require.NotZero(t, w.m.table.free)
}

func TestConfigFaults(t *testing.T) {
	bad := Config{MinReplication: -1, Place: Placing{LoadFactor: -1, StaleRatio: 2}, Repair: Repairing{MaxStreams: 5, MaxStreamsHard: 4}}
	err := bad.Validate()
	for _, want := range []string{"replication.min", "considerLoad.factor", "stale.datanode.ratio", "hard-limit"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(bad, uniform{})
	require.Error(t, err)
	_, err = New(Config{}, nil)
	require.Error(t, err)
}

func TestVolumesOfANodeAreBounded(t *testing.T) {
	w := newWorld(t, testConfig)
	n := w.addNode("", 1)
	reports := make([]dfs.StorageReport, 5*maxVolumes)
	for i := range reports {
		reports[i] = dfs.StorageReport{UUID: fmt.Sprint("v", i), Type: dfs.StorageDisk}
	}
	_, err := w.m.Heartbeat(w.now, &Heartbeat{UUID: n.reg.Node.UUID, Storages: reports})
	require.NoError(t, err)
	require.Equal(t, maxVolumes, w.m.Stats(w.now).Nodes.Storages)
	_, err = w.m.Heartbeat(w.now, &Heartbeat{UUID: n.reg.Node.UUID})
	require.NoError(t, err)
	w.tick()
	require.Zero(t, w.m.Stats(w.now).Nodes.Storages)
	w.check()
}

// copying makes a block of two replicas that is being copied to a third node.
func copying(t *testing.T, nodes, volumes int) (w *world, b dfs.Block, p *repair) {
	w = newWorld(t, testConfig)
	for range nodes {
		w.addNode("", volumes)
	}
	w.m.SetStartup(w.now, false)
	w.settle()
	b = w.create(2)
	w.mute = true
	w.setReplication(b.ID, 3)
	w.round()
	p = w.m.repairs[b.ID]
	require.NotNil(t, p)
	require.Len(t, p.targets, 1)
	return w, b, p
}

func TestCopyIsDoneOnAnyVolumeOfItsTarget(t *testing.T) {
	w, b, p := copying(t, 3, 2)
	target, chosen := w.node(p.targets[0].node.id.UUID), p.targets[0].report.UUID
	for volume, disk := range target.disks {
		if volume != chosen {
			disk[b.ID] = Replica{Block: b} // it had one there all the time
			w.fullReport(target, volume)
		}
	}
	require.Empty(t, w.m.repairs)
	require.Zero(t, w.m.Stats(w.now).Blocks.LowRedundancy)
	for _, s := range w.m.storages {
		require.True(t, s == nil || s.scheduled == [2]int64{}, "nothing is awaited any more")
	}
	w.check()
}

func TestFailedCopyIsTriedAgain(t *testing.T) {
	w, b, p := copying(t, 4, 1)
	volume := p.targets[0].report.UUID
	other := w.nodes[0]
	if p.source.id.UUID == other.reg.Node.UUID {
		other = w.nodes[1]
	}
	w.event(other, volume, NotCopied, b)
	require.Same(t, p, w.m.repairs[b.ID], "only the source's word counts")
	source := w.node(p.source.id.UUID)
	w.event(source, "DS-other", NotCopied, b)
	require.Same(t, p, w.m.repairs[b.ID])
	w.event(source, volume, NotCopied, b)
	require.Empty(t, w.m.repairs)
	w.check()
	w.round()
	require.NotNil(t, w.m.repairs[b.ID])
	w.check()
}

func TestNoCopyToANodeThatHasNotReported(t *testing.T) {
	w := cluster(t, 4)
	b := w.create(3)
	lost, kept := w.holders(b)[0], w.holders(b)[1]
	w.stop(lost)
	w.settle()
	fourth := w.holders(b)
	// All come back at once; one of the holders has registered and not reported yet.
	w.mute = true
	lost.up = true
	w.m.Register(w.now, &lost.reg)
	w.m.Register(w.now, &kept.reg)
	w.setReplication(b.ID, 4)
	w.round()
	require.Empty(t, w.m.repairs)
	w.fullReport(lost, lost.reg.Storages[0].UUID)
	w.fullReport(kept, kept.reg.Storages[0].UUID)
	w.round()
	require.Empty(t, w.m.repairs, "all four have it")
	require.Len(t, w.locs(b.ID), 4)
	require.NotEmpty(t, fourth)
	w.check()
}
