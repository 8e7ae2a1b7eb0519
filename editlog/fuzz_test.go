package editlog

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Whatever the bytes are, a reader ends, takes no memory beyond the file's size, and
// gives only batches whose checksums hold.
func FuzzDecode(f *testing.F) {
	fs := vfs.NewMem()
	w := newLog(f, fs, 512)
	require.NoError(f, add(w, 3))
	whole := contents(f, fs, only(f, fs))
	f.Add(whole, uint64(0))
	f.Add(whole[:w.Size()], uint64(6))
	f.Add(whole[:w.Size()-5], uint64(0))
	f.Add(whole[:100], uint64(6))
	f.Add([]byte("RDBTEDIT"), uint64(0))
	f.Add(encodeHeader(Header{Version: 1, First: 1 << 63}), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, last uint64) {
		seg := Segment{Name: "fuzz", Last: dfs.TxID(last), InProgress: last == 0}
		r, err := newReader(bytes.NewReader(b), int64(len(b)), seg, nil)
		if err != nil {
			return
		}
		next := r.Header().First
		for {
			recs, err := r.Next()
			if err != nil {
				var c *CorruptError
				require.True(t, err == io.EOF || errors.Is(err, ErrTorn) || errors.As(err, &c), "%v", err)
				break
			}
			require.Equal(t, next, recs.First)
			n := 0
			for tx := range recs.All() {
				require.Equal(t, next, tx)
				next++
				n++
			}
			require.Equal(t, recs.Count, n)
		}
		require.LessOrEqual(t, cap(r.buf), len(b))
	})
}

// Batches with every field's bytes changed and the checksums made good again: the
// parser itself must stand up to them.
func FuzzBatch(f *testing.F) {
	f.Add([]byte{3, 'a', 'b', 'c', 0}, uint32(2), uint32(0))
	f.Add(make([]byte, 24), uint32(0), uint32(flagMark))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint32(1), uint32(0))
	f.Add([]byte{1}, uint32(1<<32-1), uint32(8))
	f.Fuzz(func(t *testing.T, payload []byte, count, flags uint32) {
		h := batchHeader{first: 1, count: count, flags: flags}
		var recs Records
		if recs.parse(&h, payload) != nil {
			return
		}
		n := 0
		for range recs.All() {
			n++
		}
		require.EqualValues(t, count, n)
	})
}
