package journal

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/namespace"
	"redoubt/vfs"
)

var bigFiles = flag.Int("journal.files", 20_000, "files of BenchmarkNamespace")

// tree is the real namespace as a Machine.
type tree struct {
	*namespace.State
	lock sync.Locker
}

type frozenTree struct {
	*namespace.Snapshot
	tree *tree
}

func (t *tree) Snapshot() Snapshot { return &frozenTree{t.State.Snapshot(), t} }

func (f *frozenTree) Release() {
	f.tree.lock.Lock()
	defer f.tree.lock.Unlock()
	f.tree.Release(f.Snapshot)
}

func newTree() (*tree, *sync.RWMutex) {
	lock := new(sync.RWMutex)
	return &tree{namespace.New(namespace.Options{Time: 1}), lock}, lock
}

// writer makes files through a journal and notes how long the slowest operation took.
type writer struct {
	j       *Journal
	dirs    []dfs.InodeID
	next    atomic.Int64
	slowest atomic.Int64
}

func (w *writer) propose(op namespace.Op) (any, error) {
	start := time.Now()
	result, _, err := w.j.Propose(background, namespace.Encode(nil, op))
	took := int64(time.Since(start))
	for old := w.slowest.Load(); took > old && !w.slowest.CompareAndSwap(old, took); old = w.slowest.Load() {
	}
	return result, err
}

// run has callers make files until there are n, or until stop is closed.
func (w *writer) run(b *testing.B, callers int, n int64, stop <-chan struct{}) {
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := w.next.Add(1)
				if i > n {
					return
				}
				head := namespace.Head{Time: 1_790_000_000_000 + i}
				result, err := w.propose(&namespace.Create{Head: head, Parent: w.dirs[int(i)%len(w.dirs)],
					Names: []string{fmt.Sprintf("part-%07d.parquet", i)}, Mode: 0o644, Owner: "me", Holder: "client",
					Flags: dfs.CreateFlagCreate, Replication: 3, BlockSize: 128 << 20})
				if err == nil {
					_, err = w.propose(&namespace.Close{Head: head, File: result.(*namespace.Created).Status.ID, Holder: "client"})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkNamespace is the life of a name node: many files made by 256 callers, a
// checkpoint while they go on, a start from that image, a start from the whole log. Run
// it with -benchtime=1x -journal.files=5000000.
func BenchmarkNamespace(b *testing.B) {
	for range b.N {
		dir := b.TempDir()
		require.NoError(b, Format(vfs.OS(), []string{dir}, cluster, false))
		m, lock := newTree()
		opt := Options{FS: vfs.OS(), Dirs: []string{dir}, Machine: m, Lock: lock, CheckpointTxns: -1, NoFinalCheckpoint: true}
		j, err := Open(background, opt)
		require.NoError(b, err)
		w := &writer{j: j}
		for i := range 1 + *bigFiles/1000 {
			name := fmt.Sprintf("dir%d", i)
			_, err := w.propose(&namespace.Mkdirs{Parent: dfs.RootInodeID, Names: []string{name}, Mode: 0o755, Owner: "me"})
			require.NoError(b, err)
			w.dirs = append(w.dirs, dfs.RootInodeID+1+dfs.InodeID(i))
		}
		start := time.Now()
		w.run(b, 256, int64(*bigFiles), nil)
		ops := float64(2 * *bigFiles)
		b.ReportMetric(ops/time.Since(start).Seconds(), "ops/s")
		b.ReportMetric(float64(w.slowest.Load())/1e6, "slowest-ms")

		clone := b.TempDir() // the log alone
		require.NoError(b, j.Close())
		require.NoError(b, Format(vfs.OS(), []string{clone}, cluster, false))
		for _, seg := range entries(b, dir, "edits_") {
			require.NoError(b, copyFile(vfs.OS(), dir+"/current", clone+"/current", seg))
		}
		opt.Dirs = []string{clone}
		m, lock = newTree()
		opt.Machine, opt.Lock = m, lock
		start = time.Now()
		j, err = Open(background, opt)
		require.NoError(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "replay-s")

		stop := make(chan struct{})
		w = &writer{j: j, dirs: w.dirs}
		w.next.Store(int64(*bigFiles))
		var going sync.WaitGroup
		going.Go(func() { w.run(b, 64, 1<<40, stop) })
		start = time.Now()
		_, err = j.Checkpoint(background)
		took := time.Since(start)
		close(stop)
		going.Wait()
		require.NoError(b, err)
		b.ReportMetric(took.Seconds(), "checkpoint-s")
		b.ReportMetric(float64(w.slowest.Load())/1e6, "slowest-meanwhile-ms")
		digest := m.Digest()
		require.NoError(b, j.Close())

		m, lock = newTree()
		opt.Machine, opt.Lock = m, lock
		start = time.Now()
		j, err = Open(background, opt)
		require.NoError(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "load-s")
		require.Equal(b, digest, m.Digest())
		require.NoError(b, j.Close())
	}
}

func entries(b *testing.B, dir, prefix string) (names []string) {
	list, err := vfs.OS().ReadDir(dir + "/current")
	require.NoError(b, err)
	for _, e := range list {
		if len(e.Name) > len(prefix) && e.Name[:len(prefix)] == prefix {
			names = append(names, e.Name)
		}
	}
	return names
}
