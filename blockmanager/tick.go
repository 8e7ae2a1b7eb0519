package blockmanager

import (
	"time"

	"redoubt/dfs"
)

// How much one Tick does at most, so that it stays well under a millisecond.
const (
	sweepBudget    = 16384 // records looked at for gone volumes
	evaluateBudget = 1024  // blocks evaluated
	repairBudget   = 128   // queue entries looked at
	expireBudget   = 256
	groupEffort    = 64               // records that looking at a group counts as
	rollInterval   = 10 * time.Minute // of what volumes have been promised
)

// Tick does what is due at now: declares silent datanodes dead, hands out repair work,
// cleans up after dead volumes. True means that there is more to do at once: call again,
// with the locks released in between.
func (m *Manager) Tick(now time.Time) (more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	m.checkLiveness(now)
	more = m.expireRepairs(now, expireBudget)
	more = m.expireLate(now, expireBudget) || more
	more = m.sweep() || more
	more = m.settle(stirBudget) || more
	more = m.strays(evaluateBudget/4) || more
	more = m.expireFolds(now, expireBudget) || more
	m.release(now)
	m.endGathering(now)
	if m.nextRoll.IsZero() || !now.Before(m.nextRoll) {
		m.nextRoll = now.Add(rollInterval)
		for _, n := range m.nodes {
			for _, s := range n.storages {
				s.scheduled = [2]int64{0, s.scheduled[0]}
			}
		}
	}
	if m.idle() {
		return more
	}
	m.checkDrains(now)
	if !m.round.active && !now.Before(m.nextRound) {
		m.nextRound = now.Add(m.cfg.Repair.Interval)
		m.beginRound()
	}
	if !now.Before(m.mover.due) {
		m.mover.due = now.Add(min(time.Second, m.cfg.Repair.Interval))
		m.moveSome(now)
	}
	return m.continueRound(now, repairBudget) || more
}

// checkLiveness finds datanodes that have been silent for too long. Time in which the
// name node itself stood still does not count.
func (m *Manager) checkLiveness(now time.Time) {
	if gap := now.Sub(m.lastTick); !m.lastTick.IsZero() && gap > m.cfg.Liveness.MaxPause {
		for _, n := range m.live {
			n.beat = n.beat.Add(gap)
			if n.beat.After(now) {
				n.beat = now
			}
		}
	}
	m.lastTick = now
	limit := m.cfg.deadAfter()
	for i := len(m.live) - 1; i >= 0; i-- {
		if n := m.live[i]; now.Sub(n.beat) > limit {
			m.die(now, n)
		}
	}
}

// checkDrains looks at every block again while nodes are being drained.
func (m *Manager) checkDrains(now time.Time) {
	if now.Before(m.nextDrain) || m.toJudge > 0 {
		return
	}
	m.nextDrain = now.Add(m.cfg.Repair.DrainInterval)
	for _, n := range m.live {
		if n.admin == dfs.AdminDecommissioning || n.admin == dfs.AdminEnteringMaintenance {
			m.evaluateAll()
			return
		}
	}
}

// span is the number of ids that there are.
func (m *Manager) span() uint64 {
	if last := m.src.LastBlock(); last >= dfs.FirstBlockID {
		return uint64(last-dfs.FirstBlockID) + 1
	}
	return 0
}

// evaluateAll has every block looked at, from the start.
func (m *Manager) evaluateAll() {
	m.pass++
	m.cursor, m.toJudge = 0, m.span()
	for _, n := range m.nodes {
		n.drain.short = 0
	}
	if m.toJudge == 0 {
		m.endPass()
	}
}

// sweep goes on through the ids: it removes slots of gone volumes and of replicas that a
// full report did not tell, and evaluates blocks if a pass is on. It is true when there is
// more.
func (m *Manager) sweep() bool {
	span := m.span()
	judging := m.toJudge > 0 && !m.startup
	budget := sweepBudget
	m.effort = 0
	for (judging || m.dirty > 0) && budget > 0 {
		if m.cursor >= span {
			if m.cursor = 0; span == 0 {
				break
			}
		}
		n := m.cursor >> pageBits
		if n >= uint64(len(m.table.pages)) || m.table.pages[n] == nil {
			if !judging {
				m.cursor = (n + 1) << pageBits
				budget--
				continue
			}
			if gap := m.gap(span); gap > 0 { // ids that no block can have need no look
				m.cursor += gap
				budget--
				if m.toJudge -= min(gap, m.toJudge); m.toJudge == 0 {
					judging = false
					m.endPass()
				}
				continue
			}
		}
		id := dfs.FirstBlockID + dfs.BlockID(m.cursor)
		m.cursor++
		budget -= 1 + m.effort*groupEffort
		m.effort = 0
		changed := m.sweepRecord(id)
		if judging {
			budget -= sweepBudget/evaluateBudget - 1
			m.judge(id)
			if m.toJudge--; m.toJudge == 0 {
				judging = false
				m.endPass()
			}
		} else if changed {
			budget -= sweepBudget/evaluateBudget - 1
			m.evaluate(id)
			m.tidyID(id)
		}
	}
	return judging || m.dirty > 0
}

// gap is how many ids from the cursor on, at most to the end of the span, were never handed
// out.
func (m *Manager) gap(span uint64) uint64 {
	next := m.src.NextIssued(dfs.FirstBlockID + dfs.BlockID(m.cursor))
	if next == 0 {
		return span - m.cursor
	}
	return min(uint64(next-dfs.FirstBlockID), span) - m.cursor
}

// sweepRecord removes the slots of a block that count for nothing.
func (m *Manager) sweepRecord(id dfs.BlockID) (changed bool) {
	r := m.table.get(id)
	if r == nil || m.dirty == 0 {
		return false
	}
	var buf scratch
	for _, c := range m.table.all(buf[:0], r) {
		s := m.at(c)
		if s.gone || s.full.sweeping && c&slotEpoch != s.full.epoch {
			m.dropReplica(id, r, m.table.find(r, c&slotStorage))
			changed = true
		}
	}
	return changed
}

// judge evaluates a block and notes which draining nodes it still needs.
func (m *Manager) judge(id dfs.BlockID) {
	m.evaluate(id)
	r := m.table.get(id)
	if r == nil {
		return
	}
	if level := int(r.flags&flagLevel) - 1; level != levelNone && level != DangerRacks || r.flags&flagRepair != 0 {
		m.noteShort(id, r)
	}
	m.table.tidy(id, r)
}

// noteShort notes that the nodes of a block can't go. One that is to enter maintenance comes
// back, so that the minimum elsewhere lets it go, whatever else the block lacks.
func (m *Manager) noteShort(id dfs.BlockID, r *record) {
	f, ok := m.facts(id)
	enough := ok && f.Group == 0 && m.count(id, r).live >= min(int(f.Replication), m.cfg.MaintenanceMin)
	var buf scratch
	for _, c := range m.table.all(buf[:0], r) {
		s := m.at(c)
		if s.gone || c&slotCorrupt != 0 || enough && s.node.admin == dfs.AdminEnteringMaintenance {
			continue
		}
		s.node.drain.short++
	}
}

// endPass promotes the draining nodes that no block needs any more.
func (m *Manager) endPass() {
	if m.startup {
		return
	}
	building := map[*node]bool{}
	for _, o := range m.open {
		for _, p := range o.reps {
			building[p.storage.node] = true
		}
	}
	for _, n := range m.nodes {
		if n.drain.pass > m.pass || n.drain.short > 0 || building[n] {
			continue
		}
		switch n.admin {
		case dfs.AdminDecommissioning:
			n.admin = dfs.AdminDecommissioned
		case dfs.AdminEnteringMaintenance:
			n.admin = dfs.AdminInMaintenance
		default:
			continue
		}
		m.snapshot(n)
	}
}
