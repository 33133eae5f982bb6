package kern

import "math"

// Exp is dst[i] = e^x[i], within an ulp. x has at least the length of dst and
// may be it.
func Exp[T Float](dst, x []T) {
	x = x[:len(dst)]
	for lo := 0; lo < len(dst); {
		hi := min(lo+mathLen, len(dst))
		exp(dst[lo:hi], x[lo:hi])
		lo = hi
	}
}

// mathLen is how many values of a function one call of assembly takes.
const mathLen = 1 << 14

func exp[T Float](dst, x []T) {
	switch {
	case active == generic:
		for i, v := range x {
			dst[i] = T(math.Exp(float64(v)))
		}
	case is32[T]() && active >= avx512:
		expF32AVX512(f32(dst), f32(x), len(dst))
	case is32[T]():
		expF32AVX2(f32(dst), f32(x), len(dst))
	case active >= avx512:
		expF64AVX512(f64(dst), f64(x), len(dst))
	default:
		expF64AVX2(f64(dst), f64(x), len(dst))
	}
}

// Log is dst[i] = log x[i], within an ulp: −∞ for 0, NaN below. x has at least
// the length of dst and may be it.
func Log[T Float](dst, x []T) {
	x = x[:len(dst)]
	for lo := 0; lo < len(dst); {
		hi := min(lo+mathLen, len(dst))
		log(dst[lo:hi], x[lo:hi])
		lo = hi
	}
}

func log[T Float](dst, x []T) {
	switch {
	case active == generic:
		for i, v := range x {
			dst[i] = T(logGeneric(float64(v)))
		}
	case is32[T]() && active >= avx512:
		logF32AVX512(f32(dst), f32(x), len(dst))
	case is32[T]():
		logF32AVX2(f32(dst), f32(x), len(dst))
	case active >= avx512:
		logF64AVX512(f64(dst), f64(x), len(dst))
	default:
		logF64AVX2(f64(dst), f64(x), len(dst))
	}
}

// logGeneric is math.Log, which takes subnormal numbers for normal ones on amd64.
func logGeneric(x float64) float64 {
	if x > 0 && x < 0x1p-1022 {
		return math.Log(x*0x1p54) - 54*math.Ln2
	}
	return math.Log(x)
}
