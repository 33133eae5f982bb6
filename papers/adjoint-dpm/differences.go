package adjointdpm

import (
	"context"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// startDifferences is the gradient of the start states by central differences.
// Samples do not meet, so that one coordinate of all of them is moved at once.
func (t task) startDifferences(ctx context.Context, p diffusion.Problem[float64], m diffusion.Method) ([]float64, error) {
	d := t.Mixture.Dim()
	start := make([]float64, len(p.X))
	for i := range d {
		g, err := quotients(ctx, m, func(h float64) (diffusion.Problem[float64], error) {
			q := p
			q.X = slices.Clone(p.X)
			for j := i; j < len(q.X); j += d {
				q.X[j] += h
			}
			return q, nil
		})
		if err != nil {
			return nil, err
		}
		for k, v := range g {
			start[k*d+i] = v
		}
	}
	return start, nil
}

// paramDifferences is the gradient of the parameters.
func (t task) paramDifferences(ctx context.Context, p diffusion.Problem[float64], m diffusion.Method) (params []float64, err error) {
	for i := range (len(t.Mixture.W)+1)*t.Mixture.Dim() + len(t.Mixture.W) {
		g, err := quotients(ctx, m, func(h float64) (diffusion.Problem[float64], error) {
			q, err := p, error(nil)
			q.Model, err = t.moved(i, h)
			return q, err
		})
		if err != nil {
			return nil, err
		}
		sum := 0.0
		for _, v := range g {
			sum += v
		}
		params = append(params, sum)
	}
	return params, nil
}

// quotients are central differences of every sample's loss along what move moves.
func quotients(ctx context.Context, m diffusion.Method, move func(h float64) (diffusion.Problem[float64], error)) ([]float64, error) {
	const h = 1e-5 // an error of h², and of 10⁻¹⁶ over h
	losses := func(h float64) ([]float64, error) {
		p, err := move(h)
		if err != nil {
			return nil, err
		}
		s, err := diffusion.Solve(ctx, p, m)
		if err != nil {
			return nil, err
		}
		d, ls := len(s.X)/p.N, make([]float64, p.N)
		for i, x := range s.X {
			ls[i/d] += (x - target[i%d]) * (x - target[i%d]) / 2
		}
		return ls, nil
	}
	up, err := losses(h)
	if err != nil {
		return nil, err
	}
	down, err := losses(-h)
	for i, y := range down {
		up[i] = (up[i] - y) / (2 * h)
	}
	return up, err
}

// moved is the model with parameter i, counted as in gmm.Trainable, moved by h.
func (t task) moved(i int, h float64) (*gmm.Trainable, error) {
	k, d := len(t.Mixture.W), t.Mixture.Dim()
	m := gmm.Mixture{W: t.Mixture.W, S: slices.Clone(t.Mixture.S)}
	for _, mu := range t.Mixture.Mu {
		m.Mu = append(m.Mu, slices.Clone(mu))
	}
	shift := make([]float64, d)
	copy(shift, t.Shift)
	switch {
	case i < k*d:
		m.Mu[i/d][i%d] += h
	case i < k*d+k:
		m.S[i-k*d] *= 1 + h // e^h to h²/2, which a central difference does not see
	default:
		shift[i-k*d-k] += h
	}
	return gmm.NewTrainable(&m, shift)
}
