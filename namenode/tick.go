package namenode

import (
	"context"
	"time"

	"redoubt/namespace"
)

// tickInterval is how often time passes for leases, safe mode and the block manager, unless
// repair is to look for work more often.
const tickInterval = time.Second

func (n *NameNode) tickEvery() time.Duration {
	if d := n.cfg.Blocks.Repair.Interval; d > 0 {
		return min(d, tickInterval)
	}
	return tickInterval
}

// run is the name node's only goroutine: whatever happens by itself happens here.
func (n *NameNode) run(ctx context.Context) {
	defer close(n.joined)
	ticker := time.NewTicker(n.tickEvery())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n.passTime(ctx)
		case <-n.tick:
			n.passTime(ctx)
		case <-n.reap:
			n.reapAll(ctx)
		case <-n.folds:
			n.makeGroups(ctx)
		case <-n.satisfy:
			if n.satisfySome(ctx) {
				poke(n.satisfy) // the rest after everything else that is due
			}
		case <-n.closing:
			return
		}
	}
}

func (n *NameNode) passTime(ctx context.Context) {
	if n.failed.Load() != nil {
		return
	}
	n.watchFuture(ctx)
	n.renewReservation(ctx)
	n.checkSafeMode()
	now := n.clock()
	n.endMaintenance(n.ticked, now)
	n.ticked = now
	for more := true; more; {
		select {
		case <-n.closing:
			return
		default:
		}
		n.state.RLock()
		more = n.blocks.Tick(n.clock())
		n.state.RUnlock()
	}
	if n.satisfier.count() > 0 {
		poke(n.satisfy)
	}
	n.makeGroups(ctx)
	n.scrubGroups(n.clock())
	n.completeCommitted(ctx, n.clock())
	n.checkLeases(ctx, n.clock())
	n.emptyTrash(ctx, n.clock())
}

// reapSlice is how many inodes of deleted subtrees one op frees.
const reapSlice = 2000

// reapAll frees the inodes of subtrees that were detached when they were deleted. It is
// cut into ops so that no other change waits long.
func (n *NameNode) reapAll(ctx context.Context) {
	for {
		select {
		case <-n.closing:
			return
		default:
		}
		answer, err := n.propose(ctx, &namespace.Delete{Head: namespace.Head{Time: n.clock().UnixMilli()}, Reap: reapSlice})
		if err != nil {
			n.log.Warn("deleted inodes can't be freed now", "err", err)
			return
		}
		d, ok := answer.(*namespace.Deleted)
		if !ok {
			return
		}
		n.dropped(d.Blocks)
		n.touchedGroups(d.Groups)
		if !d.Pending {
			return
		}
	}
}

func (n *NameNode) wakeTick()   { poke(n.tick) }
func (n *NameNode) wakeFolds()  { poke(n.folds) }
func (n *NameNode) wakeReaper() { poke(n.reap) }

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
