package mcmc

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// An Integrator denoises states, each from its own level: any method of package
// diffusion, or its [diffusion.Flow], on a grid that goes on to σ = 0, and then
// Tweedie's step x ← x + τ²·s(x, τ).
type Integrator[T diffusion.Float] struct {
	Model    diffusion.Denoiser[T]
	Schedule diffusion.Schedule
	Method   diffusion.Method // nil: diffusion.KarrasHeun, the paper's KAR1
	Flow     *diffusion.Flow  // in place of Method, if not nil
	Steps    int              // of Method; 0: 3
	SigmaMin float64          // σ/α of the last level above 0; 0: 0.01
	Tweedie  float64          // τ, for one evaluation more; 0: 0.01, negative: none
	// Strict refuses states at or below SigmaMin. By default they are taken for states
	// at SigmaMin, and what denoises them is in effect a single Euler step from there.
	Strict bool
	Noise  diffusion.NoiseSource // of stochastic methods
}

// drawsPerBatch keeps the draws of one batch apart from those of the next.
const drawsPerBatch = 1 << 32

func (g Integrator[T]) withDefaults() (Integrator[T], error) {
	if g.Model == nil || g.Schedule == nil {
		return g, errors.New("mcmc: the integrator needs a model and its schedule")
	}
	if g.Method == nil {
		g.Method = diffusion.KarrasHeun{}
	}
	if g.Steps == 0 {
		g.Steps = 3
	}
	if g.SigmaMin == 0 {
		g.SigmaMin = 0.01
	}
	if g.Tweedie == 0 {
		g.Tweedie = 0.01
	}
	if !(g.SigmaMin > 0) || math.IsInf(g.SigmaMin, 0) || math.IsNaN(g.Tweedie) || math.IsInf(g.Tweedie, 0) {
		return g, fmt.Errorf("mcmc: integrating to σ = %g with a Tweedie step of %g: σ must be positive, and both finite", g.SigmaMin, g.Tweedie)
	}
	return g, nil
}

// above is where states at or below SigmaMin are taken to stand, relative to it. From
// there all steps but the last one to σ = 0 are too short to count, so what is left is
// Euler's step from SigmaMin, in the same calls of the model as for all others.
const above = 1 + 1e-6

// Denoise is a [Denoise].
func (g Integrator[T]) Denoise(ctx context.Context, from State[T], batch int) (x []T, nfe int, err error) {
	if g, err = g.withDefaults(); err != nil {
		return nil, 0, err
	}
	if err := from.check(); err != nil {
		return nil, 0, err
	}
	at := State[T]{from.X, make([]float64, from.N())}
	for i, sigma := range from.Sigma {
		if sigma <= g.SigmaMin && g.Strict {
			return nil, 0, fmt.Errorf("mcmc: chain %d stands at σ = %.3g: not above %g, where the integrator ends", i, sigma, g.SigmaMin)
		}
		at.Sigma[i] = max(sigma, above*g.SigmaMin)
	}
	sol, err := g.integrate(ctx, at, noiseOf{g.Noise, batch})
	if err != nil {
		return nil, 0, err
	}
	if g.Tweedie > 0 {
		if err := g.tweedie(ctx, sol.X, from.N(), g.Tweedie); err != nil {
			return nil, 0, err
		}
		sol.NFE++
	}
	return sol.X, sol.NFE, nil
}

// integrate runs the method to σ = 0, or the flow to its
// end. The solution is in units of the data.
func (g Integrator[T]) integrate(ctx context.Context, from State[T], noise noiseOf) (diffusion.Solution[T], error) {
	n := from.N()
	d := len(from.X) / n
	starts := make([]float64, n)
	p := diffusion.Problem[T]{Model: g.Model, N: n, X: make([]T, len(from.X))}
	for i, sigma := range from.Sigma {
		at := levelOf(g.Schedule, sigma)
		starts[i] = at.T
		scale(p.X[i*d:(i+1)*d], from.X[i*d:(i+1)*d], at.Alpha)
	}
	end := levelOf(g.Schedule, g.SigmaMin)
	p.Grid = diffusion.Grid{Schedule: g.Schedule, Steps: g.Steps, End: end.T, ToZero: true}
	if g.Flow != nil {
		sol, err := diffusion.SolveFlow(ctx, p, *g.Flow, starts)
		if err == nil && !g.Flow.Denoise {
			scale(sol.X, sol.X, 1/end.Alpha)
		}
		return sol, err
	}
	if noise.source != nil {
		p.Noise = noise
	}
	return diffusion.SolveFrom(ctx, p, g.Method, starts)
}

// tweedie changes n states at level tau into x + τ²·s(x, τ) = x − τ·ε, the mean of
// the data given x.
func (g Integrator[T]) tweedie(ctx context.Context, x []T, n int, tau float64) error {
	at := levelOf(g.Schedule, tau)
	in, eps := make([]T, len(x)), make([]T, len(x))
	scale(in, x, at.Alpha)
	if err := diffusion.AsNoise(g.Model).Denoise(ctx, eps, in, n, []diffusion.Level{at}); err != nil {
		return fmt.Errorf("mcmc: the Tweedie step: %w", err)
	}
	if i := kern.NotFinite(eps); i >= 0 {
		return fmt.Errorf("mcmc: the Tweedie step: the model gives %v for chain %d", eps[i], i/(len(x)/n))
	}
	kern.Axpy(x, T(-tau), eps)
	return nil
}

func scale[T diffusion.Float](dst, x []T, c float64) {
	for i, v := range x {
		dst[i] = T(c) * v
	}
}

// noiseOf gives every batch noise of its own.
type noiseOf struct {
	source diffusion.NoiseSource
	batch  int
}

func (s noiseOf) Normal(dst []float64, draw, sample int) error {
	return s.source.Normal(dst, s.batch*drawsPerBatch+draw, sample)
}
