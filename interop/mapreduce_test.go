package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMapReduce submits a job by Hadoop's own steps: JobResourceUploader puts it on the
// cluster as for YARN, and LocalJobRunner runs it with input and output there.
func TestMapReduce(t *testing.T) {
	classPath := mapReduceClasses(t)
	c := startRedoubt(t)
	shipped := filepath.Join(t.TempDir(), "shipped.jar")
	require.NoError(t, os.WriteFile(shipped, []byte("not looked into"), 0o644))
	submit := func(framework string) string {
		cmd := exec.Command("java", "-Xmx512m", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-cp", classPath,
			"-Dhadoop.tmp.dir="+t.TempDir(), "org.apache.hadoop.mapred.SubmitToStaging", c.uri, framework, shipped)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Equal(t, "submitted [files, job.jar, job.split, job.splitmetainfo, job.xml, libjars] to rwx------\n", submit("staging"))
	require.Equal(t, "output [_SUCCESS, part-r-00000]\na=3 is=2 rose=3\n", submit("local"))
}

// mapReduceClasses makes the class path of the submitting program.
func mapReduceClasses(t *testing.T) string {
	needHadoop(t)
	jars, err := hadoopJars()
	require.NoError(t, err)
	more, err := exec.Command("./hadoop", "fetch-mapreduce").Output()
	if err != nil {
		t.Skipf("MapReduce's jars can't be had here: %v", err)
	}
	classes := t.TempDir()
	path := jars + "/*:" + strings.TrimSpace(string(more)) + "/*"
	out, err := exec.Command("javac", "-nowarn", "-d", classes, "-cp", path, "mapreduce/src/org/apache/hadoop/mapred/SubmitToStaging.java").CombinedOutput()
	require.NoError(t, err, "%s", out)
	services := filepath.Join(classes, "META-INF", "services")
	require.NoError(t, os.MkdirAll(services, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(services, "org.apache.hadoop.mapreduce.protocol.ClientProtocolProvider"),
		[]byte("org.apache.hadoop.mapred.SubmitToStaging$Provider\norg.apache.hadoop.mapred.LocalClientProtocolProvider\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(classes, "log4j.properties"), []byte("log4j.rootLogger=OFF\n"), 0o644))
	return classes + ":" + path
}
