package client

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// What a server says is not plain blocks is refused by name before a byte is read or lost.
func TestOtherKindsOfFilesAreRefused(t *testing.T) {
	for name, kind := range map[string]func(*hdfspb.HdfsFileStatus, *hdfspb.LocatedBlocks){
		"it is erasure-coded with policy XOR-2-1-1024k": func(st *hdfspb.HdfsFileStatus, l *hdfspb.LocatedBlocks) {
			st.EcPolicy = &hdfspb.ErasureCodingPolicy{Id: new(uint32(4))}
			l.EcPolicy = st.EcPolicy
		},
		"it is erasure-coded with policy mine": func(st *hdfspb.HdfsFileStatus, l *hdfspb.LocatedBlocks) {
			st.EcPolicy = &hdfspb.ErasureCodingPolicy{Id: new(uint32(70)), Name: new("mine")}
			l.EcPolicy = st.EcPolicy
		},
		"it is in an encryption zone": func(st *hdfspb.HdfsFileStatus, l *hdfspb.LocatedBlocks) {
			st.FileEncryptionInfo = &hdfspb.FileEncryptionInfo{KeyName: new("k")}
			l.FileEncryptionInfo = st.FileEncryptionInfo
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, 3, 4096, func(t *testing.T, c *cluster, cl *Client) {
				writeFile(t, cl, randomBytes(5000))
				c.kind = kind
				refused := func(err error, what string) {
					t.Helper()
					require.True(t, dfs.Is(err, dfs.Unsupported), "%v", err)
					require.ErrorContains(t, err, "/f can't be "+what+": "+name)
				}
				_, err := cl.Open(t.Context(), "/f")
				refused(err, "read")
				_, err = cl.Append(t.Context(), "/f", AppendOptions{})
				refused(err, "appended to")
				_, err = cl.Create(t.Context(), "/f", CreateOptions{Overwrite: true})
				refused(err, "overwritten")
				if name != "it is in an encryption zone" { // of ciphertext there is a checksum
					_, err = cl.Checksum(t.Context(), "/f")
					refused(err, "summed up")
				}
				require.Zero(t, c.calls["append"])
				require.Equal(t, int64(5000), c.length, "nothing is lost")

				c.length = 0 // what is empty may be replaced by what is empty
				w, err := cl.Create(t.Context(), "/f", CreateOptions{Overwrite: true})
				require.NoError(t, err)
				_, err = w.Write([]byte("x"))
				refused(err, "written")
				refused(w.Close(), "written")
				require.False(t, c.open, "no lease is left behind")
			})
		})
	}
}

// A file that turns into another kind while it is open is not read on.
func TestRelocatedToAnotherKind(t *testing.T) {
	bubble(t, 3, 3, 4096, func(t *testing.T, c *cluster, cl *Client) {
		writeFile(t, cl, randomBytes(5000))
		f, err := cl.Open(t.Context(), "/f")
		require.NoError(t, err)
		c.kind = func(_ *hdfspb.HdfsFileStatus, l *hdfspb.LocatedBlocks) {
			l.EcPolicy = &hdfspb.ErasureCodingPolicy{Id: new(uint32(1))}
		}
		require.ErrorContains(t, f.relocate(0), "erasure-coded with policy RS-6-3-1024k")
		require.NoError(t, f.Close())
	})
}
