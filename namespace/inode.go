package namespace

import (
	"slices"
	"strings"

	"redoubt/dfs"
)

// inode is one file or directory in memory: 64 bytes without pointers. A zero id marks a
// free slot.
type inode struct {
	id     uint64
	owner  uint32 // interned, 24 bits; above: storage policy
	group  uint32 // interned, 24 bits; above: flags
	layout uint64 // files: block size << 16 | replication; directories: inodes of the subtree, itself too
	// body has three uses. A closed file of one block (flagOne) has that block here. Another
	// file has the sum of its blocks' lengths in low, the number of blocks in the low half of
	// high, and above it the slot of the block before the last (or of the only one), or of
	// its writer when open. A directory has its subtree's bytes as space quotas count them in
	// low, its number of children in the low half of high, and above it the slot of its child index.
	body      block
	parent    uint32 // slot; 0 for the root and detached ones
	name      uint32 // place in the arena
	mtimeLow  uint32
	atimeLow  uint32
	mtimeHigh uint16
	atimeHigh uint16
	mode      uint16 // 10 bits; above: type
	length    uint16 // of the name
}

const (
	lowBits = 1<<24 - 1
	maxTime = 1<<48 - 1 // ms
	typeBit = 12

	flagOpen     = 1 << 24 // being written: tail is a writer
	flagACL      = 1 << 25
	flagXAttr    = 1 << 26
	flagQuota    = 1 << 27
	flagDetached = 1 << 28 // root of a deleted subtree
	flagOne      = 1 << 29 // body is the only block

	flagTypeQuota = 1 << 30
)

func (in *inode) nameLen() int      { return int(in.length) }
func (in *inode) typ() dfs.FileType { return dfs.FileType(in.mode >> typeBit) }
func (in *inode) isDir() bool       { return in.mode>>typeBit == uint16(dfs.TypeDirectory) }
func (in *inode) isFile() bool      { return in.mode>>typeBit == uint16(dfs.TypeFile) }
func (in *inode) perm() dfs.Mode    { return dfs.Mode(in.mode) & dfs.ModeMask }
func (in *inode) setPerm(m dfs.Mode) {
	in.mode = in.mode&^uint16(dfs.ModeMask) | uint16(m&dfs.ModeMask)
}
func (in *inode) has(flag uint32) bool { return in.group&flag != 0 }
func (in *inode) ownerID() uint32      { return in.owner & lowBits }
func (in *inode) groupID() uint32      { return in.group & lowBits }
func (in *inode) policy() uint8        { return uint8(in.owner >> 24) }
func (in *inode) setPolicy(p uint8)    { in.owner = in.owner&lowBits | uint32(p)<<24 }
func (in *inode) setOwner(id uint32)   { in.owner = in.owner&^uint32(lowBits) | id }
func (in *inode) setGroup(id uint32)   { in.group = in.group&^uint32(lowBits) | id }
func (in *inode) replication() uint16  { return uint16(in.fileLayout()) }
func (in *inode) blockSize() int64     { return int64(in.fileLayout() >> 16) }
func (in *inode) mtime() int64         { return int64(in.mtimeHigh)<<32 | int64(in.mtimeLow) }
func (in *inode) atime() int64         { return int64(in.atimeHigh)<<32 | int64(in.atimeLow) }

func (in *inode) setMtime(t int64) { in.mtimeLow, in.mtimeHigh = uint32(t), uint16(t>>32) }
func (in *inode) setAtime(t int64) { in.atimeLow, in.atimeHigh = uint32(t), uint16(t>>32) }

func (in *inode) setFlag(flag uint32, on bool) {
	in.group &^= flag
	if on {
		in.group |= flag
	}
}

// fileLayout is a file's block size and replication as the digest has them, else 0.
func (in *inode) fileLayout() uint64 {
	if in.isFile() {
		return in.layout
	}
	return 0
}

// count is the number of blocks or children.
func (in *inode) count() uint32 {
	if in.has(flagOne) {
		return 1
	}
	return uint32(in.body.high)
}

// size is the sum of a file's block lengths.
func (in *inode) size() int64 {
	if in.has(flagOne) {
		return in.body.size()
	}
	return int64(in.body.low)
}

// slot is what body says of a directory or a file without flagOne.
func (in *inode) slot() uint32     { return uint32(in.body.high >> 32) }
func (in *inode) setSlot(i uint32) { in.body.high = in.body.high&(1<<32-1) | uint64(i)<<32 }

// clampTime brings an op's time into what an inode can hold.
func clampTime(t int64) int64 { return min(max(t, 0), maxTime) }

// block is one block in memory. A zero id marks a free slot.
type block struct {
	low  uint64 // id, 40 bits; above: the stamp's low 24
	high uint64 // the stamp's high 16 bits, 8 bits of state, 40 of length
}

// chained is a block that is not inside its file's inode: 24 bytes. The blocks of a file
// are a ring: the last one's next is the first.
type chained struct {
	block
	file uint32 // inode slot
	next uint32
}

// inInode marks a reference to a block that is the body of an inode. Other references are
// slots of chained blocks; 0 is none.
const inInode = 1 << 31

const (
	maxBlockID = 1<<40 - 1
	maxStamp   = 1<<40 - 1
	maxBlock   = 1<<40 - 1 // bytes of a block
)

func (b *block) id() uint64        { return b.low & maxBlockID }
func (b *block) state() BlockState { return BlockState(b.high >> 40) }
func (b *block) genStamp() uint64  { return b.low>>40 | b.high>>48<<24 }
func (b *block) size() int64       { return int64(b.high & maxBlock) }

func (b *block) set(stamp uint64, size int64, state BlockState) {
	b.low = b.low&maxBlockID | stamp<<40
	b.high = stamp>>24<<48 | uint64(state)<<40 | uint64(size)
}

func (b *block) public() dfs.Block {
	return dfs.Block{ID: dfs.BlockID(b.id()), GenStamp: dfs.GenStamp(b.genStamp()), Length: b.size()}
}

// writer is the part of an inode that exists while the file is open.
type writer struct {
	file       uint32 // inode slot
	tail       uint32 // slot of the block before the last, or of the only one
	lease      uint32
	machine    uint32 // interned
	prev, next uint32 // of the same lease
	truncate   int64  // target length of the last block's recovery plus 1; 0 none
}

// lease is a holder and the ring of its writers.
type lease struct {
	holder string
	hash   uint64
	first  uint32
	files  uint32
}

// interned keeps each user, group and machine name once, as long as an inode or a writer
// has it.
type interned struct {
	text   []string // by id; 0 is ""
	hash   []uint64
	refs   []uint32
	free   []uint32
	byText map[string]uint32
	frozen bool // a snapshot may share text and hash up to their length
}

func newInterned() interned {
	return interned{text: []string{""}, hash: []uint64{hashText("")}, refs: []uint32{1}, byText: map[string]uint32{"": 0}}
}

// id finds or makes the id of a text. The caller holds it.
func (n *interned) id(text string) uint32 {
	if id, ok := n.byText[text]; ok {
		return id
	}
	text = strings.Clone(text)
	id := uint32(len(n.text))
	if k := len(n.free); k > 0 {
		id, n.free = n.free[k-1], n.free[:k-1]
		n.set(id, text)
	} else {
		n.append(text)
	}
	n.byText[text] = id
	return id
}

func (n *interned) append(text string) {
	n.text = append(n.text, text)
	n.hash = append(n.hash, hashText(text))
	n.refs = append(n.refs, 0)
}

func (n *interned) set(id uint32, text string) {
	if n.frozen {
		n.text, n.hash, n.frozen = slices.Clone(n.text), slices.Clone(n.hash), false
	}
	n.text[id], n.hash[id] = text, hashText(text)
}

// hold counts one more user of an id.
func (n *interned) hold(id uint32) { n.refs[id]++ }

// release counts one less; an id without users is given to another text.
func (n *interned) release(id uint32) {
	if n.refs[id]--; n.refs[id] == 0 && id != 0 {
		n.forget(id)
	}
}

func (n *interned) forget(id uint32) {
	delete(n.byText, n.text[id])
	n.set(id, "")
	n.free = append(n.free, id)
}

// sweep forgets what nobody holds.
func (n *interned) sweep() {
	for id := 1; id < len(n.text); id++ {
		if n.refs[id] == 0 && n.text[id] != "" {
			n.forget(uint32(id))
		}
	}
}

// full reports whether no new text could be taken.
func (n *interned) full(text string) bool {
	if len(n.text)-len(n.free) < lowBits {
		return false
	}
	_, ok := n.byText[text]
	return !ok
}
