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
	// at SigmaMin, and a single Euler step from there denoises them.
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

// Denoise is a [Denoise]. nfe is what a state above SigmaMin costs.
func (g Integrator[T]) Denoise(ctx context.Context, from State[T], batch int) (x []T, nfe int, err error) {
	if g, err = g.withDefaults(); err != nil {
		return nil, 0, err
	}
	if err := from.check(); err != nil {
		return nil, 0, err
	}
	var above, below []int
	for i, sigma := range from.Sigma {
		switch {
		case sigma > g.SigmaMin:
			above = append(above, i)
		case g.Strict:
			return nil, 0, fmt.Errorf("mcmc: chain %d stands at σ = %.3g: not above %g, where the integrator ends", i, sigma, g.SigmaMin)
		default:
			below = append(below, i)
		}
	}
	x = make([]T, len(from.X))
	if len(above) > 0 {
		part, err := g.integrate(ctx, from.take(above), noiseOf{g.Noise, batch, above})
		if err != nil {
			return nil, 0, err
		}
		put(x, part.X, above)
		nfe = part.NFE
	}
	if len(below) > 0 {
		part := from.take(below).X
		if err := g.tweedie(ctx, part, len(below), g.SigmaMin); err != nil {
			return nil, 0, err
		}
		put(x, part, below)
		nfe = max(nfe, 1)
	}
	if g.Tweedie > 0 {
		if err := g.tweedie(ctx, x, from.N(), g.Tweedie); err != nil {
			return nil, 0, err
		}
		nfe++
	}
	return x, nfe, nil
}

// integrate runs the method from states above SigmaMin to σ = 0, or the flow to its
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
		return fmt.Errorf("Tweedie step: %w", err)
	}
	if i := kern.NotFinite(eps); i >= 0 {
		return fmt.Errorf("Tweedie step: the model gives %v for chain %d", eps[i], i/(len(x)/n))
	}
	kern.Axpy(x, T(-tau), eps)
	return nil
}

func scale[T diffusion.Float](dst, x []T, c float64) {
	for i, v := range x {
		dst[i] = T(c) * v
	}
}

// take is the state of the chains listed.
func (s State[T]) take(chains []int) State[T] {
	d := len(s.X) / s.N()
	var t State[T]
	for _, i := range chains {
		t.X, t.Sigma = append(t.X, s.X[i*d:(i+1)*d]...), append(t.Sigma, s.Sigma[i])
	}
	return t
}

// put sets the rows listed.
func put[T diffusion.Float](x, rows []T, chains []int) {
	d := len(rows) / len(chains)
	for k, i := range chains {
		copy(x[i*d:(i+1)*d], rows[k*d:(k+1)*d])
	}
}

// noiseOf gives the chains of a part the noise that they have in the whole.
type noiseOf struct {
	source diffusion.NoiseSource
	batch  int
	chains []int
}

func (s noiseOf) Normal(dst []float64, draw, sample int) error {
	return s.source.Normal(dst, s.batch*drawsPerBatch+draw, s.chains[sample])
}
