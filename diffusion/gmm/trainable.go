package gmm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
)

// A Trainable is the noise prediction of a mixture as a model with parameters:
// the means (row by row), the logarithms of the deviations, and a shift of all
// means together, which stands for a condition. It gives gradients in closed form.
type Trainable struct {
	of   *Mixture // with the shift in its means
	use  []int    // the components that the prediction is of
	cond *Mixture // of those alone
	eval diffusion.Denoiser[float64]
}

var _ diffusion.VJPDenoiser[float64] = (*Trainable)(nil)

// NewTrainable makes the model of the mixture moved by shift (nil: not at all). With
// components, the prediction is conditioned on them; the parameters remain those of
// the whole mixture.
func NewTrainable(m *Mixture, shift []float64, components ...int) (*Trainable, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if shift != nil && len(shift) != m.Dim() {
		return nil, fmt.Errorf("gmm: a shift of %d coordinates: want %d", len(shift), m.Dim())
	}
	t := &Trainable{of: &Mixture{W: m.W, S: m.S}, use: components}
	for _, mu := range m.Mu {
		mu = append([]float64(nil), mu...)
		for i, c := range shift {
			mu[i] += c
		}
		t.of.Mu = append(t.of.Mu, mu)
	}
	if len(components) == 0 {
		for k := range m.W {
			t.use = append(t.use, k)
		}
	}
	var err error
	if t.cond, err = t.of.Condition(t.use...); err != nil {
		return nil, err
	}
	t.eval, err = Model[float64](t.cond, diffusion.Noise)
	return t, err
}

// Predicts is Noise.
func (t *Trainable) Predicts() diffusion.Prediction { return diffusion.Noise }

// Params counts means, deviations and shift.
func (t *Trainable) Params() int { return len(t.of.W)*(t.of.Dim()+1) + t.of.Dim() }

// Split cuts a gradient of the parameters in its parts: means, logarithms of the
// deviations, shift.
func (t *Trainable) Split(g []float64) (mu [][]float64, logS, shift []float64) {
	k, d := len(t.of.W), t.of.Dim()
	for i := range k {
		mu = append(mu, g[i*d:(i+1)*d])
	}
	return mu, g[k*d : k*d+k], g[k*d+k:]
}

// Denoise writes the noise prediction.
func (t *Trainable) Denoise(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
	return t.eval.Denoise(ctx, dst, x, n, at)
}

// VJP writes the product with the Jacobian, which is symmetric, and adds the
// parameters' gradient. With u_k = (x − αμ_k)/v_k, b_k = u_k·a and b̄ = Σ r_k b_k,
// the gradient of a·ε along θ is σ·Σ r_k·[(b_k − b̄)·∂l_k + ∂b_k], l_k being the
// logarithm of component k's weight and density at x.
func (t *Trainable) VJP(_ context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	d := t.of.Dim()
	switch {
	case n < 1 || len(x) != n*d || len(a) != len(x) || len(gx) != len(x):
		return fmt.Errorf("gmm: %d, %d and %d numbers for %d samples: want %d a sample", len(gx), len(x), len(a), n, d)
	case len(at) != 1 && len(at) != n:
		return fmt.Errorf("gmm: %d levels for %d samples: want 1 or %[2]d", len(at), n)
	case params != nil && len(params) != t.Params():
		return fmt.Errorf("gmm: a gradient of %d parameters: want %d", len(params), t.Params())
	}
	var post *posterior
	for i := range n {
		if i < len(at) {
			post = t.cond.posterior(at[i])
		}
		x, a := x[i*d:(i+1)*d], a[i*d:(i+1)*d]
		post.jacobian(gx[i*d:(i+1)*d], x, a)
		if params != nil {
			t.pull(post, x, a, params, weight*post.at.Sigma)
		}
	}
	return nil
}

// pull adds the parameters' gradient of one sample; post knows its responsibilities.
func (t *Trainable) pull(post *posterior, x, a, params []float64, weight float64) {
	gMu, gLogS, gShift := t.Split(params)
	d := len(x)
	u, b, bMean := make([]float64, d), make([]float64, len(post.r)), 0.0
	for k, r := range post.r {
		for i := range x {
			b[k] += (x[i] - post.shift[k*d+i]) / post.v[k] * a[i]
		}
		bMean += r * b[k]
	}
	for k, r := range post.r {
		to, v, alpha := t.use[k], post.v[k], post.at.Alpha
		var square float64
		for i := range x {
			u[i] = (x[i] - post.shift[k*d+i]) / v
			square += u[i] * u[i]
			g := weight * r * alpha * ((b[k]-bMean)*u[i] - a[i]/v)
			gMu[to][i] += g
			gShift[i] += g
		}
		s := alpha * t.cond.S[k]
		gLogS[to] += weight * r * 2 * s * s * ((b[k]-bMean)*(square/2-float64(d)/(2*v)) - b[k]/v)
	}
}
