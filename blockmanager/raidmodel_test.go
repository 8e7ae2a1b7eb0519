package blockmanager

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"redoubt/dfs"
)

// raidChaos draws what happens next.
type raidChaos struct {
	*raidWorld
	t     *rapid.T
	drain *fakeNode
	adm   dfs.AdminState
}

// TestParityModel runs random events against a world with parity groups, whose messages,
// orders and log records are steps that anything can come between: writes, deletions, deaths
// and returns of nodes with what they had, damage, drains, maintenance, members that leave, changes of
// policy, a balancer's moves to anywhere, refused log records, a name node that starts anew. After every step each block must be readable
// with any one node fewer, unless a failure is still being made good; then it must be
// readable. No failure is added to one. When it calms down all must be folded, on nodes of
// its own, and nothing be left over.
func TestParityModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		racks := []string{"/a", "/b", "/c", "/d", "/e", "/f"}[:rapid.SampledFrom([]int{1, 1, 2, 3, 6}).Draw(t, "racks")]
		c := &raidChaos{t: t, raidWorld: newRaidWorld(t, rapid.IntRange(3, 7).Draw(t, "nodes"), racks...)}
		c.refuse = func() bool { return rapid.IntRange(0, 9).Draw(t, "refused") == 0 }
		for range rapid.IntRange(1, 12).Draw(t, "first") {
			c.opWrite()
		}
		ops := []func(){c.opWrite, c.opWrite, c.opRemove, c.opBeat, c.opBeat, c.opBeat, c.opObey, c.opObey, c.opObey,
			c.opStep, c.opStep, c.opStep, c.opPlan, c.opTime, c.opCalm, c.opKill, c.opRevive, c.opDamage, c.opDrain,
			c.opLeave, c.opPolicy, c.opRestart, c.opReport, c.opBalance}
		for range *modelSteps {
			rapid.SampledFrom(ops).Draw(t, "op")()
			c.tick()
			c.judge()
			c.check()
		}
		c.heal()
	})
}

func (c *raidChaos) anyNode(up bool) *fakeNode {
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

func (c *raidChaos) block() (dfs.BlockID, bool) {
	var list []dfs.BlockID
	for id := range c.acked {
		list = append(list, id)
	}
	if len(list) == 0 {
		return 0, false
	}
	slices.Sort(list)
	return rapid.SampledFrom(list).Draw(c.t, "block"), true
}

func (c *raidChaos) opWrite() {
	policy := rapid.SampledFrom([]uint8{raid5(2), raid5(4), raid5(4), raid5(4), dfs.PolicyHot}).Draw(c.t, "policy")
	var writer *fakeNode
	if rapid.Bool().Draw(c.t, "local") {
		writer = c.nodes[0]
	}
	c.write(policy, rapid.IntRange(2, 3).Draw(c.t, "replication"), rapid.IntRange(1, 64).Draw(c.t, "size"), writer)
}

func (c *raidChaos) opRemove() {
	if id, ok := c.block(); ok {
		c.removeFile(id)
	}
}

func (c *raidChaos) opBeat() {
	if n := c.anyNode(true); n != nil {
		c.now = c.now.Add(time.Second)
		c.beatNode(n)
	}
}

func (c *raidChaos) opObey() {
	for _, n := range c.nodes {
		if len(c.inbox[n]) > 0 && rapid.Bool().Draw(c.t, "obey") {
			c.obeyOne(n)
		}
	}
}

func (c *raidChaos) opStep() {
	if len(c.steps) > 0 {
		c.run(rapid.IntRange(0, min(2, len(c.steps)-1)).Draw(c.t, "step"))
	}
}

func (c *raidChaos) opPlan() {
	c.now = c.now.Add(3 * time.Second)
	c.plan()
}

// opTime lets time pass in which only heartbeats come.
func (c *raidChaos) opTime() {
	for range 4 {
		c.now = c.now.Add(3 * time.Second)
		for _, n := range c.nodes {
			if n.up {
				c.beatNode(n)
			}
		}
		c.tick()
	}
}

func (c *raidChaos) opCalm() {
	c.calm(time.Duration(rapid.IntRange(3, 90).Draw(c.t, "seconds")) * time.Second)
}

func (c *raidChaos) down() (n int) {
	for _, node := range c.nodes {
		if !node.up {
			n++
		}
	}
	return n
}

func (c *raidChaos) opKill() {
	if n := c.anyNode(true); n != nil && !c.hurt && len(c.nodes)-c.down() > 2 {
		c.kill(n)
	}
}

func (c *raidChaos) opRevive() {
	if n := c.anyNode(false); n != nil {
		c.revive(n, !c.hurt && rapid.Bool().Draw(c.t, "empty"))
	}
}

// opDamage spoils a replica; a reader or a scrub finds it.
func (c *raidChaos) opDamage() {
	if c.hurt {
		return
	}
	var ids []dfs.BlockID
	for id := range c.facts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return
	}
	id := rapid.SampledFrom(ids).Draw(c.t, "damaged")
	at := c.places(id)
	if len(at) == 0 {
		return
	}
	n := c.nodes[at[0]]
	f := c.facts[id]
	c.note("%d on %s is damaged", id, n.reg.Node.UUID)
	c.damaged[key(n, id)] = true
	c.hurt = true
	c.m.BadReplica(c.now, dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}, n.reg.Node.UUID, "")
}

func (c *raidChaos) opDrain() {
	c.drain, c.adm = c.anyNode(true), rapid.SampledFrom([]dfs.AdminState{dfs.AdminNormal, dfs.AdminDecommissioning, dfs.AdminEnteringMaintenance}).Draw(c.t, "state")
	c.setAdmin()
}

func (c *raidChaos) setAdmin() {
	if c.drain == nil {
		return
	}
	c.note("%s is %v", c.drain.reg.Node.UUID, c.adm)
	c.m.SetAdmin(c.now, func(id dfs.DatanodeID) dfs.AdminState {
		if id.UUID == c.drain.reg.Node.UUID {
			return c.adm
		}
		return dfs.AdminNormal
	})
	for _, n := range c.nodes {
		n.reg.Admin = dfs.AdminNormal
	}
	c.drain.reg.Admin = c.adm
}

// opBalance has a balancer move a replica: with the name node's leave, or to wherever it
// likes, since some datanodes do not ask. When it is told is another step.
func (c *raidChaos) opBalance() {
	var ids []dfs.BlockID
	for id := range c.facts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	to := c.anyNode(true)
	if len(ids) == 0 || to == nil {
		return
	}
	id := rapid.SampledFrom(ids).Draw(c.t, "moved")
	f, at := c.facts[id], c.places(id)
	if len(at) == 0 || f.State != Complete {
		return
	}
	from, volume := c.nodes[at[rapid.IntRange(0, len(at)-1).Draw(c.t, "from")]], to.reg.Storages[0].UUID
	b := dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}
	if to.disks[volume][id].Block.ID != 0 || !c.good(from, id) {
		return
	}
	if why := c.m.MayTake(b, to.reg.Node.UUID); why != nil && rapid.Bool().Draw(c.t, "asks") {
		c.note("%v", why)
		return
	}
	c.note("%d is moved from %s to %s", id, from.reg.Node.UUID, to.reg.Node.UUID)
	c.put(to, volume, b)
	c.later("the move is told", func() {
		if err := c.m.Incremental(c.now, to.reg.Node.UUID, []Event{{Kind: Received, Storage: volume, Block: b, DeleteHint: from.reg.Node.UUID}}); err != nil && to.up {
			c.start(to)
		}
	})
}

// opLeave changes a block, as a truncate does, once it has left its group.
func (c *raidChaos) opLeave() {
	id, ok := c.block()
	if !ok {
		return
	}
	c.note("%d is to leave group %d", id, c.facts[id].Group)
	if !c.m.Leave(c.now, id) {
		return
	}
	if at := c.places(id); c.facts[id].State == Complete && len(at) > 1 && c.facts[id].Group == 0 {
		c.note("%d changes", id)
		f := c.facts[id]
		f.State = Building
		c.facts[id] = f
		c.m.Reopened(c.now, dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length})
		c.stamp++
		f.GenStamp = c.stamp
		c.facts[id] = f
		var nodes []dfs.DatanodeID
		for _, i := range at {
			nodes = append(nodes, c.nodes[i].reg.Node)
		}
		b := dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}
		c.m.Pipeline(c.now, b, nodes, nil)
		for _, i := range at {
			n := c.nodes[i]
			c.put(n, n.reg.Storages[0].UUID, b)
			c.tell(n, n.reg.Storages[0].UUID, Received, b)
		}
		c.complete(b)
	}
}

func (c *raidChaos) opPolicy() {
	if id, ok := c.block(); ok {
		c.setPolicy(id, rapid.SampledFrom([]uint8{dfs.PolicyHot, raid5(4), raid5(2)}).Draw(c.t, "policy"))
	}
}

func (c *raidChaos) opRestart() {
	if rapid.IntRange(0, 3).Draw(c.t, "restart") == 0 {
		c.restart()
		c.setAdmin()
	}
}

func (c *raidChaos) opReport() {
	if n := c.anyNode(true); n != nil {
		if c.m.nodes[n.reg.Node.UUID].alive {
			c.fullReport(n, n.reg.Storages[0].UUID)
		} else {
			c.start(n)
		}
	}
}

// heal ends all faults and waits.
func (c *raidChaos) heal() {
	c.note("calm")
	c.refuse = nil
	if c.drain != nil {
		c.adm = dfs.AdminNormal
		c.setAdmin()
	}
	for _, n := range c.nodes {
		if !n.up {
			c.revive(n, false)
		}
	}
	c.calm(4 * time.Minute)
	for _, n := range c.nodes {
		c.fullReport(n, n.reg.Storages[0].UUID)
	}
	c.calm(4 * time.Minute)
	for range 20 {
		busy := false
		for id := range c.m.gathered {
			busy = busy || c.m.gathering(id) != nil
		}
		if !busy {
			break
		}
		c.calm(30 * time.Second)
	}
	c.settled()
	c.folded()
}

// folded checks that no two blocks wait that could be in one group.
func (c *raidChaos) folded() {
	type pair struct {
		host int
		k    int
	}
	data := map[pair]map[int]dfs.BlockID{}
	for id := range c.acked {
		f := c.facts[id]
		if k := dfs.ParityData(f.Policy); k > 0 && f.Group == 0 {
			at := c.places(id)
			for _, p := range [][2]int{{at[0], at[1]}, {at[1], at[0]}} {
				key := pair{p[0], k}
				if data[key] == nil {
					data[key] = map[int]dfs.BlockID{}
				}
				data[key][p[1]] = id
			}
		}
	}
	for p, blocks := range data {
		if len(blocks) > 1 {
			c.fail("%v could be folded on node %d", blocks, p.host)
		}
	}
}
