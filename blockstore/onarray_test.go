package blockstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore/array"
	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

func members(f vfs.FS) array.Config {
	return array.Config{FS: f, Unit: 512, Members: []array.Member{{Dir: "/m0"}, {Dir: "/m1"}, {Dir: "/m2"}}}
}

// A store on a RAID-5 array of three, the power cut everywhere, and then each member in
// turn, or none, away: what a store on a plain directory keeps, this one keeps.
func TestCrashOnAnArray(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(o *oracle, s *Store) error
	}{{"create", createBlocks}, {"append", appendToBlocks}, {"pipeline", recoverPipelines}, {"block", recoverBlocks}} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "append" {
				t.Skip("append has all kinds of writes")
			}
			turn := 0
			var last *array.Array
			layer := func(f vfs.FS) (vfs.FS, error) {
				if last != nil {
					_ = last.Close() // of a disk that is looked at no longer
				}
				a, err := array.Open(members(f))
				last = a
				if err != nil {
					return nil, err
				}
				return a, nil
			}
			lose := func(f vfs.FS) error {
				if _, err := f.Stat("/away"); err == nil {
					return nil
				}
				if turn++; turn%4 == 3 {
					return nil
				}
				return errors.Join(f.Rename(fmt.Sprintf("/m%d", turn%4), "/away"), f.SyncDir("/"))
			}
			n := crashtest.EachPoint(t, func() crashtest.Scenario {
				o := &oracle{blocks: map[uint64]*promise{}, dirs: []string{"/v"}, layer: layer}
				return crashtest.Scenario{
					Setup: func(f vfs.FS) error {
						s, _, err := o.open(f)
						if err != nil {
							return err
						}
						return errors.Join(o.whole(s, 1, 10, 1300), o.whole(s, 2, 10, 2048), s.Close(), last.Close())
					},
					Phase: o.doing,
					Run: func(f vfs.FS) error {
						o.phase = "start"
						s, _, err := o.open(f)
						if err == nil {
							err = errors.Join(c.run(o, s), s.Close())
						}
						if err != nil && f.(*vfs.Mem).Stopped() {
							return vfs.ErrPowerOff // whatever the array made of it
						}
						return err
					},
					Recover: func(f vfs.FS) error {
						if flag.Lookup("crashtest.nested").Value.String() == "1" {
							return nil // they take long, and package array has its own
						}
						if err := lose(f); err != nil {
							return err
						}
						return o.recover(f)
					},
					Check: func(f vfs.FS) error {
						if err := lose(f); err != nil {
							return err
						}
						return o.check(f)
					},
				}
			})
			if last != nil {
				_ = last.Close()
			}
			require.Greater(t, n, int64(20))
		})
	}
}

// Writers, readers and a scrub on an array of which a member fails in the middle.
func TestMemberFailsUnderTheStore(t *testing.T) {
	m := vfs.NewMem()
	x := faultfs.New(m)
	c := members(x)
	c.Spares = []array.Member{{Dir: "/spare"}}
	healed := make(chan struct{})
	c.OnEvent = func(e array.Event) {
		if e.Kind == array.RebuildFinished {
			close(healed)
		}
	}
	a, err := array.Open(c)
	require.NoError(t, err)
	s := open(t, config(a, "/v"))
	for id := uint64(1); id < 20; id++ {
		write(t, s, id, 5, source[:id*1111])
	}
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(12) {
				id := 100 + g*20 + i
				w, err := s.Create(CreateOptions{Block: block(id, 1)})
				if err != nil {
					t.Error(err)
					return
				}
				if err = feed(w, source[:id*100], 0, 3000); err == nil {
					err = w.Sync()
				}
				if err == nil {
					_, err = w.Finalize()
				}
				if err := errors.Join(err, w.Close()); err != nil {
					t.Error(err)
				}
				if g == 1 && i == 4 {
					x.SetHook(faultfs.FailOn(syscall.EIO, faultfs.Under("/m1")))
				}
				got, err := readAll(s, block(1+i, 5), 0, int64((1+i)*1111))
				if err != nil || string(got) != string(source[:(1+i)*1111]) {
					t.Errorf("block %d: %v", 1+i, err)
				}
			}
		})
	}
	wg.Wait()
	<-healed
	require.False(t, a.Status().Degraded)
	check := func(s *Store) {
		replicas := s.Replicas(s.Volumes()[0].Storage)
		require.Len(t, replicas, 19+48)
		for _, r := range replicas {
			require.NoError(t, s.Verify(context.Background(), r.Block.ID))
			got, err := readAll(s, r.Block, 0, r.Block.Length)
			require.NoError(t, err)
			require.Equal(t, string(source[:r.Block.Length]), string(got))
		}
	}
	check(s)
	require.NoError(t, s.Close())
	require.NoError(t, a.Close())
	x.SetHook(nil)
	require.NoError(t, m.Rename("/m0", "/gone"))
	a, err = array.Open(c)
	require.NoError(t, err)
	defer a.Close()
	s = open(t, config(a, "/v"))
	check(s)
	w, err := s.Append(dfs.Block{ID: 3, GenStamp: 5}, 6, 3333)
	require.NoError(t, err)
	require.NoError(t, feed(w, source[:5000], 3333, 512))
	_, err = w.Finalize()
	require.NoError(t, err)
	got, err := readAll(s, block(3, 6), 0, 5000)
	require.NoError(t, err)
	require.Equal(t, string(source[:5000]), string(got))
}

// Two members lost: what can be read is right, the volume fails as soon as the store
// notices, and all its replicas are gone from it.
func TestTwoMembersLostUnderTheStore(t *testing.T) {
	x := faultfs.New(vfs.NewMem())
	a, err := array.Open(members(x))
	require.NoError(t, err)
	defer a.Close()
	c := config(a, "/v")
	failed := make(chan VolumeState, 1)
	c.OnVolumeFailed = func(v VolumeState) { failed <- v }
	s := open(t, c)
	for id := uint64(1); id < 9; id++ {
		write(t, s, id, 5, source[:id*1500])
	}
	x.SetHook(faultfs.FailOn(syscall.EIO, func(op faultfs.Op) bool { return !faultfs.Under("/m2")(op) }))
	for id := uint64(1); id < 9; id++ {
		if got, err := readAll(s, block(id, 5), 0, int64(id*1500)); err == nil {
			require.Equal(t, string(source[:id*1500]), string(got))
		}
	}
	_, err = s.Create(CreateOptions{Block: block(20, 1)})
	if err == nil {
		err = s.Usable()
	}
	require.Error(t, err)
	v := <-failed
	require.ErrorIs(t, v.Err, array.ErrLost)
	for id := uint64(1); id < 9; id++ {
		_, ok := s.Get(dfs.BlockID(id))
		require.False(t, ok)
	}
}
