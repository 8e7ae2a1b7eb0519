// Package nameserver is a name node with its sockets: the Hadoop RPC port that clients
// and datanodes share, and the HTTP port with health, metrics and, if asked for,
// profiles. cmd/namenode and internal/minicluster both run it, so that what tests run is
// what users run.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/dfs"
	"redoubt/internal/authorize"
	"redoubt/internal/membudget"
	"redoubt/internal/netlimit"
	"redoubt/namenode"
	"redoubt/wire/clientrpc"
	"redoubt/wire/control"
	"redoubt/wire/datanoderpc"
	"redoubt/wire/hadooprpc"
)

// Config says where to listen and what to serve.
type Config struct {
	NameNode namenode.Config
	RPC      string // host:port; port 0 is a free one
	Service  string // the same for datanodes and administrators, beside RPC; "" for none
	HTTP     string // the same; "-" for none
	Pprof    bool   // serve /debug/pprof/ on the HTTP port
	// Access decides about connections; nil: everybody may connect, nobody for others.
	Access *authorize.Guard
	// Hosts are names of this server, besides those of the addresses above, that HTTP
	// requests may call it by.
	Hosts []string
	// Buffered is how many bytes requests may take while they arrive, over all
	// connections; 0: dfs.MaxBuffered.
	Buffered int64
	// Listen takes the ports; nil: TCP.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
	// Registry takes the metrics; nil: one of its own.
	Registry *prometheus.Registry
}

// Most connections at a time, as far as there are file descriptors for them.
const (
	maxRPC  = 16384
	maxHTTP = 1024
)

// Server is a running name node with its ports.
type Server struct {
	nn        *namenode.NameNode
	log       *slog.Logger
	rpc       *hadooprpc.Server
	rpcAddr   net.Addr
	service   net.Addr
	web       *http.Server
	webAddr   net.Addr
	listeners []net.Listener
	metrics   *metrics

	wg     sync.WaitGroup
	failed chan error // the first reason why this can't go on
	once   sync.Once
	err    error // of Close
}

// Start listens, recovers the namespace, and serves. The ports are taken first: a port
// that is in use is an error that names it, before any directory is touched.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{log: cfg.NameNode.Log, failed: make(chan error, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Access == nil {
		cfg.Access = authorize.Unconfigured()
	}
	if cfg.Listen == nil {
		cfg.Listen = func(ctx context.Context, addr string) (net.Listener, error) {
			var lc net.ListenConfig
			return lc.Listen(ctx, "tcp", addr)
		}
	}
	ports, web, err := s.takePorts(ctx, cfg)
	if err != nil {
		s.closeListeners()
		return nil, err
	}
	cfg.NameNode.OnFailure = s.fail
	if s.nn, err = namenode.Start(ctx, cfg.NameNode); err != nil {
		s.closeListeners()
		return nil, err
	}
	if err := s.serve(cfg, ports, web); err != nil {
		s.closeListeners()
		return nil, errors.Join(err, s.nn.Close())
	}
	return s, nil
}

// takePorts listens on the RPC ports and, if there is to be one, on the HTTP port.
func (s *Server) takePorts(ctx context.Context, cfg Config) (ports []net.Listener, web net.Listener, err error) {
	rpc, err := s.listen(ctx, cfg, "RPC", cfg.RPC)
	if err != nil {
		return nil, nil, err
	}
	s.rpcAddr = rpc.Addr()
	ports = append(ports, rpc)
	if cfg.Service != "" {
		l, err := s.listen(ctx, cfg, "service RPC", cfg.Service)
		if err != nil {
			return nil, nil, err
		}
		s.service = l.Addr()
		ports = append(ports, l)
	}
	if cfg.HTTP == "-" {
		return ports, nil, nil
	}
	if web, err = s.listen(ctx, cfg, "HTTP", cfg.HTTP); err != nil {
		return nil, nil, err
	}
	s.webAddr = web.Addr()
	return ports, web, nil
}

func (s *Server) listen(ctx context.Context, cfg Config, what, addr string) (net.Listener, error) {
	l, err := cfg.Listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("name node's %s address %s: %w", what, addr, err)
	}
	s.listeners = append(s.listeners, l)
	return l, nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close() // may be closed by its server already
	}
}

func (s *Server) serve(cfg Config, ports []net.Listener, web net.Listener) error {
	var err error
	if s.metrics, err = newMetrics(s.nn, cfg.Registry); err != nil {
		return err
	}
	if cfg.Buffered == 0 {
		cfg.Buffered = dfs.MaxBuffered
	}
	descriptors := netlimit.Descriptors()
	s.rpc = &hadooprpc.Server{Log: s.log, Budget: membudget.New(cfg.Buffered), MaxConns: netlimit.Share(maxRPC, descriptors, 80, 1), Observe: s.metrics.observe, Authorize: func(p *hadooprpc.Peer, protocol string) error {
		return cfg.Access.Authorize(p, protocol, s.nn.Groups)
	}}
	services := clientrpc.Services{Reader: s.nn, Writer: s.nn, Files: s.nn, Cluster: s.nn, Attrs: s.nn, Admin: s.nn}
	if err := clientrpc.Register(s.rpc, services, clientrpc.Options{SoftwareVersion: namenode.SoftwareVersion, Access: cfg.Access}); err != nil {
		return err
	}
	control.HandleNameNode(s.rpc, s.nn)
	control.HandleAdmin(s.rpc, s.nn.Warnings)
	datanoderpc.Register(s.rpc, s.nn, datanoderpc.Options{SoftwareVersion: namenode.SoftwareVersion})
	limited := netlimit.HTTP(web, netlimit.Share(maxHTTP, descriptors, 10, 1), "the HTTP port", s.log)
	err = errors.Join(refusals(cfg.Registry, "rpc", s.rpc.Refused), refusals(cfg.Registry, "http", limited.Refuser.Total))
	if err != nil {
		return err
	}
	for _, port := range ports {
		s.wg.Go(func() {
			if err := s.rpc.Serve(port); err != nil && !errors.Is(err, hadooprpc.ErrClosed) {
				s.fail(fmt.Errorf("name node's RPC port: %w", err))
			}
		})
	}
	if web == nil {
		return nil
	}
	s.web = &http.Server{Handler: s.handler(cfg), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	s.wg.Go(func() {
		if err := s.web.Serve(limited); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("name node's HTTP port: %w", err))
		}
	})
	return nil
}

// fail notes the first reason to stop.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Failed gives the reason when the name node can't go on; the owner then calls Close.
func (s *Server) Failed() <-chan error { return s.failed }

// NameNode is the name service behind the ports.
func (s *Server) NameNode() *namenode.NameNode { return s.nn }

// RPCAddr is where clients and datanodes connect.
func (s *Server) RPCAddr() net.Addr { return s.rpcAddr }

// ServiceAddr is where datanodes connect if that is another port, nil if it is not.
func (s *Server) ServiceAddr() net.Addr { return s.service }

// HTTPAddr is the HTTP port, nil if there is none.
func (s *Server) HTTPAddr() net.Addr { return s.webAddr }

// Close stops serving, then closes the name node with a last checkpoint.
func (s *Server) Close() error {
	s.once.Do(func() {
		err := s.rpc.Close()
		if s.web != nil {
			err = errors.Join(err, s.web.Close())
		}
		s.wg.Wait()
		s.err = errors.Join(err, s.nn.Close())
	})
	return s.err
}
