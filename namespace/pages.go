package namespace

const (
	pageBits = 10
	pageSize = 1 << pageBits // records
)

// page is a run of records; its size is a whole number of the allocator's pages.
type page[T any] struct {
	rec [pageSize]T
}

// pages is an array of records of fixed size, addressed by slot; slot 0 is never used.
// While snapshots are held the first change of a page copies it. A pointer from at is
// for reading only and is out of date after an edit of the same page.
type pages[T any] struct {
	list  []*page[T]
	made  []uint32 // by page: the epoch it was made in; from an earlier one snapshots may hold it
	epoch uint32
	held  int // snapshots
	next  uint32
	free  []uint32
}

func (p *pages[T]) at(i uint32) *T { return &p.list[i>>pageBits].rec[i&(pageSize-1)] }

func (p *pages[T]) edit(i uint32) *T {
	if p.made[i>>pageBits] != p.epoch {
		p.own(i >> pageBits)
	}
	return &p.list[i>>pageBits].rec[i&(pageSize-1)]
}

func (p *pages[T]) own(n uint32) {
	if p.held > 0 {
		c := new(page[T])
		*c = *p.list[n]
		p.list[n] = c
	}
	p.made[n] = p.epoch
}

// adopt appends pages that nobody else has.
func (p *pages[T]) adopt(list ...*page[T]) {
	p.list = append(p.list, list...)
	for range list {
		p.made = append(p.made, p.epoch)
	}
}

// alloc gives a slot whose record is zero.
func (p *pages[T]) alloc() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	if p.next == 0 {
		p.next = 1
	}
	i := p.next
	if i>>pageBits >= uint32(len(p.list)) {
		p.adopt(new(page[T]))
	}
	p.next++
	return i
}

// drop zeroes a record and takes its slot back.
func (p *pages[T]) drop(i uint32) {
	var zero T
	*p.edit(i) = zero
	p.free = append(p.free, i)
}

// freeze gives the pages as they are; thaw ends that.
func (p *pages[T]) freeze() pages[T] {
	p.epoch++
	p.held++
	return pages[T]{list: append([]*page[T](nil), p.list...), next: p.next}
}

func (p *pages[T]) thaw() { p.held-- }

// live is the number of records in use.
func (p *pages[T]) live() int { return max(int(p.next)-1, 0) - len(p.free) }

const (
	nameUnit  = 2 // bytes
	nameBits  = 15
	nameUnits = 1 << nameBits // in a page of 64 KiB
	maxName   = 8000          // bytes of one name, whatever Limits say
)

type namePage struct {
	b [nameUnits * nameUnit]byte
}

// arena holds the bytes of names. A name lies within one page; freed places are used
// again for names of the same number of units.
type arena struct {
	list  []*namePage
	made  []uint32 // as in pages
	epoch uint32
	held  int
	next  uint32 // first unit that was never used
	free  [maxName/nameUnit + 1][]uint32
	tails []span // ends of pages that a restore left
}

type span struct{ at, n uint32 } // in units

func units(n int) uint32 { return uint32(n+nameUnit-1) / nameUnit }

func (a *arena) get(ref uint32, n int) []byte {
	off := int(ref&(nameUnits-1)) * nameUnit
	return a.list[ref>>nameBits].b[off : off+n : off+n]
}

func (a *arena) place(n uint32) uint32 {
	if l := a.free[n]; len(l) > 0 {
		a.free[n] = l[:len(l)-1]
		return l[len(l)-1]
	}
	if k := len(a.tails); k > 0 {
		t := &a.tails[k-1]
		if t.n >= n {
			at := t.at
			t.at, t.n = t.at+n, t.n-n
			return at
		}
		a.tails = a.tails[:k-1]
	}
	if left := uint32(nameUnits) - a.next&(nameUnits-1); left < n {
		a.next += left
	}
	at := a.next
	a.next += n
	if at>>nameBits >= uint32(len(a.list)) {
		a.list, a.made = append(a.list, new(namePage)), append(a.made, a.epoch)
	}
	return at
}

// put stores a name and gives its place; the empty name has none.
func (a *arena) put(name string) uint32 {
	if name == "" {
		return 0
	}
	ref := a.place(units(len(name)))
	if k := ref >> nameBits; a.made[k] != a.epoch {
		if a.held > 0 {
			c := new(namePage)
			*c = *a.list[k]
			a.list[k] = c
		}
		a.made[k] = a.epoch
	}
	copy(a.list[ref>>nameBits].b[int(ref&(nameUnits-1))*nameUnit:], name)
	return ref
}

func (a *arena) remove(ref uint32, n int) {
	if n > 0 {
		u := units(n)
		a.free[u] = append(a.free[u], ref)
	}
}

func (a *arena) freeze() arena {
	a.epoch++
	a.held++
	return arena{list: append([]*namePage(nil), a.list...)}
}

func (a *arena) thaw() { a.held-- }

// idTable finds slots by ids that are handed out in sequence: a radix tree of pages that
// are made when an id in their range is set. Ids are below 1<<48.
type idTable struct{ top []*idMid }

const (
	idLeafBits = 12
	idMidBits  = 12
	maxID      = 1 << 48
)

type idMid struct {
	leaf [1 << idMidBits]*idLeaf
	used [1 << idMidBits]uint16 // slots set in a leaf
}

type idLeaf [1 << idLeafBits]uint32 // 16 KiB: one of the allocator's sizes

func (t *idTable) get(id uint64) uint32 {
	hi := id >> (idLeafBits + idMidBits)
	if hi >= uint64(len(t.top)) || t.top[hi] == nil {
		return 0
	}
	leaf := t.top[hi].leaf[id>>idLeafBits&(1<<idMidBits-1)]
	if leaf == nil {
		return 0
	}
	return leaf[id&(1<<idLeafBits-1)]
}

// set stores a slot, 0 to remove one.
func (t *idTable) set(id uint64, slot uint32) {
	hi := id >> (idLeafBits + idMidBits)
	for uint64(len(t.top)) <= hi {
		t.top = append(t.top, nil)
	}
	if t.top[hi] == nil {
		t.top[hi] = new(idMid)
	}
	mid, at := t.top[hi], id>>idLeafBits&(1<<idMidBits-1)
	if mid.leaf[at] == nil {
		mid.leaf[at] = new(idLeaf)
	}
	p := &mid.leaf[at][id&(1<<idLeafBits-1)]
	switch {
	case *p == 0 && slot != 0:
		mid.used[at]++
	case *p != 0 && slot == 0:
		mid.used[at]--
	}
	*p = slot
	if mid.used[at] == 0 {
		mid.leaf[at] = nil
	}
}

// count is how many ids have a slot.
func (t *idTable) count() (n int) {
	for _, mid := range t.top {
		if mid == nil {
			continue
		}
		for _, used := range mid.used {
			n += int(used)
		}
	}
	return n
}

const (
	segBits = 12
	minSeg  = 8
)

// nameTable finds inode slots by parent slot and name: open addressing in segments that
// grow one by one, by an eighth, so that no growth is ever felt. A slot holds 32 bits of the hash
// and the inode's slot. Within a segment entries stay in hash order along the probe.
type nameTable struct {
	seg [1 << segBits]segment
}

type segment struct {
	slot []uint64
	used int
}

func (g *segment) home(tag uint32) int { return int(uint64(tag) * uint64(len(g.slot)) >> 32) }

func (t *nameTable) insert(hash uint64, idx uint32) {
	g := &t.seg[hash>>(64-segBits)]
	if g.used*20 >= len(g.slot)*17 {
		g.resize(max(minSeg, len(g.slot)+len(g.slot)/8))
	}
	g.put(hash<<32 | uint64(idx))
	g.used++
}

func (g *segment) put(e uint64) {
	i := g.home(uint32(e >> 32))
	for g.slot[i] != 0 {
		if i++; i == len(g.slot) {
			i = 0
		}
	}
	g.slot[i] = e
}

func (g *segment) resize(n int) {
	old := g.slot
	g.slot = make([]uint64, n)
	for _, e := range old {
		if e != 0 {
			g.put(e)
		}
	}
}

// reserve makes room for n entries in the whole table.
func (t *nameTable) reserve(n int) {
	per := n >> segBits
	per += per/4 + minSeg
	for i := range t.seg {
		if len(t.seg[i].slot) < per {
			t.seg[i].resize(per)
		}
	}
}

func (t *nameTable) remove(hash uint64, idx uint32) {
	g := &t.seg[hash>>(64-segBits)]
	n := len(g.slot)
	want := hash<<32 | uint64(idx)
	i := g.home(uint32(hash))
	for g.slot[i] != want {
		if g.slot[i] == 0 {
			return
		}
		if i++; i == n {
			i = 0
		}
	}
	g.used--
	// Close the gap: move up every later entry of the run whose home is not past it.
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		e := g.slot[j]
		if e == 0 {
			break
		}
		h := g.home(uint32(e >> 32))
		if (j-h+n)%n >= (j-i+n)%n {
			g.slot[i], i = e, j
		}
	}
	g.slot[i] = 0
}

func (s *State) lookup(dir uint32, name string) uint32 {
	hash := hashName(s.seed, dir, name)
	g := &s.names.seg[hash>>(64-segBits)]
	n := len(g.slot)
	if n == 0 {
		return 0
	}
	tag := uint32(hash)
	for i := g.home(tag); ; {
		e := g.slot[i]
		if e == 0 {
			return 0
		}
		if uint32(e>>32) == tag {
			in := s.inodes.at(uint32(e))
			if in.parent == dir && int(in.nameLen()) == len(name) && string(s.arena.get(in.name, len(name))) == name {
				return uint32(e)
			}
		}
		if i++; i == n {
			i = 0
		}
	}
}

func (s *State) nameOf(in *inode) []byte {
	if in.nameLen() == 0 {
		return nil
	}
	return s.arena.get(in.name, in.nameLen())
}
