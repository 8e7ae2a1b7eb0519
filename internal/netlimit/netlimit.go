// Package netlimit keeps connections from using up a process's file descriptors: the disk
// needs some of them, and a log that can't be opened is worse than a client that is
// refused. It shares out what RLIMIT_NOFILE allows (Descriptors, Share) and closes what is
// over a share in good order, with an answer that the client understands (Refuser, Listener).
package netlimit

import (
	"net"
	"sync"
	"time"
)

// Reserved is how many descriptors are kept for the disk, the standard streams, listeners
// and the runtime, whatever the clients do. Of a small limit a half is kept.
const Reserved = 256

// Descriptors is how many descriptors connections may have together: what RLIMIT_NOFILE
// allows, less those reserved. Go raises the soft limit to the hard one at start.
func Descriptors() int {
	const plenty = 1 << 30
	limit, ok := openFiles()
	if !ok || limit > plenty {
		return plenty
	}
	return int(limit) - min(Reserved, int(limit)/2)
}

// Share is how many connections may be open that take each descriptors and have percent of
// all: at most n of them, and at least one.
func Share(n, descriptors, percent, each int) int {
	return max(1, min(n, int(int64(descriptors)*int64(percent)/100/int64(each))))
}

// How a refused client is told: briefly, and only a few at a time, since each takes a
// descriptor of its own. Further ones are closed at once.
const (
	maxTold  = 4
	toldTime = time.Second
	noteTime = 10 * time.Second
)

// Refuser closes connections that are too many. The zero value works; set the fields
// before use.
type Refuser struct {
	// Word is what a refused client is sent before its connection is closed.
	Word []byte
	// Note, if set, is told of refusals, every ten seconds at most: how many since the last
	// time, and whom it was last.
	Note func(n int, last net.Addr)

	mu      sync.Mutex
	telling int
	closed  bool
	total   int64
	since   int
	noted   time.Time
	wg      sync.WaitGroup
}

// Total is how many connections have been refused.
func (r *Refuser) Total() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Refuse tells the client and closes its connection. It does not wait for that.
func (r *Refuser) Refuse(nc net.Conn) {
	r.mu.Lock()
	r.total++
	r.since++
	n, now := 0, time.Now()
	if r.Note != nil && now.Sub(r.noted) >= noteTime {
		n, r.since, r.noted = r.since, 0, now
	}
	tell := len(r.Word) > 0 && r.telling < maxTold && !r.closed
	if tell {
		r.telling++
		r.wg.Add(1)
	}
	r.mu.Unlock()
	if n > 0 {
		r.Note(n, nc.RemoteAddr())
	}
	if !tell {
		_ = nc.Close() // it never was ours
		return
	}
	go func() {
		defer r.wg.Done()
		part(nc, r.Word)
		r.mu.Lock()
		r.telling--
		r.mu.Unlock()
	}()
}

// Close waits until nobody is being told any more. Later refusals close at once.
func (r *Refuser) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wg.Wait()
}

// part sends the last word and reads on for a moment: a connection closed with unread
// bytes is reset, and the client would lose what it was told.
func part(nc net.Conn, word []byte) {
	defer nc.Close()
	if nc.SetDeadline(time.Now().Add(toldTime)) != nil {
		return
	}
	if _, err := nc.Write(word); err != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	var drop [512]byte
	for range 64 { // 32 KiB: nobody who was refused has more to say
		if _, err := nc.Read(drop[:]); err != nil {
			return
		}
	}
}

// Listener accepts connections and refuses those over a number. It counts a connection
// until it is closed.
type Listener struct {
	net.Listener
	Max     int // connections at a time
	Refuser *Refuser

	mu   sync.Mutex
	open int
}

// Accept gives the next connection within the limit.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		taken := l.open < l.Max
		if taken {
			l.open++
		}
		l.mu.Unlock()
		if taken {
			return &conn{Conn: nc, l: l}, nil
		}
		l.Refuser.Refuse(nc)
	}
}

// Close closes the listener, and waits until no refused client is being told any more.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.Refuser.Close()
	return err
}

// conn is a connection that counts.
type conn struct {
	net.Conn
	l    *Listener
	once sync.Once
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.l.mu.Lock()
		c.l.open--
		c.l.mu.Unlock()
	})
	return err
}
