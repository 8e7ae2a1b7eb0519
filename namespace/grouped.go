package namespace

import "redoubt/dfs"

// viewGroup fills g, reusing its members' slice.
func (s *State) viewGroup(g *dfs.ParityGroup, slot uint32) {
	t := &s.group
	have := t.groups.at(slot)
	members := g.Members[:0]
	if cap(members) < int(have.members) {
		members = make([]dfs.ParityMember, 0, have.members)
	}
	t.each(have, func(_ uint32, m *groupMember) { members = append(members, m.public()) })
	*g = dfs.ParityGroup{Parity: have.block.public(), CRC: have.crc, Data: int(have.data), Members: members}
}

// Group gives a parity group by the id of its parity block. The answer shares no memory
// with the state.
func (s *State) Group(parity dfs.BlockID) (g dfs.ParityGroup, ok bool) {
	i := s.group.byBlock.get(uint64(parity))
	if i&isParity == 0 {
		return g, false
	}
	s.viewGroup(&g, i&^isParity)
	return g, true
}

// GroupOf gives the id of the parity of a block's group: 0 for a block that is in none or is
// not known, a parity's own id for a parity.
func (s *State) GroupOf(block dfs.BlockID) dfs.BlockID {
	switch i := s.group.byBlock.get(uint64(block)); {
	case i == 0:
		return 0
	case i&isParity != 0:
		return block
	default:
		return dfs.BlockID(s.group.groups.at(s.group.members.at(i).group).id())
	}
}

// groupedInfo describes a departed member or a parity, which no file has.
func (s *State) groupedInfo(id dfs.BlockID) (b BlockInfo, ok bool) {
	t := &s.group
	i := t.byBlock.get(uint64(id))
	if i == 0 {
		return b, false
	}
	b = BlockInfo{State: BlockCompleted, Replication: 1, Kind: dfs.BlockOfParity, Group: id}
	if i&isParity != 0 {
		b.Block = t.groups.at(i &^ isParity).block.public()
		return b, true
	}
	m := t.members.at(i)
	b.Block, b.Kind, b.Group = m.block.public(), dfs.BlockDeparted, dfs.BlockID(t.groups.at(m.group).id())
	return b, true
}

// EachGroup calls fn with every parity group, in no useful order, until it returns false.
// The members are fn's only until it returns.
func (s *State) EachGroup(fn func(dfs.ParityGroup) bool) {
	var g dfs.ParityGroup
	for i := uint32(1); i < s.group.groups.next; i++ {
		if s.group.groups.at(i).id() == 0 {
			continue
		}
		if s.viewGroup(&g, i); !fn(g) {
			return
		}
	}
}

// GroupPage appends to dst at most max groups from the place that cursor stands for, and
// tells the next place, 0 at the end. Cursor 0 is the beginning; a group that is there all
// the time is seen once, whatever happens between two calls. It looks at max places
// too, so that a page of a table that has become empty takes no longer than a full one.
func (s *State) GroupPage(dst []dfs.ParityGroup, cursor uint32, max int) (page []dfs.ParityGroup, next uint32) {
	i := cursor
	if i == 0 {
		i = 1
	}
	for ; max > 0; max-- {
		if i >= s.group.groups.next {
			return dst, 0
		}
		if s.group.groups.at(i).id() != 0 {
			dst = append(dst, dfs.ParityGroup{})
			s.viewGroup(&dst[len(dst)-1], i)
		}
		i++
	}
	if i >= s.group.groups.next {
		return dst, 0
	}
	return dst, i
}
