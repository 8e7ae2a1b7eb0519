package fleet

import (
	"fmt"
	"math"
	"slices"

	"redoubt/redundancy/result"
)

// Comparison is the fleet model's whole answer: each scheme on the same fleet.
type Comparison struct {
	Params  Params        `json:"params"`
	Schemes []SchemeModel `json:"schemes"`
	// Sensitivity is how the bytes lost change with one parameter at a time.
	Sensitivity []Sweep `json:"sensitivity"`
	Checks      []Check `json:"checks"` // published figures, held against the model
}

// Scheme finds the model of a scheme; nil if there is none.
func (c *Comparison) Scheme(s result.Scheme) *SchemeModel {
	for i := range c.Schemes {
		if c.Schemes[i].Scheme == s {
			return &c.Schemes[i]
		}
	}
	return nil
}

// SchemeModel is one scheme on the fleet.
type SchemeModel struct {
	Scheme   result.Scheme `json:"scheme"`
	Title    string        `json:"title"`
	Modelled bool          `json:"modelled,omitempty"` // only here: the system does not do it
	Overhead float64       `json:"overhead"`           // bytes on disk per user byte
	UserPB   float64       `json:"userPB"`             // what the fleet holds of user data
	// DiskHours and NodeHours are from the loss of a disk or of a node to full redundancy,
	// detection included; 0: it does not come back.
	DiskHours   float64 `json:"diskHours"`
	NodeHours   float64 `json:"nodeHours"`
	Independent Outcome `json:"independent"` // faults one by one only
	Correlated  Outcome `json:"correlated"`  // with outages that strike many nodes
}

// Outcome is how long data lives. Years are years, rates are per year.
type Outcome struct {
	// Of one group: the mean time to data loss three ways, and half the width of the
	// simulation's 95 % confidence interval, which is 0 if it has seen no loss.
	Closed   float64 `json:"closed"`
	Exact    float64 `json:"exact"`
	Sim      float64 `json:"sim"`
	SimError float64 `json:"simError"`
	// Of the fleet: the mean time until it loses anything, the chance of that in a year, and
	// the events per year by kind.
	Fleet      float64 `json:"fleet"`
	Year       float64 `json:"year"`
	Failures   float64 `json:"failures"`
	Unreadable float64 `json:"unreadable"`
	Burst      float64 `json:"burst"`
	Ruin       float64 `json:"ruin"`
	// LostPerPB is the user's bytes lost per year of each petabyte (1e15) stored.
	LostPerPB float64 `json:"lostPerPB"`
	// CriticalSeconds is how many seconds of a year a group is one fault from loss, on average,
	// although the scheme could do better.
	CriticalSeconds float64 `json:"criticalSeconds"`
}

// finite is x, or 0 for "not known": too few cycles have seen no loss at all.
func finite(x float64) float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	return x
}

// Options say how much to simulate.
type Options struct {
	Cycles int    // of each group and outcome; default 100,000
	Seed   uint64 // the same seed gives the same figures
}

// Schemes are all schemes that the model has: those that are measured live, and others.
func Schemes() []result.Scheme { return append(result.Schemes(), result.Modelled()...) }

// Compare works out all schemes on one fleet, with and without faults that strike many nodes
// at once, and the published figures that the model is checked against. A few seconds.
func Compare(p Params, o Options) (*Comparison, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if o.Cycles == 0 {
		o.Cycles = 100_000
	}
	c := &Comparison{Params: p}
	for _, s := range Schemes() {
		m := SchemeModel{Scheme: s, Title: s.Title(), Modelled: slices.Contains(result.Modelled(), s)}
		for _, x := range []struct {
			p   Params
			out *Outcome
		}{{p.Without(), &m.Independent}, {p, &m.Correlated}} {
			g, pl, err := x.p.Scheme(s)
			if err != nil {
				return nil, fmt.Errorf("%w (%s)", err, s.Title())
			}
			*x.out = outcome(g, pl, o)
			m.Overhead = pl.Overhead
			m.UserPB = pl.Groups * pl.UserBytes / 1e15
			if len(g.Survive) > 0 {
				m.DiskHours, m.NodeHours = g.Causes[0].repair(1), g.Causes[g.cause("node")].repair(1)
			}
			if g.Inner != nil {
				m.DiskHours = g.Inner.Repair
			}
			if !pl.Spread {
				m.NodeHours = 0
			}
		}
		c.Schemes = append(c.Schemes, m)
	}
	var err error
	if c.Sensitivity, err = sensitivity(p); err != nil {
		return nil, err
	}
	c.Checks = Published()
	return c, nil
}

func outcome(g Group, pl Placement, o Options) Outcome {
	exact, sim := Exact(g), Simulate(g, SimConfig{Cycles: o.Cycles, Seed: o.Seed})
	f := Events(g, pl, exact)
	return Outcome{
		Closed: Closed(g).Years(), Exact: exact.Years(), Sim: finite(sim.Years()), SimError: finite(sim.Error / HoursPerYear),
		Fleet: f.MTTDL / HoursPerYear, Year: f.Year,
		Failures: f.Events[Failures] * HoursPerYear, Unreadable: f.Events[Unreadable] * HoursPerYear,
		Burst: f.Events[Bursted] * HoursPerYear, Ruin: f.Events[Ruined] * HoursPerYear,
		LostPerPB: lostPerPB(f), CriticalSeconds: f.Critical * 3600,
	}
}
