package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/editlog"
)

var errClosed error = dfs.Errorf(dfs.Unavailable, "journal: closed")

// Journal is an open journal. Its methods may be called at the same time.
type Journal struct {
	opt     Options
	cluster dfs.ClusterInfo
	dirs    []*nameDir
	queue   *queue
	stats   counters

	committer committer
	toApply   chan toApply
	inflight  atomic.Int64 // batches and cuts handed to the applier, not done yet
	mark      atomic.Pointer[editlog.Mark]
	marked    dfs.TxID      // of the last mark; whoever applies owns it
	lastImage atomic.Uint64 // TxID of the newest image
	reached   reached

	byCount  chan struct{} // capacity 1: a checkpoint is due
	requests chan *requestCheckpoint
	stopping chan struct{}
	workers  sync.WaitGroup
	closing  sync.Once
	closeErr error

	fatalMu sync.Mutex
	fatal   error // why the journal stopped for good
}

// Open locks the name directories, recovers the machine from them and starts a journal.
// Directories that can't be used are reported and left out as long as one is left;
// those locked by another process (*LockedError) or of another cluster (*ClusterError)
// are refused. When recovery fails, nothing on disk has changed.
func Open(ctx context.Context, opt Options) (*Journal, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	j := newJournal(opt.withDefaults())
	if err := j.open(ctx); err != nil {
		for _, d := range j.dirs {
			d.closeLog()
			_ = d.release()
		}
		return nil, err
	}
	j.workers.Add(3)
	go j.committer.run()
	go j.applier()
	go j.checkpointer()
	return j, nil
}

func newJournal(opt Options) *Journal {
	j := &Journal{
		opt: opt, queue: newQueue(),
		toApply: make(chan toApply, 1), byCount: make(chan struct{}, 1),
		requests: make(chan *requestCheckpoint), stopping: make(chan struct{}),
	}
	j.dirs = newNameDirs(opt.Dirs, opt.EditsDirs)
	idle := time.NewTimer(time.Hour)
	idle.Stop()
	late := time.NewTimer(time.Hour)
	late.Stop()
	j.committer = committer{j: j, idle: idle, late: late, promised: true, free: make(chan []*proposal, 4)}
	return j
}

// open is Open up to the first segment of this run.
func (j *Journal) open(ctx context.Context) error {
	surveys, err := j.survey()
	if err != nil {
		return err
	}
	r := &recovery{
		ctx: ctx, fs: j.opt.FS, machine: j.opt.Machine, lock: j.opt.Lock,
		cluster: j.cluster, hist: newHistory(surveys),
	}
	if err := r.run(); err != nil {
		return err
	}
	report := func(dir, what string) { j.opt.Logger.Warn("recovery: "+what, "dir", dir) }
	if err := r.settle(surveys, report); err != nil {
		return err
	}
	c := &j.committer
	c.next, c.first, c.epoch = r.last+1, r.last+1, NextEpoch(r.hist.newest())
	c.mark = r.hist.mark(r.last, epochStart{c.epoch, c.first})
	j.reached.txid.Store(uint64(r.last))
	j.reached.setFloors(c.mark.floors)
	j.marked = r.last
	j.lastImage.Store(uint64(r.image.TxID))
	j.stats.stats.LastTx, j.stats.stats.Replayed = r.last, r.replayed
	j.joinAll()
	images, logs := 0, 0
	for _, d := range j.dirs {
		if d.err == nil && d.role.images() {
			images++
		}
		if d.err == nil && d.role.log() {
			logs++
		}
		if d.err != nil {
			j.opt.Logger.Error("name directory dropped", "dir", d.path, "error", d.err)
		}
		j.stats.dir(d.path, d.err == nil, d.err)
	}
	if images == 0 || logs == 0 {
		var errs []error
		for _, d := range j.dirs {
			errs = append(errs, d.err)
		}
		return errors.Join(errs...)
	}
	j.checkDue(r.last)
	j.opt.Logger.Info("journal open", "txid", r.last, "image", r.image.TxID, "replayed", r.replayed, "epoch", dfs.EpochText(c.epoch))
	return nil
}

// joinAll lets the directories in: those for the log first, because one for images only
// remembers which start has a log elsewhere.
func (j *Journal) joinAll() {
	for _, log := range []bool{true, false} {
		for _, d := range j.dirs {
			if d.err == nil && d.role.log() == log {
				d.err = j.committer.join(d)
			}
		}
	}
}

// NextEpoch is greater than epoch, and different each time: two directories that were
// each used alone after the same past can be told apart when they meet again.
func NextEpoch(epoch uint64) uint64 {
	const random = 32 // low bits
	return (epoch>>random+1)<<random | uint64(rand.Uint32())
}

// survey locks and looks at every directory, and makes sure that they belong together.
func (j *Journal) survey() ([]*survey, error) {
	var surveys []*survey
	formatted := 0
	for _, d := range j.dirs {
		var s *survey
		err := d.acquire(j.opt.FS)
		if d.warn != "" {
			j.opt.Logger.Warn("name directory: "+d.warn, "dir", d.path)
		}
		if err == nil {
			s, err = look(j.opt.FS, d)
		}
		var locked *LockedError
		var foreign *editlog.ClusterError
		var version *editlog.VersionError
		switch {
		case err == nil:
			surveys = append(surveys, s)
		case errors.As(err, &locked), errors.As(err, &foreign), errors.As(err, &version), dfs.Is(err, dfs.IncorrectVersion), dfs.Is(err, dfs.IllegalState):
			return nil, err
		case !j.opt.AllowMissing:
			return nil, &MissingError{Dir: d.path, Err: err, Others: j.others(d)}
		default:
			d.err = err
			continue
		}
		if s.blank {
			continue
		}
		formatted++
		if j.opt.Cluster.ClusterID != "" && s.cluster != j.opt.Cluster {
			return nil, &ClusterError{Dir: d.path, Got: s.cluster, Want: j.opt.Cluster}
		}
		if formatted > 1 && s.cluster != j.cluster {
			return nil, &ClusterError{Dir: d.path, Got: s.cluster, Want: j.cluster}
		}
		j.cluster = s.cluster
	}
	if formatted == 0 {
		var errs []error
		for _, d := range j.dirs {
			errs = append(errs, d.err)
		}
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("%w\njournal: no name directory can be used", err)
		}
		return nil, dfs.Errorf(dfs.IllegalState, "journal: no name directory is formatted: %s", strings.Join(j.opt.Dirs, ", "))
	}
	return surveys, nil
}

// Cluster tells which cluster the journal belongs to.
func (j *Journal) Cluster() dfs.ClusterInfo { return j.cluster }

// Propose logs a record, waits until it is durable and applied, and gives Apply's
// result and error. rec must not change until Propose returns, and, if it returned
// because ctx ended, never again. An error of kind dfs.Canceled says "outcome unknown":
// the record may or may not be applied later.
func (j *Journal) Propose(ctx context.Context, rec []byte) (result any, txid dfs.TxID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("journal: not proposed: %w", err)
	}
	if err := checkRecord(rec); err != nil {
		return nil, 0, err
	}
	p := j.queue.pool.Get().(*proposal)
	p.rec = rec
	if err := j.queue.push(ctx, p); err != nil {
		p.recycle()
		return nil, 0, err
	}
	if ctx.Done() == nil {
		<-p.wake
	} else {
		select {
		case <-p.wake:
		case <-ctx.Done():
			// p stays the committer's; its answer goes nowhere.
			return nil, 0, &dfs.Error{Kind: dfs.Canceled, Msg: "journal: gave up waiting, outcome unknown: " + ctx.Err().Error(), Err: ctx.Err()}
		}
	}
	result, txid, err = p.result, p.txid, p.err
	p.recycle()
	return result, txid, err
}

// ProposeFunc is Propose with a callback: done is called exactly once, in TxID order,
// on the journal's own goroutine and without Options.Lock, so it must not block. When
// the journal doesn't take the record, done is called before ProposeFunc returns. rec
// must not change until then. ProposeFunc itself blocks only while the queue is full.
func (j *Journal) ProposeFunc(rec []byte, done func(result any, txid dfs.TxID, err error)) {
	err := checkRecord(rec)
	if err == nil {
		p := j.queue.pool.Get().(*proposal)
		p.rec, p.done = rec, done
		if err = j.queue.push(context.Background(), p); err != nil {
			p.recycle()
		}
	}
	if err != nil {
		done(nil, 0, err)
	}
}

func checkRecord(rec []byte) error {
	if len(rec) > dfs.MaxRecord {
		return dfs.Errorf(dfs.IllegalArgument, "journal: record of %d bytes is over the limit of %d", len(rec), dfs.MaxRecord)
	}
	return nil
}

// Roll finishes the log segment being written and starts the next one. It gives the
// first TxID of the new segment. An empty segment is not rolled.
func (j *Journal) Roll(ctx context.Context) (dfs.TxID, error) {
	var first dfs.TxID
	var err error
	done := make(chan struct{})
	if !j.queue.control(func() {
		defer close(done)
		err = j.committer.roll()
		first = j.committer.first
	}) {
		return 0, errClosed
	}
	select {
	case <-done:
		return first, err
	case <-ctx.Done():
		return 0, fmt.Errorf("journal: roll goes on: %w", ctx.Err())
	}
}

// Epoch is that of this start: greater than any that the directories knew of.
func (j *Journal) Epoch() uint64 { return j.committer.epoch }

// Durable is the last transaction that is on disk. It may not be applied yet.
func (j *Journal) Durable() dfs.TxID { return dfs.TxID(j.reached.txid.Load()) }

// Floors are the highest that SetFloors ever made durable in any of the directories.
func (j *Journal) Floors() Floors { return j.reached.getFloors() }

// SetFloors raises the floors, and makes them durable in every name directory before it
// returns. They stand outside of the log, so they outlive a loss of its end.
func (j *Journal) SetFloors(ctx context.Context, f Floors) error {
	var err error
	done := make(chan struct{})
	if !j.queue.control(func() {
		defer close(done)
		if err = j.committer.setFloors(f); err != nil {
			j.fail(err)
		}
	}) {
		return errClosed
	}
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal: raising the floors goes on: %w", ctx.Err())
	}
}

// Stats gives a snapshot of the journal's counters.
func (j *Journal) Stats() Stats { return j.stats.get() }

// fail stops the journal for good. The first error counts.
func (j *Journal) fail(err error) {
	j.fatalMu.Lock()
	first := j.fatal == nil
	if first {
		j.fatal = fmt.Errorf("journal: stopped for good, outcome of what was under way unknown: %w", err)
	}
	err = j.fatal
	j.fatalMu.Unlock()
	if !first {
		return
	}
	j.queue.close(err)
	j.opt.Logger.Error("journal stopped", "error", err)
	if j.opt.OnFatal != nil {
		go j.opt.OnFatal(err)
	}
}

func (j *Journal) failure() error {
	j.fatalMu.Lock()
	defer j.fatalMu.Unlock()
	return j.fatal
}

// Close stops taking proposals, finishes what was taken, writes a last checkpoint
// unless told otherwise, seals the log and gives the directories up. It may be called
// again and gives the same answer.
func (j *Journal) Close() error {
	j.closing.Do(func() { j.closeErr = j.close() })
	return j.closeErr
}

func (j *Journal) close() error {
	j.queue.close(errClosing)
	err := j.failure()
	if err == nil && !j.opt.NoFinalCheckpoint {
		_, err = j.Checkpoint(context.Background())
	}
	close(j.stopping)
	j.queue.close(errClosed)
	j.workers.Wait()
	errs := []error{err}
	for _, d := range j.dirs {
		if d.log != nil && j.failure() == nil {
			errs = append(errs, d.log.Finish())
		}
		if d.mark != nil && j.failure() == nil {
			errs = append(errs, d.mark.sync())
		}
		if d.log != nil {
			errs = append(errs, d.log.Close(), d.mark.close())
		}
		errs = append(errs, d.release())
	}
	return errors.Join(errs...)
}

var errClosing error = dfs.Errorf(dfs.Unavailable, "journal: closing")
