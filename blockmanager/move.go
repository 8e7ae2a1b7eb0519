package blockmanager

import (
	"math"
	"slices"
	"time"

	"redoubt/dfs"
)

// mover is what is to be done about replicas on other media than their policy asks for.
// Blocks get in by Satisfy only: that a policy has changed moves nothing by itself.
type mover struct {
	blocks  map[dfs.BlockID]*misplaced
	queue   ring[dfs.BlockID] // of blocks
	tickets map[uint64]Asked  // blocks by who asked for them
	due     time.Time         // the next look at the queue
	moved   int64
	failed  int64
}

// misplaced is a block whose replicas are to change their media.
type misplaced struct {
	ticket uint64
	left   int       // replicas to be moved when it was last looked at
	tries  int       // moves that came to nothing since there were fewer
	waits  int       // pauses in which something else had to be done first
	next   time.Time // not looked at before
}

// How moves are tried: they come after all repair, and those that can't be done are given
// up, as HDFS does (dfs.storage.policy.satisfier.retry.max.attempts).
const (
	moveTries = 3
	moveLooks = 256 // entries of the queue that one round looks at
	moveWaits = 40  // pauses until others have made good what the block lacks
	movePause = 10  // rounds until a block is looked at again that could not be moved
)

// Asked is how far it is with the blocks that Satisfy was asked for under a ticket.
type Asked struct {
	Waiting int64 // blocks
	Failed  int64 // blocks that were given up
}

// MoveStats counts what Satisfy has asked for.
type MoveStats struct {
	Waiting int64 // blocks with replicas to be moved
	Done    int64 // replicas that were moved
	Failed  int64 // blocks that were given up
}

// Satisfy has a block looked at again under its present storage policy, and its replicas
// moved to the media that the policy asks for; Asked counts it until that is done.
func (m *Manager) Satisfy(now time.Time, id dfs.BlockID, ticket uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	m.evaluate(id)
	if f, ok := m.facts(id); ok && f.Kind == dfs.BlockOfFile && m.mover.blocks[id] == nil {
		r := m.table.get(id)
		surplus, missing := m.mismatch(r, f)
		if f.State != Complete || len(surplus) > 0 && len(missing) > 0 || !m.fullyReported() {
			m.mover.blocks[id] = &misplaced{ticket: ticket, left: math.MaxInt}
			a := m.mover.tickets[ticket]
			a.Waiting++
			m.mover.tickets[ticket] = a
			m.mover.queue.push(id)
		}
	}
	m.tidyID(id)
}

// Asked tells how far it is with a ticket's blocks.
func (m *Manager) Asked(ticket uint64) Asked {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mover.tickets[ticket]
}

// Served forgets a ticket, of which no block waits any more.
func (m *Manager) Served(ticket uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mover.tickets, ticket)
}

func (m *Manager) moveStats() MoveStats {
	return MoveStats{Waiting: int64(len(m.mover.blocks)), Done: m.mover.moved, Failed: m.mover.failed}
}

// dropMove forgets what was asked for about a block.
func (m *Manager) dropMove(id dfs.BlockID) {
	p := m.mover.blocks[id]
	if p == nil {
		return
	}
	delete(m.mover.blocks, id)
	a := m.mover.tickets[p.ticket]
	a.Waiting--
	m.mover.tickets[p.ticket] = a
}

// giveUp is dropMove for a block that can't be kept as its policy says.
func (m *Manager) giveUp(id dfs.BlockID, p *misplaced) {
	m.mover.failed++
	a := m.mover.tickets[p.ticket]
	a.Failed++
	m.mover.tickets[p.ticket] = a
	m.dropMove(id)
}

// mismatch gives the volumes that hold good replicas on media that a block's policy does
// not ask for, and the media that it asks for instead.
func (m *Manager) mismatch(r *record, f Facts) (surplus []*storage, missing []dfs.StorageType) {
	missing = wantedTypes(f.Policy, int(f.Replication))
	var buf scratch
	all := m.table.all(buf[:0], r)
	for i, sl := range all {
		s := m.at(sl)
		if s.gone || sl&(slotExcess|slotCorrupt) != 0 || !s.node.inService() || m.doubled(all[:i], s.node) {
			continue
		}
		if k := slices.Index(missing, s.report.Type); k >= 0 {
			missing = slices.Delete(missing, k, k+1)
		} else {
			surplus = append(surplus, s)
		}
	}
	fixed := func(t dfs.StorageType) bool { return t == dfs.StorageRAMDisk }
	surplus = slices.DeleteFunc(surplus, func(s *storage) bool { return fixed(s.report.Type) })
	missing = slices.DeleteFunc(missing, fixed)
	return surplus, missing
}

// moveSome orders moves, at most as many at a time as a round of repair orders copies.
func (m *Manager) moveSome(now time.Time) {
	q := &m.mover.queue
	work := len(m.live) * m.cfg.Repair.WorkMultiplier
	for look := min(q.len(), moveLooks); look > 0 && work > 0; look-- {
		id := q.pop()
		p := m.mover.blocks[id]
		switch {
		case p == nil:
			continue // its file is gone
		case now.Before(p.next):
		case m.moveOne(now, id, p):
			work--
		}
		if m.mover.blocks[id] != nil {
			q.push(id)
		}
		m.tidyID(id)
	}
}

// moveOne looks at a block that waits. It is true when a move was ordered.
func (m *Manager) moveOne(now time.Time, id dfs.BlockID, p *misplaced) bool {
	f, ok := m.facts(id)
	r := m.table.get(id)
	switch {
	case !ok || f.Kind != dfs.BlockOfFile:
		m.dropMove(id)
		return false
	case f.State != Complete || r == nil || r.flags&(flagRepair|flagOpen) != 0:
		return false // it is written to, or on its way
	}
	surplus, missing := m.mismatch(r, f)
	left := min(len(surplus), len(missing))
	if left < p.left {
		p.tries = 0
	}
	p.left = left
	if p.left == 0 && m.fullyReported() {
		m.dropMove(id)
		return false
	}
	p.next = now.Add(movePause * m.cfg.Repair.Interval)
	v, ready := m.ready(id, r, f)
	switch {
	case !ready && p.waits == moveWaits || p.tries == moveTries:
		m.giveUp(id, p)
		return false
	case !ready:
		p.waits++
		return false
	}
	if m.orderMove(now, id, r, f, v, surplus, missing) {
		p.next = now
		p.tries++
		return true
	}
	if m.busy(surplus) {
		p.next = now
	} else {
		p.tries++ // there is no place, and nobody who would make one soon
	}
	return false
}

// ready reports whether a block lacks nothing else, so that a replica may be moved; repair
// comes first, and chooses the media that are asked for. Of a block of a group it gives the view.
func (m *Manager) ready(id dfs.BlockID, r *record, f Facts) (*view, bool) {
	if !m.fullyReported() {
		return nil, false
	}
	if f.Group != 0 {
		v := new(view)
		return v, m.look(v, f.Group) && m.steady(v, id, f)
	}
	t := m.count(id, r)
	return nil, t.live == int(f.Replication) && t.pending == 0 && m.danger(f, t) == levelNone
}

// steady reports whether a member may be moved now: its group lacks nothing and nobody is
// about to change it.
func (m *Manager) steady(v *view, id dfs.BlockID, f Facts) bool {
	i := v.index(id)
	d := m.duties[f.Group]
	return i > 0 && parityOf(f.Policy) > 0 && !v.blocks[i].leaving && v.blocks[i].live == 1 && v.whole() && (d == nil || !d.busy)
}

// busy reports whether the nodes of some volumes have their hands full.
func (m *Manager) busy(list []*storage) bool {
	return slices.ContainsFunc(list, func(s *storage) bool { return s.node.transfers >= m.cfg.Repair.MaxStreams })
}

// orderMove has one replica moved: to another volume of its datanode if there is one of the
// medium, else to another datanode.
func (m *Manager) orderMove(now time.Time, id dfs.BlockID, r *record, f Facts, v *view, surplus []*storage, missing []dfs.StorageType) bool {
	p := m.placing(now, f.Length, f.Policy)
	p.repair = true
	c := Command{Kind: Move, Block: dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}, NewLength: -1}
	for _, s := range surplus {
		for _, t := range slices.Compact(slices.Clone(missing)) {
			if !s.node.can.moves || s.node.transfers >= m.cfg.Repair.MaxStreams {
				continue
			}
			if to := p.volume(s.node, t); to != nil && m.alone(r, s) {
				m.begin(now, id, r, s.node, []*storage{to}, c)
				return true
			}
		}
	}
	source := m.source(now, r, DangerLow)
	if source == nil {
		return false
	}
	for _, s := range surplus {
		for _, t := range slices.Compact(slices.Clone(missing)) {
			if to := m.moveTarget(now, p, r, v, s, t); to != nil {
				m.begin(now, id, r, source, []*storage{to}, c)
				m.repairs[id].instead = s.node
				return true
			}
		}
	}
	return false
}

// alone reports whether a volume is the only one of its node that has anything of a block.
func (m *Manager) alone(r *record, s *storage) bool {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if o := m.at(sl); o != s && o.node == s.node {
			return false
		}
	}
	return true
}

// moveTarget picks a volume of a medium on another node for a replica that is to leave s: on
// the rack of s if it can be, and never so that the block, or its group, stands on
// fewer racks or nodes than before.
func (m *Manager) moveTarget(now time.Time, p *placing, r *record, v *view, s *storage, t dfs.StorageType) (best *storage) {
	var bestScore [3]int
	start := 0
	if len(m.live) > 0 {
		start = m.rng.IntN(len(m.live))
	}
	for k := range m.live {
		n := m.live[(start+k)%len(m.live)]
		if !n.inService() || m.has(r, n) || !m.keepsRacks(r, s, n) || v != nil && m.crowds(v, r, n) {
			continue
		}
		to := p.volume(n, t)
		if to == nil {
			continue
		}
		score := [3]int{0, 0, n.transfers}
		if m.stale(n, now) {
			score[0] = 1
		}
		if n.rack != s.node.rack {
			score[1] = 1
		}
		if best == nil || slices.Compare(score[:], bestScore[:]) < 0 {
			best, bestScore = to, score
		}
	}
	return best
}

// keepsRacks reports whether a block stands on as many racks, two being enough, when its
// replica on s has gone to a node.
func (m *Manager) keepsRacks(r *record, s *storage, to *node) bool {
	before, after := map[*rack]bool{}, map[*rack]bool{to.rack: true}
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		o := m.at(sl)
		if o.gone || sl&(slotCorrupt|slotExcess) != 0 || !o.node.inService() {
			continue
		}
		before[o.node.rack] = true
		if o.node != s.node {
			after[o.node.rack] = true
		}
	}
	return len(after) >= min(2, len(before))
}

// crowds reports whether a block of a group would meet another one of it on a node, or on a
// rack where each block has its own.
func (m *Manager) crowds(v *view, r *record, n *node) bool {
	i := slices.IndexFunc(v.blocks[:v.n], func(b viewed) bool { return b.r == r })
	return i < 0 || m.blocked(v, i, n) || m.liveRacks >= v.n && m.rackmates(v, i, n) > 0
}

// MayTake tells why a replica of a block should not come to a datanode in a balancer's move,
// nil if it may. Should it come all the same, nothing is lost: of a block's replicas only
// those go that it and its group can do without.
func (m *Manager) MayTake(b dfs.Block, uuid string) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	no := func(why string) error {
		return dfs.Errorf(dfs.IllegalState, "%v may not come to datanode %s: %s", b, uuid, why)
	}
	n, r := m.nodes[uuid], m.table.get(b.ID)
	f, ok := m.facts(b.ID)
	var v view
	switch {
	case n == nil || !n.inService():
		return no("it is not in service")
	case !ok || r == nil || f.GenStamp != b.GenStamp:
		return no("there is no such block")
	case f.State != Complete || r.flags&flagOpen != 0:
		return no("it is being written")
	case m.has(r, n):
		return no("it has a replica of it")
	case f.Group != 0 && !m.look(&v, f.Group):
		return no("its parity group is not known")
	case f.Group != 0 && !v.whole():
		return no("its parity group lacks something")
	case f.Group != 0 && m.crowds(&v, r, n):
		return no("another block of its parity group stands there")
	}
	return nil
}
