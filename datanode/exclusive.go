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
	feeds   []*feed
	at, end int64
	piece   int
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	parts   [][]byte
	sources []*feed // of parts
}

// exclusiveOf begins to read. What is behind a source's end counts as zeroes. Pieces have
// the given size, but for the last.
func (dn *DataNode) exclusiveOf(ctx context.Context, sources []control.Source, off, end int64, piece int, client string) *exclusive {
	ctx, cancel := context.WithCancel(ctx)
	x := &exclusive{at: off, end: end, piece: int(min(int64(piece), max(1, end-off))), cancel: cancel}
	for _, src := range sources {
		f := newFeed(dn, src, off, end, x.piece, client)
		x.feeds = append(x.feeds, f)
		x.wg.Go(func() { f.run(ctx) })
	}
	return x
}

// left is how many bytes the next piece has, 0 at the end.
func (x *exclusive) left() int { return int(min(int64(x.piece), x.end-x.at)) }

// next puts the next piece, of left bytes, into dst. It counts the bytes that were read for
// it.
func (x *exclusive) next(dst []byte) (read int, err error) {
	dst = dst[:x.left()]
	x.parts, x.sources = x.parts[:0], x.sources[:0]
	longest := 0
	for _, f := range x.feeds {
		if f.end <= x.at {
			continue
		}
		b, ok := <-f.pieces
		if !ok {
			return read, f.err
		}
		read += len(b)
		longest = max(longest, len(b))
		x.parts, x.sources = append(x.parts, b), append(x.sources, f)
	}
	if longest > 0 {
		if err := raid.Encode(dst[:longest], x.parts...); err != nil {
			return read, err
		}
	}
	clear(dst[longest:])
	x.at += int64(len(dst))
	for i, f := range x.sources {
		f.free <- x.parts[i]
	}
	return read, nil
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

// close ends everything that still reads.
func (x *exclusive) close() {
	x.cancel()
	x.wg.Wait()
	for _, f := range x.feeds {
		f.recycle()
	}
}
