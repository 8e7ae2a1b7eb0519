package nodeconf

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"redoubt/internal/authorize"
	"redoubt/internal/hadoopconf"
)

// Program is one of those that read Hadoop's configuration.
type Program string

// The programs.
const (
	NameNodeProgram Program = "name node"
	DataNodeProgram Program = "datanode"
	ShellProgram    Program = "shell"
)

// Reads lists the keys of the table that a program honours.
func (p Program) Reads() []string {
	switch p {
	case NameNodeProgram:
		return nameNodeKeys
	case DataNodeProgram:
		return dataNodeKeys
	}
	return shellKeys
}

// Remark is something to be said about settings that were made and don't count.
type Remark struct {
	Keys []string
	What string // begins with a verb: "is not a setting ..."
}

func (r Remark) String() string { return strings.Join(r.Keys, ", ") + ": " + r.What }

// Remarks says what of a configuration has no effect on the programs that it is for, and
// why, with the keys of one reason together. Settings of other products that stand in the
// same files are passed over; what was said by -D is not.
func Remarks(conf *hadoopconf.Conf, programs ...Program) (out []Remark) {
	about := map[string]int{}
	for _, key := range conf.SetWith("") {
		what, ok := remark(conf, key, programs)
		if !ok {
			continue
		}
		i, seen := about[what]
		if !seen {
			i = len(out)
			about[what] = i
			out = append(out, Remark{What: what})
		}
		out[i].Keys = append(out[i].Keys, key)
	}
	return out
}

// Warn logs the remarks, a line each.
func Warn(log *slog.Logger, conf *hadoopconf.Conf, programs ...Program) {
	for _, r := range Remarks(conf, programs...) {
		log.Warn("setting without effect", "keys", strings.Join(r.Keys, " "), "why", r.What)
	}
}

const unknown = "is not a setting that Hadoop or Redoubt knows"

// remark tells what to say about one key; false for nothing.
func remark(conf *hadoopconf.Conf, key string, programs []Program) (string, bool) {
	given := conf.Origin(key) == hadoopconf.CommandLine
	base := withoutService(conf, key)
	if isHonoured(key, base, programs) {
		return "", false
	}
	for _, p := range []Program{NameNodeProgram, DataNodeProgram, ShellProgram} {
		if isHonoured(key, base, []Program{p}) {
			return fmt.Sprintf("is a setting of the %s", p), given
		}
	}
	if slices.ContainsFunc(hadoopconf.Refusals, func(r hadoopconf.Refusal) bool { return r.Name == key }) {
		return "", false // with a value that asks for nothing
	}
	if slices.ContainsFunc(hadoopconf.Keys, func(k hadoopconf.Key) bool { return k.Name == base && base != key }) {
		return "has no effect with the suffix of a name service: set " + base, true
	}
	if why, ok := hadoopconf.KnownKeys().Why(base); ok {
		return "has no effect here: " + why, given || isOurs(key)
	}
	if strings.HasPrefix(key, authorize.ProxyPrefix) {
		return unknown + "; is " + authorize.ProxyPrefix + "USER.users, .groups or .hosts meant?", given || isOurs(key)
	}
	near := hadoopconf.Nearest(key, PolicyKeys()...)
	if near == "" {
		return unknown, given || isOurs(key)
	}
	return unknown + "; is " + near + " meant?", given || isOurs(key) || strings.HasPrefix(key, "security.")
}

// isHonoured reports whether one of the programs reads a key, alone or for a name service.
func isHonoured(key, base string, programs []Program) bool {
	servers := !slices.Equal(programs, []Program{ShellProgram})
	if servers && (authorize.IsProxyKey(key) || isPolicyKey(key)) {
		return true
	}
	if strings.HasPrefix(key, "dfs.ha.namenodes.") || base != key && slices.Contains(serviceKeys, base) {
		return true
	}
	return slices.ContainsFunc(programs, func(p Program) bool { return slices.Contains(p.Reads(), key) })
}

// serviceKeys are those that may have the suffix of a name service.
var serviceKeys = []string{"dfs.namenode.rpc-address", "dfs.namenode.servicerpc-address", "dfs.namenode.http-address"}

// withoutService cuts the suffix of a configured name service, and of a name node in it.
func withoutService(conf *hadoopconf.Conf, key string) string {
	for _, service := range conf.List("dfs.nameservices") {
		if base, ok := strings.CutSuffix(key, "."+service); ok {
			return base
		}
		nodes, _ := conf.Lookup("dfs.ha.namenodes." + service)
		for node := range strings.SplitSeq(nodes, ",") {
			if base, ok := strings.CutSuffix(key, "."+service+"."+strings.TrimSpace(node)); ok {
				return base
			}
		}
	}
	return key
}

func isPolicyKey(key string) bool {
	key = strings.TrimSuffix(key, ".blocked")
	if base, ok := strings.CutSuffix(key, ".hosts"); ok {
		key = base + ".acl"
	}
	return slices.Contains(authorize.PolicyKeys(), key)
}

// isOurs reports whether a key is in a name space of HDFS or of Hadoop's common parts.
// Files are shared with YARN, Hive and others, whose keys are none of our business.
func isOurs(key string) bool {
	for _, space := range []string{"dfs.", "fs.", "hadoop.", "ipc.", "redoubt.", "net.topology."} {
		if strings.HasPrefix(key, space) {
			return !slices.ContainsFunc(foreign, func(f string) bool { return strings.HasPrefix(key, f) }) && !strings.HasSuffix(key, ".impl")
		}
	}
	return false
}

// foreign are the name spaces of other file systems and services below those.
var foreign = []string{"fs.s3", "fs.azure.", "fs.abfs", "fs.wasb", "fs.adl.", "fs.gs.", "fs.obs.", "fs.oss.", "fs.cos", "fs.ofs.", "fs.o3fs.", "fs.har.",
	"fs.ftp.", "fs.sftp.", "fs.viewfs.", "fs.AbstractFileSystem.", "fs.client.htrace.", "hadoop.htrace.", "hadoop.registry.", "hadoop.kms.", "hadoop.proxyuser.kms.", "dfs.federation.router."}
