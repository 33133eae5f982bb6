package quant

import (
	"context"
	"fmt"
	"slices"
)

// PostTraining quantizes the weights and activations of a trained network without
// training: PTQ4DM (Shang et al. 2023, section 3). Weights get one symmetric range
// for each output channel; activations, the outputs of the layers behind a fused
// ReLU, one for each tensor, found over calibration batches while the weights are
// already quantized. The network's own output is not quantized. The zero value has
// the paper's settings, 8 bits for both.
//
// What to calibrate on is [github.com/assay-lab/assay/diffusion/calibration]'s.
type PostTraining struct {
	Weights     RangeSearch
	Activations RangeSearch
	Rate        float64 // of the running ranges: see [Observer]; 0: 0.1
	Ends        int     // bits of the first and the last layer's weights; 0: 8
	// Place says which tensors are quantized.
	Place Placement
	Batch int // samples a batch; 0: 32
	// Sample bounds the numbers of a tensor that a batch's search looks at, evenly
	// spread; 0: all.
	Sample int
	// Reconstruct, if not nil, learns the rounding of the weights, layer by layer,
	// once the ranges are found.
	Reconstruct *Reconstruction
}

// Placement says which activations are quantized.
type Placement int8

const (
	// LayerOutputs quantizes what layers give, as published.
	LayerOutputs Placement = iota
	// LayerInputs quantizes what layers take, the network's input included: every
	// product is then one of integers.
	LayerInputs
)

// ends is the number of bits of the first and last layer.
func (m PostTraining) ends() int {
	if m.Ends == 0 {
		return 8
	}
	return m.Ends
}

func (m PostTraining) batch() int {
	if m.Batch == 0 {
		return 32
	}
	return m.Batch
}

// Check wants settings within their ranges.
func (m PostTraining) Check() error {
	if err := checkBits(m.ends()); err != nil {
		return err
	}
	if m.Sample < 0 {
		return fmt.Errorf("quant: sample of %d numbers: must be positive", m.Sample)
	}
	if m.Batch < 0 {
		return fmt.Errorf("quant: batches of %d: must be positive", m.Batch)
	}
	if m.Place < LayerOutputs || m.Place > LayerInputs {
		return fmt.Errorf("quant: placement %d: must be LayerOutputs or LayerInputs", m.Place)
	}
	if m.Rate != 0 && !(m.Rate > 0 && m.Rate <= 1) {
		return fmt.Errorf("quant: rate = %g: must be in (0, 1]", m.Rate)
	}
	if err := m.Weights.Check(); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	if err := m.Activations.Check(); err != nil {
		return fmt.Errorf("activations: %w", err)
	}
	return nil
}

// Observer is one for the activations of a layer.
func (m PostTraining) Observer(layer string) *Observer {
	return &Observer{Search: m.Activations, Rate: m.Rate, Layer: layer, Sample: m.Sample}
}

// QuantizeWeights quantizes weights [channels, ...]; end says that they are the first
// or the last layer's.
func (m PostTraining) QuantizeWeights(w []float64, channels int, end bool) (Affine, []uint8, error) {
	s := m.Weights
	if end {
		s.Bits = m.ends()
	}
	a, err := s.Channels(w, channels)
	if err != nil {
		return Affine{}, nil, err
	}
	codes := make([]uint8, len(w))
	return a, codes, a.Quantize(codes, w)
}

// A QuantizedChain is a chain whose weights and activations are quantized. It
// computes with what the codes stand for, in float64.
type QuantizedChain struct {
	Place    Placement
	Warnings []Warning
	layers   []*quantizedLayer
}

// A quantizedLayer is a layer with its quantizers.
type quantizedLayer struct {
	ChainLayer
	weights Affine
	codes   []uint8   // of the weights
	w       []float64 // what they stand for
	in, out Affine    // no scale: not quantized
}

// Calibrate quantizes a chain on n inputs x [n, Inputs].
func (m PostTraining) Calibrate(ctx context.Context, c Chain, x []float64, n int) (*QuantizedChain, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := checkInputs(x, n, c.Inputs()); err != nil {
		return nil, err
	}
	b := m.batch()
	if n < b {
		return nil, fmt.Errorf("quant: calibration on %d samples, fewer than a batch of %d", n, b)
	}
	q := &QuantizedChain{Place: m.Place}
	if n%b != 0 {
		q.Warnings = append(q.Warnings, Warning{Kind: Dropped, Count: n % b})
	}
	for i, l := range c {
		ql, err := m.quantizeWeights(l, i, len(c))
		if err != nil {
			return nil, fmt.Errorf("layer %q: %w", l.Name, err)
		}
		q.layers = append(q.layers, ql)
	}
	x = x[:n/b*b*c.Inputs()]
	if err := m.observe(ctx, q, x, n/b, b); err != nil {
		return nil, err
	}
	if m.Reconstruct == nil {
		return q, nil
	}
	return q, m.reconstruct(ctx, q, x, n/b*b)
}

func (m PostTraining) quantizeWeights(l ChainLayer, i, n int) (*quantizedLayer, error) {
	a, codes, err := m.QuantizeWeights(l.Weights.X, l.Weights.Rows, i == 0 || i == n-1)
	if err != nil {
		return nil, err
	}
	q := &quantizedLayer{ChainLayer: l, weights: a, codes: codes, w: make([]float64, len(codes))}
	return q, a.Dequantize(q.w, codes)
}

// observe finds the ranges of activations. In a batch every layer sees what the
// layers before it make with their ranges so far.
func (m PostTraining) observe(ctx context.Context, q *QuantizedChain, x []float64, batches, b int) error {
	obs := make([]*Observer, len(q.layers))
	for i, l := range q.layers {
		obs[i] = m.Observer(l.Name)
	}
	watch := func(i int, v []float64) (Affine, error) {
		if err := obs[i].Observe(v); err != nil {
			return Affine{}, err
		}
		return obs[i].Quantizer()
	}
	features := q.layers[0].Weights.Cols
	for k := range batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := slices.Clone(x[k*b*features : (k+1)*b*features])
		for i, l := range q.layers {
			var err error
			if m.Place == LayerInputs {
				if l.in, err = watch(i, v); err != nil {
					return err
				}
			}
			v = l.run(v, b, func(y []float64) {
				if m.Place == LayerOutputs && i < len(q.layers)-1 {
					l.out, err = watch(i, y)
				}
			})
			if err != nil {
				return err
			}
		}
	}
	for _, o := range obs {
		q.Warnings = append(q.Warnings, o.Warnings()...)
	}
	return nil
}

// run evaluates the layer; seen, if not nil, is shown its output before that is
// quantized. x is overwritten.
func (l *quantizedLayer) run(x []float64, n int, seen func(y []float64)) []float64 {
	if len(l.in.Scale) > 0 {
		l.in.fake(x)
	}
	y := l.forward(l.w, x, n)
	if seen != nil {
		seen(y)
	}
	if len(l.out.Scale) > 0 {
		l.out.fake(y)
	}
	l.Output.behind(y)
	return y
}

// reconstruct learns the rounding of one layer after the other.
func (m PostTraining) reconstruct(ctx context.Context, q *QuantizedChain, x []float64, n int) error {
	xq := slices.Clone(x)
	for _, l := range q.layers {
		if len(l.in.Scale) > 0 {
			l.in.fake(xq)
		}
		if err := m.Reconstruct.learn(ctx, l, x, xq, n); err != nil {
			return fmt.Errorf("layer %q: %w", l.Name, err)
		}
		x = l.forward(l.Weights.X, x, n)
		l.Output.behind(x)
		xq = l.run(xq, n, nil)
	}
	return nil
}

// Forward evaluates the network for n inputs x [n, Inputs].
func (q *QuantizedChain) Forward(x []float64, n int) ([]float64, error) {
	if err := checkInputs(x, n, q.layers[0].Weights.Cols); err != nil {
		return nil, err
	}
	x = slices.Clone(x)
	for _, l := range q.layers {
		x = l.run(x, n, nil)
	}
	return x, nil
}

// Layers is how many layers there are.
func (q *QuantizedChain) Layers() int { return len(q.layers) }

// Weights are the quantizer and the codes of layer i's weights.
func (q *QuantizedChain) Weights(i int) (Affine, []uint8) {
	return q.layers[i].weights, q.layers[i].codes
}

// Activations is the quantizer of layer i's activations, of its output or its
// input as Place says; without scales where they are not quantized.
func (q *QuantizedChain) Activations(i int) Affine {
	if q.Place == LayerInputs {
		return q.layers[i].in
	}
	return q.layers[i].out
}

// Bytes is the size of the weights as codes, with scales, zero points and biases,
// and of the same in float32.
func (q *QuantizedChain) Bytes() (quantized, float int) {
	for _, l := range q.layers {
		quantized += (len(l.codes)*l.weights.Bits+7)/8 + 5*len(l.weights.Scale) + 4*len(l.Bias)
		float += 4 * (len(l.codes) + len(l.Bias))
	}
	return quantized, float
}
