package redundancy

import (
	"fmt"

	"redoubt/redundancy/result"
)

// claims holds the goals against a run. Every run has every goal: where there is no number the
// goal says why.
func claims(r *result.Run) []result.Claim {
	g := goals{r: r}
	k := r.Setup.Parity
	g.writing(fmt.Sprintf("writing under RAID-5 across nodes (k=%d) over writing 3 replicas", k), 1.3)
	g.space(k)
	for _, s := range []result.Scheme{result.RAIDCluster, result.RAIDBoth} {
		// A node takes its own disks and link along, whatever the scheme.
		g.reading(s, result.Node, s.Title()+": reading with a node lost over reading healthy, all clients together", 1)
		left := float64(r.Setup.Datanodes-1) / float64(r.Setup.Datanodes)
		g.reading(s, result.Node, s.Title()+": reading with a node lost over reading healthy, for each node that is left", left)
	}
	g.reading(result.RAIDNode, result.Disk, result.RAIDNode.Title()+": reading with a disk lost over reading healthy", 1)
	for _, x := range []struct {
		s result.Scheme
		f result.Fault
	}{{result.RAIDNode, result.Disk}, {result.RAIDCluster, result.Node}, {result.RAIDCluster, result.Disk}, {result.RAIDBoth, result.Node}, {result.RAIDBoth, result.Disk}} {
		g.rebuilding(x.s, x.f)
	}
	g.array("one array: large writes, of the sum of its disks", func(a *result.Array) float64 { return a.WriteRate })
	g.array("one array: large reads, of the sum of its disks", func(a *result.Array) float64 { return a.ReadRate })
	g.wrong()
	return g.all
}

type goals struct {
	r   *result.Run
	all []result.Claim
}

// atLeast adds a goal whose number is there if missing is "".
func (g *goals) atLeast(text string, got, want float64, unit, missing string, busy bool) {
	c := result.Claim{Text: text, Missing: missing, Want: want, Unit: unit}
	if missing == "" {
		c.Got, c.Met, c.Busy = got, got >= want, busy
	}
	g.all = append(g.all, c)
}

// scheme gives what a scheme has shown, or why it has not.
func (g *goals) scheme(s result.Scheme) (*result.SchemeResult, string) {
	x := g.r.Scheme(s)
	switch {
	case x == nil:
		return &result.SchemeResult{}, "not run"
	case x.Err != "":
		return x, "ended early"
	}
	return x, ""
}

// fault is the same for a fault of a scheme.
func (g *goals) fault(s result.Scheme, f result.Fault) (*result.SchemeResult, *result.FaultResult, string) {
	x, missing := g.scheme(s)
	r := x.Fault(f)
	switch {
	case r != nil && r.Untested != "":
		return x, r, "not tested"
	case r != nil:
		return x, r, "" // measured before the scheme ended early, perhaps
	case missing == "":
		missing = "not run"
	}
	return x, &result.FaultResult{}, missing
}

func (g *goals) writing(text string, want float64) {
	three, missing := g.scheme(result.Three)
	raid, also := g.scheme(result.RAIDCluster)
	if three.Write.Rate > 0 && raid.Write.Rate > 0 {
		g.atLeast(text, raid.Write.Rate/three.Write.Rate, want, "x", "", three.Write.Strain.Busy || raid.Write.Strain.Busy)
		return
	}
	if missing == "" {
		missing = also
	}
	g.atLeast(text, 0, want, "x", orText(missing, "not measured"), false)
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (g *goals) space(k int) {
	full := float64(k+1) / float64(k)
	// With so little data the groups that are not full weigh.
	c := result.Claim{Text: fmt.Sprintf("space of RAID-5 across nodes (k=%d) once folded; %.2fx if all groups were full", k, full), Want: full * 1.03, Unit: "x", Most: true}
	x, missing := g.scheme(result.RAIDCluster)
	if c.Got = x.Space.Ratio; c.Got > 0 {
		c.Met = c.Got <= c.Want
	} else {
		c.Missing = orText(missing, "not measured")
	}
	g.all = append(g.all, c)
}

// reading holds reading with a fault against reading healthy, of which share can be had.
func (g *goals) reading(s result.Scheme, f result.Fault, text string, share float64) {
	x, hurt, missing := g.fault(s, f)
	if missing == "" && (x.Read.Rate == 0 || !hurt.Read.Measured) {
		missing = "not measured"
	}
	var got float64
	if missing == "" {
		got = 100 * hurt.Read.Rate / x.Read.Rate / share
	}
	g.atLeast(text, got, 80, "%", missing, x.Read.Strain.Busy || hurt.Read.Strain.Busy)
}

func (g *goals) rebuilding(s result.Scheme, f result.Fault) {
	_, hurt, missing := g.fault(s, f)
	p := hurt.Repair
	switch {
	case missing != "":
	case !p.Needed || p.Rebuilt == 0:
		missing = "nothing was rebuilt"
	case !p.Complete:
		missing = "not complete"
	case p.Limit == 0:
		missing = "no limit" // unlimited disks and links
	}
	var got float64
	if missing == "" {
		got = 100 * p.Rate / p.Limit
	}
	g.atLeast(fmt.Sprintf("%s: rebuilding after %s, of what the busiest emulated disk or link allows", s.Title(), f.Title()), got, 50, "%", missing, p.Strain.Busy)
}

func (g *goals) array(text string, rate func(*result.Array) float64) {
	x, missing := g.scheme(result.RAIDNode)
	switch a := x.Array; {
	case a == nil:
		g.atLeast(text, 0, 70, "%", orText(missing, "not measured"), false)
	case a.SumRate == 0:
		g.atLeast(text, 0, 70, "%", "no limit", false)
	default:
		g.atLeast(text, 100*rate(a)/a.SumRate, 70, "%", "", a.Strain.Busy)
	}
}

// wrong adds up, over all rounds, what must never be.
func (g *goals) wrong() {
	c := result.Claim{Text: "bytes read wrong, in all schemes and faults", Unit: "B", Most: true, Missing: "not run"}
	for _, round := range g.r.Rounds {
		for _, s := range round.Schemes {
			for _, f := range s.Faults {
				c.Missing = ""
				c.Got += float64(f.Survived.WrongBytes)
			}
		}
	}
	c.Met = c.Missing == "" && c.Got == 0
	g.all = append(g.all, c)
}
