package blockmanager

import (
	"time"

	"redoubt/dfs"
)

// Folding tunes parity groups.
type Folding struct {
	// Idle is how long blocks wait for a group to fill up before a smaller one is made of
	// them (redoubt.raid.fold.idle), 30 s.
	Idle time.Duration
	// Streams bounds the folds that one datanode has at a time, 2.
	Streams int
	// Retry is how long blocks are left alone after a fold that failed, 30 s.
	Retry time.Duration
	// Hold is how long a block that was asked to leave its group stays out of any, 2 min.
	Hold time.Duration
}

// ParityPlan is a change of parity groups that is due. It is good until the next call of
// ParityPlans, and is carried out by
//
//	new group, or another one in place of Replaces:
//	    log an id for the parity, Fold, wait for the datanode's answer, Folded, log, Grouped
//	Dissolve:
//	    log that the group Replaces ends, Grouped
type ParityPlan struct {
	Replaces dfs.BlockID // the parity of the group that this one replaces; 0: none
	Members  []dfs.Block // of the new group, in the order of its record
	Host     string      // UUID of the datanode that makes the parity and keeps it
	Data     int         // k
	Dissolve bool        // end the group Replaces: its members have replicas enough
}

// FoldSource is a block that another one is made from, and where its good replicas are.
type FoldSource struct {
	Block   dfs.Block
	Targets []Target
	CRC     uint32 // CRC32C of its bytes
	HasCRC  bool   // CRC is known
}

// Sum is how a replica that is to be made keeps checksums, and what its bytes add up to.
type Sum struct {
	Checksum dfs.ChecksumType
	BytesPer int    // bytes per checksum; 0: CRC32C of 512 bytes each
	CRC      uint32 // CRC32C of its bytes
	HasCRC   bool   // CRC is known
}

// FoldResult is a datanode's word on the end of a Fold command.
type FoldResult struct {
	Block   dfs.Block // that was to be made, with its length
	Storage string    // volume UUID of the new replica
	CRC     uint32    // CRC32C of its bytes
	// Members are what was read, in the order of the command's sources.
	Members []dfs.ParityMember
	Err     string // why there is no replica; "" if there is one
}

// Formed is a group that stands ready to be logged.
type Formed struct {
	Group    dfs.ParityGroup
	Replaces dfs.BlockID // 0: none
}

// GroupChange is what the log has made of a plan.
type GroupChange struct {
	Group   dfs.ParityGroup // as it is now; no Parity.ID after the end of a group
	Removed []dfs.Block     // freed: the parity that is gone, departed members that left
	Left    []dfs.Block     // in no group any more
}

// ParityStats counts what concerns parity groups. What the log knows (groups, members, the
// parities' bytes) is counted by the namespace.
type ParityStats struct {
	Parities   int64 // replicas of parity blocks
	Candidates int64 // blocks that wait for a group to be made of them
	Forming    int64 // folds under way
	Degraded   int64 // members and parities without a replica that can be made again
	Lost       int64 // members that can't be
	Leaving    int64 // members asked to leave
	Waiting    int64 // blocks and candidates that wait for nodes or racks
	Why        string
	Rebuilds   int64 // blocks made again so far
	Folds      int64 // parities made and logged so far
	Failed     int64 // folds that failed so far
	Dissolved  int64 // groups ended so far
}
