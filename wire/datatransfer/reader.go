package datatransfer

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"redoubt/internal/membudget"
)

// ErrFrame marks every error that says: what arrived is not this protocol. The
// connection can't be used on.
var ErrFrame = errors.New("malformed frame")

// Receive buffer sizes in bytes. A connection that only waits for an operation holds the
// small one; packets exchange it for larger ones as they arrive. What is beyond a packet
// buffer, because a packet is as big as that, is taken from the Reader's budget.
const (
	messageBuffer = 4 << 10
	firstBuffer   = 64 << 10 // until so much has arrived
	packetBuffer  = 512 << 10
	maxMessage    = 1 << 20 // of one length-prefixed protobuf message
)

var (
	messagePool = sync.Pool{New: func() any { b := make([]byte, messageBuffer); return &b }}
	firstPool   = sync.Pool{New: func() any { b := make([]byte, firstBuffer); return &b }}
	packetPool  = sync.Pool{New: func() any { b := make([]byte, packetBuffer); return &b }}
)

// Reader is the receiving side of a connection. It is not safe for use by several
// goroutines at a time. Errors of the connection are returned as they are; a malformed
// message gives an error that is ErrFrame.
type Reader struct {
	// Budget is for packets larger than usual; nil has no limit. Set it before the first read.
	Budget *membudget.Budget

	src      io.Reader
	buf      []byte
	pos, end int
	owner    *[]byte // what buf came from, to be given back
}

// NewReader makes a Reader on src. It takes its buffer at the first read.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Release gives the buffer back. Packets handed out before are invalid afterwards and what was
// buffered is lost, but the Reader may be used on.
func (r *Reader) Release() {
	r.putBuffer()
	r.buf, r.pos, r.end = nil, 0, 0
}

// Shrink exchanges a packet buffer for a small one when nothing is buffered, so that idle
// connections are cheap.
func (r *Reader) Shrink() {
	if r.pos == r.end {
		r.Release()
	}
}

// Buffered is the number of bytes that have arrived and are not read yet.
func (r *Reader) Buffered() int { return r.end - r.pos }

func (r *Reader) putBuffer() {
	if r.owner == nil {
		return
	}
	switch cap(*r.owner) {
	case messageBuffer:
		messagePool.Put(r.owner)
	case firstBuffer:
		firstPool.Put(r.owner)
	case packetBuffer:
		packetPool.Put(r.owner)
	default:
		r.Budget.Give(cap(*r.owner))
	}
	r.owner = nil
}

// need makes n bytes available at r.pos. A buffer that has to grow grows to want first,
// then by doubling as bytes really arrive, so that a hostile length alone costs no more
// than twice what was sent. io.EOF means that the stream ended with nothing buffered.
func (r *Reader) need(n, want int) error {
	for r.end-r.pos < n {
		if r.pos == r.end {
			r.pos, r.end = 0, 0
		}
		if r.pos+n > len(r.buf) || r.end == len(r.buf) {
			if err := r.makeRoom(n, want); err != nil {
				return err
			}
		}
		m, err := r.src.Read(r.buf[r.end:])
		r.end += m
		if m == 0 && err != nil {
			if err == io.EOF && r.end != r.pos {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom moves what is buffered to the front and enlarges the buffer if it is full.
func (r *Reader) makeRoom(n, want int) error {
	have := r.end - r.pos
	if have < firstBuffer {
		want = min(want, firstBuffer) // until it is known that packets come
	}
	if r.pos > 0 && (n <= len(r.buf) || have < len(r.buf)) && len(r.buf) >= want {
		copy(r.buf, r.buf[r.pos:r.end])
		r.pos, r.end = 0, have
		return nil
	}
	if have < len(r.buf) && len(r.buf) >= want {
		return nil // room is left: grow only when it is used up
	}
	var owner *[]byte
	switch size := max(want, 2*have); {
	case size <= messageBuffer:
		owner = messagePool.Get().(*[]byte)
	case size <= firstBuffer:
		owner = firstPool.Get().(*[]byte)
	case size <= packetBuffer:
		owner = packetPool.Get().(*[]byte)
	default:
		if err := r.Budget.Take(size); err != nil {
			return err
		}
		b := make([]byte, size)
		owner = &b
	}
	fresh := *owner
	copy(fresh, r.buf[r.pos:r.end])
	r.putBuffer()
	r.owner, r.buf, r.pos, r.end = owner, fresh, 0, have
	return nil
}

// message reads one varint-length-delimited protobuf message. The slice is valid until
// the next call.
func (r *Reader) message() ([]byte, error) {
	var n int
	for have := 1; ; have++ {
		if err := r.need(have, messageBuffer); err != nil {
			return nil, err
		}
		v, k := protowire.ConsumeVarint(r.buf[r.pos : r.pos+have])
		if k > 0 {
			if v > maxMessage {
				return nil, fmt.Errorf("datatransfer: message of %d bytes: %w", v, ErrFrame)
			}
			n = int(v)
			r.pos += k
			break
		}
		if have >= protowire.SizeVarint(maxMessage)+1 {
			return nil, fmt.Errorf("datatransfer: message length: %w", ErrFrame)
		}
	}
	if n > 0 {
		if err := r.need(n, messageBuffer); err != nil {
			return nil, unexpected(err)
		}
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b, nil
}
