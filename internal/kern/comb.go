package kern

import (
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// maxTerms is the number of terms that one pass of assembly takes.
const maxTerms = 8

// Comb is dst[i] = Σ_j c[j]·x[j][i], in one pass. All x[j] have the length of
// dst; each may be dst itself. No terms give zeros. Many numbers are shared among
// goroutines.
func Comb[T Float](dst []T, c []T, x [][]T) {
	n := len(dst)
	for j := range c {
		_ = x[j][:n]
	}
	if (len(c)+1)*n >= shareNumbers {
		if shares := min(runtime.GOMAXPROCS(0), maxShares); shares > 1 {
			shareComb(dst, c, x, shares)
			return
		}
	}
	comb(dst, c, x)
}

const (
	// shareNumbers is how many numbers read and written are worth more goroutines:
	// below it memory is fast enough, and another core's cache is not.
	shareNumbers = 2 << 20
	// maxShares is the number of cores that use up a memory's bandwidth.
	maxShares = 4
)

// shareComb is comb on several goroutines.
func shareComb[T Float](dst []T, c []T, x [][]T, shares int) {
	var wg sync.WaitGroup
	n := len(dst)
	own := slices.Clone(c) // the caller's need not be on the heap
	for s := range shares {
		lo, hi := s*(n/shares)&^63, (s+1)*(n/shares)&^63 // whole cache lines
		if s == shares-1 {
			hi = n
		}
		part := make([][]T, len(c))
		for j := range part {
			part[j] = x[j][lo:hi]
		}
		wg.Go(func() { comb(dst[lo:hi], own, part) })
	}
	wg.Wait()
}

// comb is Comb on this goroutine.
func comb[T Float](dst []T, c []T, x [][]T) {
	n := len(dst)
	switch {
	case len(c) == 0:
		clear(dst)
	case n == 0:
	case active == generic:
		combGeneric(dst, c, x)
	case len(c) > maxTerms:
		combMore(dst, c, x)
	default:
		for lo := 0; lo < n; {
			hi := min(lo+blockLen[T](), n)
			combAsm(dst[lo:hi], c, x[:len(c)], lo)
			lo = hi
		}
	}
}

// combAsm is one block: x from off.
func combAsm[T Float](dst, c []T, x [][]T, off int) {
	xs := unsafe.Pointer(unsafe.SliceData(x))
	switch wide := active >= avx512; {
	case is32[T]() && wide:
		combF32AVX512(f32(dst), f32(c), (*[]float32)(xs), len(c), off, len(dst))
	case is32[T]():
		combF32AVX2(f32(dst), f32(c), (*[]float32)(xs), len(c), off, len(dst))
	case wide:
		combF64AVX512(f64(dst), f64(c), (*[]float64)(xs), len(c), off, len(dst))
	default:
		combF64AVX2(f64(dst), f64(c), (*[]float64)(xs), len(c), off, len(dst))
	}
}

// combMore takes more than maxTerms terms, block by block through a small
// array, for dst may be any of x.
func combMore[T Float](dst, c []T, x [][]T) {
	var (
		sum  [1024]T
		part [maxTerms][]T
		coef [maxTerms]T
	)
	for lo := 0; lo < len(dst); lo += len(sum) {
		n := min(len(sum), len(dst)-lo)
		for j := 0; j < len(c); {
			k := copy(coef[:maxTerms-1], c[j:])
			for i := range k {
				part[i] = x[j+i][lo : lo+n]
			}
			terms := k
			if j > 0 {
				part[k], coef[k] = sum[:n], 1
				terms++
			}
			combAsm(sum[:n], coef[:terms], part[:terms], 0)
			j += k
		}
		copy(dst[lo:lo+n], sum[:n])
	}
}

// CombRows is [Comb] with coefficients that differ from row to row:
// dst[r][i] = Σ_j c[j][r]·x[j][r][i], where dst and all x[j] are len(c[j]) rows.
func CombRows[T Float](dst []T, c, x [][]T) {
	if len(c) == 0 {
		clear(dst)
		return
	}
	rows := len(c[0])
	if rows == 0 {
		return
	}
	cols := len(dst) / rows
	cr, xr := make([]T, len(c)), make([][]T, len(c))
	for r := range rows {
		for j := range c {
			cr[j] = c[j][r]
			xr[j] = x[j][r*cols : (r+1)*cols]
		}
		Comb(dst[r*cols:(r+1)*cols], cr, xr)
	}
}

// CombCols is [Comb] with coefficients that differ from column to column:
// dst[r][i] = Σ_j c[j][i]·x[j][r][i], where dst and all x[j] are rows of
// len(c[j]) numbers.
func CombCols[T Float](dst []T, c, x [][]T) {
	if len(c) == 0 {
		clear(dst)
		return
	}
	cols := len(c[0])
	if cols == 0 {
		return
	}
	for j := range c {
		_, _ = c[j][:cols], x[j][:len(dst)]
	}
	for lo := 0; lo+cols <= len(dst); lo += cols {
		row := dst[lo : lo+cols]
		if active == generic {
			combColsGeneric(row, c, x, lo)
		} else {
			combColsAsm(row, c, x, lo)
		}
	}
}

func combColsAsm[T Float](dst []T, c, x [][]T, off int) {
	cs, xs := unsafe.Pointer(unsafe.SliceData(c)), unsafe.Pointer(unsafe.SliceData(x))
	switch wide := active >= avx512; {
	case is32[T]() && wide:
		combColsF32AVX512(f32(dst), (*[]float32)(cs), (*[]float32)(xs), len(c), off, len(dst))
	case is32[T]():
		combColsF32AVX2(f32(dst), (*[]float32)(cs), (*[]float32)(xs), len(c), off, len(dst))
	case wide:
		combColsF64AVX512(f64(dst), (*[]float64)(cs), (*[]float64)(xs), len(c), off, len(dst))
	default:
		combColsF64AVX2(f64(dst), (*[]float64)(cs), (*[]float64)(xs), len(c), off, len(dst))
	}
}

// Scale is x[i] *= c, on this goroutine.
func Scale[T Float](x []T, c T) {
	cs, xs := [1]T{c}, [1][]T{x}
	comb(x, cs[:], xs[:])
}

// Axpy is y[i] += c·x[i]. x has at least the length of y.
func Axpy[T Float](y []T, c T, x []T) {
	x = x[:len(y)]
	for lo := 0; lo < len(y); {
		hi := min(lo+blockLen[T](), len(y))
		axpy(y[lo:hi], c, x[lo:hi])
		lo = hi
	}
}

func axpy[T Float](y []T, c T, x []T) {
	switch {
	case active == generic:
		for i, v := range x {
			y[i] += c * v
		}
	case is32[T]() && active >= avx512:
		axpyF32AVX512(f32(y), f32(x), float32(c), len(y))
	case is32[T]():
		axpyF32AVX2(f32(y), f32(x), float32(c), len(y))
	case active >= avx512:
		axpyF64AVX512(f64(y), f64(x), float64(c), len(y))
	default:
		axpyF64AVX2(f64(y), f64(x), float64(c), len(y))
	}
}

// NotFinite is the index of the first infinite or NaN element, or −1.
func NotFinite[T Float](x []T) int {
	n := 0
	for n < len(x) {
		hi := min(n+blockLen[T](), len(x))
		n += finite(x[n:hi])
		if n < hi {
			break
		}
	}
	for i, v := range x[n:] {
		if v-v != 0 {
			return n + i
		}
	}
	return -1
}

// finite counts the elements from the first that are finite; it may stop early.
func finite[T Float](x []T) int {
	switch {
	case active == generic:
		return finiteGeneric(x)
	case is32[T]() && active >= avx512:
		return finiteF32AVX512(f32(x), len(x))
	case is32[T]():
		return finiteF32AVX2(f32(x), len(x))
	case active >= avx512:
		return finiteF64AVX512(f64(x), len(x))
	default:
		return finiteF64AVX2(f64(x), len(x))
	}
}
