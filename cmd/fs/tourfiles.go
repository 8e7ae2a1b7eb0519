package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"redoubt/client"
)

// tourKinds are the kinds of redundancy of the tour, each with a directory.
var tourKinds = []struct {
	dir, policy string
	replication uint16
	text        string
}{
	{"/tour/replicas", "", 3, "three replicas"},
	{"/tour/raid5", "RAID5", 3, "RAID-5 across nodes: policy RAID5, four blocks and a parity on five nodes"},
	{"/tour/array", "ALL_SSD", 1, "one replica on the RAID-5 volume in one node"},
}

// tourFile is a file of this machine that the tour puts.
type tourFile struct {
	name string
	data []byte
	sum  []byte // SHA-256
}

// tourFiles are the files put, and what they must read as.
type tourFiles struct {
	local []*tourFile
	bytes int64

	mu    sync.Mutex
	acked map[string]*tourFile // by path in the cluster
}

// Limits on what the tour takes of a directory.
const (
	tourMaxFiles = 150
	tourMaxSize  = 256 << 10
	tourBlock    = 1 << 20
)

func newSum() hash.Hash { return sha256.New() }

// collectTourFiles takes files of a directory, and the running program as a large one.
func collectTourFiles(dir string) (*tourFiles, error) {
	t := &tourFiles{acked: map[string]*tourFile{}}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // what can't be read is not put
		case d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "redoubt-")):
			return filepath.SkipDir
		case len(t.local) >= tourMaxFiles:
			return filepath.SkipAll
		case !d.Type().IsRegular():
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 || info.Size() > tourMaxSize { // what /proc has has no size
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		t.take(fmt.Sprintf("%03d-%s", len(t.local), d.Name()), data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for len(t.local) < 20 { // an empty directory must do too
		t.take(fmt.Sprintf("%03d-random", len(t.local)), randomBytes(rng, 10_000+rng.IntN(100_000)))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return nil, err
	}
	t.take("program-"+filepath.Base(self), data[:min(len(data), 24<<20)])
	return t, nil
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func (t *tourFiles) take(name string, data []byte) {
	sum := sha256.Sum256(data)
	t.local = append(t.local, &tourFile{name, data, sum[:]})
	t.bytes += int64(len(data))
}

// largest is the file that has several blocks.
func (t *tourFiles) largest() *tourFile { return t.local[len(t.local)-1] }

// put writes every file into every kind of directory, eight at a time.
func (t *tourFiles) put(ctx context.Context, c *client.Client) error {
	type job struct {
		kind int
		file *tourFile
	}
	var jobs []job
	for k := range tourKinds {
		for _, f := range t.local {
			jobs = append(jobs, job{k, f})
		}
	}
	return inParallel(len(jobs), func(i int) error {
		j := jobs[i]
		k := tourKinds[j.kind]
		return t.write(ctx, c, k.dir+"/"+j.file.name, k.replication, j.file)
	})
}

// add writes one file more.
func (t *tourFiles) add(ctx context.Context, c *client.Client, name string, f *tourFile) error {
	for _, k := range tourKinds {
		if strings.HasPrefix(name, k.dir+"/") {
			return t.write(ctx, c, name, k.replication, f)
		}
	}
	return fmt.Errorf("%s is in no directory of the tour", name)
}

// write puts a file and remembers it once it is acknowledged.
func (t *tourFiles) write(ctx context.Context, c *client.Client, name string, replication uint16, f *tourFile) error {
	w, err := c.Create(ctx, name, client.CreateOptions{Overwrite: true, Replication: replication, BlockSize: tourBlock})
	if err != nil {
		return err
	}
	if _, err := w.Write(f.data); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.Close(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acked[name] = f
	return nil
}

// verify reads every acknowledged file.
func (t *tourFiles) verify(ctx context.Context, c *client.Client) (files int, size int64, err error) {
	t.mu.Lock()
	var names []string
	for name, f := range t.acked {
		names = append(names, name)
		size += int64(len(f.data))
	}
	t.mu.Unlock()
	err = inParallel(len(names), func(i int) error {
		t.mu.Lock()
		want := t.acked[names[i]]
		t.mu.Unlock()
		return t.read(ctx, c, names[i], want)
	})
	return len(names), size, err
}

// read reads a file and compares it.
func (t *tourFiles) read(ctx context.Context, c *client.Client, name string, want *tourFile) error {
	f, err := c.Open(ctx, name)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want.data) {
		return fmt.Errorf("%s: %d bytes read are not the %d that were acknowledged", name, len(got), len(want.data))
	}
	return nil
}

// inParallel runs n pieces of work, eight at a time, until one fails.
func inParallel(n int, work func(i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range min(8, n) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := first != nil
				mu.Unlock()
				if i >= n || stop {
					return
				}
				if err := work(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}
