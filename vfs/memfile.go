package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	write  bool
	closed bool // guarded by m.mu
}

// checkLocked refuses work on a closed or wrongly opened file.
func (f *memFile) checkLocked(write bool) error {
	switch {
	case f.m.stopped:
		return ErrPowerOff
	case f.closed:
		return fs.ErrClosed
	case f.n.dir:
		return syscall.EISDIR
	case write && !f.write:
		return syscall.EBADF
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.checkLocked(false)
	if err == nil && off < 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return 0, pathErr("read", f.name, err)
	}
	n := f.n.live.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.checkLocked(true)
	if err == nil && off < 0 {
		err = syscall.EINVAL
	}
	if err == nil {
		err = f.m.stepLocked()
	}
	if err != nil {
		return 0, pathErr("write", f.name, err)
	}
	n := len(p)
	if grow := off + int64(n) - f.n.live.size; grow > 0 && f.m.capacity > 0 {
		if room := f.m.capacity - f.m.used; grow > room {
			n = int(max(0, int64(n)-(grow-max(0, room))))
		}
	}
	if n > 0 {
		f.writeLocked(p[:n], off)
	}
	if n < len(p) {
		return n, pathErr("write", f.name, syscall.ENOSPC)
	}
	return n, nil
}

func (f *memFile) writeLocked(p []byte, off int64) {
	before := f.n.live.size
	f.n.live.writeAt(p, off)
	f.m.used += f.n.live.size - before
	f.n.mod = int64(f.m.steps)
	f.m.effectLocked(&effect{kind: effectWrite, node: f.n, off: off, data: append([]byte(nil), p...)})
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.checkLocked(true)
	if err == nil && size < 0 {
		err = syscall.EINVAL
	}
	if err == nil {
		err = f.m.stepLocked()
	}
	if err != nil {
		return pathErr("truncate", f.name, err)
	}
	f.m.used += size - f.n.live.size
	f.n.live.truncate(size)
	f.n.mod = int64(f.m.steps)
	f.m.effectLocked(&effect{kind: effectTruncate, node: f.n, off: size})
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.checkLocked(false)
	if err == nil {
		err = f.m.stepLocked()
	}
	if err != nil {
		return pathErr("sync", f.name, err)
	}
	f.m.syncFileLocked(f.n)
	return nil
}

// DropUnsynced makes the file's unsynced changes never durable, as after a failed fsync:
// a process goes on seeing them, later syncs succeed without them, a power cut loses them.
func (f *memFile) DropUnsynced() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.dropLocked(f.n)
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.checkLocked(false); err != nil {
		return 0, pathErr("stat", f.name, err)
	}
	return f.n.live.size, nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathErr("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}
