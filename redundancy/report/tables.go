package report

import (
	"fmt"
	"math"
	"strings"

	"redoubt/redundancy/result"
)

// Table is one table of a report. The first column is text, the others are numbers or short words.
type Table struct {
	Name  string // stable, for links
	Title string
	Note  string // how to read it
	Head  []string
	Rows  [][]string
}

const none = "-" // what was not measured, or does not apply

// Tables are all tables, in the order of a report.
func (r *Report) Tables() []Table {
	var all []Table
	if r.Run != nil {
		all = append(all, r.summary(), r.survival(), r.speed(), r.repair(), r.costs(), r.slow())
		if t := r.arrays(); len(t.Rows) > 0 {
			all = append(all, t)
		}
		for _, t := range []Table{r.claims(), r.notes()} {
			if len(t.Rows) > 0 {
				all = append(all, t)
			}
		}
	}
	if r.Fleet != nil {
		all = append(all, r.fleet(), r.causes(), r.methods(), r.checks())
	}
	return all
}

// rate is a load's rate as text, or why there is none.
func rate(l result.Load) string {
	switch {
	case !l.Measured:
		return none
	case l.Failed > 0 && l.Rate == 0:
		return "failed"
	}
	return megabytes(l.Rate)
}

func (r *Report) summary() Table {
	t := Table{Name: "summary", Title: "At a glance", Head: []string{"scheme", "space", "write", "read", "read, node lost", "rebuilds a node in", "survives"},
		Note: "Space is bytes on disk per byte of the user's; rates are of all clients together."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		node := s.Fault(result.Node)
		lost, back := none, none
		if node != nil {
			lost = rate(node.Read)
			if node.Survived.LostBytes > 0 {
				lost = "data lost"
			} else if node.Repair.Complete && node.Repair.Needed {
				back = seconds(node.Repair.Seconds)
			}
		}
		t.Rows = append(t.Rows, []string{s.Title, ratio(s.Space.Ratio), rate(s.Write), rate(s.Read), lost, back, survives(s)})
	}
	return t
}

// survives lists the faults from which a scheme has lost nothing.
func survives(s *result.SchemeResult) string {
	var all []string
	for _, f := range s.Faults {
		if f.Survived.Files > 0 && f.Survived.LostBytes == 0 && f.Survived.WrongBytes == 0 && f.Fault != result.SlowNode {
			all = append(all, strings.TrimSuffix(f.Fault.Title(), " lost"))
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// lostShare is how much of the user's bytes could not be read; below 0: not tried.
func lostShare(f *result.FaultResult) float64 {
	if f == nil || f.Survived.Bytes == 0 {
		return -1
	}
	return float64(f.Survived.LostBytes) / float64(f.Survived.Bytes)
}

func (r *Report) survival() Table {
	t := Table{Name: "survival", Title: "What survives which fault", Head: []string{"scheme"},
		Note: "The share of the user's bytes that could not be read while the fault stood; every byte that was read was compared with what had been written."}
	for _, f := range result.Faults() {
		t.Head = append(t.Head, f.Title())
	}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		row := []string{s.Title}
		for _, f := range result.Faults() {
			x := s.Fault(f)
			switch share := lostShare(x); {
			case share < 0:
				row = append(row, none)
			case x.Survived.WrongBytes > 0:
				row = append(row, "WRONG BYTES")
			case share == 0:
				row = append(row, "all there")
			default:
				row = append(row, percent(share)+" lost")
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (r *Report) speed() Table {
	t := Table{Name: "speed", Title: "Reading healthy, degraded and while rebuilding", Note: "All clients together. Lost: right after the fault, before the repair or as it begins. Writing is while what was lost is away: in an array before its repair, elsewhere after it.",
		Head: []string{"scheme", "healthy", "disk lost", "rebuilding", "node lost", "rebuilding", "write, node lost"}}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		row := []string{s.Title, rate(s.Read)}
		for _, f := range []result.Fault{result.Disk, result.Node} {
			if x := s.Fault(f); x != nil {
				row = append(row, rate(x.Read), rate(x.Rebuilding))
			} else {
				row = append(row, none, none)
			}
		}
		write := none
		if x := s.Fault(result.Node); x != nil {
			write = rate(x.Write)
		}
		t.Rows = append(t.Rows, append(row, write))
	}
	return t
}

func (r *Report) repair() Table {
	t := Table{Name: "repair", Title: "The way back to full redundancy", Head: []string{"scheme", "fault", "noticed after", "rebuilt", "in", "at", "moved per byte", "of the limit"},
		Note: "Noticing is a setting. Moved is what went over the network and what was read from disks, per byte made again; the limit is what the busiest emulated disk or link would have allowed."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		for _, f := range []result.Fault{result.Corruption, result.Disk, result.Node, result.Rack} {
			x := s.Fault(f)
			if x == nil {
				continue
			}
			p := x.Repair
			switch {
			case !p.Needed:
				t.Rows = append(t.Rows, []string{s.Title, f.Title(), none, none, none, none, none, none})
			case !p.Complete:
				t.Rows = append(t.Rows, []string{s.Title, f.Title(), seconds(p.Detect), size(float64(p.Rebuilt)), "not complete", none, none, none})
			case p.Rebuilt == 0:
				t.Rows = append(t.Rows, []string{s.Title, f.Title(), seconds(p.Detect), none, seconds(p.Seconds), none, none, none})
			default:
				limit := none
				if p.Limit > 0 {
					limit = percent(p.Rate / p.Limit)
				}
				t.Rows = append(t.Rows, []string{s.Title, f.Title(), seconds(p.Detect), size(float64(p.Rebuilt)), seconds(p.Seconds), megabytes(p.Rate), short(p.MovedPerByte), limit})
			}
		}
	}
	return t
}

func (r *Report) costs() Table {
	t := Table{Name: "costs", Title: "What a user's byte costs", Head: []string{"scheme", "network, write", "disk, write", "network, read", "disk, read", "kept on disk", "final form after"},
		Note: "Bytes per byte of the user's. Network is what entered a datanode or a client, disk is what was read and written; writing counts all until the data has its final form."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		t.Rows = append(t.Rows, []string{s.Title, ratio(s.Write.NetPerByte), ratio(s.Write.DiskReadPerByte + s.Write.DiskWritePerByte),
			ratio(s.Read.NetPerByte), ratio(s.Read.DiskReadPerByte), ratio(s.Space.Ratio), seconds(s.Space.FoldSeconds)})
	}
	return t
}

func (r *Report) slow() Table {
	t := Table{Name: "slow", Title: "A slow node, and hedged reads", Head: []string{"scheme", "healthy", "one node slow", "with hedged reads", "slowest 1 %", "with hedged reads"},
		Note: "One node has a tenth of its rates. A hedged read asks a second replica when the first does not answer in time."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		x := s.Fault(result.SlowNode)
		if x == nil {
			continue
		}
		p99, hedged := none, none
		if x.Read.Measured {
			p99 = seconds(x.Read.P99)
		}
		if x.Hedged.Measured {
			hedged = seconds(x.Hedged.P99)
		}
		t.Rows = append(t.Rows, []string{s.Title, rate(s.Read), rate(x.Read), rate(x.Hedged), p99, hedged})
	}
	return t
}

func (r *Report) arrays() Table {
	t := Table{Name: "array", Title: "One array by itself", Head: []string{"scheme", "write", "read", "read, disk lost", "its disks together"},
		Note: "Large reads and writes of one node's array, without network."}
	for _, s := range r.Run.Schemes {
		if a := s.Array; a != nil {
			t.Rows = append(t.Rows, []string{s.Title, megabytes(a.WriteRate), megabytes(a.ReadRate), megabytes(a.Degraded), megabytes(a.SumRate)})
		}
	}
	return t
}

func (r *Report) notes() Table {
	t := Table{Name: "notes", Title: "What happened", Head: []string{"scheme", "fault", "what happened"}}
	for _, s := range r.Run.Schemes {
		for _, f := range s.Faults {
			if f.Note != "" {
				t.Rows = append(t.Rows, []string{s.Title, f.Fault.Title(), f.Note})
			}
		}
	}
	return t
}

func (r *Report) claims() Table {
	t := Table{Name: "goals", Title: "Held against the goals", Head: []string{"goal", "measured", "wanted", "met"}}
	for _, c := range r.Run.Claims {
		sign := "at least "
		if c.Most {
			sign = "at most "
		}
		met := "no"
		if c.Met {
			met = "yes"
		}
		t.Rows = append(t.Rows, []string{c.Text, unit(c.Got, c.Unit), sign + unit(c.Want, c.Unit), met})
	}
	return t
}

func unit(x float64, u string) string {
	if u == "x" {
		return ratio(x)
	}
	return short(x) + " " + u
}

func (r *Report) fleet() Table {
	p := r.Fleet.Params
	t := Table{Name: "fleet", Title: "A fleet over the years",
		Head: []string{"scheme", "space", "disk back after", "node back after", "first loss, faults alone", "first loss, with outages", "chance in a year", "lost per PB and year"},
		Note: fmt.Sprintf("%s disks of %s in %s nodes on %d racks. First loss is the mean time until the fleet loses anything at all. Of each petabyte stored, so many bytes are lost per year on average.",
			thousands(fmt.Sprint(p.Disks())), size(p.DiskBytes), thousands(fmt.Sprint(p.Nodes())), p.Racks)}
	for _, m := range r.Fleet.Schemes {
		disk, node := none, none
		if m.DiskHours > 0 {
			disk = seconds(m.DiskHours * 3600)
		}
		if m.NodeHours > 0 {
			node = seconds(m.NodeHours * 3600)
		}
		t.Rows = append(t.Rows, []string{m.Title, ratio(m.Overhead), disk, node, years(m.Independent.Fleet), years(m.Correlated.Fleet),
			percent(m.Correlated.Year), size(m.Correlated.LostPerPB)})
	}
	return t
}

func (r *Report) causes() Table {
	t := Table{Name: "causes", Title: "What loses data", Head: []string{"scheme", "failures one by one", "unreadable sectors", "outage of the house", "node under an array"},
		Note: "Losses of anything, however little, per year of the whole fleet, by what caused them; outages included."}
	for _, m := range r.Fleet.Schemes {
		o := m.Correlated
		t.Rows = append(t.Rows, []string{m.Title, short(o.Failures), short(o.Unreadable), short(o.Burst), short(o.Ruin)})
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
			title := m.Title
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
