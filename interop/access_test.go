package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// accessSettings are for both servers: who may connect, who may act for whom, and what
// protects the namespace.
var accessSettings = []string{
	"-Ddfs.permissions.superusergroup=supergroup", "-Dhadoop.security.authorization=true",
	"-Dhadoop.user.group.static.mapping.overrides=dr.who=;zoe=staff;",
	"-Dhadoop.proxyuser.ann.users=bob,root", "-Dhadoop.proxyuser.ann.hosts=127.0.0.1",
	"-Dhadoop.proxyuser.eve.groups=staff", "-Dhadoop.proxyuser.eve.hosts=10.0.0.1",
	"-Dhadoop.proxyuser.all.users=*", "-Dhadoop.proxyuser.all.hosts=*",
	"-Dfs.protected.directories=/keep,/deep/in/side,/sub,/empty", "-Ddfs.protected.subdirectories.enable=true",
	"-Ddfs.namenode.max.objects=40", "-Ddfs.storage.policy.permissions.superuser-only=true",
}

const accessPolicy = `<configuration>
<property><name>security.client.protocol.acl</name><value>ROOT,ann,carl,bob2 staff</value></property>
<property><name>security.client.protocol.acl.blocked</name><value>carl</value></property>
<property><name>security.refresh.policy.protocol.acl</name><value>ROOT</value></property>
</configuration>`

// TestAccess has a Hadoop client connect as many users, for itself and for others
// (UserGroupInformation.createProxyUser), and try what is protected, on a real Hadoop and on
// Redoubt: both must answer with the same exceptions and texts.
func TestAccess(t *testing.T) {
	user := os.Getenv("HADOOP_USER_NAME")
	if out, err := exec.Command("id", "-un").Output(); user == "" && err == nil {
		user = strings.TrimSpace(string(out))
	}
	policy := strings.ReplaceAll(accessPolicy, "ROOT", user)

	// The class path of Hadoop's servers has the directory conf.
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("conf/hadoop-policy.xml", policy)
	write("ours/hadoop-policy.xml", policy)
	write("ours/core-site.xml", "<configuration/>")
	hadoop := startHadoopIn(t, dir, 1, accessSettings...)
	ours := startRedoubt(t, append([]string{"--datanodes", "1", "--conf", filepath.Join(dir, "ours")}, accessSettings...)...)
	want := accessProbe(t, hadoop, user)
	require.Contains(t, want, "mallory as "+user+": org.apache.hadoop.ipc.RemoteException<org.apache.hadoop.security.authorize.AuthorizationException>: User: mallory is not allowed to impersonate "+user)
	require.Equal(t, want, accessProbe(t, ours, user))

	// New ACLs count when they are read again, for both.
	closed := strings.ReplaceAll(policy, "ann,", "")
	write("conf/hadoop-policy.xml", closed)
	write("ours/hadoop-policy.xml", closed)
	for _, c := range []cluster{hadoop, ours} {
		code, _, errOut := runHadoop(t, c, "HADOOP_USER_NAME=ann", "dfsadmin", "-refreshServiceAcl")
		require.NotZero(t, code)
		require.Contains(t, errOut, "User ann (auth:SIMPLE) is not authorized for protocol interface org.apache.hadoop.security.authorize.RefreshAuthorizationPolicyProtocol: denied by configured ACL")
		code, out, errOut := runHadoop(t, c, "HADOOP_USER_NAME="+user, "dfsadmin", "-refreshServiceAcl")
		require.Zero(t, code, errOut)
		require.Contains(t, out, "Refresh service acl successful")
		_, _, errOut = runHadoop(t, c, "HADOOP_USER_NAME=ann", "fs", "-ls", "/")
		require.Contains(t, errOut, "User ann (auth:SIMPLE) is not authorized for protocol interface org.apache.hadoop.hdfs.protocol.ClientProtocol: denied by configured ACL")
	}
}

// TestProxyRefresh: who may act for whom is read again from the files when that is asked for.
func TestProxyRefresh(t *testing.T) {
	needHadoop(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "core-site.xml")
	rule := func(who string) {
		require.NoError(t, os.WriteFile(file, []byte(`<configuration><property><name>hadoop.proxyuser.`+who+`.users</name><value>*</value></property>
<property><name>hadoop.proxyuser.`+who+`.hosts</name><value>localhost</value></property></configuration>`), 0o644))
	}
	rule("ann")
	c := startRedoubt(t, "--datanodes", "1", "--conf", dir)
	as := func(real string) string {
		return strings.TrimSpace(hadoopJava(t, "AccessProbe.java", c.uri, "status", real, "bob"))
	}
	refused := func(who string) string {
		return who + " as bob: org.apache.hadoop.ipc.RemoteException<org.apache.hadoop.security.authorize.AuthorizationException>: User: " + who + " is not allowed to impersonate bob"
	}
	require.Equal(t, "ann as bob: ok", as("ann"))
	require.Equal(t, refused("mallory"), as("mallory"))
	rule("mallory")
	require.Equal(t, refused("mallory"), as("mallory"))
	code, out, errOut := runHadoop(t, c, "", "dfsadmin", "-refreshSuperUserGroupsConfiguration")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "Refresh super user groups configuration successful")
	require.Equal(t, "mallory as bob: ok", as("mallory"))
	require.Equal(t, refused("ann"), as("ann"))
}

func accessProbe(t *testing.T, c cluster, user string) string {
	return hadoopJava(t, "AccessProbe.java", c.uri, "all", user)
}

// hadoopJava runs a source file with Hadoop's jars and gives what it prints.
func hadoopJava(t *testing.T, args ...string) string {
	cmd := exec.Command("./hadoop", append([]string{"java"}, args...)...)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	require.NoError(t, err, "%s", errOut.String())
	return string(out)
}

// runHadoop runs one of Hadoop's commands as a process of its own.
func runHadoop(t *testing.T, c cluster, env, command string, args ...string) (code int, out, errOut string) {
	cmd := exec.Command("./hadoop", append([]string{command, "-fs", c.uri}, args...)...)
	cmd.Env = append(os.Environ(), env)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}
