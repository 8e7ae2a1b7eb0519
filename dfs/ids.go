package dfs

import (
	"fmt"
	"strconv"
)

// TxID numbers a transaction of the edit log. The first one is 1; 0 means "none".
type TxID uint64

// InodeID names a file, directory or symlink for its whole life; a rename keeps it.
// The root has RootInodeID, ids are never reused, and 0 means "none".
type InodeID uint64

// BlockID names a block for its whole life. Ids are handed out in sequence from
// FirstBlockID and never reused; 0 means "none".
type BlockID uint64

// GenStamp is a block's generation stamp: it grows with every pipeline or recovery
// that could leave a stale replica behind. Replicas with an older one are stale.
type GenStamp uint64

// First ids of a fresh namespace, as HDFS has them.
const (
	RootInodeID   InodeID  = 16385
	FirstBlockID  BlockID  = 1073741825
	FirstGenStamp GenStamp = 1001
)

func (b BlockID) String() string { return "blk_" + strconv.FormatUint(uint64(b), 10) }

// Block is what identifies a block's contents: id, generation stamp and length in bytes.
type Block struct {
	ID       BlockID
	GenStamp GenStamp
	Length   int64
}

// String gives HDFS's blk_ID_GS form.
func (b Block) String() string { return fmt.Sprintf("blk_%d_%d", b.ID, b.GenStamp) }

// EpochText shows a start epoch of a name node as its count and its random part.
func EpochText(e uint64) string { return fmt.Sprintf("%d.%08x", e>>32, uint32(e)) }

// ReplicaState is the state of one replica on a datanode, with HDFS's numbers.
type ReplicaState uint8

const (
	ReplicaFinalized ReplicaState = 0 // complete; its length and checksum are final
	ReplicaRBW       ReplicaState = 1 // being written
	ReplicaRWR       ReplicaState = 2 // was being written when its datanode stopped
	ReplicaRUR       ReplicaState = 3 // under recovery
	ReplicaTemporary ReplicaState = 4 // being copied from another datanode; dies with a restart
)

func (s ReplicaState) String() string {
	switch s {
	case ReplicaFinalized:
		return "FINALIZED"
	case ReplicaRBW:
		return "RBW"
	case ReplicaRWR:
		return "RWR"
	case ReplicaRUR:
		return "RUR"
	case ReplicaTemporary:
		return "TEMPORARY"
	}
	return fmt.Sprintf("ReplicaState(%d)", uint8(s))
}

// ClusterInfo identifies a cluster and its block pool. It is fixed at format time.
// Two parties whose ClusterID or PoolID differ must refuse each other.
type ClusterInfo struct {
	ClusterID   string // "CID-<uuid>"
	PoolID      string // "BP-<random>-<ip>-<ms>"
	NamespaceID uint32
	CTime       int64 // ms; always 0 until an upgrade exists
}

// CallID names one client call for the retry cache: who sent it and which one it was.
// A zero ClientID means "no retry cache for this call".
type CallID struct {
	Client [16]byte
	Call   int32
}

// IsZero reports whether the call takes no part in the retry cache.
func (c CallID) IsZero() bool { return c.Client == [16]byte{} }
