package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// tour shows what Redoubt promises on real processes: it breaks things, and after every
// step reads everything back.
type tour struct {
	e     *env
	cl    *tourCluster
	c     *client.Client
	files *tourFiles
	step  int
	begun time.Time
}

// runTour takes a user around.
func runTour(ctx context.Context, e *env, args []string) int {
	flags := pflag.NewFlagSet("fs tour", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	keep := flags.String("keep", "", "put the cluster into `DIR`, which must be empty or missing, and leave it there (default: a temporary directory)")
	flags.Usage = func() {
		fmt.Fprintf(e.stderr, "Usage: fs tour [flags]\n\nStarts a cluster of real processes, puts files, breaks one thing after the other, and\nshows after each that every acknowledged byte is there. Takes less than a minute.\n\n%s", flags.FlagUsages())
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(e.stderr, "fs tour:", err)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(e.stderr, "fs tour: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	dir, err := tourDir(*keep)
	if err != nil {
		fmt.Fprintln(e.stderr, "fs tour:", err)
		return exitUsage
	}
	if *keep == "" {
		defer os.RemoveAll(dir)
	}
	t := &tour{e: e, begun: time.Now()}
	err = t.run(ctx, dir)
	if t.c != nil {
		err = errors.Join(err, t.c.Close())
	}
	if t.cl != nil {
		t.cl.stop()
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "\nfs tour: step %d: %v\n", t.step, err)
		return exitFailed
	}
	return 0
}

// tourDir finds a directory for the tour's cluster.
func tourDir(keep string) (string, error) {
	if keep == "" {
		return os.MkdirTemp("", "redoubt-tour-")
	}
	dir, err := filepath.Abs(keep)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	return dir, err
}

func (t *tour) run(ctx context.Context, dir string) error {
	fmt.Fprintf(t.e.stdout, "A cluster of real processes in %s, and what it survives.\n", dir)
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"A cluster", func(ctx context.Context) error { return t.start(ctx, dir) }},
		{"Real files, three kinds of redundancy", t.put},
		{"A datanode dies under a reader", t.killUnderReader},
		{"A disk is pulled out of a RAID-5 volume", t.pullDisk},
		{"A block rots on its disk", t.spoil},
		{"A node of a RAID-5 group dies", t.killMember},
		{"The name node dies in the middle of writes", t.killName},
	}
	for i, s := range steps {
		t.step = i + 1
		fmt.Fprintf(t.e.stdout, "\n%d  %s\n", t.step, s.title)
		if err := s.run(ctx); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		if err := t.check(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.e.stdout, "\nNothing that was acknowledged is lost. %.0f s in all. docs/redundancy.md compares the kinds of redundancy, fs redundancy measures them.\n",
		time.Since(t.begun).Seconds())
	return nil
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.e.stdout, "   "+format+"\n", args...)
}

// since gives a duration for people.
func since(from time.Time) string {
	d := time.Since(from)
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// check reads every file and compares it with what was put.
func (t *tour) check(ctx context.Context) error {
	from := time.Now()
	files, bytes, err := t.files.verify(ctx, t.c)
	if err == nil {
		t.say("=> %d files, %s read back in %s: every acknowledged byte is there", files, shortSize(bytes), since(from))
	}
	return err
}

func (t *tour) start(ctx context.Context, dir string) error {
	from := time.Now()
	var err error
	if t.cl, err = startTourCluster(ctx, dir); err != nil {
		return err
	}
	t.c, err = client.Open(client.Config{NameNodes: []string{t.cl.rpc}, User: effectiveUser(), Patience: 30 * time.Second,
		Read: client.ReadConfig{Attempts: 10}})
	if err != nil {
		return err
	}
	err = until(ctx, "the datanodes", func(ctx context.Context) (bool, error) {
		live, err := t.c.DatanodeReport(ctx, dfs.ReportLive)
		return len(live) == len(t.cl.data), err
	})
	t.say("hdfs://%s: a name node and %d datanodes, one of them with a RAID-5 volume of 4 disks and a spare, in %s", t.cl.rpc, len(t.cl.data), since(from))
	return err
}

func (t *tour) put(ctx context.Context) error {
	for _, k := range tourKinds {
		if _, err := t.c.Mkdirs(ctx, k.dir, 0o755, true); err != nil {
			return err
		}
		if k.policy != "" {
			if err := t.c.SetStoragePolicy(ctx, k.dir, k.policy); err != nil {
				return err
			}
		}
	}
	var err error
	if t.files, err = collectTourFiles(t.e.dir); err != nil {
		return err
	}
	from := time.Now()
	if err := t.files.put(ctx, t.c); err != nil {
		return err
	}
	t.say("%d files of this directory and this program, %s, into each of", len(t.files.local), shortSize(t.files.bytes))
	for _, k := range tourKinds {
		t.say("  %-15s %s", k.dir, k.text)
	}
	t.say("synced before put returned, in %s", since(from))
	from = time.Now()
	if err := until(ctx, "parity groups", t.folded); err != nil {
		return err
	}
	g, err := t.groups(ctx)
	t.say("RAID-5 across nodes: %d blocks folded into %d parity blocks in %s; second copies dropped, %.2f bytes stored for one",
		g.members, g.groups, since(from), 1+float64(g.parityBytes)/float64(max(1, t.files.bytes)))
	return err
}

// killUnderReader kills the datanode that a reader is reading from.
func (t *tour) killUnderReader(ctx context.Context) error {
	name := tourKinds[0].dir + "/" + t.files.largest().name
	f, err := t.c.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := newSum()
	if _, err := io.CopyN(sum, f, 1<<20); err != nil {
		return err
	}
	loc, err := t.c.BlockLocations(ctx, name, 1<<20, 1)
	if err != nil {
		return err
	}
	victim, err := t.kill(loc.Blocks[0].Locs[0])
	if err != nil {
		return err
	}
	t.say("%s read up to 1 MB, then kill -9 of %s, which serves it", filepath.Base(name), victim.name)
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := sum.Sum(nil); string(got) != string(t.files.largest().sum) {
		return fmt.Errorf("%s: the reader got other bytes than were put", name)
	}
	t.say("the reader went on with another replica, and its SHA-256 is right")
	if err := t.check(ctx); err != nil {
		return err
	}
	from := time.Now()
	if err := until(ctx, "full redundancy", t.whole); err != nil {
		return err
	}
	t.say("noticed and redundant again in %s; %s starts again", since(from), victim.name)
	return t.restart(ctx, victim)
}

// kill kills the process of a replica's datanode.
func (t *tour) kill(at dfs.ReplicaLoc) (*tourProcess, error) {
	addr := transferAddr(at.Node.DatanodeID)
	p := t.cl.node(addr)
	if p == nil {
		return nil, fmt.Errorf("no process serves %s", addr)
	}
	p.kill()
	return p, nil
}

// restart starts a killed datanode and waits until the name node knows it.
func (t *tour) restart(ctx context.Context, p *tourProcess) error {
	if err := p.start(ctx); err != nil {
		return err
	}
	return until(ctx, p.name, func(ctx context.Context) (bool, error) {
		live, err := t.c.DatanodeReport(ctx, dfs.ReportLive)
		return slices.ContainsFunc(live, func(d dfs.DatanodeInfo) bool {
			return transferAddr(d.DatanodeID) == p.addr[0]
		}), err
	})
}

// pullDisk takes a member of the array away, under everything.
func (t *tour) pullDisk(ctx context.Context) error {
	from := time.Now()
	disk := t.cl.arrayDir("disk2")
	if err := os.Rename(disk, disk+".pulled"); err != nil {
		return err
	}
	t.say("%s is gone; the array's files are read from the other three disks and parity", filepath.Base(disk))
	if err := t.check(ctx); err != nil {
		return err
	}
	name := tourKinds[2].dir + "/written-degraded"
	if err := t.files.add(ctx, t.c, name, t.files.largest()); err != nil {
		return err
	}
	t.say("a write notices it: the array goes on without the disk, and takes its spare by itself")
	admin := control.NewArrayClient(control.ClientConfig{Addr: t.cl.data[tourPlain].addr[1]})
	defer admin.Close()
	var events uint64
	err := until(ctx, "the rebuild onto the spare", func(ctx context.Context) (bool, error) {
		s, err := admin.ArrayStatus(ctx, &control.ArrayStatusRequest{})
		if err != nil || len(s.Arrays) != 1 {
			return false, err
		}
		a := s.Arrays[0]
		events = a.Events
		return !a.Degraded && slices.ContainsFunc(a.Members, func(m control.ArrayMember) bool { return m.Dir == t.cl.arrayDir("spare") }), nil
	})
	t.say("rebuilt onto the spare after %s (event count %d)", since(from), events)
	return err
}

// spoil overwrites bytes in the middle of a replica's file.
func (t *tour) spoil(ctx context.Context) error {
	name := tourKinds[0].dir + "/" + t.files.largest().name
	loc, err := t.c.BlockLocations(ctx, name, 0, 1)
	if err != nil {
		return err
	}
	b := loc.Blocks[0]
	path, err := t.blockFile(b.Locs[0], b.Block)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("these bytes are not what was written"), b.Length/2)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	t.say("bytes overwritten in the middle of %s", filepath.Base(path))
	from := time.Now()
	if err := t.check(ctx); err != nil {
		return err
	}
	err = until(ctx, "the damaged replica's replacement", func(ctx context.Context) (bool, error) {
		// A reader takes whichever replica is nearest; one of them comes upon the damage.
		if err := t.files.read(ctx, t.c, name, t.files.largest()); err != nil {
			return false, err
		}
		loc, err := t.c.BlockLocations(ctx, name, 0, 1)
		if err != nil {
			return false, err
		}
		now := loc.Blocks[0].Locs
		return len(now) == len(b.Locs) && !slices.ContainsFunc(now, func(l dfs.ReplicaLoc) bool { return l.Storage == b.Locs[0].Storage }), nil
	})
	t.say("a reader's checksum found it, another replica served, and it was reported and replaced: %s", since(from))
	return err
}

// blockFile finds the file of a replica on this machine's disk.
func (t *tour) blockFile(at dfs.ReplicaLoc, b dfs.Block) (string, error) {
	p := t.cl.node(transferAddr(at.Node.DatanodeID))
	if p == nil {
		return "", fmt.Errorf("block %v is on no datanode of ours", b)
	}
	want, found := "blk_"+strconv.FormatInt(int64(b.ID), 10), ""
	err := filepath.WalkDir(filepath.Join(t.cl.dir, p.name), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == want {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("no file %s below %s", want, p.name)
	}
	return found, err
}

// killMember kills a node that holds a member of a parity group.
func (t *tour) killMember(ctx context.Context) error {
	name := tourKinds[1].dir + "/" + t.files.largest().name
	loc, err := t.c.BlockLocations(ctx, name, 0, 1)
	if err != nil {
		return err
	}
	victim, err := t.kill(loc.Blocks[0].Locs[0])
	if err != nil {
		return err
	}
	t.say("kill -9 of %s; its blocks have no second copy, only parity", victim.name)
	if err := t.check(ctx); err != nil {
		return err
	}
	from := time.Now()
	if err := until(ctx, "the rebuild", t.whole); err != nil {
		return err
	}
	t.say("noticed, and rebuilt onto other nodes in %s; %s stays dead", since(from), victim.name)
	return nil
}

// killName kills the name node while files are written, and starts it again.
func (t *tour) killName(ctx context.Context) error {
	var acked atomic.Int64
	enough := make(chan struct{})
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var once sync.Once
	errs := make(chan error, 4)
	for w := range cap(errs) {
		wg.Go(func() {
			for i := 0; wctx.Err() == nil && i < 400; i++ {
				name := fmt.Sprintf("%s/storm-%d-%d", tourKinds[0].dir, w, i)
				if err := t.files.add(wctx, t.c, name, t.files.local[(i*7+w)%len(t.files.local)]); err != nil {
					if wctx.Err() == nil {
						errs <- fmt.Errorf("%s: %w", name, err)
						once.Do(func() { close(enough) })
					}
					return
				}
				if acked.Add(1) == 100 {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	select {
	case <-enough:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.cl.name.kill()
	before := acked.Load()
	from := time.Now()
	err := t.cl.name.start(ctx)
	if err == nil {
		err = until(ctx, "writes going on", func(context.Context) (bool, error) { return acked.Load() >= before+100 || len(errs) > 0, nil })
	}
	took := since(from)
	cancel()
	wg.Wait()
	select {
	case werr := <-errs:
		err = errors.Join(err, werr)
	default:
	}
	if err != nil {
		return err
	}
	t.say("kill -9 after %d files of a storm of writes; started again, it replayed its log, and the same writers went on", before)
	t.say("100 files more were acknowledged within %s of the kill, %d in all", took, acked.Load())
	return nil
}
