package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// openNoLink opens with all kinds of sharing, FILE_SHARE_DELETE included, which package os
// leaves out: without it a file that is open can be neither renamed, replaced nor removed,
// and the block store does all three. A link or junction in path's last component is
// refused.
func openNoLink(name, path string, flags int, _ fs.FileMode, _ bool) (*os.File, error) {
	access := uint32(windows.GENERIC_READ)
	if flags&os.O_RDWR != 0 {
		access |= windows.GENERIC_WRITE
	}
	how := uint32(windows.OPEN_EXISTING)
	switch {
	case flags&os.O_EXCL != 0:
		how = windows.CREATE_NEW
	case flags&os.O_CREATE != 0:
		how = windows.OPEN_ALWAYS
	}
	for try := 0; ; try++ {
		h, err := createFile(path, access, how, windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS)
		if err == nil {
			if err = refuseLink(h); err == nil {
				return os.NewFile(uintptr(h), name), nil
			}
			_ = windows.CloseHandle(h)
			return nil, err
		}
		if errors.Is(err, windows.ERROR_PATH_NOT_FOUND) && belowFile(path) {
			return nil, syscall.ENOTDIR
		}
		if err = meaning(err); !scarce(err, try) {
			return nil, err
		}
	}
}

func refuseLink(h windows.Handle) error {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return err
	}
	if info.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return syscall.ELOOP
	}
	return nil
}

func createFile(name string, access, how, attributes uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return windows.InvalidHandle, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(p, access, share, nil, how, attributes, 0)
}

// belowFile: the nearest thing above name that exists is not a directory.
func belowFile(name string) bool {
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil {
			return !st.IsDir()
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// rename replaces a file that is open as well: MoveFileEx refuses that, a rename with
// POSIX semantics (NTFS since Windows 10 1607) does it.
func rename(old, new string) error {
	err := move(old, new)
	if err != nil {
		return unixErr(&os.LinkError{Op: "rename", Old: old, New: new, Err: err})
	}
	return nil
}

func move(old, new string) error {
	from, err := windows.UTF16PtrFromString(old)
	if err != nil {
		return err
	}
	to, err := windows.UTF16FromString(new)
	if err != nil {
		return err
	}
	err = windows.MoveFileEx(from, &to[0], windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
	if err != windows.ERROR_ACCESS_DENIED && err != windows.ERROR_SHARING_VIOLATION {
		return err
	}
	if st, serr := os.Stat(new); serr != nil || st.IsDir() {
		return err
	}
	if perr := movePosix(old, new); perr != nil {
		return err // the plain move's error says more
	}
	return nil
}

// renameInfo is FILE_RENAME_INFO with room for the longest path.
type renameInfo struct {
	flags  uint32
	root   windows.Handle
	length uint32
	name   [windows.MAX_LONG_PATH]uint16
}

func movePosix(old, new string) error {
	target, err := filepath.Abs(new)
	if err != nil {
		return err
	}
	to, err := windows.UTF16FromString(target)
	if err != nil {
		return err
	}
	info := renameInfo{flags: windows.FILE_RENAME_REPLACE_IF_EXISTS | windows.FILE_RENAME_POSIX_SEMANTICS}
	if len(to) > len(info.name) {
		return windows.ERROR_FILENAME_EXCED_RANGE
	}
	copy(info.name[:], to)
	info.length = uint32(len(to)-1) * 2
	h, err := createFile(old, windows.DELETE|windows.SYNCHRONIZE, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return windows.SetFileInformationByHandle(h, windows.FileRenameInfoEx, (*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
}

// SyncDir flushes the directory's handle, which on NTFS writes the log of names. File
// systems that can't flush a directory (FAT, network shares) keep names as they do: there
// is nothing stronger to ask for.
func (osFS) SyncDir(dir string) error {
	fail := func(err error) error { return unixErr(&fs.PathError{Op: "sync", Path: dir, Err: err}) }
	h, err := createFile(dir, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return fail(err)
	}
	err = windows.FlushFileBuffers(h)
	if cerr := windows.CloseHandle(h); err == nil {
		err = cerr
	}
	switch err {
	case nil, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_ACCESS_DENIED:
		return nil
	}
	return fail(err)
}

// flock locks a byte that no file reaches: locks are mandatory here, and who is refused
// wants to read who holds the lock.
func flock(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return ErrLocked
	}
	return err
}

// Usage asks for the volume that holds name.
func (osFS) Usage(name string) (Usage, error) {
	fail := func(err error) (Usage, error) {
		return Usage{}, unixErr(&fs.PathError{Op: "disk space", Path: name, Err: err})
	}
	st, err := os.Stat(name)
	if err != nil {
		return Usage{}, err
	}
	dir := name
	if !st.IsDir() {
		dir = filepath.Dir(name)
	}
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return fail(err)
	}
	var free, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, &total, &all); err != nil {
		return fail(err)
	}
	return Usage{Capacity: int64(total), Free: int64(free)}, nil
}

// WriteAt says "no space" as every other system does.
func (f osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, unixErr(err)
}

// Truncate does so too.
func (f osFile) Truncate(size int64) error {
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.Name(), Err: syscall.EINVAL}
	}
	return unixErr(f.File.Truncate(size))
}

// Sync flushes the file's bytes, its size and the disk's cache.
func (f osFile) Sync() error { return unixErr(f.File.Sync()) }

// unixErrors are the errors that the packages above tell apart, by what Windows says.
var unixErrors = map[error]syscall.Errno{
	windows.ERROR_DISK_FULL:           syscall.ENOSPC,
	windows.ERROR_HANDLE_DISK_FULL:    syscall.ENOSPC,
	windows.ERROR_DISK_QUOTA_EXCEEDED: syscall.EDQUOT,
	windows.ERROR_DIR_NOT_EMPTY:       syscall.ENOTEMPTY,
	windows.ERROR_DIRECTORY:           syscall.ENOTDIR,
	windows.ERROR_TOO_MANY_OPEN_FILES: syscall.EMFILE,
	windows.ERROR_NO_SYSTEM_RESOURCES: syscall.ENFILE,
}

// meaning gives an error of Windows its meaning on Unix too, where it has one.
func meaning(err error) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	if unix, ok := unixErrors[errno]; ok {
		return alsoUnix{err, unix}
	}
	return err
}

// unixErr makes errors.Is with the Unix error hold, and keeps Windows' words.
func unixErr(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		path.Err = meaning(path.Err)
	case errors.As(err, &link):
		link.Err = meaning(link.Err)
	}
	return err
}

// alsoUnix is an error of Windows with its meaning on Unix.
type alsoUnix struct {
	error
	unix syscall.Errno
}

func (e alsoUnix) Unwrap() error        { return e.error }
func (e alsoUnix) Is(target error) bool { return target == e.unix }

// nonBlock has no meaning here.
const nonBlock = 0

// modesCount: who may read a file is what its access control list says, which it inherits
// from its directory. Modes change nothing.
const modesCount = false

// lockable takes what openNoLink has opened unless it is no file.
func lockable(f *os.File) error {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	return err
}

// owner is not asked for: see modesCount.
func owner(fs.FileInfo) (uid int, ok bool) { return 0, false }

func userName(uid int) string { return "user " + strconv.Itoa(uid) }
