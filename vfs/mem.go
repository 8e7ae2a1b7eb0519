package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that knows, besides what a running process sees, what
// would be there after a power cut. Every change and every sync is a numbered step;
// StopAfter cuts the power at one of them and CrashClone gives a disk as it may look
// afterwards. Relative names start at the root. All methods may be called at the same time.
type Mem struct {
	mu       sync.Mutex
	root     *node
	pending  []*effect // what no sync has made durable yet, oldest first
	steps    int
	stopAt   int // number of steps after which the power is off; -1 never
	stopped  bool
	temp     uint64
	locks    map[*node]bool
	roots    map[string]bool // protected directories
	capacity int64           // bytes; 0 unlimited
	used     int64
}

// ErrPowerOff is what every operation on a Mem returns after its power was cut.
var ErrPowerOff = errors.New("vfs: the power is off")

// node is a file or a directory.
type node struct {
	dir     bool
	link    string // where a symbolic link points
	links   int
	mod     int64 // step of the last change
	entries map[string]*node
	durable map[string]*node // entries after a power cut in which nothing unsynced was kept
	live    image
	stable  image // contents after such a power cut
}

func newDir() *node {
	return &node{dir: true, links: 1, entries: map[string]*node{}, durable: map[string]*node{}}
}

// NewMem makes an empty file system without a limit on space.
func NewMem() *Mem {
	return &Mem{root: newDir(), stopAt: -1, locks: map[*node]bool{}, roots: map[string]bool{}}
}

// SetCapacity limits the bytes in all files; writes beyond it give ENOSPC after writing
// what fits. 0 is no limit.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Steps counts the changes and syncs so far.
func (m *Mem) Steps() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps
}

// StopAfter cuts the power after n steps in all: later operations give ErrPowerOff and
// change nothing.
func (m *Mem) StopAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopAt = n
}

// Stopped reports whether an operation has met the power cut.
func (m *Mem) Stopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}

// stepLocked counts a step that is about to happen.
func (m *Mem) stepLocked() error {
	if err := m.powerLocked(m.steps + 1); err != nil {
		return err
	}
	m.steps++
	return nil
}

func (m *Mem) powerLocked(steps int) error {
	if m.stopAt >= 0 && steps > m.stopAt {
		m.stopped = true
		return ErrPowerOff
	}
	return nil
}

// readLocked lets a reading operation pass unless the power is off.
func (m *Mem) readLocked() error {
	if m.stopped {
		return ErrPowerOff
	}
	return nil
}

func pathErr(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func clean(name string) string { return path.Clean("/" + name) }

// parentLocked gives the directory of a name and its last component.
func (m *Mem) parentLocked(name string) (*node, string, error) {
	dir, base := path.Split(clean(name))
	if base == "" {
		return nil, "", fs.ErrInvalid
	}
	d, err := m.walkLocked(dir, true, 0)
	if err != nil {
		return nil, "", err
	}
	if !d.dir {
		return nil, "", syscall.ENOTDIR
	}
	return d, base, nil
}

// Open opens a file; its File refuses writes.
func (m *Mem) Open(name string) (File, error) { return m.open("open", name, false) }

// OpenWrite opens a file for reading and writing.
func (m *Mem) OpenWrite(name string) (File, error) { return m.open("open", name, true) }

func (m *Mem) open(op, name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.readLocked(); err != nil {
		return nil, pathErr(op, name, err)
	}
	n, err := m.findLocked(name)
	if err == nil && n.dir && write {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathErr(op, name, err)
	}
	return &memFile{m: m, n: n, name: name, write: write}, nil
}

// Create makes a file.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.createLocked(name)
	if err != nil {
		return nil, pathErr("create", name, err)
	}
	return &memFile{m: m, n: n, name: name, write: true}, nil
}

func (m *Mem) createLocked(name string) (*node, error) {
	if err := m.readLocked(); err != nil {
		return nil, err
	}
	d, base, err := m.parentLocked(name)
	if err != nil {
		return nil, err
	}
	if d.entries[base] != nil {
		return nil, fs.ErrExist
	}
	n := &node{}
	return n, m.addLocked(d, base, n)
}

func (m *Mem) addLocked(d *node, base string, n *node) error {
	if err := m.stepLocked(); err != nil {
		return err
	}
	d.entries[base] = n
	n.links++
	n.mod = int64(m.steps)
	m.effectLocked(&effect{kind: effectAdd, dir: d, name: base, node: n})
	return nil
}

// MkdirAll makes a directory and its parents.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.readLocked(); err != nil {
		return pathErr("mkdir", dir, err)
	}
	if err := m.mkdirLocked(clean(dir)); err != nil {
		return pathErr("mkdir", dir, err)
	}
	return nil
}

func (m *Mem) mkdirLocked(dir string) error {
	n, err := m.walkLocked(dir, true, 0)
	if err == nil && !n.dir {
		return syscall.ENOTDIR
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.mkdirLocked(path.Dir(dir)); err != nil {
		return err
	}
	d, base, err := m.parentLocked(dir)
	if err != nil {
		return err
	}
	if d.entries[base] != nil {
		return fs.ErrExist // a link to nothing
	}
	child := newDir()
	child.links = 0
	if err := m.addLocked(d, base, child); err != nil {
		return err
	}
	return m.syncDirLocked(d)
}

// Remove removes a file or an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.removeLocked(name); err != nil {
		return pathErr("remove", name, err)
	}
	return nil
}

func (m *Mem) removeLocked(name string) error {
	if err := m.readLocked(); err != nil {
		return err
	}
	d, base, err := m.parentLocked(name)
	if err != nil {
		return err
	}
	n := d.entries[base]
	if n == nil {
		return fs.ErrNotExist
	}
	if len(n.entries) > 0 {
		return syscall.ENOTEMPTY
	}
	if err := m.stepLocked(); err != nil {
		return err
	}
	delete(d.entries, base)
	m.unlinkLocked(n)
	m.effectLocked(&effect{kind: effectRemove, dir: d, name: base, node: n})
	return nil
}

func (m *Mem) unlinkLocked(n *node) {
	if n.links--; n.links == 0 {
		m.used -= n.live.size
	}
}

// Rename moves a file or directory. It replaces a file, and an empty directory by a directory.
func (m *Mem) Rename(old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.renameLocked(old, new); err != nil {
		return pathErr("rename", old, fmt.Errorf("to %s: %w", new, err))
	}
	return nil
}

func (m *Mem) renameLocked(old, new string) error {
	if err := m.readLocked(); err != nil {
		return err
	}
	from, base, err := m.parentLocked(old)
	if err != nil {
		return err
	}
	to, newBase, err := m.parentLocked(new)
	if err != nil {
		return err
	}
	n, target := from.entries[base], to.entries[newBase]
	switch {
	case n == nil:
		return fs.ErrNotExist
	case n == target:
		return nil
	case target != nil && target.dir && !n.dir:
		return syscall.EISDIR
	case target != nil && !target.dir && n.dir:
		return syscall.ENOTDIR
	case target != nil && len(target.entries) > 0:
		return syscall.ENOTEMPTY
	case n.dir && strings.HasPrefix(clean(new)+"/", clean(old)+"/"):
		return syscall.EINVAL
	}
	if err := m.stepLocked(); err != nil {
		return err
	}
	if target != nil {
		m.unlinkLocked(target)
	}
	delete(from.entries, base)
	to.entries[newBase] = n
	m.effectLocked(&effect{kind: effectRename, dir: from, name: base, node: n, toDir: to, toName: newBase})
	return nil
}

// Link gives a file another name.
func (m *Mem) Link(old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.readLocked()
	var n, d *node
	var base string
	if err == nil {
		if d, base, err = m.parentLocked(old); err == nil {
			if n = d.entries[base]; n == nil {
				err = fs.ErrNotExist
			}
		}
	}
	if err == nil && n.dir {
		err = syscall.EPERM
	}
	if err == nil {
		d, base, err = m.parentLocked(new)
	}
	if err == nil && d.entries[base] != nil {
		err = fs.ErrExist
	}
	if err == nil {
		err = m.addLocked(d, base, n)
	}
	if err != nil {
		return pathErr("link", old, fmt.Errorf("to %s: %w", new, err))
	}
	return nil
}

// ReadDir lists a directory.
func (m *Mem) ReadDir(dir string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.readLocked()
	var d *node
	if err == nil {
		d, err = m.walkLocked(dir, true, 0)
	}
	if err == nil && !d.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathErr("readdir", dir, err)
	}
	list := make([]Entry, 0, len(d.entries))
	for name, n := range d.entries {
		list = append(list, n.entry(name))
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (n *node) entry(name string) Entry {
	// The clock of a Mem is its step counter.
	return Entry{Name: name, Size: n.live.size, Dir: n.dir, ModTime: time.UnixMilli(n.mod)}
}

// Stat describes a name.
func (m *Mem) Stat(name string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.readLocked()
	var n *node
	if err == nil {
		n, err = m.walkLocked(name, true, 0)
	}
	if err != nil {
		return Entry{}, pathErr("stat", name, err)
	}
	return n.entry(path.Base(clean(name))), nil
}

// SyncDir makes a directory's names durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.readLocked()
	var d *node
	if err == nil {
		d, err = m.walkLocked(dir, true, 0)
	}
	if err == nil && !d.dir {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = m.syncDirLocked(d)
	}
	if err != nil {
		return pathErr("syncdir", dir, err)
	}
	return nil
}

// Publish replaces a file; each of its parts is a step of its own.
func (m *Mem) Publish(name string, write func(w io.Writer) error) error {
	m.mu.Lock()
	m.temp++
	temp := TempName(name, m.temp)
	m.mu.Unlock()
	return PublishWith(m, name, temp, write)
}

// Lock locks a file against other Lock calls on this Mem. A crash clone has no locks.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.readLocked()
	var n *node
	if err == nil {
		n, err = m.findLocked(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		n, err = m.createLocked(name)
	}
	if err == nil && m.locks[n] {
		err = ErrLocked
	}
	if err != nil {
		return nil, pathErr("lock", name, err)
	}
	m.locks[n] = true
	return &memLock{m: m, n: n, name: name}, nil
}

type memLock struct {
	m    *Mem
	n    *node
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.n == nil {
		return fs.ErrClosed
	}
	delete(l.m.locks, l.n)
	l.n = nil
	return nil
}

// Usage tells the capacity set, or a tebibyte.
func (m *Mem) Usage(name string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.readLocked(); err != nil {
		return Usage{}, pathErr("statfs", name, err)
	}
	if _, err := m.walkLocked(name, true, 0); err != nil {
		return Usage{}, pathErr("statfs", name, err)
	}
	c := m.capacity
	if c == 0 {
		c = 1 << 40
	}
	return Usage{Capacity: c, Free: max(0, c-m.used)}, nil
}
