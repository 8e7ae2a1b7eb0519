package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// scheduleGrouped is schedule for a block of a parity group: a copy to a node that is free of
// the group, or a new replica made from the others.
func (m *Manager) scheduleGrouped(now time.Time, id dfs.BlockID, r *record, f Facts, level int) bool {
	var v view
	m.effort++
	if !m.look(&v, f.Group) {
		return false
	}
	i := v.index(id)
	t := m.count(id, r)
	if i < 0 || m.groupDanger(f, t, &v, i) != level {
		return false
	}
	b := &v.blocks[i]
	if !b.readable {
		return m.rebuild(now, r, f, &v, i)
	}
	source := m.source(now, r, level)
	if source == nil {
		return false
	}
	if b.leaving {
		targets := m.repairTargets(now, id, r, f, source, m.expected(f, t)-t.live-t.pending)
		m.flag(r, flagStuck, len(targets) == 0)
		return m.order(now, id, r, f, source, targets)
	}
	target, hopeless := m.freeTarget(now, f, &v, i, false)
	if target == nil {
		m.flag(r, flagStuck, true)
		if hopeless && level != DangerRacks {
			m.noPlace(&v, i)
		}
		return false
	}
	if level == DangerRacks && m.sameRacks(&v, i, target) {
		return false
	}
	return m.order(now, id, r, f, source, []*storage{target})
}

// order has a node copy a block.
func (m *Manager) order(now time.Time, id dfs.BlockID, r *record, f Facts, source *node, targets []*storage) bool {
	if len(targets) == 0 {
		return false
	}
	c := Command{Kind: Transfer, Block: dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}, NewLength: -1}
	m.begin(now, id, r, source, targets, c)
	return true
}

// begin notes a repair and gives its order to the node that does it.
func (m *Manager) begin(now time.Time, id dfs.BlockID, r *record, source *node, targets []*storage, c Command) {
	for _, s := range targets {
		s.schedule()
		c.Targets = append(c.Targets, s.target())
	}
	p := &repair{id: id, source: source, targets: targets, since: now, kind: c.Kind}
	m.repairs[id] = p
	m.timeout.push(p)
	r.flags |= flagRepair
	source.transfers++
	source.orders = append(source.orders, c)
}

// sameRacks reports whether a target is on the rack of another block of the group.
func (m *Manager) sameRacks(v *view, i int, target *storage) bool {
	for j := range v.blocks[:v.n] {
		if at := v.blocks[j].at; j != i && at != nil && at.node.rack == target.node.rack {
			return true
		}
	}
	return false
}

// rebuild orders a block of a group that has no replica to be made from the others.
func (m *Manager) rebuild(now time.Time, r *record, f Facts, v *view, i int) bool {
	if v.lost != 1 {
		return false
	}
	target, hopeless := m.freeTarget(now, f, v, i, true)
	if target == nil && hopeless {
		if target = m.damaged(r, v, i); target == nil {
			m.flag(r, flagStuck, true)
			if target = m.noPlace(v, i); target == nil {
				return false
			}
		}
	}
	if target == nil {
		m.flag(r, flagStuck, true)
		return false
	}
	if m.has(r, target.node) {
		m.beside[v.blocks[i].id] = target
	}
	sources, sum := v.sources(i)
	c := Command{Kind: Fold, Block: sum.Block, NewLength: -1, Sources: sources,
		Sum: Sum{Checksum: sum.Checksum, BytesPer: sum.BytesPer, CRC: sum.CRC, HasCRC: true}}
	m.begin(now, sum.Block.ID, r, target.node, []*storage{target}, c)
	return true
}

// damaged gives the volume of a block's damaged replica where a good one can be made beside
// it: on a node in service that no other block of the group stands on.
func (m *Manager) damaged(r *record, v *view, i int) *storage {
	for _, bad := range m.corrupt[v.blocks[i].id] {
		s := bad.storage
		if s.gone || !s.node.inService() || v.on(s.node) >= 0 || bad.stale || s.node.transfers >= m.cfg.Repair.MaxStreamsHard {
			continue
		}
		if sl := m.table.find(r, s.num); sl != nil && *sl&(slotExcess|slotSent) == 0 {
			return s
		}
	}
	return nil
}

// sources tells what block i of a group is made from, and what it must come to.
func (v *view) sources(i int) ([]FoldSource, dfs.ParityMember) {
	var list []FoldSource
	var sum dfs.ParityMember
	for j := range v.blocks[:v.n] {
		p := dfs.ParityMember{Block: v.group.Parity, CRC: v.group.CRC, Checksum: dfs.ChecksumCRC32C, BytesPer: 512}
		if j > 0 {
			p = v.group.Members[j-1]
		}
		if j == i {
			sum = p
			continue
		}
		list = append(list, FoldSource{Block: p.Block, CRC: p.CRC, HasCRC: true, Targets: v.targets(j)})
	}
	return list, sum
}

// targets gives the places of block j, its own node first.
func (v *view) targets(j int) []Target {
	b := &v.blocks[j]
	var list []Target
	for _, s := range b.readers[:b.reads] {
		if t := s.target(); s == b.at {
			list = slices.Insert(list, 0, t)
		} else {
			list = append(list, t)
		}
	}
	return list
}

// freeTarget picks a volume for another replica of block i on a node in service that no other
// block of its group stands on or is on its way to: on a rack with few of them, with little
// to do, and for a parity with few parities. It is hopeless when no such node has
// room, and none that is busy or has not reported yet may turn out to be one.
func (m *Manager) freeTarget(now time.Time, f Facts, v *view, i int, rebuild bool) (best *storage, hopeless bool) {
	p := m.placing(now, f.Length, f.Policy)
	p.repair = true
	types := append(wantedTypes(f.Policy, 1), policyOf(f.Policy).ReplicationFallback...)
	hopeless = true
	var bestScore [4]int
	start, seen := 0, 0
	if len(m.live) > 0 {
		start = m.rng.IntN(len(m.live))
	}
	for k := range m.live {
		n := m.live[(start+k)%len(m.live)]
		if !n.groups() || m.blocked(v, i, n) {
			continue
		}
		if rebuild && n.transfers >= m.cfg.Repair.MaxStreamsHard || !n.reported() {
			hopeless = false
			continue
		}
		var s *storage
		for _, t := range types {
			if s = p.volume(n, t); s != nil {
				break
			}
		}
		if s == nil {
			continue
		}
		score := [4]int{m.rackmates(v, i, n), 0, 0, n.transfers}
		if m.stale(n, now) {
			score[1] = 1
		}
		if i == 0 {
			score[2] = n.host.parities
		}
		if best == nil || slices.Compare(score[:], bestScore[:]) < 0 {
			best, bestScore = s, score
		}
		if seen++; seen == pairTries {
			break
		}
	}
	return best, hopeless && best == nil
}

// blocked reports whether a node is none for another replica of block i: another block of the
// group stands there or is on its way, or it has something of this one.
func (m *Manager) blocked(v *view, i int, n *node) bool {
	if v.on(n) >= 0 {
		return true
	}
	for j := range v.blocks[:v.n] {
		b := &v.blocks[j]
		if b.r != nil && b.r.flags&flagRepair != 0 && slices.ContainsFunc(m.repairs[b.id].targets, func(s *storage) bool { return s.node == n }) {
			return true
		}
	}
	return m.has(v.blocks[i].r, n) || slices.Contains(m.future.nodes(v.blocks[i].id), n)
}

// has reports whether a node has anything of a block.
func (m *Manager) has(r *record, n *node) bool {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if m.at(sl).node == n {
			return true
		}
	}
	return false
}

// rackmates counts the other blocks of a group on a node's rack, 0 where racks do not matter.
func (m *Manager) rackmates(v *view, i int, n *node) (same int) {
	if m.liveRacks < 2 {
		return 0
	}
	for j := range v.blocks[:v.n] {
		if at := v.blocks[j].at; j != i && at != nil && at.node.rack == n.rack {
			same++
		}
	}
	return same
}

// noPlace sees to a block for which no node is free: a member leaves the group, all of them do
// when it is the parity. A lost member is made again on any node, of which it gives a volume.
func (m *Manager) noPlace(v *view, i int) *storage {
	b := &v.blocks[i]
	if m.soonFree(v, i) {
		return nil
	}
	m.undertake(v.group.Parity.ID)
	m.stirGroup(v.group.Parity.ID)
	if i == 0 {
		for j := 1; j < v.n; j++ {
			if !v.blocks[j].departed {
				m.expel(v.blocks[j].id)
			}
		}
		return nil
	}
	if b.departed {
		return nil
	}
	m.expel(b.id)
	if b.readable {
		return nil
	}
	p := m.placing(m.now, v.group.Members[i-1].Block.Length, 0)
	p.repair = true
	var best *storage
	for _, n := range m.live {
		if !n.groups() || m.has(b.r, n) || n.transfers >= m.cfg.Repair.MaxStreamsHard {
			continue
		}
		if s := p.volume(n, dfs.StorageDisk); s != nil && (best == nil || v.on(best.node) == 0) {
			best = s
		}
	}
	return best
}

// soonFree reports whether a node has nothing of the group but a replica of block i that can't
// be used and is about to go.
func (m *Manager) soonFree(v *view, i int) bool {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], v.blocks[i].r) {
		if s := m.at(sl); !s.gone && sl&slotExcess != 0 && s.node.inService() && v.on(s.node) < 0 {
			return true
		}
	}
	return false
}

// Sources tells what a block of a group can be made from: all other blocks of the group, and
// what the outcome must add up to. It is false for a block of no group and for one whose
// group lacks more than that block.
func (m *Manager) Sources(id dfs.BlockID) ([]FoldSource, dfs.ParityMember, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, ok := m.src.Block(id)
	var v view
	if !ok || f.Group == 0 || !m.look(&v, f.Group) {
		return nil, dfs.ParityMember{}, false
	}
	i := v.index(id)
	if i < 0 || !v.others(i) {
		return nil, dfs.ParityMember{}, false
	}
	list, sum := v.sources(i)
	return list, sum, true
}

// others reports whether all blocks but block i can be read.
func (v *view) others(i int) bool {
	return v.lost == 0 || v.lost == 1 && !v.blocks[i].readable
}

// Scrub orders the node of a group's parity to compare the group's checksums. It is false
// when the group is not complete at the moment.
func (m *Manager) Scrub(now time.Time, parity dfs.BlockID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	var v view
	if m.idle() || !m.look(&v, parity) || v.lost > 0 || v.blocks[0].at == nil {
		return false
	}
	list, sum := v.sources(0)
	n := v.blocks[0].at.node
	n.orders = append(n.orders, Command{Kind: ScrubGroup, Block: sum.Block, NewLength: -1, Sources: list,
		Sum: Sum{Checksum: sum.Checksum, BytesPer: sum.BytesPer, CRC: sum.CRC, HasCRC: true}})
	return true
}
