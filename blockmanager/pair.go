package blockmanager

import (
	"slices"
)

// pairTries bounds the nodes that are tried as the place of a new block's parity.
const pairTries = 32

// pair picks the two nodes of a new block that is to be in a group of k: the one that will
// fold it, where a group is being filled that has room for it, and the one that will keep
// it, the writer's own if that is free of the group. It is false when there are no such two.
func (p *placing) pair(k int) bool {
	m := p.m
	p.grouped = true
	defer func() { p.grouped = false }()
	for _, strict := range []bool{true, false} {
		p.strict = strict
		for _, host := range p.hosts(k, strict) {
			p.have, p.taken = p.have[:0], nil
			p.types = wantedTypes(p.policy, 2)
			p.limits(2)
			if !p.try(host) {
				continue
			}
			p.taken = m.occupied(host, k)
			if p.writer != nil && p.try(p.writer) || p.within(nil, nil) {
				m.promised(p.now, host, p.have[1].node, k)
				p.taken = nil
				return true
			}
		}
	}
	p.have, p.taken = p.have[:0], nil
	return false
}

// hosts lists nodes to fold a new block of a group of k: those first whose group is fuller,
// but not, with strict, those that are being written to already; then the ones with the
// fewest parities.
func (p *placing) hosts(k int, strict bool) []*node {
	m := p.m
	var list []*node
	var fill []int
	start := 0
	if len(m.hosts) > pairTries {
		start = p.m.rng.IntN(len(m.hosts))
	}
	for i := range min(len(m.hosts), pairTries) {
		n := m.hosts[(start+i)%len(m.hosts)]
		q := n.host.of(k)
		if !n.groups() || q == nil || strict && q.flight > 1 {
			continue
		}
		if x := m.filled(n, k); x > 0 {
			i := 0
			for i < len(list) && fill[i] >= x {
				i++
			}
			list, fill = slices.Insert(list, i, n), slices.Insert(fill, i, x)
		}
	}
	from := len(list)
	start = 0
	if len(m.live) > pairTries {
		start = m.rng.IntN(len(m.live))
	}
	for i := range min(len(m.live), pairTries) {
		if n := m.live[(start+i)%len(m.live)]; n.groups() && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	load := func(n *node) int {
		x := 4 * (n.host.parities + n.host.folds)
		if q := n.host.of(k); q != nil {
			x += q.total
		}
		if n == p.writer {
			x += 2
		}
		return x
	}
	slices.SortStableFunc(list[from:], func(a, b *node) int { return load(a) - load(b) })
	return list
}

// filled is how many blocks the group has that is being filled on a node.
func (m *Manager) filled(n *node, k int) int {
	base := 0
	if len(n.host.short) > 0 {
		base = n.host.members
	}
	return (base + n.host.of(k).total) % k
}

// shortGroup gives the first group on a node that has room, nil if there is none.
func (m *Manager) shortGroup(n *node, k int) *view {
	if len(n.host.short) == 0 {
		return nil
	}
	v := new(view)
	if !m.look(v, n.host.short[0]) || v.group.Data != k || v.n > k {
		return nil
	}
	return v
}

// occupied gives a test for nodes that the group being filled on host stands on already,
// and for racks that have their share of it.
func (m *Manager) occupied(host *node, k int) func(*node) bool {
	q, v := host.host.of(k), m.shortGroup(host, k)
	full := k
	if v != nil {
		if full = k + 1 - v.n; q != nil && q.total >= full {
			v, full = nil, k
		}
	}
	rounds := 0
	if q != nil {
		rounds = q.total / full
	}
	share := m.share(k + 1)
	return func(n *node) bool {
		if n == host || q.count(n) > rounds || v != nil && v.on(n) >= 0 {
			return true
		}
		same := 0
		if host.rack == n.rack {
			same = rounds + 1
		}
		if q != nil {
			for _, b := range q.buckets {
				if b.data.rack == n.rack {
					same += b.ids.len() + b.flight
				}
			}
		}
		if v != nil {
			for i := 1; i < v.n; i++ {
				if at := v.blocks[i].at; at != nil && at.node.rack == n.rack {
					same++
				}
			}
		}
		return same >= share*(rounds+1)
	}
}
