package slownet

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/pace"
)

// conn is one end of a connection.
type conn struct {
	net.Conn
	node   *Node
	dialed bool

	link   atomic.Pointer[link] // nil until the end that accepted knows who dialed
	once   sync.Once
	closed chan struct{}
}

// link is what both ends of a connection share.
type link struct {
	local   bool // within one node: free
	latency time.Duration
	half    [2]*half // by direction: from who dialed, to who dialed
}

// half is one direction: when the bytes under way will be there.
type half struct {
	mu    sync.Mutex
	sent  int64
	taken int64
	marks []mark // in order of both fields
}

// mark says that the bytes before to have arrived at the time at.
type mark struct {
	to int64
	at time.Time
}

func (h *half) send(n int, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent += int64(n)
	h.marks = append(h.marks, mark{h.sent, at})
}

// take gives when the next n bytes have arrived; the zero time: long since.
func (h *half) take(n int) (at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken += int64(n)
	i := 0
	for i < len(h.marks) && h.marks[i].to <= h.taken {
		at = h.marks[i].at
		i++
	}
	if i < len(h.marks) && (i == 0 || h.marks[i-1].to < h.taken) {
		at = h.marks[i].at // a part of what was sent at once
	}
	h.marks = append(h.marks[:0], h.marks[i:]...)
	return at
}

// path finds what the ends share. Who accepted learns it when the first bytes come: by
// then Dial has returned at the other end. A peer outside of the Net has none.
func (c *conn) path() *link {
	if l := c.link.Load(); l != nil {
		return l
	}
	w := c.node.net
	w.mu.Lock()
	peer := w.dialed[c.RemoteAddr().String()]
	w.mu.Unlock()
	l := &link{}
	if peer != nil {
		l = peer.link.Load()
	}
	c.link.Store(l)
	return l
}

// halves gives the directions to and from the other end; nil with a peer outside.
func (c *conn) halves(l *link) (to, from *half) {
	if l.latency == 0 {
		return nil, nil
	}
	if c.dialed {
		return l.half[0], l.half[1]
	}
	return l.half[1], l.half[0]
}

// Write sends at the rate of the node's way out.
func (c *conn) Write(p []byte) (done int, err error) {
	l := c.path()
	if l.local {
		n, err := c.Conn.Write(p)
		c.node.local.Add(int64(n))
		return n, err
	}
	to, _ := c.halves(l)
	size := chunk
	if to == nil && c.node.out.Rate() == 0 {
		size = max(size, len(p))
	}
	for {
		part := p[done:min(len(p), done+size)]
		if !pace.Sleep(c.node.out.Reserve(len(part), 0), c.closed) {
			return done, net.ErrClosed
		}
		if to != nil {
			to.send(len(part), time.Now().Add(l.latency))
		}
		n, err := c.Conn.Write(part)
		c.node.sent.Add(int64(n))
		if done += n; err != nil || done == len(p) {
			return done, err
		}
	}
}

// Read takes at the rate of the node's way in.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) > chunk && c.node.in.Rate() > 0 {
		p = p[:chunk]
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	l := c.path()
	if l.local {
		return n, err
	}
	c.node.received.Add(int64(n))
	wait := c.node.in.Reserve(n, 0)
	if _, from := c.halves(l); from != nil {
		wait = max(wait, time.Until(from.take(n)))
	}
	if !pace.Sleep(wait, c.closed) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Close ends waits, too.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.node.mu.Lock()
		delete(c.node.conns, c)
		c.node.mu.Unlock()
		if c.dialed {
			w := c.node.net
			w.mu.Lock()
			if addr := c.LocalAddr().String(); w.dialed[addr] == c {
				delete(w.dialed, addr)
			}
			w.mu.Unlock()
		}
	})
	return c.Conn.Close()
}
