package client

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// peers opens connections to datanodes and keeps idle ones for the next read.
type peers struct {
	cfg *Config

	mu     sync.Mutex
	idle   map[string][]idlePeer
	closed bool
}

type idlePeer struct {
	conn  *datatransfer.Conn
	since time.Time
}

// A datanode keeps a connection open for four seconds after an operation; a little less
// is safe.
const (
	idleLifetime   = 3 * time.Second
	idlePerAddress = 4
)

func (p *peers) init(cfg *Config) {
	p.cfg = cfg
	p.idle = map[string][]idlePeer{}
}

// address is where a datanode serves blocks.
func (p *peers) address(n *dfs.DatanodeID) string {
	host := n.IP
	if p.cfg.UseHostNames && n.Host != "" {
		host = n.Host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(n.XferPort)))
}

// dial opens a fresh connection.
func (p *peers) dial(ctx context.Context, n *dfs.DatanodeID) (*datatransfer.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	nc, err := p.cfg.Dial(ctx, p.address(n))
	if err != nil {
		return nil, err
	}
	return datatransfer.NewConn(nc), nil
}

// take gives an idle connection to a datanode, nil if there is none.
func (p *peers) take(n *dfs.DatanodeID) *datatransfer.Conn {
	addr := p.address(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		list := p.idle[addr]
		if len(list) == 0 {
			return nil
		}
		last := list[len(list)-1]
		p.idle[addr] = list[:len(list)-1]
		if time.Since(last.since) < idleLifetime {
			return last.conn
		}
		drop(last.conn)
	}
}

// keep takes back a connection that is ready for another operation.
func (p *peers) keep(n *dfs.DatanodeID, c *datatransfer.Conn) {
	addr := p.address(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[addr]) >= idlePerAddress {
		drop(c)
		return
	}
	c.Shrink()
	p.idle[addr] = append(p.idle[addr], idlePeer{c, time.Now()})
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, list := range p.idle {
		for _, i := range list {
			drop(i.conn)
		}
	}
	p.idle = map[string][]idlePeer{}
}

// drop ends a connection and gives its buffer back; nobody may be reading from it.
func drop(c *datatransfer.Conn) {
	_ = c.Close() // nothing more is expected from it
	c.Release()
}
