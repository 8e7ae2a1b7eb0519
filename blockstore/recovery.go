package blockstore

import (
	"errors"
	"io/fs"

	"redoubt/dfs"
)

// InitRecovery stops the replica's writer and puts it under recovery. It tells the
// replica as it is, in the state it had.
func (s *Store) InitRecovery(b dfs.Block, recovery dfs.GenStamp) (Replica, error) {
	r, err := s.acquire(b.ID)
	if err != nil {
		return Replica{}, err
	}
	defer s.release(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == dfs.ReplicaTemporary:
		return Replica{}, notFound(b)
	case r.stamp < b.GenStamp:
		return Replica{}, dfs.Errorf(dfs.ReplicaNotFound, "Replica %v is older than %v", r.viewLocked().Block, b)
	case r.stamp >= recovery:
		return Replica{}, dfs.Errorf(dfs.RecoveryInProgress, "Replica %v has a stamp not below recovery id %d", r.viewLocked().Block, recovery)
	case r.state == dfs.ReplicaRUR && r.recovery >= recovery:
		return Replica{}, dfs.Errorf(dfs.RecoveryInProgress, "Replica %v is under recovery %d, not below %d", r.viewLocked().Block, r.recovery, recovery)
	}
	r.stopWriterLocked()
	if r.state != dfs.ReplicaRUR {
		r.before = r.state
		r.state = dfs.ReplicaRUR
	}
	r.recovery = recovery
	x := r.viewLocked()
	x.State = r.before
	return x, nil
}

// UpdateReplica ends a recovery: the replica, which must still be as InitRecovery told,
// is cut to newLength, gets the recovery id as its stamp and is finalized.
func (s *Store) UpdateReplica(b dfs.Block, recovery dfs.GenStamp, newLength int64) (Replica, error) {
	r, err := s.acquire(b.ID)
	if err != nil {
		return Replica{}, err
	}
	defer s.release(r)
	x := r.view()
	r.mu.Lock()
	current, before := r.recovery, r.before
	r.mu.Unlock()
	switch {
	case x.State == dfs.ReplicaFinalized && x.Block.GenStamp == recovery && x.Block.Length == newLength:
		return x, nil // the answer to an earlier call was lost
	case x.State != dfs.ReplicaRUR:
		return Replica{}, illegal("Replica %v is %v and not under recovery", x.Block, x.State)
	case current != recovery:
		return Replica{}, dfs.Errorf(dfs.RecoveryInProgress, "Replica %v is under recovery %d, not %d", x.Block, current, recovery)
	case x.Block.Length != b.Length:
		return Replica{}, illegal("Replica %v has %d bytes, had %d when its recovery began", x.Block, x.Block.Length, b.Length)
	case newLength < 0 || newLength > x.Block.Length:
		return Replica{}, illegal("Replica %v has %d bytes, can't be made %d", x.Block, x.Block.Length, newLength)
	}
	if before == dfs.ReplicaFinalized && newLength == x.Block.Length {
		if err := s.bumpStamp(r, recovery); err != nil {
			return Replica{}, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.state = dfs.ReplicaFinalized
		return r.viewLocked(), nil
	}
	if err := s.openCut(r, recovery, newLength); err != nil {
		return Replica{}, err
	}
	return s.finalize(r)
}

// Invalidate removes a replica whose stamp is not newer than b's. A replica that was
// found damaged is set aside instead. One that is not there is no error.
func (s *Store) Invalidate(b dfs.Block) error {
	r, err := s.acquire(b.ID)
	if dfs.Is(err, dfs.ReplicaNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	stamp, bad := r.stamp, r.bad
	r.mu.Unlock()
	if stamp > b.GenStamp {
		s.release(r)
		return illegal("Replica %v is newer than %v, which is to be removed", dfs.Block{ID: r.id, GenStamp: stamp}, b)
	}
	r.stopWriter()
	if bad {
		r.closeFiles()
		err = r.setAside()
	} else {
		err = r.remove()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		err = s.ioError(r.vol, "remove "+r.id.String(), err)
	}
	s.drop(r)
	return err
}

// setAside moves the files of a damaged replica out of the way.
func (r *replica) setAside() error {
	err := r.vol.setAside(r.metaPath())
	if derr := r.vol.setAside(r.dataPath()); err == nil || errors.Is(err, fs.ErrNotExist) {
		err = derr
	}
	return err
}
