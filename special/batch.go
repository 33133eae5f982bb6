package special

import (
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
)

// LogIs is dst[i] = log I_v[i](x[i]). v or x may have one element, which then goes
// with all of the other; a nil dst is allocated, and dst may be v or x. It is an
// error if lengths differ.
func LogIs(dst, v, x []float64) ([]float64, error) { return batch(dst, v, x, kernel(kern.LogI, LogI)) }

// LogKs is dst[i] = log K_v[i](x[i]), with slices as for [LogIs].
func LogKs(dst, v, x []float64) ([]float64, error) { return batch(dst, v, x, kernel(kern.LogK, LogK)) }

// RatioIs is dst[i] = [RatioI](v[i], x[i]), with slices as for [LogIs].
func RatioIs(dst, v, x []float64) ([]float64, error) {
	return batch(dst, v, x, kernel(kern.RatioI, RatioI))
}

// RatioKs is dst[i] = [RatioK](v[i], x[i]), with slices as for [LogIs].
func RatioKs(dst, v, x []float64) ([]float64, error) {
	return batch(dst, v, x, kernel(kern.RatioK, RatioK))
}

// DLogIs is dst[i] = [DLogI](v[i], x[i]), with slices as for [LogIs].
func DLogIs(dst, v, x []float64) ([]float64, error) {
	return batch(dst, v, x, kernel(kern.SlopeI, DLogI))
}

// DLogKs is dst[i] = [DLogK](v[i], x[i]), with slices as for [LogIs].
func DLogKs(dst, v, x []float64) ([]float64, error) {
	return batch(dst, v, x, kernel(kern.SlopeK, DLogK))
}

// chunk is how many values are worked on together.
const chunk = 1 << 14

// batch checks lengths, and cuts the work into chunks whose v and x have the
// length of their dst.
func batch(dst, v, x []float64, f func(dst, v, x []float64)) ([]float64, error) {
	n := max(len(v), len(x))
	if len(v) == 0 || len(x) == 0 {
		n = 0
	}
	if len(v) != n && len(v) != 1 || len(x) != n && len(x) != 1 {
		return nil, fmt.Errorf("special: %d orders v for %d arguments x: lengths must be equal, or one of them 1", len(v), len(x))
	}
	if dst == nil {
		dst = make([]float64, n)
	}
	if len(dst) != n {
		return nil, fmt.Errorf("special: room for %d of %d values", len(dst), n)
	}
	v, x = spread(v, n), spread(x, n)
	part := func(s []float64, lo, hi int) []float64 {
		if len(s) == n {
			return s[lo:hi]
		}
		return s[:hi-lo]
	}
	for lo := 0; lo < n; lo += chunk {
		hi := min(lo+chunk, n)
		f(dst[lo:hi], part(v, lo, hi), part(x, lo, hi))
	}
	return dst, nil
}

// spread is s, or copies of its one element, enough for a chunk.
func spread(s []float64, n int) []float64 {
	if len(s) == n {
		return s
	}
	c := make([]float64, min(n, chunk))
	for i := range c {
		c[i] = s[0]
	}
	return c
}

// kernel is a function of slices: package kern's, or one of numbers where there is none.
func kernel(f kern.BesselFn, one func(v, x float64) float64) func(dst, v, x []float64) {
	return func(dst, v, x []float64) {
		if kern.Bessel(dst, v, x, f, one) {
			return
		}
		for i, xi := range x {
			dst[i] = one(v[i], xi)
		}
	}
}
