package datanoderpc_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datanoderpc"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// replica is a datanode with one replica.
type replica struct {
	info control.ReplicaInfo
	init control.InitRecoveryRequest
	last control.UpdateReplicaRequest
}

func (r *replica) InitRecovery(_ context.Context, q *control.InitRecoveryRequest) (*control.ReplicaInfo, error) {
	r.init = *q
	switch {
	case q.Block.ID != r.info.Block.ID:
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "no %v", q.Block)
	case q.RecoveryID <= r.info.Block.GenStamp:
		return nil, dfs.Errorf(dfs.RecoveryInProgress, "stamp %d", r.info.Block.GenStamp)
	}
	return &r.info, nil
}

func (r *replica) UpdateReplica(_ context.Context, q *control.UpdateReplicaRequest) (*control.UpdateReplicaReply, error) {
	r.last = *q
	return &control.UpdateReplicaReply{Storage: "DS-9"}, nil
}

// TestPeers has one datanode ask another for its replica, by Hadoop's protocol.
func TestPeers(t *testing.T) {
	dn := &replica{info: control.ReplicaInfo{Block: dfs.Block{ID: 7, GenStamp: 1001, Length: 50}, State: dfs.ReplicaRWR, Cut: true}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &hadooprpc.Server{}
	datanoderpc.HandlePeer(srv, dn)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()); <-done })
	addr := netip.MustParseAddrPort(l.Addr().String())

	p := &datanoderpc.Peer{User: "hdfs", Target: control.Target{Node: dfs.DatanodeID{UUID: "u", IP: addr.Addr().String(), IPCPort: addr.Port()}, Storage: "DS-1"}}
	defer p.Close()
	info, err := p.InitRecovery(t.Context(), &control.InitRecoveryRequest{PoolID: "BP-1", Block: dfs.Block{ID: 7, GenStamp: 1000, Length: 9}, RecoveryID: 1005})
	require.NoError(t, err)
	require.Equal(t, dn.info, *info)
	require.Equal(t, control.InitRecoveryRequest{PoolID: "BP-1", Block: dfs.Block{ID: 7, GenStamp: 1000, Length: 9}, RecoveryID: 1005}, dn.init)
	update := control.UpdateReplicaRequest{PoolID: "BP-1", Block: info.Block, RecoveryID: 1005, NewLength: 40}
	reply, err := p.UpdateReplica(t.Context(), &update)
	require.NoError(t, err)
	require.Equal(t, "DS-9", reply.Storage)
	require.Equal(t, update, dn.last)

	_, err = p.InitRecovery(t.Context(), &control.InitRecoveryRequest{PoolID: "BP-1", Block: dfs.Block{ID: 8}, RecoveryID: 1005})
	require.True(t, dfs.Is(err, dfs.ReplicaNotFound), err)
	_, err = p.InitRecovery(t.Context(), &control.InitRecoveryRequest{PoolID: "BP-1", Block: dfs.Block{ID: 7}, RecoveryID: 1001})
	require.True(t, dfs.Is(err, dfs.RecoveryInProgress), err)

	// A copy under another id is refused and touches nothing.
	dn.last = control.UpdateReplicaRequest{}
	c, err := hadooprpc.Dial(t.Context(), l.Addr().String(), hadooprpc.Options{User: "hdfs"})
	require.NoError(t, err)
	defer c.Close()
	err = c.Call(t.Context(), hadooprpc.Target{Protocol: hdfspb.InterDatanodeProtocol, Version: 1, Method: "updateReplicaUnderRecovery"},
		&hdfspb.UpdateReplicaUnderRecoveryRequest{Block: &hdfspb.ExtendedBlock{PoolId: ptr("BP-1"), BlockId: ptr(uint64(7)), GenerationStamp: ptr(uint64(1001))},
			RecoveryId: ptr(uint64(1005)), NewLength: ptr(uint64(1)), NewBlockId: ptr(uint64(8))}, &hdfspb.UpdateReplicaUnderRecoveryResponse{})
	require.ErrorContains(t, err, "UnsupportedOperationException")
	require.Zero(t, dn.last)
}
