package blockstore

import (
	"errors"
	"fmt"
	"sync"

	"redoubt/dfs"
	"redoubt/vfs"
)

// entry is a finalized replica in memory. It holds no pointers, so that millions of
// them cost the garbage collector nothing.
type entry struct {
	stamp  dfs.GenStamp
	length int64
	vol    uint16
	bad    bool // damaged; reported
}

// shard is a part of the replica map.
type shard struct {
	mu     sync.RWMutex
	final  map[dfs.BlockID]entry
	active map[dfs.BlockID]*replica
}

const shards = 64

func (s *Store) shard(id dfs.BlockID) *shard {
	return &s.maps[(uint64(id)*0x9e3779b97f4a7c15)>>58]
}

// replica is one that is more than a finalized one at rest: being written, waiting for
// recovery, or just changing. While a finalized one changes it is here and not in
// shard.final.
type replica struct {
	id  dfs.BlockID
	vol *volume

	io     sync.Mutex // held by whoever changes the files or needs them to hold still
	onDisk            // guarded by io

	mu     sync.Mutex
	status // guarded by mu
}

// onDisk is a replica's side to the disk.
type onDisk struct {
	where      place
	sum        checksum
	data, meta vfs.File // open while it is being written
	named      bool     // the directory entries are durable
	dirty      bool     // something was written since the last sync
	loose      bool     // the files may be longer than what they prove: cut before use
	written    int64    // received bytes, as the writer counts them
	partial    uint32   // checksum of the last, short chunk; if written is no chunk boundary
	tail       tail
	hinted     int64 // up to here write-back was started
	charged    int64 // bytes counted in vol.used
	promised   int64 // bytes counted in vol.promised
}

// status is what others may ask of a replica at any time.
type status struct {
	stamp    dfs.GenStamp
	state    dfs.ReplicaState
	received int64
	acked    int64
	recovery dfs.GenStamp
	before   dfs.ReplicaState // of one under recovery
	bad      bool             // damaged; reported
	cut      bool             // its files went further than its checksums proved
	broken   error            // an I/O error; final
	gone     bool             // no longer in the map
	writer   *Writer
	changed  chan struct{} // closed at the next progress; nil if nobody waits
}

// view describes the replica.
func (r *replica) view() Replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.viewLocked()
}

func (r *replica) viewLocked() Replica {
	return Replica{Block: dfs.Block{ID: r.id, GenStamp: r.stamp, Length: r.received},
		State: r.state, Storage: r.vol.storage, Visible: r.acked, Cut: r.cut}
}

func (e entry) view(s *Store, id dfs.BlockID) Replica {
	return Replica{Block: dfs.Block{ID: id, GenStamp: e.stamp, Length: e.length},
		State: dfs.ReplicaFinalized, Storage: s.vols[e.vol].storage, Visible: e.length}
}

func (r *replica) dataPath() string { return r.vol.dataPath(r.id, r.where) }

func (r *replica) metaPath() string { return r.vol.metaPath(r.id, r.stamp, r.where) }

// wakeLocked tells waiting readers that there is something new.
func (r *replica) wakeLocked() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// waitLocked gives a channel that is closed at the next progress.
func (r *replica) waitLocked() <-chan struct{} {
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// stopWriterLocked takes the replica away from its writer.
func (r *replica) stopWriterLocked() {
	if r.writer != nil {
		close(r.writer.stopped)
		r.writer = nil
	}
	r.wakeLocked()
}

// closeFiles closes the writer's files; io is held.
func (r *replica) closeFiles() {
	for _, f := range []vfs.File{r.data, r.meta, r.tail.file} {
		if f != nil {
			_ = f.Close() // what had to be durable was synced, and its errors seen
		}
	}
	r.data, r.meta, r.tail.file = nil, nil, nil
}

// charge counts the replica's space as being that of length bytes, of which expected
// will come.
func (r *replica) charge(length, expected int64) {
	size := diskSize(length)
	promised := max(0, diskSize(expected)-size)
	r.vol.used.Add(size - r.charged)
	r.vol.promised.Add(promised - r.promised)
	r.charged, r.promised = size, promised
}

func (r *replica) uncharge() {
	r.vol.used.Add(-r.charged)
	r.vol.promised.Add(-r.promised)
	r.charged, r.promised = 0, 0
}

func notFound(b dfs.Block) error {
	return dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v", b)
}

func illegal(format string, args ...any) error {
	return dfs.Errorf(dfs.IllegalState, format, args...)
}

// Get describes a replica.
func (s *Store) Get(id dfs.BlockID) (Replica, bool) {
	sh := s.shard(id)
	sh.mu.RLock()
	e, final := sh.final[id]
	r := sh.active[id]
	sh.mu.RUnlock()
	switch {
	case final:
		return e.view(s, id), true
	case r != nil:
		return r.view(), true
	}
	return Replica{}, false
}

// acquire gives the replica with its io lock held. A finalized one at rest becomes
// active for that time. Every acquire needs a release or a drop.
func (s *Store) acquire(id dfs.BlockID) (*replica, error) {
	sh := s.shard(id)
	for {
		sh.mu.Lock()
		r := sh.active[id]
		e, final := sh.final[id]
		switch {
		case r == nil && !final:
			sh.mu.Unlock()
			return nil, notFound(dfs.Block{ID: id})
		case final:
			r = &replica{id: id, vol: s.vols[e.vol],
				onDisk: onDisk{where: inFinalized, named: true, written: e.length, charged: diskSize(e.length)},
				status: status{stamp: e.stamp, state: dfs.ReplicaFinalized, received: e.length, acked: e.length, bad: e.bad}}
			r.io.Lock()
			sh.active[id] = r
			delete(sh.final, id)
			sh.mu.Unlock()
			return r, nil
		}
		sh.mu.Unlock()
		r.io.Lock()
		r.mu.Lock()
		gone, broken := r.gone, r.broken
		r.mu.Unlock()
		if gone {
			r.io.Unlock()
			continue
		}
		if broken != nil {
			r.io.Unlock()
			return nil, broken
		}
		return r, nil
	}
}

// release gives up the io lock; a finalized replica goes back to rest, a broken one
// without a writer out of the map.
func (s *Store) release(r *replica) {
	sh := s.shard(r.id)
	sh.mu.Lock()
	r.mu.Lock()
	if r.state == dfs.ReplicaFinalized && !r.gone && r.broken == nil {
		r.gone = true
		r.charged, r.promised = 0, 0 // the entry answers for the space now
		delete(sh.active, r.id)
		sh.final[r.id] = entry{stamp: r.stamp, length: r.received, vol: r.vol.index, bad: r.bad}
	}
	dead := r.broken != nil && r.writer == nil
	r.mu.Unlock()
	sh.mu.Unlock()
	if dead {
		s.drop(r)
		return
	}
	r.io.Unlock()
}

// insert adds a new active replica with its io lock held, unless there is one already.
func (s *Store) insert(r *replica) error {
	sh := s.shard(r.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, final := sh.final[r.id]
	if old := sh.active[r.id]; old != nil || final {
		return dfs.Errorf(dfs.AlreadyExists, "Block %v already exists and thus cannot be created", dfs.Block{ID: r.id, GenStamp: r.stamp})
	}
	sh.active[r.id] = r
	r.io.Lock()
	r.vol.replicas.Add(1)
	return nil
}

// drop takes a replica out of the map; io is held and given up. Its files stay.
func (s *Store) drop(r *replica) {
	sh := s.shard(r.id)
	sh.mu.Lock()
	r.mu.Lock()
	if !r.gone {
		r.gone = true
		delete(sh.active, r.id)
		r.vol.replicas.Add(-1)
	}
	r.stopWriterLocked()
	r.mu.Unlock()
	sh.mu.Unlock()
	r.uncharge()
	r.closeFiles()
	r.io.Unlock()
}

// breakReplica notes that the replica met an I/O error: it can't be used until the next
// start, which finds out what its checksums still prove. io is held.
func (s *Store) breakReplica(r *replica, doing string, err error) error {
	err = s.ioError(r.vol, fmt.Sprintf("%s %s", doing, r.id), err)
	r.mu.Lock()
	if r.broken == nil {
		r.broken = err
	}
	r.wakeLocked()
	r.mu.Unlock()
	return err
}

// ioError names an error of a volume and finds out whether the volume is still alive.
func (s *Store) ioError(v *volume, doing string, err error) error {
	var known *dfs.Error
	if errors.As(err, &known) {
		return err
	}
	if isFull(err) {
		return &dfs.Error{Kind: dfs.NoSpace, Op: doing, Err: err, Path: v.name}
	}
	if v.failed() == nil {
		if perr := v.probe(); perr != nil {
			s.failVolume(v, perr)
		}
	}
	return &dfs.Error{Kind: dfs.Other, Op: doing, Err: err, Path: v.name}
}
