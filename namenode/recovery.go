package namenode

import (
	"context"
	"sync"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/namespace"
	"redoubt/wire/control"
)

// recoveryHolder writes a file whose lease the name node has taken away while the length
// of its last block is being agreed on.
const recoveryHolder = "HDFS_NameNode"

// recoveries remembers which block recoveries have been ordered. It is soft: after a
// restart they are ordered again, with a newer stamp.
type recoveries struct {
	mu sync.Mutex
	by map[dfs.BlockID]recovery
}

type recovery struct {
	file  dfs.InodeID
	stamp dfs.GenStamp
	begun time.Time
	cut   int64 // bytes that a truncate takes off
}

func (n *NameNode) recovering(file dfs.InodeID) bool {
	n.recoveries.mu.Lock()
	defer n.recoveries.mu.Unlock()
	for _, r := range n.recoveries.by {
		if r.file == file {
			return true
		}
	}
	return false
}

// beingCut is how many bytes a truncate under way still has to take off a file. Until it is
// done the file is told with its old length, because that is what clients wait for.
func (n *NameNode) beingCut(file dfs.InodeID) (bytes int64) {
	n.recoveries.mu.Lock()
	defer n.recoveries.mu.Unlock()
	for _, r := range n.recoveries.by {
		if r.file == file {
			bytes += r.cut
		}
	}
	return bytes
}

// recoverySince gives the recovery of a block that was ordered last, and how long ago.
func (n *NameNode) recoverySince(id dfs.BlockID) (dfs.GenStamp, time.Duration, bool) {
	n.recoveries.mu.Lock()
	defer n.recoveries.mu.Unlock()
	r, ok := n.recoveries.by[id]
	return r.stamp, n.clock().Sub(r.begun), ok
}

func (n *NameNode) endRecovery(id dfs.BlockID) {
	n.recoveries.mu.Lock()
	defer n.recoveries.mu.Unlock()
	delete(n.recoveries.by, id)
}

// startRecovery orders the recovery of a block under a stamp that has been logged.
func (n *NameNode) startRecovery(b dfs.Block, stamp dfs.GenStamp, newLength int64) {
	now := n.clock()
	n.state.RLock()
	defer n.state.RUnlock()
	stored, ok := n.ns.Block(b.ID)
	if !ok || stored.State == namespace.BlockCompleted {
		return
	}
	n.recoveries.mu.Lock()
	next := recovery{file: stored.File, stamp: stamp, begun: now, cut: n.recoveries.by[b.ID].cut}
	if newLength >= 0 {
		next.cut = max(next.cut, b.Length-newLength)
	}
	n.recoveries.by[b.ID] = next
	n.recoveries.mu.Unlock()
	if newLength >= 0 {
		n.blocks.Reopened(now, b)
	}
	if !n.blocks.StartRecovery(now, blockmanager.Recovery{Block: b, ID: stamp, NewLength: newLength}) {
		n.log.Warn("no live datanode has a replica of a block to be recovered; it will be tried again", "block", b.String())
	}
}

// RecoverLease takes a file away from its writer. True: it is closed now; otherwise the
// caller asks again.
func (n *NameNode) RecoverLease(ctx context.Context, c *dfs.Caller, path, holder string) (bool, error) {
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	var file dfs.InodeID
	closed, err := asBool(n.change(ctx, r, "recover the lease of", path, func(r *request) (namespace.Op, any, error) {
		if err := r.look(path, permit{target: dfs.Write}); err != nil {
			return nil, nil, err
		}
		f, err := fileAt(&r.walk, path)
		if err != nil {
			return nil, nil, err
		}
		file = f.ID
		return nil, !f.UnderConstruction, nil
	}))
	if err == nil && !closed {
		closed, err = n.releaseLease(ctx, file)
		if dfs.Is(err, dfs.BeingCreated) {
			err = nil // committed blocks wait for their replicas: ask again
		}
	}
	r.audit(err, "recoverLease", path, "", nil)
	return closed, err
}

// verdict is what releasing a lease comes to.
type verdict struct {
	done   bool                // the file is closed
	op     namespace.Op        // to be proposed, closing the file
	drop   []dfs.Block         // blocks that op removes
	last   namespace.BlockInfo // needs a recovery; ID 0: none
	holder string
	newLen int64 // of the file, -1: what the replicas agree on
}

// releaseLease ends a file's lease without its writer: at once if its blocks are
// complete or can be, else by recovering the last block, which closes the file when it is
// done. False: that is under way.
func (n *NameNode) releaseLease(ctx context.Context, file dfs.InodeID) (closed bool, err error) {
	n.state.RLock()
	v, err := n.judge(file)
	n.state.RUnlock()
	if err != nil || v.done {
		return v.done, err
	}
	if v.op != nil {
		if _, err := n.propose(ctx, v.op); err != nil {
			return false, err
		}
		n.dropped(v.drop)
		n.finished(file)
		return true, nil
	}
	if v.last.ID == 0 {
		return false, nil // a recovery is under way, or its time has not come
	}
	return false, n.orderRecovery(ctx, file, v)
}

func (n *NameNode) dropped(blocks []dfs.Block) {
	if len(blocks) == 0 {
		return
	}
	n.state.RLock()
	defer n.state.RUnlock()
	n.blocks.Removed(n.clock(), blocks)
}

// judge decides what to do about a lease. The caller holds the state's read lock.
func (n *NameNode) judge(file dfs.InodeID) (v verdict, err error) {
	now := n.clock()
	open, ok := n.ns.OpenFile(file)
	if !ok {
		return verdict{done: true}, nil
	}
	head := namespace.Head{Time: now.UnixMilli()}
	last, any := n.ns.LastBlock(file)
	penultimate, two := n.ns.PenultimateBlock(file)
	waiting := func(b namespace.BlockInfo) bool {
		return b.State == namespace.BlockCommitted && n.blocks.Finalized(b.Block) < int(n.cfg.Files.MinReplication)
	}
	switch {
	case two && waiting(penultimate) || any && waiting(last):
		path, _ := n.ns.Path(file)
		return v, &dfs.Error{Kind: dfs.BeingCreated, Path: path,
			Msg: "Failed to release lease for file " + path + ". Committed blocks are waiting to be minimally replicated. Try again later."}
	case !any || last.State == namespace.BlockCompleted:
		return verdict{op: &namespace.Close{Head: head, File: file}}, nil
	case last.State == namespace.BlockCommitted:
		return verdict{op: &namespace.Close{Head: head, File: file, Last: last.Block}}, nil
	}
	if _, ago, ok := n.recoverySince(last.ID); ok && ago < n.cfg.Leases.Retry {
		return verdict{}, nil
	}
	if len(n.blocks.Expected(last.ID)) == 0 {
		// No datanode has ever spoken of it. Since this name node's start that may only
		// mean that those that have it have not come back yet, so it gets a long time.
		if last.Length > 0 || now.Sub(n.started) < n.cfg.Leases.Hard {
			return verdict{}, nil
		}
		return verdict{op: &namespace.CommitSync{Head: head, Block: last.Block, Close: true, Remove: true}, drop: []dfs.Block{last.Block}}, nil
	}
	return verdict{last: last, holder: open.Holder, newLen: open.Truncate}, nil
}

// orderRecovery logs a new stamp and the change of holder, then orders the recovery.
func (n *NameNode) orderRecovery(ctx context.Context, file dfs.InodeID, v verdict) error {
	head := namespace.Head{Time: n.clock().UnixMilli()}
	answer, err := n.propose(ctx, &namespace.NextStamp{Head: head})
	if err != nil {
		return err
	}
	stamp, ok := answer.(dfs.GenStamp)
	if !ok {
		return errAnswer("nextStamp")
	}
	if v.holder != recoveryHolder {
		op := &namespace.ReassignLease{Head: head, File: file, OldHolder: v.holder, Holder: recoveryHolder}
		if _, err := n.propose(ctx, op); err != nil {
			return err
		}
	}
	newLength := int64(-1)
	if v.newLen >= 0 {
		newLength = v.newLen - v.last.Offset
	}
	n.log.Info("recovering the last block of a file whose writer is gone", "inode", file, "block", v.last.Block.String(), "stamp", stamp, "holder", v.holder)
	n.startRecovery(v.last.Block, stamp, newLength)
	return nil
}

// CommitSync takes the outcome of a block recovery from its primary datanode.
func (n *NameNode) CommitSync(ctx context.Context, req *control.CommitSyncRequest) error {
	if err := n.checkPool(req.PoolID); err != nil {
		return err
	}
	n.state.RLock()
	stored, ok := n.ns.Block(req.Block.ID)
	n.state.RUnlock()
	if !ok {
		if req.Delete {
			return nil // it is gone already
		}
		return dfs.Errorf(dfs.Other, "%s of a block recovery is not known", req.Block)
	}
	if stored.State == namespace.BlockCompleted && stored.GenStamp == req.NewStamp && stored.Length == req.NewLength {
		return nil // told twice
	}
	if stamp, _, ok := n.recoverySince(req.Block.ID); !ok || stamp != req.NewStamp {
		return dfs.Errorf(dfs.Other, "the recovery of %s under stamp %d is not the one that was ordered last (%d)", req.Block, req.NewStamp, stamp)
	}
	if req.Delete && (stored.Length > 0 || req.NewLength < 0 && !n.blocks.AllExpected(req.Block.ID) && n.clock().Sub(n.started) < n.cfg.Leases.Hard) {
		return dfs.Errorf(dfs.Other, "%s is not given up: datanodes that may have it are away", req.Block)
	}
	op := &namespace.CommitSync{Head: namespace.Head{Time: n.clock().UnixMilli()}, Block: req.Block,
		Stamp: req.NewStamp, Length: req.NewLength, Close: req.Close, Remove: req.Delete}
	if _, err := n.propose(ctx, op); err != nil {
		return err
	}
	n.endRecovery(req.Block.ID)
	if req.Delete {
		n.dropped([]dfs.Block{req.Block})
	} else {
		n.recovered(req)
	}
	n.finished(stored.File) // closing completes the block before, too
	return nil
}

// recovered tells the block manager where a recovered block is.
func (n *NameNode) recovered(req *control.CommitSyncRequest) {
	nodes, storages := make([]dfs.DatanodeID, len(req.Targets)), make([]string, len(req.Targets))
	for i, t := range req.Targets {
		nodes[i], storages[i] = t.Node, t.Storage
	}
	n.state.RLock()
	defer n.state.RUnlock()
	if b, ok := n.ns.Block(req.Block.ID); ok {
		n.blocks.Pipeline(n.clock(), b.Block, nodes, storages)
	}
}

// RenewLease notes that a writer lives.
func (n *NameNode) RenewLease(c *dfs.Caller, holder string) error {
	n.leases.renew(holder, n.clock())
	return nil
}

// checkLeases releases what silent writers hold and goes on with recoveries that have
// not come to an end.
func (n *NameNode) checkLeases(ctx context.Context, now time.Time) {
	if n.safe.isOn() {
		return
	}
	for _, holder := range n.leases.hardExpired(now) {
		n.releaseAll(ctx, holder)
	}
	for _, holder := range n.leases.quiet(now) {
		n.state.RLock()
		idle := n.ns.LeaseCount(holder) == 0
		n.state.RUnlock()
		if idle {
			n.leases.forget(holder, now.Add(-n.leases.soft))
		}
	}
	n.releaseAll(ctx, recoveryHolder)
}

func (n *NameNode) releaseAll(ctx context.Context, holder string) {
	n.state.RLock()
	files := n.ns.Lease(nil, holder)
	n.state.RUnlock()
	for _, f := range files {
		if _, err := n.releaseLease(ctx, f); err != nil && !dfs.Is(err, dfs.BeingCreated) && !dfs.Is(err, dfs.LeaseExpired) {
			n.log.Warn("a lease can't be released", "holder", holder, "inode", f, "err", err)
		}
	}
}
