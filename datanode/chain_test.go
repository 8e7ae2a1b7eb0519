package datanode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/internal/slownet"
	"redoubt/raid"
	"redoubt/vfs/slowfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// Over a chain every datanode takes in the range once, however many members there are.
func TestChain(t *testing.T) {
	g := degradedGroup(t, 1, []datatransfer.Checksum{ieee512, ieee512, odd1000}, 900_000, 900_000, 700_000, 900_000, 900_001)
	p := g.p()
	got, err := tryRead(t, p, g.blocks[1], 100_000, 800_000, false)
	require.NoError(t, err)
	require.Equal(t, string(g.data[1][100_000:]), string(got))
	links := 0.0
	for i, n := range g.nodes {
		in := value(n.groups.metrics.remoteBytes)
		require.LessOrEqual(t, in, 801_000.0, "node %d", i)
		links += value(n.groups.metrics.links)
		require.Zero(t, value(n.groups.metrics.broken))
	}
	require.EqualValues(t, 3, links, "of members 0, 2 and 3; 4 is read by 3")
	require.EqualValues(t, 800_160, value(p.groups.metrics.degradedBytes), "from the start of the chunk")
	require.EqualValues(t, 1, value(p.groups.metrics.degraded))
}

// The longest chain: a group of the most members, all on nodes of their own.
func TestLongestChain(t *testing.T) {
	lengths := make([]int, raid.MaxData)
	for i := range lengths {
		lengths[i] = 300_000 + 1000*i
	}
	g := degradedGroup(t, 7, nil, lengths...)
	requireBlock(t, g.p(), g.blocks[7], g.data[7])
	require.Empty(t, g.order(g.p(), g.rebuild(7)).Err)
	requireBlock(t, g.p(), g.blocks[7], g.data[7])
	for i, n := range g.nodes {
		require.Zero(t, value(n.groups.metrics.broken))
		require.LessOrEqual(t, value(n.groups.metrics.remoteBytes), 2*307_000.0, "node %d", i)
	}
}

// A chain whose parts are missing, damaged or down is given up where it breaks: the
// sources that can be read are, each by itself.
func TestChainBreaks(t *testing.T) {
	const n = 2_000_000
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, g *testGroup)
		fails bool // the read
		whole bool // the chain
	}{
		{"a member has moved", func(t *testing.T, g *testGroup) {
			g.write(g.blocks[2], g.data[2], datatransfer.DefaultChecksum, g.nodes[1])
			g.remove(g.nodes[2], g.blocks[2])
			g.nn.update(func() {
				s := g.nn.sources[g.blocks[1].ID].Sources
				s[1].Targets = append(s[1].Targets, targetOf(g.nodes[1]))
			})
		}, false, true},
		{"down, and there is another", func(t *testing.T, g *testGroup) {
			g.write(g.blocks[3], g.data[3], datatransfer.DefaultChecksum, g.nodes[1])
			require.NoError(t, g.nodes[3].Close())
			g.nn.update(func() {
				s := g.nn.sources[g.blocks[1].ID].Sources
				s[2].Targets = append(s[2].Targets, targetOf(g.nodes[1]))
				s[1], s[2] = s[2], s[1]
			})
		}, false, false},
		{"damaged", func(t *testing.T, g *testGroup) { damage(t, g.nodes[2].fs, g.blocks[2].ID, n-5) }, true, false},
		{"down", func(t *testing.T, g *testGroup) { require.NoError(t, g.nodes[3].Close()) }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := degradedGroup(t, 1, nil, n, n, n, n)
			c.spoil(t, g)
			got, err := tryRead(t, g.p(), g.blocks[1], 0, n, false)
			if c.fails {
				require.Error(t, err)
				require.Equal(t, string(g.data[1][:len(got)]), string(got))
			} else {
				require.NoError(t, err)
				require.Equal(t, string(g.data[1]), string(got))
			}
			require.Equal(t, c.whole, value(g.p().groups.metrics.broken) == 0)
			requireNoSlots(t, g.p())
		})
	}
}

// cutter breaks the nth connection after it has given some bytes.
type cutter struct {
	after atomic.Int64 // bytes; negative: never
	cuts  atomic.Int64
}

type cutConn struct {
	net.Conn
	c    *cutter
	read int64
}

func (c *cutConn) Read(b []byte) (int, error) {
	if limit := c.c.after.Load(); limit >= 0 {
		if c.read >= limit && c.c.after.CompareAndSwap(limit, -1) {
			c.c.cuts.Add(1)
			_ = c.Conn.Close()
			return 0, errors.New("cut")
		}
		b = b[:max(1, min(int64(len(b)), limit-c.read))]
	}
	n, err := c.Conn.Read(b)
	c.read += int64(n)
	return n, err
}

func (c *cutter) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: nc, c: c}, nil
}

// A connection that breaks at any packet of a source costs nothing but time: the rebuild and
// the degraded read go on where it broke, along a chain or not.
func TestSourceDiesAtEveryPacket(t *testing.T) {
	const n = 300_000 // five packets
	nn, nodes := startCluster(t, 4)
	cut := &cutter{}
	cut.after.Store(-1)
	cfg := testConfig(newMem(), nn.addr)
	cfg.Network.Dial = cut.dial
	p := startNode(t, cfg)
	g := newGroup(t, nn, append(nodes, p), nil, n, n, n, n)
	g.fold()
	g.excess()
	g.offer(0)
	for _, length := range []int64{n, chainLeast - 1} {
		for at := int64(0); at < length+5000; at += 33_000 {
			before := cut.cuts.Load()
			cut.after.Store(at)
			got, err := tryRead(t, p, g.blocks[0], 0, length, false)
			cut.after.Store(-1)
			if cut.cuts.Load() == before {
				continue
			}
			// What dies before it has given a byte is asked once.
			if err != nil {
				require.Less(t, at, int64(64<<10), "cut at %d of %d", at, length)
				continue
			}
			require.Equal(t, string(g.data[0][:length]), string(got), "cut at %d of %d", at, length)
		}
	}
	require.Greater(t, cut.cuts.Load(), int64(10))
	for at := int64(70_000); at < n; at += 66_000 {
		cut.after.Store(at)
		done := g.order(p, g.rebuild(0))
		require.Empty(t, done.Err, "cut at %d", at)
		requireBlock(t, p, g.blocks[0], g.data[0])
		g.remove(p, g.blocks[0])
	}
	requireNoSlots(t, p)
}

func TestChainRequests(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	b := writeBlock(t, newBlock(), pattern(1000, 1), nodes)
	good := control.Source{Block: b, Targets: []control.Target{targetOf(nodes[0])}}
	elsewhere := control.Source{Block: b, Targets: []control.Target{{Node: dfs.DatanodeID{UUID: "x"}}}}
	ask := func(req control.ChainRequest) error {
		body, err := control.AppendChain(nil, &req)
		require.NoError(t, err)
		_, err = dialNode(t, nodes[0]).StartCustomRead(body, req.Offset, req.End-req.Offset)
		return err
	}
	pool := testCluster.PoolID
	require.NoError(t, ask(control.ChainRequest{PoolID: pool, End: 1000, Sources: []control.Source{good}}))
	require.NoError(t, ask(control.ChainRequest{PoolID: pool, Offset: 900, End: 1000, Sources: []control.Source{good}}))
	for text, req := range map[string]control.ChainRequest{
		"0 sources":      {PoolID: pool, End: 10},
		"from 20 to 10":  {PoolID: pool, Offset: 20, End: 10, Sources: []control.Source{good}},
		"to 1001":        {PoolID: pool, End: 1001, Sources: []control.Source{good}},
		"0 of them here": {PoolID: pool, End: 10, Sources: []control.Source{elsewhere}},
		"not here":       {PoolID: "other", End: 10, Sources: []control.Source{good}},
		"18 sources":     {PoolID: pool, End: 10, Sources: append(make([]control.Source, 17), good)},
		"no place":       {PoolID: pool, End: 10, Sources: []control.Source{good, {Block: b}, {Block: b}}},
	} {
		require.ErrorContains(t, ask(req), text)
	}
	_, err := dialNode(t, nodes[0]).StartCustomRead([]byte{9, 0}, 0, 10)
	require.ErrorContains(t, err, "unsupported version")
	_ = nn
}

// emulated is a folded group of k members on disks and links of the same rate.
func emulated(tb testing.TB, k int, rate int64, size int) (healthy, lost func() time.Duration, rebuild func() time.Duration) {
	nn := startNameNode(tb, "127.0.0.1:0")
	links := &slownet.Net{}
	var nodes []*node
	for i := range k + 2 {
		disks := map[string]*slowfs.Disk{"/d1": slowfs.NewDisk(0, 0)}
		link := links.Node(fmt.Sprint(i), 0, 0)
		cfg := testConfig(slowfs.New(newMem(), disks), nn.addr)
		cfg.Volumes = []blockstore.VolumeConfig{{Dir: "/d1"}}
		cfg.Network = Network{Listen: link.Listen, Dial: link.Dial}
		nodes = append(nodes, startNode(tb, cfg))
		defer func() {
			disks["/d1"].SetLimits(rate, time.Millisecond)
			link.SetLimits(rate, 100*time.Microsecond)
		}()
	}
	client := links.Node("client", 0, 100*time.Microsecond)
	g := &testGroup{t: tb, nn: nn, nodes: nodes}
	reply := &control.SourcesReply{Block: newBlock()}
	reply.Block.Length = int64(size)
	for i := range k { // the last source is the reader's own: the parity
		b := storeBlock(tb, nodes[i], newBlock(), pattern(size, uint64(i)))
		reply.Sources = append(reply.Sources, control.Source{Block: b, Targets: []control.Target{targetOf(nodes[i])}})
	}
	p := nodes[k-1]
	nn.update(func() { nn.sources[reply.Block.ID] = reply })
	read := func(n *node, b dfs.Block) func() time.Duration {
		return func() time.Duration {
			start := time.Now()
			nc, err := client.Dial(tb.Context(), n.TransferAddr().String())
			require.NoError(tb, err)
			require.NoError(tb, drainConn(nc, b))
			return time.Since(start)
		}
	}
	rebuild = func() time.Duration {
		at := nodes[k+1]
		cmd := control.Command{Kind: control.CmdFold, Block: reply.Block, Sources: reply.Sources}
		start := time.Now()
		_, err := at.foldOnce(tb.Context(), cmd, true)
		require.NoError(tb, err)
		took := time.Since(start)
		g.remove(at, reply.Block)
		return took
	}
	return read(nodes[0], reply.Sources[0].Block), read(p, reply.Block), rebuild
}

// On disks and links of the same rate a degraded read is nearly as fast as a healthy one,
// and a rebuild nearly as fast as a copy: without the chain they were k-1 and k times slower.
func TestDegradedRate(t *testing.T) {
	healthy, lost, rebuild := emulated(t, 4, 20e6, 6e6)
	h, l, r := healthy(), lost(), rebuild()
	t.Logf("healthy %v, degraded %v, rebuild %v", h, l, r)
	require.Less(t, l, h*2)
	require.Less(t, r, h*3)
}

func BenchmarkEmulated(b *testing.B) {
	for _, c := range []struct {
		k    int
		rate int64
		size int
	}{{2, 40e6, 16e6}, {4, 40e6, 16e6}, {8, 40e6, 16e6}, {4, 8e6, 1 << 20}} {
		healthy, lost, rebuild := emulated(b, c.k, c.rate, c.size)
		for name, run := range map[string]func() time.Duration{"healthy": healthy, "degraded": lost, "rebuild": rebuild} {
			b.Run(fmt.Sprintf("k=%d/size=%d/%s", c.k, c.size, name), func(b *testing.B) {
				b.SetBytes(int64(c.size))
				for b.Loop() {
					run()
				}
			})
		}
	}
}
