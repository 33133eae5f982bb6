package mcmc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/kern"
)

// Ladder is the published levels: k of them, log-spaced, from max down to a
// thousandth of the way above min: min·(max/min)^u, u evenly from 1 to 10⁻³.
func Ladder(min, max float64, k int) []float64 {
	levels := make([]float64, k)
	for i := range levels {
		u := 1.0
		if k > 1 {
			u = 1 + (1e-3-1)*float64(i)/float64(k-1)
		}
		levels[i] = min * math.Pow(max/min, u)
	}
	return levels
}

// checkLevels checks that there are levels, all positive and falling.
func checkLevels(levels []float64) error {
	if len(levels) == 0 {
		return errors.New("mcmc: no levels")
	}
	for i, v := range levels {
		if !(v > 0) || math.IsInf(v, 0) || i > 0 && v >= levels[i-1] {
			return fmt.Errorf("mcmc: level %d = %g: levels must be positive and fall from the largest on", i, v)
		}
	}
	return nil
}

// A Posterior knows p(σ | x) for the levels of a ladder, under a uniform prior. It
// is safe for concurrent use.
type Posterior[T diffusion.Float] interface {
	// Levels are the levels σ/α, the largest first. They are not to be changed.
	Levels() []float64
	// LogProbs writes log p(level | x) for n states x in units of the data, up to a
	// constant for each: n rows of len(Levels()) numbers.
	LogProbs(ctx context.Context, out []float64, x []T, n int) error
}

// Exact is the posterior for a mixture of Gaussians: its log-probabilities are the
// log-densities log p_σ(x) of the smoothed mixture, in full.
func Exact[T diffusion.Float](m *gmm.Mixture, levels []float64) (Posterior[T], error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := checkLevels(levels); err != nil {
		return nil, err
	}
	e := &exact[T]{m: m, levels: slices.Clone(levels)}
	for k, w := range m.W {
		a, b := make([]float64, len(levels)), make([]float64, len(levels))
		for l, sigma := range levels {
			v := m.S[k]*m.S[k] + sigma*sigma
			a[l] = math.Log(w) - float64(m.Dim())/2*math.Log(2*math.Pi*v)
			b[l] = -1 / (2 * v)
		}
		e.a, e.b = append(e.a, a), append(e.b, b)
	}
	return e, nil
}

// exact has a[k][l] + b[k][l]·|x − μ_k|² for the log-density of component k at
// level l.
type exact[T diffusion.Float] struct {
	m      *gmm.Mixture
	levels []float64
	a, b   [][]float64
}

// Levels are the levels.
func (e *exact[T]) Levels() []float64 { return e.levels }

// LogProbs adds up the components by log-sum-exp.
func (e *exact[T]) LogProbs(ctx context.Context, out []float64, x []T, n int) error {
	d, k := e.m.Dim(), len(e.levels)
	if len(x) != n*d || len(out) != n*k {
		return fmt.Errorf("mcmc: %d numbers and %d log-probabilities for %d states: want %d and %d each", len(x), len(out), n, d, k)
	}
	terms, top, sum := make([]float64, k), make([]float64, k), make([]float64, k)
	q := make([]float64, len(e.a))
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		for c, mu := range e.m.Mu {
			q[c] = 0
			for j, v := range mu {
				u := float64(x[i*d+j]) - v
				q[c] += u * u
			}
			for l, a := range e.a[c] {
				if t := a + e.b[c][l]*q[c]; c == 0 || t > top[l] {
					top[l] = t
				}
			}
		}
		clear(sum)
		for c := range e.a {
			for l, a := range e.a[c] {
				terms[l] = a + e.b[c][l]*q[c] - top[l]
			}
			kern.Exp(terms, terms)
			for l, t := range terms {
				sum[l] += t
			}
		}
		kern.Log(sum, sum)
		for l, s := range sum {
			out[i*k+l] = top[l] + s
		}
	}
	return nil
}

// Probs are the probabilities that log-probabilities up to a constant stand for.
func Probs(logp []float64) ([]float64, error) {
	p := make([]float64, len(logp))
	sum, err := weights(p, logp)
	for i := range p {
		p[i] /= sum
	}
	return p, err
}

// weights are probabilities up to a factor, and their sum.
func weights(p, logp []float64) (sum float64, err error) {
	best, err := Argmax(logp)
	if err != nil {
		return 0, err
	}
	for i, l := range logp {
		p[i] = l - logp[best] // differences of hundreds are normal
	}
	kern.Exp(p, p)
	for _, v := range p {
		sum += v
	}
	return sum, nil
}

// Draw draws an index by the inverse of the cumulative probabilities: the first
// whose cumulative probability is u or more.
func Draw(logp []float64, u float64) (int, error) {
	return draw(make([]float64, len(logp)), logp, u)
}

func draw(p, logp []float64, u float64) (int, error) {
	total, err := weights(p, logp)
	if err != nil {
		return 0, err
	}
	if !(u >= 0 && u <= 1) {
		return 0, fmt.Errorf("mcmc: u = %g: must be in [0, 1]", u)
	}
	var sum float64
	for i, v := range p {
		if sum += v / total; sum >= u {
			return i, nil
		}
	}
	return len(p) - 1, nil // rounding leaves the sum below u
}

// Argmax is the index of the largest, the first of equals.
func Argmax(logp []float64) (int, error) {
	best := 0
	for i, l := range logp {
		if math.IsNaN(l) {
			return 0, fmt.Errorf("mcmc: the log-probability of level %d is NaN", i)
		}
		if l > logp[best] {
			best = i
		}
	}
	if len(logp) == 0 || math.IsInf(logp[best], 0) {
		return 0, fmt.Errorf("mcmc: %d levels, none of which has a finite log-probability that is the largest", len(logp))
	}
	return best, nil
}
