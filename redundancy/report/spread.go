package report

import (
	"strings"

	"redoubt/redundancy/result"
)

// number gets a number out of what one round has shown of a scheme: whether the machine was too
// busy when it was measured, and whether it is there at all.
type number func(*result.SchemeResult) (x float64, busy, ok bool)

// load is one of a scheme's loads; nil if the scheme has none.
type load func(*result.SchemeResult) *result.Load

func writing(s *result.SchemeResult) *result.Load { return &s.Write }
func reading(s *result.SchemeResult) *result.Load { return &s.Read }

// during is a load while a fault stood that has hit something.
func during(f result.Fault, get func(*result.FaultResult) *result.Load) load {
	return func(s *result.SchemeResult) *result.Load {
		x := s.Fault(f)
		if x == nil || x.Untested != "" {
			return nil
		}
		return get(x)
	}
}

func degraded(f *result.FaultResult) *result.Load   { return &f.Read }
func written(f *result.FaultResult) *result.Load    { return &f.Write }
func rebuilding(f *result.FaultResult) *result.Load { return &f.Rebuilding }
func hedged(f *result.FaultResult) *result.Load     { return &f.Hedged }

// of makes a number of a load.
func (get load) of(value func(*result.Load) float64) number {
	return func(s *result.SchemeResult) (float64, bool, bool) {
		l := get(s)
		if l == nil || !l.Measured {
			return 0, false, false
		}
		return value(l), l.Strain.Busy, true
	}
}

func rateOf(l *result.Load) float64 { return l.Rate }

// cpu is the processor time of a load; not there where a system does not tell.
func (get load) cpu() number {
	return func(s *result.SchemeResult) (float64, bool, bool) {
		l := get(s)
		if l == nil || !l.Measured || l.CPUPerByte == 0 {
			return 0, false, false
		}
		return l.CPUPerByte, l.Strain.Busy, true
	}
}

// repaired is a number of a repair that came to its end.
func repaired(f result.Fault, value func(*result.Repair) float64) number {
	return func(s *result.SchemeResult) (float64, bool, bool) {
		x := s.Fault(f)
		if x == nil || x.Untested != "" || !x.Repair.Needed || !x.Repair.Complete {
			return 0, false, false
		}
		return value(&x.Repair), x.Repair.Strain.Busy, true
	}
}

// lost is the share of the users' bytes that could not be read.
func lost(f result.Fault) number {
	return func(s *result.SchemeResult) (float64, bool, bool) {
		x := s.Fault(f)
		if x == nil || x.Untested != "" || x.Survived.Bytes == 0 {
			return 0, false, false
		}
		return float64(x.Survived.LostBytes) / float64(x.Survived.Bytes), false, true
	}
}

// show writes a number: its median, its range over the rounds, and a mark if the machine was
// too busy.
func (r *Report) show(s result.Scheme, get number, format func(float64) string) string {
	return shown(r.Run.Spread(s, get), format)
}

const busyMark = "*"

func shown(x result.Spread, format func(float64) string) string {
	if x.Count == 0 {
		return none
	}
	text := format(x.Median)
	if x.Busy {
		text += busyMark
	}
	low, high := format(x.Low), format(x.High)
	if x.Count == 1 || low == high {
		return text
	}
	lowNumber, lowUnit, _ := strings.Cut(low, " ")
	_, highUnit, _ := strings.Cut(high, " ")
	_, unit, _ := strings.Cut(format(x.Median), " ")
	if lowUnit == highUnit && lowUnit == unit {
		highNumber, _, _ := strings.Cut(high, " ")
		return text + " (" + lowNumber + "-" + highNumber + ")"
	}
	return text + " (" + low + "-" + high + ")"
}

// explainMarks says under a table what its marks mean.
func explainMarks(t Table) Table {
	for _, row := range t.Rows {
		for _, cell := range row {
			if strings.Contains(cell, busyMark) {
				t.Note = strings.TrimSpace(t.Note + " " + busyNote)
				return t
			}
		}
	}
	return t
}

const busyNote = "* Measured while the machine was too busy for the emulation: such a number says more about the machine than about the scheme."

// strained counts the rates and repair times of a run, and how many of them carry the mark.
func (r *Report) strained() (busy, all int) {
	for _, t := range r.runTables() {
		for _, row := range t.Rows {
			for _, cell := range row[1:] {
				if strings.ContainsAny(cell, "0123456789") {
					all++
				}
				if strings.Contains(cell, busyMark) {
					busy++
				}
			}
		}
	}
	return busy, all
}
