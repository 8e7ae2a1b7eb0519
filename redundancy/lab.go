package redundancy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"redoubt/blockmanager"
	"redoubt/blockstore"
	"redoubt/blockstore/array"
	"redoubt/client"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/minicluster"
	"redoubt/internal/slownet"
	"redoubt/namenode"
	"redoubt/redundancy/result"
	"redoubt/vfs"
	"redoubt/vfs/slowfs"
	"redoubt/wire/control"
)

// lab is a cluster on emulated machines, for one scheme.
type lab struct {
	cfg     *Config
	scheme  result.Scheme
	round   int // from 0
	dir     string
	cluster *minicluster.Cluster
	net     slownet.Net
	nodes   []*machine
	clients []*station
	step    func(format string, args ...any) // tells what is being done
	watch   *strainWatch

	user string // the superuser

	// missing and lost count what was so before the present fault: a replica that an array has
	// made good after it was reported as damaged stays damaged for the name node.
	missing, lost int64

	cpu float64 // highest share so far
}

// machine is an emulated node with its disks.
type machine struct {
	index int
	rack  int
	link  *slownet.Node
	fs    *slowfs.FS
	bays  []*bay
	spare []*bay // disks for replacements, not in use yet
	scrub bool   // the next start of the datanode reads everything once
}

// bay is a place for a disk, with the disk that is in it.
type bay struct {
	dir  string
	disk *slowfs.Disk
}

// station is a client machine with one stream.
type station struct {
	link   *slownet.Node
	client *client.Client
	hedged *client.Client // the same with hedged reads
}

// arrays tells whether the nodes' disks are RAID-5 arrays, and groups whether the blocks are in
// parity groups across nodes.
func arrays(s result.Scheme) bool { return s == result.RAIDNode || s == result.RAIDBoth }
func groups(s result.Scheme) bool { return s == result.RAIDCluster || s == result.RAIDBoth }

// replicas is what a scheme's files ask for.
func replicas(s result.Scheme) uint16 {
	switch s {
	case result.Two, result.RAIDCluster, result.RAIDBoth:
		return 2
	case result.Three:
		return 3
	}
	return 1
}

const root = "/data"

// newLab starts a cluster for a scheme below the run's directory.
func newLab(ctx context.Context, cfg *Config, scheme result.Scheme, round int, step func(string, ...any)) (*lab, error) {
	l := &lab{cfg: cfg, scheme: scheme, round: round, dir: path.Join(cfg.Dir, string(scheme)), step: step}
	for i := range cfg.Setup.Datanodes {
		m, err := l.newMachine(i)
		if err != nil {
			return nil, err
		}
		l.nodes = append(l.nodes, m)
	}
	quiet := slowfs.New(cfg.FS, nil) // the name node's disk is none of what is compared
	quiet.Volatile = true
	var err error
	l.cluster, err = minicluster.Start(ctx, minicluster.Config{
		Dir: l.dir, HTTPPort: -1, Datanodes: cfg.Setup.Datanodes, Racks: cfg.Setup.Racks, Replication: int(replicas(scheme)), Log: cfg.Log,
		NameNode: func(c *namenode.Config) { c.FS = quiet; l.nameNode(c) },
		DataNode: func(i int, c *datanode.Config) { l.nodes[i].configure(l, c) },
	})
	if err != nil {
		return nil, fmt.Errorf("redundancy: %w", err)
	}
	l.watch = newStrainWatch()
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// newMachine makes the disks of a node, and one more for each that is replaced in a run.
func (l *lab) newMachine(i int) (*machine, error) {
	s := &l.cfg.Setup
	m := &machine{index: i, rack: i % s.Racks}
	m.link = l.net.Node("node"+strconv.Itoa(i+1), int64(s.LinkRate), seconds(s.LinkLatency)/2)
	disks := map[string]*slowfs.Disk{}
	newBay := func(name string) (*bay, error) {
		b := &bay{dir: path.Join(l.dir, "node"+strconv.Itoa(i+1), name), disk: slowfs.NewDisk(int64(s.DiskRate), seconds(s.DiskLatency))}
		disks[b.dir] = b.disk
		return b, l.cfg.FS.MkdirAll(b.dir)
	}
	for d := range s.DisksPerNode {
		b, err := newBay("disk" + strconv.Itoa(d+1))
		if err != nil {
			return nil, fmt.Errorf("redundancy: %w", err)
		}
		m.bays = append(m.bays, b)
	}
	for d := range 2 {
		b, err := newBay("new" + strconv.Itoa(d+1))
		if err != nil {
			return nil, fmt.Errorf("redundancy: %w", err)
		}
		m.spare = append(m.spare, b)
	}
	m.fs = slowfs.New(l.cfg.FS, disks)
	m.fs.Volatile = true
	return m, nil
}

// nameNode tunes a name node for a cluster that is watched by the second: it notices and acts
// early, and gives out as much work as the links can carry, so that they are the limit.
func (l *lab) nameNode(c *namenode.Config) {
	s := &l.cfg.Setup
	c.Files.MinBlockSize = 1 << 16
	c.Files.Defaults.BlockSize = s.BlockBytes
	c.Files.Defaults.Replication = replicas(l.scheme)
	beat := l.cfg.DeadAfter / 40
	c.Blocks.Seed = s.Seed + uint64(l.round)<<32 // other places in each round
	c.Blocks.Liveness = blockmanager.Liveness{Heartbeat: beat, Recheck: (l.cfg.DeadAfter - 10*beat) / 2, Stale: l.cfg.DeadAfter}
	c.Blocks.Repair = blockmanager.Repairing{Interval: 50 * time.Millisecond, WorkMultiplier: 4, MaxStreams: 4, MaxStreamsHard: 8, PendingTimeout: 20 * time.Second}
	c.Blocks.Parity = blockmanager.Folding{Idle: l.cfg.foldIdle(), Streams: 2, Retry: 2 * l.cfg.foldIdle()}
}

// configure sets a datanode up on its machine.
func (m *machine) configure(l *lab, c *datanode.Config) {
	c.FS = m.fs
	c.Network = datanode.Network{Listen: m.link.Listen, Dial: m.link.Dial}
	c.Listen.HTTP = "-"
	c.Limits.ScrubBandwidth = -1
	if m.scrub {
		c.Limits.ScrubBandwidth = 1 << 40 // the disks are the limit
	}
	c.FailedVolumesTolerated = 0
	c.Volumes, c.Arrays = nil, nil
	if arrays(l.scheme) {
		var a datanode.ArrayConfig
		for _, b := range m.bays {
			a.Members = append(a.Members, array.Member{Dir: b.dir})
		}
		c.Arrays = []datanode.ArrayConfig{a}
		return
	}
	for _, b := range m.bays {
		c.Volumes = append(c.Volumes, blockstore.VolumeConfig{Dir: b.dir})
	}
}

// open makes the clients and the directory of the data.
func (l *lab) open(ctx context.Context) error {
	s := &l.cfg.Setup
	st, err := l.cluster.NameNode().FileInfo(&dfs.Caller{User: "redundancy"}, "/", true)
	if err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	l.user = st.Owner
	for i := range s.Clients {
		at := &station{link: l.net.Node("client"+strconv.Itoa(i+1), int64(s.LinkRate), seconds(s.LinkLatency)/2)}
		cfg := client.Config{
			NameNodes: []string{l.cluster.RPCAddr()}, User: l.user, Dial: at.link.Dial,
			Read:  client.ReadConfig{Attempts: 1, Timeout: 20 * time.Second},
			Write: client.WriteConfig{Window: 16, BestEffort: true},
		}
		if at.client, err = client.Open(cfg); err == nil {
			cfg.Read.Hedge = l.cfg.Hedge
			at.hedged, err = client.Open(cfg)
		}
		if err != nil {
			return fmt.Errorf("redundancy: %w", err)
		}
		l.clients = append(l.clients, at)
	}
	c := l.clients[0].client
	if _, err := c.Mkdirs(ctx, root, 0o755, true); err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	if groups(l.scheme) {
		p, _ := dfs.ParityPolicy(s.Parity) // validated
		if err := c.SetStoragePolicy(ctx, root, p.Name); err != nil {
			return fmt.Errorf("redundancy: %w", err)
		}
	}
	return nil
}

func (l *lab) close() error {
	var errs []error
	for _, c := range l.clients {
		errs = append(errs, c.client.Close(), c.hedged.Close())
	}
	l.watch.close()
	return errors.Join(append(errs, l.cluster.Close())...)
}

// admin talks to a datanode about its arrays.
func (l *lab) admin(i int) *control.ArrayClient {
	return control.NewArrayClient(control.ClientConfig{Addr: l.cluster.DataNode(i).IPCAddr().String(), User: l.user})
}

// disks are all disks in use, and links those of datanodes.
func (l *lab) disks() (all []*slowfs.Disk) {
	for _, b := range bays(l.nodes) {
		all = append(all, b.disk)
	}
	return all
}

// stored adds up the files on a disk: blocks and parity. In a member of an array it is the
// files of stripes, with the checksums in them, but not the array's own log and reserve.
func (l *lab) stored(b *bay) (sum int64, err error) {
	err = walk(l.cfg.FS, b.dir, func(name string, size int64) {
		if l.keeps(name) {
			sum += size
		}
	})
	return sum, err
}

// keeps tells whether a file on a disk holds users' data or parity.
func (l *lab) keeps(name string) bool {
	if arrays(l.scheme) {
		return strings.Contains(name, "/o/")
	}
	base := path.Base(name)
	return strings.HasPrefix(base, "blk_") && !strings.HasSuffix(base, ".meta")
}

// storedOn is the same for several disks, storedAll for all of some nodes.
func (l *lab) storedOn(some []*bay) (sum int64, err error) {
	for _, b := range some {
		n, err := l.stored(b)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (l *lab) storedAll(nodes []*machine) (int64, error) { return l.storedOn(bays(nodes)) }

func bays(nodes []*machine) (all []*bay) {
	for _, m := range nodes {
		all = append(all, m.bays...)
	}
	return all
}

// walk calls each for the files of a tree. What is removed meanwhile is passed over.
func walk(fs vfs.FS, dir string, each func(name string, size int64)) error {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		if gone(err) {
			return nil
		}
		return fmt.Errorf("redundancy: %w", err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if !e.Dir {
			each(name, e.Size)
		} else if err := walk(fs, name, each); err != nil {
			return err
		}
	}
	return nil
}
