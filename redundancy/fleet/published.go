package fleet

import (
	"fmt"
	"math"
)

// Check is a published figure beside what the model makes of the same inputs.
type Check struct {
	Source  string  `json:"source"`
	What    string  `json:"what"`
	Unit    string  `json:"unit"`
	Printed float64 `json:"printed"`
	Ours    float64 `json:"ours"`
	Digits  int     `json:"digits"` // that the source prints
	// Met: ours, rounded to as many digits, is the printed figure to one unit of the last.
	Met  bool   `json:"met"`
	Note string `json:"note,omitempty"`
}

func check(source, what, unit string, printed, ours float64, digits int, note string) Check {
	unitOfLast := math.Pow(10, math.Floor(math.Log10(printed))-float64(digits-1))
	return Check{Source: source, What: what, Unit: unit, Printed: printed, Ours: ours, Digits: digits,
		Met: math.Abs(printed-ours) <= unitOfLast*1.0001, Note: note}
}

// mds is a group of n units that survives the loss of any m, with one cause of loss.
func mds(n, m int, mttf float64, serial bool, repair ...float64) Group {
	return Group{Units: n, Survive: ones(m), Serial: serial, Causes: []Cause{{Name: "unit", Rate: 1 / mttf, Repair: repair}}}
}

// Published works out figures of the literature from their own inputs. Those that the inputs
// do not give are there too, with what is different.
func Published() []Check {
	var all []Check
	all = append(all, birthDeath()...)
	for _, x := range []struct {
		bytes, ber float64
		sources    float64
		printed    float64
		what       string
	}{
		{4e12, 1e-14, 3, 62, "4 TB disks, 3 read, 1e-14"}, {4e12, 1e-15, 3, 9.2, "4 TB disks, 3 read, 1e-15"},
		{16e12, 1e-15, 7, 59, "16 TB disks, 7 read, 1e-15"},
	} {
		all = append(all, check("RAID-5 rebuild meets an unreadable sector", x.what, "%", x.printed, 100*UnreadableChance(x.bytes*x.sources, x.ber), 2, ""))
	}
	all = append(all, xorbas()...)
	all = append(all, azure()...)
	return append(all, ford()...)
}

// birthDeath is the table of MTTDLs that stands in many lecture notes: life 1e6 h.
func birthDeath() []Check {
	var all []Check
	for _, x := range []struct {
		name      string
		n, m      int
		day, hour float64
	}{
		{"2 replicas", 2, 1, 2.4e6, 5.7e7}, {"3 replicas", 3, 2, 6.6e10, 3.8e13},
		{"RAID-5 3+1", 4, 1, 4.0e5, 9.5e6}, {"RAID-5 4+1", 5, 1, 2.4e5, 5.7e6}, {"RAID-5 7+1", 8, 1, 8.5e4, 2.0e6},
		{"XOR-2-1", 3, 1, 7.9e5, 1.9e7}, {"RS-3-2", 5, 2, 6.6e9, 3.8e12}, {"RS-6-3", 9, 3, 1.6e13, 2.3e17}, {"RS-10-4", 14, 4, 3.4e16, 1.1e22},
	} {
		all = append(all,
			check("birth-death chain, MTTF 1e6 h", x.name+", repair 24 h", "years", x.day, Exact(mds(x.n, x.m, 1e6, false, 24)).Years(), 2, ""),
			check("birth-death chain, MTTF 1e6 h", x.name+", repair 1 h", "years", x.hour, Exact(mds(x.n, x.m, 1e6, false, 1)).Years(), 2, ""))
	}
	return all
}

// xorbas is Table 1 of Sathiamoorthy et al., XORing Elephants, PVLDB 2013: 30 PB on nodes that
// live 4 years, blocks of 256 MB, 1 Gb/s for a repair; sizes in powers of two and years of 365
// days, which is what makes the first figure come out to all digits.
func xorbas() []Check {
	const source = "Xorbas, Table 1"
	const block, link, life = 256 << 20, 1 << 30 / 8, 4 * HoursPerYear
	copies := func(units float64) float64 { return units * block / link / 3600 } // hours to read so many blocks
	system := func(g Group, n float64) float64 { return Exact(g).MTTDL / 24 / (30 * (1 << 50) / (n * block)) }
	replicas := mds(3, 2, life, true, copies(1))
	rs := mds(14, 4, life, true, copies(10))
	lrc := mds(16, 4, life, true, copies(5), copies(10))
	note := func(n, m int, printed, units float64) string {
		// The uniform number of units read per repair that the printed figure would mean.
		product := MTTDL(n, m, life, copies(1), true) / 24 / (30 * (1 << 50) / (float64(n) * block)) / printed
		return fmt.Sprintf("the same rule with %v blocks read per repair; the printed figure would take %.0f. The rates of repair "+
			"that the paper used for its codes are not in the text we have. The order of the three is the paper's.", units, math.Pow(product, 1/float64(m)))
	}
	return []Check{
		check(source, "3 replicas", "days", 2.3079e10, system(replicas, 3), 5, ""),
		check(source, "RS(10,4)", "days", 3.3118e13, system(rs, 14), 5, note(14, 4, 3.3118e13, 10)),
		check(source, "LRC(10,6,5)", "days", 1.2180e15, system(lrc, 16), 5, note(16, 4, 1.2180e15, 5)),
	}
}

// azure is Table 1 of Huang et al., Erasure Coding in Windows Azure Storage, ATC 2012: 400 nodes
// of 16 TB, 1 Gb/s, 30 min to notice. That nodes live 5 years, that a tenth of the links serves
// repair and that the first repair counts alike for all three is inferred: it gives all three figures.
func azure() []Check {
	const source, note = "Azure LRC, Table 1", "life of 5 years, a tenth of the links, and one time for the first repair of all three are inferred"
	const life = 5 * HoursPerYear
	first := 16 * (1 << 40) / (0.1 * 399 * (1 << 30) / 8) / 3600
	lrc := mds(10, 4, life, true, first, 0.5)
	lrc.Survive = []float64{1, 1, 1, 0.86} // of four lost units 86 % of the patterns can be decoded
	return []Check{
		check(source, "3 replicas", "years", 3.5e9, Exact(mds(3, 2, life, true, first, 0.5)).Years(), 2, note),
		check(source, "RS(6,3)", "years", 6.1e11, Exact(mds(9, 3, life, true, first, 0.5)).Years(), 2, note),
		check(source, "LRC(6,2,2)", "years", 2.6e12, Exact(lrc).Years(), 2, note),
	}
}

// Ford gives the mean times, in days, of Ford et al., Availability in Globally Distributed
// Storage Systems, OSDI 2010, as this model makes them: R=3, RS(6,3) and RS(9,4), without and
// with bursts. Life and repair of a unit are what R=2 and R=3 without bursts say; the bursts
// are what R=3 and RS(9,4) with them say: every four years, each unit hit with 6 %.
func Ford() (alone, bursts [3]float64) {
	const r2, r3 = 4.99e5 * 24, 1.35e9 * 24
	ratio := 1.5 * r3 / r2 // life over repair, from life^2/(2 repair) and life^3/(3 repair^2)
	life := 2 * r2 / ratio
	for i, x := range [][2]int{{3, 2}, {9, 3}, {13, 4}} {
		g := mds(x[0], x[1], life, false, life/ratio)
		alone[i] = Exact(g).MTTDL / 24
		g.Bursts = []Burst{{Rate: 1 / (4.1 * HoursPerYear), Hit: 0.06}}
		bursts[i] = Exact(g).MTTDL / 24
	}
	return alone, bursts
}

func ford() []Check {
	const source = "Ford, stripe MTTF"
	alone, bursts := Ford()
	inputs := "no inputs are printed: life and repair from R=2 and R=3"
	fitted := "bursts fitted to R=3 and RS(9,4): the flip is the paper's, RS(6,3) shows what other bursts and placement it had"
	return []Check{
		check(source, "R=3, independent", "days", 1.35e9, alone[0], 3, inputs),
		check(source, "RS(6,3), independent", "days", 4.95e12, alone[1], 3, inputs+"; the order is the paper's"),
		check(source, "RS(9,4), independent", "days", 9.01e15, alone[2], 3, inputs+"; the order is the paper's"),
		check(source, "R=3, with bursts", "days", 6.82e6, bursts[0], 3, fitted),
		check(source, "RS(6,3), with bursts", "days", 1.03e7, bursts[1], 3, fitted),
		check(source, "RS(9,4), with bursts", "days", 2.39e6, bursts[2], 3, fitted),
	}
}
