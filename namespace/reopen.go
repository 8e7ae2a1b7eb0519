package namespace

import "redoubt/dfs"

// reopenable finds the closed file of an op that wants to write it.
func (s *State) reopenable(op string, id dfs.InodeID, auth uint64, holder, machine string) (uint32, error) {
	i, err := s.premise(id, auth)
	if err != nil {
		return 0, err
	}
	in := s.inodes.at(i)
	if !in.isFile() {
		path := s.pathOf(i)
		return 0, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path is not a file: " + path}
	}
	if in.has(flagOpen) {
		return 0, s.beingCreated(op, i, holder, machine)
	}
	if s.strings.full(machine) {
		return 0, dfs.Errorf(dfs.Other, "too many different host names")
	}
	return i, nil
}

func (s *State) beingCreated(op string, file uint32, holder, machine string) error {
	w := s.writers.at(s.inodes.at(file).slot())
	owner := s.leases.at(w.lease).holder
	reason := "this file lease is currently owned by " + owner + " on " + s.strings.text[w.machine]
	if owner == holder {
		reason = holder + " is already the current lease holder."
	}
	path := s.pathOf(file)
	return &dfs.Error{Kind: dfs.BeingCreated, Path: path,
		Msg: "Failed to " + op + " " + path + " for " + holder + " on " + machine + " because " + reason}
}

func (s *State) checkAppend(o *Append) (uint32, error) {
	i, err := s.reopenable("APPEND_FILE", o.File, o.Auth, o.Holder, o.Machine)
	if err != nil {
		return 0, err
	}
	in := s.inodes.at(i)
	if last := s.last(i); last != 0 && !o.NewBlock {
		if b := s.block(last); b.size() < in.blockSize() && !s.grouped(b) {
			return i, s.verifyFile(i, in.blockSize()-b.size())
		}
	}
	return i, nil
}

func (s *State) append(o *Append) (any, error) {
	i, err := s.checkAppend(o)
	if err != nil {
		return nil, err
	}
	r := &Appended{}
	s.spaced(i, func() {
		s.open(i, o.Holder, o.Machine, 0)
		in := s.inodes.at(i)
		if last := s.last(i); last != 0 && !o.NewBlock {
			if b := s.block(last); b.size() < in.blockSize() && !s.grouped(b) {
				s.change(last, b.genStamp(), b.size(), BlockUnderConstruction)
				info := s.blockInfo(last)
				info.Offset = in.size() - info.Length
				r.Last = &info
			}
		}
	})
	r.Status = s.status(i)
	return r, nil
}

func (s *State) reassignLease(o *ReassignLease) error {
	i, err := s.writable(o.File, o.OldHolder, o.Auth)
	if err != nil {
		return err
	}
	w := s.inodes.at(i).slot()
	s.sum.sub(s.writerSum(s.writers.at(w)))
	s.leave(w)
	s.joinLease(w, o.Holder)
	s.sum.add(s.writerSum(s.writers.at(w)))
	return nil
}

func (s *State) checkTruncate(o *Truncate) (uint32, error) {
	i, err := s.premise(o.File, o.Auth)
	if err != nil {
		return 0, err
	}
	if in := s.inodes.at(i); in.isFile() && in.has(flagOpen) {
		switch w := s.writers.at(in.slot()); {
		case w.truncate == 0:
		case w.truncate == o.Length+1:
			return i, nil
		default:
			path := s.pathOf(i)
			return 0, &dfs.Error{Kind: dfs.BeingCreated, Path: path, Msg: "Failed to TRUNCATE_FILE " + path +
				" for " + o.Holder + " on " + o.Machine + " because " + path + " is being truncated."}
		}
	}
	if i, err = s.reopenable("TRUNCATE_FILE", o.File, o.Auth, o.Holder, o.Machine); err != nil {
		return 0, err
	}
	if in := s.inodes.at(i); o.Length > in.size() {
		return 0, dfs.Errorf(dfs.IllegalArgument, "Cannot truncate to a larger file size. Current size: %d, truncate size: %d.", in.size(), o.Length)
	}
	if o.Length < 0 {
		return 0, dfs.Errorf(dfs.IllegalArgument, "Cannot truncate to a negative file size: %d.", o.Length)
	}
	if err := s.checkCut(i, o.Length); err != nil || !s.typed() {
		return i, err
	}
	// Space quotas are not asked: logs have truncates that passed without, and have to come to the same.
	return i, s.verifyQuota(s.inodes.at(i).parent, growth{types: s.typesFor(i, s.cutGrowth(i, o.Length))}, 0)
}

// cutGrowth is by how many bytes a truncate changes what quotas count of one replica: a
// block that is cut inside counts in full until its recovery has ended.
func (s *State) cutGrowth(i uint32, length int64) (more int64) {
	in := s.inodes.at(i)
	end := int64(0)
	s.eachBlock(i, func(ref uint32) bool {
		start := end
		end += s.block(ref).size()
		if start < length && length < end {
			more = start + in.blockSize()
		} else if end == length {
			more = end
		}
		return end < length
	})
	return more - in.size()
}

// checkCut refuses to shorten a block that is in a parity group. What is cut at the boundary
// of a block changes none.
func (s *State) checkCut(i uint32, length int64) (err error) {
	if s.group.members.live() == 0 {
		return nil
	}
	end := int64(0)
	s.eachBlock(i, func(ref uint32) bool {
		b := s.block(ref)
		start := end
		if end += b.size(); start < length && length < end && s.grouped(b) {
			err = s.inGroup(b)
		}
		return end < length
	})
	return err
}

func (s *State) truncate(o *Truncate) (any, error) {
	i, err := s.checkTruncate(o)
	if err != nil {
		return nil, err
	}
	r := &Truncated{File: o.File, Done: true}
	in := s.inodes.at(i)
	if in.has(flagOpen) {
		r.Done = false // the same truncate again
		b := s.block(s.last(i))
		r.Last, r.NewLength = b.public(), b.size()
		return r, nil
	}
	if in.size() == o.Length {
		return r, nil
	}
	s.spaced(i, func() { s.cut(i, o, r) })
	in = s.inodes.edit(i)
	s.sum.sub(s.attrs(in))
	in.setMtime(o.Time)
	s.sum.add(s.attrs(in))
	return r, nil
}

// cut removes the blocks beyond the new length and opens the file for the recovery of
// one that it ends in.
func (s *State) cut(i uint32, o *Truncate, r *Truncated) {
	keep, end := 0, int64(0)
	s.eachBlock(i, func(b uint32) bool {
		if end >= o.Length {
			return false
		}
		end += s.block(b).size()
		keep++
		return true
	})
	if keep < int(s.inodes.at(i).count()) {
		var gone Deleted
		s.dropTail(i, keep, &gone)
		gone.settle()
		r.Removed, r.Groups = gone.Blocks, gone.Groups
		s.fold(i)
	}
	in := s.inodes.at(i)
	if in.size() == o.Length {
		return
	}
	r.Done, r.Last = false, s.block(s.last(i)).public()
	r.NewLength = o.Length - (in.size() - r.Last.Length)
	r.Stamp = dfs.GenStamp(s.nextStamp)
	s.nextStamp++
	s.open(i, o.Holder, o.Machine, o.Length+1)
	s.change(s.last(i), uint64(r.Last.GenStamp), r.NewLength, BlockUnderRecovery)
}

// checkCommitSync gives the file and block, 0 when there is nothing left to do.
func (s *State) checkCommitSync(o *CommitSync) (file, b uint32, err error) {
	b = s.byBlock.get(uint64(o.Block.ID))
	if b == 0 {
		if o.Remove {
			return 0, 0, nil
		}
		return 0, 0, dfs.Errorf(dfs.Other, "Block (=%s) not found", o.Block)
	}
	have := s.block(b)
	file = s.fileOf(b)
	in := s.inodes.at(file)
	if s.live(dfs.InodeID(in.id)) == 0 {
		return 0, 0, dfs.Errorf(dfs.NotFound, "File not found: inode %d, likely due to delayed block removal", in.id)
	}
	if !in.has(flagOpen) || have.state() == BlockCompleted || s.last(file) != b {
		return 0, 0, nil
	}
	if !o.Remove {
		if uint64(o.Stamp) < have.genStamp() || uint64(o.Stamp) >= s.nextStamp || o.Length < 0 || o.Length > maxBlock {
			return 0, 0, dfs.Errorf(dfs.Other, "recovery of %s gave an impossible stamp %d or length %d", have.public(), o.Stamp, o.Length)
		}
	}
	return file, b, nil
}

func (s *State) commitSync(o *CommitSync) (any, error) {
	file, b, err := s.checkCommitSync(o)
	if err != nil {
		return nil, err
	}
	r := &BlockChange{Block: o.Block}
	if b == 0 {
		return r, nil
	}
	r.File, r.Changed = dfs.InodeID(s.inodes.at(file).id), true
	s.spaced(file, func() {
		if o.Remove {
			s.dropTail(file, int(s.inodes.at(file).count())-1, new(Deleted))
		} else {
			s.change(b, uint64(o.Stamp), o.Length, BlockCommitted)
			r.Block = s.block(b).public()
		}
		if w := s.inodes.at(file).slot(); s.writers.at(w).truncate != 0 {
			s.sum.sub(s.writerSum(s.writers.at(w)))
			s.writers.edit(w).truncate = 0
			s.sum.add(s.writerSum(s.writers.at(w)))
		}
		if o.Close {
			s.finish(file, o.Time)
		}
	})
	return r, nil
}

// checkConcat gives the target and the sources.
func (s *State) checkConcat(o *Concat) (target uint32, sources []uint32, err error) {
	if target, err = s.premise(o.Target, o.Auth); err != nil {
		return 0, nil, err
	}
	t := s.inodes.at(target)
	path := s.pathOf(target)
	if !t.isFile() {
		return 0, nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path is not a file: " + path}
	}
	if t.has(flagOpen) {
		return 0, nil, dfs.Errorf(dfs.IllegalArgument, "concat: target file %s is under construction", path)
	}
	seen := map[uint32]bool{}
	g := growth{}
	for _, id := range o.Sources {
		i := s.live(id)
		if i == 0 {
			return 0, nil, errStale
		}
		in := s.inodes.at(i)
		src := s.pathOf(i)
		switch {
		case !in.isFile():
			return 0, nil, &dfs.Error{Kind: dfs.NotFound, Path: src, Msg: "Path is not a file: " + src}
		case in.parent != t.parent:
			return 0, nil, dfs.Errorf(dfs.IllegalArgument, "Source file %s is not in the same directory with the target %s", src, path)
		case i == target:
			return 0, nil, dfs.Errorf(dfs.IllegalArgument, "concat: the src file %s is the same with the target file %s", src, path)
		case in.has(flagOpen) || in.count() == 0:
			return 0, nil, dfs.Errorf(dfs.IllegalArgument, "concat: source file %s is invalid or empty or underConstruction", src)
		case in.blockSize() > t.blockSize():
			return 0, nil, dfs.Errorf(dfs.IllegalArgument, "concat: source file %s has preferred block size %d which is greater than the target file's preferred block size %d",
				src, in.blockSize(), t.blockSize())
		case seen[i]:
			return 0, nil, dfs.Errorf(dfs.IllegalArgument, "concat: at least two of the source files are the same")
		}
		seen[i] = true
		sources = append(sources, i)
		g.ds += in.size() * (int64(t.replication()) - int64(in.replication()))
		if s.typed() {
			addTypes(&g.types, s.policyOf(target), in.size(), t.replication())
			addTypes(&g.types, s.policyOf(i), -in.size(), in.replication())
		}
	}
	if len(sources) == 0 {
		return 0, nil, dfs.Errorf(dfs.RuntimeIllegal, "No sources given")
	}
	return target, sources, s.verifyQuota(t.parent, g, 0)
}

func (s *State) concat(o *Concat) (any, error) {
	target, sources, err := s.checkConcat(o)
	if err != nil {
		return nil, err
	}
	parent := s.inodes.at(target).parent
	s.unfold(target)
	for _, i := range sources {
		s.detach(i)
		s.unfold(i)
		last := s.last(i)
		var slots []uint32
		s.eachBlock(i, func(b uint32) bool {
			s.sum.sub(s.blockSum(b, b == last))
			slots = append(slots, b)
			return true
		})
		s.inodes.edit(i).body = block{}
		s.spaced(target, func() {
			for _, b := range slots {
				s.link(target, b)
			}
		})
		s.bury(i)
	}
	in := s.inodes.edit(target)
	s.sum.sub(s.attrs(in))
	in.setMtime(o.Time)
	s.sum.add(s.attrs(in))
	s.touch(parent, o.Time)
	return &BlockChange{File: o.Target, Changed: true}, nil
}
