package quant

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// An OutputFunc is what a layer does to its output.
type OutputFunc int8

const (
	Identity OutputFunc = iota
	ReLU                // fused: the output is quantized behind it
	SiLU                // x·sigmoid(x): in full precision, behind the quantizer
)

// at is the function and its derivative, of those that are fused.
func (f OutputFunc) at(x float64) (y, slope float64) {
	if f == ReLU && x <= 0 {
		return 0, 0
	}
	return x, 1
}

// A ChainLayer is f(W·x + b).
type ChainLayer struct {
	Name    string
	Weights Dense // [outputs, inputs]
	Bias    []float64
	Output  OutputFunc
}

// A Chain is a network of layers one behind the other.
type Chain []ChainLayer

// Check wants layers that fit, of finite numbers.
func (c Chain) Check() error {
	if len(c) == 0 {
		return fmt.Errorf("quant: a chain of no layers")
	}
	for i, l := range c {
		what := fmt.Sprintf("layer %q", l.Name)
		if err := l.Weights.check(what); err != nil {
			return err
		}
		switch {
		case l.Weights.Rows == 0 || l.Weights.Cols == 0:
			return fmt.Errorf("quant: %s: no weights", what)
		case len(l.Bias) != l.Weights.Rows:
			return fmt.Errorf("quant: %s: %d biases for %d outputs", what, len(l.Bias), l.Weights.Rows)
		case i > 0 && l.Weights.Cols != c[i-1].Weights.Rows:
			return fmt.Errorf("quant: %s: takes %d inputs, but %d come", what, l.Weights.Cols, c[i-1].Weights.Rows)
		case l.Output < Identity || l.Output > SiLU:
			return fmt.Errorf("quant: %s: output function %d is unknown", what, l.Output)
		}
		if err := finite(what+": bias", l.Bias); err != nil {
			return err
		}
	}
	return nil
}

// Inputs and Outputs are the numbers of features.
func (c Chain) Inputs() int  { return c[0].Weights.Cols }
func (c Chain) Outputs() int { return c[len(c)-1].Weights.Rows }

// Forward evaluates the network for n inputs x [n, Inputs].
func (c Chain) Forward(x []float64, n int) ([]float64, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := checkInputs(x, n, c.Inputs()); err != nil {
		return nil, err
	}
	for _, l := range c {
		x = l.forward(l.Weights.X, x, n)
		l.Output.behind(x)
	}
	return x, nil
}

func checkInputs(x []float64, n, features int) error {
	if n < 1 || len(x) != n*features {
		return fmt.Errorf("quant: %d numbers for %d inputs of %d features", len(x), n, features)
	}
	return finite("input", x)
}

// forward is the layer with those weights, and its function if that is fused.
func (l ChainLayer) forward(w, x []float64, n int) []float64 {
	rows, cols := l.Weights.Rows, l.Weights.Cols
	y := make([]float64, n*rows)
	for i := range n {
		in := x[i*cols : (i+1)*cols]
		for o := range rows {
			y[i*rows+o], _ = l.Output.at(l.Bias[o] + kern.Dot(w[o*cols:(o+1)*cols], in))
		}
	}
	return y
}

// behind applies the functions that are not fused.
func (f OutputFunc) behind(x []float64) {
	if f != SiLU {
		return
	}
	e := make([]float64, len(x))
	for i, v := range x {
		e[i] = -v
	}
	kern.Exp(e, e)
	for i := range x {
		x[i] /= 1 + e[i]
	}
}

func dot64(x, y []float64) float64 {
	var s float64
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

// fake quantizes and dequantizes in place, without looking for what is not finite.
func (q Affine) fake(x []float64) {
	scale, zero := q.Scale[0], q.Zero[0]
	first, last := float64(-zero), float64(q.Levels()-1-zero)
	for i, v := range x {
		x[i] = max(first, min(last, math.RoundToEven(v/scale))) * scale
	}
}
