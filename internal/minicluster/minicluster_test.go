package minicluster_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/internal/minicluster"
	"redoubt/namenode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg minicluster.Config) *minicluster.Cluster {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	c, err := minicluster.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func open(t testing.TB, c *minicluster.Cluster) *client.Client {
	t.Helper()
	// The root's owner is the cluster's superuser: permissions do not stand in the way.
	st, err := c.NameNode().FileInfo(&dfs.Caller{User: "anyone"}, "/", true)
	require.NoError(t, err)
	cl, err := client.Open(client.Config{NameNodes: []string{c.RPCAddr()}, User: st.Owner})
	require.NoError(t, err)
	t.Cleanup(func() { cl.Close() })
	return cl
}

func write(t testing.TB, cl *client.Client, path string, data []byte) {
	t.Helper()
	w, err := cl.Create(t.Context(), path, client.CreateOptions{})
	require.NoError(t, err)
	_, err = io.Copy(w, bytes.NewReader(data))
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

func read(t testing.TB, cl *client.Client, path string) []byte {
	t.Helper()
	f, err := cl.Open(t.Context(), path)
	require.NoError(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	require.NoError(t, err)
	return data
}

func random(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	src.Read(b)
	return b
}

func TestWriteReadStopStart(t *testing.T) {
	dir := t.TempDir()
	small := func(cfg *namenode.Config) { cfg.Files.Defaults.BlockSize = 1 << 20 }
	data := random(3<<20 + 12345)
	c := start(t, minicluster.Config{Dir: dir, NameNode: small})
	require.True(t, c.Fresh())
	cl := open(t, c)
	write(t, cl, "/d/file", data)
	write(t, cl, "/d/empty", nil)
	require.True(t, bytes.Equal(data, read(t, cl, "/d/file")))
	require.NoError(t, c.Close())

	again := start(t, minicluster.Config{Dir: dir, NameNode: small})
	require.False(t, again.Fresh())
	cl = open(t, again)
	require.True(t, bytes.Equal(data, read(t, cl, "/d/file")))
	require.Empty(t, read(t, cl, "/d/empty"))
	write(t, cl, "/d/more", data)
	require.Empty(t, again.NameNode().SafeModeText())
}

// A name node that is restarted under its datanodes gets their reports and serves on, and
// a client that writes meanwhile comes through.
func TestNameNodeRestartsUnderAWriter(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 3})
	cl := open(t, c)
	data := random(2 << 20)
	w, err := cl.Create(t.Context(), "/f", client.CreateOptions{BlockSize: 1 << 20})
	require.NoError(t, err)
	_, err = w.Write(data[:1<<20+100])
	require.NoError(t, err)
	require.NoError(t, w.Sync(false))
	require.NoError(t, c.StopNameNode())
	require.NoError(t, c.StartNameNode(t.Context()))
	_, err = w.Write(data[1<<20+100:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.True(t, bytes.Equal(data, read(t, cl, "/f")))
}

func TestDatanodeStopsUnderReadersAndWriters(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 4})
	cl := open(t, c)
	data := random(2 << 20)
	write(t, cl, "/before", data)
	w, err := cl.Create(t.Context(), "/during", client.CreateOptions{})
	require.NoError(t, err)
	_, err = w.Write(data[:1<<20])
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.NoError(t, c.StopDataNode(0))
	_, err = w.Write(data[1<<20:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, c.StopDataNode(1))
	require.True(t, bytes.Equal(data, read(t, cl, "/before")))
	require.True(t, bytes.Equal(data, read(t, cl, "/during")))
	require.NoError(t, c.StartDataNode(t.Context(), 0))
	require.NoError(t, c.StartDataNode(t.Context(), 1))
	write(t, cl, "/after", data)
}

func TestRacks(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 4, Racks: 2})
	nodes, err := c.NameNode().DatanodeReport(&dfs.Caller{User: owner(t, c)}, dfs.ReportLive)
	require.NoError(t, err)
	racks := map[string]int{}
	for _, n := range nodes {
		racks[n.Location]++
	}
	require.Equal(t, map[string]int{"/rack1": 2, "/rack2": 2}, racks)
}

func owner(t *testing.T, c *minicluster.Cluster) string {
	st, err := c.NameNode().FileInfo(&dfs.Caller{User: "x"}, "/", true)
	require.NoError(t, err)
	return st.Owner
}

func TestHTTP(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 1})
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + c.HTTPAddr() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	code, text := get("/healthz")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", text)
	write(t, open(t, c), "/f", []byte("x"))
	code, text = get("/metrics")
	require.Equal(t, 200, code)
	for _, want := range []string{
		`redoubt_namenode_objects{kind="file"} 1`, `redoubt_namenode_datanodes{state="live"} 1`,
		`redoubt_rpc_call_seconds_count{method="create",protocol="ClientProtocol"} 1`,
		"redoubt_namenode_journal_sync_seconds_count", "redoubt_namenode_commit_seconds_count",
	} {
		require.Contains(t, text, want)
	}
	code, _ = get("/debug/pprof/")
	require.Equal(t, 404, code)
}

func TestBadStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), RPCPort: port})
	require.ErrorContains(t, err, taken.Addr().String())
	_, err = minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), HTTPPort: port})
	require.ErrorContains(t, err, taken.Addr().String())

	// A second cluster on a directory is refused, and harms nothing.
	dir := t.TempDir()
	c := start(t, minicluster.Config{Dir: dir})
	_, err = minicluster.Start(t.Context(), minicluster.Config{Dir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, "name"))
	write(t, open(t, c), "/f", []byte("x"))

	_, err = minicluster.Start(t.Context(), minicluster.Config{Dir: "", Datanodes: 1001, RPCPort: 70000, Replication: 1000})
	for _, part := range []string{"no directory", "1001 datanodes", "70000", "replication 1000"} {
		require.ErrorContains(t, err, part)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = minicluster.Start(t.Context(), minicluster.Config{Dir: file})
	require.Error(t, err)
	require.True(t, strings.Contains(err.Error(), file), err)
}

// BenchmarkReady: a fresh cluster of four datanodes, formatted and started.
func BenchmarkReady(b *testing.B) {
	for b.Loop() {
		c, err := minicluster.Start(context.Background(), minicluster.Config{Dir: b.TempDir()})
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, c.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/ready")
}

// A name node alone is what benchmarks need that play the datanodes themselves.
func TestNameNodeAlone(t *testing.T) {
	c, err := minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), Datanodes: -1, HTTPPort: -1})
	require.NoError(t, err)
	require.Zero(t, c.NameNode().Blocks().Nodes.Live)
	require.Equal(t, uint16(1), c.NameNode().ServerDefaults().Replication)
	require.NoError(t, c.Close())
}
