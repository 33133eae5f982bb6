package main

import (
	"math"

	"github.com/mmcloughlin/avo/reg"
)

// A layout has what exp and log need to know about a type.
type layout struct {
	mantissa   int     // bits
	bias       float64 // of the exponent
	expLo      float64 // e^x is 0 below
	expHi      float64 // and infinite above
	ln2Hi      float64 // for k·ln 2 without rounding, k an exponent
	ln2Lo      float64
	expC, logC []float64
	sqrtHalf   uint64 // bits of √½, rounded to few digits
	one        uint64
}

var layouts = map[int]layout{
	4: {
		mantissa: 23, bias: 127, expLo: -104, expHi: 89,
		ln2Hi: 6.9313812256e-01, ln2Lo: 9.0580006145e-06,
		// (e^t − 1 − t)/t² interpolated at Chebyshev's points of |t| ≤ ln(2)/2.
		expC: []float64{1, 1, 0x1p-01, 0x1.5554dep-03, 0x1.55551ap-05, 0x1.120b62p-07, 0x1.6d10fcp-10},
		// FreeBSD's e_logf.c: (log(1+f) − 2s)/s over s², s = f/(2+f).
		logC:     []float64{0xaaaaaa.0p-24, 0xccce13.0p-25, 0x91e9ee.0p-25, 0xf89e26.0p-26},
		sqrtHalf: 0x3f3504f3, one: 0x3f800000,
	},
	8: {
		mantissa: 52, bias: 1023, expLo: -746, expHi: 710,
		ln2Hi: 6.93147180369123816490e-01, ln2Lo: 1.90821492927058770002e-10,
		expC: []float64{1, 1, 0x1p-01, 0x1.5555555555555p-03, 0x1.5555555553d68p-05, 0x1.11111111109b5p-07,
			0x1.6c16c17889ef1p-10, 0x1.a01a01a7c2efep-13, 0x1.a019b9149a33bp-16, 0x1.71de0db2f6a8fp-19,
			0x1.28917c89b4f29p-22, 0x1.af389ecfd94c2p-26},
		// fdlibm's e_log.c.
		logC: []float64{6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
			2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01},
		sqrtHalf: 0x3fe6a09e00000000, one: 0x3ff0000000000000,
	},
}

func (a *asm) layout() layout { return layouts[a.elem.size] }

// exp is e^x, within an ulp, for any x. The arithmetic is the same in both
// instruction sets, to the bit.
func (a *asm) exp(x reg.Register) reg.VecVirtual {
	f := a.layout()
	magic := 1.5 * math.Exp2(float64(f.mantissa)) // adding it rounds to an integer
	t := a.vec()
	a.max(x, a.k(f.expLo), t) // NaN stays
	a.min(t, a.k(f.expHi), t)
	n := a.k(magic)
	a.fmaK(a.konst(math.Log2E), t, n)
	a.subK(a.konst(magic), n, n)
	hi, lo := a.ln2()
	a.fnmaK(a.konst(hi), n, t)
	a.fnmaK(a.konst(lo), n, t)
	p := a.poly(t, f.expC...)
	a.scale(p, n)
	return p
}

// ln2 is ln 2 in two numbers of the type: for a product with an FMA.
func (a *asm) ln2() (hi, lo float64) {
	if a.elem.size == 4 {
		hi = float64(float32(math.Ln2))
		return hi, math.Ln2 - hi
	}
	return 0x1.62e42fefa39efp-01, 0x1.abc9e3b39803fp-56
}

// scale is p = p·2^n, rounded once, for p near 1 and an integer n for which
// 2^(n/2) is a normal number.
func (a *asm) scale(p, n reg.Register) {
	f := a.layout()
	switch {
	case a.avx512() && a.elem.size == 4:
		a.VSCALEFPS(n, p, p)
		return
	case a.avx512():
		a.VSCALEFPD(n, p, p)
		return
	}
	// In two exact factors: the low bits of n/2 + magic are its exponent.
	magic := a.konst(1.5*math.Exp2(float64(f.mantissa)) + f.bias)
	half, rest := a.vec(), a.vec()
	a.mul(a.konst(0.5), n, half)
	a.add(magic, half, half)
	a.sub(magic, half, rest)
	a.sub(rest, n, rest)
	a.add(magic, rest, rest)
	for _, h := range []reg.VecVirtual{half, rest} {
		a.shiftLeft(f.mantissa, h, h)
		a.mul(h, p, p)
	}
}

// logNormal is log x, within an ulp, for positive normal x; less is subtracted
// from the binary exponent when it is not nil.
func (a *asm) logNormal(x, less reg.Register) reg.VecVirtual {
	f := a.layout()
	// x = 2^k·(1 + f) with 1 + f between √½ and √2.
	u, k, g := a.vec(), a.vec(), a.vec()
	a.addInt(a.bits(f.one-f.sqrtHalf), x, u)
	a.shiftRight(f.mantissa, u, k)
	a.and(a.bits(1<<f.mantissa-1), u, u)
	a.addInt(a.bits(f.sqrtHalf), u, u)
	a.subK(a.konst(1), u, g)
	magic := math.Exp2(float64(f.mantissa)) // its low bits are an integer
	a.or(a.k(magic), k, k)
	a.subK(a.konst(magic+f.bias), k, k)
	if less != nil {
		a.sub(less, k, k)
	}
	s, z, h := a.vec(), a.vec(), a.vec()
	a.addK(a.konst(2), g, s)
	a.div(s, g, s)
	a.mul(s, s, z)
	r := a.poly(z, f.logC...)
	a.mul(g, g, h)
	a.mulK(a.konst(0.5), h, h)
	// k·ln2Hi − ((h − (s·(h + z·r) + k·ln2Lo)) − f)
	a.fmadd213(h, z, r) // h + z·r
	w := a.vec()
	a.mulK(a.konst(f.ln2Lo), k, w)
	a.fma(r, s, w)
	a.sub(w, h, h)
	a.sub(g, h, h)
	a.mulK(a.konst(f.ln2Hi), k, k) // exact
	a.sub(h, k, k)
	return k
}

// log is log x, within an ulp, for any x.
func (a *asm) log(x reg.Register) reg.VecVirtual {
	f := a.layout()
	smallest := math.Exp2(1 - f.bias)
	up := float64(f.mantissa + 2)
	y, less54, big := a.vec(), a.zero(), a.vec()
	a.mov(x, y)
	small := a.cmp(less, x, a.k(smallest))
	a.mulK(a.konst(math.Exp2(up)), x, big)
	a.blend(small, big, y)
	a.blend(small, a.k(up), less54)
	r := a.logNormal(y, less54)
	special := a.cmp(notLess, x, a.k(math.Inf(1))) // +Inf and NaN stay
	a.blend(special, x, r)
	zero := a.zero()
	a.blend(a.cmp(equal, x, zero), a.k(math.Inf(-1)), r)
	a.blend(a.cmp(less, x, zero), a.k(math.NaN()), r)
	return r
}
