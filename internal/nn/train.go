package nn

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/assay-lab/assay/internal/rng"
)

// A Task is a network and what to train it for.
type Task struct {
	// Recipe identifies the task: a checkpoint of another recipe is refused.
	Recipe string
	Layout Layout
	// Gradient writes the gradient at the weights w on the batch of a step, counted
	// from 0, and returns the loss. It must depend on w and step alone, which is
	// what makes training resumable.
	Gradient func(step int, w, grad []float32) (loss float64, err error)
	Steps    int
	Seed     uint64 // of the initial weights
	Adam     Adam
	// EMA is the decay of the moving average of the weights that Train returns.
	EMA float64
}

// Options say how to run a task. They do not change its result.
type Options struct {
	// Checkpoint is a file to keep the state in and to resume from; "": none.
	Checkpoint string
	// Every is the number of steps between checkpoints; 0: 100.
	Every int
	// Progress, if not nil, is called after every step.
	Progress func(Progress)
}

// Progress tells how far training is.
type Progress struct {
	Step, Steps int // steps done, steps in all
	Loss        float64
	Rate        float64       // steps a second, since the start or the last resume
	Remaining   time.Duration // at that rate
}

// Train runs the task and returns the averaged weights. The same task gives the
// same weights on one machine, also when it was interrupted and resumed. A
// cancelled run keeps its state in the checkpoint.
func Train(ctx context.Context, task Task, opt Options) ([]float32, error) {
	if task.Steps < 1 {
		return nil, fmt.Errorf("nn: %d steps: at least 1 is needed", task.Steps)
	}
	if opt.Every == 0 {
		opt.Every = 100
	}
	s, err := start(task, opt.Checkpoint)
	if err != nil {
		return nil, err
	}
	grad := make([]float32, len(s.w))
	begun, from := time.Now(), s.step
	for s.step < task.Steps {
		loss, err := s.advance(task, grad)
		if err != nil {
			return nil, err
		}
		if opt.Progress != nil {
			each := time.Since(begun) / time.Duration(s.step-from)
			opt.Progress(Progress{s.step, task.Steps, loss, 1 / each.Seconds(), each * time.Duration(task.Steps-s.step)})
		}
		stop := ctx.Err()
		if opt.Checkpoint != "" && (stop != nil || s.step%opt.Every == 0 || s.step == task.Steps) {
			if err := s.save(opt.Checkpoint, task); err != nil {
				return nil, err
			}
		}
		if stop != nil && s.step < task.Steps {
			return nil, stop
		}
	}
	return s.ema, nil
}

// start is the state to begin with.
func start(task Task, checkpoint string) (*state, error) {
	if checkpoint != "" {
		s, err := load(checkpoint, task)
		if s != nil || err != nil {
			return s, err
		}
	}
	n := task.Layout.Len()
	w := task.Layout.Init(rng.Stream(task.Seed, 0))
	return &state{w: w, ema: append([]float32(nil), w...), m: make([]float32, n), v: make([]float32, n)}, nil
}

// advance takes one step.
func (s *state) advance(task Task, grad []float32) (loss float64, err error) {
	if loss, err = task.Gradient(s.step, s.w, grad); err != nil {
		return 0, err
	}
	norm := task.Adam.step(s.w, grad, s.m, s.v, s.step, task.Steps)
	if bad := norm + loss; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return 0, fmt.Errorf("nn: step %d: loss %g, gradient norm %g: training diverged", s.step, loss, norm)
	}
	average(s.ema, s.w, task.EMA, s.step)
	s.step++
	return loss, nil
}
