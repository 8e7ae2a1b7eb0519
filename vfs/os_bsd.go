//go:build unix && !linux

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
