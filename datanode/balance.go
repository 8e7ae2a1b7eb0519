package datanode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// balancing bounds what balancers and movers may ask of this datanode: so many replicas at
// a time, sent or received, and all of them together so many bytes a second.
type balancing struct {
	limit *throttle
	most  int64
	n     atomic.Int64
	bytes prometheus.Counter
}

func newBalancing(l Limits) *balancing {
	return &balancing{limit: newThrottle(l.BalanceBandwidth), most: int64(l.BalanceMoves)}
}

// begin takes one of the places; false if there is none. end gives it back.
func (b *balancing) begin() bool {
	if b.n.Add(1) > b.most {
		b.n.Add(-1)
		return false
	}
	return true
}

func (b *balancing) end() { b.n.Add(-1) }

// full is the refusal that tells a balancer to come again later.
func (b *balancing) full(doing string, block dfs.BlockID, peer any) *datatransfer.Response {
	return &datatransfer.Response{Status: datatransfer.StatusError,
		Message: fmt.Sprintf("Not able to %s block %d %v because threads quota=%d is exceeded.", doing, block, peer, b.most)}
}

// serveCopy answers COPY_BLOCK: all of a finalized replica, and a last word when there is
// room for the next one.
func (dn *DataNode) serveCopy(c *datatransfer.Conn, q *datatransfer.CopyRequest) error {
	if err := dn.checkPool(q.Block); err != nil {
		return dn.refuse(c, err)
	}
	if !dn.moves.begin() {
		return dn.answer(c, dn.moves.full("copy", q.Block.ID, fmt.Sprintf("to %v", c.Net.RemoteAddr())))
	}
	err := dn.copyOut(c, q)
	dn.moves.end()
	if err != nil {
		return err
	}
	_, err = c.Write(datatransfer.AppendCopyEnd(nil))
	return err
}

func (dn *DataNode) copyOut(c *datatransfer.Conn, q *datatransfer.CopyRequest) error {
	b := q.Block.Block
	x, ok := dn.state.store.Get(b.ID)
	if !ok || x.State != dfs.ReplicaFinalized || x.Block.GenStamp != b.GenStamp {
		err := dfs.Errorf(dfs.ReplicaNotFound, "opCopyBlock %v: no finalized replica of this generation stamp", q.Block)
		return errors.Join(err, dn.refuse(c, err))
	}
	r, err := dn.state.store.OpenReader(dn.ctx, blockstore.ReadOptions{Block: x.Block, Length: x.Block.Length, Verify: true})
	if err != nil {
		return errors.Join(err, dn.refuse(c, err))
	}
	defer r.Close()
	typ, per := r.Checksum()
	sum := datatransfer.Checksum{Type: typ, BytesPer: uint32(per)}
	head, err := datatransfer.AppendResponse(nil, &datatransfer.Response{Read: &datatransfer.ReadInfo{Checksum: sum}})
	if err != nil {
		return err
	}
	out := sender{dn: dn, c: c, limit: dn.moves.limit}
	sent, err := out.send(head, r, sum)
	dn.moves.bytes.Add(float64(sent))
	if err != nil && !out.begun {
		return errors.Join(err, dn.refuse(c, err))
	}
	return err
}

// serveReplace answers REPLACE_BLOCK: the replica comes here from a datanode that has one,
// and the name node is told whose it replaces. While it is on its way the balancer is told
// so, that it waits.
func (dn *DataNode) serveReplace(c *datatransfer.Conn, q *datatransfer.ReplaceRequest) error {
	if err := dn.checkPool(q.Block); err != nil {
		return dn.refuse(c, err)
	}
	if !dn.moves.begin() {
		return dn.answer(c, dn.moves.full("receive", q.Block.ID, fmt.Sprintf("from %v", c.Net.RemoteAddr())))
	}
	start := time.Now()
	m := &incoming{dn: dn, c: c, q: q, told: start}
	var err error
	if q.Source.UUID == dn.ID().UUID {
		err = dn.moveHere(q.Block.Block, q.Type, q.StorageID, m.pace)
	} else {
		err = m.receive()
	}
	dn.moves.end()
	if err == nil {
		dn.cfg.Log.Info("replica moved here", "block", q.Block.String(), "from", transferAddr(&q.Source), "instead of", q.DeleteHint, "took", time.Since(start))
		return dn.answer(c, &datatransfer.Response{})
	}
	resp := &datatransfer.Response{Status: datatransfer.StatusError, Message: fmt.Sprintf("opReplaceBlock %v received exception %s", q.Block, message(err))}
	var refused *refusedCopy
	if errors.As(err, &refused) && refused.resp.Status == datatransfer.StatusPinned {
		resp.Status = datatransfer.StatusPinned
	}
	return errors.Join(fmt.Errorf("datanode: move of %v: %w", q.Block, err), dn.answer(c, resp))
}

// refusedCopy is another datanode's refusal of a COPY_BLOCK.
type refusedCopy struct {
	from string
	resp *datatransfer.Response
}

func (e *refusedCopy) Error() string {
	return fmt.Sprintf("copy from %s was refused with %v: %s", e.from, e.resp.Status, e.resp.Message)
}

// moveHere brings a replica of this datanode to another of its volumes.
func (dn *DataNode) moveHere(b dfs.Block, typ dfs.StorageType, storage string, pace func(context.Context, int) error) error {
	x, from, err := dn.state.store.Move(dn.ctx, blockstore.MoveOptions{Block: b, Type: typ, Storage: storage, Pace: pace})
	if err != nil {
		return err
	}
	dn.moves.bytes.Add(float64(x.Block.Length))
	dn.notify(control.EventReceived, x.Block, x.Storage)
	dn.notify(control.EventDeleted, x.Block, from)
	return nil
}

// move carries out a CmdMove: copyTo at the pace of balancing, or within this datanode.
func (dn *DataNode) move(cmd control.Command) {
	if len(cmd.Targets) != 1 || cmd.Targets[0].Node.UUID != dn.ID().UUID {
		dn.copyAt(cmd, dn.moves.limit)
		return
	}
	t := cmd.Targets[0]
	start := time.Now()
	if err := dn.moveHere(cmd.Block, t.Type, t.Storage, dn.moves.limit.wait); err != nil {
		dn.cfg.Log.Warn("move to another volume failed", "block", cmd.Block.String(), "storage", t.Storage, "err", err)
		dn.notify(control.EventNotCopied, cmd.Block, t.Storage)
		return
	}
	dn.cfg.Log.Info("replica moved to another volume", "block", cmd.Block.String(), "storage", t.Storage, "took", time.Since(start))
}

// mayTake asks the name nodes whether a replica may come here. One that can't be asked
// does not count: it will let go of no replica that it needs.
func (dn *DataNode) mayTake(b dfs.Block, from string) error {
	ctx, cancel := context.WithTimeout(dn.ctx, min(dn.cfg.Timeouts.Dial, askLimit))
	defer cancel()
	for _, s := range dn.sessions {
		err := s.nn.MayTake(ctx, &control.MayTakeRequest{UUID: dn.ID().UUID, PoolID: dn.state.cluster.PoolID, Block: b, From: from})
		if dfs.Is(err, dfs.IllegalState) {
			return err
		}
	}
	return nil
}

// incoming is a replica on its way here by a REPLACE_BLOCK.
type incoming struct {
	dn   *DataNode
	c    *datatransfer.Conn // to the balancer
	q    *datatransfer.ReplaceRequest
	told time.Time // when the balancer last got a sign of life
}

// pace holds the bandwidth of balancing and tells the balancer now and then that the move
// goes on.
func (m *incoming) pace(ctx context.Context, n int) error {
	if err := m.dn.moves.limit.wait(ctx, n); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(m.told) > m.dn.cfg.Timeouts.Read/3 {
		m.told = now
		return m.dn.answer(m.c, &datatransfer.Response{Status: datatransfer.StatusInProgress})
	}
	return nil
}

// receive gets the replica from the datanode that the balancer has named, makes it durable
// and reports it.
func (m *incoming) receive() error {
	dn, q := m.dn, m.q
	if err := dn.mayTake(q.Block.Block, q.DeleteHint); err != nil {
		return err
	}
	addr := transferAddr(&q.Source)
	nc, err := dn.dial(addr)
	if err != nil {
		return &dfs.Error{Kind: dfs.Unavailable, Path: addr, Err: err}
	}
	defer dn.removeConn(nc)
	from := datatransfer.NewConn(nc)
	defer from.Release()
	if err := nc.SetDeadline(time.Now().Add(dn.cfg.Timeouts.Read)); err != nil {
		return err
	}
	resp, err := from.Call(&datatransfer.CopyRequest{Block: q.Block})
	if err != nil {
		return fmt.Errorf("datanode: copy from %s: %w", addr, err)
	}
	if resp.Status != datatransfer.StatusSuccess {
		return &refusedCopy{from: addr, resp: resp}
	}
	if resp.Read == nil || resp.Read.ChunkOffset != 0 {
		return fmt.Errorf("datanode: copy from %s was answered without checksum information: %w", addr, datatransfer.ErrFrame)
	}
	return m.store(from, resp.Read.Checksum)
}

// store writes what the other datanode sends.
func (m *incoming) store(from *datatransfer.Conn, sum datatransfer.Checksum) error {
	dn, q := m.dn, m.q
	own := sum
	if own.Type == dfs.ChecksumNull {
		own = datatransfer.DefaultChecksum
	}
	w, err := dn.state.store.Create(blockstore.CreateOptions{Block: q.Block.Block, Temporary: true, Type: q.Type, Storage: q.StorageID,
		Expected: q.Block.Length, Checksum: own.Type, BytesPerChecksum: int(own.BytesPer)})
	if err != nil {
		return err
	}
	err = m.storePackets(w, from, sum, own)
	var x blockstore.Replica
	if err == nil {
		x, err = w.Finalize()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, s := range dn.sessions {
		s.addEvent(control.ReplicaEvent{Event: control.EventReceived, Storage: x.Storage, Block: x.Block, DeleteHint: q.DeleteHint})
	}
	_ = from.ReadCopyEnd() // it only says that the other one has room again
	return nil
}

// storePackets takes packets up to the last one, each verified before it is stored.
func (m *incoming) storePackets(w *blockstore.Writer, from *datatransfer.Conn, sum, own datatransfer.Checksum) error {
	dn := m.dn
	var made []byte
	var p datatransfer.Packet
	for at := int64(0); ; {
		if err := from.Net.SetReadDeadline(time.Now().Add(dn.cfg.Timeouts.Read)); err != nil {
			return err
		}
		if err := from.ReadPacket(&p); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if bad := sum.Verify(p.Checksums, p.Data); bad >= 0 {
			return dfs.Errorf(dfs.Corrupt, "Checksum error: %v at %d", m.q.Block, p.Offset+int64(bad))
		}
		if len(p.Data) > 0 {
			covers := p.Checksums
			if own != sum {
				made = append(made[:0], make([]byte, own.Size(len(p.Data)))...)
				own.Fill(made, p.Data)
				covers = made
			}
			if p.Offset != at {
				return fmt.Errorf("datanode: packet at %d instead of %d: %w", p.Offset, at, datatransfer.ErrFrame)
			}
			if err := w.Write(at, p.Data, covers, true); err != nil {
				return err
			}
			at += int64(len(p.Data))
			dn.moves.bytes.Add(float64(len(p.Data)))
			if err := m.pace(dn.ctx, len(p.Data)); err != nil {
				return err
			}
		}
		if p.Last {
			return nil
		}
	}
}
