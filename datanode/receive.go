package datanode

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// ackQueue bounds the packets that are stored and not yet acknowledged.
const ackQueue = 1024

// Bounds of what is read after a bad packet.
const (
	drainTime  = 2 * time.Second
	drainBytes = 64 << 20
)

// maxBatch bounds the packets that are forwarded with one write.
const maxBatch = 64

// pendingAck is a packet that this node has dealt with.
type pendingAck struct {
	seqno  int64
	end    int64 // length of the replica with this packet
	status datatransfer.Status
	last   bool
}

// errBadChecksum ends a stream whose packet did not match its checksums.
var errBadChecksum = errors.New("datanode: packet does not match its checksums")

// stream is the state that receiver and responder share.
type stream struct {
	*pipeline
	acks       chan pendingAck
	mirrorGone atomic.Bool // the next node can't be reached any more
	batch      []datatransfer.Packet
	sum        datatransfer.Checksum
	deadline   time.Time // of reads from up
	downLimit  time.Time // of writes to down
}

// run receives packets until the last one or a failure. A stream that ends early leaves
// the replica as it is, for a recovery to take over.
func (p *pipeline) run() error {
	s := &stream{pipeline: p, sum: p.req.Checksum, acks: make(chan pendingAck, ackQueue)}
	finished := make(chan struct{})
	if p.copy {
		close(finished)
	} else {
		go func() {
			defer close(finished)
			s.respond()
		}()
	}
	watched := make(chan struct{})
	stopWatch := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.w.Stopped(): // somebody takes the replica over: end this stream at once
			s.hangUp()
		case <-stopWatch:
		}
	}()
	err := s.receive()
	if err != nil && !errors.Is(err, errBadChecksum) {
		s.hangUp()
	}
	close(s.acks)
	<-finished
	close(stopWatch)
	<-watched
	if p.copy {
		err = s.answerCopy(err)
	}
	if errors.Is(err, errBadChecksum) {
		s.drain()
	}
	return err
}

// drain reads what the writer still sends after it was told of its bad packet. Closing a
// connection with unread bytes would throw away the answer as well.
func (s *stream) drain() {
	if tcp, ok := s.up.Net.(interface{ CloseWrite() error }); ok && tcp.CloseWrite() == nil {
		_ = s.up.Net.SetReadDeadline(time.Now().Add(drainTime)) // a closed connection fails the read too
		_, _ = io.Copy(io.Discard, io.LimitReader(s.up.Net, drainBytes))
	}
}

// hangUp ends both connections, so that nobody waits on them any more.
func (s *stream) hangUp() {
	_ = s.up.Close() // its user gets the error
	if s.down != nil {
		_ = s.down.Close() // the same
	}
}

// answerCopy sends a copy's only answer, after the nodes behind have given theirs.
func (s *stream) answerCopy(err error) error {
	if errors.Is(err, errBadChecksum) {
		return errors.Join(err, s.dn.answer(s.up, &datatransfer.Response{Status: datatransfer.StatusErrorChecksum}))
	}
	if err != nil {
		return err // the connection is closed
	}
	if s.down != nil {
		_ = s.down.Net.SetReadDeadline(time.Now().Add(s.dn.cfg.Timeouts.Write)) // a closed connection fails the read too
		resp, err := s.down.ReadResponse()
		if err != nil {
			resp = &datatransfer.Response{Status: datatransfer.StatusError, FirstBadLink: transferAddr(&s.req.Targets[0].Node), Message: err.Error()}
		}
		if resp.Status != datatransfer.StatusSuccess {
			return s.dn.answer(s.up, resp)
		}
	}
	return s.dn.answer(s.up, &datatransfer.Response{})
}

// receive takes packets in batches of what has already arrived: verify, forward, store,
// hand to the responder. It returns nil after the last packet was dealt with.
func (s *stream) receive() error {
	for {
		err := s.readBatch()
		last, werr := s.take(s.batch)
		if werr != nil {
			return werr
		}
		if last {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readBatch waits for one packet and takes along all that are buffered behind it. With an
// error it may still have got some.
func (s *stream) readBatch() error {
	s.batch = s.batch[:0]
	limit := s.dn.cfg.Timeouts.Read
	if now := time.Now(); now.Add(limit / 2).After(s.deadline) {
		s.deadline = now.Add(limit)
		if err := s.up.Net.SetReadDeadline(s.deadline); err != nil {
			return err
		}
	}
	for {
		s.batch = append(s.batch, datatransfer.Packet{})
		p := &s.batch[len(s.batch)-1]
		if err := s.up.ReadPacket(p); err != nil {
			s.batch = s.batch[:len(s.batch)-1]
			return err
		}
		if p.Last || len(s.batch) == maxBatch || !s.up.PacketBuffered() {
			return nil
		}
	}
}

// take deals with a batch of packets. The good ones in front of a bad one are forwarded
// and stored; the bad one is answered with its status and ends the stream.
func (s *stream) take(batch []datatransfer.Packet) (last bool, err error) {
	good := len(batch)
	for i := range batch {
		if err = s.check(&batch[i]); err != nil {
			good = i
			break
		}
	}
	if !s.copy {
		s.dn.groups.clientMoved(time.Now())
	}
	s.forward(batch[:good])
	end := s.w.Block().Length
	sync := false
	for i := range batch[:good] {
		p := &batch[i]
		if len(p.Data) > 0 {
			sums := p.Checksums
			if len(sums) == 0 || !s.storable() {
				sums = s.resum(p)
			}
			if werr := s.w.Write(p.Offset, p.Data, sums, true); werr != nil {
				return false, fmt.Errorf("datanode: store %v: %w", s.w.Block(), werr)
			}
			s.dn.metrics.writeBytes.Add(float64(len(p.Data)))
			end = max(end, p.Offset+int64(len(p.Data)))
		}
		sync = sync || p.Sync
		last = last || p.Last
	}
	switch {
	case last:
		if ferr := s.finalize(); ferr != nil {
			return false, fmt.Errorf("datanode: finalize %v: %w", s.w.Block(), ferr)
		}
	case sync:
		if serr := s.w.Sync(); serr != nil {
			return false, fmt.Errorf("datanode: sync %v: %w", s.w.Block(), serr)
		}
	}
	s.queueAcks(batch[:good], end)
	if errors.Is(err, errBadChecksum) && !s.copy {
		s.acks <- pendingAck{seqno: batch[good].Seqno, status: datatransfer.StatusErrorChecksum}
	}
	return last, err
}

// storable reports whether the writer's checksums are the store's own kind.
func (s *stream) storable() bool {
	typ, per := s.w.Checksum()
	return typ == s.sum.Type && uint32(per) == s.sum.BytesPer
}

// resum computes the checksums that the store wants for a packet that came with others,
// after those were verified.
func (s *stream) resum(p *datatransfer.Packet) []byte {
	typ, per := s.w.Checksum()
	own := datatransfer.Checksum{Type: typ, BytesPer: uint32(per)}
	head := 0
	if rest := int(p.Offset % int64(per)); rest != 0 {
		head = min(per-rest, len(p.Data))
	}
	var sums []byte
	if head > 0 {
		one := make([]byte, 4)
		own.Fill(one, p.Data[:head])
		sums = append(sums, one...)
	}
	more := make([]byte, own.Size(len(p.Data)-head))
	own.Fill(more, p.Data[head:])
	return append(sums, more...)
}

// check verifies a packet against its checksums, while it is in cache, and its place
// against the replica.
func (s *stream) check(p *datatransfer.Packet) error {
	if p.Heartbeat() || len(p.Data) == 0 {
		return nil
	}
	// Behind an unaligned append a packet brings just the rest of its chunk.
	if rest := p.Offset % int64(s.sum.BytesPer); rest != 0 && s.sum.Type != dfs.ChecksumNull && rest+int64(len(p.Data)) > int64(s.sum.BytesPer) {
		return fmt.Errorf("datanode: packet of %d bytes at unaligned %d: %w", len(p.Data), p.Offset, datatransfer.ErrFrame)
	}
	if len(p.Checksums) == 0 && s.req.LazyPersist {
		return nil // its writer computes none; the replica gets them here
	}
	if bad := s.sum.Verify(p.Checksums, p.Data); bad >= 0 {
		s.dn.metrics.badPackets.Inc()
		return fmt.Errorf("%w: %v at %d from %v", errBadChecksum, s.req.Block.Block, p.Offset+int64(bad), s.up.Net.RemoteAddr())
	}
	return nil
}

// forward sends packets to the next node as they came, all with one write: they lie
// behind each other in the receive buffer. A next node that fails is left out from then
// on; the responder tells the writer.
func (s *stream) forward(batch []datatransfer.Packet) {
	if s.down == nil || len(batch) == 0 || s.mirrorGone.Load() {
		return
	}
	limit := s.dn.cfg.Timeouts.Write
	if now := time.Now(); now.Add(limit / 2).After(s.downLimit) {
		s.downLimit = now.Add(limit)
		_ = s.down.Net.SetWriteDeadline(s.downLimit) // a closed connection fails the write too
	}
	n := 0
	for i := range batch {
		n += len(batch[i].Raw)
	}
	first := batch[0].Raw
	if _, err := s.down.Write(first[:n:n]); err != nil {
		s.mirrorFailed(err)
	}
}

func (s *stream) mirrorFailed(err error) {
	if s.mirrorGone.Swap(true) {
		return
	}
	s.dn.metrics.mirrorFailures.Inc()
	s.dn.cfg.Log.Info("next node of the pipeline failed", "block", s.req.Block.String(), "node", transferAddr(&s.req.Targets[0].Node), "err", err)
	_ = s.down.Close() // the responder must not wait for it
}

// queueAcks hands packets to the responder.
func (s *stream) queueAcks(batch []datatransfer.Packet, end int64) {
	if s.copy {
		return
	}
	at := int64(-1)
	for i := range batch {
		p := &batch[i]
		if len(p.Data) > 0 {
			at = p.Offset + int64(len(p.Data))
		} else if p.Last {
			at = end
		}
		s.acks <- pendingAck{seqno: p.Seqno, end: at, last: p.Last}
	}
}
