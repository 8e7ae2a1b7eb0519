package namespace

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSeedChangesNothing replays one history under several seeds.
func TestSeedChangesNothing(t *testing.T) {
	h := goldenHistory(t)
	for _, seed := range []uint64{1, 1 << 63, 0x9e3779b97f4a7c15} {
		s := New(Options{Seed: seed})
		for i, rec := range h.recs {
			_, _ = s.Apply(dfs.TxID(i+1), rec)
		}
		require.Equal(t, h.s.Digest(), s.Digest())
		require.NoError(t, s.Check())
		require.NotEqual(t, hashName(0, 1, "name"), hashName(seed, 1, "name"))
		want, _ := h.s.List(nil, dfs.RootInodeID, "", 100)
		have, _ := s.List(nil, dfs.RootInodeID, "", 100)
		require.Equal(t, want, have)
	}
}

// TestNamesOfUsersGo holds the table of names to what is in use, however many pass by,
// and a snapshot to the names of its time.
func TestNamesOfUsersGo(t *testing.T) {
	h := newHistory(t)
	id := h.file("/f", 1)
	h.must(&SetAttr{Target: id, Mask: AttrOwner, Owner: "first"})
	snap := h.s.Snapshot()
	for i := range 1000 {
		name := fmt.Sprintf("u%d", i)
		h.must(&SetAttr{Target: id, Mask: AttrOwner | AttrGroup, Owner: name, Group: "g" + name})
		h.must(&Append{File: id, Holder: "h", Machine: "host" + name})
		h.must(&Close{File: id, Holder: "h"})
	}
	require.Less(t, len(h.s.strings.text), 12)
	r := New(Options{})
	require.NoError(t, r.Restore(imageOf(t, snap)))
	h.s.Release(snap)
	n, ok := r.Inode(id)
	require.True(t, ok)
	require.Equal(t, "first", n.Owner)
	require.NoError(t, h.s.Check())
	require.NoError(t, r.Check())
	h.replayed()
	n, _ = restored(t, h.s).Inode(id)
	require.Equal(t, []string{"u999", "gu999"}, []string{n.Owner, n.Group})
}

func TestOpenFilesByPages(t *testing.T) {
	h := newHistory(t)
	var want []dfs.InodeID
	for i := range 250 {
		id := h.create(fmt.Sprintf("/f%d", i), fmt.Sprintf("h%d", i%7))
		if i%3 == 0 {
			h.must(&Close{File: id})
			continue
		}
		want = append(want, id)
	}
	for _, s := range []*State{h.s, restored(t, h.s)} {
		var have []dfs.InodeID
		for after := dfs.InodeID(0); ; {
			page := s.OpenFiles(after, 20)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 20)
			for _, f := range page {
				have = append(have, f.ID)
			}
			after = have[len(have)-1]
		}
		require.Equal(t, want, have)
	}
}

// TestBlocksBecomeCompleteInOrder: an open file never has more than two blocks that are not.
func TestBlocksBecomeCompleteInOrder(t *testing.T) {
	h := newHistory(t)
	id := h.create("/f", "w")
	var last, before dfs.Block
	for i := range 5 {
		r := h.must(&AddBlock{File: id, Holder: "w", Previous: last}).(*AddedBlock)
		require.Equal(t, before.ID, r.Completed.ID, "block %d", i)
		p, ok := h.s.PenultimateBlock(id)
		require.Equal(t, last.ID, p.ID)
		require.Equal(t, last.ID != 0, ok)
		before, last = last, r.Block
		last.Length = 10
		states := map[BlockState]int{}
		for _, b := range h.s.Blocks(nil, id, 0, 1<<40) {
			states[b.State]++
		}
		require.Equal(t, 1, states[BlockUnderConstruction])
		require.Equal(t, min(i, 1), states[BlockCommitted])
		require.NoError(t, h.s.Check())
	}
	// The last block is given up: the file goes on from the one before.
	h.must(&AbandonBlock{File: id, Holder: "w", Block: last})
	p, _ := h.s.PenultimateBlock(id)
	l, _ := h.s.LastBlock(id)
	require.Less(t, p.ID, l.ID)
	require.NoError(t, h.s.Check())
	h.must(&Close{File: id, Holder: "w"})
	require.NoError(t, h.s.Check())
	h.replayed()
	restored(t, h.s)
}

// TestDeleteSeesWhatIsMadeBelow authorises the delete of a subtree, lets somebody write
// into it, and proposes the delete.
func TestDeleteSeesWhatIsMadeBelow(t *testing.T) {
	for _, c := range []struct {
		what  string
		stale bool
		make  func(h *history)
	}{
		{"nothing", false, func(*history) {}},
		{"another's empty directory", false, func(h *history) { h.mkdirOf("/top/open/b", "bob") }},
		{"another's directory with a file", true, func(h *history) {
			h.mkdirOf("/top/open/b", "bob")
			h.create("/top/open/b/f", "w")
		}},
		{"a file in a directory like its parent", false, func(h *history) { h.create("/top/open/a/f", "w") }},
		{"another's directories in one step", true, func(h *history) { h.mkdirOf("/top/open/b/c", "bob") }},
		{"a file in a directory that was empty and another's", true, func(h *history) { h.create("/top/open/carol/f", "w") }},
		{"a directory moved in", true, func(h *history) {
			h.must(&Rename{SrcParent: dfs.RootInodeID, SrcName: "full", DstParent: h.id("/top/open"), DstName: "full"})
		}},
		{"an unrelated file in a tree of its owner's", false, func(h *history) { h.create("/other/x/f", "w") }},
		{"a directory that goes", false, func(h *history) {
			h.must(&Delete{Parent: h.id("/top/open"), Name: "a", Recursive: true})
		}},
	} {
		h := newHistory(t)
		for path, owner := range map[string]string{"/top": "alice", "/other": "dave"} {
			h.mkdirOf(path, owner)
			h.create(path+"/.first", "w")
		}
		for _, d := range [][2]string{{"/top/open", "alice"}, {"/top/open/a", "alice"}, {"/top/open/carol", "carol"}, {"/other/x", "dave"}, {"/full", "bob"}} {
			h.mkdirOf(d[0], d[1])
		}
		h.create("/full/f", "w")
		op := &Delete{Parent: dfs.RootInodeID, Name: "top", Target: h.id("/top"), Recursive: true, Epoch: h.s.AuthEpoch()}
		c.make(h)
		_, err := h.apply(op)
		require.Equal(t, c.stale, dfs.Is(err, dfs.Stale), "%s: %v", c.what, err)
		h.replayed()
	}
}

func (h *history) mkdirOf(path, owner string) {
	names, _ := dfs.Components(path)
	h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: names, Mode: 0o755, Owner: owner, CreateParent: true})
}

// TestQuotaOfABigTreeVisitsNothing counts a tree of many directories, sets quotas in it and
// moves parts of it; Check holds every counter.
func TestQuotaOfABigTreeVisitsNothing(t *testing.T) {
	h := newHistory(t)
	for i := range 300 {
		h.file(fmt.Sprintf("/t/a%d/b%d/f%d", i%10, i%30, i), int64(i))
	}
	want := int64(1 + 10 + 30 + 300)
	h.must(&SetAttr{Target: h.id("/t"), Mask: AttrNSQuota, NSQuota: 1000})
	q, ok := h.s.Quota(h.id("/t"))
	require.True(t, ok)
	require.Equal(t, want, q.NSUsed)
	require.EqualValues(t, 3*299*300/2, q.DSUsed)
	h.must(&Rename{SrcParent: h.id("/t"), SrcName: "a3", DstParent: dfs.RootInodeID, DstName: "out"})
	q, _ = h.s.Quota(h.id("/t"))
	require.Equal(t, want-1-3-30, q.NSUsed)
	h.must(&Delete{Parent: h.id("/t"), Name: "a4", Recursive: true})
	q, _ = h.s.Quota(h.id("/t"))
	require.Equal(t, want-2*(1+3+30), q.NSUsed)
	require.NoError(t, h.s.Check())
	h.replayed()
	restored(t, h.s)
}

// TestIDSet holds the set against a sorted slice.
func TestIDSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var set idSet
		want := map[uint64]bool{}
		ids := rapid.OneOf(rapid.Uint64Range(1, 200), rapid.Uint64Range(4000, 4200), rapid.Uint64Range(1<<24-70, 1<<24+70), rapid.Just(uint64(1)<<30))
		for range rapid.IntRange(0, 60).Draw(rt, "n") {
			id := ids.Draw(rt, "id")
			if rapid.Bool().Draw(rt, "add") {
				set.add(id)
				want[id] = true
			} else {
				set.remove(id)
				delete(want, id)
			}
			require.Equal(rt, want[id], set.has(id))
		}
		var have []uint64
		for id := set.next(0); id != 0; id = set.next(id) {
			have = append(have, id)
		}
		require.Equal(rt, slices.Sorted(maps.Keys(want)), have)
		require.Equal(rt, len(want), set.n)
		require.Zero(rt, set.next(1<<64-1))
	})
}
