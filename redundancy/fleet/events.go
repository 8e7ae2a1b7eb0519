package fleet

import "math"

// Fleet is what a scheme means for a whole fleet.
type Fleet struct {
	// Events is how often, per hour, the fleet loses anything at all, by kind. A failure that
	// loses a thousand blocks is one event.
	Events [kinds]float64
	// Bytes is the share of the user's bytes that is lost per year, by kind: the same however
	// the groups are placed.
	Bytes [kinds]float64
	// MTTDL is the mean time to the first event, hours; Year is the chance of one within a year.
	MTTDL, Year float64
	// Degraded is how many hours of each year a group spends with something lost; Critical is
	// how many it spends one step from loss.
	Degraded, Critical float64
}

// Events goes from one group to the fleet. Rates per group are loss's; how many groups go
// down together follows from how they are placed: of the groups spread over D disks, a
// certain set of i disks holds
//
//	g = G * C(n,i) / C(R,i) / (D/R)^i
//
// on average if they are on different ones of R racks, so that the loss of such a set is an event with the chance 1-exp(-g), and the G
// groups make as many events as G (1-exp(-g)) / g independent ones would.
func Events(g Group, p Placement, loss Loss) Fleet {
	closed := Closed(g)
	var f Fleet
	all := g.paths()
	var share [kinds]float64              // events per hour to leading order
	met := make([]float64, len(g.Bursts)) // sets already lost that a burst makes fatal, on average
	for _, s := range ordered(all) {
		path := all[s]
		lost := s.total()
		if lost > 0 {
			f.Degraded += path.share * HoursPerYear
			if lost == len(g.Survive) {
				f.Critical += path.share * HoursPerYear
			}
		}
		p.failures(&g, s, path, &share)
		p.unreadable(&g, s, path, &share)
		if lost > 0 {
			for i, b := range g.Bursts {
				met[i] += p.meets(&g, s, path, b)
			}
		}
	}
	if g.Inner != nil {
		share := float64(g.Inner.Disks) * g.Inner.Rate * g.Inner.Repair
		f.Degraded += HoursPerYear * share * float64(g.Units)
	}
	p.house(&g, met, &share)
	p.ruin(&g, &share)
	var total float64
	for k := range share {
		if closed.Rate[k] > 0 { // what the leading order leaves out is in the group's rate
			share[k] *= loss.Rate[k] / closed.Rate[k]
		}
		f.Events[k] = share[k]
		total += share[k]
		lostBytes := p.LostShare * p.UserBytes
		if Kind(k) == Unreadable {
			lostBytes = p.BlockBytes
		}
		f.Bytes[k] = loss.Rate[k] * HoursPerYear * min(1, lostBytes/p.UserBytes)
	}
	f.MTTDL = 1 / total
	f.Year = -math.Expm1(-total * HoursPerYear)
	return f
}

// together is how many groups lie on a certain set of disks and nodes, all on different
// racks, and how many independent groups the fleet counts for as far as that set goes.
func (p Placement) together(g *Group, s state) (each, effective float64) {
	i := float64(s.total())
	if !p.Spread || i == 0 {
		return 1, p.Groups
	}
	// n!/(n-i)! ways for a group to meet racks in order, R!/(R-i)! (places/R)^i places in order.
	ln := math.Log(p.Groups) + lnChoose(float64(g.Units), i) - lnChoose(p.Racks, i)
	for c, n := range s.lost {
		if n > 0 {
			ln -= float64(n) * math.Log(p.Sets[c]/p.Racks)
		}
	}
	each = math.Exp(ln)
	return each, p.Groups * -math.Expm1(-each) / each
}

// failures adds the events that one more failure from a state makes.
func (p Placement) failures(g *Group, s state, path path, events *[kinds]float64) {
	causes := g.unitCauses()
	up := float64(g.Units - s.total())
	for c, cause := range causes {
		to := s
		to.lost[c]++
		flow := path.share * up * cause.Rate * (1 - g.survive(to.total()))
		if flow > 0 {
			_, effective := p.together(g, to)
			events[Failures] += flow * effective
		}
	}
}

// unreadable adds the events in which a last source can't be read: one for all the groups of
// a set of lost disks, though each of them has its own chance.
func (p Placement) unreadable(g *Group, s state, path path, events *[kinds]float64) {
	if path.end[1] == 0 {
		return
	}
	chance := g.closedUnreadable()
	if len(g.Survive) == 0 || chance == 0 {
		events[Unreadable] += path.end[1] * p.Groups
		return
	}
	each, effective := p.together(g, s)
	blocks := each / -math.Expm1(-each) // of a set that has any
	if !p.Spread {
		blocks = 1
	}
	events[Unreadable] += path.end[1] / chance * effective * -math.Expm1(blocks*math.Log1p(-chance))
}

// meets is how many sets of disks and nodes that are lost already a burst makes fatal.
func (p Placement) meets(g *Group, s state, path path, b Burst) float64 {
	each, effective := p.together(g, s)
	blocks := each / -math.Expm1(-each)
	up, left := g.Units-s.total(), len(g.Survive)-s.total()
	var fatal float64
	for hit := left + 1; hit <= up; hit++ {
		fatal += binomial(up, hit, b.Hit)
	}
	return path.share * effective * -math.Expm1(-blocks*fatal)
}

// house adds the events of bursts: with x of N nodes gone at once, a group is lost if more of
// its units are among them than it survives, or than are left of what it survives where
// something was lost already, which is the more likely the more nodes are hit.
func (p Placement) house(g *Group, met []float64, events *[kinds]float64) {
	if !p.Spread {
		return // a node lost under an array is its ruin
	}
	nodes := int(p.Nodes)
	for i, b := range p.House {
		var event float64
		for x := 1; x <= nodes; x++ {
			chance := binomial(nodes, x, b.Hit)
			if chance < 1e-18 {
				continue
			}
			apart := 1 - p.crowded(x, len(g.Survive))
			direct := apart * -math.Expm1(-p.Groups*hypergeometricTail(nodes, x, g.Units, len(g.Survive)))
			spared := math.Exp(-met[i] * float64(x) / (p.Nodes * b.Hit))
			event += chance * (direct + (1-direct)*(1-spared))
		}
		events[Bursted] += b.Rate * event
	}
}

// crowded is the chance that x nodes stand on at most so many racks, where no group has more
// units than that among them.
func (p Placement) crowded(x, racks int) float64 {
	perRack := p.Nodes / p.Racks
	var ways float64
	for d := 1; d <= racks; d++ {
		sign := 1.0
		for j := 0; j < d; j++ { // on exactly d racks, by inclusion and exclusion
			ways += sign * math.Exp(lnChoose(p.Racks, float64(d))+lnChoose(float64(d), float64(j))+
				lnChoose(float64(d-j)*perRack, float64(x))-lnChoose(p.Nodes, float64(x)))
			sign = -sign
		}
	}
	return min(1, max(0, ways))
}

// hypergeometricTail is the chance that of n drawn from so many more than most are among x marked ones.
func hypergeometricTail(of, marked, n, most int) float64 {
	var sum float64
	for i := most + 1; i <= min(n, marked); i++ {
		if n-i <= of-marked {
			sum += math.Exp(lnChoose(float64(marked), float64(i)) + lnChoose(float64(of-marked), float64(n-i)) - lnChoose(float64(of), float64(n)))
		}
	}
	return min(1, sum)
}

// ruin adds the nodes that are lost under arrays; all arrays of a node are one event, and so
// are all nodes of an outage.
func (p Placement) ruin(g *Group, events *[kinds]float64) {
	if g.Ruin == 0 {
		return
	}
	events[Ruined] += p.Nodes*p.NodeRate + p.RackEvents
	for _, b := range p.House {
		events[Ruined] += b.Rate * -math.Expm1(p.Nodes*math.Log1p(-b.Hit))
	}
}
