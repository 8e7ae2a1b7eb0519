package simulate

import (
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// conn is one end of a connection. Everything in it is guarded by the network's mutex.
type conn struct {
	n             *Network
	host          *Host // whose end it is
	local, remote *net.TCPAddr
	in            *inbox
	peer          *conn
	closed        bool
	writeBy       time.Time
}

// inbox is what is on the way to one end of a connection.
type inbox struct {
	segments []segment
	end      error         // after the segments; nil while more may come
	endAt    time.Time     // when the end is there
	readBy   time.Time     // the deadline
	wake     chan struct{} // closed and replaced when something above changes
}

type segment struct {
	at   time.Time // when it is there
	data []byte
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{})} }

func (b *inbox) wakeLocked() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// endLocked says that nothing more comes.
func (b *inbox) endLocked(err error) {
	if b.end == nil {
		b.end, b.endAt = err, time.Now()
		if k := len(b.segments); k > 0 {
			b.endAt = b.segments[k-1].at
		}
	}
	b.wakeLocked()
}

// connectLocked makes both ends and gives the caller's.
func (n *Network) connectLocked(h *Host, from *net.TCPAddr, l *listener) *conn {
	a := &conn{n: n, host: h, local: from, remote: l.at, in: newInbox()}
	b := &conn{n: n, host: l.host, local: l.at, remote: from, in: newInbox()}
	a.peer, b.peer = b, a
	n.conns[a], n.conns[b] = struct{}{}, struct{}{}
	l.waiting = append(l.waiting, b)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return a
}

func (c *conn) closeLocked() {
	if c.closed {
		return
	}
	c.closed = true
	if c.host.down == 0 {
		c.peer.in.endLocked(io.EOF)
	}
	c.in.wakeLocked()
	delete(c.n.conns, c)
}

// resetLocked is what the end of its own process does to this end.
func (c *conn) resetLocked() {
	c.in.segments = nil
	c.in.end, c.in.endAt = syscall.ECONNRESET, time.Now()
	c.in.wakeLocked()
}

// Read takes what has arrived.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, wake, until, err := c.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if until.IsZero() {
			<-wake
			continue
		}
		t := time.NewTimer(time.Until(until))
		select {
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// take is Read without waiting: when there is nothing it says what to wait for.
func (c *conn) take(p []byte) (n int, wake chan struct{}, until time.Time, err error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	b, now := c.in, time.Now()
	held := c.n.cutLocked(c.remote.IP.String(), c.local.IP.String()) && c.host.down == 0
	due := time.Time{}
	switch {
	case c.closed:
		return 0, nil, due, opError("read", net.ErrClosed)
	case !b.readBy.IsZero() && !now.Before(b.readBy):
		return 0, nil, due, opError("read", os.ErrDeadlineExceeded)
	case held:
	case len(b.segments) > 0:
		if s := &b.segments[0]; !now.Before(s.at) {
			n = copy(p, s.data)
			if s.data = s.data[n:]; len(s.data) == 0 {
				b.segments = b.segments[1:]
			}
			return n, nil, due, nil
		}
		due = b.segments[0].at
	case b.end != nil:
		if !now.Before(b.endAt) {
			if b.end == io.EOF {
				return 0, nil, due, io.EOF
			}
			return 0, nil, due, opError("read", b.end)
		}
		due = b.endAt
	}
	if !b.readBy.IsZero() && (due.IsZero() || b.readBy.Before(due)) {
		due = b.readBy
	}
	return 0, b.wake, due, nil
}

// Write sends. It never waits.
func (c *conn) Write(p []byte) (int, error) {
	c.n.onSend(c.host)
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return 0, opError("write", net.ErrClosed)
	case c.host.down != 0:
		return 0, opError("write", syscall.ENETDOWN)
	case !c.writeBy.IsZero() && !now.Before(c.writeBy):
		return 0, opError("write", os.ErrDeadlineExceeded)
	case c.peer.closed || c.peer.host.down != 0:
		if h := c.peer.host; h.down == Silent && c.n.hosts[h.ip] == h {
			return len(p), nil // nobody says that nobody is there
		}
		return 0, opError("write", syscall.EPIPE)
	}
	b := c.peer.in
	at := now.Add(c.n.flightLocked())
	if k := len(b.segments); k > 0 && b.segments[k-1].at.After(at) {
		at = b.segments[k-1].at // in order
	}
	b.segments = append(b.segments, segment{at, slices.Clone(p)})
	b.wakeLocked()
	return len(p), nil
}

// Close ends both directions.
func (c *conn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return opError("close", net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline wakes a Read that waits.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return opError("set", net.ErrClosed)
	}
	c.in.readBy = t
	c.in.wakeLocked()
	return nil
}

// SetWriteDeadline matters to writes that begin after it only: none waits.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return opError("set", net.ErrClosed)
	}
	c.writeBy = t
	return nil
}
