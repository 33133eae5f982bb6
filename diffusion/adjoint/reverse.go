package adjoint

import (
	"context"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
)

// withoutStates keeps nothing but the start: the states are integrated back beside
// the gradient.
func (p *pass[T, A]) withoutStates(ctx context.Context, start live[T]) error {
	at := start
	for k := range p.steps {
		var keep map[diffusion.Reg]int
		if p.inverse != nil && k == p.steps-1 { // it starts from the last two states
			keep = map[diffusion.Reg]int{p.state(k): k}
		}
		next, err := p.forward(ctx, k, k+1, at, keep)
		if err != nil {
			return err
		}
		if k > 0 {
			p.free(at)
		}
		at = next
	}
	if err := p.end(at); err != nil {
		return err
	}
	x, err := p.goBack(ctx, p.g.X)
	if err != nil {
		return err
	}
	return p.mismatch(x)
}

// mismatch compares the state that the way back ends at with the start.
func (p *pass[T, A]) mismatch(x []T) error {
	var off, norm float64
	for i, v := range p.p.X {
		d := float64(x[i]) - float64(v)
		off += d * d
		norm += float64(v) * float64(v)
	}
	p.g.Mismatch = math.Sqrt(off / norm)
	if !(p.g.Mismatch <= p.o.Tolerance) {
		return &MismatchError{p.g.Mismatch, p.o.Tolerance}
	}
	return nil
}

// goBack undoes all steps from the final state and returns the start that it finds.
func (p *pass[T, A]) goBack(ctx context.Context, x []T) ([]T, error) {
	switch {
	case p.o.Mode == Continuous:
		return p.augmented(ctx, x)
	case p.inverse != nil:
		return p.retrace(ctx, x)
	}
	regs := [][]T{x}
	for j := range p.steps {
		slice, err := p.reverse.Slice(j, j+1)
		if err != nil {
			return nil, err
		}
		mark := slice.Marks[0].X
		outs := len(slice.Outputs)
		slice = slice.Keep(mark)
		values, err := diffusion.Run(ctx, slice, diffusion.Env[T]{Model: p.model, Buffers: &p.buffers}, p.n, regs...)
		if err != nil {
			return nil, atStep(err, p.steps-1-j)
		}
		p.nfe += slice.NFE()
		if j > 0 {
			p.freeAll(regs)
		}
		regs, x = values[:outs], values[outs]
		k := p.steps - 1 - j
		if err := p.undoKept(ctx, k, map[diffusion.Reg][]T{p.state(k): x}); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// retrace undoes all steps from the last two states by the inverse, whose step j finds
// the state before the step that it undoes.
func (p *pass[T, A]) retrace(ctx context.Context, end []T) ([]T, error) {
	last := p.state(p.steps - 1)
	x := p.values[last]
	delete(p.values, last)
	regs := [][]T{end, x}
	for k := p.steps - 1; ; k-- {
		if err := p.undoKept(ctx, k, map[diffusion.Reg][]T{p.state(k): x}); err != nil || k == 0 {
			return x, err
		}
		slice, err := p.inverse.Slice(p.steps-1-k, p.steps-k)
		if err != nil {
			return nil, err
		}
		outs := len(slice.Outputs)
		slice = slice.Keep(slice.Marks[0].X)
		values, err := diffusion.Run(ctx, slice, diffusion.Env[T]{Model: p.model, Buffers: &p.buffers}, p.n, regs...)
		if err != nil {
			return nil, atStep(err, k)
		}
		p.nfe += slice.NFE()
		p.freeAll(slices.DeleteFunc(regs, func(r []T) bool { return same(r, p.g.X) }))
		regs, x = values[:outs], values[outs]
	}
}

// augmented integrates state and gradient together. The tapes of the intervals give
// the state behind the gradient.
func (p *pass[T, A]) augmented(ctx context.Context, end []T) ([]T, error) {
	x, own := p.side.state(end)
	for k := p.steps - 1; k >= 0; k-- {
		b, err := p.backStep(k)
		if err != nil {
			return nil, err
		}
		if err := p.undo(ctx, k, &b, [][]A{x}); err != nil {
			return nil, err
		}
		if own {
			p.side.buffers.Put(x)
		}
		x, p.cot, own = p.cot[1], p.cot[:1], true
	}
	return p.side.narrow(x), nil
}
