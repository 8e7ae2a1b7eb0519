package fsimage

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Reader reads one image. It is a dfs.SectionSource, and its methods may be called at
// the same time. It never writes.
type Reader struct {
	file   io.ReaderAt
	closer io.Closer
	name   string // whole path, for errors
	size   int64
	index  *index
	byName map[string]int

	decoders sync.Pool // of *zstd.Decoder
}

// Open opens the image name in dir, reads its index, and checks that every byte of the
// file is accounted for; the chunks are checked as they are read. When want is not nil
// the image must belong to that cluster. The errors: ErrNotImage, *VersionError,
// *CorruptError, *ClusterError, or the file system's own.
func Open(fs vfs.FS, dir, name string, want *dfs.ClusterInfo) (*Reader, error) {
	full := path.Join(dir, name)
	file, err := fs.Open(full)
	if err != nil {
		return nil, fmt.Errorf("fsimage: %w", err)
	}
	size, err := file.Size()
	var r *Reader
	if err == nil {
		r, err = newReader(file, size, full)
	}
	if err == nil && want != nil && r.Info().Cluster != *want {
		err = &ClusterError{Image: full, Got: r.Info().Cluster, Want: *want}
	}
	if tx, ok := ParseName(name); err == nil && ok && tx != r.Info().TxID {
		err = &CorruptError{Image: full, Offset: size, Err: corrupt("index says that it is the image of transaction %d", r.Info().TxID)}
	}
	if err != nil {
		file.Close() // read only: there is nothing to lose
		return nil, err
	}
	r.closer = file
	return r, nil
}

func newReader(file io.ReaderAt, size int64, name string) (*Reader, error) {
	r := &Reader{file: file, name: name, size: size, decoders: sync.Pool{New: newDecoder}}
	damaged := func(at int64, err error) error { return &CorruptError{Image: name, Offset: at, Err: err} }
	head := make([]byte, min(size, headerSize))
	if err := readFull(file, head, 0); err != nil {
		return nil, r.readError(0, err)
	}
	var version *VersionError
	switch err := decodeHeader(head); {
	case err == nil:
	case errors.Is(err, ErrNotImage):
		return nil, fmt.Errorf("%s: %w", name, err)
	case errors.As(err, &version):
		version.Image = name
		return nil, version
	default:
		return nil, damaged(0, err)
	}
	if size < headerSize+footerSize {
		return nil, damaged(size, corrupt("the file was cut short"))
	}
	foot := make([]byte, footerSize)
	if err := readFull(file, foot, size-footerSize); err != nil {
		return nil, r.readError(size-footerSize, err)
	}
	at, length, sum, err := decodeFooter(foot, size)
	if err != nil {
		return nil, damaged(size-footerSize, err)
	}
	idx := make([]byte, length)
	if err := readFull(file, idx, at); err != nil {
		return nil, r.readError(at, err)
	}
	if got := crc32.Checksum(idx, castagnoli); got != sum {
		return nil, damaged(at, corrupt("index checksum is %08x, its bytes give %08x", sum, got))
	}
	if r.index, err = decodeIndex(idx, at); err != nil {
		return nil, damaged(at, err)
	}
	r.byName = make(map[string]int, len(r.index.Sections))
	for i, s := range r.index.Sections {
		r.byName[s.Name] = i
	}
	return r, nil
}

// Info says which state the image holds.
func (r *Reader) Info() Info { return r.index.info() }

// Size is the number of bytes of the file.
func (r *Reader) Size() int64 { return r.size }

// Sections lists the names in the order they were written in.
func (r *Reader) Sections() []string {
	names := make([]string, len(r.index.Sections))
	for i, s := range r.index.Sections {
		names[i] = s.Name
	}
	return names
}

// SectionSize tells how many chunks a section has, their bytes in the file, and their
// bytes uncompressed.
func (r *Reader) SectionSize(name string) (chunks int, stored, raw int64) {
	for _, c := range r.chunks(name) {
		stored += c.Stored
		raw += c.Raw
	}
	return len(r.chunks(name)), stored, raw
}

func (r *Reader) chunks(name string) []chunk {
	if i, ok := r.byName[name]; ok {
		return r.index.Sections[i].Chunks
	}
	return nil
}

// Chunks implements dfs.SectionSource.
func (r *Reader) Chunks(name string, fn func(chunk []byte) error) error {
	s := newScratch()
	defer s.release()
	for i := range r.chunks(name) {
		b, err := r.load(name, i, s)
		if err == nil {
			err = fn(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Parallel implements dfs.SectionSource. As many chunks are in memory at a time as the
// program may use cores.
func (r *Reader) Parallel(name string, fn func(index int, chunk []byte) error) error {
	var group errgroup.Group
	var next atomic.Int64
	var failed atomic.Bool
	n := len(r.chunks(name))
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() error {
			s := newScratch()
			defer s.release()
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				b, err := r.load(name, i, s)
				if err == nil {
					err = fn(i, b)
				}
				if err != nil {
					failed.Store(true)
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Verify reads and checks every chunk of every section.
func (r *Reader) Verify() error {
	for _, name := range r.Sections() {
		if err := r.Parallel(name, func(int, []byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// scratch is the memory in which one goroutine loads chunks.
type scratch struct {
	stored, raw *[]byte
}

func newScratch() scratch {
	return scratch{stored: buffers.Get().(*[]byte), raw: buffers.Get().(*[]byte)}
}

func (s scratch) release() {
	buffers.Put(s.stored)
	buffers.Put(s.raw)
}

// load reads, checks and unpacks one chunk into s.
func (r *Reader) load(name string, i int, s scratch) ([]byte, error) {
	c := r.chunks(name)[i]
	damaged := func(err error) error {
		return &CorruptError{Image: r.name, Section: name, Chunk: i, Offset: c.Offset, Err: err}
	}
	*s.stored = sized(*s.stored, int(c.Stored)) // no more than the file holds: decodeIndex
	if err := readFull(r.file, *s.stored, c.Offset); err != nil {
		return nil, r.readError(c.Offset, err)
	}
	if got := crc32.Checksum(*s.stored, castagnoli); got != c.CRC {
		return nil, damaged(corrupt("checksum is %08x, its bytes give %08x", c.CRC, got))
	}
	if c.How == storedRaw {
		return *s.stored, nil
	}
	*s.raw = sized(*s.raw, int(min(c.Raw, 64*c.Stored))) // grows if it really was that compressible
	dec := r.decoders.Get().(*zstd.Decoder)
	b, err := dec.DecodeAll(*s.stored, (*s.raw)[:0])
	r.decoders.Put(dec)
	if err != nil {
		return nil, damaged(corrupt("decompress: %v", err))
	}
	*s.raw = b
	if int64(len(b)) != c.Raw {
		return nil, damaged(corrupt("unpacks to %d bytes instead of %d", len(b), c.Raw))
	}
	return b, nil
}

func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (r *Reader) readError(at int64, err error) error {
	return fmt.Errorf("fsimage: read %s at %d: %w", r.name, at, err)
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
