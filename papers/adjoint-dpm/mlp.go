package adjointdpm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
)

// An mlp is a network of one hidden layer that predicts noise:
// ε = W2·tanh(W1·[x, λ] + b1) + b2.
type mlp struct {
	W1 [][]float64 `json:"W1"`
	B1 []float64   `json:"b1"`
	W2 [][]float64 `json:"W2"`
	B2 []float64   `json:"b2"`

	Note string `json:"note"`
}

var _ adjoint.Recorder[float64] = (*mlp)(nil)

func (m *mlp) validate() error {
	h, d := len(m.W1), len(m.W2)
	if h == 0 || d == 0 || len(m.B1) != h || len(m.B2) != d {
		return fmt.Errorf("mlp: %d rows of W1 with %d biases, %d of W2 with %d: want as many of each, at least 1", h, len(m.B1), d, len(m.B2))
	}
	for i, row := range m.W1 {
		if len(row) != d+1 {
			return fmt.Errorf("mlp: W1[%d] has %d entries: want %d and one for lambda", i, len(row), d)
		}
	}
	for i, row := range m.W2 {
		if len(row) != h {
			return fmt.Errorf("mlp: W2[%d] has %d entries: want %d", i, len(row), h)
		}
	}
	return nil
}

// Predicts is noise.
func (m *mlp) Predicts() diffusion.Prediction { return diffusion.Noise }

// Params counts all weights.
func (m *mlp) Params() int {
	h, d := len(m.W1), len(m.W2)
	return h*(d+1) + h + d*h + d
}

// split cuts a gradient in W1, b1, W2 and b2.
func (m *mlp) split(g []float64) (parts [4][]float64) {
	h, d := len(m.W1), len(m.W2)
	for i, n := range []int{h * (d + 1), h, d * h, d} {
		parts[i], g = g[:n], g[n:]
	}
	return parts
}

// hidden computes the hidden layer of one sample.
func (m *mlp) hidden(h, x []float64, lambda float64) {
	for j, row := range m.W1 {
		s := m.B1[j] + row[len(x)]*lambda
		for i, v := range x {
			s += row[i] * v
		}
		h[j] = math.Tanh(s)
	}
}

func (m *mlp) check(x []float64, n int, at []diffusion.Level) error {
	if d := len(m.W2); n < 1 || len(x) != n*d || len(at) != 1 && len(at) != n {
		return fmt.Errorf("mlp: %d numbers at %d levels for %d samples: want %d a sample and 1 or %[3]d levels", len(x), len(at), n, d)
	}
	return nil
}

// Denoise evaluates the network.
func (m *mlp) Denoise(_ context.Context, dst, x []float64, n int, at []diffusion.Level) error {
	if err := m.check(x, n, at); err != nil {
		return err
	}
	d, h := len(m.W2), make([]float64, len(m.W1))
	for i := range n {
		m.hidden(h, x[i*d:(i+1)*d], at[min(i, len(at)-1)].Lambda)
		for k, row := range m.W2 {
			s := m.B2[k]
			for j, v := range h {
				s += row[j] * v
			}
			dst[i*d+k] = s
		}
	}
	return nil
}

// Record keeps the hidden layer and the input of every sample, as plain
// back-propagation does.
func (m *mlp) Record(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) (adjoint.Pull[float64], int, error) {
	if err := m.Denoise(ctx, dst, x, n, at); err != nil {
		return nil, 0, err
	}
	x, at = slices.Clone(x), slices.Clone(at)
	d, width := len(m.W2), len(m.W1)
	hidden := make([]float64, n*width)
	for i := range n {
		m.hidden(hidden[i*width:(i+1)*width], x[i*d:(i+1)*d], at[min(i, len(at)-1)].Lambda)
	}
	return func(_ context.Context, gx, a []float64, params []float64, weight float64) error {
		return m.back(hidden, gx, x, a, n, at, params, weight)
	}, len(hidden) + len(x), nil
}

// VJP goes back through the network.
func (m *mlp) VJP(_ context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	return m.back(nil, gx, x, a, n, at, params, weight)
}

// back is VJP; hidden is nil or what Record keeps.
func (m *mlp) back(hidden, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	if err := m.check(x, n, at); err != nil {
		return err
	}
	d, h, dh := len(m.W2), make([]float64, len(m.W1)), make([]float64, len(m.W1))
	for i := range n {
		x, a, gx, lambda := x[i*d:(i+1)*d], a[i*d:(i+1)*d], gx[i*d:(i+1)*d], at[min(i, len(at)-1)].Lambda
		if hidden != nil {
			h = hidden[i*len(h) : (i+1)*len(h)]
		} else {
			m.hidden(h, x, lambda)
		}
		clear(dh)
		clear(gx)
		for k, row := range m.W2 {
			for j, w := range row {
				dh[j] += w * a[k]
			}
		}
		for j, v := range h {
			dh[j] *= 1 - v*v
			for k := range gx {
				gx[k] += m.W1[j][k] * dh[j]
			}
		}
		if params == nil {
			continue
		}
		p := m.split(params)
		for j, g := range dh {
			for k, v := range x {
				p[0][j*(d+1)+k] += weight * g * v
			}
			p[0][j*(d+1)+d] += weight * g * lambda
			p[1][j] += weight * g
		}
		for k, g := range a {
			for j, v := range h {
				p[2][k*len(h)+j] += weight * g * v
			}
			p[3][k] += weight * g
		}
	}
	return nil
}
