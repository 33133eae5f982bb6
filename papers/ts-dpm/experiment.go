package tsdpm

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{oracle(), hosts(), denoiser(), bias()}
}

var (
	steps    = lab.Axis{Name: "NFE", Log: true}
	distance = lab.Axis{Name: "sliced W2", Log: true}
)

// The figures beside the distance.
const (
	shiftedShare = "shifted"            // share of (sample, step) pairs off the grid
	inflation    = "variance, relative" // of states, to noisy data's: mean over the steps above the cutoff
)

// A sampler is a rival. Those with knobs choose the best of several.
type sampler struct {
	name    string
	shift   diffusion.TimeShift // Window and Cutoff come from the parameters where scheme says so
	windows bool                // takes window and cutoff
	dataVar bool                // takes the data's variance
	scale   float64             // of epsilon scaling; 0: none
	tune    string              // the knob to tune: "window", "k" or ""
	perStep int                 // of the host's budget a step; 0: 1
}

var (
	plain    = sampler{name: "DDIM"}
	shifted  = sampler{name: "TS-DDIM", windows: true}
	withData = sampler{name: "TS-DDIM, data variance", windows: true, dataVar: true}
	target   = sampler{name: "TS-DDIM, target shifted", windows: true, shift: diffusion.TimeShift{Coupling: diffusion.ShiftTarget}}
	current  = sampler{name: "TS-DDIM, as for ADM", windows: true, shift: diffusion.TimeShift{Coupling: diffusion.ShiftCurrent}}
	told     = sampler{name: "TS-DDIM, network only", windows: true, shift: diffusion.TimeShift{Coupling: diffusion.ShiftNetwork}}
	rescaled = sampler{name: "DDIM, variance normalized", windows: true, shift: diffusion.TimeShift{Coupling: diffusion.ShiftState}}
	scaled   = sampler{name: "epsilon scaling 1.0012", scale: 1.0012}
	tunedES  = sampler{name: "epsilon scaling, tuned", tune: "k"}
	tunedTS  = sampler{name: "TS-DDIM, tuned", windows: true, tune: "window"}

	oracleSamplers = []sampler{plain, shifted, withData, target, current, told, rescaled, scaled, tunedES, tunedTS}
)

func samplerNamed(all []sampler, name string) (sampler, error) {
	i := slices.IndexFunc(all, func(s sampler) bool { return s.name == name })
	if i < 0 {
		return sampler{}, fmt.Errorf("no rival is called %q", name)
	}
	return all[i], nil
}

// The knobs of the tuned rivals, tried at as many values each: no correction is
// among them.
var (
	knobK      = lab.Knob{Name: "k", Lo: 0.95, Hi: 1.15}
	knobWindow = lab.Knob{Name: "window", Lo: 0, Hi: 120}
)

const tries = 5

func windowParams() []lab.Param {
	return []lab.Param{
		{Name: "window", Help: "width of the time-shift window in training steps", Kind: lab.Int, Default: "60", Min: 0, Max: 100000},
		{Name: "cutoff", Help: "training step at and below which nothing is shifted", Kind: lab.Int, Default: "300", Min: 0, Max: 100000},
	}
}

// An attempt is one run of a rival on one problem.
type attempt[T diffusion.Float] struct {
	problem diffusion.Problem[T]
	dataVar float64
	window  int
	cutoff  int
	score   func(x []T) (float64, error)
}

// outcome runs the rival, tuned if it has a knob.
func (a attempt[T]) outcome(ctx context.Context, s sampler) (lab.Outcome, error) {
	switch s.tune {
	case "k":
		return knobK.Tune(ctx, distance, tries, func(ctx context.Context, k float64) (lab.Outcome, error) {
			s.scale = k
			return a.once(ctx, s)
		})
	case "window":
		return knobWindow.Tune(ctx, distance, tries, func(ctx context.Context, w float64) (lab.Outcome, error) {
			a.window = int(w)
			return a.once(ctx, s)
		})
	}
	return a.once(ctx, s)
}

// timeShift is the rival with the parameters.
func (a attempt[T]) timeShift(s sampler) diffusion.TimeShift {
	ts := s.shift
	if s.windows {
		ts.Window, ts.Cutoff = a.window, a.cutoff
	}
	if s.dataVar {
		ts.DataVar = a.dataVar
	}
	return ts
}

// solve runs the rival as it is.
func (a attempt[T]) solve(ctx context.Context, s sampler) (diffusion.Shifted[T], error) {
	p := a.problem
	if s.scale != 0 {
		p.Model = diffusion.EpsilonScaling[T]{Model: p.Model, K: s.scale}
	}
	return diffusion.SolveTimeShift(ctx, p, a.timeShift(s))
}

// once is the outcome of one run.
func (a attempt[T]) once(ctx context.Context, s sampler) (lab.Outcome, error) {
	sol, err := a.solve(ctx, s)
	if err != nil {
		return lab.Outcome{}, err
	}
	q, err := a.score(sol.X)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(sol.NFE), Quality: q, Metrics: map[string]float64{
		shiftedShare: sol.Share(), inflation: a.inflation(sol.Steps),
	}}, nil
}

// expected is the variance of noisy data where a step starts.
func (a attempt[T]) expected(s diffusion.ShiftedStep) float64 {
	l := s.Grid[0]
	return l.Sigma*l.Sigma + l.Alpha*l.Alpha*a.dataVar
}

// ratio is the mean over the samples of variance over expected variance.
func (a attempt[T]) ratio(s diffusion.ShiftedStep) float64 {
	var sum float64
	for _, v := range s.Variance {
		sum += v
	}
	return sum / float64(len(s.Variance)) / a.expected(s)
}

// inflation is the mean ratio over the steps, after the first, that start above the
// cutoff.
func (a attempt[T]) inflation(ss []diffusion.ShiftedStep) float64 {
	var sum float64
	n := 0
	for k, s := range ss {
		if k > 0 && s.Index[0] > float64(a.cutoff) {
			sum += a.ratio(s)
			n++
		}
	}
	return sum / float64(max(n, 1))
}
