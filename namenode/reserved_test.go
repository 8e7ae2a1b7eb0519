package namenode

import (
	"path"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

func TestReservedPaths(t *testing.T) {
	r := newRig(t, 3)
	r.write("/d/f", 10)
	id := strconv.Itoa(int(r.stat("/d/f").ID))
	for _, p := range []string{"/.reserved/raw/d/f", "/.reserved/.inodes/" + id, "/.reserved/.inodes/" + strconv.Itoa(int(r.stat("/d").ID)) + "/f"} {
		st, err := r.FileInfo(by("root"), p, true)
		require.NoError(t, err, p)
		require.NotNil(t, st, p)
		require.Equal(t, r.stat("/d/f").ID, st.ID, p)
	}
	st, err := r.FileInfo(by("bob"), "/.reserved/raw/d/f", true)
	require.NoError(t, err)
	require.NotNil(t, st)
	_, err = r.Delete(ctx, by("bob"), "/.reserved/raw/d/f", false)
	kindAndText(t, err, dfs.Permission, "Access denied for user bob. Superuser privilege is required for operation delete")
	_, err = r.Rename(ctx, by("bob"), "/d/f", "/.reserved/raw/d/g")
	kindAndText(t, err, dfs.Permission, "Access denied for user bob. Superuser privilege is required for operation rename")
	st, err = r.FileInfo(by("bob"), "/.reserved", true)
	require.NoError(t, err)
	require.Equal(t, dfs.TypeDirectory, st.Type)
	l, err := r.Listing(by("root"), "/.reserved", "", false)
	require.NoError(t, err)
	require.Len(t, l.Entries, 2)
	for _, p := range []string{"/.reserved/.inodes/99999999", "/.reserved/.inodes", "/.reserved/x"} {
		st, err := r.FileInfo(by("root"), p, true)
		require.NoError(t, err, p)
		require.Nil(t, st, p)
	}
	_, err = r.Delete(ctx, by("root"), "/.reserved", true)
	kindAndText(t, err, dfs.InvalidPath, "Invalid path name /.reserved")
	_, err = r.Create(ctx, by("root"), newFile("/.reserved/x", "w"))
	kindAndText(t, err, dfs.InvalidPath, "Invalid path name /.reserved/x")
	_, err = r.Delete(ctx, by("root"), "/.reserved/raw/d/f", false)
	require.NoError(t, err)
	st, err = r.FileInfo(by("root"), "/d/f", true)
	require.NoError(t, err)
	require.Nil(t, st)
}

func TestMetaSave(t *testing.T) {
	r := newRig(t, 3)
	r.write("/d/f", 10)
	kindAndText(t, r.MetaSave(by("bob"), "m.txt"), dfs.Permission, "Access denied for user bob. Superuser privilege is required for operation metaSave")
	for _, name := range []string{"", "..", "a/b", "../x"} {
		require.ErrorContains(t, r.MetaSave(by("root"), name), "plain name")
	}
	require.NoError(t, r.MetaSave(by("root"), "m.txt"))
	data, err := vfs.ReadFile(r.fs, path.Join(r.cfg.NameDirs[0], "m.txt"), 1<<20)
	require.NoError(t, err)
	text := string(data)
	for _, want := range []string{"Live Datanodes: 3\n", "Metasave: Blocks waiting for reconstruction: ", "Metasave: Number of datanodes: 3\n", " 1 blocks = "} {
		require.Contains(t, text, want)
	}
}
