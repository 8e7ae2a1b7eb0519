package dfs

// ReplicaCondition is how one replica of a complete block stands.
type ReplicaCondition uint8

// The conditions, the best one first. A replica on a dead datanode is not there at all.
const (
	ReplicaLive            ReplicaCondition = 0
	ReplicaStaleContent    ReplicaCondition = 1 // good, but its volume has not reported since its node came back
	ReplicaStaleNode       ReplicaCondition = 2 // good, but its node has been silent for a while
	ReplicaExcess          ReplicaCondition = 3 // one too many, chosen for removal
	ReplicaDecommissioning ReplicaCondition = 4
	ReplicaDecommissioned  ReplicaCondition = 5
	ReplicaEntering        ReplicaCondition = 6 // on a node that enters maintenance
	ReplicaInMaintenance   ReplicaCondition = 7
	ReplicaCorrupt         ReplicaCondition = 8 // damaged, or left behind by its writer
)

// Counts reports whether the replica is good and its node in service.
func (c ReplicaCondition) Counts() bool { return c <= ReplicaStaleNode }

// Readable reports whether the replica is good, wherever it is.
func (c ReplicaCondition) Readable() bool { return c != ReplicaCorrupt }

// ReplicaHealth is one replica and how it stands.
type ReplicaHealth struct {
	ReplicaLoc
	Condition ReplicaCondition
}

// BlockHealth is one block of a file, or one of a parity group, and how it stands.
type BlockHealth struct {
	Block
	Complete  bool // false: its writer may still be at it
	Expected  int  // replicas that it should have
	Replicas  []ReplicaHealth
	Misplaced string       // why its replicas are not spread as they should be; "" if they are
	Group     *GroupHealth // nil: it is in no parity group
}

// Count counts the replicas of some conditions.
func (b *BlockHealth) Count(conditions ...ReplicaCondition) (n int) {
	for _, r := range b.Replicas {
		for _, c := range conditions {
			if r.Condition == c {
				n++
			}
		}
	}
	return n
}

// Live counts the replicas that are good and on nodes in service.
func (b *BlockHealth) Live() int {
	return b.Count(ReplicaLive, ReplicaStaleContent, ReplicaStaleNode)
}

// Readable counts the good replicas, wherever they are.
func (b *BlockHealth) Readable() int { return len(b.Replicas) - b.Count(ReplicaCorrupt) }

// Lost reports whether nothing can give the block's bytes any more: it has no good replica, and its
// group, if it has one, lacks another block as well.
func (b *BlockHealth) Lost() bool {
	return b.Complete && b.Readable() == 0 && (b.Group == nil || b.Group.Gone > 1)
}

// Endangered reports whether the loss of one more datanode could cost the block: it stands on
// one replica alone, or its parity group has lost a block already.
func (b *BlockHealth) Endangered() bool {
	switch {
	case !b.Complete || b.Lost():
		return false
	case b.Group == nil:
		return b.Readable() == 1
	}
	return b.Readable() < 2 && (b.Group.Gone > 0 || b.Group.Shared != "")
}

// GroupHealth is a parity group as its members show it.
type GroupHealth struct {
	Parity   Block
	Data     int // k, the most members it may have
	Members  int // with the departed ones
	Departed int
	Replicas []ReplicaHealth // of the parity
	// Gone counts the blocks of the group, parity included, that have no good replica.
	Gone int
	// Shared names two blocks whose only good replicas are on one datanode; "" if there are none.
	Shared string
}

// FileHealth is a file or directory as a check of the tree finds it.
type FileHealth struct {
	FileStatus
	Path   string
	Open   bool // being written
	Blocks []BlockHealth
}

// ClusterHealth is what a check needs to know of the whole cluster.
type ClusterHealth struct {
	PoolID         string
	Datanodes      int // live ones
	Racks          int // with live datanodes
	Replication    int // the default for new files
	MinReplication int
	Queued         int64  // copies and rebuilds under way
	Waiting        int64  // blocks that wait for nodes or racks
	Why            string // what they wait for
}

// LostBlock is a block without a good replica, and the file that it is missing from.
type LostBlock struct {
	ID          BlockID
	Replication int
	Path        string
}
