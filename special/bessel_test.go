package special

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

var inf, nan = math.Inf(1), math.NaN()

func same(a, b float64) bool { return a == b || a != a && b != b }

// scaled is the error of log I or log K at (v, x) beside max(|log I|, √(v²+x²)).
func scaled(got float64, want *big.Float, v, x float64) float64 {
	d, _ := sub(f(got), want).Float64()
	w, _ := want.Float64()
	return math.Abs(d) / max(math.Abs(w), math.Hypot(v, x))
}

func relative(got float64, want *big.Float) float64 {
	d, _ := quo(sub(f(got), want), want).Float64()
	return math.Abs(d)
}

// points are random orders and arguments, evenly spread in their logarithms.
func points(n int, vlo, vhi, xlo, xhi float64) [][2]float64 {
	r := rand.New(rand.NewPCG(1, 2))
	ps := make([][2]float64, n)
	for i := range ps {
		ps[i] = [2]float64{math.Pow(10, vlo+(vhi-vlo)*r.Float64()), math.Pow(10, xlo+(xhi-xlo)*r.Float64())}
	}
	return ps
}

func corners() [][2]float64 {
	var ps [][2]float64
	for _, v := range []float64{0, 0.5, 1.5, 3.04, hankelOrder, seriesOrder - 1e-9, 28.1, 70.1, 200.1} {
		for _, x := range []float64{1e-8, 1, 1 + 1e-9, 30, 30.1, 110.1, 1401} {
			ps = append(ps, [2]float64{v, x})
		}
	}
	return ps
}

// TestAgainstReference holds values, ratios and derivatives against 40 digits.
func TestAgainstReference(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 20
	}
	for _, tt := range []struct {
		name   string
		points [][2]float64
	}{
		{"the paper's range", points(n, -2, 5, -4, 6)},
		{"where expansions change", points(n, 0.5, 2.5, -0.5, 2.5)},
		{"small orders and arguments", points(n/3, -8, 1, -8, 1.5)},
		{"the corners of regions", corners()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sum float64
			for _, p := range tt.points {
				v, x := p[0], p[1]
				li, lk, ri, rk := bigLogI(v, x), bigLogK(v, x), bigRatioI(v, x), bigRatioK(v, x)
				vx := quo(f(v), f(x))
				di, dk := add(vx, ri), sub(vx, rk)
				d2i, d2k := secondDerivative(vx, di, x), secondDerivative(vx, dk, x)
				check := func(name string, e, limit float64) {
					t.Helper()
					if !(e <= limit) {
						t.Errorf("%s(%v, %v) is off by %.2g, allowed are %.2g", name, v, x, e, limit)
					}
				}
				ei, ek := scaled(LogI(v, x), li, v, x), scaled(LogK(v, x), lk, v, x)
				sum += ei + ek
				check("LogI", ei, 1e-15)
				check("LogK", ek, 3e-15) // Temme's series near K = 1 has the most
				check("RatioI", relative(RatioI(v, x), ri), 2e-15)
				check("RatioK", relative(RatioK(v, x), rk), 3e-15)
				check("DLogI", relative(DLogI(v, x), di), 2e-15)
				check("DLogK", relative(DLogK(v, x), dk), 3e-15)
				// Moments lose a digit to their mean.
				check("D2LogK", relative(D2LogK(v, x), d2k), 5e-14)
				check("DRatioI", relative(DRatioI(v, x), add(d2i, quo(vx, f(x)))), 5e-14)
				// (log I)″ passes through 0: beside its two parts.
				d, _ := sub(f(D2LogI(v, x)), d2i).Float64()
				check("D2LogI", math.Abs(d)/(v/x/x+DRatioI(v, x)), 5e-14)
			}
			if mean := sum / float64(2*len(tt.points)); mean > 2e-16 {
				t.Errorf("mean error %.2g, want below 2e-16", mean)
			}
		})
	}
}

// secondDerivative is Bessel's equation for a logarithm.
func secondDerivative(vx, d *big.Float, x float64) *big.Float {
	s := add(f(1), mul(vx, vx))
	return sub(s, mul(d, add(quo(f(1), f(x)), d)))
}

// TestSmallLogI0: log I_0(x) ≈ x²/4 keeps its own digits.
func TestSmallLogI0(t *testing.T) {
	for _, x := range []float64{1e-9, 1e-4, 0.3, 1} {
		if e := relative(LogI(0, x), bigLogI(0, x)); e > 5e-16 {
			t.Errorf("LogI(0, %g) is off by %g", x, e)
		}
	}
	if got := LogI(0, 2e-150); got != 1e-300 {
		t.Errorf("LogI(0, 2e-150) = %g, want 1e-300", got)
	}
}

func TestEdges(t *testing.T) {
	tiny, huge := math.SmallestNonzeroFloat64, math.MaxFloat64
	for _, tt := range []struct {
		f          string
		v, x, want float64
	}{
		{"LogI", 0, 0, 0}, {"LogI", 0.5, 0, -inf}, {"LogI", 0, inf, inf}, {"LogI", inf, 1, -inf}, {"LogI", inf, inf, nan},
		{"LogI", 1, -1, nan}, {"LogI", nan, 1, nan}, {"LogI", 1, nan, nan}, {"LogI", -0.5, 1, nan}, {"LogI", -inf, 1, -inf},
		{"LogI", -3, 2, LogI(3, 2)}, {"LogI", 0, tiny, 0}, {"LogI", -1, 0, -inf},
		{"LogI", 0, huge, huge}, {"LogI", 1, tiny, math.Log(tiny) - math.Ln2},
		{"LogK", 0, 0, inf}, {"LogK", 3, 0, inf}, {"LogK", 0, inf, -inf}, {"LogK", inf, 1, inf}, {"LogK", inf, inf, nan},
		{"LogK", 1, -1, nan}, {"LogK", nan, 1, nan}, {"LogK", 1, nan, nan}, {"LogK", -2.5, 2, LogK(2.5, 2)}, {"LogK", -inf, 1, inf},
		{"LogK", 1, tiny, -math.Log(tiny)}, {"LogK", 0, huge, -huge},
		{"RatioI", 0, 0, 0}, {"RatioI", 2, 0, 0}, {"RatioI", 1, inf, 1}, {"RatioI", inf, 1, 0}, {"RatioI", inf, inf, nan}, {"RatioI", 1, -1, nan},
		{"RatioI", -1, 2, 1 / RatioI(0, 2)}, {"RatioI", -0.5, 2, nan}, {"RatioI", 1e300, 1, 5e-301}, {"RatioI", 1, huge, 1},
		{"RatioK", 0, 0, inf}, {"RatioK", 1, inf, 1}, {"RatioK", inf, 1, inf}, {"RatioK", 1, nan, nan}, {"RatioK", -3, 2, 1 / RatioK(2, 2)},
		{"RatioK", -0.5, 2, 1}, {"RatioK", -0.75, 0, 0}, {"RatioK", -0.25, 0, inf}, {"RatioK", -1, 0, 0},
		{"DLogI", 0, 0, 0}, {"DLogI", 1, 0, inf}, {"DLogI", -1, 2, DLogI(1, 2)}, {"DLogI", 1, inf, 1}, {"DLogI", -0.5, 1, nan},
		{"DLogK", 0, 0, -inf}, {"DLogK", 1, inf, -1}, {"DLogK", -1, 2, DLogK(1, 2)}, {"DLogK", 1, -2, nan},
		{"D2LogI", 0, 0, 0.5}, {"D2LogI", 1, 0, -inf}, {"D2LogI", 1, inf, 0}, {"D2LogI", 0, 1e-200, 0.5},
		{"D2LogK", 0, 0, inf}, {"D2LogK", 1, inf, 0}, {"D2LogK", 1, 1e-200, inf}, {"D2LogK", 0, 1e-200, inf},
		{"DRatioI", 0, 0, 0.5}, {"DRatioI", 1, 0, 0.25}, {"DRatioI", 1, inf, 0}, {"DRatioI", 3, 1e-200, 0.125},
	} {
		if got := functions[tt.f](tt.v, tt.x); !same(got, tt.want) {
			t.Errorf("%s(%g, %g) = %g, want %g", tt.f, tt.v, tt.x, got, tt.want)
		}
	}
}

var functions = map[string]func(v, x float64) float64{
	"LogI": LogI, "LogK": LogK, "RatioI": RatioI, "RatioK": RatioK, "DLogI": DLogI, "DLogK": DLogK,
	"D2LogI": D2LogI, "D2LogK": D2LogK, "DRatioI": DRatioI,
}

// TestRatioKNegativeOrder: K_{v+1}/K_v for orders of which one or both are
// negative, where recurrences would cancel.
func TestRatioKNegativeOrder(t *testing.T) {
	for _, v := range []float64{-0.1, -0.4, -0.6, -0.99, -3.5} {
		for _, x := range []float64{1e-6, 0.7, 3, 100} {
			sn, topn := bigTrapezoid(f(math.Abs(v+1)), f(x)) // v + 1 is exact enough: below
			sd, topd := bigTrapezoid(f(-v), f(x))
			want := mul(quo(sn, sd), bigExp(sub(topn, topd)))
			// The reference rounds v + 1, at 1e-16 of log x beside it.
			if e := relative(RatioK(v, x), want); e > 8e-15 {
				t.Errorf("RatioK(%g, %g) is off by %g", v, x, e)
			}
		}
	}
}

// TestWronskian: I_v K_{v+1} + I_{v+1} K_v = 1/x, for any size of v and x.
func TestWronskian(t *testing.T) {
	for _, p := range append(points(20000, -12, 12, -12, 12), points(2000, -200, 200, -200, 200)...) {
		v, x := p[0], p[1]
		i, k := LogI(v, x), LogK(v, x)
		d := i + k + math.Log(x*(RatioI(v, x)+RatioK(v, x)))
		if r := RatioI(v, x) + RatioK(v, x); math.IsInf(r, 0) {
			continue // K_{v+1}/K_v is out of range
		}
		// i and k have opposite signs and each its own rounding.
		if limit := 1e-15 * (math.Abs(i) + math.Abs(k) + math.Hypot(v, x) + 1); !(math.Abs(d) <= limit) {
			t.Fatalf("at (%g, %g): %g, want 0 ± %g", v, x, d, limit)
		}
	}
}

// TestMonotone: I grows with x and falls with v, K the other way round. Steps are
// a little above the errors.
func TestMonotone(t *testing.T) {
	for _, p := range points(3000, -3, 5, -4, 6) {
		v, x := p[0], p[1]
		for _, region := range []float64{v, 3.05, hankelOrder, seriesOrder, 28, 70, 200} {
			x1, v1 := x*(1+1e-13), region*(1+1e-13)
			slack := 2e-15 * max(1, math.Hypot(region, x), math.Abs(LogI(region, x)))
			if LogI(region, x1) < LogI(region, x)-slack || LogK(region, x1) > LogK(region, x)+slack {
				t.Fatalf("between x = %v and %v at v = %v: log I %v, %v, log K %v, %v", x, x1, region, LogI(region, x), LogI(region, x1), LogK(region, x), LogK(region, x1))
			}
			if LogI(v1, x) > LogI(region, x)+slack || LogK(v1, x) < LogK(region, x)-slack {
				t.Fatalf("between v = %v and %v at x = %v: log I %v, %v, log K %v, %v", region, v1, x, LogI(region, x), LogI(v1, x), LogK(region, x), LogK(v1, x))
			}
		}
	}
}

// TestMethods: every method has the error where it is used that it is known for.
func TestMethods(t *testing.T) {
	for _, tt := range []struct {
		name    string
		b       Bessel
		v, x    float64
		i, k    float64 // errors allowed
		atLeast float64 // error of I that is there
	}{
		{"Hankel with few terms far out", Bessel{Hankel, 3}, 2, 5000, 3e-16, 3e-16, 0},
		{"Hankel at large order cancels", Bessel{Hankel, 20}, 92, 1500, 1e-12, 5e-15, 1e-14},
		{"the published table uses it", Bessel{Method: Plesner}, 92, 1500, 1e-12, 5e-15, 1e-14},
		{"Debye with one term too few", Bessel{Debye, 3}, 250, 100, 1e-12, 1e-12, 2e-15},
		{"Debye with enough", Bessel{Debye, 4}, 250, 100, 1e-15, 1e-15, 0},
		{"Series", Bessel{Method: Series}, 3, 50, 1e-15, 1e-15, 0},
		{"Integral", Bessel{Method: Integral}, 0, 0.46, 1e-15, 1e-8, 0},
		{"the published table falls back on it", Bessel{Method: Plesner}, 0, 0.46, 1e-15, 1e-8, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if e := scaled(tt.b.LogI(tt.v, tt.x), bigLogI(tt.v, tt.x), tt.v, tt.x); !(e <= tt.i) || e < tt.atLeast {
				t.Errorf("log I is off by %g, want at most %g and at least %g", e, tt.i, tt.atLeast)
			}
			if e := scaled(tt.b.LogK(tt.v, tt.x), bigLogK(tt.v, tt.x), tt.v, tt.x); !(e <= tt.k) {
				t.Errorf("log K is off by %g, want at most %g", e, tt.k)
			}
		})
	}
	if got := (Bessel{Method: Debye}).LogI(0, 1); !math.IsNaN(got) {
		t.Errorf("Debye at v = 0: %g, want NaN", got)
	}
	if got := (Bessel{Method: 77}).LogK(1, 1); !math.IsNaN(got) {
		t.Errorf("unknown method: %g, want NaN", got)
	}
	if s := fmt.Sprint(Refined, Integral, Method(77)); s != "refined integral Method(77)" {
		t.Errorf("names: %s", s)
	}
}

// FuzzBessel: no panic, and NaN only where it belongs.
func FuzzBessel(fz *testing.F) {
	for _, p := range [][2]float64{{0, 0}, {12.7, 1e-310}, {1e308, 1e308}, {-3, 5}, {0.5, 1e-300}, {3e-320, 2}, {1e300, 1e-300}} {
		fz.Add(p[0], p[1])
	}
	fz.Fuzz(func(t *testing.T, v, x float64) {
		valid := x >= 0 && v == v && !(math.IsInf(v, 0) && math.IsInf(x, 0))
		for name, fn := range functions {
			y := fn(v, x)
			ok := valid
			switch name {
			case "LogI", "RatioI", "DLogI", "D2LogI", "DRatioI":
				ok = ok && evenOrder(v) >= 0
			}
			if math.IsNaN(y) == ok && !(name[0] == 'R' || name == "DRatioI") {
				t.Errorf("%s(%g, %g) = %g", name, v, x, y)
			}
			// Far from the ends of float64's range all are finite.
			if ok && math.Abs(v) < 1e100 && x > 1e-100 && x < 1e100 && (math.IsInf(y, 0) || math.IsNaN(y)) {
				t.Errorf("%s(%g, %g) = %g", name, v, x, y)
			}
		}
	})
}

// FuzzMethods: every method comes to an end, where it is not made for too.
func FuzzMethods(fz *testing.F) {
	for m := range uint8(7) {
		fz.Add(m, 3, 1e300, 1e-300)
		fz.Add(m, 0, 30.0, 700.0)
		fz.Add(m, 99, 0.0, 1e9)
		fz.Add(m, -1, 1e-310, 1e308)
	}
	fz.Fuzz(func(t *testing.T, m uint8, terms int, v, x float64) {
		if x > 1e7 {
			x = math.Log(x) // not to wait for 9√x terms
		}
		b := Bessel{Method(m), terms}
		b.LogI(v, x)
		b.LogK(v, x)
	})
}

func Example() {
	// log I of order 16383 at 15603: I itself is about 10^3304.
	fmt.Printf("%.12g\n", LogI(16383, 15603.733333333335))
	// Output:
	// 7607.8899167
}
