// Package slowfs puts emulated disks under a vfs.FS: each has a rate in bytes per second
// and a latency, counts what goes over it, and can be pulled out. With it, results of
// measurements depend on the disks one asked for and not on those of the machine.
//
// A disk serves one operation at a time. A read or write takes its bytes divided by the
// rate, and the latency besides when it does not go on where the last one in the same
// file ended, as a head that must seek. A sync and every change of a name take the
// latency. What a kernel answers from memory is free: opening, sizes, listings.
package slowfs

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"redoubt/internal/pace"
	"redoubt/vfs"
)

// Disk is one emulated disk. The zero value is as fast as what is below and has no
// latency. Its methods may be called at the same time.
type Disk struct {
	line    pace.Line
	latency atomic.Int64 // ns
	pulled  atomic.Bool

	bytesRead, bytesWritten atomic.Int64
	reads, writes, syncs    atomic.Int64
	seeks                   atomic.Int64
}

// NewDisk makes a disk of bytesPerSecond (0: unlimited) and a latency.
func NewDisk(bytesPerSecond int64, latency time.Duration) *Disk {
	d := &Disk{}
	d.SetLimits(bytesPerSecond, latency)
	return d
}

// SetLimits changes the rate and the latency for the operations that come.
func (d *Disk) SetLimits(bytesPerSecond int64, latency time.Duration) {
	d.line.SetRate(bytesPerSecond)
	d.latency.Store(int64(max(0, latency)))
}

// Pull makes every operation fail with EIO until the disk is plugged in again; its files
// stay as they are.
func (d *Disk) Pull() { d.pulled.Store(true) }

// Plug ends what Pull began.
func (d *Disk) Plug() { d.pulled.Store(false) }

// Counters are what went over a disk since it was made.
type Counters struct {
	BytesRead    int64 `json:"bytesRead"`
	BytesWritten int64 `json:"bytesWritten"`
	Reads        int64 `json:"reads"`
	Writes       int64 `json:"writes"`
	Syncs        int64 `json:"syncs"`
	Seeks        int64 `json:"seeks"` // operations that paid the latency
}

// Add gives the sum of both.
func (c Counters) Add(o Counters) Counters {
	return Counters{c.BytesRead + o.BytesRead, c.BytesWritten + o.BytesWritten, c.Reads + o.Reads, c.Writes + o.Writes, c.Syncs + o.Syncs, c.Seeks + o.Seeks}
}

// Sub gives what came since o.
func (c Counters) Sub(o Counters) Counters {
	return Counters{c.BytesRead - o.BytesRead, c.BytesWritten - o.BytesWritten, c.Reads - o.Reads, c.Writes - o.Writes, c.Syncs - o.Syncs, c.Seeks - o.Seeks}
}

// Counters gives the present counts.
func (d *Disk) Counters() Counters {
	return Counters{d.bytesRead.Load(), d.bytesWritten.Load(), d.reads.Load(), d.writes.Load(), d.syncs.Load(), d.seeks.Load()}
}

// Busy is for how long the disk has worked.
func (d *Disk) Busy() time.Duration { return d.line.Busy() }

// seek is an operation that moves no bytes but costs the latency.
func (d *Disk) seek() error {
	if d.pulled.Load() {
		return syscall.EIO
	}
	d.seeks.Add(1)
	pace.Sleep(d.line.Reserve(0, time.Duration(d.latency.Load())), nil)
	return d.here()
}

// here is EIO when the disk is out.
func (d *Disk) here() error {
	if d.pulled.Load() {
		return syscall.EIO
	}
	return nil
}

// move is a transfer of n bytes.
func (d *Disk) move(n int, sequential bool) error {
	extra := time.Duration(0)
	if !sequential {
		d.seeks.Add(1)
		extra = time.Duration(d.latency.Load())
	}
	pace.Sleep(d.line.Reserve(n, extra), nil)
	return d.here()
}

// FS is a file system over emulated disks. Its methods may be called at the same time.
type FS struct {
	// Volatile ends syncs here: they cost the latency and do not reach what is below. It is
	// for measurements on a disk that is slower than the emulated ones; set it before use.
	Volatile bool

	inner  vfs.FS
	mounts []mount // longest directory first
	free   Disk    // under names without a disk: never limited
	temp   atomic.Uint64
}

type mount struct {
	dir  string
	disk *Disk
}

// New puts disks under inner: each directory, with all that is below it, is on its disk.
// The directory of a name is the longest that fits; names under none are as fast as inner.
func New(inner vfs.FS, disks map[string]*Disk) *FS {
	f := &FS{inner: inner}
	for dir, d := range disks {
		m := mount{path.Clean(dir), d}
		i := 0
		for i < len(f.mounts) && len(f.mounts[i].dir) >= len(m.dir) {
			i++
		}
		f.mounts = append(f.mounts[:i], append([]mount{m}, f.mounts[i:]...)...)
	}
	return f
}

// disk finds the disk of a name.
func (f *FS) disk(name string) *Disk {
	name = path.Clean(name)
	for _, m := range f.mounts {
		if rest, ok := strings.CutPrefix(name, m.dir); ok && (rest == "" || rest[0] == '/' || m.dir == "/") {
			return m.disk
		}
	}
	return &f.free
}

func failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a file for reading.
func (f *FS) Open(name string) (vfs.File, error) { return f.open("open", name, f.inner.Open) }

// OpenWrite opens a file for writing.
func (f *FS) OpenWrite(name string) (vfs.File, error) { return f.open("open", name, f.inner.OpenWrite) }

// Create makes a file.
func (f *FS) Create(name string) (vfs.File, error) {
	if err := f.disk(name).seek(); err != nil {
		return nil, failed("create", name, err)
	}
	return f.open("create", name, f.inner.Create)
}

func (f *FS) open(op, name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	d := f.disk(name)
	if err := d.here(); err != nil {
		return nil, failed(op, name, err)
	}
	inner, err := open(name)
	if err != nil {
		return nil, err
	}
	return &file{disk: d, name: name, inner: inner, volatile: f.Volatile}, nil
}

// change does an operation on a name that costs the latency.
func (f *FS) change(op, name string, do func() error) error {
	if err := f.disk(name).seek(); err != nil {
		return failed(op, name, err)
	}
	return do()
}

// MkdirAll makes directories.
func (f *FS) MkdirAll(dir string) error {
	return f.change("mkdir", dir, func() error { return f.inner.MkdirAll(dir) })
}

// Remove removes a name.
func (f *FS) Remove(name string) error {
	return f.change("remove", name, func() error { return f.inner.Remove(name) })
}

// Rename moves a name. From one disk to another is EXDEV.
func (f *FS) Rename(old, new string) error {
	if f.disk(old) != f.disk(new) {
		return failed("rename", old, syscall.EXDEV)
	}
	return f.change("rename", old, func() error { return f.inner.Rename(old, new) })
}

// Link makes a second name. From one disk to another is EXDEV.
func (f *FS) Link(old, new string) error {
	if f.disk(old) != f.disk(new) {
		return failed("link", old, syscall.EXDEV)
	}
	return f.change("link", old, func() error { return f.inner.Link(old, new) })
}

// SyncDir makes a directory's names durable.
func (f *FS) SyncDir(dir string) error {
	return f.change("sync", dir, func() error {
		f.disk(dir).syncs.Add(1)
		if f.Volatile {
			return nil
		}
		return f.inner.SyncDir(dir)
	})
}

// ReadDir lists a directory.
func (f *FS) ReadDir(dir string) ([]vfs.Entry, error) {
	if err := f.disk(dir).here(); err != nil {
		return nil, failed("readdir", dir, err)
	}
	return f.inner.ReadDir(dir)
}

// Stat describes a name.
func (f *FS) Stat(name string) (vfs.Entry, error) {
	if err := f.disk(name).here(); err != nil {
		return vfs.Entry{}, failed("stat", name, err)
	}
	return f.inner.Stat(name)
}

// Publish replaces a file; its parts are operations of their own.
func (f *FS) Publish(name string, write func(w io.Writer) error) error {
	return vfs.PublishWith(f, name, vfs.TempName(name, f.temp.Add(1)), write)
}

// Lock locks a file.
func (f *FS) Lock(name string) (io.Closer, error) {
	if err := f.disk(name).here(); err != nil {
		return nil, failed("lock", name, err)
	}
	return f.inner.Lock(name)
}

// Protect protects a directory.
func (f *FS) Protect(dir string) (string, error) {
	if err := f.disk(dir).here(); err != nil {
		return "", failed("protect", dir, err)
	}
	return f.inner.Protect(dir)
}

// Usage tells the space.
func (f *FS) Usage(name string) (vfs.Usage, error) {
	if err := f.disk(name).here(); err != nil {
		return vfs.Usage{}, failed("usage", name, err)
	}
	return f.inner.Usage(name)
}

var _ vfs.FS = (*FS)(nil)

// file is an open file on a disk.
type file struct {
	disk  *Disk
	name  string
	inner vfs.File
	next  atomic.Int64 // where the last transfer ended

	volatile bool
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.disk.here(); err != nil {
		return 0, failed("read", f.name, err)
	}
	n, err := f.inner.ReadAt(p, off)
	if n > 0 {
		f.disk.reads.Add(1)
		f.disk.bytesRead.Add(int64(n))
		if gone := f.disk.move(n, f.next.Swap(off+int64(n)) == off); gone != nil {
			return 0, failed("read", f.name, gone)
		}
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.disk.here(); err != nil {
		return 0, failed("write", f.name, err)
	}
	n, err := f.inner.WriteAt(p, off)
	f.disk.writes.Add(1)
	f.disk.bytesWritten.Add(int64(n))
	if gone := f.disk.move(n, f.next.Swap(off+int64(n)) == off); gone != nil {
		return 0, failed("write", f.name, gone)
	}
	return n, err
}

func (f *file) Sync() error {
	if err := f.disk.seek(); err != nil {
		return failed("sync", f.name, err)
	}
	f.disk.syncs.Add(1)
	if f.volatile {
		return nil
	}
	return f.inner.Sync()
}

func (f *file) Truncate(size int64) error {
	if err := f.disk.seek(); err != nil {
		return failed("truncate", f.name, err)
	}
	return f.inner.Truncate(size)
}

func (f *file) Size() (int64, error) {
	if err := f.disk.here(); err != nil {
		return 0, failed("stat", f.name, err)
	}
	return f.inner.Size()
}

func (f *file) Close() error { return f.inner.Close() }

// DropUnsynced passes on what faultfs asks of a vfs.Mem after a failed sync.
func (f *file) DropUnsynced() {
	if d, ok := f.inner.(interface{ DropUnsynced() }); ok {
		d.DropUnsynced()
	}
}

// InPlace fails with the disk, else asks the file below.
func (f *file) InPlace() (bool, error) {
	if err := f.disk.here(); err != nil {
		return false, failed("stat", f.name, err)
	}
	return vfs.InPlace(f.inner)
}
