package slownet_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/internal/slownet"
)

const mb = 1 << 20

// fabric is a network in memory, so that time can be virtual: a socket is a buffer.
type fabric struct {
	mu        sync.Mutex
	ports     int
	listeners map[string]chan net.Conn
	busy      sync.WaitGroup // pumps and sinks
}

type addr string

func (a addr) Network() string { return "mem" }
func (a addr) String() string  { return string(a) }

// end is a net.Pipe's end with addresses and a buffer on the way out.
type end struct {
	net.Conn
	local, remote addr
	out           chan []byte
	gone          chan struct{}
	once          *sync.Once
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

func (e *end) Write(p []byte) (int, error) {
	select {
	case e.out <- append([]byte(nil), p...):
		return len(p), nil
	case <-e.gone:
		return 0, io.ErrClosedPipe
	}
}

func (e *end) Close() error {
	e.once.Do(func() { close(e.gone) })
	return nil
}

func (e *end) pump() {
	for {
		select {
		case p := <-e.out:
			_, _ = e.Conn.Write(p) // the reader may be gone
			continue
		default:
		}
		select {
		case p := <-e.out:
			_, _ = e.Conn.Write(p)
		case <-e.gone:
			e.Conn.Close()
			return
		}
	}
}

func (f *fabric) address() addr {
	f.ports++
	return addr("mem:" + strconv.Itoa(f.ports))
}

func (f *fabric) dial(_ context.Context, to string) (net.Conn, error) {
	f.mu.Lock()
	from, l := f.address(), f.listeners[to]
	f.mu.Unlock()
	a, b := net.Pipe()
	x := &end{a, from, addr(to), make(chan []byte, 4), make(chan struct{}), new(sync.Once)}
	y := &end{b, addr(to), from, make(chan []byte, 4), make(chan struct{}), new(sync.Once)}
	f.busy.Go(x.pump)
	f.busy.Go(y.pump)
	l <- y
	return x, nil
}

type listener struct {
	at    addr
	conns chan net.Conn
}

func (l *listener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *listener) Close() error   { close(l.conns); return nil }
func (l *listener) Addr() net.Addr { return l.at }

func (f *fabric) listen() *listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listener{f.address(), make(chan net.Conn, 100)}
	if f.listeners == nil {
		f.listeners = map[string]chan net.Conn{}
	}
	f.listeners[l.at.String()] = l.conns
	return l
}

// sink takes all that comes to a node, on every connection, and closes when its peer does.
func sink(t *testing.T, f *fabric, n *slownet.Node) string {
	l := n.Listener(f.listen())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.busy.Go(func() {
				_, _ = io.Copy(io.Discard, c) // until the peer closes
				c.Close()
			})
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func send(t *testing.T, n *slownet.Node, to string, size, piece int) {
	c, err := n.Dial(t.Context(), to)
	require.NoError(t, err)
	for sent := 0; sent < size; sent += piece {
		_, err := c.Write(make([]byte, piece))
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
}

func bubble(t *testing.T, f func(t *testing.T, fab *fabric, w *slownet.Net)) (d time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		fab := &fabric{}
		begin := time.Now()
		f(t, fab, &slownet.Net{Under: fab.dial})
		fab.busy.Wait()
		d = time.Since(begin)
	})
	return d
}

// A link is as fast as it was said to be in each direction, however many share it.
func TestRate(t *testing.T) {
	for _, c := range []struct{ peers, piece int }{{1, 64 << 10}, {1, 1 << 20}, {4, 4 << 10}} {
		var a *slownet.Node
		d := bubble(t, func(t *testing.T, fab *fabric, w *slownet.Net) {
			a = w.Node("a", 50*mb, 0)
			here := sink(t, fab, a)
			var wg sync.WaitGroup
			for range c.peers {
				b := w.Node("b", 50*mb, 0)
				to := sink(t, fab, b)
				// Out and in are two lines: both at once take no longer than one.
				wg.Go(func() { send(t, a, to, 40*mb/c.peers, c.piece) })
				wg.Go(func() { send(t, b, here, 40*mb/c.peers, c.piece) })
			}
			wg.Wait()
		})
		require.InEpsilon(t, 800*time.Millisecond, d, 0.03, "%+v", c)
		require.Equal(t, int64(40*mb), a.Counters().Sent)
	}
}

// The slower end decides, by its way in too: what it does not take holds the sender back.
func TestSlowReader(t *testing.T) {
	d := bubble(t, func(t *testing.T, fab *fabric, w *slownet.Net) {
		a, b := w.Node("a", 0, 0), w.Node("b", 10*mb, 0)
		send(t, a, sink(t, fab, b), 20*mb, 64<<10)
	})
	require.InEpsilon(t, 2*time.Second, d, 0.05)
}

func TestWithinANodeIsFree(t *testing.T) {
	var a *slownet.Node
	d := bubble(t, func(t *testing.T, fab *fabric, w *slownet.Net) {
		a = w.Node("a", mb, time.Second)
		send(t, a, sink(t, fab, a), 20*mb, mb)
	})
	require.Zero(t, d)
	require.Equal(t, slownet.Counters{Local: 20 * mb}, a.Counters())
}

// Latency is paid by each question and answer, not by each piece of a stream.
func TestLatency(t *testing.T) {
	d := bubble(t, func(t *testing.T, fab *fabric, w *slownet.Net) {
		a, b := w.Node("a", 0, 2*time.Millisecond), w.Node("b", 0, 3*time.Millisecond)
		l := b.Listener(fab.listen())
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 100)
			for {
				n, err := c.Read(buf)
				if err != nil {
					c.Close()
					return
				}
				_, _ = c.Write(buf[:n]) // the peer may be gone
			}
		}()
		c, err := a.Dial(t.Context(), l.Addr().String())
		require.NoError(t, err)
		buf := make([]byte, 100)
		for range 10 {
			_, err := c.Write(buf)
			require.NoError(t, err)
			_, err = io.ReadFull(c, buf)
			require.NoError(t, err)
		}
		require.NoError(t, c.Close())
	})
	require.Equal(t, 100*time.Millisecond, d)
	d = bubble(t, func(t *testing.T, fab *fabric, w *slownet.Net) {
		a, b := w.Node("a", 10*mb, 5*time.Millisecond), w.Node("b", 0, 5*time.Millisecond)
		send(t, a, sink(t, fab, b), 10*mb, 64<<10)
	})
	require.InEpsilon(t, time.Second, d, 0.05)
}

// Cut ends connections that wait, refuses new ones, and Mend takes it back.
func TestCut(t *testing.T) {
	var w slownet.Net
	a, b := w.Node("a", mb, 0), w.Node("b", 0, 0)
	l, err := b.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	c, err := a.Dial(t.Context(), l.Addr().String())
	require.NoError(t, err)
	peer := <-accepted
	failed := make(chan error)
	go func() { // at 1 MB/s it is at this for a minute
		_, err := c.Write(make([]byte, 64*mb))
		failed <- err
	}()
	_, err = io.ReadFull(peer, make([]byte, 100_000))
	require.NoError(t, err)
	a.Cut()
	require.Error(t, <-failed)
	_, err = io.Copy(io.Discard, peer)
	_ = err // the end, or a reset
	_, err = a.Dial(t.Context(), l.Addr().String())
	require.ErrorIs(t, err, slownet.ErrCut)
	a.Mend()
	c, err = a.Dial(t.Context(), l.Addr().String())
	require.NoError(t, err)
	(<-accepted).Close()
	require.NoError(t, c.Close())
	require.NoError(t, peer.Close())
}

// What unlimited links cost beside plain TCP on loopback.
func BenchmarkUnlimited(b *testing.B) {
	for _, slow := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "slow"}[slow], func(b *testing.B) {
			var w slownet.Net
			x, y := w.Node("x", 0, 0), w.Node("y", 0, 0)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			defer l.Close()
			dial := func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
			if slow {
				l = y.Listener(l)
				dial = func() (net.Conn, error) { return x.Dial(b.Context(), l.Addr().String()) }
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 256<<10)
				for err == nil {
					_, err = c.Read(buf)
				}
				c.Close()
			}()
			c, err := dial()
			require.NoError(b, err)
			buf := make([]byte, 256<<10)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, c.Close())
			<-done
		})
	}
}
