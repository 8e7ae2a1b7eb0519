package blockmanager

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/raid"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// raidWorld is a world with parity groups whose blocks have bytes. Everything between name
// node and datanodes is a step of its own: orders wait in inboxes, answers and log records
// under way can be overtaken by anything, and a name node that starts anew knows of none.
type raidWorld struct {
	*world
	truth   map[dfs.BlockID][]byte
	acked   map[dfs.BlockID]bool
	damaged map[string]bool // "node block"
	inbox   map[*fakeNode][]Command
	steps   []step // messages and log records under way, oldest first
	cfg     Config
	// hurt: a failure has happened and not been made good yet.
	hurt   bool
	silent time.Time   // until then a death can't be known
	refuse func() bool // a log record is refused
	trace  []string
}

type step struct {
	name string
	run  func()
}

var raidConfig = Config{Seed: 1, Liveness: Liveness{MaxPause: time.Hour, Recheck: time.Second, Stale: 10 * time.Second},
	Repair: Repairing{PendingTimeout: time.Minute, DrainInterval: 6 * time.Second}, Parity: Folding{Idle: 10 * time.Second, Retry: 5 * time.Second, Hold: 20 * time.Second}}

func newRaidWorld(t require.TestingT, nodes int, racks ...string) *raidWorld {
	w := &raidWorld{world: newWorld(t, raidConfig), truth: map[dfs.BlockID][]byte{}, acked: map[dfs.BlockID]bool{},
		damaged: map[string]bool{}, inbox: map[*fakeNode][]Command{}, cfg: raidConfig}
	for i := range nodes {
		rack := ""
		if len(racks) > 0 {
			rack = racks[i%len(racks)]
		}
		w.addNode(rack, 1)
	}
	w.mute, w.starting, w.started = true, w.finishRemovals, w.found
	w.m.SetStartup(w.now, false)
	w.tick()
	return w
}

// finishRemovals has a node carry out the removals it was ordered before it registers: what
// it reports then is what it goes on to have.
func (w *raidWorld) finishRemovals(n *fakeNode) {
	w.inbox[n] = slices.DeleteFunc(w.inbox[n], func(c Command) bool {
		for _, b := range c.Blocks {
			for _, disk := range n.disks {
				if disk[b.ID].Block.GenStamp == b.GenStamp {
					w.note("%s removes %d, late", n.reg.Node.UUID, b.ID)
					delete(disk, b.ID)
				}
			}
		}
		return c.Kind == Invalidate
	})
}

// found tells again what is damaged on a node that has started: its scrub finds it.
func (w *raidWorld) found(n *fakeNode) {
	for id, f := range w.facts {
		if w.damaged[key(n, id)] {
			w.m.BadReplica(w.now, dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}, n.reg.Node.UUID, "")
		}
	}
}

func key(n *fakeNode, id dfs.BlockID) string { return fmt.Sprint(n.reg.Node.UUID, " ", id) }

func (w *raidWorld) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%s ", w.now.Format("04:05"))+fmt.Sprintf(format, args...))
}

// good reports whether a node really has a good replica.
func (w *raidWorld) good(n *fakeNode, id dfs.BlockID) bool {
	f, ok := w.facts[id]
	if !n.up || !ok || w.damaged[key(n, id)] {
		return false
	}
	for _, disk := range n.disks {
		if r, has := disk[id]; has && r.State == dfs.ReplicaFinalized && r.Block.GenStamp == f.GenStamp && r.Block.Length == f.Length {
			return true
		}
	}
	return false
}

// masks gives, for every block, the nodes that really have a good replica, as bits.
func (w *raidWorld) masks() map[dfs.BlockID]uint64 {
	all := make(map[dfs.BlockID]uint64, len(w.facts))
	for i, n := range w.nodes {
		if !n.up {
			continue
		}
		for _, disk := range n.disks {
			for id, r := range disk {
				f, ok := w.facts[id]
				if ok && r.State == dfs.ReplicaFinalized && r.Block.GenStamp == f.GenStamp && r.Block.Length == f.Length && (len(w.damaged) == 0 || !w.damaged[key(n, id)]) {
					all[id] |= 1 << i
				}
			}
		}
	}
	return all
}

// readable reports whether a block's bytes can be had from the nodes that are not among
// without: from a replica, or from the rest of its group.
func (w *raidWorld) readable(masks map[dfs.BlockID]uint64, id dfs.BlockID, without uint64) bool {
	if masks[id]&^without != 0 {
		return true
	}
	g, ok := w.groups[w.facts[id].Group]
	if !ok || masks[g.Parity.ID]&^without == 0 {
		return false
	}
	for _, p := range g.Members {
		if p.Block.ID != id && masks[p.Block.ID]&^without == 0 {
			return false
		}
	}
	return true
}

// judge is what must hold after every step: no acknowledged block is unreadable; and unless
// a failure is still being made good, none would be with any one node fewer.
func (w *raidWorld) judge() {
	masks := w.masks()
	robust := true
	for id := range w.acked {
		if !w.readable(masks, id, 0) {
			w.fail("%v can't be read", id)
		}
		for i, n := range w.nodes {
			if !w.readable(masks, id, 1<<i) {
				if robust = false; !w.hurt {
					w.fail("%v (group %v) would be lost with %s", id, w.facts[id].Group, n.reg.Node.UUID)
				}
			}
		}
	}
	if robust {
		w.hurt = w.hurt && (w.now.Before(w.silent) || w.removing())
	}
}

// removing reports whether removals have been ordered and not been carried out.
func (w *raidWorld) removing() bool {
	for _, list := range w.inbox {
		if slices.ContainsFunc(list, func(c Command) bool { return c.Kind == Invalidate }) {
			return true
		}
	}
	return false
}

func (w *raidWorld) fail(format string, args ...any) {
	for _, line := range w.trace[max(0, len(w.trace)-200):] {
		fmt.Println(line)
	}
	fmt.Printf(format+"\n", args...)
	require.Fail(w.t, fmt.Sprintf(format, args...))
}

// write makes an acknowledged block under a policy by a full pipeline; 0 if it can't.
func (w *raidWorld) write(policy uint8, replication, size int, writer *fakeNode) dfs.BlockID {
	count := replication
	if dfs.ParityData(policy) > 0 {
		count = 2
	}
	r := &PlaceRequest{Count: count, Size: testBlock, Policy: policy}
	if writer != nil {
		r.Writer = netip.MustParseAddr(writer.reg.Node.IP)
	}
	targets := w.m.Choose(r)
	w.last++
	w.stamp++
	b := dfs.Block{ID: w.last, GenStamp: w.stamp, Length: int64(size)}
	if len(targets) < min(2, count) || slices.ContainsFunc(targets, func(t Target) bool { return !w.node(t.Node.UUID).up }) {
		return 0
	}
	w.facts[b.ID] = Facts{GenStamp: b.GenStamp, Replication: uint16(replication), Policy: policy, State: Building}
	w.m.Allocated(w.now, b, targets)
	w.truth[b.ID] = make([]byte, size)
	for i := range w.truth[b.ID] {
		w.truth[b.ID][i] = byte(int(b.ID)*31 + i*7 + i*i + 1)
	}
	for _, t := range targets {
		w.put(w.node(t.Node.UUID), t.Storage, b)
		w.tell(w.node(t.Node.UUID), t.Storage, Received, b)
	}
	w.complete(b)
	w.acked[b.ID] = true
	w.note("write %d len %d policy %d on %v", b.ID, size, policy, names(targets))
	return b.ID
}

func names(targets []Target) (list []string) {
	for _, t := range targets {
		list = append(list, t.Node.UUID)
	}
	return list
}

func (w *raidWorld) put(n *fakeNode, volume string, b dfs.Block) {
	n.disks[volume][b.ID] = Replica{Block: b}
	delete(w.damaged, key(n, b.ID))
}

// tell sends an event; a datanode that is not registered tells it when it is.
func (w *raidWorld) tell(n *fakeNode, volume string, kind EventKind, b dfs.Block) {
	err := w.m.Incremental(w.now, n.reg.Node.UUID, []Event{{Kind: kind, Storage: volume, Block: b}})
	if err != nil {
		require.True(w.t, dfs.Is(err, dfs.UnregisteredDatanode))
		w.start(n)
	}
}

func (w *raidWorld) later(name string, run func()) { w.steps = append(w.steps, step{name, run}) }

// run does the step i of those under way.
func (w *raidWorld) run(i int) {
	s := w.steps[i]
	w.steps = slices.Delete(w.steps, i, i+1)
	w.note("%s", s.name)
	s.run()
	w.judge()
}

// beatNode is a heartbeat; its orders wait in the inbox.
func (w *raidWorld) beatNode(n *fakeNode) {
	w.inbox[n] = append(w.inbox[n], w.beat(n)...)
}

// obeyOne has a node carry out the first of its orders.
func (w *raidWorld) obeyOne(n *fakeNode) {
	if len(w.inbox[n]) == 0 || !n.up {
		return
	}
	c := w.inbox[n][0]
	w.inbox[n] = w.inbox[n][1:]
	switch c.Kind {
	case Invalidate:
		for _, b := range c.Blocks {
			for v, disk := range n.disks {
				if r, ok := disk[b.ID]; ok && r.Block.GenStamp == b.GenStamp {
					w.note("%s removes %d", n.reg.Node.UUID, b.ID)
					delete(disk, b.ID)
					delete(w.damaged, key(n, b.ID))
					w.tell(n, v, Deleted, r.Block)
				}
			}
		}
	case Transfer:
		w.copy(n, c)
	case Fold:
		w.fold(n, c)
	case Report:
		for v := range n.disks {
			w.fullReport(n, v)
		}
	}
	w.judge()
}

func (w *raidWorld) copy(n *fakeNode, c Command) {
	for _, t := range c.Targets {
		to := w.node(t.Node.UUID)
		if !w.good(n, c.Block.ID) || !to.up || to.disks[t.Storage][c.Block.ID].Block.ID != 0 {
			w.note("%s can't copy %d to %s", n.reg.Node.UUID, c.Block.ID, t.Node.UUID)
			w.tell(n, t.Storage, NotCopied, c.Block)
			continue
		}
		w.note("%s copies %d to %s", n.reg.Node.UUID, c.Block.ID, t.Node.UUID)
		w.put(to, t.Storage, c.Block)
		w.tell(to, t.Storage, Received, c.Block)
	}
}

// fold is the datanode's part: read all sources, make the block, report it, answer.
func (w *raidWorld) fold(n *fakeNode, c Command) {
	r := FoldResult{Block: c.Block, Storage: c.Targets[0].Storage}
	var parts [][]byte
	for _, s := range c.Sources {
		place := slices.IndexFunc(s.Targets, func(t Target) bool { return w.good(w.node(t.Node.UUID), s.Block.ID) })
		if place < 0 {
			r.Err = "no source of " + s.Block.String()
			break
		}
		if w.node(s.Targets[place].Node.UUID) != n {
			w.note("  reads %d from %s", s.Block.ID, s.Targets[place].Node.UUID)
		}
		data := w.truth[s.Block.ID]
		crc := crc32.Checksum(data, castagnoli)
		if s.HasCRC {
			require.Equal(w.t, s.CRC, crc)
		}
		parts = append(parts, data)
		r.Members = append(r.Members, dfs.ParityMember{Block: s.Block, CRC: crc, Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
	}
	if has, ok := n.disks[r.Storage][c.Block.ID]; ok && !w.damaged[key(n, c.Block.ID)] && r.Err == "" && has.Block != c.Block {
		r.Err = "another replica is there"
	}
	if r.Err == "" {
		longest := 0
		for _, p := range parts {
			longest = max(longest, len(p))
		}
		full := make([]byte, longest)
		require.NoError(w.t, raid.Encode(full, parts...))
		out := make([]byte, c.Block.Length)
		copy(out, full)
		r.CRC = crc32.Checksum(out, castagnoli)
		if c.Sum.HasCRC {
			require.Equal(w.t, c.Sum.CRC, r.CRC, "%v made of %v", c.Block, c.Sources)
		}
		if old, ok := w.truth[c.Block.ID]; ok {
			require.Equal(w.t, old, out, "rebuilt otherwise than it was")
		}
		w.truth[c.Block.ID] = out
		w.note("%s makes %d of %d", n.reg.Node.UUID, c.Block.ID, len(parts))
		w.put(n, r.Storage, c.Block)
		w.tell(n, r.Storage, Received, c.Block)
	} else {
		w.note("%s can't make %d: %s", n.reg.Node.UUID, c.Block.ID, r.Err)
	}
	m := w.m
	w.later(fmt.Sprintf("%s's answer about %d", n.reg.Node.UUID, c.Block.ID), func() {
		formed, ok := w.m.Folded(w.now, n.reg.Node.UUID, &r)
		if ok {
			require.Same(w.t, m, w.m)
			w.note("  is to be logged")
			w.later(fmt.Sprintf("log %d", c.Block.ID), func() { w.logGroup(m, formed) })
		}
	})
}

// logGroup is Commit as the namespace has it.
func (w *raidWorld) logGroup(m *Manager, formed Formed) {
	if m != w.m {
		return // the record was lost with the name node
	}
	g := formed.Group
	stale := w.refuse != nil && w.refuse()
	for _, p := range g.Members {
		f, ok := w.facts[p.Block.ID]
		if !ok || f.State != Complete || f.GenStamp != p.Block.GenStamp || f.Length != p.Block.Length || f.Kind != dfs.BlockOfFile || f.Group != 0 && f.Group != formed.Replaces {
			stale = true
		}
	}
	old, replaces := w.groups[formed.Replaces]
	if stale || formed.Replaces != 0 && !replaces {
		w.note("  is stale")
		w.m.FoldFailed(w.now, g.Parity.ID)
		return
	}
	c := &GroupChange{Group: g}
	if replaces {
		w.endGroup(old, g.Members, c)
	}
	for _, p := range g.Members {
		f := w.facts[p.Block.ID]
		f.Group = g.Parity.ID
		w.facts[p.Block.ID] = f
	}
	w.groups[g.Parity.ID] = g
	w.facts[g.Parity.ID] = Facts{GenStamp: g.Parity.GenStamp, Length: g.Parity.Length, State: Complete, Kind: dfs.BlockOfParity, Group: g.Parity.ID}
	w.tellGrouped(m, c)
}

func (w *raidWorld) tellGrouped(m *Manager, c *GroupChange) {
	w.later(fmt.Sprintf("group %d is told, left %v", c.Group.Parity.ID, c.Left), func() {
		if m == w.m {
			w.m.Grouped(w.now, c)
		}
	})
}

// endGroup takes a group away and what it frees; members that stay keep their group field.
func (w *raidWorld) endGroup(old dfs.ParityGroup, stay []dfs.ParityMember, c *GroupChange) {
	for _, p := range old.Members {
		if slices.ContainsFunc(stay, func(s dfs.ParityMember) bool { return s.Block.ID == p.Block.ID }) {
			continue
		}
		if p.Departed {
			delete(w.facts, p.Block.ID)
			c.Removed = append(c.Removed, p.Block)
			continue
		}
		f := w.facts[p.Block.ID]
		f.Group = 0
		w.facts[p.Block.ID] = f
		c.Left = append(c.Left, p.Block)
	}
	c.Removed = append(c.Removed, old.Parity)
	delete(w.facts, old.Parity.ID)
	delete(w.groups, old.Parity.ID)
}

// plan carries out what the Manager plans, up to the order.
func (w *raidWorld) plan() {
	m := w.m
	for _, p := range m.ParityPlans(w.now, 8) {
		w.note("plan %+v", p)
		if p.Dissolve {
			if old, ok := w.groups[p.Replaces]; ok {
				c := &GroupChange{}
				w.endGroup(old, nil, c)
				w.tellGrouped(m, c)
				w.judge()
			}
			continue
		}
		w.last++
		w.stamp++
		w.m.Fold(w.now, p, dfs.Block{ID: w.last, GenStamp: w.stamp})
	}
}

// removeFile is a file's end: a member of a group departs.
func (w *raidWorld) removeFile(id dfs.BlockID) {
	f := w.facts[id]
	b := dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}
	delete(w.acked, id)
	w.note("remove %d of group %d", id, f.Group)
	g, grouped := w.groups[f.Group]
	if !grouped {
		w.remove(b)
		return
	}
	f.Kind = dfs.BlockDeparted
	w.facts[id] = f
	departed := 0
	g.Members = slices.Clone(g.Members)
	for i := range g.Members {
		if g.Members[i].Block.ID == id {
			g.Members[i].Departed = true
		}
		if g.Members[i].Departed {
			departed++
		}
	}
	w.groups[f.Group] = g
	var gone []dfs.Block
	if departed == len(g.Members) {
		c := &GroupChange{}
		w.endGroup(g, nil, c)
		gone = c.Removed
	}
	m := w.m
	w.later(fmt.Sprintf("touched %d", g.Parity.ID), func() {
		if m == w.m {
			m.Removed(w.now, gone)
			m.Touched(w.now, []dfs.BlockID{g.Parity.ID})
		}
	})
}

func (w *raidWorld) setPolicy(id dfs.BlockID, policy uint8) {
	f := w.facts[id]
	f.Policy = policy
	w.facts[id] = f
	w.note("policy of %d is %d", id, policy)
	w.m.Satisfy(w.now, id, 1)
}

// restart starts the name node anew; the datanodes register again with their next word.
func (w *raidWorld) restart() {
	w.note("the name node starts anew")
	m, err := New(w.cfg, w)
	require.NoError(w.t, err)
	w.m = m
	for _, n := range w.nodes {
		if n.up {
			w.start(n)
		}
	}
	w.tick()
	w.m.SetStartup(w.now, false)
	w.tick()
}

// kill is a failure.
func (w *raidWorld) kill(n *fakeNode) {
	w.note("%s dies", n.reg.Node.UUID)
	n.up = false
	w.inbox[n] = nil
	w.hurt, w.silent = true, w.now.Add(w.cfg.Liveness.Stale+time.Second)
}

// revive starts a node again with what it had, or with nothing.
func (w *raidWorld) revive(n *fakeNode, empty bool) {
	w.note("%s is back, empty %v", n.reg.Node.UUID, empty)
	if empty {
		for v := range n.disks {
			n.disks[v] = map[dfs.BlockID]Replica{}
		}
	}
	w.start(n)
}

// calm lets time pass with everything going on by itself, in order.
func (w *raidWorld) calm(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(3 * time.Second)
		for _, n := range w.nodes {
			if n.up {
				w.beatNode(n)
			}
		}
		for _, n := range w.nodes {
			for n.up && len(w.inbox[n]) > 0 {
				w.obeyOne(n)
			}
		}
		for len(w.steps) > 0 {
			w.run(0)
		}
		w.tick()
		w.plan()
		w.judge()
	}
}

// places gives the nodes that have a good replica, by number.
func (w *raidWorld) places(id dfs.BlockID) (list []int) {
	for i, n := range w.nodes {
		if w.good(n, id) {
			list = append(list, i)
		}
	}
	return list
}

// describe tells where a group's blocks are and what the Manager makes of it.
func (w *raidWorld) describe(g dfs.ParityGroup) string {
	text := fmt.Sprintf("parity %d on %v", g.Parity.ID, w.places(g.Parity.ID))
	for _, p := range g.Members {
		text += fmt.Sprintf(", %d on %v departed %v", p.Block.ID, w.places(p.Block.ID), p.Departed)
	}
	var v view
	if w.m.look(&v, g.Parity.ID) {
		for i := range v.blocks[:v.n] {
			b := &v.blocks[i]
			level := -2
			if b.r != nil {
				level = int(b.r.flags&flagLevel) - 1
			}
			text += fmt.Sprintf("\n  %d live %d readable %v leaving %v level %d repair %v own %v", b.id, b.live, b.readable, b.leaving, level, w.m.repairs[b.id] != nil, b.at != nil)
		}
	}
	return text + fmt.Sprintf("\n  duty %+v, lost %d, stats %+v", w.m.duties[g.Parity.ID], v.lost, w.m.Stats(w.now).Parity)
}

// settled is what must be in the end: every block of a group has one replica, no two of a
// group share a node, nor a rack where there are enough; blocks of no group have theirs;
// nothing else is anywhere.
func (w *raidWorld) settled() {
	racks := map[string]bool{}
	for _, n := range w.nodes {
		if n.up {
			racks[n.reg.Location] = true
		}
	}
	for _, g := range w.groups {
		nodes, used := map[int]bool{}, map[string]bool{}
		ids := []dfs.BlockID{g.Parity.ID}
		for _, p := range g.Members {
			if p.Departed {
				w.fail("%v is still in %v: %s", p.Block, g.Parity, w.describe(g))
			}
			ids = append(ids, p.Block.ID)
		}
		for _, id := range ids {
			at := w.places(id)
			if len(at) != 1 || nodes[at[0]] {
				w.fail("%d of group %d stands on %v, others on %v", id, g.Parity.ID, at, nodes)
			}
			nodes[at[0]], used[w.nodes[at[0]].reg.Location] = true, true
		}
		if len(racks) >= len(ids) {
			require.Len(w.t, used, len(ids), "racks of group %d", g.Parity.ID)
		}
	}
	for id := range w.acked {
		if f := w.facts[id]; f.Group == 0 {
			want := int(f.Replication)
			if dfs.ParityData(f.Policy) > 0 {
				want = 2
			}
			if at := w.places(id); len(at) != min(want, len(w.nodes)) {
				w.fail("%d of no group stands on %v\n%s", id, at, w.queues())
			}
		} else if dfs.ParityData(f.Policy) == 0 {
			w.fail("%d is still in group %d", id, f.Group)
		}
	}
	for _, n := range w.nodes {
		for _, disk := range n.disks {
			for id := range disk {
				if _, ok := w.facts[id]; n.up && !ok {
					w.fail("%d is rubbish on %s", id, n.reg.Node.UUID)
				}
			}
		}
	}
	st := w.m.Stats(w.now)
	require.Zero(w.t, st.Blocks.LowRedundancy)
	require.Zero(w.t, st.Blocks.Excess)
	require.Zero(w.t, st.Parity.Forming)
	require.Zero(w.t, st.Parity.Degraded)
	require.Zero(w.t, st.Parity.Lost)
	require.Zero(w.t, st.Parity.Leaving)
	w.check()
}

// queues tells what waits where.
func (w *raidWorld) queues() (text string) {
	for _, h := range w.m.live {
		for _, q := range h.host.queues {
			for _, b := range q.buckets {
				text += fmt.Sprintf("%s k=%d data %s: %v, flight %d; ", h.id.UUID, q.k, b.data.id.UUID, b.ids.buf, b.flight)
			}
		}
		text += fmt.Sprintf("%s short %v after %v\n", h.id.UUID, h.host.short, h.host.after)
	}
	for id, g := range w.m.gathered {
		text += fmt.Sprintf("%d is gathered on %s\n", id, g.host.id.UUID)
	}
	return text
}
