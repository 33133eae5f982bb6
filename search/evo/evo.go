// Package evo searches large discrete or mixed spaces by evolution: the best
// candidates so far are crossed and mutated, and the children scored. Where a
// score is dear, a [Predictor] learns to rank candidates, evolution runs on its
// ranks, and only the most promising children are scored.
//
// A search is deterministic for a seed, whatever the number of workers, scores in
// parallel, stops promptly, and resumes from a file.
package evo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
)

// A Search looks for the candidate of the lowest score. T has a JSON form, equal
// for equal candidates, from which it can be read back. Candidates are never
// changed once made.
type Search[T any] struct {
	// Name says what is searched. A state file of another name is refused.
	Name   string
	Start  []T                          // scored first; at least one
	Mutate func(r *rand.Rand, x T) T    // a changed copy
	Cross  func(r *rand.Rand, a, b T) T // a child of both; nil: mutation alone
	// Score is safe for concurrent use. NaN is the worst score. An error ends the search.
	Score func(ctx context.Context, x T) (float64, error)

	Budget int // scores in all, those of Start included
	Seed   uint64
	Screen *Screen[T] // nil: every child is scored

	Parents   int     // children come from this many best candidates; 0: 15
	CrossRate float64 // share of children with two parents; 0: ½, negative: none
	Batch     int     // children made from one state of affairs; 0: 8

	Workers  int               // scores at a time; 0: GOMAXPROCS
	State    string            // file to keep the state in and to resume from; "": none
	Progress func(Progress[T]) // called after every score, from the goroutine of Run
}

// A Screen has children pass a predictor before they are scored: the stages of
// Liu et al. 2024, section 4.
type Screen[T any] struct {
	Predictor Predictor[T]
	Initial   int // scores before the first stage: Start and mutations of it; 0: 100
	Stage     int // scores a stage; 0: 20
	Explore   int // of these, children taken at random; 0: a fifth, negative: none
	// Children are made and ranked for every stage, in Rounds generations; 0: 1000 in 3.
	// More lead evolution to where the predictor is wrong.
	Children, Rounds int
}

// A Predictor learns the order of scores.
type Predictor[T any] interface {
	// Fit learns from scored candidates, the same for equal r.
	Fit(ctx context.Context, r *rand.Rand, known []Scored[T]) error
	// Predict gives numbers that are lower for candidates expected to score lower.
	Predict(xs []T) ([]float64, error)
}

// Scored is a candidate with its score; +Inf is the worst.
type Scored[T any] struct {
	X     T
	Score float64
}

// Progress tells how far a search is.
type Progress[T any] struct {
	Scores, Budget int
	Best           Scored[T]
	// Rank is the rank correlation of the predicted with the true scores of the last
	// stage; NaN before there is one.
	Rank float64
}

// A Result is what a search has found.
type Result[T any] struct {
	Best Scored[T]
	All  []Scored[T] // in the order of scoring
	Rank []float64   // of every stage, as in Progress
}

// After is the best of the first n scores.
func (r Result[T]) After(n int) Scored[T] { return lowest(r.All[:min(n, len(r.All))]) }

func lowest[T any](xs []Scored[T]) Scored[T] {
	return slices.MinFunc(xs, func(a, b Scored[T]) int { return cmp.Compare(a.Score, b.Score) })
}

// Run searches. When ctx is cancelled it keeps the state and gives what it has
// found so far with the error.
func (s Search[T]) Run(ctx context.Context) (Result[T], error) {
	if err := s.check(); err != nil {
		return Result[T]{}, err
	}
	e := &engine[T]{Search: s, known: map[string]bool{}, partial: map[int]float64{}}
	if err := e.load(); err != nil {
		return Result[T]{}, err
	}
	err := e.run(ctx)
	if e := e.save(); err == nil {
		err = e
	}
	r := Result[T]{All: e.scored, Rank: e.ranks}
	if len(e.scored) > 0 {
		r.Best = lowest(e.scored)
		if err == nil && math.IsInf(r.Best.Score, 1) {
			err = fmt.Errorf("evo: none of %d candidates has a finite score", len(e.scored))
		}
	}
	return r, err
}

// check fills in what is 0 and checks the rest.
func (s *Search[T]) check() error {
	setDefault(&s.Parents, 15)
	setDefault(&s.Batch, 8)
	setDefault(&s.Workers, runtime.GOMAXPROCS(0))
	if s.CrossRate == 0 {
		s.CrossRate = .5
	}
	if s.Cross == nil || s.CrossRate < 0 {
		s.CrossRate = 0
	}
	switch {
	case len(s.Start) == 0:
		return errors.New("evo: no candidate to start from")
	case s.Mutate == nil || s.Score == nil:
		return errors.New("evo: mutation and score are needed")
	case s.Budget < 1:
		return fmt.Errorf("evo: budget = %d: at least 1 score is needed", s.Budget)
	case s.Parents < 1 || s.Batch < 1 || s.Workers < 1 || !(s.CrossRate <= 1):
		return fmt.Errorf("evo: %d parents, %d children a batch, %d workers, crossing %g: must be positive, and the last at most 1", s.Parents, s.Batch, s.Workers, s.CrossRate)
	case s.Screen == nil:
		return nil
	}
	screen := *s.Screen
	s.Screen = &screen
	return s.Screen.check()
}

func (c *Screen[T]) check() error {
	setDefault(&c.Initial, 100)
	setDefault(&c.Stage, 20)
	setDefault(&c.Explore, c.Stage/5)
	setDefault(&c.Children, 1000)
	setDefault(&c.Rounds, 3)
	c.Explore = max(c.Explore, 0)
	switch {
	case c.Predictor == nil:
		return errors.New("evo: a screen without a predictor")
	case c.Initial < 1 || c.Stage < 1 || c.Explore > c.Stage || c.Rounds < 1 || c.Children < c.Rounds:
		return fmt.Errorf("evo: a screen of %d initial scores, %d a stage with %d at random, %d children in %d rounds: must be positive, and fit",
			c.Initial, c.Stage, c.Explore, c.Children, c.Rounds)
	}
	return nil
}

func setDefault(p *int, n int) {
	if *p == 0 {
		*p = n
	}
}

// best gives the n candidates of the lowest scores, best first, the older first
// where equal.
func best[T any](known []Scored[T], n int) []Scored[T] {
	sorted := slices.Clone(known)
	slices.SortStableFunc(sorted, func(a, b Scored[T]) int { return cmp.Compare(a.Score, b.Score) })
	return sorted[:min(n, len(sorted))]
}

// parents are the best candidates without their scores.
func parents[T any](known []Scored[T], n int) []T {
	var xs []T
	for _, k := range best(known, n) {
		xs = append(xs, k.X)
	}
	return xs
}

// worst makes NaN the worst score.
func worst(score float64) float64 {
	if math.IsNaN(score) {
		return math.Inf(1)
	}
	return score
}
