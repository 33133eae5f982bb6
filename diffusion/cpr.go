package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// CPR is cascade polynomial regression: the ratios of [DCSolver] as a polynomial of
// the step, the guidance scale and the number of evaluations (DC-Solver, section
// 3.4). With X = i/NFE, C = scale/12 and N = NFE/50 the ratio before step i ≥ 3 is
// Σ_p X^p Σ_q C^(2−q) Σ_k N^(2−k)·CPR[9p+3q+k].
type CPR [36]float64

// features are the 36 monomials for step i, counted from 1.
func cprFeatures(scale float64, nfe, i int) [36]float64 {
	var f [36]float64
	x, c, n := float64(i)/float64(nfe), scale/12, float64(nfe)/50
	for p := range 4 {
		for q := range 3 {
			for k := range 3 {
				f[9*p+3*q+k] = math.Pow(x, float64(p)) * math.Pow(c, float64(2-q)) * math.Pow(n, float64(2-k))
			}
		}
	}
	return f
}

// Ratios predicts the ratios for a guidance scale and a number of evaluations.
func (c CPR) Ratios(scale float64, nfe int) ([]float64, error) {
	if nfe < 1 || math.IsNaN(scale) || math.IsInf(scale, 0) {
		return nil, fmt.Errorf("diffusion: ratios for guidance %g with %d evaluations: must be finite and positive", scale, nfe)
	}
	r := make([]float64, nfe)
	for i := range r {
		if r[i] = 1; i < 2 {
			continue
		}
		r[i] = 0
		for j, f := range cprFeatures(scale, nfe, i+1) {
			r[i] += c[j] * f
		}
	}
	return r, nil
}

// RatioPoint is one search's result: the ratios from step 3 on.
type RatioPoint struct {
	Scale  float64
	NFE    int
	Ratios []float64
}

// FitCPR fits the polynomial by least squares: the model is linear in its
// coefficients. It also gives the root mean square of the residuals.
func FitCPR(points []RatioPoint) (c CPR, residual float64, err error) {
	var rows [][36]float64
	var y []float64
	for k, p := range points {
		if len(p.Ratios) != p.NFE-2 {
			return c, 0, fmt.Errorf("diffusion: point %d has %d ratios for %d evaluations: want those from step 3 on", k, len(p.Ratios), p.NFE)
		}
		for i, r := range p.Ratios {
			if math.IsNaN(r) || math.IsInf(r, 0) {
				return c, 0, fmt.Errorf("diffusion: point %d, ratio %d = %g: must be finite", k, i+3, r)
			}
			rows, y = append(rows, cprFeatures(p.Scale, p.NFE, i+3)), append(y, r)
		}
	}
	if len(rows) < len(c) {
		return c, 0, fmt.Errorf("diffusion: %d ratios for %d coefficients: want at least as many", len(rows), len(c))
	}
	a := mat.NewDense(len(rows), len(c), nil)
	var scale [36]float64 // columns differ by orders of magnitude
	for j := range c {
		for i := range rows {
			scale[j] = max(scale[j], math.Abs(rows[i][j]))
		}
		if scale[j] == 0 {
			scale[j] = 1
		}
		for i := range rows {
			a.Set(i, j, rows[i][j]/scale[j])
		}
	}
	var w mat.VecDense
	if err := solveLeastSquares(&w, a, mat.NewVecDense(len(y), y)); err != nil {
		return c, 0, err
	}
	for j := range c {
		c[j] = w.AtVec(j) / scale[j]
	}
	for i, r := range rows {
		e := -y[i]
		for j, f := range r {
			e += c[j] * f
		}
		residual += e * e
	}
	return c, math.Sqrt(residual / float64(len(y))), nil
}

// solveLeastSquares takes the solution of least norm, by singular values: points on
// few scales or numbers of evaluations do not determine all coefficients.
func solveLeastSquares(w *mat.VecDense, a *mat.Dense, y *mat.VecDense) error {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		return fmt.Errorf("diffusion: the least-squares fit of the ratios did not converge")
	}
	rank := svd.Rank(1e-12)
	if rank == 0 {
		return fmt.Errorf("diffusion: the ratios' features are all zero")
	}
	svd.SolveVecTo(w, y, rank)
	return nil
}
