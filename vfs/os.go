package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultPerm is the mode of directories that hold durable files, as HDFS has it: what is
// in a file that its owner alone may read must not be read from a disk by others.
const DefaultPerm fs.FileMode = 0o700

// OS is the operating system's file system for durable files of a node: directories get
// mode 0700, files 0600. What differs between operating systems stands in os_unix.go and
// os_windows.go.
func OS() FS { return OSPerm(DefaultPerm) }

// OSPerm is OS with another mode for directories. Files get it too, without execute.
func OSPerm(dirs fs.FileMode) FS { return osFS{dirs.Perm()} }

type osFS struct{ perm fs.FileMode }

type osFile struct{ *os.File }

// roots are the directories that Protect was called for, cleaned, with their names after
// all links were followed. They are the process's: whoever opens a name below one of them
// gets it without a link or not at all.
var roots struct {
	sync.RWMutex
	real map[string]string
}

// under finds the protected directory that a name is below, longest first. rest is empty
// when it is the directory itself.
func under(name string) (root, real, rest string, ok bool) {
	name = filepath.Clean(name)
	roots.RLock()
	defer roots.RUnlock()
	for dir, to := range roots.real {
		tail, found := strings.CutPrefix(name, dir)
		if found && (tail == "" || tail[0] == filepath.Separator) && len(dir) >= len(root) {
			root, real, rest, ok = dir, to, strings.TrimPrefix(tail, string(filepath.Separator)), true
		}
	}
	return root, real, rest, ok
}

func (osFS) Open(name string) (File, error) {
	return wrap(openFile("open", name, os.O_RDONLY, 0))
}

func (osFS) OpenWrite(name string) (File, error) {
	return wrap(openFile("open", name, os.O_RDWR, 0))
}

func (s osFS) Create(name string) (File, error) {
	return wrap(openFile("open", name, os.O_RDWR|os.O_CREATE|os.O_EXCL, s.perm&0o666))
}

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// openFile opens a name that is no link and, below a protected directory, is not reached
// through one.
func openFile(op, name string, flags int, perm fs.FileMode) (*os.File, error) {
	path, strict := name, false
	if _, real, rest, ok := under(name); ok && rest != "" {
		path, strict = filepath.Join(real, rest), true
	}
	f, err := openNoLink(name, path, flags, perm, strict)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: linkError(err)}
	}
	return f, nil
}

// scarce says whether to try again to open something, after a pause, because the process
// or the machine has no descriptors left. Connections over their limit are closed at once,
// so there will be one; what can't be opened then is an error.
func scarce(err error, try int) bool {
	if try >= 20 || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return false
	}
	time.Sleep(10 * time.Millisecond)
	return true
}

// linkError turns the kernel's word for a link that was not followed into ours.
func linkError(err error) error {
	if err == syscall.ELOOP || err == syscall.EMLINK {
		return ErrLink
	}
	return err
}

// MkdirAll makes directories below a protected one with this FS's mode; those above it,
// which others may need to pass, with 0755.
func (s osFS) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	root, _, rest, inside := under(dir)
	if !inside || rest == "" {
		return s.mkdir(dir, 0o755, os.Stat)
	}
	if err := s.mkdir(root, 0o755, os.Stat); err != nil {
		return err
	}
	at := root
	for part := range strings.SplitSeq(rest, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		if err := s.mkdir(at, s.perm, os.Lstat); err != nil {
			return err
		}
	}
	return nil
}

func (s osFS) mkdir(dir string, perm fs.FileMode, stat func(string) (fs.FileInfo, error)) error {
	if st, err := stat(dir); err == nil {
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			return &fs.PathError{Op: "mkdir", Path: dir, Err: ErrLink}
		case !st.IsDir():
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := s.mkdir(parent, perm, os.Stat); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !os.IsExist(err) {
		return unixErr(err)
	}
	return s.SyncDir(parent)
}

func (osFS) Remove(name string) error { return unixErr(os.Remove(name)) }

func (osFS) Rename(old, new string) error { return rename(old, new) }

func (osFS) Link(old, new string) error { return unixErr(os.Link(old, new)) }

// openDir opens a directory: below a protected one without links.
func openDir(op, dir string) (*os.File, error) {
	if _, _, rest, ok := under(dir); ok && rest != "" {
		return openFile(op, dir, os.O_RDONLY, 0)
	}
	return os.Open(dir)
}

func (osFS) ReadDir(dir string) ([]Entry, error) {
	d, err := openDir("readdir", dir)
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
	stat := os.Stat
	if _, _, rest, ok := under(name); ok && rest != "" {
		stat = os.Lstat
	}
	info, err := stat(name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		err = &fs.PathError{Op: "stat", Path: name, Err: ErrLink}
	}
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

// Lock also writes "pid@host" into the file, so that a second process can name the first.
func (s osFS) Lock(name string) (io.Closer, error) {
	f, err := openFile("lock", name, os.O_RDWR|os.O_CREATE|nonBlock, s.perm&0o666)
	if err != nil {
		return nil, err
	}
	if err := lockable(f); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
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
