package ems

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
)

// FromModel estimates where there are no data: from n samples of d numbers that the
// model itself draws, with the grid's steps of DPM-Solver++(2M), between the ends of
// the grid. A model with a label for every sample needs n of them. The schedule is
// the grid's.
func (e Estimator) FromModel(ctx context.Context, g diffusion.Grid, n, d, m int) (*diffusion.Statistics, error) {
	if e.Model == nil {
		return nil, fmt.Errorf("ems: no model")
	}
	x, err := diffusion.Start[float64](g, n, d, diffusion.Seeded(e.Seed))
	if err != nil {
		return nil, err
	}
	s, err := diffusion.Solve(ctx, diffusion.Problem[float64]{Model: e.Model, Grid: g, X: x, N: n}, diffusion.DPMSolver{})
	if err != nil {
		return nil, fmt.Errorf("ems: drawing data: %w", err)
	}
	start, end := g.Start, g.End
	if start == 0 && end == 0 {
		end, start = g.Schedule.Range()
	}
	e.Schedule = g.Schedule
	return e.Estimate(ctx, s.X, n, start, end, m)
}
