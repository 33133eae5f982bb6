// Package pndm assays PNDM (Liu et al. 2022): its conformance cases and its
// experiments. The methods are diffusion.PNDM and diffusion.FON.
package pndm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// OfficialIndex is the authors' reading of a table of levels: label l stands for
// the level after it, ᾱ[trunc(l)+1], and the end, −1, for ᾱ[0]. The consistent
// reading, ᾱ[l] and no noise at the end, is diffusion.Discrete itself.
type OfficialIndex struct{ *diffusion.Discrete }

// At gives the level of time t = (label+1)/n.
func (s OfficialIndex) At(t float64) diffusion.Level {
	knot := math.Trunc(roundOff(s.Index(t))) + 1
	l := s.Discrete.At(s.TimeOf(knot))
	l.T = t
	return l
}

// roundOff undoes the rounding of a label's way through time and back: labels are
// whole or half numbers.
func roundOff(label float64) float64 { return math.Round(2*label) / 2 }

type caseInput struct {
	mixture.Problem
	SampleSpeed   int       `json:"sample_speed"`
	Sequence      []float64 `json:"sequence"`
	SequenceNext  []float64 `json:"sequence_next"`
	Steps         int       `json:"steps"`
	Timesteps     []float64 `json:"timesteps"`
	SetAlphaToOne bool      `json:"set_alpha_to_one"`
	StepsOffset   int       `json:"steps_offset"`
	Lookup        string    `json:"abar_lookup"`
}

var methods = map[string]diffusion.Method{
	"DDIM":   diffusion.PNDM{Order: 1},
	"S-PNDM": diffusion.PNDM{Start: diffusion.PseudoImprovedEuler, Order: 2},
	"F-PNDM": diffusion.PNDM{},
	"FON":    diffusion.FON{},
	"PLMS (pseudo improved Euler start, then AB2, AB3, AB4)": diffusion.PNDM{Start: diffusion.PseudoImprovedEuler},
}

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	m, ok := methods[c.Method]
	if !ok {
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	p, table, err := in.problem()
	if err != nil {
		return nil, err
	}
	var trajectory [][][]float64
	if in.Sequence == nil { // the scheduler of the PLMS cases shows the start's first half as a step
		first, err := in.firstTransfer(ctx, p)
		if err != nil {
			return nil, err
		}
		trajectory = append(trajectory, first)
	}
	p.OnStep = func(s diffusion.Step[float64]) error {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		return nil
	}
	s, err := diffusion.Solve(ctx, p, m)
	if err != nil {
		return nil, err
	}
	var labels []float64
	for _, t := range s.Tape.Times() {
		labels = append(labels, table.Index(t))
	}
	if in.idleLastStep() {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		labels = append(labels, 0)
	}
	return conform.Got{"x": mixture.Rows(s.X, p.N), "nfe": len(labels), "trajectory": trajectory, "eval_labels": labels}, nil
}

// problem puts the case's labels on a grid.
func (in *caseInput) problem() (p diffusion.Problem[float64], table *diffusion.Discrete, err error) {
	s, err := in.Schedule.Build()
	if err != nil {
		return p, nil, err
	}
	table, ok := s.(*diffusion.Discrete)
	if !ok {
		return p, nil, fmt.Errorf("schedule %q has no labels", in.Schedule.Kind)
	}
	labels, err := in.labels()
	if err != nil {
		return p, nil, err
	}
	if in.Sequence != nil {
		s = OfficialIndex{table}
	}
	times := make([]float64, len(labels))
	for i, l := range labels {
		times[i] = table.TimeOf(l)
	}
	if p.Model, err = in.Model(); err != nil {
		return p, nil, err
	}
	p.X, p.N, err = in.Starts()
	p.Grid = diffusion.Grid{Schedule: s, Steps: len(times) - 1, Spacing: diffusion.Explicit(times...)}
	if in.SetAlphaToOne {
		p.Grid.Steps, p.Grid.ToZero = len(times), true
	}
	return p, table, err
}

// labels lists the labels at the ends of the steps.
func (in *caseInput) labels() ([]float64, error) {
	if in.Sequence != nil {
		if len(in.SequenceNext) != len(in.Sequence) {
			return nil, fmt.Errorf("%d labels and %d next labels: want as many of each", len(in.Sequence), len(in.SequenceNext))
		}
		return append(append([]float64(nil), in.Sequence...), in.SequenceNext[len(in.SequenceNext)-1]), nil
	}
	if len(in.Timesteps) < 3 || in.Timesteps[1] != in.Timesteps[2] {
		return nil, fmt.Errorf("timesteps %v: want at least 3, the second repeated", in.Timesteps)
	}
	if last := in.Timesteps[len(in.Timesteps)-1]; last != 0 {
		return nil, fmt.Errorf("timesteps end at %g: want 0", last)
	}
	return append([]float64{in.Timesteps[0]}, in.Timesteps[2:]...), nil
}

// idleLastStep says whether the scheduler of the PLMS cases ends with a step from
// label 0 to label 0: it asks the model once more and moves nowhere.
func (in *caseInput) idleLastStep() bool { return in.Sequence == nil && !in.SetAlphaToOne }

// firstTransfer is the state after the first half of the improved Euler start.
func (in *caseInput) firstTransfer(ctx context.Context, p diffusion.Problem[float64]) ([][]float64, error) {
	tape, err := diffusion.Trace(diffusion.PNDM{Order: 1}, p.Grid, diffusion.TraceOptions{})
	if err != nil {
		return nil, err
	}
	if tape, err = tape.Slice(0, 1); err != nil {
		return nil, err
	}
	out, err := diffusion.Run(ctx, tape, diffusion.Env[float64]{Model: p.Model}, p.N, p.X)
	if err != nil {
		return nil, err
	}
	return mixture.Rows(out[0], p.N), nil
}
