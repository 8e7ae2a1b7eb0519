// Package nodeconf turns Hadoop's keys, as package hadoopconf has read and checked them,
// into the configurations of a name node and of a datanode. The commands that run a node
// as a process and the cluster in one process all go through it, so that a key means the
// same to each of them.
package nodeconf

import (
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
	"redoubt/namenode"
	"redoubt/vfs"
)

// NameDirs reads dfs.namenode.name.dir.
func NameDirs(conf *hadoopconf.Conf) ([]string, error) {
	return localDirs("dfs.namenode.name.dir", conf.List("dfs.namenode.name.dir"))
}

// EditsDirs reads dfs.namenode.edits.dir: the directories of the log, nil where they are those
// of NameDirs.
func EditsDirs(conf *hadoopconf.Conf) ([]string, error) {
	dirs, err := NameDirs(conf)
	if err != nil {
		return nil, err
	}
	edits, err := localDirs("dfs.namenode.edits.dir", conf.List("dfs.namenode.edits.dir"))
	if err != nil || slices.Equal(slices.Sorted(slices.Values(dirs)), slices.Sorted(slices.Values(edits))) {
		return nil, err
	}
	return edits, nil
}

func localDirs(key string, items []string) (dirs []string, err error) {
	for _, item := range items {
		_, dir, err := hadoopconf.LocalDir(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		dirs = append(dirs, filepath.Clean(dir))
	}
	return dirs, nil
}

// Buffered is how many bytes the requests of all connections may take while they arrive.
func Buffered(conf *hadoopconf.Conf) int64 { return conf.Size("redoubt.ipc.maximum.buffered") }

// NameFS is the file system for name directories: dfs.namenode.storage.dir.perm.
func NameFS(conf *hadoopconf.Conf) (vfs.FS, error) {
	return diskFS("dfs.namenode.storage.dir.perm", conf.String("dfs.namenode.storage.dir.perm"))
}

// diskFS makes the file system of a key that gives the mode of directories.
func diskFS(key, mode string) (vfs.FS, error) {
	m, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || m > 0o777 || m&0o700 != 0o700 {
		return nil, fmt.Errorf("%s: %q is not an octal mode from 700 to 777 that lets the owner in", key, mode)
	}
	return vfs.OSPerm(fs.FileMode(m)), nil
}

// NameNode turns Hadoop's keys into a name node's configuration. Who is the superuser,
// the log and the racks are left to the caller.
func NameNode(conf *hadoopconf.Conf) (namenode.Config, error) {
	dirs, err := NameDirs(conf)
	if err != nil {
		return namenode.Config{}, err
	}
	edits, err := EditsDirs(conf)
	if err != nil {
		return namenode.Config{}, err
	}
	groups, err := Groups(conf)
	if err != nil {
		return namenode.Config{}, err
	}
	disk, err := NameFS(conf)
	if err != nil {
		return namenode.Config{}, err
	}
	cfg := namenode.Config{
		FS:             disk,
		NameDirs:       dirs,
		Supergroup:     conf.String("dfs.permissions.superusergroup"),
		Groups:         groups,
		PermissionsOff: !conf.Bool("dfs.permissions.enabled"),
		SafeMode: namenode.SafeModeConfig{
			Threshold:    threshold(conf.Float("dfs.namenode.safemode.threshold-pct")),
			MinDatanodes: conf.Int("dfs.namenode.safemode.min.datanodes"),
			Extension:    zeroIsOff(conf.Duration("dfs.namenode.safemode.extension")),
		},
		Blocks: blockConfig(conf),
		Hosts: namenode.HostsConfig{Include: conf.String("dfs.hosts"), Exclude: conf.String("dfs.hosts.exclude"), ReadFile: os.ReadFile,
			JSON: conf.String("dfs.namenode.hosts.provider.classname") == namenode.CombinedHosts},
		LogDir:         conf.String("hadoop.log.dir"),
		ReportInterval: conf.Duration("dfs.blockreport.intervalMsec"),
		Leases:         namenode.LeaseConfig{Hard: conf.Duration("dfs.namenode.lease-hard-limit-sec")},
		Durable: namenode.DurableConfig{
			EditsDirs:        edits,
			CheckpointTxns:   int64(conf.Int("dfs.namenode.checkpoint.txns")),
			CheckpointPeriod: conf.Duration("dfs.namenode.checkpoint.period"),
			Retain:           conf.Int("dfs.namenode.num.checkpoints.retained"),
		},
	}
	// A hard limit below the usual soft one pulls that down with it.
	cfg.Leases.Soft = min(cfg.Leases.Hard, dfs.DefaultLeaseSoftMS*time.Millisecond)
	cfg.Attrs = attrConfig(conf)
	cfg.Files, err = fileConfig(conf)
	return cfg, err
}

// attrConfig turns the keys about ACLs, extended attributes and quotas into their configuration.
func attrConfig(conf *hadoopconf.Conf) namenode.AttrConfig {
	a := namenode.AttrConfig{
		NoACLs:        !conf.Bool("dfs.namenode.acls.enabled"),
		NoXAttrs:      !conf.Bool("dfs.namenode.xattrs.enabled"),
		MaskInherited: !conf.Bool("dfs.namenode.posix.acl.inheritance.enabled"),
		MaxXAttrs:     conf.Int("dfs.namenode.fs-limits.max-xattrs-per-inode"),
		MaxXAttrSize:  int(conf.Size("dfs.namenode.fs-limits.max-xattr-size")),
		NoTypeQuotas:  !conf.Bool("dfs.quota.by.storage.type.enabled"),
	}
	if a.MaxXAttrs == 0 {
		a.MaxXAttrs = -1 // none at all
	}
	return a
}

func fileConfig(conf *hadoopconf.Conf) (namenode.FileConfig, error) {
	checksum := map[string]dfs.ChecksumType{"NULL": dfs.ChecksumNull, "CRC32": dfs.ChecksumCRC32, "CRC32C": dfs.ChecksumCRC32C}
	typ := checksum[strings.ToUpper(conf.String("dfs.checksum.type"))]
	if typ == dfs.ChecksumNull {
		return namenode.FileConfig{}, fmt.Errorf("dfs.checksum.type: NULL is not supported: every block is checksummed")
	}
	maxComponent := conf.Int("dfs.namenode.fs-limits.max-component-length")
	if maxComponent == 0 {
		maxComponent = dfs.MaxPathLength // no limit but the path's
	}
	return namenode.FileConfig{
		Defaults: dfs.ServerDefaults{
			BlockSize:        conf.Size("dfs.blocksize"),
			BytesPerChecksum: uint32(conf.Size("dfs.bytes-per-checksum")),
			WritePacketSize:  uint32(conf.Size("dfs.client-write-packet-size")),
			Replication:      uint16(conf.Int("dfs.replication")),
			FileBufferSize:   uint32(conf.Size("io.file.buffer.size")),
			TrashInterval:    int64(conf.Duration("fs.trash.interval") / time.Minute),
			ChecksumType:     typ,
		},
		MinReplication:      uint16(conf.Int("dfs.namenode.replication.min")),
		MaxReplication:      uint16(conf.Int("dfs.replication.max")),
		MinBlockSize:        max(1, conf.Size("dfs.namenode.fs-limits.min-block-size")),
		MaxBlocks:           conf.Int("dfs.namenode.fs-limits.max-blocks-per-file"),
		MaxComponent:        maxComponent,
		MaxItems:            conf.Int("dfs.namenode.fs-limits.max-directory-items"),
		ListLimit:           conf.Int("dfs.ls.limit"),
		AccessTimePrecision: zeroIsOff(conf.Duration("dfs.namenode.accesstime.precision")),
		Parity:              namenode.ParityConfig{ScrubPeriod: zeroIsOff(conf.Duration("redoubt.raid.scrub.period"))},
		Trash: namenode.TrashConfig{
			Interval:   conf.Duration("fs.trash.interval"),
			Checkpoint: conf.Duration("fs.trash.checkpoint.interval"),
			CleanRoot:  conf.Bool("fs.trash.clean.trashroot.enable"),
			Homes:      conf.String("dfs.user.home.dir.prefix"),
		},
		Guards: namenode.GuardConfig{
			Protected:           conf.List("fs.protected.directories"),
			ProtectBelow:        conf.Bool("dfs.protected.subdirectories.enable"),
			MaxObjects:          int64(conf.Int("dfs.namenode.max.objects")),
			PoliciesOff:         !conf.Bool("dfs.storage.policy.enabled"),
			PoliciesBySuperuser: conf.Bool("dfs.storage.policy.permissions.superuser-only"),
		},
	}, nil
}

// blockConfig turns the keys about redundancy into the block manager's configuration.
func blockConfig(conf *hadoopconf.Conf) blockmanager.Config {
	maintenance := conf.Int("dfs.namenode.maintenance.replication.min")
	if maintenance == 0 {
		maintenance = -1
	}
	return blockmanager.Config{
		MaintenanceMin: maintenance,
		Liveness: blockmanager.Liveness{
			Heartbeat: conf.Duration("dfs.heartbeat.interval"),
			Recheck:   max(conf.Duration("dfs.namenode.heartbeat.recheck-interval"), time.Millisecond),
			Stale:     conf.Duration("dfs.namenode.stale.datanode.interval"),
		},
		Place: blockmanager.Placing{
			IgnoreLoad:      !conf.Bool("dfs.namenode.redundancy.considerLoad"),
			LoadFactor:      max(conf.Float("dfs.namenode.redundancy.considerLoad.factor"), math.SmallestNonzeroFloat64),
			MinBlocks:       conf.Int("dfs.namenode.block-placement.min-blocks-for.write"),
			AvoidStaleRead:  conf.Bool("dfs.namenode.avoid.read.stale.datanode"),
			AvoidStaleWrite: conf.Bool("dfs.namenode.avoid.write.stale.datanode"),
			StaleRatio:      conf.Float("dfs.namenode.write.stale.datanode.ratio"),
		},
		Repair: blockmanager.Repairing{
			Interval:        conf.Duration("dfs.namenode.redundancy.interval.seconds"),
			WorkMultiplier:  conf.Int("dfs.namenode.replication.work.multiplier.per.iteration"),
			MaxStreams:      conf.Int("dfs.namenode.replication.max-streams"),
			MaxStreamsHard:  conf.Int("dfs.namenode.replication.max-streams-hard-limit"),
			PendingTimeout:  conf.Duration("dfs.namenode.reconstruction.pending.timeout-sec"),
			InvalidateLimit: conf.Int("dfs.block.invalidate.limit"),
			DrainInterval:   conf.Duration("dfs.namenode.decommission.interval"),
		},
		Parity: blockmanager.Folding{
			Idle:    conf.Duration("redoubt.raid.fold.idle"),
			Streams: conf.Int("redoubt.raid.fold.streams"),
			Retry:   conf.Duration("redoubt.raid.fold.retry"),
			Hold:    conf.Duration("redoubt.raid.hold"),
		},
	}
}

// threshold turns "0 and less wait for nothing" into namenode.Config's "negative does so".
func threshold(f float64) float64 {
	if f <= 0 {
		return -1
	}
	return f
}

// zeroIsOff turns Hadoop's "0 is off" into namenode.Config's "negative is off".
func zeroIsOff(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// RPCAddress is where clients and datanodes connect: dfs.namenode.rpc-address, else the
// authority of fs.defaultFS, else loopback. The bind host replaces its host for
// listening.
func RPCAddress(conf *hadoopconf.Conf) (string, error) {
	addr := conf.String("dfs.namenode.rpc-address")
	if addr == "" && conf.IsSet("fs.defaultFS") {
		list, err := conf.NameNodes("")
		if err != nil {
			return "", err
		}
		if len(list) != 1 {
			return "", fmt.Errorf("fs.defaultFS names %d name nodes: give dfs.namenode.rpc-address", len(list))
		}
		addr = list[0]
	}
	if addr == "" {
		addr = net.JoinHostPort("127.0.0.1", hadoopconf.DefaultRPCPort)
	}
	return bound(hadoopconf.WithPort(addr, hadoopconf.DefaultRPCPort), conf.String("dfs.namenode.rpc-bind-host")), nil
}

// ServiceAddress is where the name node listens beside RPCAddress, for datanodes and
// administrators: "" unless dfs.namenode.servicerpc-address is set.
func ServiceAddress(conf *hadoopconf.Conf) string {
	addr := conf.String("dfs.namenode.servicerpc-address")
	if addr == "" {
		return ""
	}
	return bound(hadoopconf.WithPort(addr, hadoopconf.DefaultRPCPort), conf.String("dfs.namenode.servicerpc-bind-host"))
}

// HTTPAddress is dfs.namenode.http-address; when nobody set it, loopback and not, as in
// HDFS, every interface.
func HTTPAddress(conf *hadoopconf.Conf) string {
	addr := conf.String("dfs.namenode.http-address")
	if !conf.IsSet("dfs.namenode.http-address") {
		addr = "127.0.0.1:9870"
	}
	return bound(hadoopconf.WithPort(addr, "9870"), conf.String("dfs.namenode.http-bind-host"))
}

func bound(addr, host string) string {
	if host == "" {
		return addr
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // the listener names what is wrong with it
	}
	return net.JoinHostPort(host, port)
}
