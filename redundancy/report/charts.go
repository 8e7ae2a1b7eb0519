package report

import (
	"fmt"
	"slices"

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
		all = append(all, r.dangerChart(), r.lostBytesChart(), r.firstLossChart(), r.groupChart())
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
			share := lostShare(x)
			tip := s.Title + ", " + f.Title() + ": "
			switch {
			case share < 0:
				row = append(row, cell{"m-none", "not run", tip + "not run"})
			case x.Survived.WrongBytes > 0:
				row = append(row, cell{"m-bad", "wrong bytes", tip + fmt.Sprint(x.Survived.WrongBytes) + " bytes were wrong"})
			case share == 0:
				row = append(row, cell{"m-good", "\u2713 all there", tip + "every byte was there and right"})
			default:
				row = append(row, cell{"m-bad", "\u2717 " + brieflyLost(share), tip + size(float64(x.Survived.LostBytes)) + " could not be read"})
			}
		}
		names, cells = append(names, s.Title), append(cells, row)
	}
	return matrix("survival", "What survives which fault", "A field for each scheme and fault: whether all bytes could still be read while the fault stood, or which share was lost.",
		[]swatch{{class: "m-good", text: "every byte there and right"}, {class: "m-bad", text: "bytes lost"}}, columns, names, cells)
}

// brieflyLost fits into a field.
func brieflyLost(share float64) string {
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
		if s.Write.Measured {
			points = append(points, point{s.Space.Ratio, s.Write.Rate / 1e6, class(s.Scheme), true, s.Title + ": writes " + megabytes(s.Write.Rate) + " at " + ratio(s.Space.Ratio)})
		}
		if s.Read.Measured {
			points = append(points, point{s.Space.Ratio, s.Read.Rate / 1e6, class(s.Scheme), false, s.Title + ": reads " + megabytes(s.Read.Rate) + " at " + ratio(s.Space.Ratio)})
		}
	}
	legend := append(schemeLegend(schemes), swatch{class: "c-ink", text: "read", mark: true}, swatch{class: "c-ink", text: "write", mark: true, square: true})
	return scatter("space", "Space against throughput", "For each scheme two points: bytes on disk per user byte to the right, throughput upward; a disk is reading, a square is writing.",
		"bytes on disk per byte of the user's", "MB/s, all clients together", legend, points)
}

// loadBar is a bar for a load, with the reason in its place if there is nothing to draw.
func loadBar(l result.Load, class, what string, lost bool) bar {
	b := bar{label: rate(l), parts: []part{{value: l.Rate / 1e6, class: class, tip: what + ": " + rate(l)}}}
	if l.Measured && l.Failed > 0 && lost {
		b.label += ", some lost"
	}
	if !l.Measured {
		b.parts = nil
		b.label = "not measured"
	}
	return b
}

func (r *Report) speedChart() Chart {
	var groups []rows
	for i := range r.Run.Schemes {
		s := &r.Run.Schemes[i]
		g := rows{name: s.Title, bars: []bar{loadBar(s.Read, "s-1", "healthy", false)}}
		fault := result.Node
		if s.Scheme == result.RAIDNode || s.Scheme == result.None {
			fault = result.Disk
		}
		if x := s.Fault(fault); x != nil {
			g.bars = append(g.bars, loadBar(x.Read, "s-2", x.Title, true))
			if x.Rebuilding.Measured && x.Repair.Needed {
				g.bars = append(g.bars, loadBar(x.Rebuilding, "s-3", "rebuilding", true))
			}
		}
		groups = append(groups, g)
	}
	return bars("speed", "Reading healthy, degraded and while rebuilding", "For each scheme bars for the throughput of reading: healthy, with a node lost (a disk for schemes that can't survive a node), and while that is rebuilt.",
		"MB/s, all clients together", []swatch{{class: "s-1", text: "healthy"}, {class: "s-2", text: "node lost (disk, where a node is too much)"}, {class: "s-3", text: "rebuilding"}}, groups)
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
func (r *Report) afterLoss(draw func(what string, p result.Repair, class string) bar) []rows {
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
			case lostShare(x) > 0 && !(p.Needed && p.Complete):
				g.bars = append(g.bars, bar{label: f.Title() + ": data lost, nothing to rebuild it from"})
			case !p.Needed:
				g.bars = append(g.bars, bar{label: f.Title() + ": nothing to rebuild"})
			case !p.Complete:
				g.bars = append(g.bars, bar{label: f.Title() + ": not complete"})
			default:
				g.bars = append(g.bars, draw(f.Title(), p, class))
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func (r *Report) movedChart() Chart {
	groups := r.afterLoss(func(what string, p result.Repair, _ string) bar {
		if p.Rebuilt == 0 {
			return bar{label: what + ": nothing to rebuild"}
		}
		net, read := float64(p.NetBytes)/float64(p.Rebuilt), float64(p.DiskRead)/float64(p.Rebuilt)
		return bar{parts: []part{{net, "s-1", what + ": " + short(net) + " over the network"}, {read, "s-2", what + ": " + short(read) + " read from disks"}},
			label: short(net+read) + ", " + what}
	})
	return bars("moved", "Bytes moved per byte rebuilt", "For each scheme bars, after the loss of a disk and of a node, for the bytes sent over the network and read from disks per byte that was made again.",
		"bytes per byte rebuilt", []swatch{{class: "s-1", text: "over the network"}, {class: "s-2", text: "read from disks"}}, groups)
}

func (r *Report) timeChart() Chart {
	groups := r.afterLoss(func(_ string, p result.Repair, class string) bar {
		return bar{parts: []part{{p.Detect, "s-wait", "noticed after " + seconds(p.Detect)}, {p.Seconds, class, "rebuilt in " + seconds(p.Seconds)}},
			label: seconds(p.Detect + p.Seconds)}
	})
	return bars("time", "Time to full redundancy", "For each scheme bars, after the loss of a disk and of a node, for the time until it was noticed and the time to make everything again.",
		"seconds, on the emulated disks and links", []swatch{{class: "s-wait", text: "until noticed (a setting)"}, {class: "s-1", text: "rebuild, disk lost"}, {class: "s-2", text: "rebuild, node lost"}}, groups)
}

var correlation = []swatch{{class: "hollow c-ink", text: "disks and nodes fail one by one", mark: true}, {class: "c-ink", text: "with outages that strike many at once", mark: true}}

func (r *Report) firstLossChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.Fleet, m.Correlated.Fleet
		lines = append(lines, span{m.Title, a, b, class(m.Scheme), years(b),
			[2]string{m.Title + ", one by one: " + years(a), m.Title + ", with outages: " + years(b)}})
	}
	return spans("first-loss", "Mean time until the fleet loses anything", "For each scheme two points over powers of ten: the mean time to the first loss of anything in the whole fleet, with faults one by one and with outages that strike many nodes at once.",
		"years, powers of ten (in figures: with outages)", correlation, lines)
}

func (r *Report) lostBytesChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.LostPerPB, m.Correlated.LostPerPB
		lines = append(lines, span{m.Title, a, b, class(m.Scheme), size(b),
			[2]string{m.Title + ", one by one: " + size(a), m.Title + ", with outages: " + size(b)}})
	}
	return spans("lost-bytes", "Bytes lost of each petabyte in a year", "For each scheme two points over powers of ten: how many bytes of each petabyte stored are lost per year on average, with faults one by one and with outages that strike many nodes at once.",
		"bytes a year of each petabyte, powers of ten (in figures: with outages)", correlation, lines)
}

func (r *Report) groupChart() Chart {
	var lines []span
	for _, m := range r.Fleet.Schemes {
		a, b := m.Independent.Exact, m.Correlated.Exact
		lines = append(lines, span{m.Title, a, b, class(m.Scheme), years(b),
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
		lines = append(lines, span{m.Title, m.DiskHours, m.NodeHours, class(m.Scheme), label,
			[2]string{"a disk: " + seconds(m.DiskHours*3600), "a node: " + seconds(m.NodeHours*3600)}})
	}
	return spans("danger", "How long in danger", "For each scheme two points over powers of ten: the hours from the loss of a disk and of a node of the fleet until everything has its full redundancy again.",
		"hours, powers of ten", []swatch{{class: "hollow c-ink", text: "a disk is lost", mark: true}, {class: "c-ink", text: "a node is lost", mark: true}}, lines)
}
