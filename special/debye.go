package special

import "math"

// saddle is what Debye's expansion is made of, with w = √(v² + x²) for v·√(1 + z²).
type saddle struct {
	v, x, w float64
	r       float64 // 1/w: U_k(p)/v^k is r^k times a polynomial in p²
	p2      float64 // p² = v²/w²
}

// vast is the size from which squares overflow; there only the leading term counts.
const vast = 1e150

func newSaddle(v, x float64) saddle {
	s := saddle{v: v, x: x}
	if v < vast && x < vast {
		s.w = math.Sqrt(v*v + x*x)
	} else {
		s.w = math.Hypot(v, x)
	}
	s.r = 1 / s.w
	p := v * s.r
	s.p2 = p * p
	return s
}

// sum is Σ_{k≤terms} (±1)^k U_k(p)/v^k.
func (s saddle) sum(terms int, sign float64) float64 {
	r := sign * s.r
	var total float64
	for k := terms; k >= 0; k-- {
		u := debyeU[k][k]
		for j := k - 1; j >= 0; j-- {
			u = u*s.p2 + debyeU[k][j]
		}
		total = total*r + u
	}
	return total
}

// exponent is v·η = w + v log(x/(v + w)).
func (s saddle) exponent() float64 {
	q := s.x / (s.v + s.w)
	if q < 1e-290 { // not to lose digits of a subnormal number
		return s.w + s.v*(math.Log(s.x)-math.Log(s.v+s.w))
	}
	return s.w + s.v*math.Log(q)
}

// debyeLogI is DLMF 10.41.3. At v = 0, which it is not made for, it is NaN.
func debyeLogI(v, x float64, terms int) float64 {
	if v == 0 {
		return math.NaN()
	}
	if max(v, x) > 0x1p1020 { // w might overflow
		return 16 * newSaddle(v/16, x/16).exponent()
	}
	s := newSaddle(v, x)
	c := s.sum(terms, 1)
	return s.exponent() + 0.5*math.Log(c*c*s.r/(2*math.Pi))
}

// debyeLogK is DLMF 10.41.4.
func debyeLogK(v, x float64, terms int) float64 {
	if v == 0 {
		return math.NaN()
	}
	if max(v, x) > 0x1p1020 {
		return -16 * newSaddle(v/16, x/16).exponent()
	}
	s := newSaddle(v, x)
	c := s.sum(terms, -1)
	return 0.5*math.Log(c*c*s.r*(math.Pi/2)) - s.exponent()
}

// slopes are d log S/d log p and its derivative, for the sum S of that sign.
func (s saddle) slopes(terms int, sign float64) (t, g float64) {
	r := sign * s.r
	var s0, s1, s2 float64
	for k := terms; k >= 0; k-- {
		var u0, u1, u2 float64
		for j := k; j >= 0; j-- {
			c, m := debyeU[k][j], float64(k+2*j)
			u0 = u0*s.p2 + c
			u1 = u1*s.p2 + c*m
			u2 = u2*s.p2 + c*m*m
		}
		s0, s1, s2 = s0*r+u0, s1*r+u1, s2*r+u2
	}
	t = s1 / s0
	return t, s2/s0 - t*t
}

// debyeSlopesI differentiates log I = w + v log(x/(v+w)) − log(w)/2 + log S.
func debyeSlopesI(v, x float64, terms int) slopes {
	s, c1, c2 := corrections(v, x, terms, 1)
	v, x = s.v, s.x
	return slopes{
		ratio:  x/(v+s.w) + c1,
		dlog:   s.w/x + c1,
		dratio: v*s.r/(v+s.w) + c2,
		d2log:  -(v/x)*(v/x)*s.r + c2,
	}
}

// debyeSlopesK differentiates log K = −w − v log(x/(v+w)) − log(w)/2 + log S.
func debyeSlopesK(v, x float64, terms int) slopes {
	s, c1, c2 := corrections(v, x, terms, -1)
	v, x = s.v, s.x
	return slopes{
		ratio:  (v+s.w)/x - c1,
		dlog:   -s.w/x + c1,
		dratio: -v/x*((v+s.w)/x)*s.r - c2,
		d2log:  (v/x)*(v/x)*s.r + c2,
	}
}

// corrections are the first two derivatives of −log(w)/2 + log S.
func corrections(v, x float64, terms int, sign float64) (s saddle, c1, c2 float64) {
	if max(v, x) > 0x1p1020 { // w might overflow; second derivatives vanish here
		v, x = v/16, x/16
	}
	s = newSaddle(v, x)
	t, g := s.slopes(terms, sign)
	vw, xw := v*s.r*s.r, x*s.r*s.r // w⁴ would overflow
	return s, -xw * (0.5 + t), -(0.5+t)*(vw*vw-xw*xw) + xw*xw*g
}
