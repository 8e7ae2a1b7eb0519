package namespace

import "redoubt/dfs"

// inode is one file or directory in memory: 64 bytes without pointers. A zero id marks a
// free slot.
type inode struct {
	id        uint64
	owner     uint32 // interned, 24 bits; above: storage policy
	group     uint32 // interned, 24 bits; above: flags
	size      int64  // files: sum of the block lengths
	layout    uint64 // files: block size << 16 | replication
	parent    uint32 // slot; 0 for the root and detached ones
	name      uint32 // place in the arena
	tail      uint32 // files: slot of the last block, or of the writer when open; directories: slot of the child index
	count     uint32 // blocks or children
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
func (in *inode) replication() uint16  { return uint16(in.layout) }
func (in *inode) blockSize() int64     { return int64(in.layout >> 16) }
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

// clampTime brings an op's time into what an inode can hold.
func clampTime(t int64) int64 { return min(max(t, 0), maxTime) }

// block is one block in memory: 24 bytes. The blocks of a file are a ring: the last
// one's next is the first. A zero id marks a free slot.
type block struct {
	low  uint64 // id, 40 bits; above: the stamp's low 24
	high uint64 // the stamp's high 16 bits, 8 bits of state, 40 of length
	file uint32 // inode slot
	next uint32
}

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
	last       uint32 // block slot
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

// interned keeps each user, group and machine name once. Ids are never given back.
type interned struct {
	text   []string // by id; 0 is ""
	hash   []uint64
	byText map[string]uint32
}

func newInterned() interned {
	return interned{text: []string{""}, hash: []uint64{hashText("")}, byText: map[string]uint32{"": 0}}
}

func (n *interned) id(text string) uint32 {
	if id, ok := n.byText[text]; ok {
		return id
	}
	text = string(append([]byte(nil), text...))
	id := uint32(len(n.text))
	n.text = append(n.text, text)
	n.hash = append(n.hash, hashText(text))
	n.byText[text] = id
	return id
}

// full reports whether no new text could be taken.
func (n *interned) full(text string) bool {
	if len(n.text) < lowBits {
		return false
	}
	_, ok := n.byText[text]
	return !ok
}
