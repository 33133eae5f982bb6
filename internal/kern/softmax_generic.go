package kern

import (
	"math"
	"unsafe"
)

// ExtLowest is where arguments are cut off whose exponential is then of no
// account: sums with nothing larger have exponents beyond 2^20.
const ExtLowest = -1 << 21

func least[T Float]() T { return T(math.Inf(-1)) }

// misaligned is the number of elements from the start of x to a multiple of 64
// bytes.
func misaligned[T Float](x []T) int {
	var v T
	bytes := -uintptr(unsafe.Pointer(unsafe.SliceData(x))) & 63
	return int(bytes / unsafe.Sizeof(v))
}

// extExp is m and n with e^x = m·2^n: m between √½ and √2, n an integer, for x
// from −2^21 to 2^21. It is for numbers of type T, but computes in float64.
func extExp[T Float](x float64) (m, n float64) {
	const (
		magic = 0x1.8p52 // adding it rounds to an integer
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	n = float64(x*math.Log2E) + magic - magic
	t := x - float64(n*ln2Hi) - float64(n*ln2Lo)
	if is32[T]() { // the paper's polynomial
		m = 0x1.0F9F9Cp-7
		m = m*t + 0x1.573A1Ap-5
		m = m*t + 0x1.555A80p-3
		m = m*t + 0x1.FFFDC6p-2
		m = m*t + 0x1.FFFFF6p-1
		return m*t + 1, n
	}
	m = 0x1.af389ecfd94c2p-26
	m = m*t + 0x1.28917c89b4f29p-22
	m = m*t + 0x1.71de0db2f6a8fp-19
	m = m*t + 0x1.a019b9149a33bp-16
	m = m*t + 0x1.a01a01a7c2efep-13
	m = m*t + 0x1.6c16c17889ef1p-10
	m = m*t + 0x1.11111111109b5p-07
	m = m*t + 0x1.5555555553d68p-05
	m = m*t + 0x1.5555555555555p-03
	m = m*t + 0.5
	m = m*t + 1
	return m*t + 1, n
}

// Pow2 is 2^d for an integer d up to 1023, and 0 where that is not normal.
func Pow2(d float64) float64 {
	if d < -1022 {
		return 0
	}
	return math.Float64frombits(uint64(1023+int64(d)) << 52)
}

// scaled is m·2^d, rounded once to T, for m near 1.
func scaled[T Float](m, d float64) T {
	switch {
	case d > -1000:
		return T(m * Pow2(d))
	case d > -1200:
		return T(m * Pow2(-500) * Pow2(d+500)) // the second product alone rounds
	case d <= -1200:
		return 0
	}
	return T(d) // NaN
}

func sumExtGeneric[T Float](x []T) (m, e float64) {
	e = -math.MaxFloat64
	for _, v := range x {
		mi, ni := extExp[T](max(float64(v), ExtLowest))
		switch {
		case ni > e:
			m, e = m*Pow2(e-ni)+mi, ni
		case ni <= e:
			m += mi * Pow2(ni-e)
		default: // NaN
			return math.NaN(), e
		}
	}
	return m, e
}

func scaleExtGeneric[T Float](dst, x []T, w, e T) {
	for i, v := range x {
		m, n := extExp[T](max(float64(v), ExtLowest))
		dst[i] = scaled[T](m*float64(w), n-float64(e))
	}
}

func maxGeneric[T Float](x []T) T {
	most := least[T]()
	for _, v := range x {
		if v > most {
			most = v
		}
	}
	return most
}

// storeAtGeneric stores if dst is not nil.
func storeAtGeneric[T Float](dst, x []T, e T) T {
	var sum float64
	for i, v := range x {
		m, n := extExp[T](max(float64(v), ExtLowest))
		y := scaled[T](m, n-float64(e))
		sum += float64(y)
		if dst != nil {
			dst[i] = y
		}
	}
	return T(sum)
}
