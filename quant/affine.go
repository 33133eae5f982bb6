package quant

import (
	"fmt"
	"math"
)

// An Affine is a uniform affine quantizer with static scales: one for a whole
// tensor, as activations have, or one for each output channel, as weights have.
// Numbers become codes from 0 to 2^Bits − 1:
//
//	q = clamp(round(x/s) + z, 0, 2^b − 1)    x̂ = (q − z)·s
//
// Halves are rounded to even, and x is divided by s: multiplying with 1/s would
// move ties.
type Affine struct {
	Bits  int // 2 to 8
	Scale []float64
	Zero  []int // the codes that mean zero, one a scale
}

// leastScale is the smallest scale, that of a tensor of zeros.
const leastScale = 1e-8

// NewAffine is the quantizer of ranges [lo[c], hi[c]], one a channel, each widened
// to contain zero (Shang et al. 2023, the uniform quantizer of section 3.1):
//
//	s = max((hi − lo)/(2^b − 1), 10⁻⁸)    z = clamp(−round(lo/s), 0, 2^b − 1)
func NewAffine(bits int, lo, hi []float64) (Affine, error) {
	if err := checkBits(bits); err != nil {
		return Affine{}, err
	}
	if len(lo) == 0 || len(lo) != len(hi) {
		return Affine{}, fmt.Errorf("quant: %d lower and %d upper ends of ranges: want as many, at least 1", len(lo), len(hi))
	}
	q := Affine{Bits: bits, Scale: make([]float64, len(lo)), Zero: make([]int, len(lo))}
	for c := range lo {
		if !(lo[c] <= hi[c]) || math.IsInf(hi[c]-lo[c], 0) {
			return Affine{}, fmt.Errorf("quant: range %d is [%g, %g]: must be finite and ordered", c, lo[c], hi[c])
		}
		q.Scale[c], q.Zero[c] = affine(bits, lo[c], hi[c])
	}
	return q, nil
}

func checkBits(bits int) error {
	if bits < 2 || bits > 8 {
		return fmt.Errorf("quant: bits = %d: must be 2 to 8", bits)
	}
	return nil
}

// affine is scale and zero point of a range.
func affine(bits int, lo, hi float64) (scale float64, zero int) {
	top := 1<<bits - 1
	lo, hi = min(lo, 0), max(hi, 0)
	scale = max((hi-lo)/float64(top), leastScale)
	return scale, clamp(-math.RoundToEven(lo/scale), top)
}

// Levels is the number of codes, 2^Bits.
func (q Affine) Levels() int { return 1 << q.Bits }

// Check wants bits, scales and zero points that make a quantizer.
func (q Affine) Check() error {
	if err := checkBits(q.Bits); err != nil {
		return err
	}
	if len(q.Scale) == 0 || len(q.Scale) != len(q.Zero) {
		return fmt.Errorf("quant: %d scales and %d zero points: want as many, at least 1", len(q.Scale), len(q.Zero))
	}
	for c, s := range q.Scale {
		if !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("quant: scale %d = %g: must be positive and finite", c, s)
		}
		if z := q.Zero[c]; z < 0 || z >= q.Levels() {
			return fmt.Errorf("quant: zero point %d = %d: must be from 0 to %d", c, z, q.Levels()-1)
		}
	}
	return nil
}

// code is the code of a number of channel c.
func (q Affine) code(x float64, c int) int {
	return clamp(math.RoundToEven(x/q.Scale[c])+float64(q.Zero[c]), 1<<q.Bits-1)
}

// each calls f for every number with its channel: x is [channels, len(x)/channels].
func (q Affine) each(n int, f func(i, c int)) error {
	if err := q.Check(); err != nil {
		return err
	}
	k := len(q.Scale)
	if n%k != 0 {
		return fmt.Errorf("quant: %d numbers in %d channels: must divide", n, k)
	}
	for i := range n {
		f(i, i/(n/k))
	}
	return nil
}

// Quantize writes the codes of x, [channels, ...], to dst.
func (q Affine) Quantize(dst []uint8, x []float64) error {
	if len(dst) != len(x) {
		return fmt.Errorf("quant: %d codes for %d numbers", len(dst), len(x))
	}
	if err := finite("quantize", x); err != nil {
		return err
	}
	return q.each(len(x), func(i, c int) { dst[i] = uint8(q.code(x[i], c)) })
}

// Dequantize writes what codes stand for to dst.
func (q Affine) Dequantize(dst []float64, codes []uint8) error {
	if len(dst) != len(codes) {
		return fmt.Errorf("quant: %d numbers for %d codes", len(dst), len(codes))
	}
	for i, v := range codes {
		if int(v) >= q.Levels() {
			return fmt.Errorf("quant: code %d = %d: has more than %d bits", i, v, q.Bits)
		}
	}
	return q.each(len(codes), func(i, c int) { dst[i] = float64(int(codes[i])-q.Zero[c]) * q.Scale[c] })
}

// Fake quantizes and dequantizes: dst[i] = x̂[i]. dst may be x.
func (q Affine) Fake(dst, x []float64) error {
	if len(dst) != len(x) {
		return fmt.Errorf("quant: %d numbers for %d", len(dst), len(x))
	}
	if err := finite("quantize", x); err != nil {
		return err
	}
	return q.each(len(x), func(i, c int) { dst[i] = float64(q.code(x[i], c)-q.Zero[c]) * q.Scale[c] })
}

// finite wants numbers without NaN or infinities.
func finite(what string, x []float64) error {
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("quant: %s: element %d = %g: must be finite", what, i, v)
		}
	}
	return nil
}
