package diffusion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/dopri"
	"github.com/assay-lab/assay/internal/kern"
)

// Flow solves the probability-flow ODE of the variance-exploding process with
// adaptive steps of Dormand and Prince's method of order 5: the "ODE" sampler of
// Song et al. 2021. With y = x/α, ρ = σ/α and ρ(u) = ρ₁·(ρ₀/ρ₁)^u it reads
//
//	dy/du = −½·g(u)²·s(y, u) = log(ρ₀/ρ₁)·ρ(u)·ε(y, u),   u from 1 to Eps.
//
// First step, control and error norm are those of scipy's RK45, with which the
// authors' codes solve it: the error is averaged over the whole batch, so the
// samples share their steps and depend on the batch that they are in.
type Flow struct {
	RelTol, AbsTol float64 // each 0: 10⁻⁵
	Eps            float64 // time at which it ends; 0: 10⁻⁵
	Denoise        bool    // one evaluation more takes off the noise that is left
	MaxNFE         int     // 0: 100000
}

func (f Flow) withDefaults() (Flow, error) {
	f.RelTol, f.AbsTol = cmp.Or(f.RelTol, 1e-5), cmp.Or(f.AbsTol, 1e-5)
	f.Eps, f.MaxNFE = cmp.Or(f.Eps, defaultEps), cmp.Or(f.MaxNFE, 100000)
	for _, v := range []struct {
		name  string
		value float64
	}{{"absolute tolerance", f.AbsTol}, {"relative tolerance", f.RelTol}} {
		if !(v.value > 0) || math.IsInf(v.value, 0) {
			return f, fmt.Errorf("diffusion: flow: %s = %g: must be positive", v.name, v.value)
		}
	}
	if !(f.Eps > 0 && f.Eps < 1) {
		return f, fmt.Errorf("diffusion: flow: eps = %g: must be in (0, 1)", f.Eps)
	}
	return f, nil
}

// SolveFlow runs the flow from the grid's start to its end; the grid's Steps and
// Spacing play no part. starts are times at which the samples start, one each; nil:
// the grid's. Solution.NFE counts the evaluations of rejected steps as well, and
// Solution.Tape is nil. A [Step]'s Of is 0: how many steps there will be is not known.
// With Denoise the solution is data, else it is at the grid's end.
func SolveFlow[T Float](ctx context.Context, p Problem[T], f Flow, starts []float64) (Solution[T], error) {
	var none Solution[T]
	f, err := f.withDefaults()
	if err != nil {
		return none, err
	}
	s, err := newFlow(ctx, p, f, starts)
	if err != nil {
		return none, err
	}
	if err := s.solve(p.OnStep); err != nil {
		return none, err
	}
	x, nfe := make([]T, len(p.X)), s.nfe
	if f.Denoise { // at ρ(Eps), taking off what ρ₁ is
		if err := s.slope(s.k[0], s.y, f.Eps); err != nil {
			return none, err
		}
		nfe++
		for i := range x {
			c := s.to * s.to / (s.rho[i/s.d] * s.rho[i/s.d] * s.speed[i/s.d])
			x[i] = T(s.y[i] - c*s.k[0][i])
		}
	} else {
		s.state(x, s.y, f.Eps)
	}
	return Solution[T]{X: x, NFE: nfe, Passes: nfe * Passes(p.Model)}, nil
}

// A flow is the state of a Flow that runs.
type flow[T Float] struct {
	Flow
	ctx   context.Context
	model Denoiser[T]
	grid  Grid
	n, d  int
	to    float64   // ρ₁
	speed []float64 // log(ρ₀/ρ₁) of every sample
	rho   []float64 // at the last evaluation
	at    []Level
	y     []float64
	k     [dopri.Stages][]float64
	x, m  []T // scratch of an evaluation
	nfe   int
	steps int
}

func newFlow[T Float](ctx context.Context, p Problem[T], f Flow, starts []float64) (*flow[T], error) {
	switch {
	case p.Model == nil:
		return nil, errors.New("diffusion: no model")
	case p.Hook != nil:
		return nil, errors.New("diffusion: a hook on the data prediction (thresholding) makes the flow's slope jump: use a method of fixed steps")
	case p.N < 1 || len(p.X) == 0 || len(p.X)%p.N != 0:
		return nil, fmt.Errorf("diffusion: %d samples of %d numbers together: want samples of equal size", p.N, len(p.X))
	case starts != nil && len(starts) != p.N:
		return nil, fmt.Errorf("diffusion: %d start times for %d samples: must be as many", len(starts), p.N)
	}
	s := &flow[T]{Flow: f, ctx: ctx, model: AsNoise(p.Model), grid: p.Grid, n: p.N, d: len(p.X) / p.N,
		speed: make([]float64, p.N), rho: make([]float64, p.N), at: make([]Level, p.N),
		y: make([]float64, len(p.X)), x: make([]T, len(p.X)), m: make([]T, len(p.X))}
	for i := range s.k {
		s.k[i] = make([]float64, len(p.X))
	}
	for i := range p.N {
		g := p.Grid
		if starts != nil {
			g.Start = starts[i]
		}
		from, to, err := g.rhoEnds("flow")
		if err != nil {
			return nil, fmt.Errorf("%w (sample %d)", err, i)
		}
		s.to, s.speed[i] = to, math.Log(from/to)
		alpha := g.at(-math.Log(from)).Alpha
		for j := i * s.d; j < (i+1)*s.d; j++ {
			s.y[j] = float64(p.X[j]) / alpha
		}
	}
	return s, nil
}

// state writes x = α·y at time u.
func (s *flow[T]) state(x []T, y []float64, u float64) {
	for i := range s.n {
		s.rho[i] = s.to * math.Exp(u*s.speed[i])
		s.at[i] = s.grid.at(-math.Log(s.rho[i]))
		for j := i * s.d; j < (i+1)*s.d; j++ {
			x[j] = T(s.at[i].Alpha * y[j])
		}
	}
}

// slope is dy/du.
func (s *flow[T]) slope(dst, y []float64, u float64) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.nfe >= s.MaxNFE {
		return fmt.Errorf("diffusion: flow: u = %g after %d evaluations: more are not allowed", u, s.nfe)
	}
	s.state(s.x, y, u)
	s.nfe++
	if err := s.model.Denoise(s.ctx, s.m, s.x, s.n, s.at); err != nil {
		return fmt.Errorf("diffusion: flow at u = %g: %w", u, err)
	}
	if i := kern.NotFinite(s.m); i >= 0 {
		return &DivergedError{Step: s.steps + 1, T: s.at[i/s.d].T, Value: float64(s.m[i]), Sample: i / s.d}
	}
	for i := range dst {
		dst[i] = s.speed[i/s.d] * s.rho[i/s.d] * float64(s.m[i])
	}
	return nil
}

// solve takes the steps.
func (s *flow[T]) solve(onStep func(Step[T]) error) error {
	if err := s.slope(s.k[0], s.y, 1); err != nil {
		return err
	}
	h, err := s.first()
	if err != nil {
		return err
	}
	next := make([]float64, len(s.y))
	for u := 1.0; u > s.Eps; {
		for rejected := false; ; rejected = true {
			if h < 1e-14 {
				return fmt.Errorf("diffusion: flow: at u = %g the tolerances need steps below 1e-14", u)
			}
			to := max(u-h, s.Eps)
			h = u - to
			if err := s.stages(next, u, h); err != nil {
				return err
			}
			e := s.localError(next, h)
			if e >= 1 {
				h *= max(0.2, 0.9*math.Pow(e, -0.2))
				continue
			}
			growth := min(10, 0.9*math.Pow(e, -0.2)) // +Inf at e = 0
			if rejected {
				growth = min(growth, 1)
			}
			h, u = h*growth, to
			break
		}
		s.y, next = next, s.y
		s.k[0], s.k[dopri.Stages-1] = s.k[dopri.Stages-1], s.k[0]
		if onStep != nil {
			s.state(s.x, s.y, u)
			if err := onStep(Step[T]{Index: s.steps, Level: s.at[0], X: s.x}); err != nil {
				return err
			}
		}
		s.steps++
	}
	return nil
}

// stages computes the slopes of a step of −h from u and the state after it.
func (s *flow[T]) stages(next []float64, u, h float64) error {
	for st := 1; st < dopri.Stages; st++ {
		for i := range next {
			sum := 0.0
			for j, a := range dopri.A[st][:st] {
				sum += a * s.k[j][i]
			}
			next[i] = s.y[i] - h*sum
		}
		if err := s.slope(s.k[st], next, u-dopri.C[st]*h); err != nil {
			return err
		}
	}
	return nil
}

// localError is the root mean square of the error's estimate over the tolerance.
func (s *flow[T]) localError(next []float64, h float64) float64 {
	sum := 0.0
	for i := range next {
		e := 0.0
		for st, c := range dopri.E {
			e += c * s.k[st][i]
		}
		e *= h / (s.AbsTol + s.RelTol*max(math.Abs(s.y[i]), math.Abs(next[i])))
		sum += e * e
	}
	return math.Sqrt(sum / float64(len(next)))
}

// first is the first step: Hairer, Nørsett & Wanner, Solving Ordinary Differential
// Equations I, section II.4. It costs an evaluation.
func (s *flow[T]) first() (float64, error) {
	whole := 1 - s.Eps
	size := func(v func(i int) float64) float64 {
		sum := 0.0
		for i := range s.y {
			e := v(i) / (s.AbsTol + s.RelTol*math.Abs(s.y[i]))
			sum += e * e
		}
		return math.Sqrt(sum / float64(len(s.y)))
	}
	d0, d1 := size(func(i int) float64 { return s.y[i] }), size(func(i int) float64 { return s.k[0][i] })
	h0 := 1e-6
	if d0 >= 1e-5 && d1 >= 1e-5 {
		h0 = 0.01 * d0 / d1
	}
	h0 = min(h0, whole)
	trial := make([]float64, len(s.y))
	for i := range trial {
		trial[i] = s.y[i] - h0*s.k[0][i]
	}
	if err := s.slope(s.k[1], trial, 1-h0); err != nil {
		return 0, err
	}
	d2 := size(func(i int) float64 { return s.k[1][i] - s.k[0][i] }) / h0
	h1 := max(1e-6, h0*1e-3)
	if d1 > 1e-15 || d2 > 1e-15 {
		h1 = math.Pow(0.01/max(d1, d2), 1./5)
	}
	return min(100*h0, h1, whole), nil
}
