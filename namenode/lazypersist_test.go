package namenode

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// LAZY_PERSIST is taken at a file's creation, of the call's flag or of the directory, and stays.
func TestLazyPersist(t *testing.T) {
	r := newRig(t, 3)
	policy := func(p string) string {
		t.Helper()
		found, err := r.StoragePolicy(by("root"), p)
		require.NoError(t, err)
		return found.Name
	}
	lazy := func(p string) *dfs.CreateRequest {
		req := newFile(p, "w")
		req.Flags |= dfs.CreateFlagLazyPersist
		return req
	}
	st, err := r.Create(ctx, by("root"), lazy("/d/flag"))
	require.NoError(t, err)
	require.Equal(t, dfs.PolicyLazyPersist, st.StoragePolicy)
	require.Equal(t, "LAZY_PERSIST", policy("/d/flag"))

	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/d", "lazy_persist"))
	r.create("root", "/d/new/inherits", "w")
	cold := newFile("/d/cold", "w")
	cold.StoragePolicy = "COLD"
	_, err = r.Create(ctx, by("root"), cold)
	require.NoError(t, err)
	both := lazy("/d/both")
	both.StoragePolicy = "COLD"
	_, err = r.Create(ctx, by("root"), both)
	require.NoError(t, err)
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/d", "HOT"))
	r.create("root", "/d/hot", "w")
	r.restart()
	for p, want := range map[string]string{"/d/new/inherits": "LAZY_PERSIST", "/d/new": "HOT", "/d/cold": "COLD", "/d/both": "LAZY_PERSIST", "/d/hot": "HOT"} {
		require.Equal(t, want, policy(p), p)
	}
	const text = "BlockStoragePolicy{LAZY_PERSIST:15, storageTypes=[RAM_DISK, DISK], creationFallbacks=[DISK], replicationFallbacks=[DISK]}"
	kindAndText(t, r.SetStoragePolicy(ctx, by("root"), "/d/flag", "HOT"), dfs.IllegalArgument, "Existing policy LAZY_PERSIST cannot be changed after file creation.")
	kindAndText(t, r.SetStoragePolicy(ctx, by("root"), "/d/flag", ""), dfs.IllegalArgument, "Existing policy LAZY_PERSIST cannot be changed after file creation.")
	kindAndText(t, r.SetStoragePolicy(ctx, by("root"), "/d/hot", "LAZY_PERSIST"), dfs.IllegalArgument, "Policy "+text+" cannot be set after file creation.")
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/d/cold", "WARM"))
}
