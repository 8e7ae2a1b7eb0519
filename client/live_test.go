package client

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file is read while it is open, flushed, synced, appended to inside a chunk, and
// summed up, against the real cluster that LIVE_HDFS names.
func TestLiveOpenFile(t *testing.T) {
	addr := os.Getenv("LIVE_HDFS")
	if addr == "" {
		t.Skip("LIVE_HDFS names a cluster")
	}
	c, err := Open(Config{NameNodes: []string{addr}, User: "root"})
	require.NoError(t, err)
	defer c.Close()
	w, err := c.Create(t.Context(), "/live-open", CreateOptions{Overwrite: true, BlockSize: 1 << 20})
	require.NoError(t, err)
	data := randomBytes(2<<20 + 777)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	f, err := c.Open(t.Context(), "/live-open")
	require.NoError(t, err)
	require.EqualValues(t, len(data), f.Size())
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.NoError(t, f.Close())
	_, err = w.Write([]byte("more"))
	require.NoError(t, err)
	require.NoError(t, w.Sync(true))
	st, err := c.Stat(t.Context(), "/live-open")
	require.NoError(t, err)
	require.EqualValues(t, len(data)+4, st.Length)
	require.NoError(t, w.Close())
	sum, err := c.CompositeChecksum(t.Context(), "/live-open")
	require.NoError(t, err)
	want := crc32.Checksum(append(append([]byte{}, data...), "more"...), crc32.MakeTable(crc32.Castagnoli))
	require.Equal(t, binary.BigEndian.AppendUint32(nil, want), sum.Value)
	a, err := c.Append(t.Context(), "/live-open", AppendOptions{})
	require.NoError(t, err)
	_, err = a.Write(data[:1<<20])
	require.NoError(t, err)
	require.NoError(t, a.Close())
	f, err = c.Open(t.Context(), "/live-open")
	require.NoError(t, err)
	got, err = io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, append(append(append([]byte{}, data...), "more"...), data[:1<<20]...), got)
}
