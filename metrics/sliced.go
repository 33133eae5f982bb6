package metrics

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/internal/rng"
)

// SlicedWasserstein is the sliced 2-Wasserstein distance between two sets of points,
// one a row: the root of the mean, over random directions, of the squared
// 2-Wasserstein distance between the sets' projections (Rabin et al. 2012). The
// directions are those of the seed. Like any distance of samples it is not zero
// between two sets from one distribution.
func SlicedWasserstein(a, b mat.Matrix, directions int, seed uint64) (float64, error) {
	if err := checkPoints("first", a, 1); err != nil {
		return 0, err
	}
	if err := checkPoints("second", b, 1); err != nil {
		return 0, err
	}
	_, d := a.Dims()
	if _, e := b.Dims(); e != d {
		return 0, fmt.Errorf("metrics: points of %d and of %d dimensions: must be the same", d, e)
	}
	if directions < 1 {
		return 0, fmt.Errorf("metrics: %d directions: at least 1 is needed", directions)
	}
	r := rng.Stream(seed)
	v := mat.NewVecDense(d, nil)
	var sum float64
	for range directions {
		for i := range d {
			v.SetVec(i, r.NormFloat64())
		}
		v.ScaleVec(1/mat.Norm(v, 2), v)
		sum += wasserstein2(project(a, v), project(b, v))
	}
	return math.Sqrt(sum / float64(directions)), nil
}

// project gives the sorted components along v.
func project(x mat.Matrix, v *mat.VecDense) []float64 {
	var p mat.VecDense
	p.MulVec(x, v)
	slices.Sort(p.RawVector().Data)
	return p.RawVector().Data
}

// wasserstein2 is the squared 2-Wasserstein distance of sorted numbers: the integral
// of the squared difference of their quantile functions.
func wasserstein2(a, b []float64) float64 {
	var sum float64
	for i, j, done := 0, 0, 0.0; i < len(a) && j < len(b); {
		endA, endB := float64(i+1)/float64(len(a)), float64(j+1)/float64(len(b))
		end := min(endA, endB)
		sum += (end - done) * (a[i] - b[j]) * (a[i] - b[j])
		done = end
		if endA <= end {
			i++
		}
		if endB <= end {
			j++
		}
	}
	return sum
}

// TotalVariation is half the sum of |p − q|: how much of the probability is placed
// elsewhere.
func TotalVariation(p, q []float64) (float64, error) {
	if len(p) != len(q) || len(p) == 0 {
		return 0, fmt.Errorf("metrics: %d and %d probabilities: want as many, at least 1", len(p), len(q))
	}
	var sum float64
	for i := range p {
		if !(p[i] >= 0 && q[i] >= 0) || math.IsInf(p[i], 0) || math.IsInf(q[i], 0) {
			return 0, fmt.Errorf("metrics: probabilities %d are %g and %g: must not be negative", i, p[i], q[i])
		}
		sum += math.Abs(p[i] - q[i])
	}
	return sum / 2, nil
}
