package blockstore

import (
	"fmt"
	"io"

	"redoubt/dfs"
)

// Append reopens a finalized replica of exactly length bytes under a new stamp, which
// may be the old one (stage 0).
func (s *Store) Append(b dfs.Block, newStamp dfs.GenStamp, length int64) (*Writer, error) {
	return s.takeOver(b, newStamp, func(x Replica) (int64, error) {
		if x.State != dfs.ReplicaFinalized {
			return 0, illegal("Cannot append to a %v replica %v", x.State, x.Block)
		}
		if x.Block.Length != length {
			return 0, illegal("Corrupted replica %v with a length of %d expected length is %d", x.Block, x.Block.Length, length)
		}
		return length, nil
	})
}

// RecoverAppend is Append for a replica that may be being written already (stage 1).
func (s *Store) RecoverAppend(b dfs.Block, newStamp dfs.GenStamp, length int64) (*Writer, error) {
	return s.takeOver(b, newStamp, fits(length))
}

// fits lets pass what has exactly length bytes, or can be cut to it without losing what
// was acknowledged.
func fits(length int64) func(x Replica) (int64, error) {
	return func(x Replica) (int64, error) {
		exact := x.Block.Length == length
		if x.State == dfs.ReplicaFinalized && exact ||
			writable(x.State) && x.Visible <= length && length <= x.Block.Length {
			return length, nil
		}
		return 0, illegal("Corrupted %v replica %v with a length of %d expected length is %d", x.State, x.Block, x.Block.Length, length)
	}
}

// RecoverWriter takes over a being-written replica after its pipeline broke (stage 3):
// the old writer is stopped; what was acknowledged must reach minBytes, what was
// received must not exceed maxBytes; the replica is cut to what was acknowledged. A
// finalized replica of a fitting length is reopened.
func (s *Store) RecoverWriter(b dfs.Block, newStamp dfs.GenStamp, minBytes, maxBytes int64) (*Writer, error) {
	return s.takeOver(b, newStamp, func(x Replica) (int64, error) {
		if x.State != dfs.ReplicaFinalized && !writable(x.State) {
			return 0, illegal("Cannot recover a %v replica %v", x.State, x.Block)
		}
		if x.Visible < minBytes || x.Block.Length > maxBytes {
			return 0, illegal("Unmatched length replica %v: BytesAcked = %d, BytesRcvd = %d, BytesAcked should be >= %d and BytesRcvd <= %d",
				x.Block, x.Visible, x.Block.Length, minBytes, maxBytes)
		}
		return x.Visible, nil
	})
}

func writable(state dfs.ReplicaState) bool {
	return state == dfs.ReplicaRBW || state == dfs.ReplicaRWR
}

// RecoverClose finalizes a replica of exactly length bytes under a new stamp (stage 5).
func (s *Store) RecoverClose(b dfs.Block, newStamp dfs.GenStamp, length int64) (Replica, error) {
	r, err := s.acquireFor(b, newStamp)
	if err != nil {
		return Replica{}, err
	}
	defer s.release(r)
	if _, err := fits(length)(r.view()); err != nil {
		return Replica{}, err
	}
	r.stopWriter()
	if r.where == inFinalized {
		if err := s.bumpStamp(r, newStamp); err != nil {
			return Replica{}, err
		}
		return r.view(), nil
	}
	if err := s.openCut(r, newStamp, length); err != nil {
		return Replica{}, err
	}
	return s.finalize(r)
}

func (r *replica) stopWriter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopWriterLocked()
}

// takeOver stops the replica's writer and makes a new one at the length that judge finds.
func (s *Store) takeOver(b dfs.Block, newStamp dfs.GenStamp, judge func(Replica) (int64, error)) (*Writer, error) {
	r, err := s.acquireFor(b, newStamp)
	if err != nil {
		return nil, err
	}
	// The writer must stop before the lengths are looked at: acks may still come in.
	x := r.view()
	if _, err := judge(x); err != nil {
		s.release(r)
		return nil, err
	}
	if room, err := r.vol.room(s.cfg.Reserved); err != nil || room <= 0 {
		if err != nil {
			err = s.ioError(r.vol, "ask for room", err)
		} else {
			err = dfs.Errorf(dfs.NoSpace, "Out of space: %s is full", r.vol.dir)
		}
		s.release(r)
		return nil, err
	}
	r.stopWriter()
	length, err := judge(r.view())
	if err == nil {
		err = s.openCut(r, newStamp, length)
	}
	if err != nil {
		s.release(r)
		return nil, err
	}
	r.mu.Lock()
	r.state = dfs.ReplicaRBW
	r.mu.Unlock()
	return s.attach(r, 0), nil
}

// acquireFor acquires a replica and checks that its stamp lies between the block's and
// the new one, and that no recovery is at it.
func (s *Store) acquireFor(b dfs.Block, newStamp dfs.GenStamp) (*replica, error) {
	r, err := s.acquire(b.ID)
	if err != nil {
		return nil, err
	}
	x := r.view()
	switch {
	case x.Block.GenStamp < b.GenStamp:
		err = dfs.Errorf(dfs.ReplicaNotFound, "Replica %v is older than %v", x.Block, b)
	case x.Block.GenStamp > newStamp:
		err = illegal("Replica %v has a newer stamp than %d", x.Block, newStamp)
	case x.State == dfs.ReplicaRUR:
		err = dfs.Errorf(dfs.RecoveryInProgress, "Replica %v is under recovery", x.Block)
	}
	if err != nil {
		s.release(r)
		return nil, err
	}
	return r, nil
}

// openCut brings a replica into rbw under a new stamp, opens its files and cuts it to
// length bytes, durably. io is held.
func (s *Store) openCut(r *replica, newStamp dfs.GenStamp, length int64) (err error) {
	if r.where == inFinalized {
		// Checked before anything moves, so that a damaged replica stays as it is.
		if err := s.openFiles(r); err != nil {
			return err
		}
		if _, err := s.prefixSum(r, length); err != nil {
			r.closeFiles()
			return err
		}
		err = s.moveToRBW(r, newStamp)
	} else {
		err = s.bumpStamp(r, newStamp)
	}
	if err != nil {
		return err
	}
	if err := s.openFiles(r); err != nil {
		return err
	}
	return s.cut(r, length)
}

// openFiles opens data and checksums for writing unless they are open.
func (s *Store) openFiles(r *replica) error {
	if r.data != nil {
		return nil
	}
	err := func() (err error) {
		if r.data, err = r.vol.fs.OpenWrite(r.dataPath()); err != nil {
			return err
		}
		if r.meta, err = r.vol.fs.OpenWrite(r.metaPath()); err != nil {
			return err
		}
		var h [metaHeader]byte
		if _, err := r.meta.ReadAt(h[:], 0); err != nil && err != io.EOF {
			return err
		}
		if r.sum, err = parseHeader(h[:]); err != nil {
			return &dfs.Error{Kind: dfs.Corrupt, Path: r.metaPath(), Err: err}
		}
		return nil
	}()
	if err != nil {
		r.closeFiles()
		return s.damaged(r, err)
	}
	return nil
}

// damaged reports a replica whose files are not as they should be.
func (s *Store) damaged(r *replica, err error) error {
	err = s.ioError(r.vol, "open "+r.id.String(), err)
	r.mu.Lock()
	r.bad = true
	x := r.viewLocked()
	r.mu.Unlock()
	s.report(r.vol, x.Block, err)
	return err
}

// prefixSum gives the checksum of the last, short chunk of the replica's first length
// bytes, after comparing what is stored of that chunk with its checksum.
func (s *Store) prefixSum(r *replica, length int64) (uint32, error) {
	in := length % r.sum.chunk
	if in == 0 {
		return 0, nil
	}
	r.mu.Lock()
	received := r.received
	r.mu.Unlock()
	start := length - in
	buf := make([]byte, min(r.sum.chunk, received-start))
	var stored [sumSize]byte
	if _, err := r.data.ReadAt(buf, start); err != nil && err != io.EOF {
		return 0, s.damaged(r, err)
	}
	if _, err := r.meta.ReadAt(stored[:], metaHeader+sumSize*(start/r.sum.chunk)); err != nil && err != io.EOF {
		return 0, s.damaged(r, err)
	}
	want := sumAt(stored[:], 0)
	if r.tail.dirty && r.tail.chunk == start/r.sum.chunk {
		want = r.tail.crc
	}
	if r.sum.sum(buf) != want {
		return 0, s.damaged(r, dfs.Errorf(dfs.Corrupt, "Checksum error in %s at offset %d", r.id, start))
	}
	return r.sum.sum(buf[:in]), nil
}

// cut makes an open replica length bytes long. The checksum of the last chunk is
// durable before bytes go away: at each instant the files prove at least length bytes.
func (s *Store) cut(r *replica, length int64) error {
	r.mu.Lock()
	received := r.received
	r.mu.Unlock()
	if length > received {
		return illegal("%s has %d bytes, fewer than %d", r.id, received, length)
	}
	crc, err := s.prefixSum(r, length)
	if err != nil {
		return err
	}
	if length < received || r.loose || r.tail.dirty {
		if err := r.shorten(length, crc); err != nil {
			return s.breakReplica(r, "cut", err)
		}
	}
	r.tail.dirty, r.loose, r.dirty = false, false, true
	r.written, r.partial, r.hinted = length, crc, length
	r.hold()
	r.mu.Lock()
	r.received, r.acked = length, min(r.acked, length)
	r.mu.Unlock()
	return nil
}

func (r *replica) shorten(length int64, crc uint32) error {
	if err := r.data.Sync(); err != nil {
		return err
	}
	if r.tail.dirty && r.tail.chunk < length/r.sum.chunk {
		if err := r.placeTail(); err != nil {
			return err
		}
	}
	if length%r.sum.chunk != 0 {
		if err := r.writeSum(length/r.sum.chunk, crc); err != nil {
			return err
		}
	}
	if err := r.meta.Sync(); err != nil {
		return err
	}
	if err := r.data.Truncate(length); err != nil {
		return err
	}
	if err := r.data.Sync(); err != nil {
		return err
	}
	if err := r.meta.Truncate(r.sum.metaSize(length)); err != nil {
		return err
	}
	return r.meta.Sync()
}

// bumpStamp gives a replica a new stamp where it is, durably; io is held.
func (s *Store) bumpStamp(r *replica, stamp dfs.GenStamp) error {
	v := r.vol
	if stamp != r.stamp {
		if err := v.fs.Rename(r.metaPath(), v.metaPath(r.id, stamp, r.where)); err != nil {
			return s.breakReplica(r, "restamp", err)
		}
		r.mu.Lock()
		r.stamp = stamp
		r.mu.Unlock()
	}
	if err := v.fs.SyncDir(v.placeDir(r.id, r.where)); err != nil {
		return s.breakReplica(r, "restamp", err)
	}
	r.named = true
	return nil
}

// moveToRBW takes a finalized replica back to rbw under a new stamp, durably; io is held.
func (s *Store) moveToRBW(r *replica, stamp dfs.GenStamp) error {
	v := r.vol
	err := v.fs.Rename(r.metaPath(), v.metaPath(r.id, stamp, inRBW))
	if err == nil {
		err = v.fs.Rename(r.dataPath(), v.dataPath(r.id, inRBW))
	}
	if err == nil {
		err = v.fs.SyncDir(v.placeDir(r.id, inRBW))
	}
	if err == nil {
		err = v.fs.SyncDir(v.placeDir(r.id, inFinalized))
	}
	if err != nil {
		return s.breakReplica(r, "reopen", fmt.Errorf("move to rbw: %w", err))
	}
	r.where, r.named = inRBW, true
	r.mu.Lock()
	r.stamp = stamp
	r.state = dfs.ReplicaRBW
	r.mu.Unlock()
	return nil
}
