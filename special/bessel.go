package special

import (
	"math"
	"strconv"
)

// LogI is log I_v(x), I the modified Bessel function of the first kind.
func LogI(v, x float64) float64 { return Bessel{}.LogI(v, x) }

// LogK is log K_v(x), K the modified Bessel function of the second kind.
func LogK(v, x float64) float64 { return Bessel{}.LogK(v, x) }

// Bessel says how log I and log K are computed. The zero value chooses the
// expansion by region and is what [LogI] and [LogK] use; the others are there to
// be compared with it.
type Bessel struct {
	Method Method
	Terms  int // of Hankel (1 to 40) and Debye (1 to 13) beyond the leading one; 0: 20 and 13
}

// A Method is a rule, or one expansion used everywhere.
type Method uint8

const (
	// Refined is Plesner's table with changes that bring its worst error from 4e-13
	// to 3e-15. Orders from 12.6964 on never use Hankel's expansion, whose terms
	// alternate and cancel there, and orders below it never Debye's. Where x ≤ 30
	// and v < 20, I is a power series of positive terms without logarithms, and K is
	// Temme's series or a trapezoid sum. Debye's expansion begins to use fewer terms
	// a little later.
	Refined Method = iota
	// Plesner is the table as published. Elsewhere at small x, I is a power series
	// in logarithms and K is Rothwell's integral by Simpson's rule.
	Plesner
	// Series is the power series for I, which overflows for x above 700 or so; for K,
	// which has none of positive terms, it is Temme's, with the trapezoid sum for
	// x > 1, which is made for v ≤ 20: NaN for v > 10,000.
	Series
	// Hankel is the expansion in 1/x: DLMF 10.40.1 and 10.40.2.
	Hankel
	// Debye is the uniform expansion for large v: DLMF 10.41.3 and 10.41.4. It has
	// no value at v = 0: NaN.
	Debye
	// Integral is Rothwell's integral for K (2006) by Simpson's rule, and for I the
	// power series in logarithms, NaN for v or x above 1e10: what the published table
	// falls back on.
	Integral
)

var methodNames = [...]string{"refined", "plesner", "series", "hankel", "debye", "integral"}

func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return "Method(" + strconv.Itoa(int(m)) + ")"
}

// Choose is the expansion that is used at (v, x), and its number of terms beyond
// the leading one; 0 where the series decides when to stop. v must not be
// negative.
func (b Bessel) Choose(v, x float64) (Method, int) {
	switch b.Method {
	case Refined, Plesner:
	case Hankel:
		return Hankel, bounded(b.Terms, 20, 40)
	case Debye:
		return Debye, bounded(b.Terms, 13, 13)
	default:
		return b.Method, 0
	}
	if b.Method == Plesner {
		return plesner(v, x)
	}
	switch {
	case x <= seriesArgument && v < seriesOrder:
		return Series, 0
	case x > 1400 && v < 3.05:
		return Hankel, 3
	case v < hankelOrder:
		return Hankel, 20
	case v > 200 || x > 275:
		return Debye, 4
	case v > 70 || x > 110:
		return Debye, 6
	case v > 28 || x > 36:
		return Debye, 9
	}
	return Debye, 13
}

// Refined uses series below both of seriesArgument and seriesOrder; beyond
// them, Hankel's expansion below hankelOrder and Debye's from there on.
const (
	seriesArgument = 30
	seriesOrder    = 20
	hankelOrder    = 12.6964
)

// plesner is the paper's table: section 4.
func plesner(v, x float64) (Method, int) {
	lv, lx := math.Log(v), math.Log(x)
	switch {
	case x > 1400 && v < 3.05, v > 3.1 && 0.6229*lx-3.2318 > lv:
		return Hankel, 3
	case x > 30 && v < 15.3919, x > 59.6925 && 0.5113*lx+0.7939 > lv:
		return Hankel, 20
	case x > 274.2377 && v > 0.3 || v > 163.6993:
		return Debye, 4
	case x > 84.4153 && v > 0.46 || v > 56.9971:
		return Debye, 6
	case x > 35.9074 && v > 0.6 || v > 20.1534:
		return Debye, 9
	case x > 19.6931 && v > 0.7 || v > 12.6964:
		return Debye, 13
	}
	return Integral, 0
}

func bounded(n, zero, most int) int {
	if n <= 0 {
		return zero
	}
	return min(n, most)
}

// LogI is log I_v(x) by that method.
func (b Bessel) LogI(v, x float64) float64 {
	v = evenOrder(v)
	switch {
	case !(v >= 0 && x >= 0), math.IsInf(v, 1) && math.IsInf(x, 1):
		return math.NaN()
	case x == 0 && v == 0:
		return 0
	case x == 0 || math.IsInf(v, 1):
		return math.Inf(-1)
	case math.IsInf(x, 1):
		return x
	}
	switch m, terms := b.Choose(v, x); m {
	case Hankel:
		return hankelLogI(v, x, terms)
	case Debye:
		return debyeLogI(v, x, terms)
	case Series:
		return seriesLogI(v, x)
	case Integral:
		return logSeriesLogI(v, x)
	}
	return math.NaN()
}

// LogK is log K_v(x) by that method.
func (b Bessel) LogK(v, x float64) float64 {
	v = math.Abs(v)
	switch {
	case !(v >= 0 && x >= 0), math.IsInf(v, 1) && math.IsInf(x, 1):
		return math.NaN()
	case x == 0 || math.IsInf(v, 1):
		return math.Inf(1)
	case math.IsInf(x, 1):
		return -x
	}
	switch m, terms := b.Choose(v, x); m {
	case Hankel:
		return hankelLogK(v, x, terms)
	case Debye:
		return debyeLogK(v, x, terms)
	case Series:
		return smallLogK(v, x)
	case Integral:
		return rothwellLogK(v, x)
	}
	return math.NaN()
}
