package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

var rmCmd = &shellCmd{
	name: "rm", args: "[-f] [-r|-R] [-skipTrash] [-safely] <src> ...",
	help: "Removes files; into the trash where that is on.\n  -f  a missing file is no error\n  -r, -R  directories with all below\n" +
		"  -skipTrash  for good\n  -safely  ask before a directory with many files goes (hadoop.shell.delete.limit.num.files, 100)",
	setup: setupRm,
}

var rmrCmd = &shellCmd{
	name: "rmr", args: rmCmd.args, help: "An old name of rm -r.", hidden: true, replace: "-rm -r",
	setup: func(inv *invocation, args []string) ([]string, error) {
		return setupRm(inv, append([]string{"-r"}, args...))
	},
}

func setupRm(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: -1, names: []string{"f", "r", "R", "skipTrash", "safely"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	deep := f.given["r"] || f.given["R"]
	if f.given["f"] {
		inv.steps.missing = func(*item) error { return nil }
		inv.steps.expand = func(arg string) ([]*item, error) {
			items, err := inv.expandGlob(arg)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return items, err
		}
	}
	inv.steps.path = func(it *item) error {
		if it.isDir() && !deep {
			return isDirectory(it.String())
		}
		if it.isDir() && f.given["safely"] {
			if ok, err := inv.confirmDelete(it); !ok || err != nil {
				return err
			}
		}
		if !f.given["skipTrash"] {
			if moved, err := inv.toTrash(it); moved || err != nil {
				return err
			}
		}
		ok, err := it.fs.remove(inv.ctx, it.path, deep)
		if err != nil {
			return err
		}
		if !ok {
			return inputOutput("", it.String())
		}
		fmt.Fprintf(inv.out, "Deleted %s\n", it)
		return nil
	}
	return args, nil
}

// confirmDelete asks before a large directory is removed.
func (inv *invocation) confirmDelete(it *item) (bool, error) {
	limit, err := inv.config.integer("hadoop.shell.safely.delete.limit.num.files", 100, 64)
	if err != nil {
		return false, err
	}
	sum, err := it.fs.summary(inv.ctx, it.path)
	if err != nil {
		return false, err
	}
	if n := sum.Files + sum.Directories; n > limit {
		fmt.Fprintf(inv.out, "Proceed deleting %d files? (Y or N) ", n)
		inv.out.Flush()
		line, err := bufio.NewReader(inv.stdin).ReadString('\n')
		if err != nil && line == "" {
			line = "n"
		}
		if line = strings.ToLower(strings.TrimSpace(line)); line != "y" && line != "yes" {
			fmt.Fprintf(inv.out, "Delete aborted at user request.\n")
			return false, nil
		}
	}
	return true, nil
}

var rmdirCmd = &shellCmd{
	name: "rmdir", args: "[--ignore-fail-on-non-empty] <dir> ...",
	help: "Removes empty directories.\n  --ignore-fail-on-non-empty  leave a directory with entries without an error",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"-ignore-fail-on-non-empty"}}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error {
			if !it.isDir() {
				return notDirectory(it.String())
			}
			entries, err := it.fs.list(inv.ctx, it.path)
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				_, err = it.fs.remove(inv.ctx, it.path, false)
				return err
			}
			if !f.given["-ignore-fail-on-non-empty"] {
				return &pathError{path: it.String(), reason: "Directory is not empty"}
			}
			return nil
		}
		return args, err
	},
}
