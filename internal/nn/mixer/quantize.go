package mixer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/qgemm"
	"github.com/assay-lab/assay/quant"
)

// A Quantized is a denoiser whose products are of integers. What depends on time
// and label alone is in floating point: the embedding as it was, its projections
// with weights rounded to 8 bits. It is safe for concurrent use.
type Quantized struct {
	Warnings []quant.Warning

	recipe Recipe
	p      *parameters // with the weights that codes stand for
	sites  []Site
	free   [shard + 1]sync.Pool // of *integers, for that many images
}

// A Site is one product: its weights [outputs, inputs] and what they multiply.
type Site struct {
	Name       string
	Rows, Cols int
	Weights    quant.Affine
	Codes      []uint8
	Input      quant.Affine
	weights    *qgemm.Weights
	input      qgemm.Input
	beside     bool // stored [inputs, outputs]
}

// Recipe is what the denoiser was made by.
func (q *Quantized) Recipe() Recipe { return q.recipe }

// Sites are the products, in the order of the network.
func (q *Quantized) Sites() []Site { return q.sites }

// Calibration is what the ranges of activations are found on: n images x [n, Size,
// Size], with levels and labels as [Denoiser.Velocity] takes them.
type Calibration struct {
	X      []float32
	N      int
	At     []diffusion.Level
	Labels []int
	// Progress, if not nil, is called after every batch.
	Progress func(done, of int)
}

// Quantize makes the quantized denoiser. Products of integers need quantized
// inputs: m.Place must be [quant.LayerInputs].
func (d *Denoiser) Quantize(ctx context.Context, m quant.PostTraining, c Calibration) (*Quantized, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if m.Place != quant.LayerInputs || m.Reconstruct != nil {
		return nil, errors.New("mixer: products of integers need LayerInputs, and rounding to nearest")
	}
	s := d.recipe.Shape
	b := m.Batch
	if b == 0 {
		b = 32
	}
	if c.N < b || len(c.X) != c.N*s.Size*s.Size {
		return nil, fmt.Errorf("mixer: calibration on %d samples of %d numbers, fewer than a batch of %d samples of %d", c.N, len(c.X), b, s.Size*s.Size)
	}
	if len(c.At) != 1 && len(c.At) != c.N || len(c.Labels) > 1 && len(c.Labels) != c.N {
		return nil, fmt.Errorf("mixer: %d levels and %d labels for %d images: want one, or one each", len(c.At), len(c.Labels), c.N)
	}
	q := &Quantized{recipe: d.recipe}
	if err := q.roundWeights(d, m); err != nil {
		return nil, err
	}
	if c.N%b != 0 {
		q.Warnings = append(q.Warnings, quant.Warning{Kind: quant.Dropped, Count: c.N % b})
	}
	return q, q.observe(ctx, m, c, b)
}

// roundWeights quantizes all weights.
func (q *Quantized) roundWeights(d *Denoiser, m quant.PostTraining) error {
	s := q.recipe.Shape
	flat := append([]float32(nil), d.weights...)
	q.p = s.parameters(flat)
	add := func(name string, w []float32, rows, cols int, beside, end bool) error {
		site := Site{Name: name, Rows: rows, Cols: cols, beside: beside}
		x := make([]float64, len(w))
		for i := range x {
			x[i] = float64(w[site.place(i)])
		}
		var err error
		if site.Weights, site.Codes, err = m.QuantizeWeights(x, rows, end); err == nil {
			err = site.Weights.Dequantize(x, site.Codes)
		}
		if err == nil {
			site.weights, err = qgemm.NewWeights(site.Codes, rows, cols, site.Weights.Scale, site.Weights.Zero)
		}
		for i, v := range x {
			w[site.place(i)] = float32(v)
		}
		if q.sites = append(q.sites, site); err != nil {
			err = fmt.Errorf("layer %q: %w", name, err)
		}
		return err
	}
	err := add("patch", q.p.patch, s.Width, s.pixels(), true, true)
	for i, b := range q.p.blocks {
		name := fmt.Sprintf("block%d.", i)
		err = errors.Join(err, add(name+"token.in", b.token.in, 2*s.Tokens, s.tokens(), false, false),
			add(name+"token.out", b.token.out, s.tokens(), s.Tokens, false, false),
			add(name+"channel.in", b.channel.in, 2*s.Hidden, s.Width, true, false),
			add(name+"channel.out", b.channel.out, s.Width, s.Hidden, true, false))
	}
	err = errors.Join(err, add("head", q.p.head, s.pixels(), s.Width, true, true))
	for _, w := range q.projections() {
		err = errors.Join(err, roundProjection(w, s.Width))
	}
	return err
}

// place is where weight i of [outputs, inputs] is stored.
func (s Site) place(i int) int {
	if s.beside {
		return i%s.Cols*s.Rows + i/s.Cols
	}
	return i
}

// projections are the weights that turn the condition into scales and shifts.
func (q *Quantized) projections() [][]float32 {
	ps := [][]float32{q.p.headScale, q.p.headShift}
	for _, b := range q.p.blocks {
		ps = append(ps, b.token.scale, b.token.shift, b.channel.scale, b.channel.shift)
	}
	return ps
}

// roundProjection rounds weights [inputs, outputs] to 8 bits an output.
func roundProjection(w []float32, width int) error {
	x := make([]float64, len(w))
	for i := range x {
		x[i] = float64(w[i%width*width+i/width])
	}
	a, err := quant.RangeSearch{}.Channels(x, width)
	if err == nil {
		err = a.Fake(x, x)
	}
	for i, v := range x {
		w[i%width*width+i/width] = float32(v)
	}
	return err
}

// observe finds the ranges of what the weights multiply, batch by batch, each
// product seeing what those before it make with their ranges so far.
func (q *Quantized) observe(ctx context.Context, m quant.PostTraining, c Calibration, b int) error {
	obs := make([]*quant.Observer, len(q.sites))
	for i, s := range q.sites {
		obs[i] = m.Observer(s.Name)
	}
	net := q.recipe.Shape.newNetwork(b, false)
	var failed error
	net.see = func(i int, x []float32) {
		if failed != nil {
			return
		}
		wide := make([]float64, len(x))
		for j, v := range x {
			wide[j] = float64(v)
		}
		if failed = obs[i].Observe(wide); failed == nil {
			failed = q.sites[i].setInput(obs[i])
		}
		q.sites[i].fake(x)
	}
	area := q.recipe.Shape.Size * q.recipe.Shape.Size
	for k := range c.N / b {
		if err := ctx.Err(); err != nil {
			return err
		}
		net.load(c.X[k*b*area:], some(c.At, k*b), some(c.Labels, k*b))
		if net.forward(q.p); failed != nil {
			return failed
		}
		if c.Progress != nil {
			c.Progress(k+1, c.N/b)
		}
	}
	for _, o := range obs {
		q.Warnings = append(q.Warnings, o.Warnings()...)
	}
	return nil
}

// setInput takes the quantizer of an observer's range.
func (s *Site) setInput(o *quant.Observer) (err error) {
	if s.Input, err = o.Quantizer(); err == nil {
		s.input = qgemm.Input{Scale: float32(s.Input.Scale[0]), Zero: s.Input.Zero[0], Top: s.Input.Levels() - 1}
	}
	return err
}

// fake quantizes and dequantizes as the integer products see their inputs.
func (s *Site) fake(x []float32) {
	lo, hi := float64(-s.input.Zero), float64(s.input.Top-s.input.Zero)
	for i, v := range x {
		x[i] = float32(max(lo, min(math.RoundToEven(float64(v/s.input.Scale)), hi))) * s.input.Scale
	}
}

// Bytes is the size of the weights as codes with scales and zero points, what stays
// in floating point included, and that of all weights in float32.
func (q *Quantized) Bytes() (quantized, float int) {
	l := q.recipe.Shape.layout()
	rounded := 0
	for _, s := range q.sites {
		rounded += len(s.Codes)
		quantized += (len(s.Codes)*s.Weights.Bits+7)/8 + 5*s.Rows + 5
	}
	for _, w := range q.projections() {
		rounded += len(w)
		quantized += len(w) + 5*q.recipe.Shape.Width
	}
	return quantized + 4*(l.Len()-rounded), 4 * l.Len()
}
