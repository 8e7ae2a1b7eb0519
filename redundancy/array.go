package redundancy

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"time"

	"redoubt/blockstore/array"
	"redoubt/redundancy/result"
	"redoubt/vfs"
	"redoubt/vfs/slowfs"
)

// oneArray measures the array of one node by itself, with large reads and writes.
func (l *lab) oneArray(ctx context.Context) (*result.Array, error) {
	s := &l.cfg.Setup
	l.step("one array by itself")
	dir := path.Join(l.dir, "array")
	disks := map[string]*slowfs.Disk{}
	cfg := array.Config{}
	for i := range s.DisksPerNode {
		d := path.Join(dir, "disk"+strconv.Itoa(i+1))
		if err := l.cfg.FS.MkdirAll(d); err != nil {
			return nil, fmt.Errorf("redundancy: %w", err)
		}
		disks[d] = slowfs.NewDisk(int64(s.DiskRate), seconds(s.DiskLatency))
		cfg.Members = append(cfg.Members, array.Member{Dir: d})
	}
	fs := slowfs.New(l.cfg.FS, disks)
	fs.Volatile = true
	cfg.FS = fs
	a, err := array.Open(cfg)
	if err != nil {
		return nil, fmt.Errorf("redundancy: %w", err)
	}
	defer a.Close()
	size := max(1<<20, s.DataBytes/8)
	r := &result.Array{SumRate: s.DiskRate * float64(s.DisksPerNode)}
	before := l.meter()
	if r.WriteRate, err = timed(size, func() error { return writeLarge(ctx, a, "/large", size) }); err != nil {
		return nil, err
	}
	if r.ReadRate, err = timed(size, func() error { return readLarge(ctx, a, "/large", size) }); err != nil {
		return nil, err
	}
	disks[cfg.Members[0].Dir].Pull()
	if r.Degraded, err = timed(size, func() error { return readLarge(ctx, a, "/large", size) }); err != nil {
		return nil, err
	}
	r.Strain = l.meter().since(before, s.CPUs).strain
	return r, nil
}

// timed gives the rate of moving n bytes.
func timed(n int64, do func() error) (float64, error) {
	begin := time.Now()
	if err := do(); err != nil {
		return 0, fmt.Errorf("redundancy: one array: %w", err)
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

const largeBytes = 1 << 20

func writeLarge(ctx context.Context, fs vfs.FS, name string, size int64) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := inPieces(ctx, size, f.WriteAt); err != nil {
		return err
	}
	return f.Sync()
}

func readLarge(ctx context.Context, fs vfs.FS, name string, size int64) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return inPieces(ctx, size, f.ReadAt)
}

// inPieces moves size bytes in large pieces.
func inPieces(ctx context.Context, size int64, move func(p []byte, off int64) (int, error)) error {
	buf := make([]byte, largeBytes)
	for off := int64(0); off < size; off += largeBytes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := move(buf[:min(largeBytes, size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes a tree.
func removeAll(fs vfs.FS, dir string) error {
	entries, err := fs.ReadDir(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.Dir {
			err = removeAll(fs, name)
		} else {
			err = fs.Remove(name)
		}
		if err != nil && !gone(err) {
			return fmt.Errorf("redundancy: %w", err)
		}
	}
	if err := fs.Remove(dir); err != nil && !gone(err) {
		return fmt.Errorf("redundancy: %w", err)
	}
	return nil
}
