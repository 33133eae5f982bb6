// Package directional has distributions on the unit sphere: von Mises–Fisher in
// any dimension, with density, sampling and maximum-likelihood fit.
//
// Everything is computed from logarithms and ratios of Bessel functions
// (package special), which neither overflow nor underflow: dimensions of tens of
// thousands, as embeddings have, are no different from three.
package directional

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/assay-lab/assay/special"
)

// VonMisesFisher is the distribution on the unit sphere in R^p with density
// C_p(κ)·exp(κ μᵀx): Mardia and Jupp, Directional Statistics, section 9.3.2.
type VonMisesFisher struct {
	Mu    []float64   // mean direction, a unit vector; its length is p, at least 2
	Kappa float64     // concentration; 0 is the uniform distribution
	Src   rand.Source // of random numbers; nil for the global one
}

var _ distmv.RandLogProber = VonMisesFisher{}

// Check says what is wrong with the parameters, if anything is.
func (d VonMisesFisher) Check() error {
	if len(d.Mu) < 2 {
		return fmt.Errorf("directional: mean direction of %d coordinates: must be at least 2", len(d.Mu))
	}
	if n := norm(d.Mu); !(math.Abs(n-1) <= unitTolerance) {
		return fmt.Errorf("directional: mean direction has norm %g: must be 1", n)
	}
	if !(d.Kappa >= 0) || math.IsInf(d.Kappa, 1) {
		return fmt.Errorf("directional: kappa = %g: must be finite and not negative", d.Kappa)
	}
	return nil
}

// LogProb is the logarithm of the density at the unit vector x; NaN if x has
// another dimension than Mu.
func (d VonMisesFisher) LogProb(x []float64) float64 {
	if len(x) != len(d.Mu) {
		return math.NaN()
	}
	return LogNormalizer(len(x), d.Kappa) + d.Kappa*dot(d.Mu, x)
}

// Rand draws a unit vector, into x if it has the dimension of Mu and into a new
// slice otherwise. Ulrich's rejection (1984) as corrected by Wood (1994) takes
// about one draw in any dimension. With parameters that [VonMisesFisher.Check]
// refuses it gives NaN.
func (d VonMisesFisher) Rand(x []float64) []float64 {
	p := len(d.Mu)
	if x == nil || len(x) != p {
		x = make([]float64, p)
	}
	if d.Check() != nil {
		for i := range x {
			x[i] = math.NaN()
		}
		return x
	}
	// A random direction orthogonal to Mu.
	normal := rand.NormFloat64
	if d.Src != nil {
		normal = rand.New(d.Src).NormFloat64
	}
	for i := range x {
		x[i] = normal()
	}
	along := dot(d.Mu, x) / dot(d.Mu, d.Mu)
	for i, m := range d.Mu {
		x[i] -= along * m
	}
	delta := d.falls()
	side := math.Sqrt(delta*(2-delta)) / norm(x)
	for i, m := range d.Mu {
		x[i] = (1-delta)*m + side*x[i]
	}
	return x
}

// falls draws 1 − μᵀx. Written for it instead of for μᵀx, nothing cancels at large κ.
func (d VonMisesFisher) falls() float64 {
	n := float64(len(d.Mu) - 1)
	b := n / (2*d.Kappa + math.Hypot(2*d.Kappa, n))
	x0 := (1 - b) / (1 + b)
	fall0 := 2 * b / (1 + b) // 1 − x0
	beta := distuv.Beta{Alpha: n / 2, Beta: n / 2, Src: d.Src}
	uniform := rand.ExpFloat64
	if d.Src != nil {
		uniform = rand.New(d.Src).ExpFloat64
	}
	for {
		z := beta.Rand()
		delta := 2 * b * z / (1 - (1-b)*z)
		gain := d.Kappa*(fall0-delta) + n*math.Log((fall0+x0*delta)*(1+b)*(1+b)/(4*b))
		if gain >= -uniform() { // −log U is exponential
			return delta
		}
	}
}

// LogNormalizer is log C_p(κ), the logarithm of what makes exp(κ μᵀx) a density on
// the unit sphere in R^p; NaN for p < 2 or κ < 0.
func LogNormalizer(p int, kappa float64) float64 {
	if p < 2 || !(kappa >= 0) {
		return math.NaN()
	}
	v := float64(p)/2 - 1
	half := float64(p) / 2
	if kappa*kappa < 1e-17*(v+1) { // I_v is its first term
		g, _ := math.Lgamma(half)
		return g - half*math.Log(math.Pi) - math.Ln2
	}
	return v*math.Log(kappa) - half*math.Log(2*math.Pi) - special.LogI(v, kappa)
}

// MeanResultant is A_p(κ) = I_{p/2}(κ)/I_{p/2−1}(κ), the length of the mean of x.
func MeanResultant(p int, kappa float64) float64 {
	if p < 2 {
		return math.NaN()
	}
	return special.RatioI(float64(p)/2-1, kappa)
}

func dot(x, y []float64) float64 {
	var s float64
	for i, xi := range x {
		s += xi * y[i]
	}
	return s
}

func norm(x []float64) float64 { return math.Sqrt(dot(x, x)) }
