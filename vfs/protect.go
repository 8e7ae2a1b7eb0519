package vfs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Protect makes the mode of a directory that of this FS and takes its name for one below
// which nothing is reached through a link.
func (s osFS) Protect(dir string) (warning string, err error) {
	dir = filepath.Clean(dir)
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", &fs.PathError{Op: "protect", Path: dir, Err: syscall.ENOTDIR}
	}
	if uid, ok := owner(info); ok && !trusted(uid) {
		return "", &fs.PathError{Op: "protect", Path: dir, Err: fmt.Errorf(
			"it belongs to %s, who could replace what is in it; this process runs as %s: change the owner, or run as that user", userName(uid), userName(os.Geteuid()))}
	}
	if have := info.Mode().Perm(); have != s.perm {
		// One that can't be changed, because it is root's, is good enough if it is as closed.
		if err := os.Chmod(real, s.perm); err != nil && have&^s.perm != 0 {
			return "", fmt.Errorf("%s has mode %04o and has to have %04o: %w", dir, have, s.perm, err)
		}
	}
	roots.Lock()
	if roots.real == nil {
		roots.real = map[string]string{}
	}
	roots.real[dir] = real
	roots.Unlock()
	if !modesCount {
		return "who may read " + dir + " is what its access control list says: this system has no modes to set", nil
	}
	return above(real), nil
}

// above warns of a directory over a protected one that somebody else may replace.
func above(dir string) string {
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return fmt.Sprintf("who may replace %s is not known: %v", dir, err)
		}
		uid, ok := owner(info)
		switch {
		case ok && !trusted(uid):
			return fmt.Sprintf("%s belongs to %s, who can put another directory in the place of %s", at, userName(uid), dir)
		case ok && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
			return fmt.Sprintf("everybody may write in %s, and put another directory in the place of %s", at, dir)
		case at == filepath.Dir(at):
			return ""
		}
	}
}

// trusted says whether a file of this user is as safe as our own.
func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }
