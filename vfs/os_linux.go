package vfs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Sync makes bytes and size durable; times and other attributes may lag behind.
func (f osFile) Sync() error {
	err := f.control(func(fd int) error { return unix.Fdatasync(fd) })
	if err != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}

// FlushHint starts write-back of a range without waiting for it.
func (f osFile) FlushHint(off, n int64) error {
	return f.control(func(fd int) error {
		return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}

func (f osFile) control(do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		for {
			if err = do(int(fd)); err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return ErrLocked
		}
		return err
	}
}

// Usage asks statfs.
func (osFS) Usage(name string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return Usage{}, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	size := int64(st.Bsize)
	return Usage{Capacity: int64(st.Blocks) * size, Free: int64(st.Bavail) * size}, nil
}
