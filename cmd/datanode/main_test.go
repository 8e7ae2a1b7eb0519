package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/nodeconf"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output gathers what a program writes from several goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func call(args ...string) (code int, stdout, stderr string) {
	var out, errs output
	code = run(context.Background(), args, env{stdout: &out, stderr: &errs, readFile: os.ReadFile, lookupEnv: func(string) (string, bool) { return "", false }})
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	code, out, _ := call("--help")
	require.Equal(t, exitOK, code)
	for _, k := range nodeconf.DataNodeKeys() {
		require.Contains(t, out, k.Name)
	}
	require.Contains(t, out, "--conf")
	code, out, _ = call("version")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, datanode.SoftwareVersion)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no command"},
		{[]string{"start"}, "start"},
		{[]string{"run", "extra"}, "extra"},
		{[]string{"run", "--bogus"}, "bogus"},
		{[]string{"run", "--log-level", "loud"}, "loud"},
		{[]string{"run", "-D", "dfs.datanode.max.transfer.threads=many"}, "dfs.datanode.max.transfer.threads"},
		{[]string{"run", "-D", "dfs.datanode.data.dir=[FLOPPY]/d"}, "FLOPPY"},
		{[]string{"run", "--conf", "/no/such/dir"}, "/no/such/dir"},
		{[]string{"run", "-D", "fs.defaultFS=s3://bucket"}, "s3://bucket"},
	} {
		code, _, stderr := call(c.args...)
		require.Equal(t, exitUsage, code, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.want)
	}
}

// nameNode takes every datanode of its cluster.
type nameNode struct {
	control.NameNode // calls that are not made here
	cluster          dfs.ClusterInfo
}

func (nn *nameNode) Handshake(context.Context, *control.HandshakeRequest) (*control.HandshakeReply, error) {
	return &control.HandshakeReply{Cluster: nn.cluster, HeartbeatMS: 1000}, nil
}
func (nn *nameNode) Register(_ context.Context, q *control.RegisterRequest) (*control.RegisterReply, error) {
	return &control.RegisterReply{Node: q.Node}, nil
}
func (nn *nameNode) Heartbeat(context.Context, *control.HeartbeatRequest) (*control.HeartbeatReply, error) {
	return &control.HeartbeatReply{Active: true}, nil
}
func (nn *nameNode) BlockReport(context.Context, *control.BlockReportRequest) (*control.BlockReportReply, error) {
	return &control.BlockReportReply{}, nil
}

func serveNameNode(t *testing.T, id string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &hadooprpc.Server{}
	control.HandleNameNode(srv, &nameNode{cluster: dfs.ClusterInfo{ClusterID: "CID-" + id, PoolID: "BP-" + id}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return l.Addr().String()
}

// A datanode runs until it is told to stop, keeps its identity, and refuses another
// cluster's name node with a message and an exit code.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	runOn := func(addr string, stopWhenReady bool) (code int, stderr string) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var errs output
		e := env{stdout: &errs, stderr: &errs, readFile: os.ReadFile, lookupEnv: os.LookupEnv, started: func(dn *datanode.DataNode) {
			if stopWhenReady {
				<-dn.Ready()
				stop()
			}
		}}
		code = run(ctx, []string{"run", "--name-node", addr, "-D", "dfs.datanode.data.dir=file://" + dir,
			"-D", "dfs.datanode.address=127.0.0.1:0", "-D", "dfs.datanode.ipc.address=127.0.0.1:0", "-D", "dfs.datanode.http.address=127.0.0.1:0"}, e)
		return code, errs.String()
	}
	home := serveNameNode(t, "home")
	for range 2 {
		code, stderr := runOn(home, true)
		require.Equal(t, exitOK, code, stderr)
		require.Contains(t, stderr, "datanode stopped")
	}
	code, stderr := runOn(serveNameNode(t, "away"), false)
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "CID-away")
	last := strings.TrimSpace(stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:])
	require.NotContains(t, last, "level=", "the last line is for the user: %s", last)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	code, _, stderr = call("run", "--name-node", home, "-D", "dfs.datanode.data.dir="+dir, "-D", "dfs.datanode.address="+l.Addr().String())
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, l.Addr().String(), "a busy port is named")
}
