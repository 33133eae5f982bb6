package special

import (
	"math"
	"math/big"
)

// This file computes log I, log K and I_{v+1}/I_v to some 40 digits, by other
// means than the package where there are any: positive-term series and trapezoid
// sums up to w = √(v²+x²) = 2000, Debye's expansion with 30 exact terms beyond.
// reference_check_test.go holds the means against each other.

const prec = 256

func f(x float64) *big.Float         { return new(big.Float).SetPrec(prec).SetFloat64(x) }
func add(a, b *big.Float) *big.Float { return f(0).Add(a, b) }
func sub(a, b *big.Float) *big.Float { return f(0).Sub(a, b) }
func mul(a, b *big.Float) *big.Float { return f(0).Mul(a, b) }
func quo(a, b *big.Float) *big.Float { return f(0).Quo(a, b) }

// tiny says that t no longer counts beside s.
func tiny(t, s *big.Float) bool {
	return t.Sign() == 0 || s.Sign() != 0 && t.MantExp(nil) < s.MantExp(nil)-prec
}

var bigLn2, bigPi = func() (*big.Float, *big.Float) {
	ln2, p := f(0), f(1)
	for k := 1; k < prec+10; k++ {
		p.Quo(p, f(2))
		ln2.Add(ln2, quo(p, f(float64(k))))
	}
	atan := func(d float64) *big.Float { // arctan(1/d)
		s, t := f(0), quo(f(1), f(d))
		for k := 0; k < prec; k++ {
			u := quo(t, f(float64(2*k+1)))
			if k%2 == 1 {
				u.Neg(u)
			}
			s.Add(s, u)
			t.Quo(t, f(d*d))
		}
		return s
	}
	return ln2, mul(f(4), sub(mul(f(4), atan(5)), atan(239)))
}()

func bigExp(x *big.Float) *big.Float {
	n, _ := quo(x, bigLn2).Float64()
	n = math.Round(n)
	const halvings = 12
	r := sub(x, mul(f(n), bigLn2))
	r.SetMantExp(r, -halvings)
	s, t := f(1), f(1)
	for k := 1; ; k++ {
		t.Mul(t, r)
		t.Quo(t, f(float64(k)))
		if tiny(t, s) {
			break
		}
		s.Add(s, t)
	}
	for range halvings {
		s.Mul(s, s)
	}
	return s.SetMantExp(s, int(n))
}

// bigLog is Halley's iteration on exp from the float64 logarithm.
func bigLog(x *big.Float) *big.Float {
	m := f(0)
	e := x.MantExp(m)
	m64, _ := m.Float64()
	y := f(math.Log(m64))
	for range 3 {
		z := bigExp(y)
		y.Add(y, mul(f(2), quo(sub(m, z), add(m, z))))
	}
	return y.Add(y, mul(f(float64(e)), bigLn2))
}

func bigSqrt(x *big.Float) *big.Float { return f(0).Sqrt(x) }

// bernoulli[k] is B_2k.
var bernoulli = func() []*big.Rat {
	const n = 60
	b := make([]*big.Rat, n+1)
	for m := range b { // Akiyama and Tanigawa would need a table; this is the plain recurrence
		s := new(big.Rat)
		for k := range m {
			c := new(big.Rat).SetInt(new(big.Int).Binomial(int64(m+1), int64(k)))
			s.Add(s, c.Mul(c, b[k]))
		}
		if m == 0 {
			b[0] = big.NewRat(1, 1)
			continue
		}
		b[m] = s.Mul(s, big.NewRat(-1, int64(m+1)))
	}
	var even []*big.Rat
	for m := 0; m <= n; m += 2 {
		even = append(even, b[m])
	}
	return even
}()

// bigLogGamma1p is log Γ(1+v): Stirling's series at v + 1 + n, shifted down.
func bigLogGamma1p(v float64) *big.Float {
	z := add(f(v), f(1))
	prod := f(1)
	for z.Cmp(f(60)) < 0 {
		prod.Mul(prod, z)
		z = add(z, f(1))
	}
	s := mul(sub(z, f(0.5)), bigLog(z))
	s.Sub(s, z)
	s.Add(s, mul(f(0.5), bigLog(mul(f(2), bigPi))))
	zp, z2 := f(0).Set(z), mul(z, z)
	for k := 1; k < len(bernoulli); k++ {
		c := f(0).SetRat(new(big.Rat).Mul(bernoulli[k], big.NewRat(1, int64(2*k*(2*k-1)))))
		s.Add(s, quo(c, zp))
		zp.Mul(zp, z2)
	}
	return s.Sub(s, bigLog(prod))
}

// bigSeries is S = Σ (x²/4)^k/(k!(v+1)_k).
func bigSeries(v, x *big.Float) *big.Float {
	q := mul(x, x)
	q.Quo(q, f(4))
	s, t := f(1), f(1)
	for k := 1; ; k++ {
		kf := f(float64(k))
		t.Mul(t, q)
		t.Quo(t, mul(kf, add(kf, v)))
		s.Add(s, t)
		if tiny(t, s) {
			return s
		}
	}
}

func bigLogI(v, x float64) *big.Float {
	if math.Hypot(v, x) > 2000 && x > 100 {
		return bigDebye(v, x, 1)
	}
	s := bigLog(bigSeries(f(v), f(x)))
	s.Add(s, mul(f(v), bigLog(quo(f(x), f(2)))))
	return s.Sub(s, bigLogGamma1p(v))
}

func bigRatioI(v, x float64) *big.Float {
	if math.Hypot(v, x) > 2000 && x > 100 {
		r := sub(bigDebyeAt(add(f(v), f(1)), f(x), 1), bigDebyeAt(f(v), f(x), 1))
		return bigExp(r)
	}
	v1 := add(f(v), f(1))
	r := quo(bigSeries(v1, f(x)), bigSeries(f(v), f(x)))
	return r.Mul(r, quo(f(x), mul(f(2), v1)))
}

func bigLogK(v, x float64) *big.Float {
	if math.Hypot(v, x) > 2000 && x > 100 {
		return bigDebye(v, x, -1)
	}
	s, top := bigTrapezoid(f(v), f(x))
	return add(bigLog(s), top)
}

func bigRatioK(v, x float64) *big.Float {
	if math.Hypot(v, x) > 2000 && x > 100 {
		return bigExp(sub(bigDebyeAt(add(f(v), f(1)), f(x), -1), bigDebyeAt(f(v), f(x), -1)))
	}
	s1, top1 := bigTrapezoid(add(f(v), f(1)), f(x))
	s0, top0 := bigTrapezoid(f(v), f(x))
	return mul(quo(s1, s0), bigExp(sub(top1, top0)))
}

// bigTrapezoid gives K_v(x) = s·e^top by the trapezoid rule for
// ½∫ exp(−x cosh t + vt) dt over the real line, centred at the peak.
func bigTrapezoid(v, x *big.Float) (s, top *big.Float) {
	w := bigSqrt(add(mul(v, v), mul(x, x)))
	w64, _ := w.Float64()
	h := min(0.05, 0.3/math.Sqrt(w64))
	u0 := quo(add(v, w), x) // e^t at the peak
	t0 := bigLog(u0)
	top = sub(mul(v, t0), w)
	s = f(1)
	for _, sign := range []float64{1, -1} {
		step := bigExp(f(sign * h))
		u := f(0).Set(u0)
		for j := 1; ; j++ {
			u.Mul(u, step)
			cosh := add(u, quo(f(1), u))
			e := mul(v, add(t0, f(0).Mul(f(sign*h), f(float64(j)))))
			e.Sub(e, mul(x, cosh.Quo(cosh, f(2))))
			e.Sub(e, top)
			if e64, _ := e.Float64(); e64 < -90 {
				break
			}
			s.Add(s, bigExp(e))
		}
	}
	s.Mul(s, f(h/2))
	return s, top
}

// bigU[k][j] is the coefficient of p^(k+2j) in U_k, from U_k's recurrence.
var bigU = func() [][]*big.Float {
	const n = 30
	u := []*big.Rat{big.NewRat(1, 1)} // in powers of p
	var out [][]*big.Float
	for k := 0; ; k++ {
		var row []*big.Float
		for j := 0; j <= k; j++ {
			row = append(row, f(0).SetRat(u[k+2*j]))
		}
		if out = append(out, row); k == n {
			return out
		}
		next := make([]*big.Rat, len(u)+3)
		for i := range next {
			next[i] = new(big.Rat)
		}
		for m, c := range u { // ½(p² − p⁴)·mc·p^(m−1) + ⅛(c p^(m+1)/(m+1) − 5c p^(m+3)/(m+3))
			one := new(big.Rat).Add(big.NewRat(int64(m), 2), big.NewRat(1, int64(8*(m+1))))
			three := new(big.Rat).Add(big.NewRat(int64(m), 2), big.NewRat(5, int64(8*(m+3))))
			next[m+1].Add(next[m+1], one.Mul(one, c))
			next[m+3].Sub(next[m+3], three.Mul(three, c))
		}
		u = next
	}
}()

func bigDebye(v, x, sign float64) *big.Float { return bigDebyeAt(f(v), f(x), sign) }

// bigDebyeAt is log I (sign 1) or log K (sign −1).
func bigDebyeAt(v, x *big.Float, sign float64) *big.Float {
	w := bigSqrt(add(mul(v, v), mul(x, x)))
	r := quo(f(sign), w)
	p2 := quo(mul(v, v), mul(w, w))
	s := f(0)
	for k := len(bigU) - 1; k >= 0; k-- {
		u := f(0)
		for j := k; j >= 0; j-- {
			u = add(mul(u, p2), bigU[k][j])
		}
		s = add(mul(s, r), u)
	}
	e := add(w, mul(v, bigLog(quo(x, add(v, w)))))
	c := mul(f(2), bigPi)
	if sign < 0 {
		e.Neg(e)
		c = quo(f(2), bigPi)
	}
	e.Add(e, bigLog(s))
	return e.Sub(e, mul(f(0.5), bigLog(mul(c, w))))
}
