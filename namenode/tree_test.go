package namenode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestMkdirs(t *testing.T) {
	r := newRig(t, 0)
	r.mkdir("root", "/a/b", 0o750)
	require.Equal(t, dfs.Mode(0o750), r.stat("/a/b").Mode)
	require.Equal(t, "supergroup", r.stat("/a/b").Group)
	r.mkdir("root", "/a/b", 0o700) // there already
	require.Equal(t, dfs.Mode(0o750), r.stat("/a/b").Mode)
	r.create("root", "/f", "w")
	_, err := r.Mkdirs(ctx, by("root"), "/f", 0o755, true)
	kindAndText(t, err, dfs.AlreadyExists, "Path is not a directory: /f")
	_, err = r.Mkdirs(ctx, by("root"), "/f/x/y", 0o755, true)
	kindAndText(t, err, dfs.ParentNotDirectory, "/f (is not a directory)")
	_, err = r.Mkdirs(ctx, by("root"), "/no/such", 0o755, false)
	kindAndText(t, err, dfs.NotFound, "Parent directory doesn't exist: /no")
	_, err = r.Mkdirs(ctx, by("bob"), "/x", 0o755, true)
	kindAndText(t, err, dfs.Permission, `Permission denied: user=bob, access=WRITE, inode="/":root:supergroup:drwxr-xr-x`)
	_, err = r.Mkdirs(ctx, by("carol"), "/by-supergroup", 0o755, true)
	require.NoError(t, err)
	for _, bad := range []string{"rel", "/a/../b", "/a/./b", "/x:y", "/nul\x00", "/bad\xff"} {
		_, err = r.Mkdirs(ctx, by("root"), bad, 0o755, true)
		require.Equal(t, dfs.InvalidPath, dfs.KindOf(err), "%q: %v", bad, err)
	}
	_, err = r.Mkdirs(ctx, by("root"), "/a/"+strings.Repeat("n", 256), 0o755, true)
	kindAndText(t, err, dfs.ComponentTooLong, "in directory /a is exceeded: limit=255 length=256")
	_, err = r.Mkdirs(ctx, by("root"), "/a/.snapshot", 0o755, true)
	kindAndText(t, err, dfs.IllegalArgument, `".snapshot" is a reserved name.`)
	_, err = r.Mkdirs(ctx, by("root"), "/.reserved/x", 0o755, true)
	require.Error(t, err)
	r.mkdir("root", "/a/c/", 0o755)
	require.True(t, r.exists("/a/c"))
}

func TestDirectoryItemLimit(t *testing.T) {
	r := newRig(t, 0, func(c *Config) { c.Files.MaxItems = 2 })
	r.mkdir("root", "/a", 0o755)
	r.mkdir("root", "/b", 0o755)
	_, err := r.Mkdirs(ctx, by("root"), "/c", 0o755, true)
	kindAndText(t, err, dfs.DirectoryTooFull, "The directory item limit of / is exceeded: limit=2 items=3")
	_, err = r.Create(ctx, by("root"), newFile("/c", "w"))
	require.Equal(t, dfs.DirectoryTooFull, dfs.KindOf(err))
	ok, err := r.Rename(ctx, by("root"), "/a", "/b/a")
	require.NoError(t, err)
	require.True(t, ok)
	r.mkdir("root", "/c", 0o755)
}

func TestDelete(t *testing.T) {
	r := newRig(t, 3)
	r.write("/d/f", 10)
	ok, err := r.Delete(ctx, by("root"), "/none", true)
	require.NoError(t, err)
	require.False(t, ok)
	_, err = r.Delete(ctx, by("root"), "/d", false)
	kindAndText(t, err, dfs.NotEmpty, "/d is non empty")
	_, err = r.Delete(ctx, by("root"), "/", false)
	require.Equal(t, dfs.NotEmpty, dfs.KindOf(err))
	ok, err = r.Delete(ctx, by("root"), "/", true)
	require.NoError(t, err)
	require.False(t, ok, "the root stays")
	require.True(t, r.exists("/d/f"))
	ok, err = r.Delete(ctx, by("root"), "/d", true)
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, r.exists("/d"))
	require.Equal(t, int64(3), r.Blocks().Blocks.PendingDeletion, "its replicas are to be removed")
}

func TestDeletePermissions(t *testing.T) {
	r := newRig(t, 0)
	r.mkdir("root", "/tmp", 0o1777)
	r.mkdir("alice", "/tmp/alice", 0o755)
	r.mkdir("alice", "/tmp/alice/deep/empty", 0o700)
	_, err := r.Delete(ctx, by("bob"), "/tmp/alice", true)
	kindAndText(t, err, dfs.Permission, "Permission denied by sticky bit: user=bob, path=\"/tmp/alice\":alice:")
	r.mkdir("root", "/open", 0o777)
	r.mkdir("alice", "/open/alice/x", 0o755)
	_, err = r.Delete(ctx, by("bob"), "/open/alice", true)
	kindAndText(t, err, dfs.Permission, `user=bob, access=ALL, inode="/open/alice"`)
	r.mkdir("alice", "/open/empty", 0o700)
	ok, err := r.Delete(ctx, by("bob"), "/open/empty", true)
	require.NoError(t, err)
	require.True(t, ok, "an empty directory needs only its parent's leave")
	ok, err = r.Delete(ctx, by("alice"), "/tmp/alice", true)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestBigSubtreeIsReapedInSlices(t *testing.T) {
	r := newRig(t, 0)
	for i := range 9000 {
		r.create("root", fmt.Sprintf("/big/d%d/f%d", i%10, i), "w")
	}
	ok, err := r.Delete(ctx, by("root"), "/big", true)
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, r.exists("/big"))
	r.stop() // waits for what is under way
	r.start()
	for r.Counts().Files > 0 {
		r.wakeReaper()
		_, err := r.Mkdirs(ctx, by("root"), "/other", 0o755, true)
		require.NoError(t, err)
	}
	require.NoError(t, r.ns.Check())
}

func TestOldRename(t *testing.T) {
	r := newRig(t, 0)
	rename := func(src, dst string) bool {
		ok, err := r.Rename(ctx, by("root"), src, dst)
		require.NoError(t, err, "%s -> %s", src, dst)
		return ok
	}
	r.create("root", "/f", "w")
	r.create("root", "/g", "w")
	r.mkdir("root", "/d/sub", 0o755)
	require.True(t, rename("/f", "/f"), "a file onto itself")
	require.False(t, rename("/d", "/d"), "a directory onto itself")
	require.False(t, rename("/none", "/x"))
	require.False(t, rename("/f", "/no/dir"))
	require.False(t, rename("/f", "/g"), "the target exists")
	require.False(t, rename("/d", "/d/sub/x"), "into itself")
	require.False(t, rename("/", "/x"))
	_, err := r.Rename(ctx, by("root"), "/g", "/f/x")
	require.Equal(t, dfs.ParentNotDirectory, dfs.KindOf(err))
	require.True(t, rename("/f", "/d"))
	require.True(t, r.exists("/d/f"))
	require.True(t, rename("/d/f", "/"))
	require.True(t, r.exists("/f"))
	require.True(t, rename("/f", "/h"))
}

func TestRename2(t *testing.T) {
	r := newRig(t, 0)
	rename := func(src, dst string, o dfs.RenameOptions) error {
		return r.Rename2(ctx, by("root"), src, dst, o)
	}
	r.create("root", "/f", "w")
	r.create("root", "/g", "w")
	r.mkdir("root", "/d/full", 0o755)
	over := dfs.RenameOptions{Overwrite: true}
	require.Equal(t, dfs.AlreadyExists, dfs.KindOf(rename("/f", "/g", dfs.RenameOptions{})))
	require.Equal(t, dfs.AlreadyExists, dfs.KindOf(rename("/f", "/f", dfs.RenameOptions{})))
	require.Equal(t, dfs.NotFound, dfs.KindOf(rename("/none", "/x", dfs.RenameOptions{})))
	require.Equal(t, dfs.NotFound, dfs.KindOf(rename("/f", "/no/x", dfs.RenameOptions{})))
	require.Equal(t, dfs.ParentNotDirectory, dfs.KindOf(rename("/f", "/g/x", dfs.RenameOptions{})))
	require.Error(t, rename("/f", "/d", over), "types differ")
	require.Error(t, rename("/d", "/d/full/x", dfs.RenameOptions{}))
	r.mkdir("root", "/e", 0o755)
	require.Error(t, rename("/e", "/d", over), "the target is not empty")
	id := r.stat("/f").ID
	require.NoError(t, rename("/f", "/g", over))
	require.Equal(t, id, r.stat("/g").ID)
	require.False(t, r.exists("/f"))
	require.NoError(t, rename("/d/full", "/e", over))

	r.mkdir("root", "/p", 0o755)
	r.mkdir("alice", "/", 0o755)
	require.Equal(t, dfs.Permission, dfs.KindOf(r.Rename2(ctx, by("alice"), "/g", "/p/g", dfs.RenameOptions{})))
}

func TestAttributes(t *testing.T) {
	r := newRig(t, 3)
	r.mkdir("root", "/home", 0o777)
	r.create("alice", "/home/f", "w")
	a := by("alice")
	require.NoError(t, r.SetPermission(ctx, a, "/home/f", 0o100640))
	require.Equal(t, dfs.Mode(0o640), r.stat("/home/f").Mode)
	kindAndText(t, r.SetPermission(ctx, by("bob"), "/home/f", 0o777), dfs.Permission, "Permission denied. user=bob is not the owner of inode=/home/f")
	kindAndText(t, r.SetOwner(ctx, a, "/home/f", "bob", ""), dfs.Permission, "User alice is not a super user (non-super user cannot change owner).")
	kindAndText(t, r.SetOwner(ctx, a, "/home/f", "", "dev"), dfs.Permission, "User alice does not belong to dev")
	require.NoError(t, r.SetOwner(ctx, a, "/home/f", "", "staff"))
	require.NoError(t, r.SetOwner(ctx, by("root"), "/home/f", "nobody-here", "no-group"))
	st := r.stat("/home/f")
	require.Equal(t, "nobody-here", st.Owner)
	require.Equal(t, "no-group", st.Group)
	require.NoError(t, r.SetTimes(ctx, by("root"), "/home/f", 1000, -1))
	require.Equal(t, int64(1000), r.stat("/home/f").ModTime)
	require.NoError(t, r.SetTimes(ctx, by("root"), "/home/f", -1, 2000))
	require.Equal(t, int64(1000), r.stat("/home/f").ModTime)
	require.Equal(t, int64(2000), r.stat("/home/f").AccessTime)
	kindAndText(t, r.SetPermission(ctx, a, "/none", 0), dfs.NotFound, "File does not exist: /none")

	ok, err := r.SetReplication(ctx, by("root"), "/home", 2)
	require.NoError(t, err)
	require.False(t, ok, "a directory has none")
	ok, err = r.SetReplication(ctx, by("root"), "/home/f", 2)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, uint16(2), r.stat("/home/f").Replication)
	_, err = r.SetReplication(ctx, by("root"), "/home/f", 600)
	kindAndText(t, err, dfs.Other, "Requested replication factor of 600 exceeds maximum of 512 for /home/f")

	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/home", "COLD"))
	p, err := r.StoragePolicy(by("root"), "/home/f")
	require.NoError(t, err)
	require.Equal(t, "COLD", p.Name)
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/home", ""))
	p, err = r.StoragePolicy(by("root"), "/home/f")
	require.NoError(t, err)
	require.Equal(t, "HOT", p.Name)
	kindAndText(t, r.SetStoragePolicy(ctx, by("root"), "/home", "LUKEWARM"), dfs.IllegalArgument, "Cannot find a block policy with the name LUKEWARM")
}

func TestReads(t *testing.T) {
	r := newRig(t, 3)
	r.write("/d/f", 10)
	r.write("/d/g", 1<<20, 5)
	r.mkdir("root", "/d/sub", 0o700)

	st, err := r.FileInfo(by("root"), "/none/at/all", true)
	require.NoError(t, err)
	require.Nil(t, st)
	st, err = r.FileInfo(by("root"), "/d/f/x", true)
	require.NoError(t, err)
	require.Nil(t, st, "below a file, for the superuser")
	_, err = r.FileInfo(by("bob"), "/d/f/x", true)
	kindAndText(t, err, dfs.Permission, "/d/f (is not a directory)")
	_, err = r.FileInfo(by("bob"), "/d/sub/x", true)
	kindAndText(t, err, dfs.Permission, `access=EXECUTE, inode="/d/sub":root:supergroup:drwx------`)
	byID, err := r.FileInfo(by("root"), fmt.Sprintf("/.reserved/.inodes/%d", r.stat("/d/f").ID), true)
	require.NoError(t, err)
	require.Equal(t, r.stat("/d/f").ID, byID.ID)

	l, err := r.Listing(by("bob"), "/d", "", false)
	require.NoError(t, err)
	require.Len(t, l.Entries, 3)
	require.Equal(t, "f", l.Entries[0].Name)
	l, err = r.Listing(by("bob"), "/d", "f", true)
	require.NoError(t, err)
	require.Equal(t, []string{"g", "sub"}, []string{l.Entries[0].Name, l.Entries[1].Name})
	require.Len(t, l.Entries[0].Blocks.Blocks, 2)
	require.Nil(t, l.Entries[1].Blocks)
	l, err = r.Listing(by("root"), "/d/f", "", false)
	require.NoError(t, err)
	require.Len(t, l.Entries, 1)
	require.Empty(t, l.Entries[0].Name)
	l, err = r.Listing(by("root"), "/none", "", false)
	require.NoError(t, err)
	require.Nil(t, l)
	_, err = r.Listing(by("bob"), "/d/sub", "", false)
	kindAndText(t, err, dfs.Permission, "access=READ_EXECUTE")

	sum, err := r.ContentSummary(by("root"), "/d")
	require.NoError(t, err)
	require.Equal(t, dfs.ContentSummary{Length: 1<<20 + 15, Files: 2, Directories: 2, Space: 3 * (1<<20 + 15), NSQuota: -1, DSQuota: -1,
		TypeQuota: dfs.TypeSpace{-1, -1, -1, -1, -1}}, *sum)
	_, err = r.ContentSummary(by("bob"), "/d")
	kindAndText(t, err, dfs.Permission, `access=READ_EXECUTE, inode="/d/sub"`)
	_, err = r.ContentSummary(by("root"), "/none")
	require.Equal(t, dfs.NotFound, dfs.KindOf(err))

	_, err = r.BlockLocations(by("root"), "/none", 0, 1)
	kindAndText(t, err, dfs.NotFound, "File does not exist: /none")
	_, err = r.BlockLocations(by("root"), "/d", 0, 1)
	kindAndText(t, err, dfs.NotFound, "Path is not a file: /d")
	require.NoError(t, r.CheckAccess(by("bob"), "/d/f", dfs.Read))
	kindAndText(t, r.CheckAccess(by("bob"), "/d/f", dfs.Write), dfs.Permission, "access=WRITE")
	size, err := r.PreferredBlockSize(by("bob"), "/d/f")
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), size)
}

func TestListingPages(t *testing.T) {
	r := newRig(t, 0, func(c *Config) { c.Files.ListLimit = 7 })
	for i := range 25 {
		r.mkdir("root", fmt.Sprintf("/d/%03d", i), 0o755)
	}
	var names []string
	for after := ""; ; {
		l, err := r.Listing(by("root"), "/d", after, false)
		require.NoError(t, err)
		for _, e := range l.Entries {
			names = append(names, e.Name)
		}
		require.Equal(t, 25-len(names), l.Remaining)
		if l.Remaining == 0 {
			break
		}
		after = names[len(names)-1]
		_, err = r.Delete(ctx, by("root"), "/d/"+after, false) // gone when it is asked for
		require.NoError(t, err)
	}
	require.Len(t, names, 25)
}

func TestConcat(t *testing.T) {
	r := newRig(t, 3)
	r.write("/d/a", 1<<20)
	r.write("/d/b", 1<<20)
	r.write("/d/c", 10)
	require.NoError(t, r.Concat(ctx, by("root"), "/d/a", []string{"/d/b", "/d/c"}))
	require.Equal(t, int64(2<<20+10), r.stat("/d/a").Length)
	require.False(t, r.exists("/d/b"))
	require.Error(t, r.Concat(ctx, by("root"), "/d/a", []string{"/d/none"}))
	require.Error(t, r.Concat(ctx, by("root"), "/d/a", []string{"/d/a"}))
}

// HDFS refuses a new path with an empty name in it, and takes one everywhere else.
func TestNewPathsWithEmptyNames(t *testing.T) {
	r := newRig(t, 1)
	ctx, root := t.Context(), by("root")
	for _, path := range []string{"//a", "/a//b", "/a//", "//"} {
		_, err := r.Mkdirs(ctx, root, path, 0o755, true)
		require.True(t, dfs.Is(err, dfs.InvalidPath), "%s: %v", path, err)
	}
	ok, err := r.Mkdirs(ctx, root, "/a/", 0o755, true)
	require.NoError(t, err)
	require.True(t, ok)
	st, err := r.FileInfo(root, "//a//", true)
	require.NoError(t, err)
	require.NotNil(t, st)
}
