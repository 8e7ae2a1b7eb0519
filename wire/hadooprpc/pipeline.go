package hadooprpc

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"redoubt/dfs"
)

// Pipeline drives one connection with a fixed number of calls in flight, from one
// goroutine and without an allocation per call, so that a measurement measures the
// server. It is no client for anything else.
type Pipeline struct {
	nc       net.Conn
	in       frameReader
	clientID [16]byte
	round    int32 // call ids are round*depth+slot
	out      []byte
	body     []byte
	started  []time.Time // by slot
	free     []int32     // slots that carry no call
}

// Load is the work of a Pipeline. A slot is one of the calls in flight: after its answer
// it carries the next call that Next gives it.
type Load struct {
	// Depth is the number of slots, at least 1.
	Depth int
	// Next appends the encoded request of the slot's next call and names its target; nil
	// ends the slot.
	Next func(slot int, b []byte) (*Target, []byte)
	// Done is told of each answer: the encoded response or the error, and the time from
	// sending to answer. Response holds until Done returns. An error from Done ends Run.
	Done func(slot int, response []byte, err *RemoteError, took time.Duration) error
}

// NewPipeline makes a Pipeline of a connection, which it owns.
func NewPipeline(nc net.Conn, opts Options) (*Pipeline, error) {
	if err := opts.Validate(); err != nil {
		_ = nc.Close() // never used
		return nil, err
	}
	id := opts.ClientID
	if id == ([16]byte{}) {
		id = NewClientID()
	}
	return &Pipeline{
		nc:       nc,
		in:       newFrameReader(nc, orDefault(opts.MaxFrame, dfs.MaxRPCFrame)),
		clientID: id,
		out:      appendContext(appendPreamble(nil), opts.User, opts.RealUser, opts.Protocol),
	}, nil
}

// Close closes the connection.
func (p *Pipeline) Close() error { return p.nc.Close() }

// Run carries out a load and returns when all its answers are there. It may be called
// again. An answer of status error is Done's business, not an error of Run.
func (p *Pipeline) Run(l Load) error {
	depth := int32(max(l.Depth, 1))
	p.started = make([]time.Time, depth)
	p.free = p.free[:0]
	for i := range depth {
		p.free = append(p.free, i)
	}
	for live := depth; ; {
		now := time.Now()
		for len(p.free) > 0 {
			slot := p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
			target, body := l.Next(int(slot), p.body[:0])
			if target == nil {
				live--
				continue
			}
			p.body = body
			p.started[slot] = now
			p.append(target, depth, slot, body)
		}
		if len(p.out) > 0 {
			if _, err := p.nc.Write(p.out); err != nil {
				return fmt.Errorf("%w: %w", ErrBroken, err)
			}
			p.out = p.out[:0]
		}
		if live == 0 {
			return nil
		}
		if err := p.take(l, depth); err != nil {
			return err
		}
	}
}

// append adds a call to what the next write sends.
func (p *Pipeline) append(t *Target, depth, slot int32, body []byte) {
	if p.round++; p.round > 1<<30/depth {
		p.round = 1
	}
	b, start := beginFrame(p.out)
	b = appendRequestHeader(b, p.round*depth+slot, 0, p.clientID[:], "")
	b = appendCallHeader(b, t.Protocol, t.Version, t.Method)
	b = binary.AppendUvarint(b, uint64(len(body)))
	p.out = endFrame(append(b, body...), start)
}

// take reads answers: at least one, and all that came with it.
func (p *Pipeline) take(l Load, depth int32) error {
	taken := 0
	for {
		frame, ok, err := p.in.next()
		if err != nil {
			return err
		}
		if !ok {
			if taken > 0 {
				return nil
			}
			if err := p.in.fill(); err != nil {
				return fmt.Errorf("%w: %w", ErrBroken, err)
			}
			continue
		}
		taken++
		if err := p.answer(l, frame, depth); err != nil {
			return err
		}
	}
}

func (p *Pipeline) answer(l Load, frame []byte, depth int32) error {
	head, body, err := cutDelimited(frame)
	if err != nil {
		return err
	}
	var h responseHeader
	if err := h.decode(head); err != nil {
		return err
	}
	if h.callID < 0 {
		return &RemoteError{Class: string(h.class), Message: string(h.message), Detail: h.detail, Fatal: true}
	}
	slot := h.callID % depth
	took := time.Since(p.started[slot])
	p.free = append(p.free, slot)
	if h.status != statusSuccess {
		e := &RemoteError{Class: string(h.class), Message: string(h.message), Detail: h.detail, Fatal: h.status == statusFatal}
		if err := l.Done(int(slot), nil, e, took); err != nil || !e.Fatal {
			return err
		}
		return e
	}
	if body, _, err = cutDelimited(body); err != nil {
		return err
	}
	return l.Done(int(slot), body, nil, took)
}
