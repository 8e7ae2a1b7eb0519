package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"redoubt/dfs"
)

// trasher is a file system with a trash: HDFS.
type trasher interface {
	// trashInterval is how long the trash keeps things; 0 means that there is none.
	trashInterval(ctx context.Context) (time.Duration, error)
	mkdirAs(ctx context.Context, path string, mode dfs.Mode) (bool, error)
	renameToTrash(ctx context.Context, src, dst string) error
}

// toTrash moves an item into its user's trash and tells so. It gives false where there
// is no trash or the item lies in it already.
func (inv *invocation) toTrash(it *item) (bool, error) {
	t, ok := it.fs.(trasher)
	if !ok {
		return false, nil
	}
	interval, err := inv.trashInterval(t)
	if err != nil || interval <= 0 {
		return false, err
	}
	root := "/user/" + inv.user + "/.Trash"
	if strings.HasPrefix(it.path, root+"/") {
		return false, nil
	}
	if strings.HasPrefix(root+"/", strings.TrimSuffix(it.path, "/")+"/") {
		return false, fmt.Errorf("Cannot move %q to the trash, as it contains the trash. Consider using -skipTrash option", it.full())
	}
	dir := root + "/Current" + parentPath(it.path)
	target := path.Join(dir, baseName(it.path))
	for range 2 {
		made, err := t.mkdirAs(inv.ctx, dir, 0o700)
		if dfs.Is(err, dfs.AlreadyExists) || dfs.Is(err, dfs.ParentNotDirectory) {
			// A file stands where a directory is needed: go beside it.
			dir, target = besideFile(inv, it.fs, dir, target)
			continue
		}
		if err != nil || !made {
			return false, fmt.Errorf("Failed to move to trash: %s: %w", it.full(), err)
		}
		break
	}
	base := target
	for {
		if _, err := it.fs.stat(inv.ctx, target); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return false, err
		}
		target = fmt.Sprintf("%s%d", base, time.Now().UnixMilli())
	}
	if err := t.renameToTrash(inv.ctx, it.path, target); err != nil {
		return false, err
	}
	return true, nil
}

// trashInterval asks the server; where that says nothing the configuration counts.
func (inv *invocation) trashInterval(t trasher) (time.Duration, error) {
	d, err := t.trashInterval(inv.ctx)
	if err != nil || d > 0 {
		return d, err
	}
	minutes, err := inv.config.fraction("fs.trash.interval", 0)
	return time.Duration(minutes * float64(time.Minute)), err
}

// besideFile finds the file that stands in the way of dir and puts the time behind its
// name.
func besideFile(inv *invocation, f fileSystem, dir, target string) (string, string) {
	for p := dir; p != "/"; p = path.Dir(p) {
		if st, err := f.stat(inv.ctx, p); err == nil && st.Type != typeDirectory {
			fresh := fmt.Sprintf("%s%d", p, time.Now().UnixMilli())
			return fresh + dir[len(p):], fresh + target[len(p):]
		}
	}
	return dir, target
}

var expungeCmd = &shellCmd{
	name: "expunge", args: "[-immediate] [-fs <path>]",
	help: "Removes trash checkpoints that are old enough and makes a new one of what is in the trash now.\n" +
		"  -immediate  remove all trash now\n  -fs  the file system whose trash it is",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{max: 1, names: []string{"immediate"}, valued: []string{"fs"}}
		_, err := f.parse(args)
		inv.steps.arguments = func([]*item) error { return inv.expunge(f.values["fs"], f.given["immediate"]) }
		return nil, err
	},
}

const checkpointLayout = "060102150405"

func (inv *invocation) expunge(where string, immediate bool) error {
	u := typedURI(where)
	f, err := inv.system(u.scheme, u.authority)
	if err != nil {
		return err
	}
	t, ok := f.(trasher)
	if !ok {
		return nil
	}
	interval, err := inv.trashInterval(t)
	if err != nil {
		return err
	}
	root := "/user/" + inv.user + "/.Trash"
	entries, err := f.list(inv.ctx, root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now := time.Now()
	for _, e := range entries {
		made, err := time.ParseInLocation(checkpointLayout, e.Name[:min(12, len(e.Name))], inv.zone)
		if e.Name == "Current" && !immediate || e.Name != "Current" && err != nil {
			continue
		}
		if immediate || now.Sub(made) > interval {
			if _, err := f.remove(inv.ctx, root+"/"+e.Name, true); err != nil {
				return err
			}
		}
	}
	if immediate || interval <= 0 {
		return nil
	}
	_, err = f.stat(inv.ctx, root+"/Current")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = f.rename(inv.ctx, root+"/Current", root+"/"+now.In(inv.zone).Format(checkpointLayout))
	}
	return err
}
