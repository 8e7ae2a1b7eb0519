package hadoopconf

import (
	"slices"
	"strings"
)

// Refusal is a setting that promises security or protection which is not there. A value
// that asks for it ends the program, rather than let it run without.
type Refusal struct {
	Name   string
	Accept []string // the values that promise nothing; "" is always one
	Why    string   // what is not there
	Server bool     // it concerns servers only: clients pass it over
	Old    []string
}

// Refusals is the table of them. It is not to be changed while the program runs.
var Refusals = []Refusal{
	{Name: "hadoop.security.authentication", Accept: []string{"simple"}, Why: "there is no Kerberos: who a user says he is is who he is"},
	{Name: "hadoop.rpc.protection", Accept: []string{"authentication"}, Why: "calls are neither signed nor encrypted"},
	{Name: "hadoop.security.group.mapping", Accept: []string{
		"org.apache.hadoop.security.JniBasedUnixGroupsMappingWithFallback", "org.apache.hadoop.security.JniBasedUnixGroupsMapping",
		"org.apache.hadoop.security.ShellBasedUnixGroupsMapping"}, Server: true,
		Why: "groups come from hadoop.user.group.static.mapping.overrides and the operating system only"},
	{Name: "hadoop.security.impersonation.provider.class", Accept: []string{"org.apache.hadoop.security.authorize.DefaultImpersonationProvider"}, Server: true,
		Why: "proxy users are under the rules of hadoop.proxyuser only"},
	{Name: "hadoop.security.instrumentation.requires.admin", Accept: []string{"false"}, Server: true, Why: "whoever reaches the HTTP port may read metrics"},
	{Name: "hadoop.http.authentication.type", Accept: []string{"simple"}, Server: true, Why: "the HTTP port asks nobody who he is"},
	{Name: "hadoop.http.authentication.simple.anonymous.allowed", Accept: []string{"true"}, Server: true, Why: "the HTTP port asks nobody who he is"},
	{Name: "hadoop.http.filter.initializers", Accept: []string{"org.apache.hadoop.http.lib.StaticUserWebFilter"}, Server: true, Why: "the HTTP port has no filters"},
	{Name: "dfs.http.policy", Accept: []string{"HTTP_ONLY"}, Server: true, Why: "there is no HTTPS"},
	{Name: "dfs.client.https.need-auth", Accept: []string{"false"}, Server: true, Why: "there is no HTTPS", Old: []string{"dfs.https.need.client.auth"}},
	{Name: "dfs.block.access.token.enable", Accept: []string{"false"}, Server: true, Why: "datanodes give blocks to whoever asks"},
	{Name: "dfs.encrypt.data.transfer", Accept: []string{"false"}, Why: "blocks are not encrypted in transfer"},
	{Name: "dfs.data.transfer.protection", Why: "blocks are neither signed nor encrypted in transfer"},
	{Name: "dfs.encrypt.data.overwrite.downstream.derived.qop", Accept: []string{"false"}, Server: true, Why: "blocks are not encrypted in transfer"},
	{Name: "dfs.encrypt.data.overwrite.downstream.new.qop", Server: true, Why: "blocks are not encrypted in transfer"},
	{Name: "dfs.namenode.send.qop.enabled", Accept: []string{"false"}, Server: true, Why: "connections have no quality of protection"},
	{Name: "dfs.namenode.inode.attributes.provider.class", Server: true, Why: "permissions are the namespace's own: no other authorizer can be loaded"},
	{Name: "dfs.namenode.audit.loggers", Accept: []string{"default"}, Server: true, Why: "the audit log is the file of --audit-log: no other logger can be loaded"},
	{Name: "dfs.namenode.edits.dir.required", Server: true, Why: "the log goes to all of its directories, and on while one is left"},
	{Name: "dfs.namenode.edits.dir.minimum", Accept: []string{"1"}, Server: true, Why: "the log goes on while one of its directories is left"},
	{Name: "dfs.namenode.shared.edits.dir", Server: true, Why: "there is no standby that could read it"},
	{Name: "dfs.ha.automatic-failover.enabled", Accept: []string{"false"}, Server: true, Why: "there is no standby"},
	{Name: "dfs.namenode.startup.delay.block.deletion.sec", Accept: []string{"0", "0s"}, Server: true, Why: "blocks of deleted files are removed as soon as safe mode is over"},
	{Name: "dfs.block.replicator.classname", Accept: []string{"org.apache.hadoop.hdfs.server.blockmanagement.BlockPlacementPolicyDefault"}, Server: true,
		Why: "there is one placement policy, HDFS's default one"},
}

// accepts reports whether a value asks for nothing that is not there.
func (r *Refusal) accepts(value string) bool {
	value = strings.TrimSpace(value)
	return value == "" || slices.ContainsFunc(r.Accept, func(a string) bool { return strings.EqualFold(a, value) })
}

// want says what may stand there, and why nothing else may.
func (r *Refusal) want() string {
	if len(r.Accept) == 0 {
		return "no value: " + r.Why
	}
	return strings.Join(r.Accept, " or ") + ": " + r.Why
}

// RefusedBy tells what a client must be given instead of a value; false if the value is all
// right.
func RefusedBy(name, value string) (want string, refused bool) {
	for i := range Refusals {
		if r := &Refusals[i]; r.Name == name && !r.Server && !r.accepts(value) {
			return r.want(), true
		}
	}
	return "", false
}

// CurrentName gives the name that counts now of a key that goes by an old one.
func CurrentName(name string) string {
	for i := range Keys {
		if slices.Contains(Keys[i].Old, name) {
			return Keys[i].Name
		}
	}
	return name
}

// refuse finds the settings that promise what is not there.
func (c *Conf) refuse() (faults []Fault) {
	for i := range Refusals {
		r := &Refusals[i]
		s, ok := c.values[r.Name]
		if !ok || r.Server && c.sys.Client {
			continue
		}
		value, err := c.expand(s.raw)
		if err != nil {
			value = s.raw
		}
		if !r.accepts(value) {
			faults = append(faults, Fault{File: s.file, Line: s.line, Key: r.Name, Value: value, Want: r.want()})
		}
	}
	return faults
}
