package blockstore

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"redoubt/dfs"
	"redoubt/vfs"
)

// ReadOptions says what to read.
type ReadOptions struct {
	Block  dfs.Block // the replica's stamp must not be older
	Offset int64
	Length int64
	Verify bool // check the checksums while reading, for clients that get none
}

// Reader reads a range of a replica. It is used by one goroutine. It goes on through a
// concurrent finalize, append or removal of the replica.
type Reader struct {
	s          *Store
	vol        *volume
	x          Replica
	sum        checksum
	data, meta vfs.File
	next, end  int64
	start      int64
	verify     bool
	scratch    []byte // checksums, when the caller does not want them

	// Checksums that differ from what the meta file has, or may get while we read: the
	// one of the last chunk if that is short, and one that waits for a sync.
	last, held override
}

type override struct {
	chunk int64 // -1 none
	crc   uint32
}

// errMoved says that the replica changed while it was being opened.
var errMoved = errors.New("blockstore: the replica moved")

// OpenReader opens a replica, finalized or being written, for reading a range. It waits
// until a writer has brought the range's end, ctx ends, or no writer is left.
func (s *Store) OpenReader(ctx context.Context, o ReadOptions) (*Reader, error) {
	return s.openReader(ctx, o, false)
}

// openReader reads exactly the range's end with exact, else to the end of its chunk.
func (s *Store) openReader(ctx context.Context, o ReadOptions, exact bool) (*Reader, error) {
	for tries := 0; ; tries++ {
		rd, wait, err := s.tryOpen(o, exact)
		switch {
		case wait != nil:
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, err
			}
		case errors.Is(err, errMoved) && tries < 100:
		default:
			return rd, err
		}
	}
}

// tryOpen opens a reader; a channel says what to wait for before trying again, with the
// error to give up with.
func (s *Store) tryOpen(o ReadOptions, exact bool) (*Reader, <-chan struct{}, error) {
	sh := s.shard(o.Block.ID)
	sh.mu.RLock()
	e, final := sh.final[o.Block.ID]
	r := sh.active[o.Block.ID]
	sh.mu.RUnlock()
	if final {
		rd, err := s.openFinal(o, e, exact)
		sh.mu.RLock()
		now, still := sh.final[o.Block.ID]
		sh.mu.RUnlock()
		now.bad = e.bad
		if !still || now != e {
			if rd != nil {
				rd.Close()
			}
			return nil, nil, errMoved
		}
		return rd, nil, err
	}
	if r == nil {
		return nil, nil, notFound(o.Block)
	}
	return s.openActive(o, r, exact)
}

func (s *Store) openFinal(o ReadOptions, e entry, exact bool) (*Reader, error) {
	x := e.view(s, o.Block.ID)
	rd := &Reader{s: s, vol: s.vols[e.vol], x: x, verify: o.Verify, last: override{chunk: -1}, held: override{chunk: -1}}
	if err := rd.checkRange(o); err != nil {
		return nil, err
	}
	if err := rd.openFiles(inFinalized); err != nil {
		return nil, err
	}
	if err := rd.setRange(o, x.Block.Length, exact); err != nil {
		rd.Close()
		return nil, err
	}
	return rd, nil
}

func (s *Store) openActive(o ReadOptions, r *replica, exact bool) (*Reader, <-chan struct{}, error) {
	r.io.Lock()
	defer r.io.Unlock()
	r.mu.Lock()
	x, gone, broken := r.viewLocked(), r.gone, r.broken
	var wait <-chan struct{}
	if o.Offset+o.Length > r.received && r.writer != nil && broken == nil {
		wait = r.waitLocked()
	}
	r.mu.Unlock()
	switch {
	case gone:
		return nil, nil, errMoved
	case broken != nil:
		return nil, nil, broken
	case x.State == dfs.ReplicaTemporary:
		return nil, nil, notFound(o.Block)
	}
	rd := &Reader{s: s, vol: r.vol, x: x, verify: o.Verify, last: override{chunk: -1}, held: override{chunk: -1}}
	if err := rd.checkRange(o); err != nil {
		return nil, wait, err
	}
	if err := rd.openFiles(r.where); err != nil {
		return nil, nil, err
	}
	if r.tail.dirty {
		rd.held = override{r.tail.chunk, r.tail.crc}
	}
	if err := rd.setRange(o, max(x.Visible, o.Offset+o.Length), exact); err != nil {
		rd.Close()
		return nil, nil, err
	}
	return rd, nil, nil
}

func (r *Reader) checkRange(o ReadOptions) error {
	b := r.x.Block
	if b.GenStamp < o.Block.GenStamp {
		return dfs.Errorf(dfs.ReplicaNotFound, "Replica gen stamp < block genstamp, block=%v, replica=%v", o.Block, b)
	}
	if o.Offset < 0 || o.Length < 0 || o.Offset > b.Length || o.Length > b.Length-o.Offset {
		return illegal(" Offset %d and length %d don't match block %v ( blockLen %d )", o.Offset, o.Length, o.Block, b.Length)
	}
	return nil
}

func (r *Reader) openFiles(where place) (err error) {
	id := r.x.Block.ID
	if r.data, err = r.vol.fs.Open(r.vol.dataPath(id, where)); err != nil {
		return r.trouble(err)
	}
	if r.meta, err = r.vol.fs.Open(r.vol.metaPath(id, r.x.Block.GenStamp, where)); err != nil {
		r.data.Close()
		return r.trouble(err)
	}
	var h [metaHeader]byte
	if _, err = r.meta.ReadAt(h[:], 0); err == nil || err == io.EOF {
		r.sum, err = parseHeader(h[:])
		if err != nil {
			err = &dfs.Error{Kind: dfs.Corrupt, Path: r.vol.metaPath(id, r.x.Block.GenStamp, where), Err: err}
		}
	}
	if err != nil {
		r.Close()
		return r.trouble(err)
	}
	return nil
}

// setRange sets where to read, at most up to limit. The checksum of a short last chunk
// is taken now: an append may replace the stored one at any time.
func (r *Reader) setRange(o ReadOptions, limit int64, exact bool) error {
	r.start = r.sum.floor(o.Offset)
	r.next = r.start
	r.end = o.Offset + o.Length
	if !exact {
		r.end = min(limit, (r.end+r.sum.chunk-1)/r.sum.chunk*r.sum.chunk)
	}
	if r.end%r.sum.chunk == 0 || r.next == r.end {
		return nil
	}
	start := r.sum.floor(r.end)
	buf := make([]byte, min(r.sum.chunk, r.x.Block.Length-start))
	var b [sumSize]byte
	if err := r.readSums(b[:], start/r.sum.chunk); err != nil {
		return err
	}
	if n, err := r.data.ReadAt(buf, start); err != nil && err != io.EOF || n < len(buf) {
		return r.short(start+int64(n), err)
	}
	if r.sum.verify(buf, b[:]) >= 0 {
		return r.corrupt(start)
	}
	r.last = override{start / r.sum.chunk, r.sum.sum(buf[:r.end-start])}
	return nil
}

// Replica describes the replica when it was opened.
func (r *Reader) Replica() Replica { return r.x }

// Checksum tells kind and chunk size.
func (r *Reader) Checksum() (dfs.ChecksumType, int) { return r.sum.kind, int(r.sum.chunk) }

// Start is the chunk boundary at or below the offset asked for.
func (r *Reader) Start() int64 { return r.start }

// End is where reading ends: rounded up to a chunk, or what may be seen.
func (r *Reader) End() int64 { return r.end }

// Read fills data, whose length must be a multiple of the chunk size, and sums (four
// bytes for each chunk; nil if not wanted) with what comes next and returns the number
// of data bytes: whole chunks but for the last. At the end it returns 0 and io.EOF.
func (r *Reader) Read(data, sums []byte) (int, error) {
	if r.next >= r.end {
		return 0, io.EOF
	}
	if len(data) == 0 || int64(len(data))%r.sum.chunk != 0 {
		return 0, dfs.Errorf(dfs.IllegalArgument, "read of %d bytes with chunks of %d", len(data), r.sum.chunk)
	}
	data = data[:min(int64(len(data)), r.end-r.next)]
	size := int(r.sum.chunks(int64(len(data)))) * sumSize
	if sums == nil && r.verify {
		if cap(r.scratch) < size {
			r.scratch = make([]byte, size)
		}
		sums = r.scratch
	}
	if n, err := r.data.ReadAt(data, r.next); n < len(data) {
		return 0, r.short(r.next+int64(n), err)
	}
	if sums != nil {
		sums = sums[:size]
		if err := r.readSums(sums, r.next/r.sum.chunk); err != nil {
			return 0, err
		}
	}
	if r.verify {
		if i := r.sum.verify(data, sums); i >= 0 {
			return 0, r.corrupt(r.next + int64(i)*r.sum.chunk)
		}
	}
	r.next += int64(len(data))
	return len(data), nil
}

// readSums reads the checksums from a chunk on.
func (r *Reader) readSums(sums []byte, chunk int64) error {
	if n, err := r.meta.ReadAt(sums, metaHeader+chunk*sumSize); n < len(sums) {
		// The newest checksum of a held chunk may be beyond the file's end.
		if err != nil && err != io.EOF {
			return r.trouble(err)
		}
		clear(sums[n:])
		missing := chunk + int64(n)/sumSize
		if missing != r.held.chunk && missing != r.last.chunk || n+sumSize < len(sums) {
			return r.short(missing*r.sum.chunk, err)
		}
	}
	for _, o := range [2]override{r.held, r.last} {
		if i := o.chunk - chunk; o.chunk >= 0 && i >= 0 && i < int64(len(sums)/sumSize) {
			putSum(sums, i, o.crc)
		}
	}
	return nil
}

// short is for files that end too early.
func (r *Reader) short(at int64, err error) error {
	if err != nil && err != io.EOF {
		return r.trouble(err)
	}
	return r.trouble(dfs.Errorf(dfs.Corrupt, "%v ends at %d of %d bytes", r.x.Block, at, r.x.Block.Length))
}

func (r *Reader) corrupt(at int64) error {
	return r.trouble(dfs.Errorf(dfs.Corrupt, "Checksum error in %v at offset %d", r.x.Block, at))
}

// trouble reports the replica as damaged, unless it has changed since it was opened.
func (r *Reader) trouble(err error) error {
	err = r.s.ioError(r.vol, "read "+r.x.Block.String(), err)
	if r.vol.failed() != nil || r.s.closed.Load() {
		return err
	}
	switch {
	case r.s.markBad(r.x, err):
	case errors.Is(err, fs.ErrNotExist):
		return errMoved
	case r.changed():
		return illegal("Replica %v was cut or removed while it was read", r.x.Block)
	}
	return err
}

// changed says whether the replica is another one than was opened.
func (r *Reader) changed() bool {
	now, ok := r.s.Get(r.x.Block.ID)
	return !ok || now.Block.GenStamp != r.x.Block.GenStamp || now.Block.Length < r.x.Block.Length
}

// markBad notes and reports damage of a finalized replica that is still the same.
func (s *Store) markBad(x Replica, err error) bool {
	sh := s.shard(x.Block.ID)
	sh.mu.Lock()
	e, ok := sh.final[x.Block.ID]
	same := ok && e.stamp == x.Block.GenStamp && e.length == x.Block.Length && s.vols[e.vol].storage == x.Storage
	if same {
		e.bad = true
		sh.final[x.Block.ID] = e
	}
	sh.mu.Unlock()
	if same {
		s.report(s.vols[e.vol], x.Block, err)
	}
	return same
}

// Close closes the files.
func (r *Reader) Close() error {
	err := r.data.Close()
	if merr := r.meta.Close(); err == nil {
		err = merr
	}
	return err
}
