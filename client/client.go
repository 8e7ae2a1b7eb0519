// Package client is the Go client of HDFS: it turns paths into blocks and blocks into
// bytes, against Redoubt and against Hadoop's own servers. Reads move on to the next
// replica, or ask a second one in parallel, when one fails; writes go through a pipeline
// that is repaired while it is written; name node calls fail over and are retried with
// the same call id, so that a retry cache can answer them twice.
//
// A Client is safe for use by many goroutines; a File or Writer by one, except where a
// method says otherwise. Errors are *dfs.Error wherever a server or the protocol gives
// the reason, and then errors.Is with fs.ErrNotExist, fs.ErrExist, fs.ErrPermission and
// fs.ErrInvalid works.
package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// Config says how to reach a cluster. Only NameNodes and User are required; each zero
// field means its default.
type Config struct {
	NameNodes []string // host:port, tried in this order
	User      string   // effective user
	RealUser  string   // set when a proxy user acts for User
	Context   string   // caller context for the audit log
	// Dial opens connections to name nodes and datanodes; nil is TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// UseHostNames connects to datanodes by name instead of address.
	UseHostNames bool
	// Patience is how long calls are retried while no name node can serve them; 0 means
	// 15 s, negative not at all.
	Patience time.Duration
	// FailFast makes the first connection fail at once when no name node answers.
	FailFast bool
	// DialTimeout bounds opening one connection; 0 means 20 s.
	DialTimeout time.Duration
	Read        ReadConfig
	Write       WriteConfig
}

// ReadConfig tunes reading.
type ReadConfig struct {
	// Hedge is after how long without an answer a ReadAt asks a second replica too;
	// 0 never does.
	Hedge time.Duration
	// Timeout ends a datanode that sends nothing for so long; 0 means a minute.
	Timeout time.Duration
	// Attempts is how often fresh locations are asked for before a block counts as
	// unreadable; 0 means 3.
	Attempts int
}

// WriteConfig tunes writing.
type WriteConfig struct {
	// PacketSize in bytes, header and checksums included; 0 asks the server.
	PacketSize int
	// Window is how many packets may be unacknowledged; 0 means 80.
	Window int
	// Timeout ends a pipeline of one datanode that acknowledges nothing for so long; 0 means
	// 65 s. Each further datanode adds a thirteenth of it, so that a silent one is found by the
	// one before it, which names it, and not by the client, which can't.
	Timeout time.Duration
	// Heartbeat is how long a pipeline may be silent; 0 means 30 s.
	Heartbeat time.Duration
	// Replace says when a lost datanode is replaced.
	Replace ReplacePolicy
	// Checksum and BytesPerChecksum say how new blocks are covered; 0 asks the server.
	Checksum         dfs.ChecksumType
	BytesPerChecksum uint32
	// BestEffort goes on with what is left when no replacement can be had.
	BestEffort bool
	// Retries bounds new pipelines for a block, and repairs of one without progress;
	// 0 means 3 and 5.
	Retries int
	// CloseRetries bounds complete calls while replicas are missing; 0 means 10.
	CloseRetries int
}

// timeout is how long a pipeline of so many datanodes may be silent.
func (c *WriteConfig) timeout(nodes int) time.Duration {
	return c.Timeout + c.Timeout/13*time.Duration(max(0, nodes-1))
}

// ReplacePolicy says when a pipeline that lost a datanode gets another one.
type ReplacePolicy uint8

const (
	// ReplaceDefault replaces when three or more replicas are asked for and either no
	// more than half of them are left or the file was flushed or appended to.
	ReplaceDefault ReplacePolicy = iota
	ReplaceAlways
	ReplaceNever
)

// Validate reports everything in the configuration that can't be.
func (c *Config) Validate() error {
	var errs []error
	if len(c.NameNodes) == 0 {
		errs = append(errs, errors.New("client: no name node"))
	}
	for _, a := range c.NameNodes {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("client: name node %q: %w", a, err))
		}
	}
	if c.User == "" {
		errs = append(errs, errors.New("client: no user"))
	}
	if c.Write.PacketSize < 0 || c.Write.PacketSize > dfs.MaxPacket {
		errs = append(errs, fmt.Errorf("client: packet size %d", c.Write.PacketSize))
	}
	if c.Write.Checksum > dfs.ChecksumCRC32C || c.Write.BytesPerChecksum > datatransfer.MaxBytesPerChecksum {
		errs = append(errs, fmt.Errorf("client: checksum of type %d over %d bytes", c.Write.Checksum, c.Write.BytesPerChecksum))
	}
	if c.Read.Hedge < 0 || c.Read.Timeout < 0 || c.Write.Timeout < 0 || c.Write.Heartbeat < 0 {
		errs = append(errs, errors.New("client: a time is negative"))
	}
	return errors.Join(errs...)
}

func (c *Config) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&c.Patience, 15*time.Second)
	def(&c.DialTimeout, 20*time.Second)
	def(&c.Read.Timeout, time.Minute)
	def(&c.Write.Timeout, 65*time.Second)
	def(&c.Write.Heartbeat, 30*time.Second)
	num(&c.Read.Attempts, 3)
	num(&c.Write.Window, 80)
	num(&c.Write.Retries, 3)
	num(&c.Write.CloseRetries, 10)
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
}

// Client is a connection to one HDFS. It connects when the first call needs it.
type Client struct {
	cfg    Config
	holder string // lease holder
	names  *nameService
	peers  peers
	leases leases

	mu       sync.Mutex
	defaults *dfs.ServerDefaults
	asked    time.Time // when defaults were asked for
}

// Open makes a client. It does not connect yet.
func Open(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	c := &Client{cfg: cfg, holder: "DFSClient_redoubt_" + hex.EncodeToString(id[:])}
	c.names = newNameService(&c.cfg)
	c.peers.init(&c.cfg)
	c.leases.init(c)
	return c, nil
}

// Close ends all connections. Files that are still open fail; Writers that are still
// open leave their files open for lease recovery. Close does not return before every
// goroutine of the client has.
func (c *Client) Close() error {
	c.leases.close()
	c.peers.close()
	return c.names.close()
}

// Holder is the name that the client's leases are under.
func (c *Client) Holder() string { return c.holder }

// defaultsLifetime is how long the server's defaults are remembered.
const defaultsLifetime = time.Hour

// ServerDefaults gives the cluster's settings for clients, asked once an hour.
func (c *Client) ServerDefaults(ctx context.Context) (dfs.ServerDefaults, error) {
	c.mu.Lock()
	if c.defaults != nil && time.Since(c.asked) < defaultsLifetime {
		defer c.mu.Unlock()
		return *c.defaults, nil
	}
	c.mu.Unlock()
	d, err := c.serverDefaults(ctx)
	if err != nil {
		return dfs.ServerDefaults{}, err
	}
	c.mu.Lock()
	c.defaults, c.asked = d, time.Now()
	c.mu.Unlock()
	return *d, nil
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
