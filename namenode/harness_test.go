package namenode

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
	"redoubt/vfs"
	"redoubt/wire/clientrpc"
	"redoubt/wire/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ clientrpc.Reader     = (*NameNode)(nil)
	_ clientrpc.Writer     = (*NameNode)(nil)
	_ clientrpc.FileWriter = (*NameNode)(nil)
	_ clientrpc.Cluster    = (*NameNode)(nil)
	_ clientrpc.Admin      = (*NameNode)(nil)
	_ control.NameNode     = (*NameNode)(nil)
)

// rig is a name node on a disk in memory, with datanodes that exist only as their
// reports.
type rig struct {
	*NameNode
	t     testing.TB
	fs    *vfs.Mem
	cfg   Config
	nodes []*fakeNode
}

// fakeNode is a datanode as the name node sees it.
type fakeNode struct {
	rig  *rig
	id   dfs.DatanodeID
	disk dfs.StorageReport
	// orders are the commands that heartbeats have brought.
	orders []control.Command
}

var ctx = context.Background()

// groupsForTests: alice and bob are ordinary, carol is in the supergroup.
var groupsForTests = StaticGroups{Table: map[string][]string{"alice": {"staff"}, "bob": {"staff", "dev"}, "carol": {"supergroup"}, "root": {"root"}, "eve": {}}}

// newRig formats and starts a name node with so many datanodes.
func newRig(t testing.TB, datanodes int, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, fs: vfs.NewMem(), cfg: Config{
		NameDirs: []string{"/name"}, Superuser: "root", Groups: groupsForTests,
		SafeMode: SafeModeConfig{Extension: -1},
		Files:    FileConfig{MinBlockSize: 512, Defaults: dfs.ServerDefaults{BlockSize: 1 << 20}},
		Durable:  DurableConfig{FillChunk: -1},
	}}
	r.cfg.FS = r.fs
	for _, c := range change {
		c(&r.cfg)
	}
	_, err := Format(r.cfg.FS, r.cfg.NameDirs, "", false)
	require.NoError(t, err)
	r.start()
	t.Cleanup(r.stop)
	for range datanodes {
		r.addNode()
	}
	return r
}

func (r *rig) start() {
	n, err := Start(ctx, r.cfg)
	require.NoError(r.t, err)
	r.NameNode = n
}

func (r *rig) stop() {
	if r.NameNode != nil {
		require.NoError(r.t, r.Close())
		r.NameNode = nil
	}
}

// restart stops the name node and starts it again; its datanodes register but have not
// reported what they hold.
func (r *rig) restart() {
	r.stop()
	r.start()
	for _, d := range r.nodes {
		d.register()
	}
}

// restartSame restarts and holds that what is on disk is the state that was in memory.
func (r *rig) restartSame() {
	digest := r.ns.Digest()
	r.stop()
	ns := namespace.New(namespace.Options{})
	j, err := journal.Open(ctx, journal.Options{FS: r.cfg.FS, Dirs: r.cfg.NameDirs, Machine: machine{&NameNode{ns: ns}}, NoFinalCheckpoint: true, FillChunk: -1})
	require.NoError(r.t, err)
	require.Equal(r.t, digest, ns.Digest())
	require.NoError(r.t, j.Close())
	r.start()
	for _, d := range r.nodes {
		d.register()
	}
}

func (r *rig) addNode() *fakeNode {
	i := len(r.nodes) + 1
	d := &fakeNode{rig: r, id: dfs.DatanodeID{UUID: fmt.Sprintf("dn-%d", i), IP: fmt.Sprintf("10.0.0.%d", i), Host: fmt.Sprintf("host%d", i), XferPort: 9866, IPCPort: 9867},
		disk: dfs.StorageReport{UUID: fmt.Sprintf("ds-%d", i), Type: dfs.StorageDisk, Capacity: 1 << 40, Remaining: 1 << 40}}
	r.nodes = append(r.nodes, d)
	d.register()
	d.report()
	return d
}

func (d *fakeNode) register() {
	_, err := d.rig.Register(ctx, &control.RegisterRequest{Node: d.id, Cluster: d.rig.Info(), Storages: []dfs.StorageReport{d.disk}})
	require.NoError(d.rig.t, err)
	d.beat()
}

func (d *fakeNode) beat() {
	reply, err := d.rig.Heartbeat(ctx, &control.HeartbeatRequest{UUID: d.id.UUID, Storages: []dfs.StorageReport{d.disk}})
	require.NoError(d.rig.t, err)
	d.orders = append(d.orders, reply.Commands...)
}

var reportID atomic.Uint64

// report sends a full report of finalized replicas.
func (d *fakeNode) report(blocks ...dfs.Block) {
	req := &control.BlockReportRequest{UUID: d.id.UUID, PoolID: d.rig.Info().PoolID, Storage: d.disk.UUID, ReportID: reportID.Add(1), Parts: 1, Count: len(blocks)}
	var last dfs.BlockID
	for _, b := range blocks {
		req.Blocks = control.AppendReplica(req.Blocks, last, control.ReplicaInfo{Block: b})
		last = b.ID
	}
	_, err := d.rig.BlockReport(ctx, req)
	require.NoError(d.rig.t, err)
}

func (d *fakeNode) event(kind control.Event, b dfs.Block) {
	err := d.rig.Incremental(ctx, &control.IncrementalRequest{UUID: d.id.UUID, PoolID: d.rig.Info().PoolID,
		Events: []control.ReplicaEvent{{Event: kind, Storage: d.disk.UUID, Block: b}}})
	require.NoError(d.rig.t, err)
}

// received makes every datanode of a located block report its replica as finalized.
func (r *rig) received(lb *dfs.LocatedBlock, length int64) dfs.Block {
	b := lb.Block
	b.Length = length
	for _, loc := range lb.Locs {
		r.node(loc.Node.UUID).event(control.EventReceived, b)
	}
	return b
}

func (r *rig) node(uuid string) *fakeNode {
	for _, d := range r.nodes {
		if d.id.UUID == uuid {
			return d
		}
	}
	r.t.Fatalf("no datanode %s", uuid)
	return nil
}

// by is a caller.
func by(user string) *dfs.Caller {
	return &dfs.Caller{User: user, Addr: netip.MustParseAddr("10.0.0.1"), Protocol: "rpc"}
}

// once is a caller whose call can be recognised when it is repeated.
func once(user string, id int32) *dfs.Caller {
	c := by(user)
	c.ID = dfs.CallID{Client: [16]byte{1, 2, 3}, Call: id}
	return c
}

func newFile(p, holder string) *dfs.CreateRequest {
	return &dfs.CreateRequest{Path: p, Mode: 0o644, Holder: holder, Flags: dfs.CreateFlagCreate, CreateParent: true, Replication: 3, BlockSize: 1 << 20}
}

func (r *rig) create(user, p, holder string) *dfs.FileStatus {
	r.t.Helper()
	st, err := r.Create(ctx, by(user), newFile(p, holder))
	require.NoError(r.t, err)
	return st
}

func (r *rig) addBlock(p, holder string, previous *dfs.Block) *dfs.LocatedBlock {
	r.t.Helper()
	lb, err := r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: p, Holder: holder, Previous: previous})
	require.NoError(r.t, err)
	return lb
}

// write makes a closed file of blocks of these lengths.
func (r *rig) write(p string, lengths ...int64) []dfs.Block {
	r.t.Helper()
	r.create("root", p, "writer")
	var blocks []dfs.Block
	var previous *dfs.Block
	for _, l := range lengths {
		b := r.received(r.addBlock(p, "writer", previous), l)
		blocks, previous = append(blocks, b), &b
	}
	done, err := r.Complete(ctx, by("root"), p, "writer", previous, 0)
	require.NoError(r.t, err)
	require.True(r.t, done)
	return blocks
}

func (r *rig) mkdir(user, p string, mode dfs.Mode) {
	r.t.Helper()
	ok, err := r.Mkdirs(ctx, by(user), p, mode, true)
	require.NoError(r.t, err)
	require.True(r.t, ok)
}

func (r *rig) stat(p string) *dfs.FileStatus {
	r.t.Helper()
	st, err := r.FileInfo(by("root"), p, true)
	require.NoError(r.t, err)
	return st
}

func (r *rig) exists(p string) bool { r.t.Helper(); return r.stat(path.Clean(p)) != nil }
