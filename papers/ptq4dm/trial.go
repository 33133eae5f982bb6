package ptq4dm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/internal/recent"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/quant"
)

// A trial is a sampler on the problem from seeded noise. What its cells share is
// computed once a process.
type trial struct {
	panel string
	steps int
	n     int
	seed  uint64
}

func trialOf(c lab.Cell) trial {
	return trial{c.Panel, c.Values.Int("steps"), c.Values.Int("n"), c.Seed}
}

func (t trial) grid() (diffusion.Grid, error) {
	s, err := Schedule()
	return diffusion.Grid{Schedule: s, Steps: t.steps, Spacing: diffusion.TimeUniform}, err
}

// sample draws the trial's samples from a network.
func (t trial) sample(ctx context.Context, f forward) ([]float64, error) {
	m, clip, err := samplerOf(t.panel)
	if err != nil {
		return nil, err
	}
	g, err := t.grid()
	if err != nil {
		return nil, err
	}
	if t.panel == multi {
		g.Spacing = diffusion.Spacing{}
	}
	x, err := diffusion.Start[float64](g, t.n, Recipe.Dim, diffusion.Seeded(t.seed))
	if err != nil {
		return nil, err
	}
	p := diffusion.Problem[float64]{Model: denoiser(f), Grid: g, X: x, N: t.n}
	if clip {
		if p.Hook, err = diffusion.StaticThreshold[float64](limit); err != nil {
			return nil, err
		}
	}
	s, err := diffusion.Solve(ctx, p, m)
	return s.X, err
}

// pairs makes what a plan calibrates on. A cripple's name has the plan before a
// comma.
func (t trial) pairs(ctx context.Context, plan string, n int) ([]float64, error) {
	p, err := calibration.Named(plan)
	if err != nil {
		return nil, err
	}
	p.N, p.Seed = n, 1000+t.seed
	c, err := chain()
	if err != nil {
		return nil, err
	}
	g, err := t.grid()
	if err != nil {
		return nil, err
	}
	hook, err := diffusion.StaticThreshold[float64](limit)
	if err != nil {
		return nil, err
	}
	set, err := calibration.Collect(ctx, p, calibration.Sampler[float64]{
		Model: denoiser(c.Forward), Grid: g, Hook: hook, Size: Recipe.Dim, Data: Mixture().Sample(n, rng.Stream(t.seed, 3)),
	})
	if err != nil {
		return nil, err
	}
	return inputs(set.X, set.N, set.Levels), nil
}

// once keeps what cells of one process share: results are the same in any order.
var once = recent.Cache[any]{Most: 128}

func shared[T any](key any, make func() (T, error)) (T, error) {
	v, err := once.Get(fmt.Sprintf("%T %+v", key, key), func() (any, error) { return make() })
	t, _ := v.(T)
	return t, err
}

type pairsKey struct {
	trial
	plan  string
	pairs int
}

// truth is what the network itself gives, its distance to the data, and that
// between two sets of data.
type truth struct {
	x, data      []float64
	exact, floor float64
}

func (t trial) truth(ctx context.Context) (*truth, error) {
	return shared(t, func() (*truth, error) {
		c, err := chain()
		if err != nil {
			return nil, err
		}
		x, err := t.sample(context.WithoutCancel(ctx), c.Forward)
		if err != nil {
			return nil, err
		}
		m := Mixture()
		u := &truth{x: x, data: m.Sample(t.n, rng.Stream(t.seed, 4))}
		if u.floor, err = t.distance(m.Sample(t.n, rng.Stream(t.seed, 5)), u.data); err != nil {
			return nil, err
		}
		u.exact, err = t.distance(x, u.data)
		return u, err
	})
}

func (t trial) distance(x, data []float64) (float64, error) {
	return metrics.SlicedW2(x, data, Recipe.Dim, 128, rng.Stream(t.seed, 6))
}

// run quantizes the network as m says, on a plan's pairs, and samples with it.
func run(ctx context.Context, c lab.Cell, plan string, m quant.PostTraining, cost float64) (lab.Outcome, error) {
	t := trialOf(c)
	if _, _, err := samplerOf(t.panel); err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("pairs")
	in, err := shared(pairsKey{trial{ddim, t.steps, 0, t.seed}, plan, n}, func() ([]float64, error) {
		return t.pairs(context.WithoutCancel(ctx), plan, n)
	})
	if err != nil {
		return lab.Outcome{}, err
	}
	net, err := chain()
	if err != nil {
		return lab.Outcome{}, err
	}
	q, err := m.Calibrate(ctx, net, in, n)
	if err != nil {
		return lab.Outcome{}, err
	}
	u, err := t.truth(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	x, err := t.sample(ctx, q.Forward)
	if err != nil {
		return lab.Outcome{}, fmt.Errorf("quantized: %w", err)
	}
	d, err := t.distance(x, u.data)
	if err != nil {
		return lab.Outcome{}, err
	}
	size, full := q.Bytes()
	return lab.Outcome{Cost: cost, Quality: mixture.RMS(x, u.x), Metrics: map[string]float64{
		sliced: d, exact: u.exact, floor: u.floor, "bytes of weights": float64(size), "in float32": float64(full),
	}}, nil
}

// largest is the largest magnitude of each layer's output on pairs at one level.
func largest(c quant.Chain, in []float64, n int) ([]float64, error) {
	var out []float64
	for i := range c {
		part := append(quant.Chain(nil), c[:i+1]...)
		part[i].Output = quant.Identity // what the quantizer would see
		y, err := part.Forward(in, n)
		if err != nil {
			return nil, err
		}
		var most float64
		for _, v := range y {
			most = max(most, math.Abs(v))
		}
		out = append(out, most)
	}
	return out, nil
}
