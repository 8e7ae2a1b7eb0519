package datanode

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// scrub has a group scrubbed and waits for its end.
func (g *testGroup) scrub() {
	t := g.t.(*testing.T)
	t.Helper()
	p := g.p()
	m := &p.groups.metrics
	before := value(m.scrubs)
	i := len(g.blocks) - 1
	g.nn.command(p.ID().UUID, control.Command{Kind: control.CmdScrubGroup, PoolID: testCluster.PoolID, Block: g.blocks[i],
		Sources: g.sources(i), Sum: control.Sum{CRC: g.crcs[i], HasCRC: true}})
	require.Eventually(t, func() bool { return value(m.scrubs) > before && p.groups.waiting() == 0 }, patience, time.Millisecond)
}

// A scrub of a healthy group finds nothing and reads no data where checksums are CRC32C; it
// finds a member or a parity whose checksums are not those that were recorded.
func TestScrubGroup(t *testing.T) {
	nn, nodes := startCluster(t, 4)
	g := newGroup(t, nn, nodes, []datatransfer.Checksum{{Type: dfs.ChecksumCRC32C, BytesPer: 512}, odd1000}, 300_000, 123_456, 70_000)
	g.fold()
	g.excess()
	local := value(g.p().groups.metrics.localBytes)
	g.scrub()
	require.Empty(t, nn.bad)
	require.Equal(t, local, value(g.p().groups.metrics.localBytes))
	require.Zero(t, value(g.p().groups.metrics.remoteBytes))

	for i, b := range g.blocks {
		// Another replica with right checksums of wrong bytes: only the record tells.
		n := g.nodes[i]
		g.remove(n, b)
		wrong := append([]byte(nil), g.data[i]...)
		wrong[i*1000] ^= 1
		g.write(dfs.Block{ID: b.ID, GenStamp: b.GenStamp}, wrong, g.checksum(i), n)
		before := len(nn.bad)
		g.scrub()
		nn.wait(t, "the wrong replica is told", func() bool { return len(nn.bad) > before })
		bad := nn.bad[len(nn.bad)-1]
		require.Equal(t, b, bad.Block)
		require.Equal(t, n.ID().UUID, bad.Nodes[0].UUID)
		require.Empty(t, g.order(n, g.rebuild(i)).Err)
		requireBlock(t, n, b, g.data[i])
	}
	before := len(nn.bad)
	require.NoError(t, nodes[0].Close())
	g.scrub()
	require.Len(t, nn.bad, before, "a node that is down says nothing about its replica")
	require.Zero(t, value(g.p().groups.metrics.disagree))
}

// CRC32 checksums say nothing about CRC32C: such members are read.
func TestScrubGroupReadsOtherChecksums(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	g := newGroup(t, nn, nodes, []datatransfer.Checksum{ieee512}, 300_000, 300_000)
	g.fold()
	g.excess()
	g.scrub()
	require.Empty(t, nn.bad)
	require.EqualValues(t, 300_000, value(g.p().groups.metrics.remoteBytes))
	g.crcs[0] ^= 1
	g.scrub()
	nn.wait(t, "it is told", func() bool { return len(nn.bad) == 1 })
	require.Equal(t, g.blocks[0], nn.bad[0].Block)
}

// The name node hears of folds after the replicas that they made, and of all that ended while
// it was away.
func TestFoldsAreToldLater(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	g := newGroup(t, nn, nodes, nil, 1000, 1000)
	p := g.p()
	nn.mu.Lock()
	nn.silent = dfs.Errorf(dfs.Retriable, "not now")
	nn.mu.Unlock()
	var want []dfs.BlockID
	for range 5 {
		cmd := g.foldCommand()
		p.enqueue(p.sessions[0], cmd)
		want = append(want, cmd.Block.ID)
	}
	require.Eventually(t, func() bool { return value(p.groups.metrics.folds) == 5 }, patience, time.Millisecond)
	nn.mu.Lock()
	require.Empty(t, nn.folds)
	nn.silent = nil
	nn.mu.Unlock()
	nn.wait(t, "all are told", func() bool { return len(nn.folds) == 5 })
	var got []dfs.BlockID
	for _, f := range nn.folds {
		got = append(got, f.Block.ID)
		require.Equal(t, 1, nn.receivedLocked(f.Block))
	}
	require.ElementsMatch(t, want, got)
}

// The disk stops at every step of a fold: after a start there is the parity, whole, or
// nothing of it, and the command can be given again.
func TestFoldStopsAtEveryStep(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	const n = 200_000
	for step, finished := 0, false; !finished; step++ {
		mem := newMem()
		cfg := testConfig(mem, nn.addr)
		cfg.Volumes = []blockstore.VolumeConfig{{Dir: "/d1"}}
		p := startNode(t, cfg)
		g := &testGroup{t: t, nn: nn, nodes: []*node{p, p}}
		for i := range 2 {
			data := pattern(n+i, uint64(i))
			g.data = append(g.data, data)
			g.blocks = append(g.blocks, storeBlock(t, p, newBlock(), data))
		}
		cmd := g.foldCommand()
		mem.StopAfter(step)
		_, err := p.foldOnce(t.Context(), cmd, false)
		finished = err == nil && !mem.Stopped()
		require.NoError(t, p.Close())
		p.cfg.FS = mem.CrashClone(vfs.Choice{})
		again := startNode(t, p.cfg)
		require.Empty(t, temporaryIn(t, p.cfg.FS, "/d1"), "step %d", step)
		if x, ok := again.state.store.Get(cmd.Block.ID); ok {
			require.Equal(t, dfs.ReplicaFinalized, x.State, "step %d", step)
			requireBlock(t, again, x.Block, g.parity())
		} else {
			require.Error(t, err, "step %d", step)
		}
		_, err = again.foldOnce(t.Context(), cmd, false)
		require.NoError(t, err, "step %d", step)
		requireBlock(t, again, dfs.Block{ID: cmd.Block.ID, GenStamp: cmd.Block.GenStamp}, g.parity())
		require.NoError(t, again.Close())
		require.Less(t, step, 1000)
	}
}

// Work for parity groups keeps to its rate, and rests while clients are active.
func TestGroupPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroups(Limits{GroupBandwidth: 1 << 20, DegradedStreams: 1})
		g.metrics.make(counter)
		start := time.Now()
		for range 100 {
			require.NoError(t, g.pace(t.Context(), 128<<10, 0, foldRest))
		}
		require.InDelta(t, 12.5, time.Since(start).Seconds(), 0.3)

		g = newGroups(Limits{DegradedStreams: 1})
		g.metrics.make(counter)
		start = time.Now()
		require.NoError(t, g.pace(t.Context(), 1<<20, time.Second, foldRest))
		require.Zero(t, time.Since(start), "nobody is there")
		g.clientMoved(time.Now())
		require.NoError(t, g.pace(t.Context(), 1<<20, 10*time.Millisecond, foldRest))
		require.Equal(t, 30*time.Millisecond, time.Since(start))
		require.NoError(t, g.pace(t.Context(), 1<<20, 10*time.Millisecond, rebuildRest))
		require.Equal(t, 40*time.Millisecond, time.Since(start))
		require.InDelta(t, 0.04, value(g.metrics.yielded), 1e-9)
		time.Sleep(clientQuiet)
		start = time.Now()
		require.NoError(t, g.pace(t.Context(), 1<<20, 10*time.Millisecond, foldRest))
		require.Zero(t, time.Since(start))
	})
}

// A replica that is damaged is found by the datanode's own scrub, told, rebuilt from the group
// and set aside, without any reader.
func TestScrubToRepair(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	g := newGroup(t, nn, nodes, nil, 100_000, 100_000)
	g.fold()
	g.excess()
	damage(t, nodes[0].fs, g.blocks[0].ID, 77_777)
	_, err := nodes[0].state.store.Scrub(t.Context(), nil)
	require.NoError(t, err)
	nn.wait(t, "the damage is told", func() bool { return len(nn.bad) == 1 && nn.bad[0].Block == g.blocks[0] })
	require.Empty(t, g.order(nodes[0], g.rebuild(0)).Err)
	requireBlock(t, nodes[0], g.blocks[0], g.data[0])
	aside := 0
	for _, f := range blockFiles(t, nodes[0].fs, g.blocks[0].ID) {
		if strings.Contains(f, "/aside/") {
			aside++
		}
	}
	require.Equal(t, 2, aside)
	stats, err := nodes[0].state.store.Scrub(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, stats.Bad)
}
