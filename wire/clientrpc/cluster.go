package clientrpc

import (
	"slices"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func clusterMethods() methods {
	return methods{
		"getServerDefaults":         inline((*server).serverDefaults),
		"getFsStats":                inline((*server).fsStats),
		"getFsReplicatedBlockStats": inline((*server).replicatedStats),
		"getFsECBlockGroupStats":    inline((*server).groupStats),
		"getDatanodeReport":         inline((*server).datanodeReport),
		"getDatanodeStorageReport":  inline((*server).storageReport),
		"getSlowDatanodeReport":     inline((*server).slowReport),
		"setSafeMode":               blocking((*server).setSafeMode),
		"saveNamespace":             blocking((*server).saveNamespace),
		"rollEdits":                 blocking((*server).rollEdits),
		"restoreFailedStorage":      blocking((*server).restoreFailedStorage),
		"refreshNodes":              blocking((*server).refreshNodes),
		"finalizeUpgrade":           blocking((*server).finalizeUpgrade),
		"upgradeStatus":             blocking((*server).upgradeStatus),
		"rollingUpgrade":            blocking((*server).rollingUpgrade),
		"listCorruptFileBlocks":     blocking((*server).listCorruptFileBlocks),
		"metaSave":                  blocking((*server).metaSave),
		"listOpenFiles":             inline((*server).listOpenFiles),
		"setBalancerBandwidth":      blocking((*server).setBalancerBandwidth),
		"getCurrentEditLogTxid":     blocking((*server).currentTxID),
		"msync":                     inline((*server).msync),
		"getHAServiceState":         inline((*server).haState),
	}
}

func (s *server) serverDefaults(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	d := s.Cluster.ServerDefaults()
	sum := hdfspb.ChecksumType(d.ChecksumType)
	off, none := false, ""
	return &hdfspb.GetServerDefaultsResponse{ServerDefaults: &hdfspb.FsServerDefaults{
		BlockSize:                u64(d.BlockSize),
		BytesPerChecksum:         &d.BytesPerChecksum,
		WritePacketSize:          &d.WritePacketSize,
		Replication:              u32(d.Replication),
		FileBufferSize:           &d.FileBufferSize,
		EncryptDataTransfer:      &off,
		TrashInterval:            u64(d.TrashInterval),
		ChecksumType:             &sum,
		KeyProviderUri:           &none,
		PolicyId:                 u32(dfs.PolicyHot),
		SnapshotTrashRootEnabled: &off,
	}}, nil
}

func (s *server) fsStats(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	f := s.Cluster.FsStats()
	return &hdfspb.GetFsStatsResponse{
		Capacity:              u64(f.Capacity),
		Used:                  u64(f.Used),
		Remaining:             u64(f.Remaining),
		UnderReplicated:       u64(f.UnderReplicated),
		CorruptBlocks:         u64(f.Corrupt),
		MissingBlocks:         u64(f.Missing),
		MissingReplOneBlocks:  u64(f.MissingReplOne),
		BlocksInFuture:        u64(f.BlocksInFuture),
		PendingDeletionBlocks: u64(f.PendingDeletion),
	}, nil
}

func (s *server) replicatedStats(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	f := s.Cluster.FsStats()
	return &hdfspb.GetFsReplicatedBlockStatsResponse{
		LowRedundancy:                  u64(f.UnderReplicated),
		CorruptBlocks:                  u64(f.Corrupt),
		MissingBlocks:                  u64(f.Missing),
		MissingReplOneBlocks:           u64(f.MissingReplOne),
		BlocksInFuture:                 u64(f.BlocksInFuture),
		PendingDeletionBlocks:          u64(f.PendingDeletion),
		HighestPrioLowRedundancyBlocks: u64(0),
	}, nil
}

// groupStats tells about erasure coded block groups: there are none.
func (s *server) groupStats(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return &hdfspb.GetFsECBlockGroupStatsResponse{
		LowRedundancy:                  u64(0),
		CorruptBlocks:                  u64(0),
		MissingBlocks:                  u64(0),
		BlocksInFuture:                 u64(0),
		PendingDeletionBlocks:          u64(0),
		HighestPrioLowRedundancyBlocks: u64(0),
	}, nil
}

// reportType checks a datanode report's type; an enum value that HDFS does not know is
// to it a required field that is missing.
func reportType(r *hdfspb.DatanodeReportRequest) (dfs.DatanodeReportType, error) {
	if t := r.GetType(); t < uint32(dfs.ReportAll) || t > uint32(dfs.ReportInMaintenance) {
		return 0, &javaError{classBadRequest, "Message missing required fields: type"}
	}
	return dfs.DatanodeReportType(r.GetType()), nil
}

func (s *server) datanodeReport(c *hadooprpc.Call, r *hdfspb.DatanodeReportRequest) (hadooprpc.Marshaler, error) {
	typ, err := reportType(r)
	if err != nil {
		return nil, err
	}
	nodes, err := s.Cluster.DatanodeReport(&c.Caller, typ)
	if err != nil {
		return nil, err
	}
	e := newEncoder(c.Scratch())
	for i := len(nodes) - 1; i >= 0; i-- {
		e.datanodeInfo(1, &nodes[i])
	}
	reply(c, &e)
	return answered, nil
}

func (s *server) storageReport(c *hadooprpc.Call, r *hdfspb.DatanodeReportRequest) (hadooprpc.Marshaler, error) {
	typ, err := reportType(r)
	if err != nil {
		return nil, err
	}
	nodes, err := s.Cluster.DatanodeStorageReport(&c.Caller, typ)
	if err != nil {
		return nil, err
	}
	e := newEncoder(c.Scratch())
	for i := len(nodes) - 1; i >= 0; i-- {
		at := e.mark()
		for j := len(nodes[i].Storages) - 1; j >= 0; j-- {
			e.storageReport(2, &nodes[i].Storages[j])
		}
		e.datanodeInfo(1, &nodes[i].Node)
		e.nest(1, at)
	}
	reply(c, &e)
	return answered, nil
}

// storageReport writes a StorageReport field.
func (e *encoder) storageReport(num uint64, r *dfs.StorageReport) {
	at := e.mark()
	e.uint(8, uint64(r.NonDFS))
	in := e.mark()
	e.uint(3, uint64(r.Type))
	e.uint(2, 0) // normal
	e.string(1, r.UUID)
	e.nest(7, in)
	e.uint(6, uint64(r.PoolUsed))
	e.uint(5, uint64(r.Remaining))
	e.uint(4, uint64(r.Used))
	e.uint(3, uint64(r.Capacity))
	e.bool(2, r.Failed)
	e.string(1, r.UUID)
	e.nest(num, at)
}

func (s *server) slowReport(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, nil
}

func (s *server) setSafeMode(c *hadooprpc.Call, r *hdfspb.SetSafeModeRequest) (hadooprpc.Marshaler, error) {
	if a := r.GetAction(); a < uint32(dfs.SafeModeLeave) || a > uint32(dfs.SafeModeForceExit) {
		return nil, &javaError{classBadRequest, "Message missing required fields: action"}
	}
	on, err := s.Cluster.SetSafeMode(c.Context(), &c.Caller, dfs.SafeModeAction(r.GetAction()))
	return &hdfspb.BoolResponse{Result: &on}, err
}

func (s *server) saveNamespace(c *hadooprpc.Call, r *hdfspb.SaveNamespaceRequest) (hadooprpc.Marshaler, error) {
	saved, err := s.Cluster.SaveNamespace(c.Context(), &c.Caller, int64(r.GetTimeWindow()), int64(r.GetTxGap()))
	return &hdfspb.SaveNamespaceResponse{Saved: &saved}, err
}

func (s *server) rollEdits(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	tx, err := s.Cluster.RollEdits(c.Context(), &c.Caller)
	return &hdfspb.Uint64Response{Value: u64(tx)}, err
}

// restoreFailedStorage is always on: a name directory that came back is used again.
func (s *server) restoreFailedStorage(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	op := map[string]string{"true": "enableRestoreFailedStorage", "false": "disableRestoreFailedStorage"}[r.GetSrc()]
	if op == "" {
		op = "checkRestoreFailedStorage"
	}
	if err := s.superuser(c, op); err != nil {
		return nil, err
	}
	if r.GetSrc() == "false" {
		return nil, unsupported("restoring of failed storage can't be switched off")
	}
	on := true
	return &hdfspb.BoolResponse{Result: &on}, nil
}

func (s *server) refreshNodes(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, s.Cluster.RefreshNodes(c.Context(), &c.Caller)
}

// finalizeUpgrade has nothing to finalize, as an HDFS that was not upgraded.
func (s *server) finalizeUpgrade(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, s.superuser(c, "finalizeUpgrade")
}

func (s *server) upgradeStatus(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	finalized := true
	return &hdfspb.BoolResponse{Result: &finalized}, nil
}

// What rollingUpgrade may ask for.
const (
	rollingQuery    = 1
	rollingStart    = 2
	rollingFinalize = 3
)

// rollingUpgrade knows of none under way; to start one is refused.
func (s *server) rollingUpgrade(c *hadooprpc.Call, r *hdfspb.RollingUpgradeRequest) (hadooprpc.Marshaler, error) {
	op := map[uint32]string{rollingStart: "startRollingUpgrade", rollingFinalize: "finalizeRollingUpgrade"}[r.GetAction()]
	if op == "" {
		op = "queryRollingUpgrade"
	}
	if err := s.superuser(c, op); err != nil {
		return nil, err
	}
	if r.GetAction() == rollingStart {
		return nil, unsupported("Rolling upgrade is not supported")
	}
	return &hdfspb.RollingUpgradeResponse{}, nil
}

func (s *server) listCorruptFileBlocks(c *hadooprpc.Call, r *hdfspb.ListCorruptFileBlocksRequest) (hadooprpc.Marshaler, error) {
	paths, next, err := s.Cluster.CorruptFiles(&c.Caller, r.GetPath(), r.GetCookie())
	return &hdfspb.ListCorruptFileBlocksResponse{Corrupt: &hdfspb.CorruptFileBlocks{Files: paths, Cookie: &next}}, err
}

func (s *server) metaSave(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "metaSave"); err != nil {
		return nil, err
	}
	return empty, s.Admin.MetaSave(&c.Caller, r.GetSrc())
}

// What listOpenFiles may ask for.
const (
	allOpenFiles         = 1
	blockingDecommission = 2
)

// listOpenFiles lists open files: all, unless only those that block a decommission are asked for.
func (s *server) listOpenFiles(c *hadooprpc.Call, r *hdfspb.ListOpenFilesRequest) (hadooprpc.Marshaler, error) {
	blocking := slices.Contains(r.Types, blockingDecommission) && !slices.Contains(r.Types, allOpenFiles)
	files, more, err := s.Cluster.OpenFiles(&c.Caller, dfs.InodeID(r.GetId()), r.GetPath(), blocking)
	if err != nil {
		return nil, err
	}
	resp := &hdfspb.ListOpenFilesResponse{Types: r.Types}
	resp.HasMore = &more
	for i := range files {
		f := &files[i]
		id := int64(f.ID)
		resp.Entries = append(resp.Entries, &hdfspb.OpenFileEntry{Id: &id, Path: &f.Path, ClientName: &f.Holder, ClientMachine: &f.Machine})
	}
	return resp, nil
}

func (s *server) setBalancerBandwidth(c *hadooprpc.Call, r *hdfspb.SetBalancerBandwidthRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "setBalancerBandwidth"); err != nil {
		return nil, err
	}
	return empty, s.Admin.SetBalancerBandwidth(&c.Caller, r.GetBandwidth())
}

func (s *server) currentTxID(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "getCurrentEditLogTxid"); err != nil {
		return nil, err
	}
	return &hdfspb.Uint64Response{Value: u64(s.Admin.LastTxID())}, nil
}

// msync has nothing to wait for: every read sees every acknowledged change.
func (s *server) msync(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, nil
}

func (s *server) haState(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return &hdfspb.HAServiceStateResponse{State: u32(s.opt.State())}, nil
}
