package array

import (
	"errors"
	"io/fs"
	"path"
	"sync"

	"redoubt/vfs"
)

// record makes a change of names and puts it into the log, from where the next flush
// takes it. mu is held.
func (a *Array) recordLocked(r *record) error {
	if a.closed {
		return errClosed
	}
	lost, err := a.tree.apply(r)
	if err != nil {
		return err
	}
	a.pending = r.append(a.pending)
	a.recorded++
	if lost != nil && lost.links == 0 {
		a.orphanLocked(lost)
	}
	return nil
}

// orphanLocked notes a file without names. Its units go when no open file needs them
// and its end is durable: until then a power cut may bring its name back.
func (a *Array) orphanLocked(n *node) {
	if n.refs == 0 {
		delete(a.unsynced, n)
		if n.work != nil {
			n.work.closeFiles()
			n.work = nil
		}
		a.dead = append(a.dead, deadFile{n.id, a.recorded})
	}
}

type deadFile struct {
	id uint64
	at uint64 // the number of the record that took the last name away
}

// flush makes all changes durable that were recorded before it was called. Callers that
// come while another one syncs are served together by the next batch.
func (a *Array) flush() error {
	a.mu.Lock()
	want := a.recorded
	a.mu.Unlock()
	err := a.flushTo(want)
	if err == nil {
		a.reap()
	}
	return err
}

func (a *Array) flushTo(want uint64) error {
	a.change.Lock()
	defer a.change.Unlock()
	if err := a.settle(); err != nil {
		return err
	}
	if a.durable >= want {
		return nil
	}
	if err := a.lost(); err != nil {
		return err
	}
	if a.newLog || a.sinceCheckpoint > max(a.checkpointAfter, 2*a.checkpointSize) {
		err := a.checkpoint()
		if isFull(err) {
			a.dropBallast()
			err = a.checkpoint()
		}
		return err
	}
	a.mu.Lock()
	b, upTo := a.batch, a.recorded
	b = append(b[:0], make([]byte, batchHeader)...)
	b = append(b, a.pending...)
	a.pending = a.pending[:0]
	a.mu.Unlock()
	a.batch = b
	a.seq++
	seal(b, a.id, a.seq, a.gen, batchFlush)
	err := a.each(func(m *member) error { return m.appendLog(b) })
	if err != nil {
		// A device is full. The same batch may be written to the same place again.
		a.dropBallast()
		err = a.each(func(m *member) error { return m.appendLog(b) })
	}
	if err != nil {
		a.newLog = true // what a full device has of the batch is unknown
		return err
	}
	if err := a.settle(); err != nil {
		return err
	}
	a.durable = upTo
	a.sinceCheckpoint += int64(len(b))
	return nil
}

// checkpoint begins a new generation of the log on all members. change is held.
func (a *Array) checkpoint() error {
	a.newLog = true // until this has worked, the older generation may not be added to
	a.gen++
	a.seq++
	a.mu.Lock()
	upTo := a.recorded
	b := a.tree.checkpoint(a.id, a.seq, a.gen)
	a.pending = a.pending[:0]
	a.mu.Unlock()
	if err := a.each(func(m *member) error { return m.beginLog(a.gen, b) }); err != nil {
		return err
	}
	if err := a.settle(); err != nil {
		return err
	}
	a.newLog = false
	a.durable, a.sinceCheckpoint, a.checkpointSize = upTo, 0, int64(len(b))
	a.stamp.Store(a.gen << 32)
	return a.each(func(m *member) error { return m.dropLogs(a.gen) })
}

// reapAt is after how many removed files a flush is due to get their space back.
const reapAt = 64

// reap removes the units of files whose end is durable.
func (a *Array) reap() {
	a.change.Lock()
	durable := a.durable
	a.change.Unlock()
	a.mu.Lock()
	var gone []uint64
	kept := a.dead[:0]
	for _, d := range a.dead {
		if d.at <= durable {
			gone = append(gone, d.id)
		} else {
			kept = append(kept, d)
		}
	}
	a.dead = kept
	a.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	_ = a.each(func(m *member) error { // a full device is no obstacle to removing
		for _, id := range gone {
			if err := m.removeUnits(id); err != nil {
				return err
			}
		}
		return nil
	})
	a.change.Lock()
	defer a.change.Unlock()
	a.makeBallast()
}

// ballastFile takes a little room on each member, so that on a full device there is some
// for the records that say what was removed.
const (
	ballastFile = metaDir + "/ballast"
	ballastSize = 1 << 20
)

// makeBallast makes the file where it is missing. A device without room for it does
// without. change is held.
func (a *Array) makeBallast() {
	if a.ballast || a.closing {
		return
	}
	size := int64(ballastSize)
	if a.cfg.ballast != 0 {
		size = a.cfg.ballast
	}
	a.ballast = a.each(func(m *member) error { return m.makeBallast(size) }) == nil
}

func (m *member) makeBallast(size int64) error {
	name := path.Join(m.dir, ballastFile)
	f, err := m.fs.Create(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = m.fs.OpenWrite(name)
	}
	if err != nil {
		return err
	}
	have, err := f.Size()
	if err == nil && have < size {
		if err = vfs.ZeroFill(f, have, size-have); err == nil {
			err = f.Sync()
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (a *Array) dropBallast() {
	a.ballast = false
	_ = a.each(func(m *member) error { // a full device is no obstacle to removing
		if err := m.fs.Remove(path.Join(m.dir, ballastFile)); err != nil && !notExist(err) {
			return err
		}
		return nil
	})
}

func (m *member) removeUnits(id uint64) error {
	for slots := range 2 {
		if err := m.fs.Remove(unitPath(m.dir, id, slots)); err != nil && !notExist(err) {
			return err
		}
	}
	return nil
}

// closer is a lock on a name of the array.
type closer struct {
	a    *Array
	name string
	once sync.Once
}

// Close gives the lock up.
func (c *closer) Close() error {
	c.once.Do(func() {
		c.a.mu.Lock()
		delete(c.a.locks, c.name)
		c.a.mu.Unlock()
	})
	return nil
}

var _ vfs.FS = (*Array)(nil)
