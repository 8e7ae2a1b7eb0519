package authorize

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/hadoopconf"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// files is a directory /c whose files can change.
type files map[string]string

func (f files) ReadFile(name string) ([]byte, error) {
	if s, ok := f[name]; ok {
		return []byte(s), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func site(props ...string) string {
	var b strings.Builder
	b.WriteString("<configuration>")
	for i := 0; i < len(props); i += 2 {
		b.WriteString("<property><name>" + props[i] + "</name><value>" + props[i+1] + "</value></property>")
	}
	return b.String() + "</configuration>"
}

func guard(t *testing.T, f files, overrides ...string) (*Guard, error) {
	t.Helper()
	if f == nil {
		f = files{}
	}
	f["/c/hdfs-site.xml"] = "<configuration/>"
	conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: f.ReadFile}, []string{"/c"}, overrides)
	require.NoError(t, err)
	return New(conf, slog.New(slog.DiscardHandler))
}

// groupsOf knows zoe, and can't be asked about nobody.
func groupsOf(user string) ([]string, error) {
	switch user {
	case "zoe":
		return []string{"staff"}, nil
	case "nobody":
		return nil, errors.New("the directory is down")
	}
	return nil, nil
}

func peer(user, real, addr string) *hadooprpc.Peer {
	return &hadooprpc.Peer{User: user, RealUser: real, Addr: netip.MustParseAddr(addr)}
}

const client = hdfspb.ClientProtocol

func answer(g *Guard, p *hadooprpc.Peer, protocol string) string {
	if err := g.Authorize(p, protocol, groupsOf); err != nil {
		return err.Error()
	}
	return "yes"
}

// TestAnswers: the texts are those of a Hadoop 3.4.3 with the same settings, which
// interop's TestAccess asks side by side.
func TestAnswers(t *testing.T) {
	g, err := guard(t, files{"/c/hadoop-policy.xml": site("security.client.protocol.acl", "root,ann,carl staff",
		"security.client.protocol.acl.blocked", "carl", "security.client.protocol.hosts.blocked", "127.0.0.9,10.0.0.0/8",
		"security.datanode.protocol.acl", "hdfs", "dfs.replication", "9")},
		"hadoop.security.authorization=true", "hadoop.proxyuser.ann.users=bob,root", "hadoop.proxyuser.ann.hosts=127.0.0.1",
		"hadoop.proxyuser.eve.groups=staff", "hadoop.proxyuser.eve.hosts=10.0.0.1", "hadoop.proxyuser.a.b.groups=*", "hadoop.proxyuser.a.b.hosts=*",
		"hadoop.proxyuser.nowhere.users=*")
	require.NoError(t, err)
	const denied = " is not authorized for protocol interface " + client + ": denied by configured ACL"
	for _, tc := range []struct{ user, real, addr, want string }{
		{"root", "", "127.0.0.1", "yes"},
		{"zoe", "", "127.0.0.1", "yes"},
		{"zoe/host@REALM", "", "127.0.0.1", "yes"},
		{"carl", "", "127.0.0.1", "User carl (auth:SIMPLE)" + denied},
		{"dora", "", "127.0.0.1", "User dora (auth:SIMPLE)" + denied},
		{"nobody", "", "127.0.0.1", "User nobody (auth:SIMPLE) is not authorized for protocol interface " + client + ": the groups of nobody can't be looked up: the directory is down"},
		{"root", "", "127.0.0.9", "Host 127.0.0.9 is not authorized for protocol interface " + client},
		{"root", "", "10.9.9.9", "Host 10.9.9.9 is not authorized for protocol interface " + client},
		{"bob", "ann", "127.0.0.1", "User bob (auth:PROXY) via ann (auth:SIMPLE)" + denied},
		{"root", "ann", "127.0.0.1", "yes"},
		{"root", "ann/h@R", "::ffff:127.0.0.1", "yes"},
		{"root", "ann", "127.0.0.2", "Unauthorized connection for super-user: ann from IP /127.0.0.2"},
		{"dora", "ann", "127.0.0.1", "User: ann is not allowed to impersonate dora"},
		{"root", "mal/h@R", "127.0.0.1", "User: mal/h@R is not allowed to impersonate root"},
		{"root", "root", "127.0.0.1", "User: root is not allowed to impersonate root"},
		{"zoe", "eve", "127.0.0.1", "Unauthorized connection for super-user: eve from IP /127.0.0.1"},
		{"root", "eve", "10.0.0.1", "User: eve is not allowed to impersonate root"},
		{"nobody", "eve", "10.0.0.1", "User: eve is not allowed to impersonate nobody: the groups of nobody can't be looked up: the directory is down"},
		{"zoe", "a.b", "127.0.0.1", "yes"},
		{"zoe", "nowhere", "127.0.0.1", "Unauthorized connection for super-user: nowhere from IP /127.0.0.1"},
	} {
		require.Equal(t, tc.want, answer(g, peer(tc.user, tc.real, tc.addr), client), "%+v", tc)
	}
	root := peer("root", "", "127.0.0.1")
	require.Equal(t, "Null protocol not authorized", answer(g, root, ""))
	require.Equal(t, "Unknown protocol: no.such", answer(g, root, "no.such"))
	require.Equal(t, "yes", answer(g, peer("dora", "", "127.0.0.1"), hdfspb.ClientDatanodeProtocol), "no ACL of its own: everybody")
	require.Contains(t, answer(g, root, control.NameNodeProtocol), "denied", "our own datanodes are under the same ACL as Hadoop's")
	require.Equal(t, "yes", answer(g, peer("hdfs", "", "127.0.0.1"), control.NameNodeProtocol))
}

func TestDefaults(t *testing.T) {
	g := Unconfigured()
	require.Equal(t, "yes", answer(g, peer("anybody", "", "::1"), "anything"))
	require.Equal(t, "User: ann is not allowed to impersonate bob", answer(g, peer("bob", "ann", "::1"), client))
	require.ErrorIs(t, g.RefreshServices(), ErrOff)
	require.NoError(t, g.RefreshProxies())

	g, err := guard(t, files{"/c/hadoop-policy.xml": site("security.service.authorization.default.acl", " staff",
		"security.service.authorization.default.hosts.blocked", "10.0.0.0/8", "security.client.protocol.acl", "ann")}, "hadoop.security.authorization=true",
		"security.client.protocol.acl=*")
	require.NoError(t, err)
	require.Equal(t, "yes", answer(g, peer("dora", "", "127.0.0.1"), client), "-D wins over the policy file")
	require.Contains(t, answer(g, peer("dora", "", "127.0.0.1"), hdfspb.DatanodeProtocol), "denied")
	require.Equal(t, "yes", answer(g, peer("zoe", "", "127.0.0.1"), hdfspb.DatanodeProtocol))
	require.Contains(t, answer(g, peer("zoe", "", "10.1.1.1"), hdfspb.DatanodeProtocol), "Host 10.1.1.1")
}

// TestRefresh: new files count from then on, broken ones change nothing.
func TestRefresh(t *testing.T) {
	f := files{"/c/hadoop-policy.xml": site("security.client.protocol.acl", "ann"), "/c/core-site.xml": site("hadoop.proxyuser.ann.users", "bob", "hadoop.proxyuser.ann.hosts", "*")}
	g, err := guard(t, f, "hadoop.security.authorization=true")
	require.NoError(t, err)
	ann, bob := peer("ann", "", "127.0.0.1"), peer("bob", "", "127.0.0.1")
	require.Equal(t, "yes", answer(g, ann, client))
	require.NotEqual(t, "yes", answer(g, bob, client))

	f["/c/hadoop-policy.xml"] = site("security.client.protocol.acl", "bob")
	require.Equal(t, "yes", answer(g, ann, client), "nobody has asked for a refresh")
	require.NoError(t, g.RefreshServices())
	require.NotEqual(t, "yes", answer(g, ann, client))
	require.Equal(t, "yes", answer(g, bob, client))
	asBob := peer("bob", "ann", "127.0.0.1")
	require.Equal(t, "yes", answer(g, asBob, client))

	f["/c/core-site.xml"] = site("hadoop.proxyuser.ann.users", "carl", "hadoop.proxyuser.ann.hosts", "*")
	require.Equal(t, "yes", answer(g, asBob, client))
	require.NoError(t, g.RefreshProxies())
	require.Equal(t, "User: ann is not allowed to impersonate bob", answer(g, asBob, client))

	f["/c/hadoop-policy.xml"] = site("security.client.protocol.hosts", "10.0.0.0/99")
	require.ErrorContains(t, g.RefreshServices(), `/c/hadoop-policy.xml: security.client.protocol.hosts: "10.0.0.0/99" is not ADDRESS/BITS`)
	require.Equal(t, "yes", answer(g, bob, client))
	f["/c/hadoop-policy.xml"] = "<configuration>"
	require.ErrorContains(t, g.RefreshServices(), "/c/hadoop-policy.xml")
}

// TestRefused: lists that would not keep out whom they name are errors.
func TestRefused(t *testing.T) {
	for override, want := range map[string]string{
		"hadoop.proxyuser.ann.hosts=10.0.0.0/x":                       `-D: hadoop.proxyuser.ann.hosts: "10.0.0.0/x" is not ADDRESS/BITS`,
		"security.client.protocol.hosts.blocked=no-such-host.invalid": "no-such-host.invalid can't be resolved, so that they would not be kept out",
	} {
		_, err := guard(t, nil, "hadoop.security.authorization=true", override)
		require.ErrorContains(t, err, want)
	}
	g, err := guard(t, nil, "hadoop.security.authorization=true", "security.client.protocol.hosts=no-such-host.invalid,127.0.0.1")
	require.NoError(t, err)
	require.Equal(t, "yes", answer(g, peer("ann", "", "127.0.0.1"), client))
	require.Contains(t, answer(g, peer("ann", "", "127.0.0.2"), client), "Host 127.0.0.2")
}
