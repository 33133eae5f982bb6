package adjoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// A sweep is one run of a sampler and the way back.
type sweep[T diffusion.Float] struct {
	p        diffusion.Problem[T]
	o        Options
	model    diffusion.VJPDenoiser[T]
	recorder *recorder[T] // of Full, if the model is one
	tape     *diffusion.Tape
	reverse  *diffusion.Tape    // of None with the discrete gradient
	inverse  *diffusion.Inverse // the same, where the sampler can be inverted
	n, size  int
	steps    int
	keep     [][]diffusion.Reg // what every step needs kept
	times    []float64         // of an ODE: of the start, and of the end of every step
	tab      diffusion.Tableau // of the continuous gradient
	wide     bool              // gradients are in float64

	values  map[diffusion.Reg][]T // kept
	buffers diffusion.Buffers[T]
	nfe     int
	told    int // steps that OnStep has heard of
}

// live are values of registers, as a slice takes or gives them.
type live[T diffusion.Float] struct {
	regs   []diffusion.Reg
	values [][]T
}

// a side is how gradients, of element type A, are computed.
type side[T, A diffusion.Float] struct {
	model   diffusion.VJPDenoiser[A]
	state   func(x []T) (a []A, own bool) // x as A; own says that it is an array of its own
	buffers *diffusion.Buffers[A]
	narrow  func(a []A) []T
}

func sameSide[T diffusion.Float](s *sweep[T]) side[T, T] {
	return side[T, T]{s.model, func(x []T) ([]T, bool) { return x, false }, &s.buffers, func(a []T) []T { return a }}
}

func wideSide[T diffusion.Float](s *sweep[T]) side[T, float64] {
	b := &diffusion.Buffers[float64]{}
	return side[T, float64]{
		model:   diffusion.WidenVJP(any(s.model).(diffusion.VJPDenoiser[float32])),
		buffers: b,
		state: func(x []T) ([]float64, bool) {
			a := b.Get(len(x))
			for i, v := range x {
				a[i] = float64(v)
			}
			return a, true
		},
		narrow: func(a []float64) []T {
			x := make([]T, len(a))
			for i, v := range a {
				x[i] = T(v)
			}
			return x
		},
	}
}

// pass is a sweep with its way back in progress.
type pass[T, A diffusion.Float] struct {
	*sweep[T]
	side side[T, A]
	g    *Gradient[T]
	cot  [][]A // gradients of the registers live after the step last undone
	loss Loss[T]
}

// run samples and goes back.
func run[T, A diffusion.Float](ctx context.Context, s *sweep[T], sd side[T, A], loss Loss[T]) (*Gradient[T], error) {
	p := &pass[T, A]{sweep: s, side: sd, g: &Gradient[T]{Tape: s.tape}, loss: loss}
	if k := s.model.Params(); k > 0 {
		p.g.Params = make([]float64, k)
	}
	if s.o.Coefficients {
		p.g.Coefficients = make([][]float64, len(s.tape.Code))
		for i, in := range s.tape.Code {
			if in.Op == diffusion.OpComb {
				p.g.Coefficients[i] = make([]float64, len(in.Terms))
			}
		}
	}
	start := live[T]{s.tape.Inputs, [][]T{s.p.X}}
	var err error
	switch {
	case s.o.Checkpoint == None:
		err = p.withoutStates(ctx, start)
	default:
		err = p.stretch(ctx, 0, s.steps, start)
	}
	var far *MismatchError
	if err != nil && !errors.As(err, &far) {
		return nil, err
	}
	p.g.Start = sd.narrow(p.cot[0])
	p.g.NFE = s.nfe
	var x T
	p.g.Bytes = s.buffers.Numbers() * int(unsafe.Sizeof(x))
	if s.wide {
		p.g.Bytes += sd.buffers.Numbers() * 8
	}
	if s.recorder != nil {
		p.g.Recorded = s.recorder.peak * int(unsafe.Sizeof(x))
	}
	return p.g, err
}

// stretch undoes steps lo to hi, whose start is given, and, at the end of the run,
// asks the loss in between. The caller keeps start.
func (p *pass[T, A]) stretch(ctx context.Context, lo, hi int, start live[T]) error {
	if p.o.Checkpoint != Recursive || hi-lo <= p.o.Parts {
		return p.keeping(ctx, lo, hi, start)
	}
	cuts := make([]int, p.o.Parts+1)
	for i := range cuts {
		cuts[i] = lo + (hi-lo)*i/p.o.Parts
	}
	starts := []live[T]{start}
	for i := 1; i < p.o.Parts; i++ {
		next, err := p.forward(ctx, cuts[i-1], cuts[i], starts[i-1], nil)
		if err != nil {
			return err
		}
		starts = append(starts, next)
	}
	for i := p.o.Parts - 1; i >= 0; i-- {
		if err := p.stretch(ctx, cuts[i], cuts[i+1], starts[i]); err != nil {
			return err
		}
		if i > 0 {
			p.free(starts[i])
		}
	}
	return nil
}

// keeping runs steps lo to hi, keeps what the way back needs, and goes back.
func (p *pass[T, A]) keeping(ctx context.Context, lo, hi int, start live[T]) error {
	keep := map[diffusion.Reg]int{} // the first step that needs a register
	for k := hi - 1; k >= lo; k-- {
		for _, r := range p.keep[k] {
			keep[r] = k
		}
	}
	at := start
	for k := lo; k < hi; k++ {
		if k == hi-1 && hi < p.steps && p.o.Mode == Discrete && p.has(p.keep[k], at) {
			p.put(keep, at)
			break // nobody needs the end of the last step
		}
		next, err := p.forward(ctx, k, k+1, at, keep)
		if err != nil {
			return err
		}
		if k > lo {
			p.free(at)
		}
		at = next
	}
	if hi == p.steps {
		if err := p.end(at); err != nil {
			return err
		}
	} else if !same(at.values[0], start.values[0]) {
		p.free(at)
	}
	for k := hi - 1; k >= lo; k-- {
		if err := p.undoKept(ctx, k, p.values); err != nil {
			return err
		}
		for r, first := range keep {
			if first != k {
				continue
			}
			if x := p.values[r]; !slices.Contains(start.regs, r) && !same(x, p.g.X) {
				p.buffers.Put(x)
			}
			delete(p.values, r)
		}
	}
	return nil
}

// has says whether all registers are among the live ones.
func (p *pass[T, A]) has(regs []diffusion.Reg, at live[T]) bool {
	for _, r := range regs {
		if _, kept := p.values[r]; !kept && !slices.Contains(at.regs, r) {
			return false
		}
	}
	return true
}

// put keeps those registers that the way back needs.
func (s *sweep[T]) put(keep map[diffusion.Reg]int, at live[T]) {
	for i, r := range at.regs {
		if _, ok := keep[r]; ok && s.values[r] == nil {
			s.values[r] = at.values[i]
		}
	}
}

// forward runs steps lo to hi. Registers in keep are put into values.
func (s *sweep[T]) forward(ctx context.Context, lo, hi int, at live[T], keep map[diffusion.Reg]int) (live[T], error) {
	slice, err := s.tape.Slice(lo, hi)
	if err != nil {
		return live[T]{}, err
	}
	s.put(keep, at)
	outs := len(slice.Outputs)
	var inner []diffusion.Reg
	for i := range slice.Code {
		if r := slice.Code[i].Dst; !slices.Contains(slice.Outputs, r) {
			if _, ok := keep[r]; ok {
				inner = append(inner, r)
			}
		}
	}
	if len(inner) > 0 {
		slice = slice.Keep(inner...)
	}
	env := diffusion.Env[T]{Model: s.model, Noise: s.p.Noise, Buffers: &s.buffers}
	if s.recorder != nil {
		s.recorder.begin(lo)
	}
	if s.p.OnStep != nil {
		env.OnStep = func(st diffusion.Step[T]) error {
			st.Index, st.Of = lo+st.Index, s.steps
			if st.Index < s.told { // a step run again
				return nil
			}
			s.told++
			return s.p.OnStep(st)
		}
	}
	values, err := diffusion.Run(ctx, slice, env, s.n, at.values...)
	if err != nil {
		return live[T]{}, atStep(err, lo)
	}
	s.nfe += slice.NFE()
	next := live[T]{slice.Outputs[:outs], values[:outs]}
	s.put(keep, live[T]{slice.Outputs, values})
	return next, nil
}

// free gives back the values that are not kept.
func (s *sweep[T]) free(l live[T]) {
	var xs [][]T
	for i, r := range l.regs {
		if !same(l.values[i], s.values[r]) {
			xs = append(xs, l.values[i])
		}
	}
	s.freeAll(xs)
}

// freeAll gives arrays back, each once.
func (s *sweep[T]) freeAll(xs [][]T) {
	for i, x := range xs {
		if !slices.ContainsFunc(xs[:i], func(y []T) bool { return same(x, y) }) {
			s.buffers.Put(x)
		}
	}
}

// same says whether x and y are one array.
func same[T any](x, y []T) bool { return len(x) > 0 && len(y) > 0 && &x[0] == &y[0] }

// end asks the loss at the final state. Further outputs have no gradient.
func (p *pass[T, A]) end(at live[T]) error {
	p.g.X = at.values[0]
	grad := p.buffers.Get(p.size)
	defer p.buffers.Put(grad)
	var err error
	if p.g.Loss, err = lossGradient(p.loss, p.g.X, p.n, grad); err != nil {
		return err
	}
	for i := range at.regs {
		a := p.side.buffers.Get(p.size)
		clear(a)
		if i == 0 {
			for j, v := range grad {
				a[j] = A(v)
			}
		}
		p.cot = append(p.cot, a)
	}
	return nil
}

// undoKept goes back over step k with states from values.
func (p *pass[T, A]) undoKept(ctx context.Context, k int, values map[diffusion.Reg][]T) error {
	b, err := p.backStep(k)
	if err != nil {
		return err
	}
	states, own, err := p.states(ctx, k, &b, values)
	if err != nil {
		return err
	}
	as := make([][]A, len(states))
	for i, x := range states {
		var fresh bool
		if as[i], fresh = p.side.state(x); fresh {
			defer p.side.buffers.Put(as[i])
		}
	}
	if own {
		defer p.freeAll(states)
	}
	return p.undo(ctx, k, &b, as)
}

// undo goes back over step k with the states that it needs.
func (p *pass[T, A]) undo(ctx context.Context, k int, b *backStep, states [][]A) error {
	env := diffusion.Env[A]{Model: p.side.model, Params: p.g.Params, Buffers: p.side.buffers}
	if n := len(b.coefficients); n > 0 {
		env.Dots = make([]float64, n)
	}
	if p.recorder != nil {
		p.recorder.back(k, b.evals)
	}
	out, err := diffusion.Run(ctx, b.tape, env, p.n, append(slices.Clone(p.cot), states...)...)
	if err != nil {
		return atStep(err, k)
	}
	for _, a := range p.cot {
		p.side.buffers.Put(a)
	}
	p.cot = out
	p.g.VJPs += b.tape.VJPs()
	p.nfe += b.tape.NFE()
	for i, c := range b.coefficients {
		p.g.Coefficients[b.offset+c.Instr][c.Term] += env.Dots[i]
	}
	return p.finite(k)
}

// states are the values that the way back over step k needs; own says that they were
// computed for it.
func (p *pass[T, A]) states(ctx context.Context, k int, b *backStep, values map[diffusion.Reg][]T) (states [][]T, own bool, err error) {
	var kept [][]T
	for _, r := range b.keep {
		if values[r] == nil {
			return nil, false, fmt.Errorf("adjoint: step %d: register %d was not kept", k+1, r)
		}
		kept = append(kept, values[r])
	}
	if b.rerun == nil {
		return kept, false, nil
	}
	env := diffusion.Env[T]{Model: p.model, Noise: p.p.Noise, Buffers: &p.buffers}
	states, err = diffusion.Run(ctx, b.rerun, env, p.n, kept...)
	p.nfe += b.rerun.NFE()
	return states, true, atStep(err, k)
}

// finite checks the gradients before step k.
func (p *pass[T, A]) finite(k int) error {
	for _, a := range p.cot {
		if i := kern.NotFinite(a); i >= 0 {
			return &diffusion.GradientError{Step: k + 1, T: p.tape.Marks[k].Level.T, Value: float64(a[i]), Sample: i / (len(a) / p.n)}
		}
	}
	for _, g := range p.g.Params {
		if math.IsNaN(g) || math.IsInf(g, 0) {
			return fmt.Errorf("adjoint: step %d, t = %g: the gradient of a parameter is %v", k+1, p.tape.Marks[k].Level.T, g)
		}
	}
	return nil
}

// atStep says in which step of the whole run an error arose.
func atStep(err error, k int) error {
	var g *diffusion.GradientError
	var d *diffusion.DivergedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &g):
		g.Step = k + 1
		return g
	case errors.As(err, &d):
		d.Step += k
		return d
	}
	return fmt.Errorf("adjoint: step %d: %w", k+1, err)
}
