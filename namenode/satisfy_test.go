package namenode

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// archive makes some of a rig's datanodes keep their replicas on another medium.
func (r *raidRig) archive(nodes []*fakeNode) (uuids []string) {
	for _, d := range nodes {
		d.disk.Type = dfs.StorageArchive
		d.register()
		r.reportAll(d)
		uuids = append(uuids, d.id.UUID)
	}
	return uuids
}

// isMarked reports whether a path is still to be seen to.
func (r *raidRig) isMarked(p string) bool {
	st := r.stat(p)
	if st == nil {
		return false
	}
	r.state.RLock()
	defer r.state.RUnlock()
	return r.marked(st.ID)
}

// What was asked for is carried out though the name node starts anew, though copies fail,
// and while files are written, added to and deleted; at no moment has a block fewer
// replicas than its file asks for. Then the mark is gone, and no user ever sees it.
func TestSatisfyIsDurable(t *testing.T) {
	raidTest(t, 8, func(t *testing.T, r *raidRig) {
		cold := r.archive(r.nodes[4:])
		r.mkdir("root", "/cold", 0o777)
		files := map[string][]dfs.Block{}
		for _, p := range []string{"/cold/a", "/cold/b", "/cold/gone"} {
			files[p] = r.put(p, kib, kib)
		}
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/cold", "COLD"))
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/cold"))
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/cold"), "once more")
		require.True(t, r.isMarked("/cold"))
		seen, err := r.ListXAttrs(by("root"), "/cold")
		require.NoError(t, err)
		require.Empty(t, seen)
		require.Error(t, r.RemoveXAttr(ctx, by("root"), "/cold", dfs.XAttr{Space: dfs.XAttrSystem, Name: satisfyMark}))

		r.restartAll()
		require.True(t, r.isMarked("/cold"))
		failures := 3
		r.intercept = func(d *fakeNode, c control.Command) bool {
			if c.Kind != control.CmdMove || failures == 0 {
				return false
			}
			failures--
			require.NoError(t, r.Incremental(ctx, &control.IncrementalRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID,
				Events: []control.ReplicaEvent{{Event: control.EventNotCopied, Storage: c.Targets[0].Storage, Block: c.Block}}}))
			return true
		}
		moved := func(blocks []dfs.Block) bool {
			done := true
			for _, b := range blocks {
				at := r.holders(b)
				require.GreaterOrEqual(t, len(at), 3)
				done = done && len(at) == 3 && !slices.ContainsFunc(at, func(u string) bool { return !slices.Contains(cold, u) })
			}
			return done
		}
		r.steps(2)
		ok, err := r.Delete(ctx, by("root"), "/cold/gone", false)
		require.NoError(t, err)
		require.True(t, ok)
		lb, _, err := r.Append(ctx, by("root"), "/cold/b", "writer", dfs.CreateFlagNewBlock)
		require.NoError(t, err)
		files["/cold/b"] = append(files["/cold/b"], r.fill("/cold/b", &lb.Block, kib)...)
		r.until("all is on the archive", func() bool { return moved(files["/cold/a"]) && moved(files["/cold/b"]) && !r.isMarked("/cold") })
		require.Zero(t, failures)
		r.readable("/cold/a")
		r.readable("/cold/b")
		require.Positive(t, r.Blocks().Moves.Done)
		require.Zero(t, r.Blocks().Moves.Waiting)
		require.Zero(t, r.satisfier.count())
		r.restartAll()
		require.Zero(t, r.satisfier.count())
	})
}

// A policy that the cluster has no media for is given up after some tries, in the log and
// in the counters, and the mark with it; a tree that is deleted is forgotten.
func TestSatisfyInVain(t *testing.T) {
	raidTest(t, 4, func(t *testing.T, r *raidRig) {
		for _, p := range []string{"/cold", "/gone", "/empty"} {
			r.mkdir("root", p, 0o777)
			require.NoError(t, r.SetStoragePolicy(ctx, by("root"), p, "COLD"))
		}
		r.archive(r.nodes[3:]) // one has room, three are asked for
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/cold", "HOT"))
		blocks := r.put("/cold/f", kib)
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/cold", "COLD"))
		r.create("root", "/empty/f", "writer")
		_, err := r.Complete(ctx, by("root"), "/empty/f", "writer", nil, 0)
		require.NoError(t, err)
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/empty/f"))
		require.False(t, r.isMarked("/empty/f"), "it has no blocks")
		for _, p := range []string{"/cold", "/gone"} {
			require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), p))
		}
		ok, err := r.Delete(ctx, by("root"), "/gone", true)
		require.NoError(t, err)
		require.True(t, ok)
		r.until("the tree is given up", func() bool { return !r.isMarked("/cold") && r.satisfier.count() == 0 })
		require.Len(t, r.holders(blocks[0]), 3)
		require.EqualValues(t, 1, r.Blocks().Moves.Failed)
		r.readable("/cold/f")
	})
}

// What a balancer is told of.
func TestHeldBlocks(t *testing.T) {
	raidTest(t, 3, func(t *testing.T, r *raidRig) {
		r.mkdir("root", "/plain", 0o777)
		old := r.put("/plain/old", kib, 2*kib, 3*kib)
		require.NoError(t, r.SetTimes(ctx, by("root"), "/plain/old", 1000, 1000))
		fresh := r.put("/plain/fresh", kib)
		d := r.nodes[0]
		ids := func(q dfs.HeldRequest) (list []dfs.BlockID) {
			q.Node = d.id
			held, err := r.HeldBlocks(ctx, by("root"), &q)
			require.NoError(t, err)
			for _, b := range held {
				require.Len(t, b.Nodes, 3)
				list = append(list, b.ID)
			}
			return list
		}
		require.ElementsMatch(t, []dfs.BlockID{old[0].ID, old[1].ID, old[2].ID, fresh[0].ID}, ids(dfs.HeldRequest{Size: 1 << 30}))
		require.ElementsMatch(t, []dfs.BlockID{old[1].ID, old[2].ID}, ids(dfs.HeldRequest{Size: 1 << 30, MinSize: 2 * kib}))
		require.Empty(t, ids(dfs.HeldRequest{Size: 1 << 30, Type: dfs.StorageSSD}))
		require.Len(t, ids(dfs.HeldRequest{Size: 1}), 1)
		for range 20 { // from places at random; what is in use comes last
			got := ids(dfs.HeldRequest{Size: 1 << 30, Interval: 60_000})
			require.Len(t, got, 4)
			require.Equal(t, fresh[0].ID, got[3])
			require.NotContains(t, ids(dfs.HeldRequest{Size: 6 * kib, Interval: 60_000}), fresh[0].ID)
		}
		_, err := r.HeldBlocks(ctx, by("bob"), &dfs.HeldRequest{Node: d.id, Size: 1})
		require.True(t, dfs.Is(err, dfs.Permission))
		for _, q := range []dfs.HeldRequest{{Node: d.id}, {Node: d.id, Size: 1, MinSize: -1}} {
			_, err = r.HeldBlocks(ctx, by("root"), &q)
			require.True(t, dfs.Is(err, dfs.RuntimeIllegal))
		}
		_, err = r.HeldBlocks(ctx, by("root"), &dfs.HeldRequest{Node: dfs.DatanodeID{UUID: "nobody"}, Size: 1})
		require.EqualError(t, err, "Datanode nobody not found.")
		_, err = r.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
		require.NoError(t, err)
		_, err = r.HeldBlocks(ctx, by("root"), &dfs.HeldRequest{Node: d.id, Size: 1})
		require.True(t, dfs.Is(err, dfs.SafeMode))
	})
}
