// Package mcmc draws many samples of a diffusion model for few evaluations each,
// by Markov chains that walk in data space and noise level together: Denoising
// MCMC, Kim & Ye, ICML 2023.
//
// [Chains] are Denoising Langevin Gibbs. Their target is the joint density of x
// and σ, p(x, σ) = p_σ(x)·p(σ), where p_σ is the data smoothed by noise of size σ
// and p(σ) is uniform over the levels of a [Ladder]. They stay near the data, and
// what stands at a low level is a sample but for little noise: an [Integrator]
// takes it off from there.
//
//	post, err := mcmc.Exact[float64](mixture, mcmc.Ladder(0.01, 50, 1000)) // or a trained one
//	target := mcmc.Target[float64]{Model: model, Schedule: schedule, Posterior: post}
//	cfg := mcmc.Config{Eta: 0.05}
//	start, calls, err := mcmc.Start(ctx, target, cfg, mcmc.Init{}, n, d, mcmc.Seeded(1))
//	chains, err := mcmc.New(target, cfg, start, mcmc.Seeded(1))
//	for s, err := range chains.Samples(ctx, mcmc.Integrator[float64]{Model: model, Schedule: schedule}.Denoise) {
//
// The ladder must not reach higher than chains can walk. In few dimensions x says so
// little of σ that chains float to levels where steps of η take forever; then their
// samples are off (measured in two dimensions: a ladder to 50 is, one to 1 is not).
// In sixteen and more x knows its level, and σ_max can be the model's.
//
// States are in units of the data, x/α: the variance-exploding form that every
// schedule has, in which σ stands for σ/α. The chains of a run never depend on each
// other, nor on how many there are. Successive samples of one chain do: [ESS] says
// how much.
package mcmc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// A Target is what chains walk on: a model and what it knows of a state's level.
type Target[T diffusion.Float] struct {
	Model     diffusion.Denoiser[T] // called with all chains at once
	Schedule  diffusion.Schedule    // the model is asked at its levels of the ladder's σ/α
	Posterior Posterior[T]
}

func (t Target[T]) check() error {
	if t.Model == nil || t.Schedule == nil || t.Posterior == nil {
		return fmt.Errorf("mcmc: model %v, schedule %v, posterior of the levels %v: none may be missing", t.Model, t.Schedule, t.Posterior)
	}
	return checkLevels(t.Posterior.Levels())
}

// A State is where chains stand.
type State[T diffusion.Float] struct {
	X     []T       // len(Sigma) rows of equal length, in units of the data
	Sigma []float64 // their noise levels σ/α
}

// N is the number of chains.
func (s State[T]) N() int { return len(s.Sigma) }

func (s State[T]) clone() State[T] { return State[T]{slices.Clone(s.X), slices.Clone(s.Sigma)} }

// check reports the first thing wrong with a state.
func (s State[T]) check() error {
	if len(s.Sigma) == 0 || len(s.X) == 0 || len(s.X)%len(s.Sigma) != 0 {
		return fmt.Errorf("mcmc: %d numbers for %d chains: want at least one chain, and states of equal size", len(s.X), len(s.Sigma))
	}
	for i, v := range s.Sigma {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("mcmc: chain %d: σ = %g: must be positive", i, v)
		}
	}
	if i := kern.NotFinite(s.X); i >= 0 {
		return fmt.Errorf("mcmc: chain %d: its state has %v", i/(len(s.X)/len(s.Sigma)), s.X[i])
	}
	return nil
}

// Config is how chains walk. The zero value is the published one for CIFAR-10.
type Config struct {
	Eta  float64 // η, the Langevin step, in squared units of the data; 0: 0.8
	Skip int     // iterations from one sample to the next; 0: 10
	// Argmax takes the likeliest level, as the published notebook does, in place of a
	// draw. It is no Gibbs sampling: the levels' marginal is not what it should be.
	Argmax  bool
	Workers int // goroutines, the model's calls aside (see [diffusion.Split]); 0: as many as may run
}

// withDefaults fills in zero fields and checks the others.
func (c Config) withDefaults() (Config, error) {
	if c.Eta == 0 {
		c.Eta = 0.8
	}
	if c.Skip == 0 {
		c.Skip = 10
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	switch {
	case !(c.Eta > 0) || math.IsInf(c.Eta, 0):
		return c, fmt.Errorf("mcmc: eta = %g: must be positive", c.Eta)
	case c.Skip < 1:
		return c, fmt.Errorf("mcmc: a sample every %d iterations: must be at least 1", c.Skip)
	case c.Workers < 1:
		return c, fmt.Errorf("mcmc: %d workers: must be at least 1", c.Workers)
	}
	return c, nil
}

// A ScoreError says that the model gave NaN or an infinity.
type ScoreError struct {
	Iteration int // counted from 1
	Chain     int // counted from 0
	Sigma     float64
	Value     float64
}

func (e *ScoreError) Error() string {
	return fmt.Sprintf("mcmc: iteration %d, chain %d at σ = %.3g: the model gives %v", e.Iteration, e.Chain, e.Sigma, e.Value)
}

// Chains are independent chains of Denoising Langevin Gibbs that walk in step.
type Chains[T diffusion.Float] struct {
	cfg    Config
	model  diffusion.Denoiser[T] // predicts noise
	post   Posterior[T]
	src    Source
	ladder []diffusion.Level // of post's levels
	s      State[T]
	at     []diffusion.Level // of the chains
	d      int
	iter   int // iterations done

	x, eps []T       // the state as the model takes it, and its answer
	logp   []float64 // of every chain and level
	z      []T
}

// New starts chains from a state.
func New[T diffusion.Float](t Target[T], cfg Config, start State[T], src Source) (*Chains[T], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	if src == nil {
		return nil, errors.New("mcmc: chains need a source of random numbers")
	}
	if err := start.check(); err != nil {
		return nil, err
	}
	levels := t.Posterior.Levels()
	n := start.N()
	c := &Chains[T]{cfg: cfg, model: diffusion.AsNoise(t.Model), post: t.Posterior, src: src, s: start.clone(),
		at: make([]diffusion.Level, n), d: len(start.X) / n, x: make([]T, len(start.X)), eps: make([]T, len(start.X)),
		logp: make([]float64, n*len(levels)), z: make([]T, len(start.X))}
	for _, sigma := range levels {
		c.ladder = append(c.ladder, levelOf(t.Schedule, sigma))
	}
	for i, sigma := range start.Sigma {
		c.at[i] = levelOf(t.Schedule, sigma)
	}
	return c, nil
}

// levelOf is the schedule's level with that σ/α.
func levelOf(s diffusion.Schedule, sigma float64) diffusion.Level {
	return s.At(s.Time(-math.Log(sigma)))
}

// State is where the chains stand.
func (c *Chains[T]) State() State[T] { return c.s.clone() }

// Iterations is how many iterations the chains have made: calls of the model each.
func (c *Chains[T]) Iterations() int { return c.iter }

// Step makes one iteration of all chains, section 4 of the paper: a step of Langevin
// dynamics at each chain's own level, for one call of the model,
//
//	x ← x + (η/2)·s(x, σ) + √η·z,
//
// and then σ drawn from p(σ | x), for none. There is no accept step.
func (c *Chains[T]) Step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, d := c.s.N(), c.d
	for i, at := range c.at {
		for j := i * d; j < (i+1)*d; j++ {
			c.x[j] = T(at.Alpha) * c.s.X[j]
		}
	}
	if err := c.model.Denoise(ctx, c.eps, c.x, n, c.at); err != nil {
		return fmt.Errorf("mcmc: iteration %d: %w", c.iter+1, err)
	}
	if i := kern.NotFinite(c.eps); i >= 0 {
		return &ScoreError{c.iter + 1, i / d, c.s.Sigma[i/d], float64(c.eps[i])}
	}
	err := shares(n, c.cfg.Workers, func(lo, hi int) error { return c.move(ctx, lo, hi) })
	if err != nil {
		return fmt.Errorf("mcmc: iteration %d: %w", c.iter+1, err)
	}
	c.iter++
	return nil
}

// move updates the chains lo to hi−1.
func (c *Chains[T]) move(ctx context.Context, lo, hi int) error {
	d := c.d
	z := make([]float64, d)
	cs := make([]T, 3*(hi-lo)) // of x, ε and z, chain by chain
	one, drift, root := cs[:hi-lo], cs[hi-lo:2*(hi-lo)], cs[2*(hi-lo):]
	for i := lo; i < hi; i++ {
		if err := c.src.Normal(z, c.iter, i); err != nil {
			return fmt.Errorf("chain %d: %w", i, err)
		}
		for j, v := range z {
			c.z[i*d+j] = T(v)
		}
		one[i-lo], root[i-lo] = 1, T(math.Sqrt(c.cfg.Eta))
		drift[i-lo] = T(-c.cfg.Eta / (2 * c.s.Sigma[i])) // s = −ε/σ
	}
	rows := func(v []T) []T { return v[lo*d : hi*d] }
	kern.CombRows(rows(c.s.X), [][]T{one, drift, root}, [][]T{rows(c.s.X), rows(c.eps), rows(c.z)})
	return c.relevel(ctx, lo, hi)
}

// relevel draws the levels of the chains lo to hi−1.
func (c *Chains[T]) relevel(ctx context.Context, lo, hi int) error {
	d, k := c.d, len(c.ladder)
	logp := c.logp[lo*k : hi*k]
	if err := c.post.LogProbs(ctx, logp, c.s.X[lo*d:hi*d], hi-lo); err != nil {
		return err
	}
	p := make([]float64, k)
	for i := lo; i < hi; i++ {
		level, err := c.level(p, logp[(i-lo)*k:(i-lo+1)*k], i)
		if err != nil {
			return fmt.Errorf("chain %d: %w", i, err)
		}
		c.at[i], c.s.Sigma[i] = c.ladder[level], c.post.Levels()[level]
	}
	return nil
}

// level is the next level of a chain; p is scratch.
func (c *Chains[T]) level(p, logp []float64, chain int) (int, error) {
	if c.cfg.Argmax {
		return Argmax(logp)
	}
	u, err := c.src.Uniform(c.iter, chain)
	if err != nil {
		return 0, err
	}
	return draw(p, logp, u)
}

// A Sample is one sample of every chain.
type Sample[T diffusion.Float] struct {
	X    []T      // the samples, row by row
	From State[T] // the states that were denoised
	NFE  int      // evaluations of the model that a sample cost, Skip and all
	// Overshoot is the median of η/σ² over the iterations and chains of the sample.
	// Above [MaxOvershoot] the Langevin step is too long for where the chains stand,
	// and drawing the level hides it: they float upwards.
	Overshoot float64
}

// MaxOvershoot is the largest median of η/σ² that is well.
const MaxOvershoot = 4

// A Denoise takes samples from states: batch counts the calls from 0, to keep their
// noise apart. nfe is what a sample cost.
type Denoise[T diffusion.Float] func(ctx context.Context, from State[T], batch int) (x []T, nfe int, err error)

// Samples gives one sample of every chain after another, as long as it is asked for,
// or until an error. Each starts from the state of the smallest σ among those of its
// Skip iterations and the one before them, chain by chain; the chains go on from
// their last state.
func (c *Chains[T]) Samples(ctx context.Context, denoise Denoise[T]) iter.Seq2[Sample[T], error] {
	return func(yield func(Sample[T], error) bool) {
		for batch := 0; ; batch++ {
			s, err := c.sample(ctx, denoise, batch)
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

func (c *Chains[T]) sample(ctx context.Context, denoise Denoise[T], batch int) (Sample[T], error) {
	best := c.State()
	var over []float64
	for range c.cfg.Skip {
		for _, sigma := range c.s.Sigma {
			over = append(over, c.cfg.Eta/(sigma*sigma))
		}
		if err := c.Step(ctx); err != nil {
			return Sample[T]{}, err
		}
		for i, sigma := range c.s.Sigma {
			if sigma < best.Sigma[i] {
				best.Sigma[i] = sigma
				copy(best.X[i*c.d:(i+1)*c.d], c.s.X[i*c.d:(i+1)*c.d])
			}
		}
	}
	slices.Sort(over)
	x, nfe, err := denoise(ctx, best, batch)
	if err != nil {
		return Sample[T]{}, fmt.Errorf("mcmc: denoising after iteration %d: %w", c.iter, err)
	}
	return Sample[T]{X: x, From: best, NFE: c.cfg.Skip + nfe, Overshoot: over[len(over)/2]}, nil
}

// shares calls f for shares of n things, on as many goroutines, and gives the error
// of the first share with one.
func shares(n, workers int, f func(lo, hi int) error) error {
	workers = min(workers, n)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { errs[w] = f(w*n/workers, (w+1)*n/workers) })
	}
	errs[0] = f(0, n/workers)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
