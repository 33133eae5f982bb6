package diffusion

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
)

// A Differentiable model also gives products of its Jacobian.
type Differentiable interface {
	Denoiser[float64]
	// JVP writes the product of the prediction's Jacobian at x with p for n samples,
	// row by row.
	JVP(ctx context.Context, dst, x, p []float64, n int, at Level) error
}

// Differences makes any model Differentiable by central differences. H is the step
// relative to p; 0: 10⁻⁴, which leaves an error of about 10⁻⁸ in float64 and of
// 10⁻³ for a network that computes in float32.
type Differences struct {
	Denoiser[float64]
	H float64
}

// JVP is (m(x + h·p) − m(x − h·p))/2h.
func (d Differences) JVP(ctx context.Context, dst, x, p []float64, n int, at Level) error {
	h := d.H
	if h == 0 {
		h = 1e-4
	}
	y, minus := make([]float64, len(x)), make([]float64, len(x))
	kern.Comb(y, []float64{1, -h}, [][]float64{x, p})
	if err := d.Denoise(ctx, minus, y, n, []Level{at}); err != nil {
		return err
	}
	kern.Comb(y, []float64{1, h}, [][]float64{x, p})
	if err := d.Denoise(ctx, dst, y, n, []Level{at}); err != nil {
		return err
	}
	kern.Comb(dst, []float64{1 / (2 * h), -1 / (2 * h)}, [][]float64{dst, minus})
	return nil
}

// RunTangent runs a tape together with its derivative along one parameter. slopes
// holds the derivatives of the coefficients, by instruction and term (nil where an
// instruction has none); the inputs do not depend on the parameter. It returns the
// outputs and their derivatives.
func RunTangent(ctx context.Context, tp *Tape, slopes [][]float64, m Differentiable, n int, inputs ...[]float64) (outputs, tangents [][]float64, err error) {
	size, err := checkRun(tp, Env[float64]{Model: m}, n, inputs)
	if err != nil {
		return nil, nil, err
	}
	if tp.width > 0 || len(slopes) != len(tp.Code) {
		return nil, nil, fmt.Errorf("diffusion: slopes of %d instructions for a tape of %d, stacked %d times: want as many, and no stack", len(slopes), len(tp.Code), tp.width)
	}
	values, dots := make([][]float64, tp.slots), make([][]float64, tp.slots)
	for i := range values {
		values[i], dots[i] = make([]float64, size), make([]float64, size)
	}
	for i, r := range tp.Inputs {
		copy(values[tp.slot[r]], inputs[i])
	}
	sum := make([]float64, size)
	for pc := range tp.Code {
		in := &tp.Code[pc]
		v, d := values[tp.slot[in.Dst]], dots[tp.slot[in.Dst]]
		switch in.Op {
		case OpComb: // ẏ = Σ ċ·x + Σ c·ẋ, before y or ẏ overwrites an operand
			var c []float64
			var x [][]float64
			for j, t := range in.Terms {
				if slopes[pc] != nil && slopes[pc][j] != 0 {
					c, x = append(c, slopes[pc][j]), append(x, values[tp.slot[t.R]])
				}
				c, x = append(c, t.C), append(x, dots[tp.slot[t.R]])
			}
			kern.Comb(sum, c, x)
			c, x = c[:0], x[:0]
			for _, t := range in.Terms {
				c, x = append(c, t.C), append(x, values[tp.slot[t.R]])
			}
			kern.Comb(v, c, x)
			copy(d, sum)
		case OpEval:
			x, dx := values[tp.slot[in.Src]], dots[tp.slot[in.Src]]
			if in.Part != WholeModel {
				return nil, nil, fmt.Errorf("diffusion: the derivative of a model's %v is not defined", in.Part)
			}
			if err := m.Denoise(ctx, v, x, n, []Level{in.Level}); err != nil {
				return nil, nil, err
			}
			if err := m.JVP(ctx, d, x, dx, n, in.Level); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("diffusion: the derivative of %v is not defined", in.Op)
		}
	}
	for _, r := range tp.Outputs {
		outputs, tangents = append(outputs, values[tp.slot[r]]), append(tangents, dots[tp.slot[r]])
	}
	return outputs, tangents, nil
}
