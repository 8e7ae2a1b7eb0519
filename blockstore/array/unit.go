package array

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"syscall"

	"redoubt/raid"
)

// A unit is stored behind a header, one after the other in a file for each array file
// and member: at home, stripe s at s strides, or in slots of a second file.
//
//	 0  4  CRC32C of the unit's bytes
//	 4  4  bytes of data in the whole stripe; tells how long each of its units is
//	 8  8  stamp: the same in all units of one writing of the stripe, higher in the next
//	16  8  the file's id
//	24  4  the stripe, its low 32 bits
//	28  4  CRC32C over the array's id, the member's place, and bytes 0 to 27
//	32     the unit
const unitHeader = 32

func unitStride(unit int64) int64 { return unitHeader + unit }

// unitLen is how long unit index of a stripe with fill bytes of data is; parity, index
// -1, is as long as the first.
func (a *Array) unitLen(index int, fill int64) int64 {
	return max(0, min(a.geo.Unit, fill-int64(max(0, index))*a.geo.Unit))
}

func (a *Array) sumHeader(h []byte, place int) uint32 {
	crc := crc32.Update(0, castagnoli, a.id[:])
	crc = crc32.Update(crc, castagnoli, []byte{byte(place)})
	return crc32.Update(crc, castagnoli, h[:28])
}

func (a *Array) putHeader(h []byte, place int, crc uint32, fill int64, stamp, id uint64, stripe int64) {
	binary.LittleEndian.PutUint32(h, crc)
	binary.LittleEndian.PutUint32(h[4:], uint32(fill))
	binary.LittleEndian.PutUint64(h[8:], stamp)
	binary.LittleEndian.PutUint64(h[16:], id)
	binary.LittleEndian.PutUint32(h[24:], uint32(stripe))
	binary.LittleEndian.PutUint32(h[28:], a.sumHeader(h, place))
}

// unitInfo is what a unit's header says.
type unitInfo struct {
	crc   uint32
	fill  int64
	stamp uint64
	state unitState
}

type unitState uint8

const (
	unitUnread unitState = iota // not asked for, or its member is not there
	unitGood
	unitBad // can't be read, or is not what it should be
)

// checkHeader reads a header; got is how many bytes of header and unit were read.
func (a *Array) checkHeader(h []byte, got int64, place int, id uint64, stripe int64) unitInfo {
	if got < unitHeader || binary.LittleEndian.Uint32(h[28:]) != a.sumHeader(h, place) ||
		binary.LittleEndian.Uint64(h[16:]) != id || binary.LittleEndian.Uint32(h[24:]) != uint32(stripe) {
		return unitInfo{state: unitBad}
	}
	u := unitInfo{crc: binary.LittleEndian.Uint32(h), fill: int64(binary.LittleEndian.Uint32(h[4:])),
		stamp: binary.LittleEndian.Uint64(h[8:]), state: unitGood}
	if u.fill > a.geo.StripeBytes() {
		u.state = unitBad
	}
	return u
}

// column is where a stripe's units of a file are: the layout is turned by the file's id,
// so that small files don't all lie on the same members.
func (a *Array) column(id uint64, stripe int64) int64 {
	return stripe + int64(id%uint64(a.geo.Members()))
}

const maxRows = 8

// group is a buffer of a few stripes that follow each other, laid out as on the members:
// one run of units with their headers for each.
type group struct {
	first int64 // stripe
	buf   []byte
	fill  [maxRows]int64 // bytes of the stripe that are here; -1: it is not here
	dirty [maxRows]bool
	// flight is open while the group is being written; nothing in it may be changed then.
	flight chan struct{}
}

func (a *Array) newGroup(first int64) *group {
	g := a.pool.Get().(*group)
	g.first, g.flight = first, nil
	for r := range g.fill {
		g.fill[r], g.dirty[r] = -1, false
	}
	return g
}

func (a *Array) freeGroup(g *group) { a.pool.Put(g) }

// unit gives header and unit of member in row r.
func (a *Array) unit(g *group, r, place int) []byte {
	stride := int(unitStride(a.geo.Unit))
	at := (place*a.rows + r) * stride
	return g.buf[at : at+stride]
}

// data gives data unit index of row r.
func (a *Array) data(g *group, id uint64, r, index int) []byte {
	return a.unit(g, r, a.geo.DataMember(a.column(id, g.first+int64(r)), index))[unitHeader:]
}

// copyIn and copyOut move bytes between p and row r from offset in on.
func (a *Array) copyIn(g *group, id uint64, r int, in int64, p []byte) {
	for len(p) > 0 {
		n := copy(a.data(g, id, r, int(in/a.geo.Unit))[in%a.geo.Unit:], p)
		p, in = p[n:], in+int64(n)
	}
}

func (a *Array) copyOut(g *group, id uint64, r int, in int64, p []byte) {
	for len(p) > 0 {
		n := copy(p, a.data(g, id, r, int(in/a.geo.Unit))[in%a.geo.Unit:])
		p, in = p[n:], in+int64(n)
	}
}

// encode makes parity and headers of row r.
func (a *Array) encode(g *group, id uint64, r int) error {
	stripe := g.first + int64(r)
	col := a.column(id, stripe)
	var list [raid.MaxData][]byte
	members := list[:0]
	fill := g.fill[r]
	stamp := a.stamp.Add(1)
	for i := range a.geo.Data {
		if n := a.unitLen(i, fill); n > 0 {
			place := a.geo.DataMember(col, i)
			u := a.unit(g, r, place)
			data := u[unitHeader : unitHeader+n]
			a.putHeader(u, place, crc32.Checksum(data, castagnoli), fill, stamp, id, stripe)
			members = append(members, data)
		}
	}
	place := a.geo.ParityMember(col)
	u := a.unit(g, r, place)
	parity := u[unitHeader : unitHeader+a.unitLen(-1, fill)]
	if err := raid.Encode(parity, members...); err != nil {
		return err
	}
	a.putHeader(u, place, crc32.Checksum(parity, castagnoli), fill, stamp, id, stripe)
	return nil
}

// rowInfo is what was found of a row's units, by place.
type rowInfo struct {
	units [MaxMembers]unitInfo
	stamp uint64 // of the row's newest units
	fill  int64
	err   error // what the row lacks; nil if it is right now
}

// judge compares the units of row r that were read, after their headers were looked at:
// those older than the newest, and those whose bytes don't have their checksum, are bad.
func (a *Array) judge(g *group, id uint64, r int, x *rowInfo) {
	x.stamp, x.fill = 0, 0
	for p := range a.geo.Members() {
		if u := &x.units[p]; u.state == unitGood && u.stamp > x.stamp {
			x.stamp, x.fill = u.stamp, u.fill
		}
	}
	col := a.column(id, g.first+int64(r))
	for p := range a.geo.Members() {
		u := &x.units[p]
		n := a.unitLen(a.geo.DataIndex(col, p), x.fill)
		if n == 0 && x.stamp > 0 {
			u.state = unitUnread // nothing of this writing is there
			continue
		}
		if u.state == unitGood && (u.stamp != x.stamp || u.fill != x.fill ||
			crc32.Checksum(a.unit(g, r, p)[unitHeader:unitHeader+n], castagnoli) != u.crc) {
			u.state = unitBad
		}
	}
}

var (
	errUnits  = errors.New("more than one unit of the stripe is lost")
	errParity = errors.New("each unit fits its checksum, but parity does not fit the data")
)

// reconstruct makes the one unit of row r that is not good, from all others; need is how
// many bytes of the stripe must be there. The place made anew is returned, -1 for none.
func (a *Array) reconstruct(g *group, id uint64, r int, x *rowInfo, need int64) (int, error) {
	if x.stamp == 0 || x.fill < need {
		return -1, fmt.Errorf("stripe %d has %d of %d bytes: %w", g.first+int64(r), x.fill, need, errUnits)
	}
	col := a.column(id, g.first+int64(r))
	var list [MaxMembers][]byte
	others := list[:0]
	missing := -1
	for p := range a.geo.Members() {
		n := a.unitLen(a.geo.DataIndex(col, p), x.fill)
		switch {
		case n == 0:
		case x.units[p].state == unitGood:
			others = append(others, a.unit(g, r, p)[unitHeader:unitHeader+n])
		case missing >= 0:
			return -1, fmt.Errorf("stripe %d: %w", g.first+int64(r), errUnits)
		default:
			missing = p
		}
	}
	if missing < 0 {
		return -1, nil
	}
	u := a.unit(g, r, missing)
	made := u[unitHeader : unitHeader+a.unitLen(a.geo.DataIndex(col, missing), x.fill)]
	if err := xorInto(made, others); err != nil {
		return -1, err
	}
	crc := crc32.Checksum(made, castagnoli)
	a.putHeader(u, missing, crc, x.fill, x.stamp, id, g.first+int64(r))
	x.units[missing] = unitInfo{crc: crc, fill: x.fill, stamp: x.stamp, state: unitGood}
	return missing, nil
}

// xorInto makes a lost unit from the others. A short last unit is made from longer ones,
// of which the bytes beyond it cancel out.
func xorInto(made []byte, others [][]byte) error {
	for i := range others {
		others[i] = others[i][:min(len(others[i]), len(made))]
	}
	longest := 0
	for _, o := range others {
		longest = max(longest, len(o))
	}
	if longest < len(made) {
		return errUnits // nothing that was ever written
	}
	return raid.Encode(made, others...)
}

// place says where a stripe is: its slot, or home.
func placeOf(over map[int64]int64, stripe int64) int64 {
	if slot, ok := over[stripe]; ok {
		return slot
	}
	return home
}

// offsetOf gives file (0 home, 1 slots) and offset of a stripe's unit.
func (a *Array) offsetOf(stripe, place int64) (slots int, off int64) {
	if place == home {
		return 0, stripe * unitStride(a.geo.Unit)
	}
	return 1, place * unitStride(a.geo.Unit)
}

// readUnits reads the units of rows from to end that want asks for into the group, each
// member's on a goroutine of its own, what lies together in one go. infos must be clear.
func (a *Array) readUnits(n *node, w *work, g *group, from, end int, over map[int64]int64,
	want func(r, place int) bool, infos *[maxRows]rowInfo) {
	a.readInTurn(n, w, g, from, end, over, want, infos, nil, nil)
}

// readInTurn is readUnits behind another group on each member; mine are closed as this
// one is done.
func (a *Array) readInTurn(n *node, w *work, g *group, from, end int, over map[int64]int64,
	want func(r, place int) bool, infos *[maxRows]rowInfo, before, mine turns) {
	defer mine.end()
	var wg sync.WaitGroup
	for p, m := range a.members() {
		if !m.holds(n.id) {
			continue
		}
		any := false
		for r := from; r < end; r++ {
			any = any || want(r, p)
		}
		if any {
			wg.Go(func() {
				before.wait(p)
				a.readColumn(n, w, g, from, end, over, m, want, infos)
				if mine != nil {
					close(mine[p])
				}
			})
		}
	}
	wg.Wait()
}

func (a *Array) readColumn(n *node, w *work, g *group, from, end int, over map[int64]int64,
	m *member, want func(r, place int) bool, infos *[maxRows]rowInfo) {
	stride := unitStride(a.geo.Unit)
	for r := from; r < end; {
		if !want(r, m.place) {
			r++
			continue
		}
		slots, off := a.offsetOf(g.first+int64(r), placeOf(over, g.first+int64(r)))
		to := r + 1
		for ; to < end && want(to, m.place); to++ {
			s, o := a.offsetOf(g.first+int64(to), placeOf(over, g.first+int64(to)))
			if s != slots || o != off+int64(to-r)*stride {
				break
			}
		}
		at := (m.place*a.rows + r) * int(stride)
		p := g.buf[at : at+(to-r)*int(stride)]
		got, err := w.readAt(a, n, m, slots, p, off)
		for i := r; i < to; i++ {
			have := int64(got) - int64(i-r)*stride
			if err != nil && err != io.EOF && have < stride {
				infos[i].units[m.place].state = unitBad
				continue
			}
			u := a.checkHeader(p[int64(i-r)*stride:], have, m.place, n.id, g.first+int64(i))
			col := a.column(n.id, g.first+int64(i))
			if u.state == unitGood && have < unitHeader+a.unitLen(a.geo.DataIndex(col, m.place), u.fill) {
				u.state = unitBad
			}
			infos[i].units[m.place] = u
		}
		r = to
	}
}

// view is what a reader sees of a file, and which bytes of it he wants.
type view struct {
	over     map[int64]int64
	size     int64
	off, end int64
	// through reads parity along, where it lies between data: in sequence that costs less
	// than to go around it.
	through bool
	// Groups that are read in sequence keep their order on each member.
	before, mine turns
}

// need is how many bytes a stripe has.
func (v *view) need(a *Array, stripe int64) int64 {
	sb := a.geo.StripeBytes()
	return max(0, min(sb, v.size-stripe*sb))
}

// wants says whether a data unit has bytes that are wanted.
func (v *view) wants(a *Array, stripe int64, index int) bool {
	start := stripe*a.geo.StripeBytes() + int64(index)*a.geo.Unit
	return index >= 0 && start < min(v.end, v.size) && start+a.geo.Unit > v.off
}

// load reads the wanted units of rows from to end of the group from the members, whole
// and verified, and makes what is lost from the rest. infos must be clear; they tell of
// rows that can't be had.
func (a *Array) load(n *node, w *work, g *group, from, end int, v view, infos *[maxRows]rowInfo) {
	whole := true
	for _, m := range a.members() {
		whole = whole && m.holds(n.id)
	}
	want := func(r, place int) bool { return v.need(a, g.first+int64(r)) > 0 }
	if whole && !v.through {
		want = func(r, place int) bool {
			stripe := g.first + int64(r)
			return v.wants(a, stripe, a.geo.DataIndex(a.column(n.id, stripe), place))
		}
	}
	a.readInTurn(n, w, g, from, end, v.over, want, infos, v.before, v.mine)
	for r := from; r < end; r++ {
		a.completeRow(n, w, g, r, &v, whole && !v.through, infos)
	}
}

// completeRow makes the lost units of a row, after reading all others if that was not
// done yet.
func (a *Array) completeRow(n *node, w *work, g *group, r int, v *view, some bool, infos *[maxRows]rowInfo) {
	x, stripe := &infos[r], g.first+int64(r)
	need := v.need(a, stripe)
	if need == 0 {
		return
	}
	a.judge(g, n.id, r, x)
	complete := func() bool {
		for i := range a.geo.Data {
			if v.wants(a, stripe, i) && x.units[a.geo.DataMember(a.column(n.id, stripe), i)].state != unitGood {
				return false
			}
		}
		return x.fill >= need
	}
	if complete() {
		return
	}
	if some {
		*x = rowInfo{}
		a.readUnits(n, w, g, r, r+1, v.over, func(int, int) bool { return true }, infos)
		a.judge(g, n.id, r, x)
	}
	if !complete() {
		if _, err := a.reconstruct(g, n.id, r, x, need); err != nil {
			x.err = fmt.Errorf("array: file %x: %w: %w", n.id, err, syscall.EIO)
			a.damaged.Add(1)
		}
	}
}
