// Package control is the wire between datanodes and the name node, and between
// datanodes for block recovery: go-msgpack arrays as bodies of wire/hadooprpc frames.
// It declares the messages, the two interfaces that their receivers fulfil, and a
// client and a server side for each.
package control

import (
	"context"

	"redoubt/dfs"
)

// Names of the two protocols in the RPC header, and their version.
const (
	NameNodeProtocol = "redoubt.NameNodeControl"
	DataNodeProtocol = "redoubt.DataNodeControl"
	ProtocolVersion  = 1
)

// NameNode is what a datanode asks of the name node. Implementations may be called from
// several goroutines, at the same time even for one datanode.
type NameNode interface {
	// Handshake tells which cluster this is; called before Register.
	Handshake(ctx context.Context, req *HandshakeRequest) (*HandshakeReply, error)
	// Register makes the datanode known. Errors: dfs.DisallowedDatanode, dfs.IncorrectVersion;
	// dfs.Fenced: a newer name node has been served, or another process has this identity.
	Register(ctx context.Context, req *RegisterRequest) (*RegisterReply, error)
	// Heartbeat reports liveness and volumes and brings back commands. An unknown or
	// dead-declared datanode gets CmdRegister.
	Heartbeat(ctx context.Context, req *HeartbeatRequest) (*HeartbeatReply, error)
	// BlockReport tells all replicas of one volume, in one or several parts.
	BlockReport(ctx context.Context, req *BlockReportRequest) (*BlockReportReply, error)
	// Incremental tells what has changed since the last report; it is durable at the
	// name node's block manager (soft state) when it returns.
	Incremental(ctx context.Context, req *IncrementalRequest) error
	// BadBlocks reports replicas that failed their checksum, here or at a peer.
	BadBlocks(ctx context.Context, req *BadBlocksRequest) error
	// CommitSync ends a block recovery: the block gets its new stamp and length and its
	// file may be closed.
	CommitSync(ctx context.Context, req *CommitSyncRequest) error
	// FoldDone tells how a CmdFold ended. The new replica of a fold that succeeded has been
	// told by Incremental before.
	FoldDone(ctx context.Context, req *FoldDoneRequest) error
	// Sources tells what to make a block from that the datanode has been asked to read but
	// does not have. A block of no parity group, or of one that can't make it at the moment,
	// gives dfs.ReplicaNotFound.
	Sources(ctx context.Context, req *SourcesRequest) (*SourcesReply, error)
	// MayTake tells by an error that a replica should not come to a datanode in a balancer's
	// move: another block of its parity group stands there, say.
	MayTake(ctx context.Context, req *MayTakeRequest) error
}

// DataNode is what the primary of a block recovery asks of its peers.
type DataNode interface {
	// InitRecovery stops a writer of the replica and tells its state. A replica that is
	// not there gives dfs.ReplicaNotFound; RecoveryID not above its stamp or above an
	// earlier recovery's gives dfs.RecoveryInProgress.
	InitRecovery(ctx context.Context, req *InitRecoveryRequest) (*ReplicaInfo, error)
	// UpdateReplica truncates the replica to the agreed length, gives it the new stamp
	// and finalizes it.
	UpdateReplica(ctx context.Context, req *UpdateReplicaRequest) (*UpdateReplicaReply, error)
}

// HandshakeRequest asks which cluster this is.
type HandshakeRequest struct{ SoftwareVersion string }

// HandshakeReply names the cluster and the pace of reports.
type HandshakeReply struct {
	Cluster         dfs.ClusterInfo
	SoftwareVersion string
	HeartbeatMS     int64  // how often to call Heartbeat
	ReportMS        int64  // how often to send a full report
	Epoch           uint64 // of the name node's start; a datanode obeys none that is older than one it has obeyed
}

// RegisterRequest introduces a datanode: its addresses, its cluster, its volumes.
type RegisterRequest struct {
	Node            dfs.DatanodeID
	Cluster         dfs.ClusterInfo // zero fields: a fresh datanode that takes what the name node has
	SoftwareVersion string
	Storages        []dfs.StorageReport
	Process         uint64 // random, another one in each process; 0: not told
	// ServedEpoch is the newest start epoch that the datanode has obeyed; TxID the highest
	// transaction that it was told is durable, and ToldEpoch the start epoch of who told it.
	ServedEpoch uint64
	ToldEpoch   uint64
	TxID        dfs.TxID
	Moves       bool // it carries out CmdMove
	// Plain: the datanode speaks HDFS's own protocol, and knows nothing of parity groups.
	Plain bool
}

// RegisterReply completes what the datanode can't know itself.
type RegisterReply struct {
	Node     dfs.DatanodeID // with the IP as the name node sees it
	Location string         // rack
}

// HeartbeatRequest says that a datanode lives and how its volumes are.
type HeartbeatRequest struct {
	UUID          string
	Storages      []dfs.StorageReport
	Xceivers      uint32 // streams being served
	CacheCapacity int64
	CacheUsed     int64
	FailedVolumes []string
	SlowPeers     []string // UUIDs of peers that were slow to write to
	Process       uint64   // as in RegisterRequest
	Lifeline      bool     // only a sign of life: orders stay for the next one
}

// HeartbeatReply carries what the datanode is to do.
type HeartbeatReply struct {
	Commands []Command
	Active   bool     // this name node is the active one: its commands count
	TxID     dfs.TxID // the last one that is durable
	Epoch    uint64   // of the name node's start, as in HandshakeReply
}

// CommandKind says what a datanode is to do.
type CommandKind uint8

const (
	CmdNone       CommandKind = 0
	CmdRegister   CommandKind = 1 // register again and send full reports
	CmdTransfer   CommandKind = 2 // copy Block to Targets
	CmdInvalidate CommandKind = 3 // remove the replicas Blocks
	CmdRecover    CommandKind = 4 // recover Block as its primary; Targets hold replicas
	CmdReport     CommandKind = 5 // send full block reports now
	CmdBandwidth  CommandKind = 6 // balancing bandwidth, bytes/s, in Value
	CmdShutdown   CommandKind = 7
	// CmdFold makes a replica of Block that is the exclusive or of Sources, each as if zeroes
	// followed: a parity block, or a lost member of a group. Block.Length says where it is cut
	// or filled up with zeroes, -1 that it is as long as the longest source; Sum is what its
	// replica is to be. A replica that is there already, with that length and sum, is as good
	// as a new one.
	CmdFold CommandKind = 8
	// CmdScrubGroup compares the parity block Block, of the receiver, and its members Sources
	// by their checksums alone. Sum.CRC and the sources' are what the name node has recorded.
	CmdScrubGroup CommandKind = 9
	// CmdMove is CmdTransfer for a replica that is to stand elsewhere, at the pace of balancing.
	// The target may be a volume of the receiver, to which its own replica goes then.
	CmdMove CommandKind = 10
)

// Command of the name node to a datanode.
type Command struct {
	Kind       CommandKind
	PoolID     string
	Block      dfs.Block
	Blocks     []dfs.Block
	Targets    []Target
	RecoveryID dfs.GenStamp
	NewLength  int64 // for a truncate recovery; -1 otherwise
	Value      int64
	Sources    []Source // of CmdFold and CmdScrubGroup
	Sum        Sum      // the same
}

// Source is a block that another one is made from, and where its replicas are, the best
// place first. One on the receiver itself is read there, wherever it stands in the list.
type Source struct {
	Block   dfs.Block
	Targets []Target
	CRC     uint32 // CRC32C of its bytes
	HasCRC  bool   // CRC is known: a source with another one is not used
}

// Sum says what a block is made of: how its replica keeps checksums, and what its bytes add
// up to.
type Sum struct {
	Checksum dfs.ChecksumType
	BytesPer int    // zero: CRC32C, 512 bytes a checksum, whatever Checksum says
	CRC      uint32 // CRC32C of its bytes
	HasCRC   bool   // CRC is known: bytes with another one are not kept
}

// Target is a datanode and one of its volumes.
type Target struct {
	Node    dfs.DatanodeID
	Storage string
	Type    dfs.StorageType
}

// ReplicaInfo is one replica in a report.
type ReplicaInfo struct {
	Block dfs.Block
	State dfs.ReplicaState
	// Cut, in an answer to InitRecovery, says that the replica may be shorter than what was
	// acknowledged: at the datanode's start its checksums proved less than its files hold.
	Cut bool
}

// BlockReportRequest is one part of the list of all replicas on one volume.
type BlockReportRequest struct {
	UUID     string
	PoolID   string
	Storage  string // volume UUID
	ReportID uint64 // the same for all parts of one report
	Part     int    // 0 .. Parts-1
	Parts    int
	// Blocks holds, per replica, id, generation stamp, length and state as uvarints, ids
	// as the zig-zag difference to the one before: AppendReplica and DecodeReplicas.
	Count  int
	Blocks []byte
}

// BlockReportReply may carry commands too.
type BlockReportReply struct{ Commands []Command }

// Event is what happened to a replica.
type Event uint8

const (
	EventReceiving Event = 1 // a writer has opened it
	EventReceived  Event = 2 // it is finalized
	EventDeleted   Event = 3
	// EventNotCopied is told by the source of a CmdTransfer or CmdMove that failed; Storage is the
	// target's volume.
	EventNotCopied Event = 4
)

// ReplicaEvent is one thing that happened to one replica.
type ReplicaEvent struct {
	Event   Event
	Storage string
	Block   dfs.Block
	// DeleteHint is the UUID of the node whose replica a balancing move is to replace.
	DeleteHint string
}

// IncrementalRequest lists what happened to replicas, in order.
type IncrementalRequest struct {
	UUID   string
	PoolID string
	Events []ReplicaEvent
}

// BadBlocksRequest names damaged replicas.
type BadBlocksRequest struct {
	Reporter string // UUID of the datanode that found them
	Blocks   []dfs.BadBlock
}

// CommitSyncRequest is the result of a block recovery.
type CommitSyncRequest struct {
	PoolID    string
	Block     dfs.Block // as it was
	NewStamp  dfs.GenStamp
	NewLength int64 // with Delete: 0 if a replica was found empty, -1 if none was found
	Close     bool  // close the file
	Delete    bool  // no replica had anything: drop the block
	Targets   []Target
}

// InitRecoveryRequest starts a block recovery at one replica.
type InitRecoveryRequest struct {
	PoolID     string
	Block      dfs.Block
	RecoveryID dfs.GenStamp
}

// UpdateReplicaRequest ends a block recovery at one replica.
type UpdateReplicaRequest struct {
	PoolID     string
	Block      dfs.Block // the replica as InitRecovery told it
	RecoveryID dfs.GenStamp
	NewLength  int64
}

// UpdateReplicaReply names the volume that holds the replica.
type UpdateReplicaReply struct{ Storage string }

// FoldDoneRequest says how a CmdFold ended.
type FoldDoneRequest struct {
	UUID    string
	PoolID  string
	Block   dfs.Block // that was to be made, with its real length once it is there
	Storage string    // of the new replica
	CRC     uint32    // CRC32C of its bytes
	// Members are the sources in the order of the command: what was really read, how their
	// replicas keep checksums, and the CRC32C of their bytes.
	Members []dfs.ParityMember
	Err     string // why there is no replica; "" if there is one
}

// SourcesRequest asks how to make a block.
type SourcesRequest struct {
	UUID   string
	PoolID string
	Block  dfs.Block
}

// MayTakeRequest asks whether a replica of Block may come to a datanode, so that the one on
// another, From, can go.
type MayTakeRequest struct {
	UUID   string
	PoolID string
	Block  dfs.Block
	From   string // UUID
}

// SourcesReply says that Block is the exclusive or of Sources, cut to its length.
type SourcesReply struct {
	Block   dfs.Block
	Sum     Sum
	Sources []Source
}
