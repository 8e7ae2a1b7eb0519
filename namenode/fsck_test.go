package namenode

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// checked collects a check of the tree by path.
func (r *rig) checked(user, path string) (order []string, found map[string]*dfs.FileHealth, err error) {
	found = map[string]*dfs.FileHealth{}
	err = r.CheckTree(ctx, by(user), path, func(f *dfs.FileHealth) error {
		order = append(order, f.Path)
		found[f.Path] = f
		return nil
	})
	return order, found, err
}

func TestCheckTreeWalksInOrder(t *testing.T) {
	r := newRig(t, 3)
	for i := range 300 { // more than a step and more than a page
		r.mkdir("root", fmt.Sprintf("/d/%03d", i), 0o755)
	}
	r.write("/d/000/f", 10, 20)
	r.create("root", "/d/zopen", "writer")
	r.addBlock("/d/zopen", "writer", nil)
	order, found, err := r.checked("root", "/")
	require.NoError(t, err)
	require.Len(t, order, 1+1+300+1+1)
	require.Equal(t, []string{"/", "/d", "/d/000", "/d/000/f", "/d/001"}, order[:5])
	require.Equal(t, "/d/zopen", order[len(order)-1])
	f := found["/d/000/f"]
	require.Equal(t, int64(30), f.Length)
	require.Equal(t, dfs.PolicyHot, f.StoragePolicy)
	require.Len(t, f.Blocks, 2)
	for _, b := range f.Blocks {
		require.Equal(t, 3, b.Expected)
		require.Equal(t, 3, b.Live())
		require.False(t, b.Lost() || b.Endangered())
	}
	open := found["/d/zopen"]
	require.True(t, open.Open)
	require.Len(t, open.Blocks, 1)
	require.Len(t, open.Blocks[0].Replicas, 3)
	require.False(t, open.Blocks[0].Complete || open.Blocks[0].Lost())

	order, _, err = r.checked("root", "/d/000/f")
	require.NoError(t, err)
	require.Equal(t, []string{"/d/000/f"}, order)
	_, _, err = r.checked("root", "/nothing")
	require.True(t, dfs.Is(err, dfs.NotFound))
	stop := errors.New("enough")
	require.ErrorIs(t, r.CheckTree(ctx, by("root"), "/", func(*dfs.FileHealth) error { return stop }), stop)
}

func TestCheckTreeAsksForPermission(t *testing.T) {
	r := newRig(t, 3)
	r.mkdir("root", "/closed", 0o700)
	r.mkdir("root", "/open", 0o755)
	r.write("/open/f", 10)
	order, _, err := r.checked("bob", "/")
	require.True(t, dfs.Is(err, dfs.Permission))
	require.ErrorContains(t, err, `user=bob, access=READ_EXECUTE, inode="/closed":root:supergroup:drwx------`)
	require.NotContains(t, order, "/open")
	order, _, err = r.checked("bob", "/open")
	require.NoError(t, err)
	require.Len(t, order, 2)
	require.NoError(t, r.SetPermission(ctx, by("root"), "/open/f", 0o600))
	_, _, err = r.checked("bob", "/open")
	require.True(t, dfs.Is(err, dfs.Permission))
	_, _, err = r.CheckBlock(by("bob"), dfs.FirstBlockID)
	require.True(t, dfs.Is(err, dfs.Permission))
	_, err = r.LostBlocks(by("bob"), "/", 0, 10)
	require.True(t, dfs.Is(err, dfs.Permission))
}

// A big file is looked at in slices, and every block is seen once.
func TestCheckTreeOfABigFile(t *testing.T) {
	r := newRig(t, 3)
	lengths := make([]int64, 450)
	for i := range lengths {
		lengths[i] = 1 << 20
	}
	lengths[7], lengths[449] = 3, 0 // ragged ones
	blocks := r.write("/big", lengths...)
	_, found, err := r.checked("root", "/big")
	require.NoError(t, err)
	require.Len(t, found["/big"].Blocks, len(blocks))
	for i, b := range found["/big"].Blocks {
		require.Equal(t, blocks[i], b.Block)
	}
}

func TestLostBlocks(t *testing.T) {
	r := newRig(t, 3)
	whole := r.write("/d/whole", 10)[0]
	gone := r.write("/d/gone", 10)[0]
	other := r.write("/e/gone", 20)[0]
	for _, d := range r.nodes {
		d.event(3, gone)
		d.event(3, other)
	}
	_, found, err := r.checked("root", "/")
	require.NoError(t, err)
	require.True(t, found["/d/gone"].Blocks[0].Lost())
	require.False(t, found["/d/whole"].Blocks[0].Lost())
	list, err := r.LostBlocks(by("root"), "/", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []dfs.LostBlock{{ID: gone.ID, Replication: 3, Path: "/d/gone"}, {ID: other.ID, Replication: 3, Path: "/e/gone"}}, list)
	list, err = r.LostBlocks(by("root"), "/d", 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = r.LostBlocks(by("root"), "/", gone.ID, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = r.LostBlocks(by("root"), "/", 0, 1)
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = r.LostBlocks(by("root"), "/nothing", 0, 1)
	require.True(t, dfs.Is(err, dfs.NotFound))

	b, file, err := r.CheckBlock(by("root"), whole.ID)
	require.NoError(t, err)
	require.Equal(t, "/d/whole", file)
	require.Equal(t, 3, b.Live())
	_, _, err = r.CheckBlock(by("root"), 99)
	require.True(t, dfs.Is(err, dfs.NotFound))
	require.NoError(t, r.ReportBadBlocks(ctx, by("root"), []dfs.BadBlock{{Block: whole, Nodes: []dfs.DatanodeID{r.nodes[0].id}}}))
	b, _, err = r.CheckBlock(by("root"), whole.ID)
	require.NoError(t, err)
	require.Equal(t, 1, b.Count(dfs.ReplicaCorrupt))
	require.Equal(t, 2, b.Live())
	c := r.CheckedCluster()
	require.Equal(t, 3, c.Datanodes)
	require.Equal(t, 1, c.Racks)
	require.Equal(t, r.Info().PoolID, c.PoolID)
}
