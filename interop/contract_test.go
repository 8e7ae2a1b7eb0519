package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contractTests are the suites of Hadoop's file system contract, as HDFS subclasses them.
var contractTests = []string{"Append", "BulkDelete", "Concat", "Create", "Delete", "GetFileStatus", "LeaseRecovery", "Mkdir",
	"MultipartUploader", "Open", "PathHandle", "Rename", "RootDirectory", "SafeMode", "Seek", "SetTimes", "Unbuffer", "VectoredRead"}

// TestFileSystemContract runs Hadoop's own JUnit suites of what a file system must do
// against our cluster, through Hadoop's own client.
func TestFileSystemContract(t *testing.T) {
	classes := contractClasses(t)
	c := startRedoubt(t, "-D", "dfs.namenode.fs-limits.min-block-size=0")
	for _, suite := range contractTests {
		t.Run(suite, func(t *testing.T) { c.contract(t, classes, suite) })
	}
}

// contractClasses makes the class path of the contract's suites.
func contractClasses(t *testing.T) string {
	needHadoop(t)
	jars, err := hadoopJars()
	require.NoError(t, err)
	classes := t.TempDir()
	source := "contract/src/org/apache/hadoop/fs/contract/hdfs/HDFSContract.java"
	out, err := exec.Command("javac", "-nowarn", "-d", classes, "-cp", jars+"/*", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.CopyFS(classes, os.DirFS("contract/resources")))
	require.NoError(t, os.WriteFile(filepath.Join(classes, "log4j.properties"), []byte("log4j.rootLogger=OFF\n"), 0o644))
	return classes + ":" + jars + "/*"
}

// contract runs suites in one JVM.
func (c cluster) contract(t *testing.T, classPath string, suites ...string) {
	args := []string{"-Xmx1g", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Dcontract.fs=" + c.uri, "-cp", classPath, "org.junit.runner.JUnitCore"}
	for _, suite := range suites {
		args = append(args, "org.apache.hadoop.fs.contract.hdfs.TestHDFSContract"+suite)
	}
	out, err := exec.Command("java", args...).CombinedOutput()
	require.NoError(t, err, "%s", failures(string(out)))
	t.Log(regexp.MustCompile(`OK \(\d+ tests?\)`).FindString(string(out)))
}

var failure = regexp.MustCompile(`^\d+\) `)

// failures keeps of JUnit's report what failed, where and why, without the stacks.
func failures(report string) string {
	var b strings.Builder
	keep := 0
	for line := range strings.Lines(report) {
		if failure.MatchString(line) {
			keep = 4
		}
		if keep > 0 || strings.HasPrefix(line, "Tests run") {
			b.WriteString(line)
			keep--
		}
	}
	return b.String()
}
