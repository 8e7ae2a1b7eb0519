package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// repair is a copy under way.
type repair struct {
	id      dfs.BlockID
	source  *node
	targets []*storage // that have not reported yet
	since   time.Time
	kind    CommandKind // Transfer, Move; Fold: its only target makes it from the rest of its group
	instead *node       // of a Move: whose replica is to go; nil: the source's own, as it comes to another volume
	over    bool
}

// round is a walk over the repair queues, most endangered blocks first, until enough work
// is handed out.
type round struct {
	active bool
	level  int
	left   int // entries of the level still to be looked at
	work   int // blocks that may still be scheduled
}

// beginRound starts handing out repair work.
func (m *Manager) beginRound() {
	m.round = round{active: true, level: 0, work: len(m.live) * m.cfg.Repair.WorkMultiplier}
	m.round.left = m.roundShare(0)
}

// roundShare bounds the entries of a level that one round looks at, so that blocks that
// can't be repaired now do not cost more and more.
func (m *Manager) roundShare(level int) int {
	return min(m.levels[level].len(), max(1000, 20*m.round.work))
}

// continueRound does a slice of the round. It is true when there is more.
func (m *Manager) continueRound(now time.Time, budget int) bool {
	w := &m.round
	for w.active && budget > 0 {
		if w.left == 0 {
			if w.level++; w.level >= DangerMissing {
				w.active = false
				break
			}
			w.left = m.roundShare(w.level)
			continue
		}
		w.left--
		budget--
		id := m.levels[w.level].pop()
		r := m.table.get(id)
		if r == nil {
			continue
		}
		r.flags &^= flagQueued << w.level
		if int(r.flags&flagLevel)-1 != w.level {
			m.table.tidy(id, r)
			continue
		}
		if m.schedule(now, id, r, w.level) {
			if w.work--; w.work <= 0 {
				w.active = false
			}
		}
		m.evaluate(id) // stays in the queue, at its end, if it was not scheduled
	}
	return w.active
}

// schedule orders the copies that a block needs. It is false when none could be ordered.
func (m *Manager) schedule(now time.Time, id dfs.BlockID, r *record, level int) bool {
	f, ok := m.facts(id)
	if !ok || f.State != Complete || r.flags&flagRepair != 0 {
		return false
	}
	if f.Group != 0 {
		return m.scheduleGrouped(now, id, r, f, level)
	}
	t := m.count(id, r)
	if m.danger(f, t) != level {
		return false
	}
	source := m.source(now, r, level)
	if source == nil {
		return false
	}
	need := m.expected(f, t) - t.live - t.pending
	if level == DangerRacks {
		need = 1
	}
	var targets []*storage
	if m.gathering(id) != nil && t.live > 1 {
		if s := m.gatherTarget(id, r, f.Length); s != nil {
			targets = []*storage{s}
		} else {
			m.gathered[id] = gathering{until: now.Add(gatherPause)}
			return false
		}
	} else {
		targets = m.repairTargets(now, id, r, f, source, need)
	}
	if len(targets) == 0 {
		if t.corrupt > 0 && t.live > 0 && level != DangerRacks {
			m.dropCorrupt(id, r) // the damaged one sits on the only node that is left
		}
		return false
	}
	if level == DangerRacks && m.sameRack(r, targets[0].node.rack) {
		return false
	}
	return m.order(now, id, r, f, source, targets)
}

func (m *Manager) sameRack(r *record, rk *rack) bool {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if s := m.at(sl); !s.gone && sl&(slotCorrupt|slotExcess) == 0 && s.node.rack == rk {
			return true
		}
	}
	return false
}

// source picks the node that copies: one on its way out, since it has no writers, else
// one at random; not one with its hands full, nor a stale one if there is another.
func (m *Manager) source(now time.Time, r *record, level int) *node {
	limit := m.cfg.Repair.MaxStreams
	if level == DangerHighest {
		limit = m.cfg.Repair.MaxStreamsHard
	}
	var best *node
	bestScore, ties := -1, 0
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		s := m.at(sl)
		n := s.node
		if s.gone || !n.alive || sl&slotCorrupt != 0 || sl&slotSent != 0 || n.transfers >= limit {
			continue
		}
		score := 0
		if n.admin == dfs.AdminDecommissioning || n.admin == dfs.AdminEnteringMaintenance {
			score++
		}
		if !m.stale(n, now) {
			score += 2
		}
		if score > bestScore {
			best, bestScore, ties = n, score, 1
		} else if score == bestScore {
			if ties++; m.rng.IntN(ties) == 0 {
				best = n
			}
		}
	}
	return best
}

// repairTargets picks where copies go: as for a new block, but not to nodes that have
// anything of this one.
func (m *Manager) repairTargets(now time.Time, id dfs.BlockID, r *record, f Facts, source *node, need int) []*storage {
	p := m.placing(now, f.Length, f.Policy)
	p.repair = true
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		s := m.at(sl)
		if s.gone {
			continue
		}
		p.exclude = append(p.exclude, s.node)
		if sl&(slotCorrupt|slotExcess) == 0 && s.node.inService() {
			p.have = append(p.have, s)
		}
	}
	if r.flags&flagOpen != 0 {
		for _, part := range m.open[id].reps {
			p.exclude = append(p.exclude, part.storage.node)
		}
	}
	p.exclude = append(p.exclude, m.future.nodes(id)...)
	p.writer = source
	return p.choose(need)
}

// repaired takes a target's report. The replica may be on another volume than the one that
// was chosen: the datanode has the last word, and may have had it already.
// After a move it gives the node whose replica is to go.
func (m *Manager) repaired(id dfs.BlockID, r *record, s *storage) (instead *node) {
	if r.flags&flagRepair == 0 {
		return nil
	}
	p := m.repairs[id]
	p.targets = slices.DeleteFunc(p.targets, func(t *storage) bool {
		if t != s && t.node == s.node {
			t.unschedule() // s was when its replica was added
		}
		return t.node == s.node
	})
	if len(p.targets) == 0 {
		switch p.kind {
		case Fold:
			m.tally.Rebuilds++
		case Move:
			m.mover.moved++
		}
		m.endRepair(id, r)
		return p.instead
	}
	return nil
}

// notCopied takes a source's word that the copy to a volume has failed: another try need
// not wait until it is overdue.
func (m *Manager) notCopied(source *node, id dfs.BlockID, volume string) {
	p := m.repairs[id]
	if p == nil || p.source != source {
		return
	}
	i := slices.IndexFunc(p.targets, func(t *storage) bool { return t.report.UUID == volume })
	if i < 0 {
		return
	}
	p.targets[i].unschedule()
	p.targets = slices.Delete(p.targets, i, i+1)
	if len(p.targets) == 0 {
		m.retry(p)
	} else {
		m.evaluate(id)
	}
}

// endRepair forgets a copy: it is done, or not wanted any more, or has failed.
func (m *Manager) endRepair(id dfs.BlockID, r *record) {
	if r.flags&flagRepair == 0 {
		return
	}
	p := m.repairs[id]
	for _, s := range p.targets {
		s.unschedule()
	}
	p.over = true
	p.source.transfers--
	p.source.orders = slices.DeleteFunc(p.source.orders, func(c Command) bool { return c.Kind == p.kind && c.Block.ID == id })
	delete(m.repairs, id)
	r.flags &^= flagRepair
}

// expireRepairs gives up copies that took too long. It is true when there is more.
func (m *Manager) expireRepairs(now time.Time, budget int) bool {
	for ; m.timeout.len() > 0; budget-- {
		p := m.timeout.peek()
		if !p.over && now.Sub(p.since) < m.cfg.Repair.PendingTimeout {
			return false
		}
		if budget == 0 {
			return true
		}
		m.timeout.pop()
		m.retry(p)
	}
	return false
}

func (m *Manager) retry(p *repair) {
	if p.over {
		return
	}
	if r := m.table.get(p.id); r != nil {
		m.endRepair(p.id, r)
	}
	m.evaluate(p.id)
	m.tidyID(p.id)
}

// cancelTransfers gives up the copies that a node was to make.
func (m *Manager) cancelTransfers(n *node) {
	for _, p := range m.repairs {
		if p.source == n {
			m.retry(p)
		}
	}
}

// dropTargets gives up the copies to a node that is not there any more.
func (m *Manager) dropTargets(n *node) {
	for id, p := range m.repairs {
		before := len(p.targets)
		p.targets = slices.DeleteFunc(p.targets, func(s *storage) bool { return s.node == n })
		if len(p.targets) == 0 {
			m.retry(p)
		} else if len(p.targets) < before {
			m.evaluate(id)
		}
	}
}
