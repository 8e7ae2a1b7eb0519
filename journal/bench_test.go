package journal

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

// counter is a machine that costs nothing.
type counter struct{ n uint64 }

func (c *counter) Apply(dfs.TxID, []byte) (any, error) { c.n++; return nil, nil }
func (c *counter) Snapshot() Snapshot                  { return &frozen{} }
func (c *counter) Restore(dfs.SectionSource) error     { return nil }
func (c *counter) Digest() dfs.Digest                  { return dfs.Digest{} }

func benchJournal(b *testing.B, dirs ...string) (*Journal, *counter) {
	require.NoError(b, Format(vfs.OS(), dirs, cluster, false))
	c := new(counter)
	j, err := Open(background, Options{FS: vfs.OS(), Dirs: dirs, Machine: c, NoFinalCheckpoint: true, CheckpointTxns: -1})
	require.NoError(b, err)
	return j, c
}

func BenchmarkPropose(b *testing.B) {
	for _, dirs := range []int{1, 2} {
		for _, callers := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("dirs=%d/callers=%d", dirs, callers), func(b *testing.B) {
				var paths []string
				for range dirs {
					paths = append(paths, b.TempDir())
				}
				j, _ := benchJournal(b, paths...)
				b.ReportAllocs()
				b.ResetTimer()
				var group sync.WaitGroup
				for c := range callers {
					group.Go(func() {
						rec := make([]byte, 100)
						for i := c; i < b.N; i += callers {
							if _, _, err := j.Propose(background, rec); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				b.StopTimer()
				s := j.Stats()
				b.ReportMetric(float64(s.Txns)/float64(s.Batches), "txns/batch")
				b.ReportMetric(float64(s.SyncTime.Sum.Microseconds())/float64(s.Batches), "us/sync")
				require.NoError(b, j.Close())
			})
		}
	}
}

// BenchmarkProposeFunc keeps 256 records in flight without a goroutine for each.
func BenchmarkProposeFunc(b *testing.B) {
	j, _ := benchJournal(b, b.TempDir())
	rec := make([]byte, 100)
	inFlight := make(chan struct{}, 256)
	done := func(any, dfs.TxID, error) { <-inFlight }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		inFlight <- struct{}{}
		j.ProposeFunc(rec, done)
	}
	for range cap(inFlight) {
		inFlight <- struct{}{}
	}
	b.StopTimer()
	require.NoError(b, j.Close())
}

func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	j, _ := benchJournal(b, dir)
	rec := make([]byte, 100)
	var left sync.WaitGroup
	const records = 1_000_000
	left.Add(records)
	for range records {
		j.ProposeFunc(rec, func(any, dfs.TxID, error) { left.Done() })
	}
	left.Wait()
	require.NoError(b, j.Close())
	b.ResetTimer()
	n := 0
	for n < b.N {
		c := new(counter)
		j, err := Open(background, Options{FS: vfs.OS(), Dirs: []string{dir}, Machine: c, NoFinalCheckpoint: true, CheckpointTxns: -1})
		require.NoError(b, err)
		n += int(c.n)
		b.StopTimer()
		require.NoError(b, j.Close())
		b.StartTimer()
	}
}
