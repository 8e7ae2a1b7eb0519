package datanode

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// Sizes in bytes of what is sent at a time: data in one packet, packets in one write.
const (
	packetData  = 64 << 10
	sendBatch   = 512 << 10
	frameSpace  = 64 // more than a packet's header
	sendBuffer  = sendBatch + 2*packetData
	smallBuffer = 16 << 10
)

var (
	sendPool  = sync.Pool{New: func() any { b := make([]byte, 0, sendBuffer); return &b }}
	smallPool = sync.Pool{New: func() any { b := make([]byte, 0, smallBuffer); return &b }}
)

// serveRead answers READ_BLOCK. A client that hangs up in the middle is nothing special.
func (dn *DataNode) serveRead(c *datatransfer.Conn, q *datatransfer.ReadRequest) (again bool, err error) {
	if q.Client != foldClient {
		dn.groups.clientMoved(time.Now())
	}
	r, err := dn.openRead(q)
	if err != nil {
		return true, dn.refuse(c, err)
	}
	defer r.Close()
	typ, per := r.Checksum()
	sum := datatransfer.Checksum{Type: typ, BytesPer: uint32(per)}
	told := sum
	if q.NoChecksums {
		told = datatransfer.Checksum{Type: dfs.ChecksumNull, BytesPer: sum.BytesPer}
	}
	head, err := datatransfer.AppendResponse(nil, &datatransfer.Response{Read: &datatransfer.ReadInfo{Checksum: told, ChunkOffset: r.Start()}})
	if err != nil {
		return false, err
	}
	out := sender{dn: dn, c: c, client: q.Client != foldClient, yields: q.Client == foldClient, last: time.Now(),
		eager: q.Client == foldClient || q.Client == readClient}
	n, err := out.send(head, r, told)
	dn.metrics.readBytes.Add(float64(n))
	if err != nil && !out.begun {
		return true, errors.Join(err, dn.refuse(c, err))
	}
	if err != nil {
		return false, err
	}
	if err := c.Net.SetReadDeadline(time.Now().Add(dn.cfg.Timeouts.Read)); err != nil {
		return false, err
	}
	st, err := c.ReadStatus()
	if err != nil {
		return false, err
	}
	if st == datatransfer.StatusErrorChecksum {
		dn.verifyReplica(q.Block.ID)
	}
	return true, nil
}

// openRead opens the replica for the asked-for range, waiting a little for bytes that a
// writer is about to bring. A block that is not here may be made from its parity group.
func (dn *DataNode) openRead(q *datatransfer.ReadRequest) (blockSource, error) {
	if err := dn.checkPool(q.Block); err != nil {
		return nil, err
	}
	if q.Offset < 0 || q.Length < 0 || q.Offset+q.Length < 0 {
		return nil, dfs.Errorf(dfs.IllegalArgument, "Offset %d and length %d don't match block %v", q.Offset, q.Length, q.Block.Block)
	}
	ctx, cancel := context.WithTimeout(dn.ctx, dn.cfg.Timeouts.Visible)
	defer cancel()
	r, err := dn.state.store.OpenReader(ctx, blockstore.ReadOptions{
		Block: q.Block.Block, Offset: q.Offset, Length: q.Length, Verify: q.NoChecksums,
	})
	if err == nil {
		return r, nil
	}
	if !dn.mayMake(q.Block.Block, q.Client, err) {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(dn.ctx, degradedWait)
	defer cancel()
	d, derr := dn.openDegraded(ctx, q.Block.Block, q.Offset, q.Length, false)
	if derr != nil {
		return nil, derr
	}
	return d, nil
}

// degradedWait is how long a reader waits for the name node's word on a block and for a
// slot to have it made in; clients give up after a minute.
const degradedWait = 30 * time.Second

// mayMake says whether a block that can't be opened is worth asking the name node about: it
// is not here, and its reader is not one that makes another block from it.
func (dn *DataNode) mayMake(b dfs.Block, client string, err error) bool {
	if client == foldClient || client == readClient || !dfs.Is(err, dfs.ReplicaNotFound) {
		return false
	}
	x, ok := dn.state.store.Get(b.ID)
	return !ok || x.State == dfs.ReplicaTemporary
}

// sender sends a replica's bytes as packets, many with one write.
type sender struct {
	dn     *DataNode
	c      *datatransfer.Conn
	limit  *throttle // nil: as fast as it goes
	begun  bool      // something is on the wire
	client bool      // a client waits for it
	yields bool      // nobody does
	last   time.Time // of the last write, if it yields
	packet int64     // data in one packet; 0: packetData
	eager  bool      // every packet is sent at once: another datanode joins it to others
}

// send sends head, everything that r gives, and the empty last packet. It counts the data
// bytes.
func (s *sender) send(head []byte, r blockSource, sum datatransfer.Checksum) (sent int64, err error) {
	pool := &sendPool
	if r.End()-r.Start() <= smallBuffer/2 {
		pool = &smallPool
	}
	owner := pool.Get().(*[]byte)
	defer pool.Put(owner)
	chunk := int64(sum.BytesPer)
	per := max(chunk, packetData/chunk*chunk)
	if s.packet > 0 {
		per = s.packet
	}
	buf := append((*owner)[:0], head...)
	h := datatransfer.Header{Offset: r.Start()}
	end := r.End()
	for h.Offset < end && err == nil {
		buf, err = appendFrom(buf, r, &h, min(per, end-h.Offset), sum)
		if err == nil && (len(buf) >= sendBatch || s.eager || s.limit != nil) && h.Offset < end {
			err = s.flush(buf)
			buf = buf[:0]
		}
	}
	if err != nil {
		return h.Offset - r.Start(), err
	}
	h.Last, h.Length = true, 0
	buf, _, _ = datatransfer.AppendPacket(buf, &h, 0)
	return h.Offset - r.Start(), s.flush(buf)
}

func (s *sender) flush(b []byte) error {
	if err := s.limit.wait(s.dn.ctx, len(b)); err != nil {
		return err
	}
	s.begun = true
	now := time.Now()
	switch {
	case s.client:
		s.dn.groups.clientMoved(now)
	case s.yields:
		if err := s.dn.groups.yield(s.dn.ctx, now.Sub(s.last), rebuildRest); err != nil {
			return err
		}
		now = time.Now()
		s.last = now
	}
	if err := s.c.Net.SetWriteDeadline(now.Add(s.dn.cfg.Timeouts.Write)); err != nil {
		return err
	}
	_, err := s.c.Write(b)
	return err
}

// appendFrom appends one packet with the next n bytes of r and moves h behind it.
func appendFrom(buf []byte, r blockSource, h *datatransfer.Header, n int64, sum datatransfer.Checksum) ([]byte, error) {
	h.Length = int32(n)
	// The store reads whole chunks, so room for one more than the packet's data is needed.
	if need := len(buf) + frameSpace + sum.Size(int(n)) + int(n) + int(sum.BytesPer); cap(buf) < need {
		grown := make([]byte, len(buf), need)
		copy(grown, buf)
		buf = grown
	}
	buf, sums, data := datatransfer.AppendPacket(buf, h, sum.Size(int(n)))
	whole := (int(n) + int(sum.BytesPer) - 1) / int(sum.BytesPer) * int(sum.BytesPer)
	at := len(buf) - len(data)
	if sum.Type == dfs.ChecksumNull {
		sums = nil
	}
	got, err := r.Read(buf[at:at+whole], sums)
	if errors.Is(err, io.EOF) && got == int(n) {
		err = nil
	}
	if err == nil && got != int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return buf, err
	}
	h.Offset += n
	h.Seqno++
	return buf, nil
}

// verifyReplica checks a replica that somebody says is damaged, in the background. What
// it finds goes to onBad.
func (dn *DataNode) verifyReplica(id dfs.BlockID) {
	dn.state.mu.Lock()
	defer dn.state.mu.Unlock()
	if dn.state.verifying[id] || dn.state.closed || len(dn.state.verifying) > 64 {
		return
	}
	dn.state.verifying[id] = true
	dn.goRun(func() {
		err := dn.state.store.Verify(dn.ctx, id)
		if err != nil && !dfs.Is(err, dfs.Corrupt) && dn.ctx.Err() == nil {
			dn.cfg.Log.Info("replica not verified", "block", id.String(), "err", err)
		}
		dn.state.mu.Lock()
		delete(dn.state.verifying, id)
		dn.state.mu.Unlock()
	})
}

// serveChecksum answers BLOCK_CHECKSUM. A failure closes the connection without an
// answer, because a known client digests an answer without looking at its status.
func (dn *DataNode) serveChecksum(c *datatransfer.Conn, q *datatransfer.ChecksumRequest) (again bool, err error) {
	if err := dn.checkPool(q.Block); err != nil {
		return false, err
	}
	length := q.Block.Length
	if length == 0 {
		length = -1
	}
	var sum blockstore.BlockChecksum
	if q.Kind == datatransfer.ChecksumComposite {
		sum, err = dn.state.store.CompositeCRC(dn.ctx, q.Block.Block, length, q.StripeLength)
	} else {
		sum, err = dn.state.store.MD5(dn.ctx, q.Block.Block, length)
	}
	if err != nil && dn.mayMake(q.Block.Block, "", err) {
		ctx, cancel := context.WithTimeout(dn.ctx, degradedWait)
		defer cancel()
		made, derr := dn.degradedChecksum(ctx, q)
		if derr != nil {
			return false, derr
		}
		return true, dn.answer(c, &datatransfer.Response{Checksum: made})
	}
	if err != nil {
		return false, err
	}
	return true, dn.answer(c, &datatransfer.Response{Checksum: &datatransfer.ChecksumResult{
		BytesPerCRC: uint32(sum.BytesPerChecksum), CRCPerBlock: uint64(sum.ChecksumsPerBlock), Sum: sum.Sum,
		Type: sum.Type, Kind: q.Kind, StripeLength: q.StripeLength,
	}})
}
