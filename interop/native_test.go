package interop

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func currentUser(t testing.TB) string {
	u, err := user.Current()
	require.NoError(t, err)
	return u.Username
}

// python gives an interpreter that has hdfs-native, in a virtual environment of its own.
var python = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	venv := filepath.Join(cache, "redoubt", "venv")
	py := filepath.Join(venv, "bin", "python")
	if exec.Command(py, "-c", "import hdfs_native").Run() == nil {
		return py, nil
	}
	if err := exec.Command("python3", "-m", "venv", venv).Run(); err != nil {
		return "", err
	}
	return py, exec.Command(py, "-m", "pip", "install", "--quiet", "hdfs-native").Run()
})

// TestHDFSNative runs testdata/native.py: the Rust client through its Python wheel
// reads, writes, appends, lists, renames and deletes.
func TestHDFSNative(t *testing.T) { startRedoubt(t).nativeSuite(t, "0") }

// nativeSuite runs the script, which rests for some seconds after each file it has written.
func (c cluster) nativeSuite(t *testing.T, rest string) {
	py, err := python()
	if err != nil {
		t.Skipf("hdfs-native can't be had here: %v", err)
	}
	out, err := exec.Command(py, "testdata/native.py", c.uri, rest).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}
