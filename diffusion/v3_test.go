package diffusion_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
	"gonum.org/v1/gonum/stat"
)

// rowsOfStatistics are those of mixture between the ends of problem's grid.
func rowsOfStatistics(t testing.TB, rows int) *diffusion.Statistics {
	t.Helper()
	m, err := gmm.Differentiable(mixture)
	if err != nil {
		t.Fatal(err)
	}
	st, err := ems.Estimator{Model: m, Schedule: diffusion.VPLinear{}}.Estimate(context.Background(), mixture.Sample(64, rng.Stream(4)), 64, 1, 1e-2, rows)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestV3Order: with any smooth statistics the method keeps its order, until the
// trapezoid rule of the tables shows.
func TestV3Order(t *testing.T) {
	p := problem[float64](t, 0, 8)
	exact, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	if err != nil {
		t.Fatal(err)
	}
	st := rowsOfStatistics(t, 1920)
	for _, tt := range []struct {
		name   string
		m      diffusion.DPMSolverV3
		lo, hi float64
	}{
		{"order 1", diffusion.DPMSolverV3{Order: 1, Corrector: diffusion.NoCorrector, FullOrderFinal: true}, .8, 1.3},
		{"order 2", diffusion.DPMSolverV3{Order: 2, Corrector: diffusion.NoCorrector, FullOrderFinal: true}, 1.7, 2.4},
		{"order 2, degenerate", diffusion.DPMSolverV3{Order: 2, Corrector: diffusion.NoCorrector, FullOrderFinal: true, Degenerate: true}, 1.7, 2.4},
		{"order 3", diffusion.DPMSolverV3{Order: 3, Corrector: diffusion.NoCorrector, FullOrderFinal: true}, 2.4, 3.6},
	} {
		tt.m.Statistics = st
		var logN, logE []float64
		for _, steps := range []int{40, 80, 160} {
			p.Grid.Steps = steps
			logN, logE = append(logN, math.Log(float64(steps))), append(logE, math.Log(rms(solve(t, p, tt.m).X, exact)))
		}
		if _, slope := stat.LinearRegression(logN, logE, nil, false); -slope < tt.lo || -slope > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, -slope, tt.lo, tt.hi)
		}
	}
}

// TestStack: a stack of one tape repeated computes what the tape does, along either
// axis; tapes of different shapes do not stack.
func TestStack(t *testing.T) {
	p := problem[float64](t, 12, 3)
	tape, err := diffusion.Trace(diffusion.DPMSolver{}, p.Grid, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := diffusion.Env[float64]{Model: p.Model}
	want, err := diffusion.Run(context.Background(), tape, env, p.N, p.X)
	if err != nil {
		t.Fatal(err)
	}
	for axis, n := range map[diffusion.Axis]int{diffusion.Samples: 3, diffusion.Coordinates: 2} {
		stack, err := diffusion.Stack(axis, slices.Repeat([]*diffusion.Tape{tape}, n))
		if err != nil {
			t.Fatal(err)
		}
		got, err := diffusion.Run(context.Background(), stack, env, p.N, p.X)
		if err != nil {
			t.Fatal(err)
		}
		if rms(got[0], want[0]) > 1e-13 {
			t.Errorf("axis %d: %v, want %v", axis, got[0], want[0])
		}
		if _, err := diffusion.Run(context.Background(), stack, env, 1, make([]float64, 5)); err == nil {
			t.Errorf("axis %d: a batch of another shape is accepted", axis)
		}
	}
	short := p.Grid
	short.Steps = 11
	other, err := diffusion.Trace(diffusion.DPMSolver{}, short, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := diffusion.Stack(diffusion.Coordinates, []*diffusion.Tape{tape, other}); err == nil {
		t.Error("tapes of different lengths stack")
	}
	if _, err := diffusion.Stack(diffusion.Samples, nil); err == nil {
		t.Error("no tapes stack")
	}
}

// TestSampleLevels: stacked along samples, every sample runs on its own grid.
func TestSampleLevels(t *testing.T) {
	p := problem[float64](t, 10, 2)
	var tapes []*diffusion.Tape
	var want []float64
	for i, end := range []float64{.01, .2} {
		q := p
		q.Grid.End = end
		q.X, q.N = p.X[2*i:2*i+2], 1
		tape, err := diffusion.Trace(diffusion.DPMSolver{}, q.Grid, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tapes = append(tapes, tape)
		want = append(want, solve(t, q, diffusion.DPMSolver{}).X...)
	}
	stack, err := diffusion.Stack(diffusion.Samples, tapes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := diffusion.Run(context.Background(), stack, diffusion.Env[float64]{Model: p.Model}, 2, p.X)
	if err != nil {
		t.Fatal(err)
	}
	if rms(got[0], want) > 1e-13 {
		t.Errorf("%v, want %v", got[0], want)
	}
}

// TestRatiosOfOne: compensation with ratios 1 is none, and costs no evaluation.
func TestRatiosOfOne(t *testing.T) {
	p := problem[float64](t, 8, 4)
	ones := slices.Repeat([]float64{1}, 8)
	for _, base := range []diffusion.Method{diffusion.UniPC{}, diffusion.DPMSolver{}, diffusion.DPMSolver{Order: 1}} {
		a, b := solve(t, p, base), solve(t, p, diffusion.DCSolver{Base: base, Ratios: ones})
		if rms(a.X, b.X) > 1e-13 || a.NFE != b.NFE {
			t.Errorf("%+v: ratios of 1 change %v to %v", base, a.X, b.X)
		}
	}
}

// TestTangent compares the derivative along a ratio with a difference quotient.
func TestTangent(t *testing.T) {
	m, err := gmm.Differentiable(mixture)
	if err != nil {
		t.Fatal(err)
	}
	p := problem[float64](t, 6, 4)
	reference := make([][]float64, 7)
	for i := range reference {
		reference[i] = make([]float64, len(p.X))
	}
	// One iteration of AdamW moves the ratio by the rate against the gradient's sign,
	// so the searched ratios tell the sign; the losses must not rise.
	found, err := diffusion.RatioSearch{Iterations: 30, Best: true}.Run(context.Background(), p, m, reference)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := diffusion.RatioSearch{Iterations: 1, Rate: 1e-12}.Run(context.Background(), p, m, reference)
	if err != nil {
		t.Fatal(err)
	}
	if found.Loss[2] > plain.Loss[2] {
		t.Errorf("the search raises the loss of the first ratio from %g to %g", plain.Loss[2], found.Loss[2])
	}
	for i, r := range found.Ratios {
		if i < 2 && r != 1 {
			t.Errorf("ratio %d = %g, want 1", i+1, r)
		}
	}
}

func TestCompensationErrors(t *testing.T) {
	p := problem[float64](t, 6, 2)
	nan := slices.Repeat([]float64{1}, 6)
	nan[4] = math.NaN()
	early := slices.Repeat([]float64{1}, 6)
	early[1] = 1.1
	for _, tt := range []struct {
		name string
		m    diffusion.Method
		want string
	}{
		{"too few ratios", diffusion.DCSolver{Ratios: []float64{1}}, "1 ratios for 6 steps"},
		{"a ratio that is NaN", diffusion.DCSolver{Ratios: nan}, "ratio 5 = NaN"},
		{"a ratio before there are outputs", diffusion.DCSolver{Ratios: early}, "ratio 2 = 1.1: must be 1"},
		{"a singlestep base", diffusion.DCSolver{Base: diffusion.DPMSolver{Mode: diffusion.Singlestep}, Ratios: slices.Repeat([]float64{1}, 6)}, "no outputs"},
		{"a base without history", diffusion.DCSolver{Base: diffusion.DDIM{}, Ratios: slices.Repeat([]float64{1}, 6)}, "must be UniPC"},
		{"no statistics", diffusion.DPMSolverV3{}, "no statistics"},
		{"statistics of another range", diffusion.DPMSolverV3{Statistics: &diffusion.Statistics{LambdaT: -3, Lambda0: 3, L: [][]float64{{1, 1}, {1, 1}}, S: [][]float64{{0, 0}, {0, 0}}, B: [][]float64{{0, 0}, {0, 0}}}}, "same schedule"},
		{"statistics with NaN", diffusion.DPMSolverV3{Statistics: &diffusion.Statistics{LambdaT: -3, Lambda0: 3, L: [][]float64{{1}, {math.NaN()}}, S: [][]float64{{0}, {0}}, B: [][]float64{{0}, {0}}}}, "NaN"},
		{"statistics too coarse", diffusion.DPMSolverV3{Statistics: rowsOfStatistics(t, 3)}, "too coarse"},
	} {
		if _, err := diffusion.Solve(context.Background(), p, tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	for name, f := range map[string]func() error{
		"ratios for no evaluation": func() error { _, err := diffusion.CPR{}.Ratios(7.5, 0); return err },
		"ratios for guidance NaN":  func() error { _, err := diffusion.CPR{}.Ratios(math.NaN(), 5); return err },
		"a fit of nothing":         func() error { _, _, err := diffusion.FitCPR(nil); return err },
		"a fit of too many ratios": func() error {
			_, _, err := diffusion.FitCPR([]diffusion.RatioPoint{{Scale: 5, NFE: 5, Ratios: []float64{1}}})
			return err
		},
		"an adaptive run of order 1": func() error {
			_, err := diffusion.SolveAdaptive(context.Background(), p, diffusion.Adaptive{Order: 1})
			return err
		},
		"an adaptive run that may not finish": func() error {
			_, err := diffusion.SolveAdaptive(context.Background(), p, diffusion.Adaptive{MaxNFE: 6})
			return err
		},
		"an adaptive tolerance below 0": func() error {
			_, err := diffusion.SolveAdaptive(context.Background(), p, diffusion.Adaptive{RelTol: -1})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
