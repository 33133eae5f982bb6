package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Here are the ratios I_{v+1}/I_v and K_{v+1}/K_v, and the derivatives of log I
// and log K in x.

// debyeSlope differentiates Debye's expansion ±(w + v log(x/(v+w))) + log(r S²)/2:
// the sum's part is c = −x·r²·(½ + S'/S), S' = Σ (±r)^k p·U_k'(p)/p^k.
func (a *asm) debyeSlope(name string, sign float64, terms int) {
	rows := debyeU(terms)
	doc := fmt.Sprintf("is dst[i] = %s by Debye's expansion with %d terms, for n elements.", slopeText[name], terms)
	a.besselFn(fmt.Sprintf("debye%s%d", name, terms), doc, func(v, x reg.VecVirtual) reg.VecVirtual {
		w2, p2, y := a.vec(), a.vec(), a.vec()
		a.mul(x, x, w2)
		a.fma(v, v, w2)
		w, r := a.sqrt(w2)
		rs := r
		a.mul(v, r, p2)
		a.mul(p2, p2, p2)
		if sign < 0 {
			rs = a.zero()
			a.sub(r, rs, rs)
		}
		s, ds := a.poly(p2, rows[terms]...), a.poly(p2, timesPower(rows, terms)...)
		for k := terms - 1; k >= 1; k-- {
			a.fmadd213(a.poly(p2, rows[k]...), rs, s)
			a.fmadd213(a.poly(p2, timesPower(rows, k)...), rs, ds)
		}
		a.horner(1, rs, s) // U_0 = 1
		a.mul(rs, ds, ds)
		c := a.quotient(ds, s)
		a.addK(a.konst(0.5), c, c)
		a.mul(r, r, r)
		a.mul(x, r, r)
		a.mul(r, c, c) // −c of above
		switch name {
		case "RatioI":
			a.add(v, w, w)
			a.sub(c, a.quotient(x, w), y)
		case "RatioK":
			a.add(v, w, w)
			a.add(c, a.quotient(w, x), y)
		case "SlopeI":
			a.sub(c, a.quotient(w, x), y)
		default:
			a.add(c, a.quotient(w, x), c)
			y = a.zero()
			a.sub(c, y, y)
		}
		return y
	})
}

var slopeText = map[string]string{
	"RatioI": "I_{v+1}/I_v", "RatioK": "K_{v+1}/K_v", "SlopeI": "(log I)′", "SlopeK": "(log K)′",
}

// timesPower are the coefficients of p·U_k'(p).
func timesPower(rows [][]float64, k int) []float64 {
	v := make([]float64, len(rows[k]))
	for j, c := range rows[k] {
		v[j] = c * float64(k+2*j)
	}
	return v
}

// fractionI writes I_{v+1}/I_v = x·ρ_0, or v/x + that, by the continued fraction
// ρ_{k−1} = 1/(2(v+k) + x²ρ_k) from its last term down, as a quotient without
// divisions.
func (a *asm) fractionI(name string) {
	a.fn("fraction"+name, "(dst, v, x *float64, n, terms int)",
		"is dst[i] = "+slopeText[name]+" by the continued fraction with that even number of terms, for n elements.")
	dst, vs, xs, n := a.arg("dst"), a.arg("v"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	labels := 0
	a.loop("fraction", n, i, 1, func(_ int, t *tail) {
		labels++
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		x2, d := a.vec(), a.vec()
		a.mul(x, x, x2)
		terms := a.arg("terms")
		a.clear(d)
		a.VCVTSI2SDQ(terms, d.AsX(), d.AsX())
		a.VBROADCASTSD(d.AsX(), d)
		a.add(v, d, d)
		a.add(d, d, d) // 2(v + terms)
		two, num, den := a.k(2), a.zero(), a.k(1)
		top := a.label("fractionterms", labels)
		a.Label(top)
		a.mul(x2, num, num)
		a.fma(d, den, num)
		a.sub(two, d, d)
		a.mul(x2, den, den)
		a.fma(d, num, den)
		a.sub(two, d, d)
		a.SUBQ(operand.I8(2), terms)
		a.JGT(operand.LabelRef(top))
		y := a.quotient(num, den)
		a.mul(x, y, y)
		if name == "SlopeI" {
			a.add(a.quotient(v, x), y, y)
		}
		a.storeTail(t, y, a.at(dst, i, 0))
	})
	a.ret()
}
