package result

import (
	"reflect"
	"slices"
	"strings"
)

// Summarize makes the medians of all rounds, scheme by scheme in the order of a report.
// Where some rounds were measured while the machine was too busy and others were not, only
// the others count; where a repair was not needed or not complete in some, only the rest.
func Summarize(rounds []Round) []SchemeResult {
	var out []SchemeResult
	for _, s := range Schemes() {
		if all := of(rounds, s); len(all) > 0 {
			out = append(out, summary(all))
		}
	}
	return out
}

// of gives the results of one scheme in all rounds.
func of(rounds []Round, s Scheme) (all []*SchemeResult) {
	for i := range rounds {
		for j := range rounds[i].Schemes {
			if x := &rounds[i].Schemes[j]; x.Scheme == s {
				all = append(all, x)
			}
		}
	}
	return all
}

func summary(all []*SchemeResult) SchemeResult {
	r := SchemeResult{Scheme: all[0].Scheme, Title: all[0].Title, Repeats: len(all)}
	var errs []string
	var spaces []Space
	for _, s := range all {
		r.Seconds += s.Seconds
		r.CPU = max(r.CPU, s.CPU)
		if s.Err != "" && !slices.Contains(errs, s.Err) {
			errs = append(errs, s.Err)
		}
		if s.Space.StoredBytes > 0 {
			spaces = append(spaces, s.Space)
		}
		for _, f := range s.Faults {
			if r.Fault(f.Fault) == nil {
				r.Faults = append(r.Faults, faultSummary(f.Fault, all))
			}
		}
	}
	r.Err = strings.Join(errs, "; ")
	r.Space = medians(spaces)
	r.Write = loadSummary(all, func(s *SchemeResult) *Load { return &s.Write })
	r.Read = loadSummary(all, func(s *SchemeResult) *Load { return &s.Read })
	var arrays []Array
	for _, s := range all {
		if s.Array != nil {
			arrays = append(arrays, *s.Array)
		}
	}
	if len(arrays) > 0 {
		a := medians(quiet(arrays, func(a Array) bool { return a.Strain.Busy }))
		a.Strain.Busy = !slices.ContainsFunc(arrays, func(a Array) bool { return !a.Strain.Busy })
		r.Array = &a
	}
	return r
}

// faultSummary is a fault over the rounds in which it has hit something.
func faultSummary(name Fault, all []*SchemeResult) FaultResult {
	var tested, any []*SchemeResult
	for _, s := range all {
		if f := s.Fault(name); f != nil {
			any = append(any, s)
			if f.Untested == "" {
				tested = append(tested, s)
			}
		}
	}
	r := FaultResult{Fault: name, Title: name.Title()}
	if len(tested) == 0 {
		r.Untested = any[0].Fault(name).Untested
		tested = any
	}
	var survived []Survived
	var risks []struct{ N int64 }
	for _, s := range tested {
		f := s.Fault(name)
		if f.Note != "" && !strings.Contains(r.Note, f.Note) {
			r.Note = strings.TrimPrefix(r.Note+"; "+f.Note, "; ")
		}
		r.Victims = append(r.Victims, f.Victims...)
		risks = append(risks, struct{ N int64 }{f.AtRisk})
		survived = append(survived, f.Survived)
	}
	r.AtRisk = medians(risks).N
	r.Survived = medians(survived)
	for _, s := range survived { // what must never be is not averaged away
		r.Survived.WrongBytes = max(r.Survived.WrongBytes, s.WrongBytes)
	}
	load := func(get func(*FaultResult) *Load) Load {
		return loadSummary(tested, func(s *SchemeResult) *Load { return get(s.Fault(name)) })
	}
	r.Read = load(func(f *FaultResult) *Load { return &f.Read })
	r.Write = load(func(f *FaultResult) *Load { return &f.Write })
	r.Rebuilding = load(func(f *FaultResult) *Load { return &f.Rebuilding })
	r.Hedged = load(func(f *FaultResult) *Load { return &f.Hedged })
	r.Repair = repairSummary(name, tested)
	return r
}

func loadSummary(all []*SchemeResult, get func(*SchemeResult) *Load) Load {
	var loads []Load
	for _, s := range all {
		if l := get(s); l.Measured {
			loads = append(loads, *l)
		}
	}
	if len(loads) == 0 {
		return Load{}
	}
	r := medians(quiet(loads, func(l Load) bool { return l.Strain.Busy }))
	r.Measured = true
	r.Strain.Busy = !slices.ContainsFunc(loads, func(l Load) bool { return !l.Strain.Busy })
	return r
}

func repairSummary(name Fault, all []*SchemeResult) Repair {
	var every, needed, complete []Repair
	for _, s := range all {
		p := s.Fault(name).Repair
		every = append(every, p)
		if p.Needed {
			needed = append(needed, p)
			if p.Complete {
				complete = append(complete, p)
			}
		}
	}
	count := every
	switch {
	case len(complete) > 0:
		count = complete
	case len(needed) > 0:
		count = needed
	}
	r := medians(quiet(count, func(p Repair) bool { return p.Strain.Busy }))
	r.Needed = len(needed) > 0
	r.Complete = len(complete) == len(needed) // in every round in which there was something to make again
	r.Strain.Busy = !slices.ContainsFunc(count, func(p Repair) bool { return !p.Strain.Busy })
	return r
}

// quiet leaves out what was measured while the machine was too busy, unless all was.
func quiet[T any](all []T, busy func(T) bool) []T {
	if !slices.ContainsFunc(all, func(x T) bool { return !busy(x) }) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), busy)
}

// medians gives, for each number of a struct, and of structs in it, the median over several.
// Everything else is zero.
func medians[T any](all []T) (out T) {
	if len(all) == 0 {
		return out
	}
	values := make([]reflect.Value, len(all))
	for i := range all {
		values[i] = reflect.ValueOf(all[i])
	}
	mediansInto(reflect.ValueOf(&out).Elem(), values)
	return out
}

func mediansInto(to reflect.Value, from []reflect.Value) {
	for i := range to.NumField() {
		fields := make([]reflect.Value, len(from))
		for j := range from {
			fields[j] = from[j].Field(i)
		}
		numbers := make([]float64, len(from))
		switch f := to.Field(i); f.Kind() {
		case reflect.Struct:
			mediansInto(f, fields)
		case reflect.Float64:
			for j := range fields {
				numbers[j] = fields[j].Float()
			}
			f.SetFloat(Median(numbers))
		case reflect.Int, reflect.Int64:
			for j := range fields {
				numbers[j] = float64(fields[j].Int())
			}
			f.SetInt(int64(Median(numbers)))
		}
	}
}

// Median is the middle one, or the mean of the middle two; 0 of none.
func Median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	default:
		return (s[n/2-1] + s[n/2]) / 2
	}
}

// Spread is a number over several rounds.
type Spread struct {
	Median, Low, High float64
	Count             int  // of rounds that have the number
	Busy              bool // all of them were measured while the machine was too busy
}

// Spread gives a number of a scheme over the rounds of a run. get says whether a round has it,
// and whether the machine was too busy then; such rounds count only if there are no others. A
// run without rounds has what its summary says.
func (r *Run) Spread(s Scheme, get func(*SchemeResult) (x float64, busy, ok bool)) Spread {
	type number struct {
		x    float64
		busy bool
	}
	var all []number
	rounds := of(r.Rounds, s)
	if len(rounds) == 0 {
		if one := r.Scheme(s); one != nil {
			rounds = append(rounds, one)
		}
	}
	for _, one := range rounds {
		if x, busy, ok := get(one); ok {
			all = append(all, number{x, busy})
		}
	}
	if len(all) == 0 {
		return Spread{}
	}
	var xs []float64
	for _, n := range quiet(all, func(n number) bool { return n.busy }) {
		xs = append(xs, n.x)
	}
	return Spread{Median: Median(xs), Low: slices.Min(xs), High: slices.Max(xs), Count: len(xs),
		Busy: !slices.ContainsFunc(all, func(n number) bool { return !n.busy })}
}

// Untested names every fault that has hit nothing in some round, for an error.
func (r *Run) Untested() (all []string) {
	for _, round := range r.Rounds {
		for _, s := range round.Schemes {
			for _, f := range s.Faults {
				text := s.Title + ", " + f.Title + ": not tested: " + f.Untested
				if f.Untested != "" && !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
		}
	}
	return all
}
