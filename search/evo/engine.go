package evo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/assay-lab/assay/internal/rng"
)

// An engine runs one search.
type engine[T any] struct {
	Search[T]
	scored  []Scored[T]     // of whole batches
	known   map[string]bool // the keys of scored
	partial map[int]float64 // scores of the batch at hand, by child
	ranks   []float64
	best    Scored[T]
	saved   time.Time
}

// run scores batch after batch. What a batch is made of depends on the seed and on
// all scores before it, so a search resumes by making the batch at hand again.
func (e *engine[T]) run(ctx context.Context) error {
	for len(e.scored) < e.Budget {
		b := &brood[T]{engine: e, r: rng.Stream(e.Seed, uint64(len(e.scored))), made: map[string]bool{}}
		predicted, err := b.fill(ctx)
		if err != nil {
			return err
		}
		if len(b.xs) == 0 {
			return fmt.Errorf("evo: no new candidate after %d scores: the space is exhausted", len(e.scored))
		}
		xs := b.xs[:min(len(b.xs), e.Budget-len(e.scored))]
		scores, err := e.score(ctx, xs)
		if err != nil {
			return err
		}
		if predicted != nil {
			e.ranks = append(e.ranks, RankCorrelation(predicted[:len(scores)], scores))
		}
		if err := e.take(xs, scores); err != nil {
			return err
		}
		clear(e.partial)
	}
	return nil
}

// take adds a batch to what is scored.
func (e *engine[T]) take(xs []T, scores []float64) error {
	for i, x := range xs {
		k, err := key(x)
		if err != nil {
			return err
		}
		e.known[k] = true
		e.scored = append(e.scored, Scored[T]{x, scores[i]})
	}
	e.best = lowest(e.scored)
	return nil
}

func key[T any](x T) (string, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return "", fmt.Errorf("evo: a candidate has no JSON form: %w", err)
	}
	return string(b), nil
}

// score scores those of a batch that partial lacks, in parallel.
func (e *engine[T]) score(ctx context.Context, xs []T) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type result struct {
		i     int
		score float64
	}
	todo, results := make(chan int), make(chan result)
	var jobs []int
	for i := range xs {
		if _, ok := e.partial[i]; !ok {
			jobs = append(jobs, i)
		}
	}
	var workers sync.WaitGroup
	for range min(e.Workers, len(jobs)) {
		workers.Go(func() {
			for i := range todo {
				score, err := e.Score(ctx, xs[i])
				if err != nil {
					cancel(err)
					return
				}
				results <- result{i, worst(score)}
			}
		})
	}
	go func() {
		defer func() { close(todo); workers.Wait(); close(results) }()
		for _, i := range jobs {
			select {
			case todo <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	var failed error
	for r := range results {
		e.partial[r.i] = r.score
		e.tell(xs[r.i], r.score)
		if failed = e.saveNowAndThen(); failed != nil {
			cancel(failed)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	scores := make([]float64, len(xs))
	for i := range scores {
		scores[i] = e.partial[i]
	}
	return scores, nil
}

// tell reports a new score.
func (e *engine[T]) tell(x T, score float64) {
	first := len(e.scored)+len(e.partial) == 1
	if first || score < e.best.Score {
		e.best = Scored[T]{x, score}
	}
	if e.Progress == nil {
		return
	}
	p := Progress[T]{Scores: len(e.scored) + len(e.partial), Budget: e.Budget, Best: e.best, Rank: math.NaN()}
	if k := len(e.ranks); k > 0 {
		p.Rank = e.ranks[k-1]
	}
	e.Progress(p)
}

// A brood is a batch in the making.
type brood[T any] struct {
	*engine[T]
	r    *rand.Rand
	made map[string]bool // keys of the children that were made
	xs   []T
}

// fill makes the batch, and gives predicted scores if it comes from a screen.
func (b *brood[T]) fill(ctx context.Context) (predicted []float64, err error) {
	switch done := len(b.scored); {
	case done == 0:
		for _, x := range b.Start {
			if ok, err := b.isNew(x); err != nil {
				return nil, err
			} else if ok {
				b.xs = append(b.xs, x)
			}
		}
		return nil, nil
	case b.Screen == nil:
		b.xs, err = b.breed(parents(b.scored, b.Parents), b.CrossRate, b.Batch)
		return nil, err
	case done < b.Screen.Initial:
		b.xs, err = b.breed(b.Start, 0, b.Screen.Initial-done)
		return nil, err
	}
	return b.screen(ctx)
}

// attempts is how often a child is made that turns out to be known.
const attempts = 20

// breed makes n new children; fewer where new ones are hard to find.
func (b *brood[T]) breed(from []T, crossRate float64, n int) ([]T, error) {
	var xs []T
	any := func() T { return from[b.r.IntN(len(from))] }
	for range n {
		for range attempts {
			x := any()
			if b.r.Float64() < crossRate {
				x = b.Cross(b.r, x, any())
			}
			x = b.Mutate(b.r, x)
			ok, err := b.isNew(x)
			if err != nil {
				return nil, err
			}
			if ok {
				xs = append(xs, x)
				break
			}
		}
	}
	return xs, nil
}

// isNew says whether a candidate was neither scored nor made in this batch.
func (b *brood[T]) isNew(x T) (bool, error) {
	k, err := key(x)
	if err != nil || b.known[k] || b.made[k] {
		return false, err
	}
	b.made[k] = true
	return true, nil
}

// screen evolves on predicted scores and takes the best predicted of all children,
// and some at random.
func (b *brood[T]) screen(ctx context.Context) (predicted []float64, err error) {
	c := b.Screen
	if err := c.Predictor.Fit(ctx, b.r, b.scored); err != nil {
		return nil, fmt.Errorf("evo: predictor: %w", err)
	}
	var pool []Scored[T]
	add := func(xs []T) error {
		predicted, err := c.Predictor.Predict(xs)
		if err != nil {
			return fmt.Errorf("evo: predictor: %w", err)
		}
		for i, x := range xs {
			pool = append(pool, Scored[T]{x, worst(predicted[i])})
		}
		return nil
	}
	if err := add(parents(b.scored, b.Parents)); err != nil {
		return nil, err
	}
	known := len(pool)
	for range c.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		xs, err := b.breed(parents(pool, b.Parents), b.CrossRate, c.Children/c.Rounds)
		if err != nil {
			return nil, err
		}
		if err := add(xs); err != nil {
			return nil, err
		}
	}
	children := pool[known:]
	slices.SortStableFunc(children, func(x, y Scored[T]) int { return cmp.Compare(x.Score, y.Score) })
	rest := children[min(c.Stage-c.Explore, len(children)):]
	b.r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for _, x := range children[:min(c.Stage, len(children))] {
		b.xs, predicted = append(b.xs, x.X), append(predicted, x.Score)
	}
	return predicted, nil
}
