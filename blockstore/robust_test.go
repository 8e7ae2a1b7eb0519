package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// One operation of the disk fails, each in turn, in each of three ways; what was
// acknowledged must be there after a power cut.
func TestEachOperationFails(t *testing.T) {
	ways := map[string]func(op faultfs.Op) faultfs.Fault{
		"EIO":  func(faultfs.Op) faultfs.Fault { return faultfs.Fault{Err: syscall.EIO, DropData: true} },
		"half": func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Err: syscall.EIO, Half: op.Len / 2} },
		"full": func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Err: syscall.ENOSPC, Half: 1} },
	}
	tried := 0
	for name, way := range ways {
		for i := 0; ; i++ {
			m := vfs.NewMem()
			f := faultfs.New(m)
			o := &oracle{blocks: map[uint64]*promise{}, dirs: []string{"/v"}}
			s, _, err := o.open(f)
			require.NoError(t, err)
			first := f.Ops()
			f.SetHook(func(op faultfs.Op) faultfs.Fault {
				if op.Index == first+i {
					return way(op)
				}
				return faultfs.Fault{}
			})
			err = mixedLoad(o, s)
			over := f.Ops() <= first+i
			f.SetHook(nil)
			if over {
				require.NoError(t, err)
			}
			for _, c := range []vfs.Choice{{}, m.Choices(2, 1)[len(m.Choices(2, 1))-1]} {
				require.NoError(t, o.check(m.CrashClone(c)), "%s at operation %d", name, i)
				tried++
			}
			require.NoError(t, s.Close())
			if over {
				break
			}
		}
	}
	t.Logf("%d disks judged after a failed operation", tried)
}

// mixedLoad goes on after errors, as a datanode does.
func mixedLoad(o *oracle, s *Store) error {
	var errs []error
	for id := uint64(1); id < 4; id++ {
		errs = append(errs, func() error {
			w, err := o.create(s, id, 10, false)
			if err != nil {
				return err
			}
			defer w.Close()
			for _, n := range []int64{700, 900, 1500} {
				// An error must not make the next call seem to succeed.
				if err := o.more(w, n); err != nil {
					errs = append(errs, err)
				}
				if err := o.sync(w); err != nil {
					errs = append(errs, err)
				}
			}
			if err := o.finalized(w.Finalize()); err != nil {
				return err
			}
			o.at(id).finalized = false
			a, err := s.Append(block(id, 10), 11, 1500)
			if err != nil {
				return err
			}
			defer a.Close()
			o.at(id).stamp = 11
			return errors.Join(o.more(a, 1700), o.finalized(a.Finalize()))
		}())
	}
	return errors.Join(errs...)
}

// Every byte of a block's files is damaged in turn: what is read is right or refused.
func TestDamageIsFound(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, config(m, "/v"))
	write(t, s, 1, 5, source[:1200])
	v := s.vols[0]
	data, meta := v.dataPath(1, inFinalized), v.metaPath(1, 5, inFinalized)
	require.NoError(t, s.Close())
	m.SyncAll()
	sizes := map[string]int64{data: 1200, meta: 7 + 12}
	for name, size := range sizes {
		for at := int64(0); at < size; at++ {
			d := m.CrashClone(vfs.Choice{})
			flip(t, d, name, at)
			var mu sync.Mutex
			var bad []Bad
			c := config(d, "/v")
			c.OnBad = func(b Bad) { mu.Lock(); defer mu.Unlock(); bad = append(bad, b) }
			s, err := Open(c)
			require.NoError(t, err)
			err = s.Verify(context.Background(), 1)
			require.Error(t, err, "%s at %d", name, at)
			_, err = s.Append(block(1, 5), 6, 1200)
			if at >= 1024 && name == data {
				require.True(t, dfs.Is(err, dfs.Corrupt), "the last chunk is checked before it grows")
			}
			if err == nil {
				require.NoError(t, s.Close())
				continue
			}
			require.NoError(t, s.Invalidate(block(1, 5)))
			require.Equal(t, 2, s.Volumes()[0].Aside, "the evidence is kept")
			require.NoError(t, s.Close())
			require.NotEmpty(t, bad)
			require.Equal(t, dfs.BlockID(1), bad[0].Block.ID)
		}
	}
}

func flip(t *testing.T, d vfs.FS, name string, at int64) {
	t.Helper()
	f, err := d.OpenWrite(name)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
}

// Lengths that do not fit are seen at start without reading the data.
func TestTruncatedFileIsReportedAtStart(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, config(m, "/v"))
	write(t, s, 1, 5, source[:1200])
	write(t, s, 2, 5, source[:1200])
	name := s.vols[0].dataPath(1, inFinalized)
	require.NoError(t, s.Close())
	f, err := m.OpenWrite(name)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(400))
	require.NoError(t, f.Close())
	bad := make(chan Bad, 4)
	c := config(m, "/v")
	c.OnBad = func(b Bad) { bad <- b }
	s = open(t, c)
	require.Equal(t, dfs.BlockID(1), (<-bad).Block.ID)
	st, err := s.Scrub(context.Background(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, st.Replicas)
	require.EqualValues(t, 1, st.Bad)
	waited := 0
	_, err = s.Scrub(context.Background(), func(_ context.Context, n int) error { waited += n; return nil })
	require.NoError(t, err)
	require.GreaterOrEqual(t, waited, 1200)
	_, err = s.Scrub(context.Background(), func(context.Context, int) error { return context.Canceled })
	require.ErrorIs(t, err, context.Canceled)
}

func TestTakeoverRules(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	write(t, s, 1, 10, source[:1000])
	for _, c := range []struct {
		name string
		kind dfs.Kind
		call func() error
	}{
		{"append to nothing", dfs.ReplicaNotFound, func() error { _, err := s.Append(block(9, 1), 2, 0); return err }},
		{"append with another length", dfs.IllegalState, func() error { _, err := s.Append(block(1, 10), 11, 999); return err }},
		{"append to an older replica", dfs.ReplicaNotFound, func() error { _, err := s.Append(block(1, 11), 12, 1000); return err }},
		{"append with an older stamp", dfs.IllegalState, func() error { _, err := s.Append(block(1, 9), 9, 1000); return err }},
		{"close of another length", dfs.IllegalState, func() error { _, err := s.RecoverClose(block(1, 10), 11, 999); return err }},
		{"recovery beyond what is there", dfs.IllegalState, func() error { _, err := s.RecoverWriter(block(1, 10), 11, 1001, 2000); return err }},
		{"recovery of more than was sent", dfs.IllegalState, func() error { _, err := s.RecoverWriter(block(1, 10), 11, 0, 999); return err }},
		{"create again", dfs.AlreadyExists, func() error { _, err := s.Create(CreateOptions{Block: block(1, 20)}); return err }},
		{"create without id", dfs.IllegalArgument, func() error { _, err := s.Create(CreateOptions{}); return err }},
		{"checksum type", dfs.Unsupported, func() error { _, err := s.Create(CreateOptions{Block: block(3, 1), Checksum: 9}); return err }},
		{"chunk size", dfs.IllegalArgument, func() error {
			_, err := s.Create(CreateOptions{Block: block(3, 1), BytesPerChecksum: 1 << 30})
			return err
		}},
		{"medium", dfs.NoSpace, func() error {
			_, err := s.Create(CreateOptions{Block: block(3, 1), Type: dfs.StorageSSD})
			return err
		}},
		{"removal of a newer one", dfs.IllegalState, func() error { return s.Invalidate(block(1, 9)) }},
		{"recovery of nothing", dfs.ReplicaNotFound, func() error { _, err := s.InitRecovery(block(9, 1), 2); return err }},
		{"recovery id too low", dfs.RecoveryInProgress, func() error { _, err := s.InitRecovery(block(1, 10), 10); return err }},
		{"update without recovery", dfs.IllegalState, func() error { _, err := s.UpdateReplica(block(1, 10), 12, 10); return err }},
	} {
		require.Equal(t, c.kind, dfs.KindOf(c.call()), c.name)
	}
	require.NoError(t, s.Invalidate(block(9, 1)))
	x, err := s.InitRecovery(block(1, 10), 20)
	require.NoError(t, err)
	require.Equal(t, dfs.ReplicaFinalized, x.State)
	_, err = s.InitRecovery(block(1, 10), 20)
	require.True(t, dfs.Is(err, dfs.RecoveryInProgress))
	_, err = s.Append(block(1, 10), 21, 1000)
	require.True(t, dfs.Is(err, dfs.RecoveryInProgress))
	_, err = s.InitRecovery(block(1, 10), 21)
	require.NoError(t, err, "a newer recovery takes over")
	_, err = s.UpdateReplica(x.Block, 20, 1000)
	require.True(t, dfs.Is(err, dfs.RecoveryInProgress))
	_, err = s.UpdateReplica(x.Block, 21, 1001)
	require.True(t, dfs.Is(err, dfs.IllegalState))
	for range 2 { // the answer may get lost
		x, err = s.UpdateReplica(dfs.Block{ID: 1, GenStamp: 10, Length: 1000}, 21, 900)
		require.NoError(t, err)
		require.EqualValues(t, 900, x.Block.Length)
	}
	got, err := readAll(s, block(1, 21), 0, 900)
	require.NoError(t, err)
	require.True(t, bytes.Equal(source[:900], got))
}

func TestCRC32AndOtherChunks(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/v"))
	w, err := s.Create(CreateOptions{Block: block(1, 1), Checksum: dfs.ChecksumCRC32, BytesPerChecksum: 100})
	require.NoError(t, err)
	c, err := newChecksum(dfs.ChecksumCRC32, 100)
	require.NoError(t, err)
	var sums []byte
	for i := 0; i < 250; i += 100 {
		sums = append(sums, 0, 0, 0, 0)
		putSum(sums, int64(i/100), c.sum(source[i:min(250, i+100)]))
	}
	require.NoError(t, w.Write(0, source[:250], sums, false))
	_, err = w.Finalize()
	require.NoError(t, err)
	require.NoError(t, s.Verify(context.Background(), 1))
	require.NoError(t, s.Close())
	s = open(t, Config{FS: s.cfg.FS, Volumes: s.cfg.Volumes, Cluster: cluster, OnBad: func(b Bad) { t.Error(b) }})
	x, ok := s.Get(1)
	require.True(t, ok)
	require.EqualValues(t, 250, x.Block.Length)
	sum, err := s.CompositeCRC(context.Background(), block(1, 1), 230, 0)
	require.NoError(t, err)
	require.Equal(t, c.sum(source[:230]), sumAt(sum.Sum, 0))
}

// Writers, takeovers, readers and removals on a few blocks at the same time: run with
// the race detector. Bytes read are always a prefix of the source.
func TestConcurrentUse(t *testing.T) {
	s := open(t, config(vfs.NewMem(), "/a", "/b"))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 150 {
				disturb(s, uint64(1+rng.IntN(3)), rng, t)
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for i := range 400 {
				x, ok := s.Get(dfs.BlockID(1 + i%3))
				if !ok || x.State == dfs.ReplicaTemporary {
					continue
				}
				got, err := readAll(s, dfs.Block{ID: x.Block.ID}, 0, x.Visible)
				if dfs.Is(err, dfs.Corrupt) || err == nil && !bytes.Equal(got, source[:len(got)]) {
					t.Errorf("%+v: %v", x, err)
				}
			}
		})
	}
	wg.Wait()
	for _, v := range s.Volumes() {
		require.NoError(t, v.Err)
		for _, x := range s.Replicas(v.Storage) {
			require.NoError(t, s.Invalidate(dfs.Block{ID: x.Block.ID, GenStamp: 1 << 60}))
		}
	}
	for _, v := range s.Volumes() {
		require.Zero(t, v.Used, "space is counted right")
		require.Zero(t, v.Replicas)
	}
	for _, v := range s.vols {
		require.Zero(t, v.promised.Load())
	}
}

// disturb does something to a block, whatever its state; errors are expected.
func disturb(s *Store, id uint64, rng *rand.Rand, t *testing.T) {
	var w *Writer
	var err error
	x, ok := s.Get(dfs.BlockID(id))
	next := x.Block.GenStamp + 1
	switch n := rng.IntN(7); {
	case !ok || n == 0:
		w, err = s.Create(CreateOptions{Block: block(id, uint64(next)), Temporary: n == 1, Expected: 3000})
	case n == 1:
		w, err = s.Append(x.Block, next, x.Block.Length)
	case n == 2:
		w, err = s.RecoverWriter(x.Block, next, 0, 1<<20)
	case n == 3:
		_, err = s.RecoverClose(x.Block, next, x.Block.Length)
	case n == 4:
		var y Replica
		if y, err = s.InitRecovery(x.Block, next); err == nil {
			_, err = s.UpdateReplica(y.Block, next, y.Block.Length/2)
		}
	case n == 5:
		err = s.Invalidate(x.Block)
	default:
		_, err = s.MD5(context.Background(), dfs.Block{ID: x.Block.ID}, -1)
	}
	if dfs.Is(err, dfs.Corrupt) || dfs.Is(err, dfs.Other) && err != nil && dfs.KindOf(err) != dfs.Canceled {
		t.Errorf("block %d (%+v): %v", id, x, err)
	}
	if w == nil {
		return
	}
	have := int(w.Block().Length)
	if err := feed(w, source[:min(len(source), have+rng.IntN(2000))], have, 600); dfs.Is(err, dfs.Corrupt) {
		t.Error(err)
	}
	w.SetAcked(int64(have + rng.IntN(2000)))
	if rng.IntN(2) == 0 {
		_, err = w.Finalize()
	} else if rng.IntN(2) == 0 {
		err = w.Sync()
	}
	if err != nil && !dfs.Is(err, dfs.IllegalState) {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(fmt.Errorf("close: %w", err))
	}
}

func FuzzDecoders(f *testing.F) {
	sum, _ := newChecksum(dfs.ChecksumCRC32C, 512)
	tail := encodeTail(3, 4)
	for _, seed := range []string{"blk_1", "blk_1_2.meta", "blk_1.tail", "blk_", "blk_+1", "blk__1.meta", "blk_1_+2.meta", string(sum.header()), string(tail[:]), "layoutVersion=-57\nclusterID=CID\\:1\n#x\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseHeader(b); err == nil {
			require.Equal(t, c.header(), b[:metaHeader])
		}
		if chunk, crc, ok := decodeTail(b); ok {
			again := encodeTail(chunk, crc)
			require.Equal(t, again[:], b)
		}
		if p := parseName(string(b)); p.kind != otherFile {
			name := map[fileKind]string{dataFile: p.id.String(), metaFile: metaName(p.id, p.stamp), tailFile: p.id.String() + tailSuffix}[p.kind]
			require.Equal(t, p, parseName(name))
		}
		m := vfs.NewMem()
		file, err := m.Create("/VERSION")
		require.NoError(t, err)
		_, err = file.WriteAt(b, 0)
		require.NoError(t, err)
		if p, err := readProperties(m, "/VERSION"); err == nil {
			require.Equal(t, layoutVersion, p["layoutVersion"])
		}
	})
}

// A volume is pulled at each of its operations and stays away: the other one works on,
// and what was acknowledged on either is there once the disk is back.
func TestVolumePulledAtEachOperation(t *testing.T) {
	tried := 0
	for i := 0; ; i++ {
		m := vfs.NewMem()
		f := faultfs.New(m)
		o := &oracle{blocks: map[uint64]*promise{}, dirs: []string{"/a", "/b"}}
		s, _, err := o.open(f)
		require.NoError(t, err)
		require.NoError(t, o.whole(s, 8, 10, 900))
		require.NoError(t, o.whole(s, 9, 10, 900))
		under, seen := faultfs.Under("/a"), 0
		f.SetHook(func(op faultfs.Op) faultfs.Fault {
			if !under(op) {
				return faultfs.Fault{}
			}
			if seen++; seen <= i {
				return faultfs.Fault{}
			}
			return faultfs.Fault{Err: syscall.EIO, DropData: true}
		})
		_ = mixedLoad(o, s) // blocks on /a may fail
		pulled := seen > i
		f.SetHook(func(op faultfs.Op) faultfs.Fault {
			if pulled && under(op) {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		vols := s.Volumes()
		require.NoError(t, vols[1].Err)
		require.NoError(t, o.whole(s, 20, 10, 1000), "the node goes on")
		require.NoError(t, s.Usable())
		for _, x := range s.Replicas(vols[1].Storage) {
			require.NoError(t, o.blocks[uint64(x.Block.ID)].judge(s, x, true), "pulled at %d", i)
		}
		require.NoError(t, s.Close())
		require.NoError(t, o.check(m.CrashClone(vfs.Choice{})), "pulled at %d", i)
		if tried++; !pulled {
			break
		}
	}
	t.Logf("pulled at %d operations", tried-1)
}
