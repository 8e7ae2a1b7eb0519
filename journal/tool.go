package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/vfs"
)

// Report is what Inspect finds in name directories.
type Report struct {
	Dirs []DirReport
	// LastDurable is the last transaction that was durable once, as far as any file shows.
	LastDurable dfs.TxID
	// Recoverable says that Open will recover up to LastDurable by itself.
	Recoverable bool
	// Problem is why Open refuses.
	Problem string
	// Choices are what can be done, the least loss first. None is ever taken unasked.
	Choices []Choice
}

// DirReport is what one name directory holds.
type DirReport struct {
	Dir     string
	Cluster dfs.ClusterInfo
	Problem string // why the directory as a whole can't be used
	Files   []FileReport
	err     error
}

// FileReport describes one image or log segment; an image has First == Last.
type FileReport struct {
	Name        string
	First, Last dfs.TxID // what can be read of it
	Problem     string   // damage; empty if there is none
	Note        string   // a torn tail, which Open cuts off by itself
}

// Choice is one way to go on.
type Choice struct {
	ID    string // for Recover
	What  string
	Loses string
	keep  dfs.TxID
	run   *recovery
}

// Inspect looks at name directories, edits being Options.EditsDirs, and reads every file in them. It changes nothing
// and takes no lock, so the directories should not be in use.
func Inspect(fs vfs.FS, dirs []string, edits ...string) (*Report, error) {
	if err := errors.Join(validateDirs(dirs), validateEdits(edits)); err != nil {
		return nil, err
	}
	rep := new(Report)
	var surveys []*survey
	var cluster dfs.ClusterInfo
	for _, d := range newNameDirs(dirs, edits) {
		s, err := look(fs, d)
		if err != nil {
			rep.Dirs = append(rep.Dirs, DirReport{Dir: d.path, Problem: err.Error(), err: err})
			continue
		}
		rep.Dirs = append(rep.Dirs, inspectDir(fs, s))
		if s.blank {
			continue
		}
		if cluster.ClusterID != "" && s.cluster != cluster {
			return nil, &ClusterError{Dir: d.path, Got: s.cluster, Want: cluster}
		}
		cluster = s.cluster
		surveys = append(surveys, s)
	}
	if len(surveys) == 0 {
		rep.Problem = "no name directory is formatted and readable"
		return rep, nil
	}
	unusable := rep.unusable()
	hist := newHistory(surveys)
	rep.LastDurable = hist.claim
	dry := func(h *history) *recovery {
		return &recovery{ctx: context.Background(), fs: fs, lock: new(sync.Mutex), cluster: cluster, hist: h, dry: true}
	}
	err := hist.split()
	if err != nil {
		rep.Choices = lines(hist, dry)
	} else if err = dry(hist).run(); err != nil {
		rep.Choices = choices(hist, dry)
	}
	if err = errors.Join(unusable, err); err != nil {
		rep.Problem = err.Error()
	}
	rep.Recoverable = err == nil
	return rep, nil
}

// unusable is why Open refuses the directories whatever the others hold.
func (r *Report) unusable() error {
	var errs []error
	for _, d := range r.Dirs {
		if d.err != nil && dfs.Is(d.err, dfs.IllegalState) {
			errs = append(errs, d.err)
		} else if d.err != nil {
			errs = append(errs, &MissingError{Dir: d.Dir, Err: d.err, Others: slices.ContainsFunc(r.Dirs, func(o DirReport) bool { return o.err == nil })})
		}
	}
	return errors.Join(errs...)
}

// choices tries every image and how far the log can be read from it.
func choices(hist *history, dry func(*history) *recovery) (list []Choice) {
	for _, group := range hist.images() {
		r := dry(hist)
		if r.load(group) != nil {
			continue
		}
		_ = r.replay(group[0].TxID) // r.last is as far as it got
		keep := r.last
		if r.stuck != nil {
			keep = max(keep, r.stuck.last)
		}
		if len(list) > 0 && list[0].keep >= keep {
			continue // an older image that gets no further
		}
		list = append([]Choice{{
			ID:   fmt.Sprintf("keep-%d", keep),
			What: fmt.Sprintf("go on from transaction %d (image of %d and the log behind it); set aside all that comes later", keep, group[0].TxID),
			Loses: fmt.Sprintf("transactions %d to %d, which were durable once, and any later one",
				keep+1, hist.claim),
			keep: keep, run: r,
		}}, list...)
	}
	return list
}

// lines offers each of the lines of descent that went apart, as a whole if it is whole.
func lines(hist *history, dry func(*history) *recovery) (list []Choice) {
	lead := append([]*survey{hist.leader}, hist.apart...)
	for n := range lead {
		h := historyOf(lead, n, hist.all)
		name := "take-" + h.leader.dir.path
		lost := h.othersHave()
		if r := dry(h); r.run() == nil {
			list = append(list, Choice{
				ID:    name,
				What:  fmt.Sprintf("go on from transaction %d as %s has it; set aside what only the others have", r.last, h.leader.dir.path),
				Loses: lost, keep: r.last, run: r,
			})
			continue
		}
		for _, c := range choices(h, dry) {
			c.ID = name + "-" + c.ID
			c.Loses += "; " + lost
			list = append(list, c)
		}
	}
	return list
}

// othersHave tells what the other lines have that this one lacks.
func (h *history) othersHave() string {
	var parts []string
	for _, s := range h.apart {
		parts = append(parts, fmt.Sprintf("transactions %d to %d as %s has them", fork(h.leader, s)+1, s.proven(), s.dir.path))
	}
	return strings.Join(parts, ", ")
}

func inspectDir(fs vfs.FS, s *survey) DirReport {
	rep := DirReport{Dir: s.dir.path, Cluster: s.cluster}
	if s.blank {
		rep.Problem = "not formatted; will be filled from another directory"
		return rep
	}
	for _, img := range s.images {
		f := FileReport{Name: img.Name, First: img.TxID, Last: img.TxID}
		if err := verifyImage(fs, s.dir.cur, img.Name, s.cluster); err != nil {
			f.Problem = err.Error()
		}
		rep.Files = append(rep.Files, f)
	}
	for _, c := range s.segments {
		f := FileReport{Name: c.Name, First: c.First, Last: c.last}
		if c.torn != nil {
			f.Note = c.torn.Error()
		}
		bad := c.bad
		if bad == nil && !c.InProgress {
			bad = verifySegment(fs, c, s.cluster)
		}
		if bad != nil {
			f.Problem = bad.Error()
			var damage *editlog.CorruptError
			if errors.As(bad, &damage) {
				f.Last = damage.TxID - 1
			}
		}
		rep.Files = append(rep.Files, f)
	}
	return rep
}

func verifyImage(fs vfs.FS, dir, name string, cluster dfs.ClusterInfo) error {
	img, err := fsimage.Open(fs, dir, name, &cluster)
	if err != nil {
		return err
	}
	return errors.Join(img.Verify(), img.Close())
}

func verifySegment(fs vfs.FS, c *segmentCopy, cluster dfs.ClusterInfo) error {
	r, err := editlog.OpenReader(fs, c.dir.cur, c.Segment, &cluster)
	if err != nil {
		return err
	}
	defer r.Close()
	for err == nil {
		_, err = r.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// Recover takes one of Inspect's choices: it keeps what can be read up to there, and
// sets everything else aside under other names. The directories must not be in use.
// Interrupted, it can be run again.
func Recover(fs vfs.FS, dirs []string, id string, edits ...string) (err error) {
	var locked []*nameDir
	defer func() {
		for _, d := range locked {
			err = errors.Join(err, d.release())
		}
	}()
	for _, d := range newNameDirs(dirs, edits) {
		var inUse *LockedError
		if err := d.acquire(fs); errors.As(err, &inUse) {
			return err
		} else if err == nil {
			locked = append(locked, d)
		}
	}
	rep, err := Inspect(fs, dirs, edits...)
	if err != nil {
		return err
	}
	for _, c := range rep.Choices {
		if c.ID == id {
			return c.take(fs)
		}
	}
	return dfs.Errorf(dfs.IllegalArgument, "journal: there is no choice %q now", id)
}

// take carries a choice out: first the salvaged part of the damaged segment appears in
// every directory, then what is beyond it goes aside.
func (c *Choice) take(fs vfs.FS) error {
	salvaged := ""
	if st := c.run.stuck; st != nil && st.last >= st.first && st.last == c.keep {
		salvaged = editlog.FinishedName(st.first, st.last)
		for _, s := range c.run.hist.surveys {
			if !s.dir.role.log() {
				continue
			}
			if err := salvage(fs, st, s.dir.cur, salvaged); err != nil {
				return err
			}
		}
	}
	if err := c.leave(fs); err != nil {
		return err
	}
	for _, s := range c.run.hist.surveys {
		for _, img := range s.images {
			if img.TxID > c.keep {
				if err := setAside(fs, s.dir.cur, img.Name, corruptSuffix); err != nil {
					return err
				}
			}
		}
		for _, seg := range s.segments {
			l := c.run.linkOf(seg)
			whole := l != nil && seg.bad == nil && seg.last == l.last
			older := !seg.InProgress && seg.Last <= c.run.image.TxID && seg.bad == nil
			if whole || older || seg.Name == salvaged {
				continue
			}
			if err := setAside(fs, s.dir.cur, seg.Name, corruptSuffix); err != nil {
				return err
			}
		}
	}
	return c.agree(fs)
}

// leave sets aside what directories of other lines have that this one has not.
func (c *Choice) leave(fs vfs.FS) error {
	h := c.run.hist
	for _, s := range h.all {
		if slices.Contains(h.surveys, s) {
			continue
		}
		at := fork(h.leader, s)
		var names []string
		for _, img := range s.images {
			if img.TxID > at {
				names = append(names, img.Name)
			}
		}
		for _, seg := range s.segments { // those before that point come from the chosen line
			names = append(names, seg.Name)
		}
		for _, name := range names {
			if err := setAside(fs, s.dir.cur, name, staleSuffix); err != nil {
				return err
			}
		}
	}
	return nil
}

// agree has the watermarks say what is kept. The choice counts as a start of its own: a
// directory that was away meanwhile and has more is seen to have gone another way. It is
// the last step, so that nothing starts on half of a choice.
func (c *Choice) agree(fs vfs.FS) error {
	hist := c.run.hist
	mark := hist.mark(c.keep, epochStart{NextEpoch(hist.newest()), c.keep + 1})
	for _, s := range hist.all {
		if s.markBad != nil {
			if err := setAside(fs, s.dir.cur, watermarkFile, corruptSuffix); err != nil {
				return err
			}
		}
		mark.away = !s.dir.role.log()
		if err := writeWatermark(fs, s.dir.cur, c.run.cluster, &mark); err != nil {
			return err
		}
	}
	return nil
}

// salvage publishes the readable beginning of a damaged segment as a finished one.
func salvage(fs vfs.FS, from *replayed, dir, name string) error {
	file, err := fs.Open(path.Join(from.good.dir.cur, from.good.Name))
	if err != nil {
		return fmt.Errorf("journal: salvage: %w", err)
	}
	defer file.Close()
	err = fs.Publish(path.Join(dir, name), func(w io.Writer) error {
		_, err := io.Copy(onlyWriter{w}, io.NewSectionReader(file, 0, from.end))
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: salvage: %w", err)
	}
	return nil
}
