package namespace

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"redoubt/dfs"
)

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

	idx  uint32
	auth uint64
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

	slots []uint32
}

// Last is the inode that the whole path names, nil if there is none.
func (w *Walk) Last() *Inode {
	if len(w.Chain) != len(w.Names)+1 {
		return nil
	}
	return &w.Chain[len(w.Chain)-1]
}

// Missing is the part of the path that does not exist.
func (w *Walk) Missing() []string { return w.Names[len(w.Chain)-1:] }

// Auth is what an op carries that the caller has authorised against Chain[:n].
func (w *Walk) Auth(n int) uint64 {
	var h uint64
	for i := range w.Chain[:n] {
		h += w.Chain[i].auth
	}
	return max(h, 1)
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
	Replication uint16        // of the file
	Policy      uint8         // of the file itself, 0 inherits
	Kind        dfs.BlockKind // departed members and parities have no file
	Group       dfs.BlockID   // the parity of its group, 0 none
	Offset      int64         // in the file; set by Blocks and LastBlock only
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
	Groups      int64 // parity groups
	Members     int64 // of all groups, with the departed ones
	Departed    int64 // members whose file is gone; they and the parities are not among Blocks
	ParityBytes int64 // sum of the parities' lengths
	NextInode   dfs.InodeID
	NextBlock   dfs.BlockID
	NextStamp   dfs.GenStamp
}

func (s *State) view(n *Inode, i uint32) {
	in := s.inodes.at(i)
	*n = Inode{
		ID: dfs.InodeID(in.id), Type: in.typ(), Mode: in.perm(),
		Owner: s.strings.text[in.ownerID()], Group: s.strings.text[in.groupID()],
		ModTime: in.mtime(), AccessTime: in.atime(), Replication: in.replication(), BlockSize: in.blockSize(),
		Policy: in.policy(), UnderConstruction: in.has(flagOpen),
		HasACL: in.has(flagACL), HasXAttrs: in.has(flagXAttr), HasQuota: in.has(flagQuota),
		idx: i, auth: s.authWord(in),
	}
	if in.parent != 0 {
		n.Parent = dfs.InodeID(s.inodes.at(in.parent).id)
	}
	if in.isDir() {
		n.Children = int(in.count())
	} else {
		n.Length, n.Blocks = in.size(), int(in.count())
	}
}

func (w *Walk) push(s *State, i uint32) {
	w.Chain = append(w.Chain, Inode{})
	s.view(&w.Chain[len(w.Chain)-1], i)
}

// Resolve walks names from the root into w, reusing its slices. names may begin with
// .reserved/.inodes/ID or .reserved/raw. Errors: dfs.NotFound for an unknown inode id.
func (s *State) Resolve(w *Walk, names []string) error {
	if len(names) >= 2 && names[0] == ".reserved" {
		switch names[1] {
		case "raw":
			names = names[2:]
		case ".inodes":
			if len(names) >= 3 {
				return s.resolveInode(w, names[2:])
			}
		}
	}
	w.Names, w.Chain = names, w.Chain[:0]
	w.push(s, rootSlot)
	s.walkDown(w, rootSlot, names)
	return nil
}

func (s *State) walkDown(w *Walk, dir uint32, names []string) {
	for _, name := range names {
		if !s.inodes.at(dir).isDir() {
			return
		}
		if dir = s.lookup(dir, name); dir == 0 {
			return
		}
		w.push(s, dir)
	}
}

// resolveInode resolves an inode id and names below it.
func (s *State) resolveInode(w *Walk, names []string) error {
	id, err := strconv.ParseUint(names[0], 10, 64)
	if err != nil || !s.ResolveID(w, dfs.InodeID(id)) {
		path := "/.reserved/.inodes" + dfs.Join(names...)
		return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File for given inode path does not exist: " + path}
	}
	if len(names) > 1 {
		w.Names = append(w.Names, names[1:]...)
		s.walkDown(w, w.Chain[len(w.Chain)-1].idx, names[1:])
	}
	return nil
}

// ResolveID fills w with the chain down to an inode. It reports false for an id that is
// unknown or deleted.
func (s *State) ResolveID(w *Walk, id dfs.InodeID) bool {
	i := s.live(id)
	if i == 0 {
		return false
	}
	w.slots, w.Names, w.Chain = w.slots[:0], nil, w.Chain[:0]
	for ; i != 0; i = s.inodes.at(i).parent {
		w.slots = append(w.slots, i)
	}
	for k := len(w.slots) - 1; k >= 0; k-- {
		if k < len(w.slots)-1 {
			w.Names = append(w.Names, string(s.nameOf(s.inodes.at(w.slots[k]))))
		}
		w.push(s, w.slots[k])
	}
	return true
}

// Inode gives one inode by id, false when it is unknown or deleted.
func (s *State) Inode(id dfs.InodeID) (n Inode, ok bool) {
	i := s.live(id)
	if i == 0 {
		return n, false
	}
	s.view(&n, i)
	return n, true
}

// Child gives the inode of a name in a directory.
func (s *State) Child(dir dfs.InodeID, name string) (n Inode, ok bool) {
	d := s.live(dir)
	if d == 0 {
		return n, false
	}
	i := s.lookup(d, name)
	if i == 0 {
		return n, false
	}
	s.view(&n, i)
	return n, true
}

// Path spells the path of an inode, false when it is unknown or deleted.
func (s *State) Path(id dfs.InodeID) (string, bool) {
	i := s.live(id)
	if i == 0 {
		return "", false
	}
	return s.pathOf(i), true
}

// EffectivePolicy is the inode's own storage policy or that of the nearest directory
// above that has one; 0 if none has.
func (s *State) EffectivePolicy(id dfs.InodeID) uint8 { return s.policyOf(s.live(id)) }

func (s *State) policyOf(i uint32) uint8 {
	for ; i != 0; i = s.inodes.at(i).parent {
		if p := s.inodes.at(i).policy(); p != dfs.PolicyUnspecified {
			return p
		}
	}
	return dfs.PolicyUnspecified
}

// Status describes an inode as getFileInfo does, with its effective policy and no name.
func (s *State) Status(n *Inode) dfs.FileStatus { return s.status(n.idx) }

func (s *State) status(i uint32) (st dfs.FileStatus) {
	s.fillStatus(&st, i, 0)
	if st.StoragePolicy == dfs.PolicyUnspecified {
		st.StoragePolicy = s.policyOf(s.inodes.at(i).parent)
	}
	return st
}

func (s *State) fillStatus(st *dfs.FileStatus, i uint32, inherited uint8) {
	in := s.inodes.at(i)
	*st = dfs.FileStatus{
		Type: in.typ(), ID: dfs.InodeID(in.id), Mode: in.perm(),
		Owner: s.strings.text[in.ownerID()], Group: s.strings.text[in.groupID()],
		ModTime: in.mtime(), AccessTime: in.atime(), StoragePolicy: in.policy(),
	}
	if in.isDir() {
		st.Children = int(in.count())
	} else {
		st.Length, st.Replication, st.BlockSize = in.size(), in.replication(), in.blockSize()
	}
	if st.StoragePolicy == dfs.PolicyUnspecified {
		st.StoragePolicy = inherited
	}
	if in.has(flagACL) {
		st.Flags |= dfs.FlagACL
	}
}

// List appends to dst the entries of a directory with names after the given one, in
// the order of HDFS (see nameOrder), at most max, and tells how many are left. Something that is no directory has none.
func (s *State) List(dst []dfs.FileStatus, dir dfs.InodeID, after string, max int) (page []dfs.FileStatus, remaining int) {
	d := s.live(dir)
	if d == 0 || !s.inodes.at(d).isDir() {
		return dst, 0
	}
	in := s.inodes.at(d)
	inherited := s.policyOf(d)
	slots, rest := s.dirs.page(s, make([]uint32, 0, min(int(in.count()), dirSplit)), in.slot(), after, max)
	total := 0
	for _, i := range slots {
		total += s.inodes.at(i).nameLen()
	}
	names := make([]byte, 0, total) // all of the page's, in one piece
	dst = slices.Grow(dst, len(slots))
	for _, i := range slots {
		dst = append(dst, dfs.FileStatus{})
		st := &dst[len(dst)-1]
		s.fillStatus(st, i, inherited)
		start := len(names)
		names = append(names, s.nameOf(s.inodes.at(i))...)
		st.Name = stringOf(names[start:])
	}
	return dst, rest
}

func (s *State) blockInfo(ref uint32) BlockInfo {
	b := s.block(ref)
	in := s.inodes.at(s.fileOf(ref))
	return BlockInfo{Block: b.public(), State: b.state(), File: dfs.InodeID(in.id), Replication: in.replication(), Policy: in.policy(),
		Group: s.GroupOf(dfs.BlockID(b.id()))}
}

// Blocks appends the blocks of a file that overlap the range, with their offsets. Empty
// blocks inside it count too.
func (s *State) Blocks(dst []BlockInfo, file dfs.InodeID, offset, length int64) []BlockInfo {
	f := s.live(file)
	if f == 0 || !s.inodes.at(f).isFile() || length < 0 {
		return dst
	}
	end := offset + length
	if end < offset {
		end = math.MaxInt64
	}
	at := int64(0)
	s.eachBlock(f, func(i uint32) bool {
		if at >= end {
			return false
		}
		size := s.block(i).size()
		if at+max(size, 1) > offset {
			info := s.blockInfo(i)
			info.Offset = at
			dst = append(dst, info)
		}
		at += size
		return true
	})
	return dst
}

// LastBlock gives a file's last block, false if it has none.
func (s *State) LastBlock(file dfs.InodeID) (b BlockInfo, ok bool) {
	f := s.live(file)
	if f == 0 || !s.inodes.at(f).isFile() {
		return b, false
	}
	last := s.last(f)
	if last == 0 {
		return b, false
	}
	b = s.blockInfo(last)
	b.Offset = s.inodes.at(f).size() - b.Length
	return b, true
}

// PenultimateBlock gives the block before the last, false if there is none.
func (s *State) PenultimateBlock(file dfs.InodeID) (b BlockInfo, ok bool) {
	f := s.live(file)
	if f == 0 || !s.inodes.at(f).isFile() || s.inodes.at(f).count() < 2 {
		return b, false
	}
	b = s.blockInfo(s.beforeLast(f))
	b.Offset = s.inodes.at(f).size() - s.block(s.last(f)).size() - b.Length
	return b, true
}

// Block finds a block by id: one of a file, a departed member or a parity, as Kind says.
func (s *State) Block(id dfs.BlockID) (b BlockInfo, ok bool) {
	i := s.byBlock.get(uint64(id))
	if i == 0 {
		return s.groupedInfo(id)
	}
	return s.blockInfo(i), true
}

// EachBlock calls fn with every block of a file, in no useful order, until it returns false.
func (s *State) EachBlock(fn func(BlockInfo) bool) {
	s.eachRef(func(ref uint32) bool { return fn(s.blockInfo(ref)) })
}

func (s *State) eachRef(fn func(ref uint32) bool) {
	for i := uint32(1); i < s.inodes.next; i++ {
		if s.inodes.at(i).has(flagOne) && !fn(i|inInode) {
			return
		}
	}
	for i := uint32(1); i < s.blocks.next; i++ {
		if s.blocks.at(i).id() != 0 && !fn(i) {
			return
		}
	}
}

func (s *State) openFile(i uint32) OpenFile {
	w := s.writers.at(i)
	return OpenFile{ID: dfs.InodeID(s.inodes.at(w.file).id), Holder: s.leases.at(w.lease).holder,
		Machine: s.strings.text[w.machine], Truncate: w.truncate - 1}
}

// OpenFile tells who writes a file, false if nobody does.
func (s *State) OpenFile(id dfs.InodeID) (f OpenFile, ok bool) {
	i := s.live(id)
	if i == 0 || !s.inodes.at(i).has(flagOpen) {
		return f, false
	}
	return s.openFile(s.inodes.at(i).slot()), true
}

// OpenFiles lists open files with ids above after, in id order, at most max. What it looks
// at is the page, and files of deleted subtrees that wait to be freed.
func (s *State) OpenFiles(after dfs.InodeID, max int) []OpenFile {
	var list []OpenFile
	for id := s.opened.next(uint64(after)); id != 0 && len(list) < max; id = s.opened.next(id) {
		if f, ok := s.OpenFile(dfs.InodeID(id)); ok {
			list = append(list, f)
		}
	}
	return list
}

// Lease appends the ids of the files that holder has open, in id order.
func (s *State) Lease(dst []dfs.InodeID, holder string) []dfs.InodeID {
	l, ok := s.holders[holder]
	if !ok {
		return dst
	}
	start := len(dst)
	first := s.leases.at(l).first
	for i := first; ; {
		w := s.writers.at(i)
		if id := dfs.InodeID(s.inodes.at(w.file).id); s.live(id) != 0 {
			dst = append(dst, id)
		}
		if i = w.next; i == first {
			break
		}
	}
	slices.Sort(dst[start:])
	return dst
}

// LeaseCount tells how many files holder has open.
func (s *State) LeaseCount(holder string) int {
	l, ok := s.holders[holder]
	if !ok {
		return 0
	}
	return int(s.leases.at(l).files)
}

// Holders lists all lease holders in byte order.
func (s *State) Holders() []string { return slices.Sorted(maps.Keys(s.holders)) }

func (s *State) blockCount() int64 { return int64(s.blocks.live()) + s.folded }

// Counts tells the sizes of the state.
func (s *State) Counts() Counts {
	return Counts{
		Files: s.files, Directories: s.dirsCount, Blocks: s.blockCount(),
		OpenFiles: int64(s.writers.live()), Leases: int64(len(s.holders)),
		Retries: int64(s.retry.tail - s.retry.head), Detached: int64(s.detached.Len()),
		Groups: int64(s.group.groups.live()), Members: int64(s.group.members.live()), Departed: s.group.departed, ParityBytes: s.group.parityBytes,
		NextInode: dfs.InodeID(s.nextInode), NextBlock: dfs.BlockID(s.nextBlock), NextStamp: dfs.GenStamp(s.nextStamp),
	}
}

// XAttrs lists the attributes of an inode, sorted by space and name. Read-only.
func (s *State) XAttrs(id dfs.InodeID) []XAttr {
	list, _ := s.feature.xattrs.Get(uint64(id))
	return list
}

// ACL lists the extended ACL entries of an inode. Read-only.
func (s *State) ACL(id dfs.InodeID) []ACLEntry {
	list, _ := s.feature.acls.Get(uint64(id))
	return list
}

// Quota tells a directory's quota, false if it has none.
func (s *State) Quota(id dfs.InodeID) (Quota, bool) { return s.feature.quotas.Get(uint64(id)) }

// Setting gives a Cluster setting.
func (s *State) Setting(key string) (string, bool) { return s.feature.settings.Get(key) }
