package kern

import (
	"math/bits"
	"sync"
	"unsafe"
)

// A BesselFn is a function of order v and argument x.
type BesselFn uint8

const (
	LogI   BesselFn = iota // log I_v(x)
	LogK                   // log K_v(x)
	RatioI                 // I_{v+1}(x)/I_v(x)
	RatioK                 // K_{v+1}(x)/K_v(x)
	SlopeI                 // the derivative of log I_v(x) in x
	SlopeK                 // the derivative of log K_v(x) in x
)

// Bessel sets dst[i] = f(v[i], x[i]). It reports false, and has done nothing, where
// the level has no kernels for it. Arguments that are not of any region (see
// besselRegion), or whose region has no kernel, go to other. v and x have the length
// of dst, and dst may be one of them.
//
// Package special has the same mathematics for single numbers, which is the
// generic level too.
func Bessel(dst, v, x []float64, f BesselFn, other func(v, x float64) float64) bool {
	if active < avx2 || len(dst) < besselLeast {
		return false
	}
	v, x = v[:len(dst)], x[:len(dst)]
	s := besselPool.Get().(*besselScratch)
	defer besselPool.Put(s)
	for lo := 0; lo < len(dst); lo += besselChunk {
		hi := min(lo+besselChunk, len(dst))
		if active >= avx512 {
			s.chunkAVX512(dst[lo:hi], v[lo:hi], x[lo:hi], f, other)
		} else {
			s.chunkAVX2(dst[lo:hi], v[lo:hi], x[lo:hi], f, other)
		}
	}
	return true
}

const (
	besselLeast = 16   // below, sorting costs more than it gains
	besselChunk = 1024 // sorted together; a multiple of 64
)

// The regions, in the order of besselSplit's masks. They are those of package
// special's refined table; the series' are divided by their number of terms.
const (
	debye4 = iota
	debye6
	debye9
	debye13
	hankel3
	hankel20
	series0 // x ≤ 1/16
	series1 // x ≤ 1
	series2 // x ≤ 8
	series3 // x ≤ 30
	besselOther
	besselRegions
)

// besselRegion is the region of an argument. Squares and quotients must be normal
// numbers in all but the last.
func besselRegion(v, x float64) uint8 {
	switch {
	case !(v >= 0 && v < 1e100 && x >= 1e-100 && x < 1e100):
		return besselOther
	case x <= 30 && v < 20:
		switch {
		case x <= 1./16:
			return series0
		case x <= 1:
			return series1
		case x <= 8:
			return series2
		}
		return series3
	case v < 12.6964 && x > 1400 && v < 3.05:
		return hankel3
	case v < 12.6964:
		return hankel20
	case v > 200 || x > 275:
		return debye4
	case v > 70 || x > 110:
		return debye6
	case v > 28 || x > 36:
		return debye9
	}
	return debye13
}

// besselScratch is what one chunk needs.
type besselScratch struct {
	masks [besselRegions][besselChunk / 8]byte // AVX-512: bit i%8 of byte i/8 for element i
	v, x  [besselChunk + 8]float64             // those of one region, packed
	at    [besselChunk]int16                   // AVX2: places sorted by region
	in    [besselChunk]uint8                   // AVX2: region of each
}

var besselPool = sync.Pool{New: func() any { return new(besselScratch) }}

func (s *besselScratch) chunkAVX512(dst, v, x []float64, f BesselFn, other func(v, x float64) float64) {
	n := len(dst)
	if r := int(besselBox(v, x)); hasBessel(f, r, avx512) {
		besselAVX512(r, f, &dst[0], &v[0], &x[0], n)
		return
	}
	besselSplitAVX512(&s.masks[0][0], &v[0], &x[0], n, len(s.masks[0]))
	for region := range s.masks {
		mask := &s.masks[region]
		switch count := ones(mask[:(n+7)/8]); {
		case count == 0:
		case !hasBessel(f, region, avx512):
			for i := range dst {
				if mask[i/8]>>(i%8)&1 != 0 {
					dst[i] = other(v[i], x[i])
				}
			}
		case count == n:
			besselAVX512(region, f, &dst[0], &v[0], &x[0], n)
		default:
			compress2AVX512(&s.v[0], &s.x[0], &v[0], &x[0], &mask[0], n)
			besselAVX512(region, f, &s.v[0], &s.v[0], &s.x[0], count)
			expandAVX512(&dst[0], &s.v[0], &mask[0], n)
		}
	}
}

// besselBox is the region of all arguments, if they are in one: regions are such
// that with two points they have all between, but for hankel20, which may have
// some of hankel3.
func besselBox(v, x []float64) uint8 {
	vLo, vHi, xLo, xHi, bad := besselRangeAVX512(&v[0], &x[0], len(v))
	if r := besselRegion(vLo, xLo); bad == 0 && r == besselRegion(vHi, xHi) {
		return r
	}
	return besselOther
}

// ones counts the bits of a mask.
func ones(mask []byte) int {
	n := 0
	for ; len(mask) >= 8; mask = mask[8:] {
		n += bits.OnesCount64(*(*uint64)(unsafe.Pointer(&mask[0])))
	}
	for _, b := range mask {
		n += bits.OnesCount8(b)
	}
	return n
}

// hasBessel says whether there is a kernel for a region.
func hasBessel(f BesselFn, region int, l level) bool {
	switch {
	case region == besselOther:
		return false
	case region < series0 || f == RatioI || f == SlopeI:
		return true
	}
	return l >= avx512 && (f == LogI || f == LogK)
}

// besselTerms are the terms of the series: of I's and of K's, whose third and
// fourth regions the trapezoid rule has. They bring the error below 2^−56.
var besselTerms = [2][4]int{{6, 11, 25, 47}, {6, 14}}

func besselAVX512(region int, f BesselFn, dst, v, x *float64, n int) {
	switch f {
	case LogI:
		logIAVX512(region, dst, v, x, n)
	case LogK:
		logKAVX512(region, dst, v, x, n)
	default:
		slopeAVX512(region, f, dst, v, x, n)
	}
}

func logIAVX512(region int, dst, v, x *float64, n int) {
	switch region {
	case debye4:
		debyeI4AVX512(dst, v, x, n)
	case debye6:
		debyeI6AVX512(dst, v, x, n)
	case debye9:
		debyeI9AVX512(dst, v, x, n)
	case debye13:
		debyeI13AVX512(dst, v, x, n)
	case hankel3:
		hankelI3AVX512(dst, v, x, n)
	case hankel20:
		hankelI20AVX512(dst, v, x, n)
	default:
		seriesIAVX512(dst, v, x, n, besselTerms[0][region-series0])
	}
}

func logKAVX512(region int, dst, v, x *float64, n int) {
	switch region {
	case debye4:
		debyeK4AVX512(dst, v, x, n)
	case debye6:
		debyeK6AVX512(dst, v, x, n)
	case debye9:
		debyeK9AVX512(dst, v, x, n)
	case debye13:
		debyeK13AVX512(dst, v, x, n)
	case hankel3:
		hankelK3AVX512(dst, v, x, n)
	case hankel20:
		hankelK20AVX512(dst, v, x, n)
	case series0, series1:
		temmeKAVX512(dst, v, x, n, besselTerms[1][region-series0])
	default:
		trapezoidKAVX512(dst, v, x, n)
	}
}

// chunkAVX2 sorts the places by region and packs with plain code; the series are
// other's too.
func (s *besselScratch) chunkAVX2(dst, v, x []float64, f BesselFn, other func(v, x float64) float64) {
	var start [besselRegions + 1]int
	for i := range dst {
		r := besselRegion(v[i], x[i])
		s.in[i] = r
		start[r+1]++
	}
	for r := range besselRegions {
		start[r+1] += start[r]
	}
	next := start
	for i := range dst {
		r := s.in[i]
		s.at[next[r]] = int16(i)
		next[r]++
	}
	for r := range besselRegions {
		places := s.at[start[r]:start[r+1]]
		switch {
		case len(places) == 0:
			continue
		case !hasBessel(f, r, avx2):
			for _, i := range places {
				dst[i] = other(v[i], x[i])
			}
			continue
		}
		for j, i := range places {
			s.v[j], s.x[j] = v[i], x[i]
		}
		besselAVX2(r, f, &s.v[0], &s.v[0], &s.x[0], len(places))
		for j, i := range places {
			dst[i] = s.v[j]
		}
	}
}

func besselAVX2(region int, f BesselFn, dst, v, x *float64, n int) {
	switch f {
	case LogI:
		logIAVX2(region, dst, v, x, n)
	case LogK:
		logKAVX2(region, dst, v, x, n)
	default:
		slopeAVX2(region, f, dst, v, x, n)
	}
}

func logIAVX2(region int, dst, v, x *float64, n int) {
	switch region {
	case debye4:
		debyeI4AVX2(dst, v, x, n)
	case debye6:
		debyeI6AVX2(dst, v, x, n)
	case debye9:
		debyeI9AVX2(dst, v, x, n)
	case debye13:
		debyeI13AVX2(dst, v, x, n)
	case hankel3:
		hankelI3AVX2(dst, v, x, n)
	case hankel20:
		hankelI20AVX2(dst, v, x, n)
	}
}

func logKAVX2(region int, dst, v, x *float64, n int) {
	switch region {
	case debye4:
		debyeK4AVX2(dst, v, x, n)
	case debye6:
		debyeK6AVX2(dst, v, x, n)
	case debye9:
		debyeK9AVX2(dst, v, x, n)
	case debye13:
		debyeK13AVX2(dst, v, x, n)
	case hankel3:
		hankelK3AVX2(dst, v, x, n)
	case hankel20:
		hankelK20AVX2(dst, v, x, n)
	}
}
