package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"redoubt/dfs"
)

// item is a path that a command works on: how the user wrote it, where it is, and what
// is there.
type item struct {
	fs    fileSystem
	typed uri             // shown to the user
	path  string          // absolute and clean
	stat  *dfs.FileStatus // nil when nothing is there
}

// String shows the path as the user typed it or, below an argument, as its continuation.
func (it *item) String() string { return it.typed.String() }

// full is the path with scheme and authority.
func (it *item) full() string {
	if it.fs.uri() == "file:" {
		return "file://" + it.path
	}
	return it.fs.uri() + it.path
}

func (it *item) isDir() bool  { return it.stat != nil && it.stat.Type == typeDirectory }
func (it *item) isFile() bool { return it.stat != nil && it.stat.Type == typeFile }

// newItem makes an item of a path on f with a known status.
func newItem(f fileSystem, typed string, stat *dfs.FileStatus) (*item, error) {
	u := typedURI(typed)
	p, err := parsePath(typed)
	if err != nil {
		return nil, err
	}
	return &item{fs: f, typed: u, path: joinPath(f.home(), p.path), stat: stat}, nil
}

// refresh looks the path up again.
func (it *item) refresh(ctx context.Context) error {
	stat, err := it.fs.stat(ctx, it.path)
	it.stat = nil
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(it.String())
	}
	if err == nil {
		it.stat = stat
	}
	return err
}

// item looks up a path without glob expansion.
func (sh *shell) item(ctx context.Context, typed string) (*item, error) {
	p, err := parsePath(typed)
	if err != nil {
		return nil, err
	}
	f, err := sh.system(p.scheme, p.authority)
	if err != nil {
		return nil, err
	}
	return lookup(ctx, f, typed)
}

// lookup makes an item on f; nothing being there is no error.
func lookup(ctx context.Context, f fileSystem, typed string) (*item, error) {
	it, err := newItem(f, typed, nil)
	if err != nil {
		return nil, err
	}
	if err := it.refresh(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return it, nil
}

// localItem looks up a path of the local file system; a scheme and authority before it
// are dropped.
func (sh *shell) localItem(ctx context.Context, typed string) (*item, error) {
	u := typedURI(typed)
	if u.path == "" {
		return nil, usagef("Can not create a Path from an empty string")
	}
	return lookup(ctx, sh.local(), u.path)
}

// childName is how a child of the item is shown.
func (it *item) childName(base string) uri {
	u := it.typed
	if it.String() == "." {
		return uri{path: base}
	}
	if !strings.HasSuffix(u.path, "/") {
		u.path += "/"
	}
	u.path += base
	return u
}

// child looks up the entry of this directory that has the base name of other.
func (it *item) child(ctx context.Context, other *item) (*item, error) {
	if it.stat == nil {
		return nil, notFound(it.String())
	}
	if !it.isDir() {
		return nil, notDirectory(it.String())
	}
	return lookup(ctx, it.fs, it.childName(baseName(other.path)).String())
}

// contents lists a directory; its entries continue the way it was typed.
func (it *item) contents(ctx context.Context) ([]*item, error) {
	if it.stat == nil {
		return nil, notFound(it.String())
	}
	if !it.isDir() {
		return nil, notDirectory(it.String())
	}
	stats, err := it.fs.list(ctx, it.path)
	if err != nil {
		return nil, err
	}
	items := make([]*item, len(stats))
	for i := range stats {
		name := stats[i].Name
		items[i] = &item{fs: it.fs, typed: it.childName(name), path: joinPath(it.path, name), stat: &stats[i]}
	}
	return items, nil
}

// suffixed is the path with something appended to its name, looked up.
func (it *item) suffixed(ctx context.Context, suffix string) (*item, error) {
	u := it.typed
	u.path += suffix
	return lookup(ctx, it.fs, u.String())
}

// parentExists reports whether the directory that would hold the path is there. A path
// that ends in a slash or dot names that directory itself.
func (it *item) parentExists(ctx context.Context) (bool, error) {
	dir := parentPath(it.path)
	switch baseName(it.typed.path) {
	case "", ".", "..":
		dir = it.path
	}
	_, err := it.fs.stat(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// looksLikeDir reports whether the typed path can only mean a directory.
func (it *item) looksLikeDir() bool {
	switch baseName(it.typed.path) {
	case "", ".", "..":
		return true
	}
	return false
}

// sortItems puts items in path order.
func sortItems(items []*item) {
	slices.SortStableFunc(items, comparePaths)
}

func comparePaths(a, b *item) int { return compareUTF16(sortKey(a.path), sortKey(b.path)) }
