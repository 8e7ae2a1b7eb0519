package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func fileMethods() methods {
	return methods{
		"create":                 (*server).create,
		"append":                 blocking((*server).append),
		"addBlock":               blocking((*server).addBlock),
		"abandonBlock":           blocking((*server).abandonBlock),
		"getAdditionalDatanode":  blocking((*server).additionalDatanode),
		"updateBlockForPipeline": blocking((*server).updateBlockForPipeline),
		"updatePipeline":         blocking((*server).updatePipeline),
		"complete":               (*server).complete,
		"fsync":                  blocking((*server).fsync),
		"renewLease":             inline((*server).renewLease),
		"recoverLease":           blocking((*server).recoverLease),
		"reportBadBlocks":        blocking((*server).reportBadBlocks),
	}
}

func (s *server) create(c *hadooprpc.Call) {
	r := new(dfs.CreateRequest)
	if err := decodeCreate(r, c.Body); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		st, err := s.Files.Create(c.Context(), &c.Caller, r)
		replyStatus(c, st, nil, err)
	})
}

func (s *server) append(c *hadooprpc.Call, r *hdfspb.AppendRequest) (hadooprpc.Marshaler, error) {
	block, st, err := s.Files.Append(c.Context(), &c.Caller, r.GetSrc(), r.GetClientName(), r.GetFlag())
	if err != nil {
		return nil, err
	}
	e := newEncoder(c.Scratch())
	if st != nil {
		e.fileStatus(2, st, nil)
	}
	if block != nil {
		e.locatedBlock(1, block)
	}
	reply(c, &e)
	return answered, nil
}

// block checks that a client's block is of this cluster.
func (s *server) block(b *hdfspb.ExtendedBlock) (dfs.Block, error) {
	if err := s.checkPool(b.GetPoolId()); err != nil {
		return dfs.Block{}, err
	}
	return dfs.Block{
		ID:       dfs.BlockID(b.GetBlockId()),
		GenStamp: dfs.GenStamp(b.GetGenerationStamp()),
		Length:   int64(b.GetNumBytes()),
	}, nil
}

func (s *server) checkPool(pool string) error {
	if want := s.Cluster.Info().PoolID; pool != want {
		return dfs.Errorf(dfs.Other, "Unexpected BlockPoolId %s - expected %s", pool, want)
	}
	return nil
}

func datanodeIDs(infos []*hdfspb.DatanodeInfo) []dfs.DatanodeID {
	var ids []dfs.DatanodeID
	for _, d := range infos {
		ids = append(ids, datanodeID(d.GetId()))
	}
	return ids
}

func datanodeID(d *hdfspb.DatanodeID) dfs.DatanodeID {
	return dfs.DatanodeID{
		UUID:       d.GetDatanodeUuid(),
		IP:         d.GetIpAddr(),
		Host:       d.GetHostName(),
		XferPort:   uint16(d.GetXferPort()),
		InfoPort:   uint16(d.GetInfoPort()),
		SecurePort: uint16(d.GetInfoSecurePort()),
		IPCPort:    uint16(d.GetIpcPort()),
	}
}

func (s *server) addBlock(c *hadooprpc.Call, r *hdfspb.AddBlockRequest) (hadooprpc.Marshaler, error) {
	req := dfs.AddBlockRequest{
		Path:    r.GetSrc(),
		File:    dfs.InodeID(r.GetFileId()),
		Holder:  r.GetClientName(),
		Exclude: datanodeIDs(r.ExcludeNodes),
		Favored: r.FavoredNodes,
	}
	for _, f := range r.Flags {
		req.Flags |= f
	}
	if r.Previous != nil {
		b, err := s.block(r.Previous)
		if err != nil {
			return nil, err
		}
		req.Previous = &b
	}
	b, err := s.Files.AddBlock(c.Context(), &c.Caller, &req)
	replyBlock(c, b, err)
	return answered, nil
}

func (s *server) abandonBlock(c *hadooprpc.Call, r *hdfspb.AbandonBlockRequest) (hadooprpc.Marshaler, error) {
	b, err := s.block(r.B)
	if err != nil {
		return nil, err
	}
	return empty, s.Files.AbandonBlock(c.Context(), &c.Caller, b, r.GetSrc(), r.GetHolder(), dfs.InodeID(r.GetFileId()))
}

func (s *server) additionalDatanode(c *hadooprpc.Call, r *hdfspb.GetAdditionalDatanodeRequest) (hadooprpc.Marshaler, error) {
	b, err := s.block(r.Blk)
	if err != nil {
		return nil, err
	}
	lb, err := s.Files.AdditionalDatanode(c.Context(), &c.Caller, &dfs.AdditionalDatanodeRequest{
		Path:     r.GetSrc(),
		File:     dfs.InodeID(r.GetFileId()),
		Block:    b,
		Existing: datanodeIDs(r.Existings),
		Storages: r.ExistingStorageUuids,
		Exclude:  datanodeIDs(r.Excludes),
		Count:    int(r.GetNumAdditionalNodes()),
		Holder:   r.GetClientName(),
	})
	replyBlock(c, lb, err)
	return answered, nil
}

func (s *server) updateBlockForPipeline(c *hadooprpc.Call, r *hdfspb.UpdateBlockForPipelineRequest) (hadooprpc.Marshaler, error) {
	b, err := s.block(r.Block)
	if err != nil {
		return nil, err
	}
	lb, err := s.Files.UpdateBlockForPipeline(c.Context(), &c.Caller, b, r.GetClientName())
	replyBlock(c, lb, err)
	return answered, nil
}

func (s *server) updatePipeline(c *hadooprpc.Call, r *hdfspb.UpdatePipelineRequest) (hadooprpc.Marshaler, error) {
	before, err := s.block(r.OldBlock)
	if err != nil {
		return nil, err
	}
	after, err := s.block(r.NewBlock)
	if err != nil {
		return nil, err
	}
	req := dfs.UpdatePipelineRequest{Holder: r.GetClientName(), Old: before, New: after, Storages: r.StorageIDs}
	for _, d := range r.NewNodes {
		req.Nodes = append(req.Nodes, datanodeID(d))
	}
	return empty, s.Files.UpdatePipeline(c.Context(), &c.Caller, &req)
}

func (s *server) complete(c *hadooprpc.Call) {
	r := new(completeRequest)
	if err := r.decode(c.Body, s.Cluster.Info().PoolID); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		var last *dfs.Block
		if r.hasLast {
			if err := s.checkPool(r.last.pool); err != nil {
				fail(c, err)
				return
			}
			last = &r.last.Block
		}
		ok, err := s.Files.Complete(c.Context(), &c.Caller, r.src, r.holder, last, dfs.InodeID(r.file))
		replyBool(c, ok, err)
	})
}

func (s *server) fsync(c *hadooprpc.Call, r *hdfspb.FsyncRequest) (hadooprpc.Marshaler, error) {
	length := r.GetLastBlockLength()
	if length < 0 {
		length = -1
	}
	return empty, s.Files.Fsync(c.Context(), &c.Caller, r.GetSrc(), r.GetClient(), length, dfs.InodeID(r.GetFileId()))
}

func (s *server) renewLease(c *hadooprpc.Call, r *hdfspb.RenewLeaseRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Files.RenewLease(&c.Caller, r.GetClientName())
}

func (s *server) recoverLease(c *hadooprpc.Call, r *hdfspb.RecoverLeaseRequest) (hadooprpc.Marshaler, error) {
	ok, err := s.Files.RecoverLease(c.Context(), &c.Caller, r.GetSrc(), r.GetClientName())
	return &hdfspb.BoolResponse{Result: &ok}, err
}

func (s *server) reportBadBlocks(c *hadooprpc.Call, r *hdfspb.ReportBadBlocksRequest) (hadooprpc.Marshaler, error) {
	var bad []dfs.BadBlock
	for _, lb := range r.Blocks {
		b, err := s.block(lb.B)
		if err != nil {
			return nil, err
		}
		bad = append(bad, dfs.BadBlock{Block: b, Nodes: datanodeIDs(lb.Locs), Storages: lb.StorageIDs})
	}
	if len(bad) == 0 {
		return empty, nil
	}
	return empty, s.Files.ReportBadBlocks(c.Context(), &c.Caller, bad)
}
