package lab

import (
	"context"
	"fmt"
	"maps"
	"math"
)

// A Knob is what a method's user would tune: a learning rate, a clipping norm.
// To compare fairly, every rival's knob is tried at the same number of values.
type Knob struct {
	Name   string
	Lo, Hi float64
	Log    bool // space the values evenly in the logarithm
}

// Values lists n values from Lo to Hi, evenly spaced; the middle for n = 1.
func (k Knob) Values(n int) ([]float64, error) {
	if !(k.Lo < k.Hi) || !finite(k.Lo) || !finite(k.Hi) || k.Log && k.Lo <= 0 {
		return nil, fmt.Errorf("lab: knob %s from %g to %g: must be a finite range (above 0 on a log scale)", k.Name, k.Lo, k.Hi)
	}
	if n < 1 {
		return nil, fmt.Errorf("lab: %d tries of knob %s: must be 1 or more", n, k.Name)
	}
	s := scale{k.Log}
	lo, hi := s.to(k.Lo), s.to(k.Hi)
	xs := make([]float64, n)
	for i := range xs {
		u := 0.5
		if n > 1 {
			u = float64(i) / float64(n-1)
		}
		xs[i] = s.from(lo + u*(hi-lo))
	}
	if n > 1 {
		xs[0], xs[n-1] = k.Lo, k.Hi // free of rounding
	}
	return xs, nil
}

// Tune tries n values of the knob in one cell and returns the outcome with the
// best quality, the first of equals; a diverged try is never the best unless
// all diverge. Two metrics are added to it: the knob's value, under its name,
// and under "<name> at edge" 1 if that is an end of the range, a sign that the
// range is too narrow to be fair, else 0.
func (k Knob) Tune(ctx context.Context, quality Axis, n int, try func(ctx context.Context, x float64) (Outcome, error)) (Outcome, error) {
	xs, err := k.Values(n)
	if err != nil {
		return Outcome{}, err
	}
	var best Outcome
	at := -1
	for i, x := range xs {
		if err := ctx.Err(); err != nil {
			return Outcome{}, err
		}
		o, err := try(ctx, x)
		if err != nil {
			return Outcome{}, fmt.Errorf("%s = %g: %w", k.Name, x, err)
		}
		if at < 0 || quality.Beats(o.Quality, best.Quality) || math.IsNaN(best.Quality) && !math.IsNaN(o.Quality) {
			best, at = o, i
		}
	}
	best.Metrics = maps.Clone(best.Metrics)
	if best.Metrics == nil {
		best.Metrics = map[string]float64{}
	}
	best.Metrics[k.Name] = xs[at]
	best.Metrics[k.Name+" at edge"] = 0
	if n > 1 && (at == 0 || at == n-1) {
		best.Metrics[k.Name+" at edge"] = 1
	}
	return best, nil
}
