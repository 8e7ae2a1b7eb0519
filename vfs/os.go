package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// OS is the operating system's file system. Files are made with mode 0644 and
// directories with 0755, less the process's umask.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) Open(name string) (File, error) {
	return wrap(os.Open(name))
}

func (osFS) OpenWrite(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR, 0))
}

func (osFS) Create(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644))
}

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (s osFS) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := s.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	return s.SyncDir(parent)
}

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Rename(old, new string) error { return os.Rename(old, new) }

func (osFS) Link(old, new string) error { return os.Link(old, new) }

func (osFS) ReadDir(dir string) ([]Entry, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return statAll(d, list)
}

func (osFS) Stat(name string) (Entry, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Entry{}, err
	}
	return entry(info), nil
}

func entry(info os.FileInfo) Entry {
	e := Entry{Name: info.Name(), Dir: info.IsDir(), ModTime: info.ModTime()}
	if !e.Dir {
		e.Size = info.Size()
	}
	return e
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s osFS) Publish(name string, write func(w io.Writer) error) (err error) {
	dir := filepath.Dir(name)
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() {
		// Does nothing once the file is in place; its failure must not look like a
		// failed publication.
		_ = f.Cleanup()
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return s.SyncDir(dir)
}

// Lock also writes "pid@host" into the file, so that a second process can name the first.
func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		holder := make([]byte, 256)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		if err != ErrLocked {
			return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
		}
		if who := strings.TrimSpace(string(holder[:n])); who != "" {
			err = fmt.Errorf("held by process %q: %w", who, err)
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	host, _ := os.Hostname()
	me := fmt.Sprintf("%d@%s\n", os.Getpid(), host)
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(me), 0) // only a courtesy to the next one: errors don't matter
		_ = err
	}
	return f, nil
}

// Size gives the size in bytes.
func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
