package datanode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// serveTransfer answers TRANSFER_BLOCK: it pushes a replica, open or not, to each target
// and answers when all of them have it.
func (dn *DataNode) serveTransfer(c *datatransfer.Conn, q *datatransfer.TransferRequest) (again bool, err error) {
	if err := dn.checkPool(q.Block); err != nil {
		return true, dn.refuse(c, err)
	}
	for i := range q.Targets {
		t := &q.Targets[i]
		if err := dn.push(dn.ctx, q.Block.Block, t, q.Client, nil); err != nil {
			dn.cfg.Log.Warn("transfer failed", "block", q.Block.String(), "to", transferAddr(&t.Node), "err", err)
			return true, dn.refuse(c, err)
		}
	}
	return true, dn.answer(c, &datatransfer.Response{})
}

// push copies what is visible of a replica to another datanode. The data is verified on
// the way out: a damaged replica must not spread.
func (dn *DataNode) push(ctx context.Context, b dfs.Block, to *datatransfer.Target, client string, limit *throttle) error {
	rep, ok := dn.state.store.Get(b.ID)
	if !ok {
		return dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v", b)
	}
	if rep.Block.GenStamp < b.GenStamp {
		return dfs.Errorf(dfs.IllegalState, "replica %v is older than %v", rep.Block, b)
	}
	stage := datatransfer.StageTransferFinalized
	if rep.State != dfs.ReplicaFinalized {
		stage = datatransfer.StageTransferRBW
	}
	r, err := dn.state.store.OpenReader(ctx, blockstore.ReadOptions{Block: rep.Block, Length: rep.Visible, Verify: true})
	if err != nil {
		return err
	}
	defer r.Close()
	nc, err := dn.dial(transferAddr(&to.Node))
	if err != nil {
		return &dfs.Error{Kind: dfs.Unavailable, Path: transferAddr(&to.Node), Err: err}
	}
	defer dn.removeConn(nc)
	c := datatransfer.NewConn(nc)
	defer c.Release()
	typ, per := r.Checksum()
	self := dn.ID()
	q := &datatransfer.WriteRequest{
		Block:  datatransfer.BlockRef{PoolID: dn.state.cluster.PoolID, Block: rep.Block},
		Client: client, Source: &self, Stage: stage, PipelineSize: 1, NewStamp: rep.Block.GenStamp,
		Checksum:    datatransfer.Checksum{Type: typ, BytesPer: uint32(per)},
		StorageType: to.Type, StorageID: to.StorageID,
	}
	q.Block.Length = rep.Visible
	if err := nc.SetDeadline(time.Now().Add(dn.cfg.Timeouts.Write)); err != nil {
		return err
	}
	if err := c.SendRequest(q); err != nil {
		return err
	}
	out := sender{dn: dn, c: c, limit: limit}
	sent, serr := out.send(nil, r, q.Checksum)
	dn.metrics.copiedBytes.Add(float64(sent))
	if dfs.Is(serr, dfs.Corrupt) {
		return serr
	}
	// A target that refuses answers and closes: its answer says more than the failed write.
	resp, err := c.ReadResponse()
	if err != nil {
		return errors.Join(serr, fmt.Errorf("datanode: copy of %v to %s: %w", rep.Block, transferAddr(&to.Node), err))
	}
	if resp.Status == datatransfer.StatusErrorChecksum {
		dn.verifyReplica(b.ID)
	}
	return resp.Err()
}

// copyTo carries out a CmdTransfer.
func (dn *DataNode) copyTo(cmd control.Command) { dn.copyAt(cmd, dn.copies) }

func (dn *DataNode) copyAt(cmd control.Command, limit *throttle) {
	for i := range cmd.Targets {
		t := datatransfer.Target{Node: cmd.Targets[i].Node, Type: cmd.Targets[i].Type, StorageID: cmd.Targets[i].Storage}
		start := time.Now()
		err := dn.push(dn.ctx, cmd.Block, &t, "", limit)
		switch {
		case err == nil:
			dn.cfg.Log.Info("replica copied", "block", cmd.Block.String(), "to", transferAddr(&t.Node), "took", time.Since(start))
		case dfs.Is(err, dfs.ReplicaNotFound) || dfs.Is(err, dfs.IllegalState):
			// The name node counts on a replica that is not here: tell it.
			dn.cfg.Log.Warn("copy refused", "block", cmd.Block.String(), "err", err)
			if r, ok := dn.state.store.Get(cmd.Block.ID); !ok {
				dn.notify(control.EventDeleted, cmd.Block, r.Storage)
			}
		default:
			dn.cfg.Log.Warn("copy failed", "block", cmd.Block.String(), "to", transferAddr(&t.Node), "err", err)
		}
		if err != nil {
			dn.notify(control.EventNotCopied, cmd.Block, t.StorageID)
		}
	}
}

// throttle holds a rate of bytes per second; nil or a rate of 0 holds nothing back.
type throttle struct {
	rate atomic.Int64

	mu   sync.Mutex
	free time.Time // when the bytes let through so far are paid for
}

func newThrottle(rate int64) *throttle {
	t := &throttle{}
	t.rate.Store(rate)
	return t
}

// wait returns when n more bytes may go, with an error if ctx ended first. Up to a tenth
// of a second's bytes may go at once.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t == nil {
		return ctx.Err()
	}
	rate := t.rate.Load()
	if rate <= 0 {
		return ctx.Err()
	}
	t.mu.Lock()
	now := time.Now()
	if t.free.Before(now) {
		t.free = now
	}
	pause := t.free.Sub(now) - time.Second/10
	t.free = t.free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	t.mu.Unlock()
	if pause > 0 && !sleep(ctx, pause) {
		return ctx.Err()
	}
	return ctx.Err()
}
