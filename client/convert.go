package client

import (
	"strconv"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

func blockOf(b *hdfspb.ExtendedBlock) dfs.Block {
	return dfs.Block{ID: dfs.BlockID(b.GetBlockId()), GenStamp: dfs.GenStamp(b.GetGenerationStamp()), Length: int64(b.GetNumBytes())}
}

func extended(pool string, b dfs.Block) *hdfspb.ExtendedBlock {
	return &hdfspb.ExtendedBlock{
		PoolId: new(pool), BlockId: new(uint64(b.ID)), GenerationStamp: new(uint64(b.GenStamp)), NumBytes: new(uint64(b.Length)),
	}
}

// policyName is an erasure coding policy's name; the built-in ones may come as their number.
func policyName(p *hdfspb.ErasureCodingPolicy) string {
	if p == nil {
		return ""
	}
	if name := p.GetName(); name != "" {
		return name
	}
	builtIn := map[uint32]string{1: "RS-6-3-1024k", 2: "RS-3-2-1024k", 3: "RS-LEGACY-6-3-1024k", 4: "XOR-2-1-1024k", 5: "RS-10-4-1024k"}
	if name, ok := builtIn[p.GetId()]; ok {
		return name
	}
	return strconv.Itoa(int(p.GetId()))
}

func statusOf(p *hdfspb.HdfsFileStatus) *dfs.FileStatus {
	st := &dfs.FileStatus{
		Type:          dfs.FileType(p.GetFileType()),
		ID:            dfs.InodeID(p.GetFileId()),
		Name:          string(p.GetPath()),
		Length:        int64(p.GetLength()),
		Mode:          dfs.Mode(p.GetPermission().GetPerm()) & dfs.ModeMask,
		Owner:         p.GetOwner(),
		Group:         p.GetGroup(),
		ModTime:       int64(p.GetModificationTime()),
		AccessTime:    int64(p.GetAccessTime()),
		Replication:   uint16(p.GetBlockReplication()),
		BlockSize:     int64(p.GetBlocksize()),
		Children:      int(p.GetChildrenNum()),
		StoragePolicy: uint8(p.GetStoragePolicy()),
		Flags:         p.GetFlags(),
		Symlink:       string(p.GetSymlink()),
		ECPolicy:      policyName(p.EcPolicy),
	}
	if p.FileEncryptionInfo != nil {
		st.Flags |= dfs.FlagEncrypted
	}
	return st
}

func nodeIDOf(p *hdfspb.DatanodeID) dfs.DatanodeID {
	return dfs.DatanodeID{
		UUID: p.GetDatanodeUuid(), IP: p.GetIpAddr(), Host: p.GetHostName(), XferPort: uint16(p.GetXferPort()),
		InfoPort: uint16(p.GetInfoPort()), SecurePort: uint16(p.GetInfoSecurePort()), IPCPort: uint16(p.GetIpcPort()),
	}
}

func nodeIDProto(d dfs.DatanodeID) *hdfspb.DatanodeID {
	return &hdfspb.DatanodeID{
		IpAddr: new(d.IP), HostName: new(d.Host), DatanodeUuid: new(d.UUID), XferPort: new(uint32(d.XferPort)),
		InfoPort: new(uint32(d.InfoPort)), IpcPort: new(uint32(d.IPCPort)), InfoSecurePort: new(uint32(d.SecurePort)),
	}
}

func nodeOf(p *hdfspb.DatanodeInfo) dfs.DatanodeInfo {
	return dfs.DatanodeInfo{
		DatanodeID:     nodeIDOf(p.GetId()),
		Capacity:       int64(p.GetCapacity()),
		Used:           int64(p.GetDfsUsed()),
		NonDFSUsed:     nonDFS(p),
		Remaining:      int64(p.GetRemaining()),
		PoolUsed:       int64(p.GetBlockPoolUsed()),
		LastUpdate:     int64(p.GetLastUpdate()),
		LastUpdateMono: int64(p.GetLastUpdateMonotonic()),
		LastReport:     int64(p.GetLastBlockReportTime()),
		LastReportMono: int64(p.GetLastBlockReportMonotonic()),
		Xceivers:       p.GetXceiverCount(),
		Location:       p.GetLocation(),
		Admin:          dfs.AdminState(p.GetAdminState()),
		Blocks:         p.GetNumBlocks(),
		CacheCapacity:  int64(p.GetCacheCapacity()),
		CacheUsed:      int64(p.GetCacheUsed()),
	}
}

// nonDFS is what else uses a datanode's disks; old servers leave it to be computed.
func nonDFS(p *hdfspb.DatanodeInfo) int64 {
	if p.NonDfsUsed != nil {
		return int64(p.GetNonDfsUsed())
	}
	return max(0, int64(p.GetCapacity())-int64(p.GetDfsUsed())-int64(p.GetRemaining()))
}

// nodeProto names a datanode with its rack, which Hadoop insists on.
func nodeProto(d *dfs.DatanodeInfo) *hdfspb.DatanodeInfo {
	location := d.Location
	if location == "" {
		location = "/default-rack"
	}
	return &hdfspb.DatanodeInfo{Id: nodeIDProto(d.DatanodeID), Location: &location}
}

func nodeProtos(nodes []*dfs.DatanodeInfo) []*hdfspb.DatanodeInfo {
	out := make([]*hdfspb.DatanodeInfo, len(nodes))
	for i, d := range nodes {
		out[i] = nodeProto(d)
	}
	return out
}

func locatedOf(p *hdfspb.LocatedBlock) dfs.LocatedBlock {
	b := dfs.LocatedBlock{Block: blockOf(p.GetB()), PoolID: p.GetB().GetPoolId(), Offset: int64(p.GetOffset()), Corrupt: p.GetCorrupt()}
	b.Locs = make([]dfs.ReplicaLoc, len(p.GetLocs()))
	for i, l := range p.GetLocs() {
		n := nodeOf(l)
		b.Locs[i].Node = &n
		if i < len(p.StorageIDs) {
			b.Locs[i].Storage = p.StorageIDs[i]
		}
		if i < len(p.StorageTypes) {
			b.Locs[i].Type = dfs.StorageType(p.StorageTypes[i])
		}
	}
	return b
}

func locatedProto(b *dfs.LocatedBlock, locs []dfs.ReplicaLoc) *hdfspb.LocatedBlock {
	out := &hdfspb.LocatedBlock{
		B: extended(b.PoolID, b.Block), Offset: new(uint64(b.Offset)), Corrupt: new(false),
		BlockToken: &hdfspb.Token{Identifier: []byte{}, Password: []byte{}, Kind: new(""), Service: new("")},
	}
	for _, l := range locs {
		out.Locs = append(out.Locs, nodeProto(l.Node))
		out.StorageIDs = append(out.StorageIDs, l.Storage)
		out.StorageTypes = append(out.StorageTypes, hdfspb.StorageType(max(l.Type, dfs.StorageDisk)))
	}
	return out
}

func locatedBlocksOf(p *hdfspb.LocatedBlocks) *dfs.LocatedBlocks {
	out := &dfs.LocatedBlocks{
		FileLength: int64(p.GetFileLength()), UnderConstruction: p.GetUnderConstruction(), LastComplete: p.GetIsLastBlockComplete(),
		Blocks: make([]dfs.LocatedBlock, len(p.GetBlocks())), ECPolicy: policyName(p.EcPolicy), Encrypted: p.FileEncryptionInfo != nil,
	}
	for i, b := range p.GetBlocks() {
		out.Blocks[i] = locatedOf(b)
	}
	if p.LastBlock != nil {
		last := locatedOf(p.LastBlock)
		out.Last = &last
	}
	return out
}
