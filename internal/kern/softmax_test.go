package kern_test

import (
	"math"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

func TestSoftmaxKernels(t *testing.T) {
	t.Run("float32", testSoftmaxKernels[float32])
	t.Run("float64", testSoftmaxKernels[float64])
}

// off is the relative error of got, apart from a unit of the last place of the
// smallest numbers.
func off[T kern.Float](got T, want float64) float64 {
	d := math.Abs(float64(got) - want)
	least := math.SmallestNonzeroFloat32
	if eps[T]() == 0x1p-53 {
		least = math.SmallestNonzeroFloat64
	}
	return max(d-least, 0) / max(math.Abs(want), least)
}

// exp2diff is e^x·2^−e.
func exp2diff(x, e float64) float64 {
	const ln2Hi, ln2Lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	n := math.Round(x * math.Log2E)
	return math.Ldexp(math.Exp(x-n*ln2Hi-n*ln2Lo), int(n-e)) // the first product is exact: ln2Hi has 32 bits
}

func testSoftmaxKernels[T kern.Float](t *testing.T) {
	// The paper's polynomial is good to 1.5 units; the reduction of large arguments
	// and sums of positive numbers add a little.
	limit := 8 * eps[T]()
	px, pd := kerntest.NewPlace[T](t, kerntest.MaxLen), kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		check := func(x, dst []T) {
			t.Helper()
			n := len(x)
			fail := func(name string, i int, got, want float64) {
				t.Helper()
				t.Fatalf("%s, %d numbers, element %d (%v): %g, want %g", name, n, i, x[i], got, want)
			}
			top := kern.Max(x)
			for i, v := range x {
				if v > top {
					fail("Max", i, float64(top), float64(v))
				}
			}
			if n == 0 {
				if sum := kern.SumAt(x, 3) + kern.StoreAt(dst, x, 3); sum != 0 {
					t.Fatalf("a sum of nothing is %g", sum)
				}
				return
			}
			at := kern.ExtOf(top)
			slack := limit + math.Sqrt(float64(n))*eps[T]() // of a sum in one go
			want, sum := make([]float64, n), 0.0
			var lost float64 // of the sum, by rounding
			for i, v := range x {
				want[i] = exp2diff(float64(v), float64(at))
				y := want[i] - lost
				next := sum + y
				sum, lost = next, (next-sum)-y
			}
			if got := kern.SumAt(x, at); math.Abs(got-sum) > slack*sum {
				t.Fatalf("SumAt of %d numbers: %g, want %g", n, got, sum)
			}
			if got := kern.StoreAt(dst, x, at); math.Abs(got-sum) > slack*sum {
				t.Fatalf("StoreAt of %d numbers: %g, want %g", n, got, sum)
			}
			for i := range x {
				if off(dst[i], want[i]) > limit {
					fail("StoreAt", i, float64(dst[i]), want[i])
				}
			}
			if top >= 0 && top <= kern.NearMost {
				for i := range want {
					want[i] = exp2diff(float64(x[i]), 0)
				}
				// In float32 e^-87, the smallest normal result, is off by 125 times the
				// error of ln 2 in one number.
				near := limit + 125*1.9e-9*min(1, eps[T]()*1e10)
				if got, want := kern.StoreNear(dst, x), sum*math.Ldexp(1, int(at)); math.Abs(got-want) > (slack+near)*want {
					t.Fatalf("StoreNear of %d numbers: %g, want %g", n, got, want)
				}
				for i := range x {
					if off(dst[i], want[i]) > near {
						fail("StoreNear", i, float64(dst[i]), want[i])
					}
				}
			}
			m, e := kern.SumExt(x)
			lse := math.Log(sum) + float64(at)*math.Ln2
			if got := math.Log(m) + e*math.Ln2; !(math.Abs(got-lse) <= slack*(2+math.Abs(lse)*0x1p-26)+4e-16*math.Abs(lse)) {
				t.Fatalf("SumExt of %d numbers: log is %g, want %g", n, got, lse)
			}
			w := T(1 / m)
			for _, stream := range []bool{false, true} {
				kern.ScaleExt(dst, x, w, T(e), stream)
				for i, v := range x {
					if want := float64(w) * exp2diff(float64(v), e); off(dst[i], want) > limit {
						fail("ScaleExt", i, float64(dst[i]), want)
					}
				}
			}
			kern.Shift(dst, x, T(lse), T(lse-float64(T(lse))))
			for i, v := range x {
				if want := float64(v) - lse; math.Abs(float64(dst[i])-want) > 2*eps[T]()*math.Abs(want)+1e-15*math.Abs(lse) {
					fail("Shift", i, float64(dst[i]), want)
				}
			}
		}
		for n := range kerntest.MaxLen + 1 {
			for at := range px.Offsets() {
				x, dst := px.At(at, n), pd.At((5*at+n)%pd.Offsets(), n)
				if at == 0 {
					x, dst = px.High(n), pd.High(n)
				}
				scale, base := []T{1, 30, 0.01, 200, 50}[(n+at)%5], []T{0, 1000, -5000, 9000}[(n+at)%4]
				for i, v := range numbers[T](n, at) {
					x[i] = base + scale*v
				}
				check(x, dst)
			}
		}
		long := numbers[T](10001, 3)
		check(long[:4096], make([]T, 4096))
	})
}

// TestSoftmaxSpecial: what the sums say of numbers that are too large, masked or
// NaN, at every place.
func TestSoftmaxSpecial(t *testing.T) {
	t.Run("float32", testSoftmaxSpecial[float32])
	t.Run("float64", testSoftmaxSpecial[float64])
}

func testSoftmaxSpecial[T kern.Float](t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	big := math.MaxFloat32
	kerntest.Levels(t, func(t *testing.T) {
		for n := 1; n < 140; n++ {
			for _, at := range []int{0, n / 3, n - 1} {
				for _, v := range []float64{-inf, -big, -1e30, -1e7, inf, nan, big, 1e30, 1e7} {
					x := numbers[T](n, 1)
					x[at] = T(v)
					m, e := kern.SumExt(x)
					ok := m > 0 && !math.IsInf(m, 1) && math.Abs(e) <= 1<<20
					if want := v < 0 && n > 1; ok != want { // masks alone leave nothing
						t.Fatalf("%g at %d of %d: m %g, e %g", v, at, n, m, e)
					}
					dst := make([]T, n)
					if ok {
						kern.ScaleExt(dst, x, T(1/m), T(e), false)
						if dst[at] != 0 {
							t.Fatalf("%g at %d of %d is worth %v", v, at, n, dst[at])
						}
					}
					top := kern.Max(x)
					if math.Abs(float64(top)) > 1e6 && v == v && v < inf {
						continue // beyond what SumAt takes
					}
					exp := kern.ExtOf(top)
					sum, stored := kern.SumAt(x, exp), kern.StoreAt(dst, x, exp)
					bad := v != v || v == inf || v == -inf && n == 1
					if math.IsNaN(sum) != bad || math.IsNaN(stored) != bad {
						t.Fatalf("%g at %d of %d: sums %g and %g", v, at, n, sum, stored)
					}
					if v < 0 && n > 1 && dst[at] != 0 {
						t.Fatalf("%g at %d of %d is worth %v", v, at, n, dst[at])
					}
				}
			}
		}
		x := make([]T, 70)
		for i := range x {
			x[i] = T(-inf)
		}
		if got := kern.Max(x); float64(got) != -inf {
			t.Errorf("the largest of many -Inf is %v", got)
		}
		x[69], x[3] = -7, T(nan)
		if got := kern.Max(x); got != -7 {
			t.Errorf("the largest of -7, -Inf and NaN is %v", got)
		}
	})
}
