// Package metrics measures how far apart two sets of samples are.
package metrics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Frechet is the Fréchet distance between Gaussians fitted to two sets of points,
// one a row, as in the Fréchet inception distance (Heusel et al. 2017), which
// takes the features of images for points:
//
//	|μ_a − μ_b|² + tr(C_a + C_b − 2·(C_a·C_b)^½)
//
// Covariances are unbiased. The distance of samples from the same distribution is
// not zero but falls with their number: compare sets of equal size.
func Frechet(a, b mat.Matrix) (float64, error) {
	ma, ca, err := moments("first", a)
	if err != nil {
		return 0, err
	}
	mb, cb, err := moments("second", b)
	if err != nil {
		return 0, err
	}
	if len(ma) != len(mb) {
		return 0, fmt.Errorf("metrics: points of %d and of %d dimensions: must be the same", len(ma), len(mb))
	}
	return FrechetGaussian(ma, ca, mb, cb)
}

// moments are the mean and the covariance of points.
func moments(which string, x mat.Matrix) ([]float64, *mat.SymDense, error) {
	if err := checkPoints(which, x, 2); err != nil {
		return nil, nil, err
	}
	_, d := x.Dims()
	mean := make([]float64, d)
	for j := range mean {
		mean[j] = stat.Mean(mat.Col(nil, j, x), nil)
	}
	var c mat.SymDense
	stat.CovarianceMatrix(&c, x, nil)
	return mean, &c, nil
}

// checkPoints checks that a set has enough points, all of them finite.
func checkPoints(which string, x mat.Matrix, least int) error {
	n, d := x.Dims()
	if n < least || d < 1 {
		return fmt.Errorf("metrics: %s set has %d points of %d dimensions: at least %d points are needed", which, n, d, least)
	}
	for i := range n {
		for j := range d {
			if v := x.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("metrics: %s set: point %d has %g", which, i, v)
			}
		}
	}
	return nil
}

// FrechetGaussian is the squared Fréchet (2-Wasserstein) distance between two
// Gaussians of those means and covariances (Dowson & Landau 1982).
func FrechetGaussian(meanA []float64, covA mat.Symmetric, meanB []float64, covB mat.Symmetric) (float64, error) {
	d := len(meanA)
	if len(meanB) != d || covA.SymmetricDim() != d || covB.SymmetricDim() != d {
		return 0, fmt.Errorf("metrics: means of %d and %d, covariances of %d and %d dimensions: must be the same",
			d, len(meanB), covA.SymmetricDim(), covB.SymmetricDim())
	}
	// tr (A·B)^½ = tr (A^½·B·A^½)^½, which is symmetric.
	root, err := sqrtm(covA)
	if err != nil {
		return 0, err
	}
	var rb, m mat.Dense
	rb.Mul(root, covB)
	m.Mul(&rb, root)
	sym := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			sym.SetSym(i, j, (m.At(i, j)+m.At(j, i))/2)
		}
	}
	values, _, err := eigen(sym, false)
	if err != nil {
		return 0, err
	}
	var cross float64
	for _, v := range values {
		cross += math.Sqrt(max(v, 0)) // rounding makes zeros negative
	}
	gap := floats.Distance(meanA, meanB, 2)
	return max(gap*gap+mat.Trace(covA)+mat.Trace(covB)-2*cross, 0), nil
}

// sqrtm is the symmetric square root of a positive semidefinite matrix.
func sqrtm(c mat.Symmetric) (*mat.Dense, error) {
	values, v, err := eigen(c, true)
	if err != nil {
		return nil, err
	}
	d := len(values)
	var scaled, root mat.Dense
	scaled.CloneFrom(v)
	for j, x := range values {
		s := math.Sqrt(max(x, 0))
		for i := range d {
			scaled.Set(i, j, s*v.At(i, j))
		}
	}
	root.Mul(&scaled, v.T())
	return &root, nil
}

func eigen(c mat.Symmetric, vectors bool) ([]float64, *mat.Dense, error) {
	var e mat.EigenSym
	if !e.Factorize(c, vectors) {
		return nil, nil, errors.New("metrics: the eigenvalues of a covariance did not converge")
	}
	if !vectors {
		return e.Values(nil), nil, nil
	}
	var v mat.Dense
	e.VectorsTo(&v)
	return e.Values(nil), &v, nil
}
