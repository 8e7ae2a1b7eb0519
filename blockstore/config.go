package blockstore

import (
	"errors"
	"fmt"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Config says what to open. FS, Volumes and Cluster must be set.
type Config struct {
	FS      vfs.FS
	Volumes []VolumeConfig
	// Cluster is what the name node said. Fresh volumes are formatted for it, volumes
	// of another cluster or pool are refused.
	Cluster dfs.ClusterInfo
	// Reserved bytes are left free on each volume.
	Reserved int64
	// FailedVolumesTolerated is how many volumes may fail before the store is unusable.
	// 0 tolerates all but one, a negative number none.
	FailedVolumesTolerated int
	// OnBad is told of replicas that are damaged: at start, by a scrub, by a reader.
	// It is called without locks held, from any goroutine. May be nil.
	OnBad func(Bad)
	// OnCut is told, at start, of replicas that were being written and whose checksums
	// prove less than their files hold: a power cut hit what was not synced, or what was
	// has rotted, and only other replicas can tell which. May be nil.
	OnCut func(Bad)
	// OnVolumeFailed is told of a volume that has just failed, with its replicas gone
	// already. It is called without locks held, from any goroutine. May be nil.
	OnVolumeFailed func(VolumeState)
}

// VolumeConfig is one directory to keep replicas in.
type VolumeConfig struct {
	Dir  string
	Type dfs.StorageType // 0 is StorageDisk
	// FS, if set, is the file system that holds Dir instead of Config.FS: the door for
	// volumes that are not a plain directory.
	FS vfs.FS
	// Name is what reports and messages call the volume; "" is Dir.
	Name string
	// Capacity is how many bytes of the disk the volume may use; 0: all. It is for clusters
	// whose volumes share a disk.
	Capacity int64
	// Err says why the volume can't be used: it counts as failed from the start.
	Err error
}

// Label is the volume's name.
func (c VolumeConfig) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Dir
}

// Bad is a damaged replica. Its files are still there.
type Bad struct {
	Block   dfs.Block
	Storage string
	Err     error
}

// VolumeState describes a volume, sizes in bytes.
type VolumeState struct {
	Dir      string
	Storage  string // storage id; "" if it failed before that could be read
	Type     dfs.StorageType
	Err      error // why it failed; nil while it works
	Capacity int64 // without what is reserved
	Used     int64 // by replicas and their checksums
	Free     int64 // for new replicas
	NonDFS   int64 // used by others
	Replicas int
	Aside    int // files that were set aside since the start
}

// Report gives the state as a heartbeat carries it.
func (v VolumeState) Report() dfs.StorageReport {
	return dfs.StorageReport{UUID: v.Storage, Type: v.Type, Failed: v.Err != nil,
		Capacity: v.Capacity, Used: v.Used, Remaining: v.Free, PoolUsed: v.Used, NonDFS: v.NonDFS}
}

// Replica describes a replica.
type Replica struct {
	Block   dfs.Block // its length is what is on disk
	State   dfs.ReplicaState
	Storage string
	Visible int64 // what readers may see: the acknowledged length while being written
	// Cut says that at the start the files went further than their checksums proved: a crash
	// left unsynced bytes, or there is damage and what follows it may have been acknowledged.
	Cut bool
}

// Validate lists everything that is wrong with a configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("blockstore: "+format, args...))
	}
	if c.FS == nil {
		bad("no file system")
	}
	if len(c.Volumes) == 0 {
		bad("no volumes")
	}
	if len(c.Volumes) > maxVolumes {
		bad("%d volumes, more than %d", len(c.Volumes), maxVolumes)
	}
	seen := map[string]bool{}
	for _, v := range c.Volumes {
		if v.Dir == "" {
			bad("a volume without a directory")
		} else if seen[v.Label()] {
			bad("volume %s is given twice", v.Label())
		}
		seen[v.Label()] = true
		if v.Capacity < 0 {
			bad("volume %s has a capacity of %d bytes", v.Label(), v.Capacity)
		}
	}
	if c.Cluster.ClusterID == "" || c.Cluster.PoolID == "" {
		bad("cluster and pool id must be known, have %q and %q", c.Cluster.ClusterID, c.Cluster.PoolID)
	}
	if c.Reserved < 0 {
		bad("%d bytes reserved", c.Reserved)
	}
	return errors.Join(errs...)
}

const maxVolumes = 1 << 15
