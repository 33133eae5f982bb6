package mixer

import "github.com/assay-lab/assay/internal/kern"

// dot sums in four parts, so that additions do not wait for each other.
func dot(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a, b := (*[4]float32)(x[i:]), (*[4]float32)(y[i:])
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// accumulate adds x to dst.
func accumulate(dst, x []float32) { kern.Axpy(dst, 1, x) }

// multiply is dst = x∘y.
func multiply(dst, x, y []float32) {
	c, v := [1][]float32{x[:len(dst)]}, [1][]float32{y[:len(dst)]}
	kern.CombCols(dst, c[:], v[:])
}
