package blockstore

import (
	"errors"
	"io/fs"

	"redoubt/dfs"
	"redoubt/vfs"
)

// hintEvery is after how many bytes write-back is started, so that the sync at the end
// of a block finds little left to do.
const hintEvery = 8 << 20

// CreateOptions says what to create.
type CreateOptions struct {
	Block     dfs.Block // id and stamp; the length is not used
	Temporary bool      // a copy in the making instead of a pipeline's replica
	Replace   bool      // an older replica gives way even if nobody writes it
	// Shadow makes a temporary replica beside whatever there is of the block. Finalize puts it
	// in the place of an older replica, of one that was found damaged, which is set aside,
	// or, with Replace, of any that is complete; one that is in the way else is
	// AlreadyExists.
	Shadow           bool
	Type             dfs.StorageType  // medium; 0 any
	Storage          string           // preferred volume; may be ""
	Expected         int64            // bytes that will come, for which there must be room
	Checksum         dfs.ChecksumType // 0 is CRC32C
	BytesPerChecksum int              // 0 is dfs.BytesPerChecksum
}

// Writer adds bytes to a replica. Write, Sync, Finalize, ToRBW and Close are called by
// one goroutine; the others by any.
type Writer struct {
	s        *Store
	r        *replica
	expected int64
	replace  bool // of a shadow
	stopped  chan struct{}
	done     bool
	scratch  [sumSize]byte
}

// Create begins a new replica (pipeline stage 6, or a transfer with Temporary).
func (s *Store) Create(o CreateOptions) (*Writer, error) {
	if o.Checksum == 0 {
		o.Checksum = dfs.ChecksumCRC32C
	}
	if o.BytesPerChecksum == 0 {
		o.BytesPerChecksum = dfs.BytesPerChecksum
	}
	sum, err := newChecksum(o.Checksum, o.BytesPerChecksum)
	if err != nil {
		return nil, err
	}
	if o.Block.ID == 0 || isShadow(o.Block.ID) {
		return nil, dfs.Errorf(dfs.IllegalArgument, "block id %d", o.Block.ID)
	}
	v, err := s.choose(o)
	if err != nil {
		return nil, err
	}
	if o.Shadow {
		o.Temporary = true
		o.Block.ID |= shadowBit
	}
	r := &replica{id: o.Block.ID, vol: v, onDisk: onDisk{where: inRBW, sum: sum},
		status: status{stamp: o.Block.GenStamp, state: dfs.ReplicaRBW}}
	if o.Temporary {
		r.where, r.state = inTmp, dfs.ReplicaTemporary
	}
	if err := s.insertOver(r, o); err != nil {
		return nil, err
	}
	if err := r.createFiles(); err != nil {
		err = s.ioError(v, "create "+r.id.String(), err)
		_ = v.fs.Remove(r.dataPath()) // as far as possible: a start sets it aside else
		_ = v.fs.Remove(r.metaPath())
		s.drop(r)
		return nil, err
	}
	w := s.attach(r, o.Expected)
	w.replace = o.Replace
	return w, nil
}

// insertOver is insert; for a copy in the making an older replica gives way. A pipeline
// that has gone on without this node has left one behind, and comes back to the node when
// it has no other.
func (s *Store) insertOver(r *replica, o CreateOptions) error {
	err := s.insert(r)
	if err == nil {
		return nil
	}
	old, aerr := s.acquire(r.id)
	if aerr != nil {
		return err
	}
	x := old.view()
	if x.Block.GenStamp >= r.stamp || !givesWay(x.State, o) {
		s.release(old)
		return err
	}
	if rerr := old.remove(); rerr != nil {
		rerr = s.ioError(old.vol, "remove", rerr)
		s.drop(old)
		return rerr
	}
	s.drop(old)
	return s.insert(r)
}

// givesWay says whether an older replica may be removed for the one to be created.
func givesWay(state dfs.ReplicaState, o CreateOptions) bool {
	switch state {
	case dfs.ReplicaTemporary:
		return true
	case dfs.ReplicaRBW:
		return o.Temporary
	case dfs.ReplicaFinalized, dfs.ReplicaRWR:
		return o.Temporary && o.Replace
	}
	return false // a recovery decides about it
}

func (r *replica) createFiles() (err error) {
	if r.data, err = r.createFile(r.dataPath()); err != nil {
		return err
	}
	if r.meta, err = r.createFile(r.metaPath()); err != nil {
		return err
	}
	_, err = r.meta.WriteAt(r.sum.header(), 0)
	return err
}

// createFile makes a file; one that is in the way belongs to no replica that we know.
func (r *replica) createFile(name string) (vfs.File, error) {
	f, err := r.vol.fs.Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err := r.vol.setAside(name); err != nil {
			return nil, err
		}
		f, err = r.vol.fs.Create(name)
	}
	return f, err
}

// attach makes a writer for a replica with open files and gives up its io lock.
func (s *Store) attach(r *replica, expected int64) *Writer {
	w := &Writer{s: s, r: r, expected: max(expected, r.written), stopped: make(chan struct{})}
	r.charge(r.written, w.expected)
	r.mu.Lock()
	r.stopWriterLocked()
	if r.gone || s.closed.Load() {
		close(w.stopped) // the volume failed meanwhile
	} else {
		r.writer = w
	}
	r.mu.Unlock()
	r.io.Unlock()
	return w
}

// Block is the replica's id, stamp and received length.
func (w *Writer) Block() dfs.Block {
	b := w.r.view().Block
	b.ID &^= shadowBit
	return b
}

// Storage is the id of the replica's volume.
func (w *Writer) Storage() string { return w.r.vol.storage }

// Checksum tells kind and chunk size of the replica's checksums.
func (w *Writer) Checksum() (dfs.ChecksumType, int) { return w.r.sum.kind, int(w.r.sum.chunk) }

// Stopped is closed when somebody else takes over the replica: a recovery, a new
// writer, a deletion, the failure of the volume, or Close of the store.
func (w *Writer) Stopped() <-chan struct{} { return w.stopped }

// check says whether the writer may go on; io is held.
func (w *Writer) check() error {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if w.r.broken != nil {
		return w.r.broken
	}
	if w.r.writer != w {
		return illegal("the writer of %s was stopped", w.r.id)
	}
	return nil
}

// Write stores a packet's data at offset. sums has four bytes, big-endian, for each
// chunk; with verified they have been checked against data already. What is already
// there is dropped. A mismatch is a Corrupt error and stores nothing. After an I/O
// error the writer is broken for good.
//
// A packet that begins inside a chunk may not reach beyond that chunk, and its checksum
// covers its own bytes only.
func (w *Writer) Write(offset int64, data, sums []byte, verified bool) error {
	r := w.r
	r.io.Lock()
	defer r.io.Unlock()
	if err := w.check(); err != nil {
		return err
	}
	end := offset + int64(len(data))
	if err := w.checkPacket(offset, data, sums, verified); err != nil {
		return err
	}
	if end <= r.written {
		return nil
	}
	fresh := data[r.written-offset:]
	out, err := w.newSums(offset, data, sums)
	if err != nil {
		return err
	}
	if _, err := r.data.WriteAt(fresh, r.written); err != nil {
		return w.s.breakReplica(r, "write", err)
	}
	last := sumAt(out, int64(len(out))/sumSize-1)
	first := r.written / r.sum.chunk
	if r.tail.held && first == r.tail.chunk {
		if err := r.keepTail(sumAt(out, 0)); err != nil {
			return w.s.breakReplica(r, "write tail of", err)
		}
		out, first = out[sumSize:], first+1
	}
	if len(out) > 0 {
		if _, err := r.meta.WriteAt(out, metaHeader+sumSize*first); err != nil {
			return w.s.breakReplica(r, "write checksums of", err)
		}
	}
	r.written, r.partial, r.dirty = end, last, true
	r.charge(end, max(w.expected, end))
	if end-r.hinted >= hintEvery {
		_ = vfs.FlushHint(r.data, r.hinted, end-r.hinted) // only a hint
		r.hinted = end
	}
	r.mu.Lock()
	r.received = end
	r.wakeLocked()
	r.mu.Unlock()
	return nil
}

// checkPacket refuses what can't be: gaps, wrong shapes, wrong checksums.
func (w *Writer) checkPacket(offset int64, data, sums []byte, verified bool) error {
	r := w.r
	if offset < 0 || offset > r.written {
		return illegal("%s has %d bytes, a packet starts at %d", r.id, r.written, offset)
	}
	in := offset % r.sum.chunk
	chunks := r.sum.chunks(int64(len(data)))
	if in != 0 && int64(len(data)) > r.sum.chunk-in {
		return illegal("%s: a packet of %d bytes starts at %d, inside a chunk, and goes beyond it", r.id, len(data), offset)
	}
	if int64(len(sums)) != chunks*sumSize {
		return illegal("%s: %d bytes of checksums for %d bytes of data", r.id, len(sums), len(data))
	}
	if verified {
		return nil
	}
	if i := r.sum.verify(data, sums); i >= 0 {
		return dfs.Errorf(dfs.Corrupt, "Checksum error in %s at offset %d", r.id, offset+int64(i)*r.sum.chunk)
	}
	return nil
}

// newSums gives the checksums to store, from the chunk on in which the replica ends now.
func (w *Writer) newSums(offset int64, data, sums []byte) ([]byte, error) {
	r := w.r
	in, at := offset%r.sum.chunk, r.written%r.sum.chunk
	if in != 0 {
		putSum(w.scratch[:], 0, r.sum.update(r.partial, data[r.written-offset:]))
		return w.scratch[:], nil
	}
	boundary := r.written - at
	out := sums[(boundary-offset)/r.sum.chunk*sumSize:]
	if at != 0 {
		// The packet repeats the start of this chunk: its checksum must fit what is there.
		rest := data[r.written-offset : min(int64(len(data)), boundary+r.sum.chunk-offset)]
		if r.sum.update(r.partial, rest) != sumAt(out, 0) {
			return nil, dfs.Errorf(dfs.Corrupt, "%s: a packet at %d repeats bytes from %d on that differ from the stored ones", r.id, offset, boundary)
		}
	}
	return out, nil
}

// Sync makes everything written so far durable.
func (w *Writer) Sync() error {
	w.r.io.Lock()
	defer w.r.io.Unlock()
	if err := w.check(); err != nil {
		return err
	}
	return w.s.syncReplica(w.r, true)
}

// syncReplica makes a replica's bytes and checksums durable, and its name too with name;
// io is held and the files are open.
func (s *Store) syncReplica(r *replica, name bool) error {
	if r.dirty || !r.named {
		err := r.data.Sync()
		if err == nil {
			err = r.placeTail()
		}
		if err == nil {
			err = r.meta.Sync()
		}
		if err != nil {
			return s.breakReplica(r, "sync", err)
		}
		r.dirty = false
		r.hold()
	}
	if name && !r.named {
		if err := r.vol.fs.SyncDir(r.vol.placeDir(r.id, r.where)); err != nil {
			return s.breakReplica(r, "sync directory of", err)
		}
		r.named = true
	}
	return nil
}

// SetAcked moves the length that readers may see, as far as bytes have been received.
func (w *Writer) SetAcked(n int64) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if n = min(n, w.r.received); n > w.r.acked && w.r.writer == w {
		w.r.acked = n
		w.r.wakeLocked()
	}
}

// Finalize makes the replica durable and complete. The writer is closed.
func (w *Writer) Finalize() (Replica, error) {
	r := w.r
	r.io.Lock()
	if err := w.check(); err != nil {
		r.io.Unlock()
		return Replica{}, err
	}
	if isShadow(r.id) {
		return w.finalizeShadow()
	}
	x, err := w.s.finalize(r)
	if err == nil {
		w.done = true
	}
	w.s.release(r)
	return x, err
}

// finalize makes a replica with open files durable and moves it to finalized; io is held.
func (s *Store) finalize(r *replica) (Replica, error) {
	if err := s.syncReplica(r, false); err != nil {
		return Replica{}, err
	}
	if err := s.moveToFinal(r); err != nil {
		return Replica{}, s.breakReplica(r, "finalize", err)
	}
	r.removeTail()
	r.closeFiles()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.acked = dfs.ReplicaFinalized, r.received
	r.writer = nil
	r.wakeLocked()
	r.charge(r.received, r.received)
	return r.viewLocked(), nil
}

// moveToFinal renames both files, checksums first, and makes their new names durable.
// The old names may come back after a power cut; a start knows that they are done with.
func (s *Store) moveToFinal(r *replica) error {
	v := r.vol
	if err := v.makeFinalDir(r.id); err != nil {
		return err
	}
	if err := v.fs.Rename(r.metaPath(), v.metaPath(r.id, r.stamp, inFinalized)); err != nil {
		return err
	}
	if err := v.fs.Rename(r.dataPath(), v.dataPath(r.id, inFinalized)); err != nil {
		return err
	}
	if err := v.fs.SyncDir(v.placeDir(r.id, inFinalized)); err != nil {
		return err
	}
	r.where, r.named = inFinalized, true
	return nil
}

// ToRBW turns a temporary replica into a being-written one whose bytes count as
// acknowledged, durable, and closes the writer: the end of a transfer of an open block.
func (w *Writer) ToRBW() (Replica, error) {
	r := w.r
	r.io.Lock()
	defer r.io.Unlock()
	if err := w.check(); err != nil {
		return Replica{}, err
	}
	if r.where != inTmp {
		return Replica{}, illegal("%s is not a temporary replica", r.id)
	}
	if err := w.s.syncReplica(r, false); err != nil {
		return Replica{}, err
	}
	v := r.vol
	err := v.fs.Rename(r.metaPath(), v.metaPath(r.id, r.stamp, inRBW))
	if err == nil {
		err = v.fs.Rename(r.dataPath(), v.dataPath(r.id, inRBW))
	}
	if err == nil {
		err = v.fs.SyncDir(v.placeDir(r.id, inRBW))
	}
	if err != nil {
		return Replica{}, w.s.breakReplica(r, "convert", err)
	}
	r.where, r.named = inRBW, true
	r.closeFiles()
	w.done = true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.acked, r.writer = dfs.ReplicaRBW, r.received, nil
	r.wakeLocked()
	r.charge(r.received, r.received)
	return r.viewLocked(), nil
}

// Close ends the writer without finalizing. A temporary replica is removed, a
// being-written one stays. After Finalize or ToRBW it does nothing.
func (w *Writer) Close() error {
	r := w.r
	r.io.Lock()
	if w.done {
		r.io.Unlock()
		return nil
	}
	w.done = true
	r.mu.Lock()
	mine, gone, broken, state := r.writer == w, r.gone, r.broken != nil, r.state
	if mine {
		r.writer = nil
		r.wakeLocked()
	}
	r.mu.Unlock()
	switch {
	case gone:
		r.uncharge()
		r.closeFiles()
	case !mine: // somebody else's now
	case broken:
		s := w.s
		s.drop(r)
		return nil
	case state == dfs.ReplicaTemporary:
		err := r.remove()
		if err != nil {
			err = w.s.ioError(r.vol, "remove "+r.id.String(), err)
		}
		w.s.drop(r)
		return err
	default:
		r.closeFiles()
		r.charge(r.written, r.written)
	}
	r.io.Unlock()
	return nil
}

// remove removes a replica's files; io is held.
func (r *replica) remove() error {
	r.closeFiles()
	if r.tail.there {
		_ = r.vol.fs.Remove(r.vol.tailPath(r.id)) // a leftover goes at the next start
	}
	// Checksums without data say nothing; data without checksums would look damaged.
	err := r.vol.fs.Remove(r.dataPath())
	if merr := r.vol.fs.Remove(r.metaPath()); err == nil || errors.Is(err, fs.ErrNotExist) {
		err = merr
	}
	return err
}
