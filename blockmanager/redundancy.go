package blockmanager

import (
	"time"

	"redoubt/dfs"
)

// levelNone is the queue of blocks that lack nothing.
const levelNone = -1

// tally is what a block's replicas amount to.
type tally struct {
	live        int // good and in service, one a node
	draining    int // good, on nodes being decommissioned or decommissioned
	maintenance int // good, on nodes in or entering maintenance
	corrupt     int
	excess      int
	pending     int // copies under way, and pipelines still to report
	racks       int // of the live ones; 2 stands for more
	unreported  bool
}

// count looks at all replicas of a block.
func (m *Manager) count(id dfs.BlockID, r *record) (t tally) {
	if r == nil {
		return t
	}
	var buf scratch
	slots := m.table.all(buf[:0], r)
	var first *rack
	for i, sl := range slots {
		s := m.at(sl)
		n := s.node
		if s.gone {
			continue
		}
		t.unreported = t.unreported || !s.full.complete
		switch {
		case sl&slotExcess != 0:
			t.excess++
		case sl&slotCorrupt != 0:
			t.corrupt++
		case n.draining():
			t.draining++
		case n.maintained():
			t.maintenance++
		case !n.alive:
		case m.doubled(slots[:i], n): // a second one on a node does not count
		default:
			t.live++
			if first == nil {
				first, t.racks = n.rack, 1
			} else if n.rack != first {
				t.racks = 2
			}
		}
	}
	t.pending = m.pending(id, r)
	return t
}

func (m *Manager) doubled(before []slot, n *node) bool {
	for _, sl := range before {
		if sl&(slotExcess|slotCorrupt) == 0 && m.at(sl).node == n {
			return true
		}
	}
	return false
}

// pending counts replicas that are on their way.
func (m *Manager) pending(id dfs.BlockID, r *record) (n int) {
	if r.flags&flagRepair != 0 {
		n += len(m.repairs[id].targets)
	}
	if r.flags&flagOpen != 0 {
		for _, p := range m.open[id].reps {
			if p.target && !p.storage.gone && p.storage.node.inService() {
				n++
			}
		}
	}
	return n
}

// expected is how many live replicas a block needs. Those in maintenance will be back,
// so that only the minimum has to be there meanwhile.
func (m *Manager) expected(f Facts, t tally) int {
	want := int(f.Replication)
	if t.maintenance > 0 {
		want = max(want-t.maintenance, min(want, m.cfg.MaintenanceMin))
	}
	return want
}

// enoughRacks reports whether replicas are spread as far as they should be.
func (m *Manager) enoughRacks(f Facts, t tally) bool {
	return m.liveRacks < 2 || f.Replication < 2 || t.racks >= 2 || t.live+t.maintenance < 2
}

// danger gives the repair queue that a block belongs in.
func (m *Manager) danger(f Facts, t tally) int {
	want := m.expected(f, t)
	readable := t.draining + t.maintenance
	if t.live == 0 && readable == 0 && want > 0 {
		return DangerMissing
	}
	if t.live+t.pending >= want {
		if t.pending == 0 && !m.enoughRacks(f, t) {
			return DangerRacks
		}
		return levelNone
	}
	switch {
	case t.live <= 1:
		return DangerHighest
	case t.live*3 < want:
		return DangerVeryLow
	}
	return DangerLow
}

// evaluate puts a block where it belongs: in a repair queue or in none; and gets rid of
// replicas beyond what is wanted and of damaged ones that good ones have replaced.
func (m *Manager) evaluate(id dfs.BlockID) {
	if m.startup {
		return
	}
	r := m.table.get(id)
	f, ok := m.facts(id)
	if !ok || f.State != Complete {
		if r != nil {
			m.setLevel(id, r, levelNone, false)
		}
		return
	}
	if r != nil {
		m.catchUp(id, r, f)
		m.setKind(id, r, f)
	}
	if f.Group != 0 {
		var v view
		m.effort++
		if m.look(&v, f.Group) {
			if i := v.index(id); i >= 0 {
				m.evaluateGrouped(id, r, f, &v, i)
				m.attend(&v)
			}
		}
		return
	}
	t := m.count(id, r)
	level := m.danger(f, t)
	if r == nil {
		if level == levelNone {
			return
		}
		r = m.table.make(id)
	}
	m.setLevel(id, r, level, f.Replication == 1)
	want := m.expected(f, t)
	if t.live < want && t.excess > 0 && m.keepExcess(id, r) {
		m.evaluate(id) // they are needed after all
		return
	}
	if t.live > int(f.Replication) { // one in maintenance does not make another one superfluous
		m.dropExcess(id, r, f, t, nil)
	}
	if t.corrupt > 0 && (t.live >= want || t.live >= m.cfg.MinReplication && m.allStale(id)) && t.live > 0 {
		m.dropCorrupt(id, r)
	}
	if parityOf(f.Policy) == 0 {
		m.land(id, r)
	} else if level == levelNone && t.live > 1 && t.pending == 0 {
		m.candidate(id, r, f)
	}
}

// setLevel moves a block to a repair queue.
func (m *Manager) setLevel(id dfs.BlockID, r *record, level int, lonely bool) {
	was := int(r.flags&flagLevel) - 1
	if was != level {
		if was != levelNone {
			m.counts[was]--
		}
		if was == DangerMissing && r.flags&flagLonely != 0 {
			m.lonely--
		}
		r.flags = r.flags&^(flagLevel|flagLonely) | uint32(level+1)
		if level != levelNone {
			m.counts[level]++
		}
		if level == DangerMissing && lonely {
			r.flags |= flagLonely
			m.lonely++
		}
	}
	if level >= 0 && level < DangerMissing && r.flags&(flagQueued<<level) == 0 {
		r.flags |= flagQueued << level
		m.levels[level].push(id)
	}
}

// Changed tells that a block's replication or policy is another one now.
func (m *Manager) Changed(now time.Time, id dfs.BlockID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	m.evaluate(id)
	m.tidyID(id)
}

// Missing lists, in order of id, up to max complete blocks above after that have no good
// replica.
func (m *Manager) Missing(after dfs.BlockID, max int) []dfs.BlockID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []dfs.BlockID
	if m.counts[DangerMissing] == 0 {
		return nil
	}
	if after < dfs.FirstBlockID {
		after = dfs.FirstBlockID - 1
	}
	for i := uint64(after + 1 - dfs.FirstBlockID); i>>pageBits < uint64(len(m.table.pages)) && len(list) < max; {
		p := m.table.pages[i>>pageBits]
		if p == nil {
			i = (i>>pageBits + 1) << pageBits
			continue
		}
		if int(p.records[i&(pageSize-1)].flags&flagLevel)-1 == DangerMissing {
			list = append(list, dfs.FirstBlockID+dfs.BlockID(i))
		}
		i++
	}
	return list
}
