package namenode

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// A block is committed when its writer asks for the next one or closes the file, and complete
// when besides that enough replicas are known. The next block or the close completes it, in
// their own log records. A writer that takes its time for either would leave the block in
// nobody's care: the block manager makes new replicas of complete blocks only. So what has
// stayed committed for a while is completed with a record of its own.

// committedWait is how long a block may stay committed.
const committedWait = 10 * time.Second

// committed is the blocks that were committed and may not be complete yet.
type committed struct {
	mu    sync.Mutex
	since map[dfs.BlockID]time.Time
}

func (c *committed) note(id dfs.BlockID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since == nil {
		c.since = map[dfs.BlockID]time.Time{}
	}
	c.since[id] = now
}

func (c *committed) forget(id dfs.BlockID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.since, id)
}

// due lists those that have waited long enough, in order of id.
func (c *committed) due(now time.Time) []dfs.BlockID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []dfs.BlockID
	for id := range maps.Keys(c.since) {
		if now.Sub(c.since[id]) >= committedWait {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// completeCommitted completes blocks that have stayed committed and have replicas enough.
func (n *NameNode) completeCommitted(ctx context.Context, now time.Time) {
	if n.safe.isOn() {
		return
	}
	for _, id := range n.committed.due(now) {
		n.state.RLock()
		b, ok := n.ns.Block(id)
		waiting := ok && b.State == namespace.BlockCommitted
		enough := waiting && n.blocks.Finalized(b.Block) >= int(n.cfg.Files.MinReplication)
		n.state.RUnlock()
		if !waiting {
			n.committed.forget(id)
		}
		if !enough {
			continue
		}
		op := &namespace.UpdateBlocks{Head: namespace.Head{Time: now.UnixMilli()}, File: b.File, Action: namespace.BlockComplete, Block: b.Block}
		if _, err := n.propose(ctx, op); err != nil {
			n.log.Debug("a committed block can't be completed now", "block", b.Block.String(), "err", err)
			continue
		}
		n.committed.forget(id)
		n.state.RLock()
		if b, ok := n.ns.Block(id); ok && b.State == namespace.BlockCompleted {
			n.blocks.Completed(n.clock(), b.Block)
		}
		n.state.RUnlock()
	}
}
