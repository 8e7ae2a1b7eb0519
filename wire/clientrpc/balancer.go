package clientrpc

import (
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// heldBlocks tells a balancer what it may move away from a datanode.
func (s *server) heldBlocks(c *hadooprpc.Call, r *hdfspb.GetBlocksRequest) (hadooprpc.Marshaler, error) {
	d := r.GetDatanode()
	req := &dfs.HeldRequest{Node: dfs.DatanodeID{UUID: d.GetDatanodeUuid(), IP: d.GetIpAddr(), Host: d.GetHostName(), XferPort: uint16(d.GetXferPort())},
		Size: int64(r.GetSize()), MinSize: int64(r.GetMinBlockSize()), Interval: int64(r.GetTimeInterval())}
	if r.StorageType != nil {
		req.Type = dfs.StorageType(r.GetStorageType())
	}
	held, err := s.Admin.HeldBlocks(c.Context(), &c.Caller, req)
	if err != nil {
		return nil, err
	}
	list := make([]*hdfspb.BlockWithLocations, len(held))
	for i := range held {
		b := &held[i]
		list[i] = &hdfspb.BlockWithLocations{
			Block:         &hdfspb.Block{BlockId: u64(b.ID), GenStamp: u64(b.GenStamp), NumBytes: u64(b.Length)},
			DatanodeUuids: b.Nodes, StorageUuids: b.Storages,
		}
		for _, t := range b.Types {
			list[i].StorageTypes = append(list[i].StorageTypes, hdfspb.StorageType(t))
		}
	}
	return &hdfspb.GetBlocksResponse{Blocks: &hdfspb.BlocksWithLocations{Blocks: list}}, nil
}

// blockKeys says, as HDFS does, that there are no block tokens.
func (s *server) blockKeys(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "getBlockKeys"); err != nil {
		return nil, err
	}
	s.movers.note(c)
	off, zero, none := false, uint64(0), uint32(0)
	return &hdfspb.GetBlockKeysResponse{Keys: &hdfspb.ExportedBlockKeys{
		IsBlockTokenEnabled: &off, KeyUpdateInterval: &zero, TokenLifeTime: &zero,
		CurrentKey: &hdfspb.BlockKey{KeyId: &none, ExpiryDate: &zero, KeyBytes: []byte{}},
	}}, nil
}

// movers remembers which clients are Hadoop's balancers and movers: nobody else asks for
// block keys. A mover keeps the storage policies in a table of 16 by their ids and ends when
// it meets a higher one. So it is not told of the policies beyond, which are about parity
// groups and no work of its, and files under them look to it as if they had none.
type movers struct {
	some  atomic.Bool // known is not empty; for the many calls that nobody's mover makes
	mu    sync.Mutex
	known [][16]byte // the latest last
}

// Bounds of what a mover can hold, and of the movers that are remembered.
const (
	moverPolicies = 16
	maxMovers     = 64
)

func (m *movers) note(c *hadooprpc.Call) {
	id := c.Caller.ID.Client
	if id == [16]byte{} {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.known, id) {
		return
	}
	if len(m.known) == maxMovers {
		m.known = m.known[1:]
	}
	m.known = append(m.known, id)
	m.some.Store(true)
}

func (m *movers) has(c *hadooprpc.Call) bool {
	if !m.some.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.known, c.Caller.ID.Client)
}

// forMover hides what a mover can't hold.
func forMover(entries []dfs.ListEntry) {
	for i := range entries {
		if st := &entries[i]; st.StoragePolicy >= moverPolicies {
			st.StoragePolicy = 0
		}
	}
}
