package journal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/vfs"
)

// survey is what one name directory holds, as far as headers, names and a scan of the
// segment in progress tell. Making one changes nothing.
type survey struct {
	dir      *nameDir
	blank    bool // formatted by nobody: may join
	cluster  dfs.ClusterInfo
	images   []fsimage.Image // newest first
	segments []*segmentCopy
	mark     *watermark // nil: there is none, or it is damaged
	markBad  error      // its damage
}

// segmentCopy is one directory's copy of a segment.
type segmentCopy struct {
	editlog.Segment
	dir   *nameDir
	epoch uint64
	last  dfs.TxID // last transaction that can be read; for a finished one, what its name says
	end   int64    // offset behind it, for one in progress
	torn  *editlog.TornError
	claim dfs.TxID // last transaction that was durable once, as far as it shows
	// proven is the last transaction that nobody can say was never acknowledged: not one of
	// the last batch of a segment in progress, unless a promise or the name says more.
	proven dfs.TxID
	bad    error // why not all of it can be read; an *editlog.CorruptError or a read error
	stale  bool  // of a run that the others did not go on from
	blind  bool  // its header is damaged: what it held doesn't show
}

// look reads a directory. fs.ErrNotExist: it isn't there at all.
func look(fs vfs.FS, d *nameDir) (*survey, error) {
	s := &survey{dir: d}
	var err error
	s.cluster, err = d.readVersion(fs)
	if errors.Is(err, iofs.ErrNotExist) {
		if begun, err := exists(fs, d.cur, formattingFile); begun && err == nil {
			return nil, d.errUnformatted()
		}
		s.blank, err = d.blank(fs)
		if err == nil && !s.blank {
			err = dfs.Errorf(dfs.Corrupt, "journal: name directory %s holds files but no VERSION", d.path)
		}
		return s, err
	}
	if err != nil {
		return nil, err
	}
	if s.mark, err = readWatermark(fs, d.cur, s.cluster); dfs.Is(err, dfs.Corrupt) {
		s.markBad = err
	} else if err != nil && !noWatermark(err) {
		return nil, err
	}
	if s.images, err = fsimage.List(fs, d.cur); err != nil {
		return nil, err
	}
	segs, err := editlog.List(fs, d.cur)
	if err != nil {
		return nil, err
	}
	for _, seg := range segs {
		c, err := lookSegment(fs, d, seg, s.cluster)
		if err != nil {
			return nil, err
		}
		if n := len(s.segments); c.epoch == 0 && n > 0 {
			c.epoch = s.segments[n-1].epoch // its header can't be read: at least this
		}
		s.segments = append(s.segments, c)
	}
	return s, nil
}

// lookSegment reads a segment's header, and all of it while it is in progress. Damage
// is noted in the copy; the error is for what makes the directory unusable.
func lookSegment(fs vfs.FS, d *nameDir, seg editlog.Segment, cluster dfs.ClusterInfo) (*segmentCopy, error) {
	c := &segmentCopy{Segment: seg, dir: d, last: seg.Last, claim: seg.Last, proven: seg.Last}
	if seg.InProgress {
		c.last, c.claim, c.proven = seg.First-1, seg.First-1, seg.First-1
	}
	r, err := editlog.OpenReader(fs, d.cur, seg, &cluster)
	if dfs.Is(err, dfs.Corrupt) || errors.Is(err, editlog.ErrNotEditLog) {
		c.bad, c.blind = err, true
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c.epoch = r.Header().Epoch
	if !seg.InProgress {
		return c, nil
	}
	for err == nil {
		var recs *editlog.Records
		if recs, err = r.Next(); err == nil {
			c.proven = recs.First - 1 // its header promises that
		}
	}
	c.last, c.end = r.NextTx()-1, r.Offset()
	c.claim = c.last
	var damage *editlog.CorruptError
	switch {
	case err == io.EOF:
	case errors.As(err, &c.torn):
	case errors.As(err, &damage):
		c.bad = err
		c.claim = max(c.last, damage.Durable)
		c.proven = c.claim
	default:
		return nil, err
	}
	return c, nil
}

// epoch is that of the newest start that the directory knows of, 0 if there is none.
func (s *survey) epoch() (newest uint64) {
	if s.mark != nil {
		newest = s.mark.epoch()
	}
	for _, c := range s.segments {
		newest = max(newest, c.epoch)
	}
	return newest
}

func (c *segmentCopy) String() string { return fmt.Sprintf("%s/%s", c.dir.cur, c.Name) }
