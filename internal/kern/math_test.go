package kern_test

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// ulps is |got − want| in units of the last place of T at want.
func ulps[T kern.Float](got T, want *big.Float) float64 {
	w, _ := want.Float64()
	if float64(got) == w || math.IsNaN(w) && got != got {
		return 0
	}
	_, e := math.Frexp(w)
	unit := math.Ldexp(2*eps[T](), e-1)
	smallest := math.SmallestNonzeroFloat64
	if eps[T]() == 0x1p-24 {
		smallest = math.SmallestNonzeroFloat32
	}
	unit = max(unit, smallest)
	d, _ := new(big.Float).Sub(new(big.Float).SetFloat64(float64(got)), want).Float64()
	return math.Abs(d) / unit
}

// bigExp is e^x to 120 bits: the series for x/2^k, squared k times.
func bigExp(x float64) *big.Float {
	const prec = 160
	_, k := math.Frexp(x)
	k = max(k+6, 0)
	y := new(big.Float).SetPrec(prec).SetFloat64(math.Ldexp(x, -k))
	sum, term := new(big.Float).SetPrec(prec).SetInt64(1), new(big.Float).SetPrec(prec).SetInt64(1)
	for i := 1; i < 25; i++ {
		term.Mul(term, y).Quo(term, new(big.Float).SetInt64(int64(i)))
		sum.Add(sum, term)
	}
	for range k {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLog is log x: one step of Newton from the library's, whose error it squares.
func bigLog(x float64) *big.Float {
	const prec = 160
	m, k := math.Frexp(x)
	y := math.Log(m) + float64(k)*math.Ln2
	inv := new(big.Float).SetPrec(prec).Quo(new(big.Float).SetPrec(prec).SetFloat64(x), bigExp(y))
	r := inv.Sub(inv, new(big.Float).SetInt64(1)) // x/e^y − 1
	half := new(big.Float).SetPrec(prec).Mul(r, r)
	half.Quo(half, new(big.Float).SetInt64(2))
	return new(big.Float).SetPrec(prec).Add(new(big.Float).SetFloat64(y), r.Sub(r, half))
}

func TestExp(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testExp[float32](t, -103.9, 88.7) })
	t.Run("float64", func(t *testing.T) { testExp[float64](t, -745, 709.7) })
}

func testExp[T kern.Float](t *testing.T, lo, hi float64) {
	const n = 3000
	x := make([]T, n)
	want := make([]*big.Float, n)
	for i := range x {
		switch {
		case i < n/2: // all the range
			x[i] = T(lo + (hi-lo)*float64(i)/(n/2))
		case i < n-100:
			x[i] = T((float64(i)/n - 0.75) * 4)
		default: // tiny
			x[i] = T(math.Ldexp(1-2*float64(i%2), n-200-i))
		}
		want[i] = bigExp(float64(x[i]))
	}
	kerntest.Levels(t, func(t *testing.T) {
		dst := make([]T, n)
		kern.Exp(dst, x)
		worst, at := 0.0, 0
		for i := range dst {
			if u := ulps(dst[i], want[i]); u > worst {
				worst, at = u, i
			}
		}
		limit := 1.0
		if kern.Level() == "generic" {
			limit = 1.5 // package math's
		}
		if worst > limit {
			t.Errorf("exp(%v) = %v is off by %.2f ulp", x[at], dst[at], worst)
		}
		t.Logf("at most %.3f ulp", worst)
		special(t, "exp", kern.Exp[T], [][2]float64{{0, 1}, {math.Copysign(0, -1), 1}, {math.Inf(1), math.Inf(1)}, {math.Inf(-1), 0},
			{math.NaN(), math.NaN()}, {1e30, math.Inf(1)}, {-1e30, 0}, {hi + 1, math.Inf(1)}, {lo - 2, 0}})
	})
}

// special checks a function's values at every place of a vector.
func special[T kern.Float](t *testing.T, name string, f func(dst, x []T), values [][2]float64) {
	t.Helper()
	for _, v := range values {
		for at := range 33 {
			x := numbers[T](33, 5)
			for i := range x {
				x[i] = max(x[i], -x[i]) + 0.1
			}
			plain := slices.Clone(x)
			f(plain, plain)
			x[at] = T(v[0])
			f(x, x)
			if float64(x[at]) != v[1] && !(x[at] != x[at] && math.IsNaN(v[1])) {
				t.Fatalf("%s(%g) = %v, want %v", name, v[0], x[at], v[1])
			}
			x[at] = plain[at]
			if !slices.Equal(x, plain) {
				t.Fatalf("%s(%g) changes its neighbours", name, v[0])
			}
		}
	}
}

func TestLog(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testLog[float32](t, -149, 127, math.SmallestNonzeroFloat32) })
	t.Run("float64", func(t *testing.T) { testLog[float64](t, -1074, 1023, math.SmallestNonzeroFloat64) })
}

func testLog[T kern.Float](t *testing.T, lo, hi int, smallest float64) {
	const n = 3000
	x := make([]T, n)
	want := make([]*big.Float, n)
	for i := range x {
		switch {
		case i < n/2: // all the range, subnormal numbers too
			x[i] = T(math.Ldexp(1+math.Mod(float64(i)*0.618, 1), lo+(hi-lo)*i/(n/2)))
		case i < n-200:
			x[i] = T(0.25 + 2*(float64(i)-n/2)/n*2)
		default: // about 1
			x[i] = T(1 + math.Ldexp(1-2*float64(i%2), (n-200-i)/4-1))
		}
		if x[i] == 1 {
			x[i] = 1.5
		}
		want[i] = bigLog(float64(x[i]))
	}
	kerntest.Levels(t, func(t *testing.T) {
		dst := make([]T, n)
		kern.Log(dst, x)
		worst, at := 0.0, 0
		for i := range dst {
			if u := ulps(dst[i], want[i]); u > worst {
				worst, at = u, i
			}
		}
		if worst > 1 {
			t.Errorf("log(%v) = %v is off by %.2f ulp", x[at], dst[at], worst)
		}
		t.Logf("at most %.3f ulp", worst)
		special(t, "log", kern.Log[T], [][2]float64{{1, 0}, {0, math.Inf(-1)}, {math.Copysign(0, -1), math.Inf(-1)}, {math.Inf(1), math.Inf(1)},
			{math.Inf(-1), math.NaN()}, {math.NaN(), math.NaN()}, {-1, math.NaN()}, {-smallest, math.NaN()}})
	})
}

// TestElementwise checks lengths, alignments and bounds against the same values
// computed in one piece.
func TestElementwise(t *testing.T) {
	t.Run("float32", testElementwise[float32])
	t.Run("float64", testElementwise[float64])
}

func testElementwise[T kern.Float](t *testing.T) {
	px, pd := kerntest.NewPlace[T](t, kerntest.MaxLen), kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for _, f := range []func(dst, x []T){kern.Exp[T], kern.Log[T]} {
			x := numbers[T](kerntest.MaxLen, 4)
			for i := range x {
				x[i] = 3 * max(x[i], -x[i])
			}
			want := make([]T, len(x))
			f(want, x)
			for n := range kerntest.MaxLen + 1 {
				for at := range px.Offsets() {
					in, dst := px.At(at, n), pd.At(pd.Offsets()-1-at, n)
					if at == 0 {
						in, dst = px.High(n), pd.High(n)
					}
					copy(in, x)
					if f(dst, in); !slices.Equal(dst, want[:n]) {
						t.Fatalf("%d numbers at offset %d: %v, want %v", n, at, dst, want[:n])
					}
					if f(in, in); !slices.Equal(in, want[:n]) {
						t.Fatalf("%d numbers at offset %d in place: %v, want %v", n, at, in, want[:n])
					}
				}
			}
		}
	})
}

func TestReductions(t *testing.T) {
	t.Run("float32", testReductions[float32])
	t.Run("float64", testReductions[float64])
}

func testReductions[T kern.Float](t *testing.T) {
	px, py := kerntest.NewPlace[T](t, kerntest.MaxLen), kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		check := func(x, y []T) {
			t.Helper()
			var dot, one, two, most float64
			for i := range x {
				dot += float64(x[i]) * float64(y[i])
				one += math.Abs(float64(x[i]))
				two += float64(x[i]) * float64(x[i])
				most = max(most, math.Abs(float64(x[i])))
			}
			limit := 2 * eps[T]() * (1 + one) * math.Sqrt(float64(min(len(x), 4096))) // of a block's partial sums
			for _, r := range []struct {
				name      string
				got, want float64
			}{{"Dot", kern.Dot(x, y), dot}, {"Norm1", kern.Norm1(x), one}, {"Norm2", kern.Norm2(x), math.Sqrt(two)}, {"NormInf", kern.NormInf(x), most}} {
				if !(math.Abs(r.got-r.want) <= limit) {
					t.Fatalf("%s of %d numbers: %v, want %v", r.name, len(x), r.got, r.want)
				}
			}
		}
		for n := range kerntest.MaxLen + 1 {
			for at := range px.Offsets() {
				x, y := px.At(at, n), py.At((5*at+2)%py.Offsets(), n)
				if at == 0 {
					x, y = px.High(n), py.High(n)
				}
				copy(x, numbers[T](n, 1))
				copy(y, numbers[T](n, 2))
				check(x, y)
			}
		}
		check(numbers[T](50001, 1), numbers[T](50001, 2))
		big := []T{T(math.MaxFloat32), T(math.MaxFloat32), 0}
		if got := kern.Norm2(big); math.Abs(got/math.MaxFloat32/math.Sqrt2-1) > 1e-6 {
			t.Errorf("Norm2 of huge numbers: %g", got)
		}
		for i := range 70 {
			x := make([]T, 70)
			x[i] = T(math.NaN())
			x[(i+9)%70] = T(math.Inf(-1))
			for name, got := range map[string]float64{"Dot": kern.Dot(x, x), "Norm1": kern.Norm1(x), "Norm2": kern.Norm2(x), "NormInf": kern.NormInf(x)} {
				if !math.IsNaN(got) {
					t.Fatalf("%s with NaN at %d: %g", name, i, got)
				}
			}
			x[i] = 1
			for name, got := range map[string]float64{"Norm1": kern.Norm1(x), "Norm2": kern.Norm2(x), "NormInf": kern.NormInf(x)} {
				if !math.IsInf(got, 1) {
					t.Fatalf("%s with an infinity: %g", name, got)
				}
			}
		}
	})
}
