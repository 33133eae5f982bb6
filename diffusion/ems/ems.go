// Package ems estimates the empirical model statistics that DPM-Solver-v3 needs of
// a model: Zheng et al. 2023, section 3.
package ems

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/assay-lab/assay/diffusion"
)

// An Estimator estimates statistics of a model on a schedule.
type Estimator struct {
	Model    diffusion.Differentiable // predicts noise
	Schedule diffusion.Schedule
	// Probes > 0 estimates the Jacobian's diagonal by that many Rademacher probes
	// (Hutchinson); 0 computes it exactly, with one product a coordinate.
	Probes   int
	Seed     uint64              // of probes and noise
	Guidance float64             // of the model; kept with the statistics
	Progress func(done, all int) // rows of the grid
}

// Estimate noises n data samples (row by row) to every one of m+1 levels evenly
// spaced in λ between two times, and estimates there.
func (e Estimator) Estimate(ctx context.Context, data []float64, n int, start, end float64, m int) (*diffusion.Statistics, error) {
	if m < 1 || n < 2 || len(data) == 0 || len(data)%n != 0 {
		return nil, fmt.Errorf("ems: %d numbers for %d samples on a grid of %d intervals: want at least 2 samples and 1 interval", len(data), n, m)
	}
	first, last := e.Schedule.At(start).Lambda, e.Schedule.At(end).Lambda
	lambda := make([]float64, m+1)
	samples := make([][]float64, m+1)
	r := rand.New(rand.NewPCG(e.Seed, 0x656d73))
	noise := make([]float64, len(data)) // the same at every level, so that the statistics are smooth in λ
	for i := range noise {
		noise[i] = r.NormFloat64()
	}
	for k := range lambda {
		lambda[k] = first + (last-first)*float64(k)/float64(m)
		at := e.Schedule.At(e.Schedule.Time(lambda[k]))
		samples[k] = make([]float64, len(data))
		for i, x := range data {
			samples[k][i] = at.Alpha*x + at.Sigma*noise[i]
		}
	}
	st, _, err := e.FromSamples(ctx, lambda, samples, n)
	return st, err
}

// FromSamples estimates from n samples of x at every λ of an even grid. It also
// gives dl/dλ, by central differences, one-sided at the ends.
func (e Estimator) FromSamples(ctx context.Context, lambda []float64, samples [][]float64, n int) (*diffusion.Statistics, [][]float64, error) {
	if e.Model == nil || e.Schedule == nil {
		return nil, nil, errors.New("ems: no model or no schedule")
	}
	if e.Model.Predicts() != diffusion.Noise {
		return nil, nil, fmt.Errorf("ems: the model predicts %v: statistics need noise", e.Model.Predicts())
	}
	if len(lambda) < 2 || len(samples) != len(lambda) || n < 2 {
		return nil, nil, fmt.Errorf("ems: %d levels and %d sets of %d samples: want as many sets as levels, at least 2, of at least 2", len(lambda), len(samples), n)
	}
	st := &diffusion.Statistics{LambdaT: lambda[0], Lambda0: lambda[len(lambda)-1], Guidance: e.Guidance}
	for k, l := range lambda {
		if len(samples[k]) == 0 || len(samples[k])%n != 0 || len(samples[k]) != len(samples[0]) {
			return nil, nil, fmt.Errorf("ems: %d numbers at level %d for %d samples", len(samples[k]), k, n)
		}
		row, err := e.diagonal(ctx, samples[k], n, e.at(l))
		if err != nil {
			return nil, nil, err
		}
		st.L = append(st.L, row)
	}
	slope := slopes(lambda, st.L)
	for k, l := range lambda {
		s, b, err := e.regress(ctx, samples[k], n, e.at(l), st.L[k], slope[k])
		if err != nil {
			return nil, nil, err
		}
		st.S, st.B = append(st.S, s), append(st.B, b)
		if e.Progress != nil {
			e.Progress(k+1, len(lambda))
		}
	}
	return st, slope, st.Validate()
}

// at is the level at λ, its λ exact.
func (e Estimator) at(lambda float64) diffusion.Level {
	l := e.Schedule.At(e.Schedule.Time(lambda))
	l.Lambda = lambda
	return l
}

// diagonal is l = E[σ·diag(∂ε/∂x)].
func (e Estimator) diagonal(ctx context.Context, x []float64, n int, at diffusion.Level) ([]float64, error) {
	d := len(x) / n
	l := make([]float64, d)
	p, jp := make([]float64, len(x)), make([]float64, len(x))
	probes := e.Probes
	if probes == 0 {
		probes = d
	}
	r := rand.New(rand.NewPCG(e.Seed, math.Float64bits(at.Lambda)))
	for k := range probes {
		clear(p)
		for i := range p {
			switch {
			case e.Probes > 0:
				p[i] = float64(1 - 2*int(r.Uint64()&1))
			case i%d == k:
				p[i] = 1
			}
		}
		if err := e.Model.JVP(ctx, jp, x, p, n, at); err != nil {
			return nil, err
		}
		for i := range p {
			l[i%d] += p[i] * jp[i]
		}
	}
	count := float64(n)
	if e.Probes > 0 {
		count *= float64(probes)
	}
	for i := range l {
		l[i] *= at.Sigma / count
	}
	return l, nil
}

// slopes differentiates columns of rows over λ.
func slopes(lambda []float64, rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	for k := range rows {
		a, b := max(k-1, 0), min(k+1, len(rows)-1)
		out[k] = make([]float64, len(rows[k]))
		for i := range rows[k] {
			out[k][i] = (rows[b][i] - rows[a][i]) / (lambda[b] - lambda[a])
		}
	}
	return out
}

// flatTolerance is the share of E[f²] below which f counts as constant: s would be
// 0/0 there.
const flatTolerance = 1e-12

// regress fits f' ≈ s·f + b, coordinate by coordinate (eq. 11), where f =
// (σε − lx)/α and f' is its total derivative along the ODE,
// e^{−λ}(ε' − ε + lε) − l'x/α.
func (e Estimator) regress(ctx context.Context, x []float64, n int, at diffusion.Level, l, slope []float64) (s, b []float64, err error) {
	d := len(x) / n
	eps, total := make([]float64, len(x)), make([]float64, len(x))
	if err := e.Model.Denoise(ctx, eps, x, n, []diffusion.Level{at}); err != nil {
		return nil, nil, err
	}
	if err := e.totalDerivative(ctx, total, eps, x, n, at); err != nil {
		return nil, nil, err
	}
	s, b = make([]float64, d), make([]float64, d)
	scale := at.Sigma / at.Alpha // e^{−λ}
	for i := range d {
		var f, ff, g, fg float64
		for k := i; k < len(x); k += d {
			v := (at.Sigma*eps[k] - l[i]*x[k]) / at.Alpha
			w := scale*(total[k]-eps[k]+l[i]*eps[k]) - slope[i]*x[k]/at.Alpha
			f, ff, g, fg = f+v/float64(n), ff+v*v/float64(n), g+w/float64(n), fg+v*w/float64(n)
		}
		if variance := ff - f*f; variance > flatTolerance*max(1, ff) {
			s[i] = (fg - f*g) / variance
		}
		b[i] = g - s[i]*f
	}
	return s, b, nil
}

// totalDerivative is dε/dλ along the ODE: ∂ε/∂λ + (∂ε/∂x)·ẋ with ẋ = (dlog α/dλ)x − σε.
// The first part is a central difference of fourth order over λ.
func (e Estimator) totalDerivative(ctx context.Context, dst, eps, x []float64, n int, at diffusion.Level) error {
	drift := at.Sigma * at.Sigma / (at.Alpha*at.Alpha + at.Sigma*at.Sigma)
	if at.Alpha == 1 { // variance-exploding
		drift = 0
	}
	velocity := make([]float64, len(x))
	for i := range x {
		velocity[i] = drift*x[i] - at.Sigma*eps[i]
	}
	if err := e.Model.JVP(ctx, dst, x, velocity, n, at); err != nil {
		return err
	}
	const h = 1e-3
	y := make([]float64, len(x))
	for _, p := range [4]struct{ offset, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
		near := e.at(at.Lambda + p.offset*h)
		if err := e.Model.Denoise(ctx, y, x, n, []diffusion.Level{near}); err != nil {
			return err
		}
		for i := range y {
			dst[i] += p.weight * y[i] / (12 * h)
		}
	}
	return nil
}
