package array

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"redoubt/vfs"
)

// The log is the same on every member: files meta/log.<generation>. A file begins with
// a checkpoint, batches that make the whole tree from nothing, and goes on with a batch
// for each flush. A batch is written to all members and synced before anybody hears of it.
//
//	 0  4  "RLOG"
//	 4  4  bytes of records
//	 8  8  sequence number: one more than that of the batch before; all batches of a
//	       checkpoint have the same
//	16  8  generation
//	24  4  1 a part of a checkpoint, 2 its last, 0 a flush
//	28  4  CRC32C over the array's id, bytes 0 to 27, and the records
//	32     records, each a msgpack array
const (
	batchHeader = 32
	batchMagic  = "RLOG"
	metaDir     = "meta"
	logPrefix   = "log."
	// checkpointPart is after how many bytes of records a checkpoint begins a new batch.
	checkpointPart = 1 << 20
	maxBatch       = 1 << 30
)

const (
	batchFlush = iota
	batchPart
	batchLast
)

func logName(dir string, gen uint64) string {
	return path.Join(dir, metaDir, logPrefix+strconv.FormatUint(gen, 10))
}

func batchSum(array ident, header, records []byte) uint32 {
	crc := crc32.Update(0, castagnoli, array[:])
	crc = crc32.Update(crc, castagnoli, header[:28])
	return crc32.Update(crc, castagnoli, records)
}

// seal fills in the header that was left free at the start of b.
func seal(b []byte, array ident, seq, gen uint64, kind uint32) {
	copy(b, batchMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-batchHeader))
	binary.BigEndian.PutUint64(b[8:], seq)
	binary.BigEndian.PutUint64(b[16:], gen)
	binary.BigEndian.PutUint32(b[24:], kind)
	binary.BigEndian.PutUint32(b[28:], batchSum(array, b, b[batchHeader:]))
}

// batch is one that was read and is whole.
type batch struct {
	seq     uint64
	kind    uint32
	records []byte
}

// nextBatch reads a batch at the start of b. ok is false at the end of what is whole.
func nextBatch(b []byte, array ident, gen uint64) (x batch, size int, ok bool) {
	if len(b) < batchHeader || string(b[:4]) != batchMagic {
		return batch{}, 0, false
	}
	n := int(binary.BigEndian.Uint32(b[4:]))
	if n > maxBatch || n > len(b)-batchHeader || binary.BigEndian.Uint64(b[16:]) != gen {
		return batch{}, 0, false
	}
	x = batch{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[24:]), b[batchHeader : batchHeader+n]}
	if batchSum(array, b, x.records) != binary.BigEndian.Uint32(b[28:]) {
		return batch{}, 0, false
	}
	return x, batchHeader + n, true
}

// history is the log as one member has it: whole batches in order.
type history struct {
	gen     uint64
	seq     uint64
	batches []batch
}

// parseLog takes from a log file what is whole. Without a complete checkpoint it is
// worth nothing.
func parseLog(b []byte, array ident, gen uint64) (*history, error) {
	h := &history{gen: gen}
	complete := false
	for {
		x, size, ok := nextBatch(b, array, gen)
		switch {
		case !ok || complete && (x.kind != batchFlush || x.seq != h.seq+1) || !complete && x.kind == batchFlush:
			if !complete {
				return nil, errors.New("it has no complete checkpoint")
			}
			return h, nil
		case x.kind == batchLast:
			complete = true
		}
		h.seq = x.seq
		h.batches = append(h.batches, x)
		b = b[size:]
	}
}

// readLog finds a member's newest log that is of use, and the highest generation there.
func readLog(f vfs.FS, dir string, array ident) (h *history, top uint64, err error) {
	entries, err := f.ReadDir(path.Join(dir, metaDir))
	if err != nil {
		return nil, 0, err
	}
	var gens []uint64
	for _, e := range entries {
		if g, ok := logGen(e.Name); ok {
			gens = append(gens, g)
			top = max(top, g)
		}
	}
	slices.Sort(gens)
	err = fmt.Errorf("array: no log in %s", path.Join(dir, metaDir))
	for _, g := range slices.Backward(gens) {
		var b []byte
		b, rerr := vfs.ReadFile(f, logName(dir, g), 1<<40)
		if rerr == nil {
			if h, rerr = parseLog(b, array, g); rerr == nil {
				return h, top, nil
			}
		}
		err = fmt.Errorf("array: %s: %w", logName(dir, g), rerr)
	}
	return nil, top, err
}

func logGen(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, logPrefix)
	if !ok {
		return 0, false
	}
	g, err := strconv.ParseUint(digits, 10, 64)
	return g, err == nil
}

// replay makes the tree that a history tells of.
func (h *history) replay() (*tree, error) {
	t := newTree()
	for _, x := range h.batches {
		for d := (decoder{b: x.records}); len(d.b) > 0; {
			r := d.record()
			if d.err != nil {
				return nil, fmt.Errorf("array: log batch %d: %w", x.seq, d.err)
			}
			if _, err := t.apply(&r); err != nil {
				return nil, fmt.Errorf("array: log batch %d: record of kind %d about %q: %w", x.seq, r.kind, r.path, err)
			}
		}
	}
	return t, nil
}

// checkpoint encodes the whole tree as the batches that a log file begins with.
func (t *tree) checkpoint(array ident, seq, gen uint64) []byte {
	out := make([]byte, batchHeader, 64<<10)
	start := 0
	t.snapshot(func(r *record) {
		out = r.append(out)
		if len(out)-start > checkpointPart {
			seal(out[start:], array, seq, gen, batchPart)
			start = len(out)
			out = append(out, make([]byte, batchHeader)...)
		}
	})
	seal(out[start:], array, seq, gen, batchLast)
	return out
}

// beginLog writes a member's log of a new generation, durably.
func (m *member) beginLog(gen uint64, checkpoint []byte) error {
	name := logName(m.dir, gen)
	f, err := m.fs.Create(name)
	if errors.Is(err, fs.ErrExist) {
		// From an attempt that failed: nobody has used it.
		if err = m.fs.Remove(name); err == nil {
			f, err = m.fs.Create(name)
		}
	}
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(checkpoint, 0); err == nil {
		if err = f.Sync(); err == nil {
			err = m.fs.SyncDir(path.Join(m.dir, metaDir))
		}
	}
	if err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	if m.log != nil {
		_ = m.log.Close() // all in it is durable, and in the new one
	}
	m.log, m.logEnd = f, int64(len(checkpoint))
	return nil
}

// appendLog adds a batch to a member's log, durably.
func (m *member) appendLog(b []byte) error {
	if m.log == nil {
		return io.ErrClosedPipe
	}
	if _, err := m.log.WriteAt(b, m.logEnd); err != nil {
		return err
	}
	if err := m.log.Sync(); err != nil {
		return err
	}
	m.logEnd += int64(len(b))
	return nil
}

// dropLogs removes the logs of older generations.
func (m *member) dropLogs(gen uint64) error {
	entries, err := m.fs.ReadDir(path.Join(m.dir, metaDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if g, ok := logGen(e.Name); ok && g != gen {
			if err := m.fs.Remove(path.Join(m.dir, metaDir, e.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
