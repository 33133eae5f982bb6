package special

import (
	"math/big"
	"testing"
)

// TestReference holds the reference's means against each other, where two serve.
func TestReference(t *testing.T) {
	for _, p := range []struct{ v, x float64 }{{500, 1950}, {1990, 150}, {0, 1999}} {
		series := bigLog(bigSeries(f(p.v), f(p.x)))
		series.Add(series, mul(f(p.v), bigLog(f(p.x/2))))
		series.Sub(series, bigLogGamma1p(p.v))
		sum, top := bigTrapezoid(f(p.v), f(p.x))
		for name, d := range map[string]*big.Float{
			"series and Debye's expansion of I":    sub(series, bigDebye(p.v, p.x, 1)),
			"trapezoid and Debye's expansion of K": sub(add(bigLog(sum), top), bigDebye(p.v, p.x, -1)),
		} {
			if d64, _ := d.Float64(); d64 > 1e-35 || d64 < -1e-35 {
				t.Errorf("%s at (%g, %g) differ by %g", name, p.v, p.x, d64)
			}
		}
	}
	half := bigLogGamma1p(-0.5) // log √π
	if d, _ := sub(half, mul(f(0.5), bigLog(bigPi))).Float64(); d > 1e-60 || d < -1e-60 {
		t.Errorf("log Γ(½) is off by %g", d)
	}
}
