//go:build !linux

package vfs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openNoLink opens path, which is name with the links before it followed; a link in its
// last component is refused.
func openNoLink(name, path string, flags int, perm fs.FileMode, _ bool) (*os.File, error) {
	for try := 0; ; try++ {
		fd, err := unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm))
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case err == unix.EINTR, scarce(err, try):
			continue
		}
		return nil, err
	}
}

func statAll(_ *os.File, list []os.DirEntry) ([]Entry, error) {
	entries := make([]Entry, 0, len(list))
	for _, d := range list {
		if d.IsDir() {
			entries = append(entries, Entry{Name: d.Name(), Dir: true})
			continue
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry(info))
	}
	return entries, nil
}

func flock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrLocked
	}
	return err
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
