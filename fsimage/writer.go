package fsimage

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Info says which state an image holds.
type Info struct {
	TxID    dfs.TxID   // the last transaction in it
	Digest  dfs.Digest // of the state machine, after that transaction
	Cluster dfs.ClusterInfo
}

// WriteOptions tune the writing of an image. The zero value works.
type WriteOptions struct {
	// Parallel is how many goroutines write sections, and how many compress chunks.
	// 0 is 1: everything happens on the caller's goroutine, which leaves the other
	// cores to those who are served meanwhile.
	Parallel int
	// Raw stores chunks uncompressed.
	Raw bool
}

// Result says what was written.
type Result struct {
	Bytes int64 // size of the file
	Raw   int64 // bytes of all chunks before compression
}

// syncEvery bounds how many dirty bytes of an image wait for its last sync, so that the
// syncs of others on the same disk don't wait for all of it at once.
const syncEvery = 32 << 20

// Write publishes the image of a state in dir under Name(info.TxID). An image that has
// that name already is replaced.
func Write(fs vfs.FS, dir string, info Info, sections []dfs.Section, opt WriteOptions) (Result, error) {
	var result Result
	name := path.Join(dir, Name(info.TxID))
	err := fs.Publish(name, func(w io.Writer) (err error) {
		result, err = encode(w, info, sections, opt)
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("fsimage: write %s: %w", name, err)
	}
	return result, nil
}

// writer is the state of one encode.
type writer struct {
	opt      WriteOptions
	helpers  chan struct{} // tokens for chunks that are compressed beside their section
	encoders sync.Pool     // of *zstd.Encoder

	mu     sync.Mutex // guards what follows, and the order of bytes in the file
	out    *bufio.Writer
	syncer interface{ Sync() error } // nil if the file has none
	synced int64
	end    int64
	raw    int64
	err    error
}

func encode(file io.Writer, info Info, sections []dfs.Section, opt WriteOptions) (Result, error) {
	opt.Parallel = max(1, opt.Parallel)
	w := &writer{opt: opt, out: bufio.NewWriterSize(file, 1<<20), helpers: make(chan struct{}, opt.Parallel-1), encoders: sync.Pool{New: newEncoder}}
	w.syncer, _ = file.(interface{ Sync() error })
	if _, err := w.out.Write(encodeHeader()); err != nil {
		return Result{}, err
	}
	w.end = headerSize
	x := index{
		TxID: uint64(info.TxID), Digest: info.Digest[:],
		ClusterID: info.Cluster.ClusterID, PoolID: info.Cluster.PoolID,
		Namespace: info.Cluster.NamespaceID, CTime: info.Cluster.CTime,
		Sections: make([]section, len(sections)),
	}
	if err := w.sections(sections, x.Sections); err != nil {
		return Result{}, err
	}
	idx, err := x.encode()
	if err != nil {
		return Result{}, err
	}
	for _, b := range [][]byte{idx, encodeFooter(w.end, idx)} {
		if _, err := w.out.Write(b); err != nil {
			return Result{}, err
		}
	}
	return Result{Bytes: w.end + int64(len(idx)) + footerSize, Raw: w.raw}, w.out.Flush()
}

func (w *writer) sections(from []dfs.Section, to []section) error {
	var group errgroup.Group
	group.SetLimit(w.opt.Parallel)
	for i, s := range from {
		to[i].Name = s.Name
		if w.opt.Parallel == 1 {
			if err := w.section(s, &to[i]); err != nil {
				return err
			}
			continue
		}
		group.Go(func() error { return w.section(s, &to[i]) })
	}
	return group.Wait()
}

// section writes one section. Chunks keep the order of emit in the index; in the file
// they come as their compression ends.
func (w *writer) section(s dfs.Section, to *section) error {
	var helpers sync.WaitGroup
	var mu sync.Mutex // guards to.Chunks while helpers run
	one := func(i int, b []byte) error {
		c, err := w.chunk(b)
		if err != nil {
			return err
		}
		mu.Lock()
		to.Chunks[i] = c
		mu.Unlock()
		return nil
	}
	err := s.Write(func(b []byte) error {
		if len(b) > MaxChunk {
			return fmt.Errorf("chunk of %d bytes in section %s is over the limit of %d", len(b), s.Name, MaxChunk)
		}
		mu.Lock()
		i := len(to.Chunks)
		to.Chunks = append(to.Chunks, chunk{})
		mu.Unlock()
		select {
		case w.helpers <- struct{}{}:
		default:
			return one(i, b)
		}
		mine := buffers.Get().(*[]byte)
		*mine = append((*mine)[:0], b...)
		helpers.Go(func() {
			_ = one(i, *mine) // the error stays in w.err
			buffers.Put(mine)
			<-w.helpers
		})
		return w.failure()
	})
	helpers.Wait()
	if err == nil {
		err = w.failure()
	}
	return err
}

func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// pause is how long a writer of chunks steps aside before each long one. A mere Gosched is not
// enough: the scheduler would give its processor back to it, and never let that processor
// take over work queued at the others, where callers then waited for up to 100 ms.
const pause = 50 * time.Microsecond

// longChunk is how many bytes take long enough to be worth a pause.
const longChunk = 16 << 10

// chunk compresses and writes one chunk. Before that it lets others have the processor:
// an image is written beside callers who wait for answers.
func (w *writer) chunk(b []byte) (chunk, error) {
	if len(b) >= longChunk {
		time.Sleep(pause)
	}
	stored, how := b, uint8(storedRaw)
	if !w.opt.Raw && len(b) >= 128 {
		packed := buffers.Get().(*[]byte)
		defer buffers.Put(packed)
		enc := w.encoders.Get().(*zstd.Encoder)
		*packed = enc.EncodeAll(b, (*packed)[:0])
		w.encoders.Put(enc)
		if len(*packed) < len(b)-len(b)/16 {
			stored, how = *packed, storedZstd
		}
	}
	c := chunk{Stored: int64(len(stored)), Raw: int64(len(b)), CRC: crc32.Checksum(stored, castagnoli), How: how}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return c, w.err
	}
	c.Offset = w.end
	if _, w.err = w.out.Write(stored); w.err != nil {
		return c, w.err
	}
	w.end += c.Stored
	w.raw += c.Raw
	if w.syncer != nil && w.end-w.synced >= syncEvery {
		w.synced = w.end
		w.err = w.syncer.Sync()
	}
	return c, w.err
}

// buffers are kept between chunks and images; they are only memory.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// newEncoder and newDecoder fill the pools that each writer and reader has for itself: a
// codec waits on channels of its own, which a pool for all of the process would carry from
// one test's virtual time into another's.
func newEncoder() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic("fsimage: zstd: " + err.Error()) // the options are constants
	}
	return e
}

// newDecoder makes a decoder that gives no more than MaxChunk bytes.
func newDecoder() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxChunk))
	if err != nil {
		panic("fsimage: zstd: " + err.Error()) // the options are constants
	}
	return d
}
