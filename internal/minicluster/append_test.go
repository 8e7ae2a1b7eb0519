package minicluster_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/internal/minicluster"
)

// What is appended to a block with too few replicas is on as many datanodes as it should
// be when it is synced: the client does not count on the name node finding time for that.
func TestAppendToAnUnderReplicatedBlock(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 4})
	cl := open(t, c)
	data := random(300_000)
	w, err := cl.Create(t.Context(), "/f", client.CreateOptions{Replication: 1})
	require.NoError(t, err)
	_, err = w.Write(data[:200_000])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = cl.SetReplication(t.Context(), "/f", 3)
	require.NoError(t, err)
	w, err = cl.Append(t.Context(), "/f", client.AppendOptions{})
	require.NoError(t, err)
	_, err = w.Write(data[200_000:])
	require.NoError(t, err)
	require.NoError(t, w.Sync(true))
	located, err := cl.BlockLocations(t.Context(), "/f", 0, 1<<20)
	require.NoError(t, err)
	require.Len(t, located.Last.Locs, 3)
	require.NoError(t, w.Close())
	require.True(t, bytes.Equal(data, read(t, cl, "/f")))
}
