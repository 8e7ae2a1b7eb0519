package report

import (
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
		p = p.Measured(run)
	}
	model, err := fleet.Compare(p, o)
	if err != nil {
		return nil, err
	}
	return &Report{Run: run, Fleet: model}, nil
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
