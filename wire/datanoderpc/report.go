package datanoderpc

import (
	"bytes"
	"encoding/binary"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// blockReport takes the replicas of one or several volumes. HDFS never splits a volume
// over several calls, so each volume's report is whole.
func (s *server) blockReport(c *hadooprpc.Call, r *hdfspb.BlockReportRequest) (hadooprpc.Marshaler, error) {
	uuid := r.GetRegistration().GetDatanodeID().GetDatanodeUuid()
	n, err := s.known(uuid)
	if err != nil {
		return &hdfspb.BlockReportResponse{Cmd: registerAgain()}, nil
	}
	named := make([]*hdfspb.DatanodeStorage, len(r.Reports))
	for i, report := range r.Reports {
		named[i] = report.GetStorage()
	}
	if err := s.volumes(c.Context(), n, named); err != nil {
		return nil, err
	}
	answer := &hdfspb.BlockReportResponse{}
	for _, report := range r.Reports {
		count, blocks, err := replicas(report)
		if err != nil {
			return nil, err
		}
		reply, err := s.nn.BlockReport(c.Context(), &control.BlockReportRequest{
			UUID: uuid, PoolID: r.GetBlockPoolId(), Storage: report.GetStorage().GetStorageUuid(),
			ReportID: uint64(r.GetContext().GetId()), Parts: 1, Count: count, Blocks: blocks,
		})
		if err != nil {
			return nil, err
		}
		for i := range reply.Commands {
			answer.Cmd = wireCommand(&reply.Commands[i])
		}
	}
	return answer, nil
}

// replicas puts a volume's report into control's form, whichever form it came in.
func replicas(r *hdfspb.StorageBlockReport) (int, []byte, error) {
	if r.NumberOfBlocks == nil {
		return fromNumbers(r.Blocks)
	}
	buf := bytes.Join(r.BlocksBuffers, nil) // a replica may go over a buffer's end
	return fromVarints(buf, r.GetNumberOfBlocks())
}

// fromVarints takes id (zig-zag), length, stamp and state, count times.
func fromVarints(b []byte, count uint64) (int, []byte, error) {
	if count > uint64(len(b)/4) {
		return 0, nil, dfs.Errorf(dfs.IllegalArgument, "block report: %d replicas in %d bytes", count, len(b))
	}
	dst := make([]byte, 0, len(b))
	var last dfs.BlockID
	for i := range count {
		id, n0 := binary.Varint(b)
		length, n1 := binary.Uvarint(b[max(n0, 0):])
		if n0 <= 0 || n1 <= 0 {
			return 0, nil, malformed(i, count)
		}
		stamp, n2 := binary.Uvarint(b[n0+n1:])
		if n2 <= 0 {
			return 0, nil, malformed(i, count)
		}
		state, n3 := binary.Uvarint(b[n0+n1+n2:])
		if n3 <= 0 {
			return 0, nil, malformed(i, count)
		}
		b = b[n0+n1+n2+n3:]
		dst = appendReplica(dst, &last, uint64(id), length, stamp, state)
	}
	if len(b) > 0 {
		return 0, nil, dfs.Errorf(dfs.IllegalArgument, "block report: %d bytes behind %d replicas", len(b), count)
	}
	return int(count), dst, nil
}

func malformed(i, count uint64) error {
	return dfs.Errorf(dfs.IllegalArgument, "block report: replica %d of %d is malformed", i, count)
}

// fromNumbers takes the older form: two counts, the finalized replicas in threes, three
// times -1, the others in fours.
func fromNumbers(v []uint64) (int, []byte, error) {
	if len(v) == 0 {
		return 0, nil, nil
	}
	bad := func() (int, []byte, error) {
		return 0, nil, dfs.Errorf(dfs.IllegalArgument, "block report: a list of %d numbers is not as its counts say", len(v))
	}
	if len(v) < 2 || v[0] > uint64(len(v))/3 || v[1] > uint64(len(v))/4 {
		return bad()
	}
	finalized, others, rest := int(v[0]), int(v[1]), v[2:]
	if want := 3*finalized + 3 + 4*others; len(rest) != want && !(others == 0 && len(rest) == 3*finalized) {
		return bad()
	}
	dst := make([]byte, 0, 8*(finalized+others))
	var last dfs.BlockID
	for ; len(rest) >= 3 && finalized > 0; finalized-- {
		dst = appendReplica(dst, &last, rest[0], rest[1], rest[2], uint64(dfs.ReplicaFinalized))
		rest = rest[3:]
	}
	if others > 0 {
		if rest[0]&rest[1]&rest[2] != ^uint64(0) {
			return bad()
		}
		for rest = rest[3:]; len(rest) > 0; rest = rest[4:] {
			dst = appendReplica(dst, &last, rest[0], rest[1], rest[2], rest[3])
		}
	}
	return int(v[0]) + others, dst, nil
}

func appendReplica(dst []byte, last *dfs.BlockID, id, length, stamp, state uint64) []byte {
	dst = binary.AppendVarint(dst, int64(dfs.BlockID(id)-*last))
	dst = binary.AppendUvarint(dst, stamp)
	dst = binary.AppendUvarint(dst, length)
	*last = dfs.BlockID(id)
	return binary.AppendUvarint(dst, state)
}

// incremental takes what changed on a datanode since its last report.
func (s *server) incremental(c *hadooprpc.Call, r *hdfspb.BlockReceivedAndDeletedRequest) (hadooprpc.Marshaler, error) {
	uuid := r.GetRegistration().GetDatanodeID().GetDatanodeUuid()
	n, err := s.known(uuid)
	if err != nil {
		return nil, err
	}
	var named []*hdfspb.DatanodeStorage
	var events []control.ReplicaEvent
	for _, volume := range r.Blocks {
		st := volume.Storage
		if st == nil {
			id := volume.GetStorageUuid()
			st = &hdfspb.DatanodeStorage{StorageUuid: &id}
		}
		named = append(named, st)
		for _, b := range volume.Blocks {
			events = append(events, control.ReplicaEvent{
				Event: control.Event(b.GetStatus()), Storage: st.GetStorageUuid(),
				Block: block(b.GetBlock()), DeleteHint: b.GetDeleteHint(),
			})
		}
	}
	if err := s.volumes(c.Context(), n, named); err != nil {
		return nil, err
	}
	return empty, s.nn.Incremental(c.Context(), &control.IncrementalRequest{UUID: uuid, PoolID: r.GetBlockPoolId(), Events: events})
}

// badBlocks takes a datanode's word that replicas are damaged.
func (s *server) badBlocks(c *hadooprpc.Call, r *hdfspb.ReportBadBlocksRequest) (hadooprpc.Marshaler, error) {
	req := &control.BadBlocksRequest{}
	for _, lb := range r.Blocks {
		bad := dfs.BadBlock{Block: extendedBlock(lb.GetB()), Storages: lb.StorageIDs}
		for _, d := range lb.Locs {
			bad.Nodes = append(bad.Nodes, datanodeID(d.GetId()))
		}
		req.Blocks = append(req.Blocks, bad)
	}
	return empty, s.nn.BadBlocks(c.Context(), req)
}

// commitSync ends a block recovery.
func (s *server) commitSync(c *hadooprpc.Call, r *hdfspb.CommitBlockSynchronizationRequest) (hadooprpc.Marshaler, error) {
	if len(r.NewTargetStorages) != len(r.NewTargets) {
		return nil, dfs.Errorf(dfs.IllegalArgument, "%d targets have %d volumes", len(r.NewTargets), len(r.NewTargetStorages))
	}
	req := &control.CommitSyncRequest{
		PoolID: r.GetBlock().GetPoolId(), Block: extendedBlock(r.GetBlock()),
		NewStamp: dfs.GenStamp(r.GetNewGenStamp()), NewLength: int64(r.GetNewLength()),
		Close: r.GetCloseFile(), Delete: r.GetDeleteBlock(),
	}
	for i, d := range r.NewTargets {
		req.Targets = append(req.Targets, control.Target{Node: datanodeID(d), Storage: r.NewTargetStorages[i]})
	}
	return empty, s.nn.CommitSync(c.Context(), req)
}

// errorReport is heard and needs no action: a failed volume is missing in the datanode's
// next heartbeat too.
func (s *server) errorReport(_ *hadooprpc.Call, r *hdfspb.ErrorReportRequest) (hadooprpc.Marshaler, error) {
	_, err := s.known(r.GetRegistration().GetDatanodeID().GetDatanodeUuid())
	return empty, err
}

// cacheReport has no use: this name node orders no caching.
func (s *server) cacheReport(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, nil
}
