package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// duty is a change that a group has to undergo: members are to leave it, or have departed,
// or too few are left.
type duty struct {
	parity dfs.BlockID
	since  time.Time
	after  time.Time // not before
	busy   bool      // a plan or a fold is about it
	whole  bool      // the last try failed: the next one does without what it need not read
	// without are the members that the plan has leave: they keep their own replicas meanwhile.
	without []dfs.BlockID
}

// planned is a plan that has been handed out and not been taken up yet.
type planned struct {
	plan ParityPlan
	host *node
}

// Bounds of one call of ParityPlans.
const (
	dutyBudget = 128  // groups looked at
	hostBudget = 4096 // buckets of candidates
	shortTries = 4    // groups with room, of one node
	evenUntil  = 16   // groups' worth of candidates that wait on one node for others of their length
)

// ParityPlans gives up to max changes of parity groups that are due, the most urgent ones
// first. Plans of an earlier call that neither Fold nor Grouped has taken up are void: one
// caller at a time. It does a bounded piece of work and may be called as often as Tick.
func (m *Manager) ParityPlans(now time.Time, max int) []ParityPlan {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	for _, p := range m.planned {
		m.abandon(p)
	}
	m.planned = nil
	if m.idle() {
		return nil
	}
	for n := min(m.agenda.len(), dutyBudget); n > 0 && len(m.planned) < max; n-- {
		id := m.agenda.pop()
		d := m.duties[id]
		if d == nil {
			continue
		}
		if d.busy || now.Before(d.after) || m.fulfil(now, d) {
			m.agenda.push(id)
		} else {
			delete(m.duties, id)
		}
	}
	m.planFresh(now, max)
	var list []ParityPlan
	for _, p := range m.planned {
		list = append(list, p.plan)
	}
	return list
}

// undertake notes that a group has to be changed.
func (m *Manager) undertake(parity dfs.BlockID) *duty {
	d := m.duties[parity]
	if d == nil {
		d = &duty{parity: parity, since: m.now}
		m.duties[parity] = d
		m.agenda.push(parity)
	}
	return d
}

// plan hands out a plan.
func (m *Manager) plan(p ParityPlan, host *node) {
	if host != nil {
		p.Host = host.id.UUID
	}
	if p.Replaces != 0 {
		d := m.undertake(p.Replaces)
		d.busy, d.without = true, nil
		g, _ := m.src.Group(p.Replaces)
		for _, old := range g.Members {
			if !old.Departed && !slices.Contains(p.Members, old.Block) {
				d.without = append(d.without, old.Block.ID)
			}
		}
	}
	m.planned = append(m.planned, &planned{p, host})
}

// abandon frees what a plan has taken.
func (m *Manager) abandon(p *planned) {
	if d := m.duties[p.plan.Replaces]; d != nil {
		d.busy = false
	}
	for _, b := range p.plan.Members {
		m.unwait(b.ID)
	}
}

// fulfil plans the change of a group as soon as that can be done. It is false when there is
// nothing to change.
func (m *Manager) fulfil(now time.Time, d *duty) bool {
	var v view
	m.effort++
	if !m.look(&v, d.parity) {
		return false
	}
	living, stay, departed := v.living()
	if living >= 2 && stay == living && departed == 0 {
		if living < v.group.Data {
			m.offer(&v)
		}
		return false
	}
	if stay < 2 {
		m.dissolve(&v)
		return true
	}
	var members []dfs.Block
	var taken []*node
	left, urgent := 0, false
	host := v.blocks[0].at
	for i := 1; i < v.n; i++ {
		b := &v.blocks[i]
		switch {
		case b.departed:
			urgent = urgent || !b.readable
			continue
		case b.leaving && m.independent(b):
			left++
			continue
		}
		if b.at == nil {
			return true // it is being moved or made again
		}
		members = append(members, v.group.Members[i-1].Block)
		taken = append(taken, b.at.node)
	}
	if left == 0 && (departed == 0 || !urgent && now.Sub(d.since) < m.cfg.Parity.Idle) {
		return true
	}
	if host == nil || len(members) < 2 || !m.mayFold(now, host.node) {
		return true
	}
	m.extend(&v, host.node, members, append(taken, host.node))
	return true
}

// mayFold reports whether a node can be given another fold.
func (m *Manager) mayFold(now time.Time, n *node) bool {
	return n.inService() && !m.stale(n, now) && n.host.folds+m.plannedOn(n) < m.cfg.Parity.Streams && !now.Before(n.host.after)
}

func (m *Manager) plannedOn(n *node) (count int) {
	for _, p := range m.planned {
		if p.host == n && !p.plan.Dissolve {
			count++
		}
	}
	return count
}

// extend plans a group of members and as many candidates as there are and fit in, on the
// node of the parity that it replaces.
func (m *Manager) extend(v *view, host *node, members []dfs.Block, taken []*node) {
	k := v.group.Data
	if q := host.host.of(k); q != nil && len(members) < k {
		for _, p := range m.draw(host, q, taken, 1, k-len(members), k+1, m.liveRacks > k, v.group.Parity.Length) {
			members = append(members, p.block)
		}
	}
	m.plan(ParityPlan{Replaces: v.group.Parity.ID, Members: members, Data: k}, host)
}

// independent reports whether a leaving member has the replicas it needs without its group.
func (m *Manager) independent(b *viewed) bool {
	f, ok := m.facts(b.id)
	return ok && b.r != nil && b.r.flags&flagRepair == 0 && b.live >= max(1, min(int(f.Replication), m.inService(), len(b.places)))
}

// inService counts nodes that take replicas.
func (m *Manager) inService() (n int) {
	for _, d := range m.live {
		if d.inService() {
			n++
		}
	}
	return n
}

// groupable counts nodes that take blocks of parity groups.
func (m *Manager) groupable() (n int) {
	for _, d := range m.live {
		if d.groups() {
			n++
		}
	}
	return n
}

// Groupable is how many datanodes in service can keep and fold blocks of parity groups.
func (m *Manager) Groupable() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groupable()
}

// dissolve ends a group that has too few members left: first they get replicas of their own.
func (m *Manager) dissolve(v *view) {
	ready := true
	for i := 1; i < v.n; i++ {
		b := &v.blocks[i]
		if b.departed {
			continue
		}
		if !b.leaving {
			m.expel(b.id)
			m.evaluate(b.id)
			ready = false
		}
		ready = ready && m.independent(b) && (b.live > 1 || m.aloneByWish(b.id))
	}
	if ready {
		m.plan(ParityPlan{Replaces: v.group.Parity.ID, Data: v.group.Data, Dissolve: true}, nil)
	}
}

// aloneByWish reports whether one replica is all that a block's file wants.
func (m *Manager) aloneByWish(id dfs.BlockID) bool {
	f, ok := m.src.Block(id)
	return ok && parityOf(f.Policy) == 0 && f.Replication == 1
}

// planFresh plans groups of candidates, new ones and such that fill up others.
func (m *Manager) planFresh(now time.Time, max int) {
	service := m.groupable()
	for n, budget := len(m.hosts), hostBudget; n > 0 && budget > 0 && len(m.planned) < max; n-- {
		if m.nextHost >= len(m.hosts) {
			m.nextHost = 0
		}
		h := m.hosts[m.nextHost]
		if !h.inService() {
			m.orphan(h)
		}
		if len(h.host.queues) == 0 && len(h.host.short) == 0 {
			h.host.listed = false
			m.hosts[m.nextHost] = m.hosts[len(m.hosts)-1]
			m.hosts = m.hosts[:len(m.hosts)-1]
			continue
		}
		m.nextHost++
		for _, q := range slices.Clone(h.host.queues) {
			m.effort = 0
			budget -= 1 + len(q.buckets)
			m.tidyQueue(h, q)
			for len(m.planned) < max && m.mayFold(now, h) && m.planAt(now, h, q, service) {
				budget -= q.k
			}
			budget -= m.effort * groupEffort
		}
	}
}

// tidyQueue takes out what is empty, and what waits for nodes that are gone.
func (m *Manager) tidyQueue(h *node, q *forming) {
	q.buckets = slices.DeleteFunc(q.buckets, func(b *bucket) bool {
		if !b.data.inService() && b.ids.len() > 0 {
			q.abandon(m, b)
		}
		return b.ids.len() == 0 && b.flight == 0
	})
	if len(q.buckets) == 0 && len(h.host.short) == 0 {
		h.host.queues = slices.DeleteFunc(h.host.queues, func(o *forming) bool { return o == q })
	}
}

// planAt plans one group of what waits on a node. It is false when there is none to plan.
func (m *Manager) planAt(now time.Time, h *node, q *forming, service int) bool {
	waiting := q.total - q.flight
	full := min(q.k, service-1)
	if full < 2 || waiting == 0 {
		return false
	}
	idle := now.Sub(q.last) >= m.cfg.Parity.Idle
	alone := []*node{h}
	strict := m.liveRacks > q.k && waiting < 4*q.k && !idle
	if got := m.draw(h, q, alone, full, full, full+1, strict, -1); got != nil {
		if idle || waiting >= evenUntil*full || even(got) {
			m.plan(ParityPlan{Members: blocksOf(got), Data: q.k}, h)
			return true
		}
		m.effort++
		for _, p := range got { // better company may come
			q.push(q.bucket(p.data), p.block.ID)
		}
	}
	if m.fillUp(h, q, full, idle) {
		return true
	}
	if !idle {
		return false
	}
	for _, strict := range []bool{true, false} {
		if got := m.draw(h, q, alone, 2, full, full+1, strict, -1); got != nil {
			m.plan(ParityPlan{Members: blocksOf(got), Data: q.k}, h)
			return true
		}
	}
	m.turn(h, q)
	m.gather(now, h, q)
	return false
}

func blocksOf(list []picked) (blocks []dfs.Block) {
	for _, p := range list {
		blocks = append(blocks, p.block)
	}
	return blocks
}

// fillUp plans to add candidates to a group that has room, if they fill it up or nothing
// more has come for a while.
func (m *Manager) fillUp(h *node, q *forming, full int, idle bool) bool {
	for n := min(len(h.host.short), shortTries); n > 0; n-- {
		parity := h.host.short[0]
		h.host.short = append(h.host.short[:0], h.host.short[1:]...)
		var v view
		m.effort++
		r := m.table.get(parity)
		known := m.look(&v, parity)
		living, stay, departed := v.living()
		if !known || v.blocks[0].at == nil || v.blocks[0].at.node != h || living >= v.group.Data || m.duties[parity] != nil || departed > 0 || stay < living {
			if r != nil {
				r.flags &^= flagShort
				m.stirGroup(parity) // it may be for another node's list
			}
			continue
		}
		h.host.short = append(h.host.short, parity)
		h.host.members = living // of one of them at least
		if v.group.Data != q.k || !v.whole() {
			continue
		}
		var members []dfs.Block
		taken := []*node{h}
		for i := 1; i < v.n; i++ {
			members = append(members, v.group.Members[i-1].Block)
			taken = append(taken, v.blocks[i].at.node)
		}
		room := min(q.k, full) - living
		if idle {
			room = min(1, room)
		}
		if got := m.draw(h, q, taken, max(1, room), q.k-living, q.k+1, m.liveRacks > q.k, v.group.Parity.Length); got != nil {
			m.plan(ParityPlan{Replaces: parity, Members: append(members, blocksOf(got)...), Data: q.k}, h)
			return true
		}
	}
	return false
}
