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
	next     int32
	out      []byte
	started  []time.Time // by call id modulo the number of calls in flight
	free     []int32     // slots that carry no call
}

// Load is the work of a Pipeline.
type Load struct {
	Target Target
	// Depth is the number of calls in flight, at least 1.
	Depth int
	// Next appends the encoded request of the next call; false ends the load.
	Next func(b []byte) (request []byte, ok bool)
	// Done is told of each answer: the encoded response or the error, and the time from
	// sending to answer. Response holds until Done returns. An error from Done ends Run.
	Done func(response []byte, err *RemoteError, took time.Duration) error
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
	depth := max(l.Depth, 1)
	p.started = make([]time.Time, depth)
	p.free = p.free[:0]
	for i := range depth {
		p.free = append(p.free, int32(i))
	}
	base := (p.next/int32(depth) + 1) * int32(depth) // ids name their slot
	if base < 0 || base > 1<<30 {
		base = int32(depth)
	}
	more := true
	body := []byte(nil)
	for {
		now := time.Now()
		for more && len(p.free) > 0 {
			if body, more = l.Next(body[:0]); !more {
				break
			}
			slot := p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
			p.started[slot] = now
			base += int32(depth)
			if base < 0 {
				base = int32(depth)
			}
			p.next = base
			p.append(l.Target, base-base%int32(depth)+slot, body)
		}
		if len(p.out) > 0 {
			if _, err := p.nc.Write(p.out); err != nil {
				return fmt.Errorf("%w: %w", ErrBroken, err)
			}
			p.out = p.out[:0]
		}
		if len(p.free) == depth && !more {
			return nil
		}
		if err := p.take(l, depth); err != nil {
			return err
		}
	}
}

func (p *Pipeline) append(t Target, id int32, body []byte) {
	b, start := beginFrame(p.out)
	b = appendRequestHeader(b, id, 0, p.clientID[:], "")
	b = appendCallHeader(b, t.Protocol, t.Version, t.Method)
	b = binary.AppendUvarint(b, uint64(len(body)))
	p.out = endFrame(append(b, body...), start)
}

// take reads answers: at least one, and all that came with it.
func (p *Pipeline) take(l Load, depth int) error {
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

func (p *Pipeline) answer(l Load, frame []byte, depth int) error {
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
	slot := h.callID % int32(depth)
	took := time.Since(p.started[slot])
	p.free = append(p.free, slot)
	if h.status != statusSuccess {
		e := &RemoteError{Class: string(h.class), Message: string(h.message), Detail: h.detail, Fatal: h.status == statusFatal}
		if err := l.Done(nil, e, took); err != nil || !e.Fatal {
			return err
		}
		return e
	}
	if body, _, err = cutDelimited(body); err != nil {
		return err
	}
	return l.Done(body, nil, took)
}
