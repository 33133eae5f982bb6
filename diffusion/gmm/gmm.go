// Package gmm is the diffusion model of a Gaussian mixture: exact predictions at
// every noise level, Jacobians, exact solutions of the probability-flow ODE and
// samples of the data. It is what samplers are measured against when the truth
// must be known.
package gmm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
)

// A Mixture is the data distribution Σ_k W[k]·N(Mu[k], S[k]²·I).
type Mixture struct {
	W  []float64   // weights, sum 1
	Mu [][]float64 // means
	S  []float64   // standard deviations
}

// Dim is the number of coordinates.
func (m *Mixture) Dim() int { return len(m.Mu[0]) }

// Validate reports the first thing wrong with the mixture.
func (m *Mixture) Validate() error {
	if len(m.W) == 0 || len(m.Mu) != len(m.W) || len(m.S) != len(m.W) {
		return fmt.Errorf("gmm: %d weights, %d means and %d deviations: want as many of each, at least 1", len(m.W), len(m.Mu), len(m.S))
	}
	var sum float64
	for k, w := range m.W {
		sum += w
		switch {
		case !(w >= 0):
			return fmt.Errorf("gmm: weight %d = %g: must not be negative", k, w)
		case !(m.S[k] > 0) || math.IsInf(m.S[k], 0):
			return fmt.Errorf("gmm: deviation %d = %g: must be positive", k, m.S[k])
		case len(m.Mu[k]) == 0 || len(m.Mu[k]) != len(m.Mu[0]):
			return fmt.Errorf("gmm: mean %d has %d coordinates: want %d, at least 1", k, len(m.Mu[k]), len(m.Mu[0]))
		}
		for i, x := range m.Mu[k] {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("gmm: mean %d, coordinate %d = %g: must be finite", k, i, x)
			}
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		return fmt.Errorf("gmm: the weights sum to %g: must be 1", sum)
	}
	return nil
}

// Condition is the mixture of the listed components alone, their weights
// renormalised: what a class label selects.
func (m *Mixture) Condition(components ...int) (*Mixture, error) {
	if len(components) == 0 {
		return nil, errors.New("gmm: a condition on no component")
	}
	c := &Mixture{}
	var sum float64
	for _, k := range components {
		if k < 0 || k >= len(m.W) {
			return nil, fmt.Errorf("gmm: component %d: must be 0 to %d", k, len(m.W)-1)
		}
		sum += m.W[k]
	}
	for _, k := range components {
		c.W, c.Mu, c.S = append(c.W, m.W[k]/sum), append(c.Mu, m.Mu[k]), append(c.S, m.S[k])
	}
	return c, nil
}

// Sample draws n samples of the data, row by row.
func (m *Mixture) Sample(n int, r Rand) []float64 {
	d := m.Dim()
	x := make([]float64, 0, n*d)
	for range n {
		u, k := r.Float64(), 0
		for k < len(m.W)-1 && u >= m.W[k] {
			u -= m.W[k]
			k++
		}
		for _, mu := range m.Mu[k] {
			x = append(x, mu+m.S[k]*r.NormFloat64())
		}
	}
	return x
}

// Rand is what Sample draws from; *rand.Rand of math/rand/v2 is one.
type Rand interface {
	Float64() float64
	NormFloat64() float64
}

// Moments are the mean and the covariance (row by row) of the data.
func (m *Mixture) Moments() (mean, cov []float64) {
	d := m.Dim()
	mean, cov = make([]float64, d), make([]float64, d*d)
	for k, w := range m.W {
		for i, mu := range m.Mu[k] {
			mean[i] += w * mu
		}
	}
	for k, w := range m.W {
		for i := range d {
			for j := range d {
				cov[i*d+j] += w * (m.Mu[k][i] - mean[i]) * (m.Mu[k][j] - mean[j])
			}
			cov[i*d+i] += w * m.S[k] * m.S[k]
		}
	}
	return mean, cov
}

// A posterior is the mixture seen at a noise level: component k is
// N(α·μ_k, v_k·I) with v_k = α²s_k² + σ².
type posterior struct {
	m     *Mixture
	at    diffusion.Level
	v     []float64 // v_k
	logW  []float64 // log w_k − (d/2)·log v_k
	r     []float64 // responsibilities of one sample
	shift []float64 // α·μ_k, row by row
}

func (m *Mixture) posterior(at diffusion.Level) *posterior {
	d := m.Dim()
	p := &posterior{m: m, at: at, v: make([]float64, len(m.W)), logW: make([]float64, len(m.W)),
		r: make([]float64, len(m.W)), shift: make([]float64, 0, len(m.W)*d)}
	for k, w := range m.W {
		p.v[k] = at.Alpha*at.Alpha*m.S[k]*m.S[k] + at.Sigma*at.Sigma
		p.logW[k] = math.Log(w) - float64(d)/2*math.Log(p.v[k])
		for _, mu := range m.Mu[k] {
			p.shift = append(p.shift, at.Alpha*mu)
		}
	}
	return p
}

// responsibilities sets r_k = softmax_k(log w_k − (d/2)·log v_k − |x − αμ_k|²/2v_k).
func responsibilities[T diffusion.Float](p *posterior, x []T) {
	d := len(x)
	top := math.Inf(-1)
	for k := range p.r {
		var q float64
		for i, mu := range p.shift[k*d : (k+1)*d] {
			u := float64(x[i]) - mu
			q += u * u
		}
		p.r[k] = p.logW[k] - q/(2*p.v[k])
		top = max(top, p.r[k])
	}
	var sum float64
	for k, a := range p.r {
		p.r[k] = math.Exp(a - top)
		sum += p.r[k]
	}
	for k := range p.r {
		p.r[k] /= sum
	}
}

// noise writes ε = σ·Σ r_k (x − αμ_k)/v_k of one sample.
func noise[T diffusion.Float](p *posterior, dst, x []T) {
	responsibilities(p, x)
	d := len(x)
	for i := range x {
		var s float64
		for k, r := range p.r {
			s += r * (float64(x[i]) - p.shift[k*d+i]) / p.v[k]
		}
		dst[i] = T(p.at.Sigma * s)
	}
}

// data writes x₀ = Σ r_k [μ_k + α·s_k²/v_k·(x − αμ_k)] of one sample: the form
// that does not cancel as α → 0 or σ → 0.
func data[T diffusion.Float](p *posterior, dst, x []T) {
	responsibilities(p, x)
	d := len(x)
	for i := range x {
		var s float64
		for k, r := range p.r {
			gain := p.at.Alpha * p.m.S[k] * p.m.S[k] / p.v[k]
			s += r * (p.m.Mu[k][i] + gain*(float64(x[i])-p.shift[k*d+i]))
		}
		dst[i] = T(s)
	}
}

// Model is the exact denoiser of the mixture.
func Model[T diffusion.Float](m *Mixture, predicts diffusion.Prediction) (diffusion.Denoiser[T], error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if predicts > diffusion.Score {
		return nil, fmt.Errorf("gmm: prediction %v: must be noise, data, velocity or score", predicts)
	}
	f := func(_ context.Context, dst, x []T, n int, at []diffusion.Level) error {
		d := m.Dim()
		if n < 1 || len(x) != n*d || len(dst) != len(x) {
			return fmt.Errorf("gmm: %d numbers for %d samples: want %d a sample", len(x), n, d)
		}
		if len(at) != 1 && len(at) != n {
			return fmt.Errorf("gmm: %d levels for %d samples: want 1 or %[2]d", len(at), n)
		}
		var p *posterior
		for i := range n {
			if i < len(at) {
				p = m.posterior(at[i])
			}
			predict(p, dst[i*d:(i+1)*d], x[i*d:(i+1)*d], predicts)
		}
		return nil
	}
	return diffusion.Func[T]{Prediction: predicts, F: f}, nil
}

func predict[T diffusion.Float](p *posterior, dst, x []T, want diffusion.Prediction) {
	switch want {
	case diffusion.Noise:
		noise(p, dst, x)
	case diffusion.Data:
		data(p, dst, x)
	case diffusion.Velocity:
		data(p, dst, x)
		x0 := append([]T(nil), dst...)
		noise(p, dst, x)
		a, s := T(p.at.Alpha), T(p.at.Sigma)
		for i, v := range x0 {
			dst[i] = a*dst[i] - s*v
		}
	case diffusion.Score:
		noise(p, dst, x)
		s := T(p.at.Sigma)
		for i := range dst {
			dst[i] = -dst[i] / s
		}
	}
}

// JVP is the product of the noise prediction's Jacobian at x with p. With u_k =
// (x − αμ_k)/v_k and ū = Σ r_k u_k it is
// σ·[(Σ r_k/v_k)·p − Σ r_k u_k (u_k·p) + ū (ū·p)].
func (m *Mixture) JVP(at diffusion.Level, x, p []float64) []float64 {
	dst := make([]float64, len(x))
	m.posterior(at).jacobian(dst, x, p)
	return dst
}

// jacobian writes the noise prediction's Jacobian at x times p.
func (post *posterior) jacobian(dst, x, p []float64) {
	responsibilities(post, x)
	d := len(x)
	var trace, meanDot float64
	mean, u := make([]float64, d), make([]float64, d)
	clear(dst)
	for k, r := range post.r {
		var dot float64
		for i := range x {
			u[i] = (x[i] - post.shift[k*d+i]) / post.v[k]
			dot += u[i] * p[i]
		}
		trace += r / post.v[k]
		meanDot += r * dot
		for i := range u {
			mean[i] += r * u[i]
			dst[i] -= r * u[i] * dot
		}
	}
	for i := range dst {
		dst[i] = post.at.Sigma * (trace*p[i] + dst[i] + mean[i]*meanDot)
	}
}

// Exactly is the mixture's noise prediction with its exact Jacobian.
type Exactly struct {
	diffusion.Denoiser[float64]
	m *Mixture
}

// Differentiable is the noise prediction of a mixture with JVP.
func Differentiable(m *Mixture) (Exactly, error) {
	d, err := Model[float64](m, diffusion.Noise)
	return Exactly{d, m}, err
}

// JVP writes the product of the noise prediction's Jacobian at x with p for n
// samples, row by row.
func (e Exactly) JVP(_ context.Context, dst, x, p []float64, n int, at diffusion.Level) error {
	d := e.m.Dim()
	if len(x) != n*d || len(p) != len(x) || len(dst) != len(x) {
		return fmt.Errorf("gmm: %d, %d and %d numbers for %d samples: want %d a sample", len(dst), len(x), len(p), n, d)
	}
	for i := range n {
		copy(dst[i*d:(i+1)*d], e.m.JVP(at, x[i*d:(i+1)*d], p[i*d:(i+1)*d]))
	}
	return nil
}
