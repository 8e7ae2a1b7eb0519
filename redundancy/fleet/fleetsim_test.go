package fleet

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy/result"
)

// lossy is a fleet bad enough to be watched: disks live a few years, repairs take days.
func lossy() Params {
	p := Defaults()
	p.Racks, p.NodesPerRack, p.DisksPerNode = 30, 5, 5
	p.DiskMTTF, p.NodeMTTF = 20*HoursPerYear, 200*HoursPerYear
	p.DetectDisk, p.DetectNode = 8, 8
	p.BlockBytes = p.DiskBytes * p.Fill / 150
	p.BitErrors, p.LatentPerYear = 1e-18, 0.001
	p.Power = nil
	return p
}

// FLEET_YEARS multiplies the years that are simulated, for narrower intervals.
func yearsScale(t *testing.T) float64 {
	if v := os.Getenv("FLEET_YEARS"); v != "" {
		f, err := strconv.ParseFloat(v, 64)
		require.NoError(t, err)
		return f
	}
	if testing.Short() {
		return 0.1
	}
	return 1
}

// TestFleetSimulationAgreesWithEvents: the whole fleet, disk by disk, sees losses as often as
// one group's rates and the counting of sets of disks say.
func TestFleetSimulationAgreesWithEvents(t *testing.T) {
	scale := yearsScale(t)
	power := func(p Params) Params {
		p.Power = []Outage{{Name: "rack", PerYear: 0.5, Rack: true, Hit: 0.1}, {Name: "house", PerYear: 1, Hit: 0.01}}
		return p
	}
	errors := func(p Params) Params {
		p.BitErrors, p.LatentPerYear = 3e-17, 0.02
		return p
	}
	few := func(p Params) Params { // groups so large that many pairs of disks share none
		p.BlockBytes = p.DiskBytes * p.Fill / 40
		return p
	}
	slow := func(p Params) Params { // so that two failures meet, and a third
		p.DetectDisk, p.DetectNode, p.DiskMTTF, p.NodeMTTF = 60, 60, 5*HoursPerYear, 50*HoursPerYear
		p.Rates = Hardware(1e12, 1e13, 1, p.DisksPerNode, p.Parity) // all of it is waiting: none is urgent
		return p
	}
	for _, c := range []struct {
		name   string
		scheme result.Scheme
		years  float64
		change func(Params) Params
	}{
		{"none", result.None, 200, nil},
		{"two", result.Two, 5000, nil},
		{"two, few groups", result.Two, 6000, few},
		{"two, unreadable", result.Two, 3000, errors},
		{"two, power", result.Two, 2000, power},
		{"three, slow", result.Three, 2500, slow},
		{"three, power", result.Three, 4000, power},
		{"array", result.RAIDNode, 3000, nil},
		{"array, unreadable", result.RAIDNode, 3000, errors},
		{"array, power", result.RAIDNode, 3000, power},
		{"across", result.RAIDCluster, 3000, nil},
		{"across, few groups", result.RAIDCluster, 5000, few},
		{"across, unreadable", result.RAIDCluster, 2000, errors},
		{"across, power", result.RAIDCluster, 2000, power},
		{"RAID-6 across, slow", result.DoubleCluster, 1500, slow},
		{"RS(6,3), power", result.ReedSolomon, 3000, power},
		{"both", result.RAIDBoth, 6000, slow},
		{"both, power", result.RAIDBoth, 5000, power},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := lossy()
			if c.change != nil {
				p = c.change(p)
			}
			g, pl, err := p.Scheme(c.scheme)
			require.NoError(t, err)
			want := Events(g, pl, Exact(g))
			got, err := SimulateFleet(p, c.scheme, c.years*scale, 3)
			require.NoError(t, err)
			t.Logf("%.3g device-years, %d failures: %v events, %.4g a year +- %.2g; expected %.4g %v", got.DeviceYears, got.Failures, got.Events,
				got.Rate*HoursPerYear, got.Error*HoursPerYear, HoursPerYear/want.MTTDL, want.Events)
			require.InDelta(t, 1/want.MTTDL, got.Rate, 1.5*got.Error+0.02/want.MTTDL)
			groups := got.Groups / pl.Groups / got.Years
			bytes := (Exact(g).Rate[0] + Exact(g).Rate[1] + Exact(g).Rate[2] + Exact(g).Rate[3]) * HoursPerYear
			t.Logf("of each group %.3g losses a year, expected %.3g", groups, bytes)
		})
	}
}
