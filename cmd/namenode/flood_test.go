//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// TestFlood: clients that only connect once used up the name node's file descriptors, and
// the next roll of the log ended it. With few of them, flooded on both ports, it rolls.
func TestFlood(t *testing.T) {
	dir := "dfs.namenode.name.dir=" + t.TempDir() + "/name"
	self := func(limit string, args ...string) (*exec.Cmd, *lines) {
		cmd := exec.Command("sh", append([]string{"-c", "ulimit -n " + limit + "; exec \"$0\" \"$@\"", os.Args[0]}, args...)...)
		cmd.Env = append(os.Environ(), asNameNode+"=1", "HADOOP_USER_NAME=root")
		out := newLines()
		cmd.Stdout, cmd.Stderr = out, out
		return cmd, out
	}
	format, out := self("64", "format", "-D", dir)
	require.NoError(t, format.Run(), out)
	nn, out := self("64", "run", "-D", dir, "-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0")
	require.NoError(t, nn.Start())
	defer func() { _ = nn.Process.Kill() }() // it may have ended
	addr := out.await(t, `msg=serving rpc=(\S+) http=(\S+)`)

	c, err := hadooprpc.Dial(t.Context(), addr[1], hadooprpc.Options{User: "root", Protocol: hdfspb.ClientProtocol})
	require.NoError(t, err)
	defer c.Close()
	var held []net.Conn
	flood := func(addr string) {
		for range 100 {
			nc, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			held = append(held, nc)
		}
	}
	for round := range 3 {
		flood(addr[1])
		flood(addr[2])
		require.NoError(t, mkdirs(t.Context(), c, "/d"+string(rune('a'+round))))
		require.NoError(t, roll(t.Context(), c), out)
	}
	last := held[len(held)-101] // of the RPC port, and over the limit
	word, err := io.ReadAll(last)
	require.NoError(t, err)
	if len(word) > 0 { // a few at a time are told, the others just closed
		require.Contains(t, string(word), "Server too busy")
	}
	out.await(t, "the RPC port has as many connections as it may: others are refused")
	out.await(t, "the HTTP port has as many connections as it may: others are refused")

	for _, nc := range held {
		require.NoError(t, nc.Close())
	}
	for { // until the server has noticed
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr[2] + "/healthz")
		if err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK {
			break
		}
	}
	resp, err := http.Get("http://" + addr[2] + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Regexp(t, `redoubt_rpc_connections_refused_total [1-9]\d+`, string(metrics))
	require.Regexp(t, `redoubt_http_connections_refused_total [1-9]\d+`, string(metrics))
	require.NoError(t, roll(t.Context(), c))
	require.NoError(t, nn.Process.Signal(syscall.SIGTERM))
	require.NoError(t, nn.Wait(), out)
}

func target(method string) hadooprpc.Target {
	return hadooprpc.Target{Protocol: hdfspb.ClientProtocol, Version: 1, Method: method}
}

func roll(ctx context.Context, c *hadooprpc.Conn) error {
	return c.Call(ctx, target("rollEdits"), &hdfspb.Empty{}, &hdfspb.Empty{})
}

func mkdirs(ctx context.Context, c *hadooprpc.Conn, path string) error {
	mode, parent := uint32(0o755), false
	return c.Call(ctx, target("mkdirs"), &hdfspb.MkdirsRequest{Src: &path, Masked: &hdfspb.FsPermission{Perm: &mode}, CreateParent: &parent}, &hdfspb.Empty{})
}
