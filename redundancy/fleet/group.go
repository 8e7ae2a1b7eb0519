package fleet

import (
	"errors"
	"fmt"
	"math"
)

// HoursPerYear is the year of the published figures: 365 days.
const HoursPerYear = 8760

// Group is one redundancy group: units that are lost and made again, and what they survive.
type Group struct {
	Units int
	// Survive[i-1] is the chance that data is still readable with i units lost, given that it
	// was with i-1. Its length is the most units that may be lost. RAID-5: [1]; replicas by
	// three: [1 1]; the local codes have a fraction at the end.
	Survive []float64
	Causes  []Cause
	// Serial: of several lost units one is made again at a time. Otherwise each has a repair of its own.
	Serial bool
	// Unreadable is the chance that a repair with no redundancy left finds something in its
	// sources that can't be read.
	Unreadable float64
	// Latent is the rate at which a unit without any redundancy loses something by itself.
	Latent float64
	// Ruin is the rate at which the whole group is lost at once: the node under an array.
	Ruin   float64
	Bursts []Burst
	// Inner makes each unit an array of disks that survives one of them. Causes[0] is then
	// the loss of the array, and its Rate is not used.
	Inner *Inner
}

// Cause is a way to lose a unit.
type Cause struct {
	Name string
	Rate float64 // per unit
	// Repair is how many hours it takes until a unit so lost is there again, with one unit of
	// the group lost, with two, and so on; the last number stands for all that would follow.
	Repair []float64
}

func (c Cause) repair(lost int) float64 { return c.Repair[min(lost, len(c.Repair))-1] }

// cause is the number of the cause with this name; the last if there is none.
func (g *Group) cause(name string) int {
	for i, c := range g.Causes {
		if c.Name == name {
			return i
		}
	}
	return len(g.Causes) - 1
}

// Burst is a fault that hits many at once: each unit of a group with the chance Hit. Its
// units are repaired like those of the last cause.
type Burst struct {
	Rate float64
	Hit  float64
}

// Inner is an array of disks below a unit: the second lost disk loses the unit.
type Inner struct {
	Disks  int
	Rate   float64 // per disk
	Repair float64 // hours
}

// Validate names every fault of the group.
func (g Group) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("fleet: "+format, args...))
		}
	}
	sane := func(what string, x, most float64) {
		need(x >= 0 && x <= most && !math.IsNaN(x), "%s is %v: want 0 to %v", what, x, most)
	}
	const most = 1e12
	need(g.Units >= 1 && g.Units <= 64, "a group of %d units: want 1 to 64", g.Units)
	need(len(g.Survive) < g.Units && len(g.Survive) <= 8, "a group of %d units that survives the loss of %d", g.Units, len(g.Survive))
	for _, s := range g.Survive {
		sane("a chance of survival", s, 1)
	}
	need(len(g.Causes) >= 1 && len(g.Causes) <= maxCauses, "%d causes: want 1 to %d", len(g.Causes), maxCauses)
	for _, c := range g.Causes {
		sane("the rate of "+c.Name, c.Rate, most)
		need(len(c.Repair) > 0 || len(g.Survive) == 0, "%s has no time of repair", c.Name)
		for _, r := range c.Repair {
			need(r > 0 && r <= most, "the repair after %s takes %v hours", c.Name, r)
		}
	}
	sane("the chance of an unreadable source", g.Unreadable, 1)
	sane("the rate of latent errors", g.Latent, most)
	sane("the rate of ruin", g.Ruin, most)
	for _, b := range g.Bursts {
		sane("the rate of bursts", b.Rate, most)
		sane("the chance to be hit by a burst", b.Hit, 1)
	}
	if in := g.Inner; in != nil {
		need(in.Disks >= 2 && in.Disks <= 64 && in.Repair > 0, "an inner array of %d disks with a repair of %v hours", in.Disks, in.Repair)
		sane("the rate of an inner disk", in.Rate, most)
		need(len(g.Survive) > 0, "arrays under a group without redundancy: describe the array itself as the group")
	}
	return errors.Join(errs...)
}

// survive is the chance to be readable with lost units lost, given lost-1.
func (g *Group) survive(lost int) float64 {
	if lost > len(g.Survive) {
		return 0
	}
	return g.Survive[lost-1]
}

// Kind is how data was lost.
type Kind int

// The kinds of loss.
const (
	Failures   Kind = iota // more units lost one by one than the group survives
	Unreadable             // a source that could not be read when no redundancy was left
	Bursted                // a burst took more than the group survives
	Ruined                 // the ground under the whole group was lost
	kinds
)

func (k Kind) String() string {
	return [...]string{"failures", "unreadable", "burst", "ruin"}[k]
}

// Loss is how often a group loses data.
type Loss struct {
	MTTDL float64        // hours; +Inf: never
	Rate  [kinds]float64 // losses per hour, by kind; their sum is 1/MTTDL
}

func newLoss(rate [kinds]float64) Loss {
	var sum float64
	for _, r := range rate {
		sum += r
	}
	return Loss{MTTDL: 1 / sum, Rate: rate}
}

// Years is the mean time to data loss in years.
func (l Loss) Years() float64 { return l.MTTDL / HoursPerYear }

// binomial is the chance of exactly hit successes in n tries.
func binomial(n, hit int, p float64) float64 {
	switch {
	case hit < 0 || hit > n:
		return 0
	case p <= 0:
		return b2f(hit == 0)
	case p >= 1:
		return b2f(hit == n)
	}
	return math.Exp(lnChoose(float64(n), float64(hit)) + float64(hit)*math.Log(p) + float64(n-hit)*math.Log1p(-p))
}

// lnChoose is the logarithm of n over k; -Inf where there is no way.
func lnChoose(n, k float64) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
