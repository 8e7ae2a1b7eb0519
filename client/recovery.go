package client

import (
	"fmt"
	"slices"
	"strings"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hdfspb"
)

// maxRepairs bounds repairs of one pipeline without an acknowledgement in between.
const maxRepairs = 5

// recover repairs the pipeline after cause and sends again what was not acknowledged,
// next, a packet not sent yet, behind it.
func (b *blockWriter) recover(cause error, next *packet) error {
	unacked := b.pipe.close()
	bad, acked := b.pipe.bad, b.pipe.acked
	b.pipe = nil
	if next != nil {
		unacked = append(unacked, next)
	}
	if acked > b.acked {
		b.acked, b.repair = acked, 0
	}
	if err := b.w.ctx.Err(); err != nil {
		release(unacked)
		return &dfs.Error{Op: "write", Path: b.w.path, Kind: dfs.Canceled, Err: err}
	}
	if bad < 0 {
		bad = 0 // nobody was named: the node that we talk to
	}
	return b.rebuild(bad, cause, unacked)
}

func release(packets []*packet) {
	for _, k := range packets {
		k.release()
	}
}

// rebuild makes a new pipeline with a new generation stamp, without node bad (-1: with
// all of them), until one works, and sends the packets again. The packets are its own.
func (b *blockWriter) rebuild(bad int, cause error, packets []*packet) error {
	for {
		if b.repair++; b.repair > maxRepairs {
			release(packets)
			return &dfs.Error{Op: "write", Path: b.w.path, Kind: dfs.Unavailable, Msg: errGivenUp.Error() + because(cause), Err: cause}
		}
		at, err := b.setUp(bad, cause)
		if at >= 0 && b.w.ctx.Err() == nil {
			bad, cause = at, err
			continue
		}
		if err != nil {
			release(packets)
			return err
		}
		if b.stage == datatransfer.StageClose {
			// Every byte was acknowledged before: with this set-up the block is final,
			// and the packet that said so is not needed any more.
			b.pipe.close()
			b.pipe = nil
			release(packets)
			return nil
		}
		b.stage = datatransfer.StageStreaming
		if err := b.resend(packets); err == nil {
			return nil
		} else {
			cause = err
		}
		packets = b.pipe.close()
		bad = max(b.pipe.bad, 0)
		if b.pipe.acked > b.acked {
			b.acked, b.repair = b.pipe.acked, 0
		}
		b.pipe = nil
	}
}

// setUp makes one try at a pipeline without node bad. When that fails because of a node
// it gives the node's index; -1 with an error means that there is no use in going on.
func (b *blockWriter) setUp(bad int, cause error) (at int, err error) {
	if err := b.without(bad, cause); err != nil {
		return -1, err
	}
	fresh, err := b.newStamp()
	if err != nil {
		return -1, err
	}
	if at, err := b.connect(fresh, b.recoveryStage(cause)); err != nil {
		return at, err
	}
	return -1, b.announce(fresh)
}

// resend sends packets through the new pipeline. Those that were not reached when it
// breaks are queued all the same.
func (b *blockWriter) resend(packets []*packet) error {
	var failure error
	for _, k := range packets {
		if err := b.pipe.send(k); err != nil {
			failure = err
		}
	}
	return failure
}

// recoveryStage is what the new pipeline is set up as.
func (b *blockWriter) recoveryStage(cause error) datatransfer.Stage {
	switch {
	case b.stage == datatransfer.StageClose:
		return datatransfer.StageCloseRecovery
	case b.stage == datatransfer.StageSetupAppend && cause == nil:
		return datatransfer.StageSetupAppend
	case b.stage == datatransfer.StageSetupAppend:
		return datatransfer.StageSetupAppendRecovery
	}
	return datatransfer.StageStreamingRecovery
}

// without takes a node out and puts another one in its place where the policy asks for
// it.
func (b *blockWriter) without(bad int, cause error) error {
	if bad < 0 {
		return nil
	}
	b.failed = append(b.failed, b.nodes[bad].Node)
	b.nodes = slices.Delete(slices.Clone(b.nodes), bad, bad+1)
	if len(b.nodes) == 0 {
		var names []string
		for _, d := range b.failed {
			names = append(names, fmt.Sprintf("%s:%d", d.IP, d.XferPort))
		}
		return &dfs.Error{Op: "write", Path: b.w.path, Kind: dfs.Unavailable, Err: cause,
			Msg: fmt.Sprintf("All datanodes [%s] are bad. Aborting...", strings.Join(names, ", "))}
	}
	if !b.wantsReplacement() {
		return nil
	}
	known := len(b.failed)
	err := b.replace()
	// The name node may not know yet that a replacement is down: ask for another one.
	for err != nil && len(b.failed) > known && b.w.ctx.Err() == nil {
		known = len(b.failed)
		err = b.replace()
	}
	if err != nil && b.w.c.cfg.Write.BestEffort && b.w.ctx.Err() == nil {
		return nil
	}
	return err
}

// wantsReplacement is the policy. A block without any data, or one that only has to be
// closed, never gets a new datanode.
func (b *blockWriter) wantsReplacement() bool {
	if b.stage == datatransfer.StageClose || b.acked == 0 && b.pos == 0 {
		return false
	}
	switch b.w.c.cfg.Write.Replace {
	case ReplaceAlways:
		return len(b.nodes) < b.w.repl
	case ReplaceNever:
		return false
	}
	return b.w.repl >= 3 && (len(b.nodes) <= b.w.repl/2 || b.w.synced && len(b.nodes) < b.w.repl)
}

// replace asks for one more datanode and has a datanode of the pipeline copy its replica
// there.
func (b *blockWriter) replace() error {
	existing := make([]*dfs.DatanodeInfo, len(b.nodes))
	storages := make([]string, len(b.nodes))
	for i, n := range b.nodes {
		existing[i], storages[i] = n.Node, n.Storage
	}
	block := b.ref.Block
	block.Length = b.acked
	req := &hdfspb.GetAdditionalDatanodeRequest{
		Src: &b.w.path, Blk: extended(b.ref.PoolID, block), Existings: nodeProtos(existing), Excludes: nodeProtos(b.failed),
		NumAdditionalNodes: new(uint32(1)), ClientName: &b.w.c.holder, ExistingStorageUuids: storages, FileId: new(uint64(b.w.file)),
	}
	var resp hdfspb.BlockResponse
	if err := b.w.c.names.call(b.w.ctx, "getAdditionalDatanode", req, &resp); err != nil {
		return err
	}
	located := locatedOf(resp.Block)
	for i, loc := range located.Locs {
		if slices.ContainsFunc(existing, func(d *dfs.DatanodeInfo) bool { return d.UUID == loc.Node.UUID }) {
			continue
		}
		from := max(i-1, 0)
		if from >= len(b.nodes) {
			from = 0
		}
		if err := b.transfer(&b.nodes[from], &loc); err != nil {
			b.failed = append(b.failed, loc.Node)
			return err
		}
		b.nodes = slices.Insert(b.nodes, min(i, len(b.nodes)), loc)
		return nil
	}
	return &dfs.Error{Op: "write", Path: b.w.path, Kind: dfs.Unavailable,
		Msg: "Failed to replace a bad datanode on the existing pipeline due to no more good datanodes being available to try."}
}

// transfer has src copy its replica to target.
func (b *blockWriter) transfer(src, target *dfs.ReplicaLoc) error {
	conn, err := b.w.c.peers.dial(b.w.ctx, &src.Node.DatanodeID)
	if err != nil {
		return err
	}
	defer drop(conn)
	resp, err := conn.Call(&datatransfer.TransferRequest{Block: b.ref, Client: b.w.c.holder,
		Targets: []datatransfer.Target{{Node: target.Node.DatanodeID, Type: target.Type, StorageID: target.Storage}}})
	if err != nil {
		return err
	}
	return resp.Err()
}

// newStamp asks for a new generation stamp for the block.
func (b *blockWriter) newStamp() (dfs.GenStamp, error) {
	var resp hdfspb.BlockResponse
	req := &hdfspb.UpdateBlockForPipelineRequest{Block: extended(b.ref.PoolID, b.ref.Block), ClientName: &b.w.c.holder}
	if err := b.w.c.names.call(b.w.ctx, "updateBlockForPipeline", req, &resp); err != nil {
		return 0, err
	}
	return dfs.GenStamp(resp.GetBlock().GetB().GetGenerationStamp()), nil
}

// announce makes the new pipeline official.
func (b *blockWriter) announce(stamp dfs.GenStamp) error {
	old := b.ref.Block
	old.Length = b.acked
	fresh := old
	fresh.GenStamp = stamp
	req := &hdfspb.UpdatePipelineRequest{ClientName: &b.w.c.holder, OldBlock: extended(b.ref.PoolID, old), NewBlock: extended(b.ref.PoolID, fresh)}
	for _, n := range b.nodes {
		req.NewNodes = append(req.NewNodes, nodeIDProto(n.Node.DatanodeID))
		req.StorageIDs = append(req.StorageIDs, n.Storage)
	}
	err := b.w.c.names.call(b.w.ctx, "updatePipeline", req, nil)
	if err == nil {
		b.ref.GenStamp = stamp
	}
	return err
}
