package namespace

import (
	"cmp"
	"slices"
)

const (
	dirSplit  = 4096 // children from which on a directory is kept in order
	runLength = 512  // children in one run of an ordered directory, at most
)

// childIndex tells the children of a directory: in no order while they are few, since a
// listing sorts them quickly, and else in runs that are sorted by name.
type childIndex struct {
	few   []uint32
	runs  [][]uint32
	order nameOrder // of the runs
	high  int       // names in the runs that are not ASCII
}

// dirTable holds the child index of each directory by slot. It is rebuilt on restore
// and no part of a snapshot.
type dirTable struct {
	list []childIndex
	free []uint32
}

func (t *dirTable) alloc() uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	t.list = append(t.list, childIndex{})
	return uint32(len(t.list) - 1)
}

func (t *dirTable) drop(i uint32) {
	t.list[i] = childIndex{}
	t.free = append(t.free, i)
}

// add takes a child in, whose name is set.
func (t *dirTable) add(s *State, dir, child uint32) {
	x := &t.list[dir]
	if x.runs == nil {
		if len(x.few) == cap(x.few) {
			// Grow by an eighth, rounded up to what the allocator gives.
			x.few = append(x.few, make([]uint32, len(x.few)/8+1)...)[:len(x.few)]
		}
		x.few = append(x.few, child)
		if len(x.few) >= dirSplit {
			x.split(s)
		}
		return
	}
	name := s.nameOf(s.inodes.at(child))
	if !ascii(name) {
		x.high++
	}
	r, at, _ := x.find(s, name)
	if run := x.runs[r]; len(run) == runLength {
		half := runLength / 2
		if at == runLength {
			half = runLength // names in order: leave full runs behind
		}
		x.runs = slices.Insert(x.runs, r+1, append(make([]uint32, 0, runLength), run[half:]...))
		x.runs[r] = run[:half]
		if at >= half {
			r, at = r+1, at-half
		}
	}
	x.runs[r] = slices.Insert(x.runs[r], at, child)
}

// split turns an unordered directory into runs.
func (x *childIndex) split(s *State) {
	x.high = 0
	for _, c := range x.few {
		if !ascii(s.nameOf(s.inodes.at(c))) {
			x.high++
		}
	}
	s.sortChildren(x.few, x.order)
	for c := range slices.Chunk(x.few, runLength) {
		x.runs = append(x.runs, append(make([]uint32, 0, runLength), c...))
	}
	x.few = nil
}

// reorder sorts runs in another order; where all names are ASCII there is nothing to do.
func (x *childIndex) reorder(s *State, order nameOrder) {
	if x.order == order {
		return
	}
	x.order = order
	if x.high > 0 {
		x.few = slices.Concat(x.runs...)
		x.runs = nil
		x.split(s)
	}
}

// find gives the run and place of the first child whose name is not below name.
func (x *childIndex) find(s *State, name []byte) (run, at int, found bool) {
	byName := func(child uint32, name []byte) int {
		return x.order.compare(s.nameOf(s.inodes.at(child)), name)
	}
	run, _ = slices.BinarySearchFunc(x.runs, name, func(r []uint32, name []byte) int {
		if byName(r[0], name) <= 0 {
			return -1
		}
		return 1
	})
	run = max(run-1, 0)
	at, found = slices.BinarySearchFunc(x.runs[run], name, byName)
	return run, at, found
}

// place finds a slot in a list that has it, four at a time: this is most of what a delete in
// a directory of some hundred children costs, and a loop of one at a time is twice as slow where the linker puts it badly.
func place(list []uint32, slot uint32) int {
	i := 0
	for ; i+4 <= len(list); i += 4 {
		if q := list[i : i+4 : i+4]; q[0] == slot || q[1] == slot || q[2] == slot || q[3] == slot {
			break
		}
	}
	for list[i] != slot {
		i++
	}
	return i
}

// remove takes a child out while it still has its name.
func (t *dirTable) remove(s *State, dir, child uint32) {
	x := &t.list[dir]
	if x.runs == nil {
		i := place(x.few, child)
		last := len(x.few) - 1
		x.few[i] = x.few[last]
		x.few = x.few[:last]
		if cap(x.few) > 64 && len(x.few) < cap(x.few)/4 {
			x.few = slices.Clone(x.few)
		}
		return
	}
	name := s.nameOf(s.inodes.at(child))
	if !ascii(name) {
		x.high--
	}
	r, at, _ := x.find(s, name)
	x.runs[r] = slices.Delete(x.runs[r], at, at+1)
	if len(x.runs[r]) == 0 {
		x.runs = slices.Delete(x.runs, r, r+1)
	}
	if len(x.runs) == 0 {
		*x = childIndex{}
	}
}

// reapable appends to dst the first children of a deleted directory, bytewise, at most n.
func (t *dirTable) reapable(s *State, dst []uint32, dir uint32, n int) []uint32 {
	x := &t.list[dir]
	if x.runs == nil {
		dst = append(dst, x.few...)
		s.sortChildren(dst, bytewise)
		return dst[:min(n, len(dst))]
	}
	x.reorder(s, bytewise)
	dst, _ = t.page(s, dst, dir, "", n)
	return dst
}

// page appends to dst the children with names after the given one, in order, at most n.
// rest is how many more there are.
func (t *dirTable) page(s *State, dst []uint32, dir uint32, after string, n int) (page []uint32, rest int) {
	x := &t.list[dir]
	if x.runs == nil {
		start := len(dst)
		for _, c := range x.few {
			if after == "" || listed.compare(s.nameOf(s.inodes.at(c)), []byte(after)) > 0 {
				dst = append(dst, c)
			}
		}
		s.sortChildren(dst[start:], listed)
		rest = max(len(dst)-start-n, 0)
		return dst[:len(dst)-rest], rest
	}
	r, at := 0, 0
	if after != "" {
		var found bool
		if r, at, found = x.find(s, []byte(after)); found {
			at++
		}
	}
	for ; r < len(x.runs); r, at = r+1, 0 {
		left := x.runs[r][at:]
		take := min(n, len(left))
		dst = append(dst, left[:take]...)
		n -= take
		rest += len(left) - take
	}
	return dst, rest
}

// each calls fn with every child, in no order, until it returns false.
func (t *dirTable) each(dir uint32, fn func(child uint32) bool) bool {
	x := &t.list[dir]
	for _, c := range x.few {
		if !fn(c) {
			return false
		}
	}
	for _, run := range x.runs {
		for _, c := range run {
			if !fn(c) {
				return false
			}
		}
	}
	return true
}

// sortChildren sorts siblings by name. Most comparisons are of eight bytes after the
// names' common beginning, side by side in memory.
func (s *State) sortChildren(kids []uint32, order nameOrder) {
	if len(kids) < 2 {
		return
	}
	first := s.nameOf(s.inodes.at(kids[0]))
	common := len(first)
	for _, k := range kids[1:] {
		name := s.nameOf(s.inodes.at(k))
		common = min(common, len(name))
		for i := range common {
			if name[i] != first[i] {
				common = i
				break
			}
		}
	}
	type keyed struct {
		key  uint64
		slot uint32
	}
	keys := make([]keyed, len(kids))
	for i, k := range kids {
		keys[i] = keyed{order.key(s.nameOf(s.inodes.at(k))[common:]), k}
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return order.compare(s.nameOf(s.inodes.at(a.slot)), s.nameOf(s.inodes.at(b.slot)))
	})
	for i := range keys {
		kids[i] = keys[i].slot
	}
}
