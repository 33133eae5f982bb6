package evo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// A GaussianProcess is a [Predictor] that regresses the order of the scores on
// features: scores become normal quantiles of their ranks, so that their spread over
// decades and the infinite ones do no harm. Length scale and noise are the likeliest
// of a small set.
type GaussianProcess[T any] struct {
	Encode func(x T) []float64 // as many features for every candidate
	// Best > 0 learns from that many best candidates only: a local model.
	Best int
	// Optimism lowers a prediction by that many of its standard deviations, which sends
	// the search to where the model knows little.
	Optimism float64
	// Linear makes the kernel a scalar product: ridge regression, which has no
	// deviations here.
	Linear bool

	mean, scale []float64   // of the features
	x           [][]float64 // features, standardised
	alpha       []float64   // K⁻¹y
	length      float64     // in units of √features
	inverse     *mat.SymDense
}

// Fit learns from the scored candidates.
func (g *GaussianProcess[T]) Fit(ctx context.Context, _ *rand.Rand, known []Scored[T]) error {
	if g.Encode == nil || len(known) == 0 {
		return errors.New("a Gaussian process needs an encoding and scored candidates")
	}
	g.alpha, g.inverse = nil, nil
	if g.Best > 0 && len(known) > g.Best {
		known = best(known, g.Best)
	}
	scores := make([]float64, len(known))
	g.x = make([][]float64, len(known))
	for i, k := range known {
		g.x[i] = g.Encode(k.X)
		if len(g.x[i]) != len(g.x[0]) || len(g.x[i]) == 0 {
			return fmt.Errorf("candidate %d has %d features, the first %d", i, len(g.x[i]), len(g.x[0]))
		}
		scores[i] = k.Score
	}
	g.standardise()
	y := normalScores(scores)
	lengths := []float64{.5, 1, 2, 4}
	if g.Linear {
		lengths = lengths[:1]
	}
	likeliest := math.Inf(-1)
	var factor *mat.Cholesky
	products := g.products()
	for _, length := range lengths {
		for _, noise := range []float64{.01, .1, .5} {
			if err := ctx.Err(); err != nil {
				return err
			}
			alpha, c, l := g.solve(products, y, length, noise)
			if l > likeliest {
				likeliest, factor = l, c
				g.alpha, g.length = alpha, length
			}
		}
	}
	if factor == nil {
		return errors.New("no kernel matrix is positive definite")
	}
	if g.Optimism == 0 || g.Linear {
		return nil
	}
	g.inverse = new(mat.SymDense)
	return factor.InverseTo(g.inverse)
}

// standardise shifts and scales the features to mean 0 and deviation 1. Those that
// do not vary become 0.
func (g *GaussianProcess[T]) standardise() {
	d, n := len(g.x[0]), float64(len(g.x))
	g.mean, g.scale = make([]float64, d), make([]float64, d)
	for i := range d {
		var s, ss float64
		for _, row := range g.x {
			s += row[i] / n
		}
		for _, row := range g.x {
			ss += (row[i] - s) * (row[i] - s) / n
		}
		if g.mean[i] = s; ss > 1e-24 {
			g.scale[i] = 1 / math.Sqrt(ss)
		}
	}
	for i, row := range g.x {
		g.x[i] = g.standard(row)
	}
}

func (g *GaussianProcess[T]) standard(row []float64) []float64 {
	z := make([]float64, len(row))
	for i, v := range row {
		z[i] = (v - g.mean[i]) * g.scale[i]
	}
	return z
}

// product is |a − b|²/d, or a·b/d for the linear kernel, in d dimensions.
func (g *GaussianProcess[T]) product(a, b []float64) float64 {
	var s float64
	if g.Linear {
		for i, x := range a {
			s += x * b[i]
		}
	} else {
		for i, x := range a {
			s += (x - b[i]) * (x - b[i])
		}
	}
	return s / float64(len(a))
}

// products are those of all pairs of known candidates.
func (g *GaussianProcess[T]) products() *mat.SymDense {
	p := mat.NewSymDense(len(g.x), nil)
	for i, a := range g.x {
		for j := i; j < len(g.x); j++ {
			p.SetSym(i, j, g.product(a, g.x[j]))
		}
	}
	return p
}

// kernel is exp(−|a − b|²/2dℓ²), or a·b/d, of a product.
func (g *GaussianProcess[T]) kernel(product, length float64) float64 {
	if g.Linear {
		return product
	}
	return math.Exp(-product / (2 * length * length))
}

// solve gives K⁻¹y, K's factor and the log likelihood of y, up to a constant; −Inf if
// K is not positive definite.
func (g *GaussianProcess[T]) solve(products *mat.SymDense, y []float64, length, noise float64) ([]float64, *mat.Cholesky, float64) {
	n := len(y)
	k := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			k.SetSym(i, j, g.kernel(products.At(i, j), length))
		}
		k.SetSym(i, i, k.At(i, i)+noise)
	}
	var c mat.Cholesky
	if !c.Factorize(k) {
		return nil, nil, math.Inf(-1)
	}
	var alpha mat.VecDense
	if err := c.SolveVecTo(&alpha, mat.NewVecDense(n, y)); err != nil {
		return nil, nil, math.Inf(-1)
	}
	return alpha.RawVector().Data, &c, -.5*mat.Dot(&alpha, mat.NewVecDense(n, y)) - .5*c.LogDet()
}

// Predict gives the expected normal quantile of a candidate's rank, less the optimism.
func (g *GaussianProcess[T]) Predict(xs []T) ([]float64, error) {
	out := make([]float64, len(xs))
	k := make([]float64, len(g.x))
	for i, x := range xs {
		row := g.Encode(x)
		if len(row) != len(g.mean) {
			return nil, fmt.Errorf("a candidate has %d features, want %d", len(row), len(g.mean))
		}
		z := g.standard(row)
		for j, a := range g.alpha {
			k[j] = g.kernel(g.product(z, g.x[j]), g.length)
			out[i] += a * k[j]
		}
		if g.inverse != nil {
			out[i] -= g.Optimism * g.deviation(k)
		}
	}
	return out, nil
}

// deviation is the standard deviation at a candidate with those covariances.
func (g *GaussianProcess[T]) deviation(k []float64) float64 {
	inverse := g.inverse.RawSymmetric() // the upper triangle
	variance := 1.0
	for i, a := range k {
		row := inverse.Data[i*inverse.Stride:]
		s := row[i] * a / 2
		for j := i + 1; j < len(k); j++ {
			s += row[j] * k[j]
		}
		variance -= 2 * a * s
	}
	return math.Sqrt(max(variance, 0))
}

// normalScores are the normal quantiles of the ranks.
func normalScores(scores []float64) []float64 {
	y := Ranks(scores)
	for i, r := range y {
		y[i] = distuv.UnitNormal.Quantile((r + .5) / float64(len(y)))
	}
	return y
}
