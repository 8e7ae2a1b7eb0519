package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"redoubt/dfs"
	"redoubt/vfs"
)

// scanWorkers list the directories of one volume at the same time.
const scanWorkers = 4

// find is all that a volume holds of one block when that is more, or less, than one
// finalized data file with one meta file that fit together.
type find struct {
	id    dfs.BlockID
	data  [2]int64 // sizes by place, finalized or rbw; -1 none
	metas []foundMeta
	tail  bool
}

type foundMeta struct {
	stamp dfs.GenStamp
	where place
	size  int64
}

// load finds the replicas of all volumes, each on a goroutine of its own.
func (s *Store) load() error {
	var wg sync.WaitGroup
	for _, v := range s.vols {
		if v.failed() != nil {
			continue
		}
		wg.Go(func() {
			if err := s.loadVolume(v); err != nil {
				s.failVolume(v, err)
			}
		})
	}
	wg.Wait()
	return nil
}

func (s *Store) loadVolume(v *volume) error {
	odd, err := s.scanRBW(v)
	if err != nil {
		return err
	}
	subdirs, err := v.leafDirs()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for w := range scanWorkers {
		wg.Go(func() {
			for i := w; i < len(subdirs); i += scanWorkers {
				if err := s.scanLeaf(v, subdirs[i], odd, &mu); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ids := make([]dfs.BlockID, 0, len(odd))
	for id := range odd {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := s.resolve(v, odd[id]); err != nil {
			return fmt.Errorf("blockstore: start of %s: %w", id, err)
		}
	}
	return nil
}

func (v *volume) leafDirs() (leaves []string, err error) {
	root := v.pool + "/finalized"
	tops, err := v.fs.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, top := range tops {
		if !top.Dir {
			continue
		}
		subs, err := v.fs.ReadDir(path.Join(root, top.Name))
		if err != nil {
			return nil, err
		}
		for _, sub := range subs {
			if sub.Dir {
				leaves = append(leaves, top.Name+"/"+sub.Name)
			}
		}
	}
	return leaves, nil
}

// scanRBW notes everything under rbw.
func (s *Store) scanRBW(v *volume) (map[dfs.BlockID]*find, error) {
	entries, err := v.fs.ReadDir(v.pool + "/rbw")
	if err != nil {
		return nil, err
	}
	odd := map[dfs.BlockID]*find{}
	for _, e := range entries {
		odd = note(odd, e, inRBW)
	}
	return odd, nil
}

func note(finds map[dfs.BlockID]*find, e vfs.Entry, where place) map[dfs.BlockID]*find {
	p := parseName(e.Name)
	if p.kind == otherFile || e.Dir {
		return finds
	}
	f := finds[p.id]
	if f == nil {
		f = &find{id: p.id, data: [2]int64{-1, -1}}
		finds[p.id] = f
	}
	switch p.kind {
	case dataFile:
		f.data[where] = e.Size
	case metaFile:
		f.metas = append(f.metas, foundMeta{p.stamp, where, e.Size})
	case tailFile:
		f.tail = true
	}
	return finds
}

// scanLeaf takes in the replicas of one finalized directory. What is not plain goes to odd.
func (s *Store) scanLeaf(v *volume, leaf string, odd map[dfs.BlockID]*find, mu *sync.Mutex) error {
	entries, err := v.fs.ReadDir(v.pool + "/finalized/" + leaf)
	if err != nil {
		return err
	}
	for i := 0; i < len(entries); {
		p := parseName(entries[i].Name)
		if p.kind == otherFile || entries[i].Dir {
			i++
			continue
		}
		// Names of one block stand together: blk_1, blk_1_5.meta sort before blk_10.
		run := i + 1
		for run < len(entries) && sameBlock(entries[run].Name, p.id) {
			run++
		}
		group := entries[i:run]
		i = run
		if subdir(p.id) != leaf {
			s.report(v, dfs.Block{ID: p.id}, fmt.Errorf("blockstore: %s/%s is not in its directory %s", leaf, group[0].Name, subdir(p.id)))
			continue
		}
		if s.takePlain(v, group, odd, mu) {
			continue
		}
		mu.Lock()
		for _, e := range group {
			note(odd, e, inFinalized)
		}
		mu.Unlock()
	}
	return nil
}

func sameBlock(name string, id dfs.BlockID) bool {
	p := parseName(name)
	return p.kind != otherFile && p.id == id
}

// takePlain takes in a block with one data and one meta file that fit together.
func (s *Store) takePlain(v *volume, group []vfs.Entry, odd map[dfs.BlockID]*find, mu *sync.Mutex) bool {
	if len(group) != 2 {
		return false
	}
	a, b := parseName(group[0].Name), parseName(group[1].Name)
	if a.kind != dataFile || b.kind != metaFile {
		return false
	}
	mu.Lock()
	_, known := odd[a.id]
	mu.Unlock()
	if known || group[1].Size != diskSize(group[0].Size)-group[0].Size {
		return false
	}
	s.takeFinal(v, a.id, b.stamp, group[0].Size, false)
	return true
}

// takeFinal adds a finalized replica, unless another volume has a better one.
func (s *Store) takeFinal(v *volume, id dfs.BlockID, stamp dfs.GenStamp, length int64, bad bool) {
	s.twins.Lock()
	defer s.twins.Unlock()
	if !s.betterLocked(v, id, stamp, dfs.ReplicaFinalized, length) {
		return
	}
	sh := s.shard(id)
	sh.mu.Lock()
	sh.final[id] = entry{stamp: stamp, length: length, vol: v.index, bad: bad}
	sh.mu.Unlock()
	v.replicas.Add(1)
	v.used.Add(diskSize(length))
}

// betterLocked decides between a replica about to be taken in and one that another volume
// holds already: the newer stamp, then finalized, then the longer one. The loser's
// files are set aside. It is called for different volumes at the same time; for one
// block the calls come in any order with the same outcome. twins is held.
func (s *Store) betterLocked(v *volume, id dfs.BlockID, stamp dfs.GenStamp, state dfs.ReplicaState, length int64) bool {
	have, ok := s.Get(id)
	if !ok {
		return true
	}
	wins := stamp > have.Block.GenStamp
	if stamp == have.Block.GenStamp {
		wins = state < have.State || state == have.State && length > have.Block.Length
	}
	if !wins {
		where := inFinalized
		if state != dfs.ReplicaFinalized {
			where = inRBW
		}
		s.setTwinAside(v, dfs.Block{ID: id, GenStamp: stamp, Length: length}, where)
		return false
	}
	old, err := s.acquire(id)
	if err != nil {
		return true // gone with its volume
	}
	s.setTwinAside(old.vol, have.Block, old.where)
	s.drop(old)
	return true
}

func (s *Store) setTwinAside(v *volume, b dfs.Block, where place) {
	err := v.setAside(v.metaPath(b.ID, b.GenStamp, where))
	if derr := v.setAside(v.dataPath(b.ID, where)); err == nil {
		err = derr
	}
	if err != nil {
		s.report(v, b, fmt.Errorf("blockstore: set aside %v, of which another volume has a better replica: %w", b, err))
	}
}

// resolve makes one replica, or none, of what a crash has left of a block.
//
// Everything was synced before it was renamed, so whichever names are there hold the
// same files: the highest stamp says how far the replica has got. If its checksums and
// data are both in finalized it is finalized; else the move was under way and it is one
// that was being written.
func (s *Store) resolve(v *volume, f *find) error {
	best := f.best()
	if best < 0 || f.data[inFinalized] < 0 && f.data[inRBW] < 0 {
		return s.resolveOrphan(v, f)
	}
	m := f.metas[best]
	where := m.where
	if f.data[where] < 0 {
		where = inFinalized + inRBW - where
	}
	if m.where == inFinalized && where == inFinalized {
		size := f.data[inFinalized]
		err := v.fits(f.id, m, size)
		if err != nil && f.data[inRBW] < 0 {
			s.report(v, dfs.Block{ID: f.id, GenStamp: m.stamp, Length: size}, err)
		}
		if lerr := s.leftovers(v, f, best, inFinalized, size); lerr != nil {
			return lerr
		}
		s.takeFinal(v, f.id, m.stamp, size, err != nil)
		return nil
	}
	return s.resolveRBW(v, f, best, where)
}

// best picks the meta file with the highest stamp; of two with the same, the one in finalized.
func (f *find) best() int {
	best := -1
	for i, m := range f.metas {
		if best < 0 || m.stamp > f.metas[best].stamp ||
			m.stamp == f.metas[best].stamp && m.where == inFinalized && f.data[inFinalized] >= 0 {
			best = i
		}
	}
	return best
}

// fits checks that sizes of data and checksums agree.
func (v *volume) fits(id dfs.BlockID, m foundMeta, size int64) error {
	if m.size == diskSize(size)-size {
		return nil
	}
	h, err := vfs.ReadFile(v.fs, v.metaPath(id, m.stamp, m.where), 1<<40)
	if err != nil {
		return err
	}
	sum, err := parseHeader(h)
	if err == nil && sum.metaSize(size) != m.size {
		err = fmt.Errorf("blockstore: %s has %d bytes and checksums of %d chunks of %d bytes", id, size, (m.size-metaHeader)/sumSize, sum.chunk)
	}
	return err
}

// resolveOrphan deals with data without checksums and the other way round: most likely
// a creation or a removal that a crash interrupted, so it is not reported as damage.
// The name node sees from the block report that the replica is not there.
func (s *Store) resolveOrphan(v *volume, f *find) error {
	for where, size := range f.data {
		if size < 0 {
			continue
		}
		if err := v.setAside(v.dataPath(f.id, place(where))); err != nil {
			return err
		}
	}
	for _, m := range f.metas {
		if err := v.setAside(v.metaPath(f.id, m.stamp, m.where)); err != nil {
			return err
		}
	}
	return v.dropTail(f)
}

func (v *volume) dropTail(f *find) error {
	if !f.tail {
		return nil
	}
	err := v.fs.Remove(v.tailPath(f.id))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// leftovers removes second names of the replica that was picked: files with no newer
// stamp and not more data than was proven. Others are set aside.
func (s *Store) leftovers(v *volume, f *find, best int, dataAt place, proven int64) error {
	get := func(size int64, name string) error {
		if size <= proven {
			return v.fs.Remove(name)
		}
		return v.setAside(name)
	}
	other := inFinalized + inRBW - dataAt
	size := f.data[other]
	for i, m := range f.metas {
		if i == best {
			continue
		}
		if err := get(size, v.metaPath(f.id, m.stamp, m.where)); err != nil {
			return err
		}
	}
	if size >= 0 {
		if err := get(size, v.dataPath(f.id, other)); err != nil {
			return err
		}
	}
	if dataAt == inFinalized {
		return v.dropTail(f)
	}
	return nil
}

// tellCut tells of a replica that was being written if its data file, or its checksums, go
// further than what is proven of it.
func (s *Store) tellCut(r *replica, size, sums int64) {
	r.cut = size > r.written || sums > r.sum.chunks(r.written)
	if s.cfg.OnCut == nil || !r.cut {
		return
	}
	bad := Bad{Block: dfs.Block{ID: r.id, GenStamp: r.stamp, Length: r.written}, Storage: r.vol.storage,
		Err: fmt.Errorf("blockstore: %s: checksums prove %d bytes; it has %d, and checksums of %d chunks", r.vol.dataPath(r.id, inRBW), r.written, size, sums)}
	s.notes.post(func() { s.cfg.OnCut(bad) })
}

// resolveRBW takes in a replica that was being written, as long as its checksums prove.
func (s *Store) resolveRBW(v *volume, f *find, best int, dataAt place) error {
	m := f.metas[best]
	if dataAt == inFinalized {
		if err := v.fs.Rename(v.dataPath(f.id, inFinalized), v.dataPath(f.id, inRBW)); err != nil {
			return err
		}
		f.data[inRBW], f.data[inFinalized] = f.data[inFinalized], -1
	}
	if m.where == inFinalized {
		if err := v.fs.Rename(v.metaPath(f.id, m.stamp, inFinalized), v.metaPath(f.id, m.stamp, inRBW)); err != nil {
			return err
		}
	}
	if dataAt == inFinalized || m.where == inFinalized {
		if err := v.fs.SyncDir(v.pool + "/rbw"); err != nil {
			return err
		}
	}
	r := &replica{id: f.id, vol: v, onDisk: onDisk{where: inRBW, loose: true}, status: status{stamp: m.stamp, state: dfs.ReplicaRWR}}
	err := r.prove()
	if err != nil {
		var io *fs.PathError
		if errors.As(err, &io) {
			s.report(v, dfs.Block{ID: f.id, GenStamp: m.stamp}, err)
			return nil // left as it is
		}
		return s.resolveOrphan(v, f) // no readable header: nothing was ever synced
	}
	s.tellCut(r, f.data[inRBW], (m.size-metaHeader)/sumSize)
	if err := s.leftovers(v, f, best, inRBW, r.written); err != nil {
		return err
	}
	s.twins.Lock()
	defer s.twins.Unlock()
	if !s.betterLocked(v, f.id, m.stamp, dfs.ReplicaRWR, r.written) {
		return nil
	}
	if err := s.insert(r); err != nil {
		return err
	}
	r.charge(r.written, r.written)
	r.io.Unlock()
	return nil
}
