package namenode

import (
	"context"
	"math/rand/v2"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// heldStep is how many block ids are looked at under one hold of the locks.
const heldStep = 4096

// maxHeld bounds the blocks of one answer.
const maxHeld = 100_000

// HeldBlocks lists blocks that a datanode holds, for a balancer: from a place at random, so
// that two answers differ, until there are enough. Those of files that were used lately
// come last.
func (n *NameNode) HeldBlocks(ctx context.Context, c *dfs.Caller, req *dfs.HeldRequest) ([]dfs.HeldBlock, error) {
	r, err := n.administer(c, "getBlocks")
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	switch {
	case req.Size <= 0:
		return nil, dfs.Errorf(dfs.RuntimeIllegal, "Unexpected not positive size: %d", req.Size)
	case req.MinSize < 0:
		return nil, dfs.Errorf(dfs.RuntimeIllegal, "Unexpected not positive size: %d", req.MinSize)
	}
	if err := n.safe.check("execute getBlocks", "", r.now); err != nil {
		return nil, err
	}
	s := &heldSearch{n: n, req: req, before: r.ms() - req.Interval}
	n.state.RLock()
	span := n.blocks.IDs()
	n.state.RUnlock()
	if span == 0 {
		return nil, nil
	}
	start := rand.Uint64N(span)
	if err := s.search(ctx, start, span); err != nil {
		return nil, err
	}
	if err := s.search(ctx, 0, start); err != nil {
		return nil, err
	}
	for i := 0; i < len(s.warm) && s.size < req.Size; i++ {
		s.take(s.warm[i])
	}
	return s.found, nil
}

// heldSearch is what one call has found.
type heldSearch struct {
	n      *NameNode
	req    *dfs.HeldRequest
	before int64 // files used before this are cold
	found  []dfs.HeldBlock
	warm   []dfs.HeldBlock
	size   int64
}

func (s *heldSearch) take(b dfs.HeldBlock) {
	s.found = append(s.found, b)
	s.size += b.Length
}

// search goes through the blocks numbered from up to to, until there is enough.
func (s *heldSearch) search(ctx context.Context, from, to uint64) error {
	q := &blockmanager.HeldQuery{Node: s.req.Node.UUID, Type: s.req.Type, MinSize: s.req.MinSize, To: to}
	var page []dfs.HeldBlock
	for from < to && s.size < s.req.Size && len(s.found) < maxHeld {
		if err := ctx.Err(); err != nil {
			return &dfs.Error{Kind: dfs.Canceled, Op: "getBlocks", Err: err}
		}
		next, err := s.step(&page, q, from, heldStep)
		if err != nil || next == 0 {
			return err
		}
		from = next
	}
	return nil
}

func (s *heldSearch) step(page *[]dfs.HeldBlock, q *blockmanager.HeldQuery, from uint64, ids int) (next uint64, err error) {
	n := s.n
	n.state.RLock()
	defer n.state.RUnlock()
	*page, next, err = n.blocks.Held((*page)[:0], q, from, ids)
	for _, b := range *page {
		switch {
		case s.size >= s.req.Size || len(s.found) >= maxHeld:
		case s.req.Interval > 0 && s.used(b.ID):
			if len(s.warm) < maxHeld {
				s.warm = append(s.warm, b)
			}
		default:
			s.take(b)
		}
	}
	return next, err
}

// used reports whether the file of a block was changed or read lately; the state's read lock
// is held.
func (s *heldSearch) used(id dfs.BlockID) bool {
	b, ok := s.n.ns.Block(id)
	if !ok || b.File == 0 {
		return false
	}
	f, ok := s.n.ns.Inode(b.File)
	return ok && (f.ModTime > s.before || f.AccessTime > s.before)
}

// MayTake tells a datanode by an error that a replica should not come to it.
func (n *NameNode) MayTake(_ context.Context, req *control.MayTakeRequest) error {
	if err := n.checkPool(req.PoolID); err != nil {
		return err
	}
	n.state.RLock()
	defer n.state.RUnlock()
	return n.blocks.MayTake(req.Block, req.UUID)
}
