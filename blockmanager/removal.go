package blockmanager

import (
	"slices"

	"redoubt/dfs"
)

// removal is a replica to be removed from a node, 16 bytes. known says that the block is
// one of a file and that the record's slot must still say so when the order goes out.
type removal struct {
	id    dfs.BlockID
	stamp uint64 // generation stamp; the highest bit: known
}

const removalKnown = 1 << 63

// discard queues the removal of a replica.
func (m *Manager) discard(s *storage, id dfs.BlockID, stamp dfs.GenStamp, known bool) {
	if s.gone {
		return
	}
	r := removal{id: id, stamp: uint64(stamp) &^ removalKnown}
	if known {
		r.stamp |= removalKnown
	}
	s.node.removals.push(r)
	m.removals++
}

// condemn chooses a replica of a block for removal.
func (m *Manager) condemn(id dfs.BlockID, sl *slot, stamp dfs.GenStamp) {
	if *sl&slotExcess != 0 {
		return
	}
	*sl |= slotExcess
	m.excess++
	m.discard(m.at(*sl), id, stamp, true)
}

// keepExcess takes back the choice of replicas whose removal has not been ordered.
func (m *Manager) keepExcess(id dfs.BlockID, r *record) (kept bool) {
	var buf scratch
	for _, c := range m.table.all(buf[:0], r) {
		sl := m.table.find(r, c&slotStorage)
		if *sl&(slotExcess|slotSent|slotCorrupt) == slotExcess {
			*sl &^= slotExcess
			m.excess--
			kept = true
		}
	}
	return kept
}

// spareSlot takes back the choice of one replica.
func (m *Manager) spareSlot(id dfs.BlockID, sl *slot) {
	*sl &^= slotExcess
	m.excess--
	m.stir(id)
}

// dropCorrupt orders the removal of a block's damaged and stale replicas.
func (m *Manager) dropCorrupt(id dfs.BlockID, r *record) {
	f, ok := m.src.Block(id)
	if m.idle() || !ok {
		return
	}
	var buf scratch
	all := m.table.all(buf[:0], r)
	for _, b := range m.corrupt[id] {
		if b.stamp == f.GenStamp && m.doubled(all, b.storage.node) {
			continue // an order names the block, not the volume: it would cost the good one
		}
		if sl := m.table.find(r, b.storage.num); sl != nil && !b.storage.gone {
			m.condemn(id, sl, b.stamp)
		}
	}
}

// allStale reports whether none of a block's unusable replicas is damaged: the stale ones
// can go as soon as there is a good one.
func (m *Manager) allStale(id dfs.BlockID) bool {
	for _, b := range m.corrupt[id] {
		if !b.stale {
			return false
		}
	}
	return true
}

// dropExcess chooses which replicas go when there are too many: from racks that keep
// another one, of a medium that the policy does not ask for, from the fullest volume. hint, if not nil, goes before the others where racks
// allow it.
func (m *Manager) dropExcess(id dfs.BlockID, r *record, f Facts, t tally, hint *node) {
	if m.idle() || t.unreported {
		return
	}
	var buf scratch
	var good []slot
	all := m.table.all(buf[:0], r)
	for i, sl := range all {
		s := m.at(sl)
		if s.gone || sl&(slotExcess|slotCorrupt) != 0 || !s.node.inService() {
			continue
		}
		if m.doubled(all[:i], s.node) {
			continue // an order names the block, not the volume: it would cost both
		}
		good = append(good, sl)
	}
	for want := int(f.Replication); len(good) > want && len(good) > 1; {
		i := m.leastUseful(good, f, hint)
		m.condemn(id, m.table.find(r, good[i]&slotStorage), f.GenStamp)
		good = append(good[:i], good[i+1:]...)
	}
}

// leastUseful picks the replica whose loss hurts least.
func (m *Manager) leastUseful(good []slot, f Facts, hint *node) int {
	racks := map[*rack]int{}
	media := map[dfs.StorageType]int{}
	for _, sl := range good {
		s := m.at(sl)
		racks[s.node.rack]++
		media[s.report.Type]++
	}
	for _, t := range wantedTypes(f.Policy, len(good)-1) {
		media[t]--
	}
	best, bestScore := 0, -1.0
	for i, sl := range good {
		s := m.at(sl)
		score := 0.0 // the higher the better to lose
		if racks[s.node.rack] > 1 || len(racks) > 2 {
			score += 8
		}
		if media[s.report.Type] > 0 {
			score += 4
		}
		if s.node == hint {
			score += 2
		}
		if s.report.Capacity > 0 {
			score += 1 - float64(s.report.Remaining)/float64(s.report.Capacity)
		}
		if score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// moved ends a balancing move: a replica came to a new node, so that the hinted one can go.
func (m *Manager) moved(id dfs.BlockID, hint string) {
	n, r := m.nodes[hint], m.table.get(id)
	f, ok := m.facts(id)
	if n == nil || r == nil || !ok || f.State != Complete || m.startup {
		return
	}
	if f.Group != 0 {
		m.hint = n
		m.evaluate(id)
		m.hint = nil
		return
	}
	// The choice made without the hint, by reportOne just before, is taken back if it can be.
	m.keepExcess(id, r)
	if t := m.count(id, r); t.live > int(f.Replication) {
		m.dropExcess(id, r, f, t, n)
	}
}

// orders takes out what a node is to do now.
func (m *Manager) orders(n *node) []Command {
	var list []Command
	if n.ask && !m.startup {
		n.ask = false
		list = append(list, Command{Kind: Report, NewLength: -1})
	}
	kept := n.orders[:0]
	for _, c := range n.orders {
		if (c.Kind == Transfer || c.Kind == Move || c.Kind == Fold) && m.idle() {
			kept = append(kept, c)
		} else {
			list = append(list, c)
		}
	}
	n.orders = slices.Delete(n.orders, len(kept), len(n.orders))
	return m.withRemovals(list, n)
}

func (m *Manager) withRemovals(list []Command, n *node) []Command {
	if m.idle() {
		return list
	}
	c := Command{Kind: Invalidate, NewLength: -1}
	m.effort = 0
	for left := min(n.removals.len(), 4*m.cfg.Repair.InvalidateLimit); left > 0 && len(c.Blocks) < m.cfg.Repair.InvalidateLimit && m.effort < removalEffort; left-- {
		r := n.removals.pop()
		b, ok, later := m.stillToRemove(n, r)
		if later {
			n.removals.push(r)
			continue
		}
		m.removals--
		if ok {
			c.Blocks = append(c.Blocks, b)
		}
	}
	if len(c.Blocks) > 0 {
		list = append(list, c)
	}
	return list
}

// removalEffort bounds the groups that are looked at for the removals of one heartbeat.
const removalEffort = 256

// stillToRemove looks again whether a replica must go, now that the order would be given, or
// whether to ask later.
func (m *Manager) stillToRemove(n *node, q removal) (b dfs.Block, ok, later bool) {
	b = dfs.Block{ID: q.id, GenStamp: dfs.GenStamp(q.stamp &^ removalKnown)}
	if q.stamp&removalKnown == 0 {
		f, ok := m.src.Block(q.id)
		return b, !ok || f.State == Complete && f.GenStamp > b.GenStamp, false
	}
	r := m.table.get(q.id)
	if r == nil {
		return b, false, false
	}
	for _, s := range n.storages {
		sl := m.table.find(r, s.num)
		if sl == nil || *sl&(slotExcess|slotSent) != slotExcess {
			continue
		}
		if *sl&slotCorrupt == 0 {
			switch ok, later := m.mayRemove(q.id, r, n); {
			case later:
				return b, false, true
			case !ok:
				m.spareSlot(q.id, sl)
				return b, false, false
			}
		}
		*sl |= slotSent
		// Its stamp may be another one than when it was chosen.
		if bad, ok := m.bad(q.id, s); ok {
			b.GenStamp = bad.stamp
		} else if f, ok := m.src.Block(q.id); ok {
			b.GenStamp = f.GenStamp
		}
		return b, true, false
	}
	return b, false, false
}
