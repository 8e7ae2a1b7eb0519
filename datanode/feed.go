package datanode

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// Sizes of what is read of the sources of a fold or of a degraded read.
const (
	foldPiece = 128 << 10 // bytes at a time, at most
	minPiece  = 16 << 10  // and at least
	readAhead = 4         // pieces of each source that may wait
)

// The clients' names in reads of sources. A datanode that does not have such a source does
// not make it from its group in turn. It yields to those that a client waits for.
const (
	foldClient = "redoubt-fold"
	readClient = "redoubt-degraded-read"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// feed reads a range of one source, verified, piece by piece and ahead of its user. When a
// place fails it goes on at the next one where the last piece ended.
type feed struct {
	dn       *DataNode
	src      control.Source
	client   string
	start    int64
	at, end  int64 // what is still to be read
	piece    int   // bytes of all pieces but the last
	pieces   chan []byte
	free     chan []byte // buffers to fill; nil for one that has to be made
	tally    bool        // crc is wanted
	crc      uint32      // CRC32C of what was read
	checksum datatransfer.Checksum
	from     []int // the places that gave bytes
	err      error // why it ended early; valid once pieces is closed
	// chain: the sources that other datanodes join on the way; src stands for all of them.
	chain []control.Source
}

func newFeed(dn *DataNode, src control.Source, off, end int64, piece int, client string) *feed {
	end = max(0, min(end, src.Block.Length))
	f := &feed{dn: dn, src: src, client: client, end: end, piece: piece,
		pieces: make(chan []byte, readAhead), free: make(chan []byte, readAhead)}
	f.start = min(off, end)
	f.at = f.start
	for range readAhead {
		f.free <- nil
	}
	return f
}

// whole says whether the range is all of the block, so that crc is the block's.
func (f *feed) whole() bool { return f.start == 0 && f.end == f.src.Block.Length }

// wrongSum says that a source's replica agrees with its own checksums, but is not what the
// name node has recorded.
type wrongSum struct {
	source dfs.BlockID
	place  int // of the source; -1 if several gave bytes
	got    uint32
	want   uint32
}

func (e *wrongSum) Error() string {
	return fmt.Sprintf("datanode: %v has the CRC %08x instead of %08x", e.source, e.got, e.want)
}

// run reads everything; its end closes pieces.
func (f *feed) run(ctx context.Context) {
	defer close(f.pieces)
	f.err = f.read(ctx)
	if f.err == nil && f.tally && f.src.HasCRC && f.crc != f.src.CRC {
		wrong := &wrongSum{source: f.src.Block.ID, place: -1, got: f.crc, want: f.src.CRC}
		if len(f.from) == 1 {
			wrong.place = f.from[0]
			f.dn.reportBad(f.src.Block, &f.src.Targets[wrong.place], wrong)
		}
		f.err = wrong
	}
}

// read tries one place after the other, those that have given something even twice.
func (f *feed) read(ctx context.Context) error {
	if f.chain != nil {
		return f.readFrom(ctx, nil)
	}
	if len(f.src.Targets) == 0 {
		return dfs.Errorf(dfs.Unavailable, "no place of %v is known", f.src.Block)
	}
	var errs []error
	for range 2 {
		began := f.at
		for _, i := range f.places() {
			before := f.at
			err := f.readFrom(ctx, &f.src.Targets[i])
			if f.at > before || f.start == f.end && err == nil {
				f.from = append(f.from, i)
			}
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return &dfs.Error{Kind: dfs.Canceled, Op: "read " + f.src.Block.String(), Err: context.Cause(ctx)}
			}
			errs = append(errs, fmt.Errorf("datanode: %v of %s: %w", f.src.Block, f.src.Targets[i].Node.UUID, err))
		}
		if f.at == began {
			break
		}
	}
	return errors.Join(errs...)
}

// places lists the source's places, this datanode first.
func (f *feed) places() (order []int) {
	self := f.dn.ID().UUID
	for i := range f.src.Targets {
		if f.src.Targets[i].Node.UUID == self {
			order = append([]int{i}, order...)
		} else {
			order = append(order, i)
		}
	}
	return order
}

func (f *feed) readFrom(ctx context.Context, place *control.Target) error {
	s, err := f.open(ctx, place)
	if err != nil {
		return err
	}
	for f.at < f.end {
		var b []byte
		select {
		case b = <-f.free:
		case <-ctx.Done():
			s.close(false)
			return ctx.Err()
		}
		if b == nil {
			b = getPiece(f.piece)
		}
		b = b[:min(int64(f.piece), f.end-f.at)]
		if err := s.fill(b); err != nil {
			f.free <- b
			s.close(false)
			return err
		}
		if f.tally {
			f.crc = s.update(f.crc, b)
		}
		f.at += int64(len(b))
		f.pieces <- b
	}
	s.close(true)
	return nil
}

// recycle gives the buffers back that are not in use.
func (f *feed) recycle() {
	for b := range f.pieces {
		putPiece(b)
	}
	for len(f.free) > 0 {
		putPiece(<-f.free)
	}
}

var piecePool = sync.Pool{New: func() any { return new([foldPiece]byte) }}

func getPiece(n int) []byte {
	if n > foldPiece {
		return make([]byte, n)
	}
	return piecePool.Get().(*[foldPiece]byte)[:n]
}

func putPiece(b []byte) {
	if cap(b) == foldPiece {
		piecePool.Put((*[foldPiece]byte)(b[:foldPiece]))
	}
}

// replicaStream gives the verified bytes of one replica in order.
type replicaStream interface {
	// fill fills all of p with what comes next.
	fill(p []byte) error
	// update is the CRC32C of some bytes and p behind them, from that of the bytes; p has
	// just been filled.
	update(crc uint32, p []byte) uint32
	// close gives everything back. whole says that all that was asked for was taken.
	close(whole bool)
}

// open begins to read at a place.
func (f *feed) open(ctx context.Context, place *control.Target) (replicaStream, error) {
	if f.chain != nil {
		return f.openChain(ctx)
	}
	if place.Node.UUID == f.dn.ID().UUID {
		return f.openLocal(ctx)
	}
	return f.openRemote(ctx, place)
}

func (f *feed) openLocal(ctx context.Context) (replicaStream, error) {
	b := f.src.Block
	x, ok := f.dn.state.store.Get(b.ID)
	if !ok || x.State != dfs.ReplicaFinalized || x.Block != b {
		return nil, dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v of %d bytes", b, b.Length)
	}
	r, err := f.dn.state.store.OpenReader(ctx, blockstore.ReadOptions{Block: b, Offset: f.at, Length: f.end - f.at, Verify: true})
	if err != nil {
		return nil, err
	}
	typ, per := r.Checksum()
	f.checksum = datatransfer.Checksum{Type: typ, BytesPer: uint32(per)}
	s := &localStream{r: r, chunk: per, skip: int(f.at - r.Start()), read: f.dn.groups.metrics.localBytes.Add}
	if typ == dfs.ChecksumCRC32C {
		s.stripes = raid.CRC32C.NewStripes(int64(per), 0)
	}
	return s, nil
}

// localStream reads a replica of this datanode.
type localStream struct {
	r     *blockstore.Reader
	chunk int
	skip  int    // bytes in front of what was asked for
	rest  []byte // of a chunk that was read apart
	buf   []byte
	read  func(float64)

	// The replica's own checksums, joined, are the CRC32C of what fill last gave, if direct
	// says that this was whole chunks; that saves a pass over them.
	stripes *raid.Stripes // nil: they are of another kind
	sums    []byte
	direct  bool
}

func (l *localStream) fill(p []byte) error {
	l.direct = l.stripes != nil
	if l.direct {
		l.stripes.Reset()
	}
	for len(p) > 0 {
		if len(l.rest) > 0 {
			n := copy(p, l.rest)
			l.rest, p, l.direct = l.rest[n:], p[n:], false
			continue
		}
		whole := p[:len(p)/l.chunk*l.chunk]
		apart := l.skip > 0 || len(whole) == 0
		if apart {
			if l.buf == nil {
				l.buf = make([]byte, l.chunk)
			}
			whole, l.direct = l.buf, false
		}
		if need := (len(whole) + l.chunk - 1) / l.chunk * 4; cap(l.sums) < need {
			l.sums = make([]byte, need)
		}
		n, err := l.r.Read(whole, l.sums[:cap(l.sums)])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		l.read(float64(n))
		if l.direct {
			l.stripes.Add(l.sums[:cap(l.sums)], int64(n))
		}
		if apart {
			l.rest, l.skip = whole[min(l.skip, n):n], 0
		} else {
			p = p[n:]
		}
	}
	return nil
}

func (l *localStream) update(crc uint32, p []byte) uint32 {
	if !l.direct {
		return crc32.Update(crc, castagnoli, p)
	}
	return raid.CombineCRC(crc, l.stripes.CRC(), int64(len(p)))
}

func (l *localStream) close(bool) { _ = l.r.Close() } // nothing was written

func (f *feed) openRemote(ctx context.Context, place *control.Target) (replicaStream, error) {
	return f.openStream(ctx, place, func(c *datatransfer.Conn) (*datatransfer.BlockReader, error) {
		return c.StartRead(&datatransfer.ReadRequest{
			Block: datatransfer.BlockRef{PoolID: f.dn.state.cluster.PoolID, Block: f.src.Block}, Client: f.client, Offset: f.at, Length: f.end - f.at,
		})
	})
}

// openStream connects to a datanode and begins to read there.
func (f *feed) openStream(ctx context.Context, place *control.Target, start func(*datatransfer.Conn) (*datatransfer.BlockReader, error)) (replicaStream, error) {
	addr := transferAddr(&place.Node)
	nc, err := f.dn.dialContext(ctx, addr)
	if err != nil {
		return nil, &dfs.Error{Kind: dfs.Unavailable, Path: addr, Err: err}
	}
	s := &remoteStream{dn: f.dn, c: datatransfer.NewConn(nc), patience: min(f.dn.cfg.Timeouts.Read, f.dn.cfg.Timeouts.Dial)}
	s.stop = context.AfterFunc(ctx, func() { _ = nc.Close() }) // ends a read that waits
	if err := nc.SetDeadline(time.Now().Add(s.patience)); err != nil {
		s.close(false)
		return nil, err
	}
	if s.br, err = start(s.c); err != nil {
		s.close(false)
		return nil, err
	}
	f.checksum = s.br.Checksum()
	return s, nil
}

// remoteStream reads a replica of another datanode.
type remoteStream struct {
	dn       *DataNode
	c        *datatransfer.Conn
	br       *datatransfer.BlockReader
	rest     []byte
	patience time.Duration
	stop     func() bool
}

func (r *remoteStream) fill(p []byte) error {
	if err := r.c.Net.SetReadDeadline(time.Now().Add(r.patience)); err != nil {
		return err
	}
	for len(p) > 0 {
		if len(r.rest) == 0 {
			var err error
			if r.rest, err = r.br.Next(); err != nil {
				return r.failed(err)
			}
			r.dn.groups.metrics.remoteBytes.Add(float64(len(r.rest)))
		}
		n := copy(p, r.rest)
		r.rest, p = r.rest[n:], p[n:]
	}
	return nil
}

func (r *remoteStream) update(crc uint32, p []byte) uint32 {
	return crc32.Update(crc, castagnoli, p)
}

// failed tells the other datanode if its bytes were damaged: it checks its replica then.
func (r *remoteStream) failed(err error) error {
	if dfs.Is(err, dfs.Corrupt) {
		_ = r.br.Reject() // it has its own scrub
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *remoteStream) close(whole bool) {
	if whole && r.br != nil {
		if _, err := r.br.Next(); err == io.EOF {
			_ = r.br.Finish() // only its log would show the difference
		}
	}
	r.stop()
	r.c.Release()
	r.dn.removeConn(r.c.Net)
}

// reportBad tells the name nodes of a damaged replica, here or at a peer.
func (dn *DataNode) reportBad(b dfs.Block, at *control.Target, err error) {
	dn.cfg.Log.Error("damaged replica", "block", b.String(), "node", at.Node.UUID, "storage", at.Storage, "err", err)
	dn.groups.metrics.bad.Inc()
	for _, s := range dn.sessions {
		s.addBad(dfs.BadBlock{Block: b, Nodes: []dfs.DatanodeID{at.Node}, Storages: []string{at.Storage}})
	}
}
