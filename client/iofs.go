package client

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"redoubt/dfs"
)

// FS gives the file system below root as an io/fs.FS that also is a ReadDirFS, a StatFS
// and a ReadFileFS. The context ends everything read through it.
func (c *Client) FS(ctx context.Context, root string) fs.FS { return &view{c, ctx, root} }

type view struct {
	c    *Client
	ctx  context.Context
	root string
}

var (
	_ fs.ReadDirFS  = (*view)(nil)
	_ fs.StatFS     = (*view)(nil)
	_ fs.ReadFileFS = (*view)(nil)
)

func (v *view) resolve(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(v.root, name), nil
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a file or directory.
func (v *view) Open(name string) (fs.File, error) {
	p, err := v.resolve("open", name)
	if err != nil {
		return nil, err
	}
	st, err := v.c.Stat(v.ctx, p)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	info := &fileInfo{path.Base(name), st}
	if st.Type == dfs.TypeDirectory {
		return &openDir{v: v, name: name, info: info}, nil
	}
	f, err := v.c.Open(v.ctx, p)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &openFile{File: f, info: info}, nil
}

// Stat describes a name.
func (v *view) Stat(name string) (fs.FileInfo, error) {
	p, err := v.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	st, err := v.c.Stat(v.ctx, p)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return &fileInfo{path.Base(name), st}, nil
}

// ReadDir lists a directory in name order.
func (v *view) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := v.resolve("readdir", name)
	if err != nil {
		return nil, err
	}
	list, err := v.c.List(v.ctx, p)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	out := make([]fs.DirEntry, 0, len(list))
	for i := range list {
		if list[i].Name == "" {
			return nil, pathError("readdir", name, errors.New("not a directory"))
		}
		out = append(out, fs.FileInfoToDirEntry(&fileInfo{list[i].Name, &list[i]}))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }) // HDFS has another order
	return out, nil
}

// ReadFile reads a whole file.
func (v *view) ReadFile(name string) ([]byte, error) {
	p, err := v.resolve("read", name)
	if err != nil {
		return nil, err
	}
	f, err := v.c.Open(v.ctx, p)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	defer f.Close() // never fails
	buf := make([]byte, f.Size())
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, pathError("read", name, err)
	}
	return buf, nil
}

// openFile is a File with its description.
type openFile struct {
	*File
	info *fileInfo
}

func (o *openFile) Stat() (fs.FileInfo, error) { return o.info, nil }

// openDir is a directory being listed.
type openDir struct {
	v      *view
	name   string
	info   *fileInfo
	listed bool
	rest   []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir gives the next n entries, all of them when n is not positive.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.listed {
		list, err := d.v.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest, d.listed = list, true
	}
	if n <= 0 {
		out := d.rest
		d.rest = nil
		return out, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}

// fileInfo is a FileStatus as io/fs wants it; Sys gives the *dfs.FileStatus.
type fileInfo struct {
	name string
	st   *dfs.FileStatus
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.st.Length }
func (i *fileInfo) ModTime() time.Time { return time.UnixMilli(i.st.ModTime) }
func (i *fileInfo) IsDir() bool        { return i.st.Type == dfs.TypeDirectory }
func (i *fileInfo) Sys() any           { return i.st }
func (i *fileInfo) Mode() fs.FileMode {
	m := fs.FileMode(i.st.Mode & 0o777)
	if i.st.Mode&dfs.Sticky != 0 {
		m |= fs.ModeSticky
	}
	switch i.st.Type {
	case dfs.TypeDirectory:
		m |= fs.ModeDir
	case dfs.TypeSymlink:
		m |= fs.ModeSymlink
	}
	return m
}
