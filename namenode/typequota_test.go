package namenode

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// TestTypeQuota: answers are those of Hadoop 3.4.3's name node.
func TestTypeQuota(t *testing.T) {
	r := newRig(t, 3)
	r.mkdir("root", "/d/sub", 0o777)
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/d", "ONE_SSD"))
	set := func(user, path string, names, bytes int64, typ dfs.StorageType) error {
		return r.SetQuota(ctx, by(user), path, names, bytes, typ)
	}
	const keep = math.MaxInt64
	require.NoError(t, set("root", "/d", keep, 1<<20, dfs.StorageSSD))
	r.write("/d/f", 1000)
	sum, err := r.ContentSummary(by("root"), "/d")
	require.NoError(t, err)
	require.Equal(t, dfs.TypeSpace{1 << 20, -1, -1, -1, -1}, sum.TypeQuota)
	require.Equal(t, dfs.TypeSpace{1000, 2000}, sum.TypeUsed)
	require.Equal(t, dfs.TypeSpace{1000, 2000}, sum.TypeSpace)

	kindAndText(t, set("bob", "/d", keep, 5, dfs.StorageSSD), dfs.Permission, "Access denied for user bob. Superuser privilege is required")
	kindAndText(t, set("root", "/d", 5, 5, dfs.StorageSSD), dfs.Unsupported,
		"Failed to set quota by storage type because eitherdfs.quota.by.storage.type.enabled is set to true or nsQuota value is illegal 5")
	kindAndText(t, set("root", "/d", keep, -2, dfs.StorageSSD), dfs.RuntimeIllegal, "Illegal value for nsQuota or ssQuota : 9223372036854775807 and -2")
	kindAndText(t, set("root", "/d", keep, 5, dfs.StorageRAMDisk), dfs.RuntimeIllegal, "Don't support Quota for storage type : RAM_DISK")
	kindAndText(t, set("root", "/d/f", keep, 5, dfs.StorageSSD), dfs.NotDirectory, "`/d/f': Is not a directory")
	kindAndText(t, set("root", "/none", keep, 5, dfs.StorageSSD), dfs.NotFound, "Directory does not exist: /none")

	require.NoError(t, set("root", "/d", keep, 1000, dfs.StorageSSD))
	r.create("root", "/d/g", "w")
	_, err = r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/d/g", Holder: "w"})
	kindAndText(t, err, dfs.TypeQuotaExceeded, "Quota by storage type : SSD on path : /d is exceeded. quota = 1000 B but space consumed = ")
	ok, err := r.SetReplication(ctx, by("root"), "/d/f", 4) // one more on DISK
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, set("root", "/d", keep, keep, dfs.StorageSSD)) // HDFS takes it for none
	sum, err = r.ContentSummary(by("root"), "/d")
	require.NoError(t, err)
	require.Equal(t, dfs.TypeSpace{-1, -1, -1, -1, -1}, sum.TypeQuota)
	require.NoError(t, set("root", "/d", keep, 0, dfs.StorageDisk))
	require.NoError(t, set("root", "/d", keep, -1, dfs.StorageDisk))

	off := newRig(t, 0, func(c *Config) { c.Attrs.NoTypeQuotas = true })
	kindAndText(t, off.SetQuota(ctx, by("root"), "/", keep, 5, dfs.StorageSSD), dfs.Unsupported, "enabled is set to false or")
}
