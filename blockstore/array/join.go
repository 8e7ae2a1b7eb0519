package array

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"

	"redoubt/vfs"
)

// ReplaceWith is Replace by a directory on a file system of its own.
func (a *Array) ReplaceWith(old string, next Member) error {
	next.Dir = path.Clean(next.Dir)
	f := a.cfg.fsOf(next)
	if next.Dir == "." || f == nil {
		return fmt.Errorf("array: no directory, or no file system for %q", next.Dir)
	}
	var place *member
	for _, m := range a.members() {
		if m.dir == path.Clean(old) || m.dir == old {
			place = m
		} else if m.fs == f && nested(m.dir, next.Dir) != apart {
			return fmt.Errorf("array: %s is, or lies in, or holds the member %s", next.Dir, m.dir)
		}
	}
	if place == nil {
		return fmt.Errorf("array: %s is no member of this array", old)
	}
	if place.fs == f && nested(place.dir, next.Dir) == oneInside {
		return fmt.Errorf("array: %s and %s lie in one another", place.dir, next.Dir)
	}
	for _, m := range a.members() {
		if m != place && !m.is(Active) {
			return fmt.Errorf("array: %s can't be replaced while %s is %v", old, m.dir, State(m.state.Load()))
		}
	}
	return a.join(place, next, f)
}

// join gives a member's place to another directory. The old one, if it still worked, is
// out of the array from then on.
func (a *Array) join(old *member, next Member, f vfs.FS) error {
	x := look(f, next, false)
	switch {
	case x.err != nil:
		return fmt.Errorf("array: %s: %w", next.Dir, x.err)
	case x.super != nil:
		return fmt.Errorf("array: %s belongs to array %v already; empty it first", next.Dir, x.super.array)
	}
	m := &member{place: old.place, dir: next.Dir, fs: f}
	rand.Read(m.id[:])
	m.state.Store(uint32(Rebuilding))
	m.joining.Store(true)
	err := m.prepare()
	if err == nil {
		err = a.fits(m)
	}
	if err == nil {
		err = a.seatNew(old, m)
	}
	if err != nil {
		m.close()
		return fmt.Errorf("array: %s can't take the place of %s: %w", next.Dir, old.dir, err)
	}
	a.rebuild.start(m)
	return nil
}

// fits refuses a directory that is smaller than what the members are charged for.
func (a *Array) fits(m *member) error {
	u, err := m.fs.Usage(m.dir)
	if err != nil {
		return err
	}
	most := a.memberBytes(nil)
	if u.Free < most {
		return fmt.Errorf("it is too small: %d bytes free, a member holds %d", u.Free, most)
	}
	return nil
}

// memberBytes is what a member holds of all files, about; each, if set, is told each id.
func (a *Array) memberBytes(each func(id uint64)) (bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, n := range a.tree.files {
		size := n.size.Load()
		bytes += size / a.geo.StripeBytes() * unitStride(a.geo.Unit)
		if rest := a.unitLen(-1, size%a.geo.StripeBytes()); rest > 0 {
			bytes += unitHeader + rest
		}
		if each != nil {
			each(id)
		}
	}
	return bytes
}

// seatNew makes a member part of the array. Until it has a log and a superblock nothing
// is changed for the others. From the moment that it takes part in writes instead of the
// old one nothing is acknowledged before all superblocks say so.
func (a *Array) seatNew(old, m *member) error {
	a.change.Lock()
	defer a.change.Unlock()
	if err := a.settle(); err != nil {
		return err
	}
	before := a.members()
	if before[m.place] != old {
		return errors.New("its place was taken meanwhile")
	}
	set := slices.Clone(before)
	set[m.place] = m
	a.gen++ // one that the others will not have
	a.mu.Lock()
	b := a.tree.checkpoint(a.id, a.seq, a.gen)
	a.mu.Unlock()
	if err := m.beginLog(a.gen, b); err != nil {
		return err
	}
	a.events++
	if err := writeSuper(m.fs, m.dir, a.superOf(m, a.table(set))); err != nil {
		return err
	}
	a.mu.Lock()
	m.first.Store(a.tree.nextID)
	a.set.Store(&set)
	a.unsettled.Store(true)
	a.mu.Unlock()
	if err := a.settle(); err != nil {
		return err
	}
	old.close()
	return a.checkpoint()
}
