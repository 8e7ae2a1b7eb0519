package blockstore

import (
	"redoubt/dfs"
)

// A shadow is a temporary replica that is made while another replica of its block may be
// in place: a rebuilt one takes the place of a damaged one only when it is whole. It is in
// the replica map and on disk under an id of its own, which no block has.
const shadowBit = 1 << 62

func isShadow(id dfs.BlockID) bool { return id&shadowBit != 0 }

// finalizeShadow makes a shadow durable and puts it in its block's place; io is held and
// given up. A crash in between leaves the old replica, the new one, files of both that
// their checksums tell apart, or none: nobody was told of the new one yet.
func (w *Writer) finalizeShadow() (Replica, error) {
	r, s := w.r, w.s
	if err := s.syncReplica(r, false); err != nil {
		s.release(r)
		return Replica{}, err
	}
	to := &replica{id: r.id &^ shadowBit, vol: r.vol,
		onDisk: onDisk{where: inFinalized, sum: r.sum, written: r.written},
		status: status{stamp: r.stamp, state: dfs.ReplicaFinalized, received: r.written, acked: r.written}}
	err := s.displace(to.id, to.stamp, w.replace)
	if err == nil {
		err = s.insert(to)
	}
	if err != nil {
		s.release(r)
		return Replica{}, err
	}
	if err := moveShadow(r, to); err != nil {
		err = s.breakReplica(r, "finalize", err)
		_ = to.vol.fs.Remove(to.metaPath()) // as far as possible: a start sets it aside else
		s.drop(to)
		s.release(r)
		return Replica{}, err
	}
	r.mu.Lock()
	r.writer = nil // it is done, not stopped
	r.mu.Unlock()
	w.done = true
	s.drop(r)
	to.charge(to.written, to.written)
	x := to.view()
	s.release(to)
	return x, nil
}

// displace takes a replica out of the way of one with this stamp: an older one, one that
// was found damaged, and with replace also one that seems good.
func (s *Store) displace(id dfs.BlockID, stamp dfs.GenStamp, replace bool) error {
	old, err := s.acquire(id)
	if dfs.Is(err, dfs.ReplicaNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	old.mu.Lock()
	x, bad := old.viewLocked(), old.bad
	old.mu.Unlock()
	switch {
	case x.State != dfs.ReplicaFinalized || x.Block.GenStamp > stamp,
		x.Block.GenStamp == stamp && !bad && !replace:
		s.release(old)
		return dfs.Errorf(dfs.AlreadyExists, "Block %v already exists in state %v and thus cannot be replaced", x.Block, x.State)
	case x.Block.GenStamp == stamp:
		err = old.setAside()
	default:
		err = old.remove()
	}
	if err != nil {
		err = s.ioError(old.vol, "replace "+id.String(), err)
	}
	s.drop(old)
	return err
}

// moveShadow renames a shadow's files to those of its block, checksums first, and makes the
// names durable.
func moveShadow(r, to *replica) error {
	v := r.vol
	if err := v.makeFinalDir(to.id); err != nil {
		return err
	}
	if err := v.fs.Rename(r.metaPath(), to.metaPath()); err != nil {
		return err
	}
	if err := v.fs.Rename(r.dataPath(), to.dataPath()); err != nil {
		return err
	}
	if err := v.fs.SyncDir(v.placeDir(to.id, inFinalized)); err != nil {
		return err
	}
	to.named = true
	return nil
}
