package interop

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processes is a cluster whose nodes are processes of their own, which can be killed.
type processes struct {
	cluster
	settings  []string
	datanodes []*exec.Cmd
}

// startProcesses starts a name node and datanodes, all with the same settings, KEY=VALUE.
func startProcesses(t testing.TB, datanodes int, settings ...string) *processes {
	dir := t.TempDir()
	p := &processes{cluster: cluster{dir: dir}}
	for _, s := range append([]string{"dfs.namenode.rpc-address=127.0.0.1:0", "dfs.namenode.http-address=127.0.0.1:0", "dfs.namenode.safemode.extension=0",
		"dfs.namenode.name.dir=" + filepath.Join(dir, "name"), "dfs.datanode.address=127.0.0.1:0", "dfs.datanode.http.address=127.0.0.1:0",
		"dfs.datanode.ipc.address=127.0.0.1:0"}, settings...) {
		p.settings = append(p.settings, "-D", s)
	}
	out, err := exec.Command(program(t, "namenode"), append([]string{"format"}, p.settings...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, serving := p.server(t, `msg=serving rpc=(\S+) http=(\S+)`, "namenode")
	p.uri, p.http = "hdfs://"+serving[1], serving[2]
	p.datanodes = make([]*exec.Cmd, datanodes)
	for i := range datanodes {
		p.startDatanode(t, i)
	}
	waitFor(t, "datanodes", 30*time.Second, func() bool { return p.metric(t, `datanodes{state="live"}`) == int64(datanodes) })
	return p
}

// server starts a node, which logs to its standard error, and waits for a line.
func (p *processes) server(t testing.TB, ready, name string, args ...string) (*exec.Cmd, []string) {
	line := append([]string{"-c", `exec "$0" "$@" 2>&1`, program(t, name), "run"}, args...)
	cmd := exec.Command("sh", append(line, p.settings...)...)
	pattern := regexp.MustCompile(ready)
	return cmd, pattern.FindStringSubmatch(await(t, start(t, cmd), pattern, 30*time.Second))
}

// startDatanode starts datanode i, on what it had before if it was there before.
func (p *processes) startDatanode(t testing.TB, i int) {
	p.datanodes[i], _ = p.server(t, `msg="datanode started"`, "datanode", "--name-node", strings.TrimPrefix(p.uri, "hdfs://"),
		"--data-dir", filepath.Join(p.dir, fmt.Sprintf("data%d", i)))
}

// kill ends datanode i as a power cut does.
func (p *processes) kill(t testing.TB, i int) {
	require.NoError(t, syscall.Kill(p.datanodes[i].Process.Pid, syscall.SIGKILL))
}

// metric reads a number of the name node's /metrics.
func (c cluster) metric(t testing.TB, name string) int64 {
	resp, err := http.Get("http://" + c.http + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	var text strings.Builder
	require.NoError(t, resp.Write(&text))
	m := regexp.MustCompile(`(?m)^redoubt_namenode_` + regexp.QuoteMeta(name) + ` (\S+)\s*$`).FindStringSubmatch(text.String())
	require.NotNil(t, m, "no metric %s", name)
	v, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	return int64(v)
}
