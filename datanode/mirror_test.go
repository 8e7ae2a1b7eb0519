package datanode

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// fakeMirror is a next node that does what serve does after it got its operation.
func fakeMirror(t *testing.T, serve func(c *datatransfer.Conn)) datatransfer.Target {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		c := datatransfer.NewConn(nc)
		if _, err := c.ReadOp(); err == nil {
			serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return datatransfer.Target{Node: dfs.DatanodeID{UUID: "fake", IP: "127.0.0.1", Host: "localhost", XferPort: port(l)}}
}

func accept(c *datatransfer.Conn) { _ = c.SendResponse(&datatransfer.Response{}) }

// untilClosed reads packets and drops them.
func untilClosed(c *datatransfer.Conn) {
	var p datatransfer.Packet
	for c.ReadPacket(&p) == nil {
	}
}

// impatientNode gives up on a silent peer soon.
func impatientNode(t *testing.T) *node { return nodeWithPatience(t, 300*time.Millisecond) }

func nodeWithPatience(t *testing.T, d time.Duration) *node {
	nn := startNameNode(t, "127.0.0.1:0")
	cfg := testConfig(newMem(), nn.addr)
	cfg.Timeouts.Read, cfg.Timeouts.Write = d, d
	return startNode(t, cfg)
}

// Set-up with a next node that is silent, refuses, or blames somebody further on.
func TestMirrorSetUp(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*datatransfer.Conn)
		want  string // "": the mirror itself
	}{
		"silent":  {untilClosed, ""},
		"closes":  {func(*datatransfer.Conn) {}, ""},
		"garbage": {func(c *datatransfer.Conn) { _, _ = c.Write([]byte{5, 1, 2, 3, 4, 5}) }, ""},
		"refuses": {func(c *datatransfer.Conn) {
			_ = c.SendResponse(&datatransfer.Response{Status: datatransfer.StatusError, Message: "no room"})
		}, ""},
		"blames": {func(c *datatransfer.Conn) {
			_ = c.SendResponse(&datatransfer.Response{Status: datatransfer.StatusError, FirstBadLink: "10.1.2.3:9866"})
		}, "10.1.2.3:9866"},
	} {
		t.Run(name, func(t *testing.T) {
			n := impatientNode(t)
			mirror := fakeMirror(t, c.serve)
			if c.want == "" {
				c.want = transferAddr(&mirror.Node)
			}
			q := writeRequest(newBlock(), datatransfer.StageSetupCreate, []*node{n})
			q.Targets = []datatransfer.Target{mirror}
			resp, err := dialNode(t, n).Call(q)
			require.NoError(t, err)
			require.Equal(t, datatransfer.StatusError, resp.Status)
			require.Equal(t, c.want, resp.FirstBadLink)
			if name == "refuses" {
				require.Contains(t, resp.Message, "no room")
			}
			_, ok := n.state.store.Get(q.Block.ID)
			require.False(t, ok)
		})
	}
}

// A next node that fails after set-up, in every way: the packet is acknowledged with
// SUCCESS for this node and ERROR for that one, and this node's replica goes on.
func TestMirrorFailsWhileStreaming(t *testing.T) {
	ack := func(c *datatransfer.Conn, seqno int64, replies ...datatransfer.Status) {
		_, _ = c.Write(datatransfer.AppendAck(nil, &datatransfer.Ack{Seqno: seqno, Replies: replies}))
	}
	for name, serve := range map[string]func(*datatransfer.Conn){
		"never answers":         untilClosed,
		"stops reading":         func(c *datatransfer.Conn) { _, _ = c.ReadStatus(); untilClosed(c) },
		"hangs up":              func(*datatransfer.Conn) {},
		"wrong sequence number": func(c *datatransfer.Conn) { ack(c, 99, 0); untilClosed(c) },
		"garbage":               func(c *datatransfer.Conn) { _, _ = c.Write([]byte("\xff\xff\xff\xff\xff\xff")); untilClosed(c) },
		"says ERROR":            func(c *datatransfer.Conn) { ack(c, 0, datatransfer.StatusError); untilClosed(c) },
	} {
		t.Run(name, func(t *testing.T) {
			n := impatientNode(t)
			b := newBlock()
			q := writeRequest(b, datatransfer.StageSetupCreate, []*node{n})
			q.Targets = []datatransfer.Target{fakeMirror(t, func(c *datatransfer.Conn) { accept(c); serve(c) })}
			p := openPipe(t, q, []*node{n})
			data := pattern(1024, 1)
			stayAlive(t, p)
			p.send(data, datatransfer.Header{})
			a := ackOf(p, 0)
			require.Equal(t, []datatransfer.Status{datatransfer.StatusSuccess, datatransfer.StatusError}, a.Replies)
			require.Zero(t, visible(t, n, b), "not everybody has it")
			p.send(nil, datatransfer.Header{Last: true})
			require.Equal(t, 1, ackOf(p, 1).FirstBad())
			b.Length = 1024
			requireBlock(t, n, b, data)
		})
	}
}

// stayAlive sends heartbeats until the test ends, as a client does that waits for answers.
func stayAlive(t *testing.T, p *testPipe) {
	raw, _, _ := datatransfer.AppendPacket(nil, &datatransfer.Header{Seqno: datatransfer.HeartbeatSeqno}, 0)
	stop, done := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(50 * time.Millisecond)
	go func() {
		defer close(done)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = p.c.Write(raw) // the stream may have ended
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
}

// ackOf reads acknowledgements until that of a packet.
func ackOf(p *testPipe, seqno int64) *datatransfer.Ack {
	p.t.Helper()
	for {
		a := p.ack()
		if a.Seqno == datatransfer.HeartbeatSeqno {
			continue
		}
		require.Equal(p.t, seqno, a.Seqno)
		return a
	}
}

// When the last of three falls silent, the one before it is not to blame.
func TestSilentLastNodeIsNamed(t *testing.T) {
	t.Parallel()
	const patience = 1500 * time.Millisecond // a tenth of it per node must be more than the machine's hiccups
	nodes := []*node{nodeWithPatience(t, patience), nodeWithPatience(t, patience)}
	q := writeRequest(newBlock(), datatransfer.StageSetupCreate, nodes)
	q.Targets = append(q.Targets, fakeMirror(t, func(c *datatransfer.Conn) { accept(c); untilClosed(c) }))
	p := openPipe(t, q, nodes)
	stayAlive(t, p)
	p.send([]byte("x"), datatransfer.Header{})
	require.Equal(t, 2, ackOf(p, 0).FirstBad())

	q = writeRequest(newBlock(), datatransfer.StageSetupCreate, nodes)
	mirror := fakeMirror(t, untilClosed)
	q.Targets = append(q.Targets, mirror)
	resp, err := dialNode(t, nodes[0]).Call(q)
	require.NoError(t, err)
	require.Equal(t, transferAddr(&mirror.Node), resp.FirstBadLink)
}

// What a node behind says out of band reaches the writer, and answers keep their order.
func TestOutOfBand(t *testing.T) {
	n := impatientNode(t)
	q := writeRequest(newBlock(), datatransfer.StageSetupCreate, []*node{n})
	q.Targets = []datatransfer.Target{fakeMirror(t, func(c *datatransfer.Conn) {
		accept(c)
		b := datatransfer.AppendAck(nil, &datatransfer.Ack{Seqno: datatransfer.OOBSeqno, Replies: []datatransfer.Status{datatransfer.StatusRestart}})
		_, _ = c.Write(datatransfer.AppendAck(b, &datatransfer.Ack{Seqno: 0, Replies: []datatransfer.Status{0}}))
		untilClosed(c)
	})}
	p := openPipe(t, q, []*node{n})
	p.send([]byte("x"), datatransfer.Header{})
	a := p.ack()
	require.Equal(t, datatransfer.OOBSeqno, a.Seqno)
	require.Equal(t, []datatransfer.Status{datatransfer.StatusSuccess, datatransfer.StatusRestart}, a.Replies)
	a = p.ack()
	require.Equal(t, int64(0), a.Seqno)
	require.True(t, a.AllSuccess())
}

// A writer that falls silent loses its stream; what it wrote stays for a recovery.
func TestSilentWriterTimesOut(t *testing.T) {
	n := impatientNode(t)
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, []*node{n}), []*node{n})
	p.packet(make([]byte, 700))
	var a datatransfer.Ack
	require.Error(t, p.c.ReadAck(&a))
	require.Equal(t, int64(700), visible(t, n, b))
	r, ok := n.state.store.Get(b.ID)
	require.True(t, ok)
	require.Equal(t, dfs.ReplicaRBW, r.State)
}
