package clientrpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	pb "redoubt/wire/hdfspb"
)

// A client that asks for block keys is a mover, whose table has 16 places for policies; to
// others nothing changes.
func TestMoverIsToldOfPoliciesThatItKnows(t *testing.T) {
	addr := serve(t, &fake{})
	ids := func(c *hadooprpc.Conn) (most uint32) {
		var r pb.GetStoragePoliciesResponse
		require.NoError(t, c.Call(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: "getStoragePolicies"}, &pb.Empty{}, &r))
		for _, p := range r.Policies {
			most = max(most, p.GetPolicyId())
		}
		return most
	}
	mover, other := dial(t, addr, "root"), dial(t, addr, "root")
	require.Greater(t, ids(mover), uint32(15))
	require.NoError(t, mover.Call(context.Background(), hadooprpc.Target{Protocol: pb.NamenodeProtocol, Version: 1, Method: "getBlockKeys"}, &pb.Empty{}, &pb.GetBlockKeysResponse{}))
	require.Equal(t, uint32(15), ids(mover))
	require.Greater(t, ids(other), uint32(15))

	entries := []dfs.ListEntry{{FileStatus: dfs.FileStatus{StoragePolicy: 36}}, {FileStatus: dfs.FileStatus{StoragePolicy: 2}}}
	forMover(entries)
	require.Zero(t, entries[0].StoragePolicy)
	require.EqualValues(t, 2, entries[1].StoragePolicy)
}

func TestMoversRemembered(t *testing.T) {
	var m movers
	call := func(i byte) *hadooprpc.Call {
		c := &hadooprpc.Call{}
		c.Caller.ID.Client = [16]byte{i}
		return c
	}
	for i := range byte(maxMovers + 2) {
		m.note(call(i))
		m.note(call(i))
	}
	require.Len(t, m.known, maxMovers)
	require.False(t, m.has(call(0)), "no id is nobody's")
	require.False(t, m.has(call(1)))
	require.True(t, m.has(call(2)))
	require.True(t, m.has(call(maxMovers+1)))
}
