package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"redoubt/blockmanager"
	"redoubt/blockstore"
	"redoubt/client"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/nameserver"
	"redoubt/namenode"
	"redoubt/vfs"
)

// Config says what to simulate. Zero fields take the defaults that their comments name.
type Config struct {
	Datanodes int           // 4
	Racks     int           // datanodes are dealt out to /rack1 .. /rackN; 0: one default rack
	Seed      uint64        // of the network's delays and of what a crash leaves
	Latency   time.Duration // of a message; 100 us
	Log       *slog.Logger  // discards
	// NameNode and DataNode may change what the parties are started with.
	NameNode func(*namenode.Config)
	DataNode func(i int, cfg *datanode.Config)
}

// Cluster is a cluster on virtual time. It belongs into a testing/synctest bubble.
type Cluster struct {
	Net  *Network
	Name *Party
	Data []*Party

	cfg     Config
	log     *slog.Logger
	burials sync.WaitGroup

	mu     sync.Mutex
	lives  map[*Host]*life
	events int
	plan   *Plan
}

// Plan is something that happens at an event.
type Plan struct {
	At int    // the number of the event, counted from Watch on
	Do func() // must not wait; nil: events are only counted
	// struck is how many events there were when it happened, 0 before.
	struck int
}

const (
	nameIP   = "10.0.0.100"
	nameAddr = nameIP + ":8020"
	// User is the superuser of the cluster.
	User = "root"
)

// BlockSize is the default size of a block, small enough that files of a few KiB have
// several.
const BlockSize = 4096

// Start formats and starts a cluster and waits until every datanode has registered and
// reported.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Datanodes == 0 {
		cfg.Datanodes = 4
	}
	if cfg.Latency == 0 {
		cfg.Latency = 100 * time.Microsecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{cfg: cfg, log: cfg.Log, lives: map[*Host]*life{}, Name: &Party{Name: "name", IP: nameIP}}
	c.Net = NewNetwork(cfg.Latency, cfg.Seed, c.onSend)
	disk := vfs.NewMem()
	if _, err := namenode.Format(disk, []string{"/name"}, "", false); err != nil {
		return nil, err
	}
	disk.SyncAll()
	if err := c.startName(ctx, disk); err != nil {
		return nil, err
	}
	for i := range cfg.Datanodes {
		c.Data = append(c.Data, &Party{Name: fmt.Sprintf("data%d", i+1), IP: fmt.Sprintf("10.0.0.%d", i+1)})
		if err := c.startData(i, vfs.NewMem()); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for _, p := range c.Data {
		if err := c.WaitReady(ctx, p); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *Cluster) startName(ctx context.Context, disk *vfs.Mem) error {
	l := c.newLife(c.Name, disk)
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg := nameserver.Config{RPC: nameAddr, HTTP: "-", Listen: l.host.Listen, NameNode: namenode.Config{
		FS: l.fs, NameDirs: []string{"/name"}, Superuser: User, Log: c.log.With("node", "name"), Topology: c.rack,
		Groups: namenode.StaticGroups{Table: map[string][]string{User: {"supergroup"}}},
		Files: namenode.FileConfig{MinBlockSize: 512, Defaults: dfs.ServerDefaults{
			BlockSize: BlockSize, Replication: uint16(min(3, c.cfg.Datanodes)), BytesPerChecksum: 512, WritePacketSize: 2048}},
		SafeMode: namenode.SafeModeConfig{Extension: -1},
		Durable:  namenode.DurableConfig{CheckpointTxns: 25, FillChunk: 16 << 10},
		Blocks: blockmanager.Config{Seed: c.cfg.Seed,
			Liveness: blockmanager.Liveness{Heartbeat: time.Second, Recheck: 2 * time.Second, Stale: 4 * time.Second},
			Repair:   blockmanager.Repairing{PendingTimeout: 30 * time.Second, DrainInterval: 2 * time.Second}},
	}}
	if c.cfg.NameNode != nil {
		c.cfg.NameNode(&cfg.NameNode)
	}
	s, err := nameserver.Start(ctx, cfg)
	if err != nil {
		return err
	}
	l.name = s
	return nil
}

func (c *Cluster) startData(i int, disk *vfs.Mem) error {
	p := c.Data[i]
	l := c.newLife(p, disk)
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg := datanode.Config{
		FS: l.fs, NameNodes: []string{nameAddr}, Log: c.log.With("node", p.Name),
		Volumes: []blockstore.VolumeConfig{{Dir: "/data"}},
		Listen:  datanode.Addresses{Transfer: p.IP + ":9866", IPC: p.IP + ":9867", HTTP: "-", Host: p.Name},
		Network: datanode.Network{Listen: l.host.Listen, Dial: l.host.Dial},
		Limits:  datanode.Limits{ScrubBandwidth: -1},
	}
	if c.cfg.DataNode != nil {
		c.cfg.DataNode(i, &cfg)
	}
	dn, err := datanode.Start(context.Background(), cfg)
	if err != nil {
		return fmt.Errorf("simulate: %s: %w", p.Name, err)
	}
	l.data = dn
	return nil
}

// rack is the topology.
func (c *Cluster) rack(d dfs.DatanodeID) string {
	var i int
	if _, err := fmt.Sscanf(d.IP, "10.0.0.%d", &i); err != nil || c.cfg.Racks == 0 {
		return "/default-rack"
	}
	return fmt.Sprintf("/rack%d", (i-1)%c.cfg.Racks+1)
}

// WaitReady waits until a datanode has registered and reported.
func (c *Cluster) WaitReady(ctx context.Context, p *Party) error {
	l := p.current()
	l.mu.Lock()
	dn := l.data
	l.mu.Unlock()
	if dn == nil {
		return fmt.Errorf("simulate: %s does not run", p.Name)
	}
	select {
	case <-dn.Ready():
		return nil
	case <-dn.Done():
		return fmt.Errorf("simulate: %s has stopped: %w", p.Name, dn.Err())
	case <-ctx.Done():
		return fmt.Errorf("simulate: %s is not ready: %w", p.Name, ctx.Err())
	}
}

// NameNode is the name service, nil while there is none.
func (c *Cluster) NameNode() *namenode.NameNode {
	l := c.Name.current()
	if l.dead.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == nil {
		return nil
	}
	return l.name.NameNode()
}

func (c *Cluster) onSend(h *Host) {
	c.mu.Lock()
	l := c.lives[h]
	c.mu.Unlock()
	if l != nil {
		c.event(l.party, !l.dead.Load())
	} else {
		c.event(nil, true) // a client
	}
}

// event counts what a living party does and does what is planned when it is time.
func (c *Cluster) event(_ *Party, counts bool) {
	if !counts {
		return
	}
	c.mu.Lock()
	c.events++
	p := c.plan
	due := p != nil && p.Do != nil && p.struck == 0 && c.events >= p.At
	if due {
		p.struck = c.events
	}
	c.mu.Unlock()
	if due {
		p.Do()
	}
}

// Watch counts events from 0 on and, at the plan's one, does what is planned.
func (c *Cluster) Watch(p *Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events, c.plan = 0, p
}

// Unwatch ends the plan and gives the number of events since Watch and whether the plan
// was carried out.
func (c *Cluster) Unwatch() (events int, struck bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	struck = c.plan != nil && c.plan.struck > 0
	c.plan = nil
	return c.events, struck
}

// Kill ends a party at this instant. It does not wait.
func (c *Cluster) Kill(p *Party, how Death) {
	l := p.current()
	if l == nil || !l.dead.CompareAndSwap(false, true) {
		return
	}
	l.mem.StopAfter(l.mem.Steps())
	l.host.Kill(how)
	c.burials.Go(func() { _ = l.close() }) // a dead one has nothing to say
}

// left chooses what a power cut has left: 0 is everything, as when only the process died;
// other numbers choose among the outcomes for unsynced effects.
func (l *life) left(choice uint64) *vfs.Mem {
	if choice == 0 {
		l.mem.SyncAll()
		return l.mem.CrashClone(vfs.Choice{})
	}
	choices := l.mem.Choices(16, choice)
	return l.mem.CrashClone(choices[choice%uint64(len(choices))])
}

// Restart starts a dead party on what its end left of its disk. choice 0: everything that
// was written, as after the death of a process; others: outcomes of a power cut.
func (c *Cluster) Restart(ctx context.Context, p *Party, choice uint64) error {
	if p.Alive() {
		return fmt.Errorf("simulate: %s is not dead", p.Name)
	}
	disk := p.current().left(choice)
	if p == c.Name {
		return c.startName(ctx, disk)
	}
	for i, d := range c.Data {
		if d == p {
			return c.startData(i, disk)
		}
	}
	return fmt.Errorf("simulate: %s is no party of this cluster", p.Name)
}

// Replace starts a dead datanode with an empty disk.
func (c *Cluster) Replace(p *Party) error {
	for i, d := range c.Data {
		if d == p && !p.Alive() {
			return c.startData(i, vfs.NewMem())
		}
	}
	return fmt.Errorf("simulate: %s is not a dead datanode", p.Name)
}

// Client opens a client on a host. allowed, if any are given, are the datanodes
// that it can reach; connections to others are refused.
func (c *Cluster) Client(h *Host, allowed ...*Party) (*client.Client, error) {
	return client.Open(client.Config{NameNodes: []string{nameAddr}, User: User, Patience: 2 * time.Minute,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			ok := len(allowed) == 0 || addr == nameAddr
			for _, p := range allowed {
				ok = ok || strings.HasPrefix(addr, p.IP+":")
			}
			if !ok {
				return nil, fmt.Errorf("simulate: %s is not to be reached from here", addr)
			}
			return h.Dial(ctx, addr)
		}})
}

// Close ends everything and waits for it, and says what living parties had to complain
// about.
func (c *Cluster) Close() error {
	var errs []error
	for _, p := range append(c.Data[:len(c.Data):len(c.Data)], c.Name) {
		if l := p.current(); l != nil && !l.dead.Load() {
			errs = append(errs, l.close())
		}
	}
	c.burials.Wait()
	return errors.Join(errs...)
}
