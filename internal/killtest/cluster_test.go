package killtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/dfs"
)

// process is one server that can be killed and started again with the same arguments.
type process struct {
	name string
	args []string
	log  *os.File
	cmd  *exec.Cmd
}

func (p *process) start(t *testing.T) {
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// A test that dies takes its servers along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, p.cmd.Start())
}

// kill is kill -9, and waits for the end.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.cmd = nil
}

// cluster is a name node and datanodes as processes of their own.
type cluster struct {
	dir       string
	rpc, http string
	name      *process
	data      []*process
}

func startCluster(t *testing.T, datanodes int) *cluster {
	c := &cluster{dir: t.TempDir(), rpc: freeAddress(t), http: freeAddress(t)}
	bin := filepath.Join(c.dir, "bin") + "/"
	require.NoError(t, os.MkdirAll(bin, 0o755))
	build := exec.Command("go", "build", "-o", bin, "redoubt/cmd/namenode", "redoubt/cmd/datanode")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	set := func(args []string, settings ...string) []string {
		for _, s := range settings {
			args = append(args, "-D", s)
		}
		return args
	}
	common := []string{"fs.defaultFS=hdfs://" + c.rpc, "dfs.namenode.rpc-address=" + c.rpc, "dfs.heartbeat.interval=1"}
	name := append(common, "dfs.namenode.name.dir="+c.path("name1")+","+c.path("name2"), "dfs.namenode.http-address="+c.http,
		"dfs.namenode.heartbeat.recheck-interval=500", "dfs.namenode.safemode.extension=0", "dfs.namenode.checkpoint.txns=2000")
	out, err = exec.Command(bin+"namenode", set([]string{"format"}, name...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.name = c.process(t, "namenode", set([]string{bin + "namenode", "run"}, name...))
	for i := range datanodes {
		id := fmt.Sprintf("data%d", i+1)
		data := append(common, "dfs.datanode.data.dir="+c.path(id+"/a")+","+c.path(id+"/b"), "dfs.datanode.failed.volumes.tolerated=1",
			"dfs.datanode.address=127.0.0.1:0", "dfs.datanode.ipc.address=127.0.0.1:0", "dfs.datanode.http.address=127.0.0.1:0")
		c.data = append(c.data, c.process(t, id, set([]string{bin + "datanode", "run"}, data...)))
	}
	t.Cleanup(func() {
		for _, p := range append(c.data, c.name) {
			p.kill()
			if t.Failed() {
				text, _ := os.ReadFile(p.log.Name())
				t.Logf("the end of %s's log:\n%s", p.name, text[max(0, len(text)-3000):])
			}
		}
	})
	c.name.start(t)
	for _, p := range c.data {
		p.start(t)
	}
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) process(t *testing.T, name string, args []string) *process {
	log, err := os.Create(c.path(name + ".log"))
	require.NoError(t, err)
	return &process{name: name, args: args, log: log}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (c *cluster) client(t *testing.T, user string) *client.Client {
	cl, err := client.Open(client.Config{NameNodes: []string{c.rpc}, User: user, Patience: opLimit})
	require.NoError(t, err)
	t.Cleanup(func() { cl.Close() })
	return cl
}

// poll asks again and again until the answer is yes or the time is up.
func poll(t *testing.T, limit time.Duration, what string, ask func(ctx context.Context) (bool, string)) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		ok, state := ask(ctx)
		if ok {
			return
		}
		last = state
		select {
		case <-ctx.Done():
			require.Fail(t, "timeout", "%s did not happen within %s; last seen: %s", what, limit, last)
		case <-tick.C:
		}
	}
}

// awaitUp waits until the name node answers.
func (c *cluster) awaitUp(t *testing.T) {
	poll(t, time.Minute, "the name node's health", func(ctx context.Context) (bool, string) {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+c.http+"/healthz", nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err.Error()
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode == http.StatusOK, string(bytes.TrimSpace(body))
	})
}

// awaitLive waits for a number of live datanodes.
func (c *cluster) awaitLive(t *testing.T, cl *client.Client, n int) {
	poll(t, time.Minute, fmt.Sprintf("%d live datanodes", n), func(ctx context.Context) (bool, string) {
		live, err := cl.DatanodeReport(ctx, dfs.ReportLive)
		return err == nil && len(live) == n, fmt.Sprintf("%d live, %v", len(live), err)
	})
}

// awaitHealed waits until nothing is under-replicated or missing and safe mode is off.
func (c *cluster) awaitHealed(t *testing.T, cl *client.Client) {
	poll(t, 3*time.Minute, "full redundancy", func(ctx context.Context) (bool, string) {
		on, err := cl.SetSafeMode(ctx, dfs.SafeModeGet)
		if err != nil || on {
			return false, fmt.Sprintf("safe mode %v, %v", on, err)
		}
		s, err := cl.FsStats(ctx)
		return err == nil && s.UnderReplicated == 0 && s.Missing == 0, fmt.Sprintf("%+v, %v", s, err)
	})
}
