package datanoderpc

import (
	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// lease is the number of the permission to send a full report. Reports are not rationed,
// so all are the same; 0 would mean "not now".
const lease = 1

// heartbeat keeps a datanode alive and brings back its orders.
func (s *server) heartbeat(c *hadooprpc.Call, r *hdfspb.HeartbeatRequest) (hadooprpc.Marshaler, error) {
	uuid := r.GetRegistration().GetDatanodeID().GetDatanodeUuid()
	answer := &hdfspb.HeartbeatResponse{}
	n, err := s.known(uuid)
	if err != nil {
		answer.Cmds = append(answer.Cmds, registerAgain())
	} else {
		req := heartbeatRequest(uuid, r)
		n.setStorages(req.Storages)
		reply, err := s.nn.Heartbeat(c.Context(), req)
		if err != nil {
			return nil, err
		}
		for i := range reply.Commands {
			if cmd := wireCommand(&reply.Commands[i]); cmd != nil {
				answer.Cmds = append(answer.Cmds, cmd)
			}
		}
		answer.HaStatus = haStatus(reply.Active, reply.TxID)
	}
	if answer.HaStatus == nil {
		answer.HaStatus = haStatus(true, 0)
	}
	if r.GetRequestFullBlockReportLease() {
		answer.FullBlockReportLeaseId = ptr(uint64(lease))
	}
	return answer, nil
}

// lifeline is a sign of life by a way that is free when the other one is not. Orders wait
// for the next heartbeat.
func (s *server) lifeline(c *hadooprpc.Call, r *hdfspb.HeartbeatRequest) (hadooprpc.Marshaler, error) {
	uuid := r.GetRegistration().GetDatanodeID().GetDatanodeUuid()
	if _, err := s.known(uuid); err != nil {
		return empty, nil // its next heartbeat tells it to register
	}
	req := heartbeatRequest(uuid, r)
	req.Lifeline = true
	_, err := s.nn.Heartbeat(c.Context(), req)
	return empty, err
}

func heartbeatRequest(uuid string, r *hdfspb.HeartbeatRequest) *control.HeartbeatRequest {
	req := &control.HeartbeatRequest{
		UUID: uuid, Xceivers: r.GetXceiverCount(),
		CacheCapacity: int64(r.GetCacheCapacity()), CacheUsed: int64(r.GetCacheUsed()),
		FailedVolumes: r.GetVolumeFailureSummary().GetFailedStorageLocations(),
	}
	for _, v := range r.Reports {
		req.Storages = append(req.Storages, storageReport(v))
	}
	return req
}

func haStatus(active bool, tx dfs.TxID) *hdfspb.NNHAStatusHeartbeat {
	state := hdfspb.NamespaceInfo_STANDBY
	if active {
		state = hdfspb.NamespaceInfo_ACTIVE
	}
	return &hdfspb.NNHAStatusHeartbeat{State: &state, Txid: ptr(uint64(tx))}
}

// wireCommand puts an order into HDFS's words, nil if HDFS has none for it. HDFS's name
// nodes can't ask for a full report alone; registering again brings one too.
func wireCommand(c *control.Command) *hdfspb.DatanodeCommand {
	switch c.Kind {
	case control.CmdRegister, control.CmdReport:
		return registerAgain()
	case control.CmdTransfer, control.CmdMove:
		return transfer(c)
	case control.CmdInvalidate:
		cmd := blockCommand(hdfspb.BlockCommand_INVALIDATE, c.PoolID)
		for _, b := range c.Blocks {
			cmd.BlkCmd.Blocks = append(cmd.BlkCmd.Blocks, wireBlock(b))
		}
		return cmd
	case control.CmdShutdown:
		return blockCommand(hdfspb.BlockCommand_SHUTDOWN, c.PoolID)
	case control.CmdRecover:
		return recovery(c)
	case control.CmdBandwidth:
		return &hdfspb.DatanodeCommand{
			CmdType:     hdfspb.DatanodeCommand_BALANCER_BANDWIDTH.Enum(),
			BalancerCmd: &hdfspb.BalancerBandwidthCommand{Bandwidth: ptr(uint64(c.Value))},
		}
	}
	return nil
}

func registerAgain() *hdfspb.DatanodeCommand {
	return &hdfspb.DatanodeCommand{CmdType: hdfspb.DatanodeCommand_REGISTER.Enum(), RegisterCmd: &hdfspb.Empty{}}
}

func blockCommand(action hdfspb.BlockCommand_Action, pool string) *hdfspb.DatanodeCommand {
	return &hdfspb.DatanodeCommand{
		CmdType: hdfspb.DatanodeCommand_BLOCK.Enum(),
		BlkCmd:  &hdfspb.BlockCommand{Action: &action, BlockPoolId: &pool},
	}
}

func transfer(c *control.Command) *hdfspb.DatanodeCommand {
	cmd := blockCommand(hdfspb.BlockCommand_TRANSFER, c.PoolID)
	nodes, storages, types := &hdfspb.DatanodeInfos{}, &hdfspb.StorageUuids{}, &hdfspb.StorageTypes{}
	for i := range c.Targets {
		t := &c.Targets[i]
		nodes.Datanodes = append(nodes.Datanodes, &hdfspb.DatanodeInfo{Id: wireDatanodeID(&t.Node)})
		storages.StorageUuids = append(storages.StorageUuids, t.Storage)
		types.StorageTypes = append(types.StorageTypes, hdfspb.StorageType(t.Type))
	}
	cmd.BlkCmd.Blocks = []*hdfspb.Block{wireBlock(c.Block)}
	cmd.BlkCmd.Targets = []*hdfspb.DatanodeInfos{nodes}
	cmd.BlkCmd.TargetStorageUuids = []*hdfspb.StorageUuids{storages}
	cmd.BlkCmd.TargetStorageTypes = []*hdfspb.StorageTypes{types}
	return cmd
}

// recovery orders to bring the replicas of a block to one length, or to cut them.
func recovery(c *control.Command) *hdfspb.DatanodeCommand {
	lb := located(c.PoolID, c.Block)
	for i := range c.Targets {
		t := &c.Targets[i]
		lb.Locs = append(lb.Locs, &hdfspb.DatanodeInfo{Id: wireDatanodeID(&t.Node)})
		lb.StorageTypes = append(lb.StorageTypes, hdfspb.StorageType(t.Type))
		lb.StorageIDs = append(lb.StorageIDs, t.Storage)
	}
	rb := &hdfspb.RecoveringBlock{NewGenStamp: ptr(uint64(c.RecoveryID)), Block: lb}
	if c.NewLength >= 0 {
		rb.TruncateBlock = wireBlock(dfs.Block{ID: c.Block.ID, GenStamp: c.RecoveryID, Length: c.NewLength})
	}
	return &hdfspb.DatanodeCommand{
		CmdType:     hdfspb.DatanodeCommand_BLOCK_RECOVERY.Enum(),
		RecoveryCmd: &hdfspb.BlockRecoveryCommand{Blocks: []*hdfspb.RecoveringBlock{rb}},
	}
}

// located describes a block that is somewhere: the places are left to the caller.
func located(pool string, b dfs.Block) *hdfspb.LocatedBlock {
	return &hdfspb.LocatedBlock{
		B: &hdfspb.ExtendedBlock{
			PoolId: &pool, BlockId: ptr(uint64(b.ID)),
			GenerationStamp: ptr(uint64(b.GenStamp)), NumBytes: ptr(uint64(b.Length)),
		},
		Offset: ptr(uint64(0)), Corrupt: ptr(false), BlockToken: noToken(),
	}
}

// noKeys says that there are no block tokens.
func noKeys() *hdfspb.ExportedBlockKeys {
	return &hdfspb.ExportedBlockKeys{
		IsBlockTokenEnabled: ptr(false), KeyUpdateInterval: ptr(uint64(0)), TokenLifeTime: ptr(uint64(0)),
		CurrentKey: &hdfspb.BlockKey{KeyId: ptr(uint32(0)), ExpiryDate: ptr(uint64(0))},
	}
}

func noToken() *hdfspb.Token {
	return &hdfspb.Token{Identifier: []byte{}, Password: []byte{}, Kind: ptr(""), Service: ptr("")}
}

func datanodeID(d *hdfspb.DatanodeID) dfs.DatanodeID {
	return dfs.DatanodeID{
		UUID: d.GetDatanodeUuid(), IP: d.GetIpAddr(), Host: d.GetHostName(),
		XferPort: uint16(d.GetXferPort()), InfoPort: uint16(d.GetInfoPort()),
		SecurePort: uint16(d.GetInfoSecurePort()), IPCPort: uint16(d.GetIpcPort()),
	}
}

func wireDatanodeID(d *dfs.DatanodeID) *hdfspb.DatanodeID {
	return &hdfspb.DatanodeID{
		DatanodeUuid: &d.UUID, IpAddr: &d.IP, HostName: &d.Host,
		XferPort: ptr(uint32(d.XferPort)), InfoPort: ptr(uint32(d.InfoPort)),
		InfoSecurePort: ptr(uint32(d.SecurePort)), IpcPort: ptr(uint32(d.IPCPort)),
	}
}

func storageReport(r *hdfspb.StorageReport) dfs.StorageReport {
	uuid := r.GetStorageUuid()
	if r.Storage != nil {
		uuid = r.Storage.GetStorageUuid()
	}
	return dfs.StorageReport{
		UUID: uuid, Type: dfs.StorageType(r.GetStorage().GetStorageType()), Failed: r.GetFailed(),
		Capacity: int64(r.GetCapacity()), Used: int64(r.GetDfsUsed()), Remaining: int64(r.GetRemaining()),
		PoolUsed: int64(r.GetBlockPoolUsed()), NonDFS: int64(r.GetNonDfsUsed()),
	}
}

func block(b *hdfspb.Block) dfs.Block {
	return dfs.Block{ID: dfs.BlockID(b.GetBlockId()), GenStamp: dfs.GenStamp(b.GetGenStamp()), Length: int64(b.GetNumBytes())}
}

func extendedBlock(b *hdfspb.ExtendedBlock) dfs.Block {
	return dfs.Block{ID: dfs.BlockID(b.GetBlockId()), GenStamp: dfs.GenStamp(b.GetGenerationStamp()), Length: int64(b.GetNumBytes())}
}

func wireBlock(b dfs.Block) *hdfspb.Block {
	return &hdfspb.Block{BlockId: ptr(uint64(b.ID)), GenStamp: ptr(uint64(b.GenStamp)), NumBytes: ptr(uint64(b.Length))}
}

func ptr[T any](v T) *T { return &v }
