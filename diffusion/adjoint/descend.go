package adjoint

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
)

// A Descent lowers a loss of the samples by steps of Adam along its gradient.
type Descent struct {
	Iterations int
	Adam       Adam
	// Clamp bounds how far any number may go from where it starts; 0: not at all. The
	// paper's attacks take 0.1.
	Clamp    float64
	Gradient Options

	// OnIteration is told the loss before iteration i, and, with i = Iterations, the
	// loss that is reached; an error stops the descent.
	OnIteration func(i int, loss float64) error
}

// A Descended is what a descent reached.
type Descended[T diffusion.Float] struct {
	Start     []T       // the start states
	Params    []float64 // of the model, where they were sought
	X         []T       // the samples
	First     []T       // the samples before
	Losses    []float64 // before every iteration, and at the end
	NFE, VJPs int       // of the whole descent
}

func (d *Descent) check() error {
	if d.Iterations < 1 || d.Clamp < 0 || math.IsNaN(d.Clamp) {
		return fmt.Errorf("adjoint: %d iterations, clamped to ±%g: want at least 1 iteration, and no negative bound", d.Iterations, d.Clamp)
	}
	return nil
}

// clamped keeps x within the bound around from.
func (d *Descent) clamped(x, from []float64) {
	if d.Clamp > 0 {
		for i, v := range from {
			x[i] = min(max(x[i], v-d.Clamp), v+d.Clamp)
		}
	}
}

// note adds a gradient to the record.
func (r *Descended[T]) note(d *Descent, i int, g *Gradient[T]) error {
	if i == 0 {
		r.First = slices.Clone(g.X)
	}
	r.X, r.Losses = g.X, append(r.Losses, g.Loss)
	r.NFE, r.VJPs = r.NFE+g.NFE, r.VJPs+g.VJPs
	if d.OnIteration != nil {
		return d.OnIteration(i, g.Loss)
	}
	return nil
}

// DescendStart seeks start states, from the problem's own.
func DescendStart[T diffusion.Float](ctx context.Context, p diffusion.Problem[T], m diffusion.Method, loss Loss[T], d Descent) (*Descended[T], error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	x, grad := make([]float64, len(p.X)), make([]float64, len(p.X))
	for i, v := range p.X {
		x[i] = float64(v)
	}
	from := slices.Clone(x)
	r := &Descended[T]{Start: slices.Clone(p.X)}
	p.X = r.Start
	for i := 0; ; i++ {
		g, err := Solve(ctx, p, m, loss, d.Gradient)
		if err != nil {
			return nil, err
		}
		if err := r.note(&d, i, g); err != nil || i == d.Iterations {
			return r, err
		}
		for j, v := range g.Start {
			grad[j] = float64(v)
		}
		if err := d.Adam.Step(x, grad); err != nil {
			return nil, err
		}
		d.clamped(x, from)
		for j, v := range x {
			r.Start[j] = T(v)
		}
	}
}

// DescendParams seeks parameters of the model, from the given ones; model makes the
// model that has them.
func DescendParams[T diffusion.Float](ctx context.Context, p diffusion.Problem[T], m diffusion.Method, loss Loss[T], params []float64, model func(params []float64) (diffusion.VJPDenoiser[T], error), d Descent) (*Descended[T], error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	r := &Descended[T]{Start: p.X, Params: slices.Clone(params)}
	for i := 0; ; i++ {
		made, err := model(r.Params)
		if err != nil {
			return nil, err
		}
		p.Model = made
		g, err := Solve(ctx, p, m, loss, d.Gradient)
		if err != nil {
			return nil, err
		}
		if err := r.note(&d, i, g); err != nil || i == d.Iterations {
			return r, err
		}
		if len(g.Params) != len(params) {
			return nil, fmt.Errorf("adjoint: the model gives the gradient of %d parameters: %d are sought", len(g.Params), len(params))
		}
		if err := d.Adam.Step(r.Params, g.Params); err != nil {
			return nil, err
		}
		d.clamped(r.Params, params)
	}
}
