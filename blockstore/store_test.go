package blockstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

func TestMain(m *testing.M) {
	crashtest.Main(leakCheck{m})
}

// leakCheck looks for goroutines left behind after all tests.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		return 1
	}
	return code
}

var cluster = dfs.ClusterInfo{ClusterID: "CID-1", PoolID: "BP-1-127.0.0.1-1", NamespaceID: 7}

func config(f vfs.FS, dirs ...string) Config {
	c := Config{FS: f, Cluster: cluster}
	for _, d := range dirs {
		c.Volumes = append(c.Volumes, VolumeConfig{Dir: d})
	}
	return c
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func sumsOf(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		n := min(len(b), dfs.BytesPerChecksum)
		out = binary.BigEndian.AppendUint32(out, crc32.Checksum(b[:n], castagnoli))
		b = b[n:]
	}
	return out
}

func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 9))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func block(id, stamp uint64) dfs.Block {
	return dfs.Block{ID: dfs.BlockID(id), GenStamp: dfs.GenStamp(stamp)}
}

// feed writes data[from:] as a client does, in packets of at most size bytes.
func feed(w *Writer, data []byte, from, size int) error {
	for at := from; at < len(data); {
		n := min(size, len(data)-at)
		if in := at % dfs.BytesPerChecksum; in != 0 {
			n = min(n, dfs.BytesPerChecksum-in)
		}
		if err := w.Write(int64(at), data[at:at+n], sumsOf(data[at:at+n]), false); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func write(t testing.TB, s *Store, id, stamp uint64, data []byte) Replica {
	t.Helper()
	w, err := s.Create(CreateOptions{Block: block(id, stamp), Expected: int64(len(data))})
	require.NoError(t, err)
	require.NoError(t, feed(w, data, 0, 2048))
	x, err := w.Finalize()
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return x
}

// readAll reads a range, checks its checksums, and cuts it to what was asked for.
func readAll(s *Store, b dfs.Block, off, n int64) ([]byte, error) {
	r, err := s.OpenReader(context.Background(), ReadOptions{Block: b, Offset: off, Length: n})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []byte
	data, sums := make([]byte, 1024), make([]byte, 8)
	for {
		n, err := r.Read(data, sums)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(sums[:4*((n+511)/512)], sumsOf(data[:n])) {
			return nil, fmt.Errorf("checksums at %d do not fit", r.Start()+int64(len(out)))
		}
		out = append(out, data[:n]...)
	}
	return out[off-r.Start():][:n], nil
}

func TestWriteFinalizeReadRestart(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, config(m, "/a", "/b"))
	for i, n := range []int{0, 1, 511, 512, 513, 5000, 70000} {
		data := pattern(n)
		x := write(t, s, uint64(1000+i), 1001, data)
		require.Equal(t, dfs.ReplicaFinalized, x.State)
		require.EqualValues(t, n, x.Block.Length)
		for range 20 {
			off := rand.IntN(n + 1)
			l := rand.IntN(n - off + 1)
			got, err := readAll(s, x.Block, int64(off), int64(l))
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[off:off+l], got))
		}
	}
	uuid, vols := s.UUID(), s.Volumes()
	require.Equal(t, 7, vols[0].Replicas+vols[1].Replicas)
	require.Positive(t, vols[0].Replicas)
	require.Positive(t, vols[1].Replicas)
	require.NoError(t, s.Close())
	s = open(t, config(m, "/a", "/b"))
	require.Equal(t, uuid, s.UUID())
	again := s.Volumes()
	require.Equal(t, vols[0].Used, again[0].Used)
	require.Equal(t, vols[1].Storage, again[1].Storage)
	got, err := readAll(s, block(1006, 1001), 0, 70000)
	require.NoError(t, err)
	require.True(t, bytes.Equal(pattern(70000), got))
	require.Len(t, append(s.Replicas(vols[0].Storage), s.Replicas(vols[1].Storage)...), 7)
}

// A pipeline goes on without a node and comes back to it later: what it left there gives
// way to the newer copy, and only to a newer one.
func TestOlderReplicaGivesWayToCopy(t *testing.T) {
	for _, c := range []struct {
		name          string
		final         bool
		plain, client bool // whether a copy, and one that a client ordered, replace it
	}{{"being written", false, true, true}, {"finalized", true, false, true}} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, config(vfs.NewMem(), "/d"))
			data := pattern(3000)
			var old *Writer
			if c.final {
				write(t, s, 1, 5, data)
			} else {
				var err error
				old, err = s.Create(CreateOptions{Block: block(1, 5)})
				require.NoError(t, err)
				defer old.Close()
				require.NoError(t, feed(old, data, 0, 512))
			}
			create := func(stamp uint64, o CreateOptions) (*Writer, error) {
				o.Block = block(1, stamp)
				return s.Create(o)
			}
			for _, o := range []CreateOptions{{}, {Temporary: true, Replace: true}} {
				_, err := create(5, o)
				require.True(t, dfs.Is(err, dfs.AlreadyExists), "%v", err)
			}
			_, err := create(6, CreateOptions{})
			require.True(t, dfs.Is(err, dfs.AlreadyExists), "a new pipeline is no copy: %v", err)
			if !c.plain {
				_, err := create(6, CreateOptions{Temporary: true})
				require.True(t, dfs.Is(err, dfs.AlreadyExists), "%v", err)
			}
			w, err := create(6, CreateOptions{Temporary: true, Replace: !c.plain && c.client})
			require.NoError(t, err)
			if old != nil {
				require.Error(t, feed(old, data, len(data)-512, 512), "its writer has lost it")
			}
			require.NoError(t, feed(w, data[:2000], 0, 512))
			_, err = w.Finalize()
			require.NoError(t, err)
			require.NoError(t, w.Close())
			got, err := readAll(s, block(1, 6), 0, 2000)
			require.NoError(t, err)
			require.Equal(t, data[:2000], got)
		})
	}
}

func TestGoldenTraceOfABlock(t *testing.T) {
	f := faultfs.New(vfs.NewMem())
	s := open(t, config(f, "/v"))
	f.ResetTrace()
	w, err := s.Create(CreateOptions{Block: block(1, 5)})
	require.NoError(t, err)
	data := pattern(700)
	require.NoError(t, feed(w, data[:600], 0, 1024))
	require.NoError(t, w.Sync())
	require.NoError(t, feed(w, data, 600, 1024))
	_, err = w.Finalize()
	require.NoError(t, err)
	require.NoError(t, faultfs.Golden(faultfs.Base(f.TraceText()), []byte(`create blk_1
create blk_1_5.meta
write blk_1_5.meta 0+7
write blk_1 0+600
write blk_1_5.meta 7+8
sync blk_1
sync blk_1_5.meta
syncdir rbw
write blk_1 600+100
create blk_1.tail
write blk_1.tail 0+16
sync blk_1
write blk_1_5.meta 11+4
sync blk_1_5.meta
mkdir subdir0
rename blk_1_5.meta blk_1_5.meta
rename blk_1 blk_1
syncdir subdir0
remove blk_1.tail
`)))
}

// The packets that clients really send: overlaps, rewinds, rests of chunks.
func TestPacketRules(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	data := pattern(3000)
	w, err := s.Create(CreateOptions{Block: block(1, 1)})
	require.NoError(t, err)
	put := func(from, to int) error {
		return w.Write(int64(from), data[from:to], sumsOf(data[from:to]), false)
	}
	require.NoError(t, put(0, 700))
	require.NoError(t, put(512, 900), "a rewind to the boundary")
	require.NoError(t, put(0, 600), "all there already")
	require.NoError(t, put(900, 1024), "the rest of a chunk with a checksum of its own")
	require.NoError(t, put(1024, 1100))
	require.NoError(t, put(1050, 1200), "an overlap inside a chunk")
	require.NoError(t, put(0, 2000), "a rewind over many chunks")
	require.True(t, dfs.Is(put(2001, 2100), dfs.IllegalState), "a gap")
	require.True(t, dfs.Is(put(1900, 2600), dfs.IllegalState), "from inside a chunk over its end")
	require.True(t, dfs.Is(put(1030, 1600), dfs.IllegalState), "likewise where all is there")
	require.True(t, dfs.Is(w.Write(2000, data[2000:2010], nil, false), dfs.IllegalState))
	require.True(t, dfs.Is(w.Write(2000, data[2000:2010], []byte{1, 2, 3, 4}, false), dfs.Corrupt))
	require.True(t, dfs.Is(w.Write(-1, data[:1], sumsOf(data[:1]), false), dfs.IllegalState))
	other := append([]byte(nil), data[1536:2100]...)
	other[0]++
	require.True(t, dfs.Is(w.Write(1536, other, sumsOf(other), false), dfs.Corrupt), "repeats other bytes than are there")
	require.NoError(t, put(1536, 3000))
	require.EqualValues(t, 3000, w.Block().Length)
	x, err := w.Finalize()
	require.NoError(t, err)
	require.NoError(t, s.Verify(context.Background(), 1))
	got, err := readAll(s, x.Block, 0, 3000)
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.Error(t, w.Write(3000, data[:1], sumsOf(data[:1]), false), "closed")
}

func TestReadWhileWriting(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	data := pattern(4000)
	w, err := s.Create(CreateOptions{Block: block(1, 1)})
	require.NoError(t, err)
	at := 0
	for i := 0; at < len(data); i++ {
		to := min(len(data), at+1+rand.IntN(600))
		require.NoError(t, feed(w, data[:to], at, 256))
		at = to
		if i%3 == 0 {
			require.NoError(t, w.Sync())
		}
		w.SetAcked(int64(at - rand.IntN(100)))
		x, _ := s.Get(1)
		got, err := readAll(s, block(1, 1), 0, x.Visible)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[:x.Visible], got))
		got, err = readAll(s, block(1, 1), 0, int64(at))
		require.NoError(t, err, "what another node of the pipeline has acknowledged")
		require.Equal(t, data[:at], got)
		sum, err := s.CompositeCRC(context.Background(), block(1, 1), -1, 0)
		require.NoError(t, err)
		require.Equal(t, crc32.Checksum(data[:x.Visible], castagnoli), binary.BigEndian.Uint32(sum.Sum))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.OpenReader(ctx, ReadOptions{Block: block(1, 1), Length: 4001})
	require.True(t, dfs.Is(err, dfs.IllegalState))
	_, err = w.Finalize()
	require.NoError(t, err)
	_, err = readAll(s, block(1, 1), 0, 4001)
	require.True(t, dfs.Is(err, dfs.IllegalState))
	_, err = readAll(s, block(1, 2), 0, 1)
	require.True(t, dfs.Is(err, dfs.ReplicaNotFound), "older than asked for")
}

// A reader that was opened before goes on through an append and a removal.
func TestReadersOutliveChanges(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	data := pattern(1500)
	write(t, s, 1, 1, data[:1300])
	r, err := s.OpenReader(context.Background(), ReadOptions{Block: block(1, 1), Length: 1300})
	require.NoError(t, err)
	defer r.Close()
	w, err := s.Append(block(1, 1), 2, 1300)
	require.NoError(t, err)
	require.NoError(t, feed(w, data, 1300, 1000))
	_, err = w.Finalize()
	require.NoError(t, err)
	require.NoError(t, s.Invalidate(block(1, 2)))
	_, ok := s.Get(1)
	require.False(t, ok)
	buf, sums := make([]byte, 2048), make([]byte, 16)
	n, err := r.Read(buf, sums)
	require.NoError(t, err)
	require.Equal(t, data[:1300], buf[:n])
	require.Equal(t, sumsOf(data[:1300]), sums[:12])
}

func TestWaitForWriter(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	data := pattern(1000)
	w, err := s.Create(CreateOptions{Block: block(1, 1)})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		got, err := readAll(s, block(1, 1), 0, 1000)
		if err == nil && !bytes.Equal(got, data) {
			err = fmt.Errorf("other bytes")
		}
		done <- err
	}()
	require.NoError(t, feed(w, data, 0, 100))
	require.NoError(t, <-done)
	go func() {
		_, err := readAll(s, block(1, 1), 0, 1001)
		done <- err
	}()
	require.NoError(t, w.Close())
	require.True(t, dfs.Is(<-done, dfs.IllegalState), "nobody will bring it")
}

func TestDigests(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	data := pattern(10_000)
	write(t, s, 1, 1, data)
	ctx := context.Background()
	for _, n := range []int{10_000, 9_999, 512, 513, 1, 0, 4096} {
		c, err := s.MD5(ctx, block(1, 1), int64(n))
		require.NoError(t, err)
		want := md5.Sum(sumsOf(data[:n]))
		require.Equal(t, want[:], c.Sum)
		require.EqualValues(t, (n+511)/512, c.ChecksumsPerBlock)
		c, err = s.CompositeCRC(ctx, block(1, 1), int64(n), 0)
		require.NoError(t, err)
		require.Equal(t, crc32.Checksum(data[:n], castagnoli), binary.BigEndian.Uint32(c.Sum))
	}
	c, err := s.CompositeCRC(ctx, block(1, 1), -1, 4096)
	require.NoError(t, err)
	require.Len(t, c.Sum, 12)
	require.Equal(t, crc32.Checksum(data[4096:8192], castagnoli), binary.BigEndian.Uint32(c.Sum[4:]))
	require.Equal(t, crc32.Checksum(data[8192:], castagnoli), binary.BigEndian.Uint32(c.Sum[8:]))
	_, err = s.CompositeCRC(ctx, block(1, 1), -1, 100)
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
	_, err = s.MD5(ctx, block(9, 1), -1)
	require.True(t, dfs.Is(err, dfs.ReplicaNotFound))
}

func TestDiskFull(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(100_000)
	c := config(m, "/v")
	c.Reserved = 20_000
	s := open(t, c)
	_, err := s.Create(CreateOptions{Block: block(1, 1), Expected: 100_000})
	require.True(t, dfs.Is(err, dfs.NoSpace), "refused before it starts")
	w1, err := s.Create(CreateOptions{Block: block(1, 1), Expected: 50_000})
	require.NoError(t, err)
	_, err = s.Create(CreateOptions{Block: block(2, 1), Expected: 50_000})
	require.True(t, dfs.Is(err, dfs.NoSpace), "the room is promised")
	require.NoError(t, w1.Close())
	w2, err := s.Create(CreateOptions{Block: block(2, 1), Expected: 50_000})
	require.NoError(t, err)
	m.SetCapacity(10_000)
	err = feed(w2, pattern(50_000), 0, 4096)
	require.True(t, dfs.Is(err, dfs.NoSpace))
	require.Error(t, w2.Write(0, []byte{1}, sumsOf([]byte{1}), false), "broken for good")
	require.NoError(t, w2.Close())
	require.NoError(t, s.Usable(), "full is not failed")
	require.Nil(t, s.Volumes()[0].Err)
}

func TestVolumePulled(t *testing.T) {
	m := vfs.NewMem()
	f := faultfs.New(m)
	c := config(f, "/a", "/b")
	failed := make(chan VolumeState, 10)
	c.OnVolumeFailed = func(v VolumeState) { failed <- v }
	s := open(t, c)
	data := pattern(3000)
	byVolume := map[string][]dfs.Block{}
	for i := range 10 {
		x := write(t, s, uint64(1+i), 1, data)
		byVolume[x.Storage] = append(byVolume[x.Storage], x.Block)
	}
	vols := s.Volumes()
	wa, err := s.Create(CreateOptions{Block: block(50, 1), Storage: vols[0].Storage})
	require.NoError(t, err)
	wb, err := s.Create(CreateOptions{Block: block(51, 1), Storage: vols[1].Storage})
	require.NoError(t, err)
	f.SetHook(faultfs.FailOn(syscall.EIO, faultfs.Under("/a")))
	require.Error(t, feed(wa, data, 0, 1000))
	gone := <-failed
	require.Equal(t, "/a", gone.Dir)
	require.ErrorIs(t, gone.Err, syscall.EIO)
	<-wa.Stopped()
	require.NoError(t, wa.Close())
	require.NoError(t, feed(wb, data, 0, 1000), "the other volume is not touched")
	_, err = wb.Finalize()
	require.NoError(t, err)
	for _, b := range byVolume[vols[0].Storage] {
		_, ok := s.Get(b.ID)
		require.False(t, ok)
	}
	for _, b := range byVolume[vols[1].Storage] {
		_, err := readAll(s, b, 0, 3000)
		require.NoError(t, err)
	}
	for i := range 5 {
		x := write(t, s, uint64(100+i), 1, data)
		require.Equal(t, vols[1].Storage, x.Storage)
	}
	require.NoError(t, s.Usable())
	require.NoError(t, s.Close())
	s = open(t, c) // starts without it
	require.Error(t, s.Volumes()[0].Err)
	require.Len(t, s.Replicas(vols[1].Storage), len(byVolume[vols[1].Storage])+6)
	require.NoError(t, s.Close())
	c.FailedVolumesTolerated = -1
	_, err = Open(c)
	require.ErrorIs(t, err, syscall.EIO)
	f.SetHook(faultfs.FailOn(syscall.EIO, func(faultfs.Op) bool { return true }))
	c.FailedVolumesTolerated = 0
	_, err = Open(c)
	require.ErrorContains(t, err, "2 of 2 volumes failed")
	f.SetHook(nil)
	s = open(t, c)
	require.NoError(t, s.Volumes()[0].Err)
	require.Equal(t, len(byVolume[vols[0].Storage])+1, len(s.Replicas(vols[0].Storage)), "back with all it had, and what was being written")
}

func TestIdentity(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, config(m, "/a"))
	_, err := Open(config(m, "/a"))
	require.ErrorIs(t, err, vfs.ErrLocked)
	require.ErrorContains(t, err, "/a/in_use.lock")
	require.NoError(t, s.Close())
	c := config(m, "/a")
	c.Cluster.ClusterID = "CID-2"
	_, err = Open(c)
	require.EqualError(t, err, "blockstore: /a belongs to cluster CID-1, the name node is of cluster CID-2")
	c = config(m, "/a")
	c.Cluster.PoolID = "BP-2"
	_, err = Open(c)
	require.EqualError(t, err, "blockstore: /a holds block pool BP-1-127.0.0.1-1, the name node's is BP-2")
	c = config(m, "/a")
	c.Cluster.NamespaceID = 8
	_, err = Open(c)
	require.ErrorContains(t, err, "namespace 7")
	require.NoError(t, open(t, config(m, "/b")).Close())
	_, err = Open(config(m, "/a", "/b"))
	require.ErrorContains(t, err, "/a belongs to datanode")
	require.ErrorContains(t, err, "/b to datanode")
	_, err = Open(Config{Volumes: []VolumeConfig{{Dir: "/a"}, {Dir: "/a"}, {}}, Reserved: -1})
	for _, want := range []string{"no file system", "given twice", "without a directory", "cluster and pool", "-1 bytes"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, m.Remove("/a/current/VERSION"))
	_, err = Open(config(m, "/a"))
	require.ErrorContains(t, err, "holds blocks of pool")
	require.NoError(t, m.Publish("/b/current/VERSION", func(w io.Writer) error {
		_, err := io.WriteString(w, "layoutVersion=-99\n")
		return err
	}))
	c = config(m, "/b")
	_, err = Open(c)
	require.ErrorContains(t, err, `unsupported layout version "-99"`)
}
