package journal

import (
	"errors"
	"fmt"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
)

// settle makes the files of every directory agree with what was recovered: torn tails
// are cut and segments finished, damaged and stale files are set aside, and a directory
// that lacks something gets a copy of it. It may be interrupted at any point and done
// again. A directory that fails is out (its err is set); no directory left is an error.
func (r *recovery) settle(surveys []*survey, report func(dir, what string)) error {
	step := func(do func(s *survey) error) error {
		alive := 0
		for _, s := range surveys {
			if s.dir.err == nil {
				s.dir.err = do(s)
			}
			if s.dir.err == nil {
				alive++
			}
		}
		if alive == 0 {
			return errors.Join(errorsOf(surveys)...)
		}
		return nil
	}
	if err := step(func(s *survey) error { return r.prepare(s) }); err != nil {
		return err
	}
	if err := step(func(s *survey) error { return r.finishOwn(s, report) }); err != nil {
		return err
	}
	return step(func(s *survey) error { return r.fetch(s, report) })
}

func errorsOf(surveys []*survey) (errs []error) {
	for _, s := range surveys {
		errs = append(errs, s.dir.err)
	}
	return errs
}

// prepare clears away unfinished publications and the note of a format that got as far as
// VERSION, and makes a blank directory one of ours.
// It is no name directory before the rest was copied: VERSION comes last, in fetch.
func (r *recovery) prepare(s *survey) error {
	if s.blank {
		if err := r.fs.MkdirAll(s.dir.cur); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	if err := sweep(r.fs, s.dir.cur); err != nil {
		return err
	}
	return s.dir.endFormat(r.fs)
}

// finishOwn finishes or sets aside what a directory holds itself.
func (r *recovery) finishOwn(s *survey, report func(dir, what string)) error {
	for _, bad := range r.badImages {
		if bad.dir != s.dir {
			continue
		}
		to, err := fsimage.SetAside(r.fs, s.dir.cur, bad.Name)
		if err != nil {
			return err
		}
		report(s.dir.path, "damaged image set aside as "+to+": "+bad.bad.Error())
	}
	if s.markBad != nil {
		if err := setAside(r.fs, s.dir.cur, watermarkFile, corruptSuffix); err != nil {
			return err
		}
		report(s.dir.path, "damaged watermark set aside, a new one is made: "+s.markBad.Error())
	} else if s.mark == nil && s.epoch() > 0 && s.dir.role.log() {
		report(s.dir.path, "there is no watermark, so that the end of the log is believed as it is; one is made")
	}
	for _, c := range s.segments {
		l := r.linkOf(c)
		switch {
		case c.bad != nil && dfs.Is(c.bad, dfs.Corrupt) || errors.Is(c.bad, editlog.ErrNotEditLog):
			if err := setAside(r.fs, s.dir.cur, c.Name, corruptSuffix); err != nil {
				return err
			}
			report(s.dir.path, "damaged segment set aside: "+c.bad.Error())
		case c.stale:
			if err := setAside(r.fs, s.dir.cur, c.Name, staleSuffix); err != nil {
				return err
			}
			report(s.dir.path, fmt.Sprintf("segment %s set aside: it is of a run that the log did not go on from", c.Name))
		case c.bad != nil:
			return c.bad // unreadable now
		case l != nil && c.InProgress && c.last == l.last:
			if c.torn != nil {
				report(s.dir.path, "torn tail cut off: "+c.torn.Error())
			}
			if err := editlog.FinishTail(r.fs, s.dir.cur, c.Segment, c.end, c.last); err != nil {
				return err
			}
		case l != nil && !c.InProgress && c.Last == l.last:
		case c.First > r.last && c.InProgress && c.last < c.First:
			// Nothing in it: the new segment will replace it, or it is set aside.
			if c.First == r.last+1 {
				continue
			}
			fallthrough
		case l != nil, c.InProgress, c.Last > r.last:
			if err := setAside(r.fs, s.dir.cur, c.Name, staleSuffix); err != nil {
				return err
			}
			report(s.dir.path, fmt.Sprintf("segment %s set aside: the log went on without it", c.Name))
		}
	}
	return nil
}

// linkOf finds the replayed link that a copy belongs to.
func (r *recovery) linkOf(c *segmentCopy) *replayed {
	for _, l := range r.links {
		if l.first == c.First && l.good.epoch == c.epoch {
			return l
		}
	}
	return nil
}

// fetch copies what a directory lacks: the image that was loaded and the log behind it.
func (r *recovery) fetch(s *survey, report func(dir, what string)) error {
	dir := s.dir
	if dir.role.images() {
		if err := r.fetchImage(dir, report); err != nil {
			return err
		}
	}
	if dir.role.log() {
		if err := r.fetchLog(dir, report); err != nil {
			return err
		}
	}
	if s.blank {
		return dir.writeVersion(r.fs, r.cluster)
	}
	return nil
}

func (r *recovery) fetchImage(dir *nameDir, report func(dir, what string)) error {
	if have, err := exists(r.fs, dir.cur, r.image.Name); err != nil {
		return err
	} else if !have {
		if r.image.dir.err != nil {
			return fmt.Errorf("journal: %s is only in %s: %w", r.image.Name, r.image.dir.path, r.image.dir.err)
		}
		if err := copyFile(r.fs, r.image.dir.cur, dir.cur, r.image.Name); err != nil {
			return err
		}
		report(dir.path, "copied "+r.image.Name+" from "+r.image.dir.path)
	}
	return nil
}

func (r *recovery) fetchLog(dir *nameDir, report func(dir, what string)) error {
	for _, l := range r.links {
		name := editlog.FinishedName(l.first, l.last)
		have, err := exists(r.fs, dir.cur, name)
		if err != nil {
			return err
		}
		if have {
			continue
		}
		if l.good.dir.err != nil {
			return fmt.Errorf("journal: %s is only in %s: %w", name, l.good.dir.path, l.good.dir.err)
		}
		if err := copyFile(r.fs, l.good.dir.cur, dir.cur, name); err != nil {
			return err
		}
		report(dir.path, "copied "+name+" from "+l.good.dir.path)
	}
	return nil
}
