package editlog

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

func BenchmarkRead(b *testing.B) {
	fs := vfs.OS()
	d := b.TempDir()
	const records, perBatch = 1 << 20, 128
	w, err := Create(fs, d, WriterOptions{First: 1, Cluster: cluster, FillChunk: 64 << 20})
	require.NoError(b, err)
	var batch Batch
	for tx := dfs.TxID(1); tx <= records; tx += perBatch {
		batch.Reset(tx)
		for range perBatch {
			require.NoError(b, batch.Add(make([]byte, 100)))
		}
		w.Seal(&batch)
		_, err := w.file.WriteAt(batch.buf, w.offset)
		require.NoError(b, err)
		w.offset += int64(len(batch.buf))
		w.next = batch.Last() + 1
	}
	require.NoError(b, w.Finish())
	segs, err := List(fs, d)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for n < b.N {
		r, err := OpenReader(fs, d, segs[0], &cluster)
		require.NoError(b, err)
		for {
			recs, err := r.Next()
			if err == io.EOF {
				break
			}
			require.NoError(b, err)
			for _, rec := range recs.All() {
				n += len(rec) / 100
			}
		}
		require.NoError(b, r.Close())
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		fill int64
	}{{"fill", 0}, {"nofill", -1}} {
		b.Run(c.name, func(b *testing.B) {
			w, err := Create(vfs.OS(), b.TempDir(), WriterOptions{First: 1, Cluster: cluster, FillChunk: c.fill})
			require.NoError(b, err)
			var batch Batch
			rec := make([]byte, 100)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				batch.Reset(w.Next())
				for range 64 {
					require.NoError(b, batch.Add(rec))
				}
				require.NoError(b, w.Append(&batch))
			}
			b.StopTimer()
			require.NoError(b, w.Finish())
		})
	}
}
