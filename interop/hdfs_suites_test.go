package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// hdfsSuites are test classes of HDFS itself that ask for nothing but a cluster and a
// client. Most others reach into Hadoop's servers in their own process, or into what
// Hadoop's tests tell them there about users and groups.
var hdfsSuites = []string{"hdfs.TestHFlush", "hdfs.TestDFSMkdirs", "hdfs.TestListFilesInDFS", "hdfs.TestSeekBug", "hdfs.TestFileAppend2",
	"hdfs.TestHDFSFileSystemContract", "hdfs.TestRestartDFS", "hdfs.TestLocalDFS", "hdfs.TestWriteRead"}

// TestHDFSSuites runs HDFS's own JUnit tests with a MiniDFSCluster of ours in front of
// Hadoop's, which starts a cluster for every test, with the settings of that test.
func TestHDFSSuites(t *testing.T) {
	needHadoop(t)
	jars, err := hadoopJars()
	require.NoError(t, err)
	bin := program(t, "fs")
	classes := t.TempDir()
	source := "minidfs/src/org/apache/hadoop/hdfs/MiniDFSCluster.java"
	out, err := exec.Command("javac", "-nowarn", "-d", classes, "-cp", jars+"/*", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(filepath.Join(classes, "log4j.properties"), []byte("log4j.rootLogger=OFF\n"), 0o644))
	for _, suite := range hdfsSuites {
		t.Run(suite, func(t *testing.T) {
			run := exec.Command("java", "-Xmx1g", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Dminidfs.binary="+bin,
				"-cp", classes+":"+jars+"/*", "org.junit.runner.JUnitCore", "org.apache.hadoop."+suite)
			run.Dir = t.TempDir() // the tests leave files in their working directory
			out, err := run.CombinedOutput()
			require.NoError(t, err, "%s", failures(string(out)))
			t.Log(regexp.MustCompile(`OK \(\d+ tests?\)`).FindString(string(out)))
		})
	}
}
