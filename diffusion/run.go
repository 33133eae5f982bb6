package diffusion

import (
	"context"
	"errors"
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
)

// Env is what a tape needs to run.
type Env[T Float] struct {
	Model  Denoiser[T]
	Noise  NoiseSource         // for tapes that draw noise
	Hook   Hook[T]             // for tapes traced with one
	OnStep func(Step[T]) error // called after every step; an error stops the run

	// For transposed tapes, see [Tape.Transpose]:
	Params []float64 // the gradient of the model's parameters is added to it; nil: not wanted
	Dots   []float64 // where products go
	// Buffers lends the registers; nil: they are allocated afresh.
	Buffers *Buffers[T]
}

// A Hook changes data predictions in place: n samples of len(x0)/n numbers.
type Hook[T Float] func(x0 []T, n int, at Level) error

// A Step is what OnStep is told.
type Step[T Float] struct {
	Index, Of int   // this step, counted from 0, and how many there are
	Level     Level // reached
	X         []T   // the state; valid only during the call
}

// Run executes a tape for n samples. The inputs are read, never written; the
// outputs are fresh. Cancelling ctx stops before the next evaluation.
func Run[T Float](ctx context.Context, tp *Tape, e Env[T], n int, inputs ...[]T) (outputs [][]T, err error) {
	size, err := checkRun(tp, e, n, inputs)
	if err != nil {
		return nil, err
	}
	x := &executor[T]{tp: tp, env: e, n: n, buf: make([][]T, tp.slots)}
	for i := range x.buf {
		x.buf[i] = e.Buffers.Get(size)
	}
	if tp.lattice > 0 {
		x.states = tp.states()
	}
	for i, r := range tp.Inputs {
		copy(x.reg(r), inputs[i])
		if tp.lattice > 0 {
			x.toLattice(x.reg(r))
		}
	}
	for _, r := range tp.ones {
		for i, one := 0, x.reg(r); i < size; i++ {
			one[i] = 1
		}
	}
	if err := x.run(ctx); err != nil {
		return nil, err
	}
	for _, r := range tp.Outputs {
		outputs = append(outputs, x.reg(r))
	}
	x.giveBack()
	return outputs, nil
}

// giveBack returns the buffers that hold no output.
func (x *executor[T]) giveBack() {
	if x.env.Buffers == nil {
		return
	}
	given := make([]bool, len(x.buf))
	for _, r := range x.tp.Outputs {
		given[x.tp.slot[r]] = true
	}
	for i, b := range x.buf {
		if !given[i] {
			x.env.Buffers.Put(b)
		}
	}
}

func checkRun[T Float](tp *Tape, e Env[T], n int, inputs [][]T) (size int, err error) {
	switch {
	case e.Model == nil && tp.NFE() > 0:
		return 0, errors.New("diffusion: no model")
	case e.Model != nil && e.Model.Predicts() != tp.Predicts:
		return 0, fmt.Errorf("diffusion: the model predicts %v, but the tape was traced for %v", e.Model.Predicts(), tp.Predicts)
	case n < 1:
		return 0, fmt.Errorf("diffusion: %d samples: at least 1 is needed", n)
	case len(inputs) != len(tp.Inputs):
		return 0, fmt.Errorf("diffusion: %d inputs: the tape takes %d", len(inputs), len(tp.Inputs))
	case e.Model == nil && tp.VJPs() > 0:
		return 0, errors.New("diffusion: no model")
	case len(e.Dots) != tp.count(OpDot):
		return 0, fmt.Errorf("diffusion: room for %d products: the tape gives %d", len(e.Dots), tp.count(OpDot))
	case e.Noise == nil && tp.has(OpDraw):
		return 0, errors.New("diffusion: the method is stochastic: it needs a noise source")
	case e.Hook == nil && tp.has(OpHook):
		return 0, errors.New("diffusion: the tape was traced with a hook: it needs one")
	}
	if err := checkParts(tp, e.Model); err != nil {
		return 0, err
	}
	for i, in := range inputs {
		if i == 0 {
			size = len(in)
		}
		if len(in) != size || size == 0 || size%n != 0 {
			return 0, fmt.Errorf("diffusion: input %d has %d numbers: want %d samples of equal size, alike for all inputs", i, len(in), n)
		}
	}
	switch {
	case tp.width == 0:
	case tp.axis == Samples && tp.width != n:
		return 0, fmt.Errorf("diffusion: %d samples: the tape is stacked for %d", n, tp.width)
	case tp.axis == Coordinates && tp.width != size/n:
		return 0, fmt.Errorf("diffusion: samples of %d numbers: the tape is stacked for %d", size/n, tp.width)
	}
	return size, nil
}

// A DivergedError says that the model gave NaN or an infinity.
type DivergedError struct {
	Step   int // counted from 1
	T      float64
	Value  float64
	Sample int
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("diffusion: step %d, t = %g: the model gives %v for sample %d", e.Step, e.T, e.Value, e.Sample)
}

// An executor runs one tape once.
type executor[T Float] struct {
	tp    *Tape
	env   Env[T]
	n     int
	buf   [][]T
	level [1]Level
	draw  []float64
	cs    []T // operands of the Comb at hand
	xs    [][]T
	css   [][]T // its coefficients in a stacked tape

	states []bool // of a tape on a lattice: the registers of states
}

func (x *executor[T]) reg(r Reg) []T { return x.buf[x.tp.slot[r]] }

func (x *executor[T]) run(ctx context.Context) error {
	step := 0
	for pc := range x.tp.Code {
		if err := x.showSteps(&step, pc); err != nil {
			return err
		}
		in := &x.tp.Code[pc]
		dst := x.reg(in.Dst)
		switch in.Op {
		case OpComb:
			if x.states != nil && x.states[in.Dst] {
				if err := x.latticeComb(dst, in); err != nil {
					return err
				}
				continue
			}
			x.comb(dst, in)
		case OpEval:
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := denoisePart(ctx, x.env.Model, in.Part, dst, x.reg(in.Src), x.n, x.levels(in)); err != nil {
				return fmt.Errorf("diffusion: step %d, t = %g: %w", step+1, in.Level.T, err)
			}
			if i := kern.NotFinite(dst); i >= 0 {
				return &DivergedError{Step: step + 1, T: in.Level.T, Value: float64(dst[i]), Sample: i / (len(dst) / x.n)}
			}
		case OpVJP:
			if err := x.vjp(ctx, dst, in); err != nil {
				return err
			}
		case OpDot:
			x.dot(in)
		case OpDraw:
			if err := x.fill(dst, in.Draw); err != nil {
				return fmt.Errorf("diffusion: step %d: %w", step+1, err)
			}
		case OpHook:
			copy(dst, x.reg(in.Src))
			if err := x.env.Hook(dst, x.n, in.Level); err != nil {
				return fmt.Errorf("diffusion: step %d: %w", step+1, err)
			}
		case OpLangevin:
			if err := x.langevin(dst, in); err != nil {
				return fmt.Errorf("diffusion: step %d: %w", step+1, err)
			}
		}
	}
	return x.showSteps(&step, len(x.tp.Code))
}

// levels are those of an instruction.
func (x *executor[T]) levels(in *Instr) []Level {
	if in.Levels != nil {
		return in.Levels
	}
	x.level[0] = in.Level
	return x.level[:]
}

// showSteps tells OnStep of the steps that are over at pc.
func (x *executor[T]) showSteps(step *int, pc int) error {
	for *step < len(x.tp.Marks) && x.tp.Marks[*step].PC == pc {
		m := x.tp.Marks[*step]
		if x.env.OnStep != nil {
			if err := x.env.OnStep(Step[T]{*step, len(x.tp.Marks), m.Level, x.reg(m.X)}); err != nil {
				return err
			}
		}
		*step++
	}
	return nil
}

func (x *executor[T]) comb(dst []T, in *Instr) {
	x.cs, x.xs = x.cs[:0], x.xs[:0]
	for _, t := range in.Terms {
		x.cs, x.xs = append(x.cs, T(t.C)), append(x.xs, x.reg(t.R))
	}
	if in.Cs == nil {
		kern.Comb(dst, x.cs, x.xs)
		return
	}
	for len(x.css) < len(in.Cs) {
		x.css = append(x.css, make([]T, x.tp.width))
	}
	css := x.css[:len(in.Cs)]
	for j, cs := range in.Cs {
		for i, c := range cs {
			css[j][i] = T(c)
		}
	}
	if x.tp.axis == Samples {
		kern.CombRows(dst, css, x.xs)
	} else {
		kern.CombCols(dst, css, x.xs)
	}
}

// fill draws noise sample by sample, so that a sample's noise does not depend
// on the size of the batch.
func (x *executor[T]) fill(dst []T, draw int) error {
	return fillNormal(dst, x.n, draw, x.env.Noise, &x.draw)
}

func fillNormal[T Float](dst []T, n, draw int, src NoiseSource, scratch *[]float64) error {
	d := len(dst) / n
	if len(*scratch) != d {
		*scratch = make([]float64, d)
	}
	for i := range n {
		if err := src.Normal(*scratch, draw, i); err != nil {
			return err
		}
		for j, z := range *scratch {
			dst[i*d+j] = T(z)
		}
	}
	return nil
}
