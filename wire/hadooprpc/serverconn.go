package hadooprpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/internal/membudget"
)

// serverConn is one client's connection. Its reader goroutine runs everything in this
// file; workers only add answers to out.
type serverConn struct {
	server  *Server
	nc      net.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	in      frameReader
	out     batch
	caller  dfs.Caller // what all calls have in common
	peer    Peer       // the same as the client spelt it
	allowed string     // the protocol that was authorized last

	inflight atomic.Int32
	waiting  bool        // guarded by out.mu: the reader waits for inflight to fall
	doomed   atomic.Bool // a fatal error was answered

	ready   bool      // the context came
	large   time.Time // since when a large frame has been arriving
	names   map[string]string
	last    *protocolEntry // of the last call
	entry   protocolEntry
	request requestHeader
	call    callHeader
}

const (
	maxNames     = 512     // method names kept per connection
	maxUnsent    = 1 << 20 // bytes of answers that may wait before no more calls are read
	flushInline  = 64 << 10
	httpGreeting = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
		"This is a Hadoop RPC port; it does not speak HTTP. The status page is on the HTTP port.\n"
)

// fatal is a fault of the client after which the connection can't go on.
type fatal struct {
	callID  int32
	version byte // of a client whose answers have the form of before version 9; else 0
	RemoteError
}

func newFatal(callID int32, detail Detail, class, format string, args ...any) *fatal {
	return &fatal{callID, 0, RemoteError{Class: class, Message: fmt.Sprintf(format, args...), Detail: detail, Fatal: true}}
}

// run serves the connection until it ends.
func (c *serverConn) run() {
	defer c.server.remove(c)
	c.out.init(c.nc, orDefault(c.server.WriteTimeout, time.Minute), func(error) { c.abandon() })
	c.in = newFrameReader(c.nc, c.server.maxFrame())
	c.in.budget = c.server.Budget
	defer c.in.release()
	c.names = make(map[string]string)
	c.caller.Protocol = "rpc"
	c.caller.Addr = remoteAddr(c.nc)

	err := c.serve()
	var f *fatal
	if errors.As(err, &f) {
		c.out.mu.Lock()
		c.out.buf = f.append(c.out.buf)
		c.out.mu.Unlock()
		c.out.release(0)
	}
	if c.server.closing() || c.doomed.Load() {
		c.drain()
	}
	if !quiet(err) && !c.server.closing() {
		c.server.note("rpc connection ended", "addr", c.caller.Addr, "user", c.caller.User, "err", err)
	}
	c.abandon()
	c.out.flushers.Wait()
}

// append encodes the answer in a form that the client's version reads.
func (f *fatal) append(b []byte) []byte {
	if f.version == 0 {
		return appendErrorFrame(b, f.callID, nil, &f.RemoteError)
	}
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	if f.version == 2 {
		b = append(b, 0, 0, 0, 0, 1) // call 0; it failed
	} else {
		b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // call -1; fatal
	}
	text(f.Class)
	text(f.Message)
	return b
}

// Error gives the text; a fatal is an error only within this file.
func (f *fatal) Error() string { return f.RemoteError.Error() }

// abandon cancels the calls' context and closes the socket. What the calls then fail with
// is not sent: their client must take them for unanswered, and ask again elsewhere.
func (c *serverConn) abandon() {
	c.out.fail(ErrClosed)
	c.cancel()
	_ = c.nc.Close() // nothing of value is in it any more
}

// interrupt makes the reader stop, now or at its next read.
func (c *serverConn) interrupt() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // a closed connection stops it too
}

// drain lets calls in flight finish for the grace period and sends their answers.
func (c *serverConn) drain() {
	late := time.AfterFunc(orDefault(c.server.Grace, 2*time.Second), c.abandon)
	defer late.Stop()
	c.waitInFlight(0)
	c.out.release(0)
}

// waitInFlight waits until no more than n calls wait for their answer or writing fails.
func (c *serverConn) waitInFlight(n int32) {
	c.out.mu.Lock()
	c.waiting = true
	for c.inflight.Load() > n && c.out.err == nil && c.ctx.Err() == nil {
		c.out.drained.Wait()
	}
	c.waiting = false
	c.out.mu.Unlock()
}

func (c *serverConn) serve() error {
	if err := c.nc.SetReadDeadline(time.Now().Add(orDefault(c.server.HandshakeTimeout, 30*time.Second))); err != nil {
		return err
	}
	if c.server.closing() {
		return ErrClosed
	}
	sasl, err := c.preamble()
	if err != nil {
		return err
	}
	for {
		c.out.hold()
		for {
			frame, ok, err := c.in.next()
			if err != nil {
				c.out.release(0)
				return err
			}
			if !ok {
				break
			}
			if sasl {
				sasl = false
				err = c.saslFrame(frame)
			} else {
				err = c.frame(frame)
			}
			if err != nil || c.doomed.Load() {
				c.out.release(0)
				return err
			}
		}
		c.out.release(maxUnsent)
		if err := c.hurry(); err != nil {
			return err
		}
		if err := c.in.fill(); err != nil {
			if errors.Is(err, membudget.ErrSpent) {
				return newFatal(callRefused, ErrorServer, classRetriable, "Server too busy: %v", err)
			}
			return err
		}
	}
}

// slowFrame is the least rate, in bytes a second, at which a large frame has to arrive.
const slowFrame = 64 << 10

// hurry sets a deadline while a large frame is there in part, because it holds memory that
// others may need: the handshake's time, and what its bytes so far may have taken.
func (c *serverConn) hurry() error {
	have := c.in.partial()
	switch {
	case !c.ready || have == 0 && c.large.IsZero():
		return nil
	case have == 0:
		c.large = time.Time{}
		if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	default:
		if c.large.IsZero() {
			c.large = time.Now()
		}
		grace := orDefault(c.server.HandshakeTimeout, 30*time.Second) + time.Duration(have/slowFrame)*time.Second
		if err := c.nc.SetReadDeadline(c.large.Add(grace)); err != nil {
			return err
		}
	}
	if c.server.closing() { // its interrupt may have been undone just now
		return ErrClosed
	}
	return nil
}

// preamble reads the first seven bytes and says whether a SASL dialogue follows.
func (c *serverConn) preamble() (sasl bool, err error) {
	var head []byte
	for head == nil {
		if head = c.in.raw(4); head != nil {
			break
		}
		if err := c.in.fill(); err != nil {
			return false, err
		}
	}
	if string(head) == "GET " {
		_, err := c.nc.Write([]byte(httpGreeting))
		return false, err
	}
	if string(head) != "hrpc" {
		return false, newFatal(callRefused, FatalVersionMismatch, classVersionMismatch,
			"Server IPC version %d cannot communicate with what starts with %q", ipcVersion, head)
	}
	for head = nil; head == nil; {
		if head = c.in.raw(3); head != nil {
			break
		}
		if err := c.in.fill(); err != nil {
			return false, err
		}
	}
	if head[0] != ipcVersion {
		f := newFatal(callRefused, FatalVersionMismatch, classVersionMismatch,
			"Server IPC version %d cannot communicate with client version %d", ipcVersion, head[0])
		if head[0] >= 2 && head[0] < ipcVersion {
			f.version = head[0] // before 9 answers had another form, and before 2 none for this
		}
		return false, f
	}
	switch head[2] {
	case authNone:
		return false, nil
	case authSASL:
		return true, nil
	}
	return false, newFatal(callRefused, FatalUnauthorized, classIPC, "Unknown auth protocol:%d", int8(head[2]))
}

// saslFrame answers the first frame of a SASL client: go on without.
func (c *serverConn) saslFrame(frame []byte) error {
	body, err := c.header(frame)
	if err != nil {
		return err
	}
	if c.request.callID != callSASL {
		return newFatal(c.request.callID, FatalInvalidHeader, classRPCServer, "Connection header sent during SASL negotiation")
	}
	msg, _, err := cutDelimited(body)
	if err != nil {
		return newFatal(callSASL, FatalDeserializing, classRPCServer, "Error decoding RpcSaslProto")
	}
	state, err := decodeSASL(msg)
	if err != nil || state != saslNegotiate {
		return newFatal(callSASL, FatalUnauthorized, classAccessControl, "SASL authentication is not offered here")
	}
	c.out.mu.Lock()
	c.out.buf = appendSASLSuccess(c.out.buf)
	c.out.mu.Unlock()
	return nil
}

// header decodes a frame's first part and gives the rest.
func (c *serverConn) header(frame []byte) (rest []byte, err error) {
	head, rest, err := cutDelimited(frame)
	if err == nil {
		err = c.request.decode(head)
	}
	if err != nil {
		return nil, newFatal(callRefused, FatalDeserializing, classRPCServer, "Error decoding RpcRequestHeaderProto: %v", err)
	}
	return rest, nil
}

// frame handles one frame after the preamble.
func (c *serverConn) frame(frame []byte) error {
	body, err := c.header(frame)
	if err != nil {
		return err
	}
	h := &c.request
	switch {
	case h.op != opFinalPacket:
		return newFatal(h.callID, FatalInvalidHeader, classRPCServer, "No known rpc op in rpcRequestHeader: %d", h.op)
	case h.kind == -1:
		return newFatal(h.callID, FatalInvalidHeader, classRPCServer, "No rpc kind in rpcRequestHeader")
	case h.callID < 0:
		return c.control(body)
	case !c.ready:
		return newFatal(h.callID, FatalInvalidHeader, classRPCServer, "Connection context not established")
	case h.kind != kindProtobuf:
		return newFatal(h.callID, FatalInvalidHeader, classRPCServer, "Unknown rpc kind in rpc header: %d", h.kind)
	}
	return c.dispatch(body)
}

// control handles the frames with negative call ids.
func (c *serverConn) control(body []byte) error {
	switch c.request.callID {
	case callPing:
		return nil
	case callContext:
		return c.context(body)
	case callSASL:
		return newFatal(callSASL, FatalInvalidHeader, classRPCServer, "SASL protocol not requested by client")
	}
	return newFatal(c.request.callID, FatalInvalidHeader, classRPCServer, "Unknown out of band call #%d", c.request.callID)
}

func (c *serverConn) context(body []byte) error {
	if c.ready {
		return newFatal(callContext, FatalInvalidHeader, classRPCServer, "Connection context already processed")
	}
	msg, _, err := cutDelimited(body)
	if err != nil {
		return newFatal(callContext, FatalDeserializing, classRPCServer, "undecodable connection context")
	}
	who, err := decodeContext(msg)
	if err != nil {
		return newFatal(callContext, FatalDeserializing, classRPCServer, "undecodable connection context")
	}
	if who.effective == "" || who.proxied && who.real == "" {
		return newFatal(callContext, FatalUnauthorized, classAccessControl, "the connection context names no user")
	}
	c.caller.User, c.caller.RealUser = ShortName(who.effective), ShortName(who.real)
	c.peer = Peer{User: who.effective, RealUser: who.real, Addr: c.caller.Addr}
	if err := c.authorize(callContext, who.protocol); err != nil {
		return err
	}
	c.ready = true
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil { // from here on it may be idle for ever
		return err
	}
	if c.server.closing() { // its interrupt may have been undone just now
		return ErrClosed
	}
	return nil
}

// authorize asks whether this connection may speak a protocol. It does so anew for each
// other one: who connects for a protocol that he may speak has no leave for the rest.
func (c *serverConn) authorize(callID int32, protocol string) error {
	if c.server.Authorize == nil || c.ready && protocol == c.allowed {
		return nil
	}
	if err := c.server.Authorize(&c.peer, protocol); err != nil {
		return newFatal(callID, FatalUnauthorized, classAuthorization, "%s", err.Error())
	}
	c.allowed = protocol
	return nil
}

// authorizeCall does that for the protocol of the current call, if there is such a one.
func (c *serverConn) authorizeCall() error {
	if e, ok := c.server.protocols[string(c.call.protocol)]; ok {
		return c.authorize(c.request.callID, e.name)
	}
	return nil
}

// ShortName drops host and realm of a Kerberos name.
func ShortName(user string) string {
	if i := strings.IndexAny(user, "/@"); i > 0 {
		return user[:i]
	}
	return user
}

// dispatch hands a call to its protocol's handler.
func (c *serverConn) dispatch(body []byte) error {
	head, body, err := cutDelimited(body)
	if err == nil {
		err = c.call.decode(head)
	}
	if err != nil {
		return newFatal(c.request.callID, FatalDeserializing, classRPCServer, "undecodable call header")
	}
	if body, _, err = cutDelimited(body); err != nil {
		return newFatal(c.request.callID, FatalDeserializing, classRPCServer, "call without request")
	}
	other := c.last == nil || c.last.name != string(c.call.protocol)
	if other {
		if err := c.authorizeCall(); err != nil {
			return err
		}
	}
	if c.inflight.Add(1) > c.server.inFlight() {
		c.out.release(0)
		c.waitInFlight(c.server.inFlight())
		c.out.hold()
	}
	call := c.newCall(body)
	if other {
		e, ok := c.server.protocols[string(c.call.protocol)]
		if !ok {
			call.Protocol = string(c.call.protocol)
			call.FailWith(&RemoteError{Class: classNoSuchProtocol, Message: "Unknown protocol: " + call.Protocol, Detail: ErrorNoSuchProtocol})
			call.unref()
			return nil
		}
		c.entry = e
		c.last = &c.entry
	}
	call.Protocol = c.last.name
	if c.call.version != c.last.version {
		call.FailWith(&RemoteError{Class: classVersionMismatch, Detail: ErrorVersionMismatch, Message: fmt.Sprintf(
			"Protocol %s version mismatch. (client = %d, server = %d)", call.Protocol, c.call.version, c.last.version)})
		call.unref()
		return nil
	}
	c.last.handler.ServeRPC(call)
	call.ended(call.handed)
	if c.out.size() > flushInline {
		c.out.release(maxUnsent)
		c.out.hold()
	}
	return nil
}

// newCall fills a call from the current headers.
func (c *serverConn) newCall(body []byte) *Call {
	call := callPool.Get().(*Call)
	call.refs.Store(2) // the reader's and the answer's
	call.conn = c
	call.id = c.request.callID
	call.Retry = c.request.retry
	call.Body = body
	call.Method = c.name(c.call.method)
	call.Caller = c.caller
	call.clientID = append(call.clientID[:0], c.request.clientID...)
	if len(c.request.clientID) == 16 {
		copy(call.Caller.ID.Client[:], c.request.clientID)
		call.Caller.ID.Call = call.id
	}
	if len(c.request.context) > 0 {
		call.Caller.Context = string(c.request.context)
	}
	if c.server.Observe != nil {
		call.start = time.Now()
	}
	return call
}

// name gives a method name as a string that is made once per connection.
func (c *serverConn) name(b []byte) string {
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	s := string(bytes.Clone(b))
	if len(c.names) < maxNames && len(s) < 256 {
		c.names[s] = s
	}
	return s
}

func remoteAddr(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
