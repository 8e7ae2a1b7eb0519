package main

import (
	"errors"
	"io"
)

var getmergeCmd = &shellCmd{
	name: "getmerge", args: "[-nl] [-skip-empty-file] <src> <localdst>",
	help: "Writes all files of the sources, those directly in a directory too, one after the other into one local file.\n" +
		"  -nl  a newline after each file\n  -skip-empty-file  none after an empty file",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 2, max: -1, names: []string{"nl", "skip-empty-file"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		dst, err := inv.localItem(inv.ctx, args[len(args)-1])
		if err != nil {
			return nil, err
		}
		if dst.isDir() {
			return nil, isDirectory(dst.String())
		}
		var sources []*item
		bad := false
		inv.steps.missing = func(it *item) error {
			bad = true
			inv.exit = 1
			return notFound(it.String())
		}
		inv.steps.path = func(it *item) error {
			if !it.isDir() {
				sources = append(sources, it)
				return nil
			}
			if inv.depth == 0 {
				inv.sorted = true
				return inv.processBelow(it)
			}
			return nil
		}
		inv.steps.arguments = func(items []*item) error {
			if err := inv.processItems(items); err != nil || bad {
				return err
			}
			return inv.merge(dst, sources, f.given["nl"], f.given["skip-empty-file"])
		}
		return args[:len(args)-1], nil
	},
}

func (inv *invocation) merge(dst *item, sources []*item, newline, skipEmpty bool) (err error) {
	out, err := dst.fs.create(inv.ctx, dst.path, createOptions{overwrite: true, checksums: true})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	buf := make([]byte, 1<<20)
	for _, src := range sources {
		if src.stat.Length > 0 {
			in, err := src.fs.open(inv.ctx, src.path, true)
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{out}, plainReader{inv.ctx, in}, buf)
			if err = errors.Join(err, in.Close()); err != nil {
				return err
			}
		}
		if newline && (src.stat.Length > 0 || !skipEmpty) {
			if _, err := io.WriteString(out, "\n"); err != nil {
				return err
			}
		}
	}
	return nil
}
