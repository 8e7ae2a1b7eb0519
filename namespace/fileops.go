package namespace

import (
	"strconv"

	"redoubt/dfs"
)

// CheckLease tells whether holder may write the file that the client calls path.
// Errors: dfs.NotFound, dfs.LeaseExpired, worded as HDFS does. Holder "" is anybody.
func (s *State) CheckLease(path string, file dfs.InodeID, holder string) error {
	i := s.live(file)
	if i == 0 {
		return s.leaseError(dfs.NotFound, "File does not exist: ", path, file, holder)
	}
	in := s.inodes.at(i)
	if path == "" && (!in.isFile() || !in.has(flagOpen) || holder != "" && s.leases.at(s.writers.at(in.slot()).lease).holder != holder) {
		path = s.pathOf(i)
	}
	switch {
	case !in.isFile():
		return s.leaseError(dfs.LeaseExpired, "INode is not a regular file: ", path, file, holder)
	case !in.has(flagOpen):
		return s.leaseError(dfs.LeaseExpired, "File is not open for writing: ", path, file, holder)
	}
	if owner := s.leases.at(s.writers.at(in.slot()).lease).holder; holder != "" && owner != holder {
		return s.leaseError(dfs.LeaseExpired, "Client (="+holder+") is not the lease owner (="+owner+": ", path, file, holder)
	}
	return nil
}

func (s *State) leaseError(kind dfs.Kind, what, path string, file dfs.InodeID, holder string) error {
	msg := what + path + " (inode " + strconv.FormatUint(uint64(file), 10) + ") "
	if l, ok := s.holders[holder]; ok {
		msg += "[Lease.  Holder: " + holder + ", pending creates: " + strconv.Itoa(int(s.leases.at(l).files)) + "]"
	} else {
		msg += "Holder " + holder + " does not have any open files."
	}
	return &dfs.Error{Kind: kind, Path: path, Msg: msg}
}

// writable finds the open file of an op that its holder may write.
func (s *State) writable(file dfs.InodeID, holder string, auth uint64) (uint32, error) {
	if err := s.CheckLease("", file, holder); err != nil {
		return 0, err
	}
	return s.premise(file, auth)
}

// allocation is what a checked AddBlock comes to.
type allocation struct {
	file  uint32
	last  uint32 // slot of the block to commit, 0 none
	retry bool   // answer with last, which is there already
}

func same(b *block, want *dfs.Block) bool {
	return b.id() == uint64(want.ID) && b.genStamp() == uint64(want.GenStamp)
}

func (s *State) checkAddBlock(o *AddBlock) (a allocation, err error) {
	if a.file, err = s.writable(o.File, o.Holder, o.Auth); err != nil {
		return a, err
	}
	if s.nextBlock > maxBlockID || s.nextStamp > maxStamp || s.blocks.live() >= inInode-chunkSlots {
		return a, dfs.Errorf(dfs.Other, "no block id, generation stamp or room for blocks is left")
	}
	in := s.inodes.at(a.file)
	a.last = s.last(a.file)
	none := o.Previous.ID == 0
	if a.last == 0 {
		if none {
			return a, s.verifyFile(a.file, in.blockSize())
		}
		return a, s.badPrevious(a.file, o, "null")
	}
	b := s.block(a.last)
	switch {
	case !none && same(b, &o.Previous):
	case none && b.state() == BlockCompleted:
		a.last = 0 // an append that was given no block to go on with: it is full, or was in a parity group
	case none && b.size() == 0 && b.state() == BlockUnderConstruction && in.count() > 1 && s.block(s.beforeLast(a.file)).state() == BlockCompleted:
		a.retry = true // the same again
		return a, nil
	case none && in.count() == 1, !none && in.count() > 1 && same(s.block(s.beforeLast(a.file)), &o.Previous):
		if b.size() != 0 || b.state() == BlockCompleted {
			return a, dfs.Errorf(dfs.Other, "Request looked like a retry to allocate block %s but it already contains %d bytes", b.public(), b.size())
		}
		a.retry = true
		return a, nil
	default:
		return a, s.badPrevious(a.file, o, b.public().String())
	}
	if b.state() == BlockUnderRecovery {
		return a, s.underRecovery(b)
	}
	more := in.blockSize()
	if b.state() < BlockCommitted {
		more += o.Previous.Length - in.blockSize()
		if o.Previous.Length < 0 || o.Previous.Length > maxBlock {
			return a, dfs.Errorf(dfs.Other, "block %s has an impossible length %d", o.Previous, o.Previous.Length)
		}
	}
	return a, s.verifyFile(a.file, more)
}

func (s *State) underRecovery(b *block) error {
	return dfs.Errorf(dfs.RecoveryInProgress, "block %s is under recovery", b.public())
}

func (s *State) badPrevious(file uint32, o *AddBlock, last string) error {
	previous := "null"
	if o.Previous.ID != 0 {
		previous = o.Previous.String()
	}
	return dfs.Errorf(dfs.Other, "Cannot allocate block in %s: passed 'previous' block %s does not match actual last block in file %s",
		s.pathOf(file), previous, last)
}

func (s *State) addBlock(o *AddBlock) (any, error) {
	a, err := s.checkAddBlock(o)
	if err != nil {
		return nil, err
	}
	r := &AddedBlock{}
	if a.retry {
		b := s.block(a.last)
		r.Block, r.Retried = b.public(), true
		r.Offset = s.inodes.at(a.file).size() - b.size()
		return r, nil
	}
	s.spaced(a.file, func() {
		if a.last != 0 {
			if b := s.block(a.last); b.state() < BlockCommitted {
				s.change(a.last, b.genStamp(), o.Previous.Length, BlockCommitted)
			}
		}
		if before := s.beforeLast(a.file); before != 0 && s.block(before).state() != BlockCompleted {
			s.complete(before)
			r.Completed = s.block(before).public()
		}
		r.Offset = s.inodes.at(a.file).size()
		r.Block = dfs.Block{ID: dfs.BlockID(s.nextBlock), GenStamp: dfs.GenStamp(s.nextStamp)}
		s.appendBlock(a.file, s.nextBlock, s.nextStamp, 0, BlockUnderConstruction)
		s.nextBlock++
		s.nextStamp++
	})
	return r, nil
}

func (s *State) abandonBlock(o *AbandonBlock) (any, error) {
	file, err := s.writable(o.File, o.Holder, o.Auth)
	if err != nil {
		return nil, err
	}
	r := &BlockChange{File: o.File, Block: o.Block}
	last := s.last(file)
	if last == 0 {
		return r, nil
	}
	if b := s.block(last); same(b, &o.Block) && b.state() == BlockUnderConstruction {
		r.Block, r.Changed = b.public(), true
		s.spaced(file, func() { s.dropTail(file, int(s.inodes.at(file).count())-1, new(Deleted)) })
	}
	return r, nil
}

// checkUpdateBlocks gives the file and the block to change.
func (s *State) checkUpdateBlocks(o *UpdateBlocks) (file, b uint32, err error) {
	if file, err = s.writable(o.File, o.Holder, o.Auth); err != nil {
		return 0, 0, err
	}
	last := s.last(file)
	b = s.byBlock.get(uint64(o.Block.ID))
	if b == 0 || s.fileOf(b) != file {
		return 0, 0, dfs.Errorf(dfs.Other, "%s does not exist.", o.Block)
	}
	have := s.block(b)
	if o.Block.Length < 0 || o.Block.Length > maxBlock || uint64(o.Block.GenStamp) > maxStamp {
		return 0, 0, dfs.Errorf(dfs.Other, "block %s has an impossible length %d or stamp", o.Block, o.Block.Length)
	}
	switch o.Action {
	case BlockLength, BlockCommit:
		if b != last || have.state() == BlockUnderRecovery {
			return 0, 0, s.underRecovery(have)
		}
		if o.Action == BlockCommit && have.genStamp() != uint64(o.Block.GenStamp) {
			return 0, 0, dfs.Errorf(dfs.Other, "Commit block with mismatching GS. NN has %s, client submits %s", have.public(), o.Block)
		}
	case BlockPipeline:
		if b != last || have.state() != BlockUnderConstruction {
			return 0, 0, dfs.Errorf(dfs.Other, "Unexpected BlockUCState: %s is %s but not UNDER_CONSTRUCTION", o.Block, have.state())
		}
		if uint64(o.Block.GenStamp) <= have.genStamp() {
			return 0, 0, dfs.Errorf(dfs.Other, "Update %s but the new block %s does not have a larger generation stamp than the last block %s",
				have.public(), o.Block, have.public())
		}
		if o.Block.Length < have.size() || o.Old != 0 && uint64(o.Old) != have.genStamp() {
			return 0, 0, dfs.Errorf(dfs.Other, "Update %s (size=%d) to a smaller size block %s (size=%d)",
				have.public(), have.size(), o.Block, o.Block.Length)
		}
		if uint64(o.Block.GenStamp) >= s.nextStamp {
			return 0, 0, dfs.Errorf(dfs.Other, "generation stamp of %s was never handed out", o.Block)
		}
	case BlockComplete:
		if have.state() < BlockCommitted {
			return 0, 0, dfs.Errorf(dfs.Other, "block %s is %s and can't be completed", have.public(), have.state())
		}
	default:
		return 0, 0, dfs.Errorf(dfs.Other, "unknown block action %d", o.Action)
	}
	return file, b, nil
}

func (s *State) updateBlocks(o *UpdateBlocks) (any, error) {
	file, i, err := s.checkUpdateBlocks(o)
	if err != nil {
		return nil, err
	}
	b := s.block(i)
	was := *b
	stamp, size, state := b.genStamp(), b.size(), b.state()
	switch o.Action {
	case BlockLength:
		if state == BlockUnderConstruction {
			size = max(size, o.Block.Length)
		}
	case BlockPipeline:
		stamp, size = uint64(o.Block.GenStamp), o.Block.Length
	case BlockCommit:
		if state < BlockCommitted {
			size, state = o.Block.Length, BlockCommitted
		}
	case BlockComplete:
		state = BlockCompleted
	}
	r := &BlockChange{File: o.File}
	s.spaced(file, func() { s.change(i, stamp, size, state) })
	b = s.block(i)
	r.Block, r.Changed = b.public(), b.genStamp() != was.genStamp() || b.size() != was.size()
	return r, nil
}

// checkClose gives the file and its last block; done means that it was closed before.
func (s *State) checkClose(o *Close) (file uint32, done bool, err error) {
	if err := s.CheckLease("", o.File, o.Holder); err != nil {
		i := s.live(o.File)
		if i == 0 || !s.inodes.at(i).isFile() || s.inodes.at(i).has(flagOpen) {
			return 0, false, err
		}
		last := s.last(i)
		if last == 0 && o.Last.ID == 0 || last != 0 && same(s.block(last), &o.Last) {
			return i, true, nil
		}
		return 0, false, err
	}
	if file, err = s.premise(o.File, o.Auth); err != nil {
		return 0, false, err
	}
	last := s.last(file)
	if last == 0 {
		return file, false, nil // a writer may name a block that it has abandoned
	}
	b := s.block(last)
	if b.state() == BlockUnderRecovery {
		return 0, false, s.underRecovery(b)
	}
	if o.Last.ID != 0 && uint64(o.Last.ID) != b.id() && b.state() >= BlockCommitted {
		return file, false, nil // likewise: the one before it has its length
	}
	if o.Last.ID != 0 && !same(b, &o.Last) {
		return 0, false, dfs.Errorf(dfs.Other, "Commit block with mismatching GS. NN has %s, client submits %s", b.public(), o.Last)
	}
	if o.Last.Length < 0 || o.Last.Length > maxBlock {
		return 0, false, dfs.Errorf(dfs.Other, "block %s has an impossible length %d", o.Last, o.Last.Length)
	}
	return file, false, nil
}

func (s *State) closeFile(o *Close) (any, error) {
	file, done, err := s.checkClose(o)
	if err != nil {
		return nil, err
	}
	r := &BlockChange{File: o.File, Changed: !done}
	if !done {
		s.spaced(file, func() {
			if last := s.last(file); last != 0 && o.Last.ID != 0 && s.block(last).state() < BlockCommitted {
				s.change(last, s.block(last).genStamp(), o.Last.Length, BlockCommitted)
			}
			s.finish(file, o.Time)
		})
	}
	if last := s.last(file); last != 0 {
		r.Block = s.block(last).public()
	}
	return r, nil
}

// finish completes the blocks of an open file and ends its writer. Only the last two can
// be incomplete, since AddBlock completes the one before them.
func (s *State) finish(file uint32, time int64) {
	s.complete(s.beforeLast(file))
	s.complete(s.last(file))
	s.endWriter(file)
	in := s.inodes.edit(file)
	s.sum.sub(s.attrs(in))
	in.setMtime(time)
	s.sum.add(s.attrs(in))
}

// String names a state as HDFS's messages do.
func (b BlockState) String() string {
	switch b {
	case BlockUnderConstruction:
		return "UNDER_CONSTRUCTION"
	case BlockUnderRecovery:
		return "UNDER_RECOVERY"
	case BlockCommitted:
		return "COMMITTED"
	}
	return "COMPLETE"
}
