package namespace

import (
	"slices"

	"redoubt/dfs"
)

// parityGroup is a group in memory: 32 bytes. Its block is the parity; a zero id marks a free slot.
type parityGroup struct {
	block
	crc      uint32
	first    uint32 // slot of a member; the others follow by next
	data     uint8  // k
	members  uint8
	departed uint8 // of the members
}

// groupMember is a member of a group in memory: 32 bytes. A living member's block is its file's too, and
// can't change as long as it is here.
type groupMember struct {
	block           // its state is a memberState
	crc      uint32 // of the block's bytes
	group    uint32 // slot
	next     uint32 // slot, 0 for the last
	bytesPer uint32 // checksum
}

// memberState is what stands in the place of a block's state: the checksum type, and whether
// the member has departed.
type memberState = BlockState

const memberDeparted memberState = 1 << 7

func (m *groupMember) departed() bool { return m.state()&memberDeparted != 0 }
func (m *groupMember) checksum() dfs.ChecksumType {
	return dfs.ChecksumType(m.state() &^ memberDeparted)
}

func (m *groupMember) public() dfs.ParityMember {
	return dfs.ParityMember{Block: m.block.public(), CRC: m.crc, Checksum: m.checksum(), BytesPer: int(m.bytesPer), Departed: m.departed()}
}

// isParity marks a reference to a group in the index of grouped blocks. Other references are
// slots of members.
const isParity = 1 << 31

// groupTable is all parity groups. It costs nothing as long as there are none.
type groupTable struct {
	groups      pages[parityGroup]
	members     pages[groupMember]
	byBlock     idTable // of members and parities
	departed    int64   // members
	parityBytes int64
}

// groupSum is the digest of a group without its members.
func (t *groupTable) groupSum(g *parityGroup) sum {
	return hash6(tagGroup, g.id(), g.genStamp(), g.high, uint64(g.crc)|uint64(g.data)<<32, t.members.at(g.first).id(), 0)
}

// memberSum is the digest of a member before the member next of its group.
func (t *groupTable) memberSum(m *groupMember) sum {
	var next uint64
	if m.next != 0 {
		next = t.members.at(m.next).id()
	}
	return hash6(tagMember, m.id(), t.groups.at(m.group).id(), m.genStamp(), m.high, uint64(m.crc)|uint64(m.bytesPer)<<32, next)
}

// each calls fn with the members of a group in order. fn may drop what it is given.
func (t *groupTable) each(g *parityGroup, fn func(slot uint32, m *groupMember)) {
	for i := g.first; i != 0; {
		m := t.members.at(i)
		next := m.next
		fn(i, m)
		i = next
	}
}

// grouped reports whether a block of a file is a member of a group.
func (s *State) grouped(b *block) bool { return s.group.byBlock.get(b.id()) != 0 }

func (s *State) inGroup(b *block) error {
	return &dfs.Error{Kind: dfs.Stale, Msg: "block " + b.public().String() + " is in a parity group"}
}

// putGroup makes a group of parts that have been checked. departed tells which members have.
func (s *State) putGroup(parity *dfs.Block, crc uint32, data uint8, members []dfs.ParityMember, departed func(k int) bool) uint32 {
	t := &s.group
	slot := t.groups.alloc()
	g := t.groups.edit(slot)
	g.low = uint64(parity.ID)
	g.set(uint64(parity.GenStamp), parity.Length, BlockCompleted)
	g.crc, g.data, g.members = crc, data, uint8(len(members))
	for k := len(members) - 1; k >= 0; k-- {
		from := &members[k]
		i := t.members.alloc()
		m := t.members.edit(i)
		state := memberState(from.Checksum)
		if departed(k) {
			state |= memberDeparted
			g.departed++
			t.departed++
		}
		m.low = uint64(from.Block.ID)
		m.set(uint64(from.Block.GenStamp), from.Block.Length, state)
		m.crc, m.bytesPer, m.group, m.next = from.CRC, uint32(from.BytesPer), slot, g.first
		t.byBlock.set(m.id(), i)
		g.first = i
		s.sum.add(t.memberSum(m))
	}
	t.byBlock.set(g.id(), slot|isParity)
	t.parityBytes += parity.Length
	s.sum.add(t.groupSum(g))
	return slot
}

// endGroup forgets a group.
func (s *State) endGroup(slot uint32) {
	t := &s.group
	g := t.groups.at(slot)
	s.sum.sub(t.groupSum(g))
	for i := g.first; i != 0; i = t.members.at(i).next {
		s.sum.sub(t.memberSum(t.members.at(i)))
	}
	t.each(g, func(i uint32, m *groupMember) {
		t.byBlock.set(m.id(), 0)
		t.members.drop(i)
	})
	t.byBlock.set(g.id(), 0)
	t.departed -= int64(g.departed)
	t.parityBytes -= g.size()
	t.groups.drop(slot)
}

// release lets go of a block that its file has lost: one that is in no group is freed, a
// member departs. A group whose last member departs ends, and frees all its blocks.
func (s *State) release(b *block, r *Deleted) {
	t := &s.group
	i := t.byBlock.get(b.id())
	if i == 0 {
		r.Blocks = append(r.Blocks, b.public())
		return
	}
	m := t.members.edit(i)
	s.sum.sub(t.memberSum(m))
	m.set(m.genStamp(), m.size(), m.state()|memberDeparted)
	s.sum.add(t.memberSum(m))
	g := t.groups.edit(m.group)
	g.departed++
	t.departed++
	r.Groups = append(r.Groups, dfs.BlockID(g.id()))
	if g.departed == g.members {
		t.each(g, func(_ uint32, m *groupMember) { r.Blocks = append(r.Blocks, m.block.public()) })
		r.Blocks = append(r.Blocks, g.block.public())
		s.endGroup(m.group)
	}
}

// settle puts the groups that members have departed from in order, each once.
func (r *Deleted) settle() {
	slices.Sort(r.Groups)
	r.Groups = slices.Compact(r.Groups)
}

// checkParityGroup gives the slot of the group that an op replaces or ends, 0 for none.
func (s *State) checkParityGroup(o *ParityGroup) (slot uint32, err error) {
	switch o.Action {
	case GroupAllocate:
		if s.nextBlock > maxBlockID || s.nextStamp > maxStamp {
			return 0, dfs.Errorf(dfs.Other, "no block id or generation stamp is left")
		}
		return 0, nil
	case GroupCommit:
		if err := o.checkShape(); err != nil {
			return 0, err
		}
		if o.Replaces != 0 {
			if slot, err = s.groupSlot(o.Replaces); err != nil {
				return 0, err
			}
		}
		return slot, s.checkMembers(o, slot)
	case GroupDissolve:
		return s.groupSlot(o.Parity.ID)
	}
	return 0, dfs.Errorf(dfs.IllegalArgument, "unknown action %d of a parity group", o.Action)
}

// groupSlot finds a group by its parity.
func (s *State) groupSlot(parity dfs.BlockID) (uint32, error) {
	i := s.group.byBlock.get(uint64(parity))
	if i&isParity == 0 {
		return 0, dfs.Errorf(dfs.Stale, "there is no group of parity blk_%d", parity)
	}
	return i &^ isParity, nil
}

// maxBytesPer bounds the bytes per checksum of a member: no packet has more.
const maxBytesPer = dfs.MaxPacket

// checkShape refuses what could not be a group in any state.
func (o *ParityGroup) checkShape() error {
	fault := func(format string, args ...any) error {
		return dfs.Errorf(dfs.IllegalArgument, "group of parity "+o.Parity.String()+": "+format, args...)
	}
	if o.Data < dfs.MinParityData || o.Data > dfs.MaxParityData {
		return fault("%d data blocks are not between %d and %d", o.Data, dfs.MinParityData, dfs.MaxParityData)
	}
	if len(o.Members) == 0 || len(o.Members) > int(o.Data) {
		return fault("%d members, there may be 1 to %d", len(o.Members), o.Data)
	}
	longest := int64(0)
	for k := range o.Members {
		m := &o.Members[k]
		b := &m.Block
		switch {
		case b.ID == 0 || b.ID > maxBlockID || b.GenStamp > maxStamp || b.Length < 0 || b.Length > maxBlock:
			return fault("member %s has an impossible id, stamp or length %d", b, b.Length)
		case m.Checksum > dfs.ChecksumCRC32C || m.BytesPer < 0 || m.BytesPer > maxBytesPer:
			return fault("member %s has impossible checksums: type %d over %d bytes", b, m.Checksum, m.BytesPer)
		case b.ID == o.Parity.ID || slices.ContainsFunc(o.Members[:k], func(e dfs.ParityMember) bool { return e.Block.ID == b.ID }):
			return fault("%s is in it twice", b)
		}
		longest = max(longest, b.Length)
	}
	if o.Parity.Length != longest {
		return fault("%d bytes long, but its longest member has %d", o.Parity.Length, longest)
	}
	return nil
}

// checkMembers holds the blocks of a new group against the state. old is the slot of the group that it
// replaces, 0 for none.
func (s *State) checkMembers(o *ParityGroup, old uint32) error {
	t := &s.group
	stale := func(b dfs.Block, what string) error {
		return dfs.Errorf(dfs.Stale, "group of parity %s: %s %s", o.Parity, b, what)
	}
	id := uint64(o.Parity.ID)
	if id == 0 || id >= s.nextBlock || uint64(o.Parity.GenStamp) >= s.nextStamp || s.byBlock.get(id) != 0 || t.byBlock.get(id) != 0 {
		return stale(o.Parity, "was not handed out for it, or is in use")
	}
	if max(t.groups.live(), t.members.live()) >= isParity-chunkSlots {
		return dfs.Errorf(dfs.Other, "there are too many parity groups")
	}
	living := 0
	for k := range o.Members {
		m := &o.Members[k]
		if i := t.byBlock.get(uint64(m.Block.ID)); i != 0 {
			if i&isParity != 0 || t.members.at(i).group != old {
				return stale(m.Block, "is in another group")
			}
			have := t.members.at(i)
			if have.block.public() != m.Block || have.crc != m.CRC {
				return stale(m.Block, "is not as the group has it")
			}
			if !have.departed() {
				living++
			}
			continue
		}
		ref := s.byBlock.get(uint64(m.Block.ID))
		if ref == 0 {
			return stale(m.Block, "is in no file")
		}
		if b := s.block(ref); b.state() != BlockCompleted || b.public() != m.Block {
			return stale(m.Block, "is not complete, or not as its file has it")
		}
		living++
	}
	if living == 0 {
		return stale(o.Parity, "would protect no block of a file")
	}
	return nil
}

func (s *State) parityGroup(o *ParityGroup) (any, error) {
	slot, err := s.checkParityGroup(o)
	if err != nil {
		return nil, err
	}
	r := &GroupChange{}
	switch o.Action {
	case GroupAllocate:
		r.Parity = dfs.Block{ID: dfs.BlockID(s.nextBlock), GenStamp: dfs.GenStamp(s.nextStamp)}
		s.nextBlock++
		s.nextStamp++
	case GroupCommit:
		s.commitGroup(o, slot, r)
	case GroupDissolve:
		r.Parity = s.group.groups.at(slot).block.public()
		s.leaveGroup(slot, nil, r)
		s.endGroup(slot)
	}
	return r, nil
}

func (s *State) commitGroup(o *ParityGroup, old uint32, r *GroupChange) {
	t := &s.group
	var departed [dfs.MaxParityData]bool
	if old != 0 {
		for k := range o.Members {
			if i := t.byBlock.get(uint64(o.Members[k].Block.ID)); i != 0 {
				departed[k] = t.members.at(i).departed()
			}
		}
		s.leaveGroup(old, o.Members, r)
		s.endGroup(old)
	}
	slot := s.putGroup(&o.Parity, o.CRC, o.Data, o.Members, func(k int) bool { return departed[k] })
	r.Parity = o.Parity
	s.viewGroup(&r.Group, slot)
}

// leaveGroup tells what becomes of the blocks of a group that ends, but of those that stay for the next one.
func (s *State) leaveGroup(slot uint32, stay []dfs.ParityMember, r *GroupChange) {
	g := s.group.groups.at(slot)
	s.group.each(g, func(_ uint32, m *groupMember) {
		b := m.block.public()
		switch {
		case slices.ContainsFunc(stay, func(e dfs.ParityMember) bool { return e.Block.ID == b.ID }):
		case m.departed():
			r.Removed = append(r.Removed, b)
		default:
			r.Left = append(r.Left, b)
		}
	})
	r.Removed = append(r.Removed, g.block.public())
}
