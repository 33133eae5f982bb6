package dmcmc

import (
	"context"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
)

// The problem: ten narrow Gaussians in 16 dimensions, from σ = 50 to 0.01.
const (
	dim, modes         = 16, 10
	sigmaMin, sigmaMax = 0.01, 50
	directions         = 128
	problemSeed        = 2209_14593
)

var ve = diffusion.EDM{SigmaMin: sigmaMin, SigmaMax: sigmaMax}

// clusters is the problem's mixture.
func clusters() *gmm.Mixture {
	m, r := &gmm.Mixture{}, rng.Stream(problemSeed)
	for range modes {
		mu := make([]float64, dim)
		for i := range mu {
			mu[i] = .5 * r.NormFloat64()
		}
		m.W, m.Mu, m.S = append(m.W, 1./modes), append(m.Mu, mu), append(m.S, .05)
	}
	return m
}

// A trial is what a cell draws.
type trial struct {
	mixture *gmm.Mixture
	model   diffusion.Denoiser[float64]
	target  mcmc.Target[float64]
	cfg     mcmc.Config
	chains  int
	samples int // of each chain
	seed    uint64
}

func newTrial(c lab.Cell, r rival) (*trial, error) {
	t := &trial{mixture: clusters(), chains: c.Values.Int("chains"), samples: c.Values.Int("samples"), seed: c.Seed}
	t.cfg = mcmc.Config{Eta: c.Values.Float("eta"), Argmax: r.kind == argmax, Workers: 1} // the lab runs cells side by side
	var err error
	if t.model, err = gmm.Model[float64](t.mixture, diffusion.Noise); err != nil {
		return nil, err
	}
	post, err := mcmc.Exact[float64](t.mixture, mcmc.Ladder(sigmaMin, sigmaMax, c.Values.Int("levels")))
	if err != nil {
		return nil, err
	}
	if r.kind == frozen {
		post = stuck{post}
	}
	t.target = mcmc.Target[float64]{Model: t.model, Schedule: ve, Posterior: post}
	return t, nil
}

// stuck is a posterior that knows one level only, the crippled chain that does not
// update its level.
type stuck struct{ mcmc.Posterior[float64] }

func (s stuck) LogProbs(_ context.Context, out []float64, _ []float64, n int) error {
	k := len(out) / n
	for i := range out {
		out[i] = math.Inf(-1)
		if i%k == k/2 {
			out[i] = 0
		}
	}
	return nil
}

// A haul is the samples of a trial: batch by batch, one sample of every chain.
type haul struct {
	batches   [][]float64
	nfe       float64 // mean calls a sample
	start     int     // calls a chain before the first
	overshoot float64 // mean of the medians of η/σ²
}

// pure draws states of pure noise.
func (t *trial) pure(batch int) mcmc.State[float64] {
	r := rng.Stream(t.seed, 1, uint64(batch))
	s := mcmc.State[float64]{X: make([]float64, t.chains*dim), Sigma: make([]float64, t.chains)}
	for i := range s.X {
		s.X[i] = sigmaMax * r.NormFloat64()
	}
	for i := range s.Sigma {
		s.Sigma[i] = sigmaMax
	}
	return s
}

func (t *trial) integrator(r rival, steps int) mcmc.Integrator[float64] {
	key, _ := rng.Key(t.seed, 2)
	return mcmc.Integrator[float64]{Model: t.model, Schedule: ve, Method: r.method, Flow: r.flow, Steps: steps, SigmaMin: sigmaMin, Noise: diffusion.Seeded(key)}
}

// vanilla samples from pure noise.
func (t *trial) vanilla(ctx context.Context, r rival, steps int) (h haul, err error) {
	g := t.integrator(r, steps)
	for b := range t.samples {
		x, nfe, err := g.Denoise(ctx, t.pure(b), b)
		if err != nil {
			return h, err
		}
		h.batches, h.nfe = append(h.batches, x), h.nfe+float64(nfe)/float64(t.samples)
	}
	return h, nil
}

// walk samples by chains, with a sample every skip iterations.
func (t *trial) walk(ctx context.Context, r rival, skip, steps int) (h haul, err error) {
	st, start, err := mcmc.Start(ctx, t.target, t.cfg, mcmc.Init{}, t.chains, dim, mcmc.Seeded(t.seed))
	if err != nil {
		return h, err
	}
	h.start = start
	if r.kind == collapsed {
		for c := range st.Sigma {
			copy(st.X[c*dim:(c+1)*dim], st.X[:dim])
			st.Sigma[c] = st.Sigma[0]
		}
	}
	g := t.integrator(r, steps)
	denoise := g.Denoise
	switch r.kind {
	case renoised: // no walk at all: the last samples, noisy again
		return h, t.renoise(ctx, g, st, &h)
	case fromTop: // the integrator does not know where the chain stands
		denoise = func(ctx context.Context, from mcmc.State[float64], batch int) ([]float64, int, error) {
			for i := range from.Sigma {
				from.Sigma[i] = sigmaMax
			}
			return g.Denoise(ctx, from, batch)
		}
	}
	t.cfg.Skip = skip
	chains, err := mcmc.New(t.target, t.cfg, st, mcmc.Seeded(t.seed))
	if err != nil {
		return h, err
	}
	for s, err := range chains.Samples(ctx, denoise) {
		if err != nil {
			return h, err
		}
		h.batches = append(h.batches, s.X)
		h.nfe += float64(s.NFE) / float64(t.samples)
		h.overshoot += s.Overshoot / float64(t.samples)
		if len(h.batches) == t.samples {
			break
		}
	}
	return h, nil
}

// renoise adds noise of the start's deviation to the last samples and denoises them.
func (t *trial) renoise(ctx context.Context, g mcmc.Integrator[float64], st mcmc.State[float64], h *haul) error {
	const jitter = .5
	r := rng.Stream(t.seed, 4)
	for i := range st.Sigma {
		st.Sigma[i] = jitter
	}
	for b := range t.samples {
		if b > 0 {
			for i, x := range h.batches[b-1] {
				st.X[i] = x + jitter*r.NormFloat64()
			}
		}
		x, nfe, err := g.Denoise(ctx, st, b)
		if err != nil {
			return err
		}
		h.batches, h.nfe = append(h.batches, x), h.nfe+float64(nfe)/float64(t.samples)
	}
	return nil
}

// outcome judges samples: their distance to as many of the truth, how far the modes'
// weights are off, and what the samples of a chain are worth.
func (t *trial) outcome(h haul) (lab.Outcome, error) {
	n := t.chains * t.samples
	all := make([]float64, 0, n*dim)
	for _, b := range h.batches {
		all = append(all, b...)
	}
	truth := t.mixture.Sample(n, rng.Stream(t.seed, 3))
	o := lab.Outcome{Cost: h.nfe, Metrics: map[string]float64{"calls before the first sample": float64(h.start), "median eta/sigma²": h.overshoot}}
	for _, x := range all {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			o.Quality = math.NaN()
			return o, nil
		}
	}
	var err error
	if o.Quality, err = metrics.SlicedW2(all, truth, dim, directions, rng.Stream(problemSeed)); err != nil {
		return o, err
	}
	labels := make([][]int, t.chains)
	weights := make([]float64, modes)
	for _, batch := range h.batches {
		for c := range labels {
			k := t.mode(batch[c*dim : (c+1)*dim])
			labels[c] = append(labels[c], k)
			weights[k] += 1 / float64(n)
		}
	}
	if o.Metrics["mode TV"], err = metrics.TotalVariation(weights, t.mixture.W); err != nil {
		return o, err
	}
	series, err := mcmc.OneHot(labels, modes)
	if err != nil {
		return o, err
	}
	if ess, err := mcmc.ESS(series); err == nil { // none where all samples are of one mode
		o.Metrics["ESS of the mode"] = ess
	}
	return o, nil
}

// mode is the nearest mean.
func (t *trial) mode(x []float64) int {
	best, nearest := 0, math.Inf(1)
	for k, mu := range t.mixture.Mu {
		var q float64
		for i, v := range mu {
			q += (x[i] - v) * (x[i] - v)
		}
		if q < nearest {
			best, nearest = k, q
		}
	}
	return best
}
