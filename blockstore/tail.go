package blockstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"

	"redoubt/dfs"
	"redoubt/vfs"
)

// tail protects the checksum of a last, short chunk that was synced. Were it overwritten
// in place when the chunk grows, a power cut could keep the new checksum and lose the
// new bytes, and the synced bytes before them could no longer be proven. So the new one
// goes to the file blk_<id>.tail (unsynced: it serves after the end of just the process)
// until a Sync has made the bytes durable; then it is written in place.
//
//	 0  8  index of the chunk, big-endian
//	 8  4  its newer checksum
//	12  4  CRC32C of the above
type tail struct {
	held  bool  // the checksum in place for chunk is durable and must stay
	chunk int64 // index of the short chunk
	dirty bool  // crc is newer than the one in place
	crc   uint32
	file  vfs.File
	there bool // the file exists
}

const tailSize = 16

func encodeTail(chunk int64, crc uint32) (b [tailSize]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(chunk))
	binary.BigEndian.PutUint32(b[8:], crc)
	binary.BigEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	return b
}

func decodeTail(b []byte) (chunk int64, crc uint32, ok bool) {
	if len(b) != tailSize || crc32.Checksum(b[:12], castagnoli) != binary.BigEndian.Uint32(b[12:]) {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:]), true
}

// keepTail notes the newer checksum of the held chunk; io is held.
func (r *replica) keepTail(crc uint32) error {
	if r.tail.file == nil {
		name := r.vol.tailPath(r.id)
		f, err := r.vol.fs.Create(name)
		if errors.Is(err, fs.ErrExist) {
			f, err = r.vol.fs.OpenWrite(name)
		}
		if err != nil {
			return err
		}
		r.tail.file, r.tail.there = f, true
	}
	b := encodeTail(r.tail.chunk, crc)
	if _, err := r.tail.file.WriteAt(b[:], 0); err != nil {
		return err
	}
	r.tail.dirty, r.tail.crc = true, crc
	return nil
}

// placeTail puts the newer checksum in place; the bytes that it covers are durable.
func (r *replica) placeTail() error {
	if !r.tail.dirty {
		return nil
	}
	if err := r.writeSum(r.tail.chunk, r.tail.crc); err != nil {
		return err
	}
	r.tail.dirty = false
	return nil
}

func (r *replica) writeSum(chunk int64, crc uint32) error {
	var b [sumSize]byte
	putSum(b[:], 0, crc)
	_, err := r.meta.WriteAt(b[:], metaHeader+sumSize*chunk)
	return err
}

// hold protects the checksum in place of the last chunk, if that is short.
func (r *replica) hold() {
	r.tail.held = r.written%r.sum.chunk != 0
	r.tail.chunk = r.written / r.sum.chunk
}

// removeTail removes the file; a leftover is removed at the next start.
func (r *replica) removeTail() {
	if r.tail.file != nil {
		_ = r.tail.file.Close()
	}
	if r.tail.there {
		_ = r.vol.fs.Remove(r.vol.tailPath(r.id))
	}
	r.tail = tail{}
}

// readTail reads the tail file of a replica found at start.
func (v *volume) readTail(id dfs.BlockID) (chunk int64, crc uint32, ok bool, err error) {
	b, err := vfs.ReadFile(v.fs, v.tailPath(id), 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	chunk, crc, ok = decodeTail(b)
	return chunk, crc, ok, nil
}
