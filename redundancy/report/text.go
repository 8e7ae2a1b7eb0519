package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"redoubt/redundancy/fleet"
	"redoubt/redundancy/result"
)

// TextWidth is how wide the tables for a terminal are at most.
const TextWidth = 80

// Text writes the tables for a terminal: no line is longer than TextWidth. Cells that are too
// long go on in the next line, and a table with too many columns goes on below itself.
func (r *Report) Text(w io.Writer) error {
	var b bytes.Buffer
	for _, text := range r.Warnings() {
		fmt.Fprintf(&b, "%s\n\n", strings.Join(lines(text, TextWidth), "\n"))
	}
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
	for _, line := range lines(strings.ToUpper(t.Title), TextWidth) {
		fmt.Fprintln(b, line)
	}
	if note := strings.TrimSuffix(t.Note, busyNote); note != "" { // the mark is explained above all tables
		for _, line := range lines(note, TextWidth) {
			fmt.Fprintln(b, line)
		}
	}
	for i, columns := range t.panels(TextWidth) {
		if i > 0 {
			b.WriteByte('\n')
		}
		t.panel(b, columns, t.fit(columns, TextWidth))
	}
}

// panels deals the columns out to as many tables below each other as it takes. Each has the
// first column, and the second too where that is a word that says what a row is about.
func (t Table) panels(most int) (all [][]int) {
	least := t.narrowest()
	keys := []int{0}
	if len(t.Head) > 2 && rowKeys[t.Head[1]] {
		keys = append(keys, 1)
	}
	begin := -2
	for _, k := range keys {
		begin += least[k] + 2
	}
	columns, sum := slices.Clone(keys), begin
	for i := len(keys); i < len(t.Head); i++ {
		if sum+2+least[i] > most && len(columns) > len(keys) {
			all = append(all, columns)
			columns, sum = slices.Clone(keys), begin
		}
		columns, sum = append(columns, i), sum+2+least[i]
	}
	return append(all, columns)
}

// rowKeys are second columns that say, with the first, what a row is about.
var rowKeys = map[string]bool{"fault": true, "reads": true, "outages": true, "of": true}

// narrowest is, for each column, the length of the longest piece that is not broken. Text
// keeps some room, so that it does not stand in a column of single words.
func (t Table) narrowest() []int {
	const room = 24
	least := make([]int, len(t.Head))
	for i, h := range t.Head {
		if i == 0 || words[h] {
			for _, row := range t.Rows {
				least[i] = max(least[i], min(length(row[i]), room))
			}
		}
		for word := range strings.FieldsSeq(h) {
			least[i] = max(least[i], length(word))
		}
		for _, row := range t.Rows {
			for _, piece := range pieces(row[i], i == 0 || words[h]) {
				least[i] = max(least[i], min(length(piece), TextWidth/2))
			}
		}
	}
	return least
}

// fit gives the widths of columns: as wide as they want to be, or less for the widest ones.
func (t Table) fit(columns []int, most int) []int {
	least := t.narrowest()
	widths, sum := make([]int, len(columns)), -2
	for i, c := range columns {
		widths[i] = least[c]
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			widths[i] = max(widths[i], length(row[c]))
		}
		sum += widths[i] + 2
	}
	for ; sum > most; sum-- {
		widest := -1
		for i, c := range columns {
			if widths[i] > least[c] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// panel writes some columns, each cell in as many lines as it takes.
func (t Table) panel(b *bytes.Buffer, columns, widths []int) {
	for n, row := range append([][]string{t.Head}, t.Rows...) {
		cells, tall := make([][]string, len(columns)), 1
		for i, c := range columns {
			cells[i] = broken(pieces(row[c], n == 0 || c == 0 || words[t.Head[c]]), widths[i])
			tall = max(tall, len(cells[i]))
		}
		for l := range tall {
			var line strings.Builder
			for i, c := range columns {
				s := ""
				if l < len(cells[i]) {
					s = cells[i][l]
				}
				if pad := strings.Repeat(" ", widths[i]-length(s)); i == 0 || words[t.Head[c]] {
					line.WriteString(s + pad + "  ")
				} else {
					line.WriteString(pad + s + "  ")
				}
			}
			fmt.Fprintln(b, strings.TrimRight(line.String(), " "))
		}
		if n == 0 {
			total := -2
			for _, w := range widths {
				total += w + 2
			}
			fmt.Fprintln(b, strings.Repeat("-", total))
		}
	}
}

func length(s string) int { return len([]rune(s)) }

// pieces cuts a cell where it may be broken: text at each space, numbers with their units only
// before a bracket and behind a comma.
func pieces(s string, text bool) []string {
	if text {
		return strings.Fields(s)
	}
	var all []string
	for _, field := range strings.Fields(s) {
		last := len(all) - 1
		if last < 0 || strings.HasPrefix(field, "(") || strings.HasSuffix(all[last], ",") {
			all = append(all, field)
		} else {
			all[last] += " " + field
		}
	}
	return all
}

// broken puts pieces into lines of a width; a piece that is longer is cut.
func broken(pieces []string, width int) (out []string) {
	line := ""
	for _, p := range pieces {
		if line != "" && length(line)+1+length(p) > width {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		line += p
		for r := []rune(line); len(r) > width; r = []rune(line) {
			out, line = append(out, string(r[:width])), string(r[width:])
		}
	}
	return append(out, line)
}

func lines(s string, width int) []string { return broken(strings.Fields(s), width) }

// words are the columns that hold text, not numbers.
var words = map[string]bool{"survives": true, "fault": true, "what happened": true, "of": true, "unit": true, "to the printed digit": true, "met": true, "reads": true, "goal": true}

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

// CSV writes every figure as a line of its own: part (run for the medians, round 1 and so on,
// fleet, check), scheme, fault or
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
			runCSV("run", &r.Run.Schemes[i], put)
		}
		for n, round := range r.Run.Rounds {
			for i := range round.Schemes {
				runCSV("round "+strconv.Itoa(n+1), &round.Schemes[i], put)
			}
		}
	}
	if r.Fleet != nil {
		for _, m := range r.Fleet.Schemes {
			fleetCSV(m, put)
		}
		for _, sweep := range r.Fleet.Sensitivity {
			for _, l := range sweep.Lines {
				for i, x := range sweep.At {
					of := sweep.Title + " " + sweepTick(sweep, x)
					put("sensitivity", string(l.Scheme), of, "lost per PB, independent", l.Independent[i], "bytes per year")
					put("sensitivity", string(l.Scheme), of, "lost per PB, correlated", l.Correlated[i], "bytes per year")
				}
			}
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

func runCSV(part string, s *result.SchemeResult, put putter) {
	name := string(s.Scheme)
	load := func(of, what string, l result.Load) {
		if !l.Measured {
			return
		}
		put(part, name, of, what+" rate", l.Rate, "bytes/s")
		put(part, name, of, what+" network per byte", l.NetPerByte, "ratio")
		put(part, name, of, what+" disk read per byte", l.DiskReadPerByte, "ratio")
		put(part, name, of, what+" disk write per byte", l.DiskWritePerByte, "ratio")
		put(part, name, of, what+" CPU per byte", l.CPUPerByte, "s")
		put(part, name, of, what+" machine too busy", b2f(l.Strain.Busy), "0 or 1")
		put(part, name, of, what+" p50", l.P50, "s")
		put(part, name, of, what+" p90", l.P90, "s")
		put(part, name, of, what+" p99", l.P99, "s")
		put(part, name, of, what+" slowest", l.Max, "s")
		put(part, name, of, what+" failed", float64(l.Failed), "operations")
	}
	put(part, name, "", "space", s.Space.Ratio, "ratio")
	put(part, name, "", "stored", float64(s.Space.StoredBytes), "bytes")
	put(part, name, "", "fold time", s.Space.FoldSeconds, "s")
	load("healthy", "write", s.Write)
	load("healthy", "read", s.Read)
	if a := s.Array; a != nil {
		put(part, name, "array", "write rate", a.WriteRate, "bytes/s")
		put(part, name, "array", "read rate", a.ReadRate, "bytes/s")
		put(part, name, "array", "degraded read rate", a.Degraded, "bytes/s")
		put(part, name, "array", "sum of disks", a.SumRate, "bytes/s")
	}
	for _, f := range s.Faults {
		of := string(f.Fault)
		load(of, "read", f.Read)
		load(of, "write", f.Write)
		load(of, "read while rebuilding", f.Rebuilding)
		load(of, "hedged read", f.Hedged)
		if p := f.Repair; p.Needed {
			put(part, name, of, "detected after", p.Detect, "s")
			put(part, name, of, "repair time", p.Seconds, "s")
			put(part, name, of, "repair complete", b2f(p.Complete), "0 or 1")
			put(part, name, of, "rebuilt", float64(p.Rebuilt), "bytes")
			put(part, name, of, "rebuild rate", p.Rate, "bytes/s")
			put(part, name, of, "rebuild limit", p.Limit, "bytes/s")
			put(part, name, of, "rebuild CPU per byte", p.CPUPerByte, "s")
			put(part, name, of, "rebuild machine too busy", b2f(p.Strain.Busy), "0 or 1")
			put(part, name, of, "moved per byte rebuilt", p.MovedPerByte, "ratio")
			put(part, name, of, "rebuild over the network", float64(p.NetBytes), "bytes")
			put(part, name, of, "rebuild read from disks", float64(p.DiskRead), "bytes")
			put(part, name, of, "rebuild written to disks", float64(p.DiskWritten), "bytes")
		}
		put(part, name, of, "tested", b2f(f.Untested == ""), "0 or 1")
		put(part, name, of, "bytes at risk", float64(f.AtRisk), "bytes")
		put(part, name, of, "user bytes", float64(f.Survived.Bytes), "bytes")
		put(part, name, of, "lost bytes", float64(f.Survived.LostBytes), "bytes")
		put(part, name, of, "wrong bytes", float64(f.Survived.WrongBytes), "bytes")
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
