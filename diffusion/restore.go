package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// A Restoration is degraded images and the mean-reverting model that restores them.
type Restoration[T Float] struct {
	Model MeanModel[T]
	Grid  Grid // its Schedule is the *MeanReverting process of the model
	Mu    []T  // N degraded images, row by row
	N     int

	X      []T         // N start states; nil: drawn from Noise, μ + s·z
	Noise  NoiseSource // of the start, and of stochastic methods
	Hook   Hook[T]     // on data predictions of x: [BoundedThreshold]
	Lo, Hi float64     // the result is clipped to this range where Lo < Hi
	OnStep func(Step[T]) error
}

// Restore runs any method on y = (x − μ)/s and gives the restored images. [MRSampler]
// is made for it; [RestorationMethods] lists those that are usually compared.
func Restore[T Float](ctx context.Context, r Restoration[T], m Method) (Solution[T], error) {
	var none Solution[T]
	p, err := r.Grid.reverting("restoration")
	switch {
	case err != nil:
		return none, err
	case r.Model == nil:
		return none, errors.New("diffusion: no model")
	case m == nil:
		return none, errors.New("diffusion: no method")
	case r.N < 1 || len(r.Mu) == 0 || len(r.Mu)%r.N != 0:
		return none, fmt.Errorf("diffusion: mu has %d numbers: want %d images of equal size", len(r.Mu), r.N)
	case r.X != nil && len(r.X) != len(r.Mu):
		return none, fmt.Errorf("diffusion: x has %d numbers, mu %d: they must be of one shape", len(r.X), len(r.Mu))
	case r.X == nil && r.Noise == nil:
		return none, errors.New("diffusion: no start states and no noise source to draw them from")
	case math.IsNaN(r.Lo) || math.IsNaN(r.Hi) || r.Lo > r.Hi:
		return none, fmt.Errorf("diffusion: clip to [%g, %g]: the range is empty", r.Lo, r.Hi)
	}
	bound, err := Reverting(p, r.Model, r.Mu)
	if err != nil {
		return none, err
	}
	y, err := r.start(p)
	if err != nil {
		return none, err
	}
	tp, err := Trace(m, r.Grid, TraceOptions{Predicts: bound.Predicts(), Hook: r.Hook != nil})
	if err != nil {
		return none, err
	}
	inputs := [][]T{y}
	if len(tp.Inputs) == 2 { // μ/s, for official tables
		inputs = append(inputs, scaled(1/p.S, r.Mu))
	}
	env := Env[T]{Model: bound, Noise: r.Noise, Hook: r.hook(p), OnStep: r.onStep(p)}
	out, err := Run(ctx, tp, env, r.N, inputs...)
	if err != nil {
		return none, err
	}
	x := outer(p.S, out[0], r.Mu)
	if r.Lo < r.Hi {
		for i, v := range x {
			x[i] = min(max(v, T(r.Lo)), T(r.Hi))
		}
	}
	nfe := tp.NFE()
	return Solution[T]{X: x, NFE: nfe, Passes: nfe * meanPasses(r.Model), Tape: tp}, nil
}

// start is the start in y.
func (r Restoration[T]) start(p *MeanReverting) ([]T, error) {
	if r.X == nil {
		return Start[T](r.Grid, r.N, len(r.Mu)/r.N, r.Noise)
	}
	y := make([]T, len(r.X))
	for i, v := range r.X {
		y[i] = (v - r.Mu[i]) / T(p.S)
	}
	return y, nil
}

// hook lets the hook see data predictions of x.
func (r Restoration[T]) hook(p *MeanReverting) Hook[T] {
	if r.Hook == nil {
		return nil
	}
	return func(y0 []T, n int, at Level) error {
		x0 := outer(p.S, y0, r.Mu)
		if err := r.Hook(x0, n, p.Outer(at)); err != nil {
			return err
		}
		for i, v := range x0 {
			y0[i] = (v - r.Mu[i]) / T(p.S)
		}
		return nil
	}
}

// onStep shows states of x, at levels in the unit of the data.
func (r Restoration[T]) onStep(p *MeanReverting) func(Step[T]) error {
	if r.OnStep == nil {
		return nil
	}
	return func(s Step[T]) error {
		s.X, s.Level = outer(p.S, s.X, r.Mu), p.Outer(s.Level)
		return r.OnStep(s)
	}
}

func scaled[T Float](c float64, x []T) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(c) * v
	}
	return y
}

// meanPasses is how many network passes one call of the model costs.
func meanPasses(model any) int {
	if p, ok := model.(interface{ Passes() int }); ok {
		return p.Passes()
	}
	return 1
}

// RestorationMethods lists the methods for mean-reverting models by name.
func RestorationMethods() []NamedMethod {
	return []NamedMethod{
		{"mrs-2", "MR Sampler, Li et al. 2025: ODE of order 2, data form; the usual choice", MRSampler{}},
		{"mrs-1", "MR Sampler: ODE of order 1", MRSampler{Order: 1}},
		{"mrs-3", "MR Sampler: ODE of order 3 as the authors' code has it", MRSampler{Order: 3}},
		{"mrs-2-noise", "MR Sampler: ODE of order 2, noise form", MRSampler{Form: NoiseForm}},
		{"mrs-sde-1", "MR Sampler: SDE of order 1, data form", MRSampler{SDE: true, Order: 1}},
		{"mrs-sde-2", "MR Sampler: SDE of order 2, data form", MRSampler{SDE: true}},
		{"mrs-sde-2-noise", "MR Sampler: SDE of order 2, noise form; diverges at few steps", MRSampler{SDE: true, Form: NoiseForm}},
		{"posterior", "IR-SDE's posterior sampling, with exact coefficients for every step", RevertingPosterior{}},
		{"posterior-published", "the same with the coefficients of one table entry: right at T steps only", RevertingPosterior{Published: true}},
		{"euler-ode", "Euler's method on the ODE", RevertingEuler{}},
		{"euler-sde", "Euler's method on the SDE", RevertingEuler{SDE: true}},
		{"heun-ode", "Heun's method on the ODE in its own time: two evaluations a step", RevertingHeun{Integrated: true}},
	}
}
