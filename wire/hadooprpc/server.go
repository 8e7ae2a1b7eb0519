package hadooprpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/internal/membudget"
	"redoubt/internal/netlimit"
)

// Server answers Hadoop RPC. Set the fields and Handle the protocols before Serve; the
// zero value of each field means its default.
type Server struct {
	// Log takes notes about misbehaving clients; nil drops them.
	Log *slog.Logger
	// Observe, if set, is told of every answered call, from several goroutines. A failed
	// call's err is a *RemoteError.
	Observe func(protocol, method string, d time.Duration, err error)
	// Authorize, if set, is asked whether a client may connect and speak a protocol: once
	// for the one that the connection's context names ("" if it names none), and before
	// the first call of another. An error ends the connection; its text goes to the client
	// as Hadoop's AuthorizationException. It may wait, and then so does that client alone.
	Authorize func(p *Peer, protocol string) error
	// MaxFrame is the longest request taken, in bytes; 0 means dfs.MaxRPCFrame.
	MaxFrame int
	// MaxInFlight is how many calls of one connection may wait for their answer before
	// no more are read; 0 means 1024.
	MaxInFlight int
	// MaxWorkers bounds the goroutines for calls given to Call.Go; 0 means 4096.
	MaxWorkers int
	// MaxConns bounds the connections; further ones are answered with an error and closed.
	// 0 means 16384.
	MaxConns int
	// Budget is for requests that are being received and carried out; nil means one of
	// dfs.MaxBuffered bytes. A request that would take more ends its connection.
	Budget *membudget.Budget
	// WriteTimeout ends a connection whose client takes no answer for so long; 0 means a
	// minute.
	WriteTimeout time.Duration
	// HandshakeTimeout ends a connection that has not said who it is; 0 means 30 s.
	HandshakeTimeout time.Duration
	// Grace is how long Close lets calls in flight finish; 0 means 2 s.
	Grace time.Duration

	protocols map[string]protocolEntry
	refuser   netlimit.Refuser
	workers   workers
	once      sync.Once

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	wg        sync.WaitGroup // accept loops and connections
}

// Peer is who opened a connection, by the names that the client gave: with host and realm
// if it gave them.
type Peer struct {
	User     string // whom the calls are for
	RealUser string // who makes them, if that is another; "" otherwise
	Addr     netip.Addr
}

type protocolEntry struct {
	name    string
	version uint64
	handler Handler
}

// Validate reports every setting that can't be.
func (s *Server) Validate() error {
	var errs []error
	check := func(name string, v int64) {
		if v < 0 {
			errs = append(errs, fmt.Errorf("hadooprpc: %s is negative: %d", name, v))
		}
	}
	check("MaxFrame", int64(s.MaxFrame))
	check("MaxInFlight", int64(s.MaxInFlight))
	check("MaxWorkers", int64(s.MaxWorkers))
	check("MaxConns", int64(s.MaxConns))
	check("WriteTimeout", int64(s.WriteTimeout))
	check("HandshakeTimeout", int64(s.HandshakeTimeout))
	check("Grace", int64(s.Grace))
	if s.MaxFrame > 1<<30 {
		errs = append(errs, fmt.Errorf("hadooprpc: MaxFrame is above 1 GiB: %d", s.MaxFrame))
	}
	return errors.Join(errs...)
}

// Handle makes h answer a protocol's calls. All calls to Handle come before Serve.
func (s *Server) Handle(protocol string, version uint64, h Handler) {
	if s.protocols == nil {
		s.protocols = make(map[string]protocolEntry)
	}
	s.protocols[protocol] = protocolEntry{protocol, version, h}
}

func (s *Server) init() {
	s.workers.init(orDefault(s.MaxWorkers, 4096))
	if s.Budget == nil {
		s.Budget = membudget.New(dfs.MaxBuffered)
	}
	// Hadoop's clients know this class as "try again", and so do ours.
	s.refuser.Word = appendErrorFrame(nil, callRefused, nil, &RemoteError{Class: classRetriable, Fatal: true, Detail: ErrorServer,
		Message: fmt.Sprintf("Server too busy: all of its %d connections are taken", s.maxConns())})
	if s.Log != nil {
		s.refuser.Note = netlimit.Noting(s.Log, "the RPC port", s.maxConns())
	}
}

func (s *Server) maxConns() int { return orDefault(s.MaxConns, 16384) }

// Refused is how many connections were too many.
func (s *Server) Refused() int64 { return s.refuser.Total() }

func (s *Server) inFlight() int32 { return int32(orDefault(s.MaxInFlight, 1024)) }

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Serve accepts connections until the listener fails or Close is called, then returns
// ErrClosed. It may run for several listeners at once, and closes its own.
func (s *Server) Serve(l net.Listener) error {
	if err := s.Validate(); err != nil {
		return err
	}
	s.once.Do(s.init)
	defer l.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
		s.conns = make(map[*serverConn]struct{})
	}
	s.listeners[l] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	pause := time.Millisecond
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = time.Millisecond
			s.start(nc)
			continue
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return ErrClosed
		}
		var ne net.Error
		if !errors.As(err, &ne) || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("hadooprpc: accept: %w", err)
		}
		s.note("accept failed", "err", err) // out of descriptors, say: go on later
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}

// ServeConn serves one connection that the caller accepted, until it ends.
func (s *Server) ServeConn(nc net.Conn) {
	s.once.Do(s.init)
	if c := s.add(nc); c != nil {
		c.run()
	}
}

func (s *Server) start(nc net.Conn) {
	if c := s.add(nc); c != nil {
		go c.run()
	}
}

// add makes a connection known, or closes it and gives nil.
func (s *Server) add(nc net.Conn) *serverConn {
	c := &serverConn{server: s, nc: nc}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	if s.closed || len(s.conns) >= s.maxConns() {
		c.cancel()
		if s.closed {
			_ = nc.Close() // it never was ours
		} else {
			s.refuser.Refuse(nc)
		}
		return nil
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return c
}

func (s *Server) remove(c *serverConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}

// Conns is the number of open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops accepting and reading, lets calls in flight finish for Grace, cancels
// their context then, and returns when no goroutine of the server is left.
func (s *Server) Close() error {
	s.once.Do(s.init)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("hadooprpc: close listener: %w", err))
		}
	}
	for c := range s.conns {
		c.interrupt()
	}
	s.mu.Unlock()

	s.wg.Wait()
	s.refuser.Close()
	s.workers.close()
	return errors.Join(errs...)
}

func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) note(msg string, args ...any) {
	if s.Log != nil {
		s.Log.Info(msg, args...)
	}
}

func (s *Server) maxFrame() int { return orDefault(s.MaxFrame, dfs.MaxRPCFrame) }

// quiet reports whether the end of a connection is nothing to note.
func quiet(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed)
}
