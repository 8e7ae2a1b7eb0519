package journal

import (
	"errors"
	"fmt"
	"path"
	"syscall"

	"redoubt/vfs"
)

// rollFiles is how many files a roll has open in a directory at a time: the new segment
// and the directory that is synced.
const rollFiles = 2

// ScarceError says that a roll was put off because the process has no file descriptors
// left for it. The segment in progress goes on, and the next roll tries again.
type ScarceError struct{ Err error }

func (e *ScarceError) Error() string {
	return fmt.Sprintf("journal: the log can't be rolled now, its segment goes on: %v", e.Err)
}

func (e *ScarceError) Unwrap() error { return e.Err }

// descriptors looks whether a roll would find the file descriptors that it needs. A roll
// that runs out of them half-way can't go back; one that never began has done no harm.
func (c *committer) descriptors() error {
	var held []vfs.File
	defer func() {
		for _, f := range held {
			_ = f.Close() // only read, and not even that
		}
	}()
	for _, d := range c.j.dirs {
		if d.log == nil {
			continue
		}
		for range rollFiles {
			f, err := c.j.opt.FS.Open(path.Join(d.cur, versionFile))
			switch {
			case err == nil:
				held = append(held, f)
			case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
				return &ScarceError{Err: err}
			}
			// Whatever else is wrong with the directory, the roll itself will find.
		}
	}
	return nil
}
