package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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

// hasOpenat2 says whether the kernel has openat2, and nobody filters it.
var hasOpenat2 = sync.OnceValue(func() bool {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
})

// openNoLink opens path, which is name with the links before it followed. strict refuses
// links in all of it, not strict in its last component.
func openNoLink(name, path string, flags int, perm fs.FileMode, strict bool) (*os.File, error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	how := &unix.OpenHow{Flags: uint64(flags), Mode: uint64(perm), Resolve: unix.RESOLVE_NO_SYMLINKS}
	if flags&unix.O_CREAT == 0 {
		how.Mode = 0
	}
	for try := 0; ; try++ {
		var fd int
		var err error
		if strict && hasOpenat2() {
			fd, err = unix.Openat2(unix.AT_FDCWD, path, how)
		} else {
			fd, err = unix.Openat(unix.AT_FDCWD, path, flags, uint32(perm))
		}
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case err == unix.EINTR, err == unix.EAGAIN && try < 100, scarce(err, try):
			continue
		}
		return nil, err
	}
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
