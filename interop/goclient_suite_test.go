package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colinmarc/hdfs/v2"
	"github.com/stretchr/testify/require"
)

// later names the suite's tests of features that we answer as switched off so far.
const later = "Snapshot"

// TestGoClientSuite runs colinmarc/hdfs's own test suite, as it lies in the module cache,
// against our cluster, after laying out the files that it expects.
func TestGoClientSuite(t *testing.T) { startRedoubt(t).goClientSuite(t) }

func (c cluster) goClientSuite(t *testing.T) {
	const module = "github.com/colinmarc/hdfs/v2"
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err)
	testdata := filepath.Join(strings.TrimSpace(string(dir)), "testdata")

	super := c.goClient(t, currentUser(t))
	require.NoError(t, super.MkdirAll("/_test", 0o777))
	require.NoError(t, super.Chmod("/_test", 0o777))
	copyIn(t, super, filepath.Join(testdata, "foo.txt"), "/_test/foo.txt", 128<<20)
	copyIn(t, super, filepath.Join(testdata, "mobydick.txt"), "/_test/mobydick.txt", 1<<20)

	conf := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(conf, "core-site.xml"), fmt.Appendf(nil,
		"<configuration><property><name>fs.defaultFS</name><value>%s</value></property></configuration>", c.uri), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(conf, "hdfs-site.xml"), []byte("<configuration/>"), 0o644))
	args := []string{"test", "-count=1", "-timeout=5m"}
	if later != "" {
		args = append(args, "-skip", later)
	}
	test := exec.Command("go", append(args, module)...)
	test.Env = append(os.Environ(), "HADOOP_CONF_DIR="+conf)
	out, err := test.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}

func copyIn(t *testing.T, client *hdfs.Client, local, name string, blockSize int64) {
	data, err := os.ReadFile(local)
	require.NoError(t, err)
	w, err := client.CreateFile(name, 3, blockSize, 0o644)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	closeWriter(t, w)
}
