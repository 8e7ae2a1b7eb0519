package datanode

import (
	"errors"
	"fmt"
	"time"

	"redoubt/wire/datatransfer"
)

// respond acknowledges packets in order: this node's status and those of the nodes behind
// it. A length becomes visible to readers when all of them have it. It ends with the
// channel, or when the writer can't be reached.
func (s *stream) respond() {
	var out []byte
	var ack, down datatransfer.Ack
	broken := false
	for p := range s.acks {
		if broken {
			continue // let the receiver finish
		}
		ack.Seqno = p.seqno
		ack.Replies = append(ack.Replies[:0], p.status)
		if s.down != nil && p.status == datatransfer.StatusSuccess {
			ack.Replies = s.mirrorReplies(ack.Replies, p.seqno, &down)
		}
		if p.end > 0 && ack.AllSuccess() {
			s.w.SetAcked(p.end)
		}
		out = datatransfer.AppendAck(out, &ack)
		if len(s.acks) > 0 && len(out) < 4096 && (s.down == nil || s.mirrorGone.Load() || s.down.Buffered() > 0) {
			continue // the next answer can go along
		}
		_ = s.up.Net.SetWriteDeadline(time.Now().Add(s.dn.cfg.Timeouts.Write)) // a closed connection fails the write too
		if _, err := s.up.Write(out); err != nil {
			broken = true
			s.hangUp()
		}
		out = out[:0]
	}
	if len(out) > 0 && !broken {
		_, _ = s.up.Write(out) // the stream has ended: nobody is left to be told
	}
}

// mirrorReplies appends what the nodes behind say about a packet, ERROR if the next one
// can't be reached any more.
func (s *stream) mirrorReplies(replies []datatransfer.Status, seqno int64, down *datatransfer.Ack) []datatransfer.Status {
	for !s.mirrorGone.Load() {
		_ = s.down.Net.SetReadDeadline(time.Now().Add(s.mirrorPatience())) // a closed connection fails the read too
		err := s.down.ReadAck(down)
		switch {
		case err == nil && down.Seqno == seqno:
			return append(replies, down.Replies...)
		case err == nil && down.Seqno == datatransfer.OOBSeqno:
			s.forwardOOB(down)
			continue
		case err == nil:
			err = fmt.Errorf("acknowledgement of packet %d instead of %d: %w", down.Seqno, seqno, errOrder)
		}
		s.mirrorFailed(err)
	}
	return append(replies, datatransfer.StatusError)
}

var errOrder = errors.New("out of order")

// forwardOOB passes on what a node behind tells out of band, a restart say.
func (s *stream) forwardOOB(down *datatransfer.Ack) {
	a := datatransfer.Ack{Seqno: datatransfer.OOBSeqno, Replies: append([]datatransfer.Status{datatransfer.StatusSuccess}, down.Replies...)}
	_, _ = s.up.Write(datatransfer.AppendAck(nil, &a)) // if it can't be sent, the next answer can't either
}
