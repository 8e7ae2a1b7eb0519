package namespace

import "redoubt/dfs"

// What an image does not hold is made here when its records are in: the indexes by id, by
// block and by name, and what directories count of their trees.

// indexBlocks enters the blocks' ids.
func (s *State) indexBlocks() (err error) {
	s.eachRef(func(ref uint32) bool {
		id := s.block(ref).id()
		if id >= s.nextBlock || s.byBlock.get(id) != 0 {
			err = corrupt("block %d twice, or never handed out", id)
			return false
		}
		s.byBlock.set(id, ref)
		return true
	})
	return err
}

// indexParents resolves the parents and enters blocks and names.
func (s *State) indexParents(parts []*part, bases []uint32) error {
	if err := s.indexBlocks(); err != nil {
		return err
	}
	var lastID uint64
	var last uint32
	for k, p := range parts {
		for i, parent := range p.parents {
			slot := bases[k] + uint32(i)
			if parent == 0 {
				if err := s.rootless(slot); err != nil {
					return err
				}
				continue
			}
			if parent != lastID {
				lastID, last = parent, s.byID.get(parent)
			}
			if last == 0 || !s.inodes.at(last).isDir() {
				return corrupt("parent %d is no directory", parent)
			}
			in := s.inodes.at(slot)
			in.parent = last
			s.inodes.at(last).body.high++
			s.names.insert(hashName(s.seed, last, s.nameOf(in)), slot)
		}
		p.parents = nil
	}
	return nil
}

// rootless takes an inode without a parent: the root, or the root of a deleted subtree.
func (s *State) rootless(slot uint32) error {
	if slot == 0 || slot == rootSlot {
		return nil
	}
	in := s.inodes.at(slot)
	if !in.has(flagDetached) || !in.isDir() {
		return corrupt("inode %d has no parent", in.id)
	}
	s.detached.Set(in.id, struct{}{})
	return nil
}

// indexChildren fills the child indexes and makes sure that every directory hangs below
// a root.
func (s *State) indexChildren() error {
	good := make([]bool, len(s.dirs.list))
	for i := uint32(1); i < s.inodes.next; i++ {
		in := s.inodes.at(i)
		if in.id == 0 {
			continue
		}
		if in.isDir() {
			if !s.reachesRoot(i, good) {
				return corrupt("directory %d is its own ancestor", in.id)
			}
		}
		if in.parent == 0 {
			continue
		}
		d := s.inodes.at(in.parent)
		x := &s.dirs.list[d.slot()]
		if x.few == nil {
			x.few = make([]uint32, 0, d.count())
		}
		x.few = append(x.few, i)
	}
	for i := range s.dirs.list {
		if x := &s.dirs.list[i]; len(x.few) >= dirSplit {
			x.split(s)
		}
	}
	return nil
}

// reachesRoot walks up from a directory to one that is known to be good and marks the
// way, unless it is a circle.
func (s *State) reachesRoot(i uint32, good []bool) bool {
	steps := 0
	for p := i; p != 0 && !good[s.inodes.at(p).slot()]; p = s.inodes.at(p).parent {
		if steps++; steps > len(good) {
			return false
		}
	}
	for p := i; p != 0 && !good[s.inodes.at(p).slot()]; p = s.inodes.at(p).parent {
		good[s.inodes.at(p).slot()] = true
	}
	return true
}

// countTrees counts what each directory's subtree takes of quotas, each directory once,
// after those in it. It also holds the blocks of files to the states that they can have.
func (s *State) countTrees(dfs.SectionSource) error {
	inside := make([]uint32, len(s.dirs.list)) // directories in a directory that are not counted yet
	for i := uint32(1); i < s.inodes.next; i++ {
		in := s.inodes.at(i)
		if in.id == 0 {
			continue
		}
		if in.isFile() {
			if err := s.checkStates(i, in); err != nil {
				return err
			}
			d := s.inodes.at(in.parent)
			d.layout++
			d.body.low += uint64(s.space(i))
		} else if in.parent != 0 {
			inside[s.inodes.at(in.parent).slot()]++
		}
	}
	const counted = 1<<32 - 1
	for i := uint32(1); i < s.inodes.next; i++ {
		for p := i; p != 0; {
			in := s.inodes.at(p)
			if in.id == 0 || !in.isDir() || inside[in.slot()] != 0 {
				break
			}
			inside[in.slot()] = counted
			if p = in.parent; p != 0 {
				d := s.inodes.at(p)
				d.layout += in.layout
				d.body.low += in.body.low
				inside[d.slot()]--
			}
		}
	}
	return nil
}

// checkStates refuses a closed file with a block that is not complete, and an open one with such a
// block before the last two.
func (s *State) checkStates(i uint32, in *inode) (err error) {
	loose := uint32(0)
	if in.has(flagOpen) {
		loose = 2
	}
	at := uint32(0)
	s.eachBlock(i, func(ref uint32) bool {
		if at++; at+loose <= in.count() && s.block(ref).state() != BlockCompleted {
			err = corrupt("block %d of inode %d is %s", s.block(ref).id(), in.id, s.block(ref).state())
		}
		return err == nil
	})
	return err
}
