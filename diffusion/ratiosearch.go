package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// RatioSearch finds the ratios of [DCSolver] on a few samples, step by step: the
// ratio before a step minimises the distance of the state after it to a reference,
// the earlier ratios being fixed. The gradient goes through the step's tape and the
// model's Jacobian.
type RatioSearch struct {
	Base        Method  // as in DCSolver
	K           int     // as in DCSolver
	Iterations  int     // of AdamW a step; 0: 40
	Rate        float64 // learning rate; 0: 0.1
	WeightDecay float64 // decoupled; 0: 0.01; negative: none
	// Lo and Hi, if not both 0, bound the ratios.
	Lo, Hi float64
	// Best keeps the best iterate of every step, 1 among them, instead of the last
	// one as the authors' code does.
	Best     bool
	Progress func(step, steps int)
}

// Found is what a search found.
type Found struct {
	Ratios []float64
	Loss   []float64 // mean squared distance to the reference after every step
	Passes int       // evaluations and Jacobian products of the model
}

// Run searches on the problem's samples. reference[i] holds the states that the
// samples should have at the grid's level i, i = 0 to Steps.
func (s RatioSearch) Run(ctx context.Context, p Problem[float64], m Differentiable, reference [][]float64) (Found, error) {
	if s.Iterations == 0 {
		s.Iterations = 40
	}
	if s.Rate == 0 {
		s.Rate = 0.1
	}
	if s.WeightDecay == 0 {
		s.WeightDecay = 0.01
	}
	if s.K == 0 {
		s.K = 2
	}
	if m == nil || s.Iterations < 1 || !(s.Rate > 0) || s.Lo > s.Hi {
		return Found{}, fmt.Errorf("diffusion: ratio search with model %v, %d iterations at rate %g within [%g, %g]: all must be set and make sense", m, s.Iterations, s.Rate, s.Lo, s.Hi)
	}
	if len(reference) != p.Grid.Steps+1 {
		return Found{}, fmt.Errorf("diffusion: reference at %d levels: want %d", len(reference), p.Grid.Steps+1)
	}
	for i, r := range reference {
		if len(r) != len(p.X) {
			return Found{}, fmt.Errorf("diffusion: reference at level %d has %d numbers: want %d", i, len(r), len(p.X))
		}
	}
	f := Found{Ratios: make([]float64, p.Grid.Steps)}
	for i := range f.Ratios {
		f.Ratios[i] = 1
	}
	state := [][]float64{p.X}
	for step := range p.Grid.Steps {
		loss := func(ratio float64) (value, slope float64, next [][]float64, err error) {
			f.Ratios[step] = ratio
			return s.loss(ctx, p, m, &f, step, state, reference[step+1])
		}
		ratio := 1.0
		var err error
		if step >= s.K {
			if ratio, err = s.descend(loss); err != nil {
				return Found{}, err
			}
		}
		value, _, next, err := loss(ratio)
		if err != nil {
			return Found{}, err
		}
		f.Loss = append(f.Loss, value)
		state = next
		if s.Progress != nil {
			s.Progress(step+1, p.Grid.Steps)
		}
	}
	return f, nil
}

// descend is AdamW (Loshchilov & Hutter 2019) on one number, from 1.
func (s RatioSearch) descend(loss func(float64) (float64, float64, [][]float64, error)) (float64, error) {
	const b1, b2, epsilon = 0.9, 0.999, 1e-8
	ratio, m, v := 1.0, 0.0, 0.0
	best, bestLoss := 1.0, math.Inf(1)
	for k := 1; k <= s.Iterations; k++ {
		value, g, _, err := loss(ratio)
		if err != nil {
			return 0, err
		}
		if value < bestLoss {
			best, bestLoss = ratio, value
		}
		ratio -= s.Rate * max(s.WeightDecay, 0) * ratio
		m, v = b1*m+(1-b1)*g, b2*v+(1-b2)*g*g
		ratio -= s.Rate * (m / (1 - math.Pow(b1, float64(k)))) / (math.Sqrt(v/(1-math.Pow(b2, float64(k)))) + epsilon)
		if s.Lo != 0 || s.Hi != 0 {
			ratio = min(max(ratio, s.Lo), s.Hi)
		}
	}
	if s.Best {
		return best, nil
	}
	return ratio, nil
}

// loss makes one step from a checkpoint and gives the mean squared distance to the
// target, its derivative along the step's ratio, and the next checkpoint.
func (s RatioSearch) loss(ctx context.Context, p Problem[float64], m Differentiable, f *Found, step int, state [][]float64, target []float64) (value, slope float64, next [][]float64, err error) {
	tape, slopes, err := s.tape(p.Grid, m.Predicts(), f.Ratios, step)
	if err != nil {
		return 0, 0, nil, err
	}
	out, dots, err := RunTangent(ctx, tape, slopes, m, p.N, state...)
	if err != nil {
		return 0, 0, nil, err
	}
	f.Passes += 2 * tape.NFE()
	at := -1 // the state is among the checkpoint's registers
	for i, r := range tape.Outputs {
		if r == tape.Marks[0].X {
			at = i
		}
	}
	if at < 0 {
		return 0, 0, nil, errors.New("diffusion: the state is not kept after the step")
	}
	for i, x := range out[at] {
		d := x - target[i]
		value += d * d
		slope += 2 * d * dots[at][i]
	}
	n := float64(len(target))
	return value / n, slope / n, out, nil
}

// tape is one step with the derivatives of its coefficients along its ratio. They
// are polynomials of degree K ≤ 2 in it, so a central difference is exact; for K =
// 3 its error is that of a cubic's.
func (s RatioSearch) tape(g Grid, predicts Prediction, ratios []float64, step int) (*Tape, [][]float64, error) {
	delta := 1.0
	if s.K > 2 {
		delta = 1e-4
	}
	at := func(offset float64) (*Tape, error) {
		r := append([]float64(nil), ratios...)
		if step >= s.K {
			r[step] += offset
		}
		tape, err := Trace(keptShape{DCSolver{Base: s.Base, Ratios: r, K: s.K}}, g, TraceOptions{Predicts: predicts})
		if err != nil {
			return nil, err
		}
		return tape.Slice(step, step+1)
	}
	tape, err := at(0)
	if err != nil {
		return nil, nil, err
	}
	up, err := at(delta)
	if err != nil {
		return nil, nil, err
	}
	down, err := at(-delta)
	if err != nil {
		return nil, nil, err
	}
	slopes := make([][]float64, len(tape.Code))
	for i := range tape.Code {
		for j := range tape.Code[i].Terms {
			slopes[i] = append(slopes[i], (up.Code[i].Terms[j].C-down.Code[i].Terms[j].C)/(2*delta))
		}
	}
	return tape, slopes, nil
}

// keptShape traces with every interpolation kept.
type keptShape struct{ DCSolver }

func (m keptShape) Trace(t *Tracer, g Grid) error { return m.trace(t, g, true) }
