package namenode

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
)

// onDisk is a rig on the operating system's disk, with syncs.
func onDisk(b *testing.B, datanodes int) *rig {
	return newRig(b, datanodes, func(c *Config) {
		c.FS, c.NameDirs = vfs.OS(), []string{b.TempDir()}
		c.Durable.FillChunk = 0
	})
}

// BenchmarkFileInfo: parallel callers of getFileInfo on paths of depth 4.
func BenchmarkFileInfo(b *testing.B) {
	r := newRig(b, 0)
	const files = 1000
	paths := make([]string, files)
	for i := range paths {
		paths[i] = fmt.Sprintf("/bench/dir%d/sub/file%d", i%10, i)
		r.create("root", paths[i], "w")
	}
	for _, user := range []string{"root", "alice"} {
		b.Run(user, func(b *testing.B) {
			b.ReportAllocs()
			var worker atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				c := by(user)
				for i := int(worker.Add(1)) * 7; pb.Next(); i++ {
					if st, err := r.FileInfo(c, paths[i%files], true); err != nil || st == nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// callers runs fn from so many goroutines, b.N times in all.
func callers(b *testing.B, n int, fn func(i int) error) {
	b.ReportAllocs()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	b.StartTimer()
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := fn(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkCreate: durable creates with 256 callers, on a real disk.
func BenchmarkCreate(b *testing.B) {
	r := onDisk(b, 0)
	r.mkdir("root", "/bench", 0o777)
	c := by("root")
	callers(b, 256, func(i int) error {
		_, err := r.Create(ctx, c, newFile(fmt.Sprintf("/bench/d%d/f%d", i%64, i), "w"))
		return err
	})
}

// BenchmarkWriteFile: create, addBlock, two replicas reported, complete; 256 callers.
func BenchmarkWriteFile(b *testing.B) {
	r := onDisk(b, 4)
	c := by("root")
	pool := r.Info().PoolID
	callers(b, 256, func(i int) error {
		p := fmt.Sprintf("/bench/d%d/f%d", i%64, i)
		if _, err := r.Create(ctx, c, newFile(p, "w")); err != nil {
			return err
		}
		lb, err := r.AddBlock(ctx, c, &dfs.AddBlockRequest{Path: p, Holder: "w"})
		if err != nil {
			return err
		}
		last := lb.Block
		last.Length = 1000
		for _, loc := range lb.Locs {
			err := r.Incremental(ctx, &control.IncrementalRequest{UUID: loc.Node.UUID, PoolID: pool,
				Events: []control.ReplicaEvent{{Event: control.EventReceived, Storage: loc.Storage, Block: last}}})
			if err != nil {
				return err
			}
		}
		done, err := r.Complete(ctx, c, p, "w", &last, 0)
		if err == nil && !done {
			err = fmt.Errorf("%s is not complete", p)
		}
		return err
	})
}

// BenchmarkRename and the others of the same table: one durable change per op.
func BenchmarkChange(b *testing.B) {
	for _, op := range []string{"mkdirs", "rename", "chmod", "delete"} {
		b.Run(op, func(b *testing.B) {
			r := onDisk(b, 0)
			c := by("root")
			if op == "rename" || op == "delete" || op == "chmod" {
				callers(b, 256, func(i int) error {
					_, err := r.Create(ctx, c, newFile(fmt.Sprintf("/b/d%d/f%d", i%64, i), "w"))
					return err
				})
			}
			r.mkdir("root", "/to", 0o755)
			callers(b, 256, func(i int) (err error) {
				p := fmt.Sprintf("/b/d%d/f%d", i%64, i)
				switch op {
				case "mkdirs":
					_, err = r.Mkdirs(ctx, c, p, 0o755, true)
				case "rename":
					_, err = r.Rename(ctx, c, p, p+"x")
				case "chmod":
					err = r.SetPermission(ctx, c, p, 0o600)
				case "delete":
					_, err = r.Delete(ctx, c, p, false)
				}
				return err
			})
			require.NoError(b, r.Err())
		})
	}
}

// BenchmarkCheckTree: a check of a tree, per file of one block with three replicas.
func BenchmarkCheckTree(b *testing.B) {
	r := newRig(b, 3)
	const files = 10_000
	for i := range files {
		r.write(fmt.Sprintf("/bench/dir%d/file%d", i%100, i), 100)
	}
	b.ReportAllocs()
	b.ResetTimer()
	seen := 0
	for seen < b.N {
		require.NoError(b, r.CheckTree(ctx, by("root"), "/", func(f *dfs.FileHealth) error {
			seen++
			return nil
		}))
	}
}

// BenchmarkGroups: from candidates to logged groups of four, per group, with datanodes that
// fold at once.
func BenchmarkGroups(b *testing.B) {
	r := newRig(b, 8, func(c *Config) {
		c.Topology = func(d dfs.DatanodeID) string { return "/rack-" + d.UUID }
		c.Blocks.Parity = blockmanager.Folding{Idle: time.Hour, Streams: 1 << 10}
	})
	r.mkdir("root", "/r", 0o777)
	if err := r.SetStoragePolicy(ctx, by("root"), "/r", "RAID5"); err != nil {
		b.Fatal(err)
	}
	for i := range 2 * b.N {
		r.write(fmt.Sprintf("/r/f%d", i), 0, 0)
	}
	b.ResetTimer()
	for r.Counts().Groups < int64(b.N)-8 {
		for _, d := range r.nodes {
			d.beat()
			orders := d.orders
			d.orders = nil
			for _, c := range orders {
				if c.Kind != control.CmdFold {
					continue
				}
				done := &control.FoldDoneRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID, Block: c.Block, Storage: d.disk.UUID}
				done.Block.Length = 0
				for _, s := range c.Sources {
					done.Members = append(done.Members, dfs.ParityMember{Block: s.Block, Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
				}
				d.event(control.EventReceived, done.Block)
				if err := r.FoldDone(ctx, done); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
