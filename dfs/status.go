package dfs

import (
	"slices"
	"strings"
)

// FileType tells files, directories and symbolic links apart, with HDFS's wire numbers.
type FileType uint8

const (
	TypeDirectory FileType = 1
	TypeFile      FileType = 2
	TypeSymlink   FileType = 3
)

// Mode is a permission: nine rwx bits and the sticky bit, 01777 at most.
type Mode uint16

// Sticky is the sticky bit of a directory; ModeMask covers all that a Mode may hold.
const (
	Sticky   Mode = 0o1000
	ModeMask Mode = 0o1777
)

// Access is what a caller wants to do with an inode: a bit set of the three below.
type Access uint8

const (
	Execute Access = 1
	Write   Access = 2
	Read    Access = 4
)

// Status flags, with HDFS's wire numbers.
const (
	FlagACL             = 1
	FlagEncrypted       = 2
	FlagErasureCoded    = 4
	FlagSnapshotEnabled = 8
)

// FileStatus is what getFileInfo and listings tell about one path.
type FileStatus struct {
	Type          FileType
	ID            InodeID
	Name          string // local name in a listing, "" when asked for by path
	Length        int64
	Mode          Mode
	Owner         string
	Group         string
	ModTime       int64 // ms
	AccessTime    int64 // ms; 0 for directories
	Replication   uint16
	BlockSize     int64
	Children      int // directories; -1 when unknown
	StoragePolicy uint8
	Flags         uint32
	Symlink       string // target of a symlink
	ECPolicy      string // erasure coding policy of another server's path; "" for none
}

// ContentSummary adds up a subtree; the path itself counts as one file or directory.
// Quotas are -1 where none is set.
type ContentSummary struct {
	Length      int64
	Files       int64
	Directories int64
	Space       int64 // length times replication, per block
	NSQuota     int64
	DSQuota     int64
	TypeQuota   TypeSpace // quotas by storage type
	TypeUsed    TypeSpace // what counts for them, if any is set; else as TypeSpace
	TypeSpace   TypeSpace // length of the replicas that a storage policy wants on the medium
}

// ServerDefaults is what clients take for settings that their user left open.
type ServerDefaults struct {
	BlockSize        int64
	BytesPerChecksum uint32
	WritePacketSize  uint32
	Replication      uint16
	FileBufferSize   uint32
	TrashInterval    int64 // minutes; 0 is off
	ChecksumType     ChecksumType
}

// ChecksumType has HDFS's wire numbers.
type ChecksumType uint8

const (
	ChecksumNull   ChecksumType = 0
	ChecksumCRC32  ChecksumType = 1
	ChecksumCRC32C ChecksumType = 2
)

// StorageType is the medium of a volume, with HDFS's wire numbers.
type StorageType uint8

const (
	StorageDisk     StorageType = 1
	StorageSSD      StorageType = 2
	StorageArchive  StorageType = 3
	StorageRAMDisk  StorageType = 4
	StorageProvided StorageType = 5
	StorageNVDIMM   StorageType = 6
)

var storageTypeNames = [...]string{"", "DISK", "SSD", "ARCHIVE", "RAM_DISK", "PROVIDED", "NVDIMM"}

// String is HDFS's name of the medium, "" for what is none.
func (t StorageType) String() string {
	if int(t) < len(storageTypeNames) {
		return storageTypeNames[t]
	}
	return ""
}

// StorageTypeNamed finds a medium by its name, in any case as HDFS does.
func StorageTypeNamed(name string) (StorageType, bool) {
	for i, n := range storageTypeNames[1:] {
		if strings.EqualFold(name, n) {
			return StorageType(i + 1), true
		}
	}
	return 0, false
}

// QuotaTypes are the media that can have a quota, in the order in which HDFS's tools show
// them. Memory has none: what is in it is on its way to a disk.
var QuotaTypes = [...]StorageType{StorageSSD, StorageDisk, StorageArchive, StorageProvided, StorageNVDIMM}

// TypeSpace is bytes on each medium that can have a quota, in the order of QuotaTypes.
type TypeSpace [len(QuotaTypes)]int64

// HasQuota reports whether a medium can have a quota.
func (t StorageType) HasQuota() bool { return slices.Contains(QuotaTypes[:], t) }

// AdminState of a datanode, with HDFS's wire numbers.
type AdminState uint8

const (
	AdminNormal              AdminState = 0
	AdminDecommissioning     AdminState = 1
	AdminDecommissioned      AdminState = 2
	AdminEnteringMaintenance AdminState = 3
	AdminInMaintenance       AdminState = 4
)

// DatanodeID is where a datanode can be reached and what identifies it (UUID).
// IP is a literal address that clients can reach.
type DatanodeID struct {
	UUID       string
	IP         string
	Host       string
	XferPort   uint16 // data transfer
	InfoPort   uint16 // HTTP
	SecurePort uint16 // HTTPS; 0 none
	IPCPort    uint16 // Hadoop RPC
}

// DatanodeInfo is a datanode as reports and located blocks show it. Sizes in bytes.
type DatanodeInfo struct {
	DatanodeID
	Capacity         int64
	Used             int64
	NonDFSUsed       int64
	Remaining        int64
	PoolUsed         int64
	LastUpdate       int64 // ms, of the last heartbeat
	LastUpdateMono   int64 // ms on the name node's monotonic clock
	LastReport       int64 // ms, of the last full block report
	LastReportMono   int64
	Xceivers         uint32
	Location         string // rack, "/default-rack"
	Admin            AdminState
	Blocks           uint32
	CacheCapacity    int64
	CacheUsed        int64
	SoftwareVersion  string
	FailedVolumes    int
	StartedUnixMilli int64
}

// ReplicaLoc is one replica of a located block.
type ReplicaLoc struct {
	Node    *DatanodeInfo // shared and read-only
	Storage string        // storage (volume) UUID
	Type    StorageType
}

// LocatedBlock is a block of a file, where it starts and where its replicas are,
// nearest to the reader first.
type LocatedBlock struct {
	Block
	PoolID  string
	Offset  int64
	Corrupt bool // every replica is known to be bad
	Locs    []ReplicaLoc
}

// LocatedBlocks answers getBlockLocations.
type LocatedBlocks struct {
	FileLength        int64 // completed blocks only
	Blocks            []LocatedBlock
	UnderConstruction bool
	Last              *LocatedBlock // the file's last block, if it has one
	LastComplete      bool
	ECPolicy          string // of another server's file: its blocks are groups; "" for none
	Encrypted         bool   // of another server's file: its blocks are ciphertext
}
