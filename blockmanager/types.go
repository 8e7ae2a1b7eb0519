package blockmanager

import (
	"net/netip"
	"time"

	"redoubt/dfs"
)

// BlockState is how far a block has come, as the namespace has it.
type BlockState uint8

const (
	// Building: a writer may be adding to it; its length is not final.
	Building BlockState = iota
	// Committed: the writer has told the final length; fewer than the minimum of replicas
	// were reported when that happened.
	Committed
	// Complete: stamp and length are final until an append, truncate or recovery.
	Complete
)

// Facts are the hard facts about a block.
type Facts struct {
	GenStamp    dfs.GenStamp
	Length      int64 // final when Committed or Complete, else what is known
	Replication uint16
	Policy      uint8 // storage policy id, inherited ones resolved
	State       BlockState
	Kind        dfs.BlockKind // a departed member and a parity are Complete
	Group       dfs.BlockID   // the parity of its group; 0: none. A parity has its own id
}

// Source answers from the namespace. It is called with the Manager's lock held and the
// state lock held by the Manager's caller; it must not call back.
type Source interface {
	// Block gives the facts of a block that a file holds, of a departed member of a parity
	// group, or of a parity; false for any other id.
	Block(id dfs.BlockID) (Facts, bool)
	// Group gives the group of a parity block; the answer is the caller's own.
	Group(parity dfs.BlockID) (dfs.ParityGroup, bool)
	// LastBlock is the highest block id that this history has handed out.
	LastBlock() dfs.BlockID
	// NextIssued is the smallest block id from id on that this history has handed out, 0 for
	// none. Ids that it leaves out belong to nobody, or to another history.
	NextIssued(id dfs.BlockID) dfs.BlockID
	// StampIssued tells whether this history has handed a generation stamp out.
	StampIssued(stamp dfs.GenStamp) bool
}

// Target is a datanode and one of its volumes.
type Target struct {
	Node    dfs.DatanodeID
	Storage string // volume UUID
	Type    dfs.StorageType
}

// CommandKind says what a datanode is to do.
type CommandKind uint8

const (
	Transfer   CommandKind = 1 // copy Block to Targets
	Invalidate CommandKind = 2 // remove the replicas Blocks
	Recover    CommandKind = 3 // recover Block as its primary; Targets hold the replicas, itself included
	Report     CommandKind = 4 // send full reports of all volumes
	Fold       CommandKind = 5 // make a replica of Block on volume Targets[0] from Sources; see Sum
	ScrubGroup CommandKind = 6 // compare the parity Block and its members Sources by their checksums
	Move       CommandKind = 7 // Transfer to one target, which may be a volume of the datanode itself
)

// Command is an order for a datanode.
type Command struct {
	Kind       CommandKind
	Block      dfs.Block
	Blocks     []dfs.Block
	Targets    []Target
	RecoveryID dfs.GenStamp
	NewLength  int64 // of a truncate recovery; -1 otherwise
	Sources    []FoldSource
	Sum        Sum // of Block, of Fold and ScrubGroup
}

// Registration makes a datanode known.
type Registration struct {
	Node            dfs.DatanodeID
	Location        string // rack; "" is DefaultRack
	SoftwareVersion string
	Storages        []dfs.StorageReport
	Admin           dfs.AdminState // AdminDecommissioning to drain it, AdminEnteringMaintenance
	Moves           bool           // it can bring a replica to another of its volumes
	Plain           bool           // it can't fold, rebuild or scrub: no block of a parity group goes there
}

// Heartbeat is a datanode's sign of life.
type Heartbeat struct {
	UUID          string
	Storages      []dfs.StorageReport // all volumes; one that is left out counts as failed
	Xceivers      uint32
	CacheCapacity int64
	CacheUsed     int64
	FailedVolumes int
	Lifeline      bool // its orders stay where they are
}

// Replica is one line of a full report.
type Replica struct {
	Block dfs.Block
	State dfs.ReplicaState
}

// ReportPart names a part of a full report of one volume.
type ReportPart struct {
	Node    string // UUID
	Storage string // volume UUID
	ID      uint64 // the same for all parts of a report
	Part    int    // 0 .. Parts-1
	Parts   int
}

// EventKind is what happened to a replica.
type EventKind uint8

// The events, numbered as on the control wire.
const (
	Receiving EventKind = 1 // a writer has opened it
	Received  EventKind = 2 // it is finalized
	Deleted   EventKind = 3
	// NotCopied is told by the source of a copy that failed; Storage is the target's volume.
	NotCopied EventKind = 4
)

// Event is one line of an incremental report.
type Event struct {
	Kind    EventKind
	Storage string
	Block   dfs.Block
	// DeleteHint is the UUID of the node whose replica a balancing move replaces.
	DeleteHint string
}

// PlaceRequest asks for volumes for a block's replicas.
type PlaceRequest struct {
	Count   int        // how many new ones
	Size    int64      // bytes that must fit, the block size
	Policy  uint8      // storage policy id
	Writer  netip.Addr // where the writer is; zero: unknown
	NoLocal bool       // not on the writer's own node
	Exclude []dfs.DatanodeID
	// Existing hold the block already; they are not chosen again and count for racks.
	Existing []dfs.DatanodeID
	Favored  []string // host, host:port, ip or ip:port; tried first
}

// Recovery orders a block recovery.
type Recovery struct {
	Block     dfs.Block    // as the namespace has it
	ID        dfs.GenStamp // the new stamp
	NewLength int64        // to truncate to; -1: what the replicas agree on
}

// Config tunes a Manager. Zero fields take the defaults that their comments name.
type Config struct {
	Seed           uint64 // of placement's choices
	MinReplication int    // dfs.namenode.replication.min, 1
	MaintenanceMin int    // dfs.namenode.maintenance.replication.min, 1; negative: 0

	Liveness Liveness
	Place    Placing
	Repair   Repairing
	Parity   Folding

	// OnFinalized is called, with the Manager's lock held, when a building or committed
	// block gets a finalized replica. It must neither wait nor call back.
	OnFinalized func(dfs.BlockID)
}

// Liveness says when a silent datanode is avoided and when it is dead.
type Liveness struct {
	Heartbeat time.Duration // dfs.heartbeat.interval, 3 s
	Recheck   time.Duration // dfs.namenode.heartbeat.recheck-interval, 5 min; dead after 2 Recheck + 10 Heartbeat
	Stale     time.Duration // dfs.namenode.stale.datanode.interval, 30 s
	// MaxPause between two calls of Tick, 15 s: when the name node itself stood still for
	// longer, the datanodes' silence meanwhile is not held against them.
	MaxPause time.Duration
}

// Placing tunes the choice of targets.
type Placing struct {
	IgnoreLoad      bool    // opposite of dfs.namenode.redundancy.considerLoad
	LoadFactor      float64 // dfs.namenode.redundancy.considerLoad.factor, 2
	MinBlocks       int     // dfs.namenode.block-placement.min-blocks-for.write, 1
	AvoidStaleRead  bool    // dfs.namenode.avoid.read.stale.datanode
	AvoidStaleWrite bool    // dfs.namenode.avoid.write.stale.datanode
	StaleRatio      float64 // dfs.namenode.write.stale.datanode.ratio, 0.5
}

// Repairing tunes re-replication and removals.
type Repairing struct {
	Interval        time.Duration // dfs.namenode.redundancy.interval.seconds, 3 s
	WorkMultiplier  int           // dfs.namenode.replication.work.multiplier.per.iteration, 2
	MaxStreams      int           // dfs.namenode.replication.max-streams, 2
	MaxStreamsHard  int           // dfs.namenode.replication.max-streams-hard-limit, 4
	PendingTimeout  time.Duration // dfs.namenode.reconstruction.pending.timeout-sec, 5 min
	InvalidateLimit int           // dfs.block.invalidate.limit, 1000 per heartbeat
	DrainInterval   time.Duration // dfs.namenode.decommission.interval, 30 s
}

// Stats is the state of the cluster in numbers; sizes in bytes.
type Stats struct {
	Nodes  NodeStats
	Blocks BlockStats
	Parity ParityStats
	Moves  MoveStats

	Capacity, Used, NonDFSUsed, Remaining, PoolUsed int64
	Xceivers                                        int64
}

// NodeStats counts datanodes.
type NodeStats struct {
	Live, Dead, Stale             int
	Decommissioning               int
	Decommissioned                int
	EnteringMaintenance           int
	InMaintenance                 int
	Storages, FailedVolumes       int
	ReportsPending                int // volumes that have not sent their first full report
	PendingTransfers, PendingDead int // copies under way; dead volumes still being cleaned up
}

// BlockStats counts blocks and replicas.
type BlockStats struct {
	Safe            int64 // complete blocks with at least MinReplication replicas
	Tracked         int64 // blocks with at least one replica
	Replicas        int64
	Building        int64 // under construction, or just complete with replicas still to be reported
	LowRedundancy   int64 // in all queues but the one of missing blocks
	ByDanger        [QueueLevels]int64
	Missing         int64 // complete, and no good replica left
	MissingReplOne  int64 // of those, the ones with replication 1
	Corrupt         int64 // with at least one damaged replica
	Excess          int64 // replicas chosen for removal
	PendingRepair   int64 // copies under way
	PendingDeletion int64 // removals not handed out yet
	PendingRecovery int64
	Future          int64 // replicas with ids or stamps that this history never handed out
	FutureBytes     int64
}

// The repair queues, the most endangered blocks first.
const (
	DangerHighest = 0 // one replica left, or only ones on draining nodes
	DangerVeryLow = 1 // less than a third of what is expected
	DangerLow     = 2
	DangerRacks   = 3 // enough replicas on too few racks
	DangerMissing = 4 // no good replica at all
	QueueLevels   = 5
)

// DefaultRack is where a datanode without a place in the topology is.
const DefaultRack = "/default-rack"
