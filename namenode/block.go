package namenode

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/namespace"
)

// AddBlock gives an open file its next block and the datanodes to write it to. The block
// before the one just finished must have its minimum of replicas; that is waited for a
// little.
func (n *NameNode) AddBlock(ctx context.Context, c *dfs.Caller, req *dfs.AddBlockRequest) (*dfs.LocatedBlock, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	ok, err := n.await(ctx, func() (bool, error) {
		f, err := r.writing(req.Path, req.File, req.Holder)
		if err != nil {
			return false, err
		}
		return n.replicated(n.beforePrevious(f.ID, req.Previous)), nil
	}, func() []dfs.Block {
		f, err := r.writing(req.Path, req.File, req.Holder)
		if err != nil {
			return nil
		}
		return n.beforePrevious(f.ID, req.Previous)
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &dfs.Error{Kind: dfs.NotReplicatedYet, Path: req.Path, Msg: "Not replicated yet: " + req.Path}
	}
	var targets []blockmanager.Target
	answer, err := n.change(ctx, r, "add block to", req.Path, func(r *request) (op namespace.Op, answer any, err error) {
		if err := r.roomForMore(); err != nil {
			return nil, nil, err
		}
		op, targets, err = r.prepareBlock(req)
		return op, nil, err
	})
	if err != nil {
		return nil, err
	}
	added, ok := answer.(*namespace.AddedBlock)
	if !ok {
		return nil, errAnswer("addBlock")
	}
	if req.Previous != nil {
		n.committed.note(req.Previous.ID, r.now)
	}
	return n.allocated(r, added, targets), nil
}

// beforePrevious is the block that must have replicas before a file gets a new one: the
// one before previous, if previous is the last. The caller holds the state's read lock.
func (n *NameNode) beforePrevious(file dfs.InodeID, previous *dfs.Block) []dfs.Block {
	last, ok := n.ns.LastBlock(file)
	if !ok || previous == nil || previous.ID != last.ID {
		return nil
	}
	b, ok := n.ns.PenultimateBlock(file)
	if !ok || b.State == namespace.BlockCompleted {
		return nil
	}
	return []dfs.Block{b.Block}
}

// prepareBlock checks an addBlock and chooses the datanodes, before anything is logged:
// where a block goes is not part of the state.
func (r *request) prepareBlock(req *dfs.AddBlockRequest) (namespace.Op, []blockmanager.Target, error) {
	n := r.n
	f, err := r.writing(req.Path, req.File, req.Holder)
	if err != nil {
		return nil, nil, err
	}
	op := &namespace.AddBlock{Head: r.head(0), File: f.ID, Holder: req.Holder}
	if req.Previous != nil {
		op.Previous = *req.Previous
	}
	if err := n.ns.Precheck(op); err != nil {
		return nil, nil, err
	}
	if f.Blocks >= n.cfg.Files.MaxBlocks {
		return nil, nil, &dfs.Error{Kind: dfs.Other, Path: req.Path, Msg: "File has reached the limit on maximum number of blocks (dfs.namenode.fs-limits.max-blocks-per-file): " +
			strconv.Itoa(f.Blocks) + " >= " + strconv.Itoa(n.cfg.Files.MaxBlocks)}
	}
	policy := n.policyOf(f.ID)
	targets := n.blocks.Choose(&blockmanager.PlaceRequest{
		Count: copies(policy, f.Replication), Size: f.BlockSize, Policy: policy, Writer: r.writer(req.Flags),
		NoLocal: req.Flags&dfs.AddBlockNoLocalWrite != 0, Exclude: req.Exclude, Favored: req.Favored,
	})
	if len(targets) < int(n.cfg.Files.MinReplication) {
		_, live := n.blocks.Safe()
		excluded := "no"
		if len(req.Exclude) > 0 {
			excluded = strconv.Itoa(len(req.Exclude))
		}
		return nil, nil, &dfs.Error{Kind: dfs.Other, Path: req.Path, Msg: fmt.Sprintf(
			"File %s could only be written to %d of the %d minReplication nodes. There are %d datanode(s) running and %s node(s) are excluded in this operation.",
			req.Path, len(targets), n.cfg.Files.MinReplication, live, excluded)}
	}
	return op, targets, nil
}

// allocated tells the block manager of a new block and describes it for its writer. A
// repeated call gets the datanodes that the first one got.
func (n *NameNode) allocated(r *request, added *namespace.AddedBlock, targets []blockmanager.Target) *dfs.LocatedBlock {
	n.state.RLock()
	defer n.state.RUnlock()
	_, ok := n.ns.Block(added.Block.ID)
	if added.Retried {
		if first := n.blocks.Expected(added.Block.ID); len(first) > 0 {
			targets, ok = first, false
		}
	}
	if ok {
		n.blocks.Allocated(r.now, added.Block, targets)
		if added.Completed.ID != 0 {
			n.blocks.Completed(r.now, added.Completed)
			n.committed.forget(added.Completed.ID)
		}
	}
	return &dfs.LocatedBlock{Block: added.Block, PoolID: n.cluster.PoolID, Offset: added.Offset, Locs: n.replicaLocs(targets)}
}

// replicaLocs describes datanodes for a client; one that is gone is left out.
func (n *NameNode) replicaLocs(targets []blockmanager.Target) []dfs.ReplicaLoc {
	locs := make([]dfs.ReplicaLoc, 0, len(targets))
	for _, t := range targets {
		if node := n.blocks.Node(t.Node.UUID); node != nil {
			locs = append(locs, dfs.ReplicaLoc{Node: node, Storage: t.Storage, Type: t.Type})
		}
	}
	return locs
}

// AbandonBlock drops a block whose pipeline could not be set up.
func (n *NameNode) AbandonBlock(ctx context.Context, c *dfs.Caller, b dfs.Block, path, holder string, file dfs.InodeID) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	answer, err := n.change(ctx, r, "abandon block of", path, func(r *request) (namespace.Op, any, error) {
		f, err := r.writing(path, file, holder)
		if err != nil {
			return nil, nil, err
		}
		return &namespace.AbandonBlock{Head: r.head(0), File: f.ID, Holder: holder, Block: b}, nil, nil
	})
	if err != nil {
		return err
	}
	if change, ok := answer.(*namespace.BlockChange); ok && change.Changed {
		n.removed(r, []dfs.Block{change.Block})
	}
	return nil
}

// beingWritten checks that holder writes b, as pipeline recoveries must. The caller holds
// the state's read lock.
func (r *request) beingWritten(b dfs.Block, holder string) (namespace.BlockInfo, error) {
	stored, ok := r.n.ns.Block(b.ID)
	if !ok {
		return stored, &dfs.Error{Kind: dfs.Other, Msg: b.String() + " does not exist or is not under construction"}
	}
	open, ok := r.n.ns.OpenFile(stored.File)
	if !ok || stored.State == namespace.BlockCompleted {
		return stored, &dfs.Error{Kind: dfs.Other, Msg: b.String() + " does not exist or is not under construction"}
	}
	if open.Holder != holder {
		return stored, &dfs.Error{Kind: dfs.LeaseExpired, Msg: "Lease mismatch: " + b.String() + " is accessed by a non lease holder " + holder}
	}
	return stored, nil
}

// UpdateBlockForPipeline hands out a new generation stamp for a pipeline that is to be
// rebuilt. The block keeps its old one until UpdatePipeline, which may never come.
func (n *NameNode) UpdateBlockForPipeline(ctx context.Context, c *dfs.Caller, b dfs.Block, holder string) (*dfs.LocatedBlock, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	answer, err := n.change(ctx, r, "get a new generation stamp for "+b.String(), "", func(r *request) (namespace.Op, any, error) {
		if _, err := r.beingWritten(b, holder); err != nil {
			return nil, nil, err
		}
		return &namespace.NextStamp{Head: r.head(0)}, nil, nil
	})
	if err != nil {
		return nil, err
	}
	stamp, ok := answer.(dfs.GenStamp)
	if !ok {
		return nil, errAnswer("updateBlockForPipeline")
	}
	b.GenStamp = stamp
	return &dfs.LocatedBlock{Block: b, PoolID: n.cluster.PoolID}, nil
}

// UpdatePipeline makes a rebuilt pipeline official: from now on replicas with an older
// stamp are stale.
func (n *NameNode) UpdatePipeline(ctx context.Context, c *dfs.Caller, req *dfs.UpdatePipelineRequest) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	_, err = n.change(ctx, r, "update pipeline of "+req.Old.String(), "", func(r *request) (namespace.Op, any, error) {
		stored, err := r.beingWritten(req.Old, req.Holder)
		if err != nil {
			return nil, nil, err
		}
		return &namespace.UpdateBlocks{Head: r.headOnce(0), File: stored.File, Holder: req.Holder,
			Action: namespace.BlockPipeline, Old: req.Old.GenStamp, Block: req.New}, nil, nil
	})
	if err != nil {
		return err
	}
	n.state.RLock()
	defer n.state.RUnlock()
	if b, ok := n.ns.Block(req.New.ID); ok && b.GenStamp == req.New.GenStamp {
		n.blocks.Pipeline(r.now, b.Block, req.Nodes, req.Storages)
	}
	return nil
}

// AdditionalDatanode finds replacements for a broken pipeline and answers with the nodes
// that are left and the new ones behind them.
func (n *NameNode) AdditionalDatanode(ctx context.Context, c *dfs.Caller, req *dfs.AdditionalDatanodeRequest) (*dfs.LocatedBlock, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	if err := n.safe.check("add datanode to", req.Path, r.now); err != nil {
		return nil, err
	}
	stored, err := r.beingWritten(req.Block, req.Holder)
	if err != nil {
		return nil, err
	}
	f, ok := n.ns.Inode(stored.File)
	if !ok {
		return nil, notFound(req.Path)
	}
	targets := make([]blockmanager.Target, len(req.Existing))
	known := n.blocks.Expected(stored.ID)
	for i, node := range req.Existing {
		targets[i] = blockmanager.Target{Node: node, Type: dfs.StorageDisk}
		if j := slices.IndexFunc(known, func(t blockmanager.Target) bool { return t.Node.UUID == node.UUID }); j >= 0 {
			targets[i] = known[j]
		}
		if i < len(req.Storages) && req.Storages[i] != "" {
			targets[i].Storage = req.Storages[i]
		}
	}
	chosen := n.blocks.Choose(&blockmanager.PlaceRequest{
		Count: max(1, req.Count), Size: f.BlockSize, Policy: n.policyOf(f.ID), Writer: r.writer(0),
		Exclude: req.Exclude, Existing: req.Existing,
	})
	b := req.Block
	b.Length = max(b.Length, stored.Length)
	return &dfs.LocatedBlock{Block: b, PoolID: n.cluster.PoolID, Offset: stored.Offset, Locs: n.replicaLocs(append(targets, chosen...))}, nil
}

// ReportBadBlocks takes a client's word that replicas failed their checksum; what the
// block manager does about it can't lose the last good replica.
func (n *NameNode) ReportBadBlocks(ctx context.Context, c *dfs.Caller, blocks []dfs.BadBlock) error {
	n.badBlocks(blocks)
	return nil
}

func (n *NameNode) badBlocks(blocks []dfs.BadBlock) {
	n.state.RLock()
	defer n.state.RUnlock()
	now := n.clock()
	for _, b := range blocks {
		for i, node := range b.Nodes {
			storage := ""
			if i < len(b.Storages) {
				storage = b.Storages[i]
			}
			n.log.Warn("a replica is reported as damaged", "block", b.Block.String(), "datanode", node.IP, "storage", storage)
			n.blocks.BadReplica(now, b.Block, node.UUID, storage)
		}
	}
}

// writer is the caller's address as placement sees it, unless it is not to count.
func (r *request) writer(flags uint32) netip.Addr {
	if flags&dfs.AddBlockIgnoreClientLocality != 0 {
		return netip.Addr{}
	}
	return r.c.Addr.Unmap()
}
