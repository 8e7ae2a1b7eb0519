package journal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"

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
	bad   error    // why not all of it can be read; an *editlog.CorruptError or a read error
	blind bool     // its header is damaged: what it held doesn't show
}

// look reads a directory. fs.ErrNotExist: it isn't there at all.
func look(fs vfs.FS, d *nameDir) (*survey, error) {
	s := &survey{dir: d}
	var err error
	s.cluster, err = d.readVersion(fs)
	if errors.Is(err, iofs.ErrNotExist) {
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
	c := &segmentCopy{Segment: seg, dir: d, last: seg.Last, claim: seg.Last}
	if seg.InProgress {
		c.last, c.claim = seg.First-1, seg.First-1
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
		_, err = r.Next()
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

// claim is the last transaction that this directory shows was durable in the given
// epoch or before it.
func (s *survey) claim(epoch uint64) (last dfs.TxID) {
	if len(s.images) > 0 {
		last = s.images[0].TxID
	}
	if s.epoch() == epoch {
		for _, c := range s.segments {
			last = max(last, c.claim)
		}
		if s.mark != nil {
			last = max(last, s.mark.durable)
		}
	}
	return last
}

// history is what all directories together hold.
type history struct {
	surveys []*survey
	epoch   uint64   // the newest
	claim   dfs.TxID // recovery must reach this far
}

func newHistory(surveys []*survey) *history {
	h := &history{surveys: surveys}
	for _, s := range surveys {
		h.epoch = max(h.epoch, s.epoch())
	}
	h.assumeRecords()
	for _, s := range surveys {
		h.claim = max(h.claim, s.claim(h.epoch))
	}
	return h
}

// assumeRecords lets a segment in progress whose header is damaged claim its first
// transaction, unless another copy tells what it held. A header is durable before its
// segment has its name, so damage there is never what a crash leaves, and the records
// behind it may have been acknowledged.
func (h *history) assumeRecords() {
	told := make(map[dfs.TxID]bool)
	for _, s := range h.surveys {
		for _, c := range s.segments {
			told[c.First] = told[c.First] || !c.blind
		}
	}
	for _, s := range h.surveys {
		for _, c := range s.segments {
			if c.blind && c.InProgress && !told[c.First] {
				c.claim = c.First
			}
		}
	}
}

// imageCopy is one directory's copy of an image.
type imageCopy struct {
	fsimage.Image
	dir *nameDir
	bad error // why it can't be loaded
}

// images gives the copies of each image, newest image first.
func (h *history) images() (groups [][]imageCopy) {
	at := make(map[dfs.TxID]int)
	for {
		var next *dfs.TxID
		for _, s := range h.surveys {
			for _, img := range s.images {
				if _, done := at[img.TxID]; !done && (next == nil || img.TxID > *next) {
					next = &img.TxID
				}
			}
		}
		if next == nil {
			return groups
		}
		at[*next] = len(groups)
		var group []imageCopy
		for _, s := range h.surveys {
			for _, img := range s.images {
				if img.TxID == *next {
					group = append(group, imageCopy{Image: img, dir: s.dir})
				}
			}
		}
		groups = append(groups, group)
	}
}

// link is one stretch of the log: the copies of one segment, best one first.
type link struct {
	copies []*segmentCopy
	first  dfs.TxID
	last   dfs.TxID // as far as the copies promise; reading may end earlier
	fixed  bool     // finished by a name: exactly up to last
}

// next gives the link that holds transaction tx, nil if there is none; epoch is that of
// the link before. Of segments that overlap, the one of the newest epoch counts, even if
// it is empty: an older epoch's goes beyond it only with transactions that the later
// run did not have. So epochs never go down along the log. Copies of one segment are
// equal as far as they go; a finished one says how far that is.
func (h *history) next(tx dfs.TxID, epoch uint64) *link {
	var l *link
	better := func(c *segmentCopy) bool {
		old := l.copies[0]
		switch {
		case c.epoch != old.epoch:
			return c.epoch > old.epoch
		case c.First != old.First:
			return c.First > old.First
		case c.InProgress != old.InProgress:
			return old.InProgress
		case c.claim != old.claim:
			return c.claim > old.claim
		}
		return c.last > old.last
	}
	for _, s := range h.surveys {
		for _, c := range s.segments {
			if c.First > tx || (c.claim < tx && c.First != tx) || c.epoch < epoch {
				continue
			}
			switch {
			case l == nil:
				l = &link{copies: []*segmentCopy{c}}
			case better(c):
				old := l.copies
				l.copies = []*segmentCopy{c}
				if old[0].First == c.First && old[0].epoch == c.epoch {
					l.copies = append(l.copies, old...)
				}
			case l.copies[0].First == c.First && l.copies[0].epoch == c.epoch:
				l.copies = append(l.copies, c)
			}
		}
	}
	if l == nil || l.copies[0].claim < tx {
		return nil
	}
	best := l.copies[0]
	l.first, l.last, l.fixed = best.First, best.claim, !best.InProgress
	return l
}

// reaches tells how far the log goes from transaction tx on, by what the directories
// show; tx-1 if it doesn't hold tx.
func (h *history) reaches(tx dfs.TxID) dfs.TxID {
	for epoch := uint64(0); ; {
		l := h.next(tx, epoch)
		if l == nil {
			return tx - 1
		}
		tx, epoch = l.last+1, l.copies[0].epoch
	}
}

// missing describes a gap: what is gone, where it should be, who says so, and what is
// wrong with the files that may have held it.
func (h *history) missing(from, to dfs.TxID) error {
	var errs []error
	for _, s := range h.surveys {
		for _, c := range s.segments {
			if c.bad != nil && c.claim >= from-1 {
				errs = append(errs, c.bad)
			}
		}
	}
	err := dfs.Errorf(dfs.Corrupt, "journal: transactions %d to %d are in no name directory; %s", from, to, h.witness(to))
	return errors.Join(append([]error{err}, errs...)...)
}

// witness tells what shows that transaction tx was durable.
func (h *history) witness(tx dfs.TxID) string {
	for _, s := range h.surveys {
		if s.mark != nil && s.epoch() == h.epoch && s.mark.durable >= tx {
			return s.expected()
		}
		for _, c := range s.segments {
			if c.claim >= tx && s.epoch() == h.epoch {
				return fmt.Sprintf("%s goes on to transaction %d", c, c.claim)
			}
		}
		if len(s.images) > 0 && s.images[0].TxID >= tx {
			return fmt.Sprintf("%s/%s is an image of transaction %d", s.dir.cur, s.images[0].Name, s.images[0].TxID)
		}
	}
	return "no file shows which one held them"
}

// expected tells where the watermark's last transaction should be, and what is there.
func (s *survey) expected() string {
	m := s.mark
	text := fmt.Sprintf("%s/%s says that transaction %d was durable", s.dir.cur, watermarkFile, m.durable)
	if m.durable < m.segment {
		return fmt.Sprintf("%s, at the end of the segment before transaction %d", text, m.segment)
	}
	text = fmt.Sprintf("%s, in the segment that began with %d and before its offset %d", text, m.segment, m.end)
	for _, c := range s.segments {
		switch {
		case c.First != m.segment:
			continue
		case c.torn != nil:
			return fmt.Sprintf("%s, but %v", text, c.torn)
		case c.InProgress:
			return fmt.Sprintf("%s, but %s ends with transaction %d at offset %d", text, c, c.last, c.end)
		}
		return fmt.Sprintf("%s, which is %s", text, c)
	}
	return fmt.Sprintf("%s, but there is no %s/%s", text, s.dir.cur, editlog.InProgressName(m.segment))
}

// lineage is the directory's line of descent as far back as it knows.
func (s *survey) lineage() (starts []epochStart) {
	if s.mark != nil {
		starts = slices.Clone(s.mark.starts)
	}
	known := uint64(0)
	if s.mark != nil {
		known = s.mark.epoch()
	}
	for _, c := range s.segments {
		if c.epoch > known && !c.blind {
			starts = append(starts, epochStart{c.epoch, c.First})
			known = c.epoch
		}
	}
	return starts
}

// mark is the watermark of a run that begins with start, behind transaction last.
func (h *history) mark(last dfs.TxID, start epochStart) watermark {
	w := watermark{durable: last, segment: start.first}
	for _, s := range h.surveys {
		if s.mark != nil {
			w.floors = w.floors.raise(s.mark.floors)
		}
		if line := s.lineage(); s.epoch() == h.epoch && len(line) > len(w.starts) {
			w.starts = line
		}
	}
	w.starts = append(w.starts, start)
	return w
}

func (c *segmentCopy) String() string { return fmt.Sprintf("%s/%s", c.dir.cur, c.Name) }
