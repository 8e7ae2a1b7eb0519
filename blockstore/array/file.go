package array

import (
	"io"
	"io/fs"
	"sync"
	"syscall"
)

// Close closes the file.
func (h *handle) Close() error {
	if h.closed.Swap(true) {
		return pathErr("close", h.name, fs.ErrClosed)
	}
	h.ahead.stop(h)
	return pathErr("close", h.name, h.a.release(h.n, h.w))
}

func (h *handle) check(write bool) error {
	switch {
	case h.closed.Load():
		return fs.ErrClosed
	case write && !h.write:
		return syscall.EBADF
	}
	return nil
}

// Size gives the size in bytes.
func (h *handle) Size() (int64, error) {
	if err := h.check(false); err != nil {
		return 0, pathErr("size", h.name, err)
	}
	return h.n.size.Load(), nil
}

// Sync makes the file's bytes and size durable.
func (h *handle) Sync() error {
	if err := h.check(false); err != nil {
		return pathErr("sync", h.name, err)
	}
	return pathErr("sync", h.name, h.a.sync(h.n, h.w))
}

// WriteAt writes at an offset.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	err := h.check(true)
	if err == nil && off < 0 {
		err = syscall.EINVAL
	}
	if err != nil || len(p) == 0 {
		return 0, pathErr("write", h.name, err)
	}
	h.w.io.Lock()
	defer h.w.io.Unlock()
	n, err := h.a.write(h.n, h.w, p, off)
	return n, pathErr("write", h.name, err)
}

// zeroes fill the gap when a file is written beyond its end. A hole costs its bytes.
var zeroes [256 << 10]byte

// write puts bytes into the file's groups; whole groups go on their way. io is held.
func (a *Array) write(n *node, w *work, p []byte, off int64) (int, error) {
	if err := a.ready(w); err != nil {
		return 0, err
	}
	for size := n.size.Load(); size < off; size = n.size.Load() {
		if _, err := a.put(n, w, zeroes[:min(off-size, int64(len(zeroes)))], size); err != nil {
			return 0, err
		}
	}
	return a.put(n, w, p, off)
}

// ready says whether a file may be changed. io is held.
func (a *Array) ready(w *work) error {
	if w.err != nil {
		return w.err
	}
	w.fmu.Lock()
	defer w.fmu.Unlock()
	if w.failed != nil {
		w.err = w.failed
		return w.err
	}
	return nil
}

// put is write without a gap.
func (a *Array) put(n *node, w *work, p []byte, off int64) (done int, err error) {
	n.mod.Store(now())
	w.changed = true
	if w.small != nil {
		if off+int64(len(p)) <= a.smallMax {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.version++
			if end := off + int64(len(p)); end > int64(len(w.small)) {
				w.small = append(w.small, make([]byte, end-int64(len(w.small)))...)
				n.size.Store(end)
			}
			copy(w.small[off:], p)
			w.dirty = true
			return len(p), nil
		}
		a.leaveSmall(n, w)
	}
	sb := a.geo.StripeBytes()
	for len(p) > 0 {
		stripe, in := off/sb, off%sb
		length := min(int64(len(p)), sb-in)
		g, err := a.groupFor(n, w, stripe, in, length)
		if err != nil {
			return done, err
		}
		r := int(stripe - g.first)
		w.mu.Lock()
		w.version++
		a.copyIn(g, n.id, r, in, p[:length])
		g.fill[r] = max(g.fill[r], in+length)
		g.dirty[r] = true
		n.size.Store(max(n.size.Load(), off+length))
		w.mu.Unlock()
		if in+length == sb && r == a.rows-1 {
			if err := a.flushGroup(n, w, g, false); err != nil {
				w.err = err
				return done, err
			}
		}
		p, off, done = p[length:], off+length, done+int(length)
	}
	return done, nil
}

// leaveSmall moves a file that is in one piece into its first group.
func (a *Array) leaveSmall(n *node, w *work) {
	g := a.newGroup(0)
	g.fill[0], g.dirty[0] = int64(len(w.small)), w.dirty
	a.copyIn(g, n.id, 0, 0, w.small)
	w.mu.Lock()
	w.small, w.dirty = nil, false
	w.groups = map[int64]*group{0: g}
	w.mu.Unlock()
}

// groupFor gives the group of a stripe with the stripe's bytes in it, if not all of them
// are about to be overwritten. io is held.
func (a *Array) groupFor(n *node, w *work, stripe, in, length int64) (*group, error) {
	sb := a.geo.StripeBytes()
	first := stripe / int64(a.rows) * int64(a.rows)
	w.mu.RLock()
	g := w.groups[first]
	var flight chan struct{}
	if g != nil {
		flight = g.flight
	}
	count := len(w.groups)
	w.mu.RUnlock()
	if flight != nil {
		<-flight
		if err := a.ready(w); err != nil {
			return nil, err
		}
		return a.groupFor(n, w, stripe, in, length)
	}
	if g == nil {
		if count >= maxGroups {
			if err := a.flushAll(n, w); err != nil {
				return nil, err
			}
			a.dropClean(w)
		}
		g = a.newGroup(first)
		w.mu.Lock()
		if w.groups == nil {
			w.groups = map[int64]*group{}
		}
		w.groups[first] = g
		w.mu.Unlock()
	}
	r := int(stripe - first)
	if g.fill[r] >= 0 {
		return g, nil
	}
	have := max(0, min(sb, n.size.Load()-stripe*sb))
	if have == 0 || in == 0 && length >= have {
		return g, nil
	}
	var infos [maxRows]rowInfo
	a.load(n, w, g, r, r+1, view{over: w.over, size: n.size.Load(), off: stripe * sb, end: stripe*sb + have}, &infos)
	if err := infos[r].err; err != nil {
		return nil, err
	}
	w.mu.Lock()
	g.fill[r] = have
	w.mu.Unlock()
	return g, nil
}

// Truncate sets the size.
func (h *handle) Truncate(size int64) error {
	err := h.check(true)
	if err == nil && size < 0 {
		err = syscall.EINVAL
	}
	if err == nil {
		h.w.io.Lock()
		err = h.a.truncate(h.n, h.w, size)
		h.w.io.Unlock()
	}
	return pathErr("truncate", h.name, err)
}

func (a *Array) truncate(n *node, w *work, size int64) error {
	if err := w.wait(); err != nil {
		return err
	}
	n.mod.Store(now())
	if size > n.size.Load() {
		_, err := a.write(n, w, nil, size)
		return err
	}
	sb := a.geo.StripeBytes()
	w.mu.Lock()
	defer w.mu.Unlock()
	n.size.Store(size)
	w.changed = true
	w.version++
	if w.small != nil {
		w.small, w.dirty = w.small[:size], true
		return nil
	}
	for first, g := range w.groups {
		for r := range a.rows {
			left := size - (first+int64(r))*sb
			switch {
			case g.fill[r] < 0:
			case left <= 0:
				g.fill[r], g.dirty[r] = -1, false
			case left < g.fill[r]:
				g.fill[r] = left
			}
		}
	}
	var cut []int64
	for stripe := range w.over {
		if stripe*sb >= size {
			cut = append(cut, stripe, home)
		}
	}
	if len(cut) > 0 {
		w.over = moved(w.over, cut)
	}
	return nil
}

// ReadAt reads at an offset.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	err := h.check(false)
	if err == nil && off < 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return 0, pathErr("read", h.name, err)
	}
	h.w.mu.RLock()
	defer h.w.mu.RUnlock()
	size := h.n.size.Load()
	if off >= size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), size-off)]
	n, err := h.read(want, off, size)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, pathErr("read", h.name, err)
}

func isEOF(err error) bool { return err == io.EOF }

// read reads what is surely in the file; mu is held for reading.
func (h *handle) read(p []byte, off, size int64) (int, error) {
	if h.w.small != nil {
		return copy(p, h.w.small[off:]), nil
	}
	if n, ok := h.ahead.read(h, p, off, size); ok {
		return n, nil
	}
	if h.a.readMemory(h.n, h.w, p, off) {
		return len(p), nil
	}
	if n, ok := h.unit.read(h, p, off, size); ok {
		return n, nil
	}
	return h.a.read(h.n, h.w, p, off, size)
}

// lastUnit is the unit that a part was read of last: who reads on in small pieces does not
// fetch it again for each.
type lastUnit struct {
	mu      sync.Mutex
	buf     []byte
	n       int   // bytes that are good
	off     int64 // of the first
	version uint64
}

// read serves a read of a part of a unit. ok is false if it has to go the other way; w.mu is
// held for reading.
func (c *lastUnit) read(h *handle, p []byte, off, size int64) (done int, ok bool) {
	unit := h.a.geo.Unit
	start := off - off%unit
	end := off + int64(len(p))
	if int64(len(p)) >= unit || end > start+unit || !c.mu.TryLock() {
		return 0, false
	}
	defer c.mu.Unlock()
	if c.n == 0 || c.off != start || c.version != h.w.version || end > start+int64(c.n) {
		if c.buf == nil {
			c.buf = make([]byte, unit)
		}
		n, err := h.a.read(h.n, h.w, c.buf[:min(unit, size-start)], start, size)
		if c.n, c.off, c.version = n, start, h.w.version; err != nil || end > start+int64(n) {
			c.n = 0
			return 0, false
		}
	}
	return copy(p, c.buf[off-start:]), true
}

// read reads group after group; large reads that gain by more than that go ahead.
func (a *Array) read(n *node, w *work, p []byte, off, size int64) (done int, err error) {
	gb := a.geo.StripeBytes() * int64(a.rows)
	for done < len(p) {
		length := min(int64(len(p)-done), gb-off%gb)
		x, err := a.readGroup(n, w, p[done:done+int(length)], off, size)
		done, off = done+x, off+int64(x)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readMemory reads a part of a unit that is not on the members yet. It tells whether that
// worked. What is on them is read in whole units, whose checksums are verified, however
// little is asked for: a unit that rots is made again from the others, unnoticed.
func (a *Array) readMemory(n *node, w *work, p []byte, off int64) bool {
	sb := a.geo.StripeBytes()
	stripe, in := off/sb, off%sb
	if in%a.geo.Unit+int64(len(p)) > a.geo.Unit {
		return false
	}
	first := stripe / int64(a.rows) * int64(a.rows)
	g := w.groups[first]
	if g == nil || g.fill[stripe-first] < 0 {
		return false
	}
	a.copyOut(g, n.id, int(stripe-first), in, p)
	return true
}

// readGroup reads a run of bytes that lies in one group, verified.
func (a *Array) readGroup(n *node, w *work, p []byte, off, size int64) (done int, err error) {
	sb := a.geo.StripeBytes()
	first := off / sb / int64(a.rows) * int64(a.rows)
	from, end := int(off/sb-first), int((off+int64(len(p))-1)/sb-first)+1
	cached := w.groups[first]
	g := a.newGroup(first)
	defer a.freeGroup(g)
	var infos [maxRows]rowInfo
	for r := from; r < end; {
		to := r
		for to < end && (cached == nil || cached.fill[to] < 0) {
			to++
		}
		if to > r {
			a.load(n, w, g, r, to, view{over: w.over, size: size, off: off, end: off + int64(len(p))}, &infos)
		}
		r = to + 1
	}
	for r := from; r < end; r++ {
		in := off - (first+int64(r))*sb
		length := min(int64(len(p)), sb-in)
		src := g
		if cached != nil && cached.fill[r] >= 0 {
			src = cached
		} else if infos[r].err != nil {
			return done, infos[r].err
		}
		a.copyOut(src, n.id, r, in, p[:length])
		p, off, done = p[length:], off+length, done+int(length)
	}
	return done, nil
}

// FlushHint does nothing: whole groups are on their way as soon as they are whole.
func (h *handle) FlushHint(off, n int64) error { return nil }
