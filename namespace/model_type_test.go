package namespace

import (
	"redoubt/dfs"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The model's own idea of quotas by storage type: only SSD and DISK, and what two replicas
// take of each.
var modelShares = map[uint8][2]int64{0: {0, 0}, 7: {0, 2}, 10: {1, 1}, 12: {2, 0}, 15: {0, 2}, 36: {0, 2}}

// policy is the one that counts for a path, 0 none.
func (m model) policy(path string) uint8 {
	for p := path; ; p, _ = dfs.Split(p) {
		if n := m[p]; n != nil && n.policy != 0 || p == "/" {
			return m[p].policy
		}
	}
}

// types is what some bytes of each replica of a file take.
func (m model) types(path string, bytes int64) []int64 {
	share := modelShares[m.policy(path)]
	return []int64{share[0] * bytes, share[1] * bytes}
}

// typeUse is what a tree would take below a directory with a policy.
func (m model) typeUse(root string, inherited uint8) (use [2]int64) {
	for _, path := range append(m.below(root), root) {
		n := m[path]
		if n.dir {
			continue
		}
		policy := inherited
		for p := path; len(p) >= len(root); p, _ = dfs.Split(p) {
			if m[p].policy != 0 {
				policy = m[p].policy
				break
			}
			if p == root {
				break
			}
		}
		share := modelShares[policy]
		use[0] += share[0] * n.space() / modelRepl
		use[1] += share[1] * n.space() / modelRepl
	}
	return use
}

// cutGrowth is how much more a replica counts when a closed file is cut: a block that is cut inside
// counts in full.
func (n *modelNode) cutGrowth(to int64) (more int64) {
	end := int64(0)
	for _, s := range n.sizes {
		switch {
		case end+s <= to:
		case end < to:
			more += modelBlock - s
		default:
			more -= s
		}
		end += s
	}
	return more
}

func (x *modelTest) typeAttr(path string, n *modelNode) {
	id := x.id(path)
	if !n.dir || rapid.Bool().Draw(x.rt, "policy") {
		n.policy = rapid.SampledFrom([]uint8{0, 7, 10, 12, 15, 36}).Draw(x.rt, "id")
		_, err := x.apply(&SetAttr{Target: id, Mask: AttrPolicy, Policy: n.policy})
		x.expect(err, true, "policy of %s", path)
		return
	}
	k := rapid.IntRange(0, 1).Draw(x.rt, "medium")
	limit := rapid.SampledFrom([]int64{-1, 0, 150, 400, 1000}).Draw(x.rt, "limit")
	_, err := x.apply(&SetAttr{Target: id, Mask: AttrTypeQuota, DSQuota: limit, QuotaType: uint8(dfs.QuotaTypes[k])})
	x.expect(err, true, "quota by storage type of %s", path)
	if n.types == nil {
		n.types = &[2]int64{-1, -1}
	}
	n.types[k] = limit
	if *n.types == [2]int64{-1, -1} {
		n.types = nil
	}
}

func (x *modelTest) compareTypes(path string, n *modelNode, id dfs.InodeID) {
	q, ok := x.s.TypeQuota(id)
	require.Equal(x.rt, n.types != nil, ok, path)
	use := x.m.typeUse(path, x.m.policy(path))
	if ok {
		require.Equal(x.rt, TypeQuota{Limit: dfs.TypeSpace{n.types[0], n.types[1], -1, -1, -1}, Used: dfs.TypeSpace{use[0], use[1]}}, q, path)
	}
}
