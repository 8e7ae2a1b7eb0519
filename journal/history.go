package journal

import (
	"errors"
	"fmt"
	"strings"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
)

// history is what the directories of one line of descent hold together.
type history struct {
	surveys []*survey // those of this line: the leader, and what is behind it
	apart   []*survey // the leaders of other lines
	all     []*survey
	leader  *survey
	epoch   uint64   // the leader's newest
	claim   dfs.TxID // recovery must reach this far
}

// newHistory finds the directory that has everything the others are known to have had
// acknowledged. If there is none, the history has others apart from it.
func newHistory(surveys []*survey) *history {
	assumeRecords(surveys)
	return historyOf(leaders(surveys), 0, surveys)
}

// historyOf is the history of the n-th leader.
func historyOf(lead []*survey, n int, all []*survey) *history {
	h := &history{all: all}
	if len(lead) == 0 {
		return h
	}
	h.leader = lead[n]
	h.epoch = h.leader.epoch()
	for i, s := range lead {
		if i != n {
			h.apart = append(h.apart, s)
		}
	}
	for _, s := range all {
		if s == h.leader || behind(s, h.leader) {
			h.surveys = append(h.surveys, s)
			s.follow(h.leader)
		}
	}
	for _, s := range h.surveys {
		h.claim = max(h.claim, s.claim(h.epoch))
	}
	return h
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

// places lists where the directories' files are.
func (h *history) places() string {
	var dirs []string
	for _, s := range h.all {
		dirs = append(dirs, s.dir.cur)
	}
	return strings.Join(dirs, ", ")
}

// newest is the highest epoch of all directories.
func (h *history) newest() (epoch uint64) {
	for _, s := range h.all {
		epoch = max(epoch, s.epoch())
	}
	return epoch
}

// assumeRecords lets a segment in progress whose header is damaged claim its first
// transaction, unless another copy tells what it held. A header is durable before its
// segment has its name, so damage there is never what a crash leaves, and the records
// behind it may have been acknowledged.
func assumeRecords(surveys []*survey) {
	told := make(map[dfs.TxID]bool)
	for _, s := range surveys {
		for _, c := range s.segments {
			told[c.First] = told[c.First] || !c.blind
		}
	}
	for _, s := range surveys {
		for _, c := range s.segments {
			if c.blind && c.InProgress && !told[c.First] {
				c.claim, c.proven = c.First, c.First
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
			if c.stale || c.First > tx || (c.claim < tx && c.First != tx) || c.epoch < epoch {
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
