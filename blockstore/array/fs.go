package array

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"redoubt/vfs"
)

func pathErr(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var known *fs.PathError
	if errors.As(err, &known) && known.Path == name {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// handle is an open file.
type handle struct {
	a      *Array
	n      *node
	w      *work
	name   string
	write  bool
	closed atomic.Bool
	ahead  readAhead
	unit   lastUnit
}

// Open opens a file for reading.
func (a *Array) Open(name string) (vfs.File, error) { return a.openFile("open", name, false) }

// OpenWrite opens a file for reading and writing.
func (a *Array) OpenWrite(name string) (vfs.File, error) { return a.openFile("open", name, true) }

func (a *Array) openFile(op, name string, write bool) (vfs.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, pathErr(op, name, errClosed)
	}
	e, err := a.tree.find(name)
	if err == nil && e.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathErr(op, name, err)
	}
	return a.handleLocked(e.file, name, write), nil
}

func (a *Array) handleLocked(n *node, name string, write bool) *handle {
	if n.work == nil {
		n.work = newWork(a, n)
	}
	n.refs++
	return &handle{a: a, n: n, w: n.work, name: name, write: write}
}

// Create makes a file.
func (a *Array) Create(name string) (vfs.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.tree.nextID
	if err := a.recordLocked(&record{kind: recCreate, path: name, id: id, time: now()}); err != nil {
		return nil, pathErr("create", name, err)
	}
	n := a.tree.files[id]
	h := a.handleLocked(n, name, true)
	n.work.small = []byte{}
	return h, nil
}

// do records one change of names.
func (a *Array) do(op, name string, r record) error {
	a.mu.Lock()
	r.time = now()
	err := a.recordLocked(&r)
	due := len(a.dead) >= reapAt
	a.mu.Unlock()
	if err == nil && due {
		if err = a.flush(); isFull(err) {
			err = nil // their space comes back later
		}
	}
	return pathErr(op, name, err)
}

// Remove removes a file or an empty directory.
func (a *Array) Remove(name string) error {
	return a.do("remove", name, record{kind: recRemove, path: name})
}

// Rename moves old to new.
func (a *Array) Rename(old, new string) error {
	return a.do("rename", old, record{kind: recRename, path: old, to: new})
}

// Link makes new another name of the file old.
func (a *Array) Link(old, new string) error {
	return a.do("link", old, record{kind: recLink, path: old, to: new})
}

// MkdirAll makes a directory and its missing parents, durably.
func (a *Array) MkdirAll(dir string) error {
	a.mu.Lock()
	made, at := false, ""
	var err error
	for _, part := range split(dir) {
		at += "/" + part
		e, ferr := a.tree.find(at)
		switch {
		case ferr == nil && e.isDir():
			continue
		case ferr == nil:
			err = syscall.ENOTDIR
		case errors.Is(ferr, fs.ErrNotExist):
			err, made = a.recordLocked(&record{kind: recMkdir, path: at, time: now()}), true
		default:
			err = ferr
		}
		if err != nil {
			break
		}
	}
	a.mu.Unlock()
	if err == nil && made {
		err = a.flush()
	}
	return pathErr("mkdir", dir, err)
}

// ReadDir lists a directory in name order.
func (a *Array) ReadDir(dir string) ([]vfs.Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, err := a.tree.find(dir)
	if err == nil && !e.isDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathErr("readdir", dir, err)
	}
	list := make([]vfs.Entry, 0, len(e.names))
	for name, child := range e.names {
		list = append(list, child.entry(name))
	}
	slices.SortFunc(list, func(x, y vfs.Entry) int { return strings.Compare(x.Name, y.Name) })
	return list, nil
}

func (e *dirent) entry(name string) vfs.Entry {
	if e.isDir() {
		return vfs.Entry{Name: name, Dir: true, ModTime: time.Unix(0, e.mod)}
	}
	return vfs.Entry{Name: name, Size: e.file.size.Load(), ModTime: time.Unix(0, e.file.mod.Load())}
}

// Stat describes a name.
func (a *Array) Stat(name string) (vfs.Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, err := a.tree.find(name)
	if err != nil {
		return vfs.Entry{}, pathErr("stat", name, err)
	}
	return e.entry(path.Base(path.Clean("/" + name))), nil
}

// SyncDir makes the names in a directory durable, and with them all others.
func (a *Array) SyncDir(dir string) error {
	a.mu.Lock()
	e, err := a.tree.find(dir)
	a.mu.Unlock()
	if err == nil && !e.isDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = a.flush()
	}
	return pathErr("syncdir", dir, err)
}

// Publish replaces a file atomically and durably.
func (a *Array) Publish(name string, write func(w io.Writer) error) error {
	a.mu.Lock()
	a.temp++
	n := a.temp
	a.mu.Unlock()
	for {
		// A name may be left from before the start.
		temp := vfs.TempName(name, n)
		if _, err := a.Stat(temp); err != nil {
			return vfs.PublishWith(a, name, temp, write)
		}
		n += 1 << 32
	}
}

// Lock takes a lock on a file, made if missing. Other processes can't get at an array
// that is open, so it need only hold in this one.
func (a *Array) Lock(name string) (io.Closer, error) {
	f, err := a.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = a.Create(name)
	}
	if err != nil {
		return nil, pathErr("lock", name, err)
	}
	if err := f.Close(); err != nil {
		return nil, pathErr("lock", name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clean := path.Clean("/" + name)
	if a.locks[clean] {
		return nil, pathErr("lock", name, vfs.ErrLocked)
	}
	a.locks[clean] = true
	return &closer{a: a, name: clean}, nil
}

// Protect has nothing to do but to look for the directory: what is in an array is reached
// through its members alone, which were protected when it was opened.
func (a *Array) Protect(dir string) (warning string, err error) {
	st, err := a.Stat(dir)
	if err == nil && !st.Dir {
		err = syscall.ENOTDIR
	}
	return "", pathErr("protect", dir, err)
}

// Usage tells what the array has room for, parity and the smallest member considered.
func (a *Array) Usage(name string) (vfs.Usage, error) {
	a.mu.Lock()
	_, err := a.tree.find(name)
	due := len(a.dead) > 0
	a.mu.Unlock()
	if err != nil {
		return vfs.Usage{}, pathErr("usage", name, err)
	}
	if due {
		_ = a.flush() // gets space back; if it fails there is only less of it
	}
	u, err := a.usage()
	return u, pathErr("usage", name, err)
}

// release gives up one reference to a file. The last one writes out what is in memory;
// what is not in the log stays known until a sync.
func (a *Array) release(n *node, w *work) error {
	a.mu.Lock()
	if n.refs > 1 {
		n.refs--
		a.mu.Unlock()
		return nil
	}
	linked := n.links > 0
	a.mu.Unlock()
	w.io.Lock()
	defer w.io.Unlock()
	var err error
	switch {
	case !linked:
		w.flights.Wait()
	case w.small == nil:
		if err = a.flushAll(n, w); err == nil {
			a.dropClean(w)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.refs--; n.refs > 0 {
		return err
	}
	switch {
	case n.links == 0:
		a.orphanLocked(n)
		return err
	case err != nil || w.changed || w.dirty || n.size.Load() != n.logged:
		a.unsynced[n] = true
		return err
	}
	delete(a.unsynced, n)
	w.closeFiles()
	n.work = nil
	return err
}

func (w *work) closeFiles() {
	for i := range w.columns {
		c := &w.columns[i]
		c.mu.Lock()
		c.close()
		c.mu.Unlock()
	}
}
