package decoder

import (
	"math"

	"github.com/assay-lab/assay/internal/gemm"
	"github.com/assay-lab/assay/internal/kern"
)

func matrix(x []float32, rows, cols int) gemm.Matrix {
	return gemm.Matrix{X: x, Rows: rows, Cols: cols}
}

// transpose is the rows×cols matrix whose transpose lies in x.
func transpose(x []float32, rows, cols int) gemm.Matrix {
	return gemm.Matrix{X: x, Rows: rows, Cols: cols, T: true}
}

// accumulate adds x to dst.
func accumulate(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += x[i]
	}
}

// epsilon keeps the root mean square of a zero token from dividing by zero.
const epsilon = 1e-6

// normalize is u = x/rms(x)·(1 + gain), row by row; inverse keeps 1/rms.
func normalize(u, inverse, x, gain []float32) {
	w := len(gain)
	for t := range inverse {
		row, to := x[t*w:(t+1)*w], u[t*w:(t+1)*w]
		var s float32
		for _, v := range row {
			s += v * v
		}
		r := float32(1 / math.Sqrt(float64(s)/float64(w)+epsilon))
		inverse[t] = r
		for i, v := range row {
			to[i] = v * r * (1 + gain[i])
		}
	}
}

// normalizeBack adds to dx the gradient by x, and to dGain that by the gain, given
// that by u.
func normalizeBack(dx, dGain, du, inverse, x, gain []float32) {
	w := len(gain)
	for t, r := range inverse {
		row, d, to := x[t*w:(t+1)*w], du[t*w:(t+1)*w], dx[t*w:(t+1)*w]
		var s float32
		for i, v := range row {
			dGain[i] += d[i] * v * r
			s += d[i] * (1 + gain[i]) * v
		}
		s *= r * r * r / float32(w)
		for i, v := range row {
			to[i] += d[i]*(1+gain[i])*r - v*s
		}
	}
}

// softmax replaces x by exp(x)/Σexp(x) and returns the logarithm of the sum.
func softmax(x []float32) (logSum float64) {
	most := x[0]
	for _, v := range x {
		most = max(most, v)
	}
	for i, v := range x {
		x[i] = v - most
	}
	kern.Exp(x, x)
	var s float32
	for _, v := range x {
		s += v
	}
	for i := range x {
		x[i] /= s
	}
	return float64(most) + math.Log(float64(s))
}
