package blockstore

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Store is one datanode's replicas. Its methods may be called at the same time.
//
// Errors are *dfs.Error: ReplicaNotFound, AlreadyExists, NoSpace, Corrupt (checksums),
// IllegalState (wrong state, stamp or length), RecoveryInProgress, or Other with the
// disk's error inside.
type Store struct {
	cfg    Config
	uuid   string
	vols   []*volume
	maps   [shards]shard
	turn   atomic.Uint64 // round robin over volumes
	notes  notifier
	closed atomic.Bool
	twins  sync.Mutex // one decision between two volumes' replicas at a time
}

// Open opens the volumes, formats fresh ones, and finds their replicas. A volume that
// can't be used because of an I/O error is left out and shows in Volumes; a volume that
// is locked, of another cluster, or of another datanode makes Open fail.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg}
	for i := range s.maps {
		s.maps[i].final = map[dfs.BlockID]entry{}
		s.maps[i].active = map[dfs.BlockID]*replica{}
	}
	for i, c := range cfg.Volumes {
		v := &volume{index: uint16(i), fs: c.FS, dir: c.Dir, name: c.Label(), kind: c.Type, capacity: c.Capacity, err: c.Err}
		if v.fs == nil {
			v.fs = cfg.FS
		}
		if v.kind == 0 {
			v.kind = dfs.StorageDisk
		}
		s.vols = append(s.vols, v)
	}
	s.notes.start()
	err := s.openVolumes()
	if err == nil {
		err = s.load()
	}
	if err == nil {
		err = s.Usable()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openVolumes finds out who the volumes are and formats the fresh ones.
func (s *Store) openVolumes() error {
	owner := map[string]*volume{} // by storage id
	var first *volume
	for _, v := range s.vols {
		if v.err != nil {
			continue // known to be of no use
		}
		uuid, err := v.open(s.cfg.Cluster)
		if err != nil {
			if fatal(err) {
				return err
			}
			s.failVolume(v, err)
			continue
		}
		if v.fresh {
			continue
		}
		if other := owner[v.storage]; other != nil {
			return foreign("%s and %s have the same storage id %s: one is a copy of the other", other.name, v.name, v.storage)
		}
		owner[v.storage] = v
		if first == nil {
			first, s.uuid = v, uuid
		} else if uuid != s.uuid {
			return foreign("%s belongs to datanode %s, but %s to datanode %s", first.name, s.uuid, v.name, uuid)
		}
	}
	if s.uuid == "" {
		s.uuid = newUUID()
	}
	for _, v := range s.vols {
		if v.failed() != nil {
			continue
		}
		var err error
		if v.fresh {
			err = v.format(s.cfg.Cluster, s.uuid)
		}
		if err == nil {
			err = v.prepare()
		}
		if err != nil {
			s.failVolume(v, err)
		}
	}
	return nil
}

// fatal says whether an error is a mistake in the set-up and not a broken disk.
func fatal(err error) bool {
	var id *identityError
	return errors.As(err, &id) || isLocked(err)
}

// Close stops all writers, leaves their replicas as they are on disk, and unlocks the volumes.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	for i := range s.maps {
		sh := &s.maps[i]
		sh.mu.RLock()
		var list []*replica
		for _, r := range sh.active {
			list = append(list, r)
		}
		sh.mu.RUnlock()
		for _, r := range list {
			r.mu.Lock()
			r.stopWriterLocked()
			r.mu.Unlock()
			r.io.Lock()
			r.closeFiles()
			r.io.Unlock()
		}
	}
	var errs []error
	for _, v := range s.vols {
		if v.lock != nil {
			errs = append(errs, v.lock.Close())
			v.lock = nil
		}
	}
	s.notes.stop()
	return errors.Join(errs...)
}

// UUID is the datanode's, the same on every volume.
func (s *Store) UUID() string { return s.uuid }

// Volumes describes all volumes in the order of the configuration, failed ones too.
func (s *Store) Volumes() []VolumeState {
	list := make([]VolumeState, len(s.vols))
	for i, v := range s.vols {
		list[i] = v.state(s.cfg.Reserved)
	}
	return list
}

// Usable gives an error once more volumes have failed than are tolerated.
func (s *Store) Usable() error {
	var errs []error
	for _, v := range s.vols {
		if err := v.failed(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	allowed := s.cfg.FailedVolumesTolerated
	if allowed == 0 {
		allowed = len(s.vols) - 1
	}
	if len(errs) == 0 || len(errs) <= allowed {
		return nil
	}
	return fmt.Errorf("blockstore: %d of %d volumes failed: %w", len(errs), len(s.vols), errors.Join(errs...))
}

// failVolume gives up a volume and its replicas.
func (s *Store) failVolume(v *volume, err error) {
	v.mu.Lock()
	if v.err != nil {
		v.mu.Unlock()
		return
	}
	v.err = err
	v.mu.Unlock()
	for i := range s.maps {
		sh := &s.maps[i]
		sh.mu.Lock()
		for id, e := range sh.final {
			if e.vol == v.index {
				delete(sh.final, id)
			}
		}
		for id, r := range sh.active {
			if r.vol != v {
				continue
			}
			r.mu.Lock()
			r.gone = true
			if r.broken == nil {
				r.broken = &dfs.Error{Kind: dfs.Other, Op: "volume failed", Path: v.name, Err: err}
			}
			r.stopWriterLocked()
			r.mu.Unlock()
			delete(sh.active, id)
		}
		sh.mu.Unlock()
	}
	v.replicas.Store(0)
	if s.cfg.OnVolumeFailed != nil {
		st := v.state(s.cfg.Reserved)
		s.notes.post(func() { s.cfg.OnVolumeFailed(st) })
	}
}

// report tells of a damaged replica.
func (s *Store) report(v *volume, b dfs.Block, err error) {
	if s.cfg.OnBad != nil {
		s.notes.post(func() { s.cfg.OnBad(Bad{Block: b, Storage: v.storage, Err: err}) })
	}
}

// Replicas lists a volume's replicas for a full block report, by block id. Temporary
// ones are left out; RUR replicas show the state they had before.
func (s *Store) Replicas(storage string) []Replica {
	i := slices.IndexFunc(s.vols, func(v *volume) bool { return v.storage == storage && storage != "" })
	if i < 0 {
		return nil
	}
	v := s.vols[i]
	list := make([]Replica, 0, max(0, v.replicas.Load()))
	for i := range s.maps {
		sh := &s.maps[i]
		sh.mu.RLock()
		for id, e := range sh.final {
			if e.vol == v.index {
				list = append(list, e.view(s, id))
			}
		}
		for _, r := range sh.active {
			if r.vol == v {
				if x, ok := r.reported(); ok {
					list = append(list, x)
				}
			}
		}
		sh.mu.RUnlock()
	}
	slices.SortFunc(list, func(a, b Replica) int {
		if a.Block.ID < b.Block.ID {
			return -1
		}
		return 1
	})
	return list
}

// reported is the replica as a block report shows it.
func (r *replica) reported() (Replica, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.viewLocked()
	if x.State == dfs.ReplicaRUR {
		x.State = r.before
	}
	return x, x.State != dfs.ReplicaTemporary && r.broken == nil && !r.gone
}

// choose picks the volume for a new replica: the hinted one if it will do, else in turn
// among those of the medium whose room is at least half of the roomiest one's.
func (s *Store) choose(o CreateOptions) (*volume, error) {
	type candidate struct {
		v    *volume
		room int64
	}
	var list []candidate
	var most, best int64
	var errs []error
	need := diskSize(max(0, o.Expected))
	for _, v := range s.vols {
		if v.failed() != nil || o.Type != 0 && v.kind != o.Type {
			continue
		}
		room, err := v.room(s.cfg.Reserved)
		if err != nil {
			errs = append(errs, s.ioError(v, "ask for room", err)) // the others are asked on
			continue
		}
		best = max(best, room)
		if room < need {
			continue
		}
		if v.storage == o.Storage {
			return v, nil
		}
		list = append(list, candidate{v, room})
		most = max(most, room)
	}
	if err := errors.Join(errs...); err != nil && len(list) == 0 {
		return nil, err
	}
	if len(list) == 0 {
		return nil, dfs.Errorf(dfs.NoSpace, "Out of space: the block needs %d bytes, the volumes have room for %d", need, best)
	}
	list = slices.DeleteFunc(list, func(c candidate) bool { return c.room < most/2 })
	return list[s.turn.Add(1)%uint64(len(list))].v, nil
}

func isLocked(err error) bool { return errors.Is(err, vfs.ErrLocked) }

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// notifier calls callbacks one after another on a goroutine of its own, so that they
// may call the store.
type notifier struct {
	mu    sync.Mutex
	wake  *sync.Cond
	queue []func()
	ended bool
	done  chan struct{}
}

func (n *notifier) start() {
	n.wake = sync.NewCond(&n.mu)
	n.done = make(chan struct{})
	go n.run()
}

func (n *notifier) run() {
	defer close(n.done)
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		for len(n.queue) > 0 {
			call := n.queue[0]
			n.queue = n.queue[1:]
			n.mu.Unlock()
			call()
			n.mu.Lock()
		}
		if n.ended {
			return
		}
		n.wake.Wait()
	}
}

func (n *notifier) post(call func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ended {
		n.queue = append(n.queue, call)
		n.wake.Signal()
	}
}

// stop waits until all that was posted has been called.
func (n *notifier) stop() {
	n.mu.Lock()
	n.ended = true
	n.wake.Signal()
	n.mu.Unlock()
	<-n.done
}
