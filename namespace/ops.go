package namespace

import "redoubt/dfs"

// Kind numbers the operations in the log. Numbers are never reused.
type Kind uint8

// The op kinds. Those marked reserved have their numbers and a place in the image, and
// are refused by this version.
const (
	KindMkdirs        Kind = 1
	KindCreate        Kind = 2
	KindAddBlock      Kind = 3
	KindAbandonBlock  Kind = 4
	KindUpdateBlocks  Kind = 5
	KindClose         Kind = 6
	KindAppend        Kind = 7
	KindDelete        Kind = 8
	KindRename        Kind = 9
	KindConcat        Kind = 10
	KindTruncate      Kind = 11
	KindSetAttr       Kind = 12
	KindSetACL        Kind = 13
	KindSetXAttr      Kind = 14
	KindNextStamp     Kind = 15
	KindReassignLease Kind = 16
	KindCommitSync    Kind = 17
	KindSnapshot      Kind = 18 // reserved
	KindSymlink       Kind = 19 // reserved
	KindParityGroup   Kind = 20
	KindECPolicy      Kind = 21 // reserved
	KindCache         Kind = 22 // reserved
	KindEpoch         Kind = 23 // was reserved for secrets, and never written
	KindCluster       Kind = 24
	kindCount              = 25
)

// Op is one operation: a pointer to one of the structs below. Encode makes its record.
type Op interface {
	Kind() Kind
	head() *Head
	code(c *coder)
}

// Head is what every op carries.
type Head struct {
	// Time is the op's time in ms; it becomes the modification time of what it touches.
	Time int64
	// Call is the client's call for the retry cache, zero for none. Only successes are
	// remembered.
	Call dfs.CallID
	// Auth is what the caller was authorised against: Walk.Auth of the path that the op
	// names by id, or 0 for the superuser and internal ops, which are not checked. It
	// is a hash over the ids, owners, groups, modes and ACLs from the root down, so ops
	// on unrelated directories never invalidate each other.
	Auth uint64
}

func (h *Head) head() *Head { return h }

// Mkdirs makes the directories Names, one inside the other, below the existing directory
// Parent. The last one gets Mode, those above it Mode with u+wx. Owner becomes their
// owner; the group is Parent's. Auth covers Parent. With Auth 0 names that have come to
// exist meanwhile are walked through; otherwise an existing first name is dfs.Stale.
// Result: bool, always true.
type Mkdirs struct {
	Head
	Parent       dfs.InodeID
	Names        []string
	Mode         dfs.Mode
	Unmasked     dfs.Mode // for default ACLs; counts if HasUnmasked, else Mode does
	HasUnmasked  bool
	Owner        string
	CreateParent bool
}

// Create makes the file whose name is the last of Names, and the directories before it,
// below the existing directory Parent, and opens it for Holder. Made directories get the
// mode of Parent with u+wx. Flags are dfs.CreateFlag bits: an existing file is replaced
// with CreateFlagOverwrite and is dfs.AlreadyExists without.
// Auth covers Parent and, if it exists, the file. Result: *Created.
type Create struct {
	Head
	Parent       dfs.InodeID
	Names        []string
	Mode         dfs.Mode
	Unmasked     dfs.Mode
	HasUnmasked  bool
	Owner        string
	Holder       string
	Machine      string // the client's host, for messages and listings
	Flags        uint32
	CreateParent bool
	Replication  uint16
	BlockSize    int64
	Policy       uint8       // 0 inherits
	ECPolicy     uint8       // 0 none
	Existing     dfs.InodeID // the file that the caller saw there, 0 none; another one is dfs.Stale unless Auth is 0
}

// Created is the result of Create.
type Created struct {
	Status   dfs.FileStatus
	Replaced dfs.InodeID   // the file that was overwritten, 0 none
	Removed  []dfs.Block   // its blocks
	Retried  bool          // the answer of an earlier call
	Groups   []dfs.BlockID // as Deleted has them
}

// AddBlock commits the open file's last block with the length in Previous (ID 0: there
// is none) and appends a new block, whose id and stamp come from the counters. The block
// before the last becomes complete: its writer has gone on twice. So do the last two when the
// file is closed, and any of them earlier by UpdateBlocks.
// A repeated call (Previous is the last but one, or none, and the last block is
// empty) gets the same block again. A file whose last block is complete was opened by an
// append that gave no block to go on with; no Previous is then as good as the last block. Result: *AddedBlock.
type AddBlock struct {
	Head
	File     dfs.InodeID
	Holder   string
	Previous dfs.Block
}

// AddedBlock is the result of AddBlock.
type AddedBlock struct {
	Block   dfs.Block
	Offset  int64 // of the block in the file
	Retried bool  // the block had been there
	// Completed is the block two before the new one if this made it complete, ID 0 if not.
	Completed dfs.Block
}

// AbandonBlock drops the last block of an open file if it is Block and not yet committed.
// A block that is not there is no error. Result: *BlockChange.
type AbandonBlock struct {
	Head
	File   dfs.InodeID
	Holder string
	Block  dfs.Block
}

// BlockChange tells which block an op changed, removed or completed.
type BlockChange struct {
	File    dfs.InodeID
	Block   dfs.Block
	Changed bool
}

// Actions of UpdateBlocks.
const (
	BlockLength   uint8 = 1 // fsync: the last block is at least this long
	BlockPipeline uint8 = 2 // a recovered pipeline: new stamp and length of the last block
	BlockCommit   uint8 = 3 // the last block gets its final length
	BlockComplete uint8 = 4 // a committed block has enough replicas
)

// UpdateBlocks changes a block of an open file as Action says. Old is the stamp it had,
// for BlockPipeline. Block.ID is always set. Holder "" skips the lease check. Result: *BlockChange.
type UpdateBlocks struct {
	Head
	File   dfs.InodeID
	Holder string
	Action uint8
	Old    dfs.GenStamp
	Block  dfs.Block
}

// Close commits the last block with Last's length (ID 0: leave it), completes all
// blocks, ends the lease and sets the file's modification time. Holder "" skips the
// lease check. A file that is closed already, with the same last block, is success.
// Result: *BlockChange with the last block.
type Close struct {
	Head
	File   dfs.InodeID
	Holder string
	Last   dfs.Block
}

// Append reopens a closed file for Holder. Unless NewBlock or the last block is full or in
// a parity group, that block is under construction again, with its stamp. Auth covers the file.
// Result: *Appended.
type Append struct {
	Head
	File     dfs.InodeID
	Holder   string
	Machine  string
	NewBlock bool
}

// Appended is the result of Append.
type Appended struct {
	Status dfs.FileStatus
	Last   *BlockInfo // the block to go on with; nil: ask for a new one
}

// Delete removes Name from Parent. Target is the inode the caller saw under that name; a
// different one is dfs.Stale unless Auth is 0; nothing there is false. A directory with
// children needs Recursive. Epoch is State.AuthEpoch as it was when a subtree was
// authorised, 0 for no check. A subtree of more than a few thousand inodes is detached at once and
// freed later, in slices, by Delete ops whose only field is Reap: how many inodes to free
// at most. Auth covers Parent and the target. Result: *Deleted.
type Delete struct {
	Head
	Parent    dfs.InodeID
	Name      string
	Target    dfs.InodeID
	Recursive bool
	Epoch     uint64
	Reap      uint32
}

// Deleted is the result of Delete.
type Deleted struct {
	OK      bool
	Blocks  []dfs.Block   // freed: their replicas can go
	Files   []dfs.InodeID // files that were open for writing
	Pending bool          // detached inodes wait for Delete ops with Reap
	// Groups are the parity groups of which members have departed, in id order. One that
	// State.Group no longer finds had no other members left: it has ended, and its parity
	// and all its members are among the blocks that are freed.
	Groups []dfs.BlockID
}

// Rename moves SrcName of SrcParent to DstName of DstParent. The caller has resolved
// legacy rename's "into the directory". Source is the inode the caller saw. With Legacy most failures give
// false, as HDFS's old rename; else they are errors. Auth covers SrcParent and the source, DstAuth
// DstParent and an existing destination. Result: *Renamed.
type Rename struct {
	Head
	SrcParent dfs.InodeID
	SrcName   string
	Source    dfs.InodeID
	DstParent dfs.InodeID
	DstName   string
	DstAuth   uint64
	Legacy    bool
	Overwrite bool
	ToTrash   bool
}

// Renamed is the result of Rename.
type Renamed struct {
	OK     bool
	Blocks []dfs.Block   // of an overwritten file
	Files  []dfs.InodeID // overwritten while open
	Groups []dfs.BlockID // as Deleted has them
}

// Concat moves the blocks of Sources, in order, to the end of Target and removes the
// sources. Auth covers Target. Result: *BlockChange.
type Concat struct {
	Head
	Target  dfs.InodeID
	Sources []dfs.InodeID
}

// Truncate shortens a closed file to Length. Inside a block the file is left open for
// Holder with its last block under recovery until a CommitSync; inside a block that is in a
// parity group it is dfs.Stale: the block has to leave the group first. Auth covers the file.
// Result: *Truncated.
type Truncate struct {
	Head
	File    dfs.InodeID
	Length  int64
	Holder  string
	Machine string
}

// Truncated is the result of Truncate.
type Truncated struct {
	File      dfs.InodeID
	Done      bool          // false: Last needs a recovery to LastLength
	Removed   []dfs.Block   // whole blocks
	Last      dfs.Block     // with its old length; ID 0 none
	Stamp     dfs.GenStamp  // the recovery's stamp
	NewLength int64         // of Last
	Groups    []dfs.BlockID // as Deleted has them
}

// Bits of SetAttr.Mask.
const (
	AttrMode        uint32 = 1 << 0
	AttrOwner       uint32 = 1 << 1
	AttrGroup       uint32 = 1 << 2
	AttrModTime     uint32 = 1 << 3
	AttrAccessTime  uint32 = 1 << 4
	AttrReplication uint32 = 1 << 5
	AttrPolicy      uint32 = 1 << 6
	AttrNSQuota     uint32 = 1 << 7
	AttrDSQuota     uint32 = 1 << 8
	AttrTypeQuota   uint32 = 1 << 9 // DSQuota is that of QuotaType; no other quota changes
)

// SetAttr changes the attributes of Target that Mask names. Quotas are -1 for "none".
// Auth covers Target. Result: *AttrChange.
type SetAttr struct {
	Head
	Target      dfs.InodeID
	Mask        uint32
	Mode        dfs.Mode
	Owner       string
	Group       string
	ModTime     int64
	AccessTime  int64
	Replication uint16
	Policy      uint8
	NSQuota     int64
	DSQuota     int64
	QuotaType   uint8 // the dfs.StorageType of AttrTypeQuota, else 0
}

// AttrChange is the result of SetAttr.
type AttrChange struct {
	OK             bool   // false: replication of something that is no file
	OldReplication uint16 // files
}

// ACLEntry is one entry of an access control list.
type ACLEntry = dfs.ACLEntry

// SetACL replaces the extended ACL entries of Target (named entries, mask and default
// ones; the caller has merged and sorted them) and its mode bits. No entries removes
// the list. Auth covers Target. Result: nil.
type SetACL struct {
	Head
	Target  dfs.InodeID
	Mode    dfs.Mode
	Entries []ACLEntry
}

// SetXAttr flags, with HDFS's wire numbers.
const (
	XAttrCreate        = dfs.XAttrCreate
	XAttrReplace       = dfs.XAttrReplace
	XAttrRemove  uint8 = 128 // not HDFS's: remove the attribute
)

// SetXAttr sets or removes one extended attribute of Target. Auth covers Target.
// Result: nil.
type SetXAttr struct {
	Head
	Target dfs.InodeID
	Flags  uint8
	Space  dfs.XAttrSpace
	Name   string
	Value  []byte
}

// NextStamp takes the next generation stamp. Result: dfs.GenStamp.
type NextStamp struct{ Head }

// ReassignLease makes Holder the writer of an open file in place of OldHolder ("" any).
// Result: nil.
type ReassignLease struct {
	Head
	File      dfs.InodeID
	OldHolder string
	Holder    string
}

// CommitSync ends the recovery of the last block of an open file: it gets Stamp and
// Length, or goes with Remove; Close closes the file too. Block is as the recovery
// started. Result: *BlockChange.
type CommitSync struct {
	Head
	Block  dfs.Block
	Stamp  dfs.GenStamp
	Length int64
	Close  bool
	Remove bool
}

// Actions of ParityGroup.
const (
	GroupAllocate uint8 = 1 // an id and a stamp for a parity that is about to be made
	GroupCommit   uint8 = 2 // the parity is durable: the group exists, in place of Replaces
	GroupDissolve uint8 = 3 // the group ends; its blocks have enough replicas without it
)

// ParityGroup makes, replaces or ends a group of blocks that one parity block protects.
//
// Allocate has no other field. What it hands out is remembered by nobody, and never handed out again.
//
// Commit sets all fields. Every member must be a complete block of a file, exactly as the op
// has it, and in no group but the one whose parity is Replaces (0: a new group); there may
// be at most Data of them; Parity must be as long as the longest, and of an id and
// a stamp that were handed out. A departed member of Replaces may stay, as long as one member has not
// departed; it stays departed whatever Departed says here. Members of Replaces that are not among the new ones
// leave, and its parity is freed.
//
// Dissolve has Parity.ID only.
//
// Errors: dfs.Stale where the state is not as the op has it; dfs.IllegalArgument for what could never be a
// group. Result: *GroupChange.
type ParityGroup struct {
	Head
	Action   uint8
	Parity   dfs.Block
	CRC      uint32 // CRC32C of the parity's bytes
	Data     uint8  // k
	Replaces dfs.BlockID
	Members  []dfs.ParityMember
}

// GroupChange is the result of ParityGroup.
type GroupChange struct {
	Parity  dfs.Block       // Allocate: id and stamp; else the op's, with its length
	Group   dfs.ParityGroup // Commit: the group as it is now
	Removed []dfs.Block     // freed: the parity that is gone and the departed members that left
	Left    []dfs.Block     // blocks of files that are in no group any more
}

// Cluster stores a setting of the whole cluster; "" as value removes it. Result: nil.
type Cluster struct {
	Head
	Key   string
	Value string
}

// BeginEpoch is logged at every start of the name node, before it hands out anything: block
// ids and generation stamps go on from Block and Stamp, or from where they are if that is
// later. The gap marks what a lost end of the log may have handed out. Number must be above
// the last epoch's. Result: nil.
type BeginEpoch struct {
	Head
	Number uint64
	Block  dfs.BlockID
	Stamp  dfs.GenStamp
}

// Kind tells which op it is.
func (*Mkdirs) Kind() Kind { return KindMkdirs }

// Kind tells which op it is.
func (*Create) Kind() Kind { return KindCreate }

// Kind tells which op it is.
func (*AddBlock) Kind() Kind { return KindAddBlock }

// Kind tells which op it is.
func (*AbandonBlock) Kind() Kind { return KindAbandonBlock }

// Kind tells which op it is.
func (*UpdateBlocks) Kind() Kind { return KindUpdateBlocks }

// Kind tells which op it is.
func (*Close) Kind() Kind { return KindClose }

// Kind tells which op it is.
func (*Append) Kind() Kind { return KindAppend }

// Kind tells which op it is.
func (*Delete) Kind() Kind { return KindDelete }

// Kind tells which op it is.
func (*Rename) Kind() Kind { return KindRename }

// Kind tells which op it is.
func (*Concat) Kind() Kind { return KindConcat }

// Kind tells which op it is.
func (*Truncate) Kind() Kind { return KindTruncate }

// Kind tells which op it is.
func (*SetAttr) Kind() Kind { return KindSetAttr }

// Kind tells which op it is.
func (*SetACL) Kind() Kind { return KindSetACL }

// Kind tells which op it is.
func (*SetXAttr) Kind() Kind { return KindSetXAttr }

// Kind tells which op it is.
func (*NextStamp) Kind() Kind { return KindNextStamp }

// Kind tells which op it is.
func (*ReassignLease) Kind() Kind { return KindReassignLease }

// Kind tells which op it is.
func (*CommitSync) Kind() Kind { return KindCommitSync }

// Kind tells which op it is.
func (*ParityGroup) Kind() Kind { return KindParityGroup }

// Kind tells which op it is.
func (*BeginEpoch) Kind() Kind { return KindEpoch }

// Kind tells which op it is.
func (*Cluster) Kind() Kind { return KindCluster }
