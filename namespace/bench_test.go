package namespace

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// benchFiles is the size of the tree that the benchmarks work on; -files 5000000 is
// what the project's figures are taken with.
var benchFiles = flag.Int("files", 200_000, "files in the benchmarks' tree")

const benchDirs = 1000 // files in one directory

func benchName(buf []byte, i int) []byte {
	x := uint64(i+1) * 0x9e3779b97f4a7c15
	return fmt.Appendf(buf[:0], "f%016x", x)
}

// benchOps makes the records of n files of one block: create, add block, close.
func benchOps(s *State, n int, rec func(op Op) any) {
	time := int64(1_700_000_000_000)
	dirs := make([]dfs.InodeID, max(n/benchDirs, 1))
	for i := range dirs {
		rec(&Mkdirs{Head: Head{Time: time}, Parent: dfs.RootInodeID, Names: []string{fmt.Sprintf("dir%06d", i)}, Mode: 0o755, Owner: "u"})
		dirs[i] = dfs.InodeID(s.nextInode - 1)
	}
	var name []byte
	for i := range n {
		time++
		name = benchName(name, i)
		// 64 directories are being filled at any time.
		d := dirs[(i/(64*benchDirs)*64+i%64)%len(dirs)]
		rec(&Create{Head: Head{Time: time}, Parent: d, Names: []string{string(name)}, Mode: 0o644, Owner: "u", Holder: "holder", Machine: "m",
			Flags: dfs.CreateFlagCreate, Replication: 3, BlockSize: 128 << 20})
		id := dfs.InodeID(s.nextInode - 1)
		b := rec(&AddBlock{Head: Head{Time: time}, File: id, Holder: "holder"}).(*AddedBlock).Block
		b.Length = 1000
		rec(&Close{Head: Head{Time: time}, File: id, Holder: "holder", Last: b})
	}
}

func benchTree(tb testing.TB, n int) *State {
	s := New(Options{})
	var buf []byte
	tx := dfs.TxID(0)
	benchOps(s, n, func(op Op) any {
		buf = Encode(buf[:0], op)
		tx++
		r, err := s.Apply(tx, buf)
		if err != nil {
			tb.Fatal(err)
		}
		return r
	})
	return s
}

// cpu is the processor time that the process has used: what the figures are when the
// machine does other things too.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// BenchmarkScale prints the figures of a tree of -files files: memory, op times, snapshot,
// restore and replay.
func BenchmarkScale(b *testing.B) {
	n := *benchFiles
	before := heap()
	start := time.Now()
	s := benchTree(b, n)
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(3*n), "build-ns/op")
	after := heap()
	b.ReportMetric(float64(after-before)/float64(n), "B/file")
	start = time.Now()
	runtime.GC()
	b.ReportMetric(time.Since(start).Seconds()*1e3, "gc-ms")
	start = time.Now()
	snap := s.Snapshot()
	b.ReportMetric(time.Since(start).Seconds()*1e6, "snapshot-us")
	start = time.Now()
	img := imageOf(b, snap)
	b.ReportMetric(time.Since(start).Seconds(), "encode-s")
	s.Release(snap)
	r := New(Options{})
	start = time.Now()
	require.NoError(b, r.Restore(img))
	b.ReportMetric(time.Since(start).Seconds(), "restore-s")
	require.Equal(b, s.Digest(), r.Digest())
}

// BenchmarkReplay applies recorded create, add block and close ops.
func BenchmarkReplay(b *testing.B) {
	n := *benchFiles
	var recs []byte
	var ends []int
	s := New(Options{})
	benchOps(s, n, func(op Op) any {
		recs = Encode(recs, op)
		ends = append(ends, len(recs))
		r, err := s.apply(op)
		if err != nil {
			b.Fatal(err)
		}
		return r
	})
	want := s.Digest()
	s = nil
	runtime.GC()
	b.ResetTimer()
	used := cpu()
	for range b.N {
		r := New(Options{})
		at := 0
		for i, end := range ends {
			_, _ = r.Apply(dfs.TxID(i), recs[at:end])
			at = end
		}
		if r.Digest() != want {
			b.Fatal("replay differs")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ends)), "ns/record")
	b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N*len(ends)), "cpu-ns/record")
}

func BenchmarkOps(b *testing.B) {
	n := *benchFiles
	s := benchTree(b, n)
	dir := func(i int) string { return fmt.Sprintf("dir%06d", (i/(64*benchDirs)*64+i%64)%max(n/benchDirs, 1)) }
	paths := make([][]string, 1<<16)
	for i := range paths {
		k := i * 7919 % n
		paths[i] = []string{dir(k), string(benchName(nil, k))}
	}
	var w Walk
	b.Run("lookup", func(b *testing.B) {
		defer cpuPerOp(b, "cpu-ns/op", cpu())
		for i := range b.N {
			_ = s.Resolve(&w, paths[i&(1<<16-1)])
			if w.Last() == nil {
				b.Fatal("not found")
			}
		}
	})
	b.Run("stat", func(b *testing.B) {
		defer cpuPerOp(b, "cpu-ns/op", cpu())
		b.ReportAllocs()
		for i := range b.N {
			_ = s.Resolve(&w, paths[i&(1<<16-1)])
			st := s.Status(w.Last())
			if st.Length != 1000 {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("life", func(b *testing.B) { benchLife(b, s) })
	b.Run("rename", func(b *testing.B) {
		defer cpuPerOp(b, "cpu-ns/op", cpu())
		for i := range b.N {
			p := paths[i&(1<<16-1)]
			d := s.lookup(rootSlot, p[0])
			o := Rename{SrcParent: dfs.InodeID(s.inodes.at(d).id), SrcName: p[1], DstParent: dfs.InodeID(s.inodes.at(d).id), DstName: p[1] + "x"}
			if _, err := s.apply(&o); err != nil {
				b.Fatal(err)
			}
			o.SrcName, o.DstName = o.DstName, o.SrcName
			if _, err := s.apply(&o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list1000", func(b *testing.B) {
		defer cpuPerOp(b, "cpu-ns/op", cpu())
		var page []dfs.FileStatus
		for i := range b.N {
			d := s.lookup(rootSlot, paths[i&(1<<16-1)][0])
			page, _ = s.List(page[:0], dfs.InodeID(s.inodes.at(d).id), "", 1000)
			if len(page) < 100 {
				b.Fatal("short")
			}
		}
	})
}

func cpuPerOp(b *testing.B, unit string, since time.Duration) {
	b.ReportMetric(float64((cpu()-since).Nanoseconds())/float64(b.N), unit)
}

// benchLife takes b.N files through their lives and prints what each step costs.
func benchLife(b *testing.B, s *State) {
	names, ids, blocks := make([]string, b.N), make([]dfs.InodeID, b.N), make([]dfs.Block, b.N)
	for i := range names {
		names[i] = string(benchName(nil, -i-2))
	}
	parent := func(i int) dfs.InodeID {
		return dfs.RootInodeID + 1 + dfs.InodeID(i/benchDirs%max(*benchFiles/benchDirs, 1))
	}
	step := func(unit string, op func(i int) Op, done func(i int, r any)) {
		since := cpu()
		for i := range b.N {
			r, err := s.apply(op(i))
			if err != nil {
				b.Fatal(err)
			}
			done(i, r)
		}
		cpuPerOp(b, unit, since)
	}
	none := func(int, any) {}
	step("create-ns", func(i int) Op {
		return &Create{Parent: parent(i), Names: names[i : i+1], Mode: 0o644, Owner: "u", Holder: "holder", Machine: "m",
			Flags: dfs.CreateFlagCreate, Replication: 3, BlockSize: 128 << 20}
	}, func(i int, r any) { ids[i] = r.(*Created).Status.ID })
	step("addblock-ns", func(i int) Op { return &AddBlock{File: ids[i], Holder: "holder"} },
		func(i int, r any) { blocks[i] = r.(*AddedBlock).Block })
	step("close-ns", func(i int) Op { return &Close{File: ids[i], Holder: "holder", Last: blocks[i]} }, none)
	step("delete-ns", func(i int) Op { return &Delete{Parent: parent(i), Name: names[i]} }, none)
}

// BenchmarkDuringSnapshot prints the slowest op while a snapshot is held.
func BenchmarkDuringSnapshot(b *testing.B) {
	s := benchTree(b, *benchFiles)
	snap := s.Snapshot()
	var took []time.Duration
	for i := range min(*benchFiles, 200_000) {
		d := s.lookup(rootSlot, fmt.Sprintf("dir%06d", i%max(*benchFiles/benchDirs, 1)))
		o := Create{Parent: dfs.InodeID(s.inodes.at(d).id), Names: []string{fmt.Sprintf("new%d", i)}, Mode: 0o644, Owner: "u", Holder: "h",
			Flags: dfs.CreateFlagCreate, Replication: 3, BlockSize: 1 << 20}
		start := time.Now()
		if _, err := s.apply(&o); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	s.Release(snap)
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p99.9-us")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-us")
}

// BenchmarkHugeTree fills one directory with -files files, lists a page, deletes it and
// reaps what was detached; it prints the slowest step of each.
func BenchmarkHugeTree(b *testing.B) {
	s := New(Options{})
	if _, err := s.apply(&Mkdirs{Parent: dfs.RootInodeID, Names: []string{"d"}, Mode: 0o755, Owner: "u"}); err != nil {
		b.Fatal(err)
	}
	dir := dfs.InodeID(s.nextInode - 1)
	start := time.Now()
	var worst time.Duration
	for i := range *benchFiles {
		one := time.Now()
		_, err := s.apply(&Create{Parent: dir, Names: []string{string(benchName(nil, i))}, Mode: 0o644, Owner: "u", Holder: "h",
			Flags: dfs.CreateFlagCreate, Replication: 3, BlockSize: 1 << 20})
		if err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(one))
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(*benchFiles), "create-ns")
	b.ReportMetric(float64(worst.Microseconds()), "create-max-us")
	start = time.Now()
	page, rest := s.List(nil, dir, "f8", 1000)
	b.ReportMetric(float64(time.Since(start).Microseconds()), "page-us")
	require.NotZero(b, len(page)+rest)
	start = time.Now()
	sum, _ := s.Summarize(dfs.RootInodeID)
	for !sum.Step(s, 10_000) {
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "summary-ms")
	start = time.Now()
	if _, err := s.apply(&Delete{Parent: dfs.RootInodeID, Name: "d", Recursive: true}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds()), "delete-us")
	worst = 0
	for s.detached.Len() > 0 {
		one := time.Now()
		if _, err := s.apply(&Delete{Reap: 4000}); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(one))
	}
	b.ReportMetric(float64(worst.Microseconds()), "reap4000-max-us")
	require.EqualValues(b, 0, s.files)
}
