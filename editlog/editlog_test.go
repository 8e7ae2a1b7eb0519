package editlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/internal/golden"
	"redoubt/vfs"
)

func TestMain(m *testing.M) { crashtest.Main(m) }

var cluster = dfs.ClusterInfo{ClusterID: "CID-1", PoolID: "BP-1-127.0.0.1-1", NamespaceID: 7}

const dir = "/log"

func newLog(t testing.TB, fs vfs.FS, fill int64) *Writer {
	t.Helper()
	require.NoError(t, fs.MkdirAll(dir))
	w, err := Create(fs, dir, WriterOptions{First: 1, Epoch: 3, Cluster: cluster, FillChunk: fill})
	require.NoError(t, err)
	return w
}

func record(tx dfs.TxID) string { return fmt.Sprintf("record %d", tx) }

// add appends n batches of two records each.
func add(w *Writer, n int) error {
	var b Batch
	for range n {
		b.Reset(w.Next())
		b.SetMark(Mark{TxID: w.Next() - 1, Digest: dfs.Digest{byte(w.Next())}})
		for tx := w.Next(); tx < w.Next()+2; tx++ {
			if err := b.Add([]byte(record(tx))); err != nil {
				return err
			}
		}
		if err := w.Append(&b); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads a segment to its end, checks each record and gives the last
// transaction, the offsets of the batches, and how it ended (nil for io.EOF).
func readAll(fs vfs.FS, seg Segment) (last dfs.TxID, offsets []int64, err error) {
	r, err := OpenReader(fs, dir, seg, &cluster)
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	for {
		recs, err := r.Next()
		if err == io.EOF {
			return r.NextTx() - 1, append(offsets, r.Offset()), nil
		}
		if err != nil {
			return r.NextTx() - 1, append(offsets, r.Offset()), err
		}
		offsets = append(offsets, recs.Offset)
		for tx, rec := range recs.All() {
			if string(rec) != record(tx) {
				return 0, nil, fmt.Errorf("transaction %d is %q", tx, rec)
			}
		}
	}
}

func only(t testing.TB, fs vfs.FS) Segment {
	t.Helper()
	segs, err := List(fs, dir)
	require.NoError(t, err)
	require.Len(t, segs, 1)
	return segs[0]
}

// flip changes bytes of the segment in place.
func patch(t testing.TB, fs vfs.FS, seg Segment, off int64, b []byte) {
	t.Helper()
	f, err := fs.OpenWrite(dir + "/" + seg.Name)
	require.NoError(t, err)
	_, err = f.WriteAt(b, off)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func contents(t testing.TB, fs vfs.FS, seg Segment) []byte {
	t.Helper()
	b, err := vfs.ReadFile(fs, dir+"/"+seg.Name, 1<<30)
	require.NoError(t, err)
	return b
}

func TestAppendReadFinish(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 1024)
	require.NoError(t, add(w, 100))
	seg := only(t, fs)
	require.True(t, seg.InProgress)
	require.Greater(t, seg.Size, w.Size(), "zeroes lie ahead of the writer")
	last, offsets, err := readAll(fs, seg)
	require.NoError(t, err)
	require.EqualValues(t, 200, last)
	require.Len(t, offsets, 101)

	require.NoError(t, w.Finish())
	require.ErrorIs(t, add(w, 1), ErrClosed)
	seg = only(t, fs)
	require.Equal(t, Segment{Name: "edits_0000000000000000001-0000000000000000200", First: 1, Last: 200, Size: w.Size() + batchHeaderSize}, seg, "with the word of its end")
	last, _, err = readAll(fs, seg)
	require.NoError(t, err)
	require.EqualValues(t, 200, last)
}

func TestMarksAndHeader(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, -1)
	require.NoError(t, add(w, 2))
	var empty Batch
	empty.Reset(w.Next())
	require.NoError(t, w.Append(&empty), "an empty batch only promises")
	r, err := OpenReader(fs, dir, only(t, fs), nil)
	require.NoError(t, err)
	require.Equal(t, Header{Version: Version, First: 1, Epoch: 3, Cluster: cluster}, r.Header())
	recs, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, &Mark{TxID: 0, Digest: dfs.Digest{1}}, recs.Mark)
	_, err = r.Next()
	require.NoError(t, err)
	recs, err = r.Next()
	require.NoError(t, err)
	require.Nil(t, recs.Mark)
	require.Zero(t, recs.Count)
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.NoError(t, r.Close())
}

func TestSealSharedByEqualSegments(t *testing.T) {
	a, b := vfs.NewMem(), vfs.NewMem()
	wa, wb := newLog(t, a, 512), newLog(t, b, 512)
	var batch Batch
	for tx := dfs.TxID(1); tx < 10; tx++ {
		batch.Reset(tx)
		require.NoError(t, batch.Add([]byte(record(tx))))
		wa.Seal(&batch)
		wa.Seal(&batch)
		require.NoError(t, wa.Append(&batch))
		require.NoError(t, wb.Append(&batch))
	}
	require.Equal(t, contents(t, a, only(t, a)), contents(t, b, only(t, b)))
	batch.Reset(10)
	require.NoError(t, batch.Add([]byte("x")))
	wa.Seal(&batch)
	require.NoError(t, batch.Add([]byte("y")), "adding after sealing opens the batch again")
	require.NoError(t, wa.Append(&batch))
}

// A version this program doesn't know is not damage.
func TestFutureVersionIsNotCorruption(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, newLog(t, fs, -1).Close())
	seg := only(t, fs)
	patch(t, fs, seg, 8, []byte{9})
	_, err := OpenReader(fs, dir, seg, &cluster)
	var version *VersionError
	require.ErrorAs(t, err, &version)
	require.ErrorContains(t, err, "unsupported version 9")
	require.False(t, dfs.Is(err, dfs.Corrupt))
}

func TestHeaderQuestions(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, newLog(t, fs, -1).Close())
	seg := only(t, fs)
	other := cluster
	other.ClusterID = "CID-2"
	_, err := OpenReader(fs, dir, seg, &other)
	var clusterErr *ClusterError
	require.ErrorAs(t, err, &clusterErr)
	require.ErrorContains(t, err, "CID-1")
	require.ErrorContains(t, err, "CID-2")

	patch(t, fs, seg, 30, []byte{1})
	_, err = OpenReader(fs, dir, seg, &cluster)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.Zero(t, c.Offset)
	require.True(t, dfs.Is(err, dfs.Corrupt))

	patch(t, fs, seg, 0, []byte("PK"))
	_, err = OpenReader(fs, dir, seg, &cluster)
	require.ErrorIs(t, err, ErrNotEditLog)

	_, err = Create(fs, dir, WriterOptions{First: 0})
	require.Error(t, err)
	long := dfs.ClusterInfo{ClusterID: string(make([]byte, 300)), PoolID: string(make([]byte, 200))}
	_, err = Create(fs, dir, WriterOptions{First: 1, Cluster: long})
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
}

// One flipped bit anywhere in an early batch must be refused, never shorten the log.
func TestFlippedBitInEarlyBatchIsRefused(t *testing.T) {
	for _, finish := range []bool{false, true} {
		fs := vfs.NewMem()
		w := newLog(t, fs, 2048)
		require.NoError(t, add(w, 10))
		if finish {
			require.NoError(t, w.Finish())
		}
		seg := only(t, fs)
		_, offsets, err := readAll(fs, seg)
		require.NoError(t, err)
		whole := contents(t, fs, seg)
		for i := offsets[0]; i < offsets[9]; i++ {
			for bit := range 8 {
				patch(t, fs, seg, i, []byte{whole[i] ^ 1<<bit})
				_, _, err := readAll(fs, seg)
				var c *CorruptError
				require.ErrorAs(t, err, &c, "byte %d", i)
				require.True(t, dfs.Is(err, dfs.Corrupt))
				batch := 0
				for offsets[batch+1] <= i {
					batch++
				}
				require.Equal(t, offsets[batch], c.Offset)
				require.EqualValues(t, 1+2*batch, c.TxID)
				require.Equal(t, dir+"/"+seg.Name, c.Segment)
			}
			patch(t, fs, seg, i, whole[i:i+1])
		}
	}
}

// A hole of zeroes is not the end of the file as long as something follows it.
func TestZeroedSectorIsSeen(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 4096)
	require.NoError(t, add(w, 50))
	seg := only(t, fs)
	whole := contents(t, fs, seg)
	for off := int64(headerSize); off+512 < w.Size()-512; off += 512 {
		patch(t, fs, seg, off, make([]byte, 512))
		_, _, err := readAll(fs, seg)
		var c *CorruptError
		require.ErrorAs(t, err, &c, "sector at %d", off)
		patch(t, fs, seg, off, whole[off:off+512])
	}
}

func TestTornTailIsCut(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 4096)
	require.NoError(t, add(w, 5))
	good := w.Size()
	require.NoError(t, add(w, 1))
	seg := only(t, fs)
	patch(t, fs, seg, good+72, make([]byte, 10)) // as if the second half had not reached the disk
	last, offsets, err := readAll(fs, seg)
	require.ErrorIs(t, err, ErrTorn)
	var torn *TornError
	require.ErrorAs(t, err, &torn)
	require.Equal(t, good, torn.Offset)
	require.EqualValues(t, 11, torn.TxID)
	require.Positive(t, torn.Bytes)
	require.EqualValues(t, 10, last)
	require.NoError(t, FinishTail(fs, dir, seg, offsets[len(offsets)-1], last))
	seg = only(t, fs)
	require.False(t, seg.InProgress)
	last, _, err = readAll(fs, seg)
	require.NoError(t, err)
	require.EqualValues(t, 10, last)
}

// A finished segment has no torn tail: whatever is missing from it is damage.
func TestFinishedSegmentCutShortIsDamage(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 4096)
	require.NoError(t, add(w, 5))
	require.NoError(t, w.Finish())
	seg := only(t, fs)
	whole := contents(t, fs, seg)
	for size := range len(whole) {
		f, err := fs.OpenWrite(dir + "/" + seg.Name)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(int64(size)))
		require.NoError(t, f.Close())
		_, _, err = readAll(fs, seg)
		if int64(size) == w.Size() {
			require.NoError(t, err, "only the word of its end is gone")
		} else {
			require.Error(t, err)
		}
		patch(t, fs, seg, 0, whole)
	}
	last, _, err := readAll(fs, seg)
	require.NoError(t, err)
	require.EqualValues(t, 10, last)
}

// Bytes of another segment, or of this one in another place, are no batches.
func TestMisplacedBatchIsNotOne(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 4096)
	require.NoError(t, add(w, 5))
	seg := only(t, fs)
	whole := contents(t, fs, seg)
	patch(t, fs, seg, w.Size(), whole[headerSize:w.Size()])
	_, _, err := readAll(fs, seg)
	require.ErrorIs(t, err, ErrTorn, "a copy of synced batches behind the end promises nothing")
}

// sickFS fails calls of the files opened through it.
type sickFS struct {
	vfs.FS
	read, write, sync error
	short             int // bytes written before write fails
	onRead            func() error
}

type sickFile struct {
	vfs.File
	fs *sickFS
}

func (s *sickFS) Open(name string) (vfs.File, error) {
	f, err := s.FS.Open(name)
	return &sickFile{f, s}, err
}

func (s *sickFS) OpenWrite(name string) (vfs.File, error) {
	f, err := s.FS.OpenWrite(name)
	return &sickFile{f, s}, err
}

func (f *sickFile) ReadAt(b []byte, off int64) (int, error) {
	if f.fs.read != nil && off > 0 {
		return 0, f.fs.read
	}
	if f.fs.onRead != nil {
		if err := f.fs.onRead(); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(b, off)
}

func (f *sickFile) WriteAt(b []byte, off int64) (int, error) {
	if f.fs.write != nil {
		n, _ := f.File.WriteAt(b[:min(f.fs.short, len(b))], off)
		return n, f.fs.write
	}
	return f.File.WriteAt(b, off)
}

func (f *sickFile) Sync() error {
	if f.fs.sync != nil {
		return f.fs.sync
	}
	return f.File.Sync()
}

// After a write that failed half-way nothing may be appended behind the debris, and
// nothing that was acknowledged may vanish.
func TestFirstErrorIsFinal(t *testing.T) {
	for _, sick := range []sickFS{
		{write: syscall.EIO, short: 30},
		{write: syscall.ENOSPC, short: 70},
		{sync: syscall.EIO},
	} {
		mem := vfs.NewMem()
		fs := &sickFS{FS: mem}
		w := newLog(t, fs, 512)
		require.NoError(t, add(w, 3))
		sick.FS = mem
		*fs = sick
		err := add(w, 1)
		require.Error(t, err)
		*fs = sickFS{FS: mem} // the disk is well again: the writer must not be
		require.Equal(t, err, add(w, 1))
		require.Equal(t, err, w.Finish())
		require.NoError(t, w.Close())
		last, _, err := readAll(mem, only(t, mem))
		if err != nil {
			require.ErrorIs(t, err, ErrTorn)
		}
		require.GreaterOrEqual(t, last, dfs.TxID(6))
	}
}

// A read error is no end of the log.
func TestReadErrorIsNotAnEnd(t *testing.T) {
	fs := &sickFS{FS: vfs.NewMem()}
	w := newLog(t, fs, 512)
	require.NoError(t, add(w, 3))
	seg := only(t, fs)
	before := contents(t, fs, seg)
	fs.read = syscall.EIO
	_, _, err := readAll(fs, seg)
	require.ErrorIs(t, err, syscall.EIO)
	require.False(t, dfs.Is(err, dfs.Corrupt))
	require.False(t, errors.Is(err, ErrTorn))
	fs.read = nil
	require.Equal(t, before, contents(t, fs, seg))
}

// The same for every single read of a log with a damaged place, the search behind that
// place included: it is the read error that comes out, never what was made of it.
func TestEachReadFails(t *testing.T) {
	mem := vfs.NewMem()
	w := newLog(t, mem, 4*readAhead)
	for range 3 {
		require.NoError(t, add(w, 2))
	}
	seg := only(t, mem)
	_, offsets, err := readAll(mem, seg)
	require.NoError(t, err)
	patch(t, mem, seg, offsets[0]+batchHeaderSize, []byte{0xff, 0xff, 0xff})
	_, _, err = readAll(mem, seg)
	require.True(t, dfs.Is(err, dfs.Corrupt), "%v", err)
	fs := &sickFS{FS: mem}
	for k := 0; ; k++ {
		reads := 0
		fs.onRead = func() error {
			if reads++; reads == k+1 {
				return syscall.EIO
			}
			return nil
		}
		_, _, err := readAll(fs, seg)
		if reads <= k {
			require.Greater(t, k, 2, "header, batches, look-ahead")
			return
		}
		require.ErrorIs(t, err, syscall.EIO, "read %d", k)
		require.False(t, dfs.Is(err, dfs.Corrupt), "read %d", k)
	}
}

func TestFullDiskStopsFillingNotAppending(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 64<<10)
	fs.SetCapacity(8 << 10)
	require.NoError(t, add(w, 3))
	last, _, err := readAll(fs, only(t, fs))
	require.NoError(t, err)
	require.EqualValues(t, 6, last)
}

func TestLimits(t *testing.T) {
	w := newLog(t, vfs.NewMem(), -1)
	var b Batch
	b.Reset(w.Next())
	require.True(t, dfs.Is(b.Add(make([]byte, dfs.MaxRecord+1)), dfs.IllegalArgument))
	require.NoError(t, b.Add(make([]byte, dfs.MaxRecord)))
	require.True(t, dfs.Is(b.Add(make([]byte, 2<<20)), dfs.IllegalArgument))
	require.Equal(t, 1, b.Count())
	b.Reset(w.Next() + 1)
	require.ErrorContains(t, w.Append(&b), "1 is next")
}

func TestNames(t *testing.T) {
	for _, name := range []string{
		"edits_0000000000000000001-0000000000000000002", "edits_inprogress_0000000000000000001",
		"edits_18446744073709551615-18446744073709551615",
	} {
		_, ok := ParseName(name)
		require.True(t, ok, name)
	}
	for _, name := range []string{
		"", "edits_", "edits_1-2", "edits_0000000000000000002-0000000000000000001", "edits_inprogress_",
		"edits_inprogress_0000000000000000000", "edits_000000000000000000x-0000000000000000002",
		"edits_0000000000000000001-0000000000000000002.corrupt", "edits_99999999999999999999-99999999999999999999",
		"edits_00000000000000000001-00000000000000000002",
	} {
		_, ok := ParseName(name)
		require.False(t, ok, name)
	}
}

// Power cuts at every I/O of create, append, finish and of the repair of the tail.
func TestCrashAtEveryIO(t *testing.T) {
	for _, fill := range []int64{-1, 512, 4096} {
		crashtest.EachPoint(t, func() crashtest.Scenario {
			var sent, acked dfs.TxID
			return crashtest.Scenario{
				Setup: func(fs vfs.FS) error { return fs.MkdirAll(dir) },
				Run: func(fs vfs.FS) error {
					w, err := Create(fs, dir, WriterOptions{First: 1, Cluster: cluster, FillChunk: fill})
					if err != nil {
						return err
					}
					for range 12 {
						sent = w.Next() + 1
						if err := add(w, 1); err != nil {
							return err
						}
						acked = sent
					}
					return w.Finish()
				},
				Recover: repair,
				Check: func(fs vfs.FS) error {
					if err := repair(fs); err != nil {
						return err
					}
					segs, err := List(fs, dir)
					if err != nil || len(segs) == 0 {
						return errors.Join(err, atLeast(0, acked, sent))
					}
					last, _, err := readAll(fs, segs[0])
					return errors.Join(err, atLeast(last, acked, sent))
				},
			}
		})
	}
}

func atLeast(last, acked, sent dfs.TxID) error {
	if last < acked || last > sent {
		return fmt.Errorf("found up to transaction %d, acknowledged %d, sent %d", last, acked, sent)
	}
	return nil
}

// repair finishes a segment in progress, as a start does.
func repair(fs vfs.FS) error {
	segs, err := List(fs, dir)
	if err != nil || len(segs) == 0 || !segs[0].InProgress {
		return err
	}
	last, offsets, err := readAll(fs, segs[0])
	if err != nil && !errors.Is(err, ErrTorn) {
		return err
	}
	if last == 0 {
		return nil
	}
	return FinishTail(fs, dir, segs[0], offsets[len(offsets)-1], last)
}

// Old files are read for ever. Do not change the files to make this pass.
func TestGolden(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, -1)
	require.NoError(t, add(w, 4))
	require.NoError(t, w.Finish())
	seg := only(t, fs)
	written := contents(t, fs, seg)
	newest := golden.Frozen(t, fmt.Sprintf("testdata/v%d/%s", Version, seg.Name), written)
	require.Equal(t, newest, written, "this program still writes this version as it was")
	for version := 1; version <= Version; version++ {
		old, err := os.ReadFile(fmt.Sprintf("testdata/v%d/%s", version, seg.Name))
		require.NoError(t, err)
		f, err := fs.OpenWrite(dir + "/" + seg.Name)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(0))
		_, err = f.WriteAt(old, 0)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		last, _, err := readAll(fs, seg)
		require.NoError(t, err)
		require.EqualValues(t, 8, last)

		// One in progress is finished in its own version.
		open := Segment{Name: InProgressName(seg.First), First: seg.First, InProgress: true}
		require.NoError(t, fs.Rename(dir+"/"+seg.Name, dir+"/"+open.Name))
		require.NoError(t, FinishTail(fs, dir, open, int64(len(old)), 8))
		last, _, err = readAll(fs, seg)
		require.NoError(t, err)
		require.EqualValues(t, 8, last)
	}
}

// A file in progress that is shorter than the zeroes ahead of its batches made it was cut
// off, unless the disk was full or the segment says that it ends.
func TestCutSegmentIsSeen(t *testing.T) {
	fs := vfs.NewMem()
	w := newLog(t, fs, 4096)
	ends := []int64{w.Size()}
	for range 20 {
		require.NoError(t, add(w, 1))
		ends = append(ends, w.Size())
	}
	seg := only(t, fs)
	whole := contents(t, fs, seg)
	cut := func(size int64) error {
		f, err := fs.OpenWrite(dir + "/" + seg.Name)
		require.NoError(t, err)
		_, err = f.WriteAt(whole, 0)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(size))
		require.NoError(t, f.Close())
		_, _, err = readAll(fs, seg)
		return err
	}
	for i, end := range ends {
		err := cut(end)
		if i < 2 { // the first batch's zeroes may not have been synced
			require.NoError(t, err)
			continue
		}
		var damage *CorruptError
		require.ErrorAs(t, err, &damage, "cut behind batch %d", i)
		require.Equal(t, end, damage.Offset)
		require.ErrorContains(t, err, "the file is cut off")
	}
	require.NoError(t, cut(int64(len(whole))))

	full := vfs.NewMem()
	full.SetCapacity(3000)
	w = newLog(t, full, 4096)
	require.NoError(t, add(w, 1))
	require.NoError(t, add(w, 1))
	last, _, err := readAll(full, only(t, full))
	require.NoError(t, err, "a disk that was full is no damage")
	require.EqualValues(t, 4, last)
}
