//go:build unix

package vfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/renameio/v2"
)

// Publish is renameio's recipe, with the temporary file beside the target, plus the sync of
// the directory that renameio leaves out: the steps of PublishWith, which every crash test
// goes through, in the same order. TestPublishIsOneRecipe compares the two.
func (s osFS) Publish(name string, write func(w io.Writer) error) (err error) {
	dir, err := openDir("publish", filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() {
		if cerr := dir.Close(); err == nil {
			err = cerr
		}
	}()
	// The directory was reached without a link, and is not looked up again.
	place := place(dir)
	f, err := pending(place, filepath.Base(name), s)
	if err != nil {
		return err
	}
	// It does nothing once the file is in place, and its failure must not look like a failed
	// publication: SweepTemp finds what it leaves.
	defer func() { _ = f.Cleanup() }()
	if err := write(f); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return dir.Sync()
}

// place is a path to an open directory: the directory itself where the system can name it by
// its descriptor.
func place(dir *os.File) string {
	if runtime.GOOS == "linux" {
		byFD := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
		if _, err := os.Stat(byFD); err == nil {
			return byFD
		}
	}
	return dir.Name()
}

func pending(dir, base string, s osFS) (*renameio.PendingFile, error) {
	for try := 0; ; try++ {
		f, err := renameio.NewPendingFile(filepath.Join(dir, base), renameio.WithTempDir(dir), renameio.WithPermissions(s.perm&0o666))
		if err == nil || !scarce(err, try) {
			return f, err
		}
	}
}
