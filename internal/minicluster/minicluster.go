// Package minicluster runs a whole cluster in one process: a name node and datanodes on
// loopback, with their data under one directory. It is what `fs minicluster` runs and
// what tests start; nodes can be stopped and started again one by one, and a cluster that
// was stopped or killed has everything when it is started again.
package minicluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"redoubt/blockmanager"
	"redoubt/blockstore"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/authorize"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nameserver"
	"redoubt/journal"
	"redoubt/namenode"
	"redoubt/vfs"
)

// Config says what to run. Zero fields take the defaults that their comments name.
type Config struct {
	Dir       string // where all data is; required. Formatted if it holds no cluster
	RPCPort   int    // 0: a free port
	HTTPPort  int    // 0: a free port; negative: no HTTP
	Datanodes int    // 4; negative: none, a name node alone
	Racks     int    // datanodes are dealt out to /rack1 .. /rackN in turn; 0: all on /default-rack
	// Media of each datanode's volumes, nil: one disk. Capacity is how many bytes each may
	// use, 0: all that there is.
	Media       []dfs.StorageType
	Capacity    int64
	Replication int // of files whose client asks for none; 3, or the number of datanodes if that is less

	Log   *slog.Logger // discards
	Audit io.Writer    // nil: no audit log
	Pprof bool
	// Access decides about connections to the name node; nil: everybody may connect, nobody
	// for others.
	Access *authorize.Guard
	// NameNode and DataNode may change what the nodes are started with; i counts from 0.
	NameNode func(*namenode.Config)
	DataNode func(i int, cfg *datanode.Config)
}

// Validate names every fault of the configuration.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("minicluster: "+format, args...))
		}
	}
	need(c.Dir != "", "no directory is given")
	need(c.RPCPort >= 0 && c.RPCPort < 1<<16, "RPC port %d is not between 0 and 65535", c.RPCPort)
	need(c.HTTPPort < 1<<16, "HTTP port %d is above 65535", c.HTTPPort)
	need(c.Datanodes <= 1000, "%d datanodes: want at most 1000", c.Datanodes)
	need(c.Capacity >= 0, "a capacity of %d bytes", c.Capacity)
	need(c.Racks >= 0 && c.Racks <= 1000, "%d racks: want 0 to 1000", c.Racks)
	need(c.Replication >= 0 && c.Replication <= dfs.MaxReplication, "replication %d is not between 1 and %d", c.Replication, dfs.MaxReplication)
	return errors.Join(errs...)
}

// Cluster is a running cluster.
type Cluster struct {
	cfg Config
	log *slog.Logger

	mu    sync.Mutex
	name  *nameserver.Server // nil while stopped
	nodes []*datanode.DataNode
	racks map[string]string // by transfer port
	rpc   string            // the name node's address, kept over restarts
	web   string
	fresh bool
}

// Start starts the cluster and waits until every datanode has registered and reported.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Datanodes == 0 {
		cfg.Datanodes = 4
	}
	cfg.Datanodes = max(0, cfg.Datanodes)
	if cfg.Replication == 0 {
		cfg.Replication = max(1, min(dfs.DefaultReplication, cfg.Datanodes))
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{cfg: cfg, log: cfg.Log, nodes: make([]*datanode.DataNode, cfg.Datanodes), racks: map[string]string{}}
	c.rpc = net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.RPCPort))
	c.web = "-"
	if cfg.HTTPPort >= 0 {
		c.web = net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.HTTPPort))
	}
	err := c.start(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.StartNameNode(ctx); err != nil {
		return err
	}
	for i := range c.nodes {
		if err := c.startDataNode(ctx, i); err != nil {
			return err
		}
	}
	return c.WaitReady(ctx)
}

// StartNameNode starts the name node, on the port it had before if there was one.
func (c *Cluster) StartNameNode(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name != nil {
		return errors.New("minicluster: the name node runs already")
	}
	dir := filepath.Join(c.cfg.Dir, "name")
	cfg := nameserver.Config{RPC: c.rpc, HTTP: c.web, Pprof: c.cfg.Pprof, Access: c.cfg.Access, NameNode: namenode.Config{
		FS: vfs.OS(), NameDirs: []string{dir}, Superuser: hadoopconf.User(os.LookupEnv), Log: c.log, Audit: c.cfg.Audit, Topology: c.rack,
		Files:    namenode.FileConfig{Defaults: dfs.ServerDefaults{Replication: uint16(c.cfg.Replication)}},
		SafeMode: namenode.SafeModeConfig{Extension: -1},
		// A dead datanode is to be noticed while one watches.
		Blocks: blockmanager.Config{Liveness: blockmanager.Liveness{Heartbeat: time.Second, Recheck: 5 * time.Second, Stale: 5 * time.Second}},
	}}
	if c.cfg.NameNode != nil {
		c.cfg.NameNode(&cfg.NameNode)
	}
	if err := c.format(cfg.NameNode.FS, cfg.NameNode.NameDirs); err != nil {
		return err
	}
	s, err := nameserver.Start(ctx, cfg)
	if err != nil {
		return err
	}
	c.name, c.rpc = s, s.RPCAddr().String()
	if a := s.HTTPAddr(); a != nil {
		c.web = a.String()
	}
	return nil
}

// format makes the name directories on first use.
func (c *Cluster) format(fs vfs.FS, dirs []string) error {
	_, err := journal.ReadCluster(fs, dirs)
	if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	_, err = namenode.Format(fs, dirs, "", false)
	c.fresh = err == nil
	return err
}

// rack is the topology: where a datanode stands, by its transfer port.
func (c *Cluster) rack(d dfs.DatanodeID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.racks[strconv.Itoa(int(d.XferPort))]
}

// StartDataNode starts datanode i, which must not be running, and waits until it has
// registered and reported.
func (c *Cluster) StartDataNode(ctx context.Context, i int) error {
	if err := c.startDataNode(ctx, i); err != nil {
		return err
	}
	return waitReady(ctx, c.DataNode(i))
}

// volumes of a datanode: dataN, and dataN-2 and so on where it has several.
func (c *Cluster) volumes(i int) (list []blockstore.VolumeConfig) {
	dir := filepath.Join(c.cfg.Dir, "data"+strconv.Itoa(i+1))
	for k, medium := range append([]dfs.StorageType(nil), c.cfg.Media...) {
		v := blockstore.VolumeConfig{Dir: dir, Type: medium, Capacity: c.cfg.Capacity}
		if k > 0 {
			v.Dir += "-" + strconv.Itoa(k+1)
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		list = append(list, blockstore.VolumeConfig{Dir: dir, Capacity: c.cfg.Capacity})
	}
	return list
}

func (c *Cluster) startDataNode(ctx context.Context, i int) error {
	c.mu.Lock()
	running, rpc := c.nodes[i] != nil, c.rpc
	c.mu.Unlock()
	if running {
		return fmt.Errorf("minicluster: datanode %d runs already", i)
	}
	log := c.log.With("datanode", i+1)
	cfg := datanode.Config{
		FS: vfs.OS(), NameNodes: []string{rpc}, Log: log, Pprof: c.cfg.Pprof,
		Volumes: c.volumes(i),
		Listen:  datanode.Addresses{Host: "localhost"}, Superuser: hadoopconf.User(os.LookupEnv),
	}
	if c.cfg.DataNode != nil {
		c.cfg.DataNode(i, &cfg)
	}
	listen := cfg.Network.Listen
	if listen == nil {
		var lc net.ListenConfig
		listen = func(ctx context.Context, addr string) (net.Listener, error) { return lc.Listen(ctx, "tcp", addr) }
	}
	// The rack must be known before the datanode can register.
	cfg.Network.Listen = func(ctx context.Context, addr string) (net.Listener, error) {
		l, err := listen(ctx, addr)
		if err == nil && c.cfg.Racks > 0 {
			_, port, _ := net.SplitHostPort(l.Addr().String()) // a TCP listener's address always has one
			c.mu.Lock()
			c.racks[port] = "/rack" + strconv.Itoa(i%c.cfg.Racks+1)
			c.mu.Unlock()
		}
		return l, err
	}
	dn, err := datanode.Start(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return fmt.Errorf("minicluster: datanode %d: %w", i+1, err)
	}
	c.mu.Lock()
	c.nodes[i] = dn
	c.mu.Unlock()
	return nil
}

// WaitReady waits until every running datanode has registered and reported.
func (c *Cluster) WaitReady(ctx context.Context) error {
	for i := range c.nodes {
		if dn := c.DataNode(i); dn != nil {
			if err := waitReady(ctx, dn); err != nil {
				return fmt.Errorf("minicluster: datanode %d: %w", i+1, err)
			}
		}
	}
	return nil
}

func waitReady(ctx context.Context, dn *datanode.DataNode) error {
	select {
	case <-dn.Ready():
		return nil
	case <-dn.Done():
		return fmt.Errorf("it has stopped: %w", dn.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// StopDataNode stops datanode i. The name node learns of it by its silence.
func (c *Cluster) StopDataNode(i int) error {
	c.mu.Lock()
	dn := c.nodes[i]
	c.nodes[i] = nil
	c.mu.Unlock()
	if dn == nil {
		return nil
	}
	return dn.Close()
}

// StopNameNode stops the name node; datanodes go on and find it when it is back.
func (c *Cluster) StopNameNode() error {
	c.mu.Lock()
	s := c.name
	c.name = nil
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Close()
}

// Close stops everything, the name node last, with a checkpoint.
func (c *Cluster) Close() error {
	errs := make([]error, len(c.nodes)+1)
	var wg sync.WaitGroup
	for i := range c.nodes {
		wg.Go(func() { errs[i] = c.StopDataNode(i) })
	}
	wg.Wait()
	errs[len(c.nodes)] = c.StopNameNode()
	return errors.Join(errs...)
}

// DataNode is datanode i, nil while it is stopped.
func (c *Cluster) DataNode(i int) *datanode.DataNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// NameNode is the name service, nil while it is stopped.
func (c *Cluster) NameNode() *namenode.NameNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name == nil {
		return nil
	}
	return c.name.NameNode()
}

// Failed gives the reason when the name node can't go on.
func (c *Cluster) Failed() <-chan error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name.Failed()
}

// RPCAddr is the name node's host:port.
func (c *Cluster) RPCAddr() string { return c.rpc }

// URI is the cluster's file system URI.
func (c *Cluster) URI() string { return "hdfs://" + c.rpc }

// HTTPAddr is the name node's HTTP host:port, "-" if it has none.
func (c *Cluster) HTTPAddr() string { return c.web }

// Fresh reports whether Start formatted the directory.
func (c *Cluster) Fresh() bool { return c.fresh }
