package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"redoubt/redundancy/fleet"
	"redoubt/redundancy/result"
)

// Text writes the tables for a terminal, aligned.
func (r *Report) Text(w io.Writer) error {
	var b bytes.Buffer
	for i, t := range r.Tables() {
		if i > 0 {
			b.WriteByte('\n')
		}
		if t.Name == "published" {
			t = brief(t)
		}
		t.text(&b)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// brief leaves the long reasons out, for which a terminal has no room.
func brief(t Table) Table {
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = append([]string(nil), row...)
		last := len(row) - 1
		rows[i][last], _, _ = strings.Cut(row[last], ":")
	}
	t.Rows = rows
	return t
}

func (t Table) text(b *bytes.Buffer) {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, s := range row {
			widths[i] = max(widths[i], len([]rune(s)))
		}
	}
	fmt.Fprintln(b, strings.ToUpper(t.Title))
	for n, row := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, s := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(s)))
			switch {
			case i == 0:
				line.WriteString(s + pad)
			case words[t.Head[i]]:
				line.WriteString("  " + s + pad)
			default:
				line.WriteString("  " + pad + s)
			}
		}
		fmt.Fprintln(b, strings.TrimRight(line.String(), " "))
		if n == 0 {
			total := -2
			for _, w := range widths {
				total += w + 2
			}
			fmt.Fprintln(b, strings.Repeat("-", total))
		}
	}
}

// words are the columns that hold text, not numbers.
var words = map[string]bool{"survives": true, "fault": true, "what happened": true, "of": true, "unit": true, "to the printed digit": true, "met": true}

// Markdown writes the tables for a document, each under a heading.
func (r *Report) Markdown(w io.Writer) error {
	var b bytes.Buffer
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, t := range r.Tables() {
		fmt.Fprintf(&b, "### %s\n\n", t.Title)
		if t.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.Note)
		}
		for n, row := range append([][]string{t.Head}, t.Rows...) {
			for _, s := range row {
				b.WriteString("| " + cell(s) + " ")
			}
			b.WriteString("|\n")
			if n == 0 {
				for i, h := range t.Head {
					if i == 0 || words[h] {
						b.WriteString("|---")
					} else {
						b.WriteString("|---:")
					}
				}
				b.WriteString("|\n")
			}
		}
		b.WriteByte('\n')
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// CSV writes every figure as a line of its own: part (run, fleet, check), scheme, fault or
// assumption, quantity, value, unit. Values have all digits, in bytes, seconds and years.
func (r *Report) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	put := func(part, scheme, of, quantity string, value float64, unit string) {
		// The writer keeps the first error, which Error gives below.
		_ = c.Write([]string{part, scheme, of, quantity, strconv.FormatFloat(value, 'g', -1, 64), unit})
	}
	_ = c.Write([]string{"part", "scheme", "of", "quantity", "value", "unit"})
	if r.Run != nil {
		for i := range r.Run.Schemes {
			runCSV(&r.Run.Schemes[i], put)
		}
	}
	if r.Fleet != nil {
		for _, m := range r.Fleet.Schemes {
			fleetCSV(m, put)
		}
		for _, x := range r.Fleet.Checks {
			put("check", x.What, x.Source, "printed", x.Printed, x.Unit)
			put("check", x.What, x.Source, "ours", x.Ours, x.Unit)
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("report: writing CSV: %w", err)
	}
	return nil
}

type putter func(part, scheme, of, quantity string, value float64, unit string)

func runCSV(s *result.SchemeResult, put putter) {
	name := string(s.Scheme)
	load := func(of, what string, l result.Load) {
		if !l.Measured {
			return
		}
		put("run", name, of, what+" rate", l.Rate, "bytes/s")
		put("run", name, of, what+" network per byte", l.NetPerByte, "ratio")
		put("run", name, of, what+" disk read per byte", l.DiskReadPerByte, "ratio")
		put("run", name, of, what+" disk write per byte", l.DiskWritePerByte, "ratio")
		put("run", name, of, what+" p50", l.P50, "s")
		put("run", name, of, what+" p99", l.P99, "s")
		put("run", name, of, what+" failed", float64(l.Failed), "operations")
	}
	put("run", name, "", "space", s.Space.Ratio, "ratio")
	put("run", name, "", "stored", float64(s.Space.StoredBytes), "bytes")
	put("run", name, "", "fold time", s.Space.FoldSeconds, "s")
	load("healthy", "write", s.Write)
	load("healthy", "read", s.Read)
	if a := s.Array; a != nil {
		put("run", name, "array", "write rate", a.WriteRate, "bytes/s")
		put("run", name, "array", "read rate", a.ReadRate, "bytes/s")
		put("run", name, "array", "degraded read rate", a.Degraded, "bytes/s")
		put("run", name, "array", "sum of disks", a.SumRate, "bytes/s")
	}
	for _, f := range s.Faults {
		of := string(f.Fault)
		load(of, "read", f.Read)
		load(of, "write", f.Write)
		load(of, "read while rebuilding", f.Rebuilding)
		load(of, "hedged read", f.Hedged)
		if p := f.Repair; p.Needed {
			put("run", name, of, "detected after", p.Detect, "s")
			put("run", name, of, "repair time", p.Seconds, "s")
			put("run", name, of, "repair complete", b2f(p.Complete), "0 or 1")
			put("run", name, of, "rebuilt", float64(p.Rebuilt), "bytes")
			put("run", name, of, "rebuild rate", p.Rate, "bytes/s")
			put("run", name, of, "rebuild limit", p.Limit, "bytes/s")
			put("run", name, of, "moved per byte rebuilt", p.MovedPerByte, "ratio")
			put("run", name, of, "rebuild over the network", float64(p.NetBytes), "bytes")
			put("run", name, of, "rebuild read from disks", float64(p.DiskRead), "bytes")
			put("run", name, of, "rebuild written to disks", float64(p.DiskWritten), "bytes")
		}
		put("run", name, of, "user bytes", float64(f.Survived.Bytes), "bytes")
		put("run", name, of, "lost bytes", float64(f.Survived.LostBytes), "bytes")
		put("run", name, of, "wrong bytes", float64(f.Survived.WrongBytes), "bytes")
	}
}

func fleetCSV(m fleet.SchemeModel, put putter) {
	name := string(m.Scheme)
	put("fleet", name, "", "space", m.Overhead, "ratio")
	put("fleet", name, "", "disk back after", m.DiskHours, "h")
	put("fleet", name, "", "node back after", m.NodeHours, "h")
	for _, x := range []struct {
		of string
		o  fleet.Outcome
	}{{"independent", m.Independent}, {"correlated", m.Correlated}} {
		put("fleet", name, x.of, "group MTTDL closed form", x.o.Closed, "years")
		put("fleet", name, x.of, "group MTTDL exact", x.o.Exact, "years")
		put("fleet", name, x.of, "group MTTDL simulated", x.o.Sim, "years")
		put("fleet", name, x.of, "group MTTDL simulated +-", x.o.SimError, "years")
		put("fleet", name, x.of, "mean time to first loss", x.o.Fleet, "years")
		put("fleet", name, x.of, "chance of a loss in a year", x.o.Year, "share")
		put("fleet", name, x.of, "losses by failures", x.o.Failures, "per year")
		put("fleet", name, x.of, "losses by unreadable sectors", x.o.Unreadable, "per year")
		put("fleet", name, x.of, "losses by outages", x.o.Burst, "per year")
		put("fleet", name, x.of, "losses of nodes under arrays", x.o.Ruin, "per year")
		put("fleet", name, x.of, "lost per PB", x.o.LostPerPB, "bytes per year")
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
