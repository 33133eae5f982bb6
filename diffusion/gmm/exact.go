package gmm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/dopri"
)

// Exact solves the probability-flow ODE of a model from x at the level from to
// the level to, for n samples. In y = x/α against λ it reads dy/dλ = −e^{−λ}·ε(αy, λ),
// the same for every schedule. The steps are of Dormand & Prince's method of order
// 5 in λ with error control at 10⁻¹³ relative to the size of x, so the result is
// exact to about 10⁻¹¹.
//
// schedule gives α and σ at λ between the ends; the model must predict noise.
func Exact(ctx context.Context, model diffusion.Denoiser[float64], s diffusion.Schedule, x []float64, n int, from, to float64) ([]float64, error) {
	if model.Predicts() != diffusion.Noise {
		return nil, fmt.Errorf("gmm: the model predicts %v: the exact solution needs noise", model.Predicts())
	}
	if n < 1 || len(x) == 0 || len(x)%n != 0 {
		return nil, fmt.Errorf("gmm: %d numbers for %d samples", len(x), n)
	}
	out := make([]float64, 0, len(x))
	d := len(x) / n
	for i := range n { // one by one: each has its own stiff passages
		o := &odeSolver{ctx: ctx, model: model, s: s}
		y, err := o.solve(x[i*d:(i+1)*d], s.At(from), s.At(to))
		if err != nil {
			return nil, err
		}
		out = append(out, y...)
	}
	return out, nil
}

// odeTolerance bounds the local error, relative to the size of x.
const odeTolerance = 1e-13

type odeSolver struct {
	ctx   context.Context
	model diffusion.Denoiser[float64]
	s     diffusion.Schedule
	x     []float64 // scratch: αy
}

// slope is dy/dλ.
func (o *odeSolver) slope(dst, y []float64, lambda float64) error {
	at := o.s.At(o.s.Time(lambda))
	for i, v := range y {
		o.x[i] = at.Alpha * v
	}
	if err := o.model.Denoise(o.ctx, dst, o.x, 1, []diffusion.Level{at}); err != nil {
		return err
	}
	c := -math.Exp(-lambda)
	for i := range dst {
		dst[i] *= c
	}
	return nil
}

func (o *odeSolver) solve(x []float64, from, to diffusion.Level) ([]float64, error) {
	d := len(x)
	o.x = make([]float64, d)
	y, next := make([]float64, d), make([]float64, d)
	for i, v := range x {
		y[i] = v / from.Alpha
	}
	var k [7][]float64
	for i := range k {
		k[i] = make([]float64, d)
	}
	lambda, end := from.Lambda, to.Lambda
	h := (end - lambda) / 1000
	if err := o.slope(k[0], y, lambda); err != nil {
		return nil, err
	}
	for lambda != end {
		if err := o.ctx.Err(); err != nil {
			return nil, err
		}
		if math.Abs(h) < 1e-9 {
			return nil, fmt.Errorf("gmm: the exact solution needs steps below 1e-9 at λ = %g", lambda)
		}
		last := math.Abs(end-lambda) <= math.Abs(h)
		if last {
			h = end - lambda
		}
		for st := 1; st < 7; st++ {
			for i := range next {
				sum := 0.0
				for j, a := range dopri.A[st][:st] {
					sum += a * k[j][i]
				}
				next[i] = y[i] + h*sum
			}
			if err := o.slope(k[st], next, lambda+dopri.C[st]*h); err != nil {
				return nil, err
			}
		}
		e := o.localError(h, y, &k, lambda)
		if e <= 1 {
			lambda += h
			if last {
				lambda = end
			}
			y, next = next, y
			k[0], k[6] = k[6], k[0] // first same as last
		}
		h *= min(5, max(0.2, 0.9*math.Pow(max(e, 1e-12), -0.2)))
	}
	for i := range y {
		y[i] *= to.Alpha
	}
	return y, nil
}

// localError is the error estimate over the tolerance. |y| = |x|/α, and x is of
// the size of max(1, σ/α)·α.
func (o *odeSolver) localError(h float64, y []float64, k *[7][]float64, lambda float64) float64 {
	worst := 0.0
	for i := range y {
		e := 0.0
		for st, c := range dopri.E {
			e += c * k[st][i]
		}
		scale := odeTolerance * max(math.Abs(y[i]), 1, math.Exp(-lambda))
		worst = max(worst, math.Abs(h*e)/scale)
	}
	return worst
}
