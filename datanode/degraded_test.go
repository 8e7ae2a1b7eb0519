package datanode

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// degradedGroup is a folded group of which one member's node no longer has its block, and
// the name node tells P how to make it.
func degradedGroup(t *testing.T, lost int, sums []datatransfer.Checksum, lengths ...int) *testGroup {
	nn, nodes := startCluster(t, len(lengths)+1)
	g := newGroup(t, nn, nodes, sums, lengths...)
	g.fold()
	g.excess()
	g.offer(lost)
	return g
}

// Every range of a lost block is read from P as its own replica gave it, with the same
// checksums, chunk offset and checksum calls.
func TestDegradedRead(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			g := degradedGroup(t, 0, shape.sums, shape.lengths...)
			for lost := range shape.lengths {
				g.offer(lost)
				own, p, b, data := g.nodes[lost], g.p(), g.blocks[lost], g.data[lost]
				n := int64(len(data))
				ranges := [][2]int64{{0, n}, {0, 0}, {n, 0}, {n / 2, n - n/2}, {0, min(n, 1)}, {max(0, n-1), min(n, 1)}, {n / 3, n / 3}, {min(n, 131_000), min(200, n-min(n, 131_000))}}
				rng := rand.New(rand.NewPCG(uint64(lost), 1))
				for range 6 {
					if n > 0 {
						off := rng.Int64N(n)
						ranges = append(ranges, [2]int64{off, rng.Int64N(n - off + 1)})
					}
				}
				for _, r := range ranges {
					for _, plain := range []bool{false, true} {
						require.Equal(t, packets(t, own, b, r[0], r[1], plain), packets(t, p, b, r[0], r[1], plain), "range %v", r)
					}
					got, err := tryRead(t, p, b, r[0], r[1], false)
					require.NoError(t, err)
					require.True(t, string(got) == string(data[r[0]:r[0]+r[1]]), "range %v", r)
				}
				md5, composite := checksums(t, own, b)
				md5P, compositeP := checksums(t, p, b)
				require.Equal(t, md5, md5P)
				require.Equal(t, composite, compositeP)
				requireStripes(t, own, p, b)
				_, err := tryRead(t, p, b, n, 1, false)
				require.ErrorContains(t, err, "don't match block")
				require.Zero(t, value(p.groups.metrics.degradedFailures))
				requireNoSlots(t, p)
			}
		})
	}
}

// requireNoSlots waits until all degraded reads have ended: a reader may know before.
func requireNoSlots(t *testing.T, n *node) {
	t.Helper()
	require.Eventually(t, func() bool { return len(n.groups.slots) == 0 }, patience, time.Millisecond)
}

// packets reads a range and gives all packets as they came, and the answer before them.
func packets(t *testing.T, n *node, b dfs.Block, off, length int64, plain bool) (all []any) {
	t.Helper()
	c := dialNode(t, n)
	defer c.Close()
	resp, err := c.Call(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Client: "test", Offset: off, Length: length, NoChecksums: plain})
	require.NoError(t, err)
	require.NoError(t, resp.Err())
	all = append(all, *resp.Read)
	for {
		var p datatransfer.Packet
		require.NoError(t, c.ReadPacket(&p))
		all = append(all, p.Header, string(p.Checksums), string(p.Data))
		if p.Last {
			return all
		}
	}
}

// requireStripes compares the composite CRCs of stripes and of the first bytes of a block.
func requireStripes(t *testing.T, own, p *node, b dfs.Block) {
	ask := func(n *node, length, stripe int64) *datatransfer.ChecksumResult {
		b.Length = length
		c := dialNode(t, n)
		defer c.Close()
		resp, err := c.Call(&datatransfer.ChecksumRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Kind: datatransfer.ChecksumComposite, StripeLength: stripe})
		if err != nil {
			return nil // a stripe that is no multiple of the chunk closes the connection
		}
		require.NoError(t, resp.Err())
		return resp.Checksum
	}
	for _, length := range []int64{b.Length, b.Length / 2} {
		for _, stripe := range []int64{0, 1000, 65536, 100} {
			require.Equal(t, ask(own, length, stripe), ask(p, length, stripe), "%d bytes, stripe %d", length, stripe)
		}
	}
}

// A block that can't be made costs one question, and its reader gets the answer as always;
// many readers at a time ask once.
func TestReadOfUnknownBlock(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	b := newBlock()
	b.Length = 100
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := tryRead(t, nodes[0], b, 0, 100, false)
			if err == nil || dfs.KindOf(err) != dfs.Other {
				t.Errorf("answered %v", err)
			}
		})
	}
	wg.Wait()
	for range 20 {
		_, err := tryRead(t, nodes[0], b, 0, 100, false)
		require.ErrorContains(t, err, "Replica not found for "+b.String())
	}
	require.Equal(t, 1, nn.asked)
	stale := writeBlock(t, newBlock(), pattern(100, 1), nodes)
	stale.GenStamp++
	_, err := tryRead(t, nodes[0], stale, 0, 100, false)
	require.Error(t, err)
	require.Equal(t, 1, nn.asked, "a replica that is too old is not a missing one")
}

// Without a name node the answer is that of a block that is not here.
func TestReadOfUnknownBlockWithoutNameNode(t *testing.T) {
	nn, nodes := startCluster(t, 1)
	nn.stop()
	b := newBlock()
	_, err := tryRead(t, nodes[0], b, 0, 100, false)
	require.ErrorContains(t, err, "Replica not found for "+b.String())
}

// What the name node said a moment ago may be wrong by now: it is asked again once.
func TestDegradedReadAsksAgain(t *testing.T) {
	g := degradedGroup(t, 1, nil, 300_000, 300_000, 300_000)
	p := g.p()
	requireBlock(t, p, g.blocks[1], g.data[1])
	asked := g.nn.asked
	requireBlock(t, p, g.blocks[1], g.data[1])
	require.Equal(t, asked, g.nn.asked)
	g.write(g.blocks[2], g.data[2], datatransfer.DefaultChecksum, g.nodes[1]) // member 2 moves
	g.remove(g.nodes[2], g.blocks[2])
	g.nodes[2] = g.nodes[1]
	g.offer(1)
	requireBlock(t, p, g.blocks[1], g.data[1])
	require.Equal(t, asked+1, g.nn.asked)
	g.remove(g.nodes[1], g.blocks[2])
	_, err := tryRead(t, p, g.blocks[1], 0, 10, false)
	require.ErrorContains(t, err, "Replica not found")
	require.Equal(t, asked+2, g.nn.asked)
	require.Positive(t, value(p.groups.metrics.degradedFailures))
	requireNoSlots(t, p)
}

// A source that is damaged, or a result that is not what is recorded, never reaches the
// reader; the damage is told.
func TestDegradedReadOfDamage(t *testing.T) {
	g := degradedGroup(t, 0, nil, 500_000, 500_000, 500_000)
	p, nn := g.p(), g.nn
	damage(t, g.nodes[2].fs, g.blocks[2].ID, 300_000)
	got, err := tryRead(t, p, g.blocks[0], 0, 500_000, false)
	require.Error(t, err)
	require.Equal(t, string(g.data[0][:len(got)]), string(got))
	require.LessOrEqual(t, len(got), 300_000)
	nn.wait(t, "the damaged source is told", func() bool {
		return len(nn.bad) > 0 && nn.bad[0].ID == g.blocks[2].ID && nn.bad[0].Nodes[0].UUID == g.nodes[2].ID().UUID
	})
	got, err = tryRead(t, p, g.blocks[0], 0, 290_000, false)
	require.NoError(t, err, "a range that does not need the damaged bytes")
	require.Equal(t, string(g.data[0][:290_000]), string(got))

	g = degradedGroup(t, 0, nil, 500_000, 500_000)
	g.nn.update(func() { g.nn.sources[g.blocks[0].ID].Sum.CRC ^= 1 })
	got, err = tryRead(t, g.p(), g.blocks[0], 0, 500_000, false)
	require.Error(t, err)
	require.Less(t, len(got), 500_000)
	require.NoError(t, g.nodes[1].Close())
	_, err = tryRead(t, g.p(), g.blocks[0], 0, 500_000, false)
	require.Error(t, err)
	requireNoSlots(t, g.p())
}

// A source that agrees with its own checksums and is wrong all the same is found when the
// block made from it is not what is recorded.
func TestDegradedReadOfWrongSource(t *testing.T) {
	g := degradedGroup(t, 0, nil, 300_000, 300_000, 300_000)
	n := g.nodes[1]
	g.remove(n, g.blocks[1])
	wrong := append([]byte(nil), g.data[1]...)
	wrong[77] ^= 1
	g.write(dfs.Block{ID: g.blocks[1].ID, GenStamp: g.blocks[1].GenStamp}, wrong, datatransfer.DefaultChecksum, n)
	got, err := tryRead(t, g.p(), g.blocks[0], 0, 300_000, false)
	require.Error(t, err)
	require.Less(t, len(got), 300_000)
	g.nn.wait(t, "the wrong source is told", func() bool {
		return len(g.nn.bad) == 1 && g.nn.bad[0].Block == g.blocks[1] && g.nn.bad[0].Nodes[0].UUID == n.ID().UUID
	})
}

// A reader that goes away in the middle leaves nothing behind, and more readers than slots
// are served one after the other.
func TestDegradedReaders(t *testing.T) {
	g := degradedGroup(t, 0, nil, 3_000_000, 3_000_000)
	p := g.p()
	for range 5 {
		c := dialNode(t, p)
		br, err := c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: g.blocks[0]}, Client: "test", Length: 3_000_000})
		require.NoError(t, err)
		_, err = br.Next()
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			off := int64(i) * 70_001
			got, err := tryRead(t, p, g.blocks[0], off, 200_000, false)
			if err != nil || string(got) != string(g.data[0][off:off+200_000]) {
				t.Errorf("range at %d: %v", off, err)
			}
		})
	}
	wg.Wait()
	requireNoSlots(t, p)
	require.EqualValues(t, 45, value(p.groups.metrics.degraded))
	require.LessOrEqual(t, value(p.groups.metrics.remoteBytes), float64(40*200_000+40*1024+5*3_000_000), "ranges read only ranges")
}
