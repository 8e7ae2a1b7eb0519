package interop

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShell holds the two shells and the two clusters against each other. Everything on
// the clusters is deleted on the way.
func TestShell(t *testing.T) {
	needHadoop(t)
	t.Setenv("HADOOP_USER_NAME", "root") // the tables know the superuser by this name
	hadoop := startHadoop(t, 3, "-Ddfs.namenode.fs-limits.min-block-size=0", "-Ddfs.namenode.redundancy.considerLoad=false")
	ours := startRedoubt(t, "--datanodes", "3", "-D", "dfs.namenode.fs-limits.min-block-size=0")
	// What Hadoop's shell says of our cluster is what it says of Hadoop's, and what our
	// shell says of ours is what Hadoop's says of it.
	t.Run("Clusters", func(t *testing.T) { parity(t, hadoop, ours, "PARITY_SHELL=hadoop") })
	t.Run("Shells", func(t *testing.T) { parity(t, ours, ours) })
	t.Run("Bytes", func(t *testing.T) { bytesAndChecksums(t, hadoop, ours) })
	t.Run("Report", func(t *testing.T) { report(t, hadoop, ours) })
	t.Run("BlockFiles", func(t *testing.T) { blockFiles(t, ours) })
}

// parity runs cmd/fs's tables of shell lines: Hadoop's shell on want, then another shell,
// or Hadoop's again, on got.
func parity(t *testing.T, want, got cluster, env ...string) {
	oracle, err := filepath.Abs("hadoop")
	require.NoError(t, err)
	test := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestParity$", "./cmd/fs")
	test.Dir = ".."
	test.Env = append(os.Environ(), "PARITY_ORACLE="+oracle+" serve", "PARITY_HADOOP="+strings.TrimPrefix(want.uri, "hdfs://"),
		"PARITY_OURS="+strings.TrimPrefix(got.uri, "hdfs://"), "PARITY_USER=root", "HADOOP_CONF_DIR=")
	test.Env = append(test.Env, env...)
	out, err := test.CombinedOutput()
	require.NoError(t, err, "%s", out)
	lines := regexp.MustCompile(`(\d+) lines compared`).FindSubmatch(out)
	require.NotNil(t, lines, "%s", out)
	n, err := strconv.Atoi(string(lines[1]))
	require.NoError(t, err)
	require.Greater(t, n, 1000)
	t.Logf("%d lines compared", n)
}

// bytesAndChecksums writes with one shell and reads with the other, and compares file
// checksums with those that Hadoop's cluster has for the same bytes.
func bytesAndChecksums(t *testing.T, hadoop, ours cluster) {
	const block = 1 << 20
	dir := t.TempDir()
	random := rand.NewChaCha8([32]byte{7})
	// Hadoop's shells in one JVM share file systems, with the settings of the first one.
	const fresh = "fs.hdfs.impl.disable.cache=true"
	opts := []string{"-D", fresh, "-D", "dfs.blocksize=" + strconv.Itoa(block)}
	run := func(r result) string {
		require.Zero(t, r.code, "%s%s", r.out, r.err)
		return r.out
	}
	line := func(more ...string) []string { return append(append([]string(nil), opts...), more...) }
	for _, c := range []cluster{hadoop, ours} {
		run(c.hadoop(t, "root", "fs", "-mkdir", "-p", "/sums"))
	}
	for _, size := range []int{0, 1, 511, 512, 513, 65535, 65537, block - 1, block, block + 1, 2*block + 300, 3*block + 512} {
		name := strconv.Itoa(size)
		data := make([]byte, size)
		_, err := random.Read(data)
		require.NoError(t, err)
		local := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(local, data, 0o644))
		run(hadoop.hadoop(t, "root", "fs", line("-put", local, "/sums/"+name)...))
		run(ours.hadoop(t, "root", "fs", line("-put", local, "/sums/"+name)...))
		run(ours.ours(t, "root", "", "fs", line("-put", local, "/sums/our"+name)...))

		run(ours.ours(t, "root", "", "fs", "-get", "/sums/"+name, local+".ours"))
		run(ours.hadoop(t, "root", "fs", "-get", "/sums/our"+name, local+".hadoop"))
		for _, got := range []string{".ours", ".hadoop"} {
			read, err := os.ReadFile(local + got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, read), "%d bytes read back%s", size, got)
		}
		for _, mode := range []string{"MD5MD5CRC", "COMPOSITE_CRC"} {
			sum := func(r result) string {
				fields := strings.SplitN(strings.TrimSpace(run(r)), "\t", 2)
				require.Len(t, fields, 2)
				return fields[1]
			}
			args := func(name string) []string {
				return []string{"-D", fresh, "-D", "dfs.checksum.combine.mode=" + mode, "-checksum", "/sums/" + name}
			}
			want := sum(hadoop.hadoop(t, "root", "fs", args(name)...))
			require.Equal(t, want, sum(ours.hadoop(t, "root", "fs", args(name)...)), "%s of %d bytes, Hadoop's shell", mode, size)
			require.Equal(t, want, sum(ours.ours(t, "root", "", "fs", args("our"+name)...)), "%s of %d bytes, our shell", mode, size)
		}
	}
}

// report compares the labels of dfsadmin -report, line by line, by all shells.
func report(t *testing.T, hadoop, ours cluster) {
	labels := func(r result) []string {
		require.Zero(t, r.code, "%s%s", r.out, r.err)
		var out []string
		for _, l := range strings.Split(r.out, "\n") {
			label, value, _ := strings.Cut(l, ":")
			if label != "" {
				require.NotEqual(t, "Hostname", strings.TrimSpace(label)+value, "a datanode has no name")
				out = append(out, label)
			}
		}
		return out
	}
	want := labels(hadoop.hadoop(t, "root", "dfsadmin", "-report"))
	require.Contains(t, want, "Live datanodes (3)")
	require.Equal(t, want, labels(ours.hadoop(t, "root", "dfsadmin", "-report")))
	require.Equal(t, want, labels(ours.ours(t, "root", "", "dfsadmin", "-report")))
	require.Equal(t, want, labels(hadoop.ours(t, "root", "", "dfsadmin", "-report")))
}

// blockFiles has Hadoop verify our block files against their checksum files.
func blockFiles(t *testing.T, c cluster) {
	checked := 0
	err := filepath.WalkDir(c.dir, func(p string, d fs.DirEntry, err error) error {
		name, isMeta := strings.CutSuffix(p, ".meta")
		if err != nil || !isMeta {
			return err
		}
		block := name[:strings.LastIndexByte(name, '_')]
		r := hadoopServe(t).run(t, "root", "org.apache.hadoop.hdfs.tools.DebugAdmin", "verifyMeta", "-meta", p, "-block", block)
		require.Zero(t, r.code, "%s%s", r.out, r.err)
		require.Contains(t, r.out, "Checksum verification succeeded on block file "+block)
		checked++
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, checked, 20)
	t.Logf("%d block files verified", checked)
}
