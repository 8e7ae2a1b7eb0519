package blockstore

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

func shadow(s *Store, id, stamp uint64, replace bool) (*Writer, error) {
	return s.Create(CreateOptions{Block: block(id, stamp), Shadow: true, Replace: replace})
}

// spoil flips a byte of a finalized replica's data.
func spoil(t *testing.T, f vfs.FS, s *Store, id dfs.BlockID, off int64) {
	file, err := f.OpenWrite(s.vols[0].dataPath(id, inFinalized))
	require.NoError(t, err)
	var b [1]byte
	_, err = file.ReadAt(b[:], off)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = file.WriteAt(b[:], off)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// A shadow is seen by nobody until it is whole, and then takes the place of what may go.
func TestShadow(t *testing.T) {
	f := vfs.NewMem()
	s := open(t, config(f, "/v"))
	data := pattern(3000)
	good := write(t, s, 1, 10, data)
	write(t, s, 2, 10, data)
	write(t, s, 3, 9, data[:700])
	spoil(t, f, s, 2, 1000)
	require.Error(t, s.Verify(context.Background(), 2))
	used := s.Volumes()[0].Used

	for _, c := range []struct {
		id       uint64
		replace  bool
		ok       bool
		reported int // replicas, before it is whole
		aside    int // files, after it
	}{{1, false, false, 3, 0}, {2, false, true, 3, 2}, {3, false, true, 3, 2}, {4, false, true, 3, 2}, {1, true, true, 4, 4}} {
		w, err := shadow(s, c.id, 10, c.replace)
		require.NoError(t, err)
		require.Equal(t, dfs.BlockID(c.id), w.Block().ID)
		_, err = shadow(s, c.id, 10, c.replace)
		require.True(t, dfs.Is(err, dfs.AlreadyExists), "two at a time")
		require.NoError(t, feed(w, data, 0, 2048))
		require.Len(t, s.Replicas(s.Volumes()[0].Storage), c.reported)
		x, err := w.Finalize()
		if !c.ok {
			require.True(t, dfs.Is(err, dfs.AlreadyExists))
			require.NoError(t, w.Close())
			continue
		}
		require.NoError(t, err)
		require.NoError(t, w.Close())
		want := Replica{Block: block(c.id, 10), State: dfs.ReplicaFinalized, Storage: good.Storage, Visible: 3000}
		want.Block.Length = 3000
		require.Equal(t, want, x)
		got, err := readAll(s, x.Block, 0, 3000)
		require.NoError(t, err)
		require.Equal(t, data, got)
		require.NoError(t, s.Verify(context.Background(), x.Block.ID))
		require.Equal(t, c.aside, s.Volumes()[0].Aside)
	}
	require.Greater(t, s.Volumes()[0].Used, used)
	require.Equal(t, 4, s.Volumes()[0].Replicas)
	require.Equal(t, 4*diskSize(3000), s.vols[0].used.Load())
	require.Zero(t, s.vols[0].promised.Load())

	w, err := shadow(s, 5, 10, false)
	require.NoError(t, err)
	require.NoError(t, feed(w, data, 0, 2048))
	open5, err := s.Create(CreateOptions{Block: block(5, 10)})
	require.NoError(t, err)
	_, err = w.Finalize()
	require.True(t, dfs.Is(err, dfs.AlreadyExists), "a writer has the block")
	require.NoError(t, w.Close())
	require.NoError(t, open5.Close())
	entries, err := f.ReadDir(s.vols[0].tmp)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// A power cut at every point of a rebuild beside and over another replica.
func TestCrashShadow(t *testing.T) {
	crash(t, []string{"/v"}, func(o *oracle, s *Store) error {
		for _, c := range []struct {
			id uint64
			n  int64
		}{{3, 1500}, {1, 1300}} {
			w, err := shadow(s, c.id, 10, true)
			if err != nil {
				return err
			}
			o.at(c.id).gone = true // it may be missing until the end
			if err := errors.Join(o.more(w, c.n), o.finalize(w), w.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}
