//go:build !linux

package vfs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

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
