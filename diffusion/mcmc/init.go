package mcmc

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// Init says how chains get to where they start: sampled from pure noise once, made
// noisy again, and walked until they forget it. The zero value is what was published
// for CIFAR-10.
type Init struct {
	Method   diffusion.Method // of the samples; nil: diffusion.Churned, the paper's KAR2
	Steps    int              // of Method; 0: 19, which are 20 knots of its grid
	SigmaMax float64          // σ/α of pure noise; 0: the ladder's top
	SigmaMin float64          // σ/α of the last level above 0; 0: 0.01
	Jitter   float64          // deviation of the noise added to the samples, in units of the data; 0: 0.5
	Burn     []Burn           // walks; nil: 10 iterations with η = 0.5, then 10 with the chains' η
}

// A Burn is a walk whose samples are not wanted.
type Burn struct {
	Eta        float64 // 0: the chains'
	Iterations int
}

func (i Init) withDefaults() (Init, error) {
	if i.Method == nil {
		i.Method = diffusion.Churned
	}
	if i.Steps == 0 {
		i.Steps = 19
	}
	if i.Jitter == 0 {
		i.Jitter = 0.5
	}
	if i.Burn == nil {
		i.Burn = []Burn{{0.5, 10}, {0, 10}}
	}
	if !(i.Jitter > 0) || math.IsInf(i.Jitter, 0) {
		return i, fmt.Errorf("mcmc: jitter = %g: must be positive", i.Jitter)
	}
	for _, b := range i.Burn {
		if b.Iterations < 0 {
			return i, fmt.Errorf("mcmc: burning in for %d iterations: must not be negative", b.Iterations)
		}
	}
	return i, nil
}

// Start makes a state for n chains of d numbers each. nfe is what a chain cost, which
// all of its samples share.
func Start[T diffusion.Float](ctx context.Context, t Target[T], cfg Config, i Init, n, d int, seed Seeded) (st State[T], nfe int, err error) {
	if err := t.check(); err != nil {
		return st, 0, err
	}
	if i.SigmaMax == 0 {
		i.SigmaMax = t.Posterior.Levels()[0]
	}
	x, calls, err := FromNoise(ctx, t.Model, t.Schedule, i, n, d, seed)
	if err != nil {
		return st, 0, err
	}
	st, nfe, err = StartFrom(ctx, t, cfg, i, x, n, seed)
	return st, nfe + calls, err
}

// FromNoise is the first part of [Start]: n samples of d numbers from pure noise at
// SigmaMax, which must be given, in units of the data, and what each cost.
func FromNoise[T diffusion.Float](ctx context.Context, model diffusion.Denoiser[T], s diffusion.Schedule, i Init, n, d int, seed Seeded) (x []T, nfe int, err error) {
	if i, err = i.withDefaults(); err != nil {
		return nil, 0, err
	}
	if n < 1 || d < 1 {
		return nil, 0, fmt.Errorf("mcmc: %d chains of %d numbers: both must be positive", n, d)
	}
	if !(i.SigmaMax > 0) || math.IsInf(i.SigmaMax, 0) {
		return nil, 0, fmt.Errorf("mcmc: pure noise of σ = %g: must be positive", i.SigmaMax)
	}
	st := State[T]{make([]T, n*d), slices.Repeat([]float64{i.SigmaMax}, n)}
	noise := seed.part(startPart)
	if err := addNoise(st.X, n, i.SigmaMax, noise, diffusion.StartDraw); err != nil {
		return nil, 0, err
	}
	g := Integrator[T]{Model: model, Schedule: s, Method: i.Method, Steps: i.Steps, SigmaMin: i.SigmaMin, Tweedie: -1, Noise: noise}
	return g.Denoise(ctx, st, 0)
}

// StartFrom is [Start] from n samples that are there already, in units of the data.
func StartFrom[T diffusion.Float](ctx context.Context, t Target[T], cfg Config, i Init, x []T, n int, seed Seeded) (st State[T], nfe int, err error) {
	if i, err = i.withDefaults(); err != nil {
		return st, 0, err
	}
	if n < 1 || len(x) == 0 || len(x)%n != 0 {
		return st, 0, fmt.Errorf("mcmc: %d numbers for %d chains: want at least one chain, and samples of equal size", len(x), n)
	}
	st = State[T]{slices.Clone(x), slices.Repeat([]float64{i.Jitter}, n)} // until the levels are drawn
	if err := addNoise(st.X, n, i.Jitter, seed.part(jitterPart), 0); err != nil {
		return st, 0, err
	}
	burn := Seeded(seed.part(burnPart))
	chains, err := New(t, cfg, st, burn) // not to walk, but for its draw of levels
	if err != nil {
		return st, 0, err
	}
	if err := chains.relevel(ctx, 0, n); err != nil {
		return st, 0, err
	}
	walked := 1 // the draw of levels was one of its numbers
	for _, b := range i.Burn {
		c := cfg
		if b.Eta != 0 {
			c.Eta = b.Eta
		}
		if chains, err = New(t, c, chains.State(), later{burn, walked}); err != nil {
			return st, 0, err
		}
		for range b.Iterations {
			if err := chains.Step(ctx); err != nil {
				return st, 0, err
			}
		}
		walked += b.Iterations
		nfe += b.Iterations
	}
	return chains.State(), nfe, nil
}

// addNoise adds noise of deviation sigma to n states.
func addNoise[T diffusion.Float](x []T, n int, sigma float64, src diffusion.NoiseSource, draw int) error {
	d := len(x) / n
	z, row := make([]float64, d), make([]T, d)
	for c := range n {
		if err := src.Normal(z, draw, c); err != nil {
			return err
		}
		for j, v := range z {
			row[j] = T(v)
		}
		kern.Axpy(x[c*d:(c+1)*d], T(sigma), row)
	}
	return nil
}
