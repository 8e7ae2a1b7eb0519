package dfs

import "net/netip"

// Caller is who asks and by which call. The name service trusts User, as HDFS's simple
// authentication does; groups are the name node's to resolve.
type Caller struct {
	User     string
	RealUser string     // set for a proxy user
	Addr     netip.Addr // where the connection comes from
	Protocol string     // "rpc", "webhdfs": for the audit log
	Context  string     // the caller context, for the audit log
	ID       CallID     // zero: no retry cache
}

// Create flags, with HDFS's wire numbers.
const (
	CreateFlagCreate          uint32 = 0x01
	CreateFlagOverwrite       uint32 = 0x02
	CreateFlagAppend          uint32 = 0x04
	CreateFlagLazyPersist     uint32 = 0x10
	CreateFlagNewBlock        uint32 = 0x20
	CreateFlagNoLocalWrite    uint32 = 0x40
	CreateFlagShouldReplicate uint32 = 0x80
)

// AddBlock flags, with HDFS's wire numbers.
const (
	AddBlockNoLocalWrite         uint32 = 1
	AddBlockIgnoreClientLocality uint32 = 2
)

// MkdirsRequest asks for a directory.
type MkdirsRequest struct {
	Path         string
	Mode         Mode // umask applied by the client
	Unmasked     Mode // before the umask; for default ACLs
	HasUnmasked  bool
	CreateParent bool
}

// CreateRequest asks for a new file, open for writing by Holder.
type CreateRequest struct {
	Path          string
	Mode          Mode // umask applied by the client
	Unmasked      Mode // before the umask; for default ACLs
	HasUnmasked   bool
	Holder        string // lease holder
	Flags         uint32
	CreateParent  bool
	Replication   uint16
	BlockSize     int64
	StoragePolicy string // "" inherits
	ECPolicy      string
}

// AddBlockRequest asks for the next block of an open file.
type AddBlockRequest struct {
	Path     string
	File     InodeID // 0: by path
	Holder   string
	Previous *Block // the block just finished with its final length; nil for the first
	Exclude  []DatanodeID
	Favored  []string // host:port or host names
	Flags    uint32
}

// AdditionalDatanodeRequest asks for replacements in a broken pipeline.
type AdditionalDatanodeRequest struct {
	Path     string
	File     InodeID
	Block    Block
	Existing []DatanodeID
	Storages []string // of Existing
	Exclude  []DatanodeID
	Count    int
	Holder   string
}

// UpdatePipelineRequest makes a recovered pipeline official.
type UpdatePipelineRequest struct {
	Holder   string
	Old, New Block
	Nodes    []DatanodeID
	Storages []string
}

// Rename2 options.
type RenameOptions struct {
	Overwrite bool
	ToTrash   bool
}

// ListEntry is one entry of a listing; Blocks is set when locations were asked for.
type ListEntry struct {
	FileStatus
	Blocks *LocatedBlocks
}

// Listing is one page of a directory listing.
type Listing struct {
	Entries   []ListEntry
	Remaining int
}

// FsStats is what getFsStats answers, sizes in bytes.
type FsStats struct {
	Capacity, Used, Remaining int64
	UnderReplicated           int64
	Corrupt                   int64
	Missing                   int64
	MissingReplOne            int64
	BlocksInFuture            int64
	PendingDeletion           int64
}

// DatanodeReportType selects datanodes, with HDFS's wire numbers.
type DatanodeReportType uint8

const (
	ReportAll                 DatanodeReportType = 1
	ReportLive                DatanodeReportType = 2
	ReportDead                DatanodeReportType = 3
	ReportDecommissioning     DatanodeReportType = 4
	ReportEnteringMaintenance DatanodeReportType = 5
	ReportInMaintenance       DatanodeReportType = 6
)

// StorageReport describes one volume of a datanode, sizes in bytes.
type StorageReport struct {
	UUID      string
	Type      StorageType
	Failed    bool
	Capacity  int64
	Used      int64
	Remaining int64
	PoolUsed  int64
	NonDFS    int64
}

// DatanodeStorageReport is a datanode with its volumes.
type DatanodeStorageReport struct {
	Node     DatanodeInfo
	Storages []StorageReport
}

// HeldBlock is a block with the places of its replicas: datanodes and volumes by UUID, and
// the volumes' media, all in one order.
type HeldBlock struct {
	Block
	Nodes    []string
	Storages []string
	Types    []StorageType
}

// HeldRequest asks for blocks that a datanode holds and that could be moved to others.
type HeldRequest struct {
	Node     DatanodeID
	Size     int64       // bytes of them that are wanted, about
	MinSize  int64       // shorter ones are left out
	Interval int64       // ms; those of files that were used more lately come last; 0: all are alike
	Type     StorageType // only those on volumes of this medium; 0: on all
}

// SafeModeAction has HDFS's wire numbers.
type SafeModeAction uint8

const (
	SafeModeLeave     SafeModeAction = 1
	SafeModeEnter     SafeModeAction = 2
	SafeModeGet       SafeModeAction = 3
	SafeModeForceExit SafeModeAction = 4
)

// OpenFile is one entry of listOpenFiles.
type OpenFile struct {
	ID      InodeID
	Path    string
	Holder  string
	Machine string
}

// BadBlock names replicas that a client or datanode found damaged.
type BadBlock struct {
	Block
	Nodes    []DatanodeID
	Storages []string
}

// Digest is a set hash of a state machine's whole state: equal history gives equal digest.
type Digest [16]byte

// Section is one named part of a state machine's snapshot. Write calls emit with one
// chunk after another; every chunk is a self-contained run of records of at most a few
// MiB, so that chunks can be compressed, checked and decoded in parallel. The chunk is
// emit's only until it returns. Sections are written at the same time by several
// goroutines.
type Section struct {
	Name  string
	Write func(emit func(chunk []byte) error) error
}

// SectionSource is a checkpoint being read.
type SectionSource interface {
	// Sections lists the names in file order.
	Sections() []string
	// Chunks calls fn with each chunk of a section, in order, on the caller's goroutine.
	// A section that is not there has no chunks. A chunk is fn's only until it returns.
	Chunks(name string, fn func(chunk []byte) error) error
	// Parallel calls fn with each chunk of a section and its index, at the same time
	// from several goroutines, in no order.
	Parallel(name string, fn func(index int, chunk []byte) error) error
}
