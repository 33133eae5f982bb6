// Package tsdpm assays the time-shift sampler (Li et al. 2024): its conformance
// cases and its experiments. The method is diffusion.TimeShift.
package tsdpm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// truncated is a table of levels in which a fractional index stands for the whole
// one below, as the authors' code reads it.
type truncated struct{ *diffusion.Discrete }

// At gives the level of time t.
func (s truncated) At(t float64) diffusion.Level {
	const rounding = 1e-9 // of an index's way through time and back
	l := s.Discrete.At(s.TimeOf(math.Floor(s.Index(t) + rounding)))
	l.T = t
	return l
}

type caseInput struct {
	mixture.Problem
	Sequence []float64 `json:"time_sequence"` // ascending
	Window   *int      `json:"window"`
	Cutoff   *int      `json:"cutoff"`
	Shift    *bool     `json:"shift"`
	Mode     string    `json:"mode"`
	Note     string    `json:"note"`
}

var (
	ddim  = diffusion.PNDM{Order: 1}
	sPNDM = diffusion.PNDM{Start: diffusion.PseudoImprovedEuler, Order: 2}
	fPNDM = diffusion.PNDM{}
)

// methods are the runs that cases ask for.
var methods = map[string]struct {
	mode string
	host diffusion.Method
}{
	"Time-Shift sampler, reference-code coupling (DDIM)":                 {"reference", ddim},
	"Time-Shift sampler, reference-code coupling (S-PNDM)":               {"reference", sPNDM},
	"Time-Shift sampler, reference-code coupling (F-PNDM)":               {"reference", fPNDM},
	"Time-Shift sampler on DDIM, coupling as in the paper's algorithm":   {"paper", ddim},
	"Time-Shift sampler on S-PNDM, coupling as in the paper's algorithm": {"paper", sPNDM},
	"Time-Shift sampler on F-PNDM, coupling as in the paper's algorithm": {"paper", fPNDM},
}

const windowSearch = "nearest-variance time index inside the window (per sample, unbiased variance over all coordinates)"

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	if c.Method == windowSearch {
		return search(c)
	}
	m, ok := methods[c.Method]
	if !ok {
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	s := diffusion.TimeShift{Host: m.host}
	switch {
	case in.Mode != m.mode:
		return nil, fmt.Errorf("mode %q: the method is that of mode %q", in.Mode, m.mode)
	case m.mode == "reference":
		s.Coupling = diffusion.ShiftTarget
	}
	if in.Shift == nil || *in.Shift {
		if in.Window == nil || in.Cutoff == nil {
			return nil, fmt.Errorf("a shift without window or cutoff")
		}
		s.Window, s.Cutoff = *in.Window, *in.Cutoff
	}
	return in.run(ctx, s)
}

// run walks the sequence from its end to its start, and then to index 0.
func (in *caseInput) run(ctx context.Context, s diffusion.TimeShift) (conform.Got, error) {
	table, err := in.table()
	if err != nil {
		return nil, err
	}
	times := []float64{table.TimeOf(0)}
	for _, i := range in.Sequence {
		times = append([]float64{table.TimeOf(i)}, times...)
	}
	p := diffusion.Problem[float64]{Grid: diffusion.Grid{Schedule: truncated{table}, Steps: len(in.Sequence), Spacing: diffusion.Explicit(times...)}}
	if p.Model, err = in.Model(); err != nil {
		return nil, err
	}
	if p.X, p.N, err = in.Starts(); err != nil {
		return nil, err
	}
	trajectory := [][][]float64{mixture.Rows(p.X, p.N)}
	p.OnStep = func(s diffusion.Step[float64]) error {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		return nil
	}
	sol, err := diffusion.SolveTimeShift(ctx, p, s)
	if err != nil {
		return nil, err
	}
	var asked, targets [][]float64
	for _, st := range sol.Steps {
		asked, targets = append(asked, indices(table, st.Asked)), append(targets, indices(table, st.To))
	}
	return conform.Got{
		"x_final": mixture.Rows(sol.X, p.N), "trajectory": trajectory, "nfe": sol.NFE,
		"model_time_used": asked, "target_time_used": targets,
	}, nil
}

func (in *caseInput) table() (*diffusion.Discrete, error) {
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	table, ok := s.(*diffusion.Discrete)
	if !ok {
		return nil, fmt.Errorf("schedule %q is no table of levels", in.Schedule.Kind)
	}
	return table, nil
}

// indices are the whole indices of levels in the table.
func indices(table *diffusion.Discrete, ls []diffusion.Level) []float64 {
	is := make([]float64, len(ls))
	for i, l := range ls {
		is[i] = math.Round(table.Index(l.T))
	}
	return is
}

// search looks up the times for given states.
func search(c conform.Case) (conform.Got, error) {
	var in struct {
		Schedule mixture.Schedule `json:"schedule"`
		X        [][]float64      `json:"x"`
		Queries  [][2]int         `json:"queries"` // time index and window
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	table, err := (&caseInput{Problem: mixture.Problem{Schedule: in.Schedule}}).table()
	if err != nil {
		return nil, err
	}
	variances := make([]float64, len(in.X))
	for i, x := range in.X {
		variances[i] = diffusion.Variance(x)
	}
	found := make([][]int, len(in.Queries))
	for q, query := range in.Queries {
		for _, v := range variances {
			t, err := diffusion.TimeShift{Window: query[1]}.Nearest(table, table.TimeOf(float64(query[0])), v)
			if err != nil {
				return nil, err
			}
			found[q] = append(found[q], int(math.Round(table.Index(t))))
		}
	}
	return conform.Got{"variance": variances, "index": found}, nil
}
