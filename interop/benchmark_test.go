package interop

import (
	"os/exec"
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
	for _, op := range []string{"mkdirs -dirs 2000 -dirsPerDir 32", "create -files 2000 -filesPerDir 32 -close", "open -files 2000 -filesPerDir 32",
		"fileStatus -files 2000 -filesPerDir 32", "rename -files 2000 -filesPerDir 32", "delete -files 2000 -filesPerDir 32", "clean"} {
		t.Run(strings.Fields(op)[0], func(t *testing.T) {
			args := append([]string{"java", "org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark", "-fs", c.uri, "-op"}, strings.Fields(op)...)
			if !strings.HasPrefix(op, "clean") {
				args = append(args, "-threads", "16")
			}
			out, err := exec.Command("./hadoop", args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.NotRegexp(t, `Exception`, string(out))
			for _, line := range regexp.MustCompile(`(?m)^.*(Ops per sec|# operations).*$`).FindAllString(string(out), -1) {
				t.Log(line)
			}
		})
	}
}
