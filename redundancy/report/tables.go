package report

import (
	"fmt"
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
		all = r.runTables()
	}
	if r.Fleet != nil {
		all = append(all, r.fleet(), r.causes())
		for _, s := range r.Fleet.Sensitivity {
			all = append(all, sensitivity(s))
		}
		all = append(all, r.methods(), r.checks())
	}
	return all
}

// runTables are those of the live run.
func (r *Report) runTables() (all []Table) {
	all = append(all, r.summary(), r.survival(), r.speed(), r.repair(), r.costs(), r.slow(), r.waits())
	for _, t := range []Table{r.arrays(), r.claims(), r.notes()} {
		if len(t.Rows) > 0 {
			all = append(all, t)
		}
	}
	for i := range all {
		all[i] = explainMarks(all[i])
	}
	return all
}

func (r *Report) summary() Table {
	t := Table{Name: "summary", Title: "At a glance", Head: []string{"scheme", "space", "write", "read", "read, node lost", "rebuilds a node in", "survives"},
		Note: "Space is bytes on disk per user byte. Rates are of all clients together. " + r.rangeNote()}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		hurt, back := none, none
		if x := s.Fault(result.Node); x != nil {
			switch {
			case x.Untested != "":
				hurt, back = untested, untested
			case r.Run.Spread(s.Scheme, lost(result.Node)).High > 0:
				hurt = "data lost"
			default:
				hurt = r.show(s.Scheme, during(result.Node, degraded).of(rateOf), megabytes)
				back = r.show(s.Scheme, repaired(result.Node, func(p *result.Repair) float64 { return p.Seconds }), seconds)
			}
		}
		space := r.show(s.Scheme, func(s *result.SchemeResult) (float64, bool, bool) { return s.Space.Ratio, false, s.Space.Ratio > 0 }, ratio)
		t.Rows = append(t.Rows, []string{s.Title, space, r.show(s.Scheme, load(writing).of(rateOf), megabytes), r.show(s.Scheme, load(reading).of(rateOf), megabytes), hurt, back, r.survives(s)})
	}
	return t
}

// rangeNote says what stands in brackets.
func (r *Report) rangeNote() string {
	switch n := len(r.Run.Rounds); {
	case n < 2:
		return "Everything was measured once: how far numbers vary is not known."
	case r.Run.Interrupted != "":
		return fmt.Sprintf("Measured up to %d times, each time on a new cluster: the median, and in brackets the range.", n)
	default:
		return fmt.Sprintf("Everything was measured %d times, each time on a new cluster: the median, and in brackets the range.", n)
	}
}

const untested = "not tested"

// survives lists the faults that have hit a scheme's data and cost nothing, in any round.
func (r *Report) survives(s *result.SchemeResult) string {
	var all []string
	for _, f := range s.Faults {
		if x := r.Run.Spread(s.Scheme, lost(f.Fault)); x.Count > 0 && x.High == 0 && f.Survived.WrongBytes == 0 && f.Fault != result.SlowNode {
			all = append(all, strings.TrimSuffix(f.Fault.Title(), " lost"))
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func (r *Report) survival() Table {
	t := Table{Name: "survival", Title: "What survives which fault", Head: []string{"scheme"},
		Note: "The share of the user's bytes that could not be read while the fault stood; every byte that was read was compared with what had been written. " +
			"At risk are the bytes of blocks and parity that stood on what the fault struck."}
	for _, f := range result.Faults() {
		t.Head = append(t.Head, f.Title())
	}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		row := []string{s.Title}
		for _, f := range result.Faults() {
			row = append(row, r.verdict(s, f))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// verdict says what a fault has cost, beside what it could have.
func (r *Report) verdict(s *result.SchemeResult, f result.Fault) string {
	x := s.Fault(f)
	if x == nil {
		return none
	}
	if x.Untested != "" {
		return untested
	}
	share := r.Run.Spread(s.Scheme, lost(f))
	switch {
	case share.Count == 0:
		return none
	case x.Survived.WrongBytes > 0:
		return "WRONG BYTES"
	case share.High == 0:
		return "all there, " + size(float64(x.AtRisk)) + " at risk"
	}
	cell := percent(share.Median) + " lost"
	if low, high := percent(share.Low), percent(share.High); share.Count > 1 && low != high {
		cell += " (" + strings.TrimSuffix(low, " %") + "-" + strings.TrimSuffix(high, " %") + ")"
	}
	return cell + ", " + size(float64(x.AtRisk)) + " at risk"
}

func (r *Report) speed() Table {
	t := Table{Name: "speed", Title: "Reading healthy, degraded and while rebuilding", Note: "All clients together. Lost: right after the fault, before the repair or as it begins. Writing is while what was lost is away: in an array before its repair, elsewhere after it.",
		Head: []string{"scheme", "healthy", "disk lost", "rebuilding", "node lost", "write, node lost"}}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		show := func(l load) string { return r.show(s.Scheme, l.of(rateOf), megabytes) }
		t.Rows = append(t.Rows, []string{s.Title, show(reading), show(during(result.Disk, degraded)), show(during(result.Disk, rebuilding)),
			show(during(result.Node, degraded)), show(during(result.Node, written))})
	}
	return t
}

func (r *Report) repair() Table {
	t := Table{Name: "repair", Title: "The way back to full redundancy", Head: []string{"scheme", "fault", "noticed after", "rebuilt", "in", "at", "moved per byte", "of the limit", "CPU per byte"},
		Note: "When a fault is noticed is a setting. Moved is what went over the network and what was read from disks, per byte rebuilt; the limit is what the busiest emulated disk or link would have allowed."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		for _, f := range []result.Fault{result.Corruption, result.Disk, result.Node, result.Rack} {
			if x := s.Fault(f); x != nil {
				t.Rows = append(t.Rows, append([]string{s.Title, f.Title()}, r.repairCells(s.Scheme, f, x)...))
			}
		}
	}
	return t
}

func (r *Report) repairCells(s result.Scheme, f result.Fault, x *result.FaultResult) []string {
	p := x.Repair
	detect := func() string {
		return r.show(s, repaired(f, func(p *result.Repair) float64 { return p.Detect }), seconds)
	}
	took := func() string {
		return r.show(s, repaired(f, func(p *result.Repair) float64 { return p.Seconds }), seconds)
	}
	switch {
	case x.Untested != "":
		return []string{untested, none, none, none, none, none, none}
	case !p.Needed:
		return []string{none, "nothing", none, none, none, none, none}
	case !p.Complete:
		return []string{seconds(p.Detect), size(float64(p.Rebuilt)), "not complete", none, none, none, none}
	case p.Rebuilt == 0:
		return []string{detect(), none, took(), none, none, none, none}
	}
	limit, cpu := none, none
	if p.Limit > 0 {
		limit = r.show(s, repaired(f, func(p *result.Repair) float64 { return p.Rate / p.Limit }), percent)
	}
	if p.CPUPerByte > 0 {
		cpu = r.show(s, repaired(f, func(p *result.Repair) float64 { return p.CPUPerByte }), nanos)
	}
	return []string{detect(), size(float64(p.Rebuilt)), took(), r.show(s, repaired(f, func(p *result.Repair) float64 { return p.Rate }), megabytes),
		short(p.MovedPerByte), limit, cpu}
}

func (r *Report) costs() Table {
	t := Table{Name: "costs", Title: "What a user's byte costs", Head: []string{"scheme", "network, write", "disk, write", "CPU, write", "network, read", "disk, read", "CPU, read", "CPU, read, node lost", "kept on disk", "final form after"},
		Note: "Per user byte. Network is what entered a datanode or a client, disk is what was read and written; writing counts all until the data has its final form. " +
			"CPU is processor time of everything together, which is one process: servers, clients that make and compare the bytes, emulated disks and links."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		t.Rows = append(t.Rows, []string{s.Title, ratio(s.Write.NetPerByte), ratio(s.Write.DiskReadPerByte + s.Write.DiskWritePerByte), r.show(s.Scheme, load(writing).cpu(), nanos),
			ratio(s.Read.NetPerByte), ratio(s.Read.DiskReadPerByte), r.show(s.Scheme, load(reading).cpu(), nanos), r.show(s.Scheme, during(result.Node, degraded).cpu(), nanos),
			ratio(s.Space.Ratio), seconds(s.Space.FoldSeconds)})
	}
	return t
}

func (r *Report) slow() Table {
	t := Table{Name: "slow", Title: "A slow node, and hedged reads", Head: []string{"scheme", "healthy", "one node slow", "with hedged reads"},
		Note: "One node has a tenth of its rates. A hedged read asks a second place when the first does not answer in time."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		if x := s.Fault(result.SlowNode); x == nil || x.Untested != "" {
			continue
		}
		show := func(l load) string { return r.show(s.Scheme, l.of(rateOf), megabytes) }
		t.Rows = append(t.Rows, []string{s.Title, show(reading), show(during(result.SlowNode, degraded)), show(during(result.SlowNode, hedged))})
	}
	return t
}

// waits are the percentiles of latency with a slow node.
func (r *Report) waits() Table {
	t := Table{Name: "latency", Title: "How long a read takes with a slow node", Head: []string{"scheme", "reads", "half within", "90 % within", "99 % within", "slowest"},
		Note: "Reads of 256 KiB by position, while one node has a tenth of its rates."}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		if x := s.Fault(result.SlowNode); x == nil || x.Untested != "" {
			continue
		}
		for _, how := range []struct {
			name string
			get  load
		}{{"plain", during(result.SlowNode, degraded)}, {"hedged", during(result.SlowNode, hedged)}} {
			row := []string{s.Title, how.name}
			for _, value := range []func(*result.Load) float64{func(l *result.Load) float64 { return l.P50 }, func(l *result.Load) float64 { return l.P90 },
				func(l *result.Load) float64 { return l.P99 }, func(l *result.Load) float64 { return l.Max }} {
				row = append(row, r.show(s.Scheme, how.get.of(value), seconds))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func (r *Report) arrays() Table {
	t := Table{Name: "array", Title: "One array by itself", Head: []string{"scheme", "write", "read", "read, disk lost", "its disks together"},
		Note: "Large reads and writes of one node's array, without network."}
	for _, s := range r.Run.Schemes {
		if s.Array == nil {
			continue
		}
		row := []string{s.Title}
		for _, value := range []func(*result.Array) float64{func(a *result.Array) float64 { return a.WriteRate }, func(a *result.Array) float64 { return a.ReadRate },
			func(a *result.Array) float64 { return a.Degraded }} {
			row = append(row, r.show(s.Scheme, func(s *result.SchemeResult) (float64, bool, bool) {
				if s.Array == nil {
					return 0, false, false
				}
				return value(s.Array), s.Array.Strain.Busy, true
			}, megabytes))
		}
		t.Rows = append(t.Rows, append(row, rateOr(s.Array.SumRate, "unlimited")))
	}
	return t
}

func (r *Report) notes() Table {
	t := Table{Name: "notes", Title: "What happened", Head: []string{"scheme", "fault", "what happened"}}
	for _, s := range r.Run.Schemes {
		for _, f := range s.Faults {
			text := f.Note
			if f.Untested != "" {
				text = strings.TrimSuffix(untested+": "+f.Untested+"; "+text, "; ")
			}
			if len(f.Victims) > 0 {
				text = strings.TrimPrefix(text+"; struck "+strings.Join(f.Victims, ", "), "; ")
			}
			if text != "" {
				t.Rows = append(t.Rows, []string{s.Title, f.Fault.Title(), text})
			}
		}
	}
	return t
}

func (r *Report) claims() Table {
	t := Table{Name: "goals", Title: "Held against the goals", Head: []string{"goal", "measured", "wanted", "met"}, Note: "Medians."}
	for _, c := range r.Run.Claims {
		sign := "at least "
		if c.Most {
			sign = "at most "
		}
		got, met := unit(c.Got, c.Unit), "no"
		switch {
		case c.Missing != "":
			got, met = c.Missing, none
		case c.Met:
			met = "yes"
		}
		if c.Busy {
			got += busyMark
		}
		t.Rows = append(t.Rows, []string{c.Text, got, sign + unit(c.Want, c.Unit), met})
	}
	return t
}

func unit(x float64, u string) string {
	if u == "x" {
		return ratio(x)
	}
	return short(x) + " " + u
}
