package journal

import (
	"fmt"
	"slices"
	"strings"

	"redoubt/dfs"
)

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
	for _, s := range h.all {
		if s.mark != nil {
			w.floors = w.floors.raise(s.mark.floors)
		}
	}
	for _, s := range h.surveys {
		if line := s.lineage(); s.epoch() == h.epoch && len(line) > len(w.starts) {
			w.starts = line
		}
	}
	w.starts = append(w.starts, start)
	return w
}

// started is the number of starts that an epoch counts; two runs that each went on from
// the same past have the same number and differ in the rest.
func started(epoch uint64) uint64 { return epoch >> 32 }

// proven is the last transaction that the directory may have acknowledged, or did.
func (s *survey) proven() (last dfs.TxID) {
	if len(s.images) > 0 {
		last = s.images[0].TxID
	}
	if s.mark != nil {
		last = max(last, s.mark.durable)
	}
	for _, c := range s.segments {
		last = max(last, c.proven)
	}
	return last
}

const endless = ^dfs.TxID(0)

// fork tells up to which transaction two directories have the same past: endless if one
// and the same run wrote both last, or if what they remember doesn't show more.
func fork(a, b *survey) dfs.TxID {
	la, lb := a.lineage(), b.lineage()
	if len(la) == 0 || len(lb) == 0 {
		return endless
	}
	end := func(line []epochStart, i int) dfs.TxID {
		if i+1 < len(line) {
			return line[i+1].first - 1
		}
		return endless
	}
	for i := len(la) - 1; i >= 0; i-- {
		for k := len(lb) - 1; k >= 0; k-- {
			if la[i].epoch == lb[k].epoch {
				return min(end(la, i), end(lb, k))
			}
		}
	}
	newA, newB := la[len(la)-1].epoch, lb[len(lb)-1].epoch
	if started(la[0].epoch) <= started(newB) && started(lb[0].epoch) <= started(newA) {
		return min(la[0].first, lb[0].first) - 1
	}
	return endless // one is too far behind to tell
}

// behind reports whether b has everything that s is known to have had acknowledged.
func behind(s, b *survey) bool {
	at := fork(s, b)
	return at == endless || s.proven() <= at
}

// leaders finds the directories that are behind no other: one, or one for each line of
// descent if some went apart. Of equals the one with the newest epoch leads, and then the
// one that knows the most.
func leaders(surveys []*survey) (lead []*survey) {
	order := slices.Clone(surveys)
	slices.SortStableFunc(order, func(a, b *survey) int {
		switch ea, eb := a.epoch(), b.epoch(); {
		case ea > eb:
			return -1
		case ea < eb:
			return 1
		}
		return 0
	})
	for i, s := range order {
		follows := false
		for k, other := range order {
			if i != k && behind(s, other) && (!behind(other, s) || k < i) {
				follows = true
			}
		}
		if !follows {
			lead = append(lead, s)
		}
	}
	if len(lead) == 0 { // what they remember contradicts itself
		return order[:min(1, len(order))]
	}
	return lead
}

// follow marks the segments that are of runs which the leader did not go on from.
func (s *survey) follow(leader *survey) {
	line := leader.lineage()
	known := func(epoch uint64) bool {
		return len(line) == 0 || started(epoch) < started(line[0].epoch) ||
			slices.ContainsFunc(line, func(e epochStart) bool { return e.epoch == epoch })
	}
	for _, c := range s.segments {
		c.stale = s != leader && !c.blind && !known(c.epoch)
	}
}

// split is the error of directories that went apart; nil if there is none.
func (h *history) split() error {
	if len(h.apart) == 0 {
		return nil
	}
	var parts []string
	for _, s := range append([]*survey{h.leader}, h.apart...) {
		parts = append(parts, fmt.Sprintf("%s has transactions up to %d", s.dir.path, s.proven()))
	}
	return dfs.Errorf(dfs.Corrupt, "journal: the name directories went apart after transaction %d, and each has acknowledged ones that another lacks: %s",
		h.forked(), strings.Join(parts, "; "))
}

// logAway is the error of a start without the directories that had the log last.
func (h *history) logAway() error {
	for _, s := range h.all {
		if s.mark == nil || !s.mark.away {
			continue
		}
		found := slices.ContainsFunc(h.all, func(o *survey) bool {
			return (o.mark == nil || !o.mark.away) && o.epoch() >= s.mark.epoch()
		})
		if !found {
			return dfs.Errorf(dfs.Corrupt, "journal: the log of the last start stood apart from the images in %s, and none of the directories has it: %s; name those that had it in dfs.namenode.edits.dir",
				s.dir.path, h.places())
		}
	}
	return nil
}

// noLog is the error of a start from images alone. A name node that has run leaves a log and
// a watermark beside every image, so here both were removed, and nothing tells what was lost.
func (h *history) noLog() error {
	var newest dfs.TxID
	for _, s := range h.all {
		if s.mark != nil || s.markBad != nil || len(s.segments) > 0 {
			return nil
		}
		if len(s.images) > 0 {
			newest = max(newest, s.images[0].TxID)
		}
	}
	if newest == 0 {
		return nil
	}
	return dfs.Errorf(dfs.Corrupt, "journal: there is an image of transaction %d, but neither a log nor a watermark beside it in %s: what came after it is lost", newest, h.places())
}

// forked is the last transaction that all lines have in common.
func (h *history) forked() dfs.TxID {
	at := endless
	for _, s := range h.apart {
		at = min(at, fork(h.leader, s))
	}
	return at
}
