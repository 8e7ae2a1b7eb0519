package datanode

import (
	"context"
	"sync"

	"redoubt/raid"
	"redoubt/wire/control"
)

// exclusive gives the exclusive or of sources over a range, piece by piece. All sources are
// read ahead at the same time. It is used by one goroutine and takes memory for readAhead
// pieces of each source.
type exclusive struct {
	dn      *DataNode
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	opt     exclusiveOptions
	sources []control.Source
	feeds   []*feed
	at, end int64
	piece   int
	parts   [][]byte
	from    []*feed // parts are of
}

// pieceFor is the size of pieces for a range: small ones for a short one, since every datanode
// of a chain waits for a whole piece before it begins, and whole chunks.
func pieceFor(length, chunk, most int64) int {
	n := min(max(length/64, minPiece), most)
	return int(max(chunk, n/chunk*chunk))
}

// exclusiveOptions say how the sources are read.
type exclusiveOptions struct {
	client string
	chain  bool // those of other datanodes may come along a chain, unless the range is short
	strict bool // a chain that breaks is an error; else its sources are read each by itself
	sums   bool // of sources that are read as a whole the CRC is wanted, and must be as recorded
}

// exclusiveOf begins to read. What is behind a source's end counts as zeroes. Pieces have
// the given size, but for the last.
func (dn *DataNode) exclusiveOf(ctx context.Context, sources []control.Source, off, end int64, piece int, opt exclusiveOptions) *exclusive {
	x := &exclusive{dn: dn, opt: opt, sources: sources, at: off, end: end, piece: int(min(int64(piece), max(1, end-off)))}
	x.ctx, x.cancel = context.WithCancel(ctx)
	own, others := sources, []control.Source(nil)
	if opt.chain && (opt.strict || end-off >= chainLeast) {
		own, others = dn.split(sources)
	}
	if len(others) == 1 { // the end of a chain
		own, others = sources, nil
	}
	x.readEach(own)
	if len(others) > 0 {
		x.start(newChain(dn, others, off, end, x.piece, opt.client))
	}
	return x
}

func (x *exclusive) readEach(sources []control.Source) {
	for _, src := range sources {
		f := newFeed(x.dn, src, x.at, x.end, x.piece, x.opt.client)
		f.tally = x.opt.sums && f.whole()
		x.start(f)
	}
}

func (x *exclusive) start(f *feed) {
	x.feeds = append(x.feeds, f)
	x.wg.Go(func() { f.run(x.ctx) })
}

// left is how many bytes the next piece has, 0 at the end.
func (x *exclusive) left() int { return int(min(int64(x.piece), x.end-x.at)) }

// next puts the next piece, of left bytes, into dst. It counts the bytes that were read for
// it.
func (x *exclusive) next(dst []byte) (read int, err error) {
	dst = dst[:x.left()]
	x.parts, x.from = x.parts[:0], x.from[:0]
	longest := 0
	for i := 0; i < len(x.feeds); i++ { // a chain that breaks adds to them
		f := x.feeds[i]
		if f.end <= x.at {
			continue
		}
		b, ok := <-f.pieces
		if !ok && x.mend(f) {
			continue
		}
		if !ok {
			return read, f.err
		}
		read += len(b)
		longest = max(longest, len(b))
		x.parts, x.from = append(x.parts, b), append(x.from, f)
	}
	if longest > 0 {
		if err := raid.Encode(dst[:longest], x.parts...); err != nil {
			return read, err
		}
	}
	clear(dst[longest:])
	x.at += int64(len(dst))
	for i, f := range x.from {
		f.free <- x.parts[i]
	}
	return read, nil
}

// mend reads the sources of a chain that has broken each by itself, from here on.
func (x *exclusive) mend(f *feed) bool {
	if f.chain == nil || x.opt.strict || x.ctx.Err() != nil {
		return false
	}
	x.dn.groups.metrics.broken.Inc()
	x.dn.cfg.Log.Info("chain broken", "from", f.chain[0].Block.String(), "links", len(f.chain), "at", x.at, "err", f.err)
	f.end, f.err = x.at, nil // it is over
	x.readEach(f.chain)
	return true
}

// finish waits, after the last piece, for the sources' verdict on their bytes as a whole.
func (x *exclusive) finish() error {
	for _, f := range x.feeds {
		if _, more := <-f.pieces; !more && f.err != nil {
			return f.err
		}
	}
	return nil
}

// feedOf gives the feed that has read all of a source, nil if none has.
func (x *exclusive) feedOf(src *control.Source) *feed {
	for _, f := range x.feeds {
		if f.chain == nil && f.src.Block == src.Block && f.tally {
			return f
		}
	}
	return nil
}

// close ends everything that still reads.
func (x *exclusive) close() {
	x.cancel()
	x.wg.Wait()
	for _, f := range x.feeds {
		f.recycle()
	}
}
