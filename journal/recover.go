package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/vfs"
)

// recovery brings a machine to the last durable state. It reads only; what it learned
// about the directories' files is for settle.
type recovery struct {
	ctx     context.Context
	fs      vfs.FS
	machine Machine
	lock    sync.Locker
	cluster dfs.ClusterInfo
	hist    *history
	dry     bool // only read and check: the machine is not touched

	image     imageCopy   // the one that was loaded
	badImages []imageCopy // damaged
	links     []*replayed // the log behind the image, in order
	last      dfs.TxID
	stuck     *replayed // the link that could not be read to its end, and how far it could
	replayed  int64
	digests   digestRing
}

// replayed is a link of the log after replay.
type replayed struct {
	*link
	good *segmentCopy // a copy that is whole up to last
	last dfs.TxID
	end  int64 // offset behind last in good
}

// run loads the newest good image and replays the log behind it.
func (r *recovery) run() error {
	if err := r.hist.split(); err != nil && !r.dry {
		return err
	}
	if err := errors.Join(r.hist.logAway(), r.hist.noLog()); err != nil {
		return err
	}
	var failures []error
	for _, group := range r.hist.images() {
		start := group[0].TxID
		if reach := r.hist.reaches(start + 1); reach < r.hist.claim {
			err := fmt.Errorf("journal: behind the image of transaction %d the log lacks its end: %w", start, r.hist.missing(reach+1, r.hist.claim))
			return errors.Join(append(failures, err)...)
		}
		err := r.load(group)
		if err == nil {
			return r.replay(start)
		}
		if !dfs.Is(err, dfs.Corrupt) && !errors.Is(err, fsimage.ErrNotImage) {
			return err
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 {
		return dfs.Errorf(dfs.Corrupt, "journal: no name directory holds an image: there is none in %s", r.hist.places())
	}
	return errors.Join(failures...)
}

// load restores the machine from the first copy that can be. The error is of kind
// dfs.Corrupt only if every copy is damaged.
func (r *recovery) load(group []imageCopy) error {
	var damaged, failed []error
	for _, c := range group {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		err := r.restore(c)
		switch {
		case err == nil:
			r.image = c
			return nil
		case dfs.Is(err, dfs.Corrupt) || errors.Is(err, fsimage.ErrNotImage):
			damaged = append(damaged, err)
			c.bad = err
			r.badImages = append(r.badImages, c)
		default:
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		// What can't be read now may be whole: an older image is no substitute.
		return fmt.Errorf("journal: image of transaction %d: %w", group[0].TxID, failed[0])
	}
	return errors.Join(damaged...)
}

func (r *recovery) restore(c imageCopy) error {
	img, err := fsimage.Open(r.fs, c.dir.cur, c.Name, &r.cluster)
	if err != nil {
		return err
	}
	defer img.Close()
	if r.dry {
		return img.Verify()
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if c.TxID == 0 && len(img.Sections()) == 0 && len(r.badImages) == 0 {
		return nil // format's image of the empty state, and the machine is fresh
	}
	if err := r.machine.Restore(img); err != nil {
		return fmt.Errorf("journal: load %s/%s: %w", c.dir.cur, c.Name, err)
	}
	if got, want := r.machine.Digest(), img.Info().Digest; got != want {
		return dfs.Errorf(dfs.Corrupt, "journal: %s/%s loads to a state with digest %x, it was written of one with %x",
			c.dir.cur, c.Name, got, want)
	}
	return nil
}

// replay applies the log behind transaction start.
func (r *recovery) replay(start dfs.TxID) error {
	r.last = start
	epoch := uint64(0)
	for {
		l := r.hist.next(r.last+1, epoch)
		if l == nil {
			break
		}
		if err := r.link(l); err != nil {
			return err
		}
		epoch = l.copies[0].epoch
	}
	if r.last < r.hist.claim {
		return r.hist.missing(r.last+1, r.hist.claim)
	}
	return nil
}

// link applies one segment, going on in the next copy where one is damaged or can't be
// read.
func (r *recovery) link(l *link) error {
	var firstErr error
	from := r.last
	for _, c := range l.copies {
		last, end, err := r.copy(l, c)
		var stop *stopError
		if errors.As(err, &stop) {
			return stop.err
		}
		if err == nil && last == l.last {
			r.links = append(r.links, &replayed{link: l, good: c, last: last, end: end})
			return nil
		}
		if err != nil {
			if c.bad == nil {
				c.bad = err
			}
			if r.stuck == nil || r.stuck.link != l || last > r.stuck.last {
				r.stuck = &replayed{link: l, good: c, last: last, end: end}
			}
			firstErr = errors.Join(firstErr, err)
		}
	}
	if firstErr != nil {
		return firstErr
	}
	return r.hist.missing(max(from, r.last)+1, l.last)
}

// stopError carries an error that no other copy can help against.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// copy applies what one copy of a segment holds beyond r.last, up to l.last if that is
// fixed, and tells how far it read.
func (r *recovery) copy(l *link, c *segmentCopy) (last dfs.TxID, end int64, err error) {
	rd, err := editlog.OpenReader(r.fs, c.dir.cur, c.Segment, &r.cluster)
	if err != nil {
		return l.first - 1, 0, err
	}
	defer rd.Close()
	for {
		if l.fixed && rd.NextTx() == l.last+1 {
			if !c.InProgress { // read on to its end, which must be there
				_, err = rd.Next()
				for err == nil && rd.NextTx() == l.last+1 {
					_, err = rd.Next()
				}
				if err != io.EOF && err != nil {
					return rd.NextTx() - 1, rd.Offset(), err
				}
			}
			return l.last, rd.Offset(), nil
		}
		recs, err := rd.Next()
		if err == io.EOF || errors.Is(err, editlog.ErrTorn) {
			return rd.NextTx() - 1, rd.Offset(), nil
		}
		if err != nil {
			return rd.NextTx() - 1, rd.Offset(), err
		}
		if l.fixed && recs.Last() > l.last {
			return 0, 0, dfs.Errorf(dfs.Corrupt, "journal: %s: a batch goes from transaction %d to %d, beyond %d", c, recs.First, recs.Last(), l.last)
		}
		if err := r.batch(c, recs); err != nil {
			return 0, 0, &stopError{err}
		}
		if err := r.ctx.Err(); err != nil {
			return 0, 0, &stopError{err}
		}
	}
}

// batch applies one batch, skipping what was applied before.
func (r *recovery) batch(c *segmentCopy, recs *editlog.Records) error {
	if r.dry {
		r.last = max(r.last, recs.Last())
		return nil
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	damage := func(tx dfs.TxID, err error) error {
		return &editlog.CorruptError{Segment: c.String(), Offset: recs.Offset, TxID: tx, Durable: recs.Last(), Err: err}
	}
	if m := recs.Mark; m != nil {
		if got, ok := r.digests.at(m.TxID); ok && got != m.Digest {
			return damage(m.TxID, dfs.Errorf(dfs.Corrupt, "replay gives a state with digest %x after transaction %d, the log has %x", got, m.TxID, m.Digest))
		}
	}
	for tx, rec := range recs.All() {
		if tx <= r.last {
			continue
		}
		if _, err := r.machine.Apply(tx, rec); dfs.Is(err, dfs.Corrupt) {
			return damage(tx, err)
		}
		r.last = tx
		r.replayed++
	}
	if recs.Last() == r.last {
		r.digests.add(r.last, r.machine.Digest())
	}
	return nil
}

// digestRing remembers the digests after the last few batches. A mark lags behind the
// batch it is about by as many batches as the commit pipeline holds, which is less.
type digestRing struct {
	tx     [8]dfs.TxID
	digest [8]dfs.Digest
	next   int
}

func (d *digestRing) add(tx dfs.TxID, digest dfs.Digest) {
	i := d.next % len(d.tx)
	d.tx[i], d.digest[i] = tx, digest
	d.next++
}

func (d *digestRing) at(tx dfs.TxID) (dfs.Digest, bool) {
	for i, have := range d.tx {
		if have == tx && tx != 0 {
			return d.digest[i], true
		}
	}
	return dfs.Digest{}, false
}
