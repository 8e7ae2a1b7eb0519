package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// badReplica is a replica that can't be used: damaged, or left behind by a pipeline.
type badReplica struct {
	storage *storage
	stamp   dfs.GenStamp
	stale   bool // of another stamp or length than the block; not damaged as such
}

// scratch is room for a block's slots without an allocation.
type scratch [12]slot

// tracked reports whether a block id can be in the table.
func tracked(id dfs.BlockID) bool { return id >= dfs.FirstBlockID }

// addReplica notes a good replica of a complete block. It is false when it was known.
func (m *Manager) addReplica(id dfs.BlockID, r *record, s *storage) bool {
	if sl := m.table.find(r, s.num); sl != nil {
		m.mark(sl, s)
		return false
	}
	m.table.add(r, s.num|s.full.epoch)
	s.blocks++
	m.total++
	s.unschedule()
	if r.flags&flagGroup != 0 {
		m.countParity(r, s, 1)
		m.stir(id)
	}
	if r.flags&flagSafe == 0 {
		m.updateSafe(id, r, true)
	}
	return true
}

// mark notes that the volume's current report has seen a slot.
func (m *Manager) mark(sl *slot, s *storage) {
	if *sl&slotEpoch != s.full.epoch {
		*sl ^= slotEpoch
		s.full.old--
		m.cleaned(s)
	}
}

// dropReplica forgets a slot and what belongs to it. The record stays.
func (m *Manager) dropReplica(id dfs.BlockID, r *record, sl *slot) {
	s := m.at(*sl)
	if *sl&slotExcess != 0 {
		m.excess--
	}
	if *sl&slotCorrupt != 0 {
		m.dropBad(id, r, s)
	}
	if *sl&slotEpoch != s.full.epoch {
		s.full.old--
	}
	m.table.remove(r, sl)
	s.blocks--
	m.total--
	m.cleaned(s)
	if r.flags&kindFlags != 0 {
		m.countParity(r, s, -1)
		m.stir(id)
	}
	if r.flags&flagSafe != 0 {
		m.updateSafe(id, r, true)
	}
}

func (m *Manager) dropBad(id dfs.BlockID, r *record, s *storage) {
	list := slices.DeleteFunc(m.corrupt[id], func(b badReplica) bool { return b.storage == s })
	if len(list) > 0 {
		m.corrupt[id] = list
		return
	}
	delete(m.corrupt, id)
	r.flags &^= flagCorrupt
}

// addBad notes a replica that can't be used. It makes a slot if there is none.
func (m *Manager) addBad(id dfs.BlockID, r *record, b badReplica) {
	sl := m.table.find(r, b.storage.num)
	if sl == nil {
		m.addReplica(id, r, b.storage)
		sl = m.table.find(r, b.storage.num)
	} else {
		m.mark(sl, b.storage)
	}
	if *sl&slotCorrupt == 0 {
		*sl |= slotCorrupt
		r.flags |= flagCorrupt
		m.corrupt[id] = append(m.corrupt[id], b)
	} else {
		for i, known := range m.corrupt[id] {
			if known.storage == b.storage {
				m.corrupt[id][i].stamp = b.stamp // what an order to remove it must name
			}
		}
	}
	if r.flags&flagGroup != 0 {
		m.stir(id)
	}
	m.updateSafe(id, r, r.flags&flagSafe != 0)
}

func (m *Manager) bad(id dfs.BlockID, s *storage) (badReplica, bool) {
	for _, b := range m.corrupt[id] {
		if b.storage == s {
			return b, true
		}
	}
	return badReplica{}, false
}

// updateSafe counts a block in or out; only complete ones of files count, those without a
// replica too that can be made again from their group.
func (m *Manager) updateSafe(id dfs.BlockID, r *record, complete bool) {
	safe := complete && r.flags&flagAside == 0
	if safe && r.flags&flagGroup == 0 {
		safe = m.readable(r) >= m.cfg.MinReplication
	} else if safe {
		safe = m.readable(r) > 0 || m.reconstructable(id)
	}
	m.setSafe(r, safe)
}

func (m *Manager) setSafe(r *record, safe bool) {
	if safe == (r.flags&flagSafe != 0) {
		return
	}
	r.flags ^= flagSafe
	if safe {
		m.safe++
	} else {
		m.safe--
	}
}

// readable counts good replicas on live nodes, draining ones included.
func (m *Manager) readable(r *record) (n int) {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if s := m.at(sl); sl&slotCorrupt == 0 && !s.gone && s.node.alive {
			n++
		}
	}
	return n
}

func (s *storage) schedule() { s.scheduled[0]++ }

func (s *storage) unschedule() {
	if s.scheduled[1] > 0 {
		s.scheduled[1]--
	} else if s.scheduled[0] > 0 {
		s.scheduled[0]--
	}
}

// BadReplica marks the replica of b on a datanode's volume as damaged; storage "" means
// whichever volume holds it. Unknown blocks, nodes and replicas are ignored.
func (m *Manager) BadReplica(now time.Time, b dfs.Block, uuid, storage string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	n := m.nodes[uuid]
	if fold := m.folds[b.ID]; fold != nil && fold.host == n {
		fold.spoiled = true // and counts as such when the parity does
	}
	r := m.table.get(b.ID)
	f, ok := m.src.Block(b.ID)
	if n == nil || r == nil || !ok || f.State != Complete || b.GenStamp != 0 && b.GenStamp != f.GenStamp {
		return
	}
	delete(m.beside, b.ID) // what comes to stand there may be what is meant
	for _, s := range n.storages {
		if (storage == "" || storage == s.report.UUID) && m.table.find(r, s.num) != nil {
			m.addBad(b.ID, r, badReplica{storage: s, stamp: f.GenStamp})
		}
	}
	m.evaluate(b.ID)
}

// Removed tells that no file holds these blocks any more: their replicas are removed.
func (m *Manager) Removed(now time.Time, blocks []dfs.Block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	for _, b := range blocks {
		m.removeBlock(b)
	}
}

func (m *Manager) removeBlock(b dfs.Block) {
	r := m.table.get(b.ID)
	if r == nil {
		return
	}
	if r.flags&flagOpen != 0 {
		for _, rep := range m.open[b.ID].reps {
			stamp := rep.stamp
			if !rep.reported {
				stamp = b.GenStamp
				rep.storage.unschedule()
			}
			m.discard(rep.storage, b.ID, stamp, false)
		}
		m.closeBuilding(b.ID, r)
	}
	m.forgetGrouped(b.ID, r)
	m.endRepair(b.ID, r)
	m.setLevel(b.ID, r, levelNone, false)
	for r.slots[0] != 0 {
		sl := r.slots[0]
		s, stamp := m.at(sl), b.GenStamp
		if bad, ok := m.bad(b.ID, s); sl&slotCorrupt != 0 && ok {
			stamp = bad.stamp
		}
		m.discard(s, b.ID, stamp, false)
		m.dropReplica(b.ID, r, &r.slots[0])
	}
	m.setSafe(r, false)
	m.table.drop(b.ID)
}

// forgetGrouped ends what concerns a block that is removed as one of a group or a candidate.
func (m *Manager) forgetGrouped(id dfs.BlockID, r *record) {
	m.dropLeave(id)
	m.dropMove(id)
	m.scatter(id)
	delete(m.beside, id)
	for _, bit := range []uint32{flagWaiting, flagDegraded, flagLost, flagStuck} {
		m.flag(r, bit, false)
	}
	m.land(id, r)
	if r.flags&flagParity != 0 {
		delete(m.duties, id)
	}
	r.flags &^= flagGroup // what is left of the group needs no second look for this
}
