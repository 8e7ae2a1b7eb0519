package journal

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs/faultfs"
)

// TestRollWithoutDescriptors: clients once used up the process's file descriptors, and the
// next roll or checkpoint stopped the name node. It goes on in the same segment.
func TestRollWithoutDescriptors(t *testing.T) {
	for _, scarce := range []error{syscall.EMFILE, syscall.ENFILE} {
		fs := faultfs.New(formatted(t, "/a", "/b"))
		m := newMachine()
		j := open(t, options(fs, m, "/a", "/b"))
		propose(t, j, 1, 5)
		fs.SetHook(faultfs.FailOn(scarce, func(op faultfs.Op) bool {
			return op.Kind == faultfs.Open || op.Kind == faultfs.Create || op.Kind == faultfs.SyncDir
		}))
		_, err := j.Roll(background)
		var put *ScarceError
		require.ErrorAs(t, err, &put)
		require.ErrorIs(t, err, scarce)
		_, err = j.Checkpoint(background)
		require.ErrorAs(t, err, &put)
		propose(t, j, 6, 9)
		for _, d := range j.Stats().Dirs {
			require.True(t, d.Alive, "%+v", d)
		}
		require.Contains(t, strings.Join(files(t, fs, "/a"), " "), "edits_inprogress_0000000000000000001")

		fs.SetHook(nil)
		first, err := j.Roll(background)
		require.NoError(t, err)
		require.EqualValues(t, 10, first)
		propose(t, j, 10, 12)
		require.NoError(t, j.Close())
		again := newMachine()
		j = open(t, options(fs, again, "/a", "/b"))
		require.Equal(t, m, again)
		require.NoError(t, j.Close())
	}
}
