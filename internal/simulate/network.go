package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Network is TCP in memory between hosts that are named by their addresses. Writes never
// wait: what the peer has not taken yet is kept, however much it is. So no goroutine
// waits for another one while it holds a mutex, which virtual time could not pass over.
type Network struct {
	latency time.Duration
	onSend  func(h *Host) // before each message and connection attempt

	mu        sync.Mutex
	rng       *rand.Rand
	hosts     map[string]*Host     // by address; who is there, or was last
	listeners map[string]*listener // by address and port
	cut       map[[2]string]bool   // from, to: what is sent waits
	conns     map[*conn]struct{}
	changed   chan struct{} // closed and replaced at every change of hosts and cut
	port      uint16
}

// Death says how a dead host looks to the others.
type Death uint8

const (
	// Reset is a process that died while its machine goes on: connections end at once.
	Reset Death = iota + 1
	// Silent is a machine without power: nothing comes any more, and nobody says so.
	Silent
)

// NewNetwork makes a network on which a message takes latency to twice latency, drawn
// from seed. onSend, if not nil, is called before each message and each attempt to
// connect, with the sending host; it must not wait.
func NewNetwork(latency time.Duration, seed uint64, onSend func(h *Host)) *Network {
	if onSend == nil {
		onSend = func(*Host) {}
	}
	return &Network{latency: latency, onSend: onSend, rng: rand.New(rand.NewPCG(seed, 1)),
		hosts: map[string]*Host{}, listeners: map[string]*listener{}, cut: map[[2]string]bool{},
		conns: map[*conn]struct{}{}, changed: make(chan struct{}), port: 40000}
}

// Host is one life of a host: its door to the network until it is killed.
type Host struct {
	n    *Network
	ip   string
	down Death // guarded by n.mu; 0 while it lives
}

// Host starts a host with this literal address; the one that had it before must be dead.
func (n *Network) Host(ip string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{n: n, ip: ip}
	n.hosts[ip] = h
	for c := range n.conns {
		if c.remote.IP.String() == ip && c.peer.host.down != 0 { // a machine that starts again knows nothing of old connections
			c.in.endLocked(syscall.ECONNRESET)
		}
	}
	n.changedLocked()
	return h
}

// Kill takes a host down for good: its connections end as how says, its listeners are
// gone, and whatever it tries fails. What it had sent still arrives.
func (h *Host) Kill(how Death) {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	h.down = how
	for addr, l := range n.listeners {
		if l.host == h {
			delete(n.listeners, addr)
			l.closeLocked()
		}
	}
	for c := range n.conns {
		switch {
		case c.host == h:
			c.resetLocked()
		case c.peer.host == h && how == Reset:
			c.in.endLocked(syscall.ECONNRESET)
		}
	}
	n.changedLocked()
}

// Everybody stands for all hosts in Cut.
const Everybody = ""

// Cut stops, or lets go on, what from sends to to. Nothing is lost meanwhile.
func (n *Network) Cut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut {
		n.cut[[2]string{from, to}] = true
	} else {
		delete(n.cut, [2]string{from, to})
	}
	n.changedLocked()
}

// cutLocked reports whether what from sends to to is held up.
func (n *Network) cutLocked(from, to string) bool {
	return n.cut[[2]string{from, to}] || n.cut[[2]string{from, Everybody}] || n.cut[[2]string{Everybody, to}]
}

func (n *Network) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
	for c := range n.conns {
		c.in.wakeLocked()
	}
}

// flightLocked is how long the next message takes.
func (n *Network) flightLocked() time.Duration {
	if n.latency == 0 {
		return 0
	}
	return n.latency + time.Duration(n.rng.Int64N(int64(n.latency)))
}

// Listen takes connections at an address of the host; port 0 is a free one.
func (h *Host) Listen(_ context.Context, addr string) (net.Listener, error) {
	n := h.n
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("simulate: listen: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.down != 0 {
		return nil, opError("listen", syscall.ENETDOWN)
	}
	port := a.Port()
	if port == 0 {
		n.port++
		port = n.port
	}
	at := &net.TCPAddr{IP: net.ParseIP(h.ip), Port: int(port)}
	if n.listeners[at.String()] != nil {
		return nil, opError("listen", syscall.EADDRINUSE)
	}
	l := &listener{n: n, host: h, at: at, wake: make(chan struct{}, 1), done: make(chan struct{})}
	n.listeners[at.String()] = l
	return l, nil
}

// Dial connects to a listener of any host.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	n := h.n
	n.onSend(h)
	to, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("simulate: dial: %w", err)
	}
	n.mu.Lock()
	flight := 2 * n.flightLocked()
	n.mu.Unlock()
	if err := wait(ctx, flight); err != nil {
		return nil, err
	}
	for {
		n.mu.Lock()
		switch {
		case h.down != 0:
			n.mu.Unlock()
			return nil, opError("dial", syscall.ENETDOWN)
		case n.hosts[to] != nil && n.hosts[to].down == Silent || n.cutLocked(h.ip, to) || n.cutLocked(to, h.ip):
			changed := n.changed
			n.mu.Unlock()
			select {
			case <-changed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			continue
		}
		l := n.listeners[addr]
		if l == nil {
			n.mu.Unlock()
			return nil, opError("dial", syscall.ECONNREFUSED)
		}
		n.port++
		c := n.connectLocked(h, &net.TCPAddr{IP: net.ParseIP(h.ip), Port: int(n.port)}, l)
		n.mu.Unlock()
		return c, nil
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func opError(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Err: err} }

// listener is a port that is listened on.
type listener struct {
	n       *Network
	host    *Host
	at      *net.TCPAddr
	waiting []*conn // guarded by n.mu
	closed  bool
	wake    chan struct{} // cap 1
	done    chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		l.n.mu.Lock()
		if l.closed {
			l.n.mu.Unlock()
			return nil, opError("accept", net.ErrClosed)
		}
		if len(l.waiting) > 0 {
			c := l.waiting[0]
			l.waiting = l.waiting[1:]
			l.n.mu.Unlock()
			return c, nil
		}
		l.n.mu.Unlock()
		select {
		case <-l.wake:
		case <-l.done:
		}
	}
}

func (l *listener) closeLocked() {
	if l.closed {
		return
	}
	l.closed = true
	for _, c := range l.waiting {
		c.closeLocked()
	}
	l.waiting = nil
	close(l.done)
}

func (l *listener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.listeners[l.at.String()] == l {
		delete(l.n.listeners, l.at.String())
	}
	l.closeLocked()
	return nil
}

func (l *listener) Addr() net.Addr { return l.at }
