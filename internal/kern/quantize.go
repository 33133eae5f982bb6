package kern

import "math"

// QuantizeStaticI8 is dst[i] = clamp(round(x[i]/scale), lo, hi) + shift, and the sum of
// dst: codes with a static scale as signed bytes, in which lo + shift and hi + shift
// must fit. Halves are rounded to even; all levels give the same.
func QuantizeStaticI8(dst []int8, x []float32, scale float32, lo, hi, shift int) (sum int32) {
	x = x[:len(dst)]
	least, most, by := float32(lo), float32(hi), float32(shift)
	n := 0
	if active != generic {
		n = len(x) &^ 15
	}
	switch {
	case n == 0:
	case active >= avx512:
		sum = quantizeWithinI8AVX512(&dst[0], &x[0], scale, least, most, by, n)
	default:
		sum = quantizeWithinI8AVX2(&dst[0], &x[0], scale, least, most, by, n)
	}
	for i, v := range x[n:] {
		q := v / scale
		if !(q < most) { // also NaN, as the assembly
			q = most
		}
		if !(q > least) {
			q = least
		}
		c := int32(math.RoundToEven(float64(q))) + int32(shift)
		dst[n+i] = int8(c)
		sum += c
	}
	return sum
}
