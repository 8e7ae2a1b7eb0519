package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

const clientProtocol = "org.apache.hadoop.hdfs.protocol.ClientProtocol"

// nameService makes calls to whichever name node of a list serves.
type nameService struct {
	cfg  *Config
	opts hadooprpc.Options
	next atomic.Int32
	// dialing, cap 1, is full while somebody connects: the others wait for it, and not with mu.
	dialing chan struct{}

	mu     sync.Mutex
	at     int // index of the name node in use
	conn   *hadooprpc.Conn
	closed bool
	served bool // a name node has answered once
}

func newNameService(cfg *Config) *nameService {
	return &nameService{cfg: cfg, dialing: make(chan struct{}, 1), opts: hadooprpc.Options{
		User: cfg.User, RealUser: cfg.RealUser, Protocol: clientProtocol, Context: cfg.Context,
		ClientID: hadooprpc.NewClientID(), Dial: cfg.Dial, DialTimeout: cfg.DialTimeout,
	}}
}

// call makes one call of ClientProtocol, at as many name nodes and as often as it takes
// while Patience lasts. All tries carry the same call id.
func (n *nameService) call(ctx context.Context, method string, req hadooprpc.Marshaler, resp hadooprpc.Unmarshaler) error {
	return n.callProtocol(ctx, clientProtocol, method, req, resp)
}

func (n *nameService) callProtocol(ctx context.Context, protocol, method string, req hadooprpc.Marshaler, resp hadooprpc.Unmarshaler) error {
	id := n.next.Add(1) & 0x7fffffff
	target := hadooprpc.Target{Protocol: protocol, Version: 1, Method: method}
	var deadline time.Time
	for try := int32(0); ; try++ {
		conn, at, err := n.connect(ctx)
		if err == nil {
			err = conn.CallAs(ctx, target, id, try, req, resp)
		}
		if err == nil {
			n.answered()
			return nil
		}
		if ctx.Err() != nil {
			return &dfs.Error{Op: method, Kind: dfs.Canceled, Err: ctx.Err()}
		}
		err = remoteError(method, err)
		if !n.mayRetry(err) {
			return err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(n.cfg.Patience)
		}
		if n.failFast() && int(try) >= len(n.cfg.NameNodes)-1 || time.Now().After(deadline) {
			return err
		}
		moved := n.failOver(at, conn, err)
		if wait := backoff(try, len(n.cfg.NameNodes), moved); wait > 0 {
			if sleep(ctx, wait) != nil {
				return err
			}
		}
	}
}

// backoff is how long to wait before try+1: nothing while there are name nodes that
// were not asked yet, then longer and longer.
func backoff(try int32, nodes int, moved bool) time.Duration {
	if moved && int(try) < nodes-1 {
		return 0
	}
	d := 100 * time.Millisecond << min(max(int(try)-nodes+1, 0), 5)
	return min(d, 2*time.Second)
}

// mayRetry reports whether another try could succeed.
func (n *nameService) mayRetry(err error) bool {
	switch dfs.KindOf(err) {
	case dfs.Standby, dfs.Retriable, dfs.Unavailable:
		return n.cfg.Patience > 0
	case dfs.SafeMode:
		return n.cfg.Patience > 0 && passing(err)
	}
	return false
}

// passing tells a name node that has just started from one that an administrator has put
// into safe mode. The texts are Redoubt's and Hadoop's.
func passing(err error) bool {
	var e *dfs.Error
	return errors.As(err, &e) && (strings.Contains(e.Msg, "by itself") || strings.Contains(e.Msg, "automatically"))
}

func (n *nameService) failFast() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cfg.FailFast && !n.served || n.closed
}

func (n *nameService) answered() {
	n.mu.Lock()
	n.served = true
	n.mu.Unlock()
}

// connect gives the connection to the name node in use.
func (n *nameService) connect(ctx context.Context) (*hadooprpc.Conn, int, error) {
	if conn, at, err := n.ready(); conn != nil || err != nil {
		return conn, at, err
	}
	select {
	case n.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, &dfs.Error{Kind: dfs.Canceled, Err: ctx.Err()}
	}
	defer func() { <-n.dialing }()
	conn, at, err := n.ready()
	if conn != nil || err != nil {
		return conn, at, err // somebody else has connected meanwhile
	}
	addr := n.cfg.NameNodes[at]
	if conn, err = hadooprpc.Dial(ctx, addr, n.opts); err != nil {
		return nil, at, unreachable(addr, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.at != at {
		_ = conn.Close() // nothing has been sent
		if n.closed {
			return nil, at, errClosedClient()
		}
		return nil, at, &dfs.Error{Kind: dfs.Unavailable, Path: addr, Msg: "another name node is in use now"}
	}
	n.conn = conn
	return conn, at, nil
}

// ready gives the connection if there is one that works, else only the index of the name
// node in use.
func (n *nameService) ready() (*hadooprpc.Conn, int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, n.at, errClosedClient()
	}
	if n.conn != nil && n.conn.Err() == nil {
		return n.conn, n.at, nil
	}
	if n.conn != nil {
		_ = n.conn.Close() // it is broken already
		n.conn = nil
	}
	return nil, n.at, nil
}

func errClosedClient() error { return &dfs.Error{Kind: dfs.Canceled, Msg: "Filesystem closed"} }

func unreachable(addr string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op
	}
	return &dfs.Error{Kind: dfs.Unavailable, Path: addr, Msg: fmt.Sprintf("Call to %s failed on connection exception: %v", addr, err), Err: err}
}

// failOver moves on from name node at, unless somebody else has done so, and says
// whether there is another one. A name node that only asked for patience is kept.
func (n *nameService) failOver(at int, conn *hadooprpc.Conn, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dfs.Is(err, dfs.Retriable) || dfs.Is(err, dfs.SafeMode) {
		return false
	}
	if n.at == at && len(n.cfg.NameNodes) > 1 && (n.conn == conn || n.conn == nil) {
		if n.conn != nil {
			_ = n.conn.Close() // on purpose
			n.conn = nil
		}
		n.at = (at + 1) % len(n.cfg.NameNodes)
	}
	return len(n.cfg.NameNodes) > 1
}

func (n *nameService) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.conn == nil {
		return nil
	}
	conn := n.conn
	n.conn = nil
	return conn.Close()
}
