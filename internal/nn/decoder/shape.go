package decoder

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/nn"
)

// A Shape is the size of the network.
type Shape struct {
	Vocab   int // tokens are 0 to Vocab−1
	Context int // longest sequence
	Width   int // numbers a token is represented by
	Heads   int // divides Width
	Blocks  int
	Hidden  int // numbers between the two layers of a block's ReLU network
}

func (s Shape) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"vocab", s.Vocab}, {"context", s.Context}, {"width", s.Width}, {"heads", s.Heads}, {"blocks", s.Blocks}, {"hidden", s.Hidden}} {
		if f.n < 1 || f.n > 1<<14 {
			return fmt.Errorf("decoder: %s = %d: must be between 1 and 16384", f.name, f.n)
		}
	}
	if s.Width%s.Heads != 0 {
		return fmt.Errorf("decoder: %d heads do not divide width %d", s.Heads, s.Width)
	}
	return nil
}

// The linear layers of a block.
const (
	query = iota
	key
	value
	out
	up
	down
	perBlock // their number
)

var linearNames = [perBlock]string{"attention.q", "attention.k", "attention.v", "attention.o", "mlp.up", "mlp.down"}

// dims are the outputs and inputs of a linear layer.
func (s Shape) dims(kind int) (rows, cols int) {
	switch kind {
	case up:
		return s.Hidden, s.Width
	case down:
		return s.Width, s.Hidden
	}
	return s.Width, s.Width
}

// layout lists the parameters. Linear layers are [outputs, inputs]; norms hold
// what is added to a gain of 1. Layers that end a branch start small, so that the
// variance does not grow with depth.
func (s Shape) layout() nn.Layout {
	var l nn.Layout
	add := func(deviation float64, name string, shape ...int) {
		l = append(l, nn.Param{Name: name, Shape: shape, Deviation: deviation})
	}
	fan := func(n int) float64 { return 1 / math.Sqrt(float64(n)) }
	add(0.5, "embedding", s.Vocab, s.Width)
	add(0.1, "position", s.Context, s.Width)
	for b := range s.Blocks {
		add(0, fmt.Sprintf("blocks.%d.attention.norm", b), s.Width)
		for kind := range perBlock {
			if kind == up {
				add(0, fmt.Sprintf("blocks.%d.mlp.norm", b), s.Width)
			}
			rows, cols := s.dims(kind)
			d := fan(cols)
			if kind == out || kind == down {
				d *= fan(2 * s.Blocks)
			}
			add(d, fmt.Sprintf("blocks.%d.%s", b, linearNames[kind]), rows, cols)
		}
	}
	add(0, "norm", s.Width)
	add(fan(s.Width), "head", s.Vocab, s.Width)
	return l
}

// parameters are the arrays of the layout by their use; gradients have the same
// form.
type parameters struct {
	embedding, position []float32
	blocks              []blockParameters
	norm, head          []float32
}

type blockParameters struct {
	norm, mlpNorm []float32
	linear        [perBlock][]float32
}

func (s Shape) parameters(flat []float32) *parameters {
	parts := s.layout().Split(flat)
	next := func() []float32 {
		x := parts[0]
		parts = parts[1:]
		return x
	}
	p := &parameters{embedding: next(), position: next()}
	for range s.Blocks {
		b := blockParameters{norm: next()}
		for kind := range perBlock {
			if kind == up {
				b.mlpNorm = next()
			}
			b.linear[kind] = next()
		}
		p.blocks = append(p.blocks, b)
	}
	p.norm, p.head = next(), next()
	return p
}
