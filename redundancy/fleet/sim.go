package fleet

import (
	"math"
	"math/rand/v2"
)

// SimConfig says how long to simulate a group.
type SimConfig struct {
	Cycles int    // from everything there to everything there again, or to a loss; default 200,000
	Seed   uint64 // the same seed gives the same result
	// Plain leaves the chances as they are. Otherwise failures are made as likely as repairs
	// while anything is lost, and each cycle is weighed by how unlikely it truly is.
	Plain bool
}

// SimResult is what a simulation has seen.
type SimResult struct {
	Loss
	Error       float64 // half the width of the 95 % confidence interval of MTTDL, hours
	Cycles      int
	Losses      int     // cycles that ended in a loss, as they were simulated
	DeviceYears float64 // of units, or of the disks of their arrays, in the cycles that are weighed by one
}

// groupSim is one group, unit by unit. It shares nothing with the chain: no counts of lost
// units are kept but by looking at each unit.
type groupSim struct {
	g     *Group
	rng   *rand.Rand
	plain bool

	lost   []int8 // cause by which the unit is lost, -1: it is there
	broken []int  // disks missing in the unit's array
	weight float64
	moves  []move

	chance   [][][]float64 // of a burst, with so many units there, to hit so many
	perClass []float64     // rates of failures; all 0 between two picks
	classes  []int
}

// move is something that can happen next.
type move struct {
	rate   float64
	repair bool
	class  int  // failures of one class share the forced chance
	kind   Kind // for what loses data
	unit   int
	do     action
}

type action int

const (
	loseUnit action = iota // class is the cause
	loseDisk
	repairUnit
	repairDisk
	repairFails
	ruin
	latent
	strike // a burst; unit is how many it hits, class tells which burst
)

// Classes of failures; the causes have the numbers below.
const (
	diskClass   = maxCauses // the first missing disk of an array; the next number is the second
	badClass    = diskClass + 2
	latentClass = diskClass + 3
	ruinClass   = diskClass + 4
	burstClass  = diskClass + 5 // and one for each number of units hit
)

// Simulate plays a group's life event by event. It goes from one moment at which everything
// is there to the next: MTTDL is the mean length of such a cycle over the chance that it ends
// in a loss. Lengths come from cycles as they are, chances from cycles in which failures are
// forced, each class of failure alike (balanced failure biasing), and the likelihood ratio
// makes up for it. Both halves use half of the cycles.
func Simulate(g Group, cfg SimConfig) SimResult {
	if cfg.Cycles == 0 {
		cfg.Cycles = 200_000
	}
	s := newGroupSim(&g, cfg.Seed)
	var length, lossW moments
	var byKind [kinds]float64
	losses, n := 0, max(2, cfg.Cycles/2)
	s.plain = true
	for range n {
		t, kind := s.cycle()
		length.add(t)
		if cfg.Plain {
			w := 0.0
			if kind >= 0 {
				w, losses = 1, losses+1
				byKind[kind]++
			}
			lossW.add(w)
		}
	}
	s.plain = false
	if !cfg.Plain {
		for range n {
			_, kind := s.cycle()
			w := 0.0
			if kind >= 0 {
				w, losses = s.weight, losses+1
				byKind[kind] += w
			}
			lossW.add(w)
		}
	}
	return s.result(length, lossW, byKind, losses, n)
}

func newGroupSim(g *Group, seed uint64) *groupSim {
	s := &groupSim{g: g, rng: rand.New(rand.NewPCG(seed, 0x5e0d)), lost: make([]int8, g.Units), broken: make([]int, g.Units)}
	for _, b := range g.Bursts {
		table := make([][]float64, g.Units+1)
		for up := range table {
			table[up] = make([]float64, up+1)
			for hit := range table[up] {
				table[up][hit] = binomial(up, hit, b.Hit)
			}
		}
		s.chance = append(s.chance, table)
	}
	s.perClass = make([]float64, burstClass+(len(g.Bursts)+1)*(g.Units+1))
	return s
}

func (s *groupSim) result(length, lossW moments, byKind [kinds]float64, losses, n int) SimResult {
	r := SimResult{Cycles: n, Losses: losses}
	r.MTTDL = length.mean() / lossW.mean()
	for k := range byKind {
		r.Rate[k] = byKind[k] / float64(n) / length.mean()
	}
	a, b := length.relative(), lossW.relative()
	r.Error = 1.96 * r.MTTDL * math.Sqrt(a*a+b*b)
	disks := float64(s.g.Units)
	if s.g.Inner != nil {
		disks *= float64(s.g.Inner.Disks)
	}
	r.DeviceYears = length.sum * disks / HoursPerYear
	return r
}

// cycle plays one cycle and gives its length, and how it lost data, -1 if it did not.
// Where time matters it is the mean of each stay, not a sample of it: the same mean, less noise.
func (s *groupSim) cycle() (hours float64, kind Kind) {
	for i := range s.lost {
		s.lost[i], s.broken[i] = -1, 0
	}
	s.weight = 1
	for {
		s.gather()
		var total float64
		for _, m := range s.moves {
			total += m.rate
		}
		if total == 0 {
			return math.Inf(1), -1
		}
		hours += 1 / total
		m := s.pick(total)
		if kind := s.play(m); kind >= 0 {
			return hours, kind
		}
		if s.whole() {
			return hours, -1
		}
	}
}

func (s *groupSim) whole() bool {
	for i := range s.lost {
		if s.lost[i] >= 0 || s.broken[i] > 0 {
			return false
		}
	}
	return true
}

func (s *groupSim) lostUnits() (n, degraded int) {
	for i := range s.lost {
		if s.lost[i] >= 0 {
			n++
		} else if s.broken[i] > 0 {
			degraded++
		}
	}
	return n, degraded
}

// gather lists all that can happen next.
func (s *groupSim) gather() {
	g, out := s.g, s.moves[:0]
	lost, degraded := s.lostUnits()
	add := func(m move) {
		if m.rate > 0 {
			out = append(out, m)
		}
	}
	for u := range s.lost {
		if c := s.lost[u]; c >= 0 {
			rate, bad := 1/g.Causes[c].repair(lost), 0.0
			if g.Serial {
				rate /= float64(lost)
			}
			if lost == len(g.Survive) {
				if bad = g.Unreadable; g.Inner != nil {
					bad *= float64(degraded) / float64(g.Units-lost)
				}
			}
			add(move{rate: rate * (1 - bad), repair: true, unit: u, do: repairUnit})
			add(move{rate: rate * bad, class: badClass, kind: Unreadable, unit: u, do: repairFails})
			continue
		}
		for c, cause := range g.Causes {
			if c > 0 || g.Inner == nil {
				add(move{rate: cause.Rate, class: c, unit: u, do: loseUnit})
			}
		}
		if in := g.Inner; in != nil {
			// The second missing disk loses the array and counts as its cause, number 0.
			add(move{rate: float64(in.Disks-s.broken[u]) * in.Rate, class: diskClass + min(1, s.broken[u]), unit: u, do: loseDisk})
			if s.broken[u] > 0 {
				add(move{rate: 1 / in.Repair, repair: true, unit: u, do: repairDisk})
			}
		}
		if len(g.Survive) == 0 {
			add(move{rate: g.Latent, class: latentClass, kind: Unreadable, do: latent})
		}
	}
	add(move{rate: g.Ruin, class: ruinClass, do: ruin})
	up := g.Units - lost
	for i, b := range g.Bursts {
		for hit := 1; hit <= up; hit++ {
			add(move{rate: b.Rate * s.chance[i][up][hit], class: burstClass + i*g.Units + hit, unit: hit, do: strike})
		}
	}
	s.moves = out
}

// pick chooses what happens next and notes how much more likely it was made than it is.
func (s *groupSim) pick(total float64) move {
	if s.plain {
		return s.weighted(total, func(*move) bool { return true })
	}
	var failing, repairing float64
	perClass, classes := s.perClass, s.classes[:0]
	for i := range s.moves {
		m := &s.moves[i]
		if m.repair {
			repairing += m.rate
			continue
		}
		failing += m.rate
		if perClass[m.class] == 0 {
			classes = append(classes, m.class)
		}
		perClass[m.class] += m.rate
	}
	s.classes = classes
	defer func() {
		for _, c := range s.classes {
			s.perClass[c] = 0
		}
	}()
	fail := 0.5
	switch {
	case repairing == 0:
		fail = 1
	case failing == 0:
		fail = 0
	default:
		fail = max(fail, failing/total)
	}
	if s.rng.Float64() >= fail {
		s.weight *= repairing / total / (1 - fail)
		return s.weighted(repairing, func(m *move) bool { return m.repair })
	}
	class := classes[s.rng.IntN(len(classes))]
	s.weight *= perClass[class] / total / (fail / float64(len(classes)))
	return s.weighted(perClass[class], func(m *move) bool { return !m.repair && m.class == class })
}

func (s *groupSim) weighted(total float64, ok func(*move) bool) move {
	x := s.rng.Float64() * total
	var last move
	for i := range s.moves {
		if m := &s.moves[i]; ok(m) {
			last = *m
			if x -= m.rate; x < 0 {
				break
			}
		}
	}
	return last
}

// play makes it happen; it gives the kind of loss, -1 for none.
func (s *groupSim) play(m move) Kind {
	switch m.do {
	case repairUnit:
		s.lost[m.unit], s.broken[m.unit] = -1, 0
	case repairDisk:
		s.broken[m.unit]--
	case repairFails, latent:
		return m.kind
	case ruin:
		return Ruined
	case loseDisk:
		if s.broken[m.unit]++; s.broken[m.unit] == 2 {
			return s.loseUnits([]int{m.unit}, 0, Failures)
		}
	case loseUnit:
		return s.loseUnits([]int{m.unit}, m.class, Failures)
	case strike:
		var there []int
		for u, c := range s.lost {
			if c < 0 {
				there = append(there, u)
			}
		}
		s.rng.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
		return s.loseUnits(there[:m.unit], len(s.g.Causes)-1, Bursted)
	}
	return -1
}

func (s *groupSim) loseUnits(units []int, cause int, kind Kind) Kind {
	lost, _ := s.lostUnits()
	for _, u := range units {
		lost++
		if p := s.g.survive(lost); p < 1 && s.rng.Float64() >= p {
			return kind
		}
		s.lost[u], s.broken[u] = int8(cause), 0
	}
	return -1
}

// moments sums up samples.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(x float64) { m.n, m.sum, m.squares = m.n+1, m.sum+x, m.squares+x*x }

func (m *moments) mean() float64 { return m.sum / m.n }

// relative is the standard error of the mean over the mean.
func (m *moments) relative() float64 {
	mean := m.mean()
	return math.Sqrt(max(0, m.squares/m.n-mean*mean)/m.n) / mean
}
