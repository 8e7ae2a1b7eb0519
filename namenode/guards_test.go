package namenode

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// TestProtected: what Hadoop 3.4.3 answers with the same settings; interop's TestAccess
// asks both.
func TestProtected(t *testing.T) {
	r := newRig(t, 0, func(c *Config) {
		c.Files.Guards = GuardConfig{Protected: []string{"/keep", "deep", "/deep/in/side/", "/sub", "/"}, ProtectBelow: true}
	})
	root := by("root")
	remove := func(path, want string) {
		t.Helper()
		_, err := r.Delete(ctx, root, path, true)
		outcome(t, err, want)
	}
	rename := func(src, dst, want string) {
		t.Helper()
		_, err := r.Rename(ctx, root, src, dst)
		outcome(t, err, want)
		if want != "" {
			outcome(t, r.Rename2(ctx, root, src, dst, dfs.RenameOptions{Overwrite: true}), want)
		}
	}
	for _, p := range []string{"/keep/x", "/deep/in/side/x", "/sub/a/b", "/free"} {
		r.mkdir("root", p, 0o755)
	}
	const cannot = "Cannot delete/rename "
	remove("/keep", cannot+"non-empty protected directory /keep")
	_, err := r.Delete(ctx, root, "/keep", false)
	require.True(t, dfs.Is(err, dfs.NotEmpty))
	rename("/keep", "/kept", cannot+"non-empty protected directory /keep")
	remove("//keep/", cannot+"non-empty protected directory /keep")
	remove("/keep/x", "")
	remove("/keep", "")
	remove("/deep", cannot+"non-empty protected subdirectory /deep/in/side")
	rename("/deep/in", "/free/in", cannot+"non-empty protected subdirectory /deep/in/side")
	rename("/sub/a", "/free/z", cannot+"subdirectory under protected subdirectory /sub")
	remove("/deep/in/side/x", "")
	remove("/deep", "")
	remove("/sub/a/b", "")
	rename("/sub/a", "/free/z", "")
}

func TestMaxObjects(t *testing.T) {
	r := newRig(t, 3, func(c *Config) { c.Files.Guards.MaxObjects = 5 })
	root := by("root")
	mkdirs := func(path string) error {
		_, err := r.Mkdirs(ctx, root, path, 0o755, true)
		return err
	}
	create := func(path string) error {
		_, err := r.Create(ctx, root, newFile(path, "c"))
		return err
	}
	addBlock := func(path string) error {
		_, err := r.AddBlock(ctx, root, &dfs.AddBlockRequest{Path: path, Holder: "c"})
		return err
	}
	const full = "Exceeded the configured number of objects 5 in the filesystem."
	require.NoError(t, mkdirs("/a")) // with the root: two
	require.NoError(t, create("/a/f"))
	require.NoError(t, create("/a/g"))
	require.NoError(t, addBlock("/a/f")) // five
	outcome(t, addBlock("/a/g"), full)
	outcome(t, mkdirs("/b"), full)
	outcome(t, create("/h"), full)
	require.NoError(t, mkdirs("/a"), "nothing is added")
	_, err := r.Rename(ctx, root, "/a/g", "/g")
	require.NoError(t, err)
	ok, err := r.Delete(ctx, root, "/g", false)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, mkdirs("/b"))
}

func TestStoragePoliciesGuarded(t *testing.T) {
	r := newRig(t, 0, func(c *Config) { c.Files.Guards.PoliciesBySuperuser = true; c.PermissionsOff = false })
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/", "COLD"))
	outcome(t, r.SetStoragePolicy(ctx, by("alice"), "/", "HOT"), "Access denied for user alice. Superuser privilege is required for operation setStoragePolicy")
	outcome(t, r.SetStoragePolicy(ctx, by("alice"), "/", ""), "Access denied for user alice. Superuser privilege is required for operation unsetStoragePolicy")
	off := newRig(t, 0, func(c *Config) { c.Files.Guards.PoliciesOff = true })
	outcome(t, off.SetStoragePolicy(ctx, by("root"), "/", "COLD"), "Failed to set storage policy since dfs.storage.policy.enabled is set to false.")
	outcome(t, off.SetStoragePolicy(ctx, by("root"), "/", ""), "Failed to unset storage policy since dfs.storage.policy.enabled is set to false.")
}

// outcome holds an error to its text, "" is none.
func outcome(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var e *dfs.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Msg)
}
