package blockmanager

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func raid5(k int) uint8 { p, _ := dfs.ParityPolicy(k); return p.ID }

// grouped makes a world of nodes with one full group of k blocks.
func grouped(t *testing.T, nodes, k int, racks ...string) (*raidWorld, dfs.ParityGroup) {
	w := newRaidWorld(t, nodes, racks...)
	for i := range k {
		require.NotZero(t, w.write(raid5(k), 3, 20+i, nil))
	}
	w.calm(30 * time.Second)
	w.settled()
	return w, w.group()
}

// group gives the only group.
func (w *raidWorld) group() dfs.ParityGroup {
	require.Len(w.t, w.groups, 1)
	for _, g := range w.groups {
		return g
	}
	return dfs.ParityGroup{}
}

func (w *raidWorld) locate(id dfs.BlockID) (list []string) {
	locs, corrupt := w.m.Locate(nil, id, netip.Addr{})
	require.False(w.t, corrupt)
	for _, l := range locs {
		list = append(list, l.Node.UUID)
	}
	return list
}

func (w *raidWorld) at(id dfs.BlockID) *fakeNode {
	at := w.places(id)
	require.Len(w.t, at, 1)
	return w.nodes[at[0]]
}

func TestGroupsForm(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 40 {
		require.NotZero(t, w.write(raid5(4), 3, 100+i, w.nodes[i%5]))
		w.calm(3 * time.Second)
	}
	w.calm(2 * time.Minute)
	w.settled()
	require.Len(t, w.groups, 10, "all are full")
	for _, n := range w.m.live {
		require.InDelta(t, 2, n.host.parities, 1, "parities are spread")
	}
	require.Zero(t, w.m.tally.Candidates)
}

func TestFoldReadsNothingOverTheNetwork(t *testing.T) {
	w := newRaidWorld(t, 6)
	for i := range 9 {
		w.write(raid5(4), 3, 10+i, nil)
		w.calm(20 * time.Second) // the last one extends no full group, others do
	}
	w.calm(time.Minute)
	w.settled()
	for _, line := range w.trace {
		require.NotContains(t, line, "reads")
	}
}

func TestIdleBlocksMakeASmallGroupThatGrows(t *testing.T) {
	w := newRaidWorld(t, 5)
	a, b := w.write(raid5(4), 3, 9, nil), w.write(raid5(4), 3, 11, nil)
	w.calm(6 * time.Second)
	require.Empty(t, w.groups, "more may come")
	require.Equal(t, int64(2), w.m.Stats(w.now).Parity.Candidates)
	w.calm(time.Minute)
	w.settled()
	first := w.group()
	require.Len(t, first.Members, 2)
	require.Equal(t, int64(11), first.Parity.Length, "as long as the longest")
	w.write(raid5(4), 3, 5, nil)
	w.write(raid5(4), 3, 40, nil)
	w.calm(time.Minute)
	w.settled()
	g := w.group()
	require.NotEqual(t, first.Parity.ID, g.Parity.ID)
	require.Len(t, g.Members, 4)
	require.Equal(t, []dfs.BlockID{a, b}, []dfs.BlockID{g.Members[0].Block.ID, g.Members[1].Block.ID})
}

func TestRacksOfGroups(t *testing.T) {
	w, g := grouped(t, 6, 2, "/a", "/b", "/c")
	racks := map[string]bool{}
	for _, id := range []dfs.BlockID{g.Parity.ID, g.Members[0].Block.ID, g.Members[1].Block.ID} {
		racks[w.at(id).reg.Location] = true
	}
	require.Len(t, racks, 3)
}

func TestGroupSpreadsWhenRacksArrive(t *testing.T) {
	w, _ := grouped(t, 3, 2, "/a")
	w.addNode("/b", 1)
	w.addNode("/c", 1)
	w.calm(2 * time.Minute)
	w.settled() // one rack each
}

func TestTooFewNodesStayReplicatedAndSaySo(t *testing.T) {
	w := newRaidWorld(t, 2)
	w.write(raid5(2), 3, 10, nil)
	w.write(raid5(2), 3, 10, nil)
	w.calm(2 * time.Minute)
	w.settled()
	require.Empty(t, w.groups)
	st := w.m.Stats(w.now).Parity
	require.Equal(t, int64(2), st.Waiting)
	require.Contains(t, st.Why, "needs 3 datanodes")
	w.addNode("", 1)
	w.write(raid5(2), 3, 10, nil)
	w.calm(2 * time.Minute)
	w.settled()
	require.NotEmpty(t, w.groups)
}

func TestLocateTurnsToTheParityLast(t *testing.T) {
	w, g := grouped(t, 6, 4)
	p, id := w.at(g.Parity.ID).reg.Node.UUID, g.Members[2].Block.ID
	d := w.at(id)
	require.Equal(t, []string{d.reg.Node.UUID, p}, w.locate(id))
	require.Equal(t, []string{p}, w.locate(g.Parity.ID), "not for the parity itself")
	w.kill(d)
	w.m.mu.Lock()
	w.m.die(w.now, w.m.nodes[d.reg.Node.UUID])
	w.m.mu.Unlock()
	require.Equal(t, []string{p}, w.locate(id))
	list, sum, ok := w.m.Sources(id)
	require.True(t, ok)
	require.Equal(t, g.Members[2], sum)
	require.Len(t, list, 4)
	require.Equal(t, g.Parity, list[0].Block)
	// A second one gone: nothing to turn to.
	other := w.at(g.Members[0].Block.ID)
	w.m.mu.Lock()
	w.m.die(w.now, w.m.nodes[other.reg.Node.UUID])
	w.m.mu.Unlock()
	require.Empty(t, w.locate(id))
	_, _, ok = w.m.Sources(id)
	require.False(t, ok)
	w.tick()
	st := w.m.Stats(w.now)
	require.Equal(t, int64(2), st.Blocks.Missing)
	require.Equal(t, int64(2), st.Parity.Lost)
	// One comes back: the other is made again.
	w.start(other)
	w.tick()
	require.Zero(t, w.m.Stats(w.now).Blocks.Missing)
	require.Equal(t, int64(1), w.m.Stats(w.now).Parity.Degraded)
	w.calm(time.Minute)
	w.settled()
	require.Equal(t, int64(1), w.m.Stats(w.now).Parity.Rebuilds)
}

func TestEachBlockOfAGroupIsMadeAgain(t *testing.T) {
	for i := range 5 {
		w, g := grouped(t, 6, 4)
		id := g.Parity.ID
		if i > 0 {
			id = g.Members[i-1].Block.ID
		}
		w.kill(w.at(id))
		w.calm(2 * time.Minute)
		w.settled()
		require.Equal(t, g.Parity.ID, w.group().Parity.ID)
		require.Equal(t, int64(1), w.m.tally.Rebuilds)
		for _, n := range w.nodes {
			if !n.up {
				w.revive(n, false)
			}
		}
		w.calm(time.Minute)
		w.settled()
	}
}

// With no node to spare a lost member gets two replicas and leaves; with its parity lost the
// group ends. Smaller groups are made of what is left.
func TestNoNodeToSpare(t *testing.T) {
	for _, lost := range []string{"member", "parity"} {
		w, g := grouped(t, 5, 4)
		id := g.Members[1].Block.ID
		if lost == "parity" {
			id = g.Parity.ID
		}
		n := w.at(id)
		w.kill(n)
		w.calm(5 * time.Minute)
		require.False(t, w.hurt, "it is made good")
		w.settled()
		for _, g := range w.groups {
			require.LessOrEqual(t, len(g.Members), 3)
		}
		w.revive(n, false)
		w.calm(5 * time.Minute)
		w.settled()
	}
}

func TestDamagedReplicaOfAGroup(t *testing.T) {
	for _, nodes := range []int{6, 5} { // elsewhere, or beside the damaged one
		w, g := grouped(t, nodes, 4)
		for _, b := range []dfs.Block{g.Members[0].Block, g.Parity} {
			n := w.at(b.ID)
			w.damaged[key(n, b.ID)], w.hurt = true, true
			w.m.BadReplica(w.now, b, n.reg.Node.UUID, "")
			w.calm(time.Minute)
			w.settled()
			require.Zero(t, w.m.Stats(w.now).Blocks.Corrupt)
			require.Equal(t, nodes == 5, w.at(b.ID) == n)
		}
		require.Equal(t, g.Parity.ID, w.group().Parity.ID)
	}
}

func TestDeletedMemberIsTakenOut(t *testing.T) {
	w, g := grouped(t, 6, 4)
	id := g.Members[0].Block.ID
	w.removeFile(id)
	w.calm(6 * time.Second)
	require.NotEmpty(t, w.places(id), "its bytes are in the parity")
	w.calm(time.Minute)
	w.settled()
	require.Empty(t, w.places(id))
	require.Len(t, w.group().Members, 3)
	// All but one: the group ends.
	w.removeFile(g.Members[1].Block.ID)
	w.removeFile(g.Members[2].Block.ID)
	w.calm(2 * time.Minute)
	w.settled()
	require.Empty(t, w.groups)
	w.removeFile(g.Members[3].Block.ID)
	w.calm(time.Minute)
	for _, n := range w.nodes {
		require.Empty(t, n.disks[n.reg.Storages[0].UUID])
	}
	require.Equal(t, ParityStats{Folds: 2, Dissolved: 1}, w.m.Stats(w.now).Parity)
}

// Two blocks that have no node in common are brought together.
func TestStraysAreGathered(t *testing.T) {
	w := newRaidWorld(t, 4)
	for _, pair := range [][2]int{{0, 1}, {2, 3}} {
		w.last++
		w.stamp++
		b := dfs.Block{ID: w.last, GenStamp: w.stamp, Length: 12}
		w.facts[b.ID] = Facts{GenStamp: b.GenStamp, Replication: 2, Policy: raid5(4), State: Complete, Length: 12}
		w.truth[b.ID], w.acked[b.ID] = []byte("twelve bytes"), true
		for _, i := range pair {
			n := w.nodes[i]
			w.put(n, n.reg.Storages[0].UUID, b)
			w.tell(n, n.reg.Storages[0].UUID, Received, b)
		}
	}
	w.calm(3 * time.Minute)
	w.settled()
	require.Len(t, w.group().Members, 2)
}

func TestWholeGroupIsDeleted(t *testing.T) {
	w, g := grouped(t, 5, 4)
	for _, p := range g.Members {
		w.removeFile(p.Block.ID)
	}
	w.calm(time.Minute)
	w.settled()
	require.Zero(t, w.m.table.used)
}

func TestLeave(t *testing.T) {
	w, g := grouped(t, 6, 4)
	id := g.Members[3].Block.ID
	require.False(t, w.m.Leave(w.now, id))
	w.calm(15 * time.Second)
	require.Zero(t, w.facts[id].Group)
	require.Len(t, w.places(id), 2)
	require.True(t, w.m.Leave(w.now, id))
	w.calm(9 * time.Second)
	require.Len(t, w.group().Members, 3, "it stays out for a while")
	w.calm(5 * time.Minute)
	w.settled()
	require.Len(t, w.group().Members, 4, "then it is folded again")
	require.True(t, w.m.Leave(w.now, 12345))
}

func TestPolicyBackToReplicationAndForth(t *testing.T) {
	w, g := grouped(t, 6, 4)
	for _, p := range g.Members {
		w.setPolicy(p.Block.ID, dfs.PolicyHot)
	}
	w.calm(3 * time.Minute)
	w.settled() // three replicas each
	require.Empty(t, w.groups)
	for _, p := range g.Members {
		w.setPolicy(p.Block.ID, raid5(4))
	}
	w.calm(3 * time.Minute)
	w.settled()
	require.NotEmpty(t, w.groups, "existing blocks of three replicas are folded")
}

func TestDrainedNodeHandsItsPartOn(t *testing.T) {
	for _, nodes := range []int{6, 5} {
		w, g := grouped(t, nodes, 4)
		for _, id := range []dfs.BlockID{g.Members[0].Block.ID, g.Parity.ID} {
			if _, ok := w.facts[id]; !ok {
				continue
			}
			n := w.at(id)
			admin := func(state dfs.AdminState) {
				w.m.SetAdmin(w.now, func(d dfs.DatanodeID) dfs.AdminState {
					if d.UUID == n.reg.Node.UUID {
						return state
					}
					return dfs.AdminNormal
				})
			}
			admin(dfs.AdminDecommissioning)
			w.calm(5 * time.Minute)
			require.Equal(t, dfs.AdminDecommissioned, w.m.Node(n.reg.Node.UUID).Admin)
			n.up = false
			w.judge()
			w.start(n)
			admin(dfs.AdminNormal)
			w.calm(5 * time.Minute)
			w.settled()
		}
	}
}

func TestSafeModeCountsWhatCanBeMadeAgain(t *testing.T) {
	w, g := grouped(t, 5, 4)
	dead := w.at(g.Members[1].Block.ID)
	dead.up = false
	m, err := New(w.cfg, w)
	require.NoError(t, err)
	w.m = m
	for _, n := range w.nodes {
		if n.up && n != w.at(g.Parity.ID) {
			w.start(n)
		}
	}
	safe, _ := m.Safe()
	require.Equal(t, int64(3), safe)
	w.start(w.at(g.Parity.ID))
	safe, _ = m.Safe()
	require.Equal(t, int64(4), safe, "parities do not count")
	require.Equal(t, []string{w.at(g.Parity.ID).reg.Node.UUID}, w.locate(g.Members[1].Block.ID))
}

func TestFoldThatFails(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	w.tick()
	plans := w.m.ParityPlans(w.now, 8)
	require.Len(t, plans, 1)
	require.False(t, w.m.Fold(w.now, ParityPlan{}, dfs.Block{ID: 7}), "nobody has planned that")
	require.Len(t, w.m.ParityPlans(w.now, 8), 1, "the first one is void, and planned anew")
	w.last++
	w.stamp++
	parity := dfs.Block{ID: w.last, GenStamp: w.stamp}
	require.True(t, w.m.Fold(w.now, plans[0], parity))
	host := w.world.node(plans[0].Host)
	_, ok := w.m.Folded(w.now, "uuid-x", &FoldResult{Block: parity})
	require.False(t, ok, "of somebody else")
	require.Empty(t, w.m.ParityPlans(w.now, 8))
	// A restart of its node gives it up, and another try follows.
	w.start(host)
	require.Zero(t, w.m.Stats(w.now).Parity.Forming)
	require.Equal(t, int64(1), w.m.Stats(w.now).Parity.Failed)
	w.calm(time.Minute)
	w.settled()
	require.Len(t, w.group().Members, 4)
}

func TestRefusedRecordRemovesTheParity(t *testing.T) {
	w := newRaidWorld(t, 5)
	refused := 0
	w.refuse = func() bool { refused++; return refused < 3 }
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	w.calm(2 * time.Minute)
	w.settled() // no rubbish
	require.Equal(t, 3, refused)
	require.Len(t, w.group().Members, 4)
}

func TestSilentFoldExpires(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	w.tick()
	w.plan()
	require.Equal(t, int64(1), w.m.Stats(w.now).Parity.Forming)
	for _, n := range w.nodes {
		w.beat(n) // the order is lost
	}
	w.calm(3 * time.Minute)
	w.settled()
	require.Len(t, w.group().Members, 4)
}

// What is logged but not told, as after a restart of the name node, comes out by reports.
func TestRestartBetweenLogAndWord(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	for len(w.groups) == 0 {
		w.now = w.now.Add(time.Second)
		w.tick()
		w.plan()
		for _, n := range w.nodes {
			w.beatNode(n)
			w.obeyOne(n)
		}
		if len(w.steps) > 0 {
			w.run(0)
		}
	}
	w.restart()
	w.judge()
	w.calm(time.Minute)
	w.settled()
}

func TestUnknownParityOfARestartIsRemoved(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	w.tick()
	w.plan()
	for _, n := range w.nodes {
		w.beatNode(n)
		w.obeyOne(n)
	}
	require.Len(t, w.steps, 1, "the answer is under way")
	w.restart()
	w.calm(time.Minute)
	w.settled()
	require.Len(t, w.group().Members, 4)
}

func TestScrubOrder(t *testing.T) {
	w, g := grouped(t, 5, 4)
	require.True(t, w.m.Scrub(w.now, g.Parity.ID))
	c := one(t, w.beat(w.at(g.Parity.ID)), ScrubGroup)
	require.Equal(t, g.Parity, c.Block)
	require.Equal(t, Sum{Checksum: dfs.ChecksumCRC32C, BytesPer: 512, CRC: g.CRC, HasCRC: true}, c.Sum)
	require.Len(t, c.Sources, 4)
	require.True(t, slices.IsSortedFunc(c.Sources, func(a, b FoldSource) int { return int(a.Block.ID) - int(b.Block.ID) }))
	require.False(t, w.m.Scrub(w.now, 99))
}

func TestFoldsAreThrottled(t *testing.T) {
	w := newRaidWorld(t, 4)
	for range 60 {
		w.write(raid5(2), 3, 10, nil)
	}
	w.tick()
	w.plan()
	w.plan()
	w.plan()
	for _, n := range w.m.live {
		require.LessOrEqual(t, n.host.folds, 2)
	}
	w.calm(3 * time.Minute)
	w.settled()
	require.Len(t, w.groups, 30)
}

func TestChooseWithoutAPair(t *testing.T) {
	w := newRaidWorld(t, 1)
	require.Len(t, w.m.Choose(&PlaceRequest{Count: 2, Size: 1, Policy: raid5(4)}), 1)
	require.Zero(t, w.m.tally.Candidates)
	// A choice that no block comes of is forgotten.
	w = newRaidWorld(t, 4)
	for range 5 {
		require.Len(t, w.m.Choose(&PlaceRequest{Count: 2, Size: 1, Policy: raid5(4)}), 2)
	}
	require.Len(t, w.m.promises, 5)
	w.calm(promiseTime + time.Second)
	w.m.Choose(&PlaceRequest{Count: 2, Size: 1, Policy: raid5(4)})
	require.Len(t, w.m.promises, 1)
}

// A parity that is found damaged after it was logged and before that was told does not
// count: the replicas that it would replace stay.
func TestParitySpoiledBeforeItCounts(t *testing.T) {
	w := newRaidWorld(t, 6)
	for i := range 4 {
		w.write(raid5(4), 3, 20+i, nil)
	}
	for len(w.groups) == 0 {
		w.now = w.now.Add(time.Second)
		w.tick()
		w.plan()
		for _, n := range w.nodes {
			w.beatNode(n)
			w.obeyOne(n)
		}
		if len(w.steps) > 0 {
			w.run(0)
		}
	}
	p := w.group().Parity
	n := w.at(p.ID)
	w.damaged[key(n, p.ID)], w.hurt = true, true
	w.m.BadReplica(w.now, p, n.reg.Node.UUID, "")
	w.run(0) // the word
	require.Zero(t, w.m.Stats(w.now).Blocks.Excess)
	w.calm(time.Minute)
	w.settled()
}
