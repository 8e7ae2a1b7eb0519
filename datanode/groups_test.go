package datanode

import (
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// testGroup is a parity group on real datanodes: member i on nodes[i], the parity on the last
// of k+1 nodes.
type testGroup struct {
	t       testing.TB
	nn      *fakeNameNode
	nodes   []*node
	data    [][]byte // of the members, then of the parity
	blocks  []dfs.Block
	crcs    []uint32
	sums    []datatransfer.Checksum
	storage []string // of the parity
}

func targetOf(n *node) control.Target { return control.Target{Node: n.ID()} }

// newGroup writes members of the given lengths, each to its node and to P, and folds them
// there. P's copies stay.
func newGroup(t *testing.T, nn *fakeNameNode, nodes []*node, sums []datatransfer.Checksum, lengths ...int) *testGroup {
	g := &testGroup{t: t, nn: nn, nodes: nodes, sums: sums}
	for i, n := range lengths {
		data := pattern(n, uint64(i+1))
		g.data = append(g.data, data)
		g.blocks = append(g.blocks, g.write(newBlock(), data, g.checksum(i), nodes[i], g.p()))
		g.crcs = append(g.crcs, crc32.Checksum(data, castagnoli))
	}
	return g
}

func (g *testGroup) p() *node { return g.nodes[len(g.nodes)-1] }

func (g *testGroup) checksum(i int) datatransfer.Checksum {
	if i < len(g.sums) {
		return g.sums[i]
	}
	return datatransfer.DefaultChecksum
}

// write writes a block through a pipeline with checksums of the given kind.
func (g *testGroup) write(b dfs.Block, data []byte, sum datatransfer.Checksum, nodes ...*node) dfs.Block {
	t := g.t.(*testing.T)
	q := writeRequest(b, datatransfer.StageSetupCreate, nodes)
	q.Checksum = sum
	p := openPipe(t, q, nodes)
	per := max(int(sum.BytesPer), 64512/int(sum.BytesPer)*int(sum.BytesPer))
	for rest := data; len(rest) > 0; {
		n := min(len(rest), per)
		h := datatransfer.Header{Offset: p.off, Seqno: p.seqno}
		_, err := p.c.Write(sum.AppendData(nil, &h, rest[:n]))
		require.NoError(t, err)
		p.off, p.seqno, rest = p.off+int64(n), p.seqno+1, rest[n:]
		require.True(t, p.ack().AllSuccess())
	}
	p.finish()
	b.Length = int64(len(data))
	return b
}

// sources lists the members, and the parity if it is there, but the one to be made.
func (g *testGroup) sources(without int) (list []control.Source) {
	for i, b := range g.blocks {
		if i == without {
			continue
		}
		list = append(list, control.Source{Block: b, Targets: []control.Target{targetOf(g.nodes[i])}, CRC: g.crcs[i], HasCRC: true})
	}
	return list
}

// foldCommand is the first fold of the members at P, whose CRCs nobody knows yet.
func (g *testGroup) foldCommand() control.Command {
	c := control.Command{Kind: control.CmdFold, PoolID: testCluster.PoolID, Block: newBlock(), NewLength: -1}
	c.Block.Length = -1
	for i, b := range g.blocks {
		c.Sources = append(c.Sources, control.Source{Block: b, Targets: []control.Target{targetOf(g.nodes[i]), targetOf(g.p())}})
	}
	return c
}

// order has a fold done and gives its outcome.
func (g *testGroup) order(at *node, c control.Command) control.FoldDoneRequest {
	t := g.t.(*testing.T)
	g.nn.mu.Lock()
	before := len(g.nn.folds)
	g.nn.mu.Unlock()
	g.nn.command(at.ID().UUID, c)
	g.nn.wait(t, "a fold's end", func() bool { return len(g.nn.folds) > before })
	g.nn.mu.Lock()
	defer g.nn.mu.Unlock()
	return g.nn.folds[before]
}

// fold makes the parity and requires that it is right.
func (g *testGroup) fold() control.FoldDoneRequest {
	t := g.t.(*testing.T)
	done := g.order(g.p(), g.foldCommand())
	require.Empty(t, done.Err)
	parity := g.parity()
	require.Equal(t, int64(len(parity)), done.Block.Length)
	require.Equal(t, crc32.Checksum(parity, castagnoli), done.CRC)
	require.Equal(t, g.p().ID().UUID, done.UUID)
	sums := make([]raid.Sum, len(g.blocks))
	for i, m := range done.Members {
		require.Equal(t, dfs.ParityMember{Block: g.blocks[i], CRC: g.crcs[i], Checksum: g.checksum(i).Type, BytesPer: int(g.checksum(i).BytesPer)}, m)
		sums[i] = raid.Sum{CRC: m.CRC, Length: m.Block.Length}
	}
	require.Equal(t, raid.Sum{CRC: done.CRC, Length: done.Block.Length}, raid.ParityCRC(sums...))
	requireBlock(t, g.p(), done.Block, parity)
	g.nn.mu.Lock()
	require.Equal(t, 1, g.nn.receivedLocked(done.Block), "told before the fold's end")
	g.nn.mu.Unlock()
	g.blocks, g.data, g.crcs = append(g.blocks, done.Block), append(g.data, parity), append(g.crcs, done.CRC)
	g.sums = append(g.sums[:len(g.sums):len(g.sums)], datatransfer.DefaultChecksum)
	return done
}

// parity is the exclusive or of the members, by definition.
func (g *testGroup) parity() []byte {
	var out []byte
	for _, m := range g.data {
		for len(out) < len(m) {
			out = append(out, 0)
		}
		for i, b := range m {
			out[i] ^= b
		}
	}
	return out
}

// excess removes P's copies of the members.
func (g *testGroup) excess() {
	p := g.p()
	g.remove(p, g.blocks[:len(g.nodes)-1]...)
}

func (g *testGroup) remove(n *node, blocks ...dfs.Block) {
	require.NoError(g.t, n.state.store.Invalidate(blocks[0]))
	for _, b := range blocks[1:] {
		require.NoError(g.t, n.state.store.Invalidate(b))
	}
}

// offer makes the name node tell how to make block i.
func (g *testGroup) offer(i int) {
	sum := control.Sum{Checksum: g.checksum(i).Type, BytesPer: int(g.checksum(i).BytesPer), CRC: g.crcs[i], HasCRC: true}
	g.nn.update(func() {
		g.nn.sources[g.blocks[i].ID] = &control.SourcesReply{Block: g.blocks[i], Sum: sum, Sources: g.sources(i)}
	})
}

// rebuild is the command that makes block i again.
func (g *testGroup) rebuild(i int) control.Command {
	return control.Command{Kind: control.CmdFold, PoolID: testCluster.PoolID, Block: g.blocks[i], NewLength: -1, Sources: g.sources(i),
		Sum: control.Sum{Checksum: g.checksum(i).Type, BytesPer: int(g.checksum(i).BytesPer), CRC: g.crcs[i], HasCRC: true}}
}
