package datanode

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// pipeline is one WRITE_BLOCK being served: this datanode's part of a write pipeline, or
// the receiving end of a copy.
type pipeline struct {
	dn   *DataNode
	req  *datatransfer.WriteRequest
	up   *datatransfer.Conn // towards the writer
	down *datatransfer.Conn // the next node; nil at the end of the pipeline
	w    *blockstore.Writer // nil in stage CLOSE_RECOVERY
	copy bool               // a copy of a replica: no acknowledgements, one answer at the end
	// transfer: a copy that a client ordered, to bring a node into its pipeline.
	transfer bool
	kept     bool // the replica was there before this stream
}

// transferAddr is a datanode's data transfer address as firstBadLink names it: always by
// IP, never by name.
func transferAddr(id *dfs.DatanodeID) string {
	return net.JoinHostPort(id.IP, strconv.Itoa(int(id.XferPort)))
}

// serveWrite answers WRITE_BLOCK. The connection is closed after it.
func (dn *DataNode) serveWrite(c *datatransfer.Conn, q *datatransfer.WriteRequest) error {
	p := &pipeline{dn: dn, req: q, up: c}
	p.copy = q.Client == "" || q.Stage == datatransfer.StageTransferRBW || q.Stage == datatransfer.StageTransferFinalized
	p.transfer = p.copy && q.Client != ""
	err := dn.checkPool(q.Block)
	var closed blockstore.Replica
	if err == nil {
		closed, err = p.open()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("datanode: %v of %v: %w", q.Stage, q.Block.Block, err), dn.refuse(c, err))
	}
	if p.w != nil {
		defer p.closeWriter()
	}
	if refusal := p.connectMirror(); refusal != nil {
		p.abandon()
		return errors.Join(fmt.Errorf("datanode: pipeline to %s: %s", refusal.FirstBadLink, refusal.Message), dn.answer(c, refusal))
	}
	if p.down != nil {
		defer dn.removeConn(p.down.Net)
		defer p.down.Release()
	}
	if p.w == nil { // everything is written already
		dn.notify(control.EventReceived, closed.Block, closed.Storage)
		return dn.answer(c, &datatransfer.Response{})
	}
	if !p.copy {
		if err := dn.answer(c, &datatransfer.Response{}); err != nil {
			return err
		}
	}
	return p.run()
}

// open makes the replica ready as the stage asks. In stage CLOSE_RECOVERY it is complete
// afterwards and there is no writer.
func (p *pipeline) open() (closed blockstore.Replica, err error) {
	q, store := p.req, p.dn.state.store
	newStamp := max(q.NewStamp, q.Block.GenStamp)
	p.kept = true
	switch {
	case p.copy || q.Stage == datatransfer.StageSetupCreate:
		p.kept = false
		o := blockstore.CreateOptions{
			Block: q.Block.Block, Temporary: p.copy, Replace: p.transfer, Type: q.StorageType, Storage: q.StorageID, Expected: q.Block.Length,
			Checksum: q.Checksum.Type, BytesPerChecksum: int(q.Checksum.BytesPer),
		}
		o.Block.GenStamp = newStamp
		p.w, err = store.Create(o)
	case q.Stage == datatransfer.StageSetupAppend:
		p.w, err = store.Append(q.Block.Block, newStamp, q.MinBytes)
	case q.Stage == datatransfer.StageSetupAppendRecovery:
		p.w, err = store.RecoverAppend(q.Block.Block, newStamp, q.MinBytes)
	case q.Stage == datatransfer.StageStreamingRecovery:
		p.w, err = store.RecoverWriter(q.Block.Block, newStamp, q.MinBytes, q.MaxBytes)
	case q.Stage == datatransfer.StageCloseRecovery:
		closed, err = store.RecoverClose(q.Block.Block, newStamp, q.MinBytes)
	default:
		err = dfs.Errorf(dfs.IllegalArgument, "stage %v can't begin a write", q.Stage)
	}
	if err == nil && p.w != nil && !p.copy {
		p.dn.notify(control.EventReceiving, p.w.Block(), p.w.Storage())
	}
	return closed, err
}

// connectMirror connects to the next node and sets it up. It gives the refusal to be
// answered when that fails: with the address of the node that is to blame.
func (p *pipeline) connectMirror() *datatransfer.Response {
	if len(p.req.Targets) == 0 {
		return nil
	}
	next := &p.req.Targets[0]
	addr := transferAddr(&next.Node)
	blame := func(err error) *datatransfer.Response {
		if p.down != nil {
			p.dn.removeConn(p.down.Net)
			p.down = nil
		}
		return &datatransfer.Response{Status: datatransfer.StatusError, FirstBadLink: addr, Message: fmt.Sprintf("connect to %s: %v", addr, err)}
	}
	nc, err := p.dn.dial(addr)
	if err != nil {
		return blame(err)
	}
	p.down = datatransfer.NewConn(nc)
	fwd := *p.req
	fwd.Targets = p.req.Targets[1:]
	fwd.StorageType, fwd.StorageID = next.Type, next.StorageID
	self := p.dn.ID()
	fwd.Source = &self
	if err := nc.SetDeadline(time.Now().Add(p.mirrorPatience())); err != nil {
		return blame(err)
	}
	if p.copy {
		if err := p.down.SendRequest(&fwd); err != nil {
			return blame(err)
		}
		return nil
	}
	resp, err := p.down.Call(&fwd)
	if err != nil {
		return blame(err)
	}
	if resp.Status == datatransfer.StatusSuccess {
		return nil
	}
	if resp.FirstBadLink == "" { // the next node itself refused
		return blame(resp.Err())
	}
	p.dn.removeConn(nc)
	p.down = nil
	return resp
}

// mirrorPatience is how long the next node may be silent when it owes an answer: longer the
// more nodes are behind it, so that it gives up on them first and names the right one, and
// shorter than that of the node or client before. By default 60 s and 5 s a node, as in HDFS,
// whose clients wait for 60 s and 5 s for each node of the pipeline.
func (p *pipeline) mirrorPatience() time.Duration {
	t := p.dn.cfg.Timeouts.Read / 15
	return 12*t + t*time.Duration(len(p.req.Targets))
}

// abandon removes a replica that was made for a pipeline which never came to be. A
// replica that was there before stays: a recovery stage will take it over.
func (p *pipeline) abandon() {
	if p.w == nil || p.kept {
		return
	}
	b, storage := p.w.Block(), p.w.Storage()
	p.closeWriter()
	if p.copy {
		return // the store has removed it
	}
	if err := p.dn.state.store.Invalidate(b); err != nil {
		p.dn.cfg.Log.Warn("abandoned replica not removed", "block", b.String(), "err", err)
		return
	}
	p.dn.notify(control.EventDeleted, b, storage)
}

func (p *pipeline) closeWriter() {
	if err := p.w.Close(); err != nil {
		p.dn.cfg.Log.Warn("writer not closed", "block", p.w.Block().String(), "err", err)
	}
}

// finalize makes the replica complete and durable and tells the name nodes. A copy of a
// replica that is still being written stays open instead.
func (p *pipeline) finalize() error {
	var r blockstore.Replica
	var err error
	if p.req.Stage == datatransfer.StageTransferRBW {
		r, err = p.w.ToRBW()
	} else {
		r, err = p.w.Finalize()
	}
	if err != nil {
		return err
	}
	p.dn.metrics.blocksWritten.Inc()
	event := control.EventReceived
	if r.State != dfs.ReplicaFinalized {
		event = control.EventReceiving
	}
	p.dn.notify(event, r.Block, r.Storage)
	return nil
}
