package blockmanager

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/raid"
)

// folded is a namespace of n blocks in groups of four: block i is in group i/4, whose parity
// has an id behind all blocks.
type folded struct{ n int }

const foldedData = 4

func (u folded) Block(id dfs.BlockID) (Facts, bool) {
	i := int(id - dfs.FirstBlockID)
	f := Facts{GenStamp: dfs.FirstGenStamp, Length: testBlock, Replication: 3, Policy: raid5(foldedData), State: Complete}
	switch {
	case i < 0 || i >= u.n+u.n/foldedData:
		return Facts{}, false
	case i < u.n:
		f.Group = u.parity(i / foldedData)
	default:
		f.Group, f.Kind, f.Policy = id, dfs.BlockOfParity, 0
	}
	return f, true
}

func (u folded) parity(group int) dfs.BlockID {
	return dfs.FirstBlockID + dfs.BlockID(u.n+group)
}

func (u folded) Group(id dfs.BlockID) (dfs.ParityGroup, bool) {
	group := int(id-dfs.FirstBlockID) - u.n
	if group < 0 || group >= u.n/foldedData {
		return dfs.ParityGroup{}, false
	}
	block := func(id dfs.BlockID) dfs.Block {
		return dfs.Block{ID: id, GenStamp: dfs.FirstGenStamp, Length: testBlock}
	}
	g := dfs.ParityGroup{Parity: block(id), Data: foldedData, Members: make([]dfs.ParityMember, foldedData)}
	for i := range g.Members {
		g.Members[i].Block = block(dfs.FirstBlockID + dfs.BlockID(group*foldedData+i))
	}
	return g, true
}

func (u folded) LastBlock() dfs.BlockID                { return u.parity(u.n/foldedData - 1) }
func (u folded) StampIssued(s dfs.GenStamp) bool       { return s == dfs.FirstGenStamp }
func (u folded) NextIssued(id dfs.BlockID) dfs.BlockID { return max(id, dfs.FirstBlockID) }

// filledGroups makes a started Manager of n blocks in groups on ten nodes.
func filledGroups(tb testing.TB, n int) (*Manager, time.Time) {
	now := time.Unix(1e9, 0)
	src := folded{n}
	m, err := New(testConfig, src)
	require.NoError(tb, err)
	reports := make([][]Replica, benchNodes)
	add := func(id dfs.BlockID, node int) {
		reports[node%benchNodes] = append(reports[node%benchNodes], Replica{Block: dfs.Block{ID: id, GenStamp: dfs.FirstGenStamp, Length: testBlock}})
	}
	for i := range n {
		add(dfs.FirstBlockID+dfs.BlockID(i), i/foldedData+i%foldedData)
	}
	for g := range n / foldedData {
		add(src.parity(g), g+foldedData)
	}
	for d := range reports {
		m.Register(now, &Registration{Node: dfs.DatanodeID{UUID: fmt.Sprint(d), IP: fmt.Sprintf("10.0.0.%d", d+1), XferPort: 1},
			Storages: []dfs.StorageReport{{UUID: "s", Type: dfs.StorageDisk, Capacity: 1 << 50, Remaining: 1 << 49}}})
	}
	for d, list := range reports {
		sendReport(tb, m, now, d, 1, list)
	}
	for m.Tick(now) {
	}
	m.SetStartup(now, false)
	for m.Tick(now) {
	}
	return m, now
}

// BenchmarkParityTick is BenchmarkTick for blocks in parity groups: the slices in which a
// dead node's groups are looked at.
func BenchmarkParityTick(b *testing.B) {
	var longest, sum time.Duration
	slices := 0
	for b.Loop() {
		b.StopTimer()
		m, now := filledGroups(b, 200_000)
		m.mu.Lock()
		m.die(now, m.nodes["3"])
		m.mu.Unlock()
		b.StartTimer()
		for more := true; more; {
			start := time.Now()
			more = m.Tick(now)
			took := time.Since(start)
			longest, sum = max(longest, took), sum+took
			slices++
		}
		require.Equal(b, int64(25_000), m.tally.Degraded, "a block of every second group")
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(slices), "us/slice")
	b.ReportMetric(float64(longest.Microseconds()), "longest-us")
}

// BenchmarkForm is the life of a group but for its bytes: four blocks are placed, written and
// folded. One op is one block.
func BenchmarkForm(b *testing.B) {
	w := newRaidWorld(b, 10, "/a", "/b")
	var plans, groups int
	for b.Loop() {
		w.last++
		w.stamp++
		blk := dfs.Block{ID: w.last, GenStamp: w.stamp, Length: testBlock}
		f := Facts{GenStamp: blk.GenStamp, Replication: 3, Policy: raid5(4)}
		w.facts[blk.ID] = f
		targets := w.m.Choose(&PlaceRequest{Count: 2, Size: 1, Policy: f.Policy})
		w.m.Allocated(w.now, blk, targets)
		for _, t := range targets {
			require.NoError(b, w.m.Incremental(w.now, t.Node.UUID, []Event{{Kind: Received, Storage: t.Storage, Block: blk}}))
		}
		f.State, f.Length = Complete, blk.Length
		w.facts[blk.ID] = f
		w.m.Completed(w.now, blk)
		if plans++; plans%16 == 0 {
			groups += w.foldAll(b)
		}
	}
	b.ReportMetric(float64(4*groups)/float64(plans), "folded")
}

// foldAll carries out all plans at once, as if datanodes took no time.
func (w *raidWorld) foldAll(b *testing.B) (groups int) {
	for _, p := range w.m.ParityPlans(w.now, 100) {
		w.last++
		w.stamp++
		parity := dfs.Block{ID: w.last, GenStamp: w.stamp}
		require.True(b, w.m.Fold(w.now, p, parity))
		f := w.m.folds[parity.ID]
		r := &FoldResult{Block: f.parity, Storage: f.host.storages[0].report.UUID}
		var sums []raid.Sum
		for _, s := range f.sources {
			r.Members = append(r.Members, dfs.ParityMember{Block: s.Block})
			sums = append(sums, raid.Sum{Length: s.Block.Length})
		}
		r.CRC = raid.ParityCRC(sums...).CRC
		formed, ok := w.m.Folded(w.now, p.Host, r)
		require.True(b, ok)
		w.logGroup(w.m, formed)
		for len(w.steps) > 0 {
			s := w.steps[0]
			w.steps = w.steps[1:]
			s.run()
		}
		groups++
	}
	w.trace = nil
	return groups
}
