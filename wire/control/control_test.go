package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every call with what it was asked, or with err.
type echo struct {
	err  error
	got  any
	addr netip.Addr
}

func (e *echo) take(ctx context.Context, req any) error {
	e.got, e.addr = req, CallerAddr(ctx)
	return e.err
}

func (e *echo) Handshake(ctx context.Context, r *HandshakeRequest) (*HandshakeReply, error) {
	return &HandshakeReply{Cluster: dfs.ClusterInfo{ClusterID: "c", PoolID: "p", NamespaceID: 7}, SoftwareVersion: r.SoftwareVersion, HeartbeatMS: 3000}, e.take(ctx, r)
}
func (e *echo) Register(ctx context.Context, r *RegisterRequest) (*RegisterReply, error) {
	return &RegisterReply{Node: r.Node, Location: "/rack"}, e.take(ctx, r)
}
func (e *echo) Heartbeat(ctx context.Context, r *HeartbeatRequest) (*HeartbeatReply, error) {
	return &HeartbeatReply{Active: true, Commands: []Command{{Kind: CmdTransfer, NewLength: -1, Targets: []Target{{Storage: "s"}}}}}, e.take(ctx, r)
}
func (e *echo) BlockReport(ctx context.Context, r *BlockReportRequest) (*BlockReportReply, error) {
	return &BlockReportReply{}, e.take(ctx, r)
}
func (e *echo) Incremental(ctx context.Context, r *IncrementalRequest) error { return e.take(ctx, r) }
func (e *echo) BadBlocks(ctx context.Context, r *BadBlocksRequest) error     { return e.take(ctx, r) }
func (e *echo) CommitSync(ctx context.Context, r *CommitSyncRequest) error   { return e.take(ctx, r) }
func (e *echo) FoldDone(ctx context.Context, r *FoldDoneRequest) error       { return e.take(ctx, r) }
func (e *echo) MayTake(ctx context.Context, r *MayTakeRequest) error         { return e.take(ctx, r) }
func (e *echo) Sources(ctx context.Context, r *SourcesRequest) (*SourcesReply, error) {
	return &SourcesReply{Block: r.Block, Sum: Sum{CRC: 9, HasCRC: true}, Sources: []Source{{Block: r.Block, Targets: []Target{{Storage: "s"}}}}}, e.take(ctx, r)
}
func (e *echo) InitRecovery(ctx context.Context, r *InitRecoveryRequest) (*ReplicaInfo, error) {
	return &ReplicaInfo{Block: r.Block, State: dfs.ReplicaRWR}, e.take(ctx, r)
}
func (e *echo) UpdateReplica(ctx context.Context, r *UpdateReplicaRequest) (*UpdateReplicaReply, error) {
	return &UpdateReplicaReply{Storage: "DS-1"}, e.take(ctx, r)
}

// startEcho serves both protocols on a fresh port, or on addr.
func startEcho(t *testing.T, e *echo, addr string) (string, func()) {
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	srv := &hadooprpc.Server{}
	HandleNameNode(srv, e)
	HandleDataNode(srv, e)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, hadooprpc.ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	}()
	return l.Addr().String(), func() {
		require.NoError(t, srv.Close())
		<-done
	}
}

func TestEveryCallOverTheWire(t *testing.T) {
	e := &echo{}
	addr, stop := startEcho(t, e, "127.0.0.1:0")
	defer stop()
	nn := NewNameNodeClient(ClientConfig{Addr: addr})
	defer nn.Close()
	dn := NewDataNodeClient(ClientConfig{Addr: addr})
	defer dn.Close()
	ctx := t.Context()
	block := dfs.Block{ID: 1, GenStamp: 2, Length: 3}
	node := dfs.DatanodeID{UUID: "u", IP: "10.0.0.1", XferPort: 9866}

	hs, err := nn.Handshake(ctx, &HandshakeRequest{SoftwareVersion: "v"})
	require.NoError(t, err)
	require.Equal(t, &HandshakeReply{Cluster: dfs.ClusterInfo{ClusterID: "c", PoolID: "p", NamespaceID: 7}, SoftwareVersion: "v", HeartbeatMS: 3000}, hs)
	require.Equal(t, "127.0.0.1", e.addr.Unmap().String(), "registration needs the caller's address")

	for _, c := range []struct {
		req  any
		call func() error
	}{
		{&RegisterRequest{Node: node, Storages: []dfs.StorageReport{{UUID: "DS", Capacity: 1 << 40, Failed: true}}}, nil},
		{&HeartbeatRequest{UUID: "u", Xceivers: 4, FailedVolumes: []string{"/d1"}}, nil},
		{&BlockReportRequest{UUID: "u", Count: 1, Blocks: AppendReplica(nil, 0, ReplicaInfo{Block: block}), Parts: 1}, nil},
		{&IncrementalRequest{UUID: "u", Events: []ReplicaEvent{{Event: EventReceived, Block: block}}}, nil},
		{&BadBlocksRequest{Reporter: "u", Blocks: []dfs.BadBlock{{Block: block, Nodes: []dfs.DatanodeID{node}, Storages: []string{"DS"}}}}, nil},
		{&CommitSyncRequest{Block: block, NewLength: -1, Targets: []Target{{Node: node, Type: dfs.StorageSSD}}}, nil},
		{&FoldDoneRequest{UUID: "u", PoolID: "p", Block: block, Storage: "DS", CRC: 1 << 31, Err: "e",
			Members: []dfs.ParityMember{{Block: block, CRC: 1<<32 - 1, Checksum: dfs.ChecksumCRC32, BytesPer: 512, Departed: true}}}, nil},
		{&SourcesRequest{UUID: "u", PoolID: "p", Block: block}, nil},
		{&InitRecoveryRequest{PoolID: "p", Block: block, RecoveryID: 9}, nil},
		{&UpdateReplicaRequest{PoolID: "p", Block: block, NewLength: 5}, nil},
	} {
		var err error
		switch r := c.req.(type) {
		case *RegisterRequest:
			_, err = nn.Register(ctx, r)
		case *HeartbeatRequest:
			var reply *HeartbeatReply
			reply, err = nn.Heartbeat(ctx, r)
			require.Equal(t, int64(-1), reply.Commands[0].NewLength)
		case *BlockReportRequest:
			_, err = nn.BlockReport(ctx, r)
		case *IncrementalRequest:
			err = nn.Incremental(ctx, r)
		case *BadBlocksRequest:
			err = nn.BadBlocks(ctx, r)
		case *CommitSyncRequest:
			err = nn.CommitSync(ctx, r)
		case *FoldDoneRequest:
			err = nn.FoldDone(ctx, r)
		case *SourcesRequest:
			var reply *SourcesReply
			reply, err = nn.Sources(ctx, r)
			require.Equal(t, &SourcesReply{Block: block, Sum: Sum{CRC: 9, HasCRC: true}, Sources: []Source{{Block: block, Targets: []Target{{Storage: "s"}}}}}, reply)
		case *InitRecoveryRequest:
			var reply *ReplicaInfo
			reply, err = dn.InitRecovery(ctx, r)
			require.Equal(t, &ReplicaInfo{Block: block, State: dfs.ReplicaRWR}, reply)
		case *UpdateReplicaRequest:
			var reply *UpdateReplicaReply
			reply, err = dn.UpdateReplica(ctx, r)
			require.Equal(t, "DS-1", reply.Storage)
		}
		require.NoError(t, err)
		require.Equal(t, c.req, e.got)
	}
}

func TestErrorKindsCarryOver(t *testing.T) {
	e := &echo{}
	addr, stop := startEcho(t, e, "127.0.0.1:0")
	defer stop()
	nn := NewNameNodeClient(ClientConfig{Addr: addr})
	defer nn.Close()
	for kind := dfs.Other; kind <= dfs.Fenced; kind++ {
		e.err = fmt.Errorf("wrapped: %w", dfs.Errorf(kind, "message %d", kind))
		err := nn.CommitSync(t.Context(), &CommitSyncRequest{})
		require.Equal(t, kind, dfs.KindOf(err))
		require.Contains(t, err.Error(), fmt.Sprintf("message %d", kind))
	}
	e.err = errors.New("plain")
	err := nn.Incremental(t.Context(), &IncrementalRequest{})
	require.Equal(t, dfs.Other, dfs.KindOf(err))
	require.ErrorContains(t, err, "plain")
}

func TestReconnect(t *testing.T) {
	e := &echo{}
	addr, stop := startEcho(t, e, "127.0.0.1:0")
	nn := NewNameNodeClient(ClientConfig{Addr: addr, MinBackoff: 1, MaxBackoff: 1})
	defer nn.Close()
	require.NoError(t, nn.Incremental(t.Context(), &IncrementalRequest{}))
	stop()
	err := nn.Incremental(t.Context(), &IncrementalRequest{})
	require.Equal(t, dfs.Unavailable, dfs.KindOf(err), "%v", err)
	_, stop = startEcho(t, e, addr)
	defer stop()
	require.Eventually(t, func() bool { return nn.Incremental(t.Context(), &IncrementalRequest{}) == nil }, waitLimit, tick)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, dfs.Canceled, dfs.KindOf(nn.Incremental(ctx, &IncrementalRequest{})))
	require.NoError(t, nn.Close())
	require.Equal(t, dfs.Canceled, dfs.KindOf(nn.Incremental(t.Context(), &IncrementalRequest{})))
}

func TestBackoffAnswersAtOnce(t *testing.T) {
	dials := 0
	nn := NewNameNodeClient(ClientConfig{Addr: "nowhere:1", MinBackoff: 1e12, MaxBackoff: 1e12,
		Dial: func(context.Context, string) (net.Conn, error) { dials++; return nil, errors.New("unreachable") }})
	for range 10 {
		err := nn.Incremental(t.Context(), &IncrementalRequest{})
		require.Equal(t, dfs.Unavailable, dfs.KindOf(err))
		require.ErrorContains(t, err, "unreachable")
	}
	require.Equal(t, 1, dials)
	require.Positive(t, nn.Backoff())
}

func TestReplicaLists(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) ReplicaInfo {
		return ReplicaInfo{
			Block: dfs.Block{ID: dfs.BlockID(rapid.Uint64().Draw(t, "id")), GenStamp: dfs.GenStamp(rapid.Uint64().Draw(t, "gs")), Length: rapid.Int64Min(0).Draw(t, "len")},
			State: dfs.ReplicaState(rapid.IntRange(0, 4).Draw(t, "state")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(gen).Draw(t, "replicas")
		var b []byte
		var prev dfs.BlockID
		for _, r := range want {
			b = AppendReplica(b, prev, r)
			prev = r.Block.ID
		}
		var got []ReplicaInfo
		add := func(r ReplicaInfo) error { got = append(got, r); return nil }
		require.NoError(t, DecodeReplicas(b, len(want), add))
		require.True(t, len(want) == 0 && len(got) == 0 || reflect.DeepEqual(want, got))
		require.Error(t, DecodeReplicas(b, len(want)+1, add))
		require.Error(t, DecodeReplicas(append(b, 0), len(want), add))
		if len(want) > 0 {
			require.Error(t, DecodeReplicas(b[:len(b)-1], len(want), add))
			require.Error(t, DecodeReplicas(b, len(want)-1, add))
		}
	})
	stop := errors.New("stop")
	require.Equal(t, stop, DecodeReplicas(AppendReplica(nil, 0, ReplicaInfo{}), 1, func(ReplicaInfo) error { return stop }))
}

// A fold command comes over the wire as it was sent, and a side that knows only the fields
// of a command before parity groups reads what it knows.
func TestFoldCommands(t *testing.T) {
	block := dfs.Block{ID: 1, GenStamp: 2, Length: -1}
	want := HeartbeatReply{Active: true, Commands: []Command{
		{Kind: CmdFold, PoolID: "p", Block: block, NewLength: -1, Sources: []Source{
			{Block: block, CRC: 7, HasCRC: true, Targets: []Target{{Node: dfs.DatanodeID{UUID: "u"}, Storage: "s", Type: dfs.StorageDisk}}},
			{Block: dfs.Block{ID: 9}}},
			Sum: Sum{Checksum: dfs.ChecksumCRC32C, BytesPer: 512, CRC: 5, HasCRC: true}},
		{Kind: CmdScrubGroup, Block: block}}}
	body, err := encode(&want)
	require.NoError(t, err)
	var got HeartbeatReply
	require.NoError(t, decode(body, &got))
	require.Equal(t, want, got)
	var before struct {
		Commands []struct {
			Kind   CommandKind
			PoolID string
			Block  dfs.Block
		}
		Active bool
	}
	require.NoError(t, decode(body, &before))
	require.Equal(t, block, before.Commands[0].Block)
	require.True(t, before.Active)
}

func TestChainRequestsThatMakeNoSense(t *testing.T) {
	for _, req := range []ChainRequest{
		{End: 10}, {Offset: -1, Sources: make([]Source, 1)}, {Offset: 2, End: 1, Sources: make([]Source, 1)},
		{Sources: []Source{{Block: dfs.Block{Length: -1}}}}, {Sources: []Source{{Targets: []Target{{Storage: string(make([]byte, maxChain))}}}}},
	} {
		body, err := AppendChain([]byte("x"), &req)
		require.NoError(t, err)
		_, err = DecodeChain(body[1:])
		require.Equal(t, dfs.IllegalArgument, dfs.KindOf(err))
	}
}

func TestFutureVersionIsSaid(t *testing.T) {
	body, err := encode(&HandshakeRequest{})
	require.NoError(t, err)
	body[0] = 9
	err = decode(body, &HandshakeRequest{})
	require.Equal(t, dfs.IncorrectVersion, dfs.KindOf(err))
	require.ErrorContains(t, err, "unsupported version 9")
}

func TestShortAndLongMessages(t *testing.T) {
	short := []byte{bodyVersion, 0x90} // no fields
	var req RegisterRequest
	require.NoError(t, decode(short, &req))
	require.Equal(t, RegisterRequest{}, req)
	long := []byte{bodyVersion, 0x92, 0xa1, 'v', 0x07} // one more field than known
	var hs HandshakeRequest
	require.NoError(t, decode(long, &hs))
	require.Equal(t, "v", hs.SoftwareVersion)
	require.Error(t, decode(append(short, 0), &req), "trailing bytes")
	require.Error(t, decode(make([]byte, maxBody+1), &req), "over the limit")
	require.Error(t, decode(nil, &req))
}
