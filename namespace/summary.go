package namespace

import (
	"math"

	"redoubt/dfs"
)

// Summary adds up a subtree in steps, so that the caller can let go of its lock between
// them. A tree that changes meanwhile is counted as each step finds it.
type Summary struct {
	Sum dfs.ContentSummary

	stack []summaryDir
	typed bool // TypeUsed is that of a quota
}

// summaryDir is a directory to visit, from after a name on.
type summaryDir struct {
	id     uint64
	after  string
	policy uint8 // that files in it inherit
}

// Summarize starts a summary of an inode; false if there is none.
func (s *State) Summarize(id dfs.InodeID) (*Summary, bool) {
	i := s.live(id)
	if i == 0 {
		return nil, false
	}
	c := &Summary{Sum: dfs.ContentSummary{NSQuota: -1, DSQuota: -1, TypeQuota: noTypeLimits}}
	if q, ok := s.TypeQuota(id); ok {
		c.Sum.TypeQuota, c.Sum.TypeUsed, c.typed = q.Limit, q.Used, true
	}
	if q, ok := s.Quota(id); ok {
		c.Sum.NSQuota, c.Sum.DSQuota = q.NSLimit, q.DSLimit
	}
	if i == rootSlot && c.Sum.NSQuota < 0 {
		c.Sum.NSQuota = math.MaxInt64
	}
	c.visit(s, i, s.policyOf(i))
	return c, true
}

func (c *Summary) visit(s *State, i uint32, policy uint8) {
	in := s.inodes.at(i)
	if own := in.policy(); own != dfs.PolicyUnspecified {
		policy = own
	}
	if in.isDir() {
		c.Sum.Directories++
		if in.count() > 0 {
			c.stack = append(c.stack, summaryDir{id: in.id, policy: policy})
		}
		return
	}
	c.Sum.Files++
	c.Sum.Length += in.size()
	if in.has(flagOpen) {
		c.Sum.Space += s.space(i) // with the rest of the block being written, as quotas count it
	} else {
		c.Sum.Space += in.size() * int64(in.replication())
	}
	addTypes(&c.Sum.TypeSpace, policy, in.size(), in.replication())
}

// Step visits about max inodes more and reports whether the sum is complete.
func (c *Summary) Step(s *State, max int) bool {
	for max > 0 && len(c.stack) > 0 {
		d := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		i := s.live(dfs.InodeID(d.id))
		if i == 0 || !s.inodes.at(i).isDir() {
			continue
		}
		in := s.inodes.at(i)
		if in.count() < dirSplit/4 && d.after == "" {
			max -= int(in.count()) + 1
			s.dirs.each(in.slot(), func(child uint32) bool {
				c.visit(s, child, d.policy)
				return true
			})
			continue
		}
		page, rest := s.dirs.page(s, nil, in.slot(), d.after, max)
		if rest > 0 && len(page) > 0 {
			after := string(s.nameOf(s.inodes.at(page[len(page)-1])))
			c.stack = append(c.stack, summaryDir{id: d.id, after: after, policy: d.policy})
		}
		for _, child := range page {
			c.visit(s, child, d.policy)
		}
		max -= len(page) + 1
	}
	if !c.typed {
		c.Sum.TypeUsed = c.Sum.TypeSpace
	}
	return len(c.stack) == 0
}
