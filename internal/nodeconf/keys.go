package nodeconf

import (
	"slices"

	"redoubt/internal/authorize"
	"redoubt/internal/hadoopconf"
)

// nameNodeKeys are the keys of the configuration that a name node reads.
var nameNodeKeys = []string{
	"fs.defaultFS", "hadoop.tmp.dir", "hadoop.log.dir", "redoubt.http.hosts", "redoubt.ipc.maximum.buffered", "hadoop.security.authorization", "hadoop.user.group.static.mapping.overrides", "io.file.buffer.size",
	"fs.trash.interval", "fs.trash.checkpoint.interval", "fs.trash.clean.trashroot.enable", "dfs.user.home.dir.prefix",
	"net.topology.table.file.name", "net.topology.script.file.name",
	"dfs.nameservices", "dfs.namenode.rpc-address", "dfs.namenode.rpc-bind-host", "dfs.namenode.servicerpc-address", "dfs.namenode.servicerpc-bind-host", "dfs.namenode.http-address", "dfs.namenode.http-bind-host",
	"dfs.namenode.name.dir", "dfs.namenode.edits.dir", "dfs.namenode.storage.dir.perm",
	"dfs.namenode.fs-limits.max-component-length", "dfs.namenode.fs-limits.max-directory-items", "dfs.namenode.fs-limits.min-block-size",
	"dfs.namenode.fs-limits.max-blocks-per-file", "dfs.namenode.fs-limits.max-xattrs-per-inode", "dfs.namenode.fs-limits.max-xattr-size",
	"dfs.namenode.acls.enabled", "dfs.namenode.posix.acl.inheritance.enabled", "dfs.namenode.xattrs.enabled", "dfs.quota.by.storage.type.enabled",
	"dfs.permissions.enabled", "dfs.permissions.superusergroup", "dfs.namenode.accesstime.precision",
	"dfs.namenode.safemode.threshold-pct", "dfs.namenode.safemode.min.datanodes", "dfs.namenode.safemode.extension",
	"dfs.namenode.checkpoint.txns", "dfs.namenode.checkpoint.period", "dfs.namenode.num.checkpoints.retained",
	"dfs.namenode.lease-hard-limit-sec", "dfs.ls.limit", "dfs.replication", "dfs.replication.max", "dfs.blocksize",
	"dfs.bytes-per-checksum", "dfs.checksum.type", "dfs.client-write-packet-size",
	"dfs.namenode.replication.min", "dfs.namenode.maintenance.replication.min", "dfs.heartbeat.interval",
	"dfs.namenode.heartbeat.recheck-interval", "dfs.namenode.stale.datanode.interval", "dfs.namenode.avoid.read.stale.datanode",
	"dfs.namenode.avoid.write.stale.datanode", "dfs.namenode.write.stale.datanode.ratio", "dfs.blockreport.intervalMsec",
	"dfs.namenode.redundancy.interval.seconds", "dfs.namenode.redundancy.considerLoad", "dfs.namenode.redundancy.considerLoad.factor",
	"dfs.namenode.block-placement.min-blocks-for.write", "dfs.namenode.replication.work.multiplier.per.iteration",
	"dfs.namenode.replication.max-streams", "dfs.namenode.replication.max-streams-hard-limit",
	"dfs.namenode.reconstruction.pending.timeout-sec", "dfs.block.invalidate.limit", "dfs.namenode.decommission.interval",
	"dfs.hosts", "dfs.hosts.exclude", "dfs.namenode.hosts.provider.classname",
	"fs.protected.directories", "dfs.protected.subdirectories.enable", "dfs.namenode.max.objects",
	"dfs.storage.policy.enabled", "dfs.storage.policy.permissions.superuser-only",
	"dfs.namenode.support.allow.format", "dfs.reformat.disabled",
	"redoubt.raid.fold.idle", "redoubt.raid.fold.streams", "redoubt.raid.fold.retry",
	"redoubt.raid.hold", "redoubt.raid.scrub.period",
}

// shellKeys are the keys that the file system shell and dfsadmin read.
var shellKeys = []string{
	"fs.defaultFS", "dfs.nameservices", "dfs.namenode.http-address", "dfs.replication", "dfs.blocksize", "dfs.bytes-per-checksum", "dfs.checksum.type",
	"dfs.checksum.combine.mode", "fs.permissions.umask-mode", "fs.trash.interval", "dfs.client-write-packet-size", "dfs.client.use.datanode.hostname",
	"dfs.client.block.write.replace-datanode-on-failure.enable", "dfs.client.block.write.replace-datanode-on-failure.policy",
	"dfs.client.block.write.replace-datanode-on-failure.best-effort",
	"dfs.client.hedged.read.threadpool.size", "dfs.client.hedged.read.threshold.millis", "hadoop.shell.safely.delete.limit.num.files",
}

// PolicyKeys lists the ACLs of hadoop-policy.xml that count, in order.
func PolicyKeys() []string {
	keys := authorize.PolicyKeys()
	slices.Sort(keys)
	return keys
}

// DefaultOf gives a key's default that counts here, "" if it has none.
func DefaultOf(k hadoopconf.Key) string {
	if addr, ok := loopback[k.Name]; ok {
		return addr
	}
	return k.Default
}

// loopback holds the keys whose default is not HDFS's every interface.
var loopback = map[string]string{
	"dfs.namenode.http-address": "127.0.0.1:9870",
	"dfs.datanode.address":      "127.0.0.1:9866",
	"dfs.datanode.http.address": "127.0.0.1:9864",
	"dfs.datanode.ipc.address":  "127.0.0.1:9867",
}

// NameNodeKeys gives the table's lines of the keys that a name node reads, with the
// defaults that count here.
func NameNodeKeys() []hadoopconf.Key { return lines(nameNodeKeys) }

// DataNodeKeys gives the same for a datanode.
func DataNodeKeys() []hadoopconf.Key { return lines(dataNodeKeys) }

func lines(names []string) (out []hadoopconf.Key) {
	for _, k := range hadoopconf.Keys {
		if !slices.Contains(names, k.Name) {
			continue
		}
		k.Default = DefaultOf(k)
		out = append(out, k)
	}
	return out
}
