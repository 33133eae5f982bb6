package kern

import "math"

// SumBlock is the longest block that [SumExt] takes.
const SumBlock = sumBlock

// SumExt is m·2^e = Σ e^x[i] over a block of 1 to 4096 numbers, if m is positive
// and finite and e from −2^20 to 2^20; else the two are of no use: the numbers
// are too large, or infinite, or one is NaN.
func SumExt[T Float](x []T) (m, e float64) {
	_ = x[:1]
	switch {
	case active == generic:
		return sumExtGeneric(x)
	case is32[T]() && active >= avx512:
		m, e := sumExtF32AVX512(f32(x), len(x))
		return float64(m), float64(e)
	case is32[T]():
		m, e := sumExtF32AVX2(f32(x), len(x))
		return float64(m), float64(e)
	case active >= avx512:
		return sumExtF64AVX512(f64(x), len(x))
	default:
		return sumExtF64AVX2(f64(x), len(x))
	}
}

// ScaleExt is dst[i] = w·2^−e·e^x[i], for x and e within the bounds of [SumExt].
// With stream the stores bypass the caches.
func ScaleExt[T Float](dst, x []T, w, e T, stream bool) {
	x = x[:len(dst)]
	for lo := 0; lo < len(dst); {
		hi, s := nextBlock(dst, lo, stream)
		scaleExt(dst[lo:hi], x[lo:hi], w, e, s)
		lo = hi
	}
}

func scaleExt[T Float](dst, x []T, w, e T, stream bool) {
	switch wide := active >= avx512; {
	case active == generic:
		scaleExtGeneric(dst, x, w, e)
	case is32[T]() && wide && stream:
		scaleExtStreamF32AVX512(f32(dst), f32(x), float32(w), float32(e), len(dst))
	case is32[T]() && wide:
		scaleExtF32AVX512(f32(dst), f32(x), float32(w), float32(e), len(dst))
	case is32[T]() && stream:
		scaleExtStreamF32AVX2(f32(dst), f32(x), float32(w), float32(e), len(dst))
	case is32[T]():
		scaleExtF32AVX2(f32(dst), f32(x), float32(w), float32(e), len(dst))
	case wide && stream:
		scaleExtStreamF64AVX512(f64(dst), f64(x), float64(w), float64(e), len(dst))
	case wide:
		scaleExtF64AVX512(f64(dst), f64(x), float64(w), float64(e), len(dst))
	case stream:
		scaleExtStreamF64AVX2(f64(dst), f64(x), float64(w), float64(e), len(dst))
	default:
		scaleExtF64AVX2(f64(dst), f64(x), float64(w), float64(e), len(dst))
	}
}

// nextBlock is the end of the block that one call takes from lo on, and whether
// it may bypass the caches: a first one may have to reach alignment.
func nextBlock[T Float](dst []T, lo int, stream bool) (hi int, streamed bool) {
	hi = min(lo+blockLen[T](), len(dst))
	if !stream || active == generic {
		return hi, false
	}
	if off := misaligned(dst[lo:]); off > 0 {
		return min(lo+off, len(dst)), false
	}
	return hi, true
}

// Max is the largest of x that is not NaN, or −∞.
func Max[T Float](x []T) T {
	most := least[T]()
	for lo := 0; lo < len(x); {
		hi := min(lo+blockLen[T](), len(x))
		most = max(most, maxOf(x[lo:hi]))
		lo = hi
	}
	return most
}

func maxOf[T Float](x []T) T {
	switch {
	case active == generic:
		return maxGeneric(x)
	case is32[T]() && active >= avx512:
		return T(maxF32AVX512(f32(x), len(x)))
	case is32[T]():
		return T(maxF32AVX2(f32(x), len(x)))
	case active >= avx512:
		return T(maxF64AVX512(f64(x), len(x)))
	default:
		return T(maxF64AVX2(f64(x), len(x)))
	}
}

// SumAt is Σ 2^−e·e^x[i], for e = [ExtOf](max x). Like [SumExt] it is of no use
// for e beyond 2^20; a NaN among x makes it NaN.
func SumAt[T Float](x []T, e T) float64 {
	var sum float64
	for lo := 0; lo < len(x); {
		hi := min(lo+sumBlock, len(x))
		sum += float64(sumAt(x[lo:hi], e))
		lo = hi
	}
	return sum
}

// ExtOf is the power of two that e^x is near to.
func ExtOf[T Float](x T) T { return T(math.RoundToEven(float64(x) * math.Log2E)) }

func sumAt[T Float](x []T, e T) T {
	switch {
	case active == generic:
		return storeAtGeneric(nil, x, e)
	case is32[T]() && active >= avx512:
		return T(sumAtF32AVX512(f32(x), float32(e), len(x)))
	case is32[T]():
		return T(sumAtF32AVX2(f32(x), float32(e), len(x)))
	case active >= avx512:
		return T(sumAtF64AVX512(f64(x), float64(e), len(x)))
	default:
		return T(sumAtF64AVX2(f64(x), float64(e), len(x)))
	}
}

// StoreAt is dst[i] = 2^−e·e^x[i] and gives their sum; see [SumAt].
func StoreAt[T Float](dst, x []T, e T) float64 {
	x = x[:len(dst)]
	var sum float64
	for lo := 0; lo < len(x); {
		hi := min(lo+sumBlock, len(x))
		sum += float64(storeAt(dst[lo:hi], x[lo:hi], e))
		lo = hi
	}
	return sum
}

func storeAt[T Float](dst, x []T, e T) T {
	switch {
	case active == generic:
		return storeAtGeneric(dst, x, e)
	case is32[T]() && active >= avx512:
		return T(storeAtF32AVX512(f32(dst), f32(x), float32(e), len(x)))
	case is32[T]():
		return T(storeAtF32AVX2(f32(dst), f32(x), float32(e), len(x)))
	case active >= avx512:
		return T(storeAtF64AVX512(f64(dst), f64(x), float64(e), len(x)))
	default:
		return T(storeAtF64AVX2(f64(dst), f64(x), float64(e), len(x)))
	}
}

// NearMost is the largest number that [StoreNear] takes.
const NearMost = 64

// StoreNear is dst[i] = e^x[i] and gives their sum, for max x from 0 to NearMost: a
// faster StoreAt with the exponent 0.
func StoreNear[T Float](dst, x []T) float64 {
	x = x[:len(dst)]
	var sum float64
	for lo := 0; lo < len(x); {
		hi := min(lo+sumBlock, len(x))
		sum += float64(storeNear(dst[lo:hi], x[lo:hi]))
		lo = hi
	}
	return sum
}

func storeNear[T Float](dst, x []T) T {
	switch {
	case active == generic:
		return storeAtGeneric(dst, x, 0)
	case is32[T]() && active >= avx512:
		return T(storeNearF32AVX512(f32(dst), f32(x), len(x)))
	case is32[T]():
		return T(storeNearF32AVX2(f32(dst), f32(x), len(x)))
	case active >= avx512:
		return T(storeNearF64AVX512(f64(dst), f64(x), len(x)))
	default:
		return T(storeNearF64AVX2(f64(dst), f64(x), len(x)))
	}
}

// Shift is dst[i] = (x[i] − hi) − lo.
func Shift[T Float](dst, x []T, hi, lo T) {
	x = x[:len(dst)]
	for at := 0; at < len(dst); {
		end := min(at+blockLen[T](), len(dst))
		shift(dst[at:end], x[at:end], hi, lo)
		at = end
	}
}

func shift[T Float](dst, x []T, hi, lo T) {
	switch {
	case active == generic:
		for i, v := range x {
			dst[i] = v - hi - lo
		}
	case is32[T]() && active >= avx512:
		shiftF32AVX512(f32(dst), f32(x), float32(hi), float32(lo), len(dst))
	case is32[T]():
		shiftF32AVX2(f32(dst), f32(x), float32(hi), float32(lo), len(dst))
	case active >= avx512:
		shiftF64AVX512(f64(dst), f64(x), float64(hi), float64(lo), len(dst))
	default:
		shiftF64AVX2(f64(dst), f64(x), float64(hi), float64(lo), len(dst))
	}
}
