package blockstore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// tiered is a store with a disk at /v and an archive at /a.
func tiered(t *testing.T, f vfs.FS) *Store {
	c := config(f, "/v", "/a")
	c.Volumes[1].Type = dfs.StorageArchive
	return open(t, c)
}

func toArchive(b dfs.Block) MoveOptions { return MoveOptions{Block: b, Type: dfs.StorageArchive} }

// diskBlock writes a block to the disk, whichever volume's turn it is.
func diskBlock(t *testing.T, s *Store, id, stamp uint64, data []byte) Replica {
	w, err := s.Create(CreateOptions{Block: block(id, stamp), Type: dfs.StorageDisk, Expected: int64(len(data))})
	require.NoError(t, err)
	require.NoError(t, feed(w, data, 0, 2048))
	x, err := w.Finalize()
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return x
}

func TestMove(t *testing.T) {
	f := vfs.NewMem()
	s := tiered(t, f)
	ctx := context.Background()
	for id, n := range map[uint64]int{1: 0, 2: 1, 3: 512, 4: 700, 5: movePiece, 6: 3*movePiece + 100} {
		data := pattern(n)
		was := diskBlock(t, s, id, 7, data)
		before, err := s.OpenReader(ctx, ReadOptions{Block: was.Block, Length: int64(n), Verify: true})
		require.NoError(t, err)
		paced := 0
		o := toArchive(was.Block)
		o.Pace = func(_ context.Context, n int) error { paced += n; return nil }
		x, from, err := s.Move(ctx, o)
		require.NoError(t, err)
		require.Equal(t, n, paced)
		require.Equal(t, was.Storage, from)
		want := was
		want.Storage = s.vols[1].storage
		require.Equal(t, want, x)
		got, err := readAll(s, was.Block, 0, int64(n))
		require.NoError(t, err)
		require.Equal(t, data, append([]byte{}, got...))
		buf := make([]byte, (n/512+1)*512)
		if n > 0 { // who reads since before the move reads on
			k, err := before.Read(buf, nil)
			require.NoError(t, err)
			require.Equal(t, data, buf[:k])
		}
		require.NoError(t, before.Close())
		_, err = f.Stat(s.vols[0].dataPath(dfs.BlockID(id), inFinalized))
		require.Error(t, err)

		_, _, err = s.Move(ctx, toArchive(was.Block))
		require.Equal(t, dfs.AlreadyExists, dfs.KindOf(err), "%v", err)
	}
	require.Zero(t, s.vols[0].used.Load())
	require.Zero(t, s.vols[0].replicas.Load())
	require.EqualValues(t, 6, s.vols[1].replicas.Load())
	require.Zero(t, s.vols[1].promised.Load())
	require.Len(t, s.Replicas(s.vols[1].storage), 6)
	require.Empty(t, s.Replicas(s.vols[0].storage))

	used := s.vols[1].used.Load()
	require.NoError(t, s.Close())
	s = tiered(t, f)
	require.Equal(t, used, s.vols[1].used.Load())
	require.Zero(t, s.Volumes()[1].Aside)
	for id := range 6 {
		require.NoError(t, s.Verify(ctx, dfs.BlockID(id+1)))
	}
}

func TestMoveIsRefused(t *testing.T) {
	f := vfs.NewMem()
	s := tiered(t, f)
	ctx := context.Background()
	was := diskBlock(t, s, 1, 7, pattern(900))
	older := was.Block
	older.GenStamp--
	for name, c := range map[string]struct {
		o    MoveOptions
		kind dfs.Kind
	}{
		"unknown":      {toArchive(block(9, 1)), dfs.ReplicaNotFound},
		"other stamp":  {toArchive(older), dfs.IllegalState},
		"same medium":  {MoveOptions{Block: was.Block, Type: dfs.StorageDisk}, dfs.AlreadyExists},
		"no such disk": {MoveOptions{Block: was.Block, Type: dfs.StorageSSD}, dfs.NoSpace},
	} {
		_, _, err := s.Move(ctx, c.o)
		require.Equal(t, c.kind, dfs.KindOf(err), "%s: %v", name, err)
	}
	w, err := s.Create(CreateOptions{Block: block(2, 7), Type: dfs.StorageDisk})
	require.NoError(t, err)
	require.NoError(t, feed(w, pattern(100), 0, 100))
	_, _, err = s.Move(ctx, toArchive(block(2, 7)))
	require.Equal(t, dfs.ReplicaNotFound, dfs.KindOf(err), "%v", err)
	require.NoError(t, w.Close())

	spoil(t, f, s, 1, 600)
	_, _, err = s.Move(ctx, toArchive(was.Block))
	require.Equal(t, dfs.Corrupt, dfs.KindOf(err), "damage does not spread: %v", err)
	x, ok := s.Get(1)
	require.True(t, ok)
	require.Equal(t, was.Storage, x.Storage)
	left, err := f.ReadDir(s.vols[1].tmp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What a client does to a replica in the middle of its move counts; the copy does not.
func TestMoveGivesWay(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *Store, b dfs.Block){
		"append": func(t *testing.T, s *Store, b dfs.Block) {
			w, err := s.Append(b, b.GenStamp, b.Length)
			require.NoError(t, err)
			require.NoError(t, feed(w, pattern(int(b.Length)+300), int(b.Length), 2048))
			_, err = w.Finalize()
			require.NoError(t, err)
			require.NoError(t, w.Close())
		},
		"truncate": func(t *testing.T, s *Store, b dfs.Block) {
			_, err := s.InitRecovery(b, b.GenStamp+1)
			require.NoError(t, err)
			_, err = s.UpdateReplica(b, b.GenStamp+1, b.Length-10)
			require.NoError(t, err)
		},
		"remove": func(t *testing.T, s *Store, b dfs.Block) { require.NoError(t, s.Invalidate(b)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := tiered(t, vfs.NewMem())
			was := diskBlock(t, s, 1, 7, pattern(2000))
			o := toArchive(was.Block)
			o.Pace = func(context.Context, int) error { change(t, s, was.Block); return nil }
			_, _, err := s.Move(context.Background(), o)
			require.Error(t, err)
			x, ok := s.Get(1)
			require.Equal(t, name != "remove", ok)
			if ok {
				require.Equal(t, was.Storage, x.Storage)
				require.NotEqual(t, was.Block.Length, x.Block.Length)
				require.NoError(t, s.Verify(context.Background(), 1))
			}
			require.Zero(t, s.vols[1].used.Load())
			require.Zero(t, s.vols[1].promised.Load())
		})
	}
}

// A disk that fails at any call of a move leaves one good replica in the map.
func TestMoveMeetsErrors(t *testing.T) {
	for k := 0; ; k++ {
		f := faultfs.New(vfs.NewMem())
		s := tiered(t, f)
		was := diskBlock(t, s, 1, 7, pattern(2000))
		f.SetHook(faultfs.FailAt(f.Ops()+k, false))
		_, _, err := s.Move(context.Background(), toArchive(was.Block))
		f.SetHook(nil)
		x, ok := s.Get(1)
		require.True(t, ok, "call %d: %v", k, err)
		require.Equal(t, was.Block, x.Block)
		require.NoError(t, s.Verify(context.Background(), 1), "call %d: %v", k, err)
		require.Len(t, append(s.Replicas(s.vols[0].storage), s.Replicas(s.vols[1].storage)...), 1)
		if err == nil && x.Storage == s.vols[1].storage && f.Ops() > 0 && k > 10 {
			break
		}
		require.Less(t, k, 100)
	}
}

func TestCrashMove(t *testing.T) {
	crash(t, []string{"/v", "/a"}, func(o *oracle, s *Store) error {
		for id := uint64(1); id <= 2; id++ {
			x, ok := s.Get(dfs.BlockID(id))
			if !ok {
				return fmt.Errorf("block %d is gone", id)
			}
			other := s.vols[0].storage
			if x.Storage == other {
				other = s.vols[1].storage
			}
			o.phase = "move"
			if _, _, err := s.Move(context.Background(), MoveOptions{Block: x.Block, Type: dfs.StorageDisk, Storage: other}); err != nil {
				return err
			}
			if err := errors.Join(s.vols[0].failed(), s.vols[1].failed()); err != nil {
				return err // moved, but the power went before the old one was away
			}
			if y, ok := s.Get(dfs.BlockID(id)); !ok || y.Storage != other {
				return errors.New("not moved")
			}
		}
		// An append under the same stamp: an old replica that came back would hide it.
		x, _ := s.Get(2)
		p := o.at(2)
		o.phase = "append"
		p.finalized, p.sent = false, x.Block.Length+500
		w, err := s.Append(x.Block, x.Block.GenStamp, x.Block.Length)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := o.more(w, x.Block.Length+500); err != nil {
			return err
		}
		if err := o.sync(w); err != nil {
			return err
		}
		return o.finalize(w)
	})
}
