package array

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"redoubt/vfs"
)

const (
	// smallFile is up to how many bytes a file that is being written stays in one piece
	// in memory, instead of taking a group.
	smallFile = 16 << 10
	// maxFlights is how many groups of a file may be on their way to the members.
	maxFlights = 4
	// hintFrom is from how many bytes on a write begins to go to the disk at once, so that
	// a sync finds less to do.
	hintFrom = 64 << 10
	// allFlights is how many groups of all files may be.
	allFlights = 64
	// maxGroups is how many groups a file may hold before some are written out.
	maxGroups = 8
)

// work is what an open file needs more than a resting one.
type work struct {
	io      sync.Mutex // held by who changes the file or its units, or needs them still
	err     error      // guarded by io: an error after which the file can't be changed
	changed bool       // guarded by io: size, bytes or places differ from what the log says
	used    map[int64]bool
	flights sync.WaitGroup
	window  chan struct{}
	last    turns // of the latest flight; guarded by io

	mu     sync.RWMutex // held by readers over their I/O, by writers while what they see changes
	groups map[int64]*group
	small  []byte          // the whole file, if not nil
	dirty  bool            // of small
	over   map[int64]int64 // the present places of stripes; never changed, only replaced
	// version counts the changes of contents.
	version uint64

	columns []column // by place
	fmu     sync.Mutex
	failed  error // of a flight
}

// column is a file's units on one member.
type column struct {
	mu    sync.Mutex // held while a file is opened, too
	m     *member
	file  [2]vfs.File // at home, in slots; opened when first needed
	write [2]bool
	dirty [2]bool // written since the last sync
	named bool    // a name was made that is not durable yet
}

func newWork(a *Array, n *node) *work {
	return &work{over: n.over, window: make(chan struct{}, maxFlights), columns: make([]column, a.geo.Members())}
}

// open gives a member's file of units. For writing it is made if it is not there.
func (w *work) open(n *node, m *member, slots int, write bool) (vfs.File, error) {
	c := &w.columns[m.place]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m != m {
		c.close()
		c.m, c.write, c.dirty, c.named = m, [2]bool{}, [2]bool{}, false
	}
	if c.file[slots] != nil && (!write || c.write[slots]) {
		return c.file[slots], nil
	}
	name := unitPath(m.dir, n.id, slots)
	if !write {
		f, err := m.fs.Open(name)
		if err == nil {
			c.file[slots] = f
		}
		return f, err
	}
	f, err := m.fs.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = m.makeDir(n.id); err == nil {
			if f, err = m.fs.Create(name); err == nil {
				c.named = true
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if c.file[slots] != nil {
		old := c.file[slots]
		defer old.Close() // readers hold it no longer: they look it up under mu
	}
	c.file[slots], c.write[slots] = f, true
	return f, nil
}

func (c *column) close() {
	for i, f := range c.file {
		if f != nil {
			_ = f.Close() // what had to be durable was synced
			c.file[i] = nil
		}
	}
}

// readAt reads units. A member that turns out to be gone has failed; other errors are
// of the units only.
func (w *work) readAt(a *Array, n *node, m *member, slots int, p []byte, off int64) (int, error) {
	f, err := w.open(n, m, slots, false)
	got := 0
	if err == nil {
		got, err = f.ReadAt(p, off)
		if errors.Is(err, fs.ErrClosed) {
			if f, err = w.open(n, m, slots, false); err == nil { // it was reopened for writing
				got, err = f.ReadAt(p, off)
			}
		}
		if got == len(p) && isEOF(err) {
			err = nil
		}
	}
	if err != nil && !isEOF(err) {
		if perr := m.probe(); perr != nil {
			_ = a.fail(m, fmt.Errorf("%w (reading: %w)", perr, err))
		}
	}
	return got, err
}

// writeAt writes units on one member.
func (w *work) writeAt(n *node, m *member, slots int, p []byte, off int64) error {
	f, err := w.open(n, m, slots, true)
	if err != nil {
		return err
	}
	c := &w.columns[m.place]
	c.mu.Lock()
	c.dirty[slots] = true
	c.mu.Unlock()
	_, err = f.WriteAt(p, off)
	if err == nil && len(p) >= hintFrom {
		_ = vfs.FlushHint(f, off, int64(len(p))) // only a hint
	}
	return err
}

// place chooses where a stripe goes that is about to be written: nowhere that something
// durable refers to. Whole stripes go home if they can. io is held.
func (w *work) place(a *Array, n *node, stripe int64, full bool) int64 {
	if a.cfg.hole {
		return home
	}
	now := placeOf(w.over, stripe)
	if w.homeFree(a, n, stripe) && (full || now == home && len(w.over) == 0 && len(n.over) == 0) {
		return home
	}
	if now != home && placeOf(n.over, stripe) != now {
		return now // of a writing that was not synced
	}
	if w.used == nil {
		w.used = map[int64]bool{}
		for _, over := range []map[int64]int64{n.over, w.over} {
			for _, slot := range over {
				w.used[slot] = true
			}
		}
	}
	slot := int64(0)
	for w.used[slot] {
		slot++
	}
	w.used[slot] = true
	return slot
}

// homeFree says whether nothing durable refers to a stripe's home.
func (w *work) homeFree(a *Array, n *node, stripe int64) bool {
	if stripe*a.geo.StripeBytes() >= n.logged {
		return true
	}
	_, away := n.over[stripe]
	return away
}

// flushGroup writes the dirty stripes of a group, whole ones only or all, and returns
// when they are on their way; sync waits. io is held.
func (a *Array) flushGroup(n *node, w *work, g *group, partial bool) error {
	sb := a.geo.StripeBytes()
	var rows [maxRows]bool
	any := false
	over := w.over
	for r := range a.rows {
		if !g.dirty[r] || g.fill[r] < sb && !partial {
			continue
		}
		rows[r], any = true, true
		stripe := g.first + int64(r)
		p := w.place(a, n, stripe, g.fill[r] == sb)
		if p != placeOf(over, stripe) {
			over = moved(over, []int64{stripe, p})
		}
		if err := a.encode(g, n.id, r); err != nil {
			return err
		}
	}
	if !any {
		return nil
	}
	w.window <- struct{}{}
	a.flying <- struct{}{}
	flight := make(chan struct{})
	w.mu.Lock()
	w.over = over
	g.flight = flight
	w.mu.Unlock()
	w.changed = true
	w.flights.Add(1)
	before, mine := w.last, newTurns(a)
	w.last = mine
	go func() {
		defer w.flights.Done()
		err := a.each(func(m *member) error {
			before.wait(m.place)
			defer close(mine[m.place])
			return a.writeColumn(n, w, g, &rows, over, m)
		})
		mine.end()
		a.landed(w, g, &rows, err)
		<-a.flying
		<-w.window
		close(flight)
	}()
	return nil
}

// turns keep the I/O of groups that follow each other in order on each member, so that
// its head need not move: a group's I/O there begins when that of the one before is done.
type turns []chan struct{} // by place

func newTurns(a *Array) turns {
	t := make(turns, a.geo.Members())
	for p := range t {
		t[p] = make(chan struct{})
	}
	return t
}

// wait waits for the turn on a member.
func (t turns) wait(place int) {
	if t != nil {
		<-t[place]
	}
}

// end gives up the turns on members that took no part.
func (t turns) end() {
	for _, done := range t {
		select {
		case <-done:
		default:
			close(done)
		}
	}
}

// landed ends a flight. A group that has only whole, written stripes is given up.
func (a *Array) landed(w *work, g *group, rows *[maxRows]bool, err error) {
	if err == nil {
		err = a.lost()
	}
	if err != nil {
		w.fmu.Lock()
		w.failed = err
		w.fmu.Unlock()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := false
	for r := range a.rows {
		if rows[r] {
			g.dirty[r] = false
		}
		keep = keep || g.dirty[r] || g.fill[r] >= 0 && g.fill[r] < a.geo.StripeBytes()
	}
	g.flight = nil
	if !keep && w.groups[g.first] == g {
		delete(w.groups, g.first)
		a.freeGroup(g)
	}
}

// writeColumn writes a member's units of the rows, what lies together in one go.
func (a *Array) writeColumn(n *node, w *work, g *group, rows *[maxRows]bool, over map[int64]int64, m *member) error {
	stride := int(unitStride(a.geo.Unit))
	for r := 0; r < a.rows; {
		size := a.stored(g, n.id, r, m.place)
		if !rows[r] || size == 0 {
			r++
			continue
		}
		slots, off := a.offsetOf(g.first+int64(r), placeOf(over, g.first+int64(r)))
		to, length := r+1, size
		for ; to < a.rows && rows[to] && length == (to-r)*stride; to++ {
			s, o := a.offsetOf(g.first+int64(to), placeOf(over, g.first+int64(to)))
			more := a.stored(g, n.id, to, m.place)
			if s != slots || o != off+int64((to-r)*stride) || more == 0 {
				break
			}
			length += more
		}
		at := (m.place*a.rows + r) * stride
		if err := w.writeAt(n, m, slots, g.buf[at:at+length], off); err != nil {
			return err
		}
		r = to
	}
	return nil
}

// stored is how many bytes, with the header, a member holds of a row; 0 if nothing.
func (a *Array) stored(g *group, id uint64, r, place int) int {
	if g.fill[r] <= 0 {
		return 0
	}
	if n := a.unitLen(a.geo.DataIndex(a.column(id, g.first+int64(r)), place), g.fill[r]); n > 0 {
		return unitHeader + int(n)
	}
	return 0
}

// wait waits for what is on its way and takes over its error. io is held.
func (w *work) wait() error {
	w.flights.Wait()
	w.fmu.Lock()
	defer w.fmu.Unlock()
	if w.err == nil {
		w.err = w.failed
	}
	return w.err
}

// flushAll writes everything of the file that is not on the members. io is held.
func (a *Array) flushAll(n *node, w *work) error {
	if w.small != nil && w.dirty {
		g := a.newGroup(0)
		g.fill[0], g.dirty[0] = int64(len(w.small)), true
		a.copyIn(g, n.id, 0, 0, w.small)
		if err := a.flushGroup(n, w, g, true); err != nil {
			return err
		}
		if err := w.wait(); err != nil {
			return err
		}
		a.freeGroup(g)
		w.dirty = false
	}
	if err := w.wait(); err != nil { // groups that land may be given up
		return err
	}
	w.mu.RLock()
	list := slices.Collect(maps.Values(w.groups))
	w.mu.RUnlock()
	for _, g := range list {
		if err := a.flushGroup(n, w, g, true); err != nil {
			return err
		}
	}
	return w.wait()
}

// dropClean gives up the groups, all of them written. io is held.
func (a *Array) dropClean(w *work) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for first, g := range w.groups {
		delete(w.groups, first)
		a.freeGroup(g)
	}
}

// sync makes a file's bytes and size durable: the units first, on all members, and only
// then the record that makes them the file's.
func (a *Array) sync(n *node, w *work) error {
	w.io.Lock()
	defer w.io.Unlock()
	if err := w.wait(); err != nil {
		return err
	}
	if err := a.flushAll(n, w); err != nil {
		return err
	}
	if !w.changed && n.size.Load() == n.logged {
		return a.flush()
	}
	err := a.each(func(m *member) error { return w.syncColumn(n, m) })
	if err == nil {
		err = a.lost()
	}
	if err != nil {
		w.err = err
		return err
	}
	a.mu.Lock()
	r := &record{kind: recCommit, id: n.id, size: n.size.Load(), time: n.mod.Load(), moves: moves(n.over, w.over)}
	err = a.recordLocked(r)
	n.logged, n.over = r.size, w.over // also of a file without names, which commit passes over
	a.mu.Unlock()
	if err == nil {
		err = a.flush()
	}
	if err != nil {
		w.err = err // what is durable is unknown, so no place is free to be written
		return err
	}
	w.changed, w.used = false, nil
	return nil
}

// moves lists what differs between two maps of places.
func moves(from, to map[int64]int64) (list []int64) {
	for s, slot := range to {
		if have, ok := from[s]; !ok || have != slot {
			list = append(list, s, slot)
		}
	}
	for s := range from {
		if _, ok := to[s]; !ok {
			list = append(list, s, home)
		}
	}
	return list
}

// syncColumn makes a member's units of a file durable, and their names.
func (w *work) syncColumn(n *node, m *member) error {
	c := &w.columns[m.place]
	c.mu.Lock()
	same, files, dirty, named := c.m == m, c.file, c.dirty, c.named
	c.mu.Unlock()
	if !same {
		return nil
	}
	for i, f := range files {
		if f != nil && dirty[i] {
			if err := f.Sync(); err != nil {
				return err
			}
		}
	}
	if named {
		if err := m.fs.SyncDir(unitDir(m.dir, n.id)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == m {
		c.dirty, c.named = [2]bool{}, false
	}
	return nil
}
