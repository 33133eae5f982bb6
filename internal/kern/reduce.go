package kern

import "math"

// Dot is Σ x[i]·y[i]. y has at least the length of x.
func Dot[T Float](x, y []T) float64 {
	y = y[:len(x)]
	var sum float64
	for lo := 0; lo < len(x); {
		hi := min(lo+sumBlock, len(x))
		sum += float64(dot(x[lo:hi], y[lo:hi]))
		lo = hi
	}
	return sum
}

func dot[T Float](x, y []T) T {
	switch {
	case active == generic:
		return dotGeneric(x, y)
	case is32[T]() && active >= avx512:
		return T(dotF32AVX512(f32(x), f32(y), len(x)))
	case is32[T]():
		return T(dotF32AVX2(f32(x), f32(y), len(x)))
	case active >= avx512:
		return T(dotF64AVX512(f64(x), f64(y), len(x)))
	default:
		return T(dotF64AVX2(f64(x), f64(y), len(x)))
	}
}

// Norm1 is Σ |x[i]|.
func Norm1[T Float](x []T) float64 {
	sum, _ := absSumMax(x)
	return sum
}

// NormInf is the largest |x[i]|; NaN if one of x is.
func NormInf[T Float](x []T) float64 {
	sum, most := absSumMax(x)
	if math.IsNaN(sum) {
		return sum
	}
	return most
}

// Norm2 is √Σ x[i]², without overflow on the way.
func Norm2[T Float](x []T) float64 {
	s := Dot(x, x)
	switch {
	case s > 1e-30 && s < 1e30:
		return math.Sqrt(s)
	case math.IsNaN(s):
		return s
	}
	most := NormInf(x)
	if most == 0 || math.IsInf(most, 1) {
		return most
	}
	s = 0
	for _, v := range x {
		v := float64(v) / most
		s += v * v
	}
	return most * math.Sqrt(s)
}

func absSumMax[T Float](x []T) (sum, most float64) {
	for lo := 0; lo < len(x); {
		hi := min(lo+sumBlock, len(x))
		s, m := absBlock(x[lo:hi])
		sum, most = sum+float64(s), max(most, float64(m))
		lo = hi
	}
	return sum, most
}

func absBlock[T Float](x []T) (sum, most T) {
	switch {
	case active == generic:
		return absGeneric(x)
	case is32[T]() && active >= avx512:
		s, m := absSumMaxF32AVX512(f32(x), len(x))
		return T(s), T(m)
	case is32[T]():
		s, m := absSumMaxF32AVX2(f32(x), len(x))
		return T(s), T(m)
	case active >= avx512:
		s, m := absSumMaxF64AVX512(f64(x), len(x))
		return T(s), T(m)
	default:
		s, m := absSumMaxF64AVX2(f64(x), len(x))
		return T(s), T(m)
	}
}

// dotGeneric adds in four sums, as the assembly does in more: one would wait
// for itself and round worse.
func dotGeneric[T Float](x, y []T) T {
	var s0, s1, s2, s3 T
	y = y[:len(x)]
	for len(x) >= 4 {
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s0 += v * y[i]
	}
	return s0 + s2 + (s1 + s3)
}

func absGeneric[T Float](x []T) (sum, most T) {
	var s [4]T
	for i, v := range x {
		v = max(v, -v)
		s[i&3] += v
		most = max(most, v)
	}
	return s[0] + s[2] + (s[1] + s[3]), most
}
