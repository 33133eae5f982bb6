package search

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/search/evo"
)

// Evolution is the search of a space from its baselines, ready to run or to be given
// a predictor ([Screen]), a state file and a report of progress.
func (sp Space) Evolution(score func(context.Context, Schedule) (float64, error), budget int, seed uint64) (evo.Search[Schedule], error) {
	start, err := sp.Baselines()
	if err != nil {
		return evo.Search[Schedule]{}, err
	}
	if budget < len(start) {
		return evo.Search[Schedule]{}, fmt.Errorf("search: budget = %d: the %d standard solvers are scored first", budget, len(start))
	}
	return evo.Search[Schedule]{
		Name:   fmt.Sprintf("solver schedules: %+v", sp),
		Start:  start,
		Mutate: sp.Mutate, Cross: sp.Cross, Score: score,
		Budget: budget, Seed: seed,
	}, nil
}

// Screen has a Gaussian process rank the children, by the features of the best
// schedules so far.
func (sp Space) Screen() *evo.Screen[Schedule] {
	return &evo.Screen[Schedule]{Predictor: &evo.GaussianProcess[Schedule]{Encode: sp.Features, Best: 300, Optimism: .5}}
}
