package blockmanager

import (
	"flag"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redoubt/dfs"
)

var modelSteps = flag.Int("model.steps", 60, "operations per run of the model test")

// chaos is a world in which anything goes wrong, and a naive reference of what the
// Manager has been told.
type chaos struct {
	*world
	t      *rapid.T
	blocks []dfs.Block
	open   map[dfs.BlockID][]Target
	bad    map[dfs.BlockID]map[string]bool // damaged, by node
}

// TestModel runs random operations and faults against a world of maps. After each one,
// everything that is counted is counted again the slow way, and every block's locations
// are compared with what has been told. No order may ever remove a last good replica (see
// guard). In the end, when the faults stop, all must be as it should be.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{t: t, open: map[dfs.BlockID][]Target{}, bad: map[dfs.BlockID]map[string]bool{}}
		c.world = newWorld(t, testConfig)
		racks := []string{"/a", "/b", "/c"}[:rapid.IntRange(1, 3).Draw(t, "racks")]
		for i := range rapid.IntRange(4, 6).Draw(t, "nodes") {
			c.addNode(racks[i%len(racks)], rapid.IntRange(1, 2).Draw(t, "volumes"))
		}
		c.m.SetStartup(c.now, false)
		ops := []func(){c.opCreate, c.opCreate, c.opAllocate, c.opFinish, c.opRemove, c.opStop, c.opStart, c.opReport,
			c.opSetReplication, c.opDamage, c.opLose, c.opAppend, c.opRound, c.opRound, c.opLate, c.opDrain, c.opRestart, c.opPipeline}
		for range *modelSteps {
			rapid.SampledFrom(ops).Draw(t, "op")()
			c.tick()
			c.check()
			c.compare()
		}
		c.heal()
	})
}

func (c *chaos) pick() (dfs.Block, bool) {
	if len(c.blocks) == 0 {
		return dfs.Block{}, false
	}
	return rapid.SampledFrom(c.blocks).Draw(c.t, "block"), true
}

func (c *chaos) someNode(up bool) *fakeNode {
	var list []*fakeNode
	for _, n := range c.nodes {
		if n.up == up {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return rapid.SampledFrom(list).Draw(c.t, "node")
}

func (c *chaos) opCreate() {
	b := c.create(rapid.IntRange(1, 4).Draw(c.t, "replication"))
	if len(c.locs(b.ID)) > 0 {
		c.blocks = append(c.blocks, b)
	} else {
		c.remove(b)
	}
}

func (c *chaos) opAllocate() {
	b, targets := c.allocate(rapid.IntRange(1, 3).Draw(c.t, "replication"))
	c.open[b.ID] = targets
	for _, tg := range targets {
		if rapid.Bool().Draw(c.t, "opened") {
			c.event(c.node(tg.Node.UUID), tg.Storage, Receiving, b)
		}
	}
}

// anOpen takes a block under construction, the lowest id.
func (c *chaos) anOpen() (dfs.Block, []Target, bool) {
	var ids []dfs.BlockID
	for id := range c.open {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return dfs.Block{}, nil, false
	}
	id := slices.Min(ids)
	return dfs.Block{ID: id, GenStamp: c.facts[id].GenStamp, Length: testBlock}, c.open[id], true
}

// opFinish completes an open block with some of its pipeline reporting, before or after.
func (c *chaos) opFinish() {
	b, targets, ok := c.anOpen()
	if !ok {
		return
	}
	delete(c.open, b.ID)
	late := []Target{}
	for i, tg := range targets {
		switch {
		case !c.node(tg.Node.UUID).up:
		case i == 0 || rapid.Bool().Draw(c.t, "early"):
			c.receive(tg, b)
		default:
			late = append(late, tg)
		}
	}
	if c.m.Finalized(b) == 0 {
		c.remove(b)
		return
	}
	c.complete(b)
	c.blocks = append(c.blocks, b)
	for _, tg := range late {
		if rapid.Bool().Draw(c.t, "late") {
			c.receive(tg, b)
		}
	}
}

// opPipeline breaks a pipeline: one node is left behind with an old stamp.
func (c *chaos) opPipeline() {
	b, targets, ok := c.anOpen()
	if !ok || len(targets) < 2 {
		return
	}
	behind := targets[len(targets)-1]
	if n := c.node(behind.Node.UUID); n.up {
		n.disks[behind.Storage][b.ID] = Replica{Block: dfs.Block{ID: b.ID, GenStamp: b.GenStamp, Length: 3}, State: dfs.ReplicaRWR}
		c.fullReport(n, behind.Storage)
	}
	targets = targets[:len(targets)-1]
	c.stamp++
	b.GenStamp = c.stamp
	f := c.facts[b.ID]
	f.GenStamp = b.GenStamp
	c.facts[b.ID] = f
	var nodes []dfs.DatanodeID
	var storages []string
	for _, tg := range targets {
		nodes, storages = append(nodes, tg.Node), append(storages, tg.Storage)
	}
	c.m.Pipeline(c.now, b, nodes, storages)
	c.open[b.ID] = targets
}

func (c *chaos) opRemove() {
	if b, ok := c.pick(); ok {
		c.remove(b)
		c.blocks = slices.DeleteFunc(c.blocks, func(o dfs.Block) bool { return o == b })
		delete(c.bad, b.ID)
	}
}

func (c *chaos) upNodes() (n int) {
	for _, node := range c.nodes {
		if node.up {
			n++
		}
	}
	return n
}

func (c *chaos) opStop() {
	if n := c.someNode(true); n != nil && c.upNodes() > 2 {
		c.stop(n)
		for _, nodes := range c.bad {
			delete(nodes, n.reg.Node.UUID)
		}
	}
}

func (c *chaos) opStart() {
	if n := c.someNode(false); n != nil {
		c.start(n)
	}
}

// opRestart registers a living node again.
func (c *chaos) opRestart() {
	if n := c.someNode(true); n != nil {
		c.start(n)
	}
}

func (c *chaos) opReport() {
	if n := c.someNode(true); n != nil {
		c.fullReport(n, rapid.SampledFrom(n.reg.Storages).Draw(c.t, "volume").UUID)
	}
}

func (c *chaos) opSetReplication() {
	if b, ok := c.pick(); ok {
		c.setReplication(b.ID, rapid.IntRange(1, 4).Draw(c.t, "replication"))
	}
}

func (c *chaos) opDamage() {
	b, ok := c.pick()
	if !ok || len(c.holders(b)) < 2 {
		return
	}
	// One that is really bad: its bytes are known to nobody as good any more.
	locs := c.locs(b.ID)
	if len(locs) < 2 {
		return
	}
	n := c.node(locs[0])
	for _, disk := range n.disks {
		if r, ok := disk[b.ID]; ok {
			r.Block.Length-- // for holders and guard; the report below names the block
			disk[b.ID] = r
		}
	}
	c.m.BadReplica(c.now, b, n.reg.Node.UUID, "")
}

// opLose takes a replica away without a word.
func (c *chaos) opLose() {
	b, ok := c.pick()
	if !ok || len(c.holders(b)) < 3 {
		return
	}
	for _, n := range c.holders(b)[:1] {
		for v, disk := range n.disks {
			if _, ok := disk[b.ID]; ok && n.up {
				delete(disk, b.ID)
				c.fullReport(n, v)
			}
		}
	}
}

func (c *chaos) opAppend() {
	b, ok := c.pick()
	if !ok || len(c.holders(b)) == 0 {
		return
	}
	f := c.facts[b.ID]
	f.State = Building
	c.facts[b.ID] = f
	c.m.Reopened(c.now, b)
	targets := c.m.Expected(b.ID)
	targets = slices.DeleteFunc(targets, func(tg Target) bool {
		n := c.node(tg.Node.UUID)
		r, ok := n.disks[tg.Storage][b.ID]
		return !n.up || !ok || r.Block != b
	})
	if len(targets) == 0 { // nobody to write to: closed as it was
		c.complete(b)
		return
	}
	c.stamp++
	nb := dfs.Block{ID: b.ID, GenStamp: c.stamp, Length: b.Length + 1}
	f.GenStamp = nb.GenStamp
	c.facts[b.ID] = f
	var nodes []dfs.DatanodeID
	for _, tg := range targets {
		nodes = append(nodes, tg.Node)
	}
	c.m.Pipeline(c.now, dfs.Block{ID: b.ID, GenStamp: nb.GenStamp, Length: b.Length}, nodes, nil)
	for _, tg := range targets {
		c.receive(tg, nb)
	}
	c.complete(nb)
	c.blocks[slices.Index(c.blocks, b)] = nb
}

func (c *chaos) opRound() { c.round() }

// opLate repeats messages that are out of date.
func (c *chaos) opLate() {
	b, ok := c.pick()
	if !ok {
		return
	}
	for _, n := range c.holders(b) {
		if !n.up {
			continue
		}
		for v, disk := range n.disks {
			if _, ok := disk[b.ID]; ok && c.known[v] != nil {
				known := c.known[v][b.ID]
				c.event(n, v, Receiving, dfs.Block{ID: b.ID, GenStamp: b.GenStamp - 1})
				c.event(n, v, Receiving, b)
				c.event(n, v, Deleted, dfs.Block{ID: b.ID, GenStamp: b.GenStamp - 1})
				c.event(n, v, Received, b)
				if known.Block.ID != 0 {
					c.known[v][b.ID] = known
				}
			}
		}
	}
}

func (c *chaos) opDrain() {
	n := c.someNode(true)
	out := rapid.Bool().Draw(c.t, "out")
	c.m.SetAdmin(c.now, func(id dfs.DatanodeID) dfs.AdminState {
		if out && n != nil && id.UUID == n.reg.Node.UUID {
			return dfs.AdminDecommissioning
		}
		return dfs.AdminNormal
	})
}

// compare holds every block's locations against what was told: nothing but replicas that
// were reported as good by live nodes, and all of those but the ones that the Manager has
// set apart as damaged or excess.
func (c *chaos) compare() {
	for _, b := range c.blocks {
		good := map[string]bool{}
		for _, n := range c.nodes {
			if !n.up {
				continue
			}
			for v := range n.disks {
				if r, ok := c.known[v][b.ID]; ok && r.Block == b && r.State == dfs.ReplicaFinalized {
					good[n.reg.Node.UUID] = true
				}
			}
		}
		locs, corrupt := c.m.Locate(nil, b.ID, netip.Addr{})
		if corrupt {
			continue
		}
		for _, l := range locs {
			require.True(c.t, good[l.Node.UUID], "%v is not on %s", b, l.Node.UUID)
			delete(good, l.Node.UUID)
		}
		for uuid := range good {
			require.True(c.t, c.setApart(b.ID, uuid), "%v on %s is forgotten", b, uuid)
		}
	}
}

func (c *chaos) setApart(id dfs.BlockID, uuid string) bool {
	for _, s := range c.m.nodes[uuid].storages {
		if sl := c.m.table.find(c.m.table.get(id), s.num); sl != nil && *sl&(slotCorrupt|slotExcess) != 0 {
			return true
		}
	}
	return false
}

// heal ends all faults and waits: every block that has a good replica anywhere must come
// to its full number on different nodes and at least two racks, and nothing else be left.
func (c *chaos) heal() {
	c.m.SetAdmin(c.now, func(dfs.DatanodeID) dfs.AdminState { return dfs.AdminNormal })
	for range c.open {
		c.opFinish()
	}
	for _, n := range c.nodes {
		if !n.up {
			c.start(n)
		}
	}
	for range 3 {
		for _, n := range c.nodes {
			for v := range n.disks {
				c.fullReport(n, v)
			}
		}
		c.pass(10 * time.Minute)
	}
	c.check()
	c.compare()
	for _, b := range c.blocks {
		holders := c.holders(b)
		if len(holders) == 0 {
			continue // a sole replica that was damaged
		}
		racks, nodes := map[string]bool{}, map[*fakeNode]bool{}
		for _, n := range holders {
			racks[n.reg.Location], nodes[n] = true, true
		}
		want := min(int(c.facts[b.ID].Replication), len(c.nodes))
		require.Len(c.t, holders, want, "%v", b)
		require.Len(c.t, nodes, want)
		if want > 1 && c.m.liveRacks > 1 {
			require.Greater(c.t, len(racks), 1, "%v is on one rack", b)
		}
	}
	for _, n := range c.nodes {
		for _, disk := range n.disks {
			for id, r := range disk {
				_, ok := c.facts[id]
				require.True(c.t, ok, "%v is rubbish", r.Block)
			}
		}
	}
	st := c.m.Stats(c.now).Blocks
	require.Zero(c.t, st.LowRedundancy)
	require.Zero(c.t, st.Excess)
	require.Zero(c.t, st.PendingDeletion)
}
