package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/diffusion/mcmc/levelnet"
	"github.com/assay-lab/assay/internal/nn"
)

// chainFlags ask for samples by Markov chains: Denoising MCMC.
type chainFlags struct {
	chains int // 0: none
	skip   int
	argmax bool
	eta    float64
}

// What chains do by default.
const (
	chainMethod = "edm"
	chainSteps  = 5   // of the method: nine evaluations of edm
	chainEta    = 0.8 // as published
	chainLevels = 200
)

func addChainFlags(flags *pflag.FlagSet, f *chainFlags) {
	more := pflag.NewFlagSet("", pflag.ContinueOnError)
	more.SortFlags = false
	more.IntVar(&f.chains, "chains", 0, "walk `N` chains at a time; --method and --steps (default\nedm, 5) denoise them, and --eta (default 0.8) is their step")
	more.Lookup("chains").DefValue = "none"
	more.IntVar(&f.skip, "skip", 10, "`N` iterations of a chain from one sample to the next")
	more.BoolVar(&f.argmax, "argmax", false, "take the likeliest noise level instead of drawing one")
	group(flags, more, "Many samples for few evaluations each: Markov chains (Denoising MCMC)")
}

// checkChains checks the flags of chains, and gives the others the defaults that they
// have with chains.
func (f *sampleFlags) checkChains(changed func(string) bool) error {
	if !changed("chains") {
		for _, name := range []string{"skip", "argmax"} {
			if changed(name) {
				return usagef("", "--%s is for chains: give --chains N too", name)
			}
		}
		return nil
	}
	for _, name := range []string{"schedule-file", "statistics", "spacing", "threshold", "clip", "to-zero"} {
		if changed(name) {
			return usagef("", "--%s and --chains: give one", name)
		}
	}
	if f.chain.chains < 1 || f.chain.skip < 1 {
		return usagef("", "--chains %d --skip %d: must be positive", f.chain.chains, f.chain.skip)
	}
	if !changed("method") {
		f.method = chainMethod
	}
	if !changed("steps") {
		f.steps = chainSteps
	}
	f.chain.eta = chainEta
	if changed("eta") {
		if !(f.eta > 0) || math.IsInf(f.eta, 0) {
			return usagef("", "--eta %g: the step of chains must be positive", f.eta)
		}
		f.chain.eta = f.eta
	}
	f.eta = -1 // of the method: its own
	return nil
}

// A walk is a drawing by chains.
type walk struct {
	*drawing
	chains int
	model  diffusion.Denoiser[float32] // for all chains at once
	top    float64                     // the largest and the smallest σ/α of the schedule
	least  float64
	seed   mcmc.Seeded
}

// draw draws the samples of chains.
func (f chainFlags) draw(c *console) func(context.Context, *drawing) (samples, error) {
	return func(ctx context.Context, d *drawing) (samples, error) {
		begun := time.Now()
		w, err := f.walk(d)
		if err != nil {
			return samples{}, err
		}
		s, err := c.walk(ctx, w, mcmc.Config{Eta: f.eta, Skip: f.skip, Argmax: f.argmax})
		s.took = time.Since(begun)
		return s, err
	}
}

func (f chainFlags) walk(d *drawing) (*walk, error) {
	w := &walk{drawing: d, chains: min(f.chains, d.n), seed: mcmc.Seeded(d.seed)}
	if k := len(d.labels); k > 1 { // a chain keeps its class, and rows of the picture theirs
		w.chains = (w.chains + k - 1) / k * k
	}
	if _, _, _, ok := imageShape(d.model.Shape); !ok {
		return nil, usagef("", "--chains: samples of shape %s are no images: how noisy one is cannot be learned", times(d.model.Shape))
	}
	var err error
	w.model, err = diffusion.SplitBound(w.chains, 0, func(lo, hi int) (diffusion.Denoiser[float32], error) {
		return d.denoiser(lo, hi-lo)
	})
	if err != nil {
		return nil, err
	}
	lo, hi := d.model.Schedule.Range()
	a, b := d.model.Schedule.At(lo), d.model.Schedule.At(hi)
	w.least, w.top = a.Sigma/a.Alpha, b.Sigma/b.Alpha
	return w, nil
}

// walk starts the chains and takes samples of them: first all chains from pure noise,
// from whose samples the network of levels learns, then from there.
func (c *console) walk(ctx context.Context, w *walk, cfg mcmc.Config) (s samples, err error) {
	bar := c.progress("starting chains", "parts")
	defer bar.close()
	first := mcmc.Init{SigmaMax: w.top, SigmaMin: w.least}
	s.chains = w.chains
	x, calls, err := mcmc.FromNoise(ctx, w.model, w.drawing.model.Schedule, first, w.chains, w.drawing.model.Len(), w.seed)
	if err != nil {
		return s, err
	}
	bar.set(1, 3, "learning how noisy a sample is")
	levels, err := levelnet.Train(ctx, levelnet.Recipe{Shape: w.drawing.model.Shape, Levels: mcmc.Ladder(w.least, w.top, chainLevels), Seed: w.drawing.seed}, x, w.chains, nn.Options{})
	if err != nil {
		return s, err
	}
	bar.set(2, 3, "burning in")
	target := mcmc.Target[float32]{Model: w.model, Schedule: w.drawing.model.Schedule, Posterior: levels}
	start, burnt, err := mcmc.StartFrom(ctx, target, cfg, first, x, w.chains, w.seed)
	if err != nil {
		return s, err
	}
	s.start = calls + burnt
	chains, err := mcmc.New(target, cfg, start, w.seed)
	if err != nil {
		return s, err
	}
	bar.close()
	return s, c.collect(ctx, w, chains, &s)
}

// collect takes samples of the chains, until there are enough.
func (c *console) collect(ctx context.Context, w *walk, chains *mcmc.Chains[float32], s *samples) error {
	g := mcmc.Integrator[float32]{Model: w.model, Schedule: w.drawing.model.Schedule, Method: w.method, Steps: w.grid.Steps,
		SigmaMin: w.least, Tweedie: w.least, Noise: diffusion.Seeded(w.drawing.seed)}
	rounds := (w.n + w.chains - 1) / w.chains
	bar := c.progress("sampling", "samples of every chain")
	defer bar.close()
	over, round := 0.0, 0
	series := make([][][]float64, w.chains)
	for sample, err := range chains.Samples(ctx, g.Denoise) {
		if err != nil {
			return err
		}
		s.x = append(s.x, sample.X...)
		s.nfe, s.passes = sample.NFE, sample.NFE*diffusion.Passes(w.model)
		over = max(over, sample.Overshoot)
		d := w.drawing.model.Len()
		for i := range series {
			series[i] = append(series[i], widen(sample.X[i*d:(i+1)*d]))
		}
		if round++; round == rounds {
			break
		}
		bar.set(round, rounds, "")
	}
	s.x = s.x[:w.n*w.drawing.model.Len()]
	if rounds >= 4 { // fewer say nothing of the correlation
		if ess, err := mcmc.ESS(series); err == nil {
			s.worth = int(min(ess, float64(w.n)))
		}
	}
	if over > mcmc.MaxOvershoot {
		c.note("Warning: η/σ² reaches %.3g in the middle of the chains, which is above %d: they float upwards. Try a smaller --eta.", over, mcmc.MaxOvershoot)
	}
	return nil
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// about says what chains cost beside, and what their samples are worth.
func (s samples) about() string {
	text := fmt.Sprintf("%d chains, each after %d evaluations to start", s.chains, s.start)
	if s.worth > 0 {
		text += fmt.Sprintf("; samples of a chain resemble each other: together they are worth about %d independent ones", s.worth)
	}
	return text + "."
}
