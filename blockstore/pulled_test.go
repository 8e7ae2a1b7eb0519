package blockstore

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

// A directory that vanishes while a replica is being written to it is not made again by
// finalizing the replica: what lies there would be half a volume at the next start.
func TestPulledVolumeIsNotBegunAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	v := &volume{fs: vfs.OS(), dir: dir, pool: dir + "/current/BP-1/current"}
	require.Error(t, v.makeFinalDir(dfs.FirstBlockID))
	require.NoDirExists(t, dir)
	require.NoError(t, v.fs.MkdirAll(v.pool+"/finalized"))
	require.NoError(t, v.makeFinalDir(dfs.FirstBlockID))
	require.DirExists(t, v.placeDir(dfs.FirstBlockID, inFinalized))
}
