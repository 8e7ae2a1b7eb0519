package namespace

// block gives the block that a reference stands for.
func (s *State) block(ref uint32) *block {
	if ref&inInode != 0 {
		return &s.inodes.at(ref &^ inInode).body
	}
	return &s.blocks.at(ref).block
}

// fileOf gives the inode slot of a block's file.
func (s *State) fileOf(ref uint32) uint32 {
	if ref&inInode != 0 {
		return ref &^ inInode
	}
	return s.blocks.at(ref).file
}

// tail gives the slot of the block before a file's last, or of its only one; 0 for none.
// The file's block is not inside its inode.
func (s *State) tail(in *inode) uint32 {
	if in.has(flagOpen) {
		return s.writers.at(in.slot()).tail
	}
	return in.slot()
}

func (s *State) setTail(file, b uint32) {
	in := s.inodes.edit(file)
	if in.has(flagOpen) {
		s.writers.edit(in.slot()).tail = b
		return
	}
	in.setSlot(b)
}

// last refers to a file's last block, 0 for none.
func (s *State) last(file uint32) uint32 {
	in := s.inodes.at(file)
	if in.has(flagOne) {
		return file | inInode
	}
	if t := s.tail(in); t != 0 {
		return s.blocks.at(t).next
	}
	return 0
}

// beforeLast refers to the block before a file's last one, 0 for none.
func (s *State) beforeLast(file uint32) uint32 {
	in := s.inodes.at(file)
	if in.count() < 2 {
		return 0
	}
	return s.tail(in)
}

// unfold moves the block that is inside a file's inode, if one is, to a record of its own.
// What is in the tree and its digest stay as they are.
func (s *State) unfold(file uint32) {
	if !s.inodes.at(file).has(flagOne) {
		return
	}
	in := s.inodes.edit(file)
	i := s.blocks.alloc()
	*s.blocks.edit(i) = chained{block: in.body, file: file, next: i}
	s.byBlock.set(in.body.id(), i)
	in.body = block{low: uint64(in.body.size()), high: 1}
	in.setSlot(i)
	in.setFlag(flagOne, false)
	s.folded--
}

// fold is the reverse of unfold for a closed file that has one block.
func (s *State) fold(file uint32) {
	in := s.inodes.edit(file)
	if in.has(flagOpen|flagOne) || in.count() != 1 {
		return
	}
	i := in.slot()
	in.body = s.blocks.at(i).block
	in.setFlag(flagOne, true)
	s.byBlock.set(in.body.id(), file|inInode)
	s.blocks.drop(i)
	s.folded++
}

// appendBlock gives a file a new last block.
func (s *State) appendBlock(file uint32, id, stamp uint64, size int64, state BlockState) {
	s.unfold(file)
	i := s.blocks.alloc()
	b := s.blocks.edit(i)
	b.low = id
	b.set(stamp, size, state)
	s.byBlock.set(id, i)
	s.link(file, i)
}

// link hangs a block without a place at the end of a file, whose other blocks are chained.
func (s *State) link(file, i uint32) {
	in := s.inodes.edit(file)
	b := s.blocks.edit(i)
	b.file, b.next = file, i
	tail := i
	if last := s.last(file); last != 0 {
		l := s.blocks.edit(last)
		s.sum.sub(s.blockSum(last, true))
		b.next, l.next, tail = l.next, i, last
		s.sum.add(s.blockSum(last, false))
	}
	in.body.high++
	in.body.low += uint64(b.size())
	s.setTail(file, tail)
	s.sum.add(s.blockSum(i, true))
}

// change gives one of the last two blocks of an open file a stamp, length and state.
func (s *State) change(i uint32, stamp uint64, size int64, state BlockState) {
	b := s.blocks.edit(i)
	last := s.last(b.file) == i
	if b.size() != size {
		s.inodes.edit(b.file).body.low += uint64(size - b.size())
	}
	s.sum.sub(s.blockSum(i, last))
	b.set(stamp, size, state)
	s.sum.add(s.blockSum(i, last))
}

// complete makes a block complete, unless it is or there is none.
func (s *State) complete(i uint32) {
	if i == 0 {
		return
	}
	if b := s.block(i); b.state() != BlockCompleted {
		s.change(i, b.genStamp(), b.size(), BlockCompleted)
	}
}

// dropTail removes the blocks of a file but the first keep ones, as r tells afterwards. What is
// left is chained.
func (s *State) dropTail(file uint32, keep int, r *Deleted) {
	s.unfold(file)
	var slots []uint32
	s.eachBlock(file, func(i uint32) bool {
		slots = append(slots, i)
		return true
	})
	in := s.inodes.edit(file)
	for k := len(slots) - 1; k >= keep-1 && k >= 0; k-- {
		s.sum.sub(s.blockSum(slots[k], k == len(slots)-1))
	}
	for _, i := range slots[keep:] {
		b := s.blocks.at(i)
		in.body.high--
		in.body.low -= uint64(b.size())
		s.byBlock.set(b.id(), 0)
		s.release(&b.block, r)
		s.blocks.drop(i)
	}
	if keep == 0 {
		s.setTail(file, 0)
		return
	}
	last := slots[keep-1]
	s.blocks.edit(last).next = slots[0]
	s.setTail(file, slots[max(keep-2, 0)])
	s.sum.add(s.blockSum(last, true))
}

// eachBlock calls fn with a file's blocks in order until it returns false.
func (s *State) eachBlock(file uint32, fn func(ref uint32) bool) {
	last := s.last(file)
	if last == 0 || last&inInode != 0 {
		if last != 0 {
			fn(last)
		}
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

// dropBlocks removes all blocks of a file, as r tells afterwards.
func (s *State) dropBlocks(file uint32, r *Deleted) {
	last := s.last(file)
	if last == 0 {
		return
	}
	in := s.inodes.edit(file)
	if in.has(flagOne) {
		s.sum.sub(s.blockSum(last, true))
		s.byBlock.set(in.body.id(), 0)
		s.release(&in.body, r)
		in.body = block{}
		in.setFlag(flagOne, false)
		s.folded--
		return
	}
	s.eachBlock(file, func(i uint32) bool {
		s.sum.sub(s.blockSum(i, i == last))
		return true
	})
	s.eachBlock(file, func(i uint32) bool {
		b := s.blocks.at(i)
		s.byBlock.set(b.id(), 0)
		s.release(&b.block, r)
		s.blocks.drop(i)
		return true
	})
	s.setTail(file, 0)
	in.body.low, in.body.high = 0, in.body.high>>32<<32
}

// open makes holder the writer of a file.
func (s *State) open(file uint32, holder, machine string, truncate int64) {
	s.unfold(file)
	in := s.inodes.edit(file)
	i := s.writers.alloc()
	w := s.writers.edit(i)
	*w = writer{file: file, tail: in.slot(), machine: s.strings.id(machine), truncate: truncate}
	s.strings.hold(w.machine)
	in.setSlot(i)
	in.setFlag(flagOpen, true)
	s.opened.add(in.id)
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
	i := in.slot()
	w := *s.writers.at(i)
	s.sum.sub(s.writerSum(&w))
	s.leave(i)
	s.strings.release(w.machine)
	in.setSlot(w.tail)
	in.setFlag(flagOpen, false)
	s.opened.remove(in.id)
	s.writers.drop(i)
	s.fold(file)
}

// space is what a file takes of a space quota: its length times its replication, where a
// last block that is being written counts as a full one.
func (s *State) space(file uint32) int64 {
	return s.bytes(file) * int64(s.inodes.at(file).replication())
}

// bytes is the part of that for one replica.
func (s *State) bytes(file uint32) int64 {
	in := s.inodes.at(file)
	size := in.size()
	if last := s.last(file); last != 0 {
		if b := s.block(last); b.state() < BlockCommitted {
			size += in.blockSize() - b.size()
		}
	}
	return size
}

// spaced runs a change of one file's blocks and moves the space counters of the
// directories above.
func (s *State) spaced(file uint32, change func()) {
	before := s.space(file)
	change()
	in, more := s.inodes.at(file), s.space(file)-before
	s.charge(in.parent, 0, more)
	if more != 0 && s.typed() {
		s.chargeTypes(in.parent, s.typesFor(file, more/int64(in.replication())))
	}
}
