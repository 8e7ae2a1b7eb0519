package namenode

import (
	"context"
	"errors"
	"net/netip"
	"strconv"

	"redoubt/dfs"
	"redoubt/namespace"
)

// Create makes a file and opens it for the caller's holder.
func (n *NameNode) Create(ctx context.Context, c *dfs.Caller, req *dfs.CreateRequest) (*dfs.FileStatus, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	policy, err := n.checkCreate(req)
	if err != nil {
		return nil, err
	}
	answer, err := n.changeFile(ctx, r, "create file", req.Path, "CREATE_FILE", req.Holder, func(r *request) (namespace.Op, any, error) {
		return r.prepareCreate(req, policy)
	})
	created, _ := answer.(*namespace.Created)
	if err == nil && created == nil {
		err = errAnswer("create")
	}
	if err != nil {
		r.audit(err, "create", req.Path, "", nil)
		return nil, err
	}
	n.removed(r, created.Removed)
	n.touchedGroups(created.Groups)
	n.leases.touch(req.Holder, r.now)
	r.audit(nil, "create", req.Path, "", &created.Status)
	return &created.Status, nil
}

// errAnswer says that the state machine answered with another type than the op has,
// which can only be a call id that a client used twice for different calls.
func errAnswer(op string) error {
	return &dfs.Error{Op: op, Kind: dfs.IllegalArgument, Msg: "This call id has been used for another operation before"}
}

// checkCreate checks what does not depend on the tree.
func (n *NameNode) checkCreate(req *dfs.CreateRequest) (policy uint8, err error) {
	f := &n.cfg.Files
	if err := checkNewPath("create", req.Path); err != nil {
		return 0, err
	}
	if req.BlockSize < f.MinBlockSize {
		return 0, &dfs.Error{Kind: dfs.Other, Path: req.Path, Msg: "Specified block size is less than configured minimum value (dfs.namenode.fs-limits.min-block-size): " +
			strconv.FormatInt(req.BlockSize, 10) + " < " + strconv.FormatInt(f.MinBlockSize, 10)}
	}
	if err := n.checkReplication(req.Path, req.Replication); err != nil {
		return 0, err
	}
	if req.Holder == "" {
		return 0, &dfs.Error{Kind: dfs.IllegalArgument, Path: req.Path, Msg: "create without a client name"}
	}
	if req.ECPolicy != "" && !dfs.IsReplicationEC(req.ECPolicy) {
		return 0, &dfs.Error{Kind: dfs.IllegalArgument, Path: req.Path, Msg: dfs.NoECPolicy(req.ECPolicy)}
	}
	if req.StoragePolicy != "" {
		p, ok := dfs.PolicyByName(req.StoragePolicy)
		if !ok {
			return 0, &dfs.Error{Kind: dfs.IllegalArgument, Path: req.Path, Msg: "Cannot find a block policy with the name " + req.StoragePolicy}
		}
		if err := n.mayGroup(p, req.Path); err != nil {
			return 0, err
		}
		policy = p.ID
	}
	if req.Flags&dfs.CreateFlagLazyPersist != 0 {
		policy = dfs.PolicyLazyPersist
	}
	return policy, nil
}

func (r *request) prepareCreate(req *dfs.CreateRequest, policy uint8) (namespace.Op, any, error) {
	if err := r.look(req.Path, permit{ancestor: dfs.Write, create: true}); err != nil {
		return nil, nil, err
	}
	w := &r.walk
	if len(w.Names) > 0 && w.Names[0] == reservedName {
		return nil, nil, &dfs.Error{Kind: dfs.InvalidPath, Path: req.Path, Msg: "Invalid path name " + req.Path}
	}
	op := &namespace.Create{
		Mode: req.Mode & dfs.ModeMask &^ dfs.Sticky, Unmasked: req.Unmasked & dfs.ModeMask &^ dfs.Sticky, HasUnmasked: req.HasUnmasked && !r.n.cfg.Attrs.MaskInherited,
		Owner: r.who.user, Holder: req.Holder, Machine: r.machine(), Flags: req.Flags, CreateParent: req.CreateParent,
		Replication: req.Replication, BlockSize: req.BlockSize, Policy: policy,
	}
	if old := target(w); old != nil {
		if err := r.mayReplace(old, req); err != nil {
			return nil, nil, err
		}
		op.Existing = old.ID
		op.Parent, op.Names = parentOf(w).ID, w.Names[len(w.Names)-1:]
	} else {
		if err := r.mayCreate(w, req.Path); err != nil {
			return nil, nil, err
		}
		if err := r.roomForMore(); err != nil {
			return nil, nil, err
		}
		k := len(w.Chain)
		if !req.CreateParent && k < len(w.Names) {
			return nil, nil, noParent(w)
		}
		if req.Flags&dfs.CreateFlagCreate == 0 {
			return nil, nil, &dfs.Error{Kind: dfs.NotFound, Path: req.Path, Msg: "Can't overwrite non-existent " + req.Path + " for client " + r.machine()}
		}
		op.Parent, op.Names = w.Chain[k-1].ID, w.Names[k-1:]
	}
	if policy == dfs.PolicyUnspecified {
		if inherited, ok := dfs.PolicyByID(r.n.ns.EffectivePolicy(op.Parent)); ok && inherited.OnCreate {
			op.Policy = inherited.ID
		}
	}
	op.Head = r.headOnce(r.auth(w, len(w.Chain)))
	return op, nil, nil
}

// mayReplace decides what a create on an existing path comes to.
func (r *request) mayReplace(old *namespace.Inode, req *dfs.CreateRequest) error {
	if old.IsDir() {
		return &dfs.Error{Kind: dfs.AlreadyExists, Path: req.Path, Msg: req.Path + " already exists as a directory"}
	}
	if err := check(&r.walk, &r.who, permit{target: dfs.Write}); err != nil {
		return err
	}
	if req.Flags&dfs.CreateFlagOverwrite != 0 {
		return nil
	}
	if old.UnderConstruction {
		if err := r.takeOver(old, req.Path, "CREATE_FILE", req.Holder); err != nil {
			return err
		}
	}
	return &dfs.Error{Kind: dfs.AlreadyExists, Path: req.Path, Msg: req.Path + " for client " + r.machine() + " already exists"}
}

// Append reopens a file for the caller's holder. The block to go on with is nil when the
// last one is full or there is none; one without datanodes is not to be gone on with.
func (n *NameNode) Append(ctx context.Context, c *dfs.Caller, path, holder string, flags uint32) (*dfs.LocatedBlock, *dfs.FileStatus, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, nil, err
	}
	defer n.end(r)
	if holder == "" {
		return nil, nil, &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "append without a client name"}
	}
	answer, err := n.changeFile(ctx, r, "append to file", path, "APPEND_FILE", holder, func(r *request) (namespace.Op, any, error) {
		if err := r.look(path, permit{target: dfs.Write}); err != nil {
			return nil, nil, err
		}
		f := target(&r.walk)
		if f == nil {
			return nil, nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Failed to append to non-existent file " + path + " for client " + r.machine()}
		}
		if !f.IsFile() {
			return nil, nil, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "Cannot append to directory " + path + "; already exists as a directory."}
		}
		if f.UnderConstruction {
			return nil, nil, r.takeOver(f, path, "APPEND_FILE", holder)
		}
		last, ok := n.ns.LastBlock(f.ID)
		// Clients take the file's length modulo the block size for that of its last block.
		// Where a block inside is short that is wrong: they get a new one.
		newBlock := flags&dfs.CreateFlagNewBlock != 0 || ok && last.Offset%f.BlockSize != 0
		if !newBlock {
			if err := r.appendable(f, path); err != nil {
				return nil, nil, err
			}
		}
		return &namespace.Append{Head: r.headOnce(r.auth(&r.walk, len(r.walk.Chain))), File: f.ID, Holder: holder,
			Machine: r.machine(), NewBlock: newBlock}, nil, nil
	})
	r.auditNew(err, "append", path)
	if err != nil {
		return nil, nil, err
	}
	a, ok := answer.(*namespace.Appended)
	if !ok {
		return nil, nil, errAnswer("append")
	}
	n.leases.touch(holder, r.now)
	n.state.RLock()
	defer n.state.RUnlock()
	if a.Last == nil {
		last, ok := n.ns.LastBlock(a.Status.ID)
		if flags&dfs.CreateFlagNewBlock == 0 || !ok {
			return nil, &a.Status, nil
		}
		// It is not written any more: the writer only needs it as the one before its first.
		return &dfs.LocatedBlock{Block: last.Block, PoolID: n.cluster.PoolID, Offset: last.Offset}, &a.Status, nil
	}
	// A retried answer may be old: only a block that is still being written is reopened.
	if b, ok := n.ns.Block(a.Last.ID); ok && b.State == namespace.BlockUnderConstruction {
		n.blocks.Reopened(r.now, b.Block)
	}
	lb := r.locate(*a.Last)
	lb.Locs = n.expected(a.Last.ID)
	return &lb, &a.Status, nil
}

// appendable refuses to reopen a file's last block while no datanode is known to have it,
// or shortly after the start only some of those that should: what is appended would be on
// these alone. The caller holds the state's read lock.
func (r *request) appendable(f *namespace.Inode, path string) error {
	n := r.n
	last, ok := n.ns.LastBlock(f.ID)
	if !ok || last.Length >= f.BlockSize || last.Group != 0 { // what is appended then goes to a block of its own
		return nil
	}
	locs, corrupt := n.blocks.Locate(nil, last.ID, netip.Addr{})
	want := 1
	if r.now.Sub(n.started) < reportTime {
		_, live := n.blocks.Safe()
		want = max(1, min(copies(n.policyOf(f.ID), f.Replication), live))
	}
	if !corrupt && len(locs)+len(n.blocks.Expected(last.ID)) >= want { // the latter: reports on their way
		return nil
	}
	return &dfs.Error{Kind: dfs.Retriable, Path: path, Msg: "append: lastBlock=" + last.Block.String() + " of src=" + path + " is not sufficiently replicated yet."}
}

// Truncate shortens a file; false when a block has to be cut by its datanodes first. The
// name node holds the file meanwhile, so that it sees to it that the cut comes to an end.
func (n *NameNode) Truncate(ctx context.Context, c *dfs.Caller, path string, length int64, holder string) (bool, error) {
	if length < 0 {
		return false, &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "Cannot truncate to a negative file size: " + strconv.FormatInt(length, 10) + "."}
	}
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	answer, err := n.changeFile(ctx, r, "truncate for", path, "TRUNCATE_FILE", holder, func(r *request) (namespace.Op, any, error) {
		if err := r.look(path, permit{target: dfs.Write}); err != nil {
			return nil, nil, err
		}
		f, err := fileAt(&r.walk, path)
		if err != nil {
			return nil, nil, err
		}
		if f.UnderConstruction {
			if open, ok := n.ns.OpenFile(f.ID); ok && open.Truncate == length {
				return nil, &namespace.Truncated{}, nil // it is being cut to this length already
			}
			return nil, nil, r.takeOver(f, path, "TRUNCATE_FILE", holder)
		}
		if err := n.cutsGroup(f.ID, length); err != nil {
			return nil, nil, err
		}
		return &namespace.Truncate{Head: r.headOnce(r.auth(&r.walk, len(r.walk.Chain))), File: f.ID, Length: length, Holder: recoveryHolder, Machine: r.machine()}, nil, nil
	})
	r.auditNew(err, "truncate", path)
	if err != nil {
		return false, err
	}
	t, ok := answer.(*namespace.Truncated)
	if !ok {
		return false, errAnswer("truncate")
	}
	n.removed(r, t.Removed)
	n.touchedGroups(t.Groups)
	if !t.Done && t.Stamp != 0 { // else asked again: the recovery has been ordered
		n.startRecovery(t.Last, t.Stamp, t.NewLength)
	}
	return t.Done, nil
}

// changeFile is change for operations that another writer may stand in the way of, or a
// parity group. A writer that has been silent for the soft limit is pushed aside: its file is
// closed, at once if possible and else by a block recovery that the caller is told to wait
// for. A block that has to leave its group is waited for.
func (n *NameNode) changeFile(ctx context.Context, r *request, what, path, op, holder string, prepare preparer) (any, error) {
	for {
		answer, err := n.change(ctx, r, what, path, prepare)
		var grouped *groupedBlock
		if errors.As(err, &grouped) {
			if err := n.leaveGroup(ctx, grouped.id); err != nil {
				return nil, err
			}
			continue
		}
		var silent *silentWriter
		if !errors.As(err, &silent) {
			return answer, err
		}
		closed, err := n.releaseLease(ctx, silent.file)
		if err != nil {
			return nil, err
		}
		if !closed {
			return nil, writerError(dfs.RecoveryInProgress, op, path, holder, r.machine(), "because lease recovery is in progress. Try again later.")
		}
	}
}

// silentWriter says that a file's writer has not been heard of for the soft limit.
type silentWriter struct{ file dfs.InodeID }

func (e *silentWriter) Error() string { return "namenode: the file's writer is silent" }

// takeOver says why a file that is open can't be opened by holder: *silentWriter, when it
// can be as soon as the old lease is released. The caller holds the state's read lock.
func (r *request) takeOver(f *namespace.Inode, path, op, holder string) error {
	open, ok := r.n.ns.OpenFile(f.ID)
	if !ok {
		return writerError(dfs.BeingCreated, op, path, holder, r.machine(), "because the file is under construction but no leases found.")
	}
	if open.Holder == recoveryHolder || r.n.recovering(f.ID) {
		return writerError(dfs.RecoveryInProgress, op, path, holder, r.machine(), "because another recovery is in progress by "+open.Holder+" on "+open.Machine)
	}
	if open.Holder == holder {
		return writerError(dfs.BeingCreated, op, path, holder, r.machine(), "because "+holder+" is already the current lease holder.")
	}
	if r.n.leases.softExpired(open.Holder, r.now) {
		return &silentWriter{f.ID}
	}
	return writerError(dfs.BeingCreated, op, path, holder, r.machine(), "because this file lease is currently owned by "+open.Holder+" on "+open.Machine)
}

func writerError(kind dfs.Kind, op, path, holder, machine, why string) error {
	return &dfs.Error{Kind: kind, Path: path, Msg: "Failed to " + op + " " + path + " for " + holder + " on " + machine + " " + why}
}

// Complete closes a file, if enough replicas of its last blocks are there; it waits for
// that a little, because many clients do not come back after "no".
func (n *NameNode) Complete(ctx context.Context, c *dfs.Caller, path, holder string, last *dfs.Block, file dfs.InodeID) (bool, error) {
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	done, err := n.complete(ctx, r, path, holder, last, file)
	if done || err != nil {
		r.audit(err, "completeFile", path, "", nil)
	}
	return done, err
}

func (n *NameNode) complete(ctx context.Context, r *request, path, holder string, last *dfs.Block, file dfs.InodeID) (bool, error) {
	op := &namespace.Close{Head: r.head(0), Holder: holder}
	if last != nil {
		op.Last = *last
	}
	var waitFor [2]dfs.Block
	ready := func() (bool, error) {
		if err := n.safe.check("complete file", path, r.now); err != nil {
			return false, err
		}
		f, err := r.writing(path, file, holder)
		if err != nil {
			return false, err
		}
		op.File = f.ID
		if err := n.ns.Precheck(op); err != nil {
			return false, err
		}
		return n.replicated(n.unfinished(waitFor[:0], f.ID, last)), nil
	}
	for {
		ok, err := n.await(ctx, ready, func() []dfs.Block { return n.unfinished(nil, op.File, last) })
		if !ok || err != nil {
			return false, err
		}
		op.Time = n.clock().UnixMilli()
		answer, err := n.propose(ctx, op)
		if dfs.Is(err, dfs.Stale) {
			continue
		}
		if err != nil {
			return false, err
		}
		if change, ok := answer.(*namespace.BlockChange); ok {
			n.finished(change.File)
		}
		return true, nil
	}
}

// writing finds the file of a call by a writer: by id if it has one, since the file may
// have been renamed. The caller holds the state's read lock.
func (r *request) writing(path string, file dfs.InodeID, holder string) (namespace.Inode, error) {
	if file != 0 {
		if f, ok := r.n.ns.Inode(file); ok {
			return f, nil
		}
	} else {
		if err := r.resolve(&r.walk, path); err != nil {
			return namespace.Inode{}, err
		}
		if f := target(&r.walk); f != nil {
			return *f, nil
		}
	}
	files := "Holder " + holder + " does not have any open files."
	if k := r.n.ns.LeaseCount(holder); k > 0 {
		files = "[Lease.  Holder: " + holder + ", pending creates: " + strconv.Itoa(k) + "]"
	}
	return namespace.Inode{}, &dfs.Error{Kind: dfs.NotFound, Path: path,
		Msg: "File does not exist: " + path + " (inode " + strconv.FormatUint(uint64(file), 10) + ") " + files}
}

// unfinished appends the blocks of a file that are not complete yet, the last one with
// the length that its writer tells. The caller holds the state's read lock.
func (n *NameNode) unfinished(dst []dfs.Block, file dfs.InodeID, last *dfs.Block) []dfs.Block {
	if b, ok := n.ns.PenultimateBlock(file); ok && b.State != namespace.BlockCompleted {
		dst = append(dst, b.Block)
	}
	if b, ok := n.ns.LastBlock(file); ok && b.State != namespace.BlockCompleted {
		if last != nil && last.ID == b.ID {
			b.Length = last.Length
		}
		dst = append(dst, b.Block)
	}
	return dst
}

// replicated reports whether each block has its minimum of finalized replicas. The caller
// holds the state's read lock.
func (n *NameNode) replicated(blocks []dfs.Block) bool {
	for _, b := range blocks {
		if n.blocks.Finalized(b) < int(n.cfg.Files.MinReplication) {
			return false
		}
	}
	return true
}

// finished tells the block manager that all blocks of a file are complete.
func (n *NameNode) finished(file dfs.InodeID) {
	n.state.RLock()
	defer n.state.RUnlock()
	now := n.clock()
	if b, ok := n.ns.PenultimateBlock(file); ok && b.State == namespace.BlockCompleted {
		n.blocks.Completed(now, b.Block)
	}
	if b, ok := n.ns.LastBlock(file); ok && b.State == namespace.BlockCompleted {
		n.blocks.Completed(now, b.Block)
	}
}

// Fsync records how long the block being written is, unless length is -1. What the name
// node knows is durable already.
func (n *NameNode) Fsync(ctx context.Context, c *dfs.Caller, path, holder string, length int64, file dfs.InodeID) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	_, err = n.change(ctx, r, "fsync file", path, func(r *request) (namespace.Op, any, error) {
		f, err := r.writing(path, file, holder)
		if err != nil {
			return nil, nil, err
		}
		last, ok := n.ns.LastBlock(f.ID)
		op := &namespace.UpdateBlocks{Head: r.head(0), File: f.ID, Holder: holder, Action: namespace.BlockLength, Block: last.Block}
		if length > last.Length {
			op.Block.Length = length
		}
		if err := n.ns.Precheck(op); ok && err != nil {
			return nil, nil, err
		}
		if !ok || length <= last.Length {
			return nil, nil, nil
		}
		return op, nil, nil
	})
	r.audit(err, "fsync", path, "", nil)
	return err
}
