package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hdfsSuites are test classes of HDFS itself that ask for nothing but a cluster and a
// client. Most others reach into Hadoop's servers in their own process, or into what
// Hadoop's tests tell them there about users and groups.
var hdfsSuites = []string{"hdfs.TestHFlush", "hdfs.TestDFSMkdirs", "hdfs.TestListFilesInDFS", "hdfs.TestSeekBug", "hdfs.TestFileAppend2",
	"hdfs.TestHDFSFileSystemContract", "hdfs.TestRestartDFS", "hdfs.TestLocalDFS", "hdfs.TestWriteRead",
	"hdfs.TestMultiThreadedHflush", "hdfs.TestFileConcurrentReader", "hdfs.TestClose", "hdfs.TestAppendDifferentChecksum"}

// TestHDFSSuites runs HDFS's own JUnit tests with a MiniDFSCluster of ours in front of
// Hadoop's, which starts a cluster for every test, with the settings of that test.
func TestHDFSSuites(t *testing.T) {
	classPath := miniClasses(t)
	for _, suite := range hdfsSuites {
		t.Run(suite, func(t *testing.T) { junit(t, classPath, suite) })
	}
}

// TestRAID5HDFSSuites runs some of them with everything under RAID5 and folded at once.
func TestRAID5HDFSSuites(t *testing.T) {
	suites := []string{"hdfs.TestFileAppend2", "hdfs.TestWriteRead"}
	if *raid5All {
		suites = hdfsSuites
	}
	out := junit(t, miniClasses(t), strings.Join(suites, " "), "-Dminidfs.policy=RAID5-2", "-Dminidfs.settings="+strings.Join(foldSoon, ","))
	folds := 0
	for _, m := range regexp.MustCompile(`parity_folds_total (\d+)`).FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		folds += n
	}
	require.Positive(t, folds, "parities made")
	t.Logf("%d parities made meanwhile", folds)
}

// miniClasses makes the class path of HDFS's tests with our MiniDFSCluster.
func miniClasses(t *testing.T) string {
	needHadoop(t)
	jars, err := hadoopJars()
	require.NoError(t, err)
	classes := t.TempDir()
	source := "minidfs/src/org/apache/hadoop/hdfs/MiniDFSCluster.java"
	out, err := exec.Command("javac", "-nowarn", "-d", classes, "-cp", jars+"/*", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(filepath.Join(classes, "log4j.properties"), []byte("log4j.rootLogger=OFF\n"), 0o644))
	return classes + ":" + jars + "/*"
}

// junit runs suites, divided by spaces, in one JVM and gives what they print.
func junit(t *testing.T, classPath, suites string, options ...string) string {
	args := append([]string{"-Xmx1g", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Dminidfs.binary=" + program(t, "fs")}, options...)
	args = append(args, "-cp", classPath, "org.junit.runner.JUnitCore")
	for _, suite := range strings.Fields(suites) {
		args = append(args, "org.apache.hadoop."+suite)
	}
	run := exec.Command("java", args...)
	run.Dir = t.TempDir() // the tests leave files in their working directory
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", failures(string(out)))
	t.Log(regexp.MustCompile(`OK \(\d+ tests?\)`).FindString(string(out)))
	return string(out)
}
