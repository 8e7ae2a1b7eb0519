package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

// ClientConfig is what a client needs to reach its server. The zero value of each field
// but Addr means its default.
type ClientConfig struct {
	Addr string // host:port
	User string // who calls, for the server's log; "redoubt"
	// Dial opens network connections; nil is TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// DialTimeout bounds one attempt to connect; 0 is 10 s.
	DialTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failed attempt to connect, which
	// doubles each time and is cut by up to half at random; 0 are 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
}

// client shares one connection among callers and makes a new one when it has broken.
type client struct {
	cfg      ClientConfig
	protocol string
	dialing  chan struct{} // cap 1, full while somebody connects: the others wait for it, and not with mu

	mu      sync.Mutex
	conn    *hadooprpc.Conn
	failed  error // why the last attempt to connect failed
	retryAt time.Time
	backoff time.Duration
	closed  bool
}

func newClient(cfg ClientConfig, protocol string) *client {
	if cfg.User == "" {
		cfg.User = "redoubt"
	}
	if cfg.MinBackoff == 0 {
		cfg.MinBackoff = 50 * time.Millisecond
	}
	if cfg.MaxBackoff == 0 {
		cfg.MaxBackoff = 5 * time.Second
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 10 * time.Second
	}
	return &client{cfg: cfg, protocol: protocol, dialing: make(chan struct{}, 1)}
}

// Close ends the connection; calls in flight and later ones fail.
func (c *client) Close() error {
	c.mu.Lock()
	c.closed = true
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// get gives the connection, a new one if need be. While the server can't be reached it
// answers dfs.Unavailable at once until the backoff is over, so that callers can do
// something else meanwhile; see Backoff.
func (c *client) get(ctx context.Context) (*hadooprpc.Conn, error) {
	if conn, err := c.ready(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, &dfs.Error{Kind: dfs.Canceled, Path: c.cfg.Addr, Err: ctx.Err()}
	}
	defer func() { <-c.dialing }()
	if conn, err := c.ready(); conn != nil || err != nil {
		return conn, err // somebody else has tried meanwhile
	}
	conn, err := hadooprpc.Dial(ctx, c.cfg.Addr, hadooprpc.Options{
		User: c.cfg.User, Protocol: c.protocol, Dial: c.cfg.Dial, DialTimeout: c.cfg.DialTimeout,
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &dfs.Error{Kind: dfs.Canceled, Path: c.cfg.Addr, Err: ctx.Err()}
	case err != nil:
		c.backoff = min(max(2*c.backoff, c.cfg.MinBackoff), c.cfg.MaxBackoff)
		c.failed, c.retryAt = err, time.Now().Add(c.backoff-rand.N(c.backoff/2+1))
		return nil, &dfs.Error{Kind: dfs.Unavailable, Path: c.cfg.Addr, Err: err}
	case c.closed:
		_ = conn.Close() // nothing has been sent
		return nil, c.closedError()
	}
	c.conn, c.failed, c.backoff = conn, nil, 0
	return conn, nil
}

// ready gives the connection if there is one that works, nothing if it has to be made,
// and an error if it can't be now.
func (c *client) ready() (*hadooprpc.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, c.closedError()
	}
	if c.conn != nil {
		if c.conn.Err() == nil {
			return c.conn, nil
		}
		_ = c.conn.Close() // it is broken: its error was given to its callers
		c.conn = nil
	}
	if wait := time.Until(c.retryAt); c.failed != nil && wait > 0 {
		return nil, &dfs.Error{Kind: dfs.Unavailable, Path: c.cfg.Addr, Err: c.failed}
	}
	return nil, nil
}

func (c *client) closedError() error {
	return dfs.Errorf(dfs.Canceled, "control client of %s is closed", c.cfg.Addr)
}

// Backoff is how long the client will not try to connect again, 0 if a call may.
func (c *client) Backoff() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		return 0
	}
	return max(0, time.Until(c.retryAt))
}

// call makes one call. A connection that breaks during it gives dfs.Unavailable: the
// call may or may not have been carried out, and all calls here can be sent again.
func call[Reply any](ctx context.Context, c *client, method string, req any) (*Reply, error) {
	body, err := encode(req)
	if err != nil {
		return nil, err
	}
	conn, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	out, err := conn.CallBytes(ctx, hadooprpc.Target{Protocol: c.protocol, Version: ProtocolVersion, Method: method}, body)
	if err != nil {
		return nil, c.callError(ctx, method, err)
	}
	reply := new(Reply)
	if err := decode(out, reply); err != nil {
		return nil, err
	}
	return reply, nil
}

func (c *client) callError(ctx context.Context, method string, err error) error {
	var remote *hadooprpc.RemoteError
	switch {
	case errors.As(err, &remote):
		e := errorFrom(remote.Class, remote.Message)
		e.Op = method
		return e
	case ctx.Err() != nil:
		return &dfs.Error{Op: method, Path: c.cfg.Addr, Kind: dfs.Canceled, Err: ctx.Err()}
	}
	return &dfs.Error{Op: method, Path: c.cfg.Addr, Kind: dfs.Unavailable, Err: fmt.Errorf("control: %w", err)}
}

// NameNodeClient calls a NameNode over the wire. It connects when it is first used and
// again after a connection broke. Errors are *dfs.Error: those that the name node
// answered with their kind, dfs.Unavailable when it can't be reached or the connection
// broke, dfs.Canceled when ctx ended.
type NameNodeClient struct{ *client }

// NewNameNodeClient makes a client; it does not connect yet.
func NewNameNodeClient(cfg ClientConfig) *NameNodeClient {
	return &NameNodeClient{newClient(cfg, NameNodeProtocol)}
}

// Handshake calls NameNode.Handshake.
func (c *NameNodeClient) Handshake(ctx context.Context, req *HandshakeRequest) (*HandshakeReply, error) {
	return call[HandshakeReply](ctx, c.client, "handshake", req)
}

// Register calls NameNode.Register.
func (c *NameNodeClient) Register(ctx context.Context, req *RegisterRequest) (*RegisterReply, error) {
	return call[RegisterReply](ctx, c.client, "register", req)
}

// Heartbeat calls NameNode.Heartbeat.
func (c *NameNodeClient) Heartbeat(ctx context.Context, req *HeartbeatRequest) (*HeartbeatReply, error) {
	return call[HeartbeatReply](ctx, c.client, "heartbeat", req)
}

// BlockReport calls NameNode.BlockReport.
func (c *NameNodeClient) BlockReport(ctx context.Context, req *BlockReportRequest) (*BlockReportReply, error) {
	return call[BlockReportReply](ctx, c.client, "blockReport", req)
}

// Incremental calls NameNode.Incremental.
func (c *NameNodeClient) Incremental(ctx context.Context, req *IncrementalRequest) error {
	_, err := call[empty](ctx, c.client, "incremental", req)
	return err
}

// BadBlocks calls NameNode.BadBlocks.
func (c *NameNodeClient) BadBlocks(ctx context.Context, req *BadBlocksRequest) error {
	_, err := call[empty](ctx, c.client, "badBlocks", req)
	return err
}

// CommitSync calls NameNode.CommitSync.
func (c *NameNodeClient) CommitSync(ctx context.Context, req *CommitSyncRequest) error {
	_, err := call[empty](ctx, c.client, "commitSync", req)
	return err
}

// FoldDone calls NameNode.FoldDone.
func (c *NameNodeClient) FoldDone(ctx context.Context, req *FoldDoneRequest) error {
	_, err := call[empty](ctx, c.client, "foldDone", req)
	return err
}

// MayTake calls NameNode.MayTake.
func (c *NameNodeClient) MayTake(ctx context.Context, req *MayTakeRequest) error {
	_, err := call[empty](ctx, c.client, "mayTake", req)
	return err
}

// Sources calls NameNode.Sources.
func (c *NameNodeClient) Sources(ctx context.Context, req *SourcesRequest) (*SourcesReply, error) {
	return call[SourcesReply](ctx, c.client, "sources", req)
}

// DataNodeClient calls a DataNode over the wire, as NameNodeClient does a name node.
type DataNodeClient struct{ *client }

// NewDataNodeClient makes a client; it does not connect yet.
func NewDataNodeClient(cfg ClientConfig) *DataNodeClient {
	return &DataNodeClient{newClient(cfg, DataNodeProtocol)}
}

// InitRecovery calls DataNode.InitRecovery.
func (c *DataNodeClient) InitRecovery(ctx context.Context, req *InitRecoveryRequest) (*ReplicaInfo, error) {
	return call[ReplicaInfo](ctx, c.client, "initRecovery", req)
}

// UpdateReplica calls DataNode.UpdateReplica.
func (c *DataNodeClient) UpdateReplica(ctx context.Context, req *UpdateReplicaRequest) (*UpdateReplicaReply, error) {
	return call[UpdateReplicaReply](ctx, c.client, "updateReplica", req)
}

var (
	_ NameNode = (*NameNodeClient)(nil)
	_ DataNode = (*DataNodeClient)(nil)
)
