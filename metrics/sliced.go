package metrics

import (
	"fmt"
	"math"
	"slices"
)

// Rand is what directions are drawn from; *rand.Rand of math/rand/v2 is one.
type Rand interface{ NormFloat64() float64 }

// SlicedW2 is the sliced 2-Wasserstein distance between two sets of points of d
// numbers, row by row (Rabin et al. 2011; Bonneel et al. 2015): the root of the mean,
// over random directions, of the squared W₂ between the points' projections, which on
// a line is the distance between sorted values. The sets may differ in size. Like
// every distance between finite sets it is not zero for sets of one distribution:
// compare sets of equal size, with directions from equal seeds.
func SlicedW2[T ~float32 | ~float64](a, b []T, d, directions int, r Rand) (float64, error) {
	if d < 1 || directions < 1 {
		return 0, fmt.Errorf("metrics: points of %d numbers, %d directions: both must be positive", d, directions)
	}
	for i, x := range [][]T{a, b} {
		if len(x) == 0 || len(x)%d != 0 {
			return 0, fmt.Errorf("metrics: set %d has %d numbers: must be a positive number of points of %d", i+1, len(x), d)
		}
		for j, v := range x {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return 0, fmt.Errorf("metrics: set %d: point %d has %g", i+1, j/d, f)
			}
		}
	}
	u := make([]float64, d)
	pa, pb := make([]float64, len(a)/d), make([]float64, len(b)/d)
	var sum float64
	for range directions {
		var norm float64
		for j := range u {
			u[j] = r.NormFloat64()
			norm += u[j] * u[j]
		}
		for j := range u {
			u[j] /= math.Sqrt(norm)
		}
		project(pa, a, u)
		project(pb, b, u)
		sum += lineW2(pa, pb)
	}
	return math.Sqrt(sum / float64(directions)), nil
}

// project writes the points' coordinates along u, sorted.
func project[T ~float32 | ~float64](dst []float64, x []T, u []float64) {
	for i := range dst {
		var s float64
		for j, v := range x[i*len(u) : (i+1)*len(u)] {
			s += float64(v) * u[j]
		}
		dst[i] = s
	}
	slices.Sort(dst)
}

// lineW2 is the squared W₂ between sorted values of equal weight: ∫(F⁻¹ − G⁻¹)²
// over the pieces on which both quantile functions are constant.
func lineW2(a, b []float64) float64 {
	n, m := len(a), len(b)
	var sum float64
	at := 0 // in units of 1/(n·m)
	for i, j := 0, 0; i < n && j < m; {
		next := min((i+1)*m, (j+1)*n)
		diff := a[i] - b[j]
		sum += float64(next-at) * diff * diff
		if next == (i+1)*m {
			i++
		}
		if next == (j+1)*n {
			j++
		}
		at = next
	}
	return sum / (float64(n) * float64(m))
}
