package datanode

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// TestOnlyTheSuperuserAdministers holds who may stop a datanode, ask for its volumes, or
// replace and verify members of its arrays. Anybody may see the arrays and read.
func TestOnlyTheSuperuserAdministers(t *testing.T) {
	_, nodes := startCluster(t, 1)
	n := nodes[0]
	n.cfg.Superuser = "hdfs"
	n = n.restart(t)
	ask := func(user, method string) error {
		conn, err := hadooprpc.Dial(t.Context(), n.IPCAddr().String(), hadooprpc.Options{User: user})
		require.NoError(t, err)
		defer conn.Close()
		return conn.Call(t.Context(), hadooprpc.Target{Protocol: hdfspb.ClientDatanodeProtocol, Version: 1, Method: method}, &hdfspb.Empty{}, nil)
	}
	for _, method := range []string{"getVolumeReport", "getBalancerBandwidth", "refreshNamenodes", "shutdownDatanode"} {
		var remote *hadooprpc.RemoteError
		require.ErrorAs(t, ask("mallory", method), &remote, method)
		require.Equal(t, "org.apache.hadoop.security.AccessControlException", remote.Class)
		require.Contains(t, remote.Message, "mallory")
	}
	require.NoError(t, ask("mallory", "getDatanodeInfo"))
	require.NoError(t, ask("hdfs", "getVolumeReport"))

	mallory := control.NewArrayClient(control.ClientConfig{Addr: n.IPCAddr().String(), User: "mallory"})
	defer mallory.Close()
	_, err := mallory.ArrayStatus(t.Context(), &control.ArrayStatusRequest{})
	require.NoError(t, err)
	_, err = mallory.ArrayVerify(t.Context(), &control.ArrayVerifyRequest{})
	require.Equal(t, dfs.Permission, dfs.KindOf(err), "%v", err)
	_, err = mallory.ArrayReplace(t.Context(), &control.ArrayReplaceRequest{Old: "/a", New: "/b"})
	require.Equal(t, dfs.Permission, dfs.KindOf(err), "%v", err)
	root := control.NewArrayClient(control.ClientConfig{Addr: n.IPCAddr().String(), User: "hdfs"})
	defer root.Close()
	_, err = root.ArrayReplace(t.Context(), &control.ArrayReplaceRequest{Old: "/a", New: "/b"})
	require.ErrorContains(t, err, "no array here has a member /a")

	require.NoError(t, ask("hdfs", "shutdownDatanode"))
	<-n.Done()
}
