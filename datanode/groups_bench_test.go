package datanode

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

const benchMember = 32 << 20

// storeBlock puts a finalized replica into a node's store.
func storeBlock(b testing.TB, n *node, block dfs.Block, data []byte) dfs.Block {
	w, err := n.state.store.Create(blockstore.CreateOptions{Block: block})
	if err != nil {
		b.Fatal(err)
	}
	sums := make([]byte, datatransfer.DefaultChecksum.Size(1<<20))
	for at := 0; at < len(data); at += 1 << 20 {
		piece := data[at:min(at+1<<20, len(data))]
		covers := sums[:datatransfer.DefaultChecksum.Size(len(piece))]
		datatransfer.DefaultChecksum.Fill(covers, piece)
		if err := w.Write(int64(at), piece, covers, true); err != nil {
			b.Fatal(err)
		}
	}
	x, err := w.Finalize()
	if err != nil {
		b.Fatal(err)
	}
	return x.Block
}

// BenchmarkFold rebuilds a block of 32 MiB from k others, in memory and on the real disk's
// page cache, all on one datanode: the whole path from the source's files to the durable
// replica. The rate is that of the bytes rebuilt; MB/core-s is by the processor time that the
// whole process took, whoever else is on the machine.
func BenchmarkFold(b *testing.B) {
	for _, k := range []int{2, 4, 8} {
		for _, where := range []string{"mem", "disk"} {
			b.Run(fmt.Sprintf("k=%d/%s", k, where), func(b *testing.B) {
				nn := startNameNode(b, "127.0.0.1:0")
				cfg := testConfig(newMem(), nn.addr)
				if where == "disk" {
					cfg.FS = vfs.OS()
					cfg.Volumes = []blockstore.VolumeConfig{{Dir: b.TempDir()}}
				}
				n := startNode(b, cfg)
				cmd := control.Command{Kind: control.CmdFold}
				for i := range k {
					block := storeBlock(b, n, newBlock(), pattern(benchMember, uint64(i)))
					cmd.Sources = append(cmd.Sources, control.Source{Block: block, Targets: []control.Target{targetOf(n)}})
				}
				b.SetBytes(benchMember)
				b.ReportAllocs()
				used := -processorTime(b)
				for b.Loop() {
					cmd.Block = newBlock()
					cmd.Block.Length = -1
					res, err := n.foldOnce(b.Context(), cmd, false)
					if err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					if err := n.state.store.Invalidate(res.replica.Block); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				used += processorTime(b)
				b.ReportMetric(float64(b.N)*benchMember/1e6/used.Seconds(), "MB/core-s")
			})
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDegradedRead reads a block of 32 MiB that is made from 4 others on 4 datanodes of
// this machine, beside a read of one that is there.
func BenchmarkDegradedRead(b *testing.B) {
	nn := startNameNode(b, "127.0.0.1:0")
	var nodes []*node
	for range 5 {
		nodes = append(nodes, startNode(b, testConfig(newMem(), nn.addr)))
	}
	reply := &control.SourcesReply{Block: newBlock()}
	reply.Block.Length = benchMember
	for i, n := range nodes[1:] {
		block := storeBlock(b, n, newBlock(), pattern(benchMember, uint64(i)))
		reply.Sources = append(reply.Sources, control.Source{Block: block, Targets: []control.Target{targetOf(n)}})
	}
	nn.update(func() { nn.sources[reply.Block.ID] = reply })
	for _, c := range []struct {
		name  string
		n     *node
		block dfs.Block
	}{{"healthy", nodes[4], reply.Sources[3].Block}, {"degraded", nodes[4], reply.Block}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(benchMember)
			b.ReportAllocs()
			used := -processorTime(b)
			for b.Loop() {
				if err := drain(c.n, c.block); err != nil {
					b.Fatal(err)
				}
			}
			used += processorTime(b)
			b.ReportMetric(float64(b.N)*benchMember/1e6/used.Seconds(), "MB/core-s")
		})
	}
}

// drain reads a whole block as a client does.
func drain(n *node, block dfs.Block) error {
	nc, err := net.Dial("tcp", n.TransferAddr().String())
	if err != nil {
		return err
	}
	return drainConn(nc, block)
}

func drainConn(nc net.Conn, block dfs.Block) error {
	defer nc.Close()
	c := datatransfer.NewConn(nc)
	defer c.Release()
	br, err := c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: block}, Client: "bench", Length: block.Length})
	for err == nil {
		_, err = br.Next()
	}
	if err != io.EOF {
		return err
	}
	return br.Finish()
}
