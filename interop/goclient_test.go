package interop

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/colinmarc/hdfs/v2"
	"github.com/stretchr/testify/require"
)

func (c cluster) goClient(t *testing.T, user string) *hdfs.Client {
	client, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(c.uri, "hdfs://")}, User: user})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// TestGoClient drives every kind of call that colinmarc/hdfs makes. Its own pipeline
// habits (sequence numbers from 1, ragged packets, unused generation stamps, abrupt
// closes) are what a server gets wrong first.
func TestGoClient(t *testing.T) {
	c := startRedoubt(t)
	super := c.goClient(t, currentUser(t))
	require.NoError(t, super.MkdirAll("/user/alice", 0o755))
	require.NoError(t, super.Chown("/user/alice", "alice", "staff"))
	alice := c.goClient(t, "alice")

	rng := rand.New(rand.NewSource(1))
	for _, size := range []int{0, 1, 511, 512, 513, 65536, 1<<20 + 7, 5<<20 + 300} {
		name := fmt.Sprintf("/user/alice/f%d", size)
		data := make([]byte, size)
		rng.Read(data)
		w, err := alice.CreateFile(name, 3, 1<<20, 0o640)
		require.NoError(t, err)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rng.Intn(100_000))
			_, err := w.Write(rest[:n])
			require.NoError(t, err)
			rest = rest[n:]
			if rng.Intn(4) == 0 {
				require.NoError(t, w.Flush(), "%s: flush", name)
			}
		}
		closeWriter(t, w)

		got, err := alice.ReadFile(name)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), "%s: %d bytes came back as %d", name, len(data), len(got))
		checkReads(t, alice, name, data, rng)
		appendTo(t, alice, name, data, rng)
	}

	info, err := alice.Stat("/user/alice/f513")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	require.Equal(t, "alice", info.(*hdfs.FileInfo).Owner())
	require.Equal(t, "staff", info.(*hdfs.FileInfo).OwnerGroup())

	require.NoError(t, alice.Rename("/user/alice/f1", "/user/alice/moved"))
	require.NoError(t, alice.Chmod("/user/alice/moved", 0o600))
	_, err = c.goClient(t, "bob").ReadFile("/user/alice/moved")
	require.ErrorContains(t, err, "AccessControlException")
	_, err = alice.Stat("/user/alice/f1")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, alice.Mkdir("/user/alice/moved", 0o755), os.ErrExist)
	_, err = alice.Create("/user/alice/moved")
	require.ErrorIs(t, err, os.ErrExist)
	require.Error(t, alice.Remove("/user"))
	require.NoError(t, alice.Remove("/user/alice/moved"))

	names, err := alice.ReadDir("/user/alice")
	require.NoError(t, err)
	require.Len(t, names, 7)
	fs, err := alice.StatFs()
	require.NoError(t, err)
	require.Positive(t, fs.Capacity)
}

// closeWriter closes as the client's own tool does: replicas may still be on their way.
func closeWriter(t *testing.T, w *hdfs.FileWriter) {
	for range 200 {
		err := w.Close()
		if err == nil {
			return
		}
		require.True(t, errors.Is(err, hdfs.ErrReplicating) || hdfs.IsErrReplicating(err), "close: %v", err)
	}
	require.Fail(t, "close never ended")
}

func checkReads(t *testing.T, client *hdfs.Client, name string, data []byte, rng *rand.Rand) {
	r, err := client.Open(name)
	require.NoError(t, err)
	defer r.Close()
	for range 10 {
		off := rng.Intn(len(data) + 1)
		buf := make([]byte, rng.Intn(200_000))
		n, err := r.ReadAt(buf, int64(off))
		if off+len(buf) > len(data) {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(data[off:off+n], buf[:n]), "%s: read of %d at %d", name, len(buf), off)
	}
	sum, err := r.Checksum()
	require.NoError(t, err)
	require.NotEmpty(t, sum)
	if len(data) == 0 {
		empty := md5.Sum(make([]byte, 32))
		require.Equal(t, empty[:], sum)
	}
}

func appendTo(t *testing.T, client *hdfs.Client, name string, data []byte, rng *rand.Rand) {
	more := make([]byte, 1+rng.Intn(3000))
	rng.Read(more)
	w, err := client.Append(name)
	require.NoError(t, err)
	_, err = w.Write(more)
	require.NoError(t, err)
	closeWriter(t, w)
	got, err := client.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(append(data[:len(data):len(data)], more...), got), "%s: after append", name)
}

// TestGoClientXAttrs sets, lists, gets and removes extended attributes.
func TestGoClientXAttrs(t *testing.T) {
	c := startRedoubt(t)
	super := c.goClient(t, currentUser(t))
	require.NoError(t, super.MkdirAll("/user/alice", 0o755))
	require.NoError(t, super.Chown("/user/alice", "alice", "staff"))
	alice := c.goClient(t, "alice")
	require.NoError(t, alice.CreateEmptyFile("/user/alice/f"))
	require.NoError(t, alice.SetXAttr("/user/alice/f", "user.color", "red"))
	require.NoError(t, alice.SetXAttr("/user/alice/f", "user.empty", ""))
	require.NoError(t, alice.SetXAttr("/user/alice/f", "user.color", "blue"))
	require.NoError(t, super.SetXAttr("/user/alice/f", "trusted.note", "kept"))

	all, err := alice.ListXAttrs("/user/alice/f")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"user.color": "blue", "user.empty": ""}, all)
	all, err = super.ListXAttrs("/user/alice/f")
	require.NoError(t, err)
	require.Len(t, all, 3)
	some, err := alice.GetXAttrs("/user/alice/f", "user.color")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"user.color": "blue"}, some)

	_, err = alice.GetXAttrs("/user/alice/f", "user.color", "user.nope")
	require.ErrorContains(t, err, "not found")
	require.ErrorIs(t, alice.SetXAttr("/user/alice/f", "trusted.note", "mine"), os.ErrPermission)
	require.ErrorIs(t, c.goClient(t, "bob").SetXAttr("/user/alice/f", "user.color", "green"), os.ErrPermission)
	_, err = alice.ListXAttrs("/user/alice/nope")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, alice.RemoveXAttr("/user/alice/f", "user.color"))
	require.Error(t, alice.RemoveXAttr("/user/alice/f", "user.color"))
}
