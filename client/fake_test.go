package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// cluster is a tiny HDFS in memory: one name node with one file at a time and some
// datanodes. Its faults are set by tests. Everything runs over net.Pipe, so that it
// works in a synctest bubble, too.
type cluster struct {
	t   *testing.T
	rpc hadooprpc.Server
	wg  sync.WaitGroup

	mu       sync.Mutex
	nodes    []dfs.DatanodeInfo
	replicas []map[dfs.BlockID][]byte // by node
	down     map[int]bool             // refuses connections
	blocks   []dfs.Block
	where    map[dfs.BlockID][]int
	open     bool
	length   int64
	stamp    dfs.GenStamp
	calls    map[string]int
	bad      []dfs.BlockID // reported
	repl     int
	size     int64 // block size
	conns    []net.Conn
	// kind is what another server says of how the file is stored.
	kind func(*hdfspb.HdfsFileStatus, *hdfspb.LocatedBlocks)

	// failAck says how to acknowledge a packet: the index of a node to blame, or -1. cut
	// ends the connection instead.
	failAck func(block dfs.BlockID, seqno int64, nodes []int) (bad int, cut bool)
	// failRead is called before each packet of a read and may end or damage it.
	failRead func(node int, packet int) (cut, damage bool)
}

const fakeChunk = 512

func newCluster(t *testing.T, nodes, repl int, blockSize int64) *cluster {
	c := &cluster{t: t, repl: repl, size: blockSize, stamp: dfs.FirstGenStamp, down: map[int]bool{}, where: map[dfs.BlockID][]int{}, calls: map[string]int{}}
	for i := range nodes {
		c.nodes = append(c.nodes, dfs.DatanodeInfo{DatanodeID: dfs.DatanodeID{UUID: string(rune('a' + i)), IP: "10.0.0.1", Host: "dn", XferPort: uint16(1000 + i)}, Location: "/r"})
		c.replicas = append(c.replicas, map[dfs.BlockID][]byte{})
	}
	c.rpc.Handle(clientProtocol, 1, hadooprpc.HandlerFunc(c.serveRPC))
	return c
}

// client makes a client of the cluster that is closed with the test.
func (c *cluster) client(change func(*Config)) *Client {
	cfg := Config{NameNodes: []string{"nn:1"}, User: "alice", Dial: c.dial, Write: WriteConfig{PacketSize: 2048}}
	if change != nil {
		change(&cfg)
	}
	cl, err := Open(cfg)
	require.NoError(c.t, err)
	return cl
}

// close ends the servers and waits for them.
func (c *cluster) close() {
	c.mu.Lock()
	for _, n := range c.conns {
		_ = n.Close()
	}
	c.mu.Unlock()
	_ = c.rpc.Close()
	c.wg.Wait()
}

func (c *cluster) dial(_ context.Context, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	near, far := net.Pipe()
	if addr == "nn:1" {
		c.wg.Add(1)
		go func() { defer c.wg.Done(); c.rpc.ServeConn(far) }()
		return near, nil
	}
	for i, n := range c.nodes {
		if addr == net.JoinHostPort(n.IP, itoa(int(n.XferPort))) {
			if c.down[i] {
				break
			}
			c.conns = append(c.conns, far)
			c.wg.Add(1)
			go func() { defer c.wg.Done(); c.serveData(i, far) }()
			return near, nil
		}
	}
	return nil, errors.New("connection refused: " + addr)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func (c *cluster) located(b dfs.Block, offset int64) *hdfspb.LocatedBlock {
	lb := dfs.LocatedBlock{Block: b, PoolID: "BP", Offset: offset}
	for _, i := range c.where[b.ID] {
		lb.Locs = append(lb.Locs, dfs.ReplicaLoc{Node: &c.nodes[i], Storage: "s", Type: dfs.StorageDisk})
	}
	return locatedProto(&lb, lb.Locs)
}

func (c *cluster) status() *hdfspb.HdfsFileStatus {
	return &hdfspb.HdfsFileStatus{
		FileType: new(hdfspb.HdfsFileStatus_FileType(2)), Path: []byte{}, Length: new(uint64(c.length)), Permission: perm(0o644), Owner: new("a"), Group: new("g"),
		ModificationTime: new(uint64(0)), AccessTime: new(uint64(0)), BlockReplication: new(uint32(c.repl)), Blocksize: new(uint64(c.size)), FileId: new(uint64(17000)),
	}
}

// message is what the fake answers with.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

func (c *cluster) serveRPC(call *hadooprpc.Call) {
	c.mu.Lock()
	resp, err := c.answer(call)
	c.mu.Unlock()
	if err != nil {
		var remote *hadooprpc.RemoteError
		if !errors.As(err, &remote) {
			remote = &hadooprpc.RemoteError{Class: "java.io.IOException", Message: err.Error()}
		}
		call.Fail(remote.Class, remote.Message)
		return
	}
	call.Reply(resp)
}

// answer is the name node: the calls that reading and writing one file need.
func (c *cluster) answer(call *hadooprpc.Call) (message, error) {
	c.calls[call.Method]++
	switch call.Method {
	case "getServerDefaults":
		return &hdfspb.GetServerDefaultsResponse{ServerDefaults: &hdfspb.FsServerDefaults{
			BlockSize: new(uint64(c.size)), BytesPerChecksum: new(uint32(fakeChunk)), WritePacketSize: new(uint32(2048)), Replication: new(uint32(c.repl)),
			FileBufferSize: new(uint32(4096)), ChecksumType: new(hdfspb.ChecksumType(2)),
		}}, nil
	case "getFileInfo":
		st := c.status()
		if c.kind != nil {
			c.kind(st, &hdfspb.LocatedBlocks{})
		}
		return &hdfspb.FileStatusResponse{Fs: st}, nil
	case "create":
		var req hdfspb.CreateRequest
		if err := req.UnmarshalVT(call.Body); err != nil {
			return nil, err
		}
		if c.length > 0 && req.GetCreateFlag()&dfs.CreateFlagOverwrite == 0 {
			return nil, &hadooprpc.RemoteError{Class: "org.apache.hadoop.fs.FileAlreadyExistsException", Message: "/f already exists"}
		}
		c.blocks, c.length, c.open = nil, 0, true
		if c.kind != nil {
			st := c.status()
			c.kind(st, &hdfspb.LocatedBlocks{})
			return &hdfspb.FileStatusResponse{Fs: st}, nil
		}
		return &hdfspb.FileStatusResponse{Fs: c.status()}, nil
	case "addBlock":
		return c.addBlock(call)
	case "abandonBlock":
		c.blocks = c.blocks[:len(c.blocks)-1]
		return empty, nil
	case "updateBlockForPipeline":
		c.stamp++
		b := c.blocks[len(c.blocks)-1]
		b.GenStamp = c.stamp
		return &hdfspb.BlockResponse{Block: c.located(b, 0)}, nil
	case "updatePipeline":
		var req hdfspb.UpdatePipelineRequest
		if err := req.UnmarshalVT(call.Body); err != nil {
			return nil, err
		}
		last := &c.blocks[len(c.blocks)-1]
		last.GenStamp = dfs.GenStamp(req.NewBlock.GetGenerationStamp())
		c.where[last.ID] = nil
		for _, n := range req.NewNodes {
			c.where[last.ID] = append(c.where[last.ID], c.nodeIndex(n.GetDatanodeUuid()))
		}
		return empty, nil
	case "getAdditionalDatanode":
		return c.additional(call)
	case "complete":
		var req hdfspb.CompleteRequest
		if err := req.UnmarshalVT(call.Body); err != nil {
			return nil, err
		}
		c.commit(req.Last)
		c.open = false
		return &hdfspb.BoolResponse{Result: new(true)}, nil
	case "getBlockLocations":
		out := &hdfspb.LocatedBlocks{FileLength: new(uint64(c.length)), UnderConstruction: new(c.open), IsLastBlockComplete: new(true)}
		at := int64(0)
		for _, b := range c.blocks {
			out.Blocks = append(out.Blocks, c.located(b, at))
			at += b.Length
		}
		if c.kind != nil {
			c.kind(c.status(), out)
		}
		return &hdfspb.GetBlockLocationsResponse{Locations: out}, nil
	case "reportBadBlocks":
		var req hdfspb.ReportBadBlocksRequest
		if err := req.UnmarshalVT(call.Body); err != nil {
			return nil, err
		}
		c.bad = append(c.bad, dfs.BlockID(req.Blocks[0].B.GetBlockId()))
		return empty, nil
	case "fsync", "renewLease":
		return empty, nil
	}
	return nil, &hadooprpc.RemoteError{Class: "org.apache.hadoop.ipc.RpcNoSuchMethodException", Message: call.Method}
}

func (c *cluster) nodeIndex(uuid string) int {
	return slices.IndexFunc(c.nodes, func(n dfs.DatanodeInfo) bool { return n.UUID == uuid })
}

func (c *cluster) commit(last *hdfspb.ExtendedBlock) {
	if last == nil {
		return
	}
	b := &c.blocks[len(c.blocks)-1]
	require.EqualValues(c.t, b.ID, last.GetBlockId())
	require.EqualValues(c.t, b.GenStamp, last.GetGenerationStamp())
	b.Length = int64(last.GetNumBytes())
	c.length = 0
	for _, b := range c.blocks {
		c.length += b.Length
	}
}

func (c *cluster) addBlock(call *hadooprpc.Call) (message, error) {
	var req hdfspb.AddBlockRequest
	if err := req.UnmarshalVT(call.Body); err != nil {
		return nil, err
	}
	c.commit(req.Previous)
	c.stamp++
	b := dfs.Block{ID: dfs.FirstBlockID + dfs.BlockID(c.calls["addBlock"]), GenStamp: c.stamp}
	c.where[b.ID] = nil
	for i, n := range c.nodes {
		excluded := slices.ContainsFunc(req.ExcludeNodes, func(d *hdfspb.DatanodeInfo) bool { return d.Id.GetDatanodeUuid() == n.UUID })
		if !excluded && len(c.where[b.ID]) < c.repl {
			c.where[b.ID] = append(c.where[b.ID], i)
		}
	}
	if len(c.where[b.ID]) == 0 {
		return nil, &hadooprpc.RemoteError{Class: "java.io.IOException", Message: "could only be written to 0 of the 1 minReplication nodes"}
	}
	c.blocks = append(c.blocks, b)
	return &hdfspb.BlockResponse{Block: c.located(b, c.length)}, nil
}

func (c *cluster) additional(call *hadooprpc.Call) (message, error) {
	var req hdfspb.GetAdditionalDatanodeRequest
	if err := req.UnmarshalVT(call.Body); err != nil {
		return nil, err
	}
	b := c.blocks[len(c.blocks)-1]
	var nodes []int
	used := map[string]bool{}
	for _, d := range req.Existings {
		used[d.Id.GetDatanodeUuid()] = true
		nodes = append(nodes, c.nodeIndex(d.Id.GetDatanodeUuid()))
	}
	for _, d := range req.Excludes {
		used[d.Id.GetDatanodeUuid()] = true
	}
	for i, n := range c.nodes {
		if !used[n.UUID] {
			nodes = append(nodes, i)
			break
		}
	}
	c.where[b.ID] = nodes
	return &hdfspb.BlockResponse{Block: c.located(b, 0)}, nil
}

// serveData is datanode i on one connection.
func (c *cluster) serveData(i int, nc net.Conn) {
	defer nc.Close()
	conn := datatransfer.NewConn(nc)
	defer conn.Release()
	for {
		op, err := conn.ReadOp()
		if err != nil {
			return
		}
		switch q := op.(type) {
		case *datatransfer.WriteRequest:
			c.write(i, conn, q)
			return
		case *datatransfer.ReadRequest:
			if !c.read(i, conn, q) {
				return
			}
		case *datatransfer.TransferRequest:
			c.mu.Lock()
			to := c.nodeIndex(q.Targets[0].Node.UUID)
			c.replicas[to][q.Block.ID] = slices.Clone(c.replicas[i][q.Block.ID])
			c.mu.Unlock()
			_ = conn.SendResponse(&datatransfer.Response{})
			return
		}
	}
}

// write takes a block for all nodes of the pipeline and acknowledges in their name.
func (c *cluster) write(i int, conn *datatransfer.Conn, q *datatransfer.WriteRequest) {
	c.mu.Lock()
	nodes := []int{i}
	link := ""
	for _, t := range q.Targets {
		n := c.nodeIndex(t.Node.UUID)
		if c.down[n] && link == "" {
			link = net.JoinHostPort(t.Node.IP, itoa(int(t.Node.XferPort)))
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if q.Stage == datatransfer.StageSetupCreate {
			c.replicas[n][q.Block.ID] = nil
		} else if r := c.replicas[n][q.Block.ID]; int64(len(r)) >= q.MinBytes {
			c.replicas[n][q.Block.ID] = r[:q.MinBytes] // back to what was acknowledged
		} else {
			c.t.Errorf("node %d has %d bytes of a block, %d were acknowledged", n, len(r), q.MinBytes)
		}
	}
	c.mu.Unlock()
	if link != "" {
		_ = conn.SendResponse(&datatransfer.Response{Status: datatransfer.StatusError, FirstBadLink: link})
		return
	}
	if conn.SendResponse(&datatransfer.Response{}) != nil || q.Stage == datatransfer.StageCloseRecovery {
		return
	}
	var p datatransfer.Packet
	for {
		if err := conn.ReadPacket(&p); err != nil {
			return
		}
		ack := datatransfer.Ack{Seqno: p.Seqno, Replies: make([]datatransfer.Status, len(nodes))}
		if !p.Heartbeat() {
			if !c.store(nodes, q, &p, &ack) {
				return
			}
		}
		if _, err := conn.Write(datatransfer.AppendAck(nil, &ack)); err != nil || p.Last || ack.FirstBad() >= 0 {
			return
		}
	}
}

// store keeps a packet on all nodes before the one that fails.
func (c *cluster) store(nodes []int, q *datatransfer.WriteRequest, p *datatransfer.Packet, ack *datatransfer.Ack) bool {
	require.Equal(c.t, -1, q.Checksum.Verify(p.Checksums, p.Data))
	bad, cut := -1, false
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failAck != nil {
		bad, cut = c.failAck(q.Block.ID, p.Seqno, nodes)
	}
	for at, n := range nodes {
		if at == bad {
			ack.Replies[at] = datatransfer.StatusError
			break
		}
		r := c.replicas[n][q.Block.ID]
		if p.Offset > int64(len(r)) {
			c.t.Errorf("packet at %d of a replica of %d bytes", p.Offset, len(r))
			return false
		}
		c.replicas[n][q.Block.ID] = append(r[:p.Offset:p.Offset], p.Data...)
	}
	return !cut
}

// read sends a replica and says whether the connection can be used on.
func (c *cluster) read(i int, conn *datatransfer.Conn, q *datatransfer.ReadRequest) bool {
	c.mu.Lock()
	data := slices.Clone(c.replicas[i][q.Block.ID])
	fail := c.failRead
	c.mu.Unlock()
	sum := datatransfer.DefaultChecksum
	from := q.Offset / fakeChunk * fakeChunk
	if conn.SendResponse(&datatransfer.Response{Read: &datatransfer.ReadInfo{Checksum: sum, ChunkOffset: from}}) != nil {
		return false
	}
	end := min((q.Offset+q.Length+fakeChunk-1)/fakeChunk*fakeChunk, int64(len(data)))
	for k := 0; ; k++ {
		n := min(end-from, 1024)
		h := datatransfer.Header{Offset: from, Seqno: int64(k), Last: n <= 0}
		var frame []byte
		if n > 0 {
			frame = sum.AppendData(nil, &h, data[from:from+n])
		} else {
			frame, _, _ = datatransfer.AppendPacket(nil, &h, 0)
		}
		if fail != nil {
			cut, damage := fail(i, k)
			if cut {
				return false
			}
			if damage {
				frame[len(frame)-1] ^= 1
			}
		}
		if _, err := conn.Write(frame); err != nil {
			return false
		}
		if n <= 0 {
			break
		}
		from += n
	}
	_, err := conn.ReadStatus()
	return err == nil
}

// contents gives the file as every node of each block has it; all must agree.
func (c *cluster) contents() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for _, b := range c.blocks {
		for _, n := range c.where[b.ID] {
			require.Len(c.t, c.replicas[n][b.ID], int(b.Length), "block %v on node %d", b, n)
			require.Equal(c.t, c.replicas[c.where[b.ID][0]][b.ID], c.replicas[n][b.ID])
		}
		out = append(out, c.replicas[c.where[b.ID][0]][b.ID]...)
	}
	return out
}
