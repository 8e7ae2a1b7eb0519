package datanode

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

func TestPipelines(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	for replicas := 1; replicas <= 3; replicas++ {
		for _, size := range []int{0, 1, 511, 512, 513, 64512, 64513, 1_000_000} {
			t.Run(fmt.Sprintf("%d nodes, %d bytes", replicas, size), func(t *testing.T) {
				data := pattern(size, uint64(size))
				b := writeBlock(t, newBlock(), data, nodes[:replicas])
				nn.wait(t, "RECEIVED from all", func() bool { return nn.receivedLocked(b) == replicas })
				for _, n := range nodes[:replicas] {
					requireBlock(t, n, b, data)
				}
				for _, n := range nodes[replicas:] {
					_, err := tryRead(t, n, b, 0, int64(size), false)
					require.Error(t, err)
				}
			})
		}
	}
}

// The last packet's acknowledgement says that the block is durable: a power cut right
// after it takes nothing away.
func TestFinalizedBeforeLastAck(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	cfg := testConfig(nil, nn.addr)
	mem := newMem()
	cfg.FS = mem
	n := startNode(t, cfg)
	data := pattern(100_000, 1)
	b := writeBlock(t, newBlock(), data, []*node{n})
	for _, choice := range mem.Choices(8, 1) {
		cfg.FS = mem.CrashClone(choice)
		after := startNode(t, cfg)
		requireBlock(t, after, b, data)
		require.NoError(t, after.Close())
	}
}

// An acknowledged packet with syncBlock survives a power cut, in mid-chunk too.
func TestSyncedBeforeAck(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	cfg := testConfig(nil, nn.addr)
	mem := newMem()
	cfg.FS = mem
	n := startNode(t, cfg)
	data := pattern(1300, 1)
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, []*node{n}), []*node{n})
	p.send(data, datatransfer.Header{Sync: true})
	require.True(t, p.ack().AllSuccess())
	for _, choice := range mem.Choices(8, 1) {
		cfg.FS = mem.CrashClone(choice)
		after := startNode(t, cfg)
		r, ok := after.state.store.Get(b.ID)
		require.True(t, ok)
		require.GreaterOrEqual(t, r.Block.Length, int64(len(data)))
		require.Equal(t, dfs.ReplicaRWR, r.State)
		require.NoError(t, after.Close())
	}
}

func TestReads(t *testing.T) {
	_, nodes := startCluster(t, 1)
	data := pattern(300_000, 9)
	b := writeBlock(t, newBlock(), data, nodes)
	size := int64(len(data))
	for _, plain := range []bool{false, true} {
		c := dialNode(t, nodes[0])
		for _, r := range []struct{ off, n int64 }{{0, size}, {0, 1}, {1, 1}, {511, 2}, {512, 512}, {65535, 2}, {100, 150_000}, {size - 1, 1}, {size, 0}, {0, 0}} {
			got, err := readOn(c, b, r.off, r.n, plain) // all on one connection
			require.NoError(t, err, "%+v", r)
			require.True(t, string(data[r.off:r.off+r.n]) == string(got), "%+v", r)
		}
	}
	c := dialNode(t, nodes[0])
	for _, r := range []struct{ off, n int64 }{{0, size + 1}, {size + 1, 0}, {-1, 1}, {0, -5}, {1 << 62, 1 << 62}} {
		_, err := readOn(c, b, r.off, r.n, false)
		require.Error(t, err, "%+v", r)
	}
	got, err := readOn(c, b, 0, 10, false)
	require.NoError(t, err, "an error answer leaves the connection usable")
	require.Equal(t, data[:10], got)

	newer := b
	newer.GenStamp++
	_, err = readOn(c, newer, 0, 10, false)
	require.Error(t, err, "a stale replica must not be served")
	older := b
	older.GenStamp--
	_, err = readOn(c, older, 0, 10, false)
	require.NoError(t, err, "a reader that missed a recovery is served")
	_, err = c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: "BP-other", Block: b}, Length: 1})
	require.ErrorContains(t, err, "BP-other")
}

// A client may hang up in the middle of a read at any time; the node serves on.
func TestReadersThatHangUp(t *testing.T) {
	_, nodes := startCluster(t, 1)
	data := pattern(4_000_000, 9)
	b := writeBlock(t, newBlock(), data, nodes)
	for range 10 {
		c := dialNode(t, nodes[0])
		br, err := c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}, Length: int64(len(data))})
		require.NoError(t, err)
		_, err = br.Next()
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	requireBlock(t, nodes[0], b, data)
}

// What was acknowledged to a flush is visible to readers of every node, and no more.
func TestFlushIsVisible(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	nn.wait(t, "RECEIVING from all", func() bool { return len(nn.events) == 3 && nn.events[0].Event == control.EventReceiving })
	data := pattern(5000, 3)
	for _, end := range []int64{1, 512, 700, 701, 5000} {
		// G sends only what is new, CRCs over only those bytes, cut at chunk boundaries.
		for p.off < end {
			n := min(end, p.off/512*512+512)
			if p.off%512 == 0 {
				n = end
			}
			p.packet(data[p.off:n])
		}
		for _, n := range nodes {
			require.Equal(t, end, visible(t, n, b))
			got, err := tryRead(t, n, b, 0, end, false)
			require.NoError(t, err)
			require.True(t, string(data[:end]) == string(got))
			got, err = tryRead(t, n, b, end-1, 1, true)
			require.NoError(t, err)
			require.Equal(t, data[end-1:end], got)
			_, err = tryRead(t, n, b, 0, end+1, false)
			require.Error(t, err)
		}
	}
	p.finish()
}

// A reader that asks for bytes which are just being written gets them when they come.
func TestReadWaitsForBytes(t *testing.T) {
	nn := startNameNode(t, "127.0.0.1:0")
	cfg := testConfig(newMem(), nn.addr)
	cfg.Timeouts.Visible = patience
	nodes := []*node{startNode(t, cfg)}
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	p.packet([]byte("early"))
	type answer struct {
		data []byte
		err  error
	}
	got := make(chan answer, 1)
	c := dialNode(t, nodes[0])
	go func() {
		data, err := readOn(c, b, 0, 9, false)
		got <- answer{data, err}
	}()
	p.packet([]byte("late"))
	a := <-got
	require.NoError(t, a.err)
	require.Equal(t, "earlylate", string(a.data))
	p.finish()
}

// Java re-sends from the last chunk boundary after a flush in mid-chunk.
func TestRewind(t *testing.T) {
	_, nodes := startCluster(t, 2)
	b := newBlock()
	data := pattern(3000, 4)
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	p.packet(data[:700])
	p.off = 512
	p.packet(data[512:1500])
	p.off = 1024
	p.packet(data[1024:])
	p.finish()
	b.Length = 3000
	for _, n := range nodes {
		requireBlock(t, n, b, data)
	}
}

func TestPacketsThatDontFit(t *testing.T) {
	_, nodes := startCluster(t, 1)
	for name, send := range map[string]func(*testPipe){
		"beyond the end":         func(p *testPipe) { p.off = 2000; p.send([]byte("x"), datatransfer.Header{}) },
		"unaligned over a chunk": func(p *testPipe) { p.off = 700; p.send(make([]byte, 400), datatransfer.Header{}) },
		"garbage": func(p *testPipe) {
			_, err := p.c.Write([]byte("GET / HTTP/1.1\r\nHost: datanode\r\n\r\n"))
			require.NoError(p.t, err)
		},
		"huge": func(p *testPipe) {
			_, err := p.c.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0, 25})
			require.NoError(p.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBlock()
			p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
			p.packet(make([]byte, 700))
			send(p)
			var a datatransfer.Ack
			require.Error(t, p.c.ReadAck(&a))
			require.Equal(t, int64(700), visible(t, nodes[0], b), "what was acknowledged stays")
		})
	}
	data := pattern(1000, 1)
	requireBlock(t, nodes[0], writeBlock(t, newBlock(), data, nodes), data)
}

// A packet whose bytes don't match is refused by the first node that sees it, which
// says so before it closes; nothing of it is stored anywhere.
func TestBadChecksum(t *testing.T) {
	for replicas := 1; replicas <= 3; replicas++ {
		_, nodes := startCluster(t, replicas)
		b := newBlock()
		p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
		p.packet(make([]byte, 1024))
		raw := datatransfer.DefaultChecksum.AppendData(nil, &datatransfer.Header{Offset: 1024, Seqno: 1}, make([]byte, 1024))
		raw[len(raw)-1] ^= 1
		_, err := p.c.Write(raw)
		require.NoError(t, err)
		a := p.ack()
		require.Equal(t, int64(1), a.Seqno)
		require.Equal(t, datatransfer.StatusErrorChecksum, a.Replies[0])
		require.Equal(t, 0, a.FirstBad())
		_, err = p.c.ReadStatus()
		require.ErrorIs(t, err, io.EOF)
		for _, n := range nodes {
			r, ok := n.state.store.Get(b.ID)
			require.True(t, ok)
			require.Equal(t, int64(1024), r.Block.Length)
		}
	}
}

func TestHeartbeatsAndEmptySyncs(t *testing.T) {
	_, nodes := startCluster(t, 3)
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	p.seqno = 1 // G starts at 1
	for range 3 {
		raw, _, _ := datatransfer.AppendPacket(nil, &datatransfer.Header{Seqno: datatransfer.HeartbeatSeqno}, 0)
		_, err := p.c.Write(raw)
		require.NoError(t, err)
		a := p.ack()
		require.Equal(t, datatransfer.HeartbeatSeqno, a.Seqno)
		require.Len(t, a.Replies, 3)
		require.True(t, a.AllSuccess())
		p.packet([]byte("data"))
		p.off = p.off / 512 * 512
		p.send([]byte("data"), datatransfer.Header{Sync: true})
		require.True(t, p.ack().AllSuccess())
		p.send(nil, datatransfer.Header{Sync: true}) // an hsync without new data
		require.True(t, p.ack().AllSuccess())
		p.off = 0
	}
	p.off = 4
	p.finish()
	b.Length = 4
	requireBlock(t, nodes[2], b, []byte("data"))
}

// Many packets at once, acknowledged in order while more are on their way.
func TestManyPacketsInFlight(t *testing.T) {
	_, nodes := startCluster(t, 3)
	b := newBlock()
	data := pattern(6_000_000, 5)
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
	var stream []byte
	count := int64(0)
	for off := 0; off < len(data); off += 12_800 {
		h := datatransfer.Header{Offset: int64(off), Seqno: count, Sync: count%100 == 7}
		stream = datatransfer.DefaultChecksum.AppendData(stream, &h, data[off:min(off+12_800, len(data))])
		count++
	}
	stream, _, _ = datatransfer.AppendPacket(stream, &datatransfer.Header{Offset: int64(len(data)), Seqno: count, Last: true}, 0)
	sent := make(chan error, 1)
	go func() {
		_, err := p.c.Write(stream)
		sent <- err
	}()
	for i := range count + 1 {
		a := p.ack()
		require.Equal(t, i, a.Seqno)
		require.Len(t, a.Replies, 3)
		require.True(t, a.AllSuccess())
	}
	require.NoError(t, <-sent)
	b.Length = int64(len(data))
	for _, n := range nodes {
		requireBlock(t, n, b, data)
	}
}

// Set-up names the node that can't be reached by IP and port, wherever it stands.
func TestFirstBadLink(t *testing.T) {
	_, nodes := startCluster(t, 3)
	for bad := 1; bad < 3; bad++ {
		q := writeRequest(newBlock(), datatransfer.StageSetupCreate, nodes)
		q.Targets[bad-1].Node.XferPort = 1
		q.Targets[bad-1].Node.Host = "a.name"
		resp, err := dialNode(t, nodes[0]).Call(q)
		require.NoError(t, err)
		require.Equal(t, datatransfer.StatusError, resp.Status)
		require.Equal(t, "127.0.0.1:1", resp.FirstBadLink)
		require.NotEmpty(t, resp.Message)
		for _, n := range nodes[:bad] {
			require.Eventually(t, func() bool { _, ok := n.state.store.Get(q.Block.ID); return !ok }, patience, time.Millisecond,
				"nothing of the pipeline stays")
		}
	}
	// A node that refuses by itself is named by the one before it, the first by nobody.
	b := writeBlock(t, newBlock(), []byte("x"), nodes[1:2])
	q := writeRequest(b, datatransfer.StageSetupCreate, nodes)
	resp, err := dialNode(t, nodes[0]).Call(q)
	require.NoError(t, err)
	require.Equal(t, transferAddr(&q.Targets[0].Node), resp.FirstBadLink)
	resp, err = dialNode(t, nodes[1]).Call(writeRequest(b, datatransfer.StageSetupCreate, nodes[1:]))
	require.NoError(t, err)
	require.Error(t, resp.Err())
	require.Empty(t, resp.FirstBadLink)
}

func TestOtherChecksums(t *testing.T) {
	_, nodes := startCluster(t, 2)
	for _, sum := range []datatransfer.Checksum{{Type: dfs.ChecksumCRC32, BytesPer: 512}, {Type: dfs.ChecksumCRC32C, BytesPer: 4096}, {Type: dfs.ChecksumNull, BytesPer: 512}} {
		b := newBlock()
		q := writeRequest(b, datatransfer.StageSetupCreate, nodes)
		q.Checksum = sum
		p := openPipe(t, q, nodes)
		data := pattern(70_000, 6)
		_, err := p.c.Write(sum.AppendData(nil, &datatransfer.Header{}, data))
		require.NoError(t, err)
		require.True(t, p.ack().AllSuccess())
		p.off, p.seqno = 70_000, 1
		p.finish()
		b.Length = 70_000
		for _, n := range nodes {
			requireBlock(t, n, b, data)
			got, err := tryRead(t, n, b, 69_999, 1, true)
			require.NoError(t, err)
			require.Equal(t, data[69_999:], got)
		}
	}
}

// TestWriterWithoutChecksums: HDFS's client computes none for a file of one replica under
// LAZY_PERSIST. The datanode does; from any other writer a packet without is refused.
func TestWriterWithoutChecksums(t *testing.T) {
	for _, lazy := range []bool{true, false} {
		_, nodes := startCluster(t, 1)
		data := pattern(1300, 3)
		b := newBlock()
		q := writeRequest(b, datatransfer.StageSetupCreate, nodes)
		q.LazyPersist = lazy
		p := openPipe(t, q, nodes)
		for len(data) > int(p.off) {
			part := data[p.off:min(int(p.off)+1024, len(data))]
			h := datatransfer.Header{Offset: p.off, Seqno: p.seqno, Length: int32(len(part))}
			raw, _, room := datatransfer.AppendPacket(nil, &h, 0)
			copy(room, part)
			_, err := p.c.Write(raw)
			require.NoError(t, err)
			p.off, p.seqno = p.off+int64(len(part)), p.seqno+1
			if a := p.ack(); !lazy {
				require.Equal(t, datatransfer.StatusErrorChecksum, a.Replies[0])
				break
			}
		}
		if lazy {
			p.finish()
			b.Length = int64(len(data))
			requireBlock(t, nodes[0], b, data)
		}
	}
}
