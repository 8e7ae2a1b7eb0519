package journal

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/editlog"
)

// committer owns the log: it gathers, appends, syncs, and hands over to the applier.
// Its fields belong to the committer's goroutine.
type committer struct {
	j        *Journal
	next     dfs.TxID // number of the next record
	first    dfs.TxID // of the segment in progress
	epoch    uint64
	batch    editlog.Batch
	promised bool // nothing was logged since the last promise
	idle     *time.Timer
	free     chan []*proposal
	in       []*nameDir // memory of each
	last     lastBatch
	late     *time.Timer
	mark     watermark
	synced   time.Time // when the watermarks were made durable last
	looked   time.Time // when the files were seen in their places
}

// lastBatch is what gather knows of the batch before.
type lastBatch struct {
	took   time.Duration // of writing and syncing it
	expect int           // proposals that waited behind it, and those it answered, who may come back
	skip   int           // batches not to gather for, because waiting for the last one's callers was in vain
}

// slowSync is how long a sync takes before it pays to wait for a fuller batch. Callers of
// a fast disk come back too late for that, and keep two batches going by turns instead.
const slowSync = 500 * time.Microsecond

// toApply is a batch that is durable, or a point between batches at which to do cut.
type toApply struct {
	first dfs.TxID
	props []*proposal
	cut   func()
}

func (c *committer) run() {
	defer c.j.workers.Done()
	defer close(c.j.toApply)
	defer c.idle.Stop()
	defer c.late.Stop()
	for {
		var buf []*proposal
		select {
		case buf = <-c.free:
		default:
		}
		c.gather()
		props, controls, closed := c.j.queue.take(buf, c.j.opt.MaxBatch)
		if len(props) > 0 {
			c.commit(props)
		}
		for _, fn := range controls {
			fn()
		}
		if len(props) > 0 || len(controls) > 0 {
			continue
		}
		if closed == errClosed {
			return
		}
		c.recycle(props)
		c.wait()
	}
}

// gather gives those whom the last batch answered the time to come back, at most half of
// what that batch's sync took: on a slow disk, one sync for all of them is better than
// one for each half by turns. A lone caller never waits, nor do those who no longer come.
func (c *committer) gather() {
	l := &c.last
	if l.took < slowSync {
		return
	}
	if l.skip > 0 {
		l.skip--
		return
	}
	had, got := c.j.queue.await(l.expect, l.took/2, c.late)
	if had > 0 && got < l.expect && got-had < (l.expect-had)/2 {
		l.skip = 16
	}
	if had > 0 {
		l.took = 0 // once for each batch
	}
}

// wait blocks until there is work. When there is none for a while, it promises the
// last batch.
func (c *committer) wait() {
	promise := !c.promised && c.j.opt.IdlePromise >= 0
	switch {
	case c.j.failure() != nil:
		<-c.j.queue.wake
		return
	case promise:
		c.idle.Reset(c.j.opt.IdlePromise)
	default:
		c.idle.Reset(lookEvery)
	}
	select {
	case <-c.j.queue.wake:
	case <-c.idle.C:
		if c.lookIfDue() != nil || !promise {
			return
		}
		c.batch.Reset(c.next)
		c.promised = true
		err := c.append()
		if err == nil {
			err = c.syncMarks()
		}
		if err != nil {
			c.j.fail(err)
		}
	}
}

// commit makes proposals durable and hands them to the applier.
func (c *committer) commit(props []*proposal) {
	if err := c.log(props); err != nil {
		c.j.fail(err)
		for _, p := range props {
			p.err = c.j.failure()
			p.finish()
		}
		c.recycle(props)
		return
	}
	b := toApply{first: c.next, props: props}
	c.last.expect = c.j.queue.size() + len(props)
	c.next += dfs.TxID(len(props))
	c.j.reached.txid.Store(uint64(c.next - 1))
	c.promised = false
	if c.j.inflight.Load() == 0 && c.j.queue.size() == 0 {
		c.j.applyBatch(b) // nothing else to do meanwhile: spare the hand-over
		return
	}
	c.j.inflight.Add(1)
	c.j.toApply <- b
}

func (c *committer) recycle(props []*proposal) {
	clear(props)
	select {
	case c.free <- props[:0]:
	default:
	}
}

// log appends the records as one batch to every directory and syncs.
func (c *committer) log(props []*proposal) error {
	if err := c.j.failure(); err != nil {
		return err
	}
	if err := c.lookIfDue(); err != nil {
		return err
	}
	c.batch.Reset(c.next)
	if m := c.j.mark.Swap(nil); m != nil {
		c.batch.SetMark(*m)
	}
	for i, p := range props {
		if err := c.batch.Add(p.rec); err != nil {
			return fmt.Errorf("journal: %w", err) // take keeps batches below the limit
		}
		p.txid = c.next + dfs.TxID(i)
	}
	start := time.Now()
	if err := c.append(); err != nil {
		return err
	}
	c.last.took = time.Since(start)
	c.j.stats.batch(len(props), c.batch.Size(), c.last.took)
	return nil
}

// append writes c.batch to every directory at the same time, and when it is durable there,
// notes so in the watermark. A directory that fails is dropped; when none is left, that is
// the error. The note needs no sync of its own to outlive the process; for the machine,
// the one before is synced beside the batch when it is due.
func (c *committer) append() error {
	every := c.j.opt.IdlePromise
	due := every > 0 && time.Since(c.synced) >= every
	if due {
		c.synced = time.Now()
	}
	c.mark.durable = c.batch.Last()
	return c.each(func(d *nameDir) error {
		if due {
			marked := make(chan error, 1)
			go func() { marked <- d.mark.sync() }()
			err := d.log.Append(&c.batch)
			if err := errors.Join(err, <-marked); err != nil {
				return err
			}
		} else if err := d.log.Append(&c.batch); err != nil {
			return err
		}
		return d.note(c.mark)
	}, func(d *nameDir) { d.log.Seal(&c.batch) })
}

// note writes the watermark for the log as it is in this directory.
func (d *nameDir) note(w watermark) error {
	w.end = d.log.Size()
	return d.mark.put(&w)
}

// syncMarks makes the watermarks durable.
func (c *committer) syncMarks() error {
	c.synced = time.Now()
	return c.each(func(d *nameDir) error { return d.mark.sync() }, nil)
}

// setFloors raises the floors durably.
func (c *committer) setFloors(f Floors) error {
	if err := c.j.failure(); err != nil {
		return err
	}
	f = c.mark.floors.raise(f)
	if f == c.mark.floors {
		return nil
	}
	c.mark.floors = f
	err := c.each(func(d *nameDir) error {
		if err := d.note(c.mark); err != nil {
			return err
		}
		return d.mark.sync()
	}, nil)
	if err != nil {
		return err
	}
	c.j.reached.setFloors(f)
	return nil
}

// each does something to the log of every directory that is in, at the same time.
// before is called with the first of them, before anything else; it may be nil.
func (c *committer) each(do func(*nameDir) error, before func(*nameDir)) error {
	in := c.in[:0]
	for _, d := range c.j.dirs {
		if d.log != nil {
			in = append(in, d)
		}
	}
	c.in = in
	if len(in) == 0 {
		return errors.New("journal: no name directory is left")
	}
	if before != nil {
		before(in[0])
	}
	if len(in) == 1 {
		if err := do(in[0]); err != nil {
			c.j.drop(in[0], err)
			return fmt.Errorf("journal: no name directory is left: %w", err)
		}
		return nil
	}
	return c.eachOf(in, do)
}

func (c *committer) eachOf(in []*nameDir, do func(*nameDir) error) error {
	errs := make([]error, len(in))
	var group sync.WaitGroup
	for i, d := range in[1:] {
		group.Go(func() { errs[i+1] = do(d) })
	}
	errs[0] = do(in[0])
	group.Wait()
	failed := 0
	for i, err := range errs {
		if err != nil {
			c.j.drop(in[i], err)
			failed++
		}
	}
	if failed == len(in) {
		return fmt.Errorf("journal: no name directory is left: %w", errors.Join(errs...))
	}
	return nil
}

// roll finishes the segment in progress, if anything is in it, and starts the next. An
// error stops the journal, except for a *ScarceError.
func (c *committer) roll() error {
	if err := c.j.failure(); err != nil {
		return err
	}
	if c.first == c.next {
		return nil
	}
	if err := c.descriptors(); err != nil {
		return err
	}
	if err := c.nextSegment(); err != nil {
		c.j.fail(err)
		return c.j.failure()
	}
	return nil
}

// nextSegment is roll's work.
func (c *committer) nextSegment() error {
	if err := c.each(func(d *nameDir) error { return d.log.Finish() }, nil); err != nil {
		return err
	}
	c.first, c.promised = c.next, true
	c.mark.segment = c.first
	return c.each(c.start, nil)
}

// start begins the segment at c.first in one directory, and a new watermark if it had
// been out.
func (c *committer) start(d *nameDir) error {
	log, err := editlog.Create(c.j.opt.FS, d.cur, editlog.WriterOptions{
		First: c.first, Epoch: c.epoch, Cluster: c.j.cluster, FillChunk: c.j.opt.FillChunk,
	})
	if err != nil {
		return err
	}
	mark := c.mark
	mark.end = log.Size()
	if d.mark == nil {
		d.mark, err = newMarkWriter(c.j.opt.FS, d.cur, c.j.cluster, &mark)
	} else if err = d.mark.put(&mark); err == nil {
		err = d.mark.sync()
	}
	if err != nil {
		_ = log.Close() // err is the news
		return err
	}
	d.log = log
	return nil
}

// join lets a directory in: with a log of its own, if it is to hold one. One for images only
// remembers that there is a log elsewhere, so that nobody starts without it.
func (c *committer) join(d *nameDir) error {
	if d.role.log() {
		return c.start(d)
	}
	mark := c.mark
	mark.away, mark.end = true, 0
	if err := writeWatermark(c.j.opt.FS, d.cur, c.j.cluster, &mark); err != nil {
		return fmt.Errorf("journal: write watermark: %w", err)
	}
	d.joined = true
	return nil
}

// closeLog closes what is open of a directory whose log doesn't go on.
func (d *nameDir) closeLog() {
	if d.log != nil {
		_ = d.log.Close()
	}
	if d.mark != nil {
		_ = d.mark.close()
	}
	d.log, d.mark, d.joined = nil, nil, false
}

// drop takes a directory out. What is on it stays as it is.
func (j *Journal) drop(d *nameDir, err error) {
	d.closeLog() // err is the news
	d.err = err
	var vanished *VanishedError
	if errors.As(err, &vanished) && vanished.Name == path.Join(d.path, lockFile) {
		_ = d.release() // another process may hold the name's lock by now
	}
	j.stats.dir(d.path, false, err)
	j.opt.Logger.Error("name directory dropped", "dir", d.path, "error", err)
}

// applier applies what is durable, in order.
func (j *Journal) applier() {
	defer j.workers.Done()
	for b := range j.toApply {
		j.applyBatch(b)
		j.inflight.Add(-1)
	}
}

// applyBatch is called by one goroutine at a time: by the applier, or by the committer
// while nothing is in flight to the applier.
func (j *Journal) applyBatch(b toApply) {
	if b.cut != nil {
		b.cut()
		return
	}
	last := b.first + dfs.TxID(len(b.props)) - 1
	var broken error
	j.opt.Lock.Lock()
	for _, p := range b.props {
		p.result, p.err = j.opt.Machine.Apply(p.txid, p.rec)
		if p.err != nil && broken == nil && dfs.Is(p.err, dfs.Corrupt) {
			broken = fmt.Errorf("journal: transaction %d can't be applied: %w", p.txid, p.err)
		}
	}
	if every := j.opt.DigestEvery; every > 0 && last >= j.marked+dfs.TxID(every) {
		j.marked = last
		j.mark.Store(&editlog.Mark{TxID: last, Digest: j.opt.Machine.Digest()})
	}
	j.opt.Lock.Unlock()
	j.stats.applied(last)
	if broken != nil {
		j.fail(broken)
	}
	for _, p := range b.props {
		p.finish()
	}
	j.committer.recycle(b.props)
	j.checkDue(last)
}

// checkDue has a checkpoint taken when enough was logged since the last one.
func (j *Journal) checkDue(last dfs.TxID) {
	if every := j.opt.CheckpointTxns; every > 0 && int64(last-dfs.TxID(j.lastImage.Load())) >= every {
		select {
		case j.byCount <- struct{}{}:
		default:
		}
	}
}
