package fleet

import (
	"fmt"

	"redoubt/redundancy/result"
)

// Sweep is what one parameter does to the bytes lost, all others being as they are.
type Sweep struct {
	Name  string    `json:"name"` // stable
	Title string    `json:"title"`
	At    []float64 `json:"at"` // values of the parameter: hours, or bytes
	Lines []Line    `json:"lines"`
}

// Line is a scheme in a sweep.
type Line struct {
	Scheme result.Scheme `json:"scheme"`
	Title  string        `json:"title"`
	// Bytes lost in a year of each 1e15, at each value: with faults one by one, and with outages
	// that strike many nodes at once.
	Independent []float64 `json:"independent"`
	Correlated  []float64 `json:"correlated"`
}

// sensitivity sweeps the time until a loss is noticed, and the size of disks.
func sensitivity(p Params) ([]Sweep, error) {
	var all []Sweep
	for _, x := range []struct {
		name, title string
		at          []float64
		set         func(p *Params, x float64)
	}{
		{"detect", "time until a loss is noticed", []float64{1. / 60, 5. / 60, 15. / 60, 1, 6, 24}, func(p *Params, x float64) { p.DetectDisk, p.DetectNode = x, x }},
		{"disk", "size of a disk", []float64{2e12, 4e12, 8e12, 16e12, 32e12, 64e12}, func(p *Params, x float64) { p.DiskBytes = x }},
	} {
		sweep := Sweep{Name: x.name, Title: x.title, At: x.at}
		for _, s := range Schemes() {
			l := Line{Scheme: s, Title: s.Title()}
			for _, v := range x.at {
				q := p
				x.set(&q, v)
				for _, how := range []struct {
					p   Params
					out *[]float64
				}{{q.Without(), &l.Independent}, {q, &l.Correlated}} {
					g, pl, err := how.p.Scheme(s)
					if err != nil {
						return nil, fmt.Errorf("%w (%s)", err, s.Title())
					}
					*how.out = append(*how.out, lostPerPB(Events(g, pl, Exact(g))))
				}
			}
			sweep.Lines = append(sweep.Lines, l)
		}
		all = append(all, sweep)
	}
	return all, nil
}

// lostPerPB adds up what is lost of each petabyte in a year.
func lostPerPB(f Fleet) (sum float64) {
	for _, b := range f.Bytes {
		sum += b * 1e15
	}
	return sum
}
