package fleet

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redoubt/redundancy/result"
)

// drawGroup draws a group with any of the features.
func drawGroup(t *rapid.T) Group {
	n := rapid.IntRange(2, 12).Draw(t, "units")
	m := rapid.IntRange(1, min(4, n-1)).Draw(t, "survives")
	log := func(low, high float64, name string) float64 {
		return math.Pow(10, rapid.Float64Range(low, high).Draw(t, name))
	}
	g := Group{Units: n, Survive: ones(m), Serial: rapid.Bool().Draw(t, "serial")}
	if rapid.Bool().Draw(t, "errors") {
		g.Unreadable = rapid.Float64Range(0, 0.9).Draw(t, "unreadable")
	}
	for _, name := range []string{"disk", "node"}[:rapid.IntRange(1, 2).Draw(t, "causes")] {
		g.Causes = append(g.Causes, Cause{Name: name, Rate: log(-9, -4, name), Repair: []float64{log(-2, 2, "repair")}})
	}
	if rapid.Bool().Draw(t, "bursts") {
		g.Bursts = []Burst{{Rate: log(-8, -4, "rate"), Hit: rapid.Float64Range(0.0001, 0.3).Draw(t, "hit")}}
	}
	if rapid.Bool().Draw(t, "arrays") && len(g.Causes) == 2 {
		g.Inner = &Inner{Disks: rapid.IntRange(3, 9).Draw(t, "disks"), Rate: log(-8, -5, "disk rate"), Repair: log(-1, 2, "array repair")}
	}
	return g
}

// TestWorseIsWorse: each parameter pushes the mean time to data loss one way only.
func TestWorseIsWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t)
		require.NoError(t, g.Validate())
		before := Exact(g).MTTDL
		worse := func(what string, change func(*Group)) {
			h := g
			h.Causes = append([]Cause(nil), g.Causes...)
			h.Bursts = append([]Burst(nil), g.Bursts...)
			change(&h)
			require.LessOrEqual(t, Exact(h).MTTDL, before*(1+1e-9), what)
		}
		for i := range g.Causes {
			worse("a shorter life", func(h *Group) { h.Causes[i].Rate *= 1.5 })
			if g.Unreadable > 0 {
				continue // a longer repair also puts off the end at which it fails
			}
			worse("a longer repair", func(h *Group) { h.Causes[i].Repair = []float64{h.Causes[i].Repair[0] * 1.5} })
		}
		worse("more unreadable", func(h *Group) { h.Unreadable += 0.1 })
		worse("one more unit", func(h *Group) { h.Units++ })
		worse("one less survived", func(h *Group) { h.Survive = h.Survive[1:]; h.Unreadable = g.Unreadable })
		worse("ruin", func(h *Group) { h.Ruin = 1e-6 })
		worse("one at a time", func(h *Group) { h.Serial = true })
		worse("a burst", func(h *Group) { h.Bursts = append(h.Bursts, Burst{Rate: 1e-6, Hit: 0.05}) })
		if g.Inner != nil && g.Unreadable == 0 {
			worse("a longer rebuild in the array", func(h *Group) { in := *h.Inner; in.Repair *= 2; h.Inner = &in })
		}
	})
}

// TestScrubbingAndFasterRebuildsHelp: the same, of a fleet's parameters.
func TestScrubbingAndFasterRebuildsHelp(t *testing.T) {
	for _, s := range Schemes() {
		loss := func(change func(*Params)) float64 {
			p := Defaults()
			change(&p)
			g, pl, err := p.Scheme(s)
			require.NoError(t, err)
			f := Events(g, pl, Exact(g))
			require.True(t, f.Year >= 0 && f.Year <= 1 && f.MTTDL > 0)
			return 1 / f.MTTDL
		}
		base := loss(func(*Params) {})
		if s != result.None {
			require.GreaterOrEqual(t, loss(func(p *Params) { p.Scrub = 0 }), base, "%s: never scrubbed", s)
			require.GreaterOrEqual(t, loss(func(p *Params) { p.BitErrors *= 10 }), base, "%s: more errors", s)
			require.GreaterOrEqual(t, loss(func(p *Params) { p.Rates.Spare /= 10; p.Rates.Copy /= 10; p.Rates.Fold /= 10 }), base*0.999, "%s: slower", s)
			require.GreaterOrEqual(t, loss(func(p *Params) { p.DetectDisk, p.DetectNode = 24, 24 }), base*0.999, "%s: unnoticed", s)
		}
		require.Greater(t, loss(func(p *Params) { p.DiskMTTF /= 2; p.NodeMTTF /= 2 }), base, "%s: shorter lives", s)
		require.GreaterOrEqual(t, base, loss(func(p *Params) { p.Power = nil }), "%s: outages", s)
	}
}

// TestOrderOfSchemes: what the comparison is about. Three replicas live longest; two copies
// or parity across nodes survive what an array in a node does not.
func TestOrderOfSchemes(t *testing.T) {
	c, err := Compare(Defaults(), Options{Cycles: 2000})
	require.NoError(t, err)
	year := func(s result.Scheme) float64 { return c.Scheme(s).Correlated.LostPerPB }
	require.Less(t, year(result.Three), year(result.Two))
	require.Less(t, year(result.Two), year(result.RAIDCluster))
	require.Less(t, year(result.RAIDBoth), year(result.RAIDCluster))
	require.Less(t, year(result.RAIDCluster), year(result.RAIDNode)/100)
	require.Less(t, year(result.RAIDNode), year(result.None))
	for _, m := range c.Schemes {
		require.LessOrEqual(t, m.Independent.LostPerPB, m.Correlated.LostPerPB, m.Title)
	}
	again, err := Compare(Defaults(), Options{Cycles: 2000})
	require.NoError(t, err)
	a, err := json.Marshal(c)
	require.NoError(t, err, "no infinities: a comparison must go into JSON")
	b, err := json.Marshal(again)
	require.NoError(t, err)
	require.Equal(t, string(a), string(b), "the same seed, the same figures")
}

// TestTooFewCycles: a simulation that has seen nothing says so, and does not spoil the JSON.
func TestTooFewCycles(t *testing.T) {
	c, err := Compare(Defaults(), Options{Cycles: 2})
	require.NoError(t, err)
	_, err = json.Marshal(c)
	require.NoError(t, err)
}

// TestBadParameters: a clear error, not a strange figure.
func TestBadParameters(t *testing.T) {
	for what, change := range map[string]func(*Params){
		"no nodes":       func(p *Params) { p.Racks = 0 },
		"k too small":    func(p *Params) { p.Parity = 1 },
		"k too large":    func(p *Params) { p.Parity = 17 },
		"few disks":      func(p *Params) { p.DisksPerNode = 4 },
		"no life":        func(p *Params) { p.DiskMTTF = 0 },
		"endless life":   func(p *Params) { p.NodeMTTF = math.Inf(1) },
		"no rate":        func(p *Params) { p.Rates.Copy = 0 },
		"overfull":       func(p *Params) { p.Fill = 1.5 },
		"not a number":   func(p *Params) { p.DiskBytes = math.NaN() },
		"chance above 1": func(p *Params) { p.Power = []Outage{{PerYear: 1, Hit: 2}} },
		"few racks":      func(p *Params) { p.Racks, p.NodesPerRack = 4, 100 },
		"negative times": func(p *Params) { p.DetectDisk = -1 },
	} {
		p := Defaults()
		change(&p)
		_, err := Compare(p, Options{Cycles: 10})
		require.ErrorContains(t, err, "fleet: ", what)
	}
	_, _, err := Defaults().Scheme("raid6")
	require.ErrorContains(t, err, "no scheme")
	_, err = SimulateFleet(Defaults(), result.Two, 1, 1)
	require.ErrorContains(t, err, "too many")
	require.Error(t, Group{Units: 2, Survive: ones(1), Causes: []Cause{{Name: "x", Rate: 1}}}.Validate(), "no repair time")
}

// TestSensitivity: noticing later and larger disks never help, outages never do, and where the
// sweep passes the fleet as it is, it has the fleet's own figure.
func TestSensitivity(t *testing.T) {
	p := Defaults()
	all, err := sensitivity(p)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for i, at := range []float64{p.DetectDisk, p.DiskBytes} {
		sweep := all[i]
		here := slices.Index(sweep.At, at)
		require.GreaterOrEqual(t, here, 0, sweep.Name)
		require.Len(t, sweep.Lines, len(Schemes()))
		for _, l := range sweep.Lines {
			for j := range sweep.At {
				require.LessOrEqual(t, l.Independent[j], l.Correlated[j], l.Title)
				// Unreadable sectors that come unread are counted by the disk: larger ones have fewer
				// to a byte, so only the time until a loss is noticed goes one way.
				if j > 0 && sweep.Name == "detect" {
					require.GreaterOrEqual(t, l.Independent[j], l.Independent[j-1]*(1-1e-9), "%s: %s", sweep.Name, l.Title)
				}
			}
			g, pl, err := p.Scheme(l.Scheme)
			require.NoError(t, err)
			require.InEpsilon(t, lostPerPB(Events(g, pl, Exact(g))), l.Correlated[here], 1e-9, l.Title)
		}
	}
}

// TestModelledSchemes: a second unit of parity does what it is there for, in the same space;
// in a node it can't save the node.
func TestModelledSchemes(t *testing.T) {
	c, err := Compare(Defaults(), Options{Cycles: 2000})
	require.NoError(t, err)
	of := func(s result.Scheme) *SchemeModel { return c.Scheme(s) }
	require.Equal(t, of(result.RAIDNode).Overhead, of(result.DoubleNode).Overhead)
	require.Equal(t, of(result.RAIDCluster).Overhead, of(result.DoubleCluster).Overhead)
	require.Equal(t, 1.5, of(result.ReedSolomon).Overhead)
	require.Less(t, of(result.DoubleNode).Correlated.Unreadable, of(result.RAIDNode).Correlated.Unreadable/100)
	require.InEpsilon(t, of(result.DoubleNode).Correlated.Ruin, of(result.RAIDNode).Correlated.Ruin, 1e-9)
	require.Less(t, of(result.DoubleCluster).Correlated.LostPerPB, of(result.RAIDCluster).Correlated.LostPerPB/10)
	require.Less(t, of(result.ReedSolomon).Correlated.LostPerPB, of(result.DoubleCluster).Correlated.LostPerPB)
	require.Less(t, of(result.RAIDCluster).DiskHours, of(result.DoubleCluster).DiskHours, "eight are read for one, not four")
	for _, s := range result.Modelled() {
		require.True(t, of(s).Modelled)
	}
	_, err = SimulateFleet(Defaults(), result.DoubleNode, 1, 1)
	require.ErrorContains(t, err, "RAID-6 in the node is not simulated disk by disk")
}
