package adjointdpm

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/cache"
)

// The data of the experiments, in two dimensions.
var (
	single = gmm.Mixture{W: []float64{1}, Mu: [][]float64{{.9, -.4}}, S: []float64{.01}}
	broad  = gmm.Mixture{W: []float64{.4, .6}, Mu: [][]float64{{-1.2, .6}, {.9, -.4}}, S: []float64{.5, .4}}
	narrow = gmm.Mixture{W: []float64{.4, .6}, Mu: [][]float64{{-1.2, .6}, {.9, -.4}}, S: []float64{.01, .01}}
	target = []float64{.4, .2}
)

// A task is a mixture to sample from and to take gradients through.
type task struct {
	Mixture gmm.Mixture
	Shift   []float64 // of all means
	End     float64   // time
	N       int
	Seed    uint64
}

// frozen is a model whose prediction is taken as constant in x on the way back: the
// control that leaves the Jacobian out.
type frozen struct{ *gmm.Trainable }

func (f frozen) VJP(ctx context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	err := f.Trainable.VJP(ctx, gx, x, a, n, at, params, weight)
	clear(gx)
	return err
}

// problem is the task for a sampler.
func (t task) problem(steps int, spacing diffusion.Spacing, constant bool) (p diffusion.Problem[float64], err error) {
	p.Grid = diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, Start: 1, End: t.End, Spacing: spacing}
	p.N = t.N
	if p.X, err = diffusion.Start[float64](p.Grid, t.N, t.Mixture.Dim(), diffusion.Seeded(t.Seed)); err != nil {
		return p, err
	}
	m, err := gmm.NewTrainable(&t.Mixture, t.Shift)
	if err != nil {
		return p, err
	}
	p.Model = m
	if constant {
		p.Model = frozen{m}
	}
	return p, nil
}

// fine is how many steps of the 3/8 rule, evenly in log ρ, stand for the exact
// solution and its gradient.
const fine = 1500

// exact is the exact gradient: of the start states, of the parameters.
func (t task) exact(ctx context.Context) (start, params []float64, err error) {
	all, err := t.cached(ctx, "adjoint-exact", func() ([]float64, error) {
		p, err := t.problem(fine, diffusion.LogSNR, false)
		if err != nil {
			return nil, err
		}
		g, err := adjoint.Solve(ctx, p, solvers["rk4"], half(target), adjoint.Options{})
		if err != nil {
			return nil, err
		}
		return append(g.Start, g.Params...), nil
	})
	if err != nil {
		return nil, nil, err
	}
	n := t.N * t.Mixture.Dim()
	return all[:n], all[n:], nil
}

// samples are where the exact ODE ends.
func (t task) samples(ctx context.Context) ([]float64, error) {
	return t.cached(ctx, "adjoint-samples", func() ([]float64, error) {
		p, err := t.problem(1, diffusion.LogSNR, false)
		if err != nil {
			return nil, err
		}
		return gmm.Exact(ctx, p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	})
}

// cached keeps numbers that are made of the task alone.
func (t task) cached(ctx context.Context, name string, compute func() ([]float64, error)) ([]float64, error) {
	recipe := struct {
		Task    task
		Fine    int
		Version int
	}{t, fine, 1}
	b, err := cache.Get(ctx, name, recipe, func(context.Context) ([]byte, error) {
		x, err := compute()
		if err != nil {
			return nil, err
		}
		return binary.Append(nil, binary.LittleEndian, x)
	})
	if err != nil {
		return nil, err
	}
	x := make([]float64, len(b)/8)
	_, err = binary.Decode(b, binary.LittleEndian, x)
	return x, err
}

// relative is |got − want|/|want|.
func relative(got, want []float64) float64 {
	var d, s float64
	for i, w := range want {
		d += (got[i] - w) * (got[i] - w)
		s += w * w
	}
	return math.Sqrt(d / s)
}
