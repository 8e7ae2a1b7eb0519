package array

import (
	"context"
	"slices"

	"redoubt/raid"
)

// Verify reads every stripe with its checksums and parity. A unit that alone is bad is
// made new from the others; stripes with more damage than that are reported and left as
// they are. It runs beside readers and writers.
func (a *Array) Verify(ctx context.Context) (Report, error) {
	var rep Report
	for _, m := range a.members() {
		if m.writable() {
			if err := m.probe(); err != nil {
				if err := a.fail(m, err); err != nil {
					return rep, err
				}
			}
		}
	}
	var ids []uint64
	a.memberBytes(func(id uint64) { ids = append(ids, id) })
	slices.Sort(ids)
	for _, id := range ids {
		n, w := a.hold(id)
		if n == nil {
			continue
		}
		err := a.verifyFile(ctx, n, w, &rep)
		if rerr := a.release(n, w); err == nil {
			err = rerr
		}
		if err != nil {
			return rep, err
		}
		rep.Files++
	}
	return rep, a.flush() // members that failed are noted, if there were any
}

func (a *Array) verifyFile(ctx context.Context, n *node, w *work, rep *Report) error {
	for first := int64(0); ; first += int64(a.rows) {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := a.verifyRows(n, w, first, rep)
		if err != nil || !more {
			return err
		}
	}
}

// verifyRows checks one group of stripes.
func (a *Array) verifyRows(n *node, w *work, first int64, rep *Report) (more bool, err error) {
	w.io.Lock()
	defer w.io.Unlock()
	v, need := a.onDisk(n, w)
	g := a.newGroup(first)
	defer a.freeGroup(g)
	var infos [maxRows]rowInfo
	a.readUnits(n, w, g, 0, a.rows, v.over, func(r, _ int) bool { return need(first+int64(r)) > 0 }, &infos)
	for r := range a.rows {
		if length := need(first + int64(r)); length > 0 {
			rep.Stripes++
			if err := a.verifyRow(n, w, g, r, length, v, &infos[r], rep); err != nil {
				return false, err
			}
		}
	}
	return (first+int64(a.rows))*a.geo.StripeBytes() < v.size, nil
}

// verifyRow checks a stripe that was read, and makes its one bad unit new. Rewriting in
// place is no write hole: the unit is bad already, and until the new one is there the
// stripe can lose no more than it could before.
func (a *Array) verifyRow(n *node, w *work, g *group, r int, need int64, v view, x *rowInfo, rep *Report) error {
	stripe := g.first + int64(r)
	a.judge(g, n.id, r, x)
	for p := range x.units {
		if x.units[p].state == unitGood {
			rep.Bytes += unitHeader + a.unitLen(a.geo.DataIndex(a.column(n.id, stripe), p), x.fill)
		}
	}
	made, err := a.reconstruct(g, n.id, r, x, need)
	if err == nil && made < 0 && !a.parityFits(n.id, stripe, x) {
		err = errParity
	}
	if err != nil {
		a.damaged.Add(1)
		name := a.nameOf(n)
		rep.Damaged = append(rep.Damaged, Damage{File: name, Stripe: stripe, Offset: stripe * a.geo.StripeBytes(), Err: err})
		a.event(Event{Kind: StripeDamaged, File: name, Err: err})
		return nil
	}
	if made < 0 {
		return nil
	}
	m := a.members()[made]
	if !m.holds(n.id) {
		return nil // not bad but away
	}
	g.fill[r] = x.fill
	var rows [maxRows]bool
	rows[r] = true
	err = a.writeColumn(n, w, g, &rows, v.over, m)
	if err == nil {
		err = w.syncColumn(n, m)
	}
	if err != nil {
		return a.fail(m, err)
	}
	rep.Repaired++
	a.repaired.Add(1)
	a.event(Event{Kind: UnitRepaired, Dir: m.dir, File: a.nameOf(n)})
	return nil
}

// parityFits compares the parity's checksum with what the others' say it must be.
func (a *Array) parityFits(id uint64, stripe int64, x *rowInfo) bool {
	col := a.column(id, stripe)
	sums := make([]raid.Sum, 0, raid.MaxData)
	for i := range a.geo.Data {
		if length := a.unitLen(i, x.fill); length > 0 {
			sums = append(sums, raid.Sum{CRC: x.units[a.geo.DataMember(col, i)].crc, Length: length})
		}
	}
	return raid.ParityCRC(sums...).CRC == x.units[a.geo.ParityMember(col)].crc
}
