package client

import (
	"context"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

var empty = &hdfspb.Empty{}

func (c *Client) serverDefaults(ctx context.Context) (*dfs.ServerDefaults, error) {
	var resp hdfspb.GetServerDefaultsResponse
	if err := c.names.call(ctx, "getServerDefaults", empty, &resp); err != nil {
		return nil, err
	}
	d := resp.ServerDefaults
	return &dfs.ServerDefaults{
		BlockSize: int64(d.GetBlockSize()), BytesPerChecksum: d.GetBytesPerChecksum(), WritePacketSize: d.GetWritePacketSize(),
		Replication: uint16(d.GetReplication()), FileBufferSize: d.GetFileBufferSize(), TrashInterval: int64(d.GetTrashInterval()),
		ChecksumType: dfs.ChecksumType(d.GetChecksumType()),
	}, nil
}

// FsStats gives the cluster's capacity and the state of its blocks.
func (c *Client) FsStats(ctx context.Context) (dfs.FsStats, error) {
	var r hdfspb.GetFsStatsResponse
	err := c.names.call(ctx, "getFsStats", empty, &r)
	return dfs.FsStats{
		Capacity: int64(r.GetCapacity()), Used: int64(r.GetUsed()), Remaining: int64(r.GetRemaining()),
		UnderReplicated: int64(r.GetUnderReplicated()), Corrupt: int64(r.GetCorruptBlocks()), Missing: int64(r.GetMissingBlocks()),
		MissingReplOne: int64(r.GetMissingReplOneBlocks()), BlocksInFuture: int64(r.GetBlocksInFuture()),
		PendingDeletion: int64(r.GetPendingDeletionBlocks()),
	}, err
}

// BlockStats counts blocks, or block groups, by what is wrong with them.
type BlockStats struct {
	LowRedundancy, Corrupt, Missing, MissingReplOne, PendingDeletion, HighestPriority int64
}

// ReplicatedBlockStats counts replicated blocks.
func (c *Client) ReplicatedBlockStats(ctx context.Context) (BlockStats, error) {
	var r hdfspb.GetFsReplicatedBlockStatsResponse
	err := c.names.call(ctx, "getFsReplicatedBlockStats", empty, &r)
	return BlockStats{int64(r.GetLowRedundancy()), int64(r.GetCorruptBlocks()), int64(r.GetMissingBlocks()), int64(r.GetMissingReplOneBlocks()),
		int64(r.GetPendingDeletionBlocks()), int64(r.GetHighestPrioLowRedundancyBlocks())}, err
}

// BlockGroupStats counts erasure coded block groups.
func (c *Client) BlockGroupStats(ctx context.Context) (BlockStats, error) {
	var r hdfspb.GetFsECBlockGroupStatsResponse
	err := c.names.call(ctx, "getFsECBlockGroupStats", empty, &r)
	return BlockStats{int64(r.GetLowRedundancy()), int64(r.GetCorruptBlocks()), int64(r.GetMissingBlocks()), 0,
		int64(r.GetPendingDeletionBlocks()), int64(r.GetHighestPrioLowRedundancyBlocks())}, err
}

// DatanodeReport lists the datanodes of one kind.
func (c *Client) DatanodeReport(ctx context.Context, kind dfs.DatanodeReportType) ([]dfs.DatanodeInfo, error) {
	return c.datanodes(ctx, "getDatanodeReport", &hdfspb.DatanodeReportRequest{Type: new(uint32(kind))})
}

// SlowDatanodes lists the datanodes that their peers found slow.
func (c *Client) SlowDatanodes(ctx context.Context) ([]dfs.DatanodeInfo, error) {
	return c.datanodes(ctx, "getSlowDatanodeReport", empty)
}

func (c *Client) datanodes(ctx context.Context, method string, req request) ([]dfs.DatanodeInfo, error) {
	var resp hdfspb.DatanodeInfos
	if err := c.names.call(ctx, method, req, &resp); err != nil {
		return nil, err
	}
	out := make([]dfs.DatanodeInfo, len(resp.Datanodes))
	for i, d := range resp.Datanodes {
		out[i] = nodeOf(d)
	}
	return out, nil
}

// SetSafeMode changes or asks for safe mode and tells whether it is on.
func (c *Client) SetSafeMode(ctx context.Context, action dfs.SafeModeAction) (bool, error) {
	return c.boolean(ctx, "setSafeMode", &hdfspb.SetSafeModeRequest{Action: new(uint32(action)), Checked: new(false)})
}

// SaveNamespace writes a checkpoint; false if a recent one made it unnecessary. Zero
// arguments write it in any case.
func (c *Client) SaveNamespace(ctx context.Context, timeWindow, txGap int64) (bool, error) {
	var resp hdfspb.SaveNamespaceResponse
	err := c.names.call(ctx, "saveNamespace", &hdfspb.SaveNamespaceRequest{TimeWindow: new(uint64(timeWindow)), TxGap: new(uint64(txGap))}, &resp)
	return resp.GetSaved(), err
}

// RollEdits ends the current segment of the edit log and gives the next one's first
// transaction.
func (c *Client) RollEdits(ctx context.Context) (dfs.TxID, error) {
	var resp hdfspb.Uint64Response
	err := c.names.call(ctx, "rollEdits", empty, &resp)
	return dfs.TxID(resp.GetValue()), err
}

// RefreshNodes makes the name node read its lists of datanodes again.
func (c *Client) RefreshNodes(ctx context.Context) error {
	return c.names.call(ctx, "refreshNodes", empty, nil)
}

// MetaSave makes the name node write its block manager's queues to a file in its log
// directory.
func (c *Client) MetaSave(ctx context.Context, name string) error {
	return c.names.call(ctx, "metaSave", &hdfspb.PathRequest{Src: &name}, nil)
}

// FinalizeUpgrade ends an upgrade for good.
func (c *Client) FinalizeUpgrade(ctx context.Context) error {
	return c.names.call(ctx, "finalizeUpgrade", empty, nil)
}

// UpgradeFinalized reports that no upgrade waits for its end.
func (c *Client) UpgradeFinalized(ctx context.Context) (bool, error) {
	var resp hdfspb.BoolResponse
	err := c.names.call(ctx, "upgradeStatus", empty, &resp)
	return resp.GetResult(), err
}

// Refresh makes the name node read something again: refreshServiceAcl,
// refreshUserToGroupsMappings, refreshSuperUserGroupsConfiguration or refreshCallQueue.
func (c *Client) Refresh(ctx context.Context, what string) error {
	protocol, ok := refreshProtocols[what]
	if !ok {
		return &dfs.Error{Op: what, Kind: dfs.IllegalArgument, Msg: what + " is not known"}
	}
	return c.names.callProtocol(ctx, protocol, what, empty, nil)
}

var refreshProtocols = map[string]string{
	"refreshServiceAcl":                   hdfspb.RefreshAuthorizationPolicyProtocol,
	"refreshUserToGroupsMappings":         hdfspb.RefreshUserMappingsProtocol,
	"refreshSuperUserGroupsConfiguration": hdfspb.RefreshUserMappingsProtocol,
	"refreshCallQueue":                    hdfspb.RefreshCallQueueProtocol,
}

// OpenFiles lists files that are open for writing, those with an id above after; with
// blocking only those that keep a datanode from being decommissioned.
func (c *Client) OpenFiles(ctx context.Context, after dfs.InodeID, path string, blocking bool) (files []dfs.OpenFile, more bool, err error) {
	var resp hdfspb.ListOpenFilesResponse
	const all, blockingDecommission = 1, 2
	req := &hdfspb.ListOpenFilesRequest{Id: new(int64(after)), Types: []uint32{all}, Path: &path}
	if blocking {
		req.Types = []uint32{blockingDecommission}
	}
	if err := c.names.call(ctx, "listOpenFiles", req, &resp); err != nil {
		return nil, false, err
	}
	for _, e := range resp.Entries {
		files = append(files, dfs.OpenFile{ID: dfs.InodeID(e.GetId()), Path: e.GetPath(), Holder: e.GetClientName(), Machine: e.GetClientMachine()})
	}
	return files, resp.GetHasMore(), nil
}

// SetBalancerBandwidth tells datanodes how fast they may move blocks, in bytes a second.
func (c *Client) SetBalancerBandwidth(ctx context.Context, bytes int64) error {
	return c.names.call(ctx, "setBalancerBandwidth", &hdfspb.Int64Request{Id: &bytes}, nil)
}

// ReportBadBlocks tells the name node of damaged replicas.
func (c *Client) ReportBadBlocks(ctx context.Context, b *dfs.LocatedBlock, bad []dfs.ReplicaLoc) error {
	return c.names.call(ctx, "reportBadBlocks", &hdfspb.ReportBadBlocksRequest{Blocks: []*hdfspb.LocatedBlock{locatedProto(b, bad)}}, nil)
}

// RestoreFailedStorage sets ("true", "false") or asks ("check") whether name directories
// that failed are tried again.
func (c *Client) RestoreFailedStorage(ctx context.Context, arg string) (bool, error) {
	return c.boolean(ctx, "restoreFailedStorage", &hdfspb.PathRequest{Src: &arg})
}

// SetTypeQuota limits the bytes on one storage type below a directory.
func (c *Client) SetTypeQuota(ctx context.Context, path string, bytes int64, t dfs.StorageType) error {
	return c.names.call(ctx, "setQuota", &hdfspb.SetQuotaRequest{
		Path: &path, NamespaceQuota: new(uint64(KeepQuota)), StoragespaceQuota: new(uint64(bytes)), StorageType: new(hdfspb.StorageType(t)),
	}, nil)
}

// TypeQuota is the quota of one storage type and how much of it is used, in bytes.
type TypeQuota struct{ Quota, Used int64 }

// TypeQuotas gives the quotas that a directory has by storage type.
func (c *Client) TypeQuotas(ctx context.Context, path string) (map[dfs.StorageType]TypeQuota, error) {
	var resp hdfspb.GetQuotaUsageResponse
	if err := c.names.call(ctx, "getQuotaUsage", &hdfspb.PathRequest{Src: &path}, &resp); err != nil {
		return nil, err
	}
	out := map[dfs.StorageType]TypeQuota{}
	for _, q := range resp.GetUsage().GetTypeQuotaInfos().GetTypeQuotaInfo() {
		out[dfs.StorageType(q.GetType())] = TypeQuota{int64(q.GetQuota()), int64(q.GetConsumed())}
	}
	return out, nil
}
