package main

import (
	"fmt"
	"math"
	"math/big"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { register("bessel", emitBessel) }

// emitBessel writes log I, log K and their slopes for arguments of one region, and
// what sorts arguments by region. Where both are, K has sign −1.
func emitBessel(a *asm) {
	a.elem = float64s
	a.both(func() {
		for _, kind := range []struct {
			name string
			sign float64
		}{{"I", 1}, {"K", -1}} {
			for _, terms := range []int{4, 6, 9, 13} {
				a.debye(kind.name, kind.sign, terms)
			}
			for _, terms := range []int{3, 20} {
				a.hankel(kind.name, kind.sign, terms)
			}
			for _, terms := range []int{6, 9, 13} {
				a.debyeSlope("Ratio"+kind.name, kind.sign, terms)
				a.debyeSlope("Slope"+kind.name, kind.sign, terms)
			}
		}
		a.fractionI("RatioI")
		a.fractionI("SlopeI")
	})
	a.isa = avx512
	a.seriesI()
	a.temmeK()
	a.trapezoidK()
	a.besselRange()
	a.besselSplit()
	a.compress()
	a.expand()
}

// besselFn writes a function of orders and arguments, on one vector at a time.
func (a *asm) besselFn(name, doc string, f func(v, x reg.VecVirtual) reg.VecVirtual) {
	a.fn(name, "(dst, v, x *float64, n int)", doc)
	dst, vs, xs, n := a.arg("dst"), a.arg("v"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	a.loop(name, n, i, 1, func(_ int, t *tail) {
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		a.storeTail(t, f(v, x), a.at(dst, i, 0))
	})
	a.ret()
}

// debyeU gives U_0 to U_n: row k has the coefficients of p^(k+2j). DLMF 10.41.9.
func debyeU(n int) [][]float64 {
	u := []*big.Rat{big.NewRat(1, 1)}
	var rows [][]float64
	for k := 0; ; k++ {
		var row []float64
		for j := range k + 1 {
			c, _ := u[k+2*j].Float64()
			row = append(row, c)
		}
		if rows = append(rows, row); k == n {
			return rows
		}
		next := make([]*big.Rat, len(u)+3)
		for i := range next {
			next[i] = new(big.Rat)
		}
		for m, c := range u {
			up := new(big.Rat).Add(big.NewRat(int64(m), 2), big.NewRat(1, int64(8*(m+1))))
			down := new(big.Rat).Add(big.NewRat(int64(m), 2), big.NewRat(5, int64(8*(m+3))))
			next[m+1].Add(next[m+1], up.Mul(up, c))
			next[m+3].Sub(next[m+3], down.Mul(down, c))
		}
		u = next
	}
}

// debye writes Debye's expansion, with w = √(v² + x²), r = 1/w and p² = v²r²:
// ±(w + v log(x/(v+w))) + log(r S²)/2 + constant, S = Σ (±r)^k U_k(p)/p^k.
func (a *asm) debye(kind string, sign float64, terms int) {
	rows := debyeU(terms)
	doc := fmt.Sprintf("is dst[i] = log %s by Debye's expansion with %d terms, for n elements.", kind, terms)
	a.besselFn(fmt.Sprintf("debye%s%d", kind, terms), doc, func(v, x reg.VecVirtual) reg.VecVirtual {
		w2 := a.vec()
		a.mul(x, x, w2)
		a.fma(v, v, w2)
		w, r := a.sqrt(w2)
		den := a.vec()
		a.add(v, w, den)
		q := a.quotient(x, den)
		p2, rs := a.vec(), r
		a.mul(v, r, p2)
		a.mul(p2, p2, p2)
		if sign < 0 {
			rs = a.zero()
			a.sub(r, rs, rs)
		}
		s := a.poly(p2, rows[terms]...)
		for k := terms - 1; k >= 0; k-- {
			if k == 0 { // U_0 = 1
				a.horner(1, rs, s)
				break
			}
			a.fmadd213(a.poly(p2, rows[k]...), rs, s)
		}
		t := a.logPlain(q, 10)
		a.fmadd213(w, v, t) // w + v·log q
		a.mul(s, s, s)
		a.mul(r, s, s)
		// Where few terms serve, w is above 70 and the sum's logarithm counts for less.
		degree := 10
		if terms <= 6 {
			degree = 8
		}
		c := a.logPlain(s, degree)
		return a.finish(c, t, sign)
	})
}

// finish is ±t + c/2 + log(1/2π)/2, or log(π/2)/2 for K.
func (a *asm) finish(c, t reg.VecVirtual, sign float64) reg.VecVirtual {
	y := a.vec()
	if sign > 0 {
		a.mulK(a.konst(0.5), c, c)
		a.addK(a.konst(-0.5*math.Log(2*math.Pi)), c, c)
		a.add(c, t, y)
		return y
	}
	a.mulK(a.konst(0.5), c, c)
	a.addK(a.konst(0.5*math.Log(math.Pi/2)), c, c)
	a.sub(t, c, y)
	return y
}

// hankel writes the expansion in y = 1/x: ±x + log(y S²)/2 + constant, where
// S = Σ Π_k (∓y)(4v² − (2k−1)²)/(8k).
func (a *asm) hankel(kind string, sign float64, terms int) {
	doc := fmt.Sprintf("is dst[i] = log %s by the expansion in 1/x with %d terms, for n elements.", kind, terms)
	a.besselFn(fmt.Sprintf("hankel%s%d", kind, terms), doc, func(v, x reg.VecVirtual) reg.VecVirtual {
		y, my := a.quotient(a.k(1), x), a.vec()
		one := a.k(1)
		ys := a.vec()
		a.mulK(a.konst(-sign), y, ys)
		a.mul(v, v, my)
		a.mul(ys, my, my)
		s := a.k(1)
		for k := terms; k >= 1; k-- {
			odd := float64(2*k - 1)
			t := a.vec()
			a.mulK(a.konst(-odd*odd/float64(8*k)), ys, t)
			a.fmaK(a.konst(0.5/float64(k)), my, t)
			a.fmadd213(one, t, s)
		}
		a.mul(s, s, s)
		a.mul(y, s, s)
		return a.finish(a.logPlain(s, 10), x, sign)
	})
}

// sqrt is w = √x and 1/w, each within an ulp, for normal x.
func (a *asm) sqrt(x reg.VecVirtual) (w, r reg.VecVirtual) {
	w, r = a.vec(), a.vec()
	if !a.avx512() {
		a.VSQRTPD(x, w)
		a.div(w, a.k(1), r)
		return w, r
	}
	// Goldschmidt's iteration from 14 bits: w for √x and h for 1/(2√x).
	h, e, d := a.vec(), a.vec(), a.vec()
	a.VRSQRT14PD(x, h)
	a.mul(x, h, w)
	a.mulK(a.konst(0.5), h, h)
	half := a.k(0.5)
	a.mov(half, e)
	a.fnma(h, w, e)
	a.fma(w, e, w)
	a.fma(h, e, h) // 28 bits
	a.mov(half, e)
	a.fnma(h, w, e)
	a.mov(x, d)
	a.fnma(w, w, d)
	a.fma(d, h, w)
	a.fma(h, e, h)
	a.add(h, h, r)
	return w, r
}

// quotient is x/y within an ulp, for normal y and quotients.
func (a *asm) quotient(x, y reg.VecVirtual) reg.VecVirtual {
	q := a.vec()
	if !a.avx512() {
		a.div(y, x, q)
		return q
	}
	r, e := a.vec(), a.vec()
	a.VRCP14PD(y, r)
	a.mov(a.k(1), e)
	a.fnma(r, y, e)
	a.fma(r, e, r) // 28 bits
	a.mul(x, r, q)
	a.mov(x, e)
	a.fnma(q, y, e)
	a.fma(e, r, q)
	return q
}

// logPlain is log x for positive normal x, with an error of an ulp of it or of
// 1e-17, whichever is larger; with a lower degree than 10, of 3e-15.
func (a *asm) logPlain(x reg.VecVirtual, degree int) reg.VecVirtual {
	if !a.avx512() {
		return a.logNormal(x, nil)
	}
	// x = 2^e·m; m is multiplied by one of 16 numbers near 1/m, and the logarithm of
	// what is left is a short series.
	const rows = 16
	var inv, logs []uint64
	for j := range rows {
		c := 1 / (1 + (float64(j)+0.5)/rows)
		inv = append(inv, math.Float64bits(c))
		logs = append(logs, math.Float64bits(-math.Log(c)))
	}
	e, m, r := a.vec(), a.vec(), a.vec()
	a.VGETEXPPD(x, e)
	a.VGETMANTPD(operand.U8(0), x, m)
	at := a.vec()
	a.shiftRight(48, m, at) // the lowest four bits count
	c := a.lookup("bessellog_inv", inv, at)
	l := a.lookup("bessellog_log", logs, at)
	a.mov(m, r)
	a.VFMSUB213PD_BCST(a.konst(1), c, r)
	series := make([]float64, degree-1) // −1/2 + r/3 − ...
	for k := range series {
		series[k] = math.Copysign(1/float64(k+2), float64(k%2)-0.5)
	}
	p := a.poly(r, series...)
	r2 := a.vec()
	a.mul(r, r, r2)
	a.fmadd213(r, r2, p)
	a.add(l, p, p)
	a.fmaK(a.konst(math.Ln2), e, p)
	return p
}

// lookup is the element of a table of 16 that the low bits of at say.
func (a *asm) lookup(name string, table []uint64, at reg.VecVirtual) reg.VecVirtual {
	lo, v := a.vec(), a.vec()
	a.VMOVUPD(a.table(name+"lo", table[:8]...), lo)
	a.mov(at, v)
	a.VPERMI2PD(a.table(name+"hi", table[8:]...), lo, v)
	return v
}
