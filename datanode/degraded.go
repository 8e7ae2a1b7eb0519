package datanode

import (
	"context"
	"crypto/md5"
	"hash/crc32"
	"io"
	"sync"

	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// blockSource is what a reader is served from: a replica, or a block that is made from its
// parity group.
type blockSource interface {
	Checksum() (dfs.ChecksumType, int)
	// Start is the chunk boundary at or below the offset asked for, End where reading ends.
	Start() int64
	End() int64
	// Read fills data, whose length is a multiple of the chunk size, and sums, if not nil, with
	// what comes next, as blockstore.Reader does.
	Read(data, sums []byte) (int, error)
	Close() error
}

// degraded gives a range of a block that is not here from its parity group. The sources are
// verified by their own checksums; a read of the whole block ends with an error if its CRC
// is not what the name node has recorded.
type degraded struct {
	dn     *DataNode
	block  dfs.Block
	sum    datatransfer.Checksum
	want   control.Sum
	x      *exclusive
	start  int64
	at     int64
	crc    uint32
	buf    []byte // a piece, and what is left of it
	rest   []byte
	failed error
	link   bool // a part of a chain and not a reader's
	close  func()
}

// openDegraded begins to make a range of a block, if its group can. It waits for a slot and
// for the first bytes: a failure before them is told like any other refusal. exact cuts the
// range at its end instead of at the end of the chunk.
func (dn *DataNode) openDegraded(ctx context.Context, b dfs.Block, off, length int64, exact bool) (*degraded, error) {
	reply, known, err := dn.sourcesOf(ctx, b)
	if err != nil {
		return nil, err
	}
	select {
	case dn.groups.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, dfs.Errorf(dfs.Unavailable, "%v is made from its parity group for %d readers already", b, cap(dn.groups.slots))
	}
	free := sync.OnceFunc(func() { <-dn.groups.slots })
	d, err := dn.beginDegraded(reply, off, length, exact)
	if err != nil && known && d != nil { // the name node may know better by now
		dn.groups.sources.forget(b.ID)
		if reply, _, err = dn.sourcesOf(ctx, b); err == nil {
			d, err = dn.beginDegraded(reply, off, length, exact)
		}
	}
	if err != nil {
		free()
		if d != nil {
			dn.groups.sources.forget(b.ID)
			dn.groups.metrics.degradedFailures.Inc()
		}
		return nil, err
	}
	d.close = free
	dn.groups.metrics.degraded.Inc()
	return d, nil
}

// beginDegraded reads up to the first piece. An error with a reader is one of the sources.
func (dn *DataNode) beginDegraded(reply *control.SourcesReply, off, length int64, exact bool) (*degraded, error) {
	b := reply.Block
	if off > b.Length || length > b.Length-off {
		return nil, dfs.Errorf(dfs.IllegalState, " Offset %d and length %d don't match block %v ( blockLen %d )", off, length, b, b.Length)
	}
	sum := datatransfer.Checksum{Type: reply.Sum.Checksum, BytesPer: uint32(max(0, reply.Sum.BytesPer))}
	if sum.BytesPer == 0 {
		sum = datatransfer.DefaultChecksum
	}
	if err := sum.Validate(); err != nil {
		return nil, err
	}
	per := int64(sum.BytesPer)
	start, end := off-off%per, off+length
	if !exact {
		end = min(b.Length, (end+per-1)/per*per)
	}
	x := dn.exclusiveOf(dn.ctx, reply.Sources, start, end, pieceFor(end-start, per, packetData), exclusiveOptions{client: readClient, chain: true})
	d := newDegraded(dn, b, sum, reply.Sum, x)
	return d, d.begin()
}

func newDegraded(dn *DataNode, b dfs.Block, sum datatransfer.Checksum, want control.Sum, x *exclusive) *degraded {
	return &degraded{dn: dn, block: b, sum: sum, want: want, x: x, start: x.at, at: x.at, close: func() {}}
}

// begin makes the first piece, so that a failure is known before anything is answered; then
// everything is closed.
func (d *degraded) begin() error {
	if d.x.left() == 0 {
		return nil
	}
	d.buf = getPiece(d.x.piece)
	err := d.fill()
	if err != nil {
		d.x.close()
	}
	return err
}

// fill makes the next piece.
func (d *degraded) fill() error {
	d.rest = d.buf[:d.x.left()]
	return d.make(d.rest)
}

// make makes the next piece in p, which is as long.
func (d *degraded) make(p []byte) error {
	if _, err := d.x.next(p); err != nil {
		return err
	}
	known := d.want.HasCRC && d.start == 0 && d.x.end == d.block.Length
	if known {
		d.crc = crc32.Update(d.crc, castagnoli, p)
	}
	if d.x.left() > 0 {
		return nil
	}
	if err := d.x.finish(); err != nil {
		return err
	}
	if known && d.crc != d.want.CRC {
		d.dn.enqueue(d.dn.sessions[0], control.Command{Kind: checkSources, Block: d.block, Sources: d.x.sources})
		return dfs.Errorf(dfs.Corrupt, "%v, made from its parity group, has the CRC %08x instead of %08x", d.block, d.crc, d.want.CRC)
	}
	return nil
}

// Checksum tells how the block's own replicas keep checksums.
func (d *degraded) Checksum() (dfs.ChecksumType, int) { return d.sum.Type, int(d.sum.BytesPer) }

// Start is the chunk boundary at or below the offset asked for.
func (d *degraded) Start() int64 { return d.start }

// End is where reading ends.
func (d *degraded) End() int64 { return d.x.end }

// Read gives what comes next; see blockSource.
func (d *degraded) Read(data, sums []byte) (int, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	if d.at >= d.x.end {
		return 0, io.EOF
	}
	n := 0
	for n < len(data) && d.at < d.x.end {
		if len(d.rest) == 0 {
			if left := d.x.left(); left <= len(data)-n { // without a copy
				d.failed = d.make(data[n : n+left])
				n, d.at = n+left, d.at+int64(left)
			} else {
				d.failed = d.fill()
			}
			if d.failed != nil {
				if !d.link {
					d.dn.groups.sources.forget(d.block.ID)
					d.dn.groups.metrics.degradedFailures.Inc()
				}
				return 0, d.failed
			}
			continue
		}
		m := copy(data[n:], d.rest)
		d.rest = d.rest[m:]
		n, d.at = n+m, d.at+int64(m)
	}
	if sums != nil {
		d.sum.Fill(sums[:d.sum.Size(n)], data[:n])
	}
	if !d.link {
		d.dn.groups.metrics.degradedBytes.Add(float64(n))
	}
	return n, nil
}

// Close ends the reading of the sources.
func (d *degraded) Close() error {
	d.x.close()
	if d.buf != nil {
		putPiece(d.buf)
		d.buf, d.rest = nil, nil
	}
	d.close()
	return nil
}

// degradedChecksum answers a BLOCK_CHECKSUM for a block that is made from its parity group, as
// its own replicas would.
func (dn *DataNode) degradedChecksum(ctx context.Context, q *datatransfer.ChecksumRequest) (*datatransfer.ChecksumResult, error) {
	length := q.Block.Length
	if length == 0 { // all of it
		reply, _, err := dn.sourcesOf(ctx, q.Block.Block)
		if err != nil {
			return nil, err
		}
		length = reply.Block.Length
	}
	d, err := dn.openDegraded(ctx, q.Block.Block, 0, length, true)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	per := int64(d.sum.BytesPer)
	if q.Kind == datatransfer.ChecksumComposite && length > 0 && q.StripeLength > 0 && q.StripeLength%per != 0 {
		return nil, dfs.Errorf(dfs.IllegalArgument, "stripe length %d is no multiple of %d bytes per checksum", q.StripeLength, per)
	}
	poly := raid.CRC32C
	if d.sum.Type == dfs.ChecksumCRC32 {
		poly = raid.CRC32
	}
	stripes := poly.NewStripes(per, q.StripeLength)
	data := make([]byte, max(per, packetData/per*per))
	sums := make([]byte, d.sum.Size(len(data)))
	hash := md5.New()
	for {
		n, err := d.Read(data, sums)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		covers := sums[:d.sum.Size(n)]
		_, _ = hash.Write(covers) // never fails
		stripes.Add(covers, int64(n))
	}
	r := &datatransfer.ChecksumResult{BytesPerCRC: d.sum.BytesPer, CRCPerBlock: uint64((length + per - 1) / per), Type: d.sum.Type, Kind: q.Kind, StripeLength: q.StripeLength}
	if r.Sum = hash.Sum(nil); q.Kind == datatransfer.ChecksumComposite {
		r.Sum = stripes.Sum()
	}
	return r, nil
}
