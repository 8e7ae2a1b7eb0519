package namenode

import (
	"context"
	"sync"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// Handshake tells a datanode which cluster this is.
func (n *NameNode) Handshake(ctx context.Context, req *control.HandshakeRequest) (*control.HandshakeReply, error) {
	l := n.cfg.Blocks.Liveness
	return &control.HandshakeReply{
		Cluster: n.cluster, SoftwareVersion: SoftwareVersion,
		HeartbeatMS: l.Heartbeat.Milliseconds(), ReportMS: n.cfg.ReportInterval.Milliseconds(), Epoch: n.epoch(),
	}, nil
}

// Register makes a datanode known, unless it belongs to another cluster.
func (n *NameNode) Register(ctx context.Context, req *control.RegisterRequest) (*control.RegisterReply, error) {
	if err := n.sameCluster(req.Cluster); err != nil {
		return nil, err
	}
	node := req.Node
	if node.UUID == "" || node.XferPort == 0 {
		return nil, dfs.Errorf(dfs.IllegalArgument, "a datanode registers without UUID or port")
	}
	if addr := control.CallerAddr(ctx); addr.IsValid() && node.IP == "" {
		node.IP = addr.Unmap().String()
	}
	if node.Host == "" {
		node.Host = node.IP
	}
	req.Node = node
	if err := n.checkFence(ctx, req); err != nil {
		return nil, err
	}
	admin, err := n.admit(node)
	if err != nil {
		return nil, err
	}
	location := n.locate(node)
	n.state.RLock()
	n.blocks.Register(n.clock(), &blockmanager.Registration{
		Node: node, Location: location, SoftwareVersion: req.SoftwareVersion, Storages: req.Storages, Admin: admin, Moves: req.Moves, Plain: req.Plain,
	})
	n.state.RUnlock()
	n.log.Info("datanode registered", "uuid", node.UUID, "ip", node.IP, "port", node.XferPort, "rack", location, "volumes", len(req.Storages))
	n.checkSafeMode()
	return &control.RegisterReply{Node: node, Location: location}, nil
}

// locate is where a datanode stands in the topology.
func (n *NameNode) locate(node dfs.DatanodeID) string {
	if n.cfg.Topology == nil {
		return blockmanager.DefaultRack
	}
	if l := n.cfg.Topology(node); l != "" {
		return l
	}
	return blockmanager.DefaultRack
}

// sameCluster refuses a datanode that has blocks of another cluster. One that is fresh
// brings empty fields and takes what it is given.
func (n *NameNode) sameCluster(other dfs.ClusterInfo) error {
	for _, f := range []struct{ what, theirs, ours string }{
		{"cluster", other.ClusterID, n.cluster.ClusterID},
		{"block pool", other.PoolID, n.cluster.PoolID},
	} {
		if f.theirs != "" && f.theirs != f.ours {
			return dfs.Errorf(dfs.IncorrectVersion, "the datanode belongs to %s %s, this name node to %s", f.what, f.theirs, f.ours)
		}
	}
	return nil
}

func (n *NameNode) checkPool(pool string) error {
	if pool != n.cluster.PoolID {
		return dfs.Errorf(dfs.IncorrectVersion, "block pool %s is not this name node's %s", pool, n.cluster.PoolID)
	}
	return nil
}

// Heartbeat keeps a datanode alive and brings back its orders.
func (n *NameNode) Heartbeat(ctx context.Context, req *control.HeartbeatRequest) (*control.HeartbeatReply, error) {
	now := n.clock()
	if !n.speaks(ctx, req, now) {
		return &control.HeartbeatReply{Commands: []control.Command{{Kind: control.CmdRegister, NewLength: -1}}}, nil
	}
	n.state.RLock()
	commands, err := n.blocks.Heartbeat(now, &blockmanager.Heartbeat{
		UUID: req.UUID, Storages: req.Storages, Xceivers: req.Xceivers,
		CacheCapacity: req.CacheCapacity, CacheUsed: req.CacheUsed, FailedVolumes: len(req.FailedVolumes), Lifeline: req.Lifeline,
	})
	reply := &control.HeartbeatReply{Active: true, TxID: n.ns.Applied(), Epoch: n.ns.Epoch().Number}
	n.state.RUnlock()
	if dfs.Is(err, dfs.UnregisteredDatanode) {
		reply.Commands = []control.Command{{Kind: control.CmdRegister, NewLength: -1}}
		return reply, nil
	}
	if err != nil {
		return nil, err
	}
	for _, c := range commands {
		reply.Commands = append(reply.Commands, n.command(c))
	}
	if req.Lifeline {
		return reply, nil
	}
	if bytes, ok := n.bandwidth.news(req.UUID); ok {
		reply.Commands = append(reply.Commands, control.Command{Kind: control.CmdBandwidth, NewLength: -1, Value: bytes})
	}
	return reply, nil
}

// bandwidth is what administrators have said about balancing, and who has been told.
type bandwidth struct {
	mu    sync.Mutex
	bytes int64
	told  map[string]bool // by datanode UUID; nil: nothing has been said
}

func (b *bandwidth) set(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes, b.told = bytes, map[string]bool{}
}

// news is what a datanode has not been told yet.
func (b *bandwidth) news(node string) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told == nil || b.told[node] {
		return 0, false
	}
	b.told[node] = true
	return b.bytes, true
}

// SetBalancerBandwidth tells all datanodes, with their next heartbeats, how many bytes a
// second balancing may use.
func (n *NameNode) SetBalancerBandwidth(c *dfs.Caller, bytesPerSecond int64) error {
	r, err := n.administer(c, "setBalancerBandwidth")
	if err != nil {
		return err
	}
	defer n.end(r)
	if bytesPerSecond < 0 {
		return dfs.Errorf(dfs.IllegalArgument, "Bandwidth should be a positive integer, not %d", bytesPerSecond)
	}
	n.bandwidth.set(bytesPerSecond)
	r.audit(nil, "setBalancerBandwidth", "", "", nil)
	return nil
}

// command puts the block manager's order into the words of the wire.
func (n *NameNode) command(c blockmanager.Command) control.Command {
	kinds := map[blockmanager.CommandKind]control.CommandKind{
		blockmanager.Transfer: control.CmdTransfer, blockmanager.Invalidate: control.CmdInvalidate,
		blockmanager.Recover: control.CmdRecover, blockmanager.Report: control.CmdReport,
		blockmanager.Move: control.CmdMove, blockmanager.Fold: control.CmdFold, blockmanager.ScrubGroup: control.CmdScrubGroup,
	}
	out := control.Command{Kind: kinds[c.Kind], PoolID: n.cluster.PoolID, Block: c.Block, Blocks: c.Blocks,
		RecoveryID: c.RecoveryID, NewLength: c.NewLength, Targets: targets(c.Targets),
		Sum: control.Sum{Checksum: c.Sum.Checksum, BytesPer: c.Sum.BytesPer, CRC: c.Sum.CRC, HasCRC: c.Sum.HasCRC}}
	if len(c.Sources) > 0 {
		out.Sources = sources(c.Sources)
	}
	return out
}

// reportSlice is how many replicas of a report are taken under one hold of the locks.
const reportSlice = 1000

// BlockReport takes all replicas of one volume, or a part of them, in slices.
func (n *NameNode) BlockReport(ctx context.Context, req *control.BlockReportRequest) (*control.BlockReportReply, error) {
	if err := n.checkPool(req.PoolID); err != nil {
		return nil, err
	}
	now := n.clock()
	part := blockmanager.ReportPart{Node: req.UUID, Storage: req.Storage, ID: req.ReportID, Part: req.Part, Parts: req.Parts}
	locked := func(fn func() error) error {
		n.state.RLock()
		defer n.state.RUnlock()
		return fn()
	}
	if err := locked(func() error { return n.blocks.BeginReport(part) }); err != nil {
		return n.reported(err)
	}
	slice := make([]blockmanager.Replica, 0, min(req.Count, reportSlice))
	flush := func() error {
		err := locked(func() error { return n.blocks.Report(now, part, slice) })
		slice = slice[:0]
		return err
	}
	err := control.DecodeReplicas(req.Blocks, req.Count, func(r control.ReplicaInfo) error {
		if slice = append(slice, blockmanager.Replica{Block: r.Block, State: r.State}); len(slice) == cap(slice) {
			return flush()
		}
		return nil
	})
	if err == nil && len(slice) > 0 {
		err = flush()
	}
	if err != nil {
		return n.reported(err)
	}
	var whole bool
	err = locked(func() (err error) { whole, err = n.blocks.EndReport(now, part); return err })
	if whole {
		n.log.Debug("full block report", "uuid", req.UUID, "storage", req.Storage, "replicas", req.Count)
		n.wakeTick()
	}
	n.checkSafeMode()
	return n.reported(err)
}

// reported answers a report: a datanode that is not known is to register first.
func (n *NameNode) reported(err error) (*control.BlockReportReply, error) {
	if dfs.Is(err, dfs.UnregisteredDatanode) {
		return &control.BlockReportReply{Commands: []control.Command{{Kind: control.CmdRegister, NewLength: -1}}}, nil
	}
	return &control.BlockReportReply{}, err
}

// Incremental takes what changed on a datanode.
func (n *NameNode) Incremental(ctx context.Context, req *control.IncrementalRequest) error {
	if err := n.checkPool(req.PoolID); err != nil {
		return err
	}
	events := make([]blockmanager.Event, len(req.Events))
	for i, e := range req.Events {
		events[i] = blockmanager.Event{Kind: blockmanager.EventKind(e.Event), Storage: e.Storage, Block: e.Block, DeleteHint: e.DeleteHint}
	}
	n.state.RLock()
	err := n.blocks.Incremental(n.clock(), req.UUID, events)
	n.state.RUnlock()
	if n.safe.isOn() {
		n.checkSafeMode()
	}
	return err
}

// BadBlocks takes a datanode's word that replicas are damaged.
func (n *NameNode) BadBlocks(ctx context.Context, req *control.BadBlocksRequest) error {
	n.badBlocks(req.Blocks)
	return nil
}

// checkSafeMode looks whether enough has been reported to end start-up.
func (n *NameNode) checkSafeMode() {
	if !n.safe.isOn() {
		return
	}
	n.hold()
	now := n.clock()
	n.state.RLock()
	defer n.state.RUnlock()
	safe, live := n.blocks.Safe()
	startup := n.safe.isStartup()
	n.safe.update(blockCounts{safe: safe, total: n.completeBlocks, live: live}, now)
	if startup && !n.safe.isStartup() {
		n.log.Info("safe mode ends: enough is reported", "blocks", safe, "of", n.completeBlocks, "datanodes", live, "after", now.Sub(n.started).Round(time.Millisecond))
		n.blocks.SetStartup(now, false)
		n.wakeTick()
	}
}
