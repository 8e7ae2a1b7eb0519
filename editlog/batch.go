package editlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"redoubt/dfs"
)

// Mark is a digest of the state machine, remembered in the log: Digest is the state's
// after transaction TxID, which lies before the batch that carries the mark.
type Mark struct {
	TxID   dfs.TxID
	Digest dfs.Digest
}

// Batch collects records to be appended together. Its memory is used again after
// Reset. The zero Batch must be Reset before use.
type Batch struct {
	buf     []byte // batch header, then payload; padded when sealed
	first   dfs.TxID
	count   uint32
	flags   uint32
	sealed  bool
	payload int    // bytes of payload in buf, when sealed
	seed    uint32 // what it is sealed for
	offset  int64
	extra   uint32 // flags of the segment
}

// Reset empties the batch. Its first record will have the number first.
func (b *Batch) Reset(first dfs.TxID) {
	if cap(b.buf) < batchHeaderSize {
		b.buf = make([]byte, batchHeaderSize, 4096)
	}
	*b = Batch{buf: b.buf[:batchHeaderSize], first: first}
}

// SetMark puts a digest into the batch. It must come before the first Add.
func (b *Batch) SetMark(m Mark) {
	if b.count != 0 || b.flags&flagMark != 0 {
		panic("editlog: SetMark after Add")
	}
	b.flags |= flagMark
	b.buf = binary.LittleEndian.AppendUint64(b.buf, uint64(m.TxID))
	b.buf = append(b.buf, m.Digest[:]...)
}

// Add copies a record into the batch. It fails, and changes nothing, when the record is
// over dfs.MaxRecord bytes or the batch would be over MaxBatchBytes.
func (b *Batch) Add(rec []byte) error {
	if len(rec) > dfs.MaxRecord {
		return dfs.Errorf(dfs.IllegalArgument, "editlog: record of %d bytes is over the limit of %d", len(rec), dfs.MaxRecord)
	}
	if b.Size()+len(rec)+binary.MaxVarintLen32 > MaxBatchBytes {
		return dfs.Errorf(dfs.IllegalArgument, "editlog: batch is full")
	}
	b.unseal()
	b.buf = binary.AppendUvarint(b.buf, uint64(len(rec)))
	b.buf = append(b.buf, rec...)
	b.count++
	return nil
}

// Count is the number of records.
func (b *Batch) Count() int { return int(b.count) }

// Size is the number of payload bytes so far.
func (b *Batch) Size() int {
	if b.sealed {
		return b.payload
	}
	return len(b.buf) - batchHeaderSize
}

// Last is the number of the last record; one less than the first's while there is none.
func (b *Batch) Last() dfs.TxID { return b.first + dfs.TxID(b.count) - 1 }

// seal completes header and padding for the batch's place in a segment. extra are flags
// that are the segment's affair.
func (b *Batch) seal(seed uint32, offset int64, extra uint32) {
	b.unseal()
	b.payload = len(b.buf) - batchHeaderSize
	for len(b.buf)%batchAlign != 0 {
		b.buf = append(b.buf, 0)
	}
	h := batchHeader{
		payload: uint32(b.payload), first: b.first, count: b.count, flags: b.flags | extra,
		promise: offset, offset: offset,
		checksum: crc32.Checksum(b.buf[batchHeaderSize:], castagnoli),
	}
	h.encode(b.buf, seed)
	b.sealed, b.seed, b.offset, b.extra = true, seed, offset, extra
}

// unseal takes the padding off again.
func (b *Batch) unseal() {
	if b.sealed {
		b.buf = b.buf[:batchHeaderSize+b.payload]
		b.sealed = false
	}
}

// Records is one batch as it was read. Its bytes are the reader's: they are good until
// the next call of Next.
type Records struct {
	First  dfs.TxID
	Count  int
	Offset int64 // of the batch in its segment
	Bytes  int64 // the batch takes in the file
	Mark   *Mark // nil if there is none
	body   []byte
	mark   Mark
}

// Last is the number of the last record; First-1 if the batch is empty.
func (r *Records) Last() dfs.TxID { return r.First + dfs.TxID(r.Count) - 1 }

// All gives the records in order. The slices are the reader's memory.
func (r *Records) All() func(yield func(dfs.TxID, []byte) bool) {
	return func(yield func(dfs.TxID, []byte) bool) {
		body, tx := r.body, r.First
		for range r.Count {
			n, w := binary.Uvarint(body) // checked by parse
			end := w + int(n)
			if !yield(tx, body[w:end:end]) {
				return
			}
			body = body[end:]
			tx++
		}
	}
}

// parse checks that the payload is exactly what the header says and points r at it.
func (r *Records) parse(h *batchHeader, payload []byte) error {
	*r = Records{First: h.first, Count: int(h.count), Offset: h.offset, Bytes: h.size()}
	if h.flags&^knownFlags != 0 {
		return fmt.Errorf("flags %#x are unknown", h.flags)
	}
	if h.flags&flagMark != 0 {
		if len(payload) < markSize {
			return fmt.Errorf("mark is cut short")
		}
		r.mark.TxID = dfs.TxID(binary.LittleEndian.Uint64(payload))
		copy(r.mark.Digest[:], payload[8:])
		r.Mark = &r.mark
		payload = payload[markSize:]
	}
	r.body = payload
	for i := range h.count {
		n, w := binary.Uvarint(payload)
		if w <= 0 || n > uint64(len(payload)-w) {
			return fmt.Errorf("record %d of %d runs over the end of the batch", i+1, h.count)
		}
		payload = payload[w+int(n):]
	}
	if len(payload) != 0 {
		return fmt.Errorf("%d bytes are left over after %d records", len(payload), h.count)
	}
	return nil
}
