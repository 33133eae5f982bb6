package kern

import (
	"math"
	"math/bits"
)

// Normal fills dst with standard normal numbers, the same at every level and on
// every machine: for every key and stream its own, and shorter dst get the first
// of them.
//
// Block i of Philox 4×32-10 (Salmon et al. 2011) under the key, with the counter
// (i, stream), gives numbers 2i and 2i+1 by Box and Muller's transform. None is
// larger than √(104 ln 2) = 8.49.
func Normal(dst []float64, key, stream uint64) {
	keys := philoxKeys(key)
	n := 0
	if lanes := normalLanes(); lanes > 0 && len(dst) >= 2*lanes {
		var wide [20][4]uint64
		for i, k := range keys {
			wide[i] = [4]uint64{uint64(k), uint64(k), uint64(k), uint64(k)}
		}
		for n+2*lanes <= len(dst) {
			turns := min((len(dst)-n)/(2*lanes), 256)
			if active >= avx512 {
				normalAVX512(&dst[n], &wide, stream, uint64(n/2), turns)
			} else {
				normalAVX2(&dst[n], &wide, stream, uint64(n/2), turns)
			}
			n += turns * 2 * lanes
		}
	}
	for ; n < len(dst); n += 2 {
		z0, z1 := normalPair(philox(&keys, uint64(n/2), stream))
		if dst[n] = z0; n+1 < len(dst) {
			dst[n+1] = z1
		}
	}
}

// normalLanes is how many blocks the assembly takes at a time.
func normalLanes() int {
	switch {
	case active >= avx512:
		return 8
	case active == avx2:
		return 4
	}
	return 0
}

// philoxKeys are the two keys of every round.
func philoxKeys(key uint64) (k [20]uint32) {
	const w0, w1 = 0x9e3779b9, 0xbb67ae85
	k[0], k[1] = uint32(key), uint32(key>>32)
	for i := 2; i < len(k); i += 2 {
		k[i], k[i+1] = k[i-2]+w0, k[i-1]+w1
	}
	return k
}

func philox(keys *[20]uint32, counter, stream uint64) (w01, w23 uint64) {
	const m0, m1 = 0xd2511f53, 0xcd9e8d57
	c0, c1, c2, c3 := uint32(counter), uint32(counter>>32), uint32(stream), uint32(stream>>32)
	for r := 0; r < len(keys); r += 2 {
		hi0, lo0 := bits.Mul32(m0, c0)
		hi1, lo1 := bits.Mul32(m1, c2)
		c0, c1, c2, c3 = hi1^c1^keys[r], lo1, hi0^c3^keys[r+1], lo0
	}
	return uint64(c1)<<32 | uint64(c0), uint64(c3)<<32 | uint64(c2)
}

// normalPair is Box and Muller's transform. Every product is converted before
// it is added to something, so that no compiler fuses the two: the assembly
// rounds in the same places.
func normalPair(w01, w23 uint64) (z0, z1 float64) {
	const (
		one      = 0x3ff0000000000000
		sqrtHalf = 0x3fe6a09e00000000
		ln2Hi    = 6.93147180369123816490e-01
		ln2Lo    = 1.90821492927058770002e-10
	)
	// The radius √(−2 log u), u from 0 (exclusive) to 1, by fdlibm's logarithm.
	u := math.Float64bits(2-math.Float64frombits(w01>>12|one)) + (one - sqrtHalf)
	k := float64(int64(u>>52) - 1023)
	f := math.Float64frombits(u&(1<<52-1)+sqrtHalf) - 1
	s := f / (2 + f)
	z := s * s
	r := 1.479819860511658591e-01
	for _, c := range [...]float64{1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
		2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01} {
		r = float64(r*z) + c
	}
	h := float64(float64(f*f) * 0.5)
	r = float64((h+float64(z*r))*s) + float64(k*ln2Lo)
	h = h - r - f - float64(k*ln2Hi)
	radius := math.Sqrt(h + h)

	// The angle: sine and cosine in the first eighth of the circle, exchanged and
	// with signs by the lowest bits.
	t := math.Float64frombits(w23>>12|one) - 1
	v := t * t
	sin, cos := sinC[len(sinC)-1], cosC[len(cosC)-1]
	for i := len(sinC) - 2; i >= 0; i-- {
		sin = float64(sin*v) + sinC[i]
		cos = float64(cos*v) + cosC[i]
	}
	sin *= t
	if w23&1 != 0 {
		sin, cos = cos, sin
	}
	const sign = 1 << 63
	cos = math.Float64frombits(math.Float64bits(cos) ^ w23<<62&sign)
	sin = math.Float64frombits(math.Float64bits(sin) ^ w23<<61&sign)
	return radius * cos, radius * sin
}

// Polynomials of t²: sin(πt/4)/t and cos(πt/4) for t from 0 to 1, interpolated
// at Chebyshev's points.
var (
	sinC = [...]float64{0x1.921fb54442d18p-01, -0x1.4abbce625be41p-04, 0x1.466bc677587f8p-09, -0x1.32d2cce2e5b19p-15,
		0x1.50782fda12d96p-22, -0x1.e30071afc3e59p-30, 0x1.e3f38399551bfp-38}
	cosC = [...]float64{0x1p+00, -0x1.3bd3cc9be458bp-02, 0x1.03c1f081b078p-06, -0x1.55d3c7dbfd139p-12,
		0x1.e1f4fb60281f6p-19, -0x1.a6c9c1be9eb49p-26, 0x1.f3dbcea61b1a4p-34}
)
