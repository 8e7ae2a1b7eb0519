package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"redoubt/dfs"
)

// errNotEmpty is what removing a directory with something in it gives.
const errNotEmpty = windows.ERROR_DIR_NOT_EMPTY

// osPath is a path of the shell as the operating system wants it: /C:/dir is C:\dir.
func osPath(path string) string { return fromDrivePath(path) }

// slashed is the other way round.
func slashed(path string) string {
	path = filepath.ToSlash(path)
	if p, ok := toDrivePath(path); ok {
		return p
	}
	return path
}

// drivePath finds a path with a drive's letter and gives it as the shell keeps it.
func drivePath(s string) (string, bool) { return toDrivePath(s) }

// describe fills in owner, group and time of the last access. Who may read a security
// descriptor not at all sees a file of nobody.
func (l *localFS) describe(name string, info fs.FileInfo, st *dfs.FileStatus) {
	if sys, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		st.AccessTime = time.Unix(0, sys.LastAccessTime.Nanoseconds()).UnixMilli()
	}
	const wanted = windows.OWNER_SECURITY_INFORMATION | windows.GROUP_SECURITY_INFORMATION
	sd, err := windows.GetNamedSecurityInfo(name, windows.SE_FILE_OBJECT, wanted)
	if err != nil {
		return
	}
	if sid, _, err := sd.Owner(); err == nil {
		st.Owner = l.account(sid)
	}
	if sid, _, err := sd.Group(); err == nil {
		st.Group = l.account(sid)
	}
}

// account is the name of a user or group without its domain, as Java gives it.
func (l *localFS) account(sid *windows.SID) string {
	if sid == nil {
		return ""
	}
	id := sid.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.accounts[id]; ok {
		return n
	}
	name, _, _, err := sid.LookupAccount("")
	if err != nil {
		name = id
	}
	if l.accounts == nil {
		l.accounts = map[string]string{}
	}
	l.accounts[id] = name
	return name
}

func (l *localFS) usage(_ context.Context, path string) (dfs.FsStats, error) {
	fail := func(err error) (dfs.FsStats, error) {
		return dfs.FsStats{}, &fs.PathError{Op: "disk space", Path: path, Err: err}
	}
	p, err := windows.UTF16PtrFromString(osPath(path))
	if err != nil {
		return fail(err)
	}
	var mine, total, free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &mine, &total, &free); err != nil {
		return fail(err)
	}
	return dfs.FsStats{Capacity: int64(total), Used: int64(total - free), Remaining: int64(mine)}, nil
}

// localAccess: may this process do what is wanted? To read a file's data is to list a
// directory's entries here, and to write one is to add one to the other.
func localAccess(path string, want dfs.Access) bool {
	p, err := windows.UTF16PtrFromString(osPath(path))
	if err != nil {
		return false
	}
	var access uint32
	if want&dfs.Read != 0 {
		access |= windows.FILE_READ_DATA
	}
	if want&dfs.Write != 0 {
		access |= windows.FILE_WRITE_DATA
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(p, access, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return false
	}
	return windows.CloseHandle(h) == nil
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var made, ended, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &made, &ended, &kernel, &user) != nil {
		return 0
	}
	ticks := func(t windows.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
	return time.Duration(ticks(kernel)+ticks(user)) * 100
}
