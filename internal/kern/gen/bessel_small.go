package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Here are log I and log K for x ≤ 30 and v < 20, with AVX-512 only.

// Predicates of VCMPPD that are false for NaN.
const (
	greaterEqual = 13
	greater      = 14
)

// logHalf is log(x/2).
func (a *asm) logHalf(x reg.VecVirtual) reg.VecVirtual {
	h := a.vec()
	a.mulK(a.konst(0.5), x, h)
	return a.logPlain(h, 10)
}

// seriesI writes the power series: v log(x/2) − log Γ(1+v) + log S. Its terms
// are summed from the last one as a fraction, without divisions:
// S_k = 1 + S_{k+1}·(x²/4)/d_k, d_k = k(k+v), is (d_k B + (x²/4) A)/(d_k B).
func (a *asm) seriesI() {
	a.fn("seriesI", "(dst, v, x *float64, n, terms int)", "is dst[i] = log I by the power series with that many terms, for n elements.")
	dst, vs, xs, n := a.arg("dst"), a.arg("v"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	labels := 0
	a.loop("series", n, i, 1, func(_ int, t *tail) {
		labels++
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		q, k := a.vec(), a.vec()
		a.mulK(a.konst(0.5), x, q)
		a.mul(q, q, q)
		terms := a.arg("terms")
		a.clear(k)
		a.VCVTSI2SDQ(terms, k.AsX(), k.AsX())
		a.VBROADCASTSD(k.AsX(), k)
		one := a.k(1)
		num, den, d := a.k(1), a.k(1), a.vec()
		top := a.label("seriesterms", labels)
		a.Label(top) // terms ≥ 2: d_terms to d_2
		a.add(v, k, d)
		a.mul(k, d, d)
		a.mul(d, den, den)
		a.fmadd213(den, q, num)
		a.sub(one, k, k)
		a.DECQ(terms)
		a.CMPQ(terms, operand.I8(1))
		a.JGT(operand.LabelRef(top))
		// tail = S − 1 = (x²/4)·S_2/(1+v)
		a.add(one, v, d)
		a.mul(d, den, den)
		a.mul(q, num, num)
		tail := a.vec()
		a.div(den, num, tail)

		// Γ(1+v) = Π_{2≤j≤N} (j+u)·Γ(2+u), N = round(v); or Γ(2+v)/(1+v) for v < ½.
		small := a.cmp(less, v, a.k(0.5))
		whole, u, prod := a.vec(), a.vec(), a.k(1)
		a.round(v, whole)
		a.max(whole, one, whole)
		a.sub(whole, v, u)
		a.blend(small, v, u)
		j, f := a.k(2), a.vec()
		next, all := a.label("seriesgamma", labels), a.label("seriesall", labels)
		a.Label(next)
		on := a.K()
		a.VCMPPD(operand.U8(notLess), j, whole, on)
		a.KORTESTB(on, on)
		a.JEQ(operand.LabelRef(all))
		a.add(j, u, f)
		a.VMULPD(f, prod, on, prod)
		a.add(one, j, j)
		a.JMP(operand.LabelRef(next))
		a.Label(all)
		lg := a.poly(u, logGamma2()...)
		a.mul(u, lg, lg)

		// y = S/Π − 1, without loss where S ≈ 1; log(1+y) with what 1 + y loses.
		y, z, corr := a.vec(), a.vec(), a.vec()
		a.mov(tail, y)
		a.fma(tail, v, y)
		a.add(v, y, y) // v + tail + v·tail
		big := a.cmp(notLess, v, a.k(0.5))
		a.blend(big, tail, y)
		a.add(one, y, z)
		a.sub(one, z, corr)
		a.sub(corr, y, corr)
		corr = a.quotient(corr, z)
		ls := a.logNormal(z, nil)
		a.add(corr, ls, ls)
		lp := a.logPlain(prod, 10)
		a.VSUBPD(lp, ls, big.Register, ls)
		a.sub(lg, ls, ls)
		lh := a.logHalf(x)
		a.fmadd213(ls, v, lh)
		a.storeTail(t, lh, a.at(dst, i, 0))
	})
	a.ret()
}

// temmeK writes Temme's series for K_m and K_{m+1}, m = v − n, n = round(v), and
// the recurrence up to v, all times powers of x/2: package special has it in Go.
func (a *asm) temmeK() {
	a.fn("temmeK", "(dst, v, x *float64, n, terms int)", "is dst[i] = log K by Temme's series with that many terms, for n elements.")
	dst, vs, xs, n := a.arg("dst"), a.arg("v"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	labels := 0
	even, odd := rgamma()
	var inverses []uint64 // 1/k
	for k := range 16 {
		inverses = append(inverses, math.Float64bits(1/float64(k+1)))
	}
	a.loop("temme", n, i, 1, func(_ int, t *tail) {
		labels++
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		whole, m, m2, h := a.vec(), a.vec(), a.vec(), a.vec()
		a.round(v, whole)
		a.sub(whole, v, m)
		a.mul(m, m, m2)
		a.mulK(a.konst(0.5), x, h)
		a.mul(h, h, h)
		zero := a.zero()
		l := a.zero()
		a.sub(a.logHalf(x), l, l)

		e, o := a.poly(m2, even...), a.poly(m2, odd...)
		// Γ(1±m) = 1/(e ± m·o); their product is r.
		mo, den := a.vec(), a.vec()
		a.mul(m, o, mo)
		a.mul(e, e, den)
		a.fnma(mo, mo, den)
		r := a.vec()
		a.div(den, a.k(1), r)
		sigma := a.vec()
		a.mul(m, l, sigma)
		up := a.exp(sigma)
		neg := a.vec()
		a.sub(sigma, zero, neg)
		down := a.exp(neg)
		sinhc := a.sinhc(sigma, up, down)

		p, q, f := a.vec(), a.vec(), a.vec()
		a.sub(mo, e, p) // Γ(1+m)/r
		a.mul(r, p, p)
		a.mul(up, p, p)
		a.mulK(a.konst(0.5), p, p)
		a.add(mo, e, q)
		a.mul(r, q, q)
		a.mul(down, q, q)
		a.mulK(a.konst(0.5), q, q)
		cosh := a.vec()
		a.add(up, down, cosh)
		a.mulK(a.konst(0.5), cosh, cosh)
		a.mul(l, sinhc, f)
		a.mul(e, f, f)
		a.fnma(cosh, o, f)
		a.mul(r, f, f)

		k0, k1, c, k := a.vec(), a.vec(), a.k(1), a.k(1)
		a.mov(f, k0)
		a.mov(p, k1)
		one := a.k(1)
		terms, inverse := a.arg("terms"), a.GP64()
		a.LEAQ(a.table("besselinverse", inverses...), inverse)
		top := a.label("temmeterms", labels)
		a.Label(top)
		// With s = 1/(k²−m²): f = (kf + p + q)s, p = p(k+m)s, q = q(k−m)s, c = ch/k;
		// at most 16 terms.
		s := a.vec()
		a.mul(k, k, den)
		a.sub(m2, den, den)
		a.VRCP14PD(den, s)
		w := a.vec()
		for range 2 {
			a.mov(one, w)
			a.fnma(s, den, w)
			a.fma(s, w, s)
		}
		a.fmadd213(p, k, f)
		a.add(q, f, f)
		a.mul(s, f, f)
		a.add(m, k, w)
		a.mul(s, w, w)
		a.mul(w, p, p)
		a.sub(m, k, w)
		a.mul(s, w, w)
		a.mul(w, q, q)
		a.mul(h, c, c)
		a.VMULPD_BCST(operand.Mem{Base: inverse}, c, c)
		a.ADDQ(operand.I8(8), inverse)
		a.fma(f, c, k0)
		a.mov(p, w)
		a.fnma(k, f, w)
		a.fma(w, c, k1)
		a.add(one, k, k)
		a.DECQ(terms)
		a.JNE(operand.LabelRef(top))

		// K_{j+1}(x/2)^(j+1) = (m+j)·K_j(x/2)^j + (x²/4)·K_{j−1}(x/2)^(j−1), up to n.
		j := a.k(1)
		next, done := a.label("temmeup", labels), a.label("temmetop", labels)
		a.Label(next)
		on := a.K()
		a.VCMPPD(operand.U8(notLess), j, whole, on)
		a.KORTESTB(on, on)
		a.JEQ(operand.LabelRef(done))
		a.add(m, j, w)
		a.mul(k1, w, w)
		a.fma(h, k0, w)
		a.VMOVAPD(k1, on, k0)
		a.VMOVAPD(w, on, k1)
		a.add(one, j, j)
		a.JMP(operand.LabelRef(next))
		a.Label(done)
		y := a.logPlain(k0, 10)
		a.fma(whole, l, y)
		a.storeTail(t, y, a.at(dst, i, 0))
	})
	a.ret()
}

// sinhc is sinh(s)/s, from e^s and e^−s where these do not cancel.
func (a *asm) sinhc(s, up, down reg.VecVirtual) reg.VecVirtual {
	s2, size := a.vec(), a.vec()
	a.mul(s, s, s2)
	c := make([]float64, 9)
	fact := 1.0
	for k := range c {
		c[k] = 1 / fact
		fact *= float64(2*k+2) * float64(2*k+3)
	}
	p := a.poly(s2, c...)
	d, w := a.vec(), a.vec()
	a.sub(down, up, d)
	a.add(s, s, w)
	a.div(w, d, d)
	a.and(a.bits(1<<63-1), s, size)
	a.blend(a.cmp(notLess, size, a.k(1)), d, p)
	return p
}

// trapezoidK writes the trapezoid rule for e^x·K = ∫_0^∞ exp(−x(cosh t − 1)) cosh(vt) dt,
// until the terms of all lanes are negligible.
func (a *asm) trapezoidK() {
	const (
		step  = 0.11
		nodes = 60
	)
	var table []uint64
	for j := range nodes + 1 {
		s := math.Sinh(float64(j) * step / 2)
		table = append(table, math.Float64bits(2*s*s)) // cosh − 1
	}
	a.fn("trapezoidK", "(dst, v, x *float64, n int)", "is dst[i] = log K by the trapezoid rule for 1 ≤ x ≤ 30, v < 20, for n elements.")
	dst, vs, xs, n := a.arg("dst"), a.arg("v"), a.arg("x"), a.arg("n")
	i, at := a.GP64(), a.GP64()
	a.XORQ(i, i)
	labels := 0
	a.loop("trapezoid", n, i, 1, func(_ int, t *tail) {
		labels++
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		zero := a.zero()
		vh, neg := a.vec(), a.vec()
		a.mulK(a.konst(step), v, vh)
		a.sub(vh, zero, neg)
		grow, shrink := a.exp(vh), a.exp(neg)
		up, down := a.k(1), a.k(1)
		a.mul(grow, up, up)
		a.mul(shrink, down, down)
		sum := a.k(1) // twice the sum, whose first term has weight ½
		minusX := a.vec()
		a.sub(x, zero, minusX)
		a.LEAQ(a.table("besselcosh", table...), at)
		top := a.label("trapezoidnode", labels)
		end := a.GP64()
		a.LEAQ(operand.Mem{Base: at, Disp: 8 * nodes}, end)
		stop := a.label("trapezoidstop", labels)
		a.Label(top)
		a.ADDQ(operand.I8(8), at)
		c := a.vec()
		a.VMULPD_BCST(operand.Mem{Base: at}, minusX, c)
		w := a.exp(c)
		both := a.vec()
		a.add(up, down, both)
		a.mul(both, w, w)
		a.add(w, sum, sum)
		a.mul(grow, up, up)
		a.mul(shrink, down, down)
		a.CMPQ(at, end)
		a.JEQ(operand.LabelRef(stop))
		limit, on := a.vec(), a.K()
		a.mulK(a.konst(0x1p-57), sum, limit)
		a.VCMPPD(operand.U8(notLess), limit, w, on)
		a.KORTESTB(on, on)
		a.JNE(operand.LabelRef(top))
		a.Label(stop)
		a.mulK(a.konst(step/2), sum, sum)
		y := a.logPlain(sum, 10)
		a.sub(x, y, y)
		a.storeTail(t, y, a.at(dst, i, 0))
	})
	a.ret()
}
