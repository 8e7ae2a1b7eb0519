//go:build unix

package vfs_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

func mode(t *testing.T, name string) fs.FileMode {
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Mode().Perm()
}

// TestModes: what a node writes is for its own eyes, as in HDFS; a block store once gave every
// local user the bytes of files that HDFS permissions kept from them.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, tc := range []struct {
		disk      vfs.FS
		dir, file fs.FileMode
	}{{vfs.OS(), 0o700, 0o600}, {vfs.OSPerm(0o750), 0o750, 0o640}} {
		dir := filepath.Join(t.TempDir(), "parent", "vol")
		require.NoError(t, os.MkdirAll(dir, 0o777))
		require.NoError(t, os.Chmod(dir, 0o777))
		require.NoError(t, os.Chmod(filepath.Join(dir, "..", ".."), 0o755))
		warning, err := tc.disk.Protect(dir)
		require.NoError(t, err)
		require.Contains(t, warning, "everybody may write in "+filepath.Dir(dir))
		require.Equal(t, tc.dir, mode(t, dir), "one that was there")
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		warning, err = tc.disk.Protect(dir)
		require.NoError(t, err)
		require.NotContains(t, warning, filepath.Dir(dir))
		require.NoError(t, tc.disk.MkdirAll(dir+"/current/sub"))
		f, err := tc.disk.Create(dir + "/current/sub/a")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, tc.disk.Publish(dir+"/current/p", func(io.Writer) error { return nil }))
		l, err := tc.disk.Lock(dir + "/in_use.lock")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Equal(t, tc.dir, mode(t, dir+"/current"))
		require.Equal(t, tc.dir, mode(t, dir+"/current/sub"))
		for _, name := range []string{"/current/sub/a", "/current/p", "/in_use.lock"} {
			require.Equal(t, tc.file, mode(t, dir+name), name)
		}
	}
}

// TestForeignDirectory: who owns a directory can replace what is in it.
func TestForeignDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory of another user")
	}
	dir := filepath.Join(t.TempDir(), "vol")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chown(dir, 54321, 54321))
	_, err := vfs.OS().Protect(dir)
	require.ErrorContains(t, err, "it belongs to user 54321")
	inside := filepath.Join(dir, "name")
	require.NoError(t, os.Mkdir(inside, 0o700))
	warning, err := vfs.OS().Protect(inside)
	require.NoError(t, err)
	require.Contains(t, warning, dir+" belongs to user 54321")
}

// TestLockFileIsOurs: a lock is not written into what may be somebody else's file.
func TestLockFileIsOurs(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/precious", []byte("precious"), 0o600))
	require.NoError(t, os.Link(dir+"/precious", dir+"/in_use.lock"))
	_, err := vfs.OS().Lock(dir + "/in_use.lock")
	require.ErrorContains(t, err, "other names")
	require.NoError(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	_, err = vfs.OS().Lock(dir + "/pipe")
	require.ErrorContains(t, err, "not a regular file")
	data, err := os.ReadFile(dir + "/precious")
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
}
