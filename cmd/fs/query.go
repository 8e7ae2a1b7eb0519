package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

var statCmd = &shellCmd{
	name: "stat", args: "[format] <path> ...",
	help: "Prints what is known of a path: %a mode in octal, %A mode in letters, %b length, %F type, %g group, %n name, " +
		"%o block size, %r replication, %u owner, %x %X access time, %y %Y modification time; as a date in UTC or in ms. The default is %y.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"R"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		inv.recursive = f.given["R"]
		format := "%y"
		if strings.Contains(args[0], "%") {
			format = args[0]
			if args, err = f.parse(args[1:]); err != nil {
				return nil, err
			}
		}
		inv.steps.path = func(it *item) error {
			_, err := fmt.Fprintln(inv.out, formatStat(format, it))
			return err
		}
		return args, nil
	},
}

func formatStat(format string, it *item) string {
	st := it.stat
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			break
		}
		switch format[i] {
		case 'a':
			fmt.Fprintf(&b, "%o", st.Mode)
		case 'A':
			b.WriteString(modeString(st.Mode))
		case 'b':
			fmt.Fprint(&b, st.Length)
		case 'F':
			b.WriteString(typeName(st.Type))
		case 'g':
			b.WriteString(st.Group)
		case 'n':
			b.WriteString(baseName(it.path))
		case 'o':
			fmt.Fprint(&b, st.BlockSize)
		case 'r':
			fmt.Fprint(&b, st.Replication)
		case 'u':
			b.WriteString(st.Owner)
		case 'x':
			b.WriteString(utcSeconds(st.AccessTime))
		case 'X':
			fmt.Fprint(&b, st.AccessTime)
		case 'y':
			b.WriteString(utcSeconds(st.ModTime))
		case 'Y':
			fmt.Fprint(&b, st.ModTime)
		default:
			b.WriteByte(format[i])
		}
	}
	return b.String()
}

func typeName(t dfs.FileType) string {
	switch t {
	case dfs.TypeDirectory:
		return "directory"
	case dfs.TypeSymlink:
		return "symlink"
	}
	return "regular file"
}

var testCmd = &shellCmd{
	name: "test", args: "-[defswrz] <path>",
	help: "Answers by its exit code, 0 for yes: -d a directory, -e exists, -f a file, -s not empty, " +
		"-w writable, -r readable, -z of length zero.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: 1, names: []string{"e", "d", "f", "s", "z", "w", "r"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		if len(f.given) == 0 {
			return nil, usagef("No test flag given")
		}
		if len(f.given) > 1 {
			return nil, usagef("Only one test flag is allowed")
		}
		var flag string
		for flag = range f.given {
		}
		inv.steps.missing = func(*item) error { inv.exit = 1; return nil }
		inv.steps.path = func(it *item) error {
			ok, err := inv.test(flag, it)
			if !ok {
				inv.exit = 1
			}
			return err
		}
		return args, nil
	},
}

func (inv *invocation) test(flag string, it *item) (bool, error) {
	switch flag {
	case "d":
		return it.isDir(), nil
	case "f":
		return it.isFile(), nil
	case "s":
		return it.stat.Length > 0, nil
	case "z":
		return it.stat.Length == 0, nil
	case "w":
		return inv.access(it, dfs.Write)
	case "r":
		return inv.access(it, dfs.Read)
	}
	return true, nil
}

// accessChecker is a file system that can tell whether an access would be allowed.
type accessChecker interface {
	access(ctx context.Context, path string, want dfs.Access) error
}

func (inv *invocation) access(it *item, want dfs.Access) (bool, error) {
	c, ok := it.fs.(accessChecker)
	if !ok {
		return localAccess(it.path, want), nil
	}
	err := c.access(inv.ctx, it.path, want)
	if dfs.Is(err, dfs.Permission) || isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// openError is how the shell shows that a local source can't be opened.
func openError(path string, err error) error {
	if isNotExist(err) {
		return errors.New(path)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		s := errno.Error()
		return errors.New(path + ": " + strings.ToUpper(s[:1]) + s[1:])
	}
	return err
}

// locator is a file system that knows where a file's blocks are.
type locator interface {
	replicas(ctx context.Context, path string) (counts []int, err error)
}

// waitForReplication waits until each file has as many replicas of each block as asked.
func (inv *invocation) waitForReplication(items []*item, want int) error {
	for _, it := range items {
		l, ok := it.fs.(locator)
		if !ok {
			continue
		}
		if p, ok := dfs.PolicyByID(it.stat.StoragePolicy); ok && p.Parity() > 0 {
			inv.warn(fmt.Sprintf("%s is kept under %s: its replication counts under another policy only, nothing to wait for", it, p.Name))
			continue
		}
		fmt.Fprintf(inv.out, "Waiting for %s ...", it)
		inv.out.Flush()
		for round, warned := 0, false; ; round++ {
			counts, err := l.replicas(inv.ctx, it.path)
			if err != nil {
				return err
			}
			short, extra := false, false
			for _, n := range counts {
				short = short || n < want
				extra = extra || n > want
			}
			if !short && !extra {
				break
			}
			if extra && !warned {
				fmt.Fprint(inv.out, "\nWARNING: the waiting time may be long for DECREASING the number of replications.\n")
				warned = true
			}
			if round%10 == 0 {
				fmt.Fprint(inv.out, ".")
				inv.out.Flush()
			}
			select {
			case <-inv.ctx.Done():
				return inv.ctx.Err()
			case <-time.After(time.Second):
			}
		}
		fmt.Fprintln(inv.out, " done")
	}
	return nil
}

var truncateCmd = &shellCmd{
	name: "truncate", args: "[-w] <length> <path> ...",
	help: "Cuts files to a length.\n  -w  wait until a block recovery, if one is needed, is done",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 2, max: -1, names: []string{"w"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		length, err := hadoopconf.ParseInt(args[0], 64)
		if err != nil {
			inv.warn("Illegal length, a non-negative integer expected")
			return nil, &errUsage{err.Error()}
		}
		if length < 0 {
			return nil, usagef("length must be >= 0")
		}
		inv.steps.path = func(it *item) error { return inv.truncate(it, length, f.given["w"]) }
		return args[1:], nil
	},
}

// truncater is a file system that can shorten and join files.
type truncater interface {
	truncate(ctx context.Context, path string, length int64) (done bool, err error)
	isClosed(ctx context.Context, path string) (bool, error)
	concat(ctx context.Context, target string, sources []string) error
}

func (inv *invocation) truncate(it *item, length int64, wait bool) error {
	if it.isDir() {
		return isDirectory(it.String())
	}
	t, ok := it.fs.(truncater)
	if !ok {
		return errors.New("Not implemented by the LocalFileSystem FileSystem implementation")
	}
	if length > it.stat.Length {
		return usagef("Cannot truncate to a larger file size. Current size: %d, truncate size: %d.", it.stat.Length, length)
	}
	done, err := t.truncate(inv.ctx, it.path, length)
	if err != nil {
		return err
	}
	switch {
	case done:
		fmt.Fprintf(inv.out, "Truncated %s to length: %d\n", it, length)
		return nil
	case !wait:
		fmt.Fprintf(inv.out, "Truncating %s to length: %d. Wait for block recovery to complete before further updating this file.\n", it, length)
		return nil
	}
	fmt.Fprintf(inv.out, "Waiting for %s ...\n", it)
	inv.out.Flush()
	for {
		closed, err := t.isClosed(inv.ctx, it.path)
		if err != nil {
			return err
		}
		if closed {
			break
		}
		select {
		case <-inv.ctx.Done():
			return inv.ctx.Err()
		case <-time.After(time.Second):
		}
	}
	fmt.Fprintf(inv.out, "Truncated %s to length: %d\n", it, length)
	return nil
}

var concatCmd = &shellCmd{
	name: "concat", args: "<target path> <src path> <src path> ...",
	help: "Moves the blocks of the sources to the end of the target; the sources are gone then.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{max: -1}
		args, err := f.parse(args)
		inv.steps.arguments = func(items []*item) error {
			if len(items) < 1 {
				return errors.New("Target path not specified. <target path> <src path> <src path> ...")
			}
			if len(items) < 3 {
				return errors.New("The number of source paths is less than 2. <target path> <src path> <src path> ...")
			}
			target := items[0]
			var sources []string
			if !target.isFile() {
				return fmt.Errorf("Target path %s does not exist or is not file.", target.full())
			}
			for _, it := range items[1:] {
				if !it.isFile() {
					return fmt.Errorf("%s does not exist or is not file.", it.full())
				}
				sources = append(sources, it.path)
			}
			t, ok := target.fs.(truncater)
			if !ok {
				return fmt.Errorf("Dest filesystem '%s' doesn't support concat", strings.TrimSuffix(target.fs.uri(), ":"))
			}
			return t.concat(inv.ctx, target.path, sources)
		}
		return args, err
	},
}
