package hadoopconf

import "time"

// Keys is the table of keys that count, with HDFS's names and defaults: each is read by at
// least one program (package nodeconf says which). It is not to be changed while the
// program runs.
var Keys = join(generalKeys, nameNodeKeys, blockManagerKeys, dataNodeKeys, clientKeys)

func join(groups ...[]Key) (all []Key) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// How a hosts file is written, by the classes of HDFS that read it.
const (
	plainHosts    = "org.apache.hadoop.hdfs.server.blockmanagement.HostFileManager"
	combinedHosts = "org.apache.hadoop.hdfs.server.blockmanagement.CombinedHostFileManager"
)

var generalKeys = []Key{
	{Name: "fs.defaultFS", Default: "file:///", Old: []string{"fs.default.name"}, Doc: "the file system of paths without a scheme; its authority is the name node's RPC address"},
	{Name: "hadoop.tmp.dir", Default: "/tmp/hadoop-${user.name}", Doc: "where default directories are"},
	{Name: "hadoop.log.dir", Default: "${env.HADOOP_LOG_DIR-}", Doc: "where metaSave writes its reports (default: metasave in the first name directory)"},
	{Name: "hadoop.user.group.static.mapping.overrides", Default: "dr.who=;", Doc: "groups of users, before the system's: user=group1,group2;user2=;..."},
	{Name: "hadoop.security.authorization", Kind: Bool, Default: "false", Doc: "ask the ACLs of hadoop-policy.xml before a connection is served"},
	{Name: "io.file.buffer.size", Kind: Size, Default: "4096", Min: 1, Max: 1 << 30, Doc: "buffer size told to clients"},
	{Name: "fs.trash.interval", Kind: Duration, Unit: time.Minute, Default: "0", Doc: "how long deleted files stay in the trash (minutes); 0 is no trash"},
	{Name: "fs.trash.checkpoint.interval", Kind: Duration, Unit: time.Minute, Default: "0", Doc: "how often the trash is rolled (minutes); 0: as fs.trash.interval"},
	{Name: "fs.trash.clean.trashroot.enable", Kind: Bool, Default: "false", Doc: "what is in a trash and is no checkpoint is removed too"},
	{Name: "net.topology.table.file.name", Old: []string{"topology.table.file.name"}, Doc: "file of lines HOST-OR-IP RACK"},
	{Name: "net.topology.script.file.name", Old: []string{"topology.script.file.name"}, Doc: "program that prints the racks of the hosts in its arguments"},
	{Name: "redoubt.ipc.maximum.buffered", Kind: Size, Default: "512m", Min: 1 << 20, Doc: "bytes that requests and large packets may take while they arrive, over all connections; what needs more is refused"},
	{Name: "redoubt.http.hosts", Kind: List, Doc: "further names that requests to the HTTP port may call this server by; *: any"},
}

var nameNodeKeys = []Key{
	{Name: "dfs.namenode.rpc-address", Doc: "name node's RPC address HOST:PORT; empty: from fs.defaultFS"},
	{Name: "dfs.namenode.rpc-bind-host", Doc: "address that the RPC server listens on, if another; 0.0.0.0 is all"},
	{Name: "dfs.namenode.servicerpc-address", Doc: "address for datanodes, if another than for clients"},
	{Name: "dfs.namenode.servicerpc-bind-host", Doc: "address that it listens on, if another; 0.0.0.0 is all"},
	{Name: "dfs.namenode.http-address", Default: "0.0.0.0:9870", Old: []string{"dfs.http.address"}, Doc: "name node's HTTP address"},
	{Name: "dfs.namenode.http-bind-host", Doc: "address that the HTTP server listens on, if another"},
	{Name: "dfs.namenode.name.dir", Kind: List, Default: "file://${hadoop.tmp.dir}/dfs/name", Old: []string{"dfs.name.dir"}, Doc: "name directories, each a full copy of image and log"},
	{Name: "dfs.namenode.edits.dir", Kind: List, Default: "${dfs.namenode.name.dir}", Old: []string{"dfs.name.edits.dir"}, Doc: "directories for the log, instead of those for images"},
	{Name: "dfs.namenode.storage.dir.perm", Default: "700", Doc: "mode of name directories, octal; files in them get it too, without execute"},
	{Name: "dfs.namenode.fs-limits.max-component-length", Kind: Int, Default: "255", Max: 8000, Doc: "most bytes in a name; 0: no limit"},
	{Name: "dfs.namenode.fs-limits.max-directory-items", Kind: Int, Default: "1048576", Min: 1, Max: 6400000, Doc: "most entries of a directory"},
	{Name: "dfs.namenode.fs-limits.min-block-size", Kind: Size, Default: "1048576", Doc: "smallest block size a file may have"},
	{Name: "dfs.namenode.fs-limits.max-blocks-per-file", Kind: Int, Default: "10000", Min: 1, Max: 1 << 31, Doc: "most blocks of a file"},
	{Name: "dfs.namenode.fs-limits.max-xattrs-per-inode", Kind: Int, Default: "32", Min: 0, Max: 1 << 20, Doc: "most extended attributes of an inode"},
	{Name: "dfs.namenode.fs-limits.max-xattr-size", Kind: Size, Default: "16384", Min: 1, Max: 32768, Doc: "most bytes of an extended attribute, name and value"},
	{Name: "dfs.namenode.acls.enabled", Kind: Bool, Default: "true", Doc: "access control lists"},
	{Name: "dfs.namenode.posix.acl.inheritance.enabled", Kind: Bool, Default: "true", Doc: "default ACLs take the umask's place"},
	{Name: "dfs.namenode.xattrs.enabled", Kind: Bool, Default: "true", Doc: "extended attributes"},
	{Name: "dfs.quota.by.storage.type.enabled", Kind: Bool, Default: "true", Doc: "quotas by storage type can be set"},
	{Name: "dfs.permissions.enabled", Kind: Bool, Default: "true", Old: []string{"dfs.permissions"}, Doc: "check permissions"},
	{Name: "dfs.permissions.superusergroup", Default: "supergroup", Old: []string{"dfs.permissions.supergroup"}, Doc: "members are superusers"},
	{Name: "dfs.namenode.accesstime.precision", Kind: Duration, Unit: time.Millisecond, Default: "3600000", Old: []string{"dfs.access.time.precision"}, Doc: "access times are this exact (ms); 0: none are kept"},
	{Name: "dfs.namenode.safemode.threshold-pct", Kind: Float, Default: "0.999", Old: []string{"dfs.safemode.threshold.pct"}, Doc: "share of blocks to be reported before safe mode ends; over 1: never; 0: none"},
	{Name: "dfs.namenode.safemode.min.datanodes", Kind: Int, Default: "0", Min: 0, Max: 1 << 20, Old: []string{"dfs.safemode.min.datanodes"}, Doc: "datanodes to be live before safe mode ends"},
	{Name: "dfs.namenode.safemode.extension", Kind: Duration, Unit: time.Millisecond, Default: "30000", Old: []string{"dfs.safemode.extension"}, Doc: "safe mode stays on so long after the threshold (ms)"},
	{Name: "dfs.namenode.checkpoint.txns", Kind: Int, Default: "1000000", Min: 1, Max: 1 << 53, Doc: "a checkpoint every so many transactions"},
	{Name: "dfs.namenode.checkpoint.period", Kind: Duration, Unit: time.Second, Default: "3600", Min: 1, Max: 1 << 31, Old: []string{"fs.checkpoint.period"}, Doc: "and at least this often (s)"},
	{Name: "dfs.namenode.num.checkpoints.retained", Kind: Int, Default: "2", Min: 1, Max: 1000, Doc: "images kept"},
	{Name: "dfs.namenode.lease-hard-limit-sec", Kind: Duration, Unit: time.Second, Default: "1200", Min: 1, Max: 1 << 31, Doc: "a silent writer loses its files after this (s)"},
	{Name: "dfs.ls.limit", Kind: Int, Default: "1000", Min: 1, Max: 100000, Doc: "entries in one page of a listing"},
	{Name: "dfs.replication", Kind: Int, Default: "3", Min: 1, Max: 32767, Doc: "replicas of a file whose client asks for no number"},
	{Name: "dfs.replication.max", Kind: Int, Default: "512", Min: 1, Max: 32767, Doc: "most replicas"},
	{Name: "dfs.blocksize", Kind: Size, Default: "134217728", Min: 1, Old: []string{"dfs.block.size"}, Doc: "block size of a file whose client asks for none"},
	{Name: "dfs.bytes-per-checksum", Kind: Size, Default: "512", Min: 1, Max: 1 << 30, Old: []string{"io.bytes.per.checksum"}, Doc: "bytes under one checksum"},
	{Name: "dfs.checksum.type", Default: "CRC32C", OneOf: []string{"NULL", "CRC32", "CRC32C"}, Doc: "checksum of new blocks"},
	{Name: "dfs.client-write-packet-size", Kind: Size, Default: "65536", Min: 1, Max: 16 << 20, Old: []string{"dfs.write.packet.size"}, Doc: "bytes of a packet in a write pipeline"},
	{Name: "fs.protected.directories", Kind: List, Doc: "directories that are neither deleted nor renamed while something is in them"},
	{Name: "dfs.protected.subdirectories.enable", Kind: Bool, Default: "false", Doc: "nor are the directories below them"},
	{Name: "dfs.namenode.max.objects", Kind: Int, Default: "0", Min: 0, Max: 1 << 53, Old: []string{"dfs.max.objects"}, Doc: "most files, directories and blocks; 0: no limit"},
	{Name: "dfs.storage.policy.permissions.superuser-only", Kind: Bool, Default: "false", Doc: "only superusers may set storage policies"},
	{Name: "dfs.namenode.support.allow.format", Kind: Bool, Default: "true", Doc: "namenode format works"},
	{Name: "dfs.reformat.disabled", Kind: Bool, Default: "false", Doc: "namenode format leaves directories alone that hold something, forced or not"},
	{Name: "dfs.storage.policy.enabled", Kind: Bool, Default: "true", Doc: "storage policies may be set"},
}

var blockManagerKeys = []Key{
	{Name: "dfs.namenode.replication.min", Kind: Int, Default: "1", Min: 1, Max: 32767, Old: []string{"dfs.replication.min"}, Doc: "replicas that make a block complete"},
	{Name: "dfs.namenode.maintenance.replication.min", Kind: Int, Default: "1", Min: 0, Max: 32767, Doc: "live replicas a block keeps while a node is in maintenance"},
	{Name: "dfs.heartbeat.interval", Kind: Duration, Unit: time.Second, Default: "3", Min: 0.001, Max: 1 << 31, Doc: "how often a datanode reports to be alive (s)"},
	{Name: "dfs.namenode.heartbeat.recheck-interval", Kind: Duration, Unit: time.Millisecond, Default: "300000", Old: []string{"heartbeat.recheck.interval"}, Doc: "a datanode is dead after 2 of these and 10 heartbeats (ms)"},
	{Name: "dfs.namenode.stale.datanode.interval", Kind: Duration, Unit: time.Millisecond, Default: "30000", Min: 1, Max: 1 << 53, Doc: "a datanode silent for this long is avoided (ms)"},
	{Name: "dfs.namenode.avoid.read.stale.datanode", Kind: Bool, Default: "false", Doc: "stale datanodes come last in located blocks"},
	{Name: "dfs.namenode.avoid.write.stale.datanode", Kind: Bool, Default: "false", Doc: "stale datanodes get no new blocks"},
	{Name: "dfs.namenode.write.stale.datanode.ratio", Kind: Float, Default: "0.5", Min: 1e-6, Max: 1, Doc: "unless more than this share of all is stale"},
	{Name: "dfs.blockreport.intervalMsec", Kind: Duration, Unit: time.Millisecond, Default: "21600000", Min: 1, Doc: "how often a datanode sends a full report (ms)"},
	{Name: "dfs.namenode.redundancy.interval.seconds", Kind: Duration, Unit: time.Second, Default: "3", Min: 0.001, Max: 1 << 31, Old: []string{"dfs.namenode.replication.interval", "dfs.replication.interval"}, Doc: "how often repair work is handed out (s)"},
	{Name: "dfs.namenode.redundancy.considerLoad", Kind: Bool, Default: "true", Old: []string{"dfs.namenode.replication.considerLoad", "dfs.replication.considerLoad"}, Doc: "busy datanodes get no new blocks"},
	{Name: "dfs.namenode.redundancy.considerLoad.factor", Kind: Float, Default: "2.0", Min: 0, Max: 1e9, Old: []string{"dfs.namenode.replication.considerLoad.factor"}, Doc: "busy is this many times the average load"},
	{Name: "dfs.namenode.block-placement.min-blocks-for.write", Kind: Int, Default: "1", Min: 1, Max: 1 << 20, Doc: "room for so many blocks makes a volume a target"},
	{Name: "redoubt.raid.fold.idle", Kind: Duration, Unit: time.Second, Default: "30", Min: 0.001, Max: 1 << 31, Doc: "blocks under RAID5 wait so long for a parity group to fill up (s)"},
	{Name: "redoubt.raid.fold.streams", Kind: Int, Default: "2", Min: 1, Max: 1 << 10, Doc: "parities a datanode makes at a time"},
	{Name: "redoubt.raid.fold.retry", Kind: Duration, Unit: time.Second, Default: "30", Min: 0.001, Max: 1 << 31, Doc: "pause after a parity could not be made (s)"},
	{Name: "redoubt.raid.hold", Kind: Duration, Unit: time.Second, Default: "120", Min: 0.001, Max: 1 << 31, Doc: "a block that is to be changed stays out of parity groups for so long; it must be longer than making a parity takes (s)"},
	{Name: "redoubt.raid.scrub.period", Kind: Duration, Unit: time.Hour, Default: "168", Max: 1 << 20, Doc: "how long a round of comparing all parity groups with their checksums takes (h); 0: never"},
	{Name: "dfs.namenode.replication.work.multiplier.per.iteration", Kind: Int, Default: "2", Min: 1, Max: 1 << 20, Doc: "blocks to repair per live datanode and round"},
	{Name: "dfs.namenode.replication.max-streams", Kind: Int, Default: "2", Min: 1, Max: 1 << 20, Old: []string{"dfs.max-repl-streams"}, Doc: "copies a datanode makes at a time"},
	{Name: "dfs.namenode.replication.max-streams-hard-limit", Kind: Int, Default: "4", Min: 1, Max: 1 << 20, Doc: "the same for blocks in most danger"},
	{Name: "dfs.namenode.reconstruction.pending.timeout-sec", Kind: Duration, Unit: time.Second, Default: "300", Min: 1, Max: 1 << 31, Old: []string{"dfs.namenode.replication.pending.timeout-sec", "dfs.replication.pending.timeout.sec"}, Doc: "a copy that takes longer is given to others (s)"},
	{Name: "dfs.block.invalidate.limit", Kind: Int, Default: "1000", Min: 1, Max: 1 << 20, Doc: "most removals in one heartbeat's answer"},
	{Name: "dfs.namenode.decommission.interval", Kind: Duration, Unit: time.Second, Default: "30", Min: 0.001, Max: 1 << 31, Doc: "how often draining datanodes are looked at (s)"},
	{Name: "dfs.hosts", Doc: "file of datanodes that may register; empty: all may"},
	{Name: "dfs.namenode.hosts.provider.classname", Default: plainHosts, OneOf: []string{plainHosts, combinedHosts}, Doc: "how dfs.hosts is read: as lines, or (CombinedHostFileManager) as JSON with each host's adminState"},
	{Name: "dfs.hosts.exclude", Doc: "file of datanodes to be drained"},
}

var dataNodeKeys = []Key{
	{Name: "dfs.datanode.address", Default: "0.0.0.0:9866", Doc: "datanode's data transfer address"},
	{Name: "dfs.datanode.http.address", Default: "0.0.0.0:9864", Doc: "datanode's HTTP address"},
	{Name: "dfs.datanode.ipc.address", Default: "0.0.0.0:9867", Doc: "datanode's RPC address"},
	{Name: "dfs.datanode.hostname", Old: []string{"slave.host.name"}, Doc: "datanode's name; empty: the machine's"},
	{Name: "dfs.datanode.data.dir", Kind: List, Default: "file://${hadoop.tmp.dir}/dfs/data", Old: []string{"dfs.data.dir"}, Doc: "volumes, with the medium before them if not disk: [SSD]file:///d1"},
	{Name: "dfs.datanode.data.dir.perm", Default: "700", Doc: "mode of volume directories, octal; files in them get it too, without execute"},
	{Name: "dfs.datanode.failed.volumes.tolerated", Kind: Int, Default: "0", Min: -1, Max: 1 << 20, Doc: "volumes that may fail before the datanode stops; -1: all but one"},
	{Name: "dfs.datanode.du.reserved", Kind: Size, Default: "0", Doc: "bytes per volume that are not for blocks"},
	{Name: "dfs.datanode.max.transfer.threads", Kind: Int, Default: "4096", Min: 1, Max: 1 << 20, Old: []string{"dfs.datanode.max.xcievers"}, Doc: "most streams at a time"},
	{Name: "dfs.datanode.balance.bandwidthPerSec", Kind: Size, Default: "100m", Min: 1, Old: []string{"dfs.balance.bandwidthPerSec"}, Doc: "bytes a second for balancing"},
	{Name: "dfs.datanode.balance.max.concurrent.moves", Kind: Int, Default: "100", Min: 1, Max: 1 << 20, Doc: "replicas that a datanode sends or receives for balancers at a time"},
	{Name: "dfs.datanode.data.transfer.bandwidthPerSec", Kind: Size, Default: "0", Doc: "bytes a second for copies; 0: no limit"},
	{Name: "dfs.datanode.scan.period.hours", Kind: Int, Default: "504", Min: -1, Max: 1 << 20, Doc: "every block is read and checked this often (h); negative: never"},
	{Name: "redoubt.datanode.raid.bandwidthPerSec", Kind: Size, Default: "0", Doc: "bytes a second that a datanode reads to make and rebuild blocks of parity groups; 0: no limit"},
	{Name: "redoubt.datanode.raid.streams", Kind: Int, Default: "16", Min: 1, Max: 1 << 16, Doc: "readers at a time whose block a datanode makes from its parity group"},
	{Name: "dfs.block.scanner.volume.bytes.per.second", Kind: Size, Default: "1048576", Doc: "bytes a second of scrubbing per volume; 0: none"},
	{Name: "dfs.blockreport.split.threshold", Kind: Int, Default: "1000000", Min: 0, Max: 1 << 31, Doc: "replicas in one message of a full report"},
	{Name: "dfs.datanode.socket.write.timeout", Kind: Duration, Unit: time.Millisecond, Default: "480000", Doc: "longest wait for a peer to take data (ms)"},
	{Name: "dfs.datanode.socket.reuse.keepalive", Kind: Duration, Unit: time.Millisecond, Default: "4000", Doc: "a connection waits this long for its next request (ms)"},
}

var clientKeys = []Key{
	{Name: "dfs.nameservices", Kind: List, Old: []string{"dfs.federation.nameservices"}, Doc: "logical names of name services"},
	{Name: "dfs.checksum.combine.mode", Default: "MD5MD5CRC", Doc: "checksum of files: MD5MD5CRC or COMPOSITE_CRC"},
	{Name: "hadoop.shell.safely.delete.limit.num.files", Kind: Int, Default: "100", Doc: "rm -safely asks from so many files on"},
	{Name: "dfs.user.home.dir.prefix", Default: "/user", Doc: "where home directories are"},
	{Name: "fs.permissions.umask-mode", Default: "022", Old: []string{"dfs.umaskmode"}, Doc: "bits taken from the mode of new files, octal"},
	{Name: "dfs.client.socket-timeout", Kind: Duration, Unit: time.Millisecond, Default: "60000", Old: []string{"dfs.socket.timeout"}, Doc: "longest wait for a datanode (ms)"},
	{Name: "dfs.client.use.datanode.hostname", Kind: Bool, Default: "false", Doc: "connect to datanodes by name, not by address"},
	{Name: "dfs.client.hedged.read.threadpool.size", Kind: Int, Default: "0", Min: 0, Max: 1 << 20, Doc: "hedged reads at a time; 0: none"},
	{Name: "dfs.client.hedged.read.threshold.millis", Kind: Duration, Unit: time.Millisecond, Default: "500", Doc: "a second replica is asked after this (ms)"},
	{Name: "dfs.client.block.write.replace-datanode-on-failure.enable", Kind: Bool, Default: "true", Doc: "replace a failed datanode in a pipeline"},
	{Name: "dfs.client.block.write.replace-datanode-on-failure.policy", Default: "DEFAULT", OneOf: []string{"ALWAYS", "NEVER", "DEFAULT"}, Doc: "when to"},
	{Name: "dfs.client.block.write.replace-datanode-on-failure.best-effort", Kind: Bool, Default: "false", Doc: "go on with fewer when there is no replacement"},
}
