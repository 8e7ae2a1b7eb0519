package datanode

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

var (
	ieee512  = datatransfer.Checksum{Type: dfs.ChecksumCRC32, BytesPer: 512}
	odd1000  = datatransfer.Checksum{Type: dfs.ChecksumCRC32C, BytesPer: 1000}
	large64k = datatransfer.Checksum{Type: dfs.ChecksumCRC32C, BytesPer: 64 << 10}
)

// shapes are the lengths and checksums of groups that must work.
var shapes = []struct {
	name    string
	lengths []int
	sums    []datatransfer.Checksum
}{
	{"equal", []int{300_000, 300_000, 300_000, 300_000}, nil},
	{"ragged", []int{1_000_003, 512, 131_072, 131_073}, nil},
	{"one long", []int{7, 900_001, 3}, nil},
	{"empty member", []int{0, 5000}, nil},
	{"all empty", []int{0, 0}, nil},
	{"checksums", []int{700_001, 650_000, 500_000, 131_072}, []datatransfer.Checksum{ieee512, odd1000, large64k}},
	{"one", []int{200_000}, nil},
}

// A fold at P makes the parity from P's own replicas, and each block is rebuilt on another
// node from the rest as it was, its checksums included.
func TestFoldAndRebuild(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			nn, nodes := startCluster(t, len(shape.lengths)+2)
			fresh := nodes[len(nodes)-1]
			g := newGroup(t, nn, nodes[:len(nodes)-1], shape.sums, shape.lengths...)
			read := received(nodes)
			g.fold()
			require.Equal(t, read, received(nodes), "a fold reads nothing over the network")
			g.excess()
			for i, b := range g.blocks {
				md5, composite := checksums(t, g.nodes[i], b)
				done := g.order(fresh, g.rebuild(i))
				require.Empty(t, done.Err)
				require.Equal(t, b, done.Block)
				require.Equal(t, g.crcs[i], done.CRC)
				requireBlock(t, fresh, b, g.data[i])
				md5New, compositeNew := checksums(t, fresh, b)
				require.Equal(t, md5, md5New)
				require.Equal(t, composite, compositeNew)
				require.NoError(t, fresh.state.store.Verify(t.Context(), b.ID))
			}
		})
	}
}

// received counts the bytes that went over the network between datanodes.
func received(nodes []*node) (n float64) {
	for _, one := range nodes {
		n += value(one.groups.metrics.remoteBytes) + value(one.metrics.copiedBytes)
	}
	return n
}

// checksums asks a datanode for a block's two checksums.
func checksums(t *testing.T, n *node, b dfs.Block) (md5, composite *datatransfer.ChecksumResult) {
	t.Helper()
	for kind, to := range map[datatransfer.ChecksumKind]**datatransfer.ChecksumResult{datatransfer.ChecksumMD5CRC: &md5, datatransfer.ChecksumComposite: &composite} {
		resp, err := dialNode(t, n).Call(&datatransfer.ChecksumRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Kind: kind})
		require.NoError(t, err)
		require.NoError(t, resp.Err())
		*to = resp.Checksum
	}
	return md5, composite
}

// A command that comes again is answered again, also after a restart, and changes nothing.
func TestFoldAgain(t *testing.T) {
	nn, nodes := startCluster(t, 4)
	g := newGroup(t, nn, nodes, []datatransfer.Checksum{ieee512}, 200_000, 100, 50_000)
	first := g.foldCommand()
	done := g.order(g.p(), first)
	require.Empty(t, done.Err)
	require.Equal(t, done, g.order(g.p(), first))
	nodes[3] = nodes[3].restart(t)
	require.Equal(t, done, g.order(g.p(), first))
	g.excess()
	require.Equal(t, done, g.order(g.p(), first), "from the members' own nodes")
	require.EqualValues(t, 2, value(g.p().groups.metrics.folds))
	requireBlock(t, g.p(), done.Block, g.parity())
	require.Equal(t, 2, len(blockFiles(t, g.p().fs, done.Block.ID)))
}

// An extension makes a new parity from the old one and the blocks that join and leave.
func TestFoldExtends(t *testing.T) {
	nn, nodes := startCluster(t, 5)
	g := newGroup(t, nn, nodes, nil, 100_000, 70_000, 9000, 123_456)
	c := g.foldCommand()
	c.Sources = c.Sources[:2]
	old := g.order(g.p(), c)
	require.Empty(t, old.Err)
	next := g.foldCommand()
	next.Sources = append(next.Sources[2:4:4], // two join, and the first one leaves
		control.Source{Block: old.Block, Targets: []control.Target{targetOf(g.p())}, CRC: old.CRC, HasCRC: true},
		control.Source{Block: g.blocks[0], Targets: []control.Target{targetOf(nodes[0])}, CRC: g.crcs[0], HasCRC: true})
	done := g.order(g.p(), next)
	require.Empty(t, done.Err)
	g.data[0] = nil
	requireBlock(t, g.p(), done.Block, append(g.parity(), make([]byte, max(0, int(done.Block.Length)-len(g.parity())))...))
	requireBlock(t, g.p(), old.Block, firstTwo(pattern(100_000, 1), pattern(70_000, 2)))
}

func firstTwo(a, b []byte) []byte {
	out := append([]byte(nil), a...)
	for i := range b {
		out[i] ^= b[i]
	}
	return out
}

// A source that is damaged, missing or not what is recorded is replaced by its next place;
// where there is none, the fold fails, says so, and leaves nothing.
func TestFoldWithBadSources(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(g *testGroup, cmd *control.Command)
		bad   bool // reported
		err   string
	}{
		{name: "damaged at P", bad: true, spoil: func(g *testGroup, cmd *control.Command) {
			damage(g.t.(*testing.T), g.p().fs, g.blocks[1].ID, 170_000)
		}},
		{name: "missing at P", spoil: func(g *testGroup, cmd *control.Command) { g.remove(g.p(), g.blocks[1]) }},
		{name: "damaged everywhere", bad: true, err: "Checksum error", spoil: func(g *testGroup, cmd *control.Command) {
			damage(g.t.(*testing.T), g.p().fs, g.blocks[1].ID, 170_000)
			damage(g.t.(*testing.T), g.nodes[1].fs, g.blocks[1].ID, 169_900)
		}},
		{name: "a good half each", bad: true, spoil: func(g *testGroup, cmd *control.Command) {
			damage(g.t.(*testing.T), g.p().fs, g.blocks[1].ID, 170_000)
			damage(g.t.(*testing.T), g.nodes[1].fs, g.blocks[1].ID, 3)
		}},
		{name: "damaged in turn", bad: true, spoil: func(g *testGroup, cmd *control.Command) {
			damage(g.t.(*testing.T), g.p().fs, g.blocks[1].ID, 170_000)
			damage(g.t.(*testing.T), g.p().fs, g.blocks[2].ID, 299_999)
			damage(g.t.(*testing.T), g.p().fs, g.blocks[0].ID, 0)
		}},
		{name: "not as recorded", bad: true, err: "instead of", spoil: func(g *testGroup, cmd *control.Command) {
			cmd.Sources[1].CRC, cmd.Sources[1].HasCRC = g.crcs[1]^1, true
		}},
		{name: "gone", err: "Replica not found", spoil: func(g *testGroup, cmd *control.Command) {
			g.remove(g.p(), g.blocks[2])
			g.remove(g.nodes[2], g.blocks[2])
		}},
		{name: "no places", err: "no place", spoil: func(g *testGroup, cmd *control.Command) { cmd.Sources[0].Targets = nil }},
		{name: "no sources", err: "nothing", spoil: func(g *testGroup, cmd *control.Command) { cmd.Sources = nil }},
		{name: "node is down", err: "refused", spoil: func(g *testGroup, cmd *control.Command) {
			cmd.Sources[0].Targets = cmd.Sources[0].Targets[:1]
			require.NoError(g.t, g.nodes[0].Close())
		}},
		{name: "result not as recorded", err: "instead of", spoil: func(g *testGroup, cmd *control.Command) {
			cmd.Sum = control.Sum{CRC: 1, HasCRC: true}
		}},
		{name: "unknown checksum", err: "not supported", spoil: func(g *testGroup, cmd *control.Command) {
			cmd.Sum = control.Sum{Checksum: 7, BytesPer: 512}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nn, nodes := startCluster(t, 4)
			g := newGroup(t, nn, nodes, nil, 300_000, 300_000, 300_000)
			cmd := g.foldCommand()
			c.spoil(g, &cmd)
			done := g.order(g.p(), cmd)
			if c.bad {
				nn.wait(t, "the damage is told", func() bool { return len(nn.bad) > 0 })
			}
			if c.err == "" {
				require.Empty(t, done.Err)
				requireBlock(t, g.p(), done.Block, g.parity())
				return
			}
			require.Contains(t, done.Err, c.err)
			require.Empty(t, blockFiles(t, g.p().fs, cmd.Block.ID))
			require.Empty(t, temporary(t, g.p().fs))
			require.EqualValues(t, 1, value(g.p().groups.metrics.failures))
		})
	}
}

// temporary lists what is left of copies in the making.
func temporary(t *testing.T, fs vfs.FS) []string { return temporaryIn(t, fs, "/d1", "/d2") }

func temporaryIn(t *testing.T, fs vfs.FS, dirs ...string) (names []string) {
	for _, d := range dirs {
		entries, err := fs.ReadDir(d + "/current/" + testCluster.PoolID + "/tmp")
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name)
		}
	}
	return names
}

// A damaged replica is replaced on its own node: its files are set aside when the rebuilt one
// is whole, and not before.
func TestRebuildInPlace(t *testing.T) {
	nn, nodes := startCluster(t, 4)
	g := newGroup(t, nn, nodes, []datatransfer.Checksum{ieee512}, 300_000, 200_000, 300_000)
	g.fold()
	g.excess()
	for i, off := range []int64{150_000, 199_999} {
		damage(t, nodes[i].fs, g.blocks[i].ID, off)
		cmd := g.rebuild(i)
		failing := g.rebuild(i)
		failing.Sum.CRC ^= 1
		require.NotEmpty(t, g.order(nodes[i], failing).Err)
		got, err := tryRead(t, nodes[i], g.blocks[i], 0, 1000, false)
		require.NoError(t, err, "what is good of it is there still")
		require.Equal(t, g.data[i][:1000], got)
		done := g.order(nodes[i], cmd)
		require.Empty(t, done.Err)
		requireBlock(t, nodes[i], g.blocks[i], g.data[i])
		aside := 0
		for _, f := range blockFiles(t, nodes[i].fs, g.blocks[i].ID) {
			if strings.Contains(f, "/aside/") {
				aside++
			}
		}
		require.Equal(t, 2, aside)
		require.NoError(t, nodes[i].state.store.Verify(t.Context(), g.blocks[i].ID))
	}
}

// A disk that is full, at the start or in the middle, fails the fold, which leaves nothing.
func TestFoldOnFullDisk(t *testing.T) {
	nn, nodes := startCluster(t, 2)
	mem := newMem()
	disk := faultfs.New(mem)
	p := startNode(t, testConfig(disk, nn.addr))
	p.fs = mem
	g := newGroup(t, nn, append(nodes, p), nil, 2_000_000, 2_000_000)
	mem.SetCapacity(1 << 40)
	usage, err := mem.Usage("/d1")
	require.NoError(t, err)
	mem.SetCapacity(1<<40 - usage.Free + 1_000_000)
	cmd := g.foldCommand()
	require.Contains(t, g.order(p, cmd).Err, "Out of space")

	mem.SetCapacity(1 << 40)
	var written atomic.Int64
	disk.SetHook(faultfs.FailOn(syscall.ENOSPC, func(op faultfs.Op) bool {
		return op.Kind == faultfs.Write && strings.Contains(op.Name, "/tmp/") && written.Add(int64(op.Len)) > 700_000
	}))
	require.Contains(t, g.order(p, cmd).Err, "no space left")
	disk.SetHook(nil)
	require.Empty(t, blockFiles(t, mem, cmd.Block.ID))
	require.Empty(t, g.order(p, cmd).Err)
	requireBlock(t, p, dfs.Block{ID: cmd.Block.ID, GenStamp: cmd.Block.GenStamp}, g.parity())
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// value reads a counter.
func value(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}

// Commands wait in a bounded queue, twice the same is one, and what doesn't fit is refused.
func TestFoldQueue(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	g := &testGroup{t: t, nn: nn, nodes: nodes}
	n := nodes[0]
	n.groups.mu.Lock()
	n.groups.workers = groupWorkers // busy with something else
	n.groups.mu.Unlock()
	cmd := func(i int) control.Command {
		return control.Command{Kind: control.CmdFold, PoolID: testCluster.PoolID, Block: dfs.Block{ID: dfs.BlockID(i + 1), GenStamp: 1, Length: -1}}
	}
	for i := range groupQueue {
		n.enqueue(n.sessions[0], cmd(i))
		n.enqueue(n.sessions[0], cmd(i))
	}
	require.Equal(t, groupQueue, n.groups.waiting())
	done := g.order(n, cmd(groupQueue))
	require.Contains(t, done.Err, fmt.Sprint(groupQueue))
	n.groups.mu.Lock()
	n.groups.workers--
	n.groups.mu.Unlock()
	n.enqueue(n.sessions[0], cmd(0)) // starts no one: it waits already
	require.True(t, n.background(n.groupWorker))
	nn.wait(t, "all are answered", func() bool { return len(nn.folds) == groupQueue+1 })
	require.Eventually(t, func() bool { return n.groups.waiting() == 0 }, patience, time.Millisecond)
}
