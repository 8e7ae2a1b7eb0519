package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"redoubt/internal/hadoopconf"
)

var mkdirCmd = &shellCmd{
	name: "mkdir", args: "[-p] <path> ...",
	help: "Makes directories.\n  -p  parents too, and no error when it is there",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"p"}}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error {
			if !it.isDir() {
				return notDirectory(it.String())
			}
			if !f.given["p"] {
				return fileExists(it.String())
			}
			return nil
		}
		inv.steps.missing = func(it *item) error {
			if !f.given["p"] {
				dir := parentPath(it.path)
				if ok, err := exists(inv, it.fs, dir); err != nil {
					return err
				} else if !ok {
					return notFound(it.fs.uri() + dir)
				}
			}
			ok, err := it.fs.mkdirs(inv.ctx, it.path)
			if err == nil && !ok {
				err = inputOutput("", it.String())
			}
			return err
		}
		return args, err
	},
}

func exists(inv *invocation, f fileSystem, path string) (bool, error) {
	it := &item{fs: f, path: path}
	err := it.refresh(inv.ctx)
	if it.stat == nil && isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

var touchzCmd = &shellCmd{
	name: "touchz", args: "<path> ...",
	help: "Makes empty files; a file that is there must be empty.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error {
			if it.isDir() {
				return isDirectory(it.String())
			}
			if it.stat.Length != 0 {
				return &pathError{path: it.String(), reason: "Not a zero-length file"}
			}
			return inv.touchz(it)
		}
		inv.steps.missing = func(it *item) error {
			if ok, err := it.parentExists(inv.ctx); err != nil {
				return err
			} else if !ok {
				return missingParent(it)
			}
			return inv.touchz(it)
		}
		return args, err
	},
}

func (inv *invocation) touchz(it *item) error {
	w, err := it.fs.create(inv.ctx, it.path, createOptions{overwrite: true})
	if err != nil {
		return err
	}
	return w.Close()
}

var touchCmd = &shellCmd{
	name: "touch", args: "[-a] [-m] [-t TIMESTAMP (yyyyMMdd:HHmmss) ] [-c] <path> ...",
	help: "Sets access and modification times to now and makes files that are missing.\n  -a  access time alone\n" +
		"  -m  modification time alone\n  -t  this time\n  -c  make no file",
	setup: setupTouch,
}

func setupTouch(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: -1, names: []string{"a", "m", "c"}, valued: []string{"t"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	touch := func(it *item) error {
		now := time.Now().UnixMilli()
		if s := f.values["t"]; s != "" {
			t, err := time.ParseInLocation("20060102:150405", s, inv.zone)
			if err != nil {
				return usagef("Unable to parse the specified timestamp %s. The expected format is yyyyMMdd:HHmmss", s)
			}
			now = t.UnixMilli()
		}
		mtime, atime := now, now
		if f.given["a"] != f.given["m"] {
			if f.given["a"] {
				mtime = -1
			} else {
				atime = -1
			}
		}
		return it.fs.setTimes(inv.ctx, it.path, mtime, atime)
	}
	inv.steps.path = touch
	inv.steps.missing = func(it *item) error {
		if ok, err := it.parentExists(inv.ctx); err != nil {
			return err
		} else if !ok {
			return missingParent(it)
		}
		if f.given["c"] {
			return nil
		}
		if err := inv.touchz(it); err != nil {
			return err
		}
		return touch(it)
	}
	return args, nil
}

var appendCmd = &shellCmd{
	name: "appendToFile", args: "[-n] <localsrc> ... <dst>",
	help: "Appends local files to a file, which is made if missing; - is standard input.\n  -n  begin with a new block",
	setup: func(inv *invocation, args []string) ([]string, error) {
		if len(args) < 2 {
			return nil, errors.New("missing destination argument")
		}
		f := flags{min: 2, max: -1, names: []string{"n"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		c := &copier{invocation: inv}
		stdin := false
		inv.steps.expand = func(arg string) ([]*item, error) {
			if arg == "-" {
				stdin = true
				return nil, nil
			}
			it, err := inv.localItem(inv.ctx, arg)
			return []*item{it}, err
		}
		inv.steps.arguments = func(items []*item) error { return inv.append(c.dst, items, stdin, f.given["n"]) }
		return c.remoteDestination(args)
	},
}

// append writes the sources to the end of dst.
func (inv *invocation) append(dst *item, items []*item, stdin, newBlock bool) (err error) {
	if dst.stat == nil {
		w, err := dst.fs.create(inv.ctx, dst.path, createOptions{})
		if err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	out, err := dst.fs.appendTo(inv.ctx, dst.path, newBlock)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	buf := make([]byte, 1<<20)
	if stdin {
		if len(items) > 0 {
			return errors.New("stdin (-) must be the sole input argument when present")
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, plainReader{inv.ctx, inv.stdin}, buf)
		return err
	}
	for _, src := range items {
		in, err := os.Open(osPath(src.path))
		if err != nil {
			return openError(src.path, err)
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, plainReader{inv.ctx, in}, buf)
		if errors.Is(err, syscall.EISDIR) {
			err = errors.New("Is a directory")
		}
		if cerr := in.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var setrepCmd = &shellCmd{
	name: "setrep", args: "[-R] [-w] <rep> <path> ...",
	help: "Sets the replication of files, of all files below a directory.\n  -w  wait until it is reached\n  -R  accepted",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 2, max: -1, names: []string{"R", "w"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		n, err := hadoopconf.ParseInt(args[0], 16)
		if err != nil {
			inv.warn("Illegal replication, a positive integer expected")
			return nil, &errUsage{err.Error()}
		}
		if n < 1 {
			return nil, usagef("replication must be >= 1")
		}
		inv.recursive = true
		var wait []*item
		inv.steps.path = func(it *item) error {
			if !it.isFile() {
				return nil
			}
			ok, err := it.fs.setReplication(inv.ctx, it.path, uint16(n))
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("Could not set replication for: %s", it)
			}
			fmt.Fprintf(inv.out, "Replication %d set: %s\n", n, it)
			if f.given["w"] {
				wait = append(wait, it)
			}
			return nil
		}
		inv.steps.arguments = func(items []*item) error {
			if err := inv.processItems(items); err != nil {
				return err
			}
			return inv.waitForReplication(wait, int(n))
		}
		return args[1:], nil
	},
}
