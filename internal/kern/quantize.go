package kern

import "math"

// QuantizeStaticI8 is dst[i] = clamp(round(x[i]/scale) + zero, 0, top) − 128, and the
// sum of dst: static codes of at most 8 bits as signed bytes, moved down so that all
// 256 fit. Halves are rounded to even; all levels give the same. top is at most 255.
func QuantizeStaticI8(dst []int8, x []float32, scale float32, zero, top int) (sum int32) {
	x = x[:len(dst)]
	lo, hi, shift := float32(-zero), float32(top-zero), int32(zero-128)
	n := 0
	if active != generic {
		n = len(x) &^ 15
	}
	switch {
	case n == 0:
	case active >= avx512:
		sum = quantizeWithinI8AVX512(&dst[0], &x[0], scale, lo, hi, float32(shift), n)
	default:
		sum = quantizeWithinI8AVX2(&dst[0], &x[0], scale, lo, hi, float32(shift), n)
	}
	for i, v := range x[n:] {
		q := v / scale
		if !(q < hi) { // also NaN, as the assembly
			q = hi
		}
		if !(q > lo) {
			q = lo
		}
		c := int32(math.RoundToEven(float64(q))) + shift
		dst[n+i] = int8(c)
		sum += c
	}
	return sum
}
