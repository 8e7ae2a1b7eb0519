package array

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"redoubt/raid"
	"redoubt/vfs"
)

// defaultCheckpoint is after how many bytes of log a checkpoint is due at the earliest.
const defaultCheckpoint = 4 << 20

// eventsOfStart is by how much a start that finds a member gone raises the count of
// events: more than a process can raise it while its members fail one by one.
const eventsOfStart = 1000

// Open opens an array, or makes a fresh one if all its directories are missing or empty.
// It goes on with a rebuild that was under way. With one member missing, stale or
// damaged it opens degraded; with more than one, or with a directory that belongs to
// another array, it fails, names the directory, and changes nothing.
func Open(c Config) (*Array, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &Array{cfg: c, flying: make(chan struct{}, allFlights), journal: journal{checkpointAfter: defaultCheckpoint},
		names: names{tree: newTree(), unsynced: map[*node]bool{}, locks: map[string]bool{}}}
	a.rebuild.init(a)
	err := a.open()
	if err != nil {
		if a.set.Load() != nil {
			a.closeMembers()
		}
		return nil, err
	}
	a.rebuild.resume()
	return a, nil
}

func (a *Array) open() error {
	finds := a.lookAll()
	var supers []*super
	fresh := true
	for _, x := range finds {
		if x.super == nil {
			continue
		}
		supers = append(supers, x.super)
		fresh = fresh && x.super.events == 0
	}
	if fresh {
		return a.format(finds)
	}
	if err := checkSame(finds, len(a.cfg.Members)); err != nil {
		return err
	}
	best, err := elect(supers)
	if err != nil {
		// Perhaps a directory decides it that only the others know of.
		return fmt.Errorf("array: %w%s", err, reasons(finds))
	}
	if a.cfg.Unit != 0 && a.cfg.Unit != best.unit {
		return fmt.Errorf("array: the array's unit is %d bytes, not %d", best.unit, a.cfg.Unit)
	}
	a.id, a.events = best.array, best.events
	a.setGeometry(len(best.table), best.unit)
	if err := a.seatMembers(best, finds); err != nil {
		return err
	}
	return a.mount()
}

func (a *Array) setGeometry(n int, unit int64) {
	a.geo = raid.Geometry{Data: n - 1, Unit: unit}
	a.rows = int(max(1, min(maxRows, (1<<20)/(int64(n)*unit))))
	a.smallMax = min(smallFile, a.geo.StripeBytes()/2)
	size := int64(n) * int64(a.rows) * unitStride(unit)
	a.pool.New = func() any { return &group{buf: make([]byte, size)} }
}

// lookAll looks at all directories of the configuration.
func (a *Array) lookAll() []*found {
	finds := make([]*found, 0, len(a.cfg.Members)+len(a.cfg.Spares))
	for _, m := range a.cfg.Members {
		finds = append(finds, look(a.cfg.fsOf(m), m, false))
	}
	for _, m := range a.cfg.Spares {
		finds = append(finds, look(a.cfg.fsOf(m), m, true))
	}
	return finds
}

// checkSame refuses directories of different arrays, and of arrays of another size.
func checkSame(finds []*found, members int) error {
	var first *found
	for _, x := range finds {
		switch {
		case x.super == nil:
		case first == nil:
			first = x
		case x.super.array != first.super.array:
			return fmt.Errorf("array: %s belongs to array %v, %s to array %v", first.Dir, first.super.array, x.Dir, x.super.array)
		}
		if x.super != nil && len(x.super.table) != members {
			return fmt.Errorf("array: %s belongs to an array of %d members, %d are given", x.Dir, len(x.super.table), members)
		}
		for _, y := range finds {
			if x != y && x.super != nil && y.super != nil && x.super.self == y.super.self {
				return fmt.Errorf("array: %s and %s are the same member twice: one is a copy", x.Dir, y.Dir)
			}
		}
	}
	return nil
}

// format makes a fresh array, or goes on with one that a crash left half made: nobody
// has used that one, its superblocks still count no events.
func (a *Array) format(finds []*found) error {
	var errs []error
	for _, x := range finds {
		if x.err != nil && !x.spare {
			errs = append(errs, fmt.Errorf("array: %s: %w", x.Dir, x.err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	unit := a.cfg.Unit
	if unit == 0 {
		unit = raid.DefaultUnit
	}
	rand.Read(a.id[:]) // never fails
	a.setGeometry(len(a.cfg.Members), unit)
	var set []*member
	for i, x := range finds {
		if x.spare {
			a.takeAsSpare(x)
			continue
		}
		m := &member{place: i, dir: x.Dir, fs: x.fs}
		rand.Read(m.id[:])
		m.state.Store(uint32(Active))
		set = append(set, m)
	}
	a.set.Store(&set)
	for _, m := range set {
		if err := m.prepare(); err != nil {
			return fmt.Errorf("array: %s: %w", m.dir, err)
		}
	}
	table := a.table(set)
	for _, m := range set {
		if err := writeSuper(m.fs, m.dir, a.superOf(m, table)); err != nil {
			return fmt.Errorf("array: %s: %w", m.dir, err)
		}
	}
	for _, m := range set {
		_, top, err := readLog(m.fs, m.dir, a.id)
		if err != nil && top == 0 {
			continue // none there, as it should be
		}
		a.gen = max(a.gen, top)
	}
	a.change.Lock()
	defer a.change.Unlock()
	if err := a.checkpoint(); err != nil {
		return err
	}
	if err := a.publishSupers(1); err != nil {
		return err
	}
	a.makeBallast()
	return a.settle()
}

// prepare makes and locks a member's directory.
func (m *member) prepare() (err error) {
	if err := m.fs.MkdirAll(m.dir); err != nil {
		return err
	}
	if _, err := m.fs.Protect(m.dir); err != nil {
		return err
	}
	if m.lock, err = m.fs.Lock(path.Join(m.dir, lockFile)); err != nil {
		return err
	}
	for _, d := range []string{metaDir, objectDir} {
		if err := m.fs.MkdirAll(path.Join(m.dir, d)); err != nil {
			return err
		}
	}
	if err := vfs.SweepTemp(m.fs, m.dir, superFile); err != nil {
		return err
	}
	// A process that was killed may have left names that are there and not durable.
	return m.fs.SyncDir(m.dir)
}

// seatMembers puts what was found into the places that the elected superblock names.
func (a *Array) seatMembers(best *super, finds []*found) error {
	byID := map[ident]*found{}
	listed := map[string]bool{}
	for _, x := range finds {
		listed[x.Dir] = true
		if x.super != nil {
			byID[x.super.self] = x
		}
	}
	var set []*member
	for p, t := range best.table {
		m := &member{place: p, id: t.id, dir: t.dir}
		m.state.Store(uint32(t.state))
		m.first.Store(t.first)
		m.done.Store(t.done)
		x := byID[t.id]
		if x == nil && !listed[t.dir] && a.cfg.FS != nil && t.state != Failed {
			if y := look(a.cfg.FS, Member{Dir: t.dir}, false); y.super != nil && y.super.self == t.id {
				x = y // put in by Replace; the configuration still has the old one
			}
		}
		delete(byID, t.id)
		if err := a.take(m, x, finds); err != nil {
			return err
		}
		set = append(set, m)
	}
	a.set.Store(&set)
	for _, x := range byID {
		a.event(Event{Kind: MemberStale, Dir: x.Dir, Err: errors.New("another directory has its place")})
	}
	for _, x := range finds {
		a.takeAsSpare(x)
	}
	if err := a.lost(); err != nil {
		if n := a.count(Active); n < len(set)-1 {
			return fmt.Errorf("%w%s", err, reasons(finds))
		}
	}
	return nil
}

// takeAsSpare keeps an empty directory for later.
func (a *Array) takeAsSpare(x *found) {
	switch {
	case x.spare && x.empty:
		a.spares = append(a.spares, x)
	case x.spare && x.err != nil:
		a.event(Event{Kind: SpareRefused, Dir: x.Dir, Err: x.err})
	}
}

// take makes a member of what was found for its place.
func (a *Array) take(m *member, x *found, finds []*found) error {
	if m.is(Failed) {
		if x != nil {
			m.err = errors.New("it is stale: it has failed earlier, and the others have gone on without it")
			a.event(Event{Kind: MemberStale, Dir: x.Dir, Err: m.err})
		}
		return nil
	}
	if x == nil {
		m.err = fmt.Errorf("%s is missing", m.dir)
		for _, y := range finds {
			if y.Dir == m.dir && y.err != nil {
				m.err = y.err
			}
		}
		m.state.Store(uint32(Failed))
		a.unsettled.Store(true)
		a.event(Event{Kind: MemberMissing, Dir: m.dir, Err: m.err})
		return nil
	}
	if x.super.place != m.place {
		return fmt.Errorf("array: the superblock of %s says place %d, those of the others say %d", x.Dir, x.super.place, m.place)
	}
	if x.Dir != m.dir {
		a.event(Event{Kind: MemberMoved, Dir: x.Dir, Err: fmt.Errorf("it was %s", m.dir)})
		a.unsettled.Store(true)
	}
	m.dir, m.fs = x.Dir, x.fs
	return nil
}

func (a *Array) count(s State) (n int) {
	for _, m := range a.members() {
		if m.is(s) {
			n++
		}
	}
	return n
}

// reasons lists what is wrong with directories that are no members, for an error.
func reasons(finds []*found) string {
	var b strings.Builder
	for _, x := range finds {
		switch {
		case x.err != nil:
			fmt.Fprintf(&b, "; %s: %v", x.Dir, x.err)
		case x.empty && !x.spare:
			fmt.Fprintf(&b, "; %s is missing or empty", x.Dir)
		}
	}
	return b.String()
}

// mount reads the logs, makes all of them the same, and removes what nothing refers to.
func (a *Array) mount() error {
	for _, m := range a.members() {
		if !m.writable() {
			continue
		}
		if err := m.prepare(); err != nil {
			if errors.Is(err, vfs.ErrLocked) {
				return fmt.Errorf("array: %s: %w", m.dir, err)
			}
			if err := a.fail(m, err); err != nil {
				return err
			}
		}
	}
	if err := a.readLogs(); err != nil {
		return err
	}
	a.change.Lock()
	defer a.change.Unlock()
	if a.unsettled.Load() {
		if a.count(Active) < a.geo.Members()-1 {
			return a.lost()
		}
		a.events += eventsOfStart
	}
	if err := a.settle(); err != nil {
		return err
	}
	if err := a.checkpoint(); err != nil {
		return err
	}
	_ = a.each(a.removeOrphans) // a full device is no obstacle to removing
	a.makeBallast()
	return a.settle()
}

// readLogs takes the tree from the member that knows most. One that knows nothing, or
// whose log is damaged, has failed.
func (a *Array) readLogs() error {
	type answer struct {
		h   *history
		top uint64
		err error
	}
	set := a.members()
	answers := make([]answer, len(set))
	var wg sync.WaitGroup
	for i, m := range set {
		if m.writable() {
			wg.Go(func() {
				x := &answers[i]
				x.h, x.top, x.err = readLog(m.fs, m.dir, a.id)
			})
		}
	}
	wg.Wait()
	var best *history
	for i, x := range answers {
		a.gen = max(a.gen, x.top)
		if !set[i].is(Active) {
			continue
		}
		if x.err != nil {
			if err := a.fail(set[i], x.err); err != nil {
				return err
			}
		}
		if x.h != nil && (best == nil || x.h.seq > best.seq) {
			best = x.h
		}
	}
	if best == nil {
		return fmt.Errorf("%w: no member has a log: %w", ErrLost, errors.Join(a.lost()))
	}
	t, err := best.replay()
	if err != nil {
		return err
	}
	a.tree, a.seq = t, best.seq
	return nil
}

// removeOrphans makes the names of units durable and removes those of files that are not in the tree: never made
// durable, or removed shortly before the end.
func (a *Array) removeOrphans(m *member) error {
	dirs, err := m.fs.ReadDir(path.Join(m.dir, objectDir))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		dir := path.Join(m.dir, objectDir, d.Name)
		entries, err := m.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		left := len(entries)
		for _, e := range entries {
			id, err := strconv.ParseUint(strings.TrimSuffix(e.Name, ".s"), 16, 64)
			if err != nil || a.tree.files[id] != nil {
				continue
			}
			if err := m.fs.Remove(path.Join(dir, e.Name)); err != nil {
				return err
			}
			left--
		}
		if left == 0 {
			err = m.fs.Remove(dir)
		} else {
			err = m.fs.SyncDir(dir) // see prepare
		}
		if err != nil {
			return err
		}
	}
	return m.fs.SyncDir(path.Join(m.dir, objectDir))
}
