package blockmanager

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// Ids of policies.
const cold, warm, allSSD = 2, 5, 12

// tiers makes a started world whose nodes have a volume of each medium; fit says whether they
// can bring replicas from one to another.
func tiers(t *testing.T, nodes int, fit bool, racks []string, media ...dfs.StorageType) *world {
	w := newWorld(t, testConfig)
	w.starting = func(n *fakeNode) {
		n.reg.Moves = fit
		for i := range n.reg.Storages {
			n.reg.Storages[i].Type = media[i%len(media)]
		}
	}
	for i := range nodes {
		rack := ""
		if len(racks) > 0 {
			rack = racks[i%len(racks)]
		}
		w.addNode(rack, len(media))
	}
	w.m.SetStartup(w.now, false)
	w.settle()
	return w
}

func (w *world) setPolicy(id dfs.BlockID, policy uint8) {
	f := w.facts[id]
	f.Policy = policy
	w.facts[id] = f
}

// media counts a block's good replicas by medium.
func (w *world) media(b dfs.Block) map[dfs.StorageType]int {
	got := map[dfs.StorageType]int{}
	for _, n := range w.nodes {
		for _, s := range n.reg.Storages {
			if r, ok := n.disks[s.UUID][b.ID]; ok && r.Block == b {
				got[s.Type]++
			}
		}
	}
	return got
}

// Every policy's media are reached, by datanodes that can move within themselves and by
// those that can't, and at no moment are there fewer replicas than the file asks for.
func TestSatisfyMovesMedia(t *testing.T) {
	const disk, ssd, archive = dfs.StorageDisk, dfs.StorageSSD, dfs.StorageArchive
	for name, c := range map[string]struct {
		policy uint8
		want   map[dfs.StorageType]int
	}{
		"COLD": {cold, map[dfs.StorageType]int{archive: 3}},
		"WARM": {warm, map[dfs.StorageType]int{disk: 1, archive: 2}},
		"SSD":  {allSSD, map[dfs.StorageType]int{ssd: 3}},
		"HOT":  {dfs.PolicyHot, map[dfs.StorageType]int{disk: 3}},
	} {
		for _, fit := range []bool{true, false} {
			for _, racks := range [][]string{nil, {"/a", "/b"}} {
				w := tiers(t, 6, fit, racks, disk, ssd, archive)
				var blocks []dfs.Block
				for range 20 {
					b := w.create(3)
					w.setPolicy(b.ID, c.policy)
					blocks = append(blocks, b)
				}
				w.settle()
				for _, b := range blocks { // a policy that has changed moves nothing by itself
					require.Equal(t, map[dfs.StorageType]int{disk: 3}, w.media(b), name)
					w.m.Satisfy(w.now, b.ID, 7)
				}
				for range 100 {
					w.round()
					w.check()
					for _, b := range blocks {
						require.GreaterOrEqual(t, len(w.holders(b)), 3)
					}
				}
				for _, b := range blocks {
					require.Equal(t, c.want, w.media(b), "%s fit %v", name, fit)
					require.Len(t, w.locs(b.ID), 3)
					if racks != nil {
						on := map[string]bool{}
						for _, n := range w.holders(b) {
							on[n.reg.Location] = true
						}
						require.Len(t, on, 2)
					}
				}
				require.Equal(t, Asked{}, w.m.Asked(7))
				require.Zero(t, w.m.Stats(w.now).Moves.Waiting)
				require.Zero(t, w.m.Stats(w.now).Moves.Failed)
				w.m.Served(7)
				require.Empty(t, w.m.mover.tickets)
			}
		}
	}
}

// What can't be had is given up and counted, and the replicas stay.
func TestSatisfyGivesUp(t *testing.T) {
	w := tiers(t, 3, true, nil, dfs.StorageDisk)
	b := w.create(2)
	w.setPolicy(b.ID, cold)
	w.m.Satisfy(w.now, b.ID, 1)
	require.Equal(t, Asked{Waiting: 1}, w.m.Asked(1))
	w.pass(10 * time.Minute)
	require.Equal(t, Asked{Failed: 1}, w.m.Asked(1))
	require.Len(t, w.holders(b), 2)
	w.check()
}

// A move that fails is tried again, elsewhere or later; one whose block goes is forgotten.
func TestSatisfyRetries(t *testing.T) {
	w := tiers(t, 3, true, nil, dfs.StorageDisk, dfs.StorageArchive)
	b, gone := w.create(1), w.create(1)
	for _, id := range []dfs.BlockID{b.ID, gone.ID} {
		w.setPolicy(id, cold)
		w.m.Satisfy(w.now, id, 1)
	}
	w.remove(gone)
	require.Equal(t, Asked{Waiting: 1}, w.m.Asked(1))
	from := w.holders(b)[0]
	w.mute = true
	var order Command
	for order.Kind != Move {
		w.now = w.now.Add(3 * time.Second)
		w.tick()
		for _, c := range w.beat(from) {
			order = c
		}
	}
	require.Equal(t, b, order.Block)
	w.event(from, order.Targets[0].Storage, NotCopied, b)
	w.mute = false
	w.settle()
	require.Equal(t, map[dfs.StorageType]int{dfs.StorageArchive: 1}, w.media(b))
	require.Equal(t, Asked{}, w.m.Asked(1))
	w.check()
}

// A block that is written to is looked at when that is over.
func TestSatisfyWaitsForWriters(t *testing.T) {
	w := tiers(t, 4, true, nil, dfs.StorageDisk, dfs.StorageArchive)
	b, targets := w.allocate(2)
	w.setPolicy(b.ID, cold)
	w.m.Satisfy(w.now, b.ID, 1)
	w.pass(20 * time.Minute)
	require.Equal(t, Asked{Waiting: 1}, w.m.Asked(1))
	for _, target := range targets {
		w.receive(target, b)
	}
	w.complete(b)
	w.settle()
	require.Equal(t, map[dfs.StorageType]int{dfs.StorageArchive: 2}, w.media(b))
	require.Equal(t, Asked{}, w.m.Asked(1))
}

// A new name node that does not know all replicas yet holds nothing for satisfied.
func TestSatisfyWaitsForReports(t *testing.T) {
	w := tiers(t, 3, true, nil, dfs.StorageDisk, dfs.StorageArchive)
	b := w.create(2)
	w.setPolicy(b.ID, cold)
	m, err := New(testConfig, w)
	require.NoError(t, err)
	w.m = m
	w.known = map[string]map[dfs.BlockID]Replica{}
	for _, n := range w.nodes {
		w.m.Register(w.now, &n.reg)
	}
	w.m.SetStartup(w.now, false)
	w.m.Satisfy(w.now, b.ID, 1)
	require.Equal(t, Asked{Waiting: 1}, w.m.Asked(1))
	w.settle()
	require.Equal(t, Asked{Waiting: 1}, w.m.Asked(1))
	for _, n := range w.nodes {
		for v := range n.disks {
			w.fullReport(n, v)
		}
	}
	w.settle()
	w.settle()
	require.Equal(t, map[dfs.StorageType]int{dfs.StorageArchive: 2}, w.media(b))
	require.Equal(t, Asked{}, w.m.Asked(1))
}

func TestHeldBlocks(t *testing.T) {
	w := newWorld(t, testConfig)
	for range 3 {
		w.addNode("", 2)
	}
	w.m.SetStartup(w.now, false)
	w.settle()
	want := map[string]map[dfs.BlockID]bool{}
	for i := range 600 {
		b := w.create(1 + i%2)
		if i%3 == 0 {
			w.remove(b)
			continue
		}
		for _, n := range w.holders(b) {
			if want[n.reg.Node.UUID] == nil {
				want[n.reg.Node.UUID] = map[dfs.BlockID]bool{}
			}
			want[n.reg.Node.UUID][b.ID] = true
		}
	}
	open, _ := w.allocate(1)
	for uuid, blocks := range want {
		got := map[dfs.BlockID]bool{}
		from, steps := uint64(0), 0
		for {
			list, next, err := w.m.Held(nil, &HeldQuery{Node: uuid, MinSize: testBlock}, from, 50)
			require.NoError(t, err)
			for _, b := range list {
				require.NotEqual(t, open.ID, b.ID)
				require.False(t, got[b.ID])
				got[b.ID] = true
				require.Contains(t, b.Nodes, uuid)
				require.Len(t, b.Nodes, len(w.holders(b.Block)))
				require.Len(t, b.Storages, len(b.Nodes))
				require.Len(t, b.Types, len(b.Nodes))
			}
			if steps++; next == 0 {
				break
			}
			require.Greater(t, next, from)
			from = next
		}
		require.Greater(t, steps, 10)
		require.Equal(t, blocks, got)
		list, _, err := w.m.Held(nil, &HeldQuery{Node: uuid, MinSize: testBlock + 1}, 0, 1<<20)
		require.NoError(t, err)
		require.Empty(t, list)
		list, _, err = w.m.Held(nil, &HeldQuery{Node: uuid, Type: dfs.StorageSSD}, 0, 1<<20)
		require.NoError(t, err)
		require.Empty(t, list)
	}
	_, _, err := w.m.Held(nil, &HeldQuery{Node: "nobody"}, 0, 10)
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
}

// A datanode that says where a replica is now does not have it elsewhere any more.
func TestReplicaMovedToAnotherVolume(t *testing.T) {
	w := tiers(t, 1, false, nil, dfs.StorageDisk, dfs.StorageArchive)
	b := w.create(1)
	n := w.nodes[0]
	disk, archive := n.reg.Storages[0].UUID, n.reg.Storages[1].UUID
	n.disks[archive][b.ID] = n.disks[disk][b.ID]
	delete(n.disks[disk], b.ID)
	w.event(n, archive, Received, b)
	delete(w.known[disk], b.ID)
	w.check()
	locs, _ := w.m.Locate(nil, b.ID, w.m.nodes[n.reg.Node.UUID].addr)
	require.Len(t, locs, 1)
	require.Equal(t, archive, locs[0].Storage)
}

func TestMayTake(t *testing.T) {
	w := cluster(t, 3)
	b := w.create(2)
	for _, n := range w.nodes {
		err := w.m.MayTake(b, n.reg.Node.UUID)
		has := false
		for _, h := range w.holders(b) {
			has = has || h == n
		}
		if has {
			require.True(t, dfs.Is(err, dfs.IllegalState))
		} else {
			require.NoError(t, err)
		}
	}
	older := b
	older.GenStamp--
	require.Error(t, w.m.MayTake(older, w.nodes[0].reg.Node.UUID))
	require.Error(t, w.m.MayTake(b, "nobody"))
	open, _ := w.allocate(1)
	for _, n := range w.nodes {
		require.Error(t, w.m.MayTake(open, n.reg.Node.UUID))
	}
}

// Members and parities may only go where nothing of their group stands, and only those that
// could go anywhere are offered.
func TestGroupsAreMovedApart(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		w := newRaidWorld(t, nodes)
		w.write(raid5(2), 2, 40, nil)
		w.write(raid5(2), 2, 40, nil)
		w.calm(3 * time.Minute)
		require.Len(t, w.groups, 1)
		for parity, g := range w.groups {
			ids := []dfs.BlockID{parity}
			for _, member := range g.Members {
				ids = append(ids, member.Block.ID)
			}
			on := map[int]bool{}
			for _, id := range ids {
				on[w.places(id)[0]] = true
			}
			require.Len(t, on, 3)
			for _, id := range ids {
				f := w.facts[id]
				for i, n := range w.nodes {
					err := w.m.MayTake(dfs.Block{ID: id, GenStamp: f.GenStamp}, n.reg.Node.UUID)
					require.Equal(t, on[i], err != nil, "node %d: %v", i, err)
				}
				holder := w.nodes[w.places(id)[0]].reg.Node.UUID
				list, _, err := w.m.Held(nil, &HeldQuery{Node: holder}, 0, 1<<20)
				require.NoError(t, err)
				require.Equal(t, nodes > 3, len(list) == 1 && list[0].ID == id, "%v", list)
			}
		}
	}
}
