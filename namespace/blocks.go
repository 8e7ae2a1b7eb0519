package namespace

import "redoubt/dfs"

// last gives the slot of a file's last block, 0 for none.
func (s *State) last(in *inode) uint32 {
	if in.has(flagOpen) {
		return s.writers.at(in.tail).last
	}
	return in.tail
}

func (s *State) setLast(file uint32, b uint32) {
	in := s.inodes.edit(file)
	if in.has(flagOpen) {
		s.writers.edit(in.tail).last = b
		return
	}
	in.tail = b
}

// before gives the slot of the block before b in its file's ring: the last one's
// predecessor, or for the first one the last. It walks the ring.
func (s *State) before(b uint32) uint32 {
	p := b
	for s.blocks.at(p).next != b {
		p = s.blocks.at(p).next
	}
	return p
}

// appendBlock gives a file a new last block.
func (s *State) appendBlock(file uint32, id, stamp uint64, size int64, state BlockState) uint32 {
	i := s.blocks.alloc()
	b := s.blocks.edit(i)
	b.low, b.file, b.next = id, file, i
	b.set(stamp, size, state)
	s.byBlock.set(id, i)
	s.link(file, i)
	return i
}

// link hangs a block without a place at the end of a file.
func (s *State) link(file, i uint32) {
	in := s.inodes.edit(file)
	b := s.blocks.edit(i)
	b.file = file
	if last := s.last(in); last != 0 {
		l := s.blocks.edit(last)
		s.sum.sub(s.blockSum(l, true))
		b.next, l.next = l.next, i
		s.sum.add(s.blockSum(l, false))
	} else {
		b.next = i
	}
	in.count++
	in.size += b.size()
	s.setLast(file, i)
	s.sum.add(s.blockSum(b, true))
}

// change gives a block a stamp, length and state.
func (s *State) change(i uint32, stamp uint64, size int64, state BlockState) {
	b := s.blocks.edit(i)
	in := s.inodes.at(b.file)
	last := s.last(in) == i
	if b.size() != size {
		s.inodes.edit(b.file).size += size - b.size()
	}
	s.sum.sub(s.blockSum(b, last))
	b.set(stamp, size, state)
	s.sum.add(s.blockSum(b, last))
}

// dropTail removes the blocks of a file but the first keep ones and appends them to dst.
func (s *State) dropTail(file uint32, keep int, dst []dfs.Block) []dfs.Block {
	var slots []uint32
	s.eachBlock(s.inodes.at(file), func(i uint32) bool {
		slots = append(slots, i)
		return true
	})
	in := s.inodes.edit(file)
	for k := len(slots) - 1; k >= keep-1 && k >= 0; k-- {
		b := s.blocks.at(slots[k])
		s.sum.sub(s.blockSum(b, k == len(slots)-1))
	}
	for _, i := range slots[keep:] {
		b := s.blocks.at(i)
		dst = append(dst, b.public())
		in.count--
		in.size -= b.size()
		s.byBlock.set(b.id(), 0)
		s.blocks.drop(i)
	}
	if keep == 0 {
		s.setLast(file, 0)
		return dst
	}
	l := s.blocks.edit(slots[keep-1])
	l.next = slots[0]
	s.setLast(file, slots[keep-1])
	s.sum.add(s.blockSum(l, true))
	return dst
}

// eachBlock calls fn with the slots of a file's blocks in order until it returns false.
func (s *State) eachBlock(in *inode, fn func(i uint32) bool) {
	last := s.last(in)
	if last == 0 {
		return
	}
	for i := s.blocks.at(last).next; ; {
		next := s.blocks.at(i).next
		if !fn(i) || i == last {
			return
		}
		i = next
	}
}

// dropBlocks removes all blocks of a file whose record is about to go, and appends them to dst.
func (s *State) dropBlocks(in *inode, dst []dfs.Block) []dfs.Block {
	last := s.last(in)
	s.eachBlock(in, func(i uint32) bool {
		b := s.blocks.at(i)
		s.sum.sub(s.blockSum(b, i == last))
		dst = append(dst, b.public())
		return true
	})
	s.eachBlock(in, func(i uint32) bool {
		s.byBlock.set(s.blocks.at(i).id(), 0)
		s.blocks.drop(i)
		return true
	})
	return dst
}

// open makes holder the writer of a file.
func (s *State) open(file uint32, holder, machine string, truncate int64) {
	in := s.inodes.edit(file)
	i := s.writers.alloc()
	w := s.writers.edit(i)
	*w = writer{file: file, last: in.tail, machine: s.strings.id(machine), truncate: truncate}
	in.tail = i
	in.setFlag(flagOpen, true)
	s.joinLease(i, holder)
	s.sum.add(s.writerSum(s.writers.at(i)))
}

// joinLease puts a writer on holder's lease.
func (s *State) joinLease(i uint32, holder string) {
	l, ok := s.holders[holder]
	if !ok {
		holder = string(append([]byte(nil), holder...))
		l = s.leases.alloc()
		*s.leases.edit(l) = lease{holder: holder, hash: hashText(holder)}
		s.holders[holder] = l
	}
	le := s.leases.edit(l)
	le.files++
	w := s.writers.edit(i)
	w.lease, w.prev, w.next = l, i, i
	if le.first == 0 {
		le.first = i
		return
	}
	first := s.writers.edit(le.first)
	w.prev, w.next = first.prev, le.first
	s.writers.edit(first.prev).next = i
	s.writers.edit(le.first).prev = i
}

// leave takes a writer off its lease, which ends with its last file.
func (s *State) leave(i uint32) {
	w := *s.writers.at(i)
	le := s.leases.edit(w.lease)
	le.files--
	if le.files == 0 {
		delete(s.holders, le.holder)
		s.leases.drop(w.lease)
		return
	}
	s.writers.edit(w.prev).next = w.next
	s.writers.edit(w.next).prev = w.prev
	if le.first == i {
		le.first = w.next
	}
}

// endWriter closes a file.
func (s *State) endWriter(file uint32) {
	in := s.inodes.edit(file)
	i := in.tail
	s.sum.sub(s.writerSum(s.writers.at(i)))
	s.leave(i)
	in.tail = s.writers.at(i).last
	in.setFlag(flagOpen, false)
	s.writers.drop(i)
}

// space is what a file takes of a space quota: its length times its replication, where a
// last block that is being written counts as a full one.
func (s *State) space(file uint32) int64 {
	in := s.inodes.at(file)
	size := in.size
	if last := s.last(in); last != 0 {
		if b := s.blocks.at(last); b.state() < BlockCommitted {
			size += in.blockSize() - b.size()
		}
	}
	return size * int64(in.replication())
}

// spaced runs a change of one file's blocks and moves the space counters of the
// directories above.
func (s *State) spaced(file uint32, change func()) {
	if s.feature.quotas.Len() == 0 {
		change()
		return
	}
	before := s.space(file)
	change()
	s.charge(s.inodes.at(file).parent, 0, s.space(file)-before)
}
