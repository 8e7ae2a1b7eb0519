package report

import (
	"bytes"
	_ "embed" // for the page and its style
	"fmt"
	"html/template"
	"io"
	"regexp"
)

//go:embed chart.css
var svgStyle string

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"word": func(h string) bool { return words[h] }}).Parse(pageText))

// page is what the template shows.
type page struct {
	Title, When string
	Style       template.CSS
	Errors      []string
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
		"a disk and against spoiled bytes; against the loss of its node nothing inside that node can help.", []string{"survival"}},
	"space": {"Left is cheap, up is fast. Replicas pay for speed and safety with space; parity gives most of the space back. " +
		"Under RAID-5 across nodes a client writes two copies, not three, and the second is folded into parity behind its back.", []string{"summary"}},
	"speed": {"What a fault does to those who read. A degraded read of parity needs all other members of a group, a replica only another copy.", []string{"speed"}},
	"cost": {"Everything is counted until the data has its final form, the folding of copies into parity included: that reads nothing over the network.",
		[]string{"costs"}},
	"moved": {"A lost replica is copied: one byte read, one sent. A byte made from parity needs all k others. An array inside a node reads as much, but sends nothing.",
		[]string{"repair"}},
	"time": {"A rebuild inside a node ends at the speed of the one spare disk that is written. Across nodes all the others read and write a part each.",
		nil},
	"lost-bytes": {"What of the data is lost in the long run. The hollow point is what textbooks give, with faults that know nothing of each other; " +
		"the full one has power cuts from which some nodes do not return. The distance between them is what independence flatters.", []string{"fleet"}},
	"first-loss": {"How long until the fleet loses anything at all, be it one block of one file. Many small losses count here as much as one large one: " +
		"a rebuild that meets one unreadable sector loses a block, a node that dies with its array loses all that was on it.", []string{"causes"}},
	"mttdl": {"The same for one redundancy group by itself, which is what published figures are about. It does not depend on the size of the fleet, nor on how much is lost with one fault.",
		[]string{"methods"}},
	"danger": {"The window in which a second fault would cost data, or a third. It is the same fleet for all: many nodes sharing a rebuild are what software " +
		"can do and a controller, which has one spare to write to, can't.", nil},
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
				it.Tables = append(it.Tables, byName[t])
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
		for _, s := range r.Run.Schemes {
			if s.Err != "" {
				p.Errors = append(p.Errors, s.Title+": the run ended early: "+s.Err)
			}
		}
		p.Sections = append(p.Sections,
			section{ID: "glance", Title: "At a glance", Parts: append(plain(byName["summary"]), chart("survival")...)},
			section{ID: "cost", Title: "What it costs", Parts: append(chart("space", "cost"), tables("array")...)},
			section{ID: "hurt", Title: "When something breaks", Parts: append(chart("speed", "time", "moved"), tables("slow")...)})
	}
	if r.Fleet != nil {
		p.Sections = append(p.Sections, section{ID: "fleet", Title: "A fleet over the years", Facts: r.fleetFacts(),
			Text:  r.ratesText(),
			Parts: chart("danger", "lost-bytes", "first-loss", "mttdl")})
	}
	if r.Run != nil {
		p.Sections = append(p.Sections, section{ID: "how", Title: "How it was measured", Facts: r.setupFacts(),
			Text: "Each scheme ran on a live cluster of its own, name node, datanodes and clients real, disks and links emulated with the same rates and latencies. " +
				"The rates are low on purpose, so that they and not this machine are the limit.",
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

func (r *Report) ratesText() string {
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
