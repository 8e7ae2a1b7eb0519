package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"redoubt/client"
	"redoubt/dfs"
)

// ioBench is one run of fs bench io.
type ioBench struct {
	c       *client.Client
	files   int
	size    int64
	repl    uint16
	threads int
	sync    bool
	dir     string
	block   []byte // random bytes that files repeat
}

// benchIO parses the flags of fs bench io and runs it.
func benchIO(ctx context.Context, e *env, args []string) int {
	b := ioBench{}
	flags := pflag.NewFlagSet("fs bench io", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	fsURI := flags.String("fs", "", "the cluster, hdfs://HOST:PORT; default: fs.defaultFS of the configuration")
	flags.IntVar(&b.files, "files", 4, "files to write and read")
	mib := flags.Int64("mib", 256, "size of each file in MiB")
	repl := flags.Uint16("replication", 3, "replicas")
	flags.IntVar(&b.threads, "threads", 1, "files at the same time")
	flags.BoolVar(&b.sync, "sync", false, "hsync each file before it is closed")
	flags.StringVar(&b.dir, "dir", "", "directory to make, fill and remove; default: a new one in /tmp")
	reads := flags.Int("reads", 2, "how often to read them; later ones find warm caches")
	keep := flags.Bool("keep", false, "leave the files behind")
	pid := flags.Int("server-pid", 0, "process id of a server, to tell its CPU time")
	if err := flags.Parse(doubleDash(args)); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(e.stderr, "fs bench io:", err)
		return exitUsage
	}
	b.size, b.repl = *mib<<20, *repl
	if b.files < 1 || *mib < 1 || b.repl < 1 || b.threads < 1 || *reads < 0 {
		fmt.Fprintln(e.stderr, "fs bench io: files, mib, replication and threads have to be at least 1")
		return exitUsage
	}
	addr, err := benchTarget(e, *fsURI)
	if err != nil {
		fmt.Fprintln(e.stderr, "fs bench io:", err)
		return exitUsage
	}
	if b.c, err = openClient(e, addr); err == nil {
		err = b.run(ctx, e, *reads, *keep, *pid)
		err = errors.Join(err, b.c.Close())
	}
	if err != nil {
		fmt.Fprintln(e.stderr, "fs bench io:", message(err))
		return exitFailed
	}
	return 0
}

// run makes the directory, measures, and cleans up.
func (b *ioBench) run(ctx context.Context, e *env, reads int, keep bool, pid int) (err error) {
	if b.dir == "" {
		b.dir = fmt.Sprintf("/tmp/bench-io-%x", rand.Uint64())
	}
	if _, err := b.c.Stat(ctx, b.dir); !isNotExist(err) {
		return errors.Join(err, fmt.Errorf("%s is there already: --dir has to name a new directory", b.dir))
	}
	if _, err := b.c.Mkdirs(ctx, b.dir, 0o755, true); err != nil {
		return err
	}
	if !keep {
		defer func() {
			_, derr := b.c.Delete(context.WithoutCancel(ctx), b.dir, true)
			err = errors.Join(err, derr)
		}()
	}
	b.block = make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b.block {
		b.block[i] = byte(r.Uint32())
	}
	fmt.Fprintf(e.stdout, "%d files of %d MiB, %d replicas, %d at a time\n%8s %10s %10s %14s %14s\n", b.files, b.size>>20, b.repl, b.threads,
		"", "GB/s", "seconds", "client CPU s", "server CPU s")
	if err := b.measure(ctx, e, "write", pid, b.write); err != nil {
		return err
	}
	for range reads {
		if err := b.measure(ctx, e, "read", pid, b.read); err != nil {
			return err
		}
	}
	return nil
}

// measure runs f for each file and prints a line.
func (b *ioBench) measure(ctx context.Context, e *env, what string, pid int, f func(ctx context.Context, path string) error) error {
	var server time.Duration
	var err error
	if pid != 0 {
		if server, err = processCPU(pid); err != nil {
			return err
		}
	}
	own, begun := ownCPU(), time.Now()
	if err := b.each(ctx, f); err != nil {
		return err
	}
	took := time.Since(begun)
	serverText := "-"
	if pid != 0 {
		after, err := processCPU(pid)
		if err != nil {
			return err
		}
		serverText = fmt.Sprintf("%.2f", (after - server).Seconds())
	}
	total := float64(b.size) * float64(b.files)
	_, err = fmt.Fprintf(e.stdout, "%8s %10.3f %10.2f %14.2f %14s\n", what, total/1e9/took.Seconds(), took.Seconds(), (ownCPU() - own).Seconds(), serverText)
	return err
}

// each calls f for the files, some at a time, and gives all errors.
func (b *ioBench) each(ctx context.Context, f func(ctx context.Context, path string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan int, b.files)
	for i := range b.files {
		next <- i
	}
	close(next)
	errs := make([]error, b.threads)
	var wg sync.WaitGroup
	for t := range b.threads {
		wg.Go(func() {
			for i := range next {
				if errs[t] = f(ctx, fmt.Sprintf("%s/%d", b.dir, i)); errs[t] != nil {
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *ioBench) write(ctx context.Context, path string) error {
	w, err := b.c.Create(ctx, path, client.CreateOptions{Replication: b.repl})
	if err != nil {
		return err
	}
	for left := b.size; left > 0 && err == nil; left -= int64(len(b.block)) {
		_, err = w.Write(b.block)
	}
	if err == nil && b.sync {
		err = w.Sync(false)
	}
	return errors.Join(err, w.Close())
}

func (b *ioBench) read(ctx context.Context, path string) error {
	f, err := b.c.Open(ctx, path)
	if err != nil {
		return err
	}
	n, err := f.WriteTo(io.Discard)
	if err == nil && n != b.size {
		err = dfs.Errorf(dfs.Other, "%s has %d bytes instead of %d", path, n, b.size)
	}
	return errors.Join(err, f.Close())
}
