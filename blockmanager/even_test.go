package blockmanager

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// lengths is a Source that knows lengths only.
type lengths map[dfs.BlockID]int64

func (l lengths) Block(id dfs.BlockID) (Facts, bool) {
	n, ok := l[id]
	return Facts{Length: n}, ok
}
func (lengths) Group(dfs.BlockID) (dfs.ParityGroup, bool) { return dfs.ParityGroup{}, false }
func (lengths) LastBlock() dfs.BlockID                    { return 0 }
func (lengths) StampIssued(dfs.GenStamp) bool             { return true }
func (lengths) NextIssued(id dfs.BlockID) dfs.BlockID     { return id }

// TestGroupsAreOfLikeLength holds that a candidate of the wanted length is taken first, and
// that what is passed over is still there.
func TestGroupsAreOfLikeLength(t *testing.T) {
	require.True(t, even([]picked{{block: dfs.Block{Length: 100}}, {block: dfs.Block{Length: 80}}, {block: dfs.Block{Length: 60}}}))
	require.False(t, even([]picked{{block: dfs.Block{Length: 100}}, {block: dfs.Block{Length: 80}}, {block: dfs.Block{Length: 50}}}))
	require.True(t, even(nil))
	src := lengths{}
	m := &Manager{src: src}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := &bucket{}
		clear(src)
		for range 1 + rng.IntN(2*lengthTries) {
			id := dfs.BlockID(len(src) + 1)
			src[id] = rng.Int64N(1000)
			b.ids.push(id)
		}
		n, like := b.ids.len(), rng.Int64N(1000)
		most := m.longest([]*bucket{b})
		off := func(i int) int64 { return max(src[b.ids.at(i)]-like, like-src[b.ids.at(i)]) }
		best := off(0)
		for i := range min(n, lengthTries) {
			best = min(best, off(i))
			require.LessOrEqual(t, src[b.ids.at(i)], most)
		}
		m.advanceTo(b, like)
		require.Equal(t, best, off(0))
		require.Equal(t, n, b.ids.len())
		seen := map[int64]bool{}
		for i := range n {
			seen[int64(b.ids.at(i))] = true
		}
		require.Len(t, seen, n, "none is lost")
	}
}
