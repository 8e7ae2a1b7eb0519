package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/internal/hadoopconf"
	"redoubt/wire/control"
)

func TestMain(m *testing.M) {
	if os.Getenv(asNameNode) != "" { // a test wants the program as a process of its own
		main()
	}
	goleak.VerifyTestMain(m)
}

const asNameNode = "REDOUBT_TEST_AS_NAMENODE"

// lines collects output and lets a test wait for a line.
type lines struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) await(t *testing.T, re string) []string {
	for {
		if m := regexp.MustCompile(re).FindStringSubmatch(l.String()); m != nil {
			return m
		}
		select {
		case <-l.more:
		case <-t.Context().Done():
			t.Fatalf("no %q in:\n%s", re, l)
		}
	}
}

func invoke(t *testing.T, env map[string]string, args ...string) (code int, out, errText string) {
	var o, e bytes.Buffer
	code = run(t.Context(), newApp(env, &o, &e), args)
	return code, o.String(), e.String()
}

func newApp(env map[string]string, out, errOut io.Writer) *app {
	return &app{stdin: strings.NewReader(""), stdout: out, stderr: errOut,
		getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
}

func nameDir(dir string) string { return "-Ddfs.namenode.name.dir=" + dir }

func TestFormatAndItsRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "name")
	code, out, _ := invoke(t, nil, "format", nameDir(dir), "--clusterid", "CID-test")
	require.Equal(t, 0, code)
	require.Contains(t, out, "formatted "+dir+" for cluster CID-test, block pool BP-")
	code, _, errText := invoke(t, nil, "format", nameDir(dir))
	require.Equal(t, 1, code)
	require.Contains(t, errText, dir)
	code, out, _ = invoke(t, nil, "-format", "-force", "-clusterid", "CID-again", nameDir(dir))
	require.Equal(t, 0, code, "Hadoop's spelling")
	require.Contains(t, out, "CID-again")
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		text string
	}{
		{nil, "Usage: namenode COMMAND"},
		{[]string{"fly"}, `unknown command "fly"`},
		{[]string{"run", "now"}, `unexpected argument "now"`},
		{[]string{"run", "--no-such-flag"}, "no-such-flag"},
		{[]string{"run", "--log-level", "loud"}, "--log-level loud"},
		{[]string{"run", "-D", "dfs.blocksize=x", "-D", "dfs.replication=0"}, "dfs.replication"},
		{[]string{"run", "-D", "dfs.blocksize=1024"}, "dfs.blocksize 1024 is below dfs.namenode.fs-limits.min-block-size 1048576"},
		{[]string{"run", "-D", "dfs.checksum.type=NULL"}, "dfs.checksum.type"},
		{[]string{"run", "-D", "hadoop.user.group.static.mapping.overrides==x"}, "static.mapping"},
		{[]string{"run", "-D", "net.topology.table.file.name=/none/there"}, "net.topology.table.file.name"},
		{[]string{"run", "--conf", "/none/there"}, "/none/there"},
		{[]string{"format", "-D", "dfs.namenode.name.dir=ftp://x"}, "ftp"},
	} {
		code, _, errText := invoke(t, nil, tc.args...)
		require.NotZero(t, code, tc.args)
		require.Contains(t, errText, tc.text, tc.args)
	}
}

func TestHelpListsTheKeys(t *testing.T) {
	code, out, _ := invoke(t, nil, "run", "--help")
	require.Equal(t, 0, code)
	for _, key := range []string{"dfs.namenode.fs-limits.max-component-length", "dfs.namenode.fs-limits.max-directory-items", "dfs.namenode.fs-limits.min-block-size",
		"dfs.namenode.fs-limits.max-blocks-per-file", "dfs.replication", "dfs.namenode.safemode.threshold-pct", "--audit-log"} {
		require.Contains(t, out, key)
	}
}

// TestRun is the life of a process: configured by a file, serving, its directory locked
// and its port taken, stopped by a signal, checkpointed offline.
func TestRun(t *testing.T) {
	dir, conf := filepath.Join(t.TempDir(), "name"), t.TempDir()
	site := `<configuration><property><name>dfs.namenode.name.dir</name><value>file://` + dir + `</value></property>
<property><name>dfs.namenode.rpc-address</name><value>127.0.0.1:0</value></property>
<property><name>dfs.namenode.http-address</name><value>127.0.0.1:0</value></property></configuration>`
	require.NoError(t, os.WriteFile(filepath.Join(conf, "hdfs-site.xml"), []byte(site), 0o600))
	env := map[string]string{"HADOOP_CONF_DIR": conf, "HADOOP_USER_NAME": "hdfs"}

	code, _, errText := invoke(t, env, "run")
	require.Equal(t, 1, code)
	require.Contains(t, errText, "namenode format")
	code, _, _ = invoke(t, env, "format")
	require.Equal(t, 0, code)

	ctx, stop := context.WithCancel(t.Context())
	log, done := newLines(), make(chan int)
	go func() {
		done <- run(ctx, newApp(env, io.Discard, log), []string{"run", "--audit-log", filepath.Join(conf, "audit.log")})
	}()
	rpc := log.await(t, `msg=serving rpc=(\S+)`)[1]
	conn, err := net.Dial("tcp", rpc)
	require.NoError(t, err)
	conn.Close()

	code, _, errText = invoke(t, env, "run")
	require.Equal(t, 1, code)
	require.Contains(t, errText, dir)
	require.Contains(t, errText, "in use")
	code, _, errText = invoke(t, env, "run", "-D", "dfs.namenode.rpc-address="+rpc)
	require.Equal(t, 1, code)
	require.Contains(t, errText, rpc)

	stop()
	require.Equal(t, 0, <-done)
	code, out, _ := invoke(t, env, "checkpoint")
	require.Equal(t, 0, code)
	require.Contains(t, out, "checkpoint of "+dir)
	code, out, _ = invoke(t, env, "recover")
	require.Equal(t, 0, code)
	require.Contains(t, out, "nothing needs to be done")
}

// TestServiceAddress: the name node takes datanodes and clients at both addresses.
func TestServiceAddress(t *testing.T) {
	env := map[string]string{"HADOOP_USER_NAME": "hdfs"}
	args := []string{nameDir(filepath.Join(t.TempDir(), "name")), "-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0",
		"-D", "dfs.namenode.servicerpc-address=127.0.0.2:0", "-D", "dfs.namenode.servicerpc-bind-host=127.0.0.1"}
	code, _, _ := invoke(t, env, append([]string{"format"}, args...)...)
	require.Equal(t, 0, code)
	ctx, stop := context.WithCancel(t.Context())
	log, done := newLines(), make(chan int)
	go func() { done <- run(ctx, newApp(env, io.Discard, log), append([]string{"run"}, args...)) }()
	service := log.await(t, `service=(127\.0\.0\.1:\d+)`)[1]
	rpc := log.await(t, `msg=serving rpc=(\S+)`)[1]
	require.NotEqual(t, rpc, service)
	for _, addr := range []string{rpc, service} {
		nn := control.NewNameNodeClient(control.ClientConfig{Addr: addr})
		reply, err := nn.Handshake(t.Context(), &control.HandshakeRequest{})
		require.NoError(t, err)
		require.NotEmpty(t, reply.Cluster.ClusterID)
		require.NoError(t, nn.Close())
	}
	taken, _, errText := invoke(t, env, append([]string{"run"}, append(args, "-D", "dfs.namenode.servicerpc-address="+service)...)...)
	require.Equal(t, 1, taken)
	require.Contains(t, errText, "service RPC address "+service)
	stop()
	require.Equal(t, 0, <-done)
}

func TestRecoverOffersAndTakesNothingUnasked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "name")
	env := map[string]string{"HADOOP_USER_NAME": "someone"}
	args := []string{nameDir(dir), "-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0"}
	code, _, _ := invoke(t, env, append([]string{"format"}, args...)...)
	require.Equal(t, 0, code)
	images, err := filepath.Glob(filepath.Join(dir, "current", "fsimage_*"))
	require.NoError(t, err)
	require.NotEmpty(t, images)
	data, err := os.ReadFile(images[0])
	require.NoError(t, err)
	data[len(data)/2] ^= 0x40
	require.NoError(t, os.WriteFile(images[0], data, 0o600))

	code, _, errText := invoke(t, env, append([]string{"run"}, args...)...)
	require.Equal(t, 1, code)
	require.Contains(t, errText, "namenode recover shows what can be done")
	code, out, _ := invoke(t, env, append([]string{"recover"}, args...)...)
	require.Equal(t, 1, code)
	require.Contains(t, out, "DAMAGED")
	now, err := os.ReadFile(images[0])
	require.NoError(t, err)
	require.Equal(t, data, now, "looking changes nothing")
}

// TestAdvice starts with directories that are not there. A new cluster is proposed only if
// no other directory holds anything.
func TestAdvice(t *testing.T) {
	top := t.TempDir()
	names, edits, none := filepath.Join(top, "names"), filepath.Join(top, "edits"), filepath.Join(top, "none")
	ports := []string{"-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0"}
	code, _, _ := invoke(t, nil, append([]string{"format", nameDir(names), "-Ddfs.namenode.edits.dir=" + edits}, ports...)...)
	require.Equal(t, 0, code)
	const fresh, back = "make a new cluster there with: namenode format", "it may hold what the others miss"
	for _, tc := range []struct {
		args      []string
		says, not string
	}{
		{[]string{nameDir(none)}, fresh, back},
		{[]string{nameDir(none + "," + none + "2")}, fresh, back},
		{[]string{nameDir(names), "-Ddfs.namenode.edits.dir=" + none}, back, fresh},
		{[]string{nameDir(names + "," + none), "-Ddfs.namenode.edits.dir=" + edits}, back, fresh},
	} {
		code, _, errText := invoke(t, nil, append(append([]string{"run"}, tc.args...), ports...)...)
		require.Equal(t, 1, code)
		require.Contains(t, errText, tc.says)
		require.NotContains(t, errText, tc.not, "%v", tc.args)
	}
}

// TestRefreshIsLogged holds that what the guard says goes where the name node's log goes.
func TestRefreshIsLogged(t *testing.T) {
	conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: os.ReadFile, LookupEnv: os.LookupEnv}, nil,
		[]string{"dfs.namenode.name.dir=" + t.TempDir(), "fs.defaultFS=hdfs://127.0.0.1:0"})
	require.NoError(t, err)
	var log bytes.Buffer
	cfg, err := newApp(nil, io.Discard, io.Discard).serverConfig(conf, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	require.NoError(t, cfg.Access.RefreshProxies())
	require.Contains(t, log.String(), `msg="read again" what="proxy users"`)
}
