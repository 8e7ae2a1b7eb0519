package fleet

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func plainGroup(n, m int, mttf, mttr float64, serial bool) Group {
	return Group{Units: n, Survive: ones(m), Serial: serial, Causes: []Cause{{Name: "disk", Rate: 1 / mttf, Repair: []float64{mttr}}}}
}

// groups are parameter sets over all features of a group, from losses every few days to
// losses that nobody will live to see.
func groups(t testing.TB) map[string]Group {
	all := map[string]Group{}
	for _, x := range []struct{ n, m int }{{1, 0}, {2, 1}, {3, 2}, {4, 1}, {5, 1}, {8, 1}, {17, 1}, {5, 2}, {9, 3}, {14, 4}} {
		for _, mttr := range []float64{0.5, 24, 200} {
			for _, serial := range []bool{false, true} {
				all[fmt.Sprintf("%d+%d mttr %v serial %v", x.n-x.m, x.m, mttr, serial)] = plainGroup(x.n, x.m, 1e6, mttr, serial)
			}
		}
	}
	for _, ber := range []float64{1e-14, 1e-15} {
		for _, k := range []int{2, 4, 7} {
			g := plainGroup(k+1, 1, 5e5, 30, true)
			g.Unreadable = UnreadableChance(4e12*float64(k), ber)
			all[fmt.Sprintf("RAID-5 %d+1 ber %v", k, ber)] = g
		}
	}
	lrc := plainGroup(10, 4, 5*HoursPerYear, 0.5, false)
	lrc.Survive = []float64{1, 1, 1, 0.86}
	all["LRC(6,2,2)"] = lrc
	for _, k := range []int{2, 4, 16} {
		all[fmt.Sprintf("arrays under %d+1", k)] = Group{
			Units: k + 1, Survive: ones(1), Unreadable: 0.3, Inner: &Inner{Disks: k + 1, Rate: 2e-6, Repair: 24},
			Causes: []Cause{{Name: "array", Repair: []float64{10}}, {Name: "node", Rate: 4e-6, Repair: []float64{30}}},
		}
	}
	for _, p := range []Params{Defaults(), Defaults().Without()} {
		for _, s := range Schemes() {
			g, _, err := p.Scheme(s)
			require.NoError(t, err)
			all[fmt.Sprintf("fleet %s, %d outages", s, len(p.Power))] = g
		}
	}
	return all
}

// TestTheThreeAgree: formulas, chain and simulation, each within 5 % of the others.
func TestTheThreeAgree(t *testing.T) {
	n := 0
	for name, g := range groups(t) {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, g.Validate())
			exact, closed := Exact(g), Closed(g)
			cycles, near, nearKind := 40_000, 0.05, 0.10
			if testing.Short() {
				cycles, near, nearKind = 4000, 0.20, 0.35
			}
			sim := Simulate(g, SimConfig{Cycles: cycles, Seed: 7})
			require.InEpsilon(t, exact.MTTDL, closed.MTTDL, 0.05, "closed form")
			require.InEpsilon(t, exact.MTTDL, sim.MTTDL, near, "simulation, +- %.1f %%", 100*sim.Error/sim.MTTDL)
			require.Less(t, math.Abs(sim.MTTDL-exact.MTTDL), 2.5*sim.Error+1e-9*exact.MTTDL, "outside of its own confidence interval")
			for k := range exact.Rate {
				if share := exact.Rate[k] * exact.MTTDL; share > 0.05 {
					require.InEpsilon(t, exact.Rate[k], closed.Rate[k], 0.06, "closed form of %v", Kind(k))
					require.InEpsilon(t, exact.Rate[k], sim.Rate[k], nearKind, "simulation of %v", Kind(k))
				}
			}
		})
		n++
	}
	t.Logf("%d parameter sets", n)
}
