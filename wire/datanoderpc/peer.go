package datanoderpc

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/clientrpc"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// HandlePeer makes srv answer InterDatanodeProtocol with dn: the side of a block recovery
// that has a replica, for a primary of Redoubt's or of Hadoop's.
func HandlePeer(srv *hadooprpc.Server, dn control.DataNode) {
	handle(srv, hdfspb.InterDatanodeProtocol, map[string]func(*hadooprpc.Call){
		"initReplicaRecovery":        method(dn, initRecovery),
		"updateReplicaUnderRecovery": method(dn, updateReplica),
	})
}

func initRecovery(dn control.DataNode, c *hadooprpc.Call, r *hdfspb.InitReplicaRecoveryRequest) (hadooprpc.Marshaler, error) {
	b := r.GetBlock().GetBlock().GetB()
	info, err := dn.InitRecovery(c.Context(), &control.InitRecoveryRequest{
		PoolID: b.GetPoolId(), Block: extendedBlock(b), RecoveryID: dfs.GenStamp(r.GetBlock().GetNewGenStamp()),
	})
	if dfs.Is(err, dfs.ReplicaNotFound) {
		return &hdfspb.InitReplicaRecoveryResponse{ReplicaFound: ptr(false)}, nil
	}
	if err != nil {
		return nil, err
	}
	resp := &hdfspb.InitReplicaRecoveryResponse{
		ReplicaFound: ptr(true), State: hdfspb.ReplicaState(info.State).Enum(), Block: wireBlock(info.Block),
	}
	if info.Cut {
		resp.Cut = &info.Cut
	}
	return resp, nil
}

func updateReplica(dn control.DataNode, c *hadooprpc.Call, r *hdfspb.UpdateReplicaUnderRecoveryRequest) (hadooprpc.Marshaler, error) {
	b := extendedBlock(r.GetBlock())
	if id := r.GetNewBlockId(); id != 0 && id != uint64(b.ID) {
		return nil, dfs.Errorf(dfs.Unsupported, "a truncated copy of %v under the id %d: blocks are cut in place here", b, id)
	}
	reply, err := dn.UpdateReplica(c.Context(), &control.UpdateReplicaRequest{
		PoolID: r.GetBlock().GetPoolId(), Block: b, RecoveryID: dfs.GenStamp(r.GetRecoveryId()), NewLength: int64(r.GetNewLength()),
	})
	if err != nil {
		return nil, err
	}
	return &hdfspb.UpdateReplicaUnderRecoveryResponse{StorageUuid: &reply.Storage}, nil
}

// Peer is another datanode, Redoubt's or Hadoop's, as the primary of a recovery sees it.
type Peer struct {
	User        string
	Target      control.Target // who it is, and the volume that its replica is said to be on
	Dial        func(ctx context.Context, addr string) (net.Conn, error)
	DialTimeout time.Duration

	mu   sync.Mutex
	conn *hadooprpc.Conn
}

var _ control.DataNode = (*Peer)(nil)

// Close ends the connection.
func (p *Peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	return p.conn.Close()
}

func (p *Peer) call(ctx context.Context, method string, req hadooprpc.Marshaler, resp hadooprpc.Unmarshaler) error {
	p.mu.Lock()
	defer p.mu.Unlock() // a recovery calls one after the other
	addr := net.JoinHostPort(p.Target.Node.IP, strconv.Itoa(int(p.Target.Node.IPCPort)))
	if p.conn == nil {
		conn, err := hadooprpc.Dial(ctx, addr, hadooprpc.Options{
			User: p.User, Protocol: hdfspb.InterDatanodeProtocol, Dial: p.Dial, DialTimeout: p.DialTimeout,
		})
		if err != nil {
			return &dfs.Error{Op: method, Path: addr, Kind: dfs.Unavailable, Err: err}
		}
		p.conn = conn
	}
	err := p.conn.Call(ctx, hadooprpc.Target{Protocol: hdfspb.InterDatanodeProtocol, Version: protocolVersion, Method: method}, req, resp)
	var remote *hadooprpc.RemoteError
	switch {
	case errors.As(err, &remote):
		e := clientrpc.FromRemote(remote)
		e.Op = method
		return e
	case err != nil:
		return &dfs.Error{Op: method, Path: addr, Kind: dfs.Unavailable, Err: err}
	}
	return nil
}

// InitRecovery calls initReplicaRecovery.
func (p *Peer) InitRecovery(ctx context.Context, q *control.InitRecoveryRequest) (*control.ReplicaInfo, error) {
	lb := located(q.PoolID, q.Block)
	lb.Locs = []*hdfspb.DatanodeInfo{{Id: wireDatanodeID(&p.Target.Node)}}
	lb.StorageIDs, lb.StorageTypes = []string{p.Target.Storage}, []hdfspb.StorageType{hdfspb.StorageType(p.Target.Type)}
	var resp hdfspb.InitReplicaRecoveryResponse
	err := p.call(ctx, "initReplicaRecovery", &hdfspb.InitReplicaRecoveryRequest{
		Block: &hdfspb.RecoveringBlock{NewGenStamp: ptr(uint64(q.RecoveryID)), Block: lb},
	}, &resp)
	switch {
	case err != nil:
		return nil, err
	case !resp.GetReplicaFound():
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "%v is not on %s", q.Block, p.Target.Node.UUID)
	case resp.Block == nil || resp.State == nil || resp.Block.GetBlockId() != uint64(q.Block.ID):
		return nil, dfs.Errorf(dfs.Other, "%s answers for %v without telling its replica", p.Target.Node.UUID, q.Block)
	}
	return &control.ReplicaInfo{Block: block(resp.Block), State: dfs.ReplicaState(resp.GetState()), Cut: resp.GetCut()}, nil
}

// UpdateReplica calls updateReplicaUnderRecovery.
func (p *Peer) UpdateReplica(ctx context.Context, q *control.UpdateReplicaRequest) (*control.UpdateReplicaReply, error) {
	var resp hdfspb.UpdateReplicaUnderRecoveryResponse
	err := p.call(ctx, "updateReplicaUnderRecovery", &hdfspb.UpdateReplicaUnderRecoveryRequest{
		Block: located(q.PoolID, q.Block).B, RecoveryId: ptr(uint64(q.RecoveryID)), NewLength: ptr(uint64(q.NewLength)),
		NewBlockId: ptr(uint64(q.Block.ID)),
	}, &resp)
	if err != nil {
		return nil, err
	}
	return &control.UpdateReplicaReply{Storage: resp.GetStorageUuid()}, nil
}
