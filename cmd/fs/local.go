package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"redoubt/dfs"
)

// localFS is the machine's own file system as the shell sees it. Hadoop's checksum files
// (.NAME.crc) are hidden from listings and removed with the file that they belong to.
type localFS struct {
	dir  string // working directory
	user string

	mu    sync.Mutex
	names map[[2]uint32]string // {0 user or 1 group, id} -> name

	accounts map[string]string // the same by Windows' SIDs
}

// localBlockSize is what Hadoop reports for local files.
const localBlockSize = 32 << 20

func (l *localFS) uri() string  { return "file:" }
func (l *localFS) home() string { return l.dir }
func (l *localFS) close() error { return nil }

func isCRCFile(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".crc") && len(name) > 5
}

// crcName is where the checksums of what the operating system calls path are.
func crcName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".crc")
}

func (l *localFS) stat(_ context.Context, path string) (*dfs.FileStatus, error) {
	info, err := os.Stat(osPath(path))
	if errors.Is(err, syscall.ENOTDIR) {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File file:" + path + " does not exist", Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	st := l.status(osPath(path), info)
	st.Name = ""
	return st, nil
}

// status describes what the operating system calls name.
func (l *localFS) status(name string, info fs.FileInfo) *dfs.FileStatus {
	st := &dfs.FileStatus{
		Type:        typeFile,
		Name:        info.Name(),
		Length:      info.Size(),
		Mode:        dfs.Mode(info.Mode().Perm()),
		ModTime:     info.ModTime().UnixMilli(),
		Replication: 1,
		BlockSize:   localBlockSize,
	}
	if info.Mode()&fs.ModeSticky != 0 {
		st.Mode |= dfs.Sticky
	}
	if info.IsDir() {
		st.Type = typeDirectory
	}
	l.describe(name, info, st)
	return st
}

func (l *localFS) list(_ context.Context, path string) ([]dfs.FileStatus, error) {
	path = osPath(path)
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	out := make([]dfs.FileStatus, 0, len(entries))
	for _, e := range entries {
		if isCRCFile(e.Name()) {
			continue
		}
		full := filepath.Join(path, e.Name())
		info, err := os.Stat(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile, or a dangling link
		}
		if err != nil {
			return nil, err
		}
		st := l.status(full, info)
		st.Name = e.Name()
		out = append(out, *st)
	}
	return out, nil
}

func (l *localFS) open(_ context.Context, path string, _ bool) (fileReader, error) {
	f, err := os.Open(osPath(path))
	if err != nil {
		reason := err.Error()
		var pe *fs.PathError
		if errors.As(err, &pe) {
			reason = strings.ToUpper(pe.Err.Error()[:1]) + pe.Err.Error()[1:]
		}
		return nil, &dfs.Error{Kind: dfs.Other, Path: path, Msg: path + " (" + reason + ")", Err: err}
	}
	return f, nil
}

func (l *localFS) summary(ctx context.Context, path string) (*dfs.ContentSummary, error) {
	sum := &dfs.ContentSummary{NSQuota: -1, DSQuota: -1}
	err := filepath.WalkDir(osPath(path), func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			sum.Directories++
			return ctx.Err()
		}
		if isCRCFile(e.Name()) {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum.Files++
		sum.Length += info.Size()
		sum.Space += info.Size()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

func (l *localFS) create(_ context.Context, path string, opt createOptions) (io.WriteCloser, error) {
	path = osPath(path)
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !opt.overwrite {
		flags |= os.O_EXCL
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flags, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "File already exists: " + path, Err: fs.ErrExist}
	}
	if err != nil {
		return nil, err
	}
	if err := os.Remove(crcName(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Close()
		return nil, err
	}
	if opt.checksums {
		return newCRCWriter(f, crcName(path))
	}
	return f, nil
}

func (l *localFS) appendTo(context.Context, string, bool) (io.WriteCloser, error) {
	return nil, &dfs.Error{Kind: dfs.Unsupported, Msg: "Append is not supported by LocalFileSystem"}
}

func (l *localFS) mkdirs(_ context.Context, path string) (bool, error) {
	err := os.MkdirAll(osPath(path), 0o777)
	if errors.Is(err, syscall.ENOTDIR) {
		return false, &dfs.Error{Kind: dfs.ParentNotDirectory, Path: path, Msg: "Parent path is not a directory: file:" + filepath.Dir(path)}
	}
	return err == nil, err
}

// rename moves into dst when that is a directory, as HDFS does.
func (l *localFS) rename(_ context.Context, src, dst string) (bool, error) {
	src, dst = osPath(src), osPath(dst)
	if info, err := os.Stat(dst); err == nil && info.IsDir() {
		dst = filepath.Join(dst, filepath.Base(src))
	}
	if err := os.Rename(src, dst); err != nil {
		return false, err
	}
	err := os.Rename(crcName(src), crcName(dst))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err == nil, err
}

func (l *localFS) remove(_ context.Context, path string, recursive bool) (bool, error) {
	path = osPath(path)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() && recursive {
		err = os.RemoveAll(path)
	} else if err = os.Remove(path); err == nil && !info.IsDir() {
		if crcErr := os.Remove(crcName(path)); crcErr != nil && !errors.Is(crcErr, fs.ErrNotExist) {
			err = crcErr
		}
	}
	if errors.Is(err, errNotEmpty) {
		return false, fmt.Errorf("Directory %s is not empty", slashed(path))
	}
	return err == nil, err
}

func (l *localFS) chmod(_ context.Context, path string, mode dfs.Mode) error {
	m := fs.FileMode(mode & 0o777)
	if mode&dfs.Sticky != 0 {
		m |= fs.ModeSticky
	}
	return os.Chmod(osPath(path), m)
}

func (l *localFS) chown(_ context.Context, path, owner, group string) error {
	uid, gid := -1, -1
	if owner != "" {
		u, err := user.Lookup(owner)
		if err != nil {
			return fmt.Errorf("chown: invalid user: '%s'", owner)
		}
		uid, err = strconv.Atoi(u.Uid)
		if err != nil {
			return err
		}
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("chown: invalid group: '%s'", group)
		}
		gid, err = strconv.Atoi(g.Gid)
		if err != nil {
			return err
		}
	}
	return os.Chown(osPath(path), uid, gid)
}

func (l *localFS) setTimes(_ context.Context, path string, mtime, atime int64) error {
	var m, a time.Time // zero keeps
	if mtime >= 0 {
		m = time.UnixMilli(mtime)
	}
	if atime >= 0 {
		a = time.UnixMilli(atime)
	}
	return os.Chtimes(osPath(path), a, m)
}

// setReplication has no meaning on a disk and succeeds.
func (l *localFS) setReplication(context.Context, string, uint16) (bool, error) { return true, nil }
