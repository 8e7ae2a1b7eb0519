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
	over chan struct{} // closed when cmd has ended
}

func (p *process) start(t *testing.T) {
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// A test that dies takes its servers along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, p.cmd.Start())
	cmd, over := p.cmd, make(chan struct{})
	p.over = over
	go func() {
		cmd.Wait()
		close(over)
	}()
}

// kill is kill -9, and waits for the end.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.over
	p.cmd = nil
}

// runs reports whether the process has not ended by itself.
func (p *process) runs() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// cluster is a name node and datanodes as processes of their own.
type cluster struct {
	dir       string
	rpc, http string
	name      *process
	data      []*process
}

func startCluster(t *testing.T, datanodes int) *cluster {
	return startClusterWith(t, datanodes, func(c *cluster, id string) string { return c.path(id+"/a") + "," + c.path(id+"/b") })
}

// startClusterWith starts a cluster with volumes as dirs says for each datanode, and more
// settings for the name node.
func startClusterWith(t *testing.T, datanodes int, dirs func(c *cluster, id string) string, settings ...string) *cluster {
	c := &cluster{dir: keptDir(t), rpc: freeAddress(t), http: freeAddress(t)}
	bin := c.build(t, "redoubt/cmd/namenode", "redoubt/cmd/datanode")
	set := func(args []string, settings ...string) []string {
		for _, s := range settings {
			args = append(args, "-D", s)
		}
		return args
	}
	common := []string{"fs.defaultFS=hdfs://" + c.rpc, "dfs.namenode.rpc-address=" + c.rpc, "dfs.heartbeat.interval=1"}
	name := append(common, "dfs.namenode.name.dir="+c.path("name1")+","+c.path("name2"), "dfs.namenode.http-address="+c.http,
		"dfs.namenode.heartbeat.recheck-interval=500", "dfs.namenode.safemode.extension=0", "dfs.namenode.checkpoint.txns=2000")
	name = append(name, settings...)
	out, err := exec.Command(bin+"namenode", set([]string{"format"}, name...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.name = c.process(t, "namenode", set([]string{bin + "namenode", "run"}, name...))
	for i := range datanodes {
		id := fmt.Sprintf("data%d", i+1)
		data := append(common, "dfs.datanode.data.dir="+dirs(c, id), "dfs.datanode.failed.volumes.tolerated=1",
			"dfs.datanode.address=127.0.0.1:0", "dfs.datanode.ipc.address=127.0.0.1:0", "dfs.datanode.http.address=127.0.0.1:0")
		c.data = append(c.data, c.process(t, id, set([]string{bin + "datanode", "run"}, data...)))
	}
	c.endWith(t)
	c.name.start(t)
	for _, p := range c.data {
		p.start(t)
	}
	return c
}

// startMinicluster starts fs minicluster, whose one process stands for the name node.
func startMinicluster(t *testing.T, datanodes int) *cluster {
	c := &cluster{dir: keptDir(t), rpc: freeAddress(t), http: freeAddress(t)}
	bin := c.build(t, "redoubt/cmd/fs")
	_, rpc, err := net.SplitHostPort(c.rpc)
	require.NoError(t, err)
	_, http, err := net.SplitHostPort(c.http)
	require.NoError(t, err)
	c.name = c.process(t, "minicluster", []string{bin + "fs", "minicluster", "-v", "--dir", c.path("cluster"), "--rpc-port", rpc, "--http-port", http,
		"--datanodes", fmt.Sprint(datanodes), "-D", "dfs.heartbeat.interval=1", "-D", "dfs.namenode.safemode.extension=0"})
	c.endWith(t)
	c.name.start(t)
	return c
}

// build makes programs and gives the directory that they are in.
func (c *cluster) build(t *testing.T, packages ...string) string {
	bin := c.path("bin") + "/"
	require.NoError(t, os.MkdirAll(bin, 0o755))
	out, err := exec.Command("go", append([]string{"build", "-o", bin}, packages...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// endWith kills all processes when the test ends, and shows their last words if it failed.
func (c *cluster) endWith(t *testing.T) {
	t.Cleanup(func() {
		for _, p := range append(c.data[:len(c.data):len(c.data)], c.name) {
			p.kill()
			if t.Failed() {
				text, _ := os.ReadFile(p.log.Name())
				t.Logf("the end of %s's log:\n%s", p.name, text[max(0, len(text)-3000):])
			}
		}
	})
}

// keptDir is a directory that stays when the test fails.
func keptDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "killtest")
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("everything is left in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
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

func (c *cluster) client(t *testing.T) *client.Client {
	cl, err := client.Open(client.Config{NameNodes: []string{c.rpc}, User: currentUser(t), Patience: opLimit})
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
		if ctx.Err() == nil || last == "" {
			last = state // and not that asking took too long
		}
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
