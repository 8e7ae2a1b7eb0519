package namespace

import (
	"math/rand/v2"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

func goldenEpochHistory(t *testing.T) *history {
	h := newHistory(t)
	h.file("/before", 3<<20)
	h.must(&BeginEpoch{Number: 1<<32 | 77, Block: dfs.FirstBlockID + 1000, Stamp: 5000})
	h.file("/first", 2<<20)
	h.must(&BeginEpoch{Number: 2<<32 | 1})                                                  // nothing to jump over
	h.must(&BeginEpoch{Number: 2<<32 | 2, Block: dfs.FirstBlockID + 1<<20, Stamp: 1 << 22}) // an epoch that gave nothing out
	h.file("/second", 1)
	return h
}

func TestGoldenEpochImage(t *testing.T) {
	s := testGoldenImage(t, goldenEpochs, goldenEpochHistory(t))
	require.EqualValues(t, 2<<32|2, s.Epoch().Number)
	end, ok := s.EpochEnd(1<<32 | 77)
	require.True(t, ok)
	require.Equal(t, s.epochs.past[2].Began-1, end)
	_, ok = s.EpochEnd(1<<32 | 78)
	require.False(t, ok)
	end, ok = s.EpochEnd(2<<32 | 2)
	require.True(t, ok)
	require.Zero(t, end, "it goes on")
	require.True(t, s.BlockIssued(dfs.FirstBlockID+1001))
	require.False(t, s.BlockIssued(dfs.FirstBlockID+1002), "the epoch's end")
	require.False(t, s.BlockIssued(dfs.FirstBlockID+999), "before the next one's beginning")
	require.False(t, s.BlockIssued(dfs.FirstBlockID-1))
	require.False(t, s.StampIssued(dfs.FirstGenStamp-1))
}

// TestEpochsAgainstASet draws histories of starts and allocations, some with a lost end, and
// compares what counts as handed out with a plain set. Ids of a lost end are never handed
// out again, and nothing else is held for them.
func TestEpochsAgainstASet(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := newHistory(t)
		ids, stamps := map[dfs.BlockID]bool{}, map[dfs.GenStamp]bool{}
		number, top := uint64(0), dfs.FirstBlockID
		for range rng.IntN(12) {
			for range rng.IntN(4) {
				b := h.must(&ParityGroup{Action: GroupAllocate}).(*GroupChange).Parity
				require.False(t, ids[b.ID], "block id %d is handed out twice", b.ID)
				require.False(t, stamps[b.GenStamp], "stamp %d is handed out twice", b.GenStamp)
				ids[b.ID], stamps[b.GenStamp] = true, true
			}
			for range rng.IntN(3) {
				stamps[h.must(&NextStamp{}).(dfs.GenStamp)] = true
			}
			number += 1 + rng.Uint64N(3)
			c := h.s.Counts()
			h.must(&BeginEpoch{Number: number, Block: c.NextBlock + dfs.BlockID(rng.IntN(5)), Stamp: c.NextStamp + dfs.GenStamp(rng.IntN(5))})
			top = h.s.Counts().NextBlock
		}
		require.NoError(t, h.s.Check())
		restored := New(Options{})
		require.NoError(t, restored.Restore(imageOf(t, h.s.Snapshot())))
		require.Equal(t, h.s.Digest(), restored.Digest())
		for _, s := range []*State{h.s, restored} {
			next := dfs.BlockID(0)
			for id := top + 3; id >= dfs.FirstBlockID-1; id-- {
				require.Equal(t, ids[id], s.BlockIssued(id), "seed %d, block id %d", seed, id)
				if ids[id] {
					next = id
				}
				require.Equal(t, next, s.NextIssued(id), "seed %d, the next id from %d on", seed, id)
			}
			for stamp := s.Counts().NextStamp + 3; stamp >= dfs.FirstGenStamp-1; stamp-- {
				require.Equal(t, stamps[stamp], s.StampIssued(stamp), "seed %d, stamp %d", seed, stamp)
			}
		}
	}
}

func TestEpochsOnlyGoUp(t *testing.T) {
	h := newHistory(t)
	h.must(&BeginEpoch{Number: 9})
	for _, bad := range []*BeginEpoch{{Number: 9}, {Number: 8}, {}, {Number: 10, Block: maxBlockID + 1}, {Number: 10, Stamp: maxStamp + 1}} {
		before := h.s.Digest()
		require.Error(t, h.s.Precheck(bad))
		_, err := h.s.Apply(h.s.Applied()+1, Encode(nil, bad))
		require.Error(t, err, "%+v", bad)
		require.False(t, dfs.Is(err, dfs.Corrupt))
		require.Equal(t, before, h.s.Digest())
	}
}

func TestDamagedEpochsInAnImage(t *testing.T) {
	good := []Epoch{{EndBlock: 1 << 30, FirstBlock: 1 << 30, FirstStamp: 1000, EndStamp: 1000}, {Number: 4, FirstBlock: 1<<30 + 1, FirstStamp: 1001}}
	for name, spoil := range map[string]func([]Epoch){
		"the last one has an end":       func(e []Epoch) { e[1].EndBlock = 1 << 31 },
		"an earlier one has none":       func(e []Epoch) { e[0].EndStamp = 0 },
		"blocks overlap":                func(e []Epoch) { e[0].EndBlock = 1<<30 + 2 },
		"stamps overlap":                func(e []Epoch) { e[0].EndStamp = 1002 },
		"numbers go down":               func(e []Epoch) { e[0].Number = 4 },
		"it begins behind the counters": func(e []Epoch) { e[1].FirstBlock = 1 << 32 },
	} {
		h := newHistory(t)
		h.must(&BeginEpoch{Number: 4, Block: 1<<30 + 1, Stamp: 1001})
		list := append([]Epoch(nil), good...)
		spoil(list)
		img := imageOf(t, h.s.Snapshot())
		var c coder
		for i := range list {
			list[i].code(&c)
		}
		img.chunks[SectionEpochs] = [][]byte{c.b}
		err := New(Options{}).Restore(img)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%s: %v", name, err)
		require.ErrorContains(t, err, "epoch", name)
	}
}
