package datanode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func TestFullReportAfterRestart(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	n := nodes[0]
	n.cfg.Limits.ReportReplicas = 3 // several parts
	want := map[dfs.BlockID]dfs.Block{}
	for i := range 10 {
		b := writeBlock(t, newBlock(), pattern(100+i, 1), nodes)
		want[b.ID] = b
	}
	open := newBlock()
	p := openPipe(t, writeRequest(open, datatransfer.StageSetupCreate, nodes), nodes)
	p.packet(make([]byte, 600))
	uuid := n.ID().UUID
	n = n.restart(t)
	require.Equal(t, uuid, n.ID().UUID, "the identity is on disk")
	got := map[dfs.BlockID]control.ReplicaInfo{}
	nn.mu.Lock()
	defer nn.mu.Unlock()
	for _, v := range n.Volumes() {
		for id, r := range nn.replicas[v.Storage] {
			got[id] = r
		}
	}
	require.Len(t, got, 11)
	for id, b := range want {
		require.Equal(t, control.ReplicaInfo{Block: b, State: dfs.ReplicaFinalized}, got[id])
	}
	require.Equal(t, dfs.ReplicaRWR, got[open.ID].State)
	require.Equal(t, int64(600), got[open.ID].Block.Length)
}

// A name node that was away, or that has forgotten everything, gets a new registration and a
// full report, and what happened meanwhile is not lost.
func TestNameNodeRestarts(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	uuid := nodes[0].ID().UUID
	nn.stop()
	b := writeBlock(t, newBlock(), pattern(1000, 1), nodes) // serves on without it
	fresh := startNameNode(t, nn.addr)
	fresh.wait(t, "registration and report", func() bool { return fresh.registered[uuid] == 1 && fresh.reports[uuid] >= 1 })
	fresh.wait(t, "the block", func() bool {
		for _, rs := range fresh.replicas {
			if _, ok := rs[b.ID]; ok {
				return true
			}
		}
		return false
	})
}

// A replica that an order is about to remove is not reported to a name node that does not
// know of the order: it could let go of another one because of it.
func TestRegistersWhenRemovalsAreDone(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	n := nodes[0]
	uuid := n.ID().UUID
	b := writeBlock(t, newBlock(), pattern(1000, 1), nodes)
	n.state.removals.begin() // as if the removal's turn had not come yet
	nn.stop()
	fresh := startNameNode(t, nn.addr)
	waits := func() bool {
		n.state.removals.mu.Lock()
		defer n.state.removals.mu.Unlock()
		return n.state.removals.idle != nil
	}
	require.Eventually(t, waits, patience, time.Millisecond)
	fresh.update(func() { require.Zero(t, fresh.registered[uuid]) })
	n.invalidate([]dfs.Block{b})
	n.state.removals.end()
	fresh.wait(t, "registration and report", func() bool { return fresh.registered[uuid] == 1 && fresh.reports[uuid] >= 1 })
	fresh.update(func() {
		for _, replicas := range fresh.replicas {
			require.NotContains(t, replicas, b.ID)
		}
	})
}

// Incremental reports that fail are sent again, in order.
func TestReportsAreNotLost(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	nn.update(func() { nn.silent = errors.New("not now") })
	var want []dfs.Block
	for i := range 5 {
		want = append(want, writeBlock(t, newBlock(), pattern(100+i, 1), nodes))
	}
	nn.update(func() { nn.silent = nil })
	nn.wait(t, "all events", func() bool { return len(nn.events) == 10 })
	var got []dfs.Block
	for _, e := range nn.events {
		if e.Event == control.EventReceived {
			got = append(got, e.Block)
		}
	}
	require.Equal(t, want, got)
}

func TestCommands(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	n := nodes[0]
	uuid := n.ID().UUID
	b := writeBlock(t, newBlock(), pattern(1000, 1), nodes)
	nn.command(uuid, control.Command{Kind: control.CmdInvalidate, PoolID: "BP-foreign", Blocks: []dfs.Block{b}})
	nn.command(uuid, control.Command{Kind: control.CommandKind(99)})
	nn.command(uuid, control.Command{Kind: control.CmdReport})
	nn.wait(t, "second report", func() bool { return nn.reports[uuid] >= 4 })
	requireBlock(t, n, b, pattern(1000, 1))
	nn.command(uuid, control.Command{Kind: control.CmdInvalidate, PoolID: testCluster.PoolID, Blocks: []dfs.Block{b}})
	nn.wait(t, "DELETED", func() bool {
		return len(nn.events) > 0 && nn.events[len(nn.events)-1].Event == control.EventDeleted && nn.events[len(nn.events)-1].Block.ID == b.ID
	})
	require.Empty(t, blockFiles(t, n.fs, b.ID))
	nn.command(uuid, control.Command{Kind: control.CmdRegister})
	nn.wait(t, "second registration", func() bool { return nn.registered[uuid] == 2 })
	nn.command(uuid, control.Command{Kind: control.CmdShutdown})
	<-n.Done()
	require.ErrorIs(t, n.Err(), ErrShutdown)
}

// A datanode whose volumes belong to another cluster must not serve or register, and says why.
func TestForeignCluster(t *testing.T) {
	_, nodes := startCluster(t, 1)
	n := nodes[0]
	require.NoError(t, n.Close())
	other := startNameNode(t, "127.0.0.1:0")
	other.cluster.ClusterID, other.cluster.PoolID = "CID-other", "BP-other"
	n.cfg.NameNodes = []string{other.addr}
	dn, err := Start(t.Context(), n.cfg)
	require.NoError(t, err)
	<-dn.Done()
	require.ErrorContains(t, dn.Err(), "CID-other")
	require.Empty(t, other.registered)

	// The cluster behind the address changes while the datanode runs.
	nn := startNameNode(t, "127.0.0.1:0")
	m := startNode(t, testConfig(newMem(), nn.addr))
	nn.update(func() { nn.cluster.ClusterID = "CID-changed"; clear(nn.registered) })
	<-m.Done()
	require.ErrorContains(t, m.Err(), "CID-changed")
}

func TestRefusedByNameNode(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	nn.refuse = dfs.Errorf(dfs.DisallowedDatanode, "Datanode denied communication with namenode")
	dn, err := Start(t.Context(), testConfig(newMem(), nn.addr))
	require.NoError(t, err)
	<-dn.Done()
	require.ErrorContains(t, dn.Err(), "denied communication")
}

// A damaged block is found by the reader, the writer of the message, or the scrub, and reported.
func TestDamageIsReported(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	n := nodes[0]
	data := pattern(200_000, 1)
	reported := func(b dfs.Block) func() bool {
		return func() bool {
			for _, bad := range nn.bad {
				if bad.Block.ID == b.ID && bad.Nodes[0].UUID == n.ID().UUID && bad.Storages[0] != "" {
					return true
				}
			}
			return false
		}
	}
	b := writeBlock(t, newBlock(), data, nodes)
	damage(t, n.fs, b.ID, 150_000)
	c := dialNode(t, n)
	_, err := readOn(c, b, 0, 200_000, false)
	require.True(t, dfs.Is(err, dfs.Corrupt), "the reader sees it: %v", err)
	c = dialNode(t, n)
	br, err := c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Length: 10})
	require.NoError(t, err)
	_, err = br.Next()
	require.NoError(t, err)
	require.NoError(t, br.Reject())
	nn.wait(t, "report after the reader's complaint", reported(b))

	b = writeBlock(t, newBlock(), data, nodes)
	damage(t, n.fs, b.ID, 150_000)
	_, err = tryRead(t, n, b, 0, 200_000, true)
	require.True(t, dfs.Is(err, dfs.Corrupt), "without checksums the datanode itself must check, and say so: %v", err)
	nn.wait(t, "report after its own check", reported(b))

	b = writeBlock(t, newBlock(), data, nodes)
	damage(t, n.fs, b.ID, 150_000)
	n.cfg.Limits.ScrubBandwidth = 1 << 40
	n = n.restart(t)
	nn.wait(t, "report of the scrub", reported(b))
}

func TestVolumeFailure(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	good, bad := newMem(), newMem()
	cfg := testConfig(good, nn.addr)
	cfg.Volumes = []blockstore.VolumeConfig{{Dir: "/d1"}, {Dir: "/d2", FS: bad}}
	n := startNode(t, cfg)
	bad.StopAfter(0)
	written := 0
	for range 10 { // some go to the bad volume and fail
		b := newBlock()
		p := &testPipe{t: t, c: dialNode(t, n)}
		resp, err := p.c.Call(writeRequest(b, datatransfer.StageSetupCreate, []*node{n}))
		if err == nil && resp.Err() == nil {
			p.packet([]byte("x"))
			p.finish()
			written++
		}
	}
	require.Positive(t, written)
	nn.wait(t, "failed volume in a heartbeat", func() bool { return len(nn.failed[n.ID().UUID]) == 1 && nn.failed[n.ID().UUID][0] == "/d2" })
	require.NoError(t, n.Err())

	good.StopAfter(0)
	resp, err := dialNode(t, n).Call(writeRequest(newBlock(), datatransfer.StageSetupCreate, []*node{n}))
	require.True(t, err != nil || resp.Err() != nil)
	<-n.Done()
	require.Error(t, n.Err(), "nothing is left to serve")
}

// A disk that is pulled out is noticed without anybody reading or writing.
func TestVolumePulledWhileIdle(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	good, bad := newMem(), newMem()
	cfg := testConfig(good, nn.addr)
	cfg.Volumes = []blockstore.VolumeConfig{{Dir: "/d1"}, {Dir: "/d2", FS: bad}}
	n := startNode(t, cfg)
	bad.StopAfter(0)
	_ = bad.SyncDir("/") // the step at which it stops
	nn.wait(t, "failed volume in a heartbeat", func() bool { return len(nn.failed[n.ID().UUID]) == 1 && nn.failed[n.ID().UUID][0] == "/d2" })
	require.NoError(t, n.Err())
	good.StopAfter(0)
	_ = good.SyncDir("/")
	<-n.Done()
	require.ErrorContains(t, n.Err(), "no volume is left")
}

func TestDiskFull(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	mem := newMem()
	n := startNode(t, testConfig(mem, nn.addr))
	mem.SetCapacity(1 << 20)
	b := newBlock()
	b.Length = 128 << 20
	resp, err := dialNode(t, n).Call(writeRequest(b, datatransfer.StageSetupCreate, []*node{n}))
	require.NoError(t, err)
	require.Error(t, resp.Err())
	require.Empty(t, resp.FirstBadLink)
}

func TestBlockChecksums(t *testing.T) {
	_, nodes := startCluster(t, 1)
	data := pattern(100_000, 1)
	b := writeBlock(t, newBlock(), data, nodes)
	c := dialNode(t, nodes[0])
	ref := datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}
	resp, err := c.Call(&datatransfer.ChecksumRequest{Block: ref})
	require.NoError(t, err)
	require.Len(t, resp.Checksum.Sum, 16)
	require.Equal(t, uint32(512), resp.Checksum.BytesPerCRC)
	require.Equal(t, dfs.ChecksumCRC32C, resp.Checksum.Type)
	resp, err = c.Call(&datatransfer.ChecksumRequest{Block: ref, Kind: datatransfer.ChecksumComposite})
	require.NoError(t, err)
	whole := make([]byte, 4)
	datatransfer.Checksum{Type: dfs.ChecksumCRC32C, BytesPer: 1 << 20}.Fill(whole, data)
	require.Equal(t, whole, resp.Checksum.Sum)
	ref.ID = newBlock().ID
	_, err = c.Call(&datatransfer.ChecksumRequest{Block: ref})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "no answer at all: a known client would digest an error")
}

// Clients that send garbage or vanish half-way harm nobody else.
func TestGarbageClients(t *testing.T) {
	_, nodes := startCluster(t, 2)
	n := nodes[0]
	rng := rand.New(rand.NewPCG(1, 1))
	good, err := datatransfer.AppendRequest(nil, writeRequest(newBlock(), datatransfer.StageSetupCreate, nodes))
	require.NoError(t, err)
	for i := range 200 {
		nc, err := net.Dial("tcp", n.TransferAddr().String())
		require.NoError(t, err)
		msg := bytes.Clone(good[:rng.IntN(len(good)+1)])
		if i%2 == 0 {
			msg = make([]byte, rng.IntN(3000))
			for j := range msg {
				msg[j] = byte(rng.Uint32())
			}
			copy(msg, []byte{0, 28, []byte{80, 81, 85, 86, 83, 127, 1, 90}[i/2%8]}[:min(3, len(msg))])
		}
		_, _ = nc.Write(msg) // the datanode may have closed already
		require.NoError(t, nc.Close())
	}
	data := pattern(10_000, 1)
	b := writeBlock(t, newBlock(), data, nodes)
	requireBlock(t, nodes[1], b, data)
	for _, op := range []byte{82, 87, 88, 89, 90, 127} {
		c := dialNode(t, n)
		_, err := c.Write([]byte{0, 28, op, 0})
		require.NoError(t, err)
		resp, err := c.ReadResponse()
		require.NoError(t, err)
		require.Equal(t, datatransfer.StatusUnsupported, resp.Status)
	}
}

func TestStreamLimit(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	cfg := testConfig(newMem(), nn.addr)
	cfg.Limits.Streams = 2
	n := startNode(t, cfg)
	a, b := dialNode(t, n), dialNode(t, n)
	for _, c := range []*datatransfer.Conn{a, b} { // both are being served
		_, err := readOn(c, newBlock(), 0, 1, false)
		require.ErrorContains(t, err, "Replica not found")
	}
	third := dialNode(t, n)
	resp, err := third.ReadResponse()
	require.NoError(t, err)
	require.ErrorContains(t, resp.Err(), "too many connections: all of the datanode's 2 streams are taken")
	_, err = third.ReadResponse()
	require.ErrorIs(t, err, io.EOF, "and it is closed")
}

func TestIPC(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	n := nodes[0]
	conn, err := hadooprpc.Dial(t.Context(), n.IPCAddr().String(), hadooprpc.Options{User: "test"})
	require.NoError(t, err)
	defer conn.Close()
	call := func(method string, q hadooprpc.Marshaler, r hadooprpc.Unmarshaler) error {
		return conn.Call(t.Context(), hadooprpc.Target{Protocol: hdfspb.ClientDatanodeProtocol, Version: 1, Method: method}, q, r)
	}
	var info hdfspb.GetDatanodeInfoResponse
	require.NoError(t, call("getDatanodeInfo", &hdfspb.Empty{}, &info))
	require.Equal(t, SoftwareVersion, info.LocalInfo.GetSoftwareVersion())
	var vols hdfspb.GetVolumeReportResponse
	require.NoError(t, call("getVolumeReport", &hdfspb.Empty{}, &vols))
	require.Len(t, vols.VolumeInfo, 2)
	reports := func() int { nn.mu.Lock(); defer nn.mu.Unlock(); return nn.reports[n.ID().UUID] }
	before := reports()
	no := false
	require.NoError(t, call("triggerBlockReport", &hdfspb.TriggerBlockReportRequest{Incremental: &no}, nil))
	nn.wait(t, "report", func() bool { return nn.reports[n.ID().UUID] > before })
	pool, id, gs := testCluster.PoolID, uint64(12345), uint64(1)
	var remote *hadooprpc.RemoteError
	err = call("getReplicaVisibleLength", &hdfspb.GetReplicaVisibleLengthRequest{Block: &hdfspb.ExtendedBlock{PoolId: &pool, BlockId: &id, GenerationStamp: &gs}}, nil)
	require.ErrorAs(t, err, &remote)
	require.Equal(t, "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException", remote.Class)
	require.ErrorAs(t, call("noSuchThing", &hdfspb.Empty{}, nil), &remote)
	require.Equal(t, hadooprpc.ErrorNoSuchMethod, remote.Detail)
	up := false
	require.NoError(t, call("shutdownDatanode", &hdfspb.ShutdownDatanodeRequest{ForUpgrade: &up}, nil))
	<-n.Done()
}

func TestHTTP(t *testing.T) {
	_, nodes := startCluster(t, 1)
	writeBlock(t, newBlock(), pattern(1000, 1), nodes)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		resp, err := client.Get("http://" + nodes[0].HTTPAddr().String() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	code, body := get("/healthz")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	_, body = get("/metrics")
	require.Contains(t, body, "redoubt_datanode_written_bytes_total 1000")
	require.Contains(t, body, `redoubt_datanode_volume_failed{dir="/d1"} 0`)
	code, _ = get("/debug/pprof/")
	require.Equal(t, 404, code, "pprof is off unless asked for")
}

func TestConfigErrors(t *testing.T) {
	err := (&Config{NameNodes: []string{"nohost"}, Listen: Addresses{Transfer: "x", IP: "name"}, Timeouts: Timeouts{Read: -1}, Reserved: -1}).Validate()
	for _, part := range []string{"no file system", "no volumes", "nohost", `transfer address "x"`, "literal", "read timeout", "reserved"} {
		require.ErrorContains(t, err, part)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	cfg := testConfig(newMem(), "127.0.0.1:1")
	cfg.Listen.HTTP = l.Addr().String()
	_, err = Start(context.Background(), cfg)
	require.ErrorContains(t, err, l.Addr().String(), "a busy port is named")
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newThrottle(1000)
		start := time.Now()
		for range 50 {
			require.NoError(t, limit.wait(t.Context(), 100))
		}
		took := time.Since(start) // 5000 bytes, the last 100 not waited for, a tenth of a second ahead
		require.InDelta(t, 4.8, took.Seconds(), 0.01)
		var none *throttle
		require.NoError(t, none.wait(t.Context(), 1<<40))
		require.NoError(t, newThrottle(0).wait(t.Context(), 1<<40))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, limit.wait(ctx, 1<<20))
	})
}

// Without any name node Close still ends everything at once.
func TestCloseBeforeNameNode(t *testing.T) {
	dn, err := Start(context.Background(), testConfig(vfs.NewMem(), "127.0.0.1:1"))
	require.NoError(t, err)
	require.Nil(t, dn.Volumes())
	start := time.Now()
	require.NoError(t, dn.Close())
	require.NoError(t, dn.Err())
	require.Less(t, time.Since(start), 5*time.Second)
}
