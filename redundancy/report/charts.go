package report

import (
	"fmt"
	"slices"
	"strings"

	"redoubt/redundancy/result"
)

// class is the colour of a scheme.
func class(s result.Scheme) string { return "c-" + string(s) }

func schemeLegend(schemes []result.Scheme) []swatch {
	var all []swatch
	for _, s := range schemes {
		all = append(all, swatch{class: class(s), text: s.Title(), mark: true})
	}
	return all
}

// Charts are all charts for which there is something to show, in the order of a report.
func (r *Report) Charts() []Chart {
	var all []Chart
	if r.Run != nil && len(r.Run.Schemes) > 0 {
		all = append(all, r.survivalChart(), r.spaceChart(), r.speedChart(), r.costChart(), r.movedChart(), r.timeChart())
	}
	if r.Fleet != nil {
		all = append(all, r.dangerChart(), r.lostBytesChart(), r.firstLossChart(), r.groupChart(), r.sensitivityChart())
	}
	return slices.DeleteFunc(all, func(c Chart) bool { return c.Name == "" })
}

func (r *Report) survivalChart() Chart {
	var columns, names []string
	var cells [][]cell
	for _, f := range result.Faults() {
		columns = append(columns, f.Title())
	}
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		var row []cell
		for _, f := range result.Faults() {
			x := s.Fault(f)
			tip := s.Title + ", " + f.Title() + ": "
			share := r.Run.Spread(s.Scheme, lost(f))
			risk := ""
			if x != nil {
				risk = "risk: " + size(float64(x.AtRisk))
			}
			switch {
			case x != nil && x.Untested != "":
				row = append(row, cell{"m-none", untested, "", tip + untested + ": " + x.Untested})
			case share.Count == 0:
				row = append(row, cell{"m-none", "not run", "", tip + "not run"})
			case x.Survived.WrongBytes > 0:
				row = append(row, cell{"m-bad", "wrong bytes", "", tip + fmt.Sprint(x.Survived.WrongBytes) + " bytes were wrong"})
			case share.High == 0:
				row = append(row, cell{"m-good", "\u2713 all there", risk, tip + r.verdict(s, f)})
			default:
				row = append(row, cell{"m-bad", "\u2717 " + brieflyLost(share.Median), risk, tip + r.verdict(s, f)})
			}
		}
		names, cells = append(names, s.Title), append(cells, row)
	}
	return matrix("survival", "What survives which fault", "A field for each scheme and fault: whether all bytes could still be read while the fault stood, or which share was lost, and how many bytes stood on what the fault struck.",
		[]swatch{{class: "m-good", text: "every byte there and right"}, {class: "m-bad", text: "bytes lost"}}, columns, names, cells)
}

// brieflyLost fits into a field.
func brieflyLost(share float64) string {
	if share == 0 {
		return "some lost" // in one round, in the others nothing
	}
	if share < 0.01 {
		return "<1 % lost"
	}
	return fmt.Sprintf("%.2g %% lost", 100*share)
}

func (r *Report) spaceChart() Chart {
	var points []point
	var schemes []result.Scheme
	for _, s := range r.Run.Schemes {
		schemes = append(schemes, s.Scheme)
		for _, what := range []struct {
			name   string
			get    load
			square bool
		}{{"writes", writing, true}, {"reads", reading, false}} {
			if x := r.Run.Spread(s.Scheme, what.get.of(rateOf)); x.Count > 0 {
				points = append(points, point{s.Space.Ratio, x.Median / 1e6, x.Low / 1e6, x.High / 1e6, class(s.Scheme), what.square,
					s.Title + ": " + what.name + " " + shown(x, megabytes) + " at " + ratio(s.Space.Ratio)})
			}
		}
	}
	legend := append(schemeLegend(schemes), swatch{class: "c-ink", text: "read", mark: true}, swatch{class: "c-ink", text: "write", mark: true, square: true})
	return scatter("space", "Space against throughput", "For each scheme two points: bytes on disk per user byte to the right, throughput upward; a disk is reading, a square is writing.",
		"bytes on disk per byte of the user's", "MB/s, all clients together", legend, points)
}

// loadBar is a bar for a load, with the reason in its place if there is nothing to draw.
func (r *Report) loadBar(s result.Scheme, get load, class, what string, more string) bar {
	x := r.Run.Spread(s, get.of(rateOf))
	if x.Count == 0 {
		return bar{label: "not measured"}
	}
	return bar{label: strings.TrimSuffix(shown(result.Spread{Median: x.Median, Count: 1, Busy: x.Busy}, megabytes)+", "+more, ", "),
		low: x.Low / 1e6, high: x.High / 1e6, parts: []part{{value: x.Median / 1e6, class: class, tip: what + ": " + shown(x, megabytes)}}}
}

func (r *Report) speedChart() Chart {
	var groups []rows
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		g := rows{name: s.Title, bars: []bar{r.loadBar(s.Scheme, reading, "s-1", "healthy", "")}}
		fault := result.Node
		if s.Scheme == result.RAIDNode || s.Scheme == result.None {
			fault = result.Disk
		}
		if x := s.Fault(fault); x != nil {
			more := strings.TrimSuffix(x.Fault.Title(), " lost")
			if r.Run.Spread(s.Scheme, lost(fault)).High > 0 {
				more += ", some lost"
			}
			if x.Untested != "" {
				g.bars = append(g.bars, bar{label: x.Fault.Title() + ": " + untested})
			} else {
				g.bars = append(g.bars, r.loadBar(s.Scheme, during(fault, degraded), "s-2", x.Fault.Title(), more))
			}
			if x.Rebuilding.Measured && x.Repair.Needed {
				g.bars = append(g.bars, r.loadBar(s.Scheme, during(fault, rebuilding), "s-3", "rebuilding", ""))
			}
		}
		groups = append(groups, g)
	}
	return bars("speed", "Reading healthy, degraded and while rebuilding", "For each scheme bars for the throughput of reading: healthy, with a node lost (one disk for schemes that can't survive a node), and while that is rebuilt.",
		"MB/s, all clients together", []swatch{{class: "s-1", text: "healthy"}, {class: "s-2", text: "node or disk lost"}, {class: "s-3", text: "rebuilding"}}, groups)
}

func (r *Report) costChart() Chart {
	var groups []rows
	for _, s := range r.Run.Schemes {
		if !s.Write.Measured {
			continue
		}
		disk := s.Write.DiskReadPerByte + s.Write.DiskWritePerByte
		groups = append(groups, rows{name: s.Title, bars: []bar{
			{parts: []part{{s.Write.NetPerByte, "s-1", "network"}}, label: ratio(s.Write.NetPerByte)},
			{parts: []part{{s.Write.DiskWritePerByte, "s-2", "written to disks"}, {s.Write.DiskReadPerByte, "s-2b", "read from disks"}}, label: ratio(disk)},
			{parts: []part{{s.Space.Ratio, "s-3", "kept"}}, label: ratio(s.Space.Ratio)},
		}})
	}
	return bars("cost", "What it costs to write a byte", "For each scheme bars for the bytes that cross the network, that disks write and read, and that stay on disk, per byte that a user writes.",
		"bytes per byte of the user's", []swatch{{class: "s-1", text: "network"}, {class: "s-2", text: "disk writes"}, {class: "s-2b", text: "disk reads"}, {class: "s-3", text: "kept on disk"}}, groups)
}

// afterLoss makes groups of one bar after the loss of a disk and one after that of a node.
func (r *Report) afterLoss(draw func(s result.Scheme, f result.Fault, p result.Repair, class string) bar) []rows {
	var groups []rows
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		g := rows{name: s.Title}
		for j, f := range []result.Fault{result.Disk, result.Node} {
			x := s.Fault(f)
			if x == nil {
				continue
			}
			class := []string{"s-1", "s-2"}[j]
			switch p := x.Repair; {
			case x.Untested != "":
				g.bars = append(g.bars, bar{label: f.Title() + ": " + untested})
			case r.Run.Spread(s.Scheme, lost(f)).High > 0 && !(p.Needed && p.Complete):
				g.bars = append(g.bars, bar{label: f.Title() + ": data lost, no rebuild"})
			case !p.Needed:
				g.bars = append(g.bars, bar{label: f.Title() + ": nothing to rebuild"})
			case !p.Complete:
				g.bars = append(g.bars, bar{label: f.Title() + ": not complete"})
			default:
				g.bars = append(g.bars, draw(s.Scheme, f, p, class))
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func (r *Report) movedChart() Chart {
	groups := r.afterLoss(func(_ result.Scheme, f result.Fault, p result.Repair, _ string) bar {
		what := f.Title()
		if p.Rebuilt == 0 {
			return bar{label: what + ": nothing to rebuild"}
		}
		return bar{parts: []part{{p.NetPerByte, "s-1", what + ": " + short(p.NetPerByte) + " over the network"}, {p.ReadPerByte, "s-2", what + ": " + short(p.ReadPerByte) + " read from disks"}},
			label: short(p.NetPerByte+p.ReadPerByte) + ", " + what}
	})
	return bars("moved", "Bytes moved per byte rebuilt", "For each scheme bars, after the loss of a disk and of a node, for the bytes sent over the network and read from disks per byte that was made again.",
		"bytes per byte rebuilt", []swatch{{class: "s-1", text: "over the network"}, {class: "s-2", text: "read from disks"}}, groups)
}

func (r *Report) timeChart() Chart {
	groups := r.afterLoss(func(s result.Scheme, f result.Fault, p result.Repair, class string) bar {
		x := r.Run.Spread(s, repaired(f, func(p *result.Repair) float64 { return p.Detect + p.Seconds }))
		label := seconds(p.Detect + p.Seconds)
		if x.Busy {
			label += busyMark
		}
		return bar{parts: []part{{p.Detect, "s-wait", "noticed after " + seconds(p.Detect)}, {p.Seconds, class, "rebuilt in " + seconds(p.Seconds)}}, low: x.Low, high: x.High, label: label}
	})
	return bars("time", "Time to full redundancy", "For each scheme bars, after the loss of a disk and of a node, for the time until it was noticed and the time to make everything again.",
		"seconds, on the emulated disks and links", []swatch{{class: "s-wait", text: "until noticed (a setting)"}, {class: "s-1", text: "rebuild, disk lost"}, {class: "s-2", text: "rebuild, node lost"}}, groups)
}

var correlation = []swatch{{class: "hollow c-ink", text: "disks and nodes fail one by one", mark: true}, {class: "c-ink", text: "with outages that strike many at once", mark: true}}

func (r *Report) firstLossChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.Fleet, m.Correlated.Fleet
		lines = append(lines, span{modelTitle(m), a, b, class(m.Scheme), years(b),
			[2]string{m.Title + ", one by one: " + years(a), m.Title + ", with outages: " + years(b)}})
	}
	return spans("first-loss", "Mean time until the fleet loses anything", "For each scheme two points over powers of ten: the mean time to the first loss of anything in the whole fleet, with faults one by one and with outages that strike many nodes at once.",
		"years, powers of ten (in figures: with outages)", correlation, lines)
}

func (r *Report) lostBytesChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.LostPerPB, m.Correlated.LostPerPB
		lines = append(lines, span{modelTitle(m), a, b, class(m.Scheme), size(b),
			[2]string{m.Title + ", one by one: " + size(a), m.Title + ", with outages: " + size(b)}})
	}
	return spans("lost-bytes", "Bytes lost of each petabyte in a year", "For each scheme two points over powers of ten: how many bytes of each petabyte stored are lost per year on average, with faults one by one and with outages that strike many nodes at once.",
		"bytes a year of each petabyte, powers of ten (in figures: with outages)", correlation, lines)
}

func (r *Report) groupChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.Exact, m.Correlated.Exact
		lines = append(lines, span{modelTitle(m), a, b, class(m.Scheme), years(b),
			[2]string{m.Title + ", one by one: " + years(a), m.Title + ", with outages: " + years(b)}})
	}
	return spans("mttdl", "Mean time to data loss of one group", "For each scheme two points over powers of ten: the mean time until one redundancy group loses data, with faults one by one and with outages that strike many nodes at once.",
		"years, powers of ten (in figures: with outages)", correlation, lines)
}

func (r *Report) dangerChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		if m.DiskHours == 0 {
			continue
		}
		label := seconds(m.DiskHours * 3600)
		if m.NodeHours > 0 {
			label += " and " + seconds(m.NodeHours*3600)
		} else {
			label += "; a node: never"
		}
		lines = append(lines, span{modelTitle(m), m.DiskHours, m.NodeHours, class(m.Scheme), label,
			[2]string{"a disk: " + seconds(m.DiskHours*3600), "a node: " + seconds(m.NodeHours*3600)}})
	}
	return spans("danger", "How long in danger", "For each scheme two points over powers of ten: the hours from the loss of a disk and of a node of the fleet until everything has its full redundancy again.",
		"hours, powers of ten", []swatch{{class: "hollow c-ink", text: "a disk is lost", mark: true}, {class: "c-ink", text: "a node is lost", mark: true}}, lines)
}

// sensitivityChart is what the time until a loss is noticed, and the size of disks, do to the
// bytes lost.
func (r *Report) sensitivityChart() Chart {
	var all []panel
	var legend []swatch
	for i, s := range r.Fleet.Sensitivity {
		p := panel{axis: s.Title, at: s.At}
		for _, x := range s.At {
			p.ticks = append(p.ticks, sweepTick(s, x))
		}
		for _, l := range s.Lines {
			modelled := slices.Contains(result.Modelled(), l.Scheme)
			one := line{class: class(l.Scheme), dash: modelled, y: l.Independent}
			for j, y := range l.Independent {
				one.tips = append(one.tips, l.Title+" at "+p.ticks[j]+": "+size(y)+", with outages "+size(l.Correlated[j]))
			}
			p.lines = append(p.lines, one)
			if text := l.Title; i == 0 {
				if modelled {
					text += " (model)"
				}
				legend = append(legend, swatch{class: class(l.Scheme), text: text, mark: true})
			}
		}
		all = append(all, p)
	}
	return panels("sensitivity", "What the fleet's properties do to it", "Two panels with a line for each scheme over powers of ten: the bytes lost of each petabyte in a year with faults one by one, by the time until a loss is noticed, and by the size of a disk.",
		"bytes lost of each PB in a year, faults one by one", legend, all)
}
