package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

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

// statAll describes the entries of the open directory d, without a walk through the
// whole path for each. Those removed meanwhile are left out.
func statAll(d *os.File, list []os.DirEntry) ([]Entry, error) {
	entries := make([]Entry, 0, len(list))
	raw, err := d.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) {
		for _, e := range list {
			if e.IsDir() {
				entries = append(entries, Entry{Name: e.Name(), Dir: true})
				continue
			}
			var st unix.Stat_t
			switch serr := unix.Fstatat(int(fd), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); serr {
			case nil:
				entries = append(entries, Entry{Name: e.Name(), Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())})
			case unix.ENOENT:
			default:
				err = &fs.PathError{Op: "stat", Path: filepath.Join(d.Name(), e.Name()), Err: serr}
				return
			}
		}
	})
	if cerr != nil {
		return nil, cerr
	}
	return entries, err
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
