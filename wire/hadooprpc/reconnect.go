package hadooprpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Client is a server's address with a connection that is opened when needed and opened
// again when it broke. It keeps one client id and one sequence of call ids over all
// connections, so that a call sent twice is known to be the same.
type Client struct {
	addr string
	opts Options
	next atomic.Int32

	mu     sync.Mutex
	conn   *Conn
	closed bool
	dial   chan struct{} // cap 1: held while a connection is being opened
}

// Resends is how often Client.Call sends a call again after its connection broke.
const Resends = 2

// NewClient makes a client; it connects with the first call.
func NewClient(addr string, opts Options) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.ClientID == ([16]byte{}) {
		opts.ClientID = NewClientID()
	}
	return &Client{addr: addr, opts: opts, dial: make(chan struct{}, 1)}, nil
}

// Addr is the server's address.
func (c *Client) Addr() string { return c.addr }

// ClientID is what names this client in retry caches.
func (c *Client) ClientID() [16]byte { return c.opts.ClientID }

// NextID draws a call id for CallAs.
func (c *Client) NextID() int32 { return c.next.Add(1) & 0x7fffffff }

// Call calls a method. If the connection breaks before the answer, it sends the same
// call again over a new one, Resends times at most; a failure to connect ends it.
// Errors are as Conn.Call's.
func (c *Client) Call(ctx context.Context, t Target, req Marshaler, resp Unmarshaler) error {
	id := c.NextID()
	for retry := int32(0); ; retry++ {
		err := c.CallAs(ctx, t, id, retry, req, resp)
		if err == nil || !errors.Is(err, ErrBroken) || retry == Resends {
			return err
		}
	}
}

// CallAs is Conn.CallAs over the current connection or a new one. It sends once.
func (c *Client) CallAs(ctx context.Context, t Target, id, retry int32, req Marshaler, resp Unmarshaler) error {
	conn, err := c.Conn(ctx)
	if err != nil {
		return err
	}
	return conn.CallAs(ctx, t, id, retry, req, resp)
}

// Conn gives the current connection, or opens one.
func (c *Client) Conn(ctx context.Context) (*Conn, error) {
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case c.dial <- struct{}{}:
		defer func() { <-c.dial }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err // somebody else was faster
	}
	conn, err := Dial(ctx, c.addr, c.opts)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	old := c.conn
	c.conn = conn
	closed := c.closed
	c.mu.Unlock()
	if old != nil {
		_ = old.Close() // it is broken
	}
	if closed {
		_ = conn.Close() // Close came while we dialed
		return nil, fmt.Errorf("%w: client of %s", ErrClosed, c.addr)
	}
	return conn, nil
}

// current gives the connection if it works, nil if there is none.
func (c *Client) current() (*Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: client of %s", ErrClosed, c.addr)
	}
	if c.conn != nil && c.conn.Err() == nil {
		return c.conn, nil
	}
	return nil, nil
}

// Close ends the connection; calls in flight fail with ErrClosed.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		return conn.Close()
	}
	return nil
}
