package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// leave is why a member is to leave its group.
type leave struct {
	until  time.Time // of what was asked for; after that nobody waits for it any more
	forced bool      // there is no node for it
}

type held struct {
	id    dfs.BlockID
	until time.Time
}

// stirBudget is how many groups one slice looks at again, at most.
const stirBudget = 48

// setKind brings a record's kind up to date. Facts of no group clear it.
func (m *Manager) setKind(id dfs.BlockID, r *record, f Facts) {
	var want uint32
	if f.Group != 0 {
		want = flagGroup
	}
	if f.Kind != dfs.BlockOfFile {
		want |= flagAside
	}
	if f.Kind == dfs.BlockOfParity {
		want |= flagParity
	}
	was := r.flags & kindFlags
	if was == want {
		return
	}
	r.flags = r.flags&^kindFlags | want
	if (was^want)&flagParity != 0 {
		var buf scratch
		for _, sl := range m.table.all(buf[:0], r) {
			m.countParity(r, m.at(sl), 1)
		}
	}
	if want&flagGroup == 0 {
		m.flag(r, flagDegraded, false)
		m.flag(r, flagLost, false)
		m.flag(r, flagStuck, false)
	}
	m.updateSafe(id, r, f.State == Complete)
}

// countParity keeps the numbers of parities.
func (m *Manager) countParity(r *record, s *storage, step int) {
	if r.flags&flagParity != 0 {
		s.node.host.parities += step
		m.tally.Parities += int64(step)
	}
}

// stir has the group of a block looked at again, since one of its replicas came or went.
func (m *Manager) stir(id dfs.BlockID) {
	if f, ok := m.src.Block(id); ok && f.Group != 0 {
		m.stirGroup(f.Group)
	}
}

func (m *Manager) stirGroup(parity dfs.BlockID) {
	if !tracked(parity) {
		return
	}
	if r := m.table.make(parity); r.flags&flagStirred == 0 {
		r.flags |= flagStirred
		m.stirred.push(parity)
	}
}

// settle looks at groups in which something has changed. It is true when there is more.
func (m *Manager) settle(budget int) bool {
	for ; m.stirred.len() > 0; budget-- {
		if budget == 0 {
			return true
		}
		parity := m.stirred.pop()
		r := m.table.get(parity)
		if r == nil || r.flags&flagStirred == 0 {
			continue
		}
		r.flags &^= flagStirred
		m.settleGroup(parity)
		m.tidyID(parity)
	}
	return false
}

func (m *Manager) settleGroup(parity dfs.BlockID) {
	var v view
	if !m.look(&v, parity) {
		delete(m.duties, parity)
		return
	}
	m.effort++
	for i := range v.blocks[:v.n] {
		b := &v.blocks[i]
		f, ok := m.facts(b.id)
		if !ok || f.Group != parity {
			continue
		}
		if b.r == nil && !b.readable { // never reported
			b.r = m.table.make(b.id)
		}
		m.setKind(b.id, b.r, f)
		m.setSafe(b.r, f.Kind == dfs.BlockOfFile && (b.readable || v.lost == 1))
		if !m.startup && f.State == Complete {
			m.evaluateGrouped(b.id, b.r, f, &v, i)
		}
	}
	if !m.startup {
		m.attend(&v)
	}
}

// attend sees to it that a group is changed that should be, and lets its members stay that
// were to leave for want of nodes, when there are nodes.
func (m *Manager) attend(v *view) {
	living, stay, departed := v.living()
	if d := m.duties[v.group.Parity.ID]; d != nil && d.busy {
		return
	}
	if forced := m.expelled(v); forced > 0 && stay+forced > 1 && v.whole() {
		for i := 1; i < v.n; i++ {
			if m.leaving[v.blocks[i].id].forced {
				m.dropLeave(v.blocks[i].id)
			}
		}
		m.stirGroup(v.group.Parity.ID)
		return
	}
	if departed > 0 || stay < living || living < 2 {
		m.undertake(v.group.Parity.ID)
	} else if living < v.group.Data {
		m.offer(v)
	}
}

// expelled counts the members that leave for no other reason than that there is no node.
func (m *Manager) expelled(v *view) (n int) {
	for i := 1; i < v.n; i++ {
		b := &v.blocks[i]
		if f, ok := m.src.Block(b.id); ok && !b.departed && m.leaving[b.id].forced && parityOf(f.Policy) > 0 {
			n++
		}
	}
	return n
}

// offer puts a group that has room on the list of its parity's node.
func (m *Manager) offer(v *view) {
	p := &v.blocks[0]
	if p.at == nil || p.r == nil || p.r.flags&flagShort != 0 {
		return
	}
	p.r.flags |= flagShort
	h := &p.at.node.host
	if h.short = append(h.short, p.id); len(h.short) == 1 {
		h.members = v.n - 1
	}
	m.queue(p.at.node, v.group.Data)
}

// reconstructable reports whether a block without replicas can be made from its group.
func (m *Manager) reconstructable(id dfs.BlockID) bool {
	f, ok := m.src.Block(id)
	if !ok || f.Group == 0 {
		return false
	}
	var v view
	m.effort++
	return m.look(&v, f.Group) && v.lost == 1
}

// evaluateGrouped is evaluate for block i of a group.
func (m *Manager) evaluateGrouped(id dfs.BlockID, r *record, f Facts, v *view, i int) {
	t := m.count(id, r)
	level := m.groupDanger(f, t, v, i)
	if r == nil {
		if level == levelNone {
			return
		}
		r = m.table.make(id)
		m.setKind(id, r, f)
	}
	b := &v.blocks[i]
	m.setLevel(id, r, level, false)
	m.flag(r, flagDegraded, !b.readable && v.lost == 1)
	m.flag(r, flagLost, level == DangerMissing)
	if level == levelNone || t.pending > 0 {
		m.flag(r, flagStuck, false)
	}
	want := m.expected(f, t)
	whole := v.whole()
	if t.excess > 0 && (!whole || t.live < want) && m.keepExcess(id, r) {
		m.stirGroup(v.group.Parity.ID)
		return
	}
	if whole && t.live > int(f.Replication) && !t.unreported && !m.idle() {
		m.dropSpare(id, r, f, int(f.Replication), b.at)
	}
	if t.corrupt > 0 && t.live >= max(1, want) {
		m.dropCorrupt(id, r)
	}
}

// groupDanger gives the repair queue that block i of a group belongs in.
func (m *Manager) groupDanger(f Facts, t tally, v *view, i int) int {
	b := &v.blocks[i]
	want := m.expected(f, t)
	switch {
	case want == 0:
		return levelNone
	case !b.readable && v.lost > 1:
		if f.Kind == dfs.BlockOfFile && t.maintenance == 0 {
			return DangerMissing
		}
		return levelNone // when another one of the group comes back
	case !b.readable && b.departed:
		return levelNone // a new parity is made without it
	case t.live+t.pending < want:
		switch {
		case t.live <= 1:
			return DangerHighest
		case t.live*3 < want:
			return DangerVeryLow
		}
		return DangerLow
	case t.pending > 0 || b.leaving || b.departed:
		return levelNone
	case b.at == nil:
		return DangerHighest // it shares its node with another one of the group
	case m.crowded(v, i):
		return DangerRacks
	}
	return levelNone
}

// dropSpare chooses the replicas that go when a block of a whole group has more than it
// needs: never the one that stands on a node of its own.
func (m *Manager) dropSpare(id dfs.BlockID, r *record, f Facts, want int, own *storage) {
	var buf scratch
	var spare []slot
	all := m.table.all(buf[:0], r)
	for i, sl := range all {
		s := m.at(sl)
		if s.gone || sl&(slotExcess|slotCorrupt) != 0 || !s.node.inService() || s.node == own.node || m.doubled(all[:i], s.node) {
			continue
		}
		spare = append(spare, sl)
	}
	for len(spare) > 0 && len(spare)+1 > want {
		i := m.leastUseful(spare, f, m.hint)
		m.condemn(id, m.table.find(r, spare[i]&slotStorage), f.GenStamp)
		spare = slices.Delete(spare, i, i+1)
	}
}

// mayRemove looks again at a good replica that is about to be removed: those that stay must
// be enough on nodes that have been heard of lately, and if the block is of a group, that
// must be whole without it, on such nodes too.
func (m *Manager) mayRemove(id dfs.BlockID, r *record, n *node) (ok, later bool) {
	f, known := m.facts(id)
	if !known {
		return true, false
	}
	if f.Group == 0 {
		return true, !m.fresh(r, f)
	}
	var v view
	m.effort++
	if !m.look(&v, f.Group) || !v.whole() {
		return false, false
	}
	i := v.index(id)
	if i < 0 || v.blocks[i].at.node == n || v.blocks[i].live < min(int(f.Replication), m.inService(), len(v.blocks[i].places)) {
		return false, false
	}
	for j := range v.blocks[:v.n] {
		if !m.trusted(v.blocks[j].at.node) {
			return false, true
		}
	}
	return true, false
}

// trusted reports whether a node may be what a removal relies on: it has been heard of lately,
// and has registered so long ago that removals ordered before that are over and told.
func (m *Manager) trusted(n *node) bool {
	return !m.stale(n, m.now) && m.now.UnixMilli()-n.info.StartedUnixMilli >= 2*m.cfg.Liveness.Heartbeat.Milliseconds()
}

// fresh reports whether enough of a block's replicas stay that count on more than an old
// heartbeat.
func (m *Manager) fresh(r *record, f Facts) bool {
	live, fresh := 0, 0
	var buf scratch
	all := m.table.all(buf[:0], r)
	for i, sl := range all {
		s := m.at(sl)
		if s.gone || sl&(slotCorrupt|slotExcess) != 0 || !s.node.alive || m.doubled(all[:i], s.node) {
			continue
		}
		if live++; m.trusted(s.node) {
			fresh++
		}
	}
	return fresh >= min(live, int(f.Replication))
}

// Leave asks for a block to leave its group, so that it can be changed: it first gets
// replicas of its own. It is true when the block is in no group; it then stays out of any
// for a while.
func (m *Manager) Leave(now time.Time, id dfs.BlockID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	f, ok := m.src.Block(id)
	if !ok || f.Kind != dfs.BlockOfFile {
		return true
	}
	m.hold(id)
	if f.Group == 0 {
		return true
	}
	m.stirGroup(f.Group)
	m.undertake(f.Group)
	m.evaluate(id)
	return false
}

func (m *Manager) hold(id dfs.BlockID) {
	until := m.now.Add(m.cfg.Parity.Hold)
	m.setLeave(id, leave{until: until})
	m.holds.push(held{id, until})
}

func (m *Manager) setLeave(id dfs.BlockID, l leave) {
	m.leaving[id] = l
	m.tally.Leaving = int64(len(m.leaving))
}

func (m *Manager) dropLeave(id dfs.BlockID) {
	if len(m.leaving) > 0 {
		delete(m.leaving, id)
		m.tally.Leaving = int64(len(m.leaving))
	}
}

// expel has a member leave for which there is no node.
func (m *Manager) expel(id dfs.BlockID) {
	if !m.leaves(id) {
		m.setLeave(id, leave{forced: true})
	}
}

// release lets blocks into groups again whose time to be changed is over.
func (m *Manager) release(now time.Time) {
	for m.holds.len() > 0 && !now.Before(m.holds.peek().until) {
		h := m.holds.pop()
		if l, ok := m.leaving[h.id]; ok && !l.forced && !l.until.After(h.until) {
			m.dropLeave(h.id)
			m.stir(h.id)
			m.evaluate(h.id)
			m.tidyID(h.id)
		}
	}
}

// Touched tells that members of these groups have departed: their files are gone.
func (m *Manager) Touched(now time.Time, groups []dfs.BlockID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	for _, parity := range groups {
		m.undertake(parity)
		m.stirGroup(parity)
	}
}
