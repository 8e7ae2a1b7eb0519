package report

import (
	"bytes"
	_ "embed" // for the page and its style
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
)

//go:embed chart.css
var svgStyle string

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"word": func(h string) bool { return words[h] }, "glue": glue}).Parse(pageText))

// glue keeps a number together with its unit, and a range in one line.
func glue(s string) string {
	return ranges.ReplaceAllString(units.ReplaceAllString(s, "$1\u00a0$2"), "$1\u2011$2")
}

var ranges = regexp.MustCompile(`(\([^ ()]+)-([^ ()]+\))`)

var units = regexp.MustCompile(`(\d\*?) (MB/s|[kMGTP]?B\b|%|years\b|min\b|[mun]?s\b|h\b|d\b)`)

// page is what the template shows.
type page struct {
	Title, When string
	Style       template.CSS
	Errors      []string // what a reader must know before anything else
	Sections    []section
}

type section struct {
	ID, Title, Text string
	Facts           []fact
	Parts           []item
}

type fact struct{ Name, Value string }

// item is a chart with its tables, or tables alone.
type item struct {
	Title, Text string
	Chart       template.HTML
	Tables      []Table
	Bare        bool // the section's heading is the table's
}

// how tells, for each chart, how to read it, and which tables have its numbers.
var how = map[string]struct {
	text   string
	tables []string
}{
	"survival": {"A fault is caused, and before anything is repaired every file is read and each byte compared. An array inside a node helps against " +
		"a disk and against spoiled bytes; against the loss of its node nothing inside that node can help. The second line of a field is how many bytes of blocks and parity " +
		"stood on what the fault struck.", []string{"survival"}},
	"space": {"Left is cheap, up is fast. Replicas pay for speed and safety with space; parity gives most of the space back. " +
		"Under RAID-5 across nodes a client writes two copies instead of three; the second is later folded into parity in the background.", []string{"summary"}},
	"speed": {"What a fault does to those who read. The second bar is with a node lost, or with one disk lost for schemes that cannot survive a node. The thin line on a bar is its range. A degraded read of parity needs all other members of a group, a replica only another copy.", []string{"speed"}},
	"cost": {"Everything is counted until the data has its final form, including the folding of copies into parity, which reads nothing over the network.",
		[]string{"costs"}},
	"moved": {"Copying a lost replica reads one byte and sends one. Rebuilding from parity takes a byte from each of the k others. An array inside a node reads as much, but sends nothing.",
		[]string{"repair"}},
	"time": {"A rebuild inside a node is as fast as the one spare disk that it writes. Across nodes all other nodes read and write a part each.",
		nil},
	"lost-bytes": {"How much data is lost in the long run. The hollow point is the textbook figure, with independent failures; " +
		"the full one includes power cuts from which some nodes do not return. The gap shows how much assuming independent failures overstates safety.", []string{"fleet"}},
	"first-loss": {"How long until the fleet loses anything at all, even one block of one file. A small loss counts as much here as a large one: " +
		"a rebuild that meets an unreadable sector loses one block, a node that dies with its array loses everything on it.", []string{"causes"}},
	"mttdl": {"The same for a single redundancy group, which is what published figures are about. It depends neither on the size of the fleet nor on how much one fault loses.",
		[]string{"methods"}},
	"danger": {"The window in which one more fault, or two, would lose data. The fleet is the same for all schemes: software spreads a rebuild over many nodes; a controller writes to one spare.", nil},
	"sensitivity": {"One property of the fleet is changed at a time, all others stay. A lost disk or node is in danger from the moment it is lost, so noticing it late hurts most where the rebuild is fast; " +
		"larger disks take longer to rebuild and are less likely to be readable to their end. The lines are for faults one by one. Outages of the house hide most of this: the tables have both.", []string{"sensitivity-detect", "sensitivity-disk"}},
}

// HTML writes the page.
func (r *Report) HTML(w io.Writer) error {
	p := page{Title: "Redundancy compared", Style: template.CSS(svgStyle + pageStyle)}
	byName := map[string]Table{}
	for _, t := range r.Tables() {
		byName[t.Name] = t
	}
	charts := map[string]Chart{}
	for _, c := range r.Charts() {
		charts[c.Name] = c
	}
	chart := func(names ...string) (out []item) {
		for _, n := range names {
			c, ok := charts[n]
			if !ok {
				continue
			}
			// The chart is made here, and every text in it escaped where it is written.
			it := item{Title: c.Title, Text: how[n].text, Chart: template.HTML(c.inline())}
			for _, t := range how[n].tables {
				if table, ok := byName[t]; ok {
					it.Tables = append(it.Tables, table)
				}
			}
			out = append(out, it)
		}
		return out
	}
	tables := func(names ...string) (out []item) {
		for _, n := range names {
			if t, ok := byName[n]; ok && len(t.Rows) > 0 {
				out = append(out, item{Tables: []Table{t}})
			}
		}
		return out
	}
	if r.Run != nil {
		p.When = fmt.Sprintf("Measured on %s, in %s.", r.Run.Begun.UTC().Format("2 January 2006, 15:04 UTC"), seconds(r.Run.Seconds))
		p.Errors = r.Warnings()
		p.Sections = append(p.Sections,
			section{ID: "glance", Title: "At a glance", Parts: append(plain(byName["summary"]), chart("survival")...)},
			section{ID: "cost", Title: "What it costs", Parts: append(chart("space", "cost"), tables("array")...)},
			section{ID: "hurt", Title: "When something breaks", Parts: append(chart("speed", "time", "moved"), tables("slow", "latency")...)})
	}
	if r.Fleet != nil {
		p.Sections = append(p.Sections, section{ID: "fleet", Title: "A fleet over the years", Facts: r.fleetFacts(),
			Text:  r.ratesText(),
			Parts: chart("danger", "lost-bytes", "first-loss", "sensitivity", "mttdl")})
	}
	if r.Run != nil {
		p.Sections = append(p.Sections, section{ID: "how", Title: "How it was measured", Facts: r.setupFacts(),
			Text: "Each scheme ran on a live cluster of its own, name node, datanodes and clients real, disks and links emulated with the same rates and latencies. " +
				"The rates are low on purpose, so that they and not this machine are the limit. What each fault strikes is drawn among what holds data.",
			Parts: tables("goals", "notes")})
	}
	if r.Fleet != nil {
		p.Sections = append(p.Sections, section{ID: "published", Title: "Held against the literature",
			Text:  "Figures that others have published, worked out again by this model from their inputs. Where the inputs are not printed, or do not give the figure, it says so.",
			Parts: plain(byName["published"])})
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("report: drawing the page: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// plain shows a table under a section's own heading.
func plain(t Table) []item {
	return []item{{Tables: []Table{t}, Bare: true}}
}

// Warnings are what a reader must know before any number.
func (r *Report) Warnings() (all []string) {
	if r.Run == nil {
		return nil
	}
	if r.Run.Interrupted != "" {
		all = append(all, "The run was "+r.Run.Interrupted+". What had come to its end before is here.")
	}
	for _, s := range r.Run.Schemes {
		if s.Err != "" {
			all = append(all, s.Title+": the run ended early: "+s.Err)
		}
	}
	all = append(all, r.Run.Untested()...)
	if busy, of := r.strained(); busy > 0 {
		all = append(all, fmt.Sprintf("The machine was too busy for the emulation while %d of %d numbers were measured. They are marked with *.", busy, of))
	}
	return all
}

func (r *Report) ratesText() string {
	if a := r.Fleet.Params.Rates.Assumed; len(a) > 0 {
		return "The live run says how near rebuilds come to what their disks and links allow, and the model rebuilds a fleet of real disks and links to the same share of their rates. " +
			"This run has not measured " + strings.Join(a, " and ") + ": there the model takes all that disks and links allow."
	}
	if r.Fleet.Params.Rates.Measured {
		return "The live run says how near each kind of rebuild comes to what its disks and links allow; the model rebuilds a fleet of real disks and links to the same share of their rates."
	}
	return "No run has measured how fast rebuilds are: the model takes what disks and links allow."
}

func rateOr(x float64, otherwise string) string {
	if x == 0 {
		return otherwise
	}
	return megabytes(x)
}

// settings writes numbers that were given and not measured without zeroes that say nothing.
func settings(facts []fact) []fact {
	for i := range facts {
		facts[i].Value = zeroes.ReplaceAllString(facts[i].Value, "$1$2$3$4")
	}
	return facts
}

var zeroes = regexp.MustCompile(`(\d\.\d*[1-9])0+\b|(\d)\.0+\b|(\d)\.0(e)`)

func (r *Report) setupFacts() []fact {
	s := r.Run.Setup
	return settings([]fact{
		{"Datanodes", fmt.Sprintf("%d on %d racks", s.Datanodes, s.Racks)},
		{"Disks", fmt.Sprintf("%d in each, %s, %s to seek", s.DisksPerNode, rateOr(s.DiskRate, "unlimited"), seconds(s.DiskLatency))},
		{"Links", fmt.Sprintf("%s each way, %s", rateOr(s.LinkRate, "unlimited"), seconds(s.LinkLatency))},
		{"Repetitions", fmt.Sprint(s.Repeat)},
		{"Clients", fmt.Sprintf("%d with a link and a stream each", s.Clients)},
		{"Data", fmt.Sprintf("%s in files of %s, blocks of %s", binary(s.DataBytes), binary(s.FileBytes), binary(s.BlockBytes))},
		{"Parity", fmt.Sprintf("k = %d: %d of data to 1", s.Parity, s.Parity)},
		{"Machine", fmt.Sprintf("%d processors, at most %s busy", s.CPUs, percent(r.busiest()))},
		{"Seed", fmt.Sprint(s.Seed)},
	})
}

func (r *Report) busiest() float64 {
	var most float64
	for _, s := range r.Run.Schemes {
		most = max(most, s.CPU)
	}
	return min(1, most)
}

func (r *Report) fleetFacts() []fact {
	p := r.Fleet.Params
	scrub := "never scrubbed"
	if p.Scrub > 0 {
		scrub = "scrubbed every " + seconds(p.Scrub*3600)
	}
	facts := []fact{
		{"Fleet", fmt.Sprintf("%d racks of %d nodes of %d disks", p.Racks, p.NodesPerRack, p.DisksPerNode)},
		{"Disks", fmt.Sprintf("%s, %s full, %s fail in a year", size(p.DiskBytes), percent(p.Fill), percent(8760/p.DiskMTTF))},
		{"Nodes", fmt.Sprintf("one is gone for good every %s", years(p.NodeMTTF/8760))},
		{"Unreadable", fmt.Sprintf("1 in %s bits read, %s sectors a year and disk, %s", scientific(1/p.BitErrors), short(p.LatentPerYear), scrub)},
		{"Noticed after", seconds(p.DetectDisk*3600) + " (disk), " + seconds(p.DetectNode*3600) + " (node)"},
		{"Onto a spare disk", megabytes(p.Rates.Spare)},
		{"Copies", megabytes(p.Rates.Copy) + " from each node"},
		{"From parity", megabytes(p.Rates.Fold) + " from each node"},
	}
	for _, o := range p.Power {
		facts = append(facts, fact{"Outage: " + o.Name, fmt.Sprintf("%s a year, %s of the nodes do not return", short(o.PerYear), percent(o.Hit))})
	}
	return settings(facts)
}
