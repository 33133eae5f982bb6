// Package bdia assays BDIA (Zhang, Lewis & Kleijn 2024): its conformance cases and
// its experiments. The method is diffusion.BDIA, its inversion diffusion.Tape.Invert.
package bdia

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// caseInput is what the cases of all methods say; levels are indices of a table.
type caseInput struct {
	mixture.Problem
	Gamma          *float64    `json:"gamma"`
	ModelTimeIndex []int       `json:"model_time_index"`
	FinalIndex     *int        `json:"final_alpha_bar_index"`
	Times          []int       `json:"times"`
	AlphaBarIndex  []int       `json:"alpha_bar_index"`
	ZLast          [][]float64 `json:"z_last"`
	ZBeforeLast    [][]float64 `json:"z_before_last"`
	ZClean         [][]float64 `json:"z_clean"`
	Note           string      `json:"note"`
}

var methods = map[string]func(context.Context, *caseInput) (conform.Got, error){
	"BDIA-DDIM sampling": sampling,
	"BDIA-DDIM exact inversion from the pair (z_0,z_1)":                             inversePair,
	"BDIA-DDIM inversion of a clean sample (first step DDIM inversion, then exact)": invertClean,
	"BDIA-DDIM plan rows [coef of z_{n-1}, coef of z_n, coef of eps_n]":             planRows,
}

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	run, ok := methods[c.Method]
	if !ok {
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Gamma == nil {
		return nil, fmt.Errorf("input: gamma is missing")
	}
	return run(ctx, &in)
}

// loose is for cases that are stricter than any bound on rounding: the numbers
// themselves are compared.
var loose = diffusion.Accuracy{Tolerance: 1}

func (in *caseInput) method() diffusion.BDIA { return diffusion.BDIA{}.WithGamma(*in.Gamma) }

// grid visits the levels of the table with these indices, from noise to data.
func (in *caseInput) grid(indices []int) (g diffusion.Grid, err error) {
	if len(indices) < 2 {
		return g, fmt.Errorf("input: %d levels: at least 2 are needed", len(indices))
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return g, err
	}
	table, ok := s.(*diffusion.Discrete)
	if !ok {
		return g, fmt.Errorf("schedule %q is no table", in.Schedule.Kind)
	}
	times := make([]float64, len(indices))
	for i, index := range indices {
		if index >= table.Len() {
			return g, fmt.Errorf("index %d: the table has %d levels", index, table.Len())
		}
		times[i] = table.TimeOf(float64(index))
	}
	return diffusion.Grid{Schedule: table, Steps: len(times) - 1, Start: times[0], End: times[len(times)-1], Spacing: diffusion.Explicit(times...)}, nil
}

// samplingGrid is the grid of an official run: the model's times, then the last target.
func (in *caseInput) samplingGrid() (diffusion.Grid, error) {
	if in.FinalIndex == nil {
		return diffusion.Grid{}, fmt.Errorf("input: final_alpha_bar_index is missing")
	}
	return in.grid(append(append([]int(nil), in.ModelTimeIndex...), *in.FinalIndex))
}

// states reads a batch of the fixture's dimension.
func (in *caseInput) states(rows [][]float64) ([]float64, int, error) {
	p := in.Problem
	p.XT = rows
	return p.Starts()
}

func sampling(ctx context.Context, in *caseInput) (conform.Got, error) {
	g, err := in.samplingGrid()
	if err != nil {
		return nil, err
	}
	p := diffusion.Problem[float64]{Grid: g}
	if p.X, p.N, err = in.Starts(); err != nil {
		return nil, err
	}
	if p.Model, err = in.Model(); err != nil {
		return nil, err
	}
	path := track{mixture.Rows(p.X, p.N)}
	p.OnStep = path.step(p.N)
	s, err := diffusion.Solve(ctx, p, in.method())
	if err != nil {
		return nil, err
	}
	return conform.Got{"trajectory": path, "x_final": mixture.Rows(s.X, p.N), "nfe": s.NFE}, nil
}

// A track is the states of a run, sample by sample.
type track [][][]float64

func (tr *track) step(n int) func(diffusion.Step[float64]) error {
	return func(s diffusion.Step[float64]) error {
		*tr = append(*tr, mixture.Rows(s.X, n))
		return nil
	}
}

func inversePair(ctx context.Context, in *caseInput) (conform.Got, error) {
	g, err := in.samplingGrid()
	if err != nil {
		return nil, err
	}
	last, n, err := in.states(in.ZLast)
	if err != nil {
		return nil, fmt.Errorf("z_last: %w", err)
	}
	before, _, err := in.states(in.ZBeforeLast)
	if err != nil {
		return nil, fmt.Errorf("z_before_last: %w", err)
	}
	model, err := in.Model()
	if err != nil {
		return nil, err
	}
	inv, err := invert(in.method(), g, loose)
	if err != nil {
		return nil, err
	}
	path := track{mixture.Rows(last, n), mixture.Rows(before, n)}
	out, err := diffusion.Run(ctx, inv.Tape, diffusion.Env[float64]{Model: model, OnStep: path.step(n)}, n, last, before)
	if err != nil {
		return nil, err
	}
	return conform.Got{"x_T": mixture.Rows(out[0], n), "trajectory_reversed": path, "nfe": inv.NFE()}, nil
}

// invert is the inverse of a method's run that keeps the pair of its last states.
func invert(m diffusion.Method, g diffusion.Grid, a diffusion.Accuracy) (*diffusion.Inverse, error) {
	tp, err := diffusion.Trace(m, g, diffusion.TraceOptions{})
	if err != nil {
		return nil, err
	}
	if tp, err = tp.WithPair(); err != nil {
		return nil, err
	}
	return tp.Invert(a)
}

func invertClean(ctx context.Context, in *caseInput) (conform.Got, error) {
	m, g, err := in.editing()
	if err != nil {
		return nil, err
	}
	p := diffusion.Problem[float64]{Grid: g}
	if p.X, p.N, err = in.states(in.ZClean); err != nil {
		return nil, fmt.Errorf("z_clean: %w", err)
	}
	if p.Model, err = in.Model(); err != nil {
		return nil, err
	}
	path := track{mixture.Rows(p.X, p.N)}
	p.OnStep = path.step(p.N)
	pair, err := diffusion.InvertClean(ctx, p, m, loose)
	if err != nil {
		return nil, err
	}
	return conform.Got{"trajectory": path, "z_noise": mixture.Rows(pair.Noise, p.N), "z_before_noise": mixture.Rows(pair.Next, p.N)}, nil
}

// editing is the method and the grid of ascending times, of which the first can lie
// below the table.
func (in *caseInput) editing() (m diffusion.BDIA, g diffusion.Grid, err error) {
	m = in.method()
	ts := append([]int(nil), in.Times...)
	if len(ts) < 3 {
		return m, g, fmt.Errorf("input: %d times: at least 3 are needed", len(ts))
	}
	if ts[0] < 0 {
		if ts[0] != 2*ts[1]-ts[2] {
			return m, g, fmt.Errorf("input: times %d, %d, %d: the clean end must be one stride below", ts[0], ts[1], ts[2])
		}
		m.Clean = diffusion.OneStrideBelow
		ts = ts[1:]
	}
	for i, j := 0, len(ts)-1; i < j; i, j = i+1, j-1 {
		ts[i], ts[j] = ts[j], ts[i]
	}
	if g, err = in.grid(ts); err == nil {
		g.Steps = len(in.Times) - 1
	}
	return m, g, err
}

func planRows(_ context.Context, in *caseInput) (conform.Got, error) {
	g, err := in.grid(in.AlphaBarIndex)
	if err != nil {
		return nil, err
	}
	tp, err := diffusion.Trace(in.method(), g, diffusion.TraceOptions{})
	if err != nil {
		return nil, err
	}
	var rows [][]float64
	before, x := diffusion.Reg(-1), tp.Inputs[0]
	from := 0
	for _, mark := range tp.Marks {
		row := make([]float64, 3)
		for _, instr := range tp.Code[from:mark.PC] {
			for _, t := range instr.Terms {
				switch t.R {
				case before:
					row[0] = t.C
				case x:
					row[1] = t.C
				default:
					row[2] = t.C
				}
			}
		}
		rows = append(rows, row)
		before, x, from = x, mark.X, mark.PC
	}
	return conform.Got{"rows": rows}, nil
}
