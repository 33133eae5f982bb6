package special

import "math"

// temmeMost is the argument up to which Temme's series serves; its terms cancel
// above. There the trapezoid sum serves.
const temmeMost = 1

// smallLogK is log K where no asymptotic expansion serves; NaN for orders that
// the recurrence would take long to reach.
func smallLogK(v, x float64) float64 {
	if v > 1e4 {
		return math.NaN()
	}
	if x <= temmeMost {
		k, _, n := temme(v, x)
		return math.Log(k) - n*logHalf(x)
	}
	k, _, _ := trapezoid(v, x)
	return math.Log(k) - x
}

// temme gives k = (x/2)^n·K_v(x) with n = round(v), and ρ = K_{v−1}/K_v, for
// x ≤ 1. It is Temme's series (1975) for the orders m = v − n and m + 1, then the
// recurrence upwards, which is stable for K. The powers of x/2 keep it free of
// division and overflow.
func temme(v, x float64) (k, rho, n float64) {
	n = math.Floor(v + 0.5)
	m := v - n
	h := x / 2 * (x / 2)
	p0, p1 := temmeSums(m, x, h)
	if n == 0 {
		up := p1 / p0 / (x / 2) // K_{v+1}/K_v
		if math.IsInf(up, 1) {
			return p0, 0, 0
		}
		return p0, up - 2*v/x, 0
	}
	var below float64
	for j := range int(n) {
		below, p0, p1 = p0, p1, (m+float64(j)+1)*p1+h*p0
	}
	return p0, below / p0 * (x / 2), n
}

// temmeSums are K_m(x) and (x/2)·K_{m+1}(x) for |m| ≤ 1/2; h = x²/4.
func temmeSums(m, x, h float64) (k0, k1 float64) {
	var even, odd float64 // 1/Γ(1±m) = even ± m·odd
	for j := len(rgammaEven) - 1; j >= 0; j-- {
		even = even*m*m + rgammaEven[j]
		odd = odd*m*m + rgammaOdd[j]
	}
	gp, gm := 1/(even+m*odd), 1/(even-m*odd) // Γ(1+m), Γ(1−m)
	l := -logHalf(x)
	sigma := m * l
	cosh, sinhc := 1.0, 1.0
	if sigma != 0 {
		cosh, sinhc = math.Cosh(sigma), math.Sinh(sigma)/sigma
	}
	e := math.Exp(sigma) // (x/2)^−m
	f := gp * gm * (l*sinhc*even - cosh*odd)
	p, q := 0.5*gp*e, 0.5*gm/e
	k0, k1 = f, p
	for k, c := 1.0, 1.0; ; k++ {
		r := 1 / ((k - m) * (k + m))
		f = (k*f + p + q) * r
		p *= (k + m) * r
		q *= (k - m) * r
		c *= h / k
		t0, t1 := c*f, c*(p-k*f)
		k0 += t0
		k1 += t1
		if !(math.Abs(t0) > k0*0x1p-57 || math.Abs(t1) > k1*0x1p-57) {
			return k0, k1
		}
	}
}

// trapezoidStep is fine enough for v ≤ 20 and x from 1 to 30: the rule's error is
// 2|K_{v+2πi/h}/K_v|, below 1e-17 there.
const trapezoidStep = 0.11

// trapezoid gives s = e^x·K_v(x) = ∫_0^∞ exp(−x(cosh t − 1)) cosh(vt) dt, and mean
// and variance of cosh t − 1 under this weight.
func trapezoid(v, x float64) (s, mean, variance float64) {
	var s1, s2 float64
	e := math.Exp(v * trapezoidStep)
	s = 0.5
	for j, p := 1, e; ; j, p = j+1, p*e {
		c := math.Sinh(float64(j) * (trapezoidStep / 2))
		c *= 2 * c // cosh t − 1
		w := math.Exp(-x*c) * 0.5 * (p + 1/p)
		s += w
		s1 += c * w
		s2 += c * c * w
		if !(c*c*w > s2*0x1p-57) {
			break
		}
	}
	mean = s1 / s
	return s * trapezoidStep, mean, s2/s - mean*mean
}

// smallSlopesK differentiates log K where no asymptotic expansion serves.
func smallSlopesK(v, x float64) slopes {
	if x > temmeMost {
		_, mean, variance := trapezoid(v, x)
		d := 1 + mean
		return slopes{ratio: v/x + d, dlog: -d, dratio: -variance - v/x/x, d2log: variance}
	}
	_, rho, _ := temme(v, x)
	s := slopes{ratio: 2*v/x + rho, dlog: -v/x - rho}
	// Bessel's equation, L″ = 1 + v²/x² − L′/x − L′², with L′ = −v/x − ρ. In the
	// limit v/x² is all there is, but for v = 0.
	s.d2log = v / x / x
	if v == 0 || x > 1e-150 {
		s.d2log += 1 + rho*((1-2*v)/x-rho)
	}
	s.dratio = -s.d2log - v/x/x
	return s
}
