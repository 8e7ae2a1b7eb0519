package editlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"redoubt/dfs"
	"redoubt/vfs"
)

// readAhead is how many bytes a Reader asks the disk for at a time.
const readAhead = 1 << 20

// Reader reads one segment from its beginning. It never writes. Its methods must not be
// called at the same time.
type Reader struct {
	file   io.ReaderAt
	closer io.Closer
	seg    Segment // Name is the whole path, for errors
	size   int64
	header Header
	seed   uint32

	offset int64 // of the next batch
	next   dfs.TxID
	fill   filled
	buf    []byte // the file's bytes from bufAt
	bufAt  int64
	recs   Records
	err    error // what Next returned once it stopped
}

// OpenReader opens a segment. When want is not nil the segment must belong to that
// cluster. The errors: ErrNotEditLog, *VersionError, *CorruptError, *ClusterError, or
// the file system's own.
func OpenReader(fs vfs.FS, dir string, seg Segment, want *dfs.ClusterInfo) (*Reader, error) {
	name := path.Join(dir, seg.Name)
	file, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("editlog: %w", err)
	}
	size, err := file.Size()
	if err == nil {
		var r *Reader
		seg.Name = name
		if r, err = newReader(file, size, seg, want); err == nil {
			r.closer = file
			return r, nil
		}
	}
	file.Close() // read only: there is nothing to lose
	return nil, err
}

// newReader reads and checks the header.
func newReader(file io.ReaderAt, size int64, seg Segment, want *dfs.ClusterInfo) (*Reader, error) {
	r := &Reader{file: file, seg: seg, size: size}
	head := make([]byte, min(size, headerSize))
	if err := readFull(file, head, 0); err != nil {
		return nil, fmt.Errorf("editlog: read %s: %w", seg.Name, err)
	}
	var err error
	r.header, r.seed, err = decodeHeader(head)
	var version *VersionError
	switch {
	case err == nil:
	case errors.Is(err, ErrNotEditLog):
		return nil, fmt.Errorf("%s: %w", seg.Name, err)
	case errors.As(err, &version):
		version.Segment = seg.Name
		return nil, version
	default:
		return nil, &CorruptError{Segment: seg.Name, TxID: seg.First, Durable: seg.Last, Err: err}
	}
	if want != nil && *want != r.header.Cluster {
		return nil, &ClusterError{Segment: seg.Name, Got: r.header.Cluster, Want: *want}
	}
	if seg.First == 0 {
		r.seg.First = r.header.First
	} else if seg.First != r.header.First {
		return nil, &CorruptError{Segment: seg.Name, TxID: seg.First,
			Err: corrupt("header says that it begins with transaction %d", r.header.First)}
	}
	r.offset, r.next = headerSize, r.header.First
	r.fill = filled{chunk: r.header.Fill, size: headerSize, known: r.header.Version >= 2}
	return r, nil
}

// Header is what the segment says of itself.
func (r *Reader) Header() Header { return r.header }

// Offset is where the next batch begins; after the end, where the good part ends.
func (r *Reader) Offset() int64 { return r.offset }

// Next transaction's number: what follows the last record read.
func (r *Reader) NextTx() dfs.TxID { return r.next }

// Next reads the next batch. It returns io.EOF at a clean end, a *TornError at a torn
// tail, a *CorruptError at damage, and the file system's error when reading failed. The
// first error stays.
func (r *Reader) Next() (*Records, error) {
	if r.err != nil {
		return nil, r.err
	}
	recs, err := r.read()
	if err != nil {
		r.err = err
		return nil, err
	}
	return recs, nil
}

func (r *Reader) read() (*Records, error) {
	if r.offset+batchHeaderSize > r.size {
		return nil, r.end("the file ends in a batch header")
	}
	b, err := r.bytes(r.offset, batchHeaderSize)
	if err != nil {
		return nil, err
	}
	var h batchHeader
	if !h.decode(b, r.seed, r.offset) {
		return nil, r.end("batch header is invalid")
	}
	size := h.size()
	if size > r.size-r.offset {
		return nil, r.end("batch runs over the end of the file")
	}
	if b, err = r.bytes(r.offset, int(size)); err != nil {
		return nil, err
	}
	body := b[batchHeaderSize:]
	if sum := crc32.Checksum(body, castagnoli); sum != h.checksum {
		return nil, r.end(fmt.Sprintf("batch checksum is %08x, its bytes give %08x", h.checksum, sum))
	}
	// The batch is as it was written. What is wrong with it now was written wrong.
	if h.first != r.next {
		return nil, r.damage(corrupt("batch begins with transaction %d", h.first))
	}
	if err := r.recs.parse(&h, body[:h.payload]); err != nil {
		return nil, r.damage(corrupt("%v", err))
	}
	if !r.seg.InProgress && r.seg.Last != 0 && r.recs.Last() > r.seg.Last {
		return nil, r.damage(corrupt("segment goes on to transaction %d", r.recs.Last()))
	}
	r.offset += size
	r.next = r.recs.Last() + 1
	r.fill.add(r.offset, h.flags)
	return &r.recs, nil
}

// filled follows how long a segment's file has been, by the writer's rule: a batch that
// reaches the end of the zeroes gets new ones behind it, on the same sync.
type filled struct {
	chunk   int64
	size    int64 // with the last batch's zeroes, which may not have been synced
	durable int64 // before that batch was begun
	known   bool  // nothing came between: a full disk, or the end of the segment
}

func (f *filled) add(end int64, flags uint32) {
	f.durable = f.size
	if flags&(flagShort|flagLast) != 0 {
		f.known = false
	}
	if end >= f.size {
		f.size = end + f.chunk
	}
}

// end decides what an invalid batch at r.offset is: the end of the file, a torn tail,
// or damage.
func (r *Reader) end(what string) error {
	finished := r.seg.Last != 0
	if finished && r.offset == r.size && r.next == r.seg.Last+1 {
		return io.EOF
	}
	if finished {
		return r.damage(corrupt("%s; a finished segment must go on to transaction %d and end there", what, r.seg.Last))
	}
	garbage, promise, err := r.lookAhead()
	switch {
	case err != nil:
		return err
	case promise.offset > 0:
		return &CorruptError{Segment: r.seg.Name, Offset: r.offset, TxID: r.next, Durable: promise.first - 1,
			Err: corrupt("%s; the batch at offset %d proves that it was durable", what, promise.offset)}
	case r.fill.known && r.size < r.fill.durable:
		return r.damage(corrupt("the file is cut off: it has %d bytes and had %d when its last readable batch was begun", r.size, r.fill.durable))
	case garbage == 0:
		return io.EOF
	}
	return &TornError{Segment: r.seg.Name, Offset: r.offset, Bytes: garbage, TxID: r.next}
}

// lookAhead searches what follows r.offset. garbage is the distance to the end of the
// last byte that isn't zero. promise is the last valid batch header that says r.offset
// was synced before it, or zero.
func (r *Reader) lookAhead() (garbage int64, promise batchHeader, err error) {
	var h batchHeader
	for at := r.offset; at < r.size; {
		n := int(min(readAhead, r.size-at))
		b, err := r.bytes(at, n)
		if err != nil {
			return 0, promise, err
		}
		if !allZero(b) {
			last := len(b)
			for b[last-1] == 0 {
				last--
			}
			garbage = at + int64(last) - r.offset
			for i := 0; i+batchHeaderSize <= len(b); i += batchAlign {
				if binary.LittleEndian.Uint32(b[i:]) == batchMagic &&
					h.decode(b[i:], r.seed, at+int64(i)) && h.promise > r.offset {
					promise = h
				}
			}
		}
		if at+int64(n) == r.size {
			break
		}
		at += int64(n) - align(batchHeaderSize) // a header may lie across the border
	}
	return garbage, promise, nil
}

// damage is what can't be a torn tail. A finished segment was durable up to its name's
// last transaction.
func (r *Reader) damage(err error) error {
	return &CorruptError{Segment: r.seg.Name, Offset: r.offset, TxID: r.next, Durable: r.seg.Last, Err: err}
}

// bytes gives n bytes of the file at off, which lie inside it. They are good until the
// next call.
func (r *Reader) bytes(off int64, n int) ([]byte, error) {
	if off >= r.bufAt && off+int64(n) <= r.bufAt+int64(len(r.buf)) {
		i := int(off - r.bufAt)
		return r.buf[i : i+n : i+n], nil
	}
	want := int(min(int64(max(n, readAhead)), r.size-off))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	r.buf, r.bufAt = r.buf[:want], off
	if err := readFull(r.file, r.buf, off); err != nil {
		r.buf = r.buf[:0]
		return nil, fmt.Errorf("editlog: read %s at %d: %w", r.seg.Name, off, err)
	}
	return r.buf[:n:n], nil
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	closer := r.closer
	r.closer = nil
	return closer.Close()
}

// readFull fills b from off. A file that shrank meanwhile gives io.ErrUnexpectedEOF.
func readFull(file io.ReaderAt, b []byte, off int64) error {
	n, err := file.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
