package compare

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/internal/cache"
)

// A Recipe says how a model's statistics are estimated.
type Recipe struct {
	Condition Condition
	Label     string // as the user wrote the condition's labels
	Rows      int    // intervals of their grid in λ; 0: 120
	Samples   int    // that the model draws for them; 0: 1024 of a mixture, 32 of a network
	Probes    int    // random probes of the Jacobian; 0: all of it for a mixture, 2 for a network; −1: all of it
}

// networkSteps is the number of steps by which the samples behind the statistics are
// drawn: what they leave is far below the spread of the data.
const networkSteps = 50

// withDefaults settles what the recipe leaves to the model.
func (r Recipe) withDefaults(s *Subject) Recipe {
	if r.Rows == 0 {
		r.Rows = 120
	}
	if r.Samples == 0 {
		if r.Samples = 32; s.Exact() {
			r.Samples = 1024
		}
	}
	if r.Probes == 0 && !s.Exact() {
		r.Probes = 2
	}
	r.Probes = max(r.Probes, 0)
	return r
}

// Statistics estimates DPM-Solver-v3's statistics of a model. They are computed once
// for a model, condition and recipe, and kept in the cache; the file says how many
// evaluations they took then. progress may be nil.
func (s *Subject) Statistics(ctx context.Context, r Recipe, progress func(done, all int)) (ems.File, error) {
	r = r.withDefaults(s)
	if r.Samples < 2 || r.Rows < 1 {
		return ems.File{}, fmt.Errorf("statistics of %d rows from %d samples: at least 1 and 2 are needed", r.Rows, r.Samples)
	}
	id, err := s.fingerprint(ctx, r.Condition)
	if err != nil {
		return ems.File{}, err
	}
	key := struct {
		Model   string
		Recipe  Recipe
		Version int
	}{id, r, 1}
	b, err := cache.Get(ctx, "model-statistics", key, func(ctx context.Context) ([]byte, error) {
		f, err := s.estimate(ctx, r, progress)
		if err != nil {
			return nil, err
		}
		return f.Bytes()
	})
	if err != nil {
		return ems.File{}, err
	}
	return ems.Read(bytes.NewReader(b))
}

func (s *Subject) estimate(ctx context.Context, r Recipe, progress func(done, all int)) (ems.File, error) {
	m, err := s.Differentiable(r.Condition, r.Samples)
	if err != nil {
		return ems.File{}, err
	}
	cost := new(atomic.Int64)
	m = meter(m, cost)
	e := ems.Estimator{Model: m, Probes: r.Probes, Guidance: r.Condition.Guidance, Progress: progress}
	g := diffusion.Grid{Schedule: s.Schedule, Steps: networkSteps}
	st, err := e.FromModel(ctx, g, r.Samples, s.Len(), r.Rows)
	if err != nil {
		return ems.File{}, err
	}
	f, err := ems.NewFile(st, s.Schedule, s.Shape)
	f.Label, f.Model, f.Evaluations = r.Label, s.Name, cost.Load()
	return f, err
}

// meter counts the evaluations of a model for one sample each. A product with the
// Jacobian counts as one where it is exact, and as its two evaluations where it is a
// difference.
func meter(m diffusion.Differentiable, count *atomic.Int64) diffusion.Differentiable {
	if d, ok := m.(diffusion.Differences); ok {
		d.Denoiser = metered{d.Denoiser, count}
		return d
	}
	return meteredJacobian{metered{m, count}, m}
}

type metered struct {
	diffusion.Denoiser[float64]
	count *atomic.Int64
}

func (m metered) Denoise(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
	m.count.Add(int64(n))
	return m.Denoiser.Denoise(ctx, dst, x, n, at)
}

type meteredJacobian struct {
	metered
	model diffusion.Differentiable
}

func (m meteredJacobian) JVP(ctx context.Context, dst, x, p []float64, n int, at diffusion.Level) error {
	m.count.Add(int64(n))
	return m.model.JVP(ctx, dst, x, p, n, at)
}
