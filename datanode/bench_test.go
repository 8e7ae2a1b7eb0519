package datanode

import (
	"fmt"
	"io"
	"net"
	"testing"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/datatransfer"
)

const benchBlock = 128 << 20

// benchCluster starts datanodes on the real disk.
func benchCluster(b *testing.B, n int) []*node {
	nn := startNameNode(b, "127.0.0.1:0")
	var nodes []*node
	for range n {
		cfg := testConfig(vfs.OS(), nn.addr)
		cfg.Volumes = []blockstore.VolumeConfig{{Dir: b.TempDir()}}
		nodes = append(nodes, startNode(b, cfg))
	}
	return nodes
}

// writeStream writes one block of zeroes and waits for the last acknowledgement.
func writeStream(b *testing.B, block dfs.Block, nodes []*node, data []byte) {
	nc, err := net.Dial("tcp", nodes[0].TransferAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	c := datatransfer.NewConn(nc)
	resp, err := c.Call(writeRequest(block, datatransfer.StageSetupCreate, nodes))
	if err != nil || resp.Err() != nil {
		b.Fatal(err, resp)
	}
	acks := make(chan error, 1)
	go func() {
		var a datatransfer.Ack
		for {
			if err := c.ReadAck(&a); err != nil || !a.AllSuccess() {
				acks <- fmt.Errorf("%v %v", err, a.Replies)
				return
			}
			if a.Seqno == benchBlock/64512 {
				acks <- nil
				return
			}
		}
	}()
	var buf []byte
	h := datatransfer.Header{}
	for ; h.Seqno < benchBlock/64512; h.Seqno++ {
		buf = datatransfer.DefaultChecksum.AppendData(buf[:0], &h, data[:64512])
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		h.Offset += 64512
	}
	h.Length, h.Last = 0, true
	buf, _, _ = datatransfer.AppendPacket(buf[:0], &h, 0)
	if _, err := c.Write(buf); err != nil {
		b.Fatal(err)
	}
	if err := <-acks; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWrite writes blocks of 128 MiB through pipelines, durable at their end.
func BenchmarkWrite(b *testing.B) {
	data := pattern(64512, 1)
	for replicas := 1; replicas <= 3; replicas++ {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			nodes := benchCluster(b, replicas)
			b.SetBytes(benchBlock)
			b.ReportAllocs()
			for b.Loop() {
				writeStream(b, newBlock(), nodes, data)
			}
		})
	}
}

// BenchmarkRead reads a block of 128 MiB out of the page cache, verified by the reader.
func BenchmarkRead(b *testing.B) {
	nodes := benchCluster(b, 1)
	block := newBlock()
	writeStream(b, block, nodes, pattern(64512, 1))
	size := int64(benchBlock / 64512 * 64512)
	nc, err := net.Dial("tcp", nodes[0].TransferAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	c := datatransfer.NewConn(nc)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		br, err := c.StartRead(&datatransfer.ReadRequest{Block: datatransfer.BlockRef{PoolID: testCluster.PoolID, Block: block}, Length: size})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = br.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		if err := br.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallRead reads 4 KiB at a time over one connection.
func BenchmarkSmallRead(b *testing.B) {
	nodes := benchCluster(b, 1)
	block := newBlock()
	writeStream(b, block, nodes, pattern(64512, 1))
	nc, err := net.Dial("tcp", nodes[0].TransferAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	c := datatransfer.NewConn(nc)
	b.ReportAllocs()
	for off := int64(0); b.Loop(); off = (off + 1_234_567) % (100 << 20) {
		if _, err := readOn(c, block, off, 4096, false); err != nil {
			b.Fatal(err)
		}
	}
}
