package namenode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

// What HDFS 3.4.3 answers, asked by its own client.

func TestSetReplicationOfNothing(t *testing.T) {
	r := newRig(t, 3)
	r.write("/f", 10)
	r.mkdir("root", "/closed", 0o700)
	for _, p := range []string{"/nope", "/nope/x", "/", "/.reserved/raw/nope"} {
		ok, err := r.SetReplication(ctx, by("root"), p, 2)
		require.NoError(t, err, p)
		require.False(t, ok, p)
	}
	ok, err := r.SetReplication(ctx, by("bob"), "/nope", 2)
	require.NoError(t, err)
	require.False(t, ok)
	_, err = r.SetReplication(ctx, by("root"), "/nope", 600)
	kindAndText(t, err, dfs.Other, "Requested replication factor of 600 exceeds maximum of 512 for /nope")
	_, err = r.SetReplication(ctx, by("root"), "/f/x", 2)
	kindAndText(t, err, dfs.Permission, "/f (is not a directory)")
	_, err = r.SetReplication(ctx, by("root"), "/.reserved/.inodes/99999999", 2)
	kindAndText(t, err, dfs.NotFound, "File for given inode path does not exist: /.reserved/.inodes/99999999")
	_, err = r.SetReplication(ctx, by("bob"), "/closed/nope", 2)
	require.Equal(t, dfs.Permission, dfs.KindOf(err), "%v", err)
	_, err = r.SetReplication(ctx, by("bob"), "/f", 2)
	require.Equal(t, dfs.Permission, dfs.KindOf(err), "%v", err)
}

func TestLocationsOfNoBytes(t *testing.T) {
	const block = 1 << 20
	r := newRig(t, 3)
	r.write("/f", block, block, 452)
	r.create("root", "/open", "w")
	show := func(p string, off, n int64) string {
		lb, err := r.BlockLocations(by("root"), p, off, n)
		require.NoError(t, err)
		s := fmt.Sprint(lb.FileLength, lb.UnderConstruction, lb.LastComplete)
		for _, b := range lb.Blocks {
			s += fmt.Sprintf(" %d+%d", b.Offset, b.Length)
		}
		return s
	}
	const closed = "2097604 false true"
	for _, c := range []struct {
		off, n int64
		blocks string
	}{
		{0, 0, " 0+1048576"}, {1, 0, " 0+1048576"}, {block - 1, 0, " 0+1048576"}, {block - 1, 2, " 0+1048576 1048576+1048576"},
		{block, 0, " 1048576+1048576"}, {2 * block, 0, " 2097152+452"}, {2*block + 451, 0, " 2097152+452"},
		{2*block + 452, 0, ""}, {2*block + 452, 1, ""}, {3 * block, 0, ""},
	} {
		require.Equal(t, closed+c.blocks, show("/f", c.off, c.n), "%d %d", c.off, c.n)
	}
	require.Equal(t, "0 true false", show("/open", 0, 10))
	done, err := r.Complete(ctx, by("root"), "/open", "w", nil, 0)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "0 false false", show("/open", 0, 10))
	require.Equal(t, "0 false false", show("/open", 0, 0))
}

// A block being written takes all its space, in what is shown and under a quota alike.
func TestUsageOfFilesBeingWritten(t *testing.T) {
	const block = 1 << 20
	r := newRig(t, 3)
	r.mkdir("root", "/d", 0o755)
	require.NoError(t, r.SetQuota(ctx, by("root"), "/d", quotaKeep, 100*block, 0))
	usage := func(p string) (int64, int64) {
		sum, err := r.ContentSummary(by("root"), p)
		require.NoError(t, err)
		return sum.Length, sum.Space
	}
	check := func(length, space int64) {
		t.Helper()
		for _, p := range []string{"/d/f", "/d", "/"} {
			l, s := usage(p)
			require.Equal(t, []int64{length, space}, []int64{l, s}, p)
		}
		ino := r.stat("/d")
		q, ok := r.ns.Quota(ino.ID)
		require.True(t, ok)
		require.Equal(t, space, q.DSUsed, "what is shown is what the quota counts")
	}
	r.create("root", "/d/f", "w")
	check(0, 0)
	lb := r.addBlock("/d/f", "w", nil)
	require.NoError(t, r.Fsync(ctx, by("root"), "/d/f", "w", 100, 0))
	check(100, 3*block)
	r.restart()
	check(100, 3*block)
	first := lb.Block
	first.Length = 200
	require.NotEmpty(t, lb.Locs)
	_, err := r.SetReplication(ctx, by("root"), "/d/f", 2)
	require.NoError(t, err)
	check(100, 2*block)
}

func TestPathsThatAreTooLong(t *testing.T) {
	r := newRig(t, 1)
	r.write("/f", 10)
	deep := strings.Repeat("/a", dfs.MaxPathDepth)
	r.mkdir("root", deep, 0o755)
	const limits = ": Pathname too long.  Limit 8000 characters, 1000 levels."
	for _, p := range []string{deep + "/a", "/" + strings.Repeat("b", 8000), strings.Repeat("/"+strings.Repeat("\U0001f600", 80), 50)} {
		_, err := r.Mkdirs(ctx, by("root"), p, 0o755, true)
		kindAndText(t, err, dfs.Other, "mkdirs"+limits)
		_, err = r.Create(ctx, by("root"), newFile(p, "w"))
		kindAndText(t, err, dfs.Other, "create"+limits)
		_, err = r.Rename(ctx, by("root"), "/f", p)
		kindAndText(t, err, dfs.Other, "rename"+limits)
		kindAndText(t, r.Rename2(ctx, by("root"), "/f", p, dfs.RenameOptions{}), dfs.Other, "rename"+limits)
		require.Nil(t, r.stat(p))
		gone, err := r.Delete(ctx, by("root"), p, true)
		require.NoError(t, err)
		require.False(t, gone)
	}
	// A rename takes along what is below, and that can be reached.
	r.mkdir("root", "/b/b", 0o755)
	ok, err := r.Rename(ctx, by("root"), "/a", "/b/b/a")
	require.NoError(t, err)
	require.True(t, ok)
	require.NotNil(t, r.stat("/b/b"+deep))
}

func TestSafeModeThatWaitsForNoBlock(t *testing.T) {
	s := newSafeMode(SafeModeConfig{Threshold: -1, Extension: -1})
	require.True(t, s.update(blockCounts{safe: 0, total: 10}, time.Unix(1, 0)))
	require.False(t, s.isOn())
}
