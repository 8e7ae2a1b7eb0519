package report

import (
	"fmt"
	"math"
	"strings"

	"redoubt/redundancy/fleet"
)

// modelTitle is a scheme's title; with a mark if only the model has it.
func modelTitle(m fleet.SchemeModel) string {
	if m.Modelled {
		return m.Title + " (model)"
	}
	return m.Title
}

func (r *Report) fleet() Table {
	p := r.Fleet.Params
	t := Table{Name: "fleet", Title: "A fleet over the years",
		Head: []string{"scheme", "space", "disk back after", "node back after", "first loss, faults alone", "first loss, with outages", "chance in a year", "lost per PB and year"},
		Note: fmt.Sprintf("%s disks of %s in %s nodes on %d racks. First loss is the mean time until the fleet loses anything at all. Of each petabyte stored, so many bytes are lost per year on average. Schemes marked (model) are there to compare with: the system does not do them.",
			thousands(fmt.Sprint(p.Disks())), size(p.DiskBytes), thousands(fmt.Sprint(p.Nodes())), p.Racks)}
	for _, m := range r.Fleet.Schemes {
		disk, node := none, none
		if m.DiskHours > 0 {
			disk = seconds(m.DiskHours * 3600)
		}
		if m.NodeHours > 0 {
			node = seconds(m.NodeHours * 3600)
		}
		t.Rows = append(t.Rows, []string{modelTitle(m), ratio(m.Overhead), disk, node, years(m.Independent.Fleet), years(m.Correlated.Fleet),
			percent(m.Correlated.Year), size(m.Correlated.LostPerPB)})
	}
	return t
}

func (r *Report) causes() Table {
	t := Table{Name: "causes", Title: "What loses data", Head: []string{"scheme", "failures one by one", "unreadable sectors", "outage of the house", "node under an array"},
		Note: "Losses of anything, however little, per year of the whole fleet, by what caused them; outages included."}
	for _, m := range r.Fleet.Schemes {
		o := m.Correlated
		t.Rows = append(t.Rows, []string{modelTitle(m), short(o.Failures), short(o.Unreadable), short(o.Burst), short(o.Ruin)})
	}
	return t
}

func (r *Report) methods() Table {
	t := Table{Name: "methods", Title: "One group, three ways", Head: []string{"scheme", "outages", "closed form", "Markov chain", "simulation", "+-", "furthest apart"},
		Note: "Mean time to data loss of one redundancy group in years, by formula, by an exact Markov chain, and by simulation with its 95 % confidence interval."}
	for _, m := range r.Fleet.Schemes {
		for i, o := range []struct {
			name                         string
			closed, exact, sim, simError float64
		}{
			{"no", m.Independent.Closed, m.Independent.Exact, m.Independent.Sim, m.Independent.SimError},
			{"yes", m.Correlated.Closed, m.Correlated.Exact, m.Correlated.Sim, m.Correlated.SimError},
		} {
			title := modelTitle(m)
			if i > 0 {
				title = ""
			}
			sim, about, apart := none, none, none
			if o.sim > 0 {
				sim, about = short(o.sim), percent(o.simError/o.sim)
				apart = percent(max(o.closed, o.exact, o.sim)/min(o.closed, o.exact, o.sim) - 1)
			}
			t.Rows = append(t.Rows, []string{title, o.name, short(o.closed), short(o.exact), sim, about, apart})
		}
	}
	return t
}

func (r *Report) checks() Table {
	t := Table{Name: "published", Title: "Held against the literature", Head: []string{"source", "of", "printed", "model", "unit", "to the printed digit"},
		Note: "The model with the inputs of published figures."}
	last := ""
	for _, c := range r.Fleet.Checks {
		met := "yes"
		if !c.Met {
			met = "no: " + c.Note
		}
		source := c.Source
		if source == last {
			source = ""
		}
		last = c.Source
		t.Rows = append(t.Rows, []string{source, c.What, digits(c.Printed, c.Digits), digits(c.Ours, c.Digits+1), c.Unit, met})
	}
	return t
}

func digits(x float64, n int) string {
	if x >= 0.1 && x < math.Pow(10, float64(n)) {
		return fmt.Sprintf("%.*g", n, x)
	}
	s := fmt.Sprintf("%.*e", n-1, x)
	return strings.Replace(strings.Replace(s, "e+0", "e", 1), "e+", "e", 1)
}

// sensitivity is how the bytes lost change with one property of the fleet.
func sensitivity(s fleet.Sweep) Table {
	t := Table{Name: "sensitivity-" + s.Name, Title: "Bytes lost of each PB and year, by " + s.Title, Head: []string{"scheme", "outages"},
		Note: "Everything else as in the fleet above."}
	for _, x := range s.At {
		t.Head = append(t.Head, sweepTick(s, x))
	}
	for _, l := range s.Lines {
		without, with := []string{l.Title, "no"}, []string{"", "yes"}
		for i := range s.At {
			without, with = append(without, size(l.Independent[i])), append(with, size(l.Correlated[i]))
		}
		t.Rows = append(t.Rows, without, with)
	}
	return t
}

// sweepTick writes a value that was tried, with no digit that is not needed.
func sweepTick(s fleet.Sweep, x float64) string {
	if s.Name == "detect" {
		return trimmed(seconds(x * 3600))
	}
	return trimmed(size(x))
}

func trimmed(s string) string { return zeroes.ReplaceAllString(s, "$1$2$3$4") }
