package blockstore

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

const (
	benchBlock  = 128 << 20
	benchPacket = 64 << 10
)

// BenchmarkWriteBlock writes blocks of 128 MiB in packets of 64 KiB, checksums verified,
// and finalizes them durably.
func BenchmarkWriteBlock(b *testing.B) {
	for _, durable := range []bool{false, true} {
		name := "finalized"
		if !durable {
			name = "unsynced"
		}
		b.Run(name, func(b *testing.B) {
			s := open(b, config(vfs.OS(), b.TempDir()))
			data := pattern(benchPacket)
			sums := sumsOf(data)
			b.SetBytes(benchBlock)
			b.ReportAllocs()
			for i := range b.N {
				w, err := s.Create(CreateOptions{Block: block(uint64(i+1), 1), Expected: benchBlock})
				require.NoError(b, err)
				for off := int64(0); off < benchBlock; off += benchPacket {
					if err := w.Write(off, data, sums, false); err != nil {
						b.Fatal(err)
					}
				}
				if durable {
					_, err = w.Finalize()
					require.NoError(b, err)
				}
				require.NoError(b, w.Close())
				b.StopTimer()
				require.NoError(b, s.Invalidate(block(uint64(i+1), 1)))
				b.StartTimer()
			}
		})
	}
}

// BenchmarkReadBlock reads a block of 128 MiB with its checksums from the page cache.
func BenchmarkReadBlock(b *testing.B) {
	s := open(b, config(vfs.OS(), b.TempDir()))
	w, err := s.Create(CreateOptions{Block: block(1, 1), Expected: benchBlock})
	require.NoError(b, err)
	data := pattern(benchPacket)
	sums := sumsOf(data)
	for off := int64(0); off < benchBlock; off += benchPacket {
		require.NoError(b, w.Write(off, data, sums, true))
	}
	_, err = w.Finalize()
	require.NoError(b, err)
	for _, verify := range []bool{false, true} {
		b.Run(fmt.Sprintf("verify=%v", verify), func(b *testing.B) {
			b.SetBytes(benchBlock)
			b.ReportAllocs()
			for range b.N {
				r, err := s.OpenReader(context.Background(), ReadOptions{Block: block(1, 1), Length: benchBlock, Verify: verify})
				require.NoError(b, err)
				for {
					if _, err := r.Read(data, sums); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				r.Close()
			}
		})
	}
}

// BenchmarkSmallBlocks creates, writes and finalizes blocks of 4 KiB.
func BenchmarkSmallBlocks(b *testing.B) {
	s := open(b, config(vfs.OS(), b.TempDir()))
	data := pattern(4096)
	sums := sumsOf(data)
	b.ReportAllocs()
	for i := range b.N {
		w, err := s.Create(CreateOptions{Block: block(uint64(i+1), 1), Expected: 4096})
		require.NoError(b, err)
		require.NoError(b, w.Write(0, data, sums, false))
		_, err = w.Finalize()
		require.NoError(b, err)
	}
}

// BenchmarkStart opens a store of 100 k small blocks on two volumes.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	c := config(vfs.OS(), dir+"/a", dir+"/b")
	s := open(b, c)
	sum, err := newChecksum(dfs.ChecksumCRC32C, 512)
	require.NoError(b, err)
	data := pattern(10)
	meta := append(sum.header(), sumsOf(data)...)
	for i := range 100_000 {
		id := dfs.FirstBlockID + dfs.BlockID(i)
		v := s.vols[i%2]
		require.NoError(b, os.MkdirAll(filepath.Dir(v.dataPath(id, inFinalized)), 0o755))
		require.NoError(b, os.WriteFile(v.dataPath(id, inFinalized), data, 0o644))
		require.NoError(b, os.WriteFile(v.metaPath(id, 1001, inFinalized), meta, 0o644))
	}
	require.NoError(b, s.Close())
	b.ResetTimer()
	for range b.N {
		s, err := Open(c)
		require.NoError(b, err)
		b.StopTimer()
		require.Equal(b, 100_000, s.Volumes()[0].Replicas+s.Volumes()[1].Replicas)
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}
