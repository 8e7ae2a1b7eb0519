package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// copier is the state of a command that has a destination: cp, put, get and mv.
type copier struct {
	*invocation
	dst         *item
	overwrite   bool
	lazyPersist bool
	direct      bool // write under the final name
	noVerify    bool // sources' checksums
	checksums   bool // write .crc files beside local targets
	preserve    string
	// file handles one file; nil copies it.
	file func(src, target *item) error
}

// attach makes the copier's steps those of its invocation.
func (c *copier) attach() {
	c.steps.arguments = c.arguments
	c.steps.found = c.found
	c.steps.path = func(src *item) error {
		target, err := c.target(src)
		if err != nil {
			return err
		}
		return c.one(src, target)
	}
	c.steps.recurse = c.below
}

// remoteDestination takes the last argument; a glob must match exactly one path.
func (c *copier) remoteDestination(args []string) ([]string, error) {
	if len(args) < 2 {
		it, err := c.item(c.ctx, ".")
		c.dst = it
		return args, err
	}
	last := args[len(args)-1]
	items, err := c.glob(c.ctx, last)
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, notFound(last)
	case len(items) > 1:
		return nil, &pathError{path: last, reason: "Too many matches"}
	}
	c.dst = items[0]
	return args[:len(args)-1], nil
}

// localDestination takes the last argument as a local path.
func (c *copier) localDestination(args []string) ([]string, error) {
	last := "."
	if len(args) >= 2 {
		last, args = args[len(args)-1], args[:len(args)-1]
	}
	it, err := c.localItem(c.ctx, last)
	c.dst = it
	return args, err
}

// arguments checks the destination before any source.
func (c *copier) arguments(items []*item) error {
	switch {
	case len(items) > 1:
		if c.dst.stat == nil {
			return notFound(c.dst.String())
		}
		if !c.dst.isDir() {
			return notDirectory(c.dst.String())
		}
	case c.dst.stat != nil:
		if !c.dst.isDir() && !c.overwrite {
			return fileExists(c.dst.String())
		}
	default:
		ok, err := c.dst.parentExists(c.ctx)
		if err != nil {
			return err
		}
		if !ok {
			return missingParent(c.dst)
		}
	}
	return c.processItems(items)
}

// missingParent says that the directory that would hold the item is not there.
func missingParent(it *item) error {
	return &pathError{path: it.String(), reason: "No such file or directory", full: it.full(), err: fs.ErrNotExist}
}

// found refuses to copy a directory into itself.
func (c *copier) found(src *item) error {
	if src.isDir() && src.fs == c.dst.fs {
		target, err := c.target(src)
		if err != nil {
			return err
		}
		if target.path == src.path {
			return &pathError{path: src.String(), target: target.full(), reason: "are identical"}
		}
		if strings.HasPrefix(target.path, strings.TrimSuffix(src.path, "/")+"/") {
			return &pathError{path: src.String(), target: target.String(), reason: "is a subdirectory of itself"}
		}
	}
	return c.processFound(src)
}

// target is where a source goes: into the destination when that is a directory.
func (c *copier) target(src *item) (*item, error) {
	if c.depth > 0 || c.dst.isDir() || c.dst.looksLikeDir() {
		return c.dst.child(c.ctx, src)
	}
	return c.dst, nil
}

func (c *copier) one(src, target *item) error {
	switch {
	case src.isFile() && c.file != nil:
		return c.file(src, target)
	case src.isFile():
		return c.copyFile(src, target)
	case src.isDir() && !c.recursive:
		return isDirectory(src.String())
	case !src.isDir():
		return &pathError{path: src.String(), reason: "Operation not supported"}
	}
	return nil
}

// below copies a directory's contents into its counterpart, which is made if missing.
func (c *copier) below(src *item) error {
	saved := c.dst
	defer func() { c.dst = saved }()
	dst, err := c.target(src)
	if err != nil {
		return err
	}
	c.dst = dst
	raw, err := copyingRaw(src, dst)
	if err != nil {
		return err
	}
	if dst.stat != nil && !dst.isDir() {
		return notDirectory(dst.String())
	}
	if dst.stat == nil {
		made, err := dst.fs.mkdirs(c.ctx, dst.path)
		if err != nil {
			return err
		}
		if !made {
			return inputOutput("mkdir", dst.String())
		}
		if err := dst.refresh(c.ctx); err != nil {
			return err
		}
	}
	if err := c.processBelow(src); err != nil {
		return err
	}
	if dst.isDir() {
		return c.preserveAttributes(src, dst, raw)
	}
	return nil
}

func (c *copier) copyFile(src, target *item) (err error) {
	raw, err := copyingRaw(src, target)
	if err != nil {
		return err
	}
	in, err := src.fs.open(c.ctx, src.path, !c.noVerify)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := in.Close(); err == nil {
			err = cerr
		}
	}()
	if err := c.copyStream(in, target); err != nil {
		return err
	}
	return c.preserveAttributes(src, target, raw)
}

// copyStream writes a file under a temporary name and renames it; a target that is
// there goes away only when the copy is whole.
func (c *copier) copyStream(in io.Reader, target *item) error {
	if target.stat != nil && (target.isDir() || !c.overwrite) {
		return fileExists(target.String())
	}
	temp := target
	if !c.direct {
		var err error
		if temp, err = target.suffixed(c.ctx, "._COPYING_"); err != nil {
			return err
		}
	}
	err := c.writeTemp(in, temp)
	if err == nil && !c.direct {
		err = c.publish(temp, target)
	}
	if err != nil && !c.direct {
		// Best effort: what was written must not stay, and its context may be over.
		_, _ = temp.fs.remove(context.WithoutCancel(c.ctx), temp.path, false)
	}
	return err
}

func (c *copier) writeTemp(in io.Reader, temp *item) error {
	opt := createOptions{overwrite: true, lazyPersist: c.lazyPersist, checksums: c.checksums}
	if c.direct && !c.overwrite {
		opt.overwrite = false
	}
	out, err := temp.fs.create(c.ctx, temp.path, opt)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, plainReader{c.ctx, in}, buf)
	if err != nil {
		if a, ok := out.(interface{ Abort() error }); ok {
			return errors.Join(err, a.Abort())
		}
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// plainReader stops a copy when its context ends and hides other methods of its reader.
type plainReader struct {
	ctx context.Context
	r   io.Reader
}

func (p plainReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

func (c *copier) publish(temp, target *item) error {
	if target.stat != nil {
		if _, err := target.fs.remove(c.ctx, target.path, false); err != nil {
			return err
		}
	}
	ok, err := temp.fs.rename(c.ctx, temp.path, target.path)
	if err == nil && !ok {
		err = &pathError{op: "rename", path: temp.String(), target: target.String(), reason: "Input/output error"}
	}
	return err
}

// preserveOption takes -p or -pATTRIBUTES from anywhere before "--".
func preserveOption(args []string) (rest []string, attrs string, err error) {
	for i, a := range args {
		if a == "--" {
			break
		}
		if !strings.HasPrefix(a, "-p") {
			continue
		}
		rest = append(append([]string(nil), args[:i]...), args[i+1:]...)
		if a == "-p" {
			return rest, "top", nil
		}
		attrs = strings.ToLower(a[2:])
		for _, r := range a[2:] {
			if !strings.ContainsRune("topaxTOPAX", r) {
				return nil, "", usagef("No attribute for %c", r)
			}
		}
		return rest, attrs, nil
	}
	return args, "", nil
}

const copyHelp = "\n  -f  replace a file that is there\n  -p  keep times, owner and mode\n  -d  write under the final name, without NAME._COPYING_" +
	"\n  -t  number of threads (accepted)\n  -q  size of their queue (accepted)"

var cpCmd = &shellCmd{
	name: "cp", args: "[-f] [-p | -p[topax]] [-d] [-t <thread count>] [-q <thread pool queue size>] <src> ... <dst>",
	help: "Copies files and directories; with several sources the destination must be a directory." + copyHelp +
		"\n  -p[topax]  keep these only: times, owner, permissions, ACL, extended attributes",
	setup: func(inv *invocation, args []string) ([]string, error) {
		c := &copier{invocation: inv, checksums: true}
		args, attrs, err := preserveOption(args)
		if err != nil {
			return nil, err
		}
		f := flags{min: 2, max: -1, names: []string{"f", "d"}, valued: []string{"t", "q"}}
		if args, err = f.parse(args); err != nil {
			return nil, err
		}
		if err := f.threads(); err != nil {
			return nil, err
		}
		c.preserve, c.direct, c.overwrite = attrs, f.given["d"], f.given["f"]
		inv.recursive = true
		c.attach()
		return c.remoteDestination(args)
	},
}

var putCmd = &shellCmd{
	name: "put", args: "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
	help:  "Copies local files and directories into the file system; - is standard input." + copyHelp + "\n  -l  let datanodes keep it in memory first",
	setup: setupPut,
}

var copyFromLocalCmd = &shellCmd{name: "copyFromLocal", args: putCmd.args, help: "The same as -put.", setup: setupPut}

func setupPut(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: -1, names: []string{"f", "p", "l", "d"}, valued: []string{"t", "q"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	if err := f.threads(); err != nil {
		return nil, err
	}
	c := &copier{invocation: inv, checksums: true, overwrite: f.given["f"], lazyPersist: f.given["l"], direct: f.given["d"]}
	if f.given["p"] {
		c.preserve = "top"
	}
	inv.recursive = true
	c.attach()
	inv.steps.expand = func(arg string) ([]*item, error) {
		it, err := inv.localItem(inv.ctx, arg)
		return []*item{it}, err
	}
	inv.steps.arguments = func(items []*item) error {
		if len(items) == 1 && items[0].String() == "-" {
			target, err := c.target(items[0])
			if err != nil {
				return err
			}
			return c.copyStream(inv.stdin, target)
		}
		return c.arguments(items)
	}
	return c.remoteDestination(args)
}

var getCmd = &shellCmd{
	name: "get", args: "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... <localdst>",
	help:  "Copies files and directories to the local disk." + copyHelp + "\n  -crc  write .crc files too\n  -ignoreCrc  don't verify checksums",
	setup: setupGet,
}

var copyToLocalCmd = &shellCmd{name: "copyToLocal", args: getCmd.args, help: "The same as -get.", setup: setupGet}

func setupGet(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: -1, names: []string{"crc", "ignoreCrc", "p", "f"}, valued: []string{"t", "q"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	if err := f.threads(); err != nil {
		return nil, err
	}
	c := &copier{invocation: inv, overwrite: f.given["f"], checksums: f.given["crc"], noVerify: f.given["ignoreCrc"]}
	if f.given["p"] {
		c.preserve = "top"
	}
	inv.recursive = true
	c.attach()
	return c.localDestination(args)
}

var mvCmd = &shellCmd{
	name: "mv", args: "<src> ... <dst>",
	help:  "Moves files and directories within one file system.",
	setup: func(inv *invocation, args []string) ([]string, error) { return setupMv(inv, args) },
}

func setupMv(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 2, max: -1}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	c := &copier{invocation: inv}
	c.attach()
	inv.steps.path = func(src *item) error {
		target, err := c.target(src)
		if err != nil {
			return err
		}
		return c.move(src, target)
	}
	return c.remoteDestination(args)
}

func (c *copier) move(src, target *item) error {
	if src.fs != target.fs {
		return &pathError{path: src.String(), reason: "Does not match target filesystem"}
	}
	if target.stat != nil {
		return fileExists(target.String())
	}
	ok, err := target.fs.rename(c.ctx, src.path, target.path)
	if err == nil && !ok {
		err = inputOutput("", src.String())
	}
	return err
}

var moveFromLocalCmd = &shellCmd{
	name: "moveFromLocal", args: "[-f] [-p] [-l] [-d] <localsrc> ... <dst>",
	help: "Like -put, and removes each local source when it is copied.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		args, err := setupPut(inv, args)
		inv.steps.after = func(src *item) error {
			ok, err := src.fs.remove(inv.ctx, src.path, false)
			if err == nil && !ok {
				err = inputOutput("remove", src.String())
			}
			return err
		}
		return args, err
	},
}

var moveToLocalCmd = &shellCmd{
	name: "moveToLocal", args: "<src> <localdst>", help: "Not implemented, as in Hadoop.",
	setup: func(*invocation, []string) ([]string, error) {
		return nil, errors.New("Option '-moveToLocal' is not implemented yet.")
	},
}

// checksummer is a file system that knows a file's checksum without reading it.
type checksummer interface {
	checksum(ctx context.Context, path string) (algorithm string, value []byte, err error)
}
