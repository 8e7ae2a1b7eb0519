// Package vfs is the only door to the disk. Everything durable in Redoubt reads and
// writes through an FS, so that the same code runs on the operating system (OS), in
// memory with every legal outcome of a power cut (Mem), and under injected faults
// (faultfs). What an FS promises about durability, and no more than that, is:
//
//   - bytes written are durable after File.Sync returned nil;
//   - a name created, renamed or removed is durable after SyncDir of its directory;
//   - a failed Sync means that the data may be gone: the file must not be used on.
//
// Package os is banned outside of vfs and cmd by internal/tidy.
package vfs

import (
	"io"
	"io/fs"
	"syscall"
	"time"
)

// FS is a file system. Names are slash-separated and absolute or relative to the
// process as the operating system has it. A last component that is a symbolic link is never
// opened, locked or replaced by what it points to: that is ErrLink. Errors are *fs.PathError (or wrap one), so
// errors.Is with fs.ErrNotExist, fs.ErrExist and syscall.ENOSPC works. Methods may be
// called at the same time.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing; its contents stay.
	OpenWrite(name string) (File, error)
	// Create makes a new, empty file for reading and writing. The name must not exist.
	Create(name string) (File, error)
	// MkdirAll makes a directory and its missing parents and syncs the parents.
	MkdirAll(dir string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Rename moves old to new, which is replaced if it is a file. Only vfs, the
	// set-aside of damaged files and blockstore's finalize use it directly:
	// whole files are published by Publish.
	Rename(old, new string) error
	// Link makes new another name of the file old.
	Link(old, new string) error
	// ReadDir lists a directory in name order.
	ReadDir(dir string) ([]Entry, error)
	// Stat describes a file or directory.
	Stat(name string) (Entry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Publish replaces the file name atomically and durably with what write writes:
	// temporary file beside it, write, sync, rename, sync of the directory. When it
	// fails, name is as it was and the temporary file is removed as far as possible.
	Publish(name string, write func(w io.Writer) error) error
	// Lock takes an exclusive lock on the file name, made if missing, until it is
	// closed or the process ends. A lock that is held elsewhere gives ErrLocked.
	Lock(name string) (io.Closer, error)
	// Protect makes an existing directory fit to hold durable files: nobody else may look
	// into it, and from then on no name below it is reached through a symbolic link, nor
	// is one made in a directory that is such a link. The directory itself may be one. A
	// directory of another user than this process's or root is refused, and so is one that
	// stays open to others. warning, if not empty, tells what is still amiss around it.
	Protect(dir string) (warning string, err error)
	// Usage tells capacity and free bytes of the device that holds name.
	Usage(name string) (Usage, error)
}

// File is an open file. Reads and writes at offsets may run at the same time.
// WriteAt past the end extends the file with zeroes.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and size durable.
	Sync() error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size gives the size in bytes.
	Size() (int64, error)
}

// Entry describes a name in a directory.
type Entry struct {
	Name    string // the last component
	Size    int64
	Dir     bool
	ModTime time.Time
}

// Usage of a device in bytes.
type Usage struct {
	Capacity int64
	Free     int64 // for unprivileged users, as df shows it
}

// ErrLink says that a symbolic link stands where a file or directory of ours should.
var ErrLink error = linked{}

type linked struct{}

func (linked) Error() string {
	return "a symbolic link is in the way: durable files are not reached through links"
}
func (linked) Is(target error) bool { return target == syscall.ELOOP }

// ErrLocked says that somebody else holds a lock.
var ErrLocked error = lockedError{}

type lockedError struct{}

func (lockedError) Error() string        { return "locked by another process" }
func (lockedError) Is(target error) bool { return target == fs.ErrPermission }
