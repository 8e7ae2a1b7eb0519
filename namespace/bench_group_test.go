package namespace

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// groupAll puts all blocks of a state in groups of k. The members of a group are far from each
// other, as they are where files are written by many at once.
func groupAll(tb testing.TB, s *State, k int) (groups int) {
	blocks := make([]dfs.Block, 0, s.blockCount())
	s.EachBlock(func(b BlockInfo) bool {
		blocks = append(blocks, b.Block)
		return true
	})
	stride := (len(blocks) + k - 1) / k
	var buf []byte
	for i := range stride {
		o := ParityGroup{Action: GroupAllocate}
		r, err := s.apply(&o)
		require.NoError(tb, err)
		o = ParityGroup{Action: GroupCommit, Parity: r.(*GroupChange).Parity, Data: uint8(k)}
		for j := i; j < len(blocks); j += stride {
			o.Members = append(o.Members, dfs.ParityMember{Block: blocks[j], CRC: uint32(j), Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
			o.Parity.Length = max(o.Parity.Length, blocks[j].Length)
		}
		buf = Encode(buf[:0], &o)
		_, err = s.Apply(1, buf)
		require.NoError(tb, err)
		groups++
	}
	return groups
}

// BenchmarkGroups groups all blocks of a tree of -files files and prints what that costs:
// memory, ops, snapshot, restore, and the delete of everything with groups and without.
func BenchmarkGroups(b *testing.B) {
	n := *benchFiles
	s := benchTree(b, n)
	before := heap()
	start := time.Now()
	groups := groupAll(b, s, 4)
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(groups), "group-ns")
	b.ReportMetric(float64(heap()-before)/float64(n), "B/member")
	start = time.Now()
	runtime.GC()
	b.ReportMetric(time.Since(start).Seconds()*1e3, "gc-ms")
	snap := s.Snapshot()
	img := imageOf(b, snap)
	bytes := 0
	for _, c := range img.chunks[SectionParityGroups] {
		bytes += len(c)
	}
	b.ReportMetric(float64(bytes)/float64(n), "image-B/member")
	s.Release(snap)
	r := New(Options{})
	start = time.Now()
	require.NoError(b, r.Restore(img))
	b.ReportMetric(time.Since(start).Seconds(), "restore-s")
	require.Equal(b, s.Digest(), r.Digest())
	start = time.Now()
	found := dfs.BlockID(0)
	for i := range 1 << 20 {
		found |= s.GroupOf(dfs.FirstBlockID + dfs.BlockID(i*7919%n))
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/(1<<20), "groupof-ns")
	require.NotZero(b, found)
	plain := benchTree(b, n)
	for name, s := range map[string]*State{"delete-ns/file": plain, "grouped-delete-ns/file": s} {
		used := cpu()
		freed, worst := deleteAll(b, s)
		b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(n), name)
		b.ReportMetric(float64(worst.Microseconds()), name[:len(name)-len("ns/file")]+"max-us")
		require.Zero(b, s.Counts().Groups)
		require.Contains(b, []int{n, n + groups}, freed)
	}
}

// deleteAll deletes what is in the root and reaps it all.
func deleteAll(tb testing.TB, s *State) (freed int, worst time.Duration) {
	page, _ := s.List(nil, dfs.RootInodeID, "", 1<<20)
	do := func(o *Delete) {
		start := time.Now()
		r, err := s.apply(o)
		worst = max(worst, time.Since(start))
		require.NoError(tb, err)
		freed += len(r.(*Deleted).Blocks)
	}
	for i := range page {
		do(&Delete{Parent: dfs.RootInodeID, Name: page[i].Name, Recursive: true})
	}
	for s.detached.Len() > 0 {
		do(&Delete{Reap: 4000})
	}
	return freed, worst
}

// TestBigGroupedTreeGoes deletes a tree of a hundred thousand grouped blocks: each block and
// each parity is freed once, in the slice in which the last file of its group goes.
func TestBigGroupedTreeGoes(t *testing.T) {
	const n = 100_000
	s := New(Options{})
	_, err := s.apply(&Mkdirs{Parent: dfs.RootInodeID, Names: []string{"keep"}, Mode: 0o755, Owner: "u"})
	require.NoError(t, err)
	_, err = s.apply(&Create{Parent: dfs.RootInodeID + 1, Names: []string{"f"}, Owner: "u", Holder: "h", Flags: dfs.CreateFlagCreate, Replication: 2, BlockSize: 10})
	require.NoError(t, err)
	last := dfs.Block{}
	file := dfs.InodeID(s.nextInode - 1)
	for range n {
		r, err := s.apply(&AddBlock{File: file, Holder: "h", Previous: last})
		require.NoError(t, err)
		last = r.(*AddedBlock).Block
		last.Length = 10
	}
	_, err = s.apply(&Close{File: file, Holder: "h", Last: last})
	require.NoError(t, err)
	groups := groupAll(t, s, 8)
	require.NoError(t, s.Check())

	// Cut into the middle of every group, then take the rest.
	r, err := s.apply(&Truncate{File: file, Length: 10 * n / 16 * 15, Holder: "h"})
	require.NoError(t, err)
	tr := r.(*Truncated)
	require.True(t, tr.Done)
	require.Empty(t, tr.Removed)
	require.Len(t, tr.Groups, n/16)
	require.True(t, slices.IsSorted(tr.Groups))
	require.NoError(t, s.Check())
	require.Equal(t, Counts{Groups: int64(groups), Members: n, Departed: n / 16}, onlyGroups(s))
	r, err = s.apply(&Delete{Parent: dfs.RootInodeID, Name: "keep", Recursive: true})
	require.NoError(t, err)
	d := r.(*Deleted)
	require.Len(t, d.Blocks, n+groups)
	require.Len(t, d.Groups, groups)
	ids := idsOf(d.Blocks)
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), n+groups)
	require.Equal(t, Counts{}, onlyGroups(s))
	require.NoError(t, s.Check())
}

func onlyGroups(s *State) Counts {
	c := s.Counts()
	return Counts{Groups: c.Groups, Members: c.Members, Departed: c.Departed}
}
