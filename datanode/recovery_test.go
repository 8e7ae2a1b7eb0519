package datanode

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// A node of the pipeline dies at some packet: the writer learns which one, and the
// survivors go on from the last acknowledged byte under a new stamp.
func TestNodeDiesInPipeline(t *testing.T) {
	const packets = 4
	for victim := range 3 {
		for at := range packets + 1 {
			t.Run(fmt.Sprintf("node %d at packet %d", victim, at), func(t *testing.T) {
				nn, nodes := startCluster(t, 3)
				data := pattern(packets*1024, 8)
				b := newBlock()
				p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
				for i := range at {
					p.packet(data[i*1024 : (i+1)*1024])
				}
				acked := p.off
				require.NoError(t, nodes[victim].Close())
				requireBlamed(t, p, victim, data, at == packets)
				sent := p.off

				survivors := slices.Delete(slices.Clone(nodes), victim, victim+1)
				q := writeRequest(b, datatransfer.StageStreamingRecovery, survivors)
				q.NewStamp, q.MinBytes, q.MaxBytes = b.GenStamp+1, acked, sent
				r := openPipe(t, q, survivors)
				r.off = acked / 512 * 512
				if r.off < int64(len(data)) {
					r.packet(data[r.off:])
				}
				r.finish()
				b.GenStamp, b.Length = b.GenStamp+1, int64(len(data))
				nn.wait(t, "RECEIVED from the survivors", func() bool { return nn.receivedLocked(b) == 2 })
				for _, n := range survivors {
					requireBlock(t, n, b, data)
				}
			})
		}
	}
}

// requireBlamed sends one more packet, the last one or data, and requires that victim is
// found out: by the address in an answer, or by the broken connection to the first.
func requireBlamed(t *testing.T, p *testPipe, victim int, data []byte, last bool) {
	t.Helper()
	h := datatransfer.Header{Offset: p.off, Seqno: p.seqno, Last: last}
	var more []byte
	if !last {
		more = data[p.off : p.off+1024]
	}
	_, werr := p.c.Write(datatransfer.DefaultChecksum.AppendData(nil, &h, more))
	if werr == nil {
		p.off += int64(len(more))
	}
	var a datatransfer.Ack
	err := p.c.ReadAck(&a)
	if victim == 0 {
		require.Error(t, errors.Join(werr, err))
		return
	}
	require.NoError(t, err)
	require.Equal(t, victim, a.FirstBad(), "%v", a.Replies)
}

// A pipeline whose writer has vanished, or stands still, is taken over.
func TestTakeOverFromSilentWriter(t *testing.T) {
	for _, vanish := range []bool{true, false} {
		_, nodes := startCluster(t, 2)
		data := pattern(3000, 2)
		b := newBlock()
		p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
		p.packet(data[:1000])
		if vanish {
			require.NoError(t, p.c.Close())
		}
		q := writeRequest(b, datatransfer.StageStreamingRecovery, nodes)
		q.NewStamp, q.MinBytes, q.MaxBytes = b.GenStamp+1, 1000, 1000
		r := openPipe(t, q, nodes)
		if !vanish {
			_, err := p.c.ReadStatus()
			require.Error(t, err, "the old writer is cut off")
		}
		r.off = 512
		r.packet(data[512:])
		r.finish()
		b.GenStamp, b.Length = b.GenStamp+1, 3000
		for _, n := range nodes {
			requireBlock(t, n, b, data)
		}
	}
}

func TestAppend(t *testing.T) {
	for _, size := range []int{1, 511, 512, 700, 1024, 65_000} {
		for _, newStamp := range []dfs.GenStamp{0, 1} { // G and R keep the stamp
			nn, nodes := startCluster(t, 2)
			data := pattern(size+2000, 3)
			b := writeBlock(t, newBlock(), data[:size], nodes)
			q := writeRequest(b, datatransfer.StageSetupAppend, nodes)
			q.MinBytes, q.MaxBytes, q.NewStamp = int64(size), int64(size), b.GenStamp+newStamp
			p := openPipe(t, q, nodes)
			p.off = int64(size)
			if rest := 512 - size%512; rest < 512 {
				p.packet(data[size : size+rest]) // fills the last chunk up
			}
			p.packet(data[p.off:])
			p.finish()
			b.GenStamp, b.Length = b.GenStamp+newStamp, int64(size+2000)
			nn.wait(t, "RECEIVED", func() bool { return nn.receivedLocked(b) >= 2 })
			for _, n := range nodes {
				requireBlock(t, n, b, data)
			}
		}
	}
}

func TestStagesThatMustFail(t *testing.T) {
	_, nodes := startCluster(t, 1)
	done := writeBlock(t, newBlock(), pattern(1000, 1), nodes)
	open := newBlock()
	p := openPipe(t, writeRequest(open, datatransfer.StageSetupCreate, nodes), nodes)
	p.packet(make([]byte, 1000))
	for name, c := range map[string]struct {
		b     dfs.Block
		stage datatransfer.Stage
		edit  func(*datatransfer.WriteRequest)
	}{
		"create what is there":        {done, datatransfer.StageSetupCreate, nil},
		"append at another length":    {done, datatransfer.StageSetupAppend, func(q *datatransfer.WriteRequest) { q.MinBytes = 999 }},
		"append to what is not there": {newBlock(), datatransfer.StageSetupAppend, nil},
		"append to an open block":     {open, datatransfer.StageSetupAppend, func(q *datatransfer.WriteRequest) { q.MinBytes = 1000 }},
		"recover what is not there":   {newBlock(), datatransfer.StageStreamingRecovery, nil},
		"recover more than was acked": {open, datatransfer.StageStreamingRecovery, func(q *datatransfer.WriteRequest) { q.MinBytes, q.MaxBytes = 1001, 2000 }},
		"close at another length":     {open, datatransfer.StageCloseRecovery, func(q *datatransfer.WriteRequest) { q.MinBytes = 10 }},
		"a stage that is never sent":  {newBlock(), datatransfer.StageStreaming, nil},
		"another pool":                {newBlock(), datatransfer.StageSetupCreate, func(q *datatransfer.WriteRequest) { q.Block.PoolID = "BP-x" }},
		"a stamp newer than what is":  {dfs.Block{ID: done.ID, GenStamp: 5000}, datatransfer.StageSetupAppend, func(q *datatransfer.WriteRequest) { q.MinBytes = 1000 }},
		"no such stage":               {newBlock(), datatransfer.Stage(77), nil},
	} {
		q := writeRequest(c.b, c.stage, nodes)
		if c.edit != nil {
			c.edit(q)
		}
		q.NewStamp = q.Block.GenStamp + 1
		resp, err := dialNode(t, nodes[0]).Call(q)
		require.NoError(t, err, name)
		require.Error(t, resp.Err(), name)
		require.NotEmpty(t, resp.Message, name)
	}
	requireBlock(t, nodes[0], done, pattern(1000, 1))
}

// All packets were acknowledged but the last: CLOSE_RECOVERY completes the block without
// data, on nodes that have finalized it too.
func TestCloseRecovery(t *testing.T) {
	for _, finalized := range []bool{false, true} {
		nn, nodes := startCluster(t, 3)
		data := pattern(1700, 1)
		b := newBlock()
		p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes), nodes)
		p.packet(data)
		if finalized {
			p.finish()
		}
		q := writeRequest(b, datatransfer.StageCloseRecovery, nodes)
		q.NewStamp, q.MinBytes, q.MaxBytes = b.GenStamp+1, 1700, 1700
		openPipe(t, q, nodes)
		b.GenStamp, b.Length = b.GenStamp+1, 1700
		nn.wait(t, "RECEIVED from all", func() bool { return nn.receivedLocked(b) == 3 })
		for _, n := range nodes {
			requireBlock(t, n, b, data)
		}
	}
}

// TRANSFER_BLOCK brings a new node to the state of an open pipeline, which then goes on.
func TestReplaceNodeInOpenPipeline(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	data := pattern(200_000, 1)
	b := newBlock()
	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes[:2]), nodes[:2])
	const acked = 153_600
	for p.off < acked {
		p.packet(data[p.off : p.off+51_200])
	}
	require.NoError(t, nodes[1].Close())
	requireBlamed(t, p, 1, data, false)
	ref := datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: b}
	resp, err := dialNode(t, nodes[0]).Call(&datatransfer.TransferRequest{Block: ref, Client: "test", Targets: []datatransfer.Target{nodes[2].target()}})
	require.NoError(t, err)
	require.NoError(t, resp.Err())
	pair := []*node{nodes[0], nodes[2]}
	q := writeRequest(b, datatransfer.StageStreamingRecovery, pair)
	q.NewStamp, q.MinBytes, q.MaxBytes = b.GenStamp+1, acked, p.off
	r := openPipe(t, q, pair)
	r.off = acked
	r.packet(data[r.off:])
	r.finish()
	b.GenStamp, b.Length = b.GenStamp+1, int64(len(data))
	nn.wait(t, "RECEIVED", func() bool { return nn.receivedLocked(b) == 2 })
	requireBlock(t, nodes[0], b, data)
	requireBlock(t, nodes[2], b, data)
}

func TestTransfers(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	data := pattern(500_000, 1)
	b := writeBlock(t, newBlock(), data, nodes[:1])
	nn.command(nodes[0].ID().UUID, control.Command{Kind: control.CmdTransfer, PoolID: testCluster.PoolID, Block: b,
		Targets: []control.Target{{Node: nodes[1].ID()}, {Node: nodes[2].ID()}}})
	nn.wait(t, "the copies", func() bool { return nn.receivedLocked(b) == 3 })
	for _, n := range nodes {
		requireBlock(t, n, b, data)
	}
	// Asked again: the target has it, so that the copy fails, which the source tells.
	nn.command(nodes[0].ID().UUID, control.Command{Kind: control.CmdTransfer, PoolID: testCluster.PoolID, Block: b,
		Targets: []control.Target{{Node: nodes[1].ID(), Storage: "the target's"}}})
	nn.wait(t, "the failure", func() bool {
		return slices.ContainsFunc(nn.events, func(e control.ReplicaEvent) bool {
			return e.Event == control.EventNotCopied && e.Block == b && e.Storage == "the target's"
		})
	})
	// A copy of a damaged replica must not come to be; its source is reported instead.
	bad := writeBlock(t, newBlock(), data, nodes[:1])
	damage(t, nodes[0].fs, bad.ID, 300_000)
	ref := datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: bad}
	resp, err := dialNode(t, nodes[0]).Call(&datatransfer.TransferRequest{Block: ref, Targets: []datatransfer.Target{nodes[1].target()}})
	require.NoError(t, err)
	require.Error(t, resp.Err())
	nn.wait(t, "bad block report", func() bool {
		return len(nn.bad) > 0 && nn.bad[0].Block.ID == bad.ID && nn.bad[0].Nodes[0].UUID == nodes[0].ID().UUID
	})
	resp, err = dialNode(t, nodes[0]).Call(&datatransfer.TransferRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: newBlock()}, Targets: []datatransfer.Target{nodes[1].target()}})
	require.NoError(t, err)
	require.ErrorContains(t, resp.Err(), "Replica not found")
	require.NoError(t, nodes[1].Close()) // joins the stream that received
	require.Empty(t, blockFiles(t, nodes[1].fs, bad.ID))
}

// The writer is gone and its replicas have different lengths: the primary makes them
// equal to the shortest, which holds every acknowledged byte.
func TestBlockRecovery(t *testing.T) {
	for _, c := range []struct {
		name      string
		lengths   []int // of each replica; -1: none
		finalized []int // which are finalized
		want      int64 // -1: the block is dropped
		kept      int
		newLength int64
	}{
		{"same length", []int{3000, 3000, 3000}, nil, 3000, 3, -1},
		{"shortest wins", []int{3000, 1700, 2500}, nil, 1700, 3, -1},
		{"one node lost it", []int{2000, -1, 2500}, nil, 2000, 2, -1},
		{"a finalized one fixes the length", []int{2500, 3000, 2500}, []int{0}, 2500, 2, -1},
		{"all finalized", []int{2500, 2500}, []int{0, 1}, 2500, 2, -1},
		{"nothing was written", []int{0, 0}, nil, -1, 0, -1},
		{"nobody has it", []int{-1, -1}, nil, -1, 0, -1},
		{"empty beside written", []int{0, 1000}, nil, 1000, 1, -1},
		{"truncate", []int{2500, 2500}, []int{0, 1}, 700, 2, 700},
	} {
		t.Run(c.name, func(t *testing.T) {
			nn, nodes := startCluster(t, len(c.lengths))
			data := pattern(3000, 5)
			b := newBlock()
			cmd := control.Command{Kind: control.CmdRecover, PoolID: testCluster.PoolID, Block: b, RecoveryID: b.GenStamp + 7, NewLength: c.newLength}
			for i, n := range nodes {
				cmd.Targets = append(cmd.Targets, control.Target{Node: n.ID()})
				if c.lengths[i] < 0 {
					continue
				}
				p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes[i:i+1]), nodes[i:i+1])
				if c.lengths[i] > 0 {
					p.packet(data[:c.lengths[i]])
				}
				if slices.Contains(c.finalized, i) {
					p.finish()
				} // else the writer just stands still
			}
			nn.command(nodes[0].ID().UUID, cmd)
			nn.wait(t, "commit", func() bool { return len(nn.commits) > 0 })
			got := nn.commits[0]
			require.True(t, got.Close)
			require.Equal(t, cmd.RecoveryID, got.NewStamp)
			require.Equal(t, c.want < 0, got.Delete)
			require.Len(t, got.Targets, c.kept)
			if c.want < 0 {
				return
			}
			require.Equal(t, c.want, got.NewLength)
			b.GenStamp, b.Length = cmd.RecoveryID, c.want
			nn.wait(t, "RECEIVED", func() bool { return nn.receivedLocked(b) == c.kept })
			for _, target := range got.Targets {
				i := slices.IndexFunc(nodes, func(n *node) bool { return n.ID().UUID == target.Node.UUID })
				require.NotEmpty(t, target.Storage)
				requireBlock(t, nodes[i], b, data[:c.want])
			}
		})
	}
}

// A target that can't be asked may hold what nobody else has: without a replica at hand the
// block is neither closed nor dropped. With one, the recovery goes on without it.
func TestBlockRecoveryWithDeadNode(t *testing.T) {
	nn, nodes := startCluster(t, 3)
	b := newBlock()
	cmd := control.Command{Kind: control.CmdRecover, PoolID: testCluster.PoolID, Block: b, RecoveryID: b.GenStamp + 1, NewLength: -1}
	for _, n := range nodes {
		cmd.Targets = append(cmd.Targets, control.Target{Node: n.ID()})
	}
	require.NoError(t, nodes[2].Close())
	err := nodes[0].runRecovery(nodes[0].sessions[0], cmd)
	require.ErrorContains(t, err, "some could not be asked")
	require.Empty(t, nn.commits)

	p := openPipe(t, writeRequest(b, datatransfer.StageSetupCreate, nodes[:2]), nodes[:2])
	p.packet(pattern(900, 1))
	require.NoError(t, nodes[0].runRecovery(nodes[0].sessions[0], cmd))
	require.Len(t, nn.commits, 1)
	require.Len(t, nn.commits[0].Targets, 2)
	require.Equal(t, int64(900), nn.commits[0].NewLength)
	// A second, older recovery comes too late.
	cmd.RecoveryID--
	require.Error(t, nodes[1].runRecovery(nodes[1].sessions[0], cmd))
	require.Len(t, nn.commits, 1)
}

// TestAgree holds which length a block recovery takes: no acknowledged byte may be lost
// because one replica is damaged.
func TestAgree(t *testing.T) {
	const fin, rbw, rwr = dfs.ReplicaFinalized, dfs.ReplicaRBW, dfs.ReplicaRWR
	replica := func(state dfs.ReplicaState, n int64, cut bool) candidate {
		return candidate{info: control.ReplicaInfo{Block: dfs.Block{Length: n}, State: state, Cut: cut}}
	}
	for name, c := range map[string]struct {
		found   []candidate
		newLen  int64
		length  int64
		members int
	}{
		"the shortest of those being written":         {[]candidate{replica(rbw, 30, false), replica(rbw, 20, false)}, -1, 20, 2},
		"a finalized one decides":                     {[]candidate{replica(rbw, 30, false), replica(fin, 25, false)}, -1, 25, 1},
		"a damaged one does not shorten the others":   {[]candidate{replica(rwr, 5, true), replica(rwr, 20, false), replica(rwr, 30, false)}, -1, 20, 2},
		"one with unsynced bytes more is no obstacle": {[]candidate{replica(rwr, 25, true), replica(rwr, 20, false)}, -1, 20, 2},
		"all cut: what any of them has":               {[]candidate{replica(rwr, 5, true), replica(rwr, 20, true)}, -1, 20, 1},
		"one that is still written goes first":        {[]candidate{replica(rbw, 10, false), replica(rwr, 20, false)}, -1, 10, 1},
		"a truncate says the length":                  {[]candidate{replica(fin, 20, false), replica(fin, 20, false)}, 7, 7, 2},
	} {
		length, chosen := agree(c.found, c.newLen)
		require.Equal(t, c.length, length, name)
		require.Len(t, chosen, c.members, name)
	}
}
