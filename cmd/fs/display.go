package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"redoubt/internal/hadoopconf"
)

var catCmd = &shellCmd{
	name: "cat", args: "[-ignoreCrc] <src> ...",
	help: "Writes files to standard output.\n  -ignoreCrc  don't verify checksums",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"ignoreCrc"}}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error {
			return inv.print(it, !f.given["ignoreCrc"], func(r fileReader) (io.Reader, error) { return r, nil })
		}
		return args, err
	},
}

var textCmd = &shellCmd{
	name: "text", args: "[-ignoreCrc] <src> ...",
	help: "Writes files to standard output as text: gzip, bzip2, zlib (.deflate), zstandard and snappy-free " +
		"sequence files are decoded, everything else is written as it is.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"ignoreCrc"}}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error {
			return inv.print(it, !f.given["ignoreCrc"], func(r fileReader) (io.Reader, error) { return decodeText(r, it.path) })
		}
		return args, err
	},
}

// print copies a file to standard output through a decoder.
func (inv *invocation) print(it *item, verify bool, decode func(fileReader) (io.Reader, error)) (err error) {
	if it.isDir() {
		return isDirectory(it.String())
	}
	f, err := it.fs.open(inv.ctx, it.path, verify)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := decode(f)
	if err != nil {
		return err
	}
	return inv.copyOut(r)
}

// copyOut copies to standard output, past the buffer when the source can write itself.
func (inv *invocation) copyOut(r io.Reader) error {
	if err := inv.out.Flush(); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{inv.stdout}, r, make([]byte, 256<<10))
	return err
}

const kilobyte = 1024

var headCmd = &shellCmd{
	name: "head", args: "<file>",
	help: "Writes the first kilobyte of a file to standard output.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: 1}
		args, err := f.parse(args)
		inv.steps.expand = inv.onePath
		inv.steps.path = func(it *item) error {
			if it.isDir() {
				return isDirectory(it.String())
			}
			f, err := it.fs.open(inv.ctx, it.path, true)
			if err != nil {
				return err
			}
			err = inv.copyOut(io.LimitReader(f, kilobyte))
			return errors.Join(err, f.Close())
		}
		return args, err
	},
}

// onePath expands an argument that is not a glob.
func (inv *invocation) onePath(arg string) ([]*item, error) {
	it, err := inv.item(inv.ctx, arg)
	return []*item{it}, err
}

var tailCmd = &shellCmd{
	name: "tail", args: "[-f] [-s <sleep interval>] <file>",
	help: "Writes the last kilobyte of a file to standard output.\n  -f  and what is appended to it, until interrupted\n" +
		"  -s  milliseconds between two looks, 5000 if not given",
	setup: setupTail,
}

func setupTail(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: 1, names: []string{"f"}, valued: []string{"s"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	delay := 5 * time.Second
	if s := f.values["s"]; s != "" && f.given["f"] {
		ms, err := hadoopconf.ParseInt(s, 64)
		if err != nil {
			return nil, &errUsage{err.Error()}
		}
		if ms > 0 {
			delay = time.Duration(min(ms, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
		}
	}
	inv.steps.expand = inv.onePath
	inv.steps.path = func(it *item) error {
		if it.isDir() {
			return isDirectory(it.String())
		}
		at, err := inv.dump(it, -kilobyte)
		for f.given["f"] && err == nil {
			select {
			case <-inv.ctx.Done():
				return inv.ctx.Err()
			case <-time.After(delay):
			}
			at, err = inv.dump(it, at)
		}
		return err
	}
	return args, nil
}

// dump copies a file from an offset, or from that many bytes before its end, to standard
// output and gives the offset of the end.
func (inv *invocation) dump(it *item, from int64) (end int64, err error) {
	f, err := it.fs.open(inv.ctx, it.path, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if from < 0 {
		from = max(0, size+from)
	}
	if from >= size {
		return max(from, size), nil
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	return size, inv.copyOut(io.LimitReader(f, size-from))
}

var checksumCmd = &shellCmd{
	name: "checksum", args: "[-v] <src> ...",
	help: "Prints each file's checksum: name, algorithm, value.\n  -v  and its block size",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 1, max: -1, names: []string{"v"}}
		args, err := f.parse(args)
		inv.steps.path = func(it *item) error { return inv.checksum(it, f.given["v"]) }
		return args, err
	},
}

func (inv *invocation) checksum(it *item, verbose bool) error {
	if it.isDir() {
		return isDirectory(it.String())
	}
	extra := ""
	if verbose {
		extra = fmt.Sprintf("\tBlockSize=%d", it.stat.BlockSize)
	}
	c, ok := it.fs.(checksummer)
	if !ok {
		fmt.Fprintf(inv.out, "%s\tNONE%s\n", it, extra)
		return nil
	}
	algorithm, value, err := c.checksum(inv.ctx, it.path)
	if err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "%s\t%s\t%x%s\n", it, algorithm, value, extra)
	return nil
}
