package namenode

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func xattr(t testing.TB, name, value string) dfs.XAttr {
	t.Helper()
	x, err := dfs.ParseXAttrName(name)
	require.NoError(t, err)
	if value != "" {
		x.Value = []byte(value)
	}
	return x
}

// names lists the attributes of a path that a user sees, as name=value.
func (r *rig) names(user, path string) string {
	r.t.Helper()
	list, err := r.ListXAttrs(by(user), path)
	require.NoError(r.t, err)
	var b []string
	for i := range list {
		b = append(b, list[i].FullName()+"="+string(list[i].Value))
	}
	return strings.Join(b, " ")
}

func TestXAttrs(t *testing.T) {
	r := newRig(t, 3)
	r.write("/f", 10)
	require.NoError(t, r.SetPermission(ctx, by("root"), "/f", 0o644))
	set := func(user, path, name, value string, flags uint8) error {
		return r.SetXAttr(ctx, by(user), path, xattr(t, name, value), flags)
	}
	kindAndText(t, set("root", "/f", "user.a", "1", 0), dfs.IllegalArgument, "A flag must be specified.")
	kindAndText(t, set("root", "/f", "user.a", "1", dfs.XAttrReplace), dfs.Other, "XAttr: a does not exist. The CREATE flag must be specified.")
	require.NoError(t, set("root", "/f", "user.a", "1", dfs.XAttrCreate))
	kindAndText(t, set("root", "/f", "user.a", "1", dfs.XAttrCreate), dfs.Other, "XAttr: a already exists. The REPLACE flag must be specified.")
	require.NoError(t, set("root", "/f", "user.a", "2", dfs.XAttrCreate|dfs.XAttrReplace))
	require.NoError(t, set("root", "/f", "user.none", "", dfs.XAttrCreate))
	require.NoError(t, set("root", "/f", "trusted.t", "3", dfs.XAttrCreate))
	require.NoError(t, set("root", "/.reserved/raw/f", "raw.r", "4", dfs.XAttrCreate))
	check := func() {
		require.Equal(t, "user.a=2 user.none= trusted.t=3", r.names("root", "/f"))
		require.Equal(t, "user.a=2 user.none= trusted.t=3 raw.r=4", r.names("root", "/.reserved/raw/f"))
		require.Equal(t, "user.a=2 user.none=", r.names("bob", "/f"))
		require.Equal(t, "user.a=2 user.none= raw.r=4", r.names("bob", "/.reserved/raw/f"))
	}
	check()
	r.restartSame()
	check()

	list, err := r.XAttrs(by("bob"), "/f", []dfs.XAttr{xattr(t, "user.none", ""), xattr(t, "user.a", "")})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "2", string(list[1].Value))
	_, err = r.XAttrs(by("bob"), "/f", []dfs.XAttr{xattr(t, "user.a", ""), xattr(t, "user.z", "")})
	kindAndText(t, err, dfs.NoXAttr, "At least one of the attributes provided was not found.")

	remove := func(user, path, name string) error {
		return r.RemoveXAttr(ctx, by(user), path, xattr(t, name, ""))
	}
	require.NoError(t, remove("root", "/f", "user.a"))
	kindAndText(t, remove("root", "/f", "user.a"), dfs.Other, "No matching attributes found for remove operation")
	kindAndText(t, remove("root", "/nope", "user.a"), dfs.NotFound, "cannot find /nope")
	kindAndText(t, set("root", "/nope", "user.a", "", 3), dfs.NotFound, "cannot find /nope")
	require.NoError(t, remove("root", "/.reserved/raw/f", "raw.r"))
}

func TestXAttrRights(t *testing.T) {
	r := newRig(t, 3)
	r.write("/f", 10)
	require.NoError(t, r.SetPermission(ctx, by("root"), "/f", 0o600))
	r.mkdir("root", "/open", 0o777)
	r.mkdir("root", "/sticky", 0o1777)
	set := func(user, path, name, value string) error {
		return r.SetXAttr(ctx, by(user), path, xattr(t, name, value), 3)
	}
	for _, name := range []string{"security.s", "system.s", "raw.r"} {
		kindAndText(t, set("root", "/f", name, "1"), dfs.Permission, "User doesn't have permission for xattr: "+name)
	}
	kindAndText(t, set("bob", "/open", "trusted.t", "1"), dfs.Permission, "User doesn't have permission for xattr: trusted.t")
	kindAndText(t, set("bob", "/.reserved/raw/open", "raw.r", "1"), dfs.Permission, "Access denied for user bob. Superuser privilege is required for operation setXAttr")
	require.ErrorContains(t, set("bob", "/f", "user.a", "1"), "user=bob, access=WRITE")
	_, err := r.ListXAttrs(by("bob"), "/f")
	require.ErrorContains(t, err, "user=bob, access=READ")
	_, err = r.XAttrs(by("bob"), "/f", []dfs.XAttr{xattr(t, "trusted.t", "")})
	kindAndText(t, err, dfs.Permission, "User doesn't have permission for xattr: trusted.t")
	require.NoError(t, set("bob", "/open", "user.a", "1"))
	kindAndText(t, set("bob", "/sticky", "user.a", "1"), dfs.Permission, "Permission denied. user=bob is not the owner of inode=/sticky")
	require.NoError(t, set("root", "/sticky", "user.a", "1"))

	kindAndText(t, set("root", "/f", dfs.UnreadableBySuperuser, "1"), dfs.Permission,
		"Attempt to set a value for 'security.hdfs.unreadable.by.superuser'. Values are not allowed for this xattr.")
	kindAndText(t, set("root", "/open", dfs.UnreadableBySuperuser, ""), dfs.Other, "Can only set 'security.hdfs.unreadable.by.superuser' on a file.")
	require.NoError(t, set("root", "/f", dfs.UnreadableBySuperuser, ""))
	_, err = r.BlockLocations(by("root"), "/f", 0, 1)
	kindAndText(t, err, dfs.Permission, "Access is denied for root since the superuser is not allowed to perform this operation.")
	kindAndText(t, r.RemoveXAttr(ctx, by("root"), "/f", xattr(t, dfs.UnreadableBySuperuser, "")), dfs.Permission,
		"The xattr 'security.hdfs.unreadable.by.superuser' can not be deleted.")
	require.Equal(t, dfs.UnreadableBySuperuser+"=", r.names("root", "/f"))
}

func TestXAttrLimits(t *testing.T) {
	r := newRig(t, 0, func(c *Config) { c.Attrs = AttrConfig{MaxXAttrs: 2, MaxXAttrSize: 10} })
	r.mkdir("root", "/d", 0o755)
	set := func(name, value string) error { return r.SetXAttr(ctx, by("root"), "/d", xattr(t, name, value), 3) }
	kindAndText(t, set("user.abcd", "1234567"), dfs.IllegalArgument,
		"The XAttr is too big. The maximum combined size of the name and value is 10, but the total size is 11")
	require.NoError(t, set("user.abcd", "123456"))
	require.NoError(t, set("trusted.b", ""))
	kindAndText(t, set("user.c", ""), dfs.Other, "Cannot add additional XAttr to inode, would exceed limit of 2")
	require.NoError(t, set("user.abcd", "1"), "replacing needs no room")
	require.NoError(t, r.SetXAttr(ctx, by("root"), "/.reserved/raw/d", xattr(t, "raw.c", ""), 3), "raw ones don't count")
	none := newRig(t, 0, func(c *Config) { c.Attrs.MaxXAttrs = -1 })
	kindAndText(t, none.SetXAttr(ctx, by("root"), "/", xattr(t, "user.a", ""), 3), dfs.Other, "Cannot add additional XAttr to inode, would exceed limit of 0")
}

// TestXAttrRetry repeats a call by its id, as a client does that lost the answer.
func TestXAttrRetry(t *testing.T) {
	r := newRig(t, 0)
	c := by("root")
	c.ID = dfs.CallID{Client: [16]byte{7}, Call: 1}
	for range 2 {
		require.NoError(t, r.SetXAttr(ctx, c, "/", xattr(t, "user.a", "1"), dfs.XAttrCreate))
	}
	c.ID.Call = 2
	for range 2 {
		require.NoError(t, r.RemoveXAttr(ctx, c, "/", xattr(t, "user.a", "")))
	}
}
