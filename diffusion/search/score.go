package search

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
)

// A Scorer scores schedules by how far their samples are from the truth: the root
// mean square of the difference, from the same start states. It is safe for
// concurrent use if the model is.
type Scorer[T diffusion.Float] struct {
	Model      diffusion.Denoiser[T]
	Noise      diffusion.Schedule
	X, Truth   []T // start states and where they should end, row by row
	N          int
	Statistics *diffusion.Statistics // for steps in v3 form
	Average    []float64             // the mean of the data, for schedules that guess it
	Hook       diffusion.Hook[T]
}

// Score is the error of a schedule. One that diverges, or that cannot be traced on
// the noise schedule (statistics too coarse for its steps), has the score +Inf.
func (sc Scorer[T]) Score(ctx context.Context, s Schedule) (float64, error) {
	if len(sc.Truth) != len(sc.X) || len(sc.X) == 0 {
		return 0, fmt.Errorf("search: %d numbers of truth for %d of start states: want as many", len(sc.Truth), len(sc.X))
	}
	if s.First == diffusion.FirstAverage {
		s = sc.Finish(s)
	}
	tp, err := diffusion.Trace(diffusion.USF{Schedule: s, Statistics: sc.Statistics}, diffusion.Grid{Schedule: sc.Noise},
		diffusion.TraceOptions{Predicts: sc.Model.Predicts(), Hook: sc.Hook != nil})
	if err != nil {
		return math.Inf(1), nil
	}
	out, err := diffusion.Run(ctx, tp, diffusion.Env[T]{Model: sc.Model, Hook: sc.Hook}, sc.N, sc.X)
	if diverged := (*diffusion.DivergedError)(nil); errors.As(err, &diverged) {
		return math.Inf(1), nil
	}
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, x := range out[0] {
		d := float64(x) - float64(sc.Truth[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(sc.X))), nil
}

// Finish is the schedule as a user of it needs it: with the mean of the data if it is
// guessed, and bound to the noise schedule.
func (sc Scorer[T]) Finish(s Schedule) Schedule {
	c := s.Complete()
	if c.First == diffusion.FirstAverage {
		c.Average = sc.Average
	}
	c.Bind(sc.Noise)
	return c
}
