package datanode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

var testCluster = dfs.ClusterInfo{ClusterID: "CID-test", PoolID: "BP-1-127.0.0.1-1", NamespaceID: 1}

// fakeNameNode is a name node that believes everything and remembers it.
type fakeNameNode struct {
	addr string
	stop func()

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at every change
	cluster    dfs.ClusterInfo
	nodes      map[string]dfs.DatanodeID
	registered map[string]int // registrations by UUID
	reports    map[string]int // full reports by UUID
	replicas   map[string]map[dfs.BlockID]control.ReplicaInfo
	events     []control.ReplicaEvent
	bad        []dfs.BadBlock
	commits    []control.CommitSyncRequest
	commands   map[string][]control.Command
	failed     map[string][]string
	folds      []control.FoldDoneRequest
	sources    map[dfs.BlockID]*control.SourcesReply
	untakable  map[dfs.BlockID]error
	asked      int   // for sources
	refuse     error // of Register
	silent     error // of Incremental
}

func startNameNode(t testing.TB, addr string) *fakeNameNode {
	nn := &fakeNameNode{
		cluster: testCluster, changed: make(chan struct{}), nodes: map[string]dfs.DatanodeID{}, registered: map[string]int{}, reports: map[string]int{},
		replicas: map[string]map[dfs.BlockID]control.ReplicaInfo{}, commands: map[string][]control.Command{}, failed: map[string][]string{}, sources: map[dfs.BlockID]*control.SourcesReply{},
	}
	nn.serve(t, addr)
	return nn
}

func (nn *fakeNameNode) serve(t testing.TB, addr string) {
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	srv := &hadooprpc.Server{}
	control.HandleNameNode(srv, nn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	nn.addr = l.Addr().String()
	var once sync.Once
	nn.stop = func() {
		once.Do(func() {
			_ = srv.Close()
			<-done
		})
	}
	t.Cleanup(nn.stop)
}

func (nn *fakeNameNode) update(fn func()) {
	nn.mu.Lock()
	defer nn.mu.Unlock()
	fn()
	close(nn.changed)
	nn.changed = make(chan struct{})
}

// wait returns when cond, which runs under the lock, holds.
func (nn *fakeNameNode) wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		nn.mu.Lock()
		ok, changed := cond(), nn.changed
		nn.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (nn *fakeNameNode) Handshake(context.Context, *control.HandshakeRequest) (*control.HandshakeReply, error) {
	nn.mu.Lock()
	defer nn.mu.Unlock()
	return &control.HandshakeReply{Cluster: nn.cluster, HeartbeatMS: 20, ReportMS: 3_600_000}, nil
}

func (nn *fakeNameNode) Register(_ context.Context, q *control.RegisterRequest) (*control.RegisterReply, error) {
	nn.mu.Lock()
	err := nn.refuse
	nn.mu.Unlock()
	if err != nil {
		return nil, err
	}
	nn.update(func() {
		nn.nodes[q.Node.UUID] = q.Node
		nn.registered[q.Node.UUID]++
	})
	return &control.RegisterReply{Node: q.Node, Location: "/default-rack"}, nil
}

func (nn *fakeNameNode) Heartbeat(_ context.Context, q *control.HeartbeatRequest) (*control.HeartbeatReply, error) {
	reply := &control.HeartbeatReply{Active: true}
	nn.update(func() {
		if nn.registered[q.UUID] == 0 {
			reply.Commands = []control.Command{{Kind: control.CmdRegister}}
			return
		}
		nn.failed[q.UUID] = q.FailedVolumes
		reply.Commands = nn.commands[q.UUID]
		nn.commands[q.UUID] = nil
	})
	return reply, nil
}

func (nn *fakeNameNode) BlockReport(_ context.Context, q *control.BlockReportRequest) (*control.BlockReportReply, error) {
	var got []control.ReplicaInfo
	err := control.DecodeReplicas(q.Blocks, q.Count, func(r control.ReplicaInfo) error { got = append(got, r); return nil })
	nn.update(func() {
		if q.Part == 0 {
			nn.replicas[q.Storage] = map[dfs.BlockID]control.ReplicaInfo{}
		}
		for _, r := range got {
			nn.replicas[q.Storage][r.Block.ID] = r
		}
		if q.Part == q.Parts-1 {
			nn.reports[q.UUID]++
		}
	})
	return &control.BlockReportReply{}, err
}

func (nn *fakeNameNode) Incremental(_ context.Context, q *control.IncrementalRequest) error {
	nn.mu.Lock()
	err := nn.silent
	nn.mu.Unlock()
	if err == nil {
		nn.update(func() { nn.events = append(nn.events, q.Events...) })
	}
	return err
}

func (nn *fakeNameNode) BadBlocks(_ context.Context, q *control.BadBlocksRequest) error {
	nn.update(func() { nn.bad = append(nn.bad, q.Blocks...) })
	return nil
}

func (nn *fakeNameNode) CommitSync(_ context.Context, q *control.CommitSyncRequest) error {
	nn.update(func() { nn.commits = append(nn.commits, *q) })
	return nil
}

func (nn *fakeNameNode) FoldDone(_ context.Context, q *control.FoldDoneRequest) error {
	nn.update(func() { nn.folds = append(nn.folds, *q) })
	return nil
}

func (nn *fakeNameNode) MayTake(_ context.Context, q *control.MayTakeRequest) (err error) {
	nn.update(func() { err = nn.untakable[q.Block.ID] })
	return err
}

func (nn *fakeNameNode) Sources(_ context.Context, q *control.SourcesRequest) (*control.SourcesReply, error) {
	var reply *control.SourcesReply
	nn.update(func() {
		nn.asked++
		reply = nn.sources[q.Block.ID]
	})
	if reply == nil {
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "%v is in no parity group", q.Block)
	}
	return reply, nil
}

func (nn *fakeNameNode) command(uuid string, c control.Command) {
	nn.update(func() { nn.commands[uuid] = append(nn.commands[uuid], c) })
}

// received counts RECEIVED events of a block with this stamp and length.
func (nn *fakeNameNode) receivedLocked(b dfs.Block) int {
	n := 0
	for _, e := range nn.events {
		if e.Event == control.EventReceived && e.Block == b {
			n++
		}
	}
	return n
}

// node is a datanode under test and its disk.
type node struct {
	*DataNode
	fs  *vfs.Mem
	cfg Config
}

func testConfig(fs vfs.FS, nn ...string) Config {
	return Config{
		FS: fs, NameNodes: nn, Superuser: "test", Volumes: []blockstore.VolumeConfig{{Dir: "/d1"}, {Dir: "/d2"}},
		Limits:   Limits{ScrubBandwidth: -1},
		Timeouts: Timeouts{Visible: 40 * time.Millisecond},
	}
}

func startNode(t testing.TB, cfg Config) *node {
	t.Helper()
	dn, err := Start(context.Background(), cfg)
	require.NoError(t, err)
	n := &node{DataNode: dn, cfg: cfg}
	n.fs, _ = cfg.FS.(*vfs.Mem)
	t.Cleanup(func() { require.NoError(t, dn.Close()) })
	select {
	case <-dn.Ready():
	case <-dn.Done():
		t.Fatalf("datanode stopped: %v", dn.Err())
	case <-time.After(patience):
		t.Fatal("datanode not ready")
	}
	return n
}

// restart stops a datanode and starts another on its disk.
func (n *node) restart(t *testing.T) *node {
	require.NoError(t, n.Close())
	return startNode(t, n.cfg)
}

func (n *node) target() datatransfer.Target { return datatransfer.Target{Node: n.ID()} }

// startCluster starts a fake name node and n datanodes.
func startCluster(t *testing.T, n int) (*fakeNameNode, []*node) {
	nn := startNameNode(t, "127.0.0.1:0")
	var nodes []*node
	for range n {
		nodes = append(nodes, startNode(t, testConfig(vfs.NewMem(), nn.addr)))
	}
	return nn, nodes
}

var lastBlock = struct {
	sync.Mutex
	id dfs.BlockID
}{id: dfs.FirstBlockID}

func newBlock() dfs.Block {
	lastBlock.Lock()
	defer lastBlock.Unlock()
	lastBlock.id++
	return dfs.Block{ID: lastBlock.id, GenStamp: dfs.FirstGenStamp}
}

// pattern gives n bytes that differ from place to place and seed to seed.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// testPipe is a client's end of a write pipeline.
type testPipe struct {
	t     *testing.T
	c     *datatransfer.Conn
	seqno int64
	off   int64
}

func dialNode(t *testing.T, n *node) *datatransfer.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", n.TransferAddr().String())
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = nc.Close() })
	return datatransfer.NewConn(nc)
}

func writeRequest(b dfs.Block, stage datatransfer.Stage, nodes []*node) *datatransfer.WriteRequest {
	q := &datatransfer.WriteRequest{
		Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Client: "test", Stage: stage,
		PipelineSize: uint32(len(nodes)), Checksum: datatransfer.DefaultChecksum,
	}
	for _, n := range nodes[1:] {
		q.Targets = append(q.Targets, n.target())
	}
	return q
}

// openPipe sets a pipeline up and requires that it works.
func openPipe(t *testing.T, q *datatransfer.WriteRequest, nodes []*node) *testPipe {
	t.Helper()
	p := &testPipe{t: t, c: dialNode(t, nodes[0])}
	resp, err := p.c.Call(q)
	require.NoError(t, err)
	require.NoError(t, resp.Err())
	return p
}

func (p *testPipe) send(data []byte, h datatransfer.Header) {
	p.t.Helper()
	h.Offset, h.Seqno = p.off, p.seqno
	_, err := p.c.Write(datatransfer.DefaultChecksum.AppendData(nil, &h, data))
	require.NoError(p.t, err)
	p.off += int64(len(data))
	p.seqno++
}

func (p *testPipe) ack() *datatransfer.Ack {
	p.t.Helper()
	var a datatransfer.Ack
	require.NoError(p.t, p.c.ReadAck(&a))
	return &a
}

// packet sends data and waits until all have it.
func (p *testPipe) packet(data []byte) {
	p.t.Helper()
	p.send(data, datatransfer.Header{})
	a := p.ack()
	require.Equal(p.t, p.seqno-1, a.Seqno)
	require.True(p.t, a.AllSuccess(), "%v", a.Replies)
}

// finish sends the last packet and waits until all have the block.
func (p *testPipe) finish() {
	p.t.Helper()
	p.send(nil, datatransfer.Header{Last: true})
	a := p.ack()
	require.True(p.t, a.AllSuccess(), "%v", a.Replies)
	_, err := p.c.ReadStatus()
	require.ErrorIs(p.t, err, io.EOF, "the datanode closes the connection")
}

// writeBlock writes a whole block through a pipeline.
func writeBlock(t *testing.T, b dfs.Block, data []byte, nodes []*node) dfs.Block {
	t.Helper()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 64512)
		p.packet(rest[:n])
		rest = rest[n:]
	}
	p.finish()
	b.Length = int64(len(data))
	return b
}

// tryRead reads a range of a block.
func tryRead(t *testing.T, n *node, b dfs.Block, off, length int64, plain bool) ([]byte, error) {
	t.Helper()
	c := dialNode(t, n)
	defer c.Close()
	return readOn(c, b, off, length, plain)
}

func readOn(c *datatransfer.Conn, b dfs.Block, off, length int64, plain bool) ([]byte, error) {
	br, err := c.StartRead(&datatransfer.ReadRequest{
		Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Client: "test", Offset: off, Length: length, NoChecksums: plain,
	})
	if err != nil {
		return nil, err
	}
	var got []byte
	for {
		p, err := br.Next()
		if err == io.EOF {
			return got, br.Finish()
		}
		if err != nil {
			return got, err
		}
		got = append(got, p...)
	}
}

func requireBlock(t *testing.T, n *node, b dfs.Block, want []byte) {
	t.Helper()
	got, err := tryRead(t, n, b, 0, int64(len(want)), false)
	require.NoError(t, err)
	require.True(t, string(want) == string(got), "block %v differs at %s", b, firstDiff(want, got))
}

func firstDiff(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("byte %d of %d/%d", i, len(a), len(b))
		}
	}
	return fmt.Sprintf("lengths %d and %d", len(a), len(b))
}

// blockFiles lists the files of a block on a node's disk.
func blockFiles(t *testing.T, fs vfs.FS, id dfs.BlockID) (found []string) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := fs.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			name := dir + "/" + e.Name
			if e.Dir {
				walk(name)
			} else if e.Name == id.String() || strings.HasPrefix(e.Name, id.String()+"_") {
				found = append(found, name)
			}
		}
	}
	walk("/d1")
	walk("/d2")
	return found
}

// damage flips a byte of a block's data file.
func damage(t *testing.T, fs vfs.FS, id dfs.BlockID, off int64) {
	t.Helper()
	for _, name := range blockFiles(t, fs, id) {
		if !strings.HasSuffix(name, id.String()) {
			continue
		}
		f, err := fs.OpenWrite(name)
		require.NoError(t, err)
		var b [1]byte
		_, err = f.ReadAt(b[:], off)
		require.True(t, err == nil || errors.Is(err, io.EOF))
		b[0] ^= 0x40
		_, err = f.WriteAt(b[:], off)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		return
	}
	t.Fatalf("no data file of %v", id)
}

func newMem() *vfs.Mem { return vfs.NewMem() }

// visible asks a node's RPC port for a replica's visible length, as readers do.
func visible(t *testing.T, n *node, b dfs.Block) int64 {
	t.Helper()
	conn, err := hadooprpc.Dial(t.Context(), n.IPCAddr().String(), hadooprpc.Options{User: "test", Protocol: hdfspb.ClientDatanodeProtocol})
	require.NoError(t, err)
	defer conn.Close()
	pool, id, gs := testCluster.PoolID, uint64(b.ID), uint64(b.GenStamp)
	var resp hdfspb.GetReplicaVisibleLengthResponse
	err = conn.Call(t.Context(), hadooprpc.Target{Protocol: hdfspb.ClientDatanodeProtocol, Version: 1, Method: "getReplicaVisibleLength"},
		&hdfspb.GetReplicaVisibleLengthRequest{Block: &hdfspb.ExtendedBlock{PoolId: &pool, BlockId: &id, GenerationStamp: &gs}}, &resp)
	require.NoError(t, err)
	return int64(resp.GetLength())
}
