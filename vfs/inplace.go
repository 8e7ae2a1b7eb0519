package vfs

import (
	"errors"
	"io/fs"
	"os"
)

// placed is a file or lock that can tell whether its name still leads to it.
type placed interface{ InPlace() (bool, error) }

// InPlace reports whether the name under which a File or a lock was opened still leads to
// it. It does not when somebody removed, renamed or replaced it, or a directory above it,
// or took the file system away: what is written to it is then lost with the process. The
// answer costs two calls of stat and no I/O. What can't tell is in place.
func InPlace(f any) (bool, error) {
	switch f := f.(type) {
	case placed:
		return f.InPlace()
	case *os.File:
		return osFile{f}.InPlace()
	}
	return true, nil
}

// InPlace compares the open file with what has its name now.
func (f osFile) InPlace() (bool, error) {
	now, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, now), nil
}

// InPlace compares the open file with what has its name now.
func (f *memFile) InPlace() (bool, error) { return f.m.inPlace(f.name, f.n) }

// InPlace compares the lock's file with what has its name now.
func (l *memLock) InPlace() (bool, error) { return l.m.inPlace(l.name, l.n) }

func (m *Mem) inPlace(name string, n *node) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return true, nil // the power is off: whoever writes is told
	}
	now, err := m.findLocked(name)
	return err == nil && now == n, nil
}
