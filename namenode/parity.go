package namenode

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/namespace"
	"redoubt/raid"
	"redoubt/wire/control"
)

// A parity group comes to be in five steps, and changes by the same ones, since a parity is
// never updated but replaced by a new one:
//
//	the block manager plans it       soft: after a restart it is planned again
//	Allocate is logged               an id for the parity, so that none is ever used twice
//	a datanode folds                 the parity is on a disk beside what it is to replace
//	Commit is logged                 from now on the parity counts
//	the block manager is told        and lets go of the replicas that the parity replaces
//
// Whatever is lost between two steps leaves a parity that nobody knows: its datanode reports
// it, and it is removed as any unknown block is.

// plansPerRound is how many plans are carried out at the same time, so that their log
// records share a sync.
const plansPerRound = 32

// ParityConfig says how parity groups are looked after. What concerns their making is the
// block manager's: Config.Blocks.Parity.
type ParityConfig struct {
	// ScrubPeriod is how long a round of all groups takes in which each is compared with its
	// parity by checksums (redoubt.raid.scrub.period), 7 days. Negative: never.
	ScrubPeriod time.Duration
	// LeaveWait is how long a truncate waits for a block to leave its group, 50 s.
	LeaveWait time.Duration
}

// makeGroups carries out the plans that are due.
func (n *NameNode) makeGroups(ctx context.Context) {
	for !n.safe.isOn() && n.failed.Load() == nil {
		n.state.RLock()
		plans := n.blocks.ParityPlans(n.clock(), plansPerRound)
		n.state.RUnlock()
		var wg sync.WaitGroup
		var done atomic.Int32
		for _, p := range plans {
			wg.Go(func() {
				ok, err := n.carryOut(ctx, p)
				if ok {
					done.Add(1)
				}
				if err != nil && !dfs.Is(err, dfs.Stale) {
					n.log.Warn("a change of a parity group can't be logged now", "parity", p.Replaces, "err", err)
				}
			})
		}
		wg.Wait()
		select {
		case <-n.closing:
			return
		default:
		}
		if len(plans) < plansPerRound || done.Load() == 0 { // the latter: not again at once
			return
		}
	}
}

// carryOut logs a group's end, or hands out an id for its new parity and orders that. It is
// false when the plan did not hold any more.
func (n *NameNode) carryOut(ctx context.Context, p blockmanager.ParityPlan) (bool, error) {
	head := namespace.Head{Time: n.clock().UnixMilli()}
	if p.Dissolve {
		c, err := n.changeGroup(ctx, &namespace.ParityGroup{Head: head, Action: namespace.GroupDissolve, Parity: dfs.Block{ID: p.Replaces}})
		if err == nil {
			n.grouped(c)
			n.log.Debug("parity group dissolved", "parity", p.Replaces)
		}
		return err == nil, err
	}
	c, err := n.changeGroup(ctx, &namespace.ParityGroup{Head: head, Action: namespace.GroupAllocate})
	if err != nil {
		return false, err
	}
	n.state.RLock()
	defer n.state.RUnlock()
	ok := n.blocks.Fold(n.clock(), p, c.Parity)
	if !ok {
		n.log.Debug("a plan for a parity group does not hold any more", "parity", c.Parity.String(), "replaces", p.Replaces)
	}
	return ok, nil
}

func (n *NameNode) changeGroup(ctx context.Context, op *namespace.ParityGroup) (*namespace.GroupChange, error) {
	answer, err := n.propose(ctx, op)
	if err != nil {
		return nil, err
	}
	c, ok := answer.(*namespace.GroupChange)
	if !ok {
		return nil, errAnswer("parityGroup")
	}
	return c, nil
}

// grouped tells the block manager what the log has made of a plan, and those who wait for
// a block to leave its group.
func (n *NameNode) grouped(c *namespace.GroupChange) {
	n.state.RLock()
	n.blocks.Grouped(n.clock(), &blockmanager.GroupChange{Group: c.Group, Removed: c.Removed, Left: c.Left})
	n.state.RUnlock()
	for _, b := range c.Left {
		n.arrivals.arrived(b.ID)
	}
	n.wakeFolds()
}

// FoldDone takes the outcome of a fold from its datanode. A new parity becomes its group's
// once every check holds: the block manager's of the places, and here that the checksums of
// the members give that of the parity, so that a datanode that mixed something up is found out
// before a replica is let go.
func (n *NameNode) FoldDone(ctx context.Context, req *control.FoldDoneRequest) error {
	if err := n.checkPool(req.PoolID); err != nil {
		return err
	}
	if req.Err != "" {
		n.log.Warn("a fold has failed", "block", req.Block.String(), "datanode", req.UUID, "err", req.Err)
	}
	defer n.wakeFolds() // its datanode has room for another one
	now := n.clock()
	n.state.RLock()
	formed, ok := n.blocks.Folded(now, req.UUID, &blockmanager.FoldResult{
		Block: req.Block, Storage: req.Storage, CRC: req.CRC, Members: req.Members, Err: req.Err})
	n.state.RUnlock()
	if !ok {
		return nil
	}
	g := &formed.Group
	err := checkParity(g)
	if err == nil && n.safe.isOn() {
		err = dfs.Errorf(dfs.SafeMode, "safe mode is on")
	}
	var c *namespace.GroupChange
	if err == nil {
		c, err = n.changeGroup(ctx, &namespace.ParityGroup{Head: namespace.Head{Time: now.UnixMilli()}, Action: namespace.GroupCommit,
			Parity: g.Parity, CRC: g.CRC, Data: uint8(g.Data), Replaces: formed.Replaces, Members: g.Members})
	}
	if err == nil {
		n.grouped(c)
		n.log.Debug("parity group logged", "parity", g.Parity.String(), "members", len(g.Members), "of", g.Data, "replaces", formed.Replaces)
		return nil
	}
	n.state.RLock()
	n.blocks.FoldFailed(n.clock(), g.Parity.ID)
	n.state.RUnlock()
	if dfs.Is(err, dfs.Stale) || dfs.Is(err, dfs.SafeMode) {
		n.log.Debug("a parity group has changed while its parity was made", "parity", g.Parity.String(), "err", err)
		return nil
	}
	n.log.Error("a parity group can't be logged", "parity", g.Parity.String(), "datanode", req.UUID, "err", err)
	return err
}

// checkParity derives length and checksum of the parity from its members'.
func checkParity(g *dfs.ParityGroup) error {
	sums := make([]raid.Sum, len(g.Members))
	for i, m := range g.Members {
		sums[i] = raid.Sum{CRC: m.CRC, Length: m.Block.Length}
	}
	want := raid.ParityCRC(sums...)
	if want.CRC != g.CRC || want.Length != g.Parity.Length {
		return dfs.Errorf(dfs.Corrupt, "parity %s of %d bytes with CRC32C %08x is not that of its members: %d bytes with %08x",
			g.Parity, g.Parity.Length, g.CRC, want.Length, want.CRC)
	}
	return nil
}

// Sources tells a datanode how to make a block that it does not have.
func (n *NameNode) Sources(_ context.Context, req *control.SourcesRequest) (*control.SourcesReply, error) {
	if err := n.checkPool(req.PoolID); err != nil {
		return nil, err
	}
	n.state.RLock()
	defer n.state.RUnlock()
	b, ok := n.ns.Block(req.Block.ID)
	if !ok || b.Group == 0 || req.Block.GenStamp != 0 && req.Block.GenStamp != b.GenStamp {
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "%s is in no parity group", req.Block)
	}
	list, sum, ok := n.blocks.Sources(b.ID)
	if !ok {
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "%s can't be made again now: its parity group lacks more than that", req.Block)
	}
	reply := &control.SourcesReply{Block: b.Block, Sources: sources(list),
		Sum: control.Sum{Checksum: sum.Checksum, BytesPer: sum.BytesPer, CRC: sum.CRC, HasCRC: true}}
	return reply, nil
}

// sources puts the block manager's words into the wire's.
func sources(list []blockmanager.FoldSource) []control.Source {
	out := make([]control.Source, len(list))
	for i, s := range list {
		out[i] = control.Source{Block: s.Block, Targets: targets(s.Targets), CRC: s.CRC, HasCRC: s.HasCRC}
	}
	return out
}

func targets(list []blockmanager.Target) (out []control.Target) {
	for _, t := range list {
		out = append(out, control.Target{Node: t.Node, Storage: t.Storage, Type: t.Type})
	}
	return out
}

// touchedGroups tells the block manager that members of groups have lost their files.
func (n *NameNode) touchedGroups(groups []dfs.BlockID) {
	if len(groups) == 0 {
		return
	}
	n.state.RLock()
	n.blocks.Touched(n.clock(), groups)
	n.state.RUnlock()
	n.wakeFolds()
}

// copies is how many replicas a writer is to make of a new block: what its file asks for, or
// two where a parity group is to take the place of all but one.
func copies(policy uint8, replication uint16) int {
	if p, ok := dfs.PolicyByID(policy); ok && p.Parity() > 0 {
		return 2
	}
	return int(replication)
}

// groupedBlock says that an operation has to wait for a block to leave its parity group.
type groupedBlock struct{ id dfs.BlockID }

func (e *groupedBlock) Error() string { return "namenode: " + e.id.String() + " is in a parity group" }

// cutsGroup says so when a cut to length goes through a block that is in a parity group: its
// bytes must not change while the parity has them. The caller holds the state's read lock.
func (n *NameNode) cutsGroup(file dfs.InodeID, length int64) error {
	for _, b := range n.ns.Blocks(nil, file, length, 1) {
		if b.Offset < length && length < b.Offset+b.Length && b.Group != 0 {
			return &groupedBlock{b.ID}
		}
	}
	return nil
}

// maxLeaving is how many callers may wait for blocks to leave their groups; each takes one of
// the server's workers, which datanodes need as well. Others are told to ask again.
const maxLeaving = 256

// leaveGroup asks for a block to leave its group and waits until it has.
func (n *NameNode) leaveGroup(ctx context.Context, id dfs.BlockID) error {
	left := func() bool {
		n.state.RLock()
		defer n.state.RUnlock()
		_, ok := n.ns.Block(id)
		return !ok || n.blocks.Leave(n.clock(), id)
	}
	tooLong := &dfs.Error{Kind: dfs.Retriable, Msg: id.String() + " has to leave its parity group first, which takes longer than expected. It goes on; try again."}
	defer n.leaving.Add(-1)
	if n.leaving.Add(1) > maxLeaving {
		if left() {
			return nil
		}
		return tooLong
	}
	ch, blocks := make(chan struct{}, 1), []dfs.Block{{ID: id}}
	n.arrivals.join(ch, blocks)
	defer n.arrivals.leave(ch, blocks)
	timer := time.NewTimer(n.cfg.Files.Parity.LeaveWait)
	defer timer.Stop()
	again := time.NewTicker(tickInterval) // the wish is forgotten after Hold unless it is repeated
	defer again.Stop()
	for {
		if left() {
			return nil
		}
		n.wakeFolds()
		select {
		case <-ch:
		case <-again.C:
		case <-timer.C:
			return tooLong
		case <-n.closing:
			return &dfs.Error{Kind: dfs.Retriable, Msg: "The name node is stopping"}
		case <-ctx.Done():
			return &dfs.Error{Kind: dfs.Canceled, Err: ctx.Err()}
		}
	}
}
