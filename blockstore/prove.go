package blockstore

import (
	"io"

	"redoubt/vfs"
)

// proveBuffer is how much data is read at a time when a replica is proven.
const proveBuffer = 256 << 10

// prove finds out how many bytes of a being-written replica its checksums vouch for,
// and sets the replica's length, partial checksum and tail. The files are not changed.
//
// A chunk counts in full if a checksum fits all of its bytes that are there. One that
// does not may hold more bytes than its checksum knows of, because the newer checksum
// was lost: then the longest part of it that the checksum fits counts, and nothing
// after it. A header that can't be read is an error that is not of the disk.
func (r *replica) prove() error {
	data, err := r.vol.fs.Open(r.dataPath())
	if err != nil {
		return err
	}
	defer data.Close()
	meta, err := r.vol.fs.Open(r.metaPath())
	if err != nil {
		return err
	}
	defer meta.Close()
	var h [metaHeader]byte
	n, err := meta.ReadAt(h[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if r.sum, err = parseHeader(h[:n]); err != nil {
		return err
	}
	tailChunk, tailCRC, hasTail, err := r.vol.readTail(r.id)
	if err != nil {
		return err
	}
	r.tail.there = true // perhaps; removing what is not there does no harm
	p := prover{r: r, data: data, meta: meta}
	if hasTail {
		p.tailChunk, p.tailCRC, p.hasTail = tailChunk, tailCRC, true
	}
	if err := p.run(); err != nil {
		return err
	}
	r.received, r.acked = r.written, r.written
	return nil
}

type prover struct {
	r          *replica
	data, meta vfs.File
	hasTail    bool
	tailChunk  int64
	tailCRC    uint32
}

func (p *prover) run() error {
	size, err := p.data.Size()
	if err != nil {
		return err
	}
	metaSize, err := p.meta.Size()
	if err != nil {
		return err
	}
	sum := p.r.sum
	per := max(1, proveBuffer/sum.chunk) // chunks at a time
	buf, sums := make([]byte, per*sum.chunk), make([]byte, per*sumSize)
	chunks := min(sum.chunks(size), max((metaSize-metaHeader)/sumSize, p.tailEnd()))
	for first := int64(0); first < chunks; first += per {
		n := min(per, chunks-first)
		got, err := p.data.ReadAt(buf[:n*sum.chunk], first*sum.chunk)
		if err != nil && err != io.EOF {
			return err
		}
		clear(sums)
		if _, err := p.meta.ReadAt(sums[:n*sumSize], metaHeader+first*sumSize); err != nil && err != io.EOF {
			return err
		}
		for i := range n {
			chunk := buf[i*sum.chunk : min(int64(got), (i+1)*sum.chunk)]
			if !p.take(chunk, first+i, sumAt(sums, i)) {
				return nil
			}
		}
	}
	return nil
}

// tailEnd is the number of chunks up to the one that the tail file is about.
func (p *prover) tailEnd() int64 {
	if p.hasTail {
		return p.tailChunk + 1
	}
	return 0
}

// take adds what is proven of a chunk and tells whether to go on.
func (p *prover) take(chunk []byte, index int64, stored uint32) bool {
	r := p.r
	crc := r.sum.sum(chunk)
	full := int64(len(chunk)) == r.sum.chunk
	if crc == stored {
		r.written += int64(len(chunk))
		r.partial = 0
		if !full {
			r.partial = crc
		}
		return full
	}
	candidates := []uint32{stored}
	if p.hasTail && index == p.tailChunk {
		candidates = append(candidates, p.tailCRC)
		r.tail.dirty, r.tail.chunk, r.tail.crc = true, index, p.tailCRC
		if crc == p.tailCRC {
			r.written += int64(len(chunk))
			if !full {
				r.partial = crc
			}
			return full
		}
	}
	n, which := longestPrefix(r.sum, chunk, candidates)
	r.written += int64(n)
	r.partial = r.sum.sum(chunk[:n])
	if index == p.tailChunk {
		r.tail.dirty = r.tail.dirty && which == 1 && n > 0
	}
	return false
}

// longestPrefix finds the longest part of a chunk from its start that one of the
// checksums fits, and which of them.
func longestPrefix(sum checksum, chunk []byte, candidates []uint32) (n, which int) {
	crc := uint32(0)
	for i := range chunk {
		crc = sum.update(crc, chunk[i:i+1])
		for c, want := range candidates {
			if crc == want {
				n, which = i+1, c
			}
		}
	}
	return n, which
}
