package dfs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseACL(t *testing.T) {
	list, err := ParseACL("user::rwx,user:bob:rw-,GROUP::r--,mask::---,default:other::--x,,group:ops:-w-", true)
	require.NoError(t, err)
	require.Equal(t, []ACLEntry{
		{ACLUser, ACLAccess, 7, ""}, {ACLUser, ACLAccess, 6, "bob"}, {ACLGroup, ACLAccess, 4, ""}, {ACLMask, ACLAccess, 0, ""},
		{ACLOther, ACLDefault, 1, ""}, {ACLGroup, ACLAccess, 2, "ops"},
	}, list)
	list, err = ParseACL("user:bob,default:group:,mask::", false)
	require.NoError(t, err)
	require.Equal(t, []ACLEntry{{ACLUser, ACLAccess, 0, "bob"}, {ACLGroup, ACLDefault, 0, ""}, {ACLMask, ACLAccess, 0, ""}}, list)

	for spec, want := range map[string]string{
		"user:bob":            "Invalid <aclSpec> : user:bob",
		"user:bob:rw":         "Invalid permission in <aclSpec> : user:bob:rw",
		"bogus:bob:rwx":       "Invalid type of acl in <aclSpec> :bogus:bob:rwx",
		"::":                  "Invalid <aclSpec> : ::",
		"default":             "Invalid <aclSpec> : default",
		"user:bob:rwx:x":      "Invalid <aclSpec> : user:bob:rwx:x",
		"default:default::rw": "Invalid type of acl in <aclSpec> :default:default::rw",
	} {
		_, err := ParseACL(spec, true)
		require.ErrorContains(t, err, want, spec)
		require.True(t, Is(err, IllegalArgument))
	}
	_, err = ParseACL("user:bob:r--", false)
	require.ErrorContains(t, err, "Invalid <aclSpec> : user:bob:r--")
}

func TestACLEntryString(t *testing.T) {
	for _, e := range []ACLEntry{
		{ACLUser, ACLAccess, 7, ""}, {ACLGroup, ACLDefault, 5, "ops"}, {ACLMask, ACLAccess, 0, ""}, {ACLOther, ACLDefault, 2, ""},
	} {
		back, err := ParseACL(e.String(), true)
		require.NoError(t, err)
		require.Equal(t, []ACLEntry{e}, back)
	}
	require.Equal(t, "default:group:ops:r-x", ACLEntry{ACLGroup, ACLDefault, 5, "ops"}.String())
}

func TestFullACL(t *testing.T) {
	require.Equal(t, []ACLEntry{{ACLUser, 0, 7, ""}, {ACLGroup, 0, 5, ""}, {ACLOther, 0, 1, ""}}, FullACL(0o1751, nil))
	require.Equal(t, []ACLEntry{
		{ACLUser, 0, 7, ""}, {ACLUser, 0, 6, "bob"}, {ACLGroup, 0, 1, ""}, {ACLMask, 0, 5, ""}, {ACLOther, 0, 0, ""}, {ACLUser, 1, 7, ""},
	}, FullACL(0o750, []ACLEntry{{ACLUser, 0, 6, "bob"}, {ACLGroup, 0, 1, ""}, {ACLUser, 1, 7, ""}}))
}

func TestXAttrNames(t *testing.T) {
	x, err := ParseXAttrName("USER.a.b")
	require.NoError(t, err)
	require.Equal(t, XAttr{Space: XAttrUser, Name: "a.b"}, x)
	require.Equal(t, "user.a.b", x.FullName())
	x, err = ParseXAttrName(UnreadableBySuperuser)
	require.NoError(t, err)
	require.Equal(t, UnreadableBySuperuser, x.FullName())
	for _, bad := range []string{"", "a", "user", ".a", "bogus.a", "users.a"} {
		_, err := ParseXAttrName(bad)
		require.ErrorContains(t, err, "must be prefixed with", bad)
	}
	_, err = ParseXAttrName("raw.")
	require.ErrorContains(t, err, "cannot be empty")
}
