package fleet

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy/result"
)

// birthDeathBig is the mean time to absorption of a birth-death chain with 200 bits: state i
// fails at fail[i] and is repaired at repair[i].
func birthDeathBig(fail, repair []float64) float64 {
	f := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	// The time from i to i+1: t(i) = 1/fail(i) + repair(i)/fail(i) * t(i-1).
	sum, last := f(0), f(0)
	for i := range fail {
		t := new(big.Float).SetPrec(200).Mul(f(repair[i]), last)
		t.Add(t, f(1)).Quo(t, f(fail[i]))
		sum.Add(sum, t)
		last = t
	}
	out, _ := sum.Float64()
	return out
}

// TestChainKeepsItsDigits: rates from 1e-12 to 1e9 and absorption after 1e80 hours, against arithmetic
// of 200 bits.
func TestChainKeepsItsDigits(t *testing.T) {
	for _, mu := range []float64{1e-3, 1, 1e3, 1e9} {
		for _, lambda := range []float64{1e-12, 1e-8, 1e-4} {
			for m := 0; m <= 6; m++ {
				c := &chain{}
				var fail, repair []float64
				for i := range m + 1 {
					c.grow()
					fail = append(fail, float64(m+2-i)*lambda)
					repair = append(repair, float64(i)*mu)
				}
				for i := range m + 1 {
					if i < m {
						c.rate[i][i+1] = fail[i]
					} else {
						c.absorb[i][Failures] = fail[i]
					}
					if i > 0 {
						c.rate[i][i-1] = repair[i]
					}
				}
				require.InEpsilon(t, birthDeathBig(fail, repair), c.solve().MTTDL, 1e-13, "mu %v lambda %v m %d", mu, lambda, m)
			}
		}
	}
}

// TestWithin: the chance of a loss in a time is what the mean says where losses are rare, what
// one exponential says for one unit, and goes to 1.
func TestWithin(t *testing.T) {
	one := Group{Units: 1, Causes: []Cause{{Name: "disk", Rate: 1e-3}}}
	for _, h := range []float64{1e-3, 1, 500, 1e5} {
		require.InEpsilon(t, -math.Expm1(-1e-3*h), Within(one, h), 1e-9)
	}
	for _, s := range result.Schemes() {
		g, _, err := Defaults().Scheme(s)
		require.NoError(t, err)
		for _, years := range []float64{1, 10} {
			// From everything there a loss takes a few repair times to be as likely as it will be.
			want := -math.Expm1(-years / Exact(g).Years())
			require.InEpsilon(t, want, Within(g, years*HoursPerYear), 0.01, s)
		}
		require.Zero(t, Within(g, 0))
		require.Less(t, Within(g, 1), Within(g, 2))
		require.InDelta(t, 1, Within(g, 1e3*Exact(g).MTTDL), 1e-9)
	}
}

// TestPlainSimulation: without forcing, where losses are common, the same figures come out.
func TestPlainSimulation(t *testing.T) {
	g := mds(5, 1, 1000, false, 20)
	g.Unreadable = 0.1
	plain := Simulate(g, SimConfig{Cycles: 100_000, Plain: true, Seed: 5})
	require.InEpsilon(t, Exact(g).MTTDL, plain.MTTDL, 0.05)
	require.Greater(t, plain.Losses, 1000)
	require.Equal(t, plain, Simulate(g, SimConfig{Cycles: 100_000, Plain: true, Seed: 5}))
}

func BenchmarkFleetSimulation(b *testing.B) {
	p := lossy()
	years := 0.0
	for b.Loop() {
		s, err := SimulateFleet(p, result.RAIDCluster, 2000, 1)
		require.NoError(b, err)
		years += s.DeviceYears
	}
	b.ReportMetric(years/b.Elapsed().Seconds(), "device-years/s")
}

func BenchmarkGroupSimulation(b *testing.B) {
	g, _, err := Defaults().Scheme(result.RAIDCluster)
	require.NoError(b, err)
	years := 0.0
	for b.Loop() {
		years += Simulate(g, SimConfig{Cycles: 20_000}).DeviceYears
	}
	b.ReportMetric(years/b.Elapsed().Seconds(), "device-years/s")
}
