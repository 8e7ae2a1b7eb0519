package namenode

import (
	"io"
	"os"
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
	data, err := vfs.ReadFile(r.fs, path.Join(r.cfg.NameDirs[0], "metasave", "m.txt"), 1<<20)
	require.NoError(t, err)
	text := string(data)
	for _, want := range []string{"Live Datanodes: 3\n", "Metasave: Blocks waiting for reconstruction: ", "Metasave: Number of datanodes: 3\n", " 1 blocks = "} {
		require.Contains(t, text, want)
	}
}

// TestMetaSaveOverwritesNothing: a report once replaced the name directory's lock file, and
// a second name node could start on it.
func TestMetaSaveOverwritesNothing(t *testing.T) {
	r := newRig(t, 1)
	require.NoError(t, r.MetaSave(by("root"), "m.txt"))
	require.NoError(t, r.MetaSave(by("root"), "m.txt"), "an earlier report gives way")
	require.NoError(t, r.MetaSave(by("root"), "in_use.lock"), "in the reports' own directory it is a name like any other")
	_, err := r.fs.Lock(path.Join(r.cfg.NameDirs[0], "in_use.lock"))
	require.ErrorIs(t, err, vfs.ErrLocked)

	dir := path.Join(r.cfg.NameDirs[0], "metasave")
	for name, text := range map[string]string{"namenode.log": "INFO started\n", "empty": "", "like": "1 files and directories\n"} {
		require.NoError(t, r.fs.Publish(path.Join(dir, name), func(w io.Writer) error { _, err := io.WriteString(w, text); return err }))
		err := r.MetaSave(by("root"), name)
		require.Equal(t, dfs.IllegalArgument, dfs.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "is no report of metaSave")
		data, err := vfs.ReadFile(r.fs, path.Join(dir, name), 1<<20)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
}

// TestMetaSaveFollowsNoLink: not in a directory that strangers may write in either.
func TestMetaSaveFollowsNoLink(t *testing.T) {
	logs := t.TempDir()
	r := newRig(t, 1)
	r.NameNode.cfg.FS, r.NameNode.cfg.LogDir = vfs.OS(), logs
	require.NoError(t, os.WriteFile(logs+"/victim", []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(logs+"/victim", logs+"/link"))
	require.NoError(t, os.Symlink(logs+"/new", logs+"/dangling"))
	for _, name := range []string{"link", "dangling"} {
		require.ErrorIs(t, r.MetaSave(by("root"), name), vfs.ErrLink)
	}
	data, err := os.ReadFile(logs + "/victim")
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
	require.NoFileExists(t, logs+"/new")
	require.NoError(t, r.MetaSave(by("root"), "m.txt"))
	require.FileExists(t, logs+"/m.txt")
}
