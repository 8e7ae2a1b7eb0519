package namespace

import "redoubt/dfs"

// Inode is a view of one inode as it was when asked for. Strings are shared and immutable.
type Inode struct {
	ID                dfs.InodeID
	Parent            dfs.InodeID // 0 for the root
	Type              dfs.FileType
	Mode              dfs.Mode
	Owner             string
	Group             string
	ModTime           int64
	AccessTime        int64
	Replication       uint16
	BlockSize         int64
	Length            int64 // sum of the block lengths as logged
	Blocks            int
	Children          int
	Policy            uint8 // its own, 0 inherits
	UnderConstruction bool
	HasACL            bool
	HasXAttrs         bool
	HasQuota          bool

	idx uint32
}

// IsDir and IsFile tell the kinds apart.
func (n *Inode) IsDir() bool { return n.Type == dfs.TypeDirectory }

// IsFile reports whether the inode is a file.
func (n *Inode) IsFile() bool { return n.Type == dfs.TypeFile }

// Walk is a resolved path, reusable: Chain[0] is the root and Chain[i] the inode of
// Names[i-1]. Chain ends at the first name that is missing, or below a file.
type Walk struct {
	Names []string
	Chain []Inode

	chainAuth []uint64
}

// BlockState is the state of a block as the log has it.
type BlockState uint8

// The states of a block, with HDFS's meanings.
const (
	BlockUnderConstruction BlockState = 0 // being written
	BlockUnderRecovery     BlockState = 1 // a truncate waits for its recovery
	BlockCommitted         BlockState = 2 // its length is final, replicas may be missing
	BlockCompleted         BlockState = 3 // enough replicas were seen
)

// BlockInfo is one block and where it belongs.
type BlockInfo struct {
	dfs.Block
	State       BlockState
	File        dfs.InodeID
	Replication uint16 // of the file
	Policy      uint8  // of the file itself, 0 inherits
	Offset      int64  // in the file; set by Blocks and LastBlock only
}

// OpenFile is a file that is open for writing.
type OpenFile struct {
	ID      dfs.InodeID
	Holder  string
	Machine string
	// Truncate is the length that the last block's recovery is to reach, -1 for none.
	Truncate int64
}

// Counts are the sizes of the state.
type Counts struct {
	Files       int64 // with those that wait to be reaped
	Directories int64
	Blocks      int64
	OpenFiles   int64
	Leases      int64
	Retries     int64
	Detached    int64 // roots of deleted subtrees that wait to be reaped
	NextInode   dfs.InodeID
	NextBlock   dfs.BlockID
	NextStamp   dfs.GenStamp
}
