package nodeconf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/golden"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
)

// page is docs/settings.md: what counts, what is refused, what has no effect.
func page() string {
	var b strings.Builder
	b.WriteString(`# Which of Hadoop's settings count

Made from the tables that the programs themselves use, by
` + "`go test ./internal/nodeconf -run TestSettingsPage -update`" + `; interop's TestSettingsAreAllKnown
holds it against hdfs-default.xml and core-default.xml of Hadoop.

A setting that does not count is never passed over in silence. At their start name node,
datanode and minicluster log one warning for all settings of one reason; the shell says it
on standard error, for what is given by -D. A name that nobody knows is told with the
nearest one that somebody does. Settings of other products that share the files (yarn.*,
mapreduce.*, hive.*, io.*, other file systems' fs.*) are passed over. A setting that promises
security or protection which is not there ends the program, with exit code 2 (the shell: 255).

`)
	programs := []nodeconf.Program{nodeconf.NameNodeProgram, nodeconf.DataNodeProgram, nodeconf.ShellProgram}
	b.WriteString("## Honoured\n\n| key | read by | default | meaning |\n|---|---|---|---|\n")
	keys := slices.Clone(hadoopconf.Keys)
	slices.SortFunc(keys, func(a, c hadoopconf.Key) int { return strings.Compare(a.Name, c.Name) })
	for _, k := range keys {
		var by []string
		for _, p := range programs {
			if slices.Contains(p.Reads(), k.Name) {
				by = append(by, string(p))
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.Name, strings.Join(by, ", "), nodeconf.DefaultOf(k), strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	b.WriteString(`
These belong to the same: ` + "`dfs.ha.namenodes.NAME`, `dfs.namenode.rpc-address.NAME[.ID]`, `dfs.namenode.servicerpc-address.NAME[.ID]`" + `
and, for the shell's fsck, ` + "`dfs.namenode.http-address.NAME[.ID]`" + ` of a name service; ` + "`hadoop.proxyuser.USER.users`, `.groups`" + ` and
` + "`.hosts`" + `: whom a user may act for, and from where (nobody, unless it is set), read again by
` + "`dfsadmin -refreshSuperUserGroupsConfiguration`" + `; and, once hadoop.security.authorization is true, the ACLs of
hadoop-policy.xml beside the site files, read again by ` + "`dfsadmin -refreshServiceAcl`" + `, each with ` + "`.blocked`" + ` behind it and
` + "`.hosts`" + ` in the place of ` + "`.acl`" + `:

`)
	for _, key := range nodeconf.PolicyKeys() {
		fmt.Fprintf(&b, "- %s\n", key)
	}
	b.WriteString("\n## Refused\n\n| key | may be | refused by | why |\n|---|---|---|---|\n")
	for _, r := range hadoopconf.Refusals {
		who := "all"
		if r.Server {
			who = "name node, datanode"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Name, strings.Join(append(slices.Clone(r.Accept), "empty"), ", "), who, r.Why)
	}
	b.WriteString("\n## Without effect\n")
	known := hadoopconf.KnownKeys()
	for _, why := range known.Reasons {
		fmt.Fprintf(&b, "\n### %s\n\n", why)
		for _, key := range known.Keys[why] {
			fmt.Fprintf(&b, "- %s\n", key)
		}
	}
	return b.String()
}

func TestSettingsPage(t *testing.T) {
	const file = "../../docs/settings.md"
	text := golden.Reviewed(t, file, []byte(page()))
	want, got := strings.Split(page(), "\n"), strings.Split(string(text), "\n")
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i], "line %d: run the test with -update", i+1)
	}
	require.Len(t, got, len(want))
}

// TestEveryKeyIsReadAndStandsOnce: the table has no key that no program reads, and no key
// is both honoured and not.
func TestEveryKeyIsReadAndStandsOnce(t *testing.T) {
	verdict := map[string]string{}
	stands := func(key, what string) {
		require.Empty(t, verdict[key], "%s is %s too", key, what)
		verdict[key] = what
	}
	read := slices.Concat(nodeconf.NameNodeProgram.Reads(), nodeconf.DataNodeProgram.Reads(), nodeconf.ShellProgram.Reads())
	for _, k := range hadoopconf.Keys {
		require.True(t, slices.Contains(read, k.Name), "nothing reads %s: its place is in known.txt", k.Name)
		stands(k.Name, "honoured")
		for _, old := range k.Old {
			stands(old, "honoured")
		}
	}
	for _, r := range hadoopconf.Refusals {
		stands(r.Name, "refused")
	}
	for why, keys := range hadoopconf.KnownKeys().Keys {
		for _, key := range keys {
			stands(key, why)
		}
	}
	for _, key := range read {
		require.Equal(t, "honoured", verdict[key], key)
	}
}

// TestShellKeysAreThoseThatAreRead holds the shell's list against its source.
func TestShellKeysAreThoseThatAreRead(t *testing.T) {
	files, err := filepath.Glob("../../cmd/fs/*.go")
	require.NoError(t, err)
	read := []string{"dfs.nameservices"} // as hadoopconf reads name services
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\b(?:config|s)\.(?:get|lookup|integer|size|fraction|boolean)\("([a-zA-Z0-9.-]+[a-zA-Z0-9])"`).FindAllStringSubmatch(string(text), -1) {
			if m[1] != "fs.default.name" && !slices.Contains(read, m[1]) {
				read = append(read, m[1])
			}
		}
	}
	require.ElementsMatch(t, read, nodeconf.ShellProgram.Reads())
}

func TestRemarks(t *testing.T) {
	files := map[string]string{"/c/hdfs-site.xml": `<configuration>` + props(
		"dfs.replicaton", "1", "dfs.namenode.handler.count", "40", "dfs.datanode.handler.count", "9", "dfs.datanode.data.dir", "/d",
		"yarn.resourcemanager.hostname", "rm", "mapreduce.framework.name", "yarn", "hive.metastore.uris", "x", "io.sort.mb", "1", "fs.s3a.access.key", "k",
		"fs.hdfs.impl", "org.apache.hadoop.hdfs.DistributedFileSystem", "dfs.nameservices", "ns", "dfs.ha.namenodes.ns", "a", "dfs.namenode.rpc-address.ns.a", "h:1",
		"dfs.namenode.name.dir.ns.a", "/n", "dfs.client.failover.proxy.provider.ns", "P", "hadoop.proxyuser.ann.users", "*", "hadoop.proxyuser.ann.user", "*",
		"ipc.8020.backoff.enable", "true", "redoubt.raid.fold.idel", "3", "security.client.protcol.acl", "ann", "security.job.client.protocol.acl", "*",
		"dfs.encrypt.data.transfer", "false", "hadoop.wholly.made.up", "1") + `</configuration>`}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, os.ErrNotExist
	}
	load := func(overrides ...string) *hadoopconf.Conf {
		conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: read}, []string{"/c"}, overrides)
		require.NoError(t, err)
		return conf
	}
	said := func(conf *hadoopconf.Conf, p ...nodeconf.Program) (out []string) {
		for _, r := range nodeconf.Remarks(conf, p...) {
			out = append(out, r.String())
		}
		return out
	}
	require.ElementsMatch(t, []string{
		"dfs.client.failover.proxy.provider.ns: has no effect here: the client asks all name nodes of a name service in turn",
		"dfs.datanode.handler.count, dfs.namenode.handler.count, ipc.8020.backoff.enable: has no effect here: threads, queues, locks and sockets are not configured: the runtime sees to them",
		"dfs.namenode.name.dir.ns.a: has no effect with the suffix of a name service: set dfs.namenode.name.dir",
		"dfs.replicaton: is not a setting that Hadoop or Redoubt knows; is dfs.replication meant?",
		"hadoop.wholly.made.up: is not a setting that Hadoop or Redoubt knows",
		"hadoop.proxyuser.ann.user: is not a setting that Hadoop or Redoubt knows; is hadoop.proxyuser.USER.users, .groups or .hosts meant?",
		"redoubt.raid.fold.idel: is not a setting that Hadoop or Redoubt knows; is redoubt.raid.fold.idle meant?",
		"security.client.protcol.acl: is not a setting that Hadoop or Redoubt knows; is security.client.protocol.acl meant?",
	}, said(load(), nodeconf.NameNodeProgram))
	require.Contains(t, said(load("dfs.datanode.du.reserved=1"), nodeconf.NameNodeProgram), "dfs.datanode.du.reserved: is a setting of the datanode")
	require.NotContains(t, strings.Join(said(load("dfs.datanode.du.reserved=1"), nodeconf.NameNodeProgram, nodeconf.DataNodeProgram), "\n"), "du.reserved")
	require.Contains(t, said(load("mapreduce.job.queues=1"), nodeconf.DataNodeProgram), "hadoop.wholly.made.up, mapreduce.job.queues: is not a setting that Hadoop or Redoubt knows", "what is typed is never passed over")
}

func props(list ...string) string {
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		b.WriteString("<property><name>" + list[i] + "</name><value>" + list[i+1] + "</value></property>")
	}
	return b.String()
}

// TestRefusals: each one stops a server by every value but the harmless ones, with file and
// line; a client goes on where only servers are concerned.
func TestRefusals(t *testing.T) {
	for _, r := range hadoopconf.Refusals {
		for _, ok := range append(slices.Clone(r.Accept), "", " ") {
			_, err := hadoopconf.Load(hadoopconf.System{}, nil, []string{r.Name + "=" + ok})
			require.NoError(t, err, r.Name)
		}
		for _, name := range append(slices.Clone(r.Old), r.Name) {
			_, err := hadoopconf.Load(hadoopconf.System{}, nil, []string{name + "=true-or-what"})
			require.ErrorContains(t, err, "-D: "+r.Name+` = "true-or-what": want `, name)
			require.ErrorContains(t, err, r.Why)
		}
		_, err := hadoopconf.Load(hadoopconf.System{Client: true}, nil, []string{r.Name + "=x"})
		require.Equal(t, r.Server, err == nil, r.Name)
	}
	dirs := "dfs.namenode.name.dir=/a,file:///b"
	for value, want := range map[string][]string{
		"/b/,/a": nil, "": nil, "${dfs.namenode.name.dir}": nil, "/a": {"/a"}, "/a,file:///b,/c": {"/a", "/b", "/c"}, "/c": {"/c"},
	} {
		conf, err := hadoopconf.Load(hadoopconf.System{}, nil, []string{dirs, "dfs.name.edits.dir=" + value})
		require.NoError(t, err, value)
		edits, err := nodeconf.EditsDirs(conf)
		require.NoError(t, err)
		require.Equal(t, want, edits, value)
	}
}
