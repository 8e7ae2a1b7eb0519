package fsimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/internal/golden"
	"redoubt/vfs"
)

func TestMain(m *testing.M) { crashtest.Main(m) }

const dir = "/img"

var cluster = dfs.ClusterInfo{ClusterID: "CID-1", PoolID: "BP-1", NamespaceID: 9, CTime: 5}

type state map[string][][]byte

// sample is a state with compressible, incompressible, empty and small chunks.
func sample() (state, []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	names := []string{"inodes", "blocks", "empty", "none"}
	s := state{"inodes": nil, "blocks": {noise, []byte("small"), noise[:200]}, "empty": {{}}, "none": nil}
	for i := range 20 {
		s["inodes"] = append(s["inodes"], bytes.Repeat([]byte(fmt.Sprintf("inode %d ", i)), 300))
	}
	return s, names
}

func (s state) sections(names []string) []dfs.Section {
	var list []dfs.Section
	for _, name := range names {
		list = append(list, dfs.Section{Name: name, Write: func(emit func([]byte) error) error {
			var scratch []byte
			for _, c := range s[name] {
				scratch = append(scratch[:0], c...) // the chunk is emit's only until it returns
				if err := emit(scratch); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	return list
}

func read(r *Reader) (state, error) {
	s := state{}
	for _, name := range r.Sections() {
		s[name] = nil
		if err := r.Chunks(name, func(b []byte) error {
			s[name] = append(s[name], append([]byte{}, b...))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func info(tx dfs.TxID) Info { return Info{TxID: tx, Digest: dfs.Digest{1, byte(tx)}, Cluster: cluster} }

func newDisk(t testing.TB) *vfs.Mem {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll(dir))
	return fs
}

func TestRoundTrip(t *testing.T) {
	want, names := sample()
	for _, opt := range []WriteOptions{{}, {Parallel: 4}, {Raw: true}, {Raw: true, Parallel: 2}} {
		fs := newDisk(t)
		result, err := Write(fs, dir, info(42), want.sections(names), opt)
		require.NoError(t, err)
		r, err := Open(fs, dir, Name(42), &cluster)
		require.NoError(t, err)
		require.Equal(t, info(42), r.Info())
		require.Equal(t, names, r.Sections())
		require.Equal(t, result.Bytes, r.Size())
		got, err := read(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, r.Verify())

		var mu sync.Mutex
		parallel := make([][]byte, len(want["inodes"]))
		require.NoError(t, r.Parallel("inodes", func(i int, b []byte) error {
			mu.Lock()
			defer mu.Unlock()
			parallel[i] = append([]byte{}, b...)
			return nil
		}))
		require.Equal(t, want["inodes"], parallel)
		require.NoError(t, r.Chunks("missing", nil))
		require.NoError(t, r.Parallel("missing", nil))
		_, stored, raw := r.SectionSize("inodes")
		require.Equal(t, opt.Raw, stored == raw)
		boom := errors.New("boom")
		require.Equal(t, boom, r.Chunks("inodes", func([]byte) error { return boom }))
		require.Equal(t, boom, r.Parallel("inodes", func(int, []byte) error { return boom }))
		require.NoError(t, r.Close())
	}
}

func TestErrorsOfTheWriter(t *testing.T) {
	fs := newDisk(t)
	boom := errors.New("boom")
	for _, p := range []int{1, 3} {
		bad := []dfs.Section{{Name: "x", Write: func(emit func([]byte) error) error {
			if err := emit(make([]byte, 1000)); err != nil {
				return err
			}
			return boom
		}}}
		_, err := Write(fs, dir, info(1), bad, WriteOptions{Parallel: p})
		require.ErrorIs(t, err, boom)
		huge := []dfs.Section{{Name: "x", Write: func(emit func([]byte) error) error { return emit(make([]byte, MaxChunk+1)) }}}
		_, err = Write(fs, dir, info(1), huge, WriteOptions{Parallel: p})
		require.ErrorContains(t, err, "over the limit")
		fs.SetCapacity(100)
		want, names := sample()
		_, err = Write(fs, dir, info(1), want.sections(names), WriteOptions{Parallel: p})
		require.ErrorIs(t, err, syscall.ENOSPC)
		fs.SetCapacity(0)
	}
	list, err := List(fs, dir)
	require.NoError(t, err)
	require.Empty(t, list)
}

func patch(t testing.TB, fs vfs.FS, name string, off int64, b []byte) {
	t.Helper()
	f, err := fs.OpenWrite(dir + "/" + name)
	require.NoError(t, err)
	_, err = f.WriteAt(b, off)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func check(fs vfs.FS, name string) error {
	r, err := Open(fs, dir, name, &cluster)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Verify()
}

// Each byte of an image is covered: one that flips is named, and a file cut anywhere is
// refused.
func TestEveryByteIsCovered(t *testing.T) {
	want, names := sample()
	fs := newDisk(t)
	_, err := Write(fs, dir, info(42), want.sections(names), WriteOptions{})
	require.NoError(t, err)
	whole, err := vfs.ReadFile(fs, dir+"/"+Name(42), 1<<20)
	require.NoError(t, err)
	for i := range whole {
		patch(t, fs, Name(42), int64(i), []byte{whole[i] ^ 0x10})
		err := check(fs, Name(42))
		require.Error(t, err, "byte %d", i)
		if i >= 12 {
			var c *CorruptError
			require.ErrorAs(t, err, &c, "byte %d", i)
			require.True(t, dfs.Is(err, dfs.Corrupt))
		}
		patch(t, fs, Name(42), int64(i), whole[i:i+1])
	}
	for n := 0; n < len(whole); n += 7 {
		f, err := fs.OpenWrite(dir + "/" + Name(42))
		require.NoError(t, err)
		require.NoError(t, f.Truncate(int64(n)))
		require.NoError(t, f.Close())
		require.Error(t, check(fs, Name(42)))
		patch(t, fs, Name(42), 0, whole)
	}
	require.NoError(t, check(fs, Name(42)))
}

func TestThreeQuestionsThreeErrors(t *testing.T) {
	want, names := sample()
	fs := newDisk(t)
	_, err := Write(fs, dir, info(42), want.sections(names), WriteOptions{})
	require.NoError(t, err)
	other := cluster
	other.PoolID = "BP-2"
	_, err = Open(fs, dir, Name(42), &other)
	var clusterErr *ClusterError
	require.ErrorAs(t, err, &clusterErr)
	require.ErrorContains(t, err, "BP-1")
	require.ErrorContains(t, err, "BP-2")

	require.NoError(t, fs.Link(dir+"/"+Name(42), dir+"/"+Name(43)))
	_, err = Open(fs, dir, Name(43), nil)
	require.ErrorContains(t, err, "image of transaction 42")

	patch(t, fs, Name(42), 8, []byte{7})
	_, err = Open(fs, dir, Name(42), nil)
	var version *VersionError
	require.ErrorAs(t, err, &version)
	require.ErrorContains(t, err, "unsupported version 7")
	require.False(t, dfs.Is(err, dfs.Corrupt), "a future version is not damage")

	patch(t, fs, Name(42), 0, []byte{0})
	_, err = Open(fs, dir, Name(42), nil)
	require.ErrorIs(t, err, ErrNotImage)
}

type badReader struct{ bytes.Reader }

func (*badReader) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

func TestReadErrorIsNotDamage(t *testing.T) {
	_, err := newReader(&badReader{}, 1000, "x")
	require.ErrorIs(t, err, syscall.EIO)
	require.False(t, dfs.Is(err, dfs.Corrupt))
}

// stuck fails to remove.
type stuck struct{ vfs.FS }

func (stuck) Remove(string) error { return syscall.EROFS }

func TestPurgeAndSetAside(t *testing.T) {
	want, names := sample()
	fs := newDisk(t)
	for tx := dfs.TxID(1); tx <= 5; tx++ {
		_, err := Write(fs, dir, info(tx), want.sections(names), WriteOptions{})
		require.NoError(t, err)
	}
	left, err := Purge(stuck{fs}, dir, 2)
	require.ErrorIs(t, err, syscall.EROFS)
	require.Len(t, left, 5, "what could not be removed is still there")
	left, err = Purge(fs, dir, 2)
	require.NoError(t, err)
	require.EqualValues(t, 5, left[0].TxID)
	require.EqualValues(t, 4, left[1].TxID)
	left, err = Purge(fs, dir, 0)
	require.NoError(t, err)
	require.Len(t, left, 1)

	for i, name := range []string{Name(5) + ".corrupt", Name(5) + ".corrupt.1"} {
		if i > 0 {
			_, err = Write(fs, dir, info(5), want.sections(names), WriteOptions{})
			require.NoError(t, err)
		}
		got, err := SetAside(fs, dir, Name(5))
		require.NoError(t, err)
		require.Equal(t, name, got)
		_, err = fs.Stat(dir + "/" + got)
		require.NoError(t, err, "evidence is kept")
	}
	list, err := List(fs, dir)
	require.NoError(t, err)
	require.Empty(t, list)
}

// Power cuts at every I/O of publishing: there is the old image, or the new one too, and
// none is half.
func TestCrashWhilePublishing(t *testing.T) {
	want, names := sample()
	want["inodes"] = want["inodes"][:2]
	crashtest.EachPoint(t, func() crashtest.Scenario {
		acked := dfs.TxID(1)
		return crashtest.Scenario{
			Setup: func(fs vfs.FS) error {
				if err := fs.MkdirAll(dir); err != nil {
					return err
				}
				_, err := Write(fs, dir, info(1), want.sections(names), WriteOptions{})
				return err
			},
			Run: func(fs vfs.FS) error {
				for tx := dfs.TxID(2); tx < 5; tx++ {
					if _, err := Write(fs, dir, info(tx), want.sections(names), WriteOptions{}); err != nil {
						return err
					}
					acked = tx
					if _, err := Purge(fs, dir, 2); err != nil {
						return err
					}
				}
				return nil
			},
			Recover: func(fs vfs.FS) error { return vfs.SweepTemp(fs, dir, namePrefix) },
			Check: func(fs vfs.FS) error {
				list, err := List(fs, dir)
				if err != nil || len(list) == 0 {
					return fmt.Errorf("no image left: %w", err)
				}
				if list[0].TxID < acked {
					return fmt.Errorf("newest image is %d, acknowledged %d", list[0].TxID, acked)
				}
				for _, img := range list {
					if err := check(fs, img.Name); err != nil {
						return err
					}
				}
				return nil
			},
		}
	})
}

// Old files are read for ever. Do not change the files to make this pass.
func TestGolden(t *testing.T) {
	want, names := sample()
	fs := newDisk(t)
	_, err := Write(fs, dir, info(42), want.sections(names), WriteOptions{})
	require.NoError(t, err)
	written, err := vfs.ReadFile(fs, dir+"/"+Name(42), 1<<20)
	require.NoError(t, err)
	golden.Frozen(t, fmt.Sprintf("testdata/v%d/%s", Version, Name(42)), written) // another compressor may write other bytes
	r, err := Open(vfs.OS(), "testdata/v1", Name(42), &cluster)
	require.NoError(t, err)
	require.Equal(t, info(42), r.Info())
	got, err := read(r)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, r.Close())
}

// An image that claims a lot costs little.
func TestHostileLengths(t *testing.T) {
	x := index{Digest: make([]byte, 16), Sections: []section{{Name: "a", Chunks: []chunk{
		{Offset: headerSize, Stored: 20, Raw: MaxChunk, How: storedZstd}}}}}
	b := append(encodeHeader(), make([]byte, 20)...)
	at := int64(len(b))
	idx, err := x.encode()
	require.NoError(t, err)
	b = append(append(b, idx...), encodeFooter(at, idx)...)
	r, err := newReader(bytes.NewReader(b), int64(len(b)), "x")
	require.NoError(t, err)
	require.Error(t, r.Verify())
	for _, c := range []chunk{
		{Offset: headerSize, Stored: 21, Raw: 1}, {Offset: headerSize, Stored: 1 << 62, Raw: 1 << 62},
		{Offset: headerSize, Stored: 20, Raw: MaxChunk + 1, How: 1}, {Offset: headerSize, Stored: 20, Raw: 20, How: 2},
		{Offset: headerSize, Stored: 20, Raw: -1, How: 1}, {Offset: -5, Stored: 20, Raw: 20}, {Offset: 15, Stored: 21, Raw: 21},
	} {
		x.Sections[0].Chunks[0] = c
		idx, err := x.encode()
		require.NoError(t, err)
		_, err = decodeIndex(idx, at)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%+v", c)
	}
}

func FuzzDecode(f *testing.F) {
	want, names := sample()
	fs := newDisk(f)
	_, err := Write(fs, dir, info(42), want.sections(names), WriteOptions{})
	require.NoError(f, err)
	whole, err := vfs.ReadFile(fs, dir+"/"+Name(42), 1<<20)
	require.NoError(f, err)
	r, err := newReader(bytes.NewReader(whole), int64(len(whole)), "x")
	require.NoError(f, err)
	idx, err := r.index.encode()
	require.NoError(f, err)
	chunks := whole[headerSize : len(whole)-footerSize-len(idx)]
	f.Add(chunks, idx)
	f.Add([]byte{}, idx)
	f.Add([]byte("xx"), []byte{0x97, 1})
	// The checksums are made good, so that what lies behind them is reached.
	f.Fuzz(func(t *testing.T, chunks, idx []byte) {
		b := append(encodeHeader(), chunks...)
		at := int64(len(b))
		b = append(append(b, idx...), encodeFooter(at, idx)...)
		r, err := newReader(bytes.NewReader(b), int64(len(b)), "x")
		if err != nil {
			require.True(t, dfs.Is(err, dfs.Corrupt), "%v", err)
			return
		}
		if err := r.Verify(); err != nil {
			require.True(t, dfs.Is(err, dfs.Corrupt), "%v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(encodeHeader())
	f.Add(append(encodeHeader(), encodeFooter(16, nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := newReader(bytes.NewReader(b), int64(len(b)), "x"); err == nil {
			_ = r.Verify()
		}
	})
}

// bigSections make about mib MiB that look like inode records.
func bigSections(mib int) []dfs.Section {
	rng := rand.New(rand.NewPCG(3, 4))
	chunks := make([][]byte, 16)
	for k := range chunks {
		b := make([]byte, 0, 1<<20)
		for i := 0; len(b) < 1<<20-120; i++ {
			b = append(b, 0x9b, 0xcf)
			b = binary.BigEndian.AppendUint64(b, uint64(16385+i))
			b = fmt.Appendf(b, "\xb6part-%05d-%08x.parquet", i, rng.Uint32())
			b = binary.BigEndian.AppendUint64(append(b, 0xcf), 1_790_000_000_000+rng.Uint64N(1<<24))
			b = append(b, "\xa4hdfs\xaasupergroup\xcd\x01\xa4\x03\x93\xce"...)
			b = binary.BigEndian.AppendUint32(b, rng.Uint32())
			b = append(b, 0xcd, 0x03, 0xe9, 0xce)
			b = binary.BigEndian.AppendUint32(b, rng.Uint32())
		}
		chunks[k] = b
	}
	return []dfs.Section{{Name: "inodes", Write: func(emit func([]byte) error) error {
		for i := range mib {
			if err := emit(chunks[i%len(chunks)]); err != nil {
				return err
			}
		}
		return nil
	}}}
}

func BenchmarkWrite(b *testing.B) {
	for _, opt := range []WriteOptions{{}, {Parallel: 2}, {Raw: true}} {
		b.Run(fmt.Sprintf("parallel=%d,raw=%t", max(1, opt.Parallel), opt.Raw), func(b *testing.B) {
			d := b.TempDir()
			b.SetBytes(400 << 20)
			for range b.N {
				r, err := Write(vfs.OS(), d, info(1), bigSections(400), opt)
				require.NoError(b, err)
				b.ReportMetric(float64(r.Raw)/float64(r.Bytes), "ratio")
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	d := b.TempDir()
	_, err := Write(vfs.OS(), d, info(1), bigSections(400), WriteOptions{Parallel: 2})
	require.NoError(b, err)
	b.SetBytes(400 << 20)
	for range b.N {
		r, err := Open(vfs.OS(), d, Name(1), &cluster)
		require.NoError(b, err)
		require.NoError(b, r.Verify())
		require.NoError(b, r.Close())
	}
}
