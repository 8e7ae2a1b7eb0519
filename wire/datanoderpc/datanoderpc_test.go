package datanoderpc_test

import (
	"context"
	"encoding/binary"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datanoderpc"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// fake is a name node that notes what it is told and answers with what it is given.
type fake struct {
	registered []control.RegisterRequest
	reports    []control.BlockReportRequest
	events     []control.ReplicaEvent
	bad        []dfs.BadBlock
	sync       *control.CommitSyncRequest
	commands   []control.Command
	err        error
}

func (f *fake) Handshake(context.Context, *control.HandshakeRequest) (*control.HandshakeReply, error) {
	return &control.HandshakeReply{Cluster: dfs.ClusterInfo{ClusterID: "CID-1", PoolID: "BP-1", NamespaceID: 7}}, f.err
}

func (f *fake) Register(_ context.Context, r *control.RegisterRequest) (*control.RegisterReply, error) {
	f.registered = append(f.registered, *r)
	return &control.RegisterReply{Node: r.Node, Location: "/rack"}, f.err
}

func (f *fake) Heartbeat(context.Context, *control.HeartbeatRequest) (*control.HeartbeatReply, error) {
	return &control.HeartbeatReply{Commands: f.commands, Active: true, TxID: 9}, f.err
}

func (f *fake) BlockReport(_ context.Context, r *control.BlockReportRequest) (*control.BlockReportReply, error) {
	f.reports = append(f.reports, *r)
	return &control.BlockReportReply{Commands: f.commands}, f.err
}

func (f *fake) Incremental(_ context.Context, r *control.IncrementalRequest) error {
	f.events = append(f.events, r.Events...)
	return f.err
}

func (f *fake) BadBlocks(_ context.Context, r *control.BadBlocksRequest) error {
	f.bad = r.Blocks
	return f.err
}

func (f *fake) CommitSync(_ context.Context, r *control.CommitSyncRequest) error {
	f.sync = r
	return f.err
}

func (f *fake) CheckSuperuser(c *dfs.Caller, op string) error {
	if c.User != "hdfs" {
		return dfs.Errorf(dfs.Permission, "Access denied for user %s. Superuser privilege is required for operation %s", c.User, op)
	}
	return nil
}

func (f *fake) MayTake(context.Context, *control.MayTakeRequest) error   { return nil }
func (f *fake) FoldDone(context.Context, *control.FoldDoneRequest) error { return nil }

func (f *fake) Sources(_ context.Context, r *control.SourcesRequest) (*control.SourcesReply, error) {
	return nil, dfs.Errorf(dfs.ReplicaNotFound, "%v is in no parity group", r.Block)
}

// dial serves f and gives a client of it.
func dial(t *testing.T, f *fake) func(method string, req hadooprpc.Marshaler, resp hadooprpc.Unmarshaler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &hadooprpc.Server{}
	datanoderpc.Register(srv, f, datanoderpc.Options{})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	c, err := hadooprpc.Dial(t.Context(), l.Addr().String(), hadooprpc.Options{User: "hdfs"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, srv.Close())
		<-done
	})
	return func(method string, req hadooprpc.Marshaler, resp hadooprpc.Unmarshaler) error {
		return c.Call(t.Context(), hadooprpc.Target{Protocol: hdfspb.DatanodeProtocol, Version: 1, Method: method}, req, resp)
	}
}

func ptr[T any](v T) *T { return &v }

func registration(uuid string) *hdfspb.DatanodeRegistration {
	return &hdfspb.DatanodeRegistration{
		DatanodeID: &hdfspb.DatanodeID{
			IpAddr: ptr("10.9.9.9"), HostName: ptr("host"), DatanodeUuid: &uuid,
			XferPort: ptr(uint32(1)), InfoPort: ptr(uint32(2)), IpcPort: ptr(uint32(3)),
		},
		StorageInfo:     &hdfspb.StorageInfo{LayoutVersion: ptr(uint32(57)), NamespceID: ptr(uint32(7)), ClusterID: ptr("CID-1"), CTime: ptr(uint64(0))},
		Keys:            &hdfspb.ExportedBlockKeys{IsBlockTokenEnabled: ptr(false), KeyUpdateInterval: ptr(uint64(0)), TokenLifeTime: ptr(uint64(0)), CurrentKey: &hdfspb.BlockKey{KeyId: ptr(uint32(0)), ExpiryDate: ptr(uint64(0))}},
		SoftwareVersion: ptr("3.4.3"),
	}
}

func heartbeat(uuid string, volumes ...string) *hdfspb.HeartbeatRequest {
	r := &hdfspb.HeartbeatRequest{Registration: registration(uuid), RequestFullBlockReportLease: ptr(true)}
	for _, v := range volumes {
		r.Reports = append(r.Reports, &hdfspb.StorageReport{StorageUuid: ptr(v), Capacity: ptr(uint64(100)), Remaining: ptr(uint64(60)),
			Storage: &hdfspb.DatanodeStorage{StorageUuid: ptr(v), StorageType: hdfspb.StorageType_SSD.Enum()}})
	}
	return r
}

func volumesOf(r control.RegisterRequest) (uuids []string) {
	for _, s := range r.Storages {
		uuids = append(uuids, s.UUID)
	}
	return uuids
}

var three = []control.ReplicaInfo{
	{Block: dfs.Block{ID: 1073741830, GenStamp: 1001, Length: 5}},
	{Block: dfs.Block{ID: 1073741825, GenStamp: 1002, Length: 0}, State: dfs.ReplicaRBW},
	{Block: dfs.Block{ID: 9, GenStamp: 0, Length: 1 << 40}, State: dfs.ReplicaRUR},
}

// asNumbers and asVarints are HDFS's two forms of a report.
func asNumbers(list []control.ReplicaInfo) []uint64 {
	var finalized, others []uint64
	var n, m uint64
	for _, r := range list {
		v := []uint64{uint64(r.Block.ID), uint64(r.Block.Length), uint64(r.Block.GenStamp)}
		if r.State == dfs.ReplicaFinalized {
			finalized = append(finalized, v...)
			n++
			continue
		}
		others = append(append(others, v...), uint64(r.State))
		m++
	}
	end := ^uint64(0)
	return append(append(append([]uint64{n, m}, finalized...), end, end, end), others...)
}

func asVarints(list []control.ReplicaInfo) (b []byte) {
	for _, r := range list {
		b = binary.AppendVarint(b, int64(r.Block.ID))
		b = binary.AppendUvarint(b, uint64(r.Block.Length))
		b = binary.AppendUvarint(b, uint64(r.Block.GenStamp))
		b = binary.AppendUvarint(b, uint64(r.State))
	}
	return b
}

func decoded(t *testing.T, r control.BlockReportRequest) (list []control.ReplicaInfo) {
	require.NoError(t, control.DecodeReplicas(r.Blocks, r.Count, func(i control.ReplicaInfo) error { list = append(list, i); return nil }))
	return list
}

func report(uuid, volume string) *hdfspb.BlockReportRequest {
	return &hdfspb.BlockReportRequest{
		Registration: registration(uuid), BlockPoolId: ptr("BP-1"),
		Reports: []*hdfspb.StorageBlockReport{{Storage: &hdfspb.DatanodeStorage{StorageUuid: &volume}}},
		Context: &hdfspb.BlockReportContext{TotalRpcs: ptr(int32(3)), CurRpc: ptr(int32(1)), Id: ptr(int64(77))},
	}
}

// The life of a datanode as NNThroughputBenchmark plays it: the first report comes before
// the first heartbeat, and about a volume that nobody has heard of.
func TestReportBeforeHeartbeat(t *testing.T) {
	f := &fake{}
	call := dial(t, f)

	var version hdfspb.VersionResponse
	require.NoError(t, call("versionRequest", &hdfspb.Empty{}, &version))
	require.Equal(t, "BP-1", version.GetInfo().GetBlockPoolID())
	require.Equal(t, uint64(1), version.GetInfo().GetCapabilities())

	var again hdfspb.BlockReportResponse
	require.NoError(t, call("blockReport", report("u", "DS-1"), &again))
	require.Equal(t, hdfspb.DatanodeCommand_REGISTER, again.GetCmd().GetCmdType(), "an unknown datanode is told to register")

	var reg hdfspb.RegisterDatanode
	require.NoError(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &reg))
	require.Equal(t, "127.0.0.1", reg.GetRegistration().GetDatanodeID().GetIpAddr(), "the address that it calls from")
	require.NotNil(t, reg.GetRegistration().GetKeys().GetCurrentKey())

	r := report("u", "DS-1")
	r.Reports[0].Blocks = asNumbers(three)
	require.NoError(t, call("blockReport", r, &hdfspb.BlockReportResponse{}))
	require.Len(t, f.registered, 2)
	require.Equal(t, []string{"DS-1"}, volumesOf(f.registered[1]))
	require.Equal(t, dfs.StorageDisk, f.registered[1].Storages[0].Type)
	require.Equal(t, three, decoded(t, f.reports[0]))
	require.Equal(t, uint64(77), f.reports[0].ReportID)
	require.Equal(t, 1, f.reports[0].Parts, "HDFS splits a report between volumes, never inside one")

	var beat hdfspb.HeartbeatResponse
	require.NoError(t, call("sendHeartbeat", heartbeat("u", "DS-1", "DS-2"), &beat))
	require.NotZero(t, beat.GetFullBlockReportLeaseId())
	require.Equal(t, uint64(9), beat.GetHaStatus().GetTxid())

	r = report("u", "DS-2")
	b := asVarints(three) // cut inside of a replica
	r.Reports[0].BlocksBuffers, r.Reports[0].NumberOfBlocks = [][]byte{b[:7], b[7:]}, ptr(uint64(3))
	require.NoError(t, call("blockReport", r, &hdfspb.BlockReportResponse{}))
	require.Len(t, f.registered, 2, "the heartbeat had named it")
	require.Equal(t, three, decoded(t, f.reports[1]))

	require.NoError(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &reg))
	require.Equal(t, []string{"DS-1", "DS-2"}, volumesOf(f.registered[2]), "no volume is lost by registering again")
}

func TestMalformedReports(t *testing.T) {
	f := &fake{}
	call := dial(t, f)
	require.NoError(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &hdfspb.RegisterDatanode{}))
	good := asVarints(three)
	for name, change := range map[string]func(*hdfspb.StorageBlockReport){
		"count too high": func(r *hdfspb.StorageBlockReport) { r.BlocksBuffers, r.NumberOfBlocks = [][]byte{good}, ptr(uint64(4)) },
		"count too low":  func(r *hdfspb.StorageBlockReport) { r.BlocksBuffers, r.NumberOfBlocks = [][]byte{good}, ptr(uint64(2)) },
		"count beyond sense": func(r *hdfspb.StorageBlockReport) {
			r.BlocksBuffers, r.NumberOfBlocks = [][]byte{good}, ptr(^uint64(0))
		},
		"endless varint": func(r *hdfspb.StorageBlockReport) {
			r.BlocksBuffers, r.NumberOfBlocks = [][]byte{{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}}, ptr(uint64(1))
		},
		"numbers cut off":  func(r *hdfspb.StorageBlockReport) { r.Blocks = asNumbers(three)[:9] },
		"no end mark":      func(r *hdfspb.StorageBlockReport) { r.Blocks = asNumbers(three); r.Blocks[6] = 5 },
		"counts too large": func(r *hdfspb.StorageBlockReport) { r.Blocks = []uint64{1 << 63, 1 << 62, 0} },
		"one number":       func(r *hdfspb.StorageBlockReport) { r.Blocks = []uint64{0} },
	} {
		t.Run(name, func(t *testing.T) {
			r := report("u", "DS-1")
			change(r.Reports[0])
			err := call("blockReport", r, &hdfspb.BlockReportResponse{})
			var remote *hadooprpc.RemoteError
			require.ErrorAs(t, err, &remote)
			require.Equal(t, "org.apache.hadoop.HadoopIllegalArgumentException", remote.Class)
		})
	}
	require.Empty(t, f.reports)
}

func TestIncrementalAndTheRest(t *testing.T) {
	f := &fake{}
	call := dial(t, f)
	event := &hdfspb.BlockReceivedAndDeletedRequest{
		Registration: registration("u"), BlockPoolId: ptr("BP-1"),
		Blocks: []*hdfspb.StorageReceivedDeletedBlocks{
			{StorageUuid: ptr("DS-1"), Blocks: []*hdfspb.ReceivedDeletedBlock{
				{Block: &hdfspb.Block{BlockId: ptr(uint64(5)), GenStamp: ptr(uint64(6)), NumBytes: ptr(uint64(7))}, Status: hdfspb.ReceivedDeletedBlock_RECEIVED.Enum(), DeleteHint: ptr("other")},
				{Block: &hdfspb.Block{BlockId: ptr(uint64(8)), GenStamp: ptr(uint64(9))}, Status: hdfspb.ReceivedDeletedBlock_DELETED.Enum()},
			}},
		},
	}
	var remote *hadooprpc.RemoteError
	require.ErrorAs(t, call("blockReceivedAndDeleted", event, &hdfspb.Empty{}), &remote)
	require.Equal(t, "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException", remote.Class)

	require.NoError(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &hdfspb.RegisterDatanode{}))
	require.NoError(t, call("blockReceivedAndDeleted", event, &hdfspb.Empty{}))
	require.Equal(t, []control.ReplicaEvent{
		{Event: control.EventReceived, Storage: "DS-1", Block: dfs.Block{ID: 5, GenStamp: 6, Length: 7}, DeleteHint: "other"},
		{Event: control.EventDeleted, Storage: "DS-1", Block: dfs.Block{ID: 8, GenStamp: 9}},
	}, f.events)

	b := &hdfspb.ExtendedBlock{PoolId: ptr("BP-1"), BlockId: ptr(uint64(5)), GenerationStamp: ptr(uint64(6)), NumBytes: ptr(uint64(7))}
	commit := &hdfspb.CommitBlockSynchronizationRequest{
		Block: b, NewGenStamp: ptr(uint64(10)), NewLength: ptr(uint64(4)), CloseFile: ptr(true), DeleteBlock: ptr(false),
		NewTargets: []*hdfspb.DatanodeID{registration("u").DatanodeID}, NewTargetStorages: []string{"DS-1"},
	}
	require.NoError(t, call("commitBlockSynchronization", commit, &hdfspb.Empty{}))
	require.Equal(t, dfs.GenStamp(10), f.sync.NewStamp)
	require.True(t, f.sync.Close)
	require.Equal(t, "DS-1", f.sync.Targets[0].Storage)
	commit.NewTargetStorages = nil
	require.Error(t, call("commitBlockSynchronization", commit, &hdfspb.Empty{}))

	fault := &hdfspb.ErrorReportRequest{Registration: registration("u"), ErrorCode: ptr(uint32(1)), Msg: ptr("disk")}
	require.NoError(t, call("errorReport", fault, &hdfspb.Empty{}))
	require.NoError(t, call("cacheReport", &hdfspb.Empty{}, &hdfspb.Empty{}))
	require.ErrorAs(t, call("slowly", &hdfspb.Empty{}, &hdfspb.Empty{}), &remote)
	require.Equal(t, "org.apache.hadoop.ipc.RpcNoSuchMethodException", remote.Class)

	f.err = dfs.Errorf(dfs.IncorrectVersion, "another cluster")
	require.ErrorAs(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &hdfspb.RegisterDatanode{}), &remote)
	require.Equal(t, "org.apache.hadoop.hdfs.server.common.IncorrectVersionException", remote.Class)
}

func TestCommands(t *testing.T) {
	target := control.Target{Node: dfs.DatanodeID{UUID: "t", IP: "10.0.0.2", XferPort: 50010}, Storage: "DS-9", Type: dfs.StorageSSD}
	blk := dfs.Block{ID: 5, GenStamp: 6, Length: 7}
	f := &fake{commands: []control.Command{
		{Kind: control.CmdTransfer, PoolID: "BP-1", Block: blk, Targets: []control.Target{target}, NewLength: -1},
		{Kind: control.CmdInvalidate, PoolID: "BP-1", Blocks: []dfs.Block{blk, blk}},
		{Kind: control.CmdRecover, PoolID: "BP-1", Block: blk, Targets: []control.Target{target}, RecoveryID: 11, NewLength: 3},
		{Kind: control.CmdReport},
		{Kind: control.CmdBandwidth, Value: 1 << 20},
		{Kind: control.CmdFold},
	}}
	call := dial(t, f)
	var beat hdfspb.HeartbeatResponse
	require.NoError(t, call("sendHeartbeat", heartbeat("u", "DS-1"), &beat))
	require.Len(t, beat.Cmds, 1, "not registered")
	require.Equal(t, hdfspb.DatanodeCommand_REGISTER, beat.Cmds[0].GetCmdType())

	require.NoError(t, call("registerDatanode", &hdfspb.RegisterDatanode{Registration: registration("u")}, &hdfspb.RegisterDatanode{}))
	beat = hdfspb.HeartbeatResponse{}
	require.NoError(t, call("sendHeartbeat", heartbeat("u", "DS-1"), &beat))
	require.Len(t, beat.Cmds, 5, "an order that HDFS does not know is left out")

	move := beat.Cmds[0].GetBlkCmd()
	require.Equal(t, hdfspb.BlockCommand_TRANSFER, move.GetAction())
	require.Equal(t, "10.0.0.2", move.Targets[0].Datanodes[0].GetId().GetIpAddr())
	require.Equal(t, []string{"DS-9"}, move.TargetStorageUuids[0].StorageUuids)
	require.Equal(t, []hdfspb.StorageType{hdfspb.StorageType_SSD}, move.TargetStorageTypes[0].StorageTypes)
	require.Equal(t, hdfspb.BlockCommand_INVALIDATE, beat.Cmds[1].GetBlkCmd().GetAction())
	require.Len(t, beat.Cmds[1].GetBlkCmd().Blocks, 2)
	rec := beat.Cmds[2].GetRecoveryCmd().Blocks[0]
	require.Equal(t, uint64(11), rec.GetNewGenStamp())
	require.Equal(t, uint64(3), rec.GetTruncateBlock().GetNumBytes())
	require.Equal(t, []string{"DS-9"}, rec.GetBlock().StorageIDs)
	require.Equal(t, hdfspb.DatanodeCommand_REGISTER, beat.Cmds[3].GetCmdType())
	require.Equal(t, uint64(1<<20), beat.Cmds[4].GetBalancerCmd().GetBandwidth())
}
