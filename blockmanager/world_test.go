package blockmanager

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// world is a namespace and datanodes made of maps: what is really there, against which
// the Manager's knowledge and orders are held.
type world struct {
	t      require.TestingT
	m      *Manager
	now    time.Time
	facts  map[dfs.BlockID]Facts
	groups map[dfs.BlockID]dfs.ParityGroup
	last   dfs.BlockID
	stamp  dfs.GenStamp
	nodes  []*fakeNode
	report uint64
	// known is what has been told of each volume, in the naive way.
	known map[string]map[dfs.BlockID]Replica
	// mute keeps datanodes from obeying orders by themselves.
	mute bool
	gaps [][2]dfs.BlockID // ids that were never handed out: from the first to before the second
	// starting is called when a node is about to register, started when it has reported.
	starting, started func(*fakeNode)
}

// fakeNode is a datanode.
type fakeNode struct {
	reg   Registration
	disks map[string]map[dfs.BlockID]Replica // by volume
	up    bool
	beats Heartbeat
}

func (w *world) Block(id dfs.BlockID) (Facts, bool) { f, ok := w.facts[id]; return f, ok }
func (w *world) LastBlock() dfs.BlockID             { return w.last }
func (w *world) Group(id dfs.BlockID) (dfs.ParityGroup, bool) {
	g, ok := w.groups[id]
	g.Members = slices.Clone(g.Members)
	return g, ok
}
func (w *world) StampIssued(s dfs.GenStamp) bool { return s >= dfs.FirstGenStamp && s <= w.stamp }

// NextIssued: all ids up to the last one were handed out, but for those in gaps.
func (w *world) NextIssued(id dfs.BlockID) dfs.BlockID {
	id = max(id, dfs.FirstBlockID)
	for _, g := range w.gaps {
		if id >= g[0] && id < g[1] {
			id = g[1]
		}
	}
	if id > w.last {
		return 0
	}
	return id
}

const testBlock = 1 << 20

var testConfig = Config{Seed: 1, Liveness: Liveness{MaxPause: time.Hour}}

func newWorld(t require.TestingT, cfg Config) *world {
	w := &world{t: t, now: time.Unix(1e9, 0), facts: map[dfs.BlockID]Facts{}, groups: map[dfs.BlockID]dfs.ParityGroup{}, last: dfs.FirstBlockID - 1,
		stamp: dfs.FirstGenStamp - 1, known: map[string]map[dfs.BlockID]Replica{}}
	m, err := New(cfg, w)
	require.NoError(t, err)
	w.m = m
	return w
}

// cluster makes a started world of nodes with one volume each; racks are given in turn.
func cluster(t require.TestingT, n int, racks ...string) *world {
	w := newWorld(t, testConfig)
	for i := range n {
		rack := ""
		if len(racks) > 0 {
			rack = racks[i%len(racks)]
		}
		w.addNode(rack, 1)
	}
	w.m.SetStartup(w.now, false)
	w.settle()
	return w
}

func (w *world) addNode(rack string, volumes int) *fakeNode {
	i := len(w.nodes)
	n := &fakeNode{disks: map[string]map[dfs.BlockID]Replica{}}
	n.reg.Node = dfs.DatanodeID{UUID: fmt.Sprintf("uuid-%d", i), IP: fmt.Sprintf("10.0.0.%d", i+1), Host: fmt.Sprintf("h%d", i), XferPort: 9866}
	n.reg.Location = rack
	for v := range volumes {
		uuid := fmt.Sprintf("DS-%d-%d", i, v)
		n.disks[uuid] = map[dfs.BlockID]Replica{}
		n.reg.Storages = append(n.reg.Storages, dfs.StorageReport{UUID: uuid, Type: dfs.StorageDisk, Capacity: 1 << 40, Remaining: 1 << 39})
	}
	w.nodes = append(w.nodes, n)
	w.start(n)
	return n
}

func (w *world) start(n *fakeNode) {
	n.up = true
	if w.starting != nil {
		w.starting(n)
	}
	w.m.Register(w.now, &n.reg)
	for _, s := range n.reg.Storages {
		w.fullReport(n, s.UUID)
	}
	if w.started != nil {
		w.started(n)
	}
}

// stop makes a node silent and waits for it to be declared dead.
func (w *world) stop(n *fakeNode) {
	n.up = false
	w.pass(w.m.cfg.deadAfter() + time.Second)
	for v := range n.disks {
		delete(w.known, v)
	}
}

// fullReport tells all that a volume has, in one part.
func (w *world) fullReport(n *fakeNode, volume string) {
	w.report++
	p := ReportPart{Node: n.reg.Node.UUID, Storage: volume, ID: w.report, Parts: 1}
	require.NoError(w.t, w.m.BeginReport(p))
	var list []Replica
	for _, r := range n.disks[volume] {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Replica) int { return int(a.Block.ID) - int(b.Block.ID) })
	require.NoError(w.t, w.m.Report(w.now, p, list))
	done, err := w.m.EndReport(w.now, p)
	require.NoError(w.t, err)
	require.True(w.t, done)
	w.known[volume] = map[dfs.BlockID]Replica{}
	for _, r := range list {
		w.known[volume][r.Block.ID] = r
	}
	w.tick()
}

func (w *world) event(n *fakeNode, volume string, kind EventKind, b dfs.Block) {
	require.NoError(w.t, w.m.Incremental(w.now, n.reg.Node.UUID, []Event{{Kind: kind, Storage: volume, Block: b}}))
	if w.known[volume] == nil {
		w.known[volume] = map[dfs.BlockID]Replica{}
	}
	switch kind {
	case Received:
		w.known[volume][b.ID] = Replica{Block: b}
	case Deleted:
		delete(w.known[volume], b.ID)
	}
}

func (w *world) tick() {
	for w.m.Tick(w.now) {
	}
}

// beat sends a node's heartbeat and has it obey.
func (w *world) beat(n *fakeNode) []Command {
	h := n.beats
	h.UUID, h.Storages = n.reg.Node.UUID, n.reg.Storages
	cmds, err := w.m.Heartbeat(w.now, &h)
	if err != nil {
		require.True(w.t, dfs.Is(err, dfs.UnregisteredDatanode), err)
		w.start(n)
		return nil
	}
	if !w.mute {
		for _, c := range cmds {
			w.obey(n, c)
		}
	}
	return cmds
}

func (w *world) obey(n *fakeNode, c Command) {
	switch c.Kind {
	case Invalidate:
		for _, b := range c.Blocks {
			for v, disk := range n.disks {
				if r, ok := disk[b.ID]; ok && r.Block.GenStamp == b.GenStamp {
					w.guard(n, b)
					delete(disk, b.ID)
					w.event(n, v, Deleted, r.Block)
				}
			}
		}
	case Transfer:
		var has bool
		for _, disk := range n.disks {
			r, ok := disk[c.Block.ID]
			has = has || ok && r.Block == c.Block && r.State == dfs.ReplicaFinalized
		}
		if !has {
			return
		}
		for _, t := range c.Targets {
			if to := w.node(t.Node.UUID); to.up {
				to.disks[t.Storage][c.Block.ID] = Replica{Block: c.Block}
				w.event(to, t.Storage, Received, c.Block)
			}
		}
	case Move:
		w.move(n, c)
	case Report:
		for v := range n.disks {
			w.fullReport(n, v)
		}
	}
}

// move brings a replica to another node, or to another volume of its own.
func (w *world) move(n *fakeNode, c Command) {
	to := c.Targets[0]
	for v, disk := range n.disks {
		if r, ok := disk[c.Block.ID]; ok && r.Block == c.Block && to.Node.UUID == n.reg.Node.UUID {
			n.disks[to.Storage][c.Block.ID] = r
			delete(disk, c.Block.ID)
			w.event(n, to.Storage, Received, c.Block)
			w.event(n, v, Deleted, c.Block)
			return
		}
	}
	c.Kind = Transfer
	w.obey(n, c)
}

// guard is the rule that matters most: no order removes the last good replica.
func (w *world) guard(n *fakeNode, b dfs.Block) {
	f, ok := w.facts[b.ID]
	if !ok || f.State != Complete || f.GenStamp != b.GenStamp {
		return
	}
	others := 0
	for _, o := range w.nodes {
		for _, disk := range o.disks {
			if r, ok := disk[b.ID]; ok && o != n && r.Block.GenStamp == f.GenStamp && r.Block.Length == f.Length && r.State == dfs.ReplicaFinalized {
				others++
			}
		}
	}
	require.Positive(w.t, others, "the order to remove %v from %s costs the last good replica", b, n.reg.Node.UUID)
}

func (w *world) node(uuid string) *fakeNode {
	for _, n := range w.nodes {
		if n.reg.Node.UUID == uuid {
			return n
		}
	}
	return nil
}

// round lets three seconds pass with everybody's heartbeat.
func (w *world) round() {
	w.now = w.now.Add(3 * time.Second)
	for _, n := range w.nodes {
		if n.up {
			w.beat(n)
		}
	}
	w.tick()
}

func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.round()
	}
}

// settle lets all repairs end.
func (w *world) settle() { w.pass(60 * time.Second) }

// create makes a complete block by a full pipeline.
func (w *world) create(replication int) dfs.Block {
	b, targets := w.allocate(replication)
	for _, t := range targets {
		w.receive(t, b)
	}
	w.complete(b)
	return b
}

func (w *world) allocate(replication int) (dfs.Block, []Target) {
	w.last++
	w.stamp++
	b := dfs.Block{ID: w.last, GenStamp: w.stamp, Length: testBlock}
	w.facts[b.ID] = Facts{GenStamp: b.GenStamp, Replication: uint16(replication), Policy: dfs.PolicyHot, State: Building}
	targets := w.m.Choose(&PlaceRequest{Count: replication, Size: testBlock, Policy: dfs.PolicyHot})
	w.m.Allocated(w.now, b, targets)
	return b, targets
}

func (w *world) receive(t Target, b dfs.Block) {
	n := w.node(t.Node.UUID)
	n.disks[t.Storage][b.ID] = Replica{Block: b}
	w.event(n, t.Storage, Received, b)
}

func (w *world) complete(b dfs.Block) {
	f := w.facts[b.ID]
	f.State, f.GenStamp, f.Length = Complete, b.GenStamp, b.Length
	w.facts[b.ID] = f
	w.m.Completed(w.now, b)
}

func (w *world) setReplication(id dfs.BlockID, n int) {
	f := w.facts[id]
	f.Replication = uint16(n)
	w.facts[id] = f
	w.m.Changed(w.now, id)
}

func (w *world) remove(b dfs.Block) {
	delete(w.facts, b.ID)
	w.m.Removed(w.now, []dfs.Block{b})
}

// locs gives the UUIDs of the nodes that a block is found on, sorted.
func (w *world) locs(id dfs.BlockID) []string {
	locs, corrupt := w.m.Locate(nil, id, netip.Addr{})
	list := []string{}
	for _, l := range locs {
		list = append(list, l.Node.UUID)
	}
	slices.Sort(list)
	if corrupt {
		list = append(list, "corrupt")
	}
	return list
}

// holders gives the nodes that really have a good replica.
func (w *world) holders(b dfs.Block) (list []*fakeNode) {
	for _, n := range w.nodes {
		for _, disk := range n.disks {
			if r, ok := disk[b.ID]; ok && r.Block == b && r.State == dfs.ReplicaFinalized {
				list = append(list, n)
			}
		}
	}
	return list
}

// check recounts everything the Manager counts, the slow way.
func (w *world) check() {
	m := w.m
	var counts [QueueLevels]int64
	var total, safe, excess, used int64
	perStorage := map[*storage]int64{}
	unseen := map[*storage]int64{}
	for i := range m.table.pages {
		if m.table.pages[i] == nil {
			continue
		}
		for j := range m.table.pages[i].records {
			r := &m.table.pages[i].records[j]
			if r.flags&flagUsed == 0 {
				require.Zero(w.t, *r)
				continue
			}
			used++
			id := dfs.FirstBlockID + dfs.BlockID(i*pageSize+j)
			seen := map[slot]bool{}
			bad := 0
			for _, sl := range m.table.all(nil, r) {
				require.False(w.t, seen[sl&slotStorage], "a volume stands twice")
				seen[sl&slotStorage] = true
				s := m.at(sl)
				require.NotNil(w.t, s)
				perStorage[s]++
				total++
				if sl&slotEpoch != s.full.epoch {
					unseen[s]++
				}
				if sl&slotExcess != 0 {
					excess++
				}
				if sl&slotCorrupt != 0 {
					bad++
				}
			}
			require.Len(w.t, m.corrupt[id], bad)
			require.Equal(w.t, bad > 0, r.flags&flagCorrupt != 0)
			if r.flags&flagSafe != 0 {
				safe++
				if f, ok := w.facts[id]; ok { // else its removal has not been told yet
					require.Equal(w.t, Complete, f.State)
				}
			}
			require.Equal(w.t, m.open[id] != nil, r.flags&flagOpen != 0)
			require.Equal(w.t, m.repairs[id] != nil, r.flags&flagRepair != 0)
			if level := int(r.flags&flagLevel) - 1; level >= 0 {
				counts[level]++
			}
		}
	}
	require.Equal(w.t, counts, m.counts)
	require.Equal(w.t, []int64{total, safe, excess, used}, []int64{m.total, m.safe, m.excess, m.table.used})
	dirty := 0
	for _, s := range m.storages {
		if s == nil {
			continue
		}
		require.Equal(w.t, perStorage[s], s.blocks)
		if !s.gone {
			require.Equal(w.t, unseen[s], s.full.old)
		}
		if s.gone || s.full.sweeping {
			dirty++
		}
	}
	require.Equal(w.t, dirty, m.dirty)
	transfers := map[*node]int{}
	for _, p := range m.repairs {
		transfers[p.source]++
	}
	var removals int64
	for _, n := range m.nodes {
		require.Equal(w.t, transfers[n], n.transfers, n.id.UUID)
		removals += int64(n.removals.len())
	}
	require.Equal(w.t, removals, m.removals)
}

func one(t *testing.T, list []Command, kind CommandKind) Command {
	t.Helper()
	require.Len(t, list, 1)
	require.Equal(t, kind, list[0].Kind)
	return list[0]
}
