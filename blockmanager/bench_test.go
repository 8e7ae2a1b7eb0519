package blockmanager

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// uniform is a namespace of n complete blocks of three replicas.
type uniform struct{ n int }

func (u uniform) Block(id dfs.BlockID) (Facts, bool) {
	return Facts{GenStamp: dfs.FirstGenStamp, Length: testBlock, Replication: 3, Policy: dfs.PolicyHot, State: Complete},
		id >= dfs.FirstBlockID && id < dfs.FirstBlockID+dfs.BlockID(u.n)
}
func (u uniform) LastBlock() dfs.BlockID                    { return dfs.FirstBlockID + dfs.BlockID(u.n) - 1 }
func (u uniform) Group(dfs.BlockID) (dfs.ParityGroup, bool) { return dfs.ParityGroup{}, false }
func (u uniform) StampIssued(s dfs.GenStamp) bool           { return s == dfs.FirstGenStamp }
func (u uniform) NextIssued(id dfs.BlockID) dfs.BlockID     { return max(id, dfs.FirstBlockID) }

const benchNodes = 10

// filled makes a Manager of n blocks, block i on nodes i, i+3 and i+6 of ten, with volume
// reports as they would come in, and gives the reports.
func filled(tb testing.TB, n int) (*Manager, [][]Replica, time.Time) {
	now := time.Unix(1e9, 0)
	m, err := New(testConfig, uniform{n})
	require.NoError(tb, err)
	reports := make([][]Replica, benchNodes)
	for i := range n {
		r := Replica{Block: dfs.Block{ID: dfs.FirstBlockID + dfs.BlockID(i), GenStamp: dfs.FirstGenStamp, Length: testBlock}}
		for k := range 3 {
			d := (i + 3*k) % benchNodes
			reports[d] = append(reports[d], r)
		}
	}
	for d := range reports {
		m.Register(now, &Registration{Node: dfs.DatanodeID{UUID: fmt.Sprint(d), IP: fmt.Sprintf("10.0.0.%d", d+1), XferPort: 1},
			Location: fmt.Sprintf("/r%d", d%3), Storages: []dfs.StorageReport{{UUID: "s", Type: dfs.StorageDisk, Capacity: 1 << 50, Remaining: 1 << 49}}})
	}
	return m, reports, now
}

func sendReport(tb testing.TB, m *Manager, now time.Time, d int, id uint64, list []Replica) {
	p := ReportPart{Node: fmt.Sprint(d), Storage: "s", ID: id, Parts: 1}
	require.NoError(tb, m.BeginReport(p))
	for i := 0; i < len(list); i += 1000 {
		require.NoError(tb, m.Report(now, p, list[i:min(len(list), i+1000)]))
	}
	_, err := m.EndReport(now, p)
	require.NoError(tb, err)
}

// TestMemory holds what a block of three replicas costs against its bound.
func TestMemory(t *testing.T) {
	const n = 500_000
	m, reports, now := filled(t, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for d, list := range reports {
		sendReport(t, m, now, d, 1, list)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes a block of three replicas", per)
	require.Less(t, per, 45.0)
	safe, _ := m.Safe()
	require.Equal(t, int64(n), safe)
	runtime.KeepAlive(reports)
}

// BenchmarkReport measures full reports of 1.5 M replicas: the first one, which brings
// them in, and the one after, which finds them known. One op is one replica.
func BenchmarkReport(b *testing.B) {
	const n = 500_000
	for _, kind := range []string{"first", "again"} {
		b.Run(kind, func(b *testing.B) {
			var m *Manager
			var reports [][]Replica
			var now time.Time
			done := 0
			for id := uint64(1); done < b.N; id++ {
				b.StopTimer()
				if m == nil || kind == "first" {
					m, reports, now = filled(b, n)
					if kind == "again" {
						m.SetStartup(now, false)
						for d, list := range reports {
							sendReport(b, m, now, d, 1, list)
						}
						for m.Tick(now) {
						}
					}
				}
				b.StartTimer()
				for d, list := range reports {
					list = list[:min(len(list), b.N-done)]
					sendReport(b, m, now, d, id+1, list)
					if done += len(list); done >= b.N {
						break
					}
				}
			}
		})
	}
}

// BenchmarkCreate is the life of a block: placement, allocation, three reports, completion.
func BenchmarkCreate(b *testing.B) {
	w := cluster(b, 10, "/a", "/b")
	w.mute = true
	b.ReportAllocs()
	for b.Loop() {
		w.last++
		w.stamp++
		blk := dfs.Block{ID: w.last, GenStamp: w.stamp, Length: testBlock}
		f := Facts{GenStamp: blk.GenStamp, Replication: 3, Policy: dfs.PolicyHot}
		w.facts[blk.ID] = f
		targets := w.m.Choose(&PlaceRequest{Count: 3, Size: 1, Policy: dfs.PolicyHot})
		w.m.Allocated(w.now, blk, targets)
		for _, t := range targets {
			if err := w.m.Incremental(w.now, t.Node.UUID, []Event{{Kind: Received, Storage: t.Storage, Block: blk}}); err != nil {
				b.Fatal(err)
			}
		}
		f.State, f.Length = Complete, blk.Length
		w.facts[blk.ID] = f
		w.m.Completed(w.now, blk)
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{4, 100, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, testConfig)
			for i := range n {
				w.addNode(fmt.Sprintf("/r%d", i%20), 1)
			}
			r := &PlaceRequest{Count: 3, Size: testBlock, Policy: dfs.PolicyHot}
			b.ReportAllocs()
			for b.Loop() {
				w.m.Choose(r)
			}
		})
	}
}

func BenchmarkLocate(b *testing.B) {
	m, reports, now := filled(b, 100_000)
	for d, list := range reports {
		sendReport(b, m, now, d, 1, list)
	}
	var dst []dfs.ReplicaLoc
	addr := netip.MustParseAddr("10.0.0.4")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		dst, _ = m.Locate(dst[:0], dfs.FirstBlockID+dfs.BlockID(i%100_000), addr)
	}
}

// BenchmarkTick measures the slices in which a node's death is cleaned up and repaired:
// their mean, and the longest, in which other processes have their part.
func BenchmarkTick(b *testing.B) {
	var longest, sum time.Duration
	slices := 0
	for b.Loop() {
		b.StopTimer()
		m, reports, now := filled(b, 500_000)
		for d, list := range reports {
			sendReport(b, m, now, d, 1, list)
		}
		m.SetStartup(now, false)
		for m.Tick(now) {
		}
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
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(slices), "us/slice")
	b.ReportMetric(float64(longest.Microseconds()), "longest-us")
}
