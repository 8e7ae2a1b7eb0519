package clientrpc

import (
	"math/bits"

	"redoubt/dfs"
)

// encoder writes protobuf back to front, so that the length of a nested message is known
// when its header is written and nothing is measured beforehand. Its methods write one
// field each; a message's fields are therefore written last to first. The bytes are the
// same as the generated code's, which a test holds against it.
type encoder struct {
	buf []byte // the message is buf[i:]
	i   int
}

// newEncoder uses scratch's memory as far as it goes.
func newEncoder(scratch []byte) encoder {
	b := scratch[:cap(scratch)]
	return encoder{b, len(b)}
}

// bytes gives the message.
func (e *encoder) bytes() []byte { return e.buf[e.i:] }

// grow makes room for n more bytes in front.
func (e *encoder) grow(n int) {
	if e.i >= n {
		return
	}
	used := len(e.buf) - e.i
	b := make([]byte, max(2*len(e.buf), used+n+512))
	copy(b[len(b)-used:], e.buf[e.i:])
	e.buf, e.i = b, len(b)-used
}

func (e *encoder) varint(v uint64) {
	if v < 0x80 && e.i > 0 {
		e.i--
		e.buf[e.i] = byte(v)
		return
	}
	e.longVarint(v)
}

func (e *encoder) longVarint(v uint64) {
	n := (bits.Len64(v|1) + 6) / 7
	e.grow(n)
	e.i -= n
	b := e.buf[e.i : e.i+n]
	for j := range b {
		b[j] = byte(v) | 0x80
		v >>= 7
	}
	b[n-1] &= 0x7f
}

func (e *encoder) tag(num, typ uint64) { e.varint(num<<3 | typ) }

func (e *encoder) uint(num, v uint64) {
	if tag := num << 3; v|tag < 0x80 && e.i > 1 { // most fields of most messages
		e.i -= 2
		b := e.buf[e.i:]
		b[0], b[1] = byte(tag), byte(v)
		return
	}
	e.varint(v)
	e.tag(num, 0)
}

func (e *encoder) bool(num uint64, v bool) {
	if v {
		e.uint(num, 1)
	} else {
		e.uint(num, 0)
	}
}

func (e *encoder) string(num uint64, s string) {
	e.grow(len(s))
	e.i -= len(s)
	copy(e.buf[e.i:], s)
	e.varint(uint64(len(s)))
	e.tag(num, 2)
}

// maxField is the most bytes that a number with its tag, or a string's tag and length,
// take in the put functions.
const maxField = 2 + 10

// putUint writes a number's field in front of b[i:], which has room for it, and gives
// its place. num is below 16.
func putUint(b []byte, i int, num byte, v uint64) int {
	if v < 0x80 {
		b[i-1], b[i-2] = byte(v), num<<3
		return i - 2
	}
	return putLong(b, i, num<<3, v)
}

// putLong writes a tag and a varint of more than one byte.
func putLong(b []byte, i int, tag byte, v uint64) int {
	n := (bits.Len64(v) + 6) / 7
	w := b[i-n-1 : i]
	w[0] = tag
	for j := range w[1:] {
		w[1+j] = byte(v) | 0x80
		v >>= 7
	}
	w[n] &= 0x7f
	return i - n - 1
}

// putFar is putUint for field numbers from 16 to 31, whose tag takes two bytes.
func putFar(b []byte, i int, num byte, v uint64) int {
	if v < 0x80 {
		b[i-1] = byte(v)
		i--
	} else {
		i = putLong(b, i, 0, v) + 1 // without that tag
	}
	b[i-1], b[i-2] = 1, num<<3|0x80
	return i - 2
}

// putHead writes tag and length of what has n bytes.
func putHead(b []byte, i int, num byte, n int) int {
	if n < 0x80 {
		b[i-1], b[i-2] = byte(n), num<<3|2
		return i - 2
	}
	return putLong(b, i, num<<3|2, uint64(n))
}

func putString(b []byte, i int, num byte, s string) int {
	i -= len(s)
	copy(b[i:], s)
	return putHead(b, i, num, len(s))
}

// mark remembers where a nested message ends; nest writes its header.
func (e *encoder) mark() int { return len(e.buf) - e.i }

func (e *encoder) nest(num uint64, mark int) {
	e.varint(uint64(len(e.buf) - e.i - mark))
	e.tag(num, 2)
}

// fileStatus writes an HdfsFileStatus field. located says whether locations belong in
// it; a file without blocks then has an empty LocatedBlocks.
func (e *encoder) fileStatus(num uint64, st *dfs.FileStatus, blocks *dfs.LocatedBlocks) {
	at := e.mark()
	e.grow(4 * maxField)
	i := putFar(e.buf, e.i, 18, uint64(st.Flags))
	i = putFar(e.buf, i, 16, uint64(st.StoragePolicy))
	i = putUint(e.buf, i, 14, uint64(int64(int32(st.Children))))
	e.i = putUint(e.buf, i, 13, uint64(st.ID))
	if blocks != nil && st.Type == dfs.TypeFile {
		e.locatedBlocks(12, blocks)
	}
	e.grow(2 * maxField)
	i = putUint(e.buf, e.i, 11, uint64(st.BlockSize))
	e.i = putUint(e.buf, i, 10, uint64(st.Replication))
	if st.Type == dfs.TypeSymlink {
		e.string(9, st.Symlink)
	}
	e.grow(8*maxField + len(st.Group) + len(st.Owner) + len(st.Name))
	b, i := e.buf, e.i
	i = putUint(b, i, 8, uint64(st.AccessTime))
	i = putUint(b, i, 7, uint64(st.ModTime))
	i = putString(b, i, 6, st.Group)
	i = putString(b, i, 5, st.Owner)
	mode := i
	i = putUint(b, i, 1, uint64(st.Mode&dfs.ModeMask))
	i = putHead(b, i, 4, mode-i)
	i = putUint(b, i, 3, uint64(st.Length))
	i = putString(b, i, 2, st.Name)
	e.i = putUint(b, i, 1, uint64(st.Type))
	e.nest(num, at)
}

// locatedBlocks writes a LocatedBlocks field.
func (e *encoder) locatedBlocks(num uint64, l *dfs.LocatedBlocks) {
	at := e.mark()
	e.bool(5, l.LastComplete)
	if l.Last != nil {
		e.locatedBlock(4, l.Last)
	}
	e.bool(3, l.UnderConstruction)
	for i := len(l.Blocks) - 1; i >= 0; i-- {
		e.locatedBlock(2, &l.Blocks[i])
	}
	e.uint(1, uint64(l.FileLength))
	e.nest(num, at)
}

// locatedBlock writes a LocatedBlock field. Three clients index the first storage of a
// block with locations, and require numBytes, so both are always there.
func (e *encoder) locatedBlock(num uint64, b *dfs.LocatedBlock) {
	at := e.mark()
	for i := len(b.Locs) - 1; i >= 0; i-- {
		e.string(8, b.Locs[i].Storage)
	}
	for i := len(b.Locs) - 1; i >= 0; i-- {
		e.uint(7, uint64(b.Locs[i].Type))
	}
	if n := len(b.Locs); n > 0 { // isCached, packed: none is
		e.grow(n)
		e.i -= n
		clear(e.buf[e.i : e.i+n])
		e.varint(uint64(n))
		e.tag(6, 2)
	}
	e.emptyToken(5)
	e.bool(4, b.Corrupt)
	for i := len(b.Locs) - 1; i >= 0; i-- {
		e.datanodeInfo(3, b.Locs[i].Node)
	}
	e.uint(2, uint64(b.Offset))
	e.extendedBlock(1, b.PoolID, b.Block)
	e.nest(num, at)
}

// emptyToken writes a Token field: all four of its fields are required.
func (e *encoder) emptyToken(num uint64) {
	at := e.mark()
	e.string(4, "")
	e.string(3, "")
	e.string(2, "")
	e.string(1, "")
	e.nest(num, at)
}

// extendedBlock writes an ExtendedBlock field.
func (e *encoder) extendedBlock(num uint64, pool string, b dfs.Block) {
	at := e.mark()
	e.uint(4, uint64(b.Length))
	e.uint(3, uint64(b.GenStamp))
	e.uint(2, uint64(b.ID))
	e.string(1, pool)
	e.nest(num, at)
}

// datanodeInfo writes a DatanodeInfo field.
func (e *encoder) datanodeInfo(num uint64, d *dfs.DatanodeInfo) {
	at := e.mark()
	e.uint(17, uint64(d.Blocks))
	e.uint(16, uint64(d.LastReportMono))
	e.uint(15, uint64(d.LastReport))
	e.uint(13, uint64(d.LastUpdateMono))
	e.uint(12, uint64(d.CacheUsed))
	e.uint(11, uint64(d.CacheCapacity))
	e.uint(10, uint64(d.Admin))
	e.uint(9, uint64(d.NonDFSUsed))
	e.string(8, d.Location)
	e.uint(7, uint64(d.Xceivers))
	e.uint(6, uint64(d.LastUpdate))
	e.uint(5, uint64(d.PoolUsed))
	e.uint(4, uint64(d.Remaining))
	e.uint(3, uint64(d.Used))
	e.uint(2, uint64(d.Capacity))
	id := e.mark()
	e.uint(7, uint64(d.SecurePort))
	e.uint(6, uint64(d.IPCPort))
	e.uint(5, uint64(d.InfoPort))
	e.uint(4, uint64(d.XferPort))
	e.string(3, d.UUID)
	e.string(2, d.Host)
	e.string(1, d.IP)
	e.nest(1, id)
	e.nest(num, at)
}

// listing writes a DirectoryListing field.
func (e *encoder) listing(num uint64, l *dfs.Listing) {
	at := e.mark()
	e.uint(2, uint64(l.Remaining))
	e.entries(1, l.Entries)
	e.nest(num, at)
}

// entries writes a listing's entries as a repeated HdfsFileStatus field.
func (e *encoder) entries(num uint64, entries []dfs.ListEntry) {
	for i := len(entries) - 1; i >= 0; i-- {
		e.fileStatus(num, &entries[i].FileStatus, entries[i].Blocks)
	}
}
