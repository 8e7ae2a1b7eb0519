package fleet

import "math"

// chain is a Markov chain in continuous time with absorbing states, one per kind of loss.
// State 0 is where it starts.
type chain struct {
	rate   [][]float64 // from, to; the diagonal is not used
	absorb [][kinds]float64
}

func (c *chain) grow() int {
	n := len(c.absorb)
	for i := range c.rate {
		c.rate[i] = append(c.rate[i], 0)
	}
	c.rate = append(c.rate, make([]float64, n+1))
	c.absorb = append(c.absorb, [kinds]float64{})
	return n
}

// solve gives the mean time to absorption from state 0 and its share by kind, by taking out
// one state after the other (Grassmann, Taksar and Heyman 1985; here with absorption and
// times carried along). Only sums, products and quotients of numbers that are not negative:
// nothing cancels, so rates that are 30 orders of magnitude apart keep all their digits.
func (c *chain) solve() Loss {
	n := len(c.absorb)
	q, out := make([][]float64, n), make([][kinds]float64, n)
	time := make([]float64, n) // mean time in the states taken out, per unit of time in this one
	for i := range q {
		q[i] = append([]float64(nil), c.rate[i]...)
		out[i] = c.absorb[i]
		time[i] = 1
	}
	for k := n - 1; k > 0; k-- {
		var leave float64
		for j := range k {
			leave += q[k][j]
		}
		for _, a := range out[k] {
			leave += a
		}
		if leave == 0 { // unreachable, or for ever
			continue
		}
		for i := range k {
			f := q[i][k] / leave
			if f == 0 {
				continue
			}
			for j := range k {
				if j != i {
					q[i][j] += f * q[k][j]
				}
			}
			for a := range out[k] {
				out[i][a] += f * out[k][a]
			}
			time[i] += f * time[k]
		}
	}
	for a := range out[0] {
		out[0][a] /= time[0]
	}
	return newLoss(out[0])
}

// within is the chance of absorption by the time t, from state 0. The chain's step of t/2^s is
// made by uniformization and squared s times; again without a subtraction, so that a chance
// of 1e-20 is as exact as one of a half.
func (c *chain) within(t float64) float64 {
	n := len(c.absorb)
	leave, top := make([]float64, n), 0.0
	for i := range leave {
		for j, r := range c.rate[i] {
			if j != i {
				leave[i] += r
			}
		}
		for _, a := range c.absorb[i] {
			leave[i] += a
		}
		top = max(top, leave[i])
	}
	if top == 0 || t <= 0 {
		return 0
	}
	top *= 2
	squarings := max(0, int(math.Ceil(math.Log2(top*t))))
	h := math.Ldexp(t, -squarings) // top*h <= 1
	// One step of the uniformized chain, the last column being "absorbed".
	unit := make([][]float64, n)
	for i := range unit {
		unit[i] = make([]float64, n+1)
		for j, r := range c.rate[i] {
			unit[i][j] = r / top
		}
		unit[i][i] = (top - leave[i]) / top
		for _, a := range c.absorb[i] {
			unit[i][n] += a / top
		}
	}
	power, sum := identity(n), identity(n)
	weight := math.Exp(-top * h)
	scale(sum, weight)
	for k := 1; k < 40; k++ {
		power = compose(power, unit)
		weight *= top * h / float64(k)
		for i := range sum {
			for j := range sum[i] {
				sum[i][j] += weight * power[i][j]
			}
		}
	}
	for range squarings {
		sum = compose(sum, sum)
	}
	return min(1, sum[0][n])
}

// identity is n states that stay, and a column of what was absorbed: nothing.
func identity(n int) [][]float64 {
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n+1)
		m[i][i] = 1
	}
	return m
}

func scale(m [][]float64, f float64) {
	for i := range m {
		for j := range m[i] {
			m[i][j] *= f
		}
	}
}

// compose is first a, then b; what a has absorbed stays absorbed.
func compose(a, b [][]float64) [][]float64 {
	n := len(a)
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n+1)
		out[i][n] = a[i][n]
		for k := range n {
			if f := a[i][k]; f != 0 {
				for j, x := range b[k] {
					out[i][j] += f * x
				}
			}
		}
		settle(out[i])
	}
	return out
}

// settle makes a row sum up to 1 again by what was not absorbed: otherwise each squaring
// doubles the rounding error of the one before.
func settle(row []float64) {
	n := len(row) - 1
	row[n] = min(1, row[n])
	var there float64
	for _, x := range row[:n] {
		there += x
	}
	if there > 0 {
		f := (1 - row[n]) / there
		for j := range n {
			row[j] *= f
		}
	}
}
