package fleet

import (
	"errors"
	"fmt"
	"math"

	"redoubt/redundancy/result"
)

// Params is the hardware of a fleet and what befalls it.
type Params struct {
	Racks        int `json:"racks"`
	NodesPerRack int `json:"nodesPerRack"`
	DisksPerNode int `json:"disksPerNode"`

	DiskBytes  float64 `json:"diskBytes"`
	Fill       float64 `json:"fill"` // share of a disk that is in use
	BlockBytes float64 `json:"blockBytes"`

	DiskMTTF float64 `json:"diskMTTF"` // hours
	NodeMTTF float64 `json:"nodeMTTF"` // hours, until a node is gone for good with all its disks

	BitErrors     float64 `json:"bitErrors"`     // unreadable sectors per bit read, as data sheets have it
	LatentPerYear float64 `json:"latentPerYear"` // sectors of a disk that go bad unread, per year
	Scrub         float64 `json:"scrub"`         // hours between two readings of everything; 0: never
	Age           float64 `json:"age"`           // hours a disk has been in use on average: what latent errors gather in without a scrub

	DetectDisk float64 `json:"detectDisk"` // hours until a rebuild starts
	DetectNode float64 `json:"detectNode"`

	// Parity is k: data to one parity, in arrays and across nodes.
	Parity int        `json:"parity"`
	Power  []Outage   `json:"outages"` // what strikes many nodes at once
	Rates  FleetRates `json:"rates"`
}

// Outage is a loss of power, or a mistake, from which some nodes do not come back.
type Outage struct {
	Name    string  `json:"name"`
	PerYear float64 `json:"perYear"` // of the whole fleet, or of each rack
	Rack    bool    `json:"rack"`    // strikes one rack, not all
	Hit     float64 `json:"hit"`     // share of the nodes struck that is gone for good
}

// FleetRates is how fast the fleet makes lost bytes again.
type FleetRates struct {
	Spare float64 `json:"spare"` // bytes/s onto the one spare disk of an array
	Copy  float64 `json:"copy"`  // bytes/s that each node adds to making lost replicas again
	Fold  float64 `json:"fold"`  // the same for making blocks from parity: k are read for one
	// Measured says that a live run gave rates; otherwise they follow from DiskRate and LinkRate.
	// Assumed names those that this run has not measured.
	Measured bool     `json:"measured"`
	Assumed  []string `json:"assumed,omitempty"`
	DiskRate float64  `json:"diskRate"` // bytes/s of a disk
	LinkRate float64  `json:"linkRate"` // bytes/s of a node's link, each way
	Share    float64  `json:"share"`    // of the fleet's disks and links that repair may take
}

// Defaults are 40 racks of 10 nodes with 10 disks of 16 TB, three quarters full: 64 PB raw. The disks fail at 1.5 % a
// year, a node is lost for good every 30 years, a rack's power every 5 years, that of the
// whole house every 4, and of the nodes that a power cut strikes 0.5 % do not come back.
func Defaults() Params {
	return Params{
		Racks: 40, NodesPerRack: 10, DisksPerNode: 10,
		DiskBytes: 16e12, Fill: 0.75, BlockBytes: 128 << 20,
		DiskMTTF: HoursPerYear / 0.015, NodeMTTF: 30 * HoursPerYear,
		BitErrors: 1e-15, LatentPerYear: 0.3, Scrub: 21 * 24, Age: 2.5 * HoursPerYear,
		DetectDisk: 0.25, DetectNode: 0.25, Parity: 4,
		Power: []Outage{
			{Name: "power of a rack", PerYear: 0.2, Rack: true, Hit: 0.02},
			{Name: "power of the house", PerYear: 0.25, Hit: 0.005},
		},
		Rates: Hardware(200e6, 1.25e9, 0.2, 10, 4),
	}
}

// Hardware derives rates from those of disks and links. A spare is written at the disk's
// rate; spread work is bounded by the share of each node's disks and link that repair may
// take: a copy reads and writes a byte and moves it once, a fold reads and moves k for one.
func Hardware(disk, link, share float64, disksPerNode, k int) FleetRates {
	r := FleetRates{Spare: disk, Copy: min(disk*float64(disksPerNode)*share/2, link*share), DiskRate: disk, LinkRate: link, Share: share}
	r.Fold = r.fold(disksPerNode, k)
	return r
}

// fold is what disks and links allow each node to add to rebuilds that read k units for one.
func (r FleetRates) fold(disksPerNode, k int) float64 {
	return min(r.DiskRate*float64(disksPerNode)*r.Share/float64(k+1), r.LinkRate*r.Share/float64(k))
}

// Validate names every fault of the parameters.
func (p Params) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("fleet: "+format, args...))
		}
	}
	positive := func(what string, x float64) {
		need(x > 0 && !math.IsInf(x, 0), "%s is %v: want more than 0", what, x)
	}
	need(p.Racks >= 1 && p.NodesPerRack >= 1 && p.DisksPerNode >= 1, "%d racks of %d nodes of %d disks", p.Racks, p.NodesPerRack, p.DisksPerNode)
	need(float64(p.Racks)*float64(p.NodesPerRack)*float64(p.DisksPerNode) <= 1e8, "more than 100 million disks")
	need(p.Parity >= 2 && p.Parity <= 16, "k is %d: RAID-5 wants 2 to 16", p.Parity)
	need(p.DisksPerNode >= p.Parity+1, "%d disks in a node: an array of k = %d wants %d", p.DisksPerNode, p.Parity, p.Parity+1)
	need(p.Nodes() >= max(3, p.Parity+1), "%d nodes: want at least %d", p.Nodes(), max(3, p.Parity+1))
	positive("the size of a disk", p.DiskBytes)
	positive("the size of a block", p.BlockBytes)
	need(p.Fill > 0 && p.Fill <= 1, "disks are %v full: want up to 1", p.Fill)
	positive("the life of a disk", p.DiskMTTF)
	positive("the life of a node", p.NodeMTTF)
	need(p.BitErrors >= 0 && p.BitErrors <= 1 && p.LatentPerYear >= 0, "error rates of %v and %v", p.BitErrors, p.LatentPerYear)
	need(p.Scrub >= 0 && p.Age >= 0 && p.DetectDisk >= 0 && p.DetectNode >= 0, "a time is negative")
	for _, o := range p.Power {
		need(o.PerYear >= 0 && o.Hit >= 0 && o.Hit <= 1, "outage %q: %v a year that hit %v", o.Name, o.PerYear, o.Hit)
	}
	positive("the rate of a rebuild onto a spare", p.Rates.Spare)
	positive("the rate of copying", p.Rates.Copy)
	positive("the rate of rebuilding from parity", p.Rates.Fold)
	return errors.Join(errs...)
}

// Nodes is the number of nodes.
func (p Params) Nodes() int { return p.Racks * p.NodesPerRack }

// Disks is the number of disks.
func (p Params) Disks() int { return p.Nodes() * p.DisksPerNode }

// Without is the same fleet without faults that strike many at once.
func (p Params) Without() Params {
	p.Power = nil
	return p
}

// Measured is the fleet with rates of a live run in the place of those from data sheets. The
// run's disks and links are emulated with other rates, and it has fewer nodes; what is carried
// over is how much of its hardware's limit each kind of rebuild has reached.
func (p Params) Measured(run *result.Run) Params {
	ideal := Hardware(p.Rates.DiskRate, p.Rates.LinkRate, p.Rates.Share, p.DisksPerNode, p.Parity)
	r := ideal
	type source struct {
		scheme result.Scheme
		fault  result.Fault
	}
	// reach takes the first of several repairs that says something.
	reach := func(what string, rate *float64, from ...source) {
		for _, x := range from {
			if share := reached(run, x.scheme, x.fault); share > 0 {
				*rate *= share
				r.Measured = true
				return
			}
		}
		r.Assumed = append(r.Assumed, what)
	}
	reach("onto a spare disk", &r.Spare, source{result.RAIDNode, result.Disk}, source{result.RAIDBoth, result.Disk})
	reach("copies of replicas", &r.Copy, source{result.Three, result.Node}, source{result.Two, result.Node}, source{result.Three, result.Disk})
	reach("from parity across nodes", &r.Fold, source{result.RAIDCluster, result.Node}, source{result.RAIDBoth, result.Node}, source{result.RAIDCluster, result.Disk})
	if !r.Measured {
		r.Assumed = nil // all of them
	}
	p.Rates = r
	return p
}

// reached is the share of its limit that a repair has reached; 0 if the run does not say.
func reached(run *result.Run, s result.Scheme, f result.Fault) float64 {
	sr := run.Scheme(s)
	if sr == nil {
		return 0
	}
	fr := sr.Fault(f)
	if fr == nil || fr.Untested != "" || !fr.Repair.Complete || fr.Repair.Rate <= 0 || fr.Repair.Limit <= 0 {
		return 0
	}
	share := fr.Repair.Rate / fr.Repair.Limit
	if share > 1.25 { // most of it was done before the clock began
		return 0
	}
	return min(1, share)
}

// Placement says how the groups of a scheme lie on the fleet.
type Placement struct {
	Groups float64 // in the whole fleet
	// Spread groups lie on any disks (or arrays) of different nodes; otherwise each has disks of its own.
	Spread bool
	Places float64 // disks, or arrays, that carry units
	Nodes  float64
	Racks  float64 // no two units of a spread group are on one
	// Sets is how many sets of places there are that are lost together, by cause: each disk,
	// each node, the nodes of a rack that do not come back.
	Sets []float64
	// BlockBytes is the unit of loss that an unreadable source costs; UserBytes is what a group holds.
	BlockBytes, UserBytes float64
	LostShare             float64 // of a group's user bytes that is gone when failures lose it
	Overhead              float64 // bytes on disk per user byte
	House                 []Burst // the bursts that strike the whole fleet, per node
	NodeRate              float64 // losses per hour of one node by itself
	RackEvents            float64 // outages of a rack from which some node does not come back, per hour of the fleet
}

// Scheme gives the group of a scheme on this fleet, and how its groups are placed.
func (p Params) Scheme(s result.Scheme) (Group, Placement, error) {
	if err := p.Validate(); err != nil {
		return Group{}, Placement{}, err
	}
	k := p.Parity
	switch s {
	case result.None:
		return p.spread(1, 0, 1)
	case result.Two:
		return p.spread(2, 1, 1)
	case result.Three:
		return p.spread(3, 2, 1)
	case result.RAIDCluster:
		return p.spread(k+1, 1, k)
	case result.RAIDNode:
		return p.array(k, 1)
	case result.RAIDBoth:
		return p.both()
	case result.DoubleNode:
		return p.array(2*k, 2)
	case result.DoubleCluster:
		return p.spread(2*k+2, 2, 2*k)
	case result.ReedSolomon:
		return p.spread(9, 3, 6)
	}
	return Group{}, Placement{}, fmt.Errorf("fleet: there is no scheme %q: want %v", s, Schemes())
}

// used is the bytes in use of a disk.
func (p Params) used() float64 { return p.DiskBytes * p.Fill }

// sourceErrors is how many unreadable places to expect in reading so many bytes of disks.
func (p Params) sourceErrors(bytes float64) float64 {
	wait := p.Scrub / 2
	if p.Scrub == 0 || wait > p.Age {
		wait = p.Age
	}
	return bytes * (8*p.BitErrors + p.LatentPerYear/p.DiskBytes*wait/HoursPerYear)
}

// spreadHours is how long the fleet takes to make so many bytes again, all nodes together.
func (p Params) spreadHours(bytes float64, sources int) float64 {
	rate := p.Rates.Copy
	if sources > 1 { // Fold is of groups with Parity sources
		rate = p.Rates.Fold * p.Rates.fold(p.DisksPerNode, sources) / p.Rates.fold(p.DisksPerNode, p.Parity)
	}
	return bytes / (rate * float64(p.Nodes()-1)) / 3600
}

// outages are the fleet's outages as one group with its units on different racks meets them:
// a rack's can hit one unit only, which makes it a cause of its own, with a rate per node and
// so many nodes at once; those of the house are bursts.
func (p Params) outages() (house []Burst, perNode, together float64) {
	var events float64 // per hour and rack, that hit anything
	for _, o := range p.Power {
		rate := o.PerYear / HoursPerYear
		if o.Rack {
			perNode += rate * o.Hit
			events += rate * -math.Expm1(float64(p.NodesPerRack)*math.Log1p(-o.Hit))
		} else {
			house = append(house, Burst{Rate: rate, Hit: o.Hit})
		}
	}
	if together = 1; events > 0 {
		together = perNode * float64(p.NodesPerRack) / events
	}
	return house, perNode, together
}

// nodeCauses are the ways to lose a node, whose content takes so many hours to make again, and
// how many sets of nodes there are that are lost together by each. The last, if there are
// outages of the house, has no rate of its own: it says how what they took is repaired.
func (p Params) nodeCauses(hours float64, units, survives int) (causes []Cause, sets []float64) {
	house, perNode, together := p.outages()
	nodes := float64(p.Nodes())
	add := func(name string, rate, together float64) {
		causes = append(causes, Cause{Name: name, Rate: rate, Repair: urgent(p.DetectNode, hours*together, units, survives, nodes)})
		sets = append(sets, nodes/together)
	}
	add("rack", perNode, together)
	add("node", 1/p.NodeMTTF, 1)
	var hit, events float64
	for _, b := range house {
		hit += b.Rate * nodes * b.Hit
		events += b.Rate * -math.Expm1(nodes*math.Log1p(-b.Hit))
	}
	if events > 0 {
		add("house", 0, hit/events)
	}
	return causes, sets
}

// spread is a group with its units on disks of different nodes: replicas, or data and parity.
func (p Params) spread(units, survives, sources int) (Group, Placement, error) {
	if p.Racks < units {
		return Group{}, Placement{}, fmt.Errorf("fleet: %d racks for groups of %d: units would share a rack, which the model has not", p.Racks, units)
	}
	house, _, _ := p.outages()
	places := float64(p.Disks())
	causes, sets := p.nodeCauses(p.spreadHours(p.used()*float64(p.DisksPerNode), sources), units, survives)
	disk := Cause{Name: "disk", Rate: 1 / p.DiskMTTF, Repair: urgent(p.DetectDisk, p.spreadHours(p.used(), sources), units, survives, places)}
	g := Group{
		Units: units, Survive: ones(survives), Bursts: house,
		Unreadable: -math.Expm1(-p.sourceErrors(p.BlockBytes * float64(sources))),
		Latent:     p.LatentPerYear / HoursPerYear / p.DiskBytes * p.BlockBytes,
		Causes:     append([]Cause{disk}, causes...),
	}
	return g, Placement{
		Groups: places * p.used() / p.BlockBytes / float64(units), Spread: true, Places: places, Nodes: float64(p.Nodes()), Racks: float64(p.Racks),
		Sets:       append([]float64{places}, sets...),
		BlockBytes: p.BlockBytes, UserBytes: p.BlockBytes * float64(sources), Overhead: float64(units) / float64(sources),
		LostShare: float64(survives+1) / float64(units), House: house,
	}, nil
}

func ones(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

// urgent gives the repair times with one unit of a group lost, two, and so on. What is next to
// loss is made again first: of a lost disk only the share of groups that have also lost another
// unit, (units-1)/(places-1), and so on for each further one.
func urgent(detect, all float64, units, survives int, places float64) []float64 {
	var times []float64
	share := 1.0
	for i := range max(1, survives) {
		if i > 0 {
			share *= float64(units-i) / max(places-float64(i), float64(units-i))
		}
		times = append(times, detect+all*share)
	}
	return times
}

// array is RAID in a node: k disks of data and m of parity, and a spare to write to for each
// that is lost.
func (p Params) array(k, m int) (Group, Placement, error) {
	n := k + m
	if p.DisksPerNode < n {
		return Group{}, Placement{}, fmt.Errorf("fleet: %d disks in a node: an array of %d and %d wants %d", p.DisksPerNode, k, m, n)
	}
	house, perNode, together := p.outages()
	g := Group{
		Ruin:  1/p.NodeMTTF + perNode,
		Units: n, Survive: ones(m),
		Unreadable: -math.Expm1(-p.sourceErrors(p.DiskBytes * float64(k))),
		Causes:     []Cause{{Name: "disk", Rate: 1 / p.DiskMTTF, Repair: []float64{p.DetectDisk + p.DiskBytes/p.Rates.Spare/3600}}},
	}
	for _, b := range house {
		g.Ruin += b.Rate * b.Hit
	}
	arrays := float64(p.Disks() / n)
	return g, Placement{
		Groups: arrays, Places: float64(p.Disks()), Nodes: float64(p.Nodes()), Racks: float64(p.Racks), BlockBytes: p.BlockBytes, LostShare: 1,
		UserBytes: p.used() * float64(k), Overhead: float64(n) / float64(k), House: house,
		NodeRate: 1 / p.NodeMTTF, RackEvents: perNode * float64(p.Nodes()) / together,
	}, nil
}

// both is a group across nodes whose units lie on arrays.
func (p Params) both() (Group, Placement, error) {
	g, pl, err := p.spread(p.Parity+1, 1, p.Parity)
	if err != nil {
		return g, pl, err
	}
	n := p.Parity + 1
	perNode := p.Disks() / n / p.Nodes() // arrays in a node
	bytes := p.used() * float64(p.Parity)
	causes, _ := p.nodeCauses(p.spreadHours(bytes*float64(perNode), p.Parity), n, 1)
	g.Causes = append([]Cause{{Name: "array", Repair: []float64{p.DetectDisk + p.spreadHours(bytes, p.Parity)}}}, causes...)
	g.Inner = &Inner{Disks: n, Rate: 1 / p.DiskMTTF, Repair: p.DetectDisk + p.DiskBytes/p.Rates.Spare/3600}
	pl.Places = float64(perNode * p.Nodes())
	pl.Sets[0] = pl.Places
	pl.Groups = pl.Places * bytes / p.BlockBytes / float64(n)
	pl.Overhead = float64(n*n) / float64(p.Parity*p.Parity)
	return g, pl, nil
}
