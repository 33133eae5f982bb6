package directional

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/special"
)

// unitTolerance is how far from 1 the norm of a unit vector may be: float32
// features keep 1e-7.
const unitTolerance = 1e-5

// ErrUnbounded is given when all vectors point the same way: the likelihood then
// grows with κ without bound.
var ErrUnbounded = errors.New("all vectors have the same direction: the concentration is unbounded")

// ErrNorm is given for a vector that is no unit vector.
var ErrNorm = errors.New("must be 1")

// A Report says how good a fit is.
type Report struct {
	N, Dim     int
	R          float64 // length of the mean of the vectors
	StdErr     float64 // standard error of κ, (N·A_p′(κ))^(−1/2)
	MeanLogLik float64 // mean log-likelihood of the vectors
	Residual   float64 // A_p(κ) − R, 0 at the maximum
	Iterations int     // Newton steps
	// Corrected is κ without the bias of R: by chance alone, R² is larger by
	// (1 − R²)/N or so, and where Dim is above N that shifts κ by more than StdErr. It
	// is 0 if R is not above chance.
	Corrected float64
}

// Fit is the maximum-likelihood distribution of the unit vectors that are the
// rows of x. If their mean is 0, the fit is uniform and Mu the first axis.
func Fit(x mat.Matrix) (VonMisesFisher, Report, error) {
	n, p := x.Dims()
	rep := Report{N: n, Dim: p}
	switch {
	case n < 1:
		return VonMisesFisher{}, rep, fmt.Errorf("directional: no vectors to fit")
	case p < 2:
		return VonMisesFisher{}, rep, fmt.Errorf("directional: vectors of %d coordinates: must be at least 2", p)
	}
	mean := make([]float64, p)
	row := make([]float64, p)
	for i := range n {
		mat.Row(row, i, x)
		length := norm(row)
		switch {
		case math.IsNaN(length) || math.IsInf(length, 0):
			return VonMisesFisher{}, rep, fmt.Errorf("directional: row %d has a number that is not finite", i)
		case math.Abs(length-1) > unitTolerance:
			return VonMisesFisher{}, rep, fmt.Errorf("directional: row %d has norm %.6g: %w", i, length, ErrNorm)
		}
		for j, v := range row {
			mean[j] += v / length
		}
	}
	for j := range mean {
		mean[j] /= float64(n)
	}
	rep.R = norm(mean)
	d := VonMisesFisher{Mu: mean}
	var err error
	if d.Kappa, rep.Iterations, err = concentration(p, rep.R); err != nil {
		return VonMisesFisher{}, rep, err
	}
	if rep.R > 0 {
		for j := range mean {
			mean[j] /= rep.R
		}
	} else {
		mean[0] = 1
	}
	if chance := (float64(n)*rep.R*rep.R - 1) / float64(n-1); chance > 0 {
		if rep.Corrected, _, err = concentration(p, math.Sqrt(chance)); err != nil {
			return VonMisesFisher{}, rep, err
		}
	}
	rep.Residual = MeanResultant(p, d.Kappa) - rep.R
	rep.StdErr = 1 / math.Sqrt(float64(n)*special.DRatioI(float64(p)/2-1, d.Kappa))
	rep.MeanLogLik = LogNormalizer(p, d.Kappa) + d.Kappa*rep.R
	return d, rep, nil
}

// Concentration is the κ whose mean resultant in R^p has length r: the
// maximum-likelihood estimate of κ. It is found to full precision; r near 1
// determines it only to about 1e-16/(1 − r).
func Concentration(p int, r float64) (float64, error) {
	kappa, _, err := concentration(p, r)
	return kappa, err
}

// concentration takes Newton steps on A_p(κ) = r from Banerjee's approximation,
// inside bounds of κ that Tanabe et al. (2007) give.
func concentration(p int, r float64) (kappa float64, steps int, err error) {
	switch {
	case p < 2:
		return 0, 0, fmt.Errorf("directional: dimension %d: must be at least 2", p)
	case !(r >= 0) || r > 1+1e-9:
		return 0, 0, fmt.Errorf("directional: mean resultant length %g: must be from 0 to 1", r)
	case r >= 1-1e-14:
		return 0, 0, fmt.Errorf("directional: mean resultant length %.17g: %w", r, ErrUnbounded)
	case r == 0:
		return 0, 0, nil
	}
	v := float64(p)/2 - 1
	spread := (1 - r) * (1 + r)
	lo, hi := r*float64(p-2)/spread, r*float64(p)/spread
	kappa = Banerjee(p, r)
	for steps = 1; steps < 60; steps++ {
		miss := special.RatioI(v, kappa) - r
		if miss > 0 {
			hi = kappa
		} else {
			lo = kappa
		}
		next := kappa - miss/special.DRatioI(v, kappa)
		if !(next >= lo && next <= hi) {
			next = lo + (hi-lo)/2
		}
		kappa = next
		if math.Abs(miss) <= 0x1p-52*r { // all that r says
			break
		}
	}
	return kappa, steps, nil
}

// Banerjee is the closed-form approximation r(p − r²)/(1 − r²) of the κ that
// [Concentration] finds: Banerjee et al. 2005.
func Banerjee(p int, r float64) float64 {
	return r * (float64(p) - r*r) / ((1 - r) * (1 + r))
}

// Sra is Banerjee's approximation after two Newton steps: Sra 2012.
func Sra(p int, r float64) float64 {
	v := float64(p)/2 - 1
	kappa := Banerjee(p, r)
	for range 2 {
		kappa -= (special.RatioI(v, kappa) - r) / special.DRatioI(v, kappa)
	}
	return kappa
}
