package journal

import (
	"fmt"
	"path"
	"time"

	"redoubt/dfs"
	"redoubt/fsimage"
	"redoubt/vfs"
)

// lookEvery is how often the committer looks whether the files it writes still have their
// names: before a batch, and when nothing is proposed. A look is a few calls of stat.
const lookEvery = 250 * time.Millisecond

// VanishedError says that a name directory, or a file in it that was open, has been
// removed, renamed, replaced or unmounted while the journal ran.
type VanishedError struct{ Name string }

func (e *VanishedError) Error() string {
	return fmt.Sprintf("journal: %s is not there any more: it was removed, renamed or replaced under the running name node", e.Name)
}

// look drops the directories whose files have lost their names. What was acknowledged
// since the last look may be in none of their files: when no directory is left, the state
// itself is written where its log was, if that can be done.
func (c *committer) look() error {
	c.looked = time.Now()
	if err := c.j.failure(); err != nil {
		return err
	}
	var in []*nameDir
	for _, d := range c.j.dirs {
		if d.log != nil {
			in = append(in, d)
		}
	}
	for _, d := range c.j.dirs {
		if d.joined {
			if err := d.lockInPlace(); err != nil {
				c.j.drop(d, err) // no checkpoint goes there; the log is elsewhere
			}
		}
	}
	err := c.each(func(d *nameDir) error { return d.inPlace() }, nil)
	if err == nil {
		return nil
	}
	c.j.fail(err) // nothing is acknowledged from here on
	c.rescue(in)
	return err
}

// lookIfDue is look when the last one is long ago.
func (c *committer) lookIfDue() error {
	if time.Since(c.looked) < lookEvery {
		return nil
	}
	return c.look()
}

// lockInPlace asks for the lock alone.
func (d *nameDir) lockInPlace() error {
	name := path.Join(d.path, lockFile)
	ok, err := vfs.InPlace(d.lock)
	if err != nil {
		return fmt.Errorf("journal: name directory %s: %w", d.path, err)
	}
	if !ok {
		return &VanishedError{Name: name}
	}
	return nil
}

// inPlace asks for everything that the directory has open.
func (d *nameDir) inPlace() error {
	for _, f := range []struct {
		name string
		ask  func() (bool, error)
	}{
		{path.Join(d.path, lockFile), func() (bool, error) { return vfs.InPlace(d.lock) }},
		{path.Join(d.cur, watermarkFile), func() (bool, error) { return vfs.InPlace(d.mark.file) }},
		{d.log.Name(), d.log.InPlace},
	} {
		ok, err := f.ask()
		if err != nil {
			return fmt.Errorf("journal: name directory %s: %w", d.path, err)
		}
		if !ok {
			return &VanishedError{Name: f.name}
		}
	}
	return nil
}

// rescue writes an image of the state into the first of the directories that is still this
// journal's, so that a removed segment costs nothing that was acknowledged.
func (c *committer) rescue(dirs []*nameDir) {
	for _, d := range dirs {
		if cluster, err := d.readVersion(c.j.opt.FS); err != nil || cluster != c.j.cluster || d.lock == nil {
			continue
		}
		txid, err := c.lastImage(d)
		if err != nil {
			c.j.opt.Logger.Error("the state could not be saved", "dir", d.path, "error", err)
			continue
		}
		c.j.opt.Logger.Error("the state was saved as an image: nothing acknowledged is lost", "dir", d.path, "txid", txid)
		return
	}
}

// lastImage waits until everything durable is applied and writes that state.
func (c *committer) lastImage(d *nameDir) (dfs.TxID, error) {
	txid := c.next - 1
	if uint64(txid) == c.j.lastImage.Load() {
		return txid, nil
	}
	answer := make(chan Snapshot, 1)
	c.j.inflight.Add(1)
	c.j.toApply <- toApply{cut: func() {
		c.j.opt.Lock.Lock()
		defer c.j.opt.Lock.Unlock()
		answer <- c.j.opt.Machine.Snapshot()
	}}
	snap := <-answer
	defer snap.Release()
	info := fsimage.Info{TxID: txid, Digest: snap.Digest(), Cluster: c.j.cluster}
	_, err := fsimage.Write(c.j.opt.FS, d.cur, info, snap.Sections(), fsimage.WriteOptions{})
	return txid, err
}
