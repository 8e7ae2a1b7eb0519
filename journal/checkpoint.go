package journal

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"time"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
)

// cut is a point in the log: the state after a transaction, and the segment that
// begins behind it.
type cut struct {
	txid dfs.TxID
	snap Snapshot // nil: the state has an image already
	err  error
}

// requestCheckpoint is one call of Checkpoint.
type requestCheckpoint struct {
	done chan struct{} // closed when txid and err are set
	txid dfs.TxID
	err  error
}

// checkpointer takes checkpoints when they are due or asked for, one at a time.
func (j *Journal) checkpointer() {
	defer j.workers.Done()
	var tick <-chan time.Time
	if j.opt.CheckpointInterval > 0 {
		ticker := time.NewTicker(j.opt.CheckpointInterval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-j.stopping:
			return
		case <-tick:
		case <-j.byCount:
		case req := <-j.requests:
			req.txid, req.err = j.checkpoint()
			close(req.done)
			continue
		}
		if _, err := j.checkpoint(); err != nil {
			j.opt.Logger.Error("checkpoint failed", "error", err)
		}
	}
}

// Checkpoint writes an image of the state as it is now and gives its TxID. Clients go
// on writing meanwhile. If an image of this very state exists already it is that one.
// When ctx ends first, the checkpoint goes on without its caller.
func (j *Journal) Checkpoint(ctx context.Context) (dfs.TxID, error) {
	req := &requestCheckpoint{done: make(chan struct{})}
	select {
	case j.requests <- req:
	case <-j.stopping:
		return 0, errClosed
	case <-ctx.Done():
		return 0, fmt.Errorf("journal: checkpoint not begun: %w", ctx.Err())
	}
	select {
	case <-req.done:
		return req.txid, req.err
	case <-ctx.Done():
		return 0, fmt.Errorf("journal: checkpoint goes on: %w", ctx.Err())
	}
}

// checkpoint rolls the log, freezes the state, writes the image to every directory,
// drops what no kept image needs, and brings directories back that were out.
func (j *Journal) checkpoint() (dfs.TxID, error) {
	start := time.Now()
	at := j.cut()
	if at.err != nil {
		return 0, at.err
	}
	if at.snap != nil {
		result, err := j.writeImages(at)
		j.stats.checkpoint(at.txid, start, result.Bytes, err)
		if err != nil {
			return 0, err
		}
		j.lastImage.Store(uint64(at.txid))
		j.opt.Logger.Info("checkpoint written", "txid", at.txid, "bytes", result.Bytes, "took", time.Since(start))
	}
	in, out := j.inAndOut()
	for _, d := range in {
		if err := j.purge(d, in); err != nil {
			j.opt.Logger.Warn("old checkpoints and log segments stay", "dir", d.path, "error", err)
		}
	}
	for _, d := range out {
		if err := j.bringBack(d, in); err != nil {
			j.opt.Logger.Warn("name directory stays out", "dir", d.path, "error", err)
		}
	}
	return at.txid, nil
}

// cut rolls and takes the snapshot, in step with the log.
func (j *Journal) cut() cut {
	answer := make(chan cut, 1)
	ok := j.queue.control(func() {
		c := &j.committer
		if err := c.roll(); err != nil {
			answer <- cut{err: err}
			return
		}
		txid := c.next - 1
		if uint64(txid) == j.lastImage.Load() {
			answer <- cut{txid: txid}
			return
		}
		j.inflight.Add(1)
		j.toApply <- toApply{cut: func() {
			j.opt.Lock.Lock()
			defer j.opt.Lock.Unlock()
			answer <- cut{txid: txid, snap: j.opt.Machine.Snapshot()}
		}}
	})
	if !ok {
		return cut{err: errClosed}
	}
	return <-answer
}

// writeImages writes the image once and copies it to the other directories. One place
// is enough for success.
func (j *Journal) writeImages(at cut) (fsimage.Result, error) {
	defer at.snap.Release()
	info := fsimage.Info{TxID: at.txid, Digest: at.snap.Digest(), Cluster: j.cluster}
	in, _ := j.inAndOut()
	var errs []error
	var from *nameDir
	var result fsimage.Result
	for _, d := range in {
		if !d.role.images() {
			continue
		}
		var err error
		if from == nil {
			result, err = fsimage.Write(j.opt.FS, d.cur, info, at.snap.Sections(), fsimage.WriteOptions{Parallel: j.opt.CheckpointParallel})
		} else {
			err = copyFile(j.opt.FS, from.cur, d.cur, fsimage.Name(at.txid))
		}
		switch {
		case err != nil:
			errs = append(errs, err)
			j.opt.Logger.Error("image not written", "dir", d.path, "txid", at.txid, "error", err)
		case from == nil:
			from = d
		}
	}
	if from == nil {
		return result, fmt.Errorf("journal: checkpoint of transaction %d: %w", at.txid, errors.Join(errs...))
	}
	return result, nil
}

// inAndOut asks the committer which directories are in.
func (j *Journal) inAndOut() (in, out []*nameDir) {
	done := make(chan struct{})
	if !j.queue.control(func() {
		for _, d := range j.dirs {
			if d.in() {
				in = append(in, d)
			} else {
				out = append(out, d)
			}
		}
		close(done)
	}) {
		return nil, nil
	}
	<-done
	return in, out
}

// purge removes images beyond retention and the segments that none of the kept ones
// needs. It removes nothing that a kept image's log goes through.
func (j *Journal) purge(d *nameDir, in []*nameDir) error {
	_, err := fsimage.Purge(j.opt.FS, d.cur, j.opt.Retain)
	errs := []error{err}
	oldest, found := dfs.TxID(0), false
	for _, holder := range in {
		if d.role.images() && holder != d {
			continue // its own images say what it needs; a log alone is for everybody's
		}
		images, err := fsimage.List(j.opt.FS, holder.cur)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, img := range images {
			if !found || img.TxID < oldest {
				oldest, found = img.TxID, true
			}
		}
	}
	if !found {
		return errors.Join(errs...)
	}
	segs, err := editlog.List(j.opt.FS, d.cur)
	errs = append(errs, err)
	for _, seg := range segs {
		if seg.InProgress || seg.Last > oldest {
			continue
		}
		if err := j.opt.FS.Remove(path.Join(d.cur, seg.Name)); err != nil {
			errs = append(errs, fmt.Errorf("journal: purge: %w", err))
		}
	}
	return errors.Join(errs...)
}

// bringBack makes a directory that was out a whole copy again and lets it in.
func (j *Journal) bringBack(d *nameDir, in []*nameDir) error {
	if len(in) == 0 {
		return errors.New("journal: no directory to copy from")
	}
	image, log := source(in, role.images), source(in, role.log)
	if err := j.rebuild(d, image, log); err != nil {
		return err
	}
	if !d.role.log() {
		return j.letIn(d)
	}
	var err error
	var joined dfs.TxID
	done := make(chan struct{})
	if !j.queue.control(func() {
		defer close(done)
		c := &j.committer
		if err = c.roll(); err != nil {
			return
		}
		if err = c.start(d); err == nil {
			joined = c.first
		}
	}) {
		return errClosed
	}
	if <-done; err != nil {
		return err
	}
	// Whatever was logged since rebuild is in segments finished by now.
	if err := j.copySegments(d, log, joined); err != nil {
		j.queue.control(func() { j.drop(d, err) })
		return err
	}
	j.stats.dir(d.path, true, nil)
	j.opt.Logger.Info("name directory brought back", "dir", d.path)
	return nil
}

// source gives the first directory that holds what is asked for, nil if none does.
func source(in []*nameDir, holds func(role) bool) *nameDir {
	for _, d := range in {
		if holds(d.role) {
			return d
		}
	}
	return nil
}

// letIn lets a directory for images in.
func (j *Journal) letIn(d *nameDir) error {
	done := make(chan struct{})
	var err error
	if !j.queue.control(func() {
		defer close(done)
		if err = j.committer.join(d); err == nil {
			d.err = nil
		}
	}) {
		return errClosed
	}
	if <-done; err != nil {
		return err
	}
	j.stats.dir(d.path, true, nil)
	j.opt.Logger.Info("name directory brought back", "dir", d.path)
	return nil
}

// rebuild copies images and finished segments. What the directory held of a segment in
// progress is set aside: others went on without it.
func (j *Journal) rebuild(d, image, log *nameDir) error {
	fs := j.opt.FS
	if err := d.acquire(fs); err != nil {
		return err
	}
	cluster, err := d.readVersion(fs)
	isNew := errors.Is(err, iofs.ErrNotExist)
	switch {
	case isNew:
		blank, err := d.blank(fs)
		if err != nil {
			return err
		}
		if !blank {
			return dfs.Errorf(dfs.Corrupt, "journal: name directory %s holds files but no VERSION", d.path)
		}
		if err := fs.MkdirAll(d.cur); err != nil {
			return err
		}
	case err != nil:
		return err
	case cluster != j.cluster:
		return &ClusterError{Dir: d.path, Got: cluster, Want: j.cluster}
	}
	if err := sweep(fs, d.cur); err != nil {
		return err
	}
	segs, err := editlog.List(fs, d.cur)
	if err != nil {
		return err
	}
	for _, seg := range segs {
		if seg.InProgress {
			if err := setAside(fs, d.cur, seg.Name, staleSuffix); err != nil {
				return err
			}
		}
	}
	if d.role.images() && image != nil {
		if err := j.copyImages(d, image); err != nil {
			return err
		}
	}
	if d.role.log() && log != nil {
		if err := j.copySegments(d, log, 1<<63); err != nil {
			return err
		}
	}
	if isNew {
		return d.writeVersion(fs, j.cluster)
	}
	return nil
}

// copyImages copies the images that are not there.
func (j *Journal) copyImages(d, from *nameDir) error {
	images, err := fsimage.List(j.opt.FS, from.cur)
	if err != nil {
		return err
	}
	for _, img := range images {
		have, err := exists(j.opt.FS, d.cur, img.Name)
		if err == nil && !have {
			err = copyFile(j.opt.FS, from.cur, d.cur, img.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copySegments copies the finished segments before transaction end that are not there.
func (j *Journal) copySegments(d, from *nameDir, end dfs.TxID) error {
	segs, err := editlog.List(j.opt.FS, from.cur)
	if err != nil {
		return err
	}
	for _, seg := range segs {
		if seg.InProgress || seg.First >= end {
			continue
		}
		have, err := exists(j.opt.FS, d.cur, seg.Name)
		if err == nil && !have {
			err = copyFile(j.opt.FS, from.cur, d.cur, seg.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
