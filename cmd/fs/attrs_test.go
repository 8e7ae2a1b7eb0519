package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/minicluster"
)

// TestAttributesLive runs the commands for ACLs, extended attributes, storage policies
// and groups against a cluster in this process; each line is followed by its outputs.
func TestAttributesLive(t *testing.T) {
	c, err := minicluster.Start(t.Context(), minicluster.Config{Dir: t.TempDir(), HTTPPort: -1, Datanodes: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	for _, line := range []struct {
		args, out string
		code      int
	}{
		{"-mkdir -p /a/b", "", 0},
		{"-setfacl -m user:bob:rwx,default:group:ops:r-x /a", "", 0},
		{"-touchz /a/f", "", 0},
		{"-getfacl /a/f", "# file: /a/f\n# owner: USER\n# group: GROUP\nuser::rw-\ngroup::r-x\t#effective:r--\ngroup:ops:r-x\t#effective:r--\nmask::r--\nother::r--\n\n", 0},
		{"-setfacl -b /nope", "setfacl: `/nope': No such file or directory\n", 1},
		{"-setfacl -b file:///", "setfacl: ACLs are not supported on file:///\n", 1},
		{"-setfattr -n user.a -v 0x4142 /a/f", "", 0},
		{"-cp -pax /a/f /a/g", "", 0},
		{"-getfattr -d /a/g", "# file: /a/g\nuser.a=\"AB\"\n", 0},
		{"-getfattr -n user.b /a/g", "# file: /a/g\ngetfattr: At least one of the attributes provided was not found.\n", 1},
		{"storagepolicies -getStoragePolicy -path /a", "The storage policy of /a is unspecified\n", 0},
		{"storagepolicies -setStoragePolicy -path /a -policy cold", "Set storage policy cold on /a\n", 0},
		{"storagepolicies -getStoragePolicy -path /a/b",
			"The storage policy of /a/b:\nBlockStoragePolicy{COLD:2, storageTypes=[ARCHIVE], creationFallbacks=[], replicationFallbacks=[]}\n", 0},
		{"storagepolicies -setStoragePolicy -path /a -policy raid5-4", "Set storage policy raid5-4 on /a\n", 0},
		{"storagepolicies -getStoragePolicy -path /a/b",
			"The storage policy of /a/b:\nBlockStoragePolicy{RAID5:36, storageTypes=[DISK], creationFallbacks=[], replicationFallbacks=[ARCHIVE]}\n", 0},
		{"-setrep -w 9 /a/f", "Replication 9 set: /a/f\nsetrep: /a/f is kept under RAID5: its replication counts under another policy only, nothing to wait for\n", 0},
		{"storagepolicies -satisfyStoragePolicy -path /a", "Scheduled blocks to move based on the current storage policy on /a\n", 0},
		{"storagepolicies -satisfyStoragePolicy -path /nope", "FileNotFoundException: File/Directory does not exist: /nope\n", 2},
		{"storagepolicies -satisfyStoragePolicy", "Please specify the path for satisfying the storage policy.\nUsage: -satisfyStoragePolicy -path <path>\n", 1},
		{"storagepolicies -setStoragePolicy -path /a -policy RAID5-17", "RemoteException: Cannot find a block policy with the name RAID5-17\n", 2},
		{"storagepolicies -unsetStoragePolicy -path /a", "Unset storage policy from /a\n", 0},
		{"storagepolicies -setStoragePolicy -path /a -policy NOPE", "RemoteException: Cannot find a block policy with the name NOPE\n", 2},
		{"storagepolicies -getStoragePolicy -path /nope", "File/Directory does not exist: /nope\n", 2},
		{"storagepolicies -setStoragePolicy -path /a", "Please specify the policy name.\nUsage: -setStoragePolicy -path <path> -policy <policy>\n", 1},
		{"groups no-such-user-here", "no-such-user-here :\n", 0},
	} {
		var out, errOut bytes.Buffer
		e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errOut, user: effectiveUser(), dir: "/"}
		words := strings.Fields(line.args)
		words = append([]string{words[0], "-fs", c.URI()}, words[1:]...)
		if strings.HasPrefix(words[0], "-") {
			words = append([]string{"fs", "-fs", c.URI()}, strings.Fields(line.args)...)
		}
		code := run(context.Background(), e, words)
		require.Equal(t, line.code, code, "%s: %s", line.args, errOut.String())
		got := out.String() + errOut.String()
		if want := line.out; strings.Contains(want, "USER") {
			lines := strings.SplitAfterN(got, "\n", 4)
			require.Len(t, lines, 4)
			got = lines[0] + "# owner: USER\n# group: GROUP\n" + lines[3]
		}
		require.Equal(t, line.out, got, line.args)
	}
}

// TestSortAsJava checks the order against what Hadoop's shell printed of the same names.
func TestSortAsJava(t *testing.T) {
	var list []dfs.XAttr
	for _, name := range []string{"a", "b", "c", "d"} {
		list = append(list, dfs.XAttr{Name: name})
	}
	list = append(list, dfs.XAttr{Space: dfs.XAttrTrusted, Name: "t"})
	sortAsJava(list)
	var got []string
	for i := range list {
		got = append(got, list[i].FullName())
	}
	require.Equal(t, []string{"user.b", "user.a", "user.d", "user.c", "trusted.t"}, got)
}

func TestValues(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "x": "x", `"`: `"`, `"a b"`: "a b", `""`: "", "0x": "", "0X4a4B": "JK", "0sQUI=": "AB", "0SQUI": "AB", "0s*Q U I": "AB", "0sA": "", "0": "0", "0y": "0y",
	} {
		got, err := parseValue(text)
		require.NoError(t, err, text)
		require.Equal(t, want, string(got), text)
	}
	_, err := parseValue("0x123")
	require.ErrorContains(t, err, "Odd number of characters.")
	_, err = parseValue("0x1g")
	require.ErrorContains(t, err, "Illegal hexadecimal character g at index 1")
}
