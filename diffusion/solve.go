package diffusion

import (
	"context"
	"errors"
	"fmt"
)

// A Problem is what to sample from: a model and the levels to visit.
type Problem[T Float] struct {
	Model Denoiser[T]
	Grid  Grid
	X     []T // N start states, row by row; [Start] draws them
	N     int

	Noise  NoiseSource         // for stochastic methods
	Hook   Hook[T]             // on data predictions: [DynamicThreshold], [StaticThreshold]
	OnStep func(Step[T]) error // called after every step; an error stops the run
}

// A Solution is N samples and what they cost.
type Solution[T Float] struct {
	X      []T   // row by row
	NFE    int   // evaluations of the model; a guided one counts once, as papers count
	Passes int   // network passes: twice NFE under guidance
	Tape   *Tape // the program that ran
}

// Solve traces the method on the problem's grid and runs it.
func Solve[T Float](ctx context.Context, p Problem[T], m Method) (Solution[T], error) {
	if p.Model == nil {
		return Solution[T]{}, errors.New("diffusion: no model")
	}
	if m == nil {
		return Solution[T]{}, errors.New("diffusion: no method")
	}
	if err := checkReversion(p.Model, p.Grid.Schedule); err != nil {
		return Solution[T]{}, err
	}
	if s, ok := m.(TimeShift); ok {
		r, err := SolveTimeShift(ctx, p, s)
		return r.Solution, err
	}
	tp, err := Trace(m, p.Grid, TraceOptions{Predicts: p.Model.Predicts(), Hook: p.Hook != nil})
	if err != nil {
		return Solution[T]{}, err
	}
	env := Env[T]{Model: p.Model, Noise: p.Noise, Hook: p.Hook, OnStep: p.OnStep}
	out, err := Run(ctx, tp, env, p.N, p.X)
	if err != nil {
		return Solution[T]{}, err
	}
	return Solution[T]{X: out[0], NFE: tp.NFE(), Passes: passesOf(tp, p.Model), Tape: tp}, nil
}

// stepsError is the error of a method that was given too few steps.
func stepsError(name string, got, want int) error {
	return fmt.Errorf("diffusion: %d steps: %s needs at least %d", got, name, want)
}
