package blockstore

import (
	"context"
	"crypto/md5"
	"errors"
	"io"
	"slices"

	"redoubt/dfs"
	"redoubt/raid"
)

// sumsAtATime is how many checksums are read at once for a digest.
const sumsAtATime = 16 << 10

// BlockChecksum is the digest of a replica's first bytes.
type BlockChecksum struct {
	Type              dfs.ChecksumType
	BytesPerChecksum  int
	ChecksumsPerBlock int64
	Sum               []byte // MD5 of the chunk checksums, or big-endian CRCs
}

// MD5 digests the chunk checksums of the first length bytes; all of them if length < 0.
func (s *Store) MD5(ctx context.Context, b dfs.Block, length int64) (BlockChecksum, error) {
	h := md5.New()
	c, _, err := s.eachSum(ctx, b, length, func(_ *Reader, sums []byte) { h.Write(sums) })
	c.Sum = h.Sum(nil)
	return c, err
}

// CompositeCRC combines the chunk checksums of the first length bytes into the CRC of
// the bytes themselves, or into one CRC for every stripe bytes if stripe > 0, which
// must then be a multiple of the chunk size.
func (s *Store) CompositeCRC(ctx context.Context, b dfs.Block, length, stripe int64) (BlockChecksum, error) {
	var stripes *raid.Stripes
	var at int64
	bad := false
	c, _, err := s.eachSum(ctx, b, length, func(r *Reader, sums []byte) {
		if stripes == nil {
			stripes = r.sum.polynomial().NewStripes(r.sum.chunk, stripe)
			bad = stripe > 0 && stripe%r.sum.chunk != 0
		}
		if n := min(int64(len(sums))/sumSize*r.sum.chunk, r.end-at); !bad {
			stripes.Add(sums, n)
			at += n
		}
	})
	if err == nil && bad {
		err = dfs.Errorf(dfs.IllegalArgument, "stripe length %d is no multiple of %d bytes per checksum", stripe, c.BytesPerChecksum)
	}
	if stripes == nil { // no bytes
		stripes = raid.CRC32C.NewStripes(dfs.BytesPerChecksum, stripe)
	}
	c.Sum = stripes.Sum()
	return c, err
}

// eachSum calls add with the chunk checksums of the first length bytes, in order.
func (s *Store) eachSum(ctx context.Context, b dfs.Block, length int64, add func(r *Reader, sums []byte)) (BlockChecksum, int64, error) {
	if length < 0 {
		x, ok := s.Get(b.ID)
		if !ok {
			return BlockChecksum{}, 0, notFound(b)
		}
		length = x.Visible
	}
	r, err := s.openReader(ctx, ReadOptions{Block: b, Length: length}, true)
	if err != nil {
		return BlockChecksum{}, 0, err
	}
	defer r.Close()
	chunks := r.sum.chunks(length)
	c := BlockChecksum{Type: r.sum.kind, BytesPerChecksum: int(r.sum.chunk), ChecksumsPerBlock: chunks}
	buf := make([]byte, min(chunks, sumsAtATime)*sumSize)
	for at := int64(0); at < chunks; {
		if err := ctx.Err(); err != nil {
			return c, length, &dfs.Error{Kind: dfs.Canceled, Op: "checksum", Err: err}
		}
		part := buf[:min(chunks-at, sumsAtATime)*sumSize]
		if err := r.readSums(part, at); err != nil {
			return c, length, err
		}
		add(r, part)
		at += int64(len(part)) / sumSize
	}
	return c, length, nil
}

// Verify reads a whole replica and compares it with its checksums. Damage is a Corrupt
// error and reported to OnBad.
func (s *Store) Verify(ctx context.Context, id dfs.BlockID) error {
	_, err := s.verify(ctx, id, make([]byte, scrubPiece), nil)
	return err
}

// scrubPiece is how much is read at a time.
const scrubPiece = 256 << 10

func (s *Store) verify(ctx context.Context, id dfs.BlockID, buf []byte, wait func(context.Context, int) error) (int64, error) {
	x, ok := s.Get(id)
	if !ok {
		return 0, notFound(dfs.Block{ID: id})
	}
	r, err := s.OpenReader(ctx, ReadOptions{Block: dfs.Block{ID: id}, Length: x.Visible, Verify: true})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if r.sum.chunk > int64(len(buf)) {
		buf = make([]byte, r.sum.chunk)
	}
	buf = buf[:r.sum.floor(int64(len(buf)))]
	for {
		if wait != nil {
			err = wait(ctx, int(min(int64(len(buf)), r.end-r.next)))
		} else {
			err = ctx.Err()
		}
		if err != nil {
			return r.next, &dfs.Error{Kind: dfs.Canceled, Op: "verify", Err: err}
		}
		if _, err := r.Read(buf, nil); err == io.EOF {
			return r.next, nil
		} else if err != nil {
			return r.next, err
		}
	}
}

// ScrubStats counts what a scrub has seen.
type ScrubStats struct{ Replicas, Bytes, Bad int64 }

// Scrub verifies every finalized replica once, in the order of block ids. Before each
// piece it calls wait, if not nil, with the number of bytes to read; that holds the
// pace. Damage goes to OnBad. An error means that the scrub did not come to its end.
func (s *Store) Scrub(ctx context.Context, wait func(ctx context.Context, bytes int) error) (ScrubStats, error) {
	var st ScrubStats
	buf := make([]byte, scrubPiece)
	for _, id := range s.finalIDs() {
		n, err := s.verify(ctx, id, buf, wait)
		st.Bytes += n
		switch {
		case err == nil:
			st.Replicas++
		case dfs.Is(err, dfs.Canceled):
			return st, err
		case dfs.Is(err, dfs.ReplicaNotFound) || errors.Is(err, errMoved): // removed or rewritten meanwhile
		default:
			st.Replicas++
			st.Bad++
		}
	}
	return st, nil
}

func (s *Store) finalIDs() (ids []dfs.BlockID) {
	for i := range s.maps {
		sh := &s.maps[i]
		sh.mu.RLock()
		for id := range sh.final {
			ids = append(ids, id)
		}
		sh.mu.RUnlock()
	}
	slices.Sort(ids)
	return ids
}
