// Package slownet puts emulated links between nodes that in truth share one machine. Each
// node has a rate out and a rate in, and a latency; what goes from a node to itself is
// free. It counts the bytes, and a node can be cut off.
//
// Nodes are told apart by the connections that they opened and the sockets that they
// listen on, since all of them are on loopback: every node is given a Dial and a Listen
// of its own. A writer is held back by its node's way out, a reader by its node's way in,
// and the socket between them is a small buffer, so each end feels the other as on a real
// network. Package name servers can be left out: a peer without a node costs only the
// side that has one.
package slownet

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/pace"
)

// chunk is the most that one read or write takes at a time, so that connections share a
// link fairly and deadlines are kept. buffer is what a socket may hold.
const (
	chunk  = 64 << 10
	buffer = 128 << 10
)

// Net is a set of nodes. The zero value works; it must not be copied.
type Net struct {
	// Under opens the connections below the emulated ones; nil is TCP.
	Under func(ctx context.Context, addr string) (net.Conn, error)

	mu        sync.Mutex
	listeners map[string]*Node // by address
	dialed    map[string]*conn // open connections, by the local address of who dialed
}

// Node makes a node with a rate in each direction in bytes/s (0: unlimited) and a latency
// on its way to and from other nodes' (each pair has the sum of both nodes').
func (n *Net) Node(name string, bytesPerSecond int64, latency time.Duration) *Node {
	node := &Node{net: n, name: name, conns: map[*conn]struct{}{}}
	node.SetLimits(bytesPerSecond, latency)
	return node
}

// Node is one machine of the emulated network. Its methods may be called at the same time.
type Node struct {
	net     *Net
	name    string
	out, in pace.Line
	latency atomic.Int64 // ns, for one way

	sent, received, local atomic.Int64

	mu    sync.Mutex
	cut   bool
	conns map[*conn]struct{}
}

// ErrCut is what connections of a node that was cut off give.
var ErrCut = errors.New("slownet: the node is cut off")

// SetLimits changes rate and latency for what comes.
func (n *Node) SetLimits(bytesPerSecond int64, latency time.Duration) {
	n.out.SetRate(bytesPerSecond)
	n.in.SetRate(bytesPerSecond)
	n.latency.Store(int64(max(0, latency)))
}

// Counters are bytes over a node's link since it was made. Local is what it sent to itself,
// which is in neither of the others.
type Counters struct {
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	Local    int64 `json:"local"`
}

// Add gives the sum of both.
func (c Counters) Add(o Counters) Counters {
	return Counters{c.Sent + o.Sent, c.Received + o.Received, c.Local + o.Local}
}

// Sub gives what came since o.
func (c Counters) Sub(o Counters) Counters {
	return Counters{c.Sent - o.Sent, c.Received - o.Received, c.Local - o.Local}
}

// Counters gives the present counts.
func (n *Node) Counters() Counters {
	return Counters{n.sent.Load(), n.received.Load(), n.local.Load()}
}

// Busy is for how long the way out and the way in were in use.
func (n *Node) Busy() (out, in time.Duration) { return n.out.Busy(), n.in.Busy() }

// Cut breaks all connections of the node, in both directions, and lets no new one come
// about until Mend.
func (n *Node) Cut() {
	n.mu.Lock()
	n.cut = true
	var all []*conn
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		c.Close() // whoever uses it sees the error
	}
}

// Mend ends what Cut began.
func (n *Node) Mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = false
}

// Dial opens a TCP connection from the node.
func (n *Node) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if n.isCut() {
		return nil, ErrCut
	}
	w := n.net
	under := w.Under
	if under == nil {
		under = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	inner, err := under(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := n.wrap(inner)
	c.dialed = true
	w.mu.Lock()
	peer := w.listeners[addr]
	if peer == nil {
		peer = w.listeners[inner.RemoteAddr().String()]
	}
	c.link.Store(&link{local: peer == n, latency: n.delay(peer), half: [2]*half{{}, {}}})
	if w.dialed == nil {
		w.dialed = map[string]*conn{}
	}
	w.dialed[inner.LocalAddr().String()] = c
	w.mu.Unlock()
	if err := n.keep(c); err != nil {
		return nil, err
	}
	return c, nil
}

// delay is the way from a node to another; to one outside of the Net there is none.
func (n *Node) delay(peer *Node) time.Duration {
	if peer == nil {
		return 0
	}
	return time.Duration(n.latency.Load() + peer.latency.Load())
}

// keep holds a connection for Cut.
func (n *Node) keep(c *conn) error {
	n.mu.Lock()
	if !n.cut {
		n.conns[c] = struct{}{}
	}
	cut := n.cut
	n.mu.Unlock()
	if cut {
		c.Close()
		return ErrCut
	}
	return nil
}

func (n *Node) isCut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut
}

func (n *Node) wrap(inner net.Conn) *conn {
	if tcp, ok := inner.(*net.TCPConn); ok {
		// Without this a loopback socket holds megabytes, and neither end feels the other.
		_ = tcp.SetReadBuffer(buffer)  // only a size
		_ = tcp.SetWriteBuffer(buffer) // only a size
	}
	return &conn{Conn: inner, node: n, closed: make(chan struct{})}
}

// Listen takes TCP connections to the node.
func (n *Node) Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return n.Listener(l), nil
}

// Listener makes what a listener accepts connections of the node.
func (n *Node) Listener(inner net.Listener) net.Listener {
	w := n.net
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listeners == nil {
		w.listeners = map[string]*Node{}
	}
	w.listeners[inner.Addr().String()] = n
	return &listener{inner, n}
}

type listener struct {
	net.Listener
	node *Node
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := l.node.wrap(inner)
		if l.node.keep(c) == nil {
			return c, nil
		}
	}
}

func (l *listener) Close() error {
	w := l.node.net
	w.mu.Lock()
	delete(w.listeners, l.Addr().String())
	w.mu.Unlock()
	return l.Listener.Close()
}
