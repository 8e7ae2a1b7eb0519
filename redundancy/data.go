package redundancy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"redoubt/client"
)

// pieceBytes is how much one read or write asks for.
const pieceBytes = 256 << 10

func gone(err error) bool { return errors.Is(err, iofs.ErrNotExist) }

// content gives the bytes of a file, from its start on, the same in every run of a seed.
func (c *Config) content(file int) *rand.ChaCha8 {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.Setup.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(file))
	return rand.NewChaCha8(seed)
}

func fileName(i int) string { return fmt.Sprintf("%s/file%05d", root, i) }

// tally is what a load has come to.
type tally struct {
	bytes     atomic.Int64 // moved, good ones only
	failed    atomic.Int64 // files
	lostFiles atomic.Int64
	lostBytes atomic.Int64
	wrong     atomic.Int64
}

// write writes a file.
func (l *lab) write(ctx context.Context, at *station, i int, size int64, t *tally, took func(time.Duration)) error {
	w, err := at.client.Create(ctx, fileName(i), client.CreateOptions{Replication: replicas(l.scheme), Overwrite: true})
	if err != nil {
		return err
	}
	src := l.cfg.content(i)
	buf := make([]byte, pieceBytes)
	for left := size; left > 0; {
		p := buf[:min(left, pieceBytes)]
		_, _ = src.Read(p) // a generator has no end
		begin := time.Now()
		if _, err := w.Write(p); err != nil {
			_ = w.Abort() // the error is known
			return err
		}
		took(time.Since(begin))
		left -= int64(len(p))
	}
	if err := w.Close(); err != nil {
		return err
	}
	t.bytes.Add(size)
	return nil
}

// read reads a file from its start to its end and compares every byte. What a block does not
// give is lost, and the read goes on behind it. positioned reads by ReadAt.
func (l *lab) read(ctx context.Context, c *client.Client, i int, positioned bool, t *tally, took func(time.Duration)) error {
	size := l.cfg.size(i)
	f, err := c.Open(ctx, fileName(i))
	if err != nil {
		if ctx.Err() == nil {
			t.lost(size)
		}
		return err
	}
	defer f.Close()
	if f.Size() != size {
		t.wrong.Add(max(f.Size(), size) - min(f.Size(), size))
	}
	src := l.cfg.content(i)
	got, want := make([]byte, pieceBytes), make([]byte, pieceBytes)
	var failed error
	var lost int64
	for off := int64(0); off < size; {
		n := min(size-off, pieceBytes, l.cfg.Setup.BlockBytes-off%l.cfg.Setup.BlockBytes)
		begin := time.Now()
		if positioned {
			_, err = f.ReadAt(got[:n], off)
		} else {
			_, err = io.ReadFull(f, got[:n])
		}
		if err == nil || positioned && err == io.EOF {
			took(time.Since(begin))
			_, _ = src.Read(want[:n]) // a generator has no end
			if !bytes.Equal(got[:n], want[:n]) {
				t.wrong.Add(differ(got[:n], want[:n]))
			}
			t.bytes.Add(n)
			off += n
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = err
		next := min(size, (off/l.cfg.Setup.BlockBytes+1)*l.cfg.Setup.BlockBytes)
		lost += next - off
		_, _ = io.CopyN(io.Discard, src, next-off) // a generator has no end
		off = next
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return err
		}
	}
	if lost > 0 {
		t.lost(lost)
	}
	return failed
}

func (t *tally) lost(n int64) {
	t.lostFiles.Add(1)
	t.lostBytes.Add(n)
}

func differ(a, b []byte) (n int64) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
