package datanode

import (
	"context"
	"errors"
	"fmt"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/datanoderpc"
)

// candidate is what one target of a block recovery told about its replica.
type candidate struct {
	target control.Target
	peer   control.DataNode
	info   control.ReplicaInfo
}

// peerNode serves the peers' side of block recovery on this datanode's replicas.
type peerNode struct{ dn *DataNode }

// InitRecovery stops the replica's writer and tells how the replica is.
func (p peerNode) InitRecovery(_ context.Context, q *control.InitRecoveryRequest) (*control.ReplicaInfo, error) {
	if q.PoolID != p.dn.state.cluster.PoolID {
		return nil, dfs.Errorf(dfs.IllegalArgument, "block pool %s is not here", q.PoolID)
	}
	r, err := p.dn.state.store.InitRecovery(q.Block, q.RecoveryID)
	if err != nil {
		return nil, err
	}
	return &control.ReplicaInfo{Block: r.Block, State: r.State, Cut: r.Cut}, nil
}

// UpdateReplica cuts and finalizes the replica, and reports it.
func (p peerNode) UpdateReplica(_ context.Context, q *control.UpdateReplicaRequest) (*control.UpdateReplicaReply, error) {
	if q.PoolID != p.dn.state.cluster.PoolID {
		return nil, dfs.Errorf(dfs.IllegalArgument, "block pool %s is not here", q.PoolID)
	}
	r, err := p.dn.state.store.UpdateReplica(q.Block, q.RecoveryID, q.NewLength)
	if err != nil {
		return nil, err
	}
	p.dn.notify(control.EventReceived, r.Block, r.Storage)
	return &control.UpdateReplicaReply{Storage: r.Storage}, nil
}

// recoverBlock is the primary's part of a block recovery: ask all, agree on a length, make
// all replicas equal, tell the name node.
func (dn *DataNode) recoverBlock(s *session, cmd control.Command) {
	dn.state.mu.Lock()
	if dn.state.recovering[cmd.Block.ID] >= cmd.RecoveryID {
		dn.state.mu.Unlock()
		return // it is being done
	}
	dn.state.recovering[cmd.Block.ID] = cmd.RecoveryID
	dn.state.mu.Unlock()
	err := dn.runRecovery(s, cmd)
	dn.state.mu.Lock()
	if dn.state.recovering[cmd.Block.ID] == cmd.RecoveryID {
		delete(dn.state.recovering, cmd.Block.ID)
	}
	dn.state.mu.Unlock()
	if err != nil {
		dn.metrics.recoveryFailures.Inc()
		dn.cfg.Log.Warn("block recovery failed", "block", cmd.Block.String(), "recovery", cmd.RecoveryID, "err", err)
		return
	}
	dn.metrics.recoveries.Inc()
}

func (dn *DataNode) runRecovery(s *session, cmd control.Command) error {
	var clients []*datanoderpc.Peer
	defer func() {
		for _, c := range clients {
			_ = c.Close() // all calls are over
		}
	}()
	peer := func(t *control.Target) control.DataNode {
		if t.Node.UUID == dn.ID().UUID {
			return peerNode{dn}
		}
		c := &datanoderpc.Peer{Target: *t, User: dn.user(), Dial: dn.cfg.Network.Dial, DialTimeout: dn.cfg.Timeouts.Dial}
		clients = append(clients, c)
		return c
	}
	ctx, cancel := context.WithTimeout(dn.ctx, dn.cfg.Timeouts.Read)
	defer cancel()
	found, nothing, empty, err := askTargets(ctx, cmd, peer)
	if err != nil {
		return err
	}
	commit := &control.CommitSyncRequest{PoolID: dn.state.cluster.PoolID, Block: cmd.Block, NewStamp: cmd.RecoveryID, Close: true}
	if len(found) == 0 {
		if !nothing {
			return errors.New("no replica could be used and some could not be asked")
		}
		if commit.Delete = true; !empty {
			commit.NewLength = -1
		}
		return s.nn.CommitSync(ctx, commit)
	}
	length, chosen := agree(found, cmd.NewLength)
	var failed []error
	for _, c := range chosen {
		reply, err := c.peer.UpdateReplica(ctx, &control.UpdateReplicaRequest{
			PoolID: dn.state.cluster.PoolID, Block: c.info.Block, RecoveryID: cmd.RecoveryID, NewLength: length,
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("update replica at %s: %w", c.target.Node.UUID, err))
			continue
		}
		c.target.Storage = reply.Storage
		commit.Targets = append(commit.Targets, c.target)
	}
	if len(commit.Targets) == 0 {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		dn.cfg.Log.Warn("replica left out of recovery", "block", cmd.Block.String(), "err", err)
	}
	commit.NewLength = length
	return s.nn.CommitSync(ctx, commit)
}

// askTargets starts the recovery at every target and gathers the usable replicas. When there
// are none, nothing says whether it is certain that no acknowledged byte exists: every
// target answered, or one that took part in the last pipeline has an empty replica.
func askTargets(ctx context.Context, cmd control.Command, peer func(*control.Target) control.DataNode) (found []candidate, nothing, empty bool, err error) {
	asked := 0
	var errs []error
	for i := range cmd.Targets {
		t := &cmd.Targets[i]
		p := peer(t)
		info, err := p.InitRecovery(ctx, &control.InitRecoveryRequest{PoolID: cmd.PoolID, Block: cmd.Block, RecoveryID: cmd.RecoveryID})
		switch {
		case err == nil:
			asked++
		case dfs.Is(err, dfs.ReplicaNotFound):
			asked++
			continue
		case dfs.Is(err, dfs.RecoveryInProgress):
			return nil, false, false, err // another recovery, with a higher id, is on its way
		default:
			errs = append(errs, fmt.Errorf("init recovery at %s: %w", t.Node.UUID, err))
			continue
		}
		if info.Block.GenStamp < cmd.Block.GenStamp || info.State > dfs.ReplicaRWR {
			continue
		}
		if info.Block.Length == 0 {
			empty = true
			continue
		}
		found = append(found, candidate{*t, p, *info})
	}
	if asked == 0 {
		return nil, false, false, errors.Join(errs...)
	}
	return found, empty || asked == len(cmd.Targets), empty, nil
}

// agree chooses the length that the replicas get and those that get it. A finalized
// replica's length is what was acknowledged at the end; otherwise it is the shortest of
// those in the best state, since every acknowledged byte is in all of them. One that was
// cut at its datanode's start doesn't count for that: it may be damaged before what was
// acknowledged. If all were cut, the longest has everything that any of them has.
func agree(found []candidate, newLength int64) (length int64, chosen []candidate) {
	best := found[0].info.State
	for _, c := range found {
		best = min(best, c.info.State)
	}
	whole, longest := int64(-1), int64(-1)
	for _, c := range found {
		if c.info.State != best {
			continue
		}
		n := c.info.Block.Length
		longest = max(longest, n)
		if !c.info.Cut && (whole < 0 || n < whole) {
			whole = n
		}
	}
	if length = whole; length < 0 {
		length = longest
	}
	for _, c := range found {
		switch {
		case newLength >= 0:
			if c.info.Block.Length >= newLength {
				chosen = append(chosen, c)
			}
		case c.info.State == best && c.info.Block.Length >= length,
			best == dfs.ReplicaFinalized && c.info.State == dfs.ReplicaRBW && c.info.Block.Length == length:
			chosen = append(chosen, c)
		}
	}
	if newLength >= 0 {
		length = newLength
	}
	return length, chosen
}
