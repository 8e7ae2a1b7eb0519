package blockmanager

import "redoubt/dfs"

// slot is one replica of a block: the number of its volume and what is known about it.
// The zero slot is empty.
type slot uint32

const (
	slotStorage slot = 1<<22 - 1 // index into Manager.storages, plus 1
	slotEpoch   slot = 1 << 22   // equal to the volume's epoch: seen by its latest report
	slotCorrupt slot = 1 << 23   // damaged or stale; Manager.corrupt says more
	slotExcess  slot = 1 << 24   // chosen for removal
	slotSent    slot = 1 << 25   // its removal has been ordered
)

const maxStorages = int(slotStorage) - 1

// record is all there is about a block, 20 bytes. Replicas beyond the third are in a
// chain of extras; the chain is there only while the inline slots are full.
type record struct {
	slots [3]slot
	next  uint32 // first extra, plus 1
	flags uint32
}

const (
	flagLevel   uint32 = 7      // repair queue, plus 1
	flagUsed    uint32 = 1 << 3 // the record counts for its page
	flagSafe    uint32 = 1 << 4 // counted in Manager.safe
	flagOpen    uint32 = 1 << 5 // Manager.open has an entry
	flagRepair  uint32 = 1 << 6 // Manager.repairs has an entry
	flagCorrupt uint32 = 1 << 7 // Manager.corrupt has an entry
	flagLonely  uint32 = 1 << 8 // missing, and of replication 1
	flagQueued  uint32 = 1 << 9 // and three bits above: in the ring of level 0, 1, ...

	flagGroup    uint32 = 1 << 16 // of a parity group
	flagAside    uint32 = 1 << 17 // of no file: a departed member or a parity
	flagParity   uint32 = 1 << 18 // a parity
	flagWaiting  uint32 = 1 << 19 // in a queue of candidates, or in a plan made of them
	flagHosted   uint32 = 1 << 20 // Manager.flights has an entry
	flagDegraded uint32 = 1 << 21 // no replica, but it can be made again
	flagLost     uint32 = 1 << 22 // of a group, no replica, and it can't be made again
	flagStuck    uint32 = 1 << 23 // there is no node that it could go to
	flagStirred  uint32 = 1 << 24 // of a parity: in Manager.stirred
	flagShort    uint32 = 1 << 25 // of a parity: in a node's list of groups with room

	kindFlags = flagGroup | flagAside | flagParity
)

// extra holds further replicas of a record.
type extra struct {
	slots [3]slot
	next  uint32
}

const (
	pageBits  = 8
	pageSize  = 1 << pageBits
	extraBits = 10
)

// page holds the records of consecutive ids. It has no pointers, so the garbage collector
// does not look into it.
type page struct {
	records [pageSize]record
	used    int
}

// table finds records by block id: ids are handed out in sequence, so a list of pages is
// enough. Only ids that the namespace knows get in.
type table struct {
	pages   []*page
	extras  [][]extra
	free    uint32 // free extras, plus 1
	nExtras uint32
	used    int64 // records in use
}

// get gives the record of a block, nil if there is none.
func (t *table) get(id dfs.BlockID) *record {
	i := uint64(id - dfs.FirstBlockID) // huge for smaller ids
	n := i >> pageBits
	if n >= uint64(len(t.pages)) || t.pages[n] == nil {
		return nil
	}
	r := &t.pages[n].records[i&(pageSize-1)]
	if r.flags&flagUsed == 0 {
		return nil
	}
	return r
}

// make gives the record of a block and makes it if there is none. The id is not below
// dfs.FirstBlockID.
func (t *table) make(id dfs.BlockID) *record {
	i := uint64(id - dfs.FirstBlockID)
	n := i >> pageBits
	for uint64(len(t.pages)) <= n {
		t.pages = append(t.pages, nil)
	}
	if t.pages[n] == nil {
		t.pages[n] = new(page)
	}
	p := t.pages[n]
	r := &p.records[i&(pageSize-1)]
	if r.flags&flagUsed == 0 {
		r.flags = flagUsed
		p.used++
		t.used++
	}
	return r
}

// drop gives a record back, its chain included.
func (t *table) drop(id dfs.BlockID) {
	r := t.get(id)
	if r == nil {
		return
	}
	for r.next != 0 {
		t.freeHead(r)
	}
	*r = record{}
	n := uint64(id-dfs.FirstBlockID) >> pageBits
	t.used--
	p := t.pages[n]
	if p.used--; p.used == 0 {
		t.pages[n] = nil
	}
}

// tidy drops a record that says nothing any more.
func (t *table) tidy(id dfs.BlockID, r *record) {
	if r.slots[0] == 0 && r.flags == flagUsed {
		t.drop(id)
	}
}

func (t *table) extra(n uint32) *extra { n--; return &t.extras[n>>extraBits][n&(1<<extraBits-1)] }

// find gives the slot of a volume, nil if there is none.
func (t *table) find(r *record, storage slot) *slot {
	if r == nil {
		return nil
	}
	for i := range r.slots {
		if r.slots[i]&slotStorage == storage {
			return &r.slots[i]
		}
	}
	for n := r.next; n != 0; {
		e := t.extra(n)
		for i := range e.slots {
			if e.slots[i]&slotStorage == storage {
				return &e.slots[i]
			}
		}
		n = e.next
	}
	return nil
}

// add appends a slot; its volume has none yet.
func (t *table) add(r *record, s slot) {
	for i := range r.slots {
		if r.slots[i] == 0 {
			r.slots[i] = s
			return
		}
	}
	if r.next != 0 {
		e := t.extra(r.next)
		for i := range e.slots {
			if e.slots[i] == 0 {
				e.slots[i] = s
				return
			}
		}
	}
	n := t.newExtra()
	*t.extra(n) = extra{slots: [3]slot{s}, next: r.next}
	r.next = n
}

func (t *table) newExtra() uint32 {
	if n := t.free; n != 0 {
		t.free = t.extra(n).next
		return n
	}
	if int(t.nExtras>>extraBits) == len(t.extras) {
		t.extras = append(t.extras, make([]extra, 1<<extraBits))
	}
	t.nExtras++
	return t.nExtras
}

func (t *table) freeHead(r *record) {
	n := r.next
	e := t.extra(n)
	r.next = e.next
	*e = extra{next: t.free}
	t.free = n
}

// remove takes a slot out; the last one moves to its place.
func (t *table) remove(r *record, s *slot) {
	slots := &r.slots
	if r.next != 0 {
		slots = &t.extra(r.next).slots
	}
	last := len(slots) - 1
	for slots[last] == 0 {
		last--
	}
	*s = slots[last]
	slots[last] = 0
	if r.next != 0 && last == 0 {
		t.freeHead(r)
	}
}

// all appends a record's slots to dst.
func (t *table) all(dst []slot, r *record) []slot {
	if r == nil {
		return dst
	}
	for _, s := range r.slots {
		if s != 0 {
			dst = append(dst, s)
		}
	}
	for n := r.next; n != 0; {
		e := t.extra(n)
		for _, s := range e.slots {
			if s != 0 {
				dst = append(dst, s)
			}
		}
		n = e.next
	}
	return dst
}
