package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"redoubt/redundancy/fleet"
	"redoubt/redundancy/result"
)

// Report is what there is to show.
type Report struct {
	Run   *result.Run       `json:"run,omitempty"`
	Fleet *fleet.Comparison `json:"fleet,omitempty"`
}

// New works out the fleet model with the rates that the run has measured, and puts it beside
// the run. Run may be nil: then the rates follow from data sheets.
func New(run *result.Run, p fleet.Params, o fleet.Options) (*Report, error) {
	if run != nil {
		if k := run.Setup.Parity; k > 0 { // the groups of the run, on nodes with disks enough
			p.Parity, p.DisksPerNode = k, max(p.DisksPerNode, 2*k+2)
		}
		p = p.Measured(run)
	}
	model, err := fleet.Compare(p, o)
	if err != nil {
		return nil, err
	}
	return &Report{Run: run, Fleet: model}, nil
}

// File is one file of a report.
type File struct {
	Name string // with a directory, for pictures
	Data []byte
}

// Files are all forms of the report: report.html, results.csv, results.json, tables.md, and
// each chart as img/NAME.svg.
func (r *Report) Files() ([]File, error) {
	var all []File
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{"report.html", r.HTML}, {"results.csv", r.CSV}, {"results.json", r.JSON}, {"tables.md", r.Markdown}} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return nil, err
		}
		all = append(all, File{f.name, b.Bytes()})
	}
	for _, c := range r.Charts() {
		all = append(all, File{"img/" + c.Name + ".svg", c.SVG()})
	}
	return all, nil
}

// JSON writes everything; Read is its inverse.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("report: writing JSON: %w", err)
	}
	return nil
}

// Read takes a report from its JSON, so that it can be drawn again.
func Read(in io.Reader) (*Report, error) {
	r := &Report{}
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, fmt.Errorf("report: reading JSON: %w", err)
	}
	if r.Run == nil && r.Fleet == nil {
		return nil, errors.New("report: neither a run nor a model in it")
	}
	return r, nil
}
