package editlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"syscall"

	"redoubt/dfs"
	"redoubt/vfs"
)

// DefaultFillChunk is how many bytes of zeroes a Writer writes ahead at a time.
const DefaultFillChunk = 1 << 20

// WriterOptions describe a new segment.
type WriterOptions struct {
	First   dfs.TxID        // number of its first record
	Epoch   uint64          // grows with every start of the writing process
	Cluster dfs.ClusterInfo // whose log it is

	// FillChunk is how many bytes of zeroes are written ahead at a time, because
	// overwriting syncs faster than appending does. 0: DefaultFillChunk; < 0: none.
	FillChunk int64
}

// Writer appends to one segment. Its methods must not be called at the same time. The
// first error of a write or sync is final: every later call returns it.
type Writer struct {
	fs     vfs.FS
	dir    string
	file   vfs.File
	seed   uint32
	first  dfs.TxID
	next   dfs.TxID
	offset int64 // where the next batch goes; all before is synced
	filled int64 // the file holds zeroes from offset up to here
	fill   int64
	flags  uint32 // of the batches to come
	zeroes []byte
	err    error
}

// Create publishes a new, empty segment in progress and opens it for appending. One of
// the same name is replaced: the caller knows that no record in it counts.
func Create(fs vfs.FS, dir string, opt WriterOptions) (*Writer, error) {
	if err := validateIDs(opt.Cluster); err != nil {
		return nil, err
	}
	if opt.First == 0 {
		return nil, dfs.Errorf(dfs.IllegalArgument, "editlog: a segment can't begin with transaction 0")
	}
	if opt.FillChunk == 0 {
		opt.FillChunk = DefaultFillChunk
	}
	header := encodeHeader(Header{Version: Version, First: opt.First, Epoch: opt.Epoch, Cluster: opt.Cluster, Fill: max(0, opt.FillChunk)})
	_, seed, err := decodeHeader(header)
	if err != nil {
		return nil, fmt.Errorf("editlog: new header: %w", err)
	}
	name := path.Join(dir, InProgressName(opt.First))
	err = fs.Publish(name, func(w io.Writer) error {
		_, err := w.Write(header)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("editlog: create segment: %w", err)
	}
	file, err := fs.OpenWrite(name)
	if err != nil {
		return nil, fmt.Errorf("editlog: open new segment: %w", err)
	}
	w := &Writer{
		fs: fs, dir: dir, file: file, seed: seed,
		first: opt.First, next: opt.First, offset: headerSize, filled: headerSize, fill: opt.FillChunk,
	}
	if w.fill > 0 {
		w.zeroes = make([]byte, w.fill)
	}
	return w, nil
}

// Seal completes a batch for appending with w. Several writers of equal segments (same
// options, same batches before) may then Append the one batch at the same time.
func (w *Writer) Seal(b *Batch) { b.seal(w.seed, w.offset, w.flags) }

// Append writes a batch at the end of the segment and makes it durable. It seals the
// batch unless that was done; one sealed for another place it copies.
func (w *Writer) Append(b *Batch) error {
	if w.err != nil {
		return w.err
	}
	if b.first != w.next {
		return fmt.Errorf("editlog: batch begins with transaction %d, %d is next", b.first, w.next)
	}
	switch {
	case !b.sealed:
		w.Seal(b)
	case b.seed != w.seed || b.offset != w.offset || b.extra != w.flags:
		mine := *b // others may be writing it where it is sealed for
		mine.buf = bytes.Clone(b.buf)
		w.Seal(&mine)
		b = &mine
	}
	if err := w.write(b.buf); err != nil {
		w.err = fmt.Errorf("editlog: append to %s: %w", w.Name(), err)
		return w.err
	}
	w.next = b.Last() + 1
	return nil
}

// write puts the bytes at the end and syncs. Zeroes for the batches to come ride along
// on the same sync whenever the last ones are used up.
func (w *Writer) write(buf []byte) error {
	if _, err := w.file.WriteAt(buf, w.offset); err != nil {
		return err
	}
	end := w.offset + int64(len(buf))
	filled := max(w.filled, end)
	if end >= w.filled && w.fill > 0 {
		n, err := w.file.WriteAt(w.zeroes, end)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		filled = end + int64(n) // a disk too full for zeroes may still take batches
		if err != nil {
			w.flags |= flagShort
		}
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.offset, w.filled = end, filled
	return nil
}

// Next is the number the next record will have.
func (w *Writer) Next() dfs.TxID { return w.next }

// Size is the number of bytes of header and batches.
func (w *Writer) Size() int64 { return w.offset }

// InPlace reports whether the segment still has its name: what is appended to one that
// was removed is lost.
func (w *Writer) InPlace() (bool, error) {
	if w.file == nil {
		return true, nil
	}
	return vfs.InPlace(w.file)
}

// Finish cuts the zeroes off, gives the segment its final name and closes it. A segment
// without records keeps its name, because it has no range to be named by.
func (w *Writer) Finish() error {
	if w.err != nil {
		return w.err
	}
	if w.next == w.first {
		return w.Close()
	}
	seg := Segment{Name: InProgressName(w.first), First: w.first, InProgress: true}
	err := finish(w.fs, w.dir, seg, w.file, w.seed, w.offset, w.next-1)
	w.file, w.err = nil, ErrClosed
	if err != nil {
		w.err = err
	}
	return err
}

// Close closes the file and leaves the segment in progress. It may be called again, and
// after an error, whose report it doesn't repeat.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	if w.err == nil {
		w.err = ErrClosed
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("editlog: close %s: %w", w.Name(), err)
	}
	return nil
}

// Name is the path of the segment in progress.
func (w *Writer) Name() string { return path.Join(w.dir, InProgressName(w.first)) }

// FinishTail finishes a segment in progress that a reader has read up to end: the bytes
// behind it are cut off, and the segment gets the name of its range. The segment must
// hold records. It may be called again after a crash half-way.
func FinishTail(fs vfs.FS, dir string, seg Segment, end int64, last dfs.TxID) error {
	if !seg.InProgress || last < seg.First || end < headerSize {
		return fmt.Errorf("editlog: %s can't be finished at transaction %d, offset %d", seg.Name, last, end)
	}
	file, err := fs.OpenWrite(path.Join(dir, seg.Name))
	if err != nil {
		return fmt.Errorf("editlog: finish %s: %w", seg.Name, err)
	}
	head := make([]byte, headerSize)
	err = readFull(file, head, 0)
	var h Header
	var seed uint32
	if err == nil {
		h, seed, err = decodeHeader(head)
	}
	if err != nil {
		file.Close() // nothing was written
		return fmt.Errorf("editlog: finish %s: %w", seg.Name, err)
	}
	if h.Version < 2 {
		seed = 0
	}
	return finish(fs, dir, seg, file, seed, end, last)
}

// finish says that the segment ends at end, and when that is durable, cuts off what is
// behind: so a file that is too short was cut by somebody else. seed 0 is a segment of a
// version that can't say so. Then it syncs, closes and renames.
func finish(fs vfs.FS, dir string, seg Segment, file vfs.File, seed uint32, end int64, last dfs.TxID) error {
	var err error
	if seed != 0 {
		var b Batch
		b.Reset(last + 1)
		b.seal(seed, end, flagLast)
		_, err = file.WriteAt(b.buf, end)
		if err == nil {
			err = file.Sync()
		}
		end += int64(len(b.buf))
	}
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(path.Join(dir, seg.Name), path.Join(dir, FinishedName(seg.First, last)))
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("editlog: finish %s: %w", seg.Name, err)
	}
	return nil
}

// allZero reports whether b holds nothing but zeroes.
func allZero(b []byte) bool {
	var zero [4096]byte
	for len(b) > len(zero) {
		if !bytes.Equal(b[:len(zero)], zero[:]) {
			return false
		}
		b = b[len(zero):]
	}
	return bytes.Equal(b, zero[:len(b)])
}
