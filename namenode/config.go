package namenode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/vfs"
)

// Config says how a name node runs. The zero value works but for NameDirs; fields that
// are zero take the defaults that their comments name, which are HDFS's.
type Config struct {
	FS       vfs.FS   // vfs.OS()
	NameDirs []string // dfs.namenode.name.dir; at least one, formatted

	Superuser  string      // who may do everything; the one who started the process
	Supergroup string      // dfs.permissions.superusergroup, "supergroup"
	Groups     GroupSource // OSGroups{}
	GroupsTTL  time.Duration
	// PermissionsOff is the opposite of dfs.permissions.enabled.
	PermissionsOff bool

	Files    FileConfig
	Attrs    AttrConfig
	SafeMode SafeModeConfig
	Leases   LeaseConfig
	Durable  DurableConfig
	Blocks   blockmanager.Config // MinReplication and OnFinalized are set by Start
	Hosts    HostsConfig

	// Topology tells a datanode's rack; nil: all are on /default-rack.
	Topology       func(dfs.DatanodeID) string
	ReportInterval time.Duration // dfs.blockreport.intervalMsec, 6 h
	Log            *slog.Logger  // discards
	Audit          io.Writer     // one line per operation; nil: none
	LogDir         string        // where metaSave puts its reports, hadoop.log.dir; metasave in the first name directory
	// OnFailure is called once, from a goroutine of its own, when the journal has failed
	// for good. The name node answers no change any more; the process should end.
	OnFailure func(error)
}

// FileConfig holds what new files get and what names and files may be like.
type FileConfig struct {
	Defaults       dfs.ServerDefaults // what clients are told; dfs.blocksize 128 MiB, dfs.replication 3, ...
	MinReplication uint16             // dfs.namenode.replication.min, 1: replicas for complete to succeed
	MaxReplication uint16             // dfs.replication.max, 512
	MinBlockSize   int64              // dfs.namenode.fs-limits.min-block-size, 1 MiB
	MaxBlocks      int                // dfs.namenode.fs-limits.max-blocks-per-file, 10000
	MaxComponent   int                // dfs.namenode.fs-limits.max-component-length, 255 bytes
	MaxItems       int                // dfs.namenode.fs-limits.max-directory-items, 1048576
	ListLimit      int                // dfs.ls.limit, 1000
	// AccessTimePrecision is dfs.namenode.accesstime.precision, 1 hour. Negative: access
	// times are not kept.
	AccessTimePrecision time.Duration
	// AddBlockWait is how long addBlock and complete wait for a replica to be reported
	// before they answer NotReplicatedYet or false, 2 s. Negative: no wait.
	AddBlockWait time.Duration
	Parity       ParityConfig
	Trash        TrashConfig // what becomes of those that users delete
	Guards       GuardConfig
}

// AttrConfig is about access control lists, extended attributes and quotas.
type AttrConfig struct {
	NoACLs   bool // the opposite of dfs.namenode.acls.enabled
	NoXAttrs bool // the opposite of dfs.namenode.xattrs.enabled
	// MaskInherited is the opposite of dfs.namenode.posix.acl.inheritance.enabled: the
	// client's umask bounds what a new inode inherits.
	MaskInherited bool
	MaxXAttrs     int  // dfs.namenode.fs-limits.max-xattrs-per-inode, 32; negative: none
	MaxXAttrSize  int  // dfs.namenode.fs-limits.max-xattr-size, 16384 bytes of name and value
	NoTypeQuotas  bool // the opposite of dfs.quota.by.storage.type.enabled: none can be set; those that are count
}

// SafeModeConfig says when a started name node leaves safe mode.
type SafeModeConfig struct {
	Threshold    float64       // dfs.namenode.safemode.threshold-pct, 0.999; negative: no block is waited for
	MinDatanodes int           // dfs.namenode.safemode.min.datanodes, 0
	Extension    time.Duration // dfs.namenode.safemode.extension, 30 s; negative: none
}

// LeaseConfig says how long writers may be silent.
type LeaseConfig struct {
	Soft time.Duration // 60 s: then another writer may take over
	Hard time.Duration // dfs.namenode.lease-hard-limit-sec, 20 min: then the file is closed
	// Retry is when a block recovery that has not ended is ordered again, 10 s.
	Retry time.Duration
}

// DurableConfig says where the log stands and when checkpoints are taken.
type DurableConfig struct {
	// EditsDirs, if there are any, hold the log instead of NameDirs: dfs.namenode.edits.dir.
	EditsDirs        []string
	CheckpointTxns   int64         // dfs.namenode.checkpoint.txns, 1,000,000
	CheckpointPeriod time.Duration // dfs.namenode.checkpoint.period, 1 h
	Retain           int           // dfs.namenode.num.checkpoints.retained, 2
	FillChunk        int64         // journal.Options.FillChunk
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.Groups == nil {
		c.Groups = OSGroups{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.Supergroup, "supergroup")
	if c.LogDir == "" && len(c.NameDirs) > 0 {
		c.LogDir = path.Join(c.NameDirs[0], "metasave")
	}
	orDefault(&c.GroupsTTL, 300*time.Second)
	f := &c.Files
	orDefault(&f.Defaults.BlockSize, int64(dfs.DefaultBlockSize))
	orDefault(&f.Defaults.BytesPerChecksum, uint32(dfs.BytesPerChecksum))
	orDefault(&f.Defaults.WritePacketSize, uint32(dfs.DefaultWritePacket))
	orDefault(&f.Defaults.Replication, uint16(dfs.DefaultReplication))
	orDefault(&f.Defaults.FileBufferSize, uint32(dfs.DefaultFileBuffer))
	orDefault(&f.Defaults.ChecksumType, dfs.ChecksumCRC32C)
	orDefault(&f.MinReplication, uint16(1))
	orDefault(&f.MaxReplication, uint16(dfs.MaxReplication))
	orDefault(&f.MinBlockSize, int64(dfs.MinBlockSize))
	orDefault(&f.MaxBlocks, dfs.MaxBlocksPerFile)
	orDefault(&f.MaxComponent, dfs.MaxComponentLength)
	orDefault(&f.MaxItems, dfs.MaxDirectoryItems)
	orDefault(&f.ListLimit, dfs.MaxListing)
	orDefault(&f.AccessTimePrecision, time.Hour)
	orDefault(&f.AddBlockWait, 2*time.Second)
	orDefault(&f.Trash.Homes, "/user")
	orDefault(&f.Trash.Zone, time.Local)
	f.Guards.Protected = cleanProtected(f.Guards.Protected)
	orDefault(&c.Attrs.MaxXAttrs, 32)
	orDefault(&c.Attrs.MaxXAttrSize, 16<<10)
	orDefault(&c.SafeMode.Threshold, 0.999)
	orDefault(&c.SafeMode.Extension, 30*time.Second)
	orDefault(&c.Leases.Soft, dfs.DefaultLeaseSoftMS*time.Millisecond)
	orDefault(&c.Leases.Hard, dfs.DefaultLeaseHardMS*time.Millisecond)
	orDefault(&c.Durable.CheckpointTxns, 1_000_000)
	orDefault(&c.Durable.CheckpointPeriod, time.Hour)
	orDefault(&c.Durable.Retain, 2)
	orDefault(&c.Leases.Retry, 10*time.Second)
	orDefault(&c.Files.Parity.ScrubPeriod, 7*24*time.Hour)
	orDefault(&c.Files.Parity.LeaveWait, 50*time.Second)
	orDefault(&c.Blocks.Liveness.Heartbeat, 3*time.Second)
	orDefault(&c.ReportInterval, 6*time.Hour)
	return c
}

// Validate reports every fault of the configuration, not only the first one.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("namenode: "+format, args...))
		}
	}
	need(len(c.NameDirs) > 0, "dfs.namenode.name.dir: no directory is given")
	seen := map[string]bool{}
	for _, d := range c.NameDirs {
		need(d != "", "dfs.namenode.name.dir: a directory is empty")
		need(!seen[d], "dfs.namenode.name.dir: %s is given twice", d)
		seen[d] = true
	}
	need(c.Superuser != "", "the superuser has no name")
	f := c.Files
	need(f.Defaults.BlockSize >= f.MinBlockSize, "dfs.blocksize %d is below dfs.namenode.fs-limits.min-block-size %d", f.Defaults.BlockSize, f.MinBlockSize)
	need(f.MinBlockSize > 0, "dfs.namenode.fs-limits.min-block-size %d is not positive", f.MinBlockSize)
	need(f.Defaults.BytesPerChecksum > 0 && f.Defaults.BlockSize%int64(max(1, f.Defaults.BytesPerChecksum)) == 0,
		"dfs.blocksize %d is not a multiple of dfs.bytes-per-checksum %d", f.Defaults.BlockSize, f.Defaults.BytesPerChecksum)
	need(f.MinReplication <= f.Defaults.Replication && f.Defaults.Replication <= f.MaxReplication,
		"dfs.replication %d is not between dfs.namenode.replication.min %d and dfs.replication.max %d", f.Defaults.Replication, f.MinReplication, f.MaxReplication)
	need(f.MaxReplication <= dfs.MaxReplication, "dfs.replication.max %d is above %d", f.MaxReplication, dfs.MaxReplication)
	need(f.MaxBlocks > 0, "dfs.namenode.fs-limits.max-blocks-per-file %d is not positive", f.MaxBlocks)
	need(f.MaxComponent > 0 && f.MaxComponent <= 1<<16-1, "dfs.namenode.fs-limits.max-component-length %d is not between 1 and 65535", f.MaxComponent)
	need(f.MaxItems > 0 && f.MaxItems <= 6_400_000, "dfs.namenode.fs-limits.max-directory-items %d is not between 1 and 6400000", f.MaxItems)
	need(f.Trash.Interval == 0 || f.Trash.Interval >= time.Millisecond, "fs.trash.interval %v is below a millisecond", f.Trash.Interval)
	need(f.Trash.Checkpoint == 0 || f.Trash.Checkpoint >= time.Millisecond, "fs.trash.checkpoint.interval %v is below a millisecond", f.Trash.Checkpoint)
	need(f.Trash.Homes[0] == '/', "dfs.user.home.dir.prefix %s is no absolute path", f.Trash.Homes)
	need(f.Guards.MaxObjects >= 0, "dfs.namenode.max.objects %d is negative", f.Guards.MaxObjects)
	need(f.ListLimit > 0, "dfs.ls.limit %d is not positive", f.ListLimit)
	need(c.Attrs.MaxXAttrSize > 0 && c.Attrs.MaxXAttrSize <= 32<<10, "dfs.namenode.fs-limits.max-xattr-size %d is not between 1 and 32768", c.Attrs.MaxXAttrSize)
	need(c.SafeMode.MinDatanodes >= 0, "dfs.namenode.safemode.min.datanodes %d is negative", c.SafeMode.MinDatanodes)
	need(c.Leases.Soft > 0 && c.Leases.Hard >= c.Leases.Soft, "lease limits: soft %v, hard %v: want 0 < soft <= hard", c.Leases.Soft, c.Leases.Hard)
	need(c.Durable.CheckpointTxns > 0, "dfs.namenode.checkpoint.txns %d is not positive", c.Durable.CheckpointTxns)
	need(c.Durable.CheckpointPeriod > 0, "dfs.namenode.checkpoint.period %v is not positive", c.Durable.CheckpointPeriod)
	need(c.Hosts.Include == "" && c.Hosts.Exclude == "" || c.Hosts.ReadFile != nil, "dfs.hosts: no way to read the files")
	errs = append(errs, c.Blocks.Validate())
	return errors.Join(errs...)
}
