package diffusion

import (
	"context"
	"errors"
	"fmt"
)

// A Pair is two neighbouring states at the noisy end of a grid: what a clean sample
// is walked back to by BDIA, and what it is made from again.
type Pair[T Float] struct {
	Noise []T // z_0, the state at the grid's start
	Next  []T // z_1, one step towards the data
}

// InvertClean walks N clean samples, p.X, to noise, the opposite way of p.Grid, which
// is the grid of sampling. The first step is DDIM inversion (the solver's own step)
// with the model asked at the clean state's level; all others are steps of m solved
// for their oldest state. [FromPair] with the same model goes back to p.X but for
// rounding; with another label or prompt it edits. OnStep sees every state.
//
// The cost is one evaluation a step. γ below 1 inflates the noise: its mean square,
// 1 for a sampler's own, is worth a look.
func InvertClean[T Float](ctx context.Context, p Problem[T], m BDIA, a Accuracy) (pair Pair[T], err error) {
	if a.Unit == 0 {
		a.Unit = Unit[T]()
	}
	first, walk, err := m.inverseWalk(p.Grid, p.options(), a)
	if err != nil {
		return pair, err
	}
	steps := first.Steps() + walk.Steps()
	env := p.env()
	env.OnStep = p.numbered(0, steps)
	prev, err := Run(ctx, first, env, p.N, p.X)
	if err != nil {
		return pair, err
	}
	env.OnStep = p.numbered(1, steps)
	out, err := Run(ctx, walk, env, p.N, p.X, prev[0])
	if err != nil {
		return pair, err
	}
	return Pair[T]{out[0], out[1]}, nil
}

// inverseWalk is the way from data to noise: from z_N to z_{N−1}, and from both to
// z_0 and z_1.
func (m BDIA) inverseWalk(g Grid, o TraceOptions, a Accuracy) (first, walk *Tape, err error) {
	tp, err := m.pairTape(g, o)
	if err != nil {
		return nil, nil, err
	}
	if tp, err = tp.WithPair(); err != nil {
		return nil, nil, err
	}
	inv, err := tp.Invert(a)
	if err != nil {
		return nil, nil, err
	}
	if walk, err = inv.WithPair(); err != nil {
		return nil, nil, err
	}
	if first, err = Trace(cleanStep{m}, g, o); err != nil {
		return nil, nil, err
	}
	return first, walk, nil
}

// pairTape is the sampler's tape, on a grid that a pair can be taken from.
func (m BDIA) pairTape(g Grid, o TraceOptions) (*Tape, error) {
	switch {
	case m.ZeroGamma:
		return nil, errors.New("diffusion: gamma = 0: BDIA is not invertible then: gamma must lie in (0, 1]")
	case g.Steps < 2:
		return nil, stepsError("inversion by BDIA", g.Steps, 2)
	case g.ToZero:
		return nil, errors.New("diffusion: a clean sample at σ = 0: the model cannot be asked there: end the grid at σ > 0")
	}
	return Trace(m, g, o)
}

// FromPair samples from a pair at the noisy end: all steps of m but the first.
func FromPair[T Float](ctx context.Context, p Problem[T], m BDIA, pair Pair[T]) (Solution[T], error) {
	if p.Model == nil {
		return Solution[T]{}, errors.New("diffusion: no model")
	}
	tp, err := m.pairTape(p.Grid, p.options())
	if err != nil {
		return Solution[T]{}, err
	}
	if tp, err = tp.Slice(1, tp.Steps()); err != nil {
		return Solution[T]{}, err
	}
	if len(tp.Inputs) != 2 {
		return Solution[T]{}, fmt.Errorf("diffusion: BDIA with Reuse needs more than the pair to go on from: set Backward to Full")
	}
	env := p.env()
	env.OnStep = p.OnStep
	out, err := Run(ctx, tp, env, p.N, pair.Noise, pair.Next)
	if err != nil {
		return Solution[T]{}, err
	}
	return Solution[T]{X: out[0], NFE: tp.NFE(), Passes: tp.NFE() * Passes(p.Model), Tape: tp}, nil
}

func (p Problem[T]) options() TraceOptions {
	o := TraceOptions{Hook: p.Hook != nil}
	if p.Model != nil {
		o.Predicts = p.Model.Predicts()
	}
	return o
}

func (p Problem[T]) env() Env[T] { return Env[T]{Model: p.Model, Noise: p.Noise, Hook: p.Hook} }

// numbered is OnStep for a part of a run of several tapes.
func (p Problem[T]) numbered(from, of int) func(Step[T]) error {
	if p.OnStep == nil {
		return nil
	}
	return func(s Step[T]) error {
		s.Index, s.Of = s.Index+from, of
		return p.OnStep(s)
	}
}

// cleanStep is the step from the clean end of BDIA's grid towards noise.
type cleanStep struct{ m BDIA }

// Spacing is that of the sampler.
func (c cleanStep) Spacing() Spacing { return c.m.Spacing() }

// Trace writes the method down.
func (c cleanStep) Trace(t *Tracer, g Grid) error {
	ls, err := c.m.levels(g)
	if err != nil {
		return err
	}
	n := len(ls) - 1
	x := t.Input()
	t.tape.lattice = c.m.Lattice
	t.Return(t.Step(c.m.base().StepsFrom(t, g, x, ls[n]).To(ls[n-1]), ls[n-1]))
	return nil
}
