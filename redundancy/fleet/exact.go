package fleet

const maxCauses = 4

// state is how many units of a group are lost by each cause, and how many of those that are
// there are arrays with a disk missing.
type state struct {
	lost     [maxCauses]uint8
	degraded uint8
}

func (s state) total() int {
	n := 0
	for _, l := range s.lost {
		n += int(l)
	}
	return n
}

// Exact solves the group's Markov chain: one state for each number of units lost by each
// cause. The error is that of floating point, around 1e-14.
func Exact(g Group) Loss { return buildChain(&g).solve() }

// Within is the exact chance that a group loses data in its first hours.
func Within(g Group, hours float64) float64 { return buildChain(&g).within(hours) }

// builder turns a group into a chain, state by state as they are reached.
type builder struct {
	g     *Group
	chain chain
	index map[state]int
	queue []state
}

func buildChain(g *Group) *chain {
	b := &builder{g: g, index: map[state]int{}}
	b.at(state{})
	for len(b.queue) > 0 {
		s := b.queue[0]
		b.queue = b.queue[1:]
		b.fail(s)
		b.inner(s)
		b.repair(s)
		b.burst(s)
		from := b.index[s]
		b.chain.absorb[from][Ruined] += g.Ruin
		if len(g.Survive) == 0 {
			b.chain.absorb[from][Unreadable] += float64(g.Units-s.total()) * g.Latent
		}
	}
	return &b.chain
}

// at is the number of a state, which is new if it was not met before.
func (b *builder) at(s state) int {
	i, ok := b.index[s]
	if !ok {
		i = b.chain.grow()
		b.index[s] = i
		b.queue = append(b.queue, s)
	}
	return i
}

func (b *builder) move(from, to state, rate float64) {
	if rate > 0 && from != to {
		i, j := b.index[from], b.at(to)
		b.chain.rate[i][j] += rate
	}
}

// lose moves to a state with one more unit lost, as far as the group survives it.
func (b *builder) lose(from, to state, rate float64) {
	s := b.g.survive(to.total())
	b.move(from, to, rate*s)
	b.chain.absorb[b.index[from]][Failures] += rate * (1 - s)
}

func (b *builder) fail(s state) {
	up, degraded := b.g.Units-s.total(), int(s.degraded)
	for c, cause := range b.g.Causes {
		if c == 0 && b.g.Inner != nil {
			continue
		}
		to := s
		to.lost[c]++
		if up > degraded {
			b.lose(s, to, float64(up-degraded)*cause.Rate)
		}
		if degraded > 0 {
			to.degraded--
			b.lose(s, to, float64(degraded)*cause.Rate)
		}
	}
}

func (b *builder) inner(s state) {
	in := b.g.Inner
	if in == nil {
		return
	}
	whole := b.g.Units - s.total() - int(s.degraded)
	if whole > 0 {
		to := s
		to.degraded++
		b.move(s, to, float64(whole*in.Disks)*in.Rate)
	}
	if s.degraded > 0 {
		to := s
		to.degraded--
		b.move(s, to, float64(s.degraded)/in.Repair)
		to.lost[0]++
		b.lose(s, to, float64(int(s.degraded)*(in.Disks-1))*in.Rate)
	}
}

func (b *builder) repair(s state) {
	total := s.total()
	for c := range b.g.Causes {
		if s.lost[c] == 0 {
			continue
		}
		rate := float64(s.lost[c]) / b.g.Causes[c].repair(total)
		if b.g.Serial {
			rate /= float64(total)
		}
		bad := 0.0
		if total == len(b.g.Survive) {
			bad = b.g.unreadable(s)
		}
		to := s
		to.lost[c]--
		b.move(s, to, rate*(1-bad))
		b.chain.absorb[b.index[s]][Unreadable] += rate * bad
	}
}

// unreadable is the chance that a source is unreadable: where units are arrays, only those
// without a disk can't help themselves.
func (g *Group) unreadable(s state) float64 {
	if g.Inner == nil {
		return g.Unreadable
	}
	return g.Unreadable * float64(s.degraded) / float64(g.Units-s.total())
}

func (b *builder) burst(s state) {
	up, degraded := b.g.Units-s.total(), int(s.degraded)
	last := len(b.g.Causes) - 1
	for _, burst := range b.g.Bursts {
		for d := 0; d <= degraded; d++ {
			for w := 0; w <= up-degraded; w++ {
				if d+w == 0 {
					continue
				}
				rate := burst.Rate * binomial(degraded, d, burst.Hit) * binomial(up-degraded, w, burst.Hit)
				alive := 1.0
				for i := 1; i <= d+w; i++ {
					alive *= b.g.survive(s.total() + i)
				}
				to := s
				to.degraded -= uint8(d)
				to.lost[last] += uint8(d + w)
				b.move(s, to, rate*alive)
				b.chain.absorb[b.index[s]][Bursted] += rate * (1 - alive)
			}
		}
	}
}
