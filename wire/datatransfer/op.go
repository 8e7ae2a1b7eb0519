package datatransfer

import (
	"fmt"

	"redoubt/dfs"
)

// Version is the protocol version that opens every operation.
const Version = 28

// Op is an operation's code on the wire.
type Op uint8

// The operations that HDFS knows. Those without a request type here are recognised, so
// that they can be answered as unsupported.
const (
	OpWriteBlock         Op = 80
	OpReadBlock          Op = 81
	OpReadMetadata       Op = 82
	OpReplaceBlock       Op = 83
	OpCopyBlock          Op = 84
	OpBlockChecksum      Op = 85
	OpTransferBlock      Op = 86
	OpRequestFDs         Op = 87
	OpReleaseFDs         Op = 88
	OpRequestShm         Op = 89
	OpBlockGroupChecksum Op = 90
	OpCustom             Op = 127
)

func (o Op) String() string {
	switch o {
	case OpWriteBlock:
		return "WRITE_BLOCK"
	case OpReadBlock:
		return "READ_BLOCK"
	case OpBlockChecksum:
		return "BLOCK_CHECKSUM"
	case OpTransferBlock:
		return "TRANSFER_BLOCK"
	case OpReplaceBlock:
		return "REPLACE_BLOCK"
	case OpCopyBlock:
		return "COPY_BLOCK"
	case OpCustom:
		return "CUSTOM"
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Stage says why a WRITE_BLOCK is sent, with HDFS's wire numbers.
type Stage int32

// The stages of a write pipeline; a recovery stage is its stage with the lowest bit set.
const (
	StageSetupAppend         Stage = 0 // reopen a finalized replica
	StageSetupAppendRecovery Stage = 1 // the same, after an append's set-up failed
	StageStreaming           Stage = 2 // never sent: the state after set-up
	StageStreamingRecovery   Stage = 3 // take over a replica that is being written
	StageClose               Stage = 4 // never sent
	StageCloseRecovery       Stage = 5 // everything is written: finalize, no packets follow
	StageSetupCreate         Stage = 6 // a new block
	StageTransferRBW         Stage = 7 // a copy of a replica that is being written
	StageTransferFinalized   Stage = 8 // a copy of a finalized replica
)

func (s Stage) String() string {
	names := [...]string{"SETUP_APPEND", "SETUP_APPEND_RECOVERY", "DATA_STREAMING", "SETUP_STREAMING_RECOVERY",
		"CLOSE", "CLOSE_RECOVERY", "SETUP_CREATE", "TRANSFER_RBW", "TRANSFER_FINALIZED"}
	if s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Stage(%d)", int32(s))
}

// BlockRef names a block in its pool.
type BlockRef struct {
	PoolID string
	dfs.Block
}

// Target is a datanode of a pipeline and the volume that the replica should go to.
type Target struct {
	Node      dfs.DatanodeID
	Type      dfs.StorageType // 0: not said
	StorageID string          // "": not said
}

// Request is one of *WriteRequest, *ReadRequest, *TransferRequest, *ChecksumRequest,
// *ReplaceRequest, *CopyRequest, *CustomRequest and *OtherRequest.
type Request interface {
	// Op gives the operation's code.
	Op() Op
}

// WriteRequest opens a write pipeline. Its receiver is the pipeline's first node and Targets
// are the ones behind it.
type WriteRequest struct {
	Block        BlockRef // Length has no meaning that all clients share
	Client       string   // "" when a datanode sends
	Targets      []Target
	Source       *dfs.DatanodeID // the datanode that sends, if one does
	Stage        Stage
	PipelineSize uint32 // not to be trusted: some clients leave themselves out
	MinBytes     int64  // bytes that were acknowledged before
	MaxBytes     int64  // bytes that were sent before
	NewStamp     dfs.GenStamp
	Checksum     Checksum
	StorageType  dfs.StorageType // of the receiver; 0: not said
	StorageID    string          // of the receiver; "": not said
	// LazyPersist is of a file with that storage policy: with one replica, HDFS's clients send
	// its packets without checksums.
	LazyPersist bool
}

// ReadRequest asks for Length bytes of a block from Offset on.
type ReadRequest struct {
	Block        BlockRef
	Client       string
	Offset       int64
	Length       int64
	NoChecksums  bool // send the data alone
	DropBehind   bool // the caching strategy asks to forget the pages
	ReadAhead    int64
	HasReadAhead bool
}

// TransferRequest asks a datanode to push its replica to Targets.
type TransferRequest struct {
	Block   BlockRef
	Client  string
	Targets []Target
}

// ChecksumKind selects what BLOCK_CHECKSUM computes, with HDFS's wire numbers.
type ChecksumKind uint8

const (
	ChecksumMD5CRC    ChecksumKind = 1 // MD5 over the chunk CRCs
	ChecksumComposite ChecksumKind = 2 // CRC of the bytes, one per stripe
)

// ChecksumRequest asks for a checksum of a whole block's first Block.Length bytes.
type ChecksumRequest struct {
	Block        BlockRef
	Kind         ChecksumKind // 0 is ChecksumMD5CRC
	StripeLength int64        // bytes; 0: one CRC for the block
}

// ReplaceRequest asks a datanode to get a replica from Source, which may be itself, so that
// it replaces the one of another datanode. Balancers and movers send it.
type ReplaceRequest struct {
	Block      BlockRef
	DeleteHint string         // UUID of the datanode whose replica is to go
	Source     dfs.DatanodeID // that has a replica; the receiver: it goes to another of its volumes
	Type       dfs.StorageType
	StorageID  string // "": not said
}

// CopyRequest asks for all of a replica, for a ReplaceRequest.
type CopyRequest struct{ Block BlockRef }

// Op gives OpReplaceBlock.
func (*ReplaceRequest) Op() Op { return OpReplaceBlock }

// Op gives OpCopyBlock.
func (*CopyRequest) Op() Op { return OpCopyBlock }

// CustomRequest is what one program's datanodes ask of each other. This package does not know
// the body.
type CustomRequest struct{ Body []byte }

// Op gives OpCustom.
func (*CustomRequest) Op() Op { return OpCustom }

// OtherRequest is an operation that this package doesn't decode.
type OtherRequest struct{ Code Op }

// Op gives OpWriteBlock.
func (*WriteRequest) Op() Op { return OpWriteBlock }

// Op gives OpReadBlock.
func (*ReadRequest) Op() Op { return OpReadBlock }

// Op gives OpTransferBlock.
func (*TransferRequest) Op() Op { return OpTransferBlock }

// Op gives OpBlockChecksum.
func (*ChecksumRequest) Op() Op { return OpBlockChecksum }

// Op gives the code that came.
func (q *OtherRequest) Op() Op { return q.Code }

// Response answers an operation: BlockOpResponseProto.
type Response struct {
	Status       Status
	FirstBadLink string // ip:port of the node that could not be reached or refused
	Message      string
	Read         *ReadInfo       // to READ_BLOCK
	Checksum     *ChecksumResult // to BLOCK_CHECKSUM
}

// Err gives nil for a SUCCESS, else a dfs.Error with the message.
func (r *Response) Err() error {
	if r.Status == StatusSuccess {
		return nil
	}
	kind := dfs.Other
	if r.Status == StatusErrorChecksum {
		kind = dfs.Corrupt
	} else if r.Status == StatusErrorToken {
		kind = dfs.InvalidToken
	} else if r.Status == StatusUnsupported {
		kind = dfs.Unsupported
	}
	msg := r.Message
	if msg == "" {
		msg = "datanode answered " + r.Status.String()
	}
	return &dfs.Error{Kind: kind, Msg: msg}
}

// ReadInfo tells a reader how the packets are covered and where the first one starts: at
// the start of the chunk that holds the asked-for offset.
type ReadInfo struct {
	Checksum    Checksum
	ChunkOffset int64
}

// ChecksumResult is a block's checksum: 16 bytes of MD5, or the composite CRCs.
type ChecksumResult struct {
	BytesPerCRC  uint32
	CRCPerBlock  uint64
	Sum          []byte
	Type         dfs.ChecksumType
	Kind         ChecksumKind // echoed
	StripeLength int64
}
