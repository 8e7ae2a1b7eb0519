package blockstore

import (
	"context"
	"errors"
	"io"

	"redoubt/dfs"
)

// MoveOptions says which replica goes to another volume of the datanode, and to which.
type MoveOptions struct {
	Block   dfs.Block // the replica is finalized, of this stamp
	Type    dfs.StorageType
	Storage string                           // preferred volume; may be ""
	Pace    func(context.Context, int) error // called before so many bytes are written; may be nil
}

// movePiece is how many bytes a move copies at a time.
const movePiece = 128 << 10

// Move brings a finalized replica to a volume of another medium. The old files stay what
// readers get until the new ones are whole, verified and durable; then the new ones take
// their place and the old ones are removed, durably. Whoever changes the replica meanwhile
// wins: then the copy is thrown away. from is the volume where the replica was.
func (s *Store) Move(ctx context.Context, o MoveOptions) (x Replica, from string, err error) {
	old, ok := s.Get(o.Block.ID)
	switch {
	case !ok || old.State == dfs.ReplicaTemporary:
		return Replica{}, "", notFound(o.Block)
	case old.State != dfs.ReplicaFinalized:
		return Replica{}, "", dfs.Errorf(dfs.ReplicaNotFound, "Cannot move an unfinalized replica %v in state %v", old.Block, old.State)
	case old.Block.GenStamp != o.Block.GenStamp:
		return Replica{}, "", illegal("Replica %v is not %v, which is to be moved", old.Block, o.Block)
	case s.kindOf(old.Storage) == o.Type && (o.Storage == "" || o.Storage == old.Storage):
		return Replica{}, "", dfs.Errorf(dfs.AlreadyExists, "Replica %v already exists on storage %v", old.Block, o.Type)
	}
	r, err := s.OpenReader(ctx, ReadOptions{Block: old.Block, Length: old.Block.Length, Verify: true})
	if err != nil {
		return Replica{}, "", err
	}
	defer r.Close()
	typ, per := r.Checksum()
	w, err := s.Create(CreateOptions{Block: old.Block, Shadow: true, Type: o.Type, Storage: o.Storage,
		Expected: old.Block.Length, Checksum: typ, BytesPerChecksum: per})
	if err != nil {
		return Replica{}, "", err
	}
	if w.Storage() == old.Storage {
		return Replica{}, "", errors.Join(dfs.Errorf(dfs.NoSpace, "Out of space: no other %v volume has room for %v", o.Type, old.Block), w.Close())
	}
	if err := copyReplica(ctx, w, r, o.Pace); err != nil {
		return Replica{}, "", errors.Join(err, w.Close())
	}
	if x, err = w.finalizeMove(old); err != nil {
		return Replica{}, "", errors.Join(err, w.Close())
	}
	return x, old.Storage, nil
}

func (s *Store) kindOf(storage string) dfs.StorageType {
	for _, v := range s.vols {
		if v.storage == storage {
			return v.kind
		}
	}
	return 0
}

// copyReplica writes all that a reader gives, with the checksums that the replica has.
func copyReplica(ctx context.Context, w *Writer, r *Reader, pace func(context.Context, int) error) error {
	_, per := r.Checksum()
	buf := make([]byte, max(1, movePiece/per)*per)
	sums := make([]byte, len(buf)/per*sumSize)
	for at := int64(0); at < r.End(); {
		n, err := r.Read(buf, sums)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && pace != nil {
			err = pace(ctx, n)
		}
		if err == nil {
			err = w.Write(at, buf[:n], sums[:(n+per-1)/per*sumSize], true)
		}
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return ctx.Err()
}

// finalizeMove makes a shadow durable and puts it in the place of old, on another volume, if
// that is still as it was.
//
// The new names are durable before an old one goes, so that at each instant a start finds
// one of the two replicas or both, which are the same. The old names are gone durably
// before anybody can change the new replica: they never come back beside a newer one.
func (w *Writer) finalizeMove(was Replica) (Replica, error) {
	r, s := w.r, w.s
	r.io.Lock()
	err := w.check()
	if err == nil {
		err = s.syncReplica(r, false)
	}
	if err != nil {
		s.release(r)
		return Replica{}, err
	}
	old, err := s.acquire(r.id &^ shadowBit)
	if err != nil {
		s.release(r)
		return Replica{}, err
	}
	if x := old.view(); x != was {
		s.release(old)
		s.release(r)
		return Replica{}, illegal("Replica %v has changed while it was moved", was.Block)
	}
	to := &replica{id: old.id, vol: r.vol, onDisk: onDisk{where: inFinalized, sum: r.sum, written: r.written},
		status: status{stamp: r.stamp, state: dfs.ReplicaFinalized, received: r.written, acked: r.written}}
	to.io.Lock()
	err = moveShadow(r, to)
	if err != nil {
		err = s.breakReplica(r, "finalize", err)
	} else {
		err = s.swap(old, to)
	}
	if err != nil {
		_ = to.vol.fs.Remove(to.dataPath()) // as far as possible: a start finds that the old one is the same
		_ = to.vol.fs.Remove(to.metaPath())
		s.release(old)
		s.release(r)
		return Replica{}, err
	}
	r.mu.Lock()
	r.writer = nil // it is done, not stopped
	r.mu.Unlock()
	w.done = true
	s.drop(r)
	to.charge(to.written, to.written)
	if err := old.removeDurably(); err != nil {
		_ = s.ioError(old.vol, "remove the moved "+old.id.String(), err) // finds out whether the volume still works
	}
	old.uncharge()
	old.io.Unlock()
	x := to.view()
	s.release(to)
	return x, nil
}

// swap puts a replica in the place of another in the map; the io locks of both are held.
func (s *Store) swap(old, to *replica) error {
	sh := s.shard(to.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err := to.vol.failed(); err != nil {
		return &dfs.Error{Kind: dfs.Other, Op: "volume failed", Path: to.vol.name, Err: err}
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	if !old.gone { // else its volume has just failed: the new one is all there is
		old.gone = true
		old.vol.replicas.Add(-1)
	}
	sh.active[to.id] = to
	to.vol.replicas.Add(1)
	return nil
}

// removeDurably removes a finalized replica's files so that they don't come back; io is held.
func (r *replica) removeDurably() error {
	err := r.remove()
	if serr := r.vol.fs.SyncDir(r.vol.placeDir(r.id, inFinalized)); err == nil {
		err = serr
	}
	return err
}
