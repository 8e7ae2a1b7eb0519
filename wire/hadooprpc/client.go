package hadooprpc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// Options of a client's connections. The zero value of each field means its default.
type Options struct {
	User     string // effective user; required
	RealUser string // set when a proxy user calls for User
	// Protocol is named in the connection context; a call may name another.
	Protocol string
	// Context is the caller context of every call: free text for the audit log.
	Context string
	// ClientID identifies the caller to retry caches; zero draws a random one.
	ClientID [16]byte
	// Dial opens the network connection; nil uses TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// DialTimeout bounds opening a connection; 0 means 20 s.
	DialTimeout time.Duration
	// PingInterval is how long the connection may be silent while calls wait before a
	// ping is sent, so that a dead peer is noticed; 0 means a minute.
	PingInterval time.Duration
	// WriteTimeout ends a connection whose server takes nothing for so long; 0 means a
	// minute.
	WriteTimeout time.Duration
	// MaxFrame is the longest answer taken, in bytes; 0 means dfs.MaxRPCFrame.
	MaxFrame int
}

// Validate reports what can't be.
func (o *Options) Validate() error {
	if o.User == "" {
		return errors.New("hadooprpc: options name no user")
	}
	if o.DialTimeout < 0 || o.PingInterval < 0 || o.WriteTimeout < 0 || o.MaxFrame < 0 {
		return errors.New("hadooprpc: options hold a negative number")
	}
	return nil
}

// NewClientID draws a client id.
func NewClientID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// Target names what a call calls.
type Target struct {
	Protocol string
	Version  uint64
	Method   string
}

// Conn is a client's connection, shared by any number of callers at once.
type Conn struct {
	opts Options
	nc   net.Conn
	in   frameReader
	out  batch
	next atomic.Int32
	pool sync.Pool // of *pending

	mu      sync.Mutex
	pending map[int32]*pending
	err     error // what ended the connection
	done    chan struct{}
	wg      sync.WaitGroup
	heard   atomic.Int64 // when the last bytes came, in ns since start
	start   time.Time
}

// pending is one caller waiting.
type pending struct {
	ready chan struct{} // cap 1
	resp  Unmarshaler   // or nil: body is kept
	body  []byte
	err   error
}

// newPending takes a pending from the connection's pool. The pool is not shared between
// connections, so that connections of different synctest bubbles keep apart.
func (c *Conn) newPending() *pending {
	if p, ok := c.pool.Get().(*pending); ok {
		return p
	}
	return &pending{ready: make(chan struct{}, 1)}
}

// Dial connects to a server.
func Dial(ctx context.Context, addr string, opts Options) (*Conn, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(opts.DialTimeout, 20*time.Second))
	defer cancel()
	dial := opts.Dial
	if dial == nil {
		var d net.Dialer
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	nc, err := dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("hadooprpc: connect to %s: %w", addr, err)
	}
	return NewConn(nc, opts)
}

// NewConn makes a client's connection of a network connection, which it owns from then
// on. The preamble goes out with the first call.
func NewConn(nc net.Conn, opts Options) (*Conn, error) {
	if err := opts.Validate(); err != nil {
		_ = nc.Close() // never used
		return nil, err
	}
	if opts.ClientID == ([16]byte{}) {
		opts.ClientID = NewClientID()
	}
	c := &Conn{opts: opts, nc: nc, pending: make(map[int32]*pending), done: make(chan struct{}), start: time.Now()}
	c.in = newFrameReader(nc, orDefault(opts.MaxFrame, dfs.MaxRPCFrame))
	c.out.init(nc, orDefault(opts.WriteTimeout, time.Minute), c.fail)
	c.out.buf = appendContext(appendPreamble(nil), opts.User, opts.RealUser, opts.Protocol)
	c.wg.Add(1)
	go c.read()
	return c, nil
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is nil while the connection works. Then it is ErrClosed after Close, and otherwise
// ErrBroken with the cause.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection; calls in flight fail with ErrClosed.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	c.out.flushers.Wait()
	return nil
}

// fail ends the connection and all waiting calls.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	if !errors.Is(cause, ErrClosed) {
		c.err = fmt.Errorf("%w: %w", ErrBroken, cause)
	}
	for id, p := range c.pending {
		delete(c.pending, id)
		p.err = c.err
		p.ready <- struct{}{}
	}
	close(c.done)
	c.mu.Unlock()
	_ = c.nc.Close() // the cause is known already
	c.out.fail(ErrClosed)
}

// Call calls a method and decodes the answer into resp, which may be nil. An error that
// the server answered is a *RemoteError; ErrBroken means that the call may or may not
// have been carried out.
func (c *Conn) Call(ctx context.Context, t Target, req Marshaler, resp Unmarshaler) error {
	return c.CallAs(ctx, t, c.NextID(), 0, req, resp)
}

// NextID draws a call id for CallAs.
func (c *Conn) NextID() int32 { return c.next.Add(1) & 0x7fffffff }

// CallAs is Call with a call id and retry count that the caller chose, so that a call can
// be sent again, over another connection too, and still get its first answer from the
// server's retry cache. Ids in flight on a connection must differ.
func (c *Conn) CallAs(ctx context.Context, t Target, id, retry int32, req Marshaler, resp Unmarshaler) error {
	p := c.newPending()
	p.resp = resp
	size := req.SizeVT()
	encode := func(b []byte) ([]byte, error) {
		b = binary.AppendUvarint(b, uint64(size))
		n := len(b)
		b = append(b, make([]byte, size)...)
		_, err := req.MarshalToSizedBufferVT(b[n:])
		return b, err
	}
	_, err := c.roundTrip(ctx, t, id, retry, p, encode)
	return err
}

// CallBytes calls a method with an encoded request and gives the encoded answer, which
// is the caller's.
func (c *Conn) CallBytes(ctx context.Context, t Target, req []byte) ([]byte, error) {
	p := c.newPending()
	return c.roundTrip(ctx, t, c.NextID(), 0, p, func(b []byte) ([]byte, error) {
		b = binary.AppendUvarint(b, uint64(len(req)))
		return append(b, req...), nil
	})
}

// roundTrip sends a call and waits for its answer, ctx, or the end of the connection.
func (c *Conn) roundTrip(ctx context.Context, t Target, id, retry int32, p *pending,
	encode func([]byte) ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.register(id, p); err != nil {
		return nil, err
	}
	if err := c.send(t, id, retry, encode); err != nil {
		c.forget(id, p)
		return nil, err
	}
	select {
	case <-p.ready:
	case <-ctx.Done():
		if c.forget(id, p) {
			return nil, ctx.Err()
		}
		<-p.ready // the answer came at the same moment
	}
	body, err := p.body, p.err
	*p = pending{ready: p.ready}
	c.pool.Put(p)
	return body, err
}

func (c *Conn) register(id int32, p *pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if _, ok := c.pending[id]; ok {
		return fmt.Errorf("hadooprpc: call id %d is in flight already", id)
	}
	if len(c.pending) == 0 {
		c.heard.Store(int64(time.Since(c.start)))
		_ = c.nc.SetReadDeadline(time.Now().Add(c.pingInterval())) // read's error tells
	}
	c.pending[id] = p
	return nil
}

// forget takes p out of the waiting ones; false if its answer is already on the way.
func (c *Conn) forget(id int32, p *pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[id] != p {
		return false
	}
	delete(c.pending, id)
	return true
}

func (c *Conn) send(t Target, id, retry int32, encode func([]byte) ([]byte, error)) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.err != nil {
		return c.Err()
	}
	b, start := beginFrame(c.out.buf)
	b = appendRequestHeader(b, id, retry, c.opts.ClientID[:], c.opts.Context)
	b = appendCallHeader(b, t.Protocol, t.Version, t.Method)
	b, err := encode(b)
	if err != nil {
		return fmt.Errorf("hadooprpc: encode %s: %w", t.Method, err)
	}
	c.out.buf = endFrame(b, start)
	c.out.flushLocked(true)
	return nil
}

func (c *Conn) pingInterval() time.Duration { return orDefault(c.opts.PingInterval, time.Minute) }

// read takes answers until the connection ends.
func (c *Conn) read() {
	defer c.wg.Done()
	for {
		frame, ok, err := c.in.next()
		if err == nil && ok {
			if err = c.answer(frame); err == nil {
				continue
			}
		}
		if err == nil {
			err = c.in.fill()
		}
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			err = c.silent()
		} else if err == nil {
			c.heard.Store(int64(time.Since(c.start)))
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// silent is called when nothing was heard for a while: it pings a server that owes an
// answer. A dead one makes the ping's write, or TCP, fail in time.
func (c *Conn) silent() error {
	c.mu.Lock()
	waiting := len(c.pending) > 0
	c.mu.Unlock()
	deadline := time.Time{}
	if waiting {
		if since := time.Since(c.start) - time.Duration(c.heard.Load()); since >= c.pingInterval() {
			c.ping()
		}
		deadline = time.Now().Add(c.pingInterval())
	}
	return c.nc.SetReadDeadline(deadline)
}

func (c *Conn) ping() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	b, start := beginFrame(c.out.buf)
	b = appendRequestHeader(b, callPing, -1, c.opts.ClientID[:], "")
	c.out.buf = endFrame(b, start)
	c.out.flushLocked(false)
}

// answer gives one frame to its caller. Its error ends the connection.
func (c *Conn) answer(frame []byte) error {
	head, body, err := cutDelimited(frame)
	if err != nil {
		return err
	}
	var h responseHeader
	if err := h.decode(head); err != nil {
		return err
	}
	var remote *RemoteError
	if h.status != statusSuccess {
		remote = &RemoteError{Class: string(h.class), Message: string(h.message), Detail: h.detail, Fatal: h.status == statusFatal}
	} else if body, _, err = cutDelimited(body); err != nil {
		return err
	}
	c.mu.Lock()
	p := c.pending[h.callID]
	delete(c.pending, h.callID)
	c.mu.Unlock()
	if p != nil { // else the caller has given up
		switch {
		case remote != nil:
			p.err = remote
		case p.resp == nil:
			p.body = append([]byte{}, body...)
		default:
			if err := p.resp.UnmarshalVT(body); err != nil {
				p.err = fmt.Errorf("hadooprpc: decode answer: %w", err)
			}
		}
		p.ready <- struct{}{}
	}
	if remote != nil && remote.Fatal {
		return remote
	}
	return nil
}
