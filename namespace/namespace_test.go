package namespace

import (
	"fmt"
	"sync"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// memImage is a checkpoint in memory. Parallel really is.
type memImage struct {
	names  []string
	chunks map[string][][]byte
}

func imageOf(t testing.TB, n *Snapshot) *memImage {
	m := &memImage{chunks: map[string][][]byte{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, sec := range n.Sections() {
		m.names = append(m.names, sec.Name)
		wg.Go(func() {
			var list [][]byte
			err := sec.Write(func(chunk []byte) error {
				list = append(list, append([]byte(nil), chunk...))
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("section %s: %v", sec.Name, err)
			}
			m.chunks[sec.Name] = list
		})
	}
	wg.Wait()
	return m
}

func (m *memImage) Sections() []string { return m.names }

func (m *memImage) Chunks(name string, fn func([]byte) error) error {
	for _, c := range m.chunks[name] {
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *memImage) Parallel(name string, fn func(int, []byte) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range 2 {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := first != nil || i >= len(m.chunks[name])
				mu.Unlock()
				if stop {
					return
				}
				if err := fn(i, m.chunks[name][i]); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}

// restored gives the state that an image of s loads to, and holds it against s.
func restored(t testing.TB, s *State) *State {
	n := s.Snapshot()
	r := New(Options{})
	err := r.Restore(imageOf(t, n))
	s.Release(n)
	require.NoError(t, err)
	require.Equal(t, s.Digest(), r.Digest())
	require.NoError(t, r.Check())
	return r
}

// history drives a state and keeps its records.
type history struct {
	t    testing.TB
	s    *State
	recs [][]byte
	time int64
}

func newHistory(t testing.TB) *history {
	return &history{t: t, s: New(Options{}), time: 1_700_000_000_000}
}

func (h *history) apply(op Op) (any, error) {
	if op.head().Time == 0 {
		h.time++
		op.head().Time = h.time
	}
	rec := Encode(nil, op)
	h.recs = append(h.recs, rec)
	pre := h.s.Precheck(op)
	r, err := h.s.Apply(dfs.TxID(len(h.recs)), rec)
	if op.head().Call.IsZero() {
		require.Equal(h.t, err == nil, pre == nil, "precheck says %v, apply %v", pre, err)
	}
	return r, err
}

func (h *history) must(op Op) any {
	h.t.Helper()
	r, err := h.apply(op)
	require.NoError(h.t, err)
	return r
}

func (h *history) id(path string) dfs.InodeID {
	names, err := dfs.Components(path)
	require.NoError(h.t, err)
	var w Walk
	require.NoError(h.t, h.s.Resolve(&w, names))
	if w.Last() == nil {
		return 0
	}
	return w.Last().ID
}

func (h *history) mkdir(path string) {
	names, _ := dfs.Components(path)
	h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: names, Mode: 0o755, Owner: "u", CreateParent: true})
}

// create makes an open file and gives its id.
func (h *history) create(path, holder string) dfs.InodeID {
	names, _ := dfs.Components(path)
	r := h.must(&Create{Parent: dfs.RootInodeID, Names: names, Mode: 0o644, Owner: "u", Holder: holder, Machine: "host",
		Flags: dfs.CreateFlagCreate | dfs.CreateFlagOverwrite, CreateParent: true, Replication: 3, BlockSize: 1 << 20})
	return r.(*Created).Status.ID
}

// file makes a closed file of whole blocks and a rest.
func (h *history) file(path string, size int64) dfs.InodeID {
	id := h.create(path, "writer")
	var last dfs.Block
	for left := size; left > 0; left -= 1 << 20 {
		last = h.must(&AddBlock{File: id, Holder: "writer", Previous: last}).(*AddedBlock).Block
		last.Length = min(left, 1<<20)
	}
	h.must(&Close{File: id, Holder: "writer", Last: last})
	return id
}

// replayed gives the state that the history's records lead to, and holds it against the
// live one.
func (h *history) replayed() *State {
	s := New(Options{})
	for i, rec := range h.recs {
		_, _ = s.Apply(dfs.TxID(i+1), rec)
	}
	require.Equal(h.t, h.s.Digest(), s.Digest())
	return s
}

func TestLifeOfAFile(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/a/b")
	id := h.file("/a/b/f", 5<<20+7)
	require.NoError(t, h.s.Check())
	n, ok := h.s.Inode(id)
	require.True(t, ok)
	require.EqualValues(t, 5<<20+7, n.Length)
	require.Equal(t, 6, n.Blocks)
	path, _ := h.s.Path(id)
	require.Equal(t, "/a/b/f", path)
	blocks := h.s.Blocks(nil, id, 2<<20, 1<<20)
	require.Len(t, blocks, 1)
	require.EqualValues(t, 2<<20, blocks[0].Offset)
	require.Len(t, h.s.Blocks(nil, id, 0, 1<<62), 6)
	r := h.must(&Rename{SrcParent: h.id("/a/b"), SrcName: "f", DstParent: h.id("/a"), DstName: "g"}).(*Renamed)
	require.True(t, r.OK)
	require.Equal(t, id, h.id("/a/g"))
	d := h.must(&Delete{Parent: dfs.RootInodeID, Name: "a", Recursive: true}).(*Deleted)
	require.Len(t, d.Blocks, 6)
	require.False(t, d.Pending)
	require.NoError(t, h.s.Check())
	require.Zero(t, h.s.Counts().Files)
	require.NoError(t, h.replayed().Check())
	restored(t, h.s)
}

func TestManyBlocksAndOpenFilesInAnImage(t *testing.T) {
	h := newHistory(t)
	h.file("/big", 200<<20)
	open := h.create("/open", "c1")
	b := h.must(&AddBlock{File: open, Holder: "c1"}).(*AddedBlock).Block
	h.must(&UpdateBlocks{File: open, Holder: "c1", Action: BlockLength, Block: dfs.Block{ID: b.ID, GenStamp: b.GenStamp, Length: 77}})
	h.must(&SetXAttr{Target: open, Flags: XAttrCreate, Name: "k", Value: []byte("v")})
	h.must(&SetACL{Target: open, Mode: 0o640, Entries: []ACLEntry{{Type: 0, Perm: 7, Name: "bob"}, {Type: 2, Perm: 7}}})
	h.must(&Cluster{Key: "k", Value: "v"})
	h.must(&Mkdirs{Head: Head{Call: dfs.CallID{Client: [16]byte{1}, Call: 7}}, Parent: dfs.RootInodeID, Names: []string{"q"}, Mode: 0o755, Owner: "u"})
	h.must(&SetAttr{Target: h.id("/q"), Mask: AttrNSQuota | AttrDSQuota, NSQuota: 10, DSQuota: 1 << 30})
	require.NoError(t, h.s.Check())
	s := restored(t, h.s)
	require.Len(t, s.Blocks(nil, h.id("/big"), 0, 1<<40), 200)
	f, ok := s.OpenFile(open)
	require.True(t, ok)
	require.Equal(t, OpenFile{ID: open, Holder: "c1", Machine: "host", Truncate: -1}, f)
	// Both go on alike.
	for _, st := range []*State{h.s, s} {
		_, err := st.apply(&Close{Head: Head{Time: 5}, File: open, Holder: "c1", Last: dfs.Block{ID: b.ID, GenStamp: b.GenStamp, Length: 100}})
		require.NoError(t, err)
		_, ok = st.Retry(dfs.CallID{Client: [16]byte{1}, Call: 7})
		require.True(t, ok)
	}
	require.Equal(t, h.s.Digest(), s.Digest())
}

func TestBigDeleteIsReaped(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/d/e")
	for i := range 3 * reapLimit {
		h.create(fmt.Sprintf("/d/e/f%d", i), "w")
	}
	keep := h.id("/d/e/f17")
	d := h.must(&Delete{Parent: dfs.RootInodeID, Name: "d", Recursive: true}).(*Deleted)
	require.True(t, d.OK && d.Pending)
	_, ok := h.s.Inode(keep)
	require.False(t, ok, "a file of a detached subtree is gone for all readers")
	require.Empty(t, h.s.OpenFiles(0, 10))
	require.NoError(t, h.s.Check())
	twin := restored(t, h.s)
	for h.s.Counts().Detached > 0 {
		r, err := twin.apply(&Delete{Head: Head{Time: 9}, Reap: 1000})
		require.NoError(t, err)
		d := h.must(&Delete{Head: Head{Time: 9}, Reap: 1000}).(*Deleted)
		require.Equal(t, len(r.(*Deleted).Files), len(d.Files))
		require.Equal(t, h.s.Digest(), twin.Digest(), "a state from an image frees the same inodes")
	}
	require.NoError(t, h.s.Check())
	require.NoError(t, twin.Check())
	require.Equal(t, Counts{Directories: 1}.Files, h.s.Counts().Files)
	require.EqualValues(t, 1, h.s.Counts().Directories)
	require.Zero(t, h.s.Counts().Leases)
}

// TestSnapshotWhileApplying encodes a snapshot while ops go on: for the race detector, and
// the image must be what the state was.
func TestSnapshotWhileApplying(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/d")
	for i := range 3000 {
		h.file(fmt.Sprintf("/d/f%d", i), 1)
	}
	snap := h.s.Snapshot()
	done := make(chan *memImage)
	go func() { done <- imageOf(t, snap) }()
	h.must(&SetAttr{Target: h.id("/d"), Mask: AttrNSQuota, NSQuota: 10_000})
	for i := range 3000 {
		name := fmt.Sprintf("f%d", i)
		h.must(&SetXAttr{Target: h.id("/d/" + name), Flags: XAttrCreate, Name: "k"})
		h.must(&Rename{SrcParent: h.id("/d"), SrcName: name, DstParent: h.id("/d"), DstName: "g" + name})
		h.create("/d/new"+name, "late")
		h.must(&Delete{Parent: h.id("/d"), Name: "g" + name})
	}
	img := <-done
	h.s.Release(snap)
	r := New(Options{})
	require.NoError(t, r.Restore(img))
	require.Equal(t, snap.Digest(), r.Digest())
	require.NoError(t, r.Check())
	require.NoError(t, h.s.Check())
	require.EqualValues(t, 3000, r.Counts().Files)
}

// TestHugeDirectory holds an ordered directory against the sorted names.
func TestHugeDirectory(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/d")
	n := 3*dirSplit + 5
	for i := range n {
		h.create(fmt.Sprintf("/d/f%x", uint32(i*2654435761)), "w")
	}
	for i := 0; i < n; i += 3 {
		h.must(&Delete{Parent: h.id("/d"), Name: fmt.Sprintf("f%x", uint32(i*2654435761))})
	}
	require.NoError(t, h.s.Check())
	s := restored(t, h.s)
	var page []dfs.FileStatus
	after, seen := "", 0
	for {
		var rest int
		page, rest = s.List(page[:0], h.id("/d"), after, 1000)
		for i := range page {
			require.Less(t, after, page[i].Name)
			after = page[i].Name
		}
		seen += len(page)
		if rest == 0 {
			break
		}
	}
	require.Equal(t, s.Counts().Files, int64(seen))
	sum, ok := s.Summarize(dfs.RootInodeID)
	require.True(t, ok)
	steps := 1
	for !sum.Step(s, 500) {
		steps++
	}
	require.Greater(t, steps, 10)
	require.EqualValues(t, seen, sum.Sum.Files)
}
