package diffusion

import (
	"context"
	"errors"
	"fmt"
)

// SolveFrom is [Solve] with a start time of its own for every sample: the grid is
// laid from each of starts, and the tapes are stacked. The grid's Start plays no
// part; its End must be given.
func SolveFrom[T Float](ctx context.Context, p Problem[T], m Method, starts []float64) (Solution[T], error) {
	var none Solution[T]
	switch {
	case p.Model == nil:
		return none, errors.New("diffusion: no model")
	case m == nil:
		return none, errors.New("diffusion: no method")
	case len(starts) != p.N:
		return none, fmt.Errorf("diffusion: %d start times for %d samples: must be as many", len(starts), p.N)
	case p.N < 1:
		return none, fmt.Errorf("diffusion: %d samples: at least 1 is needed", p.N)
	}
	traced := map[float64]*Tape{} // chains often stand at equal levels
	tapes := make([]*Tape, len(starts))
	for i, start := range starts {
		tp := traced[start]
		if tp == nil {
			g := p.Grid
			g.Start = start
			var err error
			if tp, err = Trace(m, g, TraceOptions{Predicts: p.Model.Predicts(), Hook: p.Hook != nil}); err != nil {
				return none, fmt.Errorf("%w (sample %d)", err, i)
			}
			traced[start] = tp
		}
		tapes[i] = tp
	}
	if tapes[0].width > 0 {
		return none, fmt.Errorf("diffusion: %T has coefficients along coordinates: samples cannot start at times of their own", m)
	}
	tp, err := Stack(Samples, tapes)
	if err != nil {
		return none, err
	}
	out, err := Run(ctx, tp, Env[T]{Model: p.Model, Noise: p.Noise, Hook: p.Hook, OnStep: p.OnStep}, p.N, p.X)
	if err != nil {
		return none, err
	}
	nfe := tp.NFE()
	return Solution[T]{X: out[0], NFE: nfe, Passes: nfe * Passes(p.Model), Tape: tp}, nil
}
