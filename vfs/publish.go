package vfs

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// PublishWith is Publish in terms of an FS's other methods. It is for implementations
// of FS that want each step of a publication to be one of their own (a crash point, a
// place for a fault). temp is the name of the temporary file, from TempName.
func PublishWith(f FS, name, temp string, write func(w io.Writer) error) error {
	file, err := f.Create(temp)
	if err != nil {
		return err
	}
	err = write(&sequential{file: file})
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.Rename(temp, name)
	}
	if err != nil {
		_ = f.Remove(temp) // as far as possible; SweepTemp finds it otherwise
		return err
	}
	return f.SyncDir(path.Dir(name))
}

// TempName is the name of a temporary file for publishing name: beside it, hidden, and
// ending in the number n. It is the form that SweepTemp removes.
func TempName(name string, n uint64) string {
	dir, base := path.Split(name)
	return dir + "." + base + strconv.FormatUint(n, 10)
}

// SweepTemp removes what a crash during Publish left in dir: hidden files whose name is
// a dot, one of bases, and a number. Files of other names stay. A process calls it at
// start, before it publishes any of bases in dir.
func SweepTemp(f FS, dir string, bases ...string) error {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Dir || !isTemp(e.Name, bases) {
			continue
		}
		if err := f.Remove(path.Join(dir, e.Name)); err != nil {
			return fmt.Errorf("vfs: sweep: %w", err)
		}
	}
	return nil
}

func isTemp(name string, bases []string) bool {
	for _, b := range bases {
		digits, ok := strings.CutPrefix(name, "."+b)
		if !ok || digits == "" {
			continue
		}
		if strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return false
}

// sequential writes a file from its start.
type sequential struct {
	file File
	off  int64
}

func (s *sequential) Write(p []byte) (int, error) {
	n, err := s.file.WriteAt(p, s.off)
	s.off += int64(n)
	return n, err
}

// ReadFile reads a whole file of at most limit bytes; a bigger one is an error.
func ReadFile(f FS, name string, limit int64) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("vfs: %s has %d bytes, more than the %d it may have", name, size, limit)
	}
	b := make([]byte, size)
	n, err := file.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

// A FlushHinter is a File that can start writing back dirty bytes early, so that a
// later Sync finds less to do. It promises nothing about durability.
type FlushHinter interface {
	FlushHint(off, n int64) error
}

// FlushHint starts write-back of n bytes at off if f can do so.
func FlushHint(f File, off, n int64) error {
	if h, ok := f.(FlushHinter); ok {
		return h.FlushHint(off, n)
	}
	return nil
}

// ZeroFill writes n zero bytes at off, so that later writes there overwrite allocated
// and initialised space. The zeroes are durable after Sync, like any other bytes.
func ZeroFill(f File, off, n int64) error {
	for n > 0 {
		b := zeroes[:min(n, int64(len(zeroes)))]
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

var zeroes [256 << 10]byte
