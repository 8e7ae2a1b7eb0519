package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"path"

	"redoubt/dfs"
	"redoubt/vfs"
)

// The watermark is a name directory's own memory of how far its log reached, outside of
// the log. It has two slots, used by turns: a slot is overwritten only while the other
// one is durable, so a torn one costs nothing. Integers are little-endian.
//
//	 0  8  magic "RDBTMARK"
//	 8  4  version
//	12  4  bytes used, checksum included
//	16  8  sequence: the valid slot with the higher one counts
//	24  8  last transaction known to be durable
//	32  8  first transaction of the segment in progress
//	40  8  offset behind its last durable batch
//	48  8  floor of block ids
//	56  8  floor of generation stamps
//	64  8  whose it is: namespace id, and CRC32C of cluster id, pool id and creation time
//	72  4  count of starts, the last maxStarts of them
//	76  4  flags: 1 says that the log is in other directories
//	80     of each start, oldest first: epoch, and the first transaction logged in it
//	 .  4  CRC32C of the bytes before
const (
	watermarkFile    = "watermark"
	watermarkVersion = 1
	slotSize         = 4096 // slots don't share a page or a sector of any disk
	watermarkSize    = 2 * slotSize
	startsOffset     = 80
	maxStarts        = 128
	flagAway         = 1
)

var watermarkMagic = [8]byte{'R', 'D', 'B', 'T', 'M', 'A', 'R', 'K'}

// Floors are the ids that were handed out or may have been. No lower one is ever handed
// out again, whatever happened to the log; what they mean is the state machine's affair.
type Floors struct {
	BlockID  uint64
	GenStamp uint64
}

// raise gives the higher of each.
func (f Floors) raise(by Floors) Floors {
	return Floors{BlockID: max(f.BlockID, by.BlockID), GenStamp: max(f.GenStamp, by.GenStamp)}
}

// epochStart says that the run with this epoch logged its first transaction as number
// first. A list of them is a directory's line of descent: of two directories, one went on
// from the other, or they went apart.
type epochStart struct {
	epoch uint64
	first dfs.TxID
}

// watermark is what a slot says.
type watermark struct {
	durable dfs.TxID
	segment dfs.TxID // that was in progress begins with this transaction
	end     int64    // of its last durable batch
	floors  Floors
	starts  []epochStart
	away    bool // the log of the last start is in other directories
}

// epoch is that of the last start, 0 before the first.
func (w *watermark) epoch() uint64 {
	if n := len(w.starts); n > 0 {
		return w.starts[n-1].epoch
	}
	return 0
}

// owner is what ties a watermark to a cluster.
func owner(c dfs.ClusterInfo) uint64 {
	sum := crc32.Checksum(fmt.Appendf(nil, "%s\n%s\n%d", c.ClusterID, c.PoolID, c.CTime), castagnoli)
	return uint64(sum)<<32 | uint64(c.NamespaceID)
}

// append adds the slot's used bytes to b.
func (w *watermark) append(b []byte, seq, owner uint64) []byte {
	le := binary.LittleEndian
	starts := w.starts[max(0, len(w.starts)-maxStarts):]
	b = append(b, watermarkMagic[:]...)
	b = le.AppendUint32(b, watermarkVersion)
	b = le.AppendUint32(b, uint32(startsOffset+16*len(starts)+4))
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, uint64(w.durable))
	b = le.AppendUint64(b, uint64(w.segment))
	b = le.AppendUint64(b, uint64(w.end))
	b = le.AppendUint64(b, w.floors.BlockID)
	b = le.AppendUint64(b, w.floors.GenStamp)
	b = le.AppendUint64(b, owner)
	b = le.AppendUint32(b, uint32(len(starts)))
	flags := uint32(0)
	if w.away {
		flags = flagAway
	}
	b = le.AppendUint32(b, flags)
	for _, s := range starts {
		b = le.AppendUint64(b, s.epoch)
		b = le.AppendUint64(b, uint64(s.first))
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeSlot reads one slot. An error of kind dfs.IncorrectVersion is a whole slot of a
// later program.
func decodeSlot(b []byte, owner uint64) (w watermark, seq uint64, err error) {
	le := binary.LittleEndian
	if len(b) < startsOffset+4 || [8]byte(b[:8]) != watermarkMagic {
		return w, 0, dfs.Errorf(dfs.Corrupt, "wrong magic")
	}
	used := int(le.Uint32(b[12:]))
	if used < startsOffset+4 || used > len(b) {
		return w, 0, dfs.Errorf(dfs.Corrupt, "%d bytes are said to be used", used)
	}
	if sum, want := crc32.Checksum(b[:used-4], castagnoli), le.Uint32(b[used-4:]); sum != want {
		return w, 0, dfs.Errorf(dfs.Corrupt, "checksum is %08x, its bytes give %08x", want, sum)
	}
	if v := le.Uint32(b[8:]); v != watermarkVersion {
		return w, 0, dfs.Errorf(dfs.IncorrectVersion, "unsupported version %d (this program reads %d)", v, watermarkVersion)
	}
	if le.Uint64(b[64:]) != owner {
		return w, 0, dfs.Errorf(dfs.Corrupt, "it is another cluster's")
	}
	n := int(le.Uint32(b[72:]))
	if n > maxStarts || startsOffset+16*n+4 != used {
		return w, 0, dfs.Errorf(dfs.Corrupt, "%d starts in %d bytes", n, used)
	}
	w = watermark{
		durable: dfs.TxID(le.Uint64(b[24:])), segment: dfs.TxID(le.Uint64(b[32:])), end: int64(le.Uint64(b[40:])),
		floors: Floors{BlockID: le.Uint64(b[48:]), GenStamp: le.Uint64(b[56:])}, away: le.Uint32(b[76:])&flagAway != 0,
	}
	for p := startsOffset; n > 0; n, p = n-1, p+16 {
		w.starts = append(w.starts, epochStart{le.Uint64(b[p:]), dfs.TxID(le.Uint64(b[p+8:]))})
	}
	return w, le.Uint64(b[16:]), nil
}

// decodeWatermark gives the newer valid slot.
func decodeWatermark(b []byte, owner uint64) (*watermark, error) {
	if len(b) != watermarkSize {
		return nil, dfs.Errorf(dfs.Corrupt, "it has %d bytes, not %d", len(b), watermarkSize)
	}
	var best *watermark
	var newest uint64
	var errs [2]error
	for i := range errs {
		w, seq, err := decodeSlot(b[i*slotSize:(i+1)*slotSize], owner)
		if errs[i] = err; dfs.Is(err, dfs.IncorrectVersion) {
			return nil, err
		}
		if err == nil && (best == nil || seq > newest) {
			best, newest = &w, seq
		}
	}
	if best == nil {
		return nil, dfs.Errorf(dfs.Corrupt, "neither slot is whole: %v; %v", errs[0], errs[1])
	}
	return best, nil
}

// readWatermark reads a directory's. fs.ErrNotExist: it has none. An error of kind
// dfs.Corrupt: it is damaged.
func readWatermark(fs vfs.FS, dir string, c dfs.ClusterInfo) (*watermark, error) {
	name := path.Join(dir, watermarkFile)
	entry, err := fs.Stat(name)
	if err != nil {
		return nil, err
	}
	if entry.Dir || entry.Size > watermarkSize {
		return nil, dfs.Errorf(dfs.Corrupt, "journal: %s: it is a directory, or of %d bytes", name, entry.Size)
	}
	b, err := vfs.ReadFile(fs, name, watermarkSize)
	if err != nil {
		return nil, err
	}
	w, err := decodeWatermark(b, owner(c))
	if err != nil {
		return nil, fmt.Errorf("journal: %s: %w", name, err)
	}
	return w, nil
}

// writeWatermark publishes a file with w in its first slot.
func writeWatermark(fs vfs.FS, dir string, c dfs.ClusterInfo, w *watermark) error {
	return fs.Publish(path.Join(dir, watermarkFile), func(f io.Writer) error {
		b := w.append(make([]byte, 0, watermarkSize), 1, owner(c))
		_, err := f.Write(b[:watermarkSize])
		return err
	})
}

// markWriter keeps a directory's watermark while the journal runs.
type markWriter struct {
	file  vfs.File
	owner uint64
	seq   uint64
	slot  int64 // offset of the one to write to: the other one is durable
	dirty bool
	buf   []byte
}

// newMarkWriter publishes w as a new file and opens it.
func newMarkWriter(fs vfs.FS, dir string, c dfs.ClusterInfo, w *watermark) (*markWriter, error) {
	if err := writeWatermark(fs, dir, c, w); err != nil {
		return nil, fmt.Errorf("journal: write watermark: %w", err)
	}
	file, err := fs.OpenWrite(path.Join(dir, watermarkFile))
	if err != nil {
		return nil, fmt.Errorf("journal: open watermark: %w", err)
	}
	return &markWriter{file: file, owner: owner(c), seq: 1, slot: slotSize}, nil
}

// put writes w without a sync. That is enough to survive the process: what the operating
// system holds is durable in time, and sync says when.
func (m *markWriter) put(w *watermark) error {
	m.seq++
	m.buf = w.append(m.buf[:0], m.seq, m.owner)
	if _, err := m.file.WriteAt(m.buf, m.slot); err != nil {
		return fmt.Errorf("journal: write watermark: %w", err)
	}
	m.dirty = true
	return nil
}

// sync makes what was put durable.
func (m *markWriter) sync() error {
	if !m.dirty {
		return nil
	}
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("journal: sync watermark: %w", err)
	}
	m.slot, m.dirty = slotSize-m.slot, false
	return nil
}

func (m *markWriter) close() error { return m.file.Close() }

// noWatermark reports whether err says that a directory has none.
func noWatermark(err error) bool { return errors.Is(err, iofs.ErrNotExist) }
