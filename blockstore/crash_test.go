package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/vfs"
)

// promise is what the oracle knows of one block. Its bytes are always pattern(1<<20).
type promise struct {
	sent      int64        // no more bytes than this may be there
	synced    int64        // at least so many must
	stamp     dfs.GenStamp // with at least this stamp
	finalized bool         // and finalized: no change has begun since
	gone      bool         // a removal has begun: it may be missing
	perhaps   bool         // a cut has begun: as many bytes as that must be there
	cut       int64
}

type oracle struct {
	layer  func(f vfs.FS) (vfs.FS, error) // if set, what the store sees of the disk
	blocks map[uint64]*promise
	dirs   []string
	phase  string // what is being done
}

func (o *oracle) doing() string { return o.phase }

var source = pattern(1 << 20)

func (o *oracle) at(id uint64) *promise {
	if o.blocks[id] == nil {
		o.blocks[id] = &promise{}
	}
	return o.blocks[id]
}

func (o *oracle) open(f vfs.FS) (*Store, func() []error, error) {
	var mu sync.Mutex
	var bad []error
	if o.layer != nil {
		var err error
		if f, err = o.layer(f); err != nil {
			return nil, nil, err
		}
	}
	c := config(f, o.dirs...)
	c.OnBad = func(b Bad) {
		mu.Lock()
		defer mu.Unlock()
		bad = append(bad, fmt.Errorf("reported as damaged: %v: %w", b.Block, b.Err))
	}
	s, err := Open(c)
	return s, func() []error { mu.Lock(); defer mu.Unlock(); return bad }, err
}

func (o *oracle) recover(f vfs.FS) error {
	s, _, err := o.open(f)
	if err != nil {
		return err
	}
	return s.Close()
}

// check opens the disk and judges every block; then it brings each through a block
// recovery, starts again and judges again.
func (o *oracle) check(f vfs.FS) error {
	s, bad, err := o.open(f)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, v := range s.Volumes() {
		if v.Err != nil {
			return v.Err
		}
	}
	seen := 0
	for id, p := range o.blocks {
		x, ok := s.Get(dfs.BlockID(id))
		if ok {
			seen++
		}
		if err := p.judge(s, x, ok); err != nil {
			return fmt.Errorf("block %d: %w (promise %+v)", id, err, *p)
		}
		if !ok || p.gone {
			continue
		}
		if _, err := s.InitRecovery(x.Block, x.Block.GenStamp+1); err != nil {
			return err
		}
		to := x.Block.Length
		if to%3 == 0 {
			to = max(p.least(), to-100)
		}
		if _, err := s.UpdateReplica(x.Block, x.Block.GenStamp+1, to); err != nil {
			return err
		}
		y, ok := s.Get(dfs.BlockID(id))
		if !ok || y.Block.Length != to || y.State != dfs.ReplicaFinalized {
			return fmt.Errorf("block %d after recovery to %d: %+v", id, to, y)
		}
		if err := p.judge(s, y, true); err != nil {
			return fmt.Errorf("block %d after recovery: %w", id, err)
		}
	}
	for _, v := range s.Volumes() {
		seen -= len(s.Replicas(v.Storage))
	}
	if seen != 0 {
		return fmt.Errorf("%d replicas that nobody wrote", -seen)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := errors.Join(bad()...); err != nil {
		return err
	}
	if s, bad, err = o.open(f); err != nil {
		return err
	}
	defer s.Close()
	for id, p := range o.blocks {
		x, ok := s.Get(dfs.BlockID(id))
		if err := p.judge(s, x, ok); err != nil {
			return fmt.Errorf("block %d after one more start: %w", id, err)
		}
		if ok && !p.gone && s.Verify(context.Background(), x.Block.ID) != nil {
			return fmt.Errorf("block %d after one more start is damaged", id)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	return errors.Join(bad()...)
}

func (p *promise) least() int64 {
	if p.perhaps {
		return min(p.synced, p.cut)
	}
	return p.synced
}

func (p *promise) judge(s *Store, x Replica, ok bool) error {
	if !ok {
		if p.gone || p.synced == 0 && !p.finalized {
			return nil
		}
		return errors.New("lost")
	}
	switch n := x.Block.Length; {
	case n > p.sent:
		return fmt.Errorf("has %d bytes, only %d were sent", n, p.sent)
	case n < p.least() && !p.gone:
		return fmt.Errorf("has %d bytes, %d were synced", n, p.least())
	case x.Block.GenStamp < p.stamp:
		return fmt.Errorf("has stamp %d, was acknowledged with %d", x.Block.GenStamp, p.stamp)
	case p.finalized && x.State != dfs.ReplicaFinalized:
		return fmt.Errorf("is %v", x.State)
	case p.finalized && !p.perhaps && n != p.synced:
		return fmt.Errorf("has %d bytes, was finalized with %d", n, p.synced)
	}
	got, err := readAll(s, x.Block, 0, x.Block.Length)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, source[:len(got)]) {
		return errors.New("other bytes than were written")
	}
	return nil
}

// more writes on to the length to, in packets, and notes it.
func (o *oracle) more(w *Writer, to int64) error {
	o.phase = "write"
	b := w.Block()
	o.at(uint64(b.ID)).sent = max(o.at(uint64(b.ID)).sent, to)
	return feed(w, source[:to], int(b.Length), 700)
}

func (o *oracle) sync(w *Writer) error {
	o.phase = "sync"
	if err := w.Sync(); err != nil {
		return err
	}
	b := w.Block()
	p := o.at(uint64(b.ID))
	p.synced, p.stamp = b.Length, b.GenStamp
	return nil
}

func (o *oracle) finalize(w *Writer) error {
	o.phase = "finalize"
	return o.finalized(w.Finalize())
}

func (o *oracle) finalized(x Replica, err error) error {
	if err != nil {
		return err
	}
	*o.at(uint64(x.Block.ID)) = promise{sent: x.Block.Length, synced: x.Block.Length, stamp: x.Block.GenStamp, finalized: true}
	return nil
}

func (o *oracle) create(s *Store, id, stamp uint64, temporary bool) (*Writer, error) {
	o.phase = "create"
	o.at(id)
	return s.Create(CreateOptions{Block: block(id, stamp), Temporary: temporary})
}

func (o *oracle) whole(s *Store, id, stamp uint64, n int64) error {
	w, err := o.create(s, id, stamp, false)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := o.more(w, n); err != nil {
		return err
	}
	return o.finalize(w)
}

// crash runs a workload on a store that holds finalized blocks 1 (1300 bytes) and 2
// (2048 bytes) with stamp 10, cutting the power everywhere.
func crash(t *testing.T, dirs []string, run func(o *oracle, s *Store) error) {
	n := crashtest.EachPoint(t, func() crashtest.Scenario {
		o := &oracle{blocks: map[uint64]*promise{}, dirs: dirs}
		return crashtest.Scenario{
			Setup: func(f vfs.FS) error {
				s, _, err := o.open(f)
				if err != nil {
					return err
				}
				return errors.Join(o.whole(s, 1, 10, 1300), o.whole(s, 2, 10, 2048), s.Close())
			},
			Phase: o.doing,
			Run: func(f vfs.FS) error {
				o.phase = "start"
				s, _, err := o.open(f)
				if err != nil {
					return err
				}
				defer s.Close()
				return run(o, s)
			},
			Recover: o.recover,
			Check:   o.check,
		}
	})
	require.Greater(t, n, int64(20))
}

func TestCrashCreate(t *testing.T) { crash(t, []string{"/v"}, createBlocks) }

func createBlocks(o *oracle, s *Store) error {
	w, err := o.create(s, 3, 20, false)
	if err != nil {
		return err
	}
	defer w.Close()
	for _, n := range []int64{300, 400, 512, 1000, 1600, 1601, 3000} {
		if err := o.more(w, n); err != nil {
			return err
		}
		if n != 1000 && n != 1600 {
			if err := o.sync(w); err != nil {
				return err
			}
		}
	}
	if err := o.more(w, 3500); err != nil {
		return err
	}
	if err := o.finalize(w); err != nil {
		return err
	}
	return o.whole(s, 4, 21, 100)
}

func TestCrashAppend(t *testing.T) { crash(t, []string{"/v"}, appendToBlocks) }

func appendToBlocks(o *oracle, s *Store) error {
	for i, id := range []uint64{1, 2} {
		p := o.at(id)
		stamp := dfs.GenStamp(11 + i)
		p.finalized = false
		o.phase = "append"
		w, err := s.Append(dfs.Block{ID: dfs.BlockID(id), GenStamp: 10}, stamp, p.synced)
		if err != nil {
			return err
		}
		defer w.Close()
		p.stamp = stamp
		for _, n := range []int64{2100, 2200, 2560} {
			if err := o.more(w, n); err != nil {
				return err
			}
			if n != 2200 {
				if err := o.sync(w); err != nil {
					return err
				}
			}
		}
		if err := o.finalize(w); err != nil {
			return err
		}
	}
	return nil
}

func TestCrashPipelineRecovery(t *testing.T) { crash(t, []string{"/v"}, recoverPipelines) }

func recoverPipelines(o *oracle, s *Store) error {
	w, err := o.create(s, 3, 20, false)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := o.more(w, 1100); err != nil {
		return err
	}
	if err := o.sync(w); err != nil {
		return err
	}
	w.SetAcked(1100)
	if err := o.more(w, 1900); err != nil {
		return err
	}
	p := o.at(3)
	w2, err := s.RecoverWriter(block(3, 20), 21, 1100, 1900)
	if err != nil {
		return err
	}
	defer w2.Close()
	p.stamp = 21
	if err := o.more(w2, 1500); err != nil {
		return err
	}
	if err := o.sync(w2); err != nil {
		return err
	}
	w2.SetAcked(1500)
	o.phase = "recovery"
	if err := o.finalized(s.RecoverClose(block(3, 21), 22, 1500)); err != nil {
		return err
	}
	p = o.at(3)
	p.finalized = false
	w3, err := s.RecoverAppend(block(3, 22), 23, 1500)
	if err != nil {
		return err
	}
	defer w3.Close()
	p.stamp = 23
	if err := o.more(w3, 1700); err != nil {
		return err
	}
	return o.finalized(w3.Finalize())
}

func TestCrashBlockRecovery(t *testing.T) { crash(t, []string{"/v"}, recoverBlocks) }

func recoverBlocks(o *oracle, s *Store) error {
	w, err := o.create(s, 3, 20, false)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := o.more(w, 1900); err != nil {
		return err
	}
	if err := o.sync(w); err != nil {
		return err
	}
	for _, c := range []struct {
		id uint64
		to int64
	}{{3, 1234}, {1, 1300}, {2, 1900}, {2, 1024}} {
		x, _ := s.Get(dfs.BlockID(c.id))
		if x, err = s.InitRecovery(x.Block, x.Block.GenStamp+5); err != nil {
			return err
		}
		p := o.at(c.id)
		p.finalized = p.finalized && c.to == x.Block.Length
		p.perhaps, p.cut = true, c.to
		o.phase = "recovery"
		if err := o.finalized(s.UpdateReplica(x.Block, x.Block.GenStamp+5, c.to)); err != nil {
			return err
		}
	}
	return nil
}

func TestCrashTransferAndRemoval(t *testing.T) {
	crash(t, []string{"/v", "/w"}, func(o *oracle, s *Store) error {
		for id := uint64(3); id < 6; id++ {
			w, err := o.create(s, id, 20, true)
			if err != nil {
				return err
			}
			defer w.Close()
			if err := o.more(w, 1000); err != nil {
				return err
			}
			switch id {
			case 3:
				x, err := w.ToRBW()
				if err != nil {
					return err
				}
				o.at(id).synced, o.at(id).stamp = x.Block.Length, x.Block.GenStamp
			case 4:
				if err := o.finalize(w); err != nil {
					return err
				}
			case 5:
				o.at(id).gone = true
				if err := w.Close(); err != nil {
					return err
				}
			}
		}
		for id := uint64(1); id < 4; id++ {
			o.at(id).gone = true
			o.at(id).stamp, o.at(id).finalized = 0, false
			if err := s.Invalidate(block(id, 20)); err != nil {
				return err
			}
		}
		return o.whole(s, 1, 30, 700) // the same id again
	})
}

// The first start formats; a crash of it must not leave anything that hinders the next.
func TestCrashFormatAndStart(t *testing.T) {
	crashtest.EachPoint(t, func() crashtest.Scenario {
		o := &oracle{blocks: map[uint64]*promise{}, dirs: []string{"/d/v", "/d/w"}}
		uuid := ""
		return crashtest.Scenario{
			Phase: o.doing,
			Run: func(f vfs.FS) error {
				o.phase = "start"
				s, _, err := o.open(f)
				if err != nil {
					return err
				}
				if s.Usable() == nil && s.Volumes()[0].Err == nil && s.Volumes()[1].Err == nil {
					uuid = s.UUID()
				}
				return errors.Join(o.whole(s, 1, 10, 600), s.Close())
			},
			Recover: o.recover,
			Check: func(f vfs.FS) error {
				s, _, err := o.open(f)
				if err != nil {
					return err
				}
				if got := s.UUID(); uuid != "" && got != uuid {
					return errors.Join(fmt.Errorf("datanode id changed from %s to %s", uuid, got), s.Close())
				}
				if err := s.Close(); err != nil {
					return err
				}
				return o.check(f)
			},
		}
	})
}

// A replica of the same block on two volumes: the newer one serves, the other is kept.
func TestTwinsOnTwoVolumes(t *testing.T) {
	m := vfs.NewMem()
	a := open(t, config(m, "/a"))
	write(t, a, 1, 5, source[:1000])
	write(t, a, 2, 5, source[:1000])
	uuid := a.UUID()
	require.NoError(t, a.Close())
	b := open(t, config(m, "/b"))
	write(t, b, 1, 6, source[:900])
	write(t, b, 2, 4, source[:2000])
	require.NoError(t, b.Close())
	p, err := readProperties(m, "/b/current/VERSION")
	require.NoError(t, err)
	p["datanodeUuid"] = uuid
	require.NoError(t, (&volume{fs: m}).publish("/b/current/VERSION", p))
	s := open(t, config(m, "/a", "/b"))
	x, _ := s.Get(1)
	require.EqualValues(t, 6, x.Block.GenStamp)
	x, _ = s.Get(2)
	require.EqualValues(t, 5, x.Block.GenStamp)
	for _, id := range []dfs.BlockID{1, 2} {
		require.NoError(t, s.Verify(context.Background(), id))
	}
	require.Equal(t, 2, s.Volumes()[0].Aside)
	require.Equal(t, 2, s.Volumes()[1].Aside)
	_, err = m.Stat("/a/current/" + cluster.PoolID + "/current/aside/blk_1")
	require.NoError(t, err)
}
