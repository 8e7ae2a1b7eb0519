//go:build unix

package main

import (
	"context"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"redoubt/dfs"
)

// errNotEmpty is what removing a directory with something in it gives.
const errNotEmpty = syscall.ENOTEMPTY

// osPath is a path of the shell as the operating system wants it, and slashed is the other
// way round: the same here.
func osPath(path string) string  { return path }
func slashed(path string) string { return path }

// drivePath finds a path with a drive's letter: there are no drives here.
func drivePath(string) (string, bool) { return "", false }

// describe fills in owner, group and time of the last access.
func (l *localFS) describe(_ string, info fs.FileInfo, st *dfs.FileStatus) {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.Owner = l.name(0, sys.Uid)
		st.Group = l.name(1, sys.Gid)
		st.AccessTime = accessTime(sys).UnixMilli()
	}
}

// name looks up a user (kind 0) or group (kind 1) once.
func (l *localFS) name(kind, id uint32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.names[[2]uint32{kind, id}]; ok {
		return n
	}
	name := strconv.Itoa(int(id))
	if kind == 0 {
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
	} else if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	if l.names == nil {
		l.names = map[[2]uint32]string{}
	}
	l.names[[2]uint32{kind, id}] = name
	return name
}

func (l *localFS) usage(_ context.Context, path string) (dfs.FsStats, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return dfs.FsStats{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	size := int64(s.Bsize)
	return dfs.FsStats{
		Capacity:  int64(s.Blocks) * size,
		Used:      int64(s.Blocks-s.Bfree) * size,
		Remaining: int64(s.Bavail) * size,
	}, nil
}

// localAccess: may this process do what is wanted?
func localAccess(path string, want dfs.Access) bool {
	return syscall.Access(path, uint32(want)) == nil
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
