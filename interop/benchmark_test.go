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

// TestNNThroughputBenchmark runs Hadoop's own name node benchmark over the wire. It
// measures nothing here: it is a load of many concurrent calls with Hadoop's own client,
// which spins for ever when a server answers one of them wrong.
func TestNNThroughputBenchmark(t *testing.T) {
	needHadoop(t)
	c := startRedoubt(t, "-D", "dfs.namenode.fs-limits.min-block-size=16")
	conf := benchmarkConf(t)
	for _, op := range []string{"mkdirs -dirs 2000 -dirsPerDir 32", "create -files 2000 -filesPerDir 32 -close", "open -files 2000 -filesPerDir 32",
		"fileStatus -files 2000 -filesPerDir 32", "rename -files 2000 -filesPerDir 32", "delete -files 2000 -filesPerDir 32", "clean"} {
		t.Run(strings.Fields(op)[0], func(t *testing.T) {
			args := append([]string{"java", "org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark", "-fs", c.uri, "-op"}, strings.Fields(op)...)
			if !strings.HasPrefix(op, "clean") {
				args = append(args, "-threads", "16")
			}
			bench := exec.Command("./hadoop", args...)
			bench.Env = append(os.Environ(), "HADOOP_CONF_DIR="+conf)
			out, err := bench.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.NotRegexp(t, `Exception`, string(out))
			lines := regexp.MustCompile(`(?m)^.*Ops per sec: *[0-9].*$`).FindAllString(string(out), -1)
			require.NotEmpty(t, lines, "no result in:\n%s", out)
			t.Log(lines)
		})
	}
}

// benchmarkConf is a configuration under which the benchmark logs its result.
func benchmarkConf(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"core-site.xml": "<configuration/>", "hdfs-site.xml": "<configuration/>",
		"log4j.properties": "log4j.rootLogger=WARN,out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n" +
			"log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%m%n\n" +
			"log4j.logger.org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark=INFO\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

// TestNNThroughputBlockReports lets the benchmark play ten datanodes that register,
// receive blocks and report them, over HDFS's own DatanodeProtocol. It needs a cluster
// without real datanodes: it takes a block's place from the datanode's port.
func TestNNThroughputBlockReports(t *testing.T) {
	needHadoop(t)
	c := startRedoubt(t, "--datanodes", "0", "-D", "dfs.namenode.fs-limits.min-block-size=16")
	for _, op := range []string{"blockReport -datanodes 10 -reports 500 -blocksPerReport 1000 -blocksPerFile 50 -blockSize 16", "all -blockSize 16"} {
		t.Run(strings.Fields(op)[0], func(t *testing.T) {
			args := append([]string{"java", "org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark", "-fs", c.uri, "-op"}, strings.Fields(op)...)
			out, err := exec.Command("./hadoop", args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.NotRegexp(t, `Exception`, string(out))
		})
	}
}
