package array

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// Writers, readers, renamers, Verify, a failing member and two replacements, all at the
// same time; then a power cut, and one more member away.
func TestConcurrentUse(t *testing.T) {
	m := vfs.NewMem()
	x := faultfs.New(m)
	c := dirs(x, 4)
	c.Unit = 1024
	a := mustOpen(t, c)
	a.checkpointAfter = 5000
	const writers, rounds = 6, 25
	var done atomic.Int64
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			defer done.Add(1)
			for i := range rounds {
				if err := writerRound(a, g, i); err != nil {
					t.Errorf("writer %d, round %d: %v", g, i, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for done.Load() < writers {
			if _, err := a.ReadDir("/"); err != nil {
				t.Error(err)
			}
			if rep, err := a.Verify(context.Background()); err != nil || len(rep.Damaged) > 0 {
				t.Errorf("verify: %+v, %v", rep, err)
			}
			a.Status()
		}
	})
	wg.Go(func() {
		x.SetHook(faultfs.FailOn(errors.New("broken"), faultfs.Under("/m2")))
		for i, old := range []string{"/m2", "/new0", "/m0"} {
			if err := a.Replace(old, fmt.Sprint("/new", i)); err != nil {
				t.Error(err)
			}
			if err := a.WaitRebuild(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	st := a.Status()
	require.False(t, st.Degraded)
	for _, gone := range st.Members {
		d := m.CrashClone(vfs.Choice{})
		require.NoError(t, d.Rename(gone.Dir, "/away"))
		c := dirs(d, 4)
		b := mustOpen(t, c)
		for g := range writers {
			for i := range rounds {
				name := fmt.Sprintf("/done-%d-%d", g, i)
				if i%5 == 4 {
					_, err := b.Stat(name)
					require.ErrorIs(t, err, errNotExist)
					continue
				}
				require.Equal(t, noise(uint64(g*100+i), 1+i*1777), get(t, b, name))
			}
		}
		require.NoError(t, b.Close())
	}
}

// writerRound makes a file in pieces, reads it back meanwhile and in the end, renames it,
// and removes every fifth.
func writerRound(a *Array, g, i int) error {
	data := noise(uint64(g*100+i), 1+i*1777)
	name := fmt.Sprintf("/open-%d-%d", g, i)
	f, err := a.Create(name)
	if err != nil {
		return err
	}
	for off := 0; off < len(data); off += 3000 {
		piece := data[off:min(len(data), off+3000)]
		if _, err := f.WriteAt(piece, int64(off)); err != nil {
			return err
		}
		if off%2 == 0 {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		got := make([]byte, len(piece))
		if _, err := f.ReadAt(got, int64(off)); err != nil || string(got) != string(piece) {
			return fmt.Errorf("read back at %d: %w", off, err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	to := fmt.Sprintf("/done-%d-%d", g, i)
	if err := errors.Join(a.Rename(name, to), a.SyncDir("/")); err != nil {
		return err
	}
	r, err := a.Open(to)
	if err != nil {
		return err
	}
	got := make([]byte, len(data))
	if n, err := r.ReadAt(got, 0); n < len(data) || err != nil && err != io.EOF || string(got) != string(data) {
		return fmt.Errorf("read %d of %d bytes: %w", n, len(data), err)
	}
	if i%5 == 4 {
		if err := errors.Join(a.Remove(to), a.SyncDir("/")); err != nil {
			return err
		}
	}
	return r.Close()
}
