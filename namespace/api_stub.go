package namespace

import "redoubt/dfs"

// State is the whole hard state of a name service.
type State struct{ x int }

// New makes the state of a fresh namespace: a root directory owned by owner and group.
func New(opt Options) *State { panic("todo") }

// Options of a fresh namespace; the zero value works. They count at format time only and
// stand in the image afterwards.
type Options struct {
	Owner string   // of the root; "hdfs"
	Group string   // "supergroup"
	Mode  dfs.Mode // of the root; 0755
	Time  int64
}

// Apply carries out one record; see the package comment and the op's own for its result.
// rec may be reused when it returns. A record that can't be understood is dfs.Corrupt.
func (s *State) Apply(txid dfs.TxID, rec []byte) (any, error) { panic("todo") }

// Precheck tells the error that op would have if it were applied now, without changing
// anything. It allocates only for an error.
func (s *State) Precheck(op Op) error { panic("todo") }

// Applied is the TxID of the last record applied.
func (s *State) Applied() dfs.TxID { panic("todo") }

// Digest is the set hash of the whole state. It costs nothing.
func (s *State) Digest() dfs.Digest { panic("todo") }

// AuthEpoch moves when a directory is renamed or its mode, owner, group or ACL changes.
func (s *State) AuthEpoch() uint64 { panic("todo") }

// Retry gives the stored answer of a call, with the type that the op's result has.
func (s *State) Retry(call dfs.CallID) (result any, ok bool) { panic("todo") }

// Resolve walks names from the root into w, reusing its slices. names may begin with
// .reserved/.inodes/ID or .reserved/raw. Errors: dfs.NotFound for an unknown inode id.
func (s *State) Resolve(w *Walk, names []string) error { panic("todo") }

// ResolveID fills w with the chain down to an inode. It reports false for an id that is
// unknown or deleted.
func (s *State) ResolveID(w *Walk, id dfs.InodeID) bool { panic("todo") }

// Inode gives one inode by id, false when it is unknown or deleted.
func (s *State) Inode(id dfs.InodeID) (Inode, bool) { panic("todo") }

// Child gives the inode of a name in a directory.
func (s *State) Child(dir dfs.InodeID, name string) (Inode, bool) { panic("todo") }

// Path spells the path of an inode, false when it is unknown or deleted.
func (s *State) Path(id dfs.InodeID) (string, bool) { panic("todo") }

// Status describes an inode as getFileInfo does, with its effective policy and no name.
func (s *State) Status(n *Inode) dfs.FileStatus { panic("todo") }

// EffectivePolicy is the inode's own storage policy or that of the nearest directory
// above that has one; 0 if none has.
func (s *State) EffectivePolicy(id dfs.InodeID) uint8 { panic("todo") }

// List appends to dst the entries of a directory with names after the given one, in
// byte order, at most max, and tells how many are left.
func (s *State) List(dst []dfs.FileStatus, dir dfs.InodeID, after string, max int) (page []dfs.FileStatus, remaining int) {
	panic("todo")
}

// Blocks appends the blocks of a file that overlap the range, with their offsets.
func (s *State) Blocks(dst []BlockInfo, file dfs.InodeID, offset, length int64) []BlockInfo {
	panic("todo")
}

// LastBlock gives a file's last block, false if it has none.
func (s *State) LastBlock(file dfs.InodeID) (BlockInfo, bool) { panic("todo") }

// PenultimateBlock gives the block before the last, false if there is none.
func (s *State) PenultimateBlock(file dfs.InodeID) (BlockInfo, bool) { panic("todo") }

// Block finds a block by id.
func (s *State) Block(id dfs.BlockID) (BlockInfo, bool) { panic("todo") }

// EachBlock calls fn with every block, in no useful order, until it returns false.
func (s *State) EachBlock(fn func(BlockInfo) bool) { panic("todo") }

// OpenFile tells who writes a file, false if nobody does.
func (s *State) OpenFile(id dfs.InodeID) (OpenFile, bool) { panic("todo") }

// OpenFiles lists open files with ids above after, in id order, at most max.
func (s *State) OpenFiles(after dfs.InodeID, max int) []OpenFile { panic("todo") }

// Lease appends the ids of the files that holder has open, in id order.
func (s *State) Lease(dst []dfs.InodeID, holder string) []dfs.InodeID { panic("todo") }

// LeaseCount tells how many files holder has open.
func (s *State) LeaseCount(holder string) int { panic("todo") }

// Holders lists all lease holders in byte order.
func (s *State) Holders() []string { panic("todo") }

// Counts tells the sizes of the state.
func (s *State) Counts() Counts { panic("todo") }

// XAttr is one extended attribute.
type XAttr struct {
	Space uint8
	Name  string
	Value []byte
}

// XAttrs lists the attributes of an inode, sorted by space and name. Read-only.
func (s *State) XAttrs(id dfs.InodeID) []XAttr { panic("todo") }

// ACL lists the extended ACL entries of an inode. Read-only.
func (s *State) ACL(id dfs.InodeID) []ACLEntry { panic("todo") }

// Quota is a directory's quota and use; limits are -1 where none is set.
type Quota struct {
	NSLimit, DSLimit int64
	NSUsed, DSUsed   int64 // inodes with the directory itself; bytes times replication
}

// Quota tells a directory's quota, false if it has none.
func (s *State) Quota(id dfs.InodeID) (Quota, bool) { panic("todo") }

// Setting gives a Cluster setting.
func (s *State) Setting(key string) (string, bool) { panic("todo") }

// Summary adds up a subtree in steps, so that the caller can let go of its lock between
// them. A tree that changes meanwhile is counted as each step finds it.
type Summary struct {
	Sum dfs.ContentSummary
}

// Summarize starts a summary of an inode.
func (s *State) Summarize(id dfs.InodeID) (*Summary, bool) { panic("todo") }

// Step visits at most max inodes more and reports whether the sum is complete.
func (c *Summary) Step(s *State, max int) bool { panic("todo") }

// Auth is what an op that the caller has authorised against Chain[:n] carries.
func (w *Walk) Auth(n int) uint64 { panic("todo") }

// Snapshot freezes the state; read it without the owner's lock, then give it to Release.
func (s *State) Snapshot() *Snapshot { panic("todo") }

// Release ends the copy-on-write for a snapshot. It needs the owner's lock.
func (s *State) Release(snap *Snapshot) { panic("todo") }

// Snapshot is a frozen state.
type Snapshot struct{ x int }

// Sections gives the parts to write; they may be written at the same time.
func (n *Snapshot) Sections() []dfs.Section { panic("todo") }

// Digest is the state's digest at the instant of the snapshot.
func (n *Snapshot) Digest() dfs.Digest { panic("todo") }

// Restore replaces the whole state by a checkpoint's. On dfs.Corrupt the state is
// unusable until a Restore succeeds.
func (s *State) Restore(src dfs.SectionSource) error { panic("todo") }

// Check recomputes the digest, the counts and every link and tells the first fault.
func (s *State) Check() error { panic("todo") }

// Limits are what an administrator may set. They are checked before an op is proposed,
// never in Apply. A zero field has HDFS's default.
type Limits struct {
	ComponentLength int   // bytes of a name; dfs.MaxComponentLength
	DirectoryItems  int   // children of a directory; dfs.MaxDirectoryItems
	BlockSize       int64 // smallest block size; dfs.MinBlockSize
	BlocksPerFile   int   // dfs.MaxBlocksPerFile
}

// CheckNames refuses to make names (the missing ones) below the directory dir.
// Errors: dfs.ComponentTooLong, dfs.DirectoryTooFull, dfs.IllegalArgument for reserved names.
func (s *State) CheckNames(l Limits, dir dfs.InodeID, names []string) error { panic("todo") }

// CheckLease tells whether holder may write the file that the client calls path.
// Errors: dfs.NotFound, dfs.LeaseExpired, worded as HDFS does. Holder "" is anybody.
func (s *State) CheckLease(path string, file dfs.InodeID, holder string) error { panic("todo") }
