package mixer

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/internal/gemm"
)

// Of says which parameters of the network a gradient is of.
type Of uint8

const (
	Nothing   Of = iota // the images alone
	Embedding           // the embedding of a label
	Weights             // all weights, in the order of the file
)

// A Differentiable is the network with labels bound, as a velocity prediction with
// its gradient. It is safe for concurrent use.
type Differentiable struct {
	d      *Denoiser
	labels []int
	of     Of
	label  int // of Embedding; −1: that of no label
}

var _ adjoint.Recorder[float32] = (*Differentiable)(nil)

// Differentiable binds labels, as in Velocity. The gradient is of the images and of
// what of names; label is the label whose embedding that is.
func (d *Denoiser) Differentiable(labels []int, of Of, label int) (*Differentiable, error) {
	if label < -1 || label >= d.recipe.Shape.Classes {
		return nil, fmt.Errorf("mixer: label %d: must be 0 to %d, or -1 for none", label, d.recipe.Shape.Classes-1)
	}
	return &Differentiable{d, slices.Clone(labels), of, label}, nil
}

// row is where the embedding of a label lies in all weights.
func (d *Denoiser) row(label int) (from, to int) {
	s := d.recipe.Shape
	if label < 0 {
		label = s.Classes
	}
	for _, p := range s.layout() {
		if p.Name == "labels" {
			return from + label*s.Width, from + (label+1)*s.Width
		}
		from += p.Len()
	}
	panic("mixer: the layout has no labels")
}

// Embedding is the embedding of a label, −1 for that of none.
func (d *Denoiser) Embedding(label int) []float32 {
	from, to := d.row(label)
	return slices.Clone(d.weights[from:to])
}

// WithEmbedding is the network with another embedding for a label.
func (d *Denoiser) WithEmbedding(label int, e []float32) (*Denoiser, error) {
	from, to := d.row(label)
	if len(e) != to-from {
		return nil, fmt.Errorf("mixer: an embedding of %d numbers: want %d", len(e), to-from)
	}
	w := slices.Clone(d.weights)
	copy(w[from:to], e)
	return newDenoiser(d.recipe, w), nil
}

// Predicts is Velocity.
func (f *Differentiable) Predicts() diffusion.Prediction { return diffusion.Velocity }

// Denoise evaluates the network.
func (f *Differentiable) Denoise(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) error {
	return f.d.Velocity(ctx, dst, x, n, at, f.labels)
}

// Params counts the parameters.
func (f *Differentiable) Params() int {
	switch f.of {
	case Embedding:
		return f.d.recipe.Shape.Width
	case Weights:
		return len(f.d.weights)
	}
	return 0
}

// A passed is a network that knows its input, and has room for the way back.
type passed struct {
	net     *network
	scratch *scratch
	grad    []float32 // of the parameters
	g       *parameters
}

// room takes a passed for n images.
func (f *Differentiable) room(n int) *passed {
	if p, ok := f.d.kept[n].Get().(*passed); ok {
		return p
	}
	net := f.d.recipe.Shape.newNetwork(n, true)
	return &passed{net: net, scratch: net.newScratch()}
}

// VJP runs the network and goes back.
func (f *Differentiable) VJP(ctx context.Context, gx, x, a []float32, n int, at []diffusion.Level, params []float64, weight float64) error {
	runs, err := f.forward(ctx, nil, x, n, at)
	if err != nil {
		return err
	}
	return f.back(ctx, runs, gx, a, n, params, weight)
}

// Record runs the network and keeps what the way back needs.
func (f *Differentiable) Record(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) (adjoint.Pull[float32], int, error) {
	runs, err := f.forward(ctx, dst, x, n, at)
	if err != nil {
		return nil, 0, err
	}
	numbers := 0
	for _, r := range runs {
		numbers += r.net.numbers()
	}
	return func(ctx context.Context, gx, a []float32, params []float64, weight float64) error {
		return f.back(ctx, runs, gx, a, n, params, weight)
	}, numbers, nil
}

// numbers is how many the network keeps.
func (n *network) numbers() int {
	k := len(n.x) + len(n.time) + len(n.pre[0]) + len(n.pre[1]) + len(n.hid) + len(n.c) + len(n.h) + len(n.out)
	for _, m := range n.norms {
		k += len(m.h) + len(m.u) + len(m.inverse) + len(m.scale) + len(m.shift)
	}
	for _, g := range n.gates {
		k += len(g.ab) + len(g.y)
	}
	return k
}

// forward runs the network and writes its velocity to dst, unless that is nil.
func (f *Differentiable) forward(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) ([]*passed, error) {
	if dst == nil {
		dst = x[:len(x):len(x)] // only for its length
	} else if len(dst) != len(x) {
		return nil, fmt.Errorf("mixer: %d numbers for the result of %d", len(dst), len(x))
	}
	if err := f.d.recipe.Shape.checkCall(dst, x, n, at, f.labels); err != nil {
		return nil, err
	}
	s := f.d.recipe.Shape
	area := s.Size * s.Size
	runs := make([]*passed, (n+shard-1)/shard)
	write := len(x) > 0 && &dst[0] != &x[0]
	each(len(runs), func(k int) {
		if ctx.Err() != nil {
			return
		}
		i := k * shard
		r := f.room(min(shard, n-i))
		r.net.load(x[i*area:], some(at, i), some(f.labels, i))
		r.net.forward(f.d.p)
		if write {
			for j := range r.net.n {
				s.paste(dst[(i+j)*area:][:area], r.net.out, j, r.net.n)
			}
		}
		runs[k] = r
	})
	return runs, ctx.Err()
}

// back goes back through networks that know their input, and returns their room.
func (f *Differentiable) back(ctx context.Context, runs []*passed, gx, a []float32, n int, params []float64, weight float64) error {
	s := f.d.recipe.Shape
	area := s.Size * s.Size
	switch {
	case len(gx) != n*area || len(a) != n*area:
		return fmt.Errorf("mixer: gradients of %d and %d numbers: want %d", len(gx), len(a), n*area)
	case params != nil && len(params) != f.Params():
		return fmt.Errorf("mixer: a gradient of %d parameters: want %d", len(params), f.Params())
	}
	each(len(runs), func(k int) {
		if ctx.Err() == nil {
			f.backOne(runs[k], gx[k*shard*area:], a[k*shard*area:], params != nil)
		}
	})
	for _, r := range runs {
		if params != nil {
			part := r.grad
			if f.of == Embedding {
				row := f.label
				if row < 0 {
					row = s.Classes
				}
				part = r.g.label[row*s.Width:][:s.Width]
			}
			for i := range params {
				params[i] += weight * float64(part[i])
			}
		}
		f.d.kept[r.net.n].Put(r)
	}
	return ctx.Err()
}

// backOne goes back through one network.
func (f *Differentiable) backOne(r *passed, gx, a []float32, wanted bool) {
	s, net := f.d.recipe.Shape, r.net
	area := s.Size * s.Size
	g := &parameters{blocks: make([]blockParameters, s.Blocks)}
	r.g = g
	switch {
	case wanted && f.of == Weights:
		if r.grad == nil {
			r.grad = make([]float32, len(f.d.weights))
		}
		r.g = s.parameters(r.grad)
		g = r.g
	case wanted && f.of == Embedding:
		g.label = make([]float32, (s.Classes+1)*s.Width)
	}
	out := make([]float32, len(net.out))
	for j := range net.n {
		s.cut(out, a[j*area:][:area], j, net.n)
	}
	net.backward(f.d.p, g, out, r.scratch)
	gemm.Mul(out, matrix(r.scratch.h, s.tokens()*net.n, s.Width), transpose(f.d.p.patch, s.Width, s.pixels()), false)
	for j := range net.n {
		s.paste(gx[j*area:][:area], out, j, net.n)
	}
}
