package hadooprpc

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// Handler answers the calls of one protocol.
//
// ServeRPC runs on the goroutine that reads the caller's connection: nothing else of
// that connection is read until it returns. It answers cheap calls itself, hands what
// may wait to Call.Go, or keeps the Call for later with Call.Defer. A call that was
// neither answered nor handed on when ServeRPC returns is answered with an error.
type Handler interface {
	ServeRPC(c *Call)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(c *Call)

// ServeRPC calls f.
func (f HandlerFunc) ServeRPC(c *Call) { f(c) }

// Call is one call at the server. Exactly one of the Reply and Fail methods answers it.
// It is the handler's until it is answered and ServeRPC, and the function given to Go,
// have returned; the server then uses it again for another call.
type Call struct {
	Protocol string
	Method   string
	// Body is the encoded request. It holds until ServeRPC returns or, in the function
	// given to Go, until that returns.
	Body []byte
	// Caller says who calls. Its ID is zero when the client sent no 16-byte id.
	Caller dfs.Caller
	// Retry counts how often the client has sent this call before; -1 if it does not say.
	Retry int32

	conn     *serverConn
	id       int32
	clientID []byte
	start    time.Time
	refs     atomic.Int32 // the reader, the worker, the answer
	replied  atomic.Bool
	deferred atomic.Bool
	handed   bool // given to a worker
	gather   bool // answered off the reader: let others add to the write
	own      []byte
	counted  int // bytes of own in the server's budget
	scratch  []byte
}

var callPool = sync.Pool{New: func() any { return new(Call) }}

const keepScratch = 256 << 10 // bytes of a buffer that is worth keeping with a call; a full listing fits

// Context ends when the connection or the server does.
func (c *Call) Context() context.Context { return c.conn.ctx }

// Go runs fn, which answers the call and may block, on a goroutine of the server's pool.
// When all of them are busy Go waits, and with it the reading of this connection. It may
// be called once per call, from ServeRPC, which must not touch the call afterwards.
func (c *Call) Go(fn func()) {
	c.own = append(c.own[:0], c.Body...)
	if len(c.own) > keepScratch {
		c.counted = len(c.own)
		c.conn.server.Budget.Force(c.counted)
	}
	c.Body = c.own
	c.handed, c.gather = true, true
	c.refs.Add(1)
	c.conn.server.workers.run(task{c, fn}, c.conn)
}

// More reports whether the connection's next call has arrived already. Long work that the
// reader could do itself is then better given to Go. It is for ServeRPC only.
func (c *Call) More() bool { return c.conn.in.more() }

// Defer says that the answer comes later, from any goroutine. Body is then gone.
func (c *Call) Defer() {
	c.gather = true
	c.deferred.Store(true)
}

// Scratch gives an empty buffer for ReplyScratch.
func (c *Call) Scratch() []byte { return c.scratch[:0] }

// ReplyScratch answers with what was appended to Scratch, and keeps the buffer for the
// next call.
func (c *Call) ReplyScratch(body []byte) {
	c.KeepScratch(body)
	c.ReplyBytes(body)
}

// KeepScratch makes b the memory of Scratch for the calls to come, unless it is large.
func (c *Call) KeepScratch(b []byte) {
	if cap(b) <= keepScratch {
		c.scratch = b[:0]
	}
}

// Reply answers with a message. If that can't be encoded, the caller gets an error.
func (c *Call) Reply(m Marshaler) {
	n := m.SizeVT()
	b := slices.Grow(c.scratch[:0], n)[:n]
	if _, err := m.MarshalToSizedBufferVT(b); err != nil {
		c.FailWith(&RemoteError{Class: classIOException, Message: err.Error(), Detail: ErrorSerializingResponse})
		return
	}
	c.ReplyScratch(b)
}

// ReplyBytes answers with an encoded message. It does not keep body.
func (c *Call) ReplyBytes(body []byte) {
	if !c.replied.CompareAndSwap(false, true) {
		return
	}
	o := &c.conn.out
	o.mu.Lock()
	if o.err == nil {
		b, start := beginFrame(o.buf)
		b = appendSuccessHeader(b, c.id, c.clientID)
		b = binary.AppendUvarint(b, uint64(len(body)))
		o.buf = endFrame(append(b, body...), start)
	}
	c.finishLocked(nil)
}

// Fail answers with a Java exception. The message is what users see, without class and
// stack trace.
func (c *Call) Fail(class, message string) {
	c.FailWith(&RemoteError{Class: class, Message: message, Detail: ErrorApplication})
}

// FailNoSuchMethod answers that the protocol has no such method.
func (c *Call) FailNoSuchMethod() {
	c.FailWith(&RemoteError{
		Class:   classNoSuchMethod,
		Message: "Unknown method " + c.Method + " called on " + c.Protocol + " protocol.",
		Detail:  ErrorNoSuchMethod,
	})
}

// FailBadRequest answers that the body can't be decoded. The frame was sound, so the
// connection goes on.
func (c *Call) FailBadRequest(err error) {
	c.FailWith(&RemoteError{Class: classRPCServer, Message: "undecodable request for " + c.Method + ": " + err.Error(),
		Detail: ErrorServer})
}

// FailWith answers with an error. A fatal one closes the connection after it.
func (c *Call) FailWith(e *RemoteError) {
	if !c.replied.CompareAndSwap(false, true) {
		return
	}
	o := &c.conn.out
	o.mu.Lock()
	if o.err == nil {
		o.buf = appendErrorFrame(o.buf, c.id, c.clientID, e)
	}
	if e.Fatal {
		c.conn.doomed.Store(true)
	}
	c.finishLocked(e)
}

// finishLocked ends an answered call: it sends, counts and lets go of it. It unlocks.
func (c *Call) finishLocked(e *RemoteError) {
	conn := c.conn
	conn.inflight.Add(-1)
	if conn.waiting {
		conn.out.drained.Broadcast()
	}
	conn.out.flushLocked(c.gather)
	conn.out.mu.Unlock()
	if e != nil && e.Fatal && c.gather {
		conn.interrupt()
	}
	if observe := conn.server.Observe; observe != nil {
		var err error
		if e != nil {
			err = e
		}
		observe(c.Protocol, c.Method, time.Since(c.start), err)
	}
	c.unref()
}

// unref gives up one of the reader's, the worker's and the answer's hold.
func (c *Call) unref() {
	if c.refs.Add(-1) > 0 {
		return
	}
	own, scratch := c.own, c.scratch
	if c.counted > 0 {
		c.conn.server.Budget.Give(c.counted)
		c.counted = 0
	}
	if cap(own) > keepScratch {
		own = nil
	}
	id := c.clientID[:0]
	c.Protocol, c.Method, c.Body, c.Caller, c.conn = "", "", nil, dfs.Caller{}, nil
	c.clientID, c.own, c.scratch = id, own[:0], scratch[:0]
	c.handed, c.gather = false, false
	c.replied.Store(false)
	c.deferred.Store(false)
	callPool.Put(c)
}

// ended is called by whoever ran the handler, after it.
func (c *Call) ended(handed bool) {
	if !handed && !c.deferred.Load() && !c.replied.Load() {
		c.FailWith(&RemoteError{Class: classRPCServer, Message: c.Method + " was not answered", Detail: ErrorServer})
	}
	c.unref()
}
