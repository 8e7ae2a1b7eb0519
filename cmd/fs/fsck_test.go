package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/minicluster"
)

// fsck runs fs fsck with a cluster's addresses.
func fsck(t *testing.T, uri, web string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	env := &env{stdin: strings.NewReader(""), stdout: &o, stderr: &e, user: effectiveUser(), dir: "/"}
	words := []string{"fsck", "-fs", uri}
	if web != "" {
		words = append(words, "-D", "dfs.namenode.http-address="+web)
	}
	code = run(context.Background(), env, append(words, args...))
	return code, o.String(), e.String()
}

// TestFsckLive checks a cluster in this process that is well, and one that has lost a block.
func TestFsckLive(t *testing.T) {
	c, err := minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), Datanodes: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	web := c.HTTPAddr()
	var errOut bytes.Buffer
	put := &env{stdin: strings.NewReader("some text"), stdout: &errOut, stderr: &errOut, user: effectiveUser(), dir: "/"}
	require.Zero(t, run(context.Background(), put, []string{"-fs", c.URI(), "-put", "-", "/a-file"}), errOut.String())

	code, out, e := fsck(t, c.URI(), web, "/", "-files", "-blocks", "-locations", "-racks", "-showprogress")
	require.Zero(t, code, e)
	require.Contains(t, e, "Connecting to namenode via http://"+web+"/fsck?")
	require.Contains(t, out, "/ <dir>\n/a-file 9 bytes, replicated: replication=1, 1 block(s):  OK\n")
	block := regexp.MustCompile(`\n0\. BP-\S+:(blk_\d+)_\d+ len=9 Live_repl=1  \[/default-rack/127\.0\.0\.1:\d+\]\n`).FindStringSubmatch(out)
	require.NotNil(t, block, out)
	require.True(t, strings.HasSuffix(out, "\n\nThe filesystem under path '/' is HEALTHY\n"), out)

	code, out, _ = fsck(t, c.URI(), web, c.URI()+"/", "-list-corruptfileblocks")
	require.Zero(t, code)
	require.Equal(t, "The filesystem under path '"+c.URI()+"/' has 0 CORRUPT blocks\n", out)
	code, out, _ = fsck(t, c.URI(), web, "-blockId", block[1], "-maintenance")
	require.Zero(t, code)
	require.Contains(t, out, "Block belongs to: /a-file\n")
	require.Contains(t, out, "No. of in maintenance Replica: 0\n")
	code, _, e = fsck(t, c.URI(), web, "/nothing")
	require.Zero(t, code, "as Hadoop's")
	require.Contains(t, e, "File does not exist: /nothing\n")
}

func TestFsckCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		err  string
	}{
		{[]string{"/x", "/y"}, "fsck: can only operate on one path at a time '/y'\n"},
		{[]string{"-bogus"}, "fsck: Illegal option '-bogus'\n"},
		{[]string{"file:///x"}, "fsck: FileSystem file:// is not an HDFS file system\n"},
	} {
		code, _, e := fsck(t, "hdfs://127.0.0.1:1", "", c.args...)
		require.Equal(t, exitUsage, code)
		require.True(t, strings.HasPrefix(e, c.err), e)
	}
	code, out, _ := fsck(t, "hdfs://127.0.0.1:1", "", "-help")
	require.Zero(t, code)
	require.Contains(t, out, "-list-corruptfileblocks")
	code, _, e := fsck(t, "hdfs://127.0.0.1:1", "")
	require.Equal(t, exitUsage, code)
	require.Contains(t, e, "Usage: fs fsck")
	code, _, e = fsck(t, "hdfs://127.0.0.1:1", "", "/")
	require.Equal(t, exitUsage, code)
	require.Contains(t, e, "127.0.0.1:1")
	r, err := parseFsck([]string{"-blockId", "blk_1", "blk_2", "-files", "/a"})
	require.NoError(t, err)
	require.Equal(t, "/a", r.path)
	require.Equal(t, "blockId=blk_1+blk_2&files=1", r.query.Encode())
}

func TestFsckCodes(t *testing.T) {
	for last, code := range map[string]int{
		"The filesystem under path '/' is HEALTHY": 0, "The filesystem under path '/' is CORRUPT": 1, "Path '/x' does not exist": 0,
		"Incorrect blockId format: x": 0, "Block replica on datanode/rack: h/r is DECOMMISSIONED": 2, "h/r is DECOMMISSIONING": 3,
		"h/r is IN MAINTENANCE": 4, "h/r is ENTERING MAINTENANCE": 5, "h/r is STALE": 6, "h/r is EXCESS": 7, "Fsck on path '/' FAILED": 255, "": 255,
	} {
		require.Equal(t, code, fsckCode(last), last)
	}
}

// Answers that end early, other servers and dead addresses are told in one line.
func TestFsckUnreachable(t *testing.T) {
	c, err := minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), Datanodes: -1, HTTPPort: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	code, _, e := fsck(t, c.URI(), dead.Addr().String(), "/")
	require.Equal(t, exitUsage, code)
	require.Contains(t, e, "fsck: the name node's HTTP address "+dead.Addr().String()+" can't be reached: ")

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	addr := strings.TrimPrefix(other.URL, "http://")
	code, _, e = fsck(t, c.URI(), addr, "/")
	require.Equal(t, exitUsage, code)
	require.Contains(t, e, "fsck: http://"+addr+"/fsck answers 404 Not Found: 404 page not found\n")

	torn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("FSCK started\nThe filesystem under path '/' is HEALTHY")) // the rest never comes
	}))
	defer torn.Close()
	code, _, e = fsck(t, c.URI(), strings.TrimPrefix(torn.URL, "http://"), "/")
	require.Equal(t, exitUsage, code, "half an answer is none")
	require.Contains(t, e, "has not finished its answer")
}

// The HTTP address is the configured one, or the default port of the RPC host.
func TestFsckAddress(t *testing.T) {
	for _, c := range []struct{ set, authority, want string }{
		{"", "nn:8020", "nn:9870"}, {"", "nn", "nn:9870"}, {"web:1", "nn:8020", "web:1"}, {"0.0.0.0:51", "nn:8020", "nn:51"},
		{"web", "nn", "web:9870"}, {"", "[::1]:8020", "[::1]:9870"},
	} {
		e := &env{}
		e.config = e.config.with("x", "y")
		if c.set != "" {
			e.config = e.config.with("dfs.namenode.http-address", c.set)
		}
		require.NoError(t, e.config.load())
		got, err := e.httpAddress(context.Background(), c.authority)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c)
	}
}

func TestFsckAddressOfSeveralNameNodes(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer up.Close()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	e := &env{}
	for k, v := range map[string]string{"dfs.ha.namenodes.ns": "a, b", "dfs.namenode.rpc-address.ns.a": "h:1", "dfs.namenode.rpc-address.ns.b": "h:2",
		"dfs.namenode.http-address.ns.a": dead.Addr().String(), "dfs.namenode.http-address.ns.b": strings.TrimPrefix(up.URL, "http://")} {
		e.config = e.config.with(k, v)
	}
	require.NoError(t, e.config.load())
	got, err := e.httpAddress(context.Background(), "ns")
	require.NoError(t, err)
	require.Equal(t, strings.TrimPrefix(up.URL, "http://"), got)
	up.Close()
	_, err = e.httpAddress(context.Background(), "ns")
	require.ErrorContains(t, err, dead.Addr().String())
}
