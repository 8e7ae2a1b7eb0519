package array

import "sync"

const (
	// aheadAfter is after how many bytes read in sequence reading ahead begins: shorter
	// ones are readers that want a range.
	aheadAfter = 256 << 10
	// aheadGroups is how many groups are on their way besides the one being read, at most;
	// there are as many as have been read.
	aheadGroups = 3
	// aheadTotal is how many groups all readers together may have fetched ahead.
	aheadTotal = 128
)

// readAhead fetches the next groups of a file that is read in sequence, so that all
// members work at the same time however small the reads are.
type readAhead struct {
	mu    sync.Mutex
	next  int64 // where the last read ended
	run   int64 // bytes read in sequence
	parts []*fetched
	last  turns // of the latest group that was fetched
}

// fetched is a group on its way.
type fetched struct {
	g       *group
	version uint64
	infos   [maxRows]rowInfo
	done    chan struct{}
}

// read serves a read from what was fetched. ok is false if it has to go the other way.
// w.mu is held for reading, so nothing changes; what was fetched before a change is of
// an older version and not used.
func (r *readAhead) read(h *handle, p []byte, off, size int64) (done int, ok bool) {
	a, w := h.a, h.w
	gb := a.geo.StripeBytes() * int64(a.rows)
	r.mu.Lock()
	defer r.mu.Unlock()
	if off == r.next {
		r.run += int64(len(p))
	} else {
		r.run = int64(len(p))
	}
	r.next = off + int64(len(p))
	inSequence := r.run > aheadAfter && r.run > int64(len(p))
	end := size
	if !inSequence {
		end = r.next
	}
	if !inSequence && int64(len(p)) < gb || len(w.groups) > 0 {
		r.dropAll(a)
		return 0, false
	}
	for done < len(p) {
		x := r.fetch(h, off, end, size)
		if x == nil {
			return 0, false
		}
		<-x.done
		in := off - x.g.first*a.geo.StripeBytes()
		row, at := int(in/a.geo.StripeBytes()), in%a.geo.StripeBytes()
		if x.infos[row].err != nil {
			return 0, false
		}
		n := min(len(p)-done, int(a.geo.StripeBytes()-at))
		a.copyOut(x.g, h.n.id, row, at, p[done:done+n])
		done, off = done+n, off+int64(n)
	}
	return done, true
}

// fetch gives the group at off, and sees to it that the ones behind it, up to end, are
// on their way; nil if there is no memory for it.
func (r *readAhead) fetch(h *handle, off, end, size int64) *fetched {
	a, w := h.a, h.w
	sb := a.geo.StripeBytes()
	first := off / sb / int64(a.rows) * int64(a.rows)
	kept := r.parts[:0]
	for _, x := range r.parts {
		if x.version != w.version || x.g.first != first+int64(len(kept))*int64(a.rows) {
			a.dropFetched(x)
			continue
		}
		kept = append(kept, x)
	}
	r.parts = kept
	for i := range 1 + min(aheadGroups, r.run/(sb*int64(a.rows))) {
		start := first + i*int64(a.rows)
		if start*sb >= end {
			break
		}
		if int(i) < len(r.parts) {
			continue // it is on its way
		}
		if a.ahead.Add(1) > aheadTotal {
			a.ahead.Add(-1)
			break // others have taken what there is
		}
		x := &fetched{g: a.newGroup(start), version: w.version, done: make(chan struct{})}
		v := view{over: w.over, size: size, off: start * sb, end: min(size, (start+int64(a.rows))*sb),
			through: true, before: r.last, mine: newTurns(a)}
		r.last = v.mine
		go func() {
			defer close(x.done)
			a.load(h.n, w, x.g, 0, a.rows, v, &x.infos)
		}()
		r.parts = append(r.parts, x)
	}
	if len(r.parts) == 0 {
		return nil
	}
	return r.parts[0]
}

func (a *Array) dropFetched(x *fetched) {
	<-x.done
	a.freeGroup(x.g)
	a.ahead.Add(-1)
}

func (r *readAhead) dropAll(a *Array) {
	for _, x := range r.parts {
		a.dropFetched(x)
	}
	r.parts = r.parts[:0]
}

// stop waits for what is on its way.
func (r *readAhead) stop(h *handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropAll(h.a)
}
