package result

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// rounds makes a round of each rate; in the busy ones the machine was too busy.
func rounds(busy []bool, rates ...float64) (all []Round) {
	for i, r := range rates {
		s := SchemeResult{Scheme: Two, Title: Two.Title(), Space: Space{StoredBytes: int64(10 * r), Ratio: r}}
		s.Write = Load{Measured: true, Rate: r, Bytes: int64(r), Strain: Strain{Busy: busy[i]}}
		all = append(all, Round{Schemes: []SchemeResult{s}})
	}
	return all
}

func writeRate(s *SchemeResult) (float64, bool, bool) {
	return s.Write.Rate, s.Write.Strain.Busy, s.Write.Measured
}

// The median and the range are of the rounds that were measured in peace; of all, and marked,
// if none was.
func TestMedianAndRange(t *testing.T) {
	for _, x := range []struct {
		name  string
		busy  []bool
		rates []float64
		want  Spread
	}{
		{"peace", []bool{false, false, false}, []float64{5, 1, 3}, Spread{Median: 3, Low: 1, High: 5, Count: 3}},
		{"one busy", []bool{false, true, false}, []float64{5, 1, 3}, Spread{Median: 4, Low: 3, High: 5, Count: 2}},
		{"all busy", []bool{true, true, true}, []float64{5, 1, 3}, Spread{Median: 3, Low: 1, High: 5, Count: 3, Busy: true}},
		{"once", []bool{false}, []float64{7}, Spread{Median: 7, Low: 7, High: 7, Count: 1}},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := Run{Rounds: rounds(x.busy, x.rates...)}
			r.Schemes = Summarize(r.Rounds)
			require.Equal(t, x.want, r.Spread(Two, writeRate))
			require.Len(t, r.Schemes, 1)
			require.Equal(t, len(x.rates), r.Schemes[0].Repeats)
			require.Equal(t, x.want.Median, r.Schemes[0].Write.Rate, "the summary has the same median")
			require.Equal(t, x.want.Busy, r.Schemes[0].Write.Strain.Busy)
			require.Equal(t, int64(x.want.Median), r.Schemes[0].Write.Bytes)
			require.Equal(t, Spread{}, r.Spread(Three, writeRate), "a scheme that was not run")
			alone := Run{Schemes: r.Schemes}
			require.Equal(t, x.want.Median, alone.Spread(Two, writeRate).Median, "a run without rounds")
		})
	}
}

// A fault counts in the rounds in which it has hit something; wrong bytes count always.
func TestFaultSummary(t *testing.T) {
	round := func(f FaultResult) Round {
		f.Fault, f.Title = Disk, Disk.Title()
		return Round{Schemes: []SchemeResult{{Scheme: None, Title: "none", Faults: []FaultResult{f}}}}
	}
	hit := func(lost, wrong, risk int64) Round {
		return round(FaultResult{AtRisk: risk, Victims: []string{"node1"}, Survived: Survived{Bytes: 100, LostBytes: lost, WrongBytes: wrong}})
	}
	missed := round(FaultResult{Untested: "no disk holds data", Survived: Survived{Bytes: 100}})

	r := Run{Rounds: []Round{hit(4, 0, 10), missed, hit(8, 0, 30)}}
	f := Summarize(r.Rounds)[0].Fault(Disk)
	require.Empty(t, f.Untested)
	require.Equal(t, int64(6), f.Survived.LostBytes, "the round that hit nothing is no round without loss")
	require.Equal(t, int64(20), f.AtRisk)
	require.Equal(t, []string{"none, disk lost: not tested: no disk holds data"}, r.Untested(), "but the run is told of it")

	f = Summarize([]Round{missed, missed})[0].Fault(Disk)
	require.Equal(t, "no disk holds data", f.Untested)

	f = Summarize([]Round{hit(0, 0, 10), hit(0, 7, 10), hit(0, 0, 10)})[0].Fault(Disk)
	require.Equal(t, int64(7), f.Survived.WrongBytes, "not averaged away")
}

// A repair is complete if it was so in every round in which there was something to make again,
// and its numbers are of those.
func TestRepairSummary(t *testing.T) {
	round := func(p Repair) Round {
		return Round{Schemes: []SchemeResult{{Scheme: Two, Faults: []FaultResult{{Fault: Node, Repair: p}}}}}
	}
	done := func(s float64) Round { return round(Repair{Needed: true, Complete: true, Seconds: s}) }
	p := Summarize([]Round{done(1), round(Repair{Complete: true}), done(3)})[0].Fault(Node).Repair
	require.Equal(t, Repair{Needed: true, Complete: true, Seconds: 2}, p)
	p = Summarize([]Round{done(1), round(Repair{Needed: true, Seconds: 50}), done(3)})[0].Fault(Node).Repair
	require.False(t, p.Complete)
	p = Summarize([]Round{round(Repair{Complete: true})})[0].Fault(Node).Repair
	require.Equal(t, Repair{Complete: true}, p)
}
