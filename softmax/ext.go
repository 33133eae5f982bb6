package softmax

import (
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// Ext is the number M·2^E: a sum of exponentials that cannot overflow. The zero
// value is the sum of nothing. Sums of parts of a row, on several threads or
// machines, are merged with Add; in the same order they give the same bits.
type Ext struct{ M, E float64 }

// Add is the sum of two numbers.
func (e Ext) Add(o Ext) Ext {
	switch {
	case o.M == 0:
		return e
	case e.M == 0:
		return o
	case !(math.Abs(e.M) < math.Inf(1)) || !(math.Abs(o.M) < math.Inf(1)):
		return Ext{M: e.M + o.M}
	case e.E >= o.E:
		return Ext{e.M + o.M*exp2(o.E-e.E), e.E}
	default:
		return Ext{e.M*exp2(e.E-o.E) + o.M, o.E}
	}
}

// Log is the natural logarithm.
func (e Ext) Log() float64 {
	return math.FMA(e.E, math.Ln2, e.E*ln2Lo+math.Log(e.M))
}

// ln2Lo is what the float64 number ln 2 lacks.
const ln2Lo = 0x1.abc9e3b39803fp-56

// exp2 is 2^d for d ≤ 0.
func exp2(d float64) float64 {
	if d == math.Trunc(d) {
		return kern.Pow2(d)
	}
	return math.Exp2(d)
}

// ExtExpMax is the largest |x| that [ExtExp] takes.
const ExtExpMax = 1 << 21

// ExtExp is e^x = m·2^n as the two-pass algorithm takes it apart: n is x·log₂e,
// rounded to float32 and then to an integer, halves to even, and m is near 1. It
// is for |x| up to [ExtExpMax].
func ExtExp(x float32) (m float64, n int) {
	z := math.RoundToEven(float64(x * float32(math.Log2E)))
	const ln2Hi, ln2Lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	return math.Exp(float64(x) - z*ln2Hi - z*ln2Lo), int(z) // z·ln2Hi is exact: ln2Hi has 32 bits
}

// SumExp is Σ e^x. Infinities and NaN stay what they are. For numbers beyond
// ±2^52 the exponent is no integer, and as inexact as they are.
func SumExp[T Float](x []T) Ext {
	w := worker[T]{threads: 1, scale: 1}
	return w.sum(x).ext()
}

// A sum is Σ e^(scale·x) = m·2^e·e^(scale·top) of a row: top is 0 unless the
// numbers are too large for the kernels.
type sum struct{ m, e, top, scale float64 }

func (s sum) ext() Ext {
	if s.top == 0 {
		return Ext{s.m, s.e}
	}
	x := s.top * s.scale
	if math.Abs(x) > 1<<52 {
		return Ext{s.m, x * math.Log2E}
	}
	n := math.RoundToEven(x * math.Log2E)
	return Ext{s.m * math.Exp(math.FMA(-n, math.Ln2, x)-n*ln2Lo), n}
}

// log is the logarithm of the sum.
func (s sum) log() float64 {
	if s.top == 0 {
		return Ext{s.m, s.e}.Log()
	}
	return s.top*s.scale + math.Log(s.m)
}
