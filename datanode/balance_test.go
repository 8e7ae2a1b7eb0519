package datanode

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

func ref(b dfs.Block) datatransfer.BlockRef {
	return datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}
}

// replace asks a datanode for a replica as a balancer does and waits for its last word.
func replace(t *testing.T, to *node, b dfs.Block, from dfs.DatanodeID, hint string, typ dfs.StorageType) *datatransfer.Response {
	c := dialNode(t, to)
	require.NoError(t, c.SendRequest(&datatransfer.ReplaceRequest{Block: ref(b), DeleteHint: hint, Source: from, Type: typ}))
	for {
		resp, err := c.ReadResponse()
		require.NoError(t, err)
		if resp.Status != datatransfer.StatusInProgress {
			return resp
		}
	}
}

func (nn *fakeNameNode) event(t *testing.T, want control.ReplicaEvent) {
	t.Helper()
	nn.wait(t, "an event", func() bool {
		for _, e := range nn.events {
			if e == want {
				return true
			}
		}
		return false
	})
}

func TestReplaceBlock(t *testing.T) {
	nn, nodes := startCluster(t, 2)
	for _, size := range []int{0, 1, 512, 70_000, 300_001} {
		data := pattern(size, uint64(size))
		b := writeBlock(t, newBlock(), data, nodes[:1])
		resp := replace(t, nodes[1], b, nodes[0].ID(), "some-uuid", dfs.StorageDisk)
		require.NoError(t, resp.Err())
		requireBlock(t, nodes[1], b, data)
		requireBlock(t, nodes[0], b, data) // the name node decides whose goes
		x, ok := nodes[1].state.store.Get(b.ID)
		require.True(t, ok)
		nn.event(t, control.ReplicaEvent{Event: control.EventReceived, Storage: x.Storage, Block: b, DeleteHint: "some-uuid"})

		resp = replace(t, nodes[1], b, nodes[0].ID(), "some-uuid", dfs.StorageDisk)
		require.Equal(t, datatransfer.StatusError, resp.Status)
		require.Contains(t, resp.Message, "already exists")
	}
	for _, n := range nodes {
		require.Zero(t, n.moves.n.Load(), "a place is not given back")
	}
}

// What a balancer may not have is refused with the cause, and nothing is left behind.
func TestReplaceBlockIsRefused(t *testing.T) {
	nn, nodes := startCluster(t, 2)
	data := pattern(3000, 1)
	b := writeBlock(t, newBlock(), data, nodes[:1])
	newer := b
	newer.GenStamp++
	resp := replace(t, nodes[1], newer, nodes[0].ID(), "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	require.Contains(t, resp.Message, "no finalized replica of this generation stamp")
	resp = replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageSSD)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	require.Contains(t, resp.Message, "Out of space")

	nn.update(func() {
		nn.untakable = map[dfs.BlockID]error{b.ID: dfs.Errorf(dfs.IllegalState, "another block of its parity group stands there")}
	})
	resp = replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	require.Contains(t, resp.Message, "another block of its parity group stands there")
	nn.update(func() { nn.untakable = nil })

	other := ref(b)
	other.PoolID = "BP-other"
	for _, q := range []datatransfer.Request{&datatransfer.CopyRequest{Block: other}, &datatransfer.ReplaceRequest{Block: other, Source: nodes[0].ID()}} {
		resp, err := dialNode(t, nodes[1]).Call(q)
		require.NoError(t, err)
		require.Equal(t, datatransfer.StatusError, resp.Status)
	}

	damage(t, nodes[0].fs, b.ID, 700)
	resp = replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	_, ok := nodes[1].state.store.Get(b.ID)
	require.False(t, ok)
	nn.wait(t, "the damage is told", func() bool { return len(nn.bad) > 0 })
}

// HDFS's words for no more moves now, on both sides of one.
func TestMovesAtATime(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	var nodes []*node
	for range 2 {
		cfg := testConfig(vfs.NewMem(), nn.addr)
		cfg.Limits.BalanceMoves = 1
		nodes = append(nodes, startNode(t, cfg))
	}
	b := writeBlock(t, newBlock(), pattern(100, 1), nodes[:1])
	require.True(t, nodes[1].moves.begin())
	resp := replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	require.Regexp(t, `^Not able to receive block \d+ from 127.0.0.1:\d+ because threads quota=1 is exceeded.$`, resp.Message)
	nodes[1].moves.end()

	require.True(t, nodes[0].moves.begin())
	resp = replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusError, resp.Status)
	require.Contains(t, resp.Message, "Not able to copy block")
	nodes[0].moves.end()
	require.NoError(t, replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk).Err())
}

// A source that will not part with a pinned replica is passed on as such.
func TestPinnedSource(t *testing.T) {
	_, nodes := startCluster(t, 1)
	source := fakeMirror(t, func(c *datatransfer.Conn) {
		_ = c.SendResponse(&datatransfer.Response{Status: datatransfer.StatusPinned, Message: "it's pinned"}) // the test sees it
	})
	resp := replace(t, nodes[0], newBlock(), source.Node, "", dfs.StorageDisk)
	require.Equal(t, datatransfer.StatusPinned, resp.Status)
	require.Contains(t, resp.Message, "it's pinned")
}

// A source that breaks off, or sends other bytes than its checksums say, leaves nothing.
func TestCopyThatFails(t *testing.T) {
	_, nodes := startCluster(t, 1)
	for _, spoil := range []bool{false, true} {
		source := fakeMirror(t, func(c *datatransfer.Conn) {
			out, err := datatransfer.AppendResponse(nil, &datatransfer.Response{Read: &datatransfer.ReadInfo{Checksum: datatransfer.DefaultChecksum}})
			require.NoError(t, err)
			out = datatransfer.DefaultChecksum.AppendData(out, &datatransfer.Header{}, bytes.Repeat([]byte("x"), 1000))
			if spoil {
				out[len(out)-1] ^= 1
			}
			_, _ = c.Write(out) // the test sees what comes of it
		})
		b := newBlock()
		resp := replace(t, nodes[0], b, source.Node, "", dfs.StorageDisk)
		require.Equal(t, datatransfer.StatusError, resp.Status)
		require.Equal(t, spoil, strings.Contains(resp.Message, "Checksum error"), resp.Message)
		_, ok := nodes[0].state.store.Get(b.ID)
		require.False(t, ok)
		require.Zero(t, nodes[0].moves.n.Load())
	}
}

// A datanode with two media.
func tieredNode(t *testing.T, nn *fakeNameNode) *node {
	cfg := testConfig(vfs.NewMem(), nn.addr)
	cfg.Volumes = []blockstore.VolumeConfig{{Dir: "/d1"}, {Dir: "/a1", Type: dfs.StorageArchive}}
	return startNode(t, cfg)
}

// onDisk writes a block to a datanode's disk.
func onDisk(t *testing.T, n *node, data []byte) (dfs.Block, string) {
	q := writeRequest(newBlock(), datatransfer.StageSetupCreate, []*node{n})
	q.StorageType = dfs.StorageDisk
	p := openPipe(t, q, []*node{n})
	if len(data) > 0 {
		p.packet(data)
	}
	p.finish()
	b := q.Block.Block
	b.Length = int64(len(data))
	x, ok := n.state.store.Get(b.ID)
	require.True(t, ok)
	return b, x.Storage
}

// A replica goes to another medium of its datanode for a mover, and for the name node.
func TestMoveBetweenVolumes(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	n := tieredNode(t, nn)
	archive := n.Volumes()[1].Storage
	data := pattern(60_000, 3)
	b, disk := onDisk(t, n, data)
	require.NoError(t, replace(t, n, b, n.ID(), n.ID().UUID, dfs.StorageArchive).Err())
	x, _ := n.state.store.Get(b.ID)
	require.Equal(t, archive, x.Storage)
	requireBlock(t, n, b, data)
	nn.event(t, control.ReplicaEvent{Event: control.EventReceived, Storage: archive, Block: b})
	nn.event(t, control.ReplicaEvent{Event: control.EventDeleted, Storage: disk, Block: b})
	resp := replace(t, n, b, n.ID(), n.ID().UUID, dfs.StorageArchive)
	require.Contains(t, resp.Message, "already exists")

	nn.command(n.ID().UUID, control.Command{Kind: control.CmdMove, Block: b, NewLength: -1,
		Targets: []control.Target{{Node: n.ID(), Storage: disk, Type: dfs.StorageDisk}}})
	nn.event(t, control.ReplicaEvent{Event: control.EventReceived, Storage: disk, Block: b})
	requireBlock(t, n, b, data)
	older := b
	older.GenStamp--
	nn.command(n.ID().UUID, control.Command{Kind: control.CmdMove, Block: older, NewLength: -1,
		Targets: []control.Target{{Node: n.ID(), Storage: archive, Type: dfs.StorageArchive}}})
	nn.event(t, control.ReplicaEvent{Event: control.EventNotCopied, Storage: archive, Block: older})

	other := tieredNode(t, nn)
	to := other.Volumes()[1].Storage
	nn.command(n.ID().UUID, control.Command{Kind: control.CmdMove, Block: b, NewLength: -1,
		Targets: []control.Target{{Node: other.ID(), Storage: to, Type: dfs.StorageArchive}}})
	nn.event(t, control.ReplicaEvent{Event: control.EventReceived, Storage: to, Block: b})
	requireBlock(t, other, b, data)
	requireBlock(t, n, b, data)
}

// The bandwidth that an administrator sets counts from then on; 0 changes nothing.
func TestBalancerBandwidth(t *testing.T) {
	nn, nodes := startCluster(t, 2)
	for _, n := range nodes {
		require.EqualValues(t, 100<<20, n.moves.limit.rate.Load())
		nn.command(n.ID().UUID, control.Command{Kind: control.CmdBandwidth, NewLength: -1, Value: 1 << 20})
		nn.command(n.ID().UUID, control.Command{Kind: control.CmdBandwidth, NewLength: -1, Value: 0})
	}
	for _, n := range nodes {
		nn.wait(t, "the command", func() bool { return len(nn.commands[n.ID().UUID]) == 0 })
		require.Eventually(t, func() bool { return n.moves.limit.rate.Load() == 1<<20 }, patience, time.Millisecond)
	}
	b := writeBlock(t, newBlock(), pattern(700<<10, 1), nodes[:1])
	start := time.Now()
	require.NoError(t, replace(t, nodes[1], b, nodes[0].ID(), "", dfs.StorageDisk).Err())
	require.Greater(t, time.Since(start), 450*time.Millisecond, "700 KiB at 1 MiB a second, a tenth of a second's bytes at once")
}

// A balancer is told that a slow move goes on.
func TestMoveInProgress(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	source := startNode(t, testConfig(vfs.NewMem(), nn.addr))
	cfg := testConfig(vfs.NewMem(), nn.addr)
	cfg.Timeouts.Read = 300 * time.Millisecond
	cfg.Limits.BalanceBandwidth = 1 << 20
	to := startNode(t, cfg)
	b := writeBlock(t, newBlock(), pattern(600<<10, 1), []*node{source})
	c := dialNode(t, to)
	require.NoError(t, c.SendRequest(&datatransfer.ReplaceRequest{Block: ref(b), Source: source.ID(), Type: dfs.StorageDisk}))
	signs := 0
	for {
		resp, err := c.ReadResponse()
		require.NoError(t, err)
		if resp.Status != datatransfer.StatusInProgress {
			require.NoError(t, resp.Err())
			break
		}
		signs++
	}
	require.Positive(t, signs)
}
