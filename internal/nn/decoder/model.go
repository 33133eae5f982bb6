package decoder

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/assay-lab/assay/data"
)

// A Model is a trained network. It is safe for concurrent use.
type Model struct {
	Shape   Shape
	weights []float32
	p       *parameters
	free    sync.Map // of *sync.Pool of *network, by sequences and length
}

// New makes a model of its weights, which it keeps.
func New(s Shape, weights []float32) (*Model, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if n := s.layout().Len(); len(weights) != n {
		return nil, fmt.Errorf("decoder: %d weights: the shape has %d", len(weights), n)
	}
	return &Model{Shape: s, weights: weights, p: s.parameters(weights)}, nil
}

// FromTensors makes a model of named tensors, as [Model.Tensors] gives them.
func FromTensors(s Shape, ts map[string]data.Tensor) (*Model, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	l := s.layout()
	flat := make([]float32, l.Len())
	for i, dst := range l.Split(flat) {
		t, ok := ts[l[i].Name]
		if !ok {
			return nil, fmt.Errorf("decoder: tensor %q is missing", l[i].Name)
		}
		x := t.Float32()
		if !slices.Equal(t.Shape, l[i].Shape) || len(x) != len(dst) {
			return nil, fmt.Errorf("decoder: tensor %q has shape %v, want %v", l[i].Name, t.Shape, l[i].Shape)
		}
		copy(dst, x)
	}
	return New(s, flat)
}

// Tensors are the model's weights by name.
func (m *Model) Tensors() map[string]data.Tensor {
	ts := map[string]data.Tensor{}
	l := m.Shape.layout()
	for i, x := range l.Split(m.weights) {
		ts[l[i].Name] = data.Tensor{Shape: l[i].Shape, Data: x}
	}
	return ts
}

// A Linear is a linear layer of a block. Weights are [Rows, Cols]: outputs, inputs.
type Linear struct {
	Name       string
	Rows, Cols int
	Weights    []float32 // the model's: not to be written to
}

// Linears lists the linear layers of all blocks.
func (m *Model) Linears() []Linear {
	var ls []Linear
	for b := range m.Shape.Blocks {
		for kind, name := range linearNames {
			rows, cols := m.Shape.dims(kind)
			ls = append(ls, Linear{fmt.Sprintf("blocks.%d.%s", b, name), rows, cols, m.p.blocks[b].linear[kind]})
		}
	}
	return ls
}

// WithLinear is a copy of the model with other weights in one linear layer.
func (m *Model) WithLinear(layer int, weights []float32) (*Model, error) {
	ls := m.Linears()
	if layer < 0 || layer >= len(ls) || len(weights) != len(ls[layer].Weights) {
		return nil, fmt.Errorf("decoder: %d weights for layer %d of %d", len(weights), layer, len(ls))
	}
	c, err := New(m.Shape, slices.Clone(m.weights))
	if err != nil {
		return nil, err
	}
	copy(c.Linears()[layer].Weights, weights)
	return c, nil
}

// checkTokens wants tokens of the vocabulary.
func (s Shape) checkTokens(tokens []int) error {
	for i, t := range tokens {
		if t < 0 || t >= s.Vocab {
			return fmt.Errorf("decoder: token[%d] = %d: must be below %d", i, t, s.Vocab)
		}
	}
	return nil
}

func (s Shape) checkSequence(seq []int) error {
	if len(seq) < 2 || len(seq) > s.Context+1 {
		return fmt.Errorf("decoder: sequence of %d tokens: must be 2 to %d", len(seq), s.Context+1)
	}
	return s.checkTokens(seq)
}

// Losses are the mean cross entropies, in nats, of predicting each token of every
// sequence but its first. All sequences have the same length, at most Context + 1.
// products, unless nil, has a replacement for every one of Linears, or nil.
func (m *Model) Losses(ctx context.Context, seqs [][]int, products []Product) ([]float64, error) {
	if products != nil && len(products) != m.Shape.Blocks*perBlock {
		return nil, fmt.Errorf("decoder: %d products: the model has %d linear layers", len(products), m.Shape.Blocks*perBlock)
	}
	for _, s := range seqs {
		if err := m.Shape.checkSequence(s); err != nil {
			return nil, err
		}
		if len(s) != len(seqs[0]) {
			return nil, fmt.Errorf("decoder: sequences of %d and %d tokens", len(seqs[0]), len(s))
		}
	}
	losses, errs := make([]float64, len(seqs)), make([]error, (len(seqs)+shard-1)/shard)
	each(len(errs), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			from := i * shard
			errs[i] = m.pass(losses[from:], seqs[from:min(from+shard, len(seqs))], products)
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return losses, nil
}

func (m *Model) pass(losses []float64, seqs [][]int, products []Product) error {
	l := len(seqs[0]) - 1
	pool, _ := m.free.LoadOrStore([2]int{len(seqs), l}, &sync.Pool{New: func() any { return m.Shape.newNetwork(len(seqs), l) }})
	net := pool.(*sync.Pool).Get().(*network)
	defer pool.(*sync.Pool).Put(net)
	targets := make([]int, len(net.tokens))
	for i, s := range seqs {
		copy(net.tokens[i*l:], s[:l])
		copy(targets[i*l:], s[1:])
	}
	if err := net.forward(m.p, products); err != nil {
		return err
	}
	copy(losses, net.loss(targets))
	return nil
}

// Loss is the mean of Losses.
func (m *Model) Loss(ctx context.Context, seqs [][]int, products []Product) (float64, error) {
	ls, err := m.Losses(ctx, seqs, products)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, x := range ls {
		sum += x
	}
	if len(ls) == 0 {
		return math.NaN(), fmt.Errorf("decoder: no sequences")
	}
	return sum / float64(len(ls)), nil
}

// Watch runs one sequence forward and backward. see is called for every linear
// layer with its inputs [tokens, Cols] and the gradient of the sequence's loss by
// its outputs [tokens, Rows]; it must not keep them.
func (m *Model) Watch(seq []int, see func(layer int, x, grad []float32) error) (loss float64, err error) {
	if err := m.Shape.checkSequence(seq); err != nil {
		return 0, err
	}
	net := m.Shape.newNetwork(1, len(seq)-1)
	copy(net.tokens, seq)
	if err := net.forward(m.p, nil); err != nil {
		return 0, err
	}
	loss = net.loss(seq[1:])[0]
	grad := make([]float32, len(m.weights))
	return loss, net.backward(m.p, m.Shape.parameters(grad), seq[1:], 1, net.newScratch(), see)
}
