// Package faultfs wraps a vfs.FS and makes chosen operations fail as disks do: reads
// that give EIO, writes that stop half-way, a full disk, an fsync that fails and drops
// the data, calls that hang. It also records every operation, so that a test can compare
// the order of I/O with a reviewed file.
package faultfs

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"

	"redoubt/vfs"
)

// Kind says which call an operation is.
type Kind string

// The kinds of operations, as a trace prints them.
const (
	Open     Kind = "open"
	Create   Kind = "create"
	Mkdir    Kind = "mkdir"
	Remove   Kind = "remove"
	Rename   Kind = "rename"
	Link     Kind = "link"
	ReadDir  Kind = "readdir"
	Stat     Kind = "stat"
	SyncDir  Kind = "syncdir"
	Lock     Kind = "lock"
	Protect  Kind = "protect"
	Usage    Kind = "usage"
	Read     Kind = "read"
	Write    Kind = "write"
	Sync     Kind = "sync"
	Truncate Kind = "truncate"
	Size     Kind = "size"
	Close    Kind = "close"
)

// Op is one operation about to happen. Publish shows as its parts.
type Op struct {
	Index int // 0 for the first operation of this FS
	Kind  Kind
	Name  string
	To    string // of Rename and Link
	Off   int64  // of Read and Write; the size for Truncate
	Len   int
}

// Changes says whether the operation changes the disk or makes it durable.
func (o Op) Changes() bool {
	switch o.Kind {
	case Create, Mkdir, Remove, Rename, Link, SyncDir, Write, Sync, Truncate:
		return true
	}
	return false
}

// String is the operation's line in a trace, without its index.
func (o Op) String() string {
	switch o.Kind {
	case Rename, Link:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.To)
	case Read, Write:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Name, o.Off, o.Len)
	case Truncate:
		return fmt.Sprintf("%s %s %d", o.Kind, o.Name, o.Off)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Name)
}

// Fault is what happens to an operation instead of, or before, its success. The zero
// Fault is none.
type Fault struct {
	// Err fails the operation. A write first does its first Half bytes, the rest not.
	Err  error
	Half int
	// DropData makes a failed Sync lose what was not yet durable for ever, although it
	// can still be read: the page cache after a failed write-back. It needs a vfs.Mem
	// below; other file systems keep the data.
	DropData bool
	// Flip, for reads that succeed: this byte of the answer, counted from 1, is inverted.
	Flip int
	// Stall holds the operation until the channel is closed.
	Stall <-chan struct{}
}

// Hook decides about each operation. It is called on the goroutine of the operation,
// at the same time from several of them.
type Hook func(op Op) Fault

// FS is a file system with faults. Its methods may be called at the same time.
type FS struct {
	inner vfs.FS

	mu    sync.Mutex
	next  int
	hook  Hook
	trace []Op
	temp  uint64
}

// New wraps inner; nothing fails until SetHook.
func New(inner vfs.FS) *FS { return &FS{inner: inner} }

// SetHook replaces the hook; nil is none.
func (f *FS) SetHook(h Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

// Ops counts the operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

// Trace gives the operations so far.
func (f *FS) Trace() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.trace...)
}

// ResetTrace forgets the operations so far; their count goes on.
func (f *FS) ResetTrace() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = nil
}

// TraceText gives the operations that change the disk, a line each, for golden files.
func (f *FS) TraceText() string {
	var b strings.Builder
	for _, op := range f.Trace() {
		if op.Changes() {
			b.WriteString(op.String())
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// FailOn fails operations with err while match says so.
func FailOn(err error, match func(Op) bool) Hook {
	return func(op Op) Fault {
		if match(op) {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// FailAt fails the operation with this index, and with sticky all that follow: EIO.
func FailAt(index int, sticky bool) Hook {
	return FailOn(syscall.EIO, func(op Op) bool {
		return op.Index == index || sticky && op.Index > index
	})
}

// Under matches operations on dir or below it.
func Under(dir string) func(Op) bool {
	dir = strings.TrimSuffix(dir, "/")
	return func(op Op) bool {
		return op.Name == dir || strings.HasPrefix(op.Name, dir+"/") || strings.HasPrefix(op.To, dir+"/")
	}
}

// enter notes an operation and gives its fault. The stall is over when it returns.
func (f *FS) enter(op Op) Fault {
	f.mu.Lock()
	op.Index = f.next
	f.next++
	f.trace = append(f.trace, op)
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	fault := hook(op)
	if fault.Stall != nil {
		<-fault.Stall
	}
	if fault.Err != nil {
		fault.Err = &pathError{op: op, err: fault.Err}
	}
	return fault
}

// pathError names the operation; it is not an fs.PathError so that tests can tell an
// injected error from a real one.
type pathError struct {
	op  Op
	err error
}

func (e *pathError) Error() string { return e.op.String() + ": " + e.err.Error() + " (injected)" }
func (e *pathError) Unwrap() error { return e.err }

// Open opens a file.
func (f *FS) Open(name string) (vfs.File, error) {
	return f.open(Op{Kind: Open, Name: name}, f.inner.Open)
}

// OpenWrite opens a file for writing.
func (f *FS) OpenWrite(name string) (vfs.File, error) {
	return f.open(Op{Kind: Open, Name: name}, f.inner.OpenWrite)
}

// Create makes a file.
func (f *FS) Create(name string) (vfs.File, error) {
	return f.open(Op{Kind: Create, Name: name}, f.inner.Create)
}

func (f *FS) open(op Op, open func(string) (vfs.File, error)) (vfs.File, error) {
	if fault := f.enter(op); fault.Err != nil {
		return nil, fault.Err
	}
	inner, err := open(op.Name)
	if err != nil {
		return nil, err
	}
	return &file{fs: f, name: op.Name, inner: inner}, nil
}

// MkdirAll makes directories.
func (f *FS) MkdirAll(dir string) error {
	if fault := f.enter(Op{Kind: Mkdir, Name: dir}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.MkdirAll(dir)
}

// Remove removes a name.
func (f *FS) Remove(name string) error {
	if fault := f.enter(Op{Kind: Remove, Name: name}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.Remove(name)
}

// Rename moves a name.
func (f *FS) Rename(old, new string) error {
	if fault := f.enter(Op{Kind: Rename, Name: old, To: new}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.Rename(old, new)
}

// Link makes a second name.
func (f *FS) Link(old, new string) error {
	if fault := f.enter(Op{Kind: Link, Name: old, To: new}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.Link(old, new)
}

// ReadDir lists a directory.
func (f *FS) ReadDir(dir string) ([]vfs.Entry, error) {
	if fault := f.enter(Op{Kind: ReadDir, Name: dir}); fault.Err != nil {
		return nil, fault.Err
	}
	return f.inner.ReadDir(dir)
}

// Stat describes a name.
func (f *FS) Stat(name string) (vfs.Entry, error) {
	if fault := f.enter(Op{Kind: Stat, Name: name}); fault.Err != nil {
		return vfs.Entry{}, fault.Err
	}
	return f.inner.Stat(name)
}

// SyncDir makes a directory's names durable.
func (f *FS) SyncDir(dir string) error {
	if fault := f.enter(Op{Kind: SyncDir, Name: dir}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.SyncDir(dir)
}

// Publish replaces a file; its parts are operations of their own.
func (f *FS) Publish(name string, write func(w io.Writer) error) error {
	f.mu.Lock()
	f.temp++
	temp := vfs.TempName(name, f.temp)
	f.mu.Unlock()
	return vfs.PublishWith(f, name, temp, write)
}

// Lock locks a file.
func (f *FS) Lock(name string) (io.Closer, error) {
	if fault := f.enter(Op{Kind: Lock, Name: name}); fault.Err != nil {
		return nil, fault.Err
	}
	return f.inner.Lock(name)
}

// Protect protects a directory.
func (f *FS) Protect(dir string) (string, error) {
	if fault := f.enter(Op{Kind: Protect, Name: dir}); fault.Err != nil {
		return "", fault.Err
	}
	return f.inner.Protect(dir)
}

// Usage tells the space.
func (f *FS) Usage(name string) (vfs.Usage, error) {
	if fault := f.enter(Op{Kind: Usage, Name: name}); fault.Err != nil {
		return vfs.Usage{}, fault.Err
	}
	return f.inner.Usage(name)
}

// Golden compares a trace with what a reviewed file holds and describes the first difference.
func Golden(got string, want []byte) error {
	if got == string(want) {
		return nil
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(bytes.TrimRight(want, "\n"))+"\n", "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(end)", "(end)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Errorf("faultfs: trace differs in line %d: got %q, want %q; whole trace:\n%s", i+1, a, b, got)
		}
	}
	return nil
}

var _ vfs.FS = (*FS)(nil)

// Base gives the file names in a trace without their directories, where those vary.
func Base(trace string) string {
	var out []string
	for line := range strings.SplitSeq(trace, "\n") {
		fields := strings.Fields(line)
		for i := range fields {
			if strings.Contains(fields[i], "/") {
				fields[i] = path.Base(fields[i])
			}
		}
		out = append(out, strings.Join(fields, " "))
	}
	return strings.Join(out, "\n")
}
