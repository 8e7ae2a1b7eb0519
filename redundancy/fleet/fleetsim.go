package fleet

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"

	"redoubt/redundancy/result"
)

// FleetSim is what a simulated fleet has gone through.
type FleetSim struct {
	Years       float64
	DeviceYears float64
	Failures    int            // of disks and nodes
	Events      [kinds]float64 // losses of anything, counted
	Groups      float64        // how many groups were lost, over all events
	// Rate is events per hour, Error half the width of its 95 % confidence interval.
	Rate, Error float64
}

// maxUnits bounds the memory of a simulated fleet: 8 bytes for each unit.
const maxUnits = 40_000_000

// SimulateFleet plays a whole fleet for so many years: every disk, node, rack and group by
// itself, plainly, with no chance changed. Groups are placed at random, no two units on a
// rack. What it leaves out is that what is next to loss is repaired first: a lost disk comes
// back whole. So it is for fleets in which losses can be seen, and to hold Events against.
func SimulateFleet(p Params, s result.Scheme, years float64, seed uint64) (FleetSim, error) {
	g, pl, err := p.Scheme(s)
	if err != nil {
		return FleetSim{}, err
	}
	if !pl.Spread && len(g.Survive) > 1 {
		return FleetSim{}, fmt.Errorf("fleet: %s is not simulated disk by disk: arrays that survive one disk are", s.Title())
	}
	if pl.Groups*float64(g.Units) > maxUnits {
		return FleetSim{}, fmt.Errorf("fleet: %.0f units are too many to simulate one by one, at most %d: take larger blocks", pl.Groups*float64(g.Units), maxUnits)
	}
	f := newFleetSim(p, g, pl, seed)
	f.run(years * HoursPerYear)
	out := FleetSim{Years: years, DeviceYears: years * float64(p.Disks()), Failures: f.failures, Events: f.events, Groups: f.groupsLost}
	var n float64
	for _, e := range out.Events {
		n += e
	}
	out.Rate = n / (years * HoursPerYear)
	out.Error = 1.96 * math.Sqrt(max(n, 1)) / (years * HoursPerYear)
	return out, nil
}

// fleetSim holds the fleet. A place is a disk, or an array of disks, that carries units.
type fleetSim struct {
	p   Params
	g   Group
	pl  Placement
	rng *rand.Rand

	perNode int       // places of a node
	place   []place   // by number; node n has those from n*perNode on
	groups  [][]int32 // places of each group
	on      [][]int32 // groups of each place
	missing []int8    // units lost of each group

	now     float64
	repairs repairQueue

	failures   int
	events     [kinds]float64
	groupsLost float64
}

type place struct {
	lost   bool
	broken int // disks missing in the array
	epoch  int // of the last repair begun: an older one counts no more
}

type repair struct {
	at     float64
	places []int32
	epochs []int
	disk   bool // of an array
}

type repairQueue []repair

func (q repairQueue) Len() int           { return len(q) }
func (q repairQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q repairQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *repairQueue) Push(x any)        { *q = append(*q, x.(repair)) }
func (q *repairQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func newFleetSim(p Params, g Group, pl Placement, seed uint64) *fleetSim {
	f := &fleetSim{p: p, g: g, pl: pl, rng: rand.New(rand.NewPCG(seed, 0xf1ee7))}
	places := int(pl.Places)
	if !pl.Spread {
		places = int(pl.Groups)
	}
	f.perNode = places / p.Nodes()
	f.place = make([]place, f.perNode*p.Nodes())
	if !pl.Spread {
		return f
	}
	f.on = make([][]int32, len(f.place))
	f.groups = make([][]int32, int(pl.Groups))
	f.missing = make([]int8, len(f.groups))
	backing := make([]int32, len(f.groups)*g.Units)
	racks := make([]int, p.Racks)
	for i := range racks {
		racks[i] = i
	}
	for i := range f.groups {
		f.groups[i] = backing[i*g.Units : (i+1)*g.Units]
		for u := range g.Units {
			j := u + f.rng.IntN(len(racks)-u)
			racks[u], racks[j] = racks[j], racks[u]
			node := racks[u]*p.NodesPerRack + f.rng.IntN(p.NodesPerRack)
			at := int32(node*f.perNode + f.rng.IntN(f.perNode))
			f.groups[i][u] = at
			f.on[at] = append(f.on[at], int32(i))
		}
	}
	return f
}

// source is a stream of faults that strike anywhere, those already struck included.
type source struct {
	rate   float64
	strike func()
}

func (f *fleetSim) sources() []source {
	nodes := float64(f.p.Nodes())
	disks := 1.0
	switch {
	case !f.pl.Spread:
		disks = float64(f.g.Units)
	case f.g.Inner != nil:
		disks = float64(f.g.Inner.Disks)
	}
	all := []source{
		{float64(len(f.place)) * disks / f.p.DiskMTTF, f.diskFails},
		{nodes / f.p.NodeMTTF, func() { f.strike([]int{f.rng.IntN(int(nodes))}, "node", Failures) }},
	}
	for _, o := range f.p.Power {
		if o.Rack {
			all = append(all, source{float64(f.p.Racks) * o.PerYear / HoursPerYear, func() {
				rack := f.rng.IntN(f.p.Racks)
				f.strike(f.hit(rack*f.p.NodesPerRack, f.p.NodesPerRack, o.Hit), "rack", Failures)
			}})
		} else {
			all = append(all, source{o.PerYear / HoursPerYear, func() { f.strike(f.hit(0, int(nodes), o.Hit), "house", Bursted) }})
		}
	}
	if len(f.g.Survive) == 0 {
		all = append(all, source{f.pl.Groups * f.g.Latent, func() { f.lose(Unreadable, 1) }})
	}
	return all
}

func (f *fleetSim) hit(first, n int, chance float64) (nodes []int) {
	for i := range n {
		if f.rng.Float64() < chance {
			nodes = append(nodes, first+i)
		}
	}
	return nodes
}

func (f *fleetSim) run(hours float64) {
	sources, total := f.sources(), 0.0
	for _, s := range sources {
		total += s.rate
	}
	next := f.rng.ExpFloat64() / total
	for {
		for len(f.repairs) > 0 && f.repairs[0].at < min(next, hours) {
			r := heap.Pop(&f.repairs).(repair)
			f.now = r.at
			f.finish(r)
		}
		if next > hours {
			return
		}
		f.now = next
		x := f.rng.Float64() * total
		for _, s := range sources {
			if x -= s.rate; x < 0 {
				s.strike()
				break
			}
		}
		next += f.rng.ExpFloat64() / total
	}
}

func (f *fleetSim) lose(kind Kind, groups float64) {
	f.events[kind]++
	f.groupsLost += groups
}

func (f *fleetSim) begin(mean float64, disk bool, places ...int32) {
	r := repair{at: f.now + mean*f.rng.ExpFloat64(), places: places, disk: disk}
	for _, at := range places {
		f.place[at].epoch++
		r.epochs = append(r.epochs, f.place[at].epoch)
	}
	heap.Push(&f.repairs, r)
}

func (f *fleetSim) diskFails() {
	at := int32(f.rng.IntN(len(f.place)))
	p := &f.place[at]
	if p.lost {
		return
	}
	array := !f.pl.Spread || f.g.Inner != nil
	if !array {
		f.failures++
		f.lostPlaces(f.g.Causes[0].repair(1), Failures, at)
		return
	}
	disks, mean := f.g.Units, f.g.Causes[0].repair(1)
	if f.g.Inner != nil {
		disks, mean = f.g.Inner.Disks, f.g.Inner.Repair
	}
	if p.broken > 0 && f.rng.IntN(disks) == 0 {
		return // the one that is gone already
	}
	f.failures++
	if p.broken++; p.broken == 1 {
		f.begin(mean, true, at)
		return
	}
	p.broken = 0
	if f.pl.Spread {
		f.lostPlaces(f.g.Causes[0].repair(1), Failures, at)
		return
	}
	p.epoch++ // begun anew
	f.lose(Failures, 1)
}

// strike loses nodes, all at the same moment.
func (f *fleetSim) strike(nodes []int, cause string, kind Kind) {
	var places []int32
	for _, n := range nodes {
		f.failures++
		for i := range f.perNode {
			if at := n*f.perNode + i; !f.place[at].lost {
				places = append(places, int32(at))
			}
		}
	}
	if len(places) == 0 {
		return
	}
	if !f.pl.Spread {
		f.lose(Ruined, float64(len(places)))
		for _, at := range places {
			f.place[at] = place{epoch: f.place[at].epoch + 1}
		}
		return
	}
	f.lostPlaces(f.g.Causes[f.g.cause(cause)].repair(1), kind, places...)
}

// lostPlaces loses places at the same moment and counts the groups that go over the edge.
func (f *fleetSim) lostPlaces(mean float64, kind Kind, places ...int32) {
	var gone float64
	edge := int8(len(f.g.Survive) + 1)
	for _, at := range places {
		f.place[at] = place{lost: true, epoch: f.place[at].epoch}
		for _, i := range f.on[at] {
			f.missing[i]++
			if f.missing[i] == edge { // once for each group, however many of its units are in places
				gone++
			}
		}
	}
	if gone > 0 {
		f.lose(kind, gone)
	}
	f.begin(mean, false, places...)
}

// finish ends a repair, as far as it was not overtaken by the next loss.
func (f *fleetSim) finish(r repair) {
	for i, at := range r.places {
		p := &f.place[at]
		if p.epoch != r.epochs[i] {
			continue
		}
		switch {
		case r.disk && !p.lost:
			p.broken = 0
			if !f.pl.Spread && f.rng.Float64() < f.g.Unreadable {
				f.lose(Unreadable, 1)
			}
		case p.lost:
			f.critical(at)
			p.lost = false
			for _, i := range f.on[at] {
				f.missing[i]--
			}
		}
	}
}

// critical finds what a repair without redundancy could not read.
func (f *fleetSim) critical(at int32) {
	if f.g.Unreadable == 0 || len(f.g.Survive) == 0 {
		return
	}
	var bad float64
	for _, i := range f.on[at] {
		if int(f.missing[i]) != len(f.g.Survive) {
			continue
		}
		chance := f.g.Unreadable
		if f.g.Inner != nil {
			degraded := 0
			for _, other := range f.groups[i] {
				degraded += int(b2f(f.place[other].broken > 0))
			}
			chance *= float64(degraded) / float64(f.g.Units-int(f.missing[i]))
		}
		if f.rng.Float64() < chance {
			bad++
		}
	}
	if bad > 0 {
		f.lose(Unreadable, bad)
	}
}
