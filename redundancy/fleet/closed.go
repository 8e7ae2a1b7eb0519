package fleet

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// MTTDL is the textbook's formula for units that are repaired in parallel, each by itself:
//
//	MTTF^(m+1) * m! / ( n (n-1) ... (n-m) * MTTR^m )
//
// for n units that survive the loss of any m. With a serial repair the m! falls away. It is
// the leading order for MTTR << MTTF. Hours in, hours out. (Patterson, Gibson and Katz 1988
// for m = 1; the general form is folklore.)
func MTTDL(n, m int, mttf, mttr float64, serial bool) float64 {
	ln := float64(m+1)*math.Log(mttf) - float64(m)*math.Log(mttr)
	for i := range m + 1 {
		ln -= math.Log(float64(n - i))
		if !serial && i > 0 {
			ln += math.Log(float64(i))
		}
	}
	return math.Exp(ln)
}

// UnreadableChance is the chance that reading so many bytes meets at least one error, with
// ber errors per bit: 1 - exp(-8 * bytes * ber).
func UnreadableChance(bytes, ber float64) float64 { return -math.Expm1(-8 * bytes * ber) }

// path is the leading order of being in a state: all ways there by failures alone.
type path struct {
	share float64    // of all time
	enter float64    // times per hour
	end   [2]float64 // losses per hour from here: by one more failure, by an unreadable source
	burst float64    // losses per hour by bursts
}

// Closed is the leading order in repair time over life time, in closed form: the share of
// time in a state is the product, over the failures that led there, of rate times repair
// time, summed over the orders in which causes can strike. With one cause and no more it is
// MTTDL. It is low by a few times units * repair / life.
func Closed(g Group) Loss {
	var rate [kinds]float64
	all := g.paths()
	for _, s := range ordered(all) {
		p := all[s]
		rate[Failures] += p.end[0]
		rate[Unreadable] += p.end[1]
		rate[Bursted] += p.burst
	}
	rate[Ruined] = g.Ruin
	return newLoss(rate)
}

// paths goes through the states with so many lost units in order of their number.
func (g *Group) paths() map[state]path {
	causes := g.unitCauses()
	all := map[state]path{{}: {share: 1}}
	level := []state{{}}
	for lost := 0; lost <= len(g.Survive); lost++ {
		for _, s := range level {
			p := all[s]
			if lost > 0 {
				out := 0.0 // repairs per hour
				for c, cause := range causes {
					r := float64(s.lost[c])
					if g.Serial {
						r /= float64(lost)
					}
					if s.lost[c] > 0 {
						out += r / cause.repair(lost)
					}
				}
				p.share = p.enter / out
				if lost == len(g.Survive) {
					p.end[1] = p.share * out * g.closedUnreadable()
				}
			} else if len(g.Survive) == 0 {
				p.end[1] = float64(g.Units) * g.Latent
			}
			g.spread(s, &p, causes, all)
			all[s] = p
		}
		level = level[:0]
		for _, s := range ordered(all) {
			if s.total() == lost+1 {
				level = append(level, s)
			}
		}
	}
	return all
}

// ordered are the states in an order of their own, so that sums come out the same each time.
func ordered(all map[state]path) []state {
	return slices.SortedFunc(maps.Keys(all), func(a, b state) int {
		return cmp.Or(slices.Compare(a.lost[:], b.lost[:]), cmp.Compare(a.degraded, b.degraded))
	})
}

// spread adds what leaves a state by failures and bursts to the states it leads to.
func (g *Group) spread(s state, p *path, causes []Cause, all map[state]path) {
	up := g.Units - s.total()
	for c, cause := range causes {
		flow := p.share * float64(up) * cause.Rate
		alive := g.survive(s.total() + 1)
		p.end[0] += flow * (1 - alive)
		to := s
		to.lost[c]++
		if alive > 0 {
			q := all[to]
			q.enter += flow * alive
			all[to] = q
		}
	}
	for _, b := range g.Bursts {
		alive := 1.0
		for hit := 1; hit <= up; hit++ {
			alive *= g.survive(s.total() + hit)
			flow := p.share * b.Rate * binomial(up, hit, b.Hit)
			p.burst += flow * (1 - alive)
			if alive > 0 {
				to := s
				to.lost[len(causes)-1] += uint8(hit)
				q := all[to]
				q.enter += flow * alive
				all[to] = q
			}
		}
	}
}

// unitCauses are the causes with the rate of Causes[0] filled in where it is an array's.
func (g *Group) unitCauses() []Cause {
	if g.Inner == nil {
		return g.Causes
	}
	causes := append([]Cause(nil), g.Causes...)
	in := *g.Inner
	causes[0].Rate = 1 / MTTDL(in.Disks, 1, 1/in.Rate, in.Repair, false)
	return causes
}

// closedUnreadable is Unreadable, or that times the share of time in which an array is degraded.
func (g *Group) closedUnreadable() float64 {
	if g.Inner == nil {
		return g.Unreadable
	}
	return g.Unreadable * float64(g.Inner.Disks) * g.Inner.Rate * g.Inner.Repair
}
