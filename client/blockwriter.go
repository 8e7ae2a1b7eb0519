package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hdfspb"
)

// blockWriter writes one block: it fills packets, sends them through a pipeline, and
// repairs the pipeline.
type blockWriter struct {
	w     *Writer
	ref   datatransfer.BlockRef
	nodes []dfs.ReplicaLoc
	pipe  *pipeline
	// pos is where the next byte goes in the block; acked what every node has of those
	// before the pipeline under way.
	pos    int64
	acked  int64
	seqno  int64
	cur    *packet
	failed []*dfs.DatanodeInfo // not to be used again
	stage  datatransfer.Stage
	repair int // repairs since the last progress
}

func (b *blockWriter) length() int64 {
	if b.cur != nil {
		return b.cur.end()
	}
	return b.pos
}

// pool is the block pool, known from the first block on.
func (w *Writer) pool() string {
	if w.carried != nil {
		return w.carried.ref.PoolID
	}
	return ""
}

// nextBlock gets a new block and a pipeline to it. A pipeline that can't be set up is
// given up and another one is asked for without the datanode that failed.
func (w *Writer) nextBlock() error {
	var exclude []*dfs.DatanodeInfo
	var last error
	for range w.c.cfg.Write.Retries + 1 {
		located, err := w.addBlock(exclude)
		if err != nil {
			return err
		}
		b := &blockWriter{w: w, nodes: located.Locs, stage: datatransfer.StageSetupCreate}
		b.ref = datatransfer.BlockRef{PoolID: located.PoolID, Block: located.Block}
		w.carried = b
		bad, err := b.connect(b.ref.GenStamp, datatransfer.StageSetupCreate)
		if err == nil {
			b.stage = datatransfer.StageStreaming
			w.block, w.told = b, false
			return nil
		}
		last = err
		if w.ctx.Err() != nil {
			return err
		}
		if err := w.abandonBlock(b); err != nil {
			return err
		}
		if bad >= 0 && bad < len(b.nodes) {
			exclude = append(exclude, b.nodes[bad].Node)
		}
	}
	return &dfs.Error{Op: "write", Path: w.path, Kind: dfs.Unavailable, Msg: "Unable to create new block.", Err: last}
}

// addBlock asks for a block, again while the one before is not replicated yet.
func (w *Writer) addBlock(exclude []*dfs.DatanodeInfo) (*dfs.LocatedBlock, error) {
	req := &hdfspb.AddBlockRequest{
		Src: &w.path, ClientName: &w.c.holder, ExcludeNodes: nodeProtos(exclude), FileId: new(uint64(w.file)), FavoredNodes: w.favored,
	}
	if w.last != nil {
		req.Previous = extended(w.pool(), *w.last)
	}
	wait := 400 * time.Millisecond
	for try := 0; ; try++ {
		var resp hdfspb.BlockResponse
		err := w.c.names.call(w.ctx, "addBlock", req, &resp)
		if err == nil {
			located := locatedOf(resp.Block)
			if len(located.Locs) == 0 {
				return nil, &dfs.Error{Op: "addBlock", Path: w.path, Kind: dfs.Unavailable, Msg: "the name node gave a block without datanodes"}
			}
			return &located, nil
		}
		if !dfs.Is(err, dfs.NotReplicatedYet) || try >= 5 {
			return nil, err
		}
		if err := sleep(w.ctx, wait); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

func (w *Writer) abandonBlock(b *blockWriter) error {
	req := &hdfspb.AbandonBlockRequest{B: extended(b.ref.PoolID, b.ref.Block), Src: &w.path, Holder: &w.c.holder, FileId: new(uint64(w.file))}
	return w.c.names.call(w.ctx, "abandonBlock", req, nil)
}

// connect opens a pipeline through all nodes. On failure it gives the index of the node
// to blame.
func (b *blockWriter) connect(stamp dfs.GenStamp, stage datatransfer.Stage) (bad int, err error) {
	ctx := b.w.ctx
	conn, err := b.w.c.peers.dial(ctx, &b.nodes[0].Node.DatanodeID)
	if err != nil {
		return 0, fmt.Errorf("client: connect to datanode: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	fail := func(bad int, err error) (int, error) {
		stop()
		drop(conn)
		return bad, err
	}
	q := &datatransfer.WriteRequest{
		Block: b.ref, Client: b.w.c.holder, Stage: stage, PipelineSize: uint32(len(b.nodes)),
		MinBytes: b.acked, MaxBytes: b.pos, NewStamp: stamp, Checksum: b.w.sum,
		StorageType: b.nodes[0].Type, StorageID: b.nodes[0].Storage,
	}
	if stage == datatransfer.StageSetupCreate {
		q.NewStamp = 0
	}
	for _, n := range b.nodes[1:] {
		q.Targets = append(q.Targets, datatransfer.Target{Node: n.Node.DatanodeID, Type: n.Type, StorageID: n.Storage})
	}
	if err := conn.Net.SetReadDeadline(time.Now().Add(b.w.c.cfg.Write.timeout(len(b.nodes)))); err != nil {
		return fail(0, err)
	}
	resp, err := conn.Call(q)
	if err != nil {
		return fail(0, fmt.Errorf("client: set up the pipeline: %w", err))
	}
	if err := resp.Err(); err != nil {
		return fail(b.blame(resp.FirstBadLink), err)
	}
	if !stop() {
		drop(conn)
		return 0, ctx.Err()
	}
	b.pipe = newPipeline(ctx, &b.w.c.cfg, conn, len(b.nodes), b.acked)
	return -1, nil
}

// blame finds the node that a set-up answer names; the first one if it names none.
func (b *blockWriter) blame(link string) int {
	for i := range b.nodes {
		n := b.nodes[i].Node
		if link == fmt.Sprintf("%s:%d", n.IP, n.XferPort) || link == fmt.Sprintf("%s:%d", n.Host, n.XferPort) {
			return i
		}
	}
	return 0
}

// write takes as much of p as fits into the block.
func (b *blockWriter) write(p []byte) (int, error) {
	done := 0
	for done < len(p) && b.length() < b.w.blockSz {
		if b.cur == nil {
			b.begin()
		}
		n := b.cur.fill(p[done:])
		done += n
		if b.cur.full() {
			if err := b.sendCurrent(false); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// begin starts the next packet. One that starts inside a chunk ends with that chunk.
func (b *blockWriter) begin() {
	n := int64(b.w.room)
	if in := b.pos % int64(b.w.sum.BytesPer); in != 0 {
		n = int64(b.w.sum.BytesPer) - in
	}
	n = min(n, b.w.blockSz-b.pos)
	b.cur = newPacket(b.w.sum, b.seqno, b.pos, int(n))
	b.seqno++
}

// sendCurrent seals and sends the packet being filled, waiting for room in the window.
func (b *blockWriter) sendCurrent(sync bool) error {
	k := b.cur
	k.seal(b.w.sum, sync, false)
	b.cur = nil
	b.pos = k.end()
	return b.post(k)
}

// post sends a sealed packet and repairs the pipeline if that fails.
func (b *blockWriter) post(k *packet) error {
	if err := b.pipe.wait(b.w.c.cfg.Write.Window - 1); err != nil {
		return b.recover(err, k)
	}
	if err := b.pipe.send(k); err != nil {
		return b.recover(err, nil)
	}
	return nil
}

// settle waits until everything sent is acknowledged.
func (b *blockWriter) settle() error {
	for b.pipe != nil { // a close recovery leaves none
		err := b.pipe.wait(0)
		if err == nil {
			return nil
		}
		if err := b.recover(err, nil); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what there is and waits for it.
func (b *blockWriter) flush(sync bool) error {
	if b.cur == nil && sync {
		b.cur = newPacket(b.w.sum, b.seqno, b.pos, 0)
		b.seqno++
	}
	if b.cur != nil {
		if err := b.sendCurrent(sync); err != nil {
			return err
		}
	}
	return b.settle()
}

// finish ends the block: everything is acknowledged, then its last, empty packet.
func (b *blockWriter) finish() error {
	if b.cur != nil {
		if err := b.sendCurrent(false); err != nil {
			return err
		}
	}
	if err := b.settle(); err != nil {
		return err
	}
	b.stage = datatransfer.StageClose
	k := newPacket(b.w.sum, b.seqno, b.pos, 0)
	b.seqno++
	k.seal(b.w.sum, false, true)
	if err := b.post(k); err != nil {
		return err
	}
	if err := b.settle(); err != nil {
		return err
	}
	if b.pipe != nil {
		b.pipe.close()
		b.pipe = nil
	}
	return nil
}

// abandon drops the connection without ending the block.
func (b *blockWriter) abandon() {
	if b.pipe != nil {
		for _, k := range b.pipe.close() {
			k.release()
		}
		b.pipe = nil
	}
}

// reopen sets up the pipeline for an append to a file's last block.
func (w *Writer) reopen(located *dfs.LocatedBlock) error {
	if len(located.Locs) == 0 {
		return &dfs.Error{Op: "append", Path: w.path, Kind: dfs.Unavailable, Msg: "the last block of " + w.path + " has no datanodes"}
	}
	b := &blockWriter{
		w: w, nodes: located.Locs, pos: located.Length, acked: located.Length, stage: datatransfer.StageSetupAppend,
		ref: datatransfer.BlockRef{PoolID: located.PoolID, Block: located.Block},
	}
	w.carried = b
	// A block that has too few replicas gets more first: who appends again and again leaves
	// the name node no time to see to that. Where none can be had it goes on with these.
	for b.wantsReplacement() && b.replace() == nil {
	}
	if err := b.rebuild(-1, nil, nil); err != nil {
		b.abandon() // the pipeline may be up already
		return err
	}
	w.block = b
	return nil
}

var errGivenUp = errors.New("client: the pipeline broke again and again without progress")
