package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	register("normal", func(a *asm) {
		a.elem = float64s
		a.both(a.normal)
	})
}

// Philox's multipliers.
const (
	philoxM0 = 0xd2511f53
	philoxM1 = 0xcd9e8d57
)

// Of t²: sin(πt/4)/t and cos(πt/4) for t from 0 to 1. normal.go of package kern
// has the same.
var (
	sinC = []float64{0x1.921fb54442d18p-01, -0x1.4abbce625be41p-04, 0x1.466bc677587f8p-09, -0x1.32d2cce2e5b19p-15,
		0x1.50782fda12d96p-22, -0x1.e30071afc3e59p-30, 0x1.e3f38399551bfp-38}
	cosC = []float64{0x1p+00, -0x1.3bd3cc9be458bp-02, 0x1.03c1f081b078p-06, -0x1.55d3c7dbfd139p-12,
		0x1.e1f4fb60281f6p-19, -0x1.a6c9c1be9eb49p-26, 0x1.f3dbcea61b1a4p-34}
)

// normal computes one block of Philox 4×32-10 and Box and Muller's two numbers
// of it in every lane, without fused operations: like package kern's Go code, to
// the bit.
func (a *asm) normal() {
	a.fn("normal", "(dst *float64, keys *[20][4]uint64, stream, block uint64, turns int)",
		"writes turns times two numbers a lane; block is the first one's counter.",
		"keys are the two keys of every round, four times each.")
	dst, keys, stream := a.arg("dst"), a.arg("keys"), a.arg("stream")
	block, turns := a.arg("block"), a.arg("turns")
	counter, lanes := a.vec(), a.broadcast64(a.u64(uint64(a.lanes())))
	a.VPBROADCASTQ(a.moved(block), counter)
	a.VPADDQ(a.lanesFrom0(), counter, counter)
	c2, c3 := a.vec(), a.vec()
	a.VPBROADCASTQ(a.moved(stream), c2)
	a.shiftRight(32, c2, c3)
	m0, m1 := a.broadcast64(a.u64(philoxM0)), a.broadcast64(a.u64(philoxM1))
	a.Label("turn")
	w := a.philox(counter, c2, c3, m0, m1, keys)
	r := a.radius(a.word(w[0], w[1]))
	z0, z1 := a.angle(a.word(w[2], w[3]))
	a.mul(r, z0, z0)
	a.mul(r, z1, z1)
	a.storePairs(z0, z1, dst)
	a.VPADDQ(lanes, counter, counter)
	a.ADDQ(operand.I32(2*a.isa.bytes), dst)
	a.DECQ(turns)
	a.JNE(operand.LabelRef("turn"))
	a.ret()
}

// moved is r in the low half of an XMM register.
func (a *asm) moved(r reg.Register) reg.VecVirtual {
	x := a.XMM()
	a.VMOVQ(r, x)
	return x
}

// lanesFrom0 is the address of 0, 1, 2, ...
func (a *asm) lanesFrom0() operand.Mem {
	return a.table("count", 0, 1, 2, 3, 4, 5, 6, 7)
}

// philox gives four words, in the low halves of the lanes.
func (a *asm) philox(counter, c2, c3, m0, m1 reg.VecVirtual, keys reg.Register) (w [4]reg.VecVirtual) {
	w = [4]reg.VecVirtual{counter, a.vec(), c2, c3}
	a.shiftRight(32, counter, w[1])
	for round := range 10 {
		p0, p1 := a.vec(), a.vec()
		a.VPMULUDQ(m0, w[0], p0)
		a.VPMULUDQ(m1, w[2], p1)
		hi0, hi1 := a.vec(), a.vec()
		a.shiftRight(32, p0, hi0)
		a.shiftRight(32, p1, hi1)
		a.xor3(operand.Mem{Base: keys, Disp: 64 * round}, w[1], hi1)
		a.xor3(operand.Mem{Base: keys, Disp: 64*round + 32}, w[3], hi0)
		w = [4]reg.VecVirtual{hi1, p1, hi0, p0}
	}
	return w
}

// xor3 is dst ^= x ^ key.
func (a *asm) xor3(key operand.Mem, x, dst reg.Register) {
	if a.avx512() {
		a.VPTERNLOGQ_BCST(operand.U8(0x96), key, x, dst)
		return
	}
	a.VPXOR(key, dst, dst)
	a.VPXOR(x, dst, dst)
}

// word is 64 bits of two words.
func (a *asm) word(lo, hi reg.VecVirtual) reg.VecVirtual {
	x, y := a.vec(), a.vec()
	a.shiftLeft(32, hi, x)
	a.shiftLeft(32, lo, y)
	a.shiftRight(32, y, y)
	a.or(x, y, y)
	return y
}

// fraction is the upper 52 bits of w, as a number from 1 to 2.
func (a *asm) fraction(w reg.VecVirtual) reg.VecVirtual {
	x := a.vec()
	a.shiftRight(12, w, x)
	a.or(a.k(1), x, x)
	return x
}

// hornerApart is Horner's rule with rounded products.
func (a *asm) hornerApart(t reg.Register, c []float64) reg.VecVirtual {
	p := a.k(c[len(c)-1])
	for i := len(c) - 2; i >= 0; i-- {
		a.mul(t, p, p)
		a.addK(a.konst(c[i]), p, p)
	}
	return p
}

// radius is √(−2 log u), u from 0 (exclusive) to 1.
func (a *asm) radius(w reg.VecVirtual) reg.VecVirtual {
	f := a.layout()
	x := a.fraction(w)
	a.sub(x, a.k(2), x)
	k, g := a.vec(), a.vec()
	a.addInt(a.bits(f.one-f.sqrtHalf), x, x)
	a.shiftRight(f.mantissa, x, k)
	a.and(a.bits(1<<f.mantissa-1), x, x)
	a.addInt(a.bits(f.sqrtHalf), x, x)
	a.subK(a.konst(1), x, g)
	a.or(a.k(0x1p52), k, k)
	a.subK(a.konst(0x1p52+1023), k, k)
	s, z, h := a.vec(), a.vec(), a.vec()
	a.addK(a.konst(2), g, s)
	a.div(s, g, s)
	a.mul(s, s, z)
	r := a.hornerApart(z, f.logC)
	a.mul(z, r, r)
	a.mul(g, g, h)
	a.mulK(a.konst(0.5), h, h)
	// −2·(k·ln2Hi − ((h − (s·(h + r) + k·ln2Lo)) − g))
	lo := a.vec()
	a.add(h, r, r)
	a.mul(s, r, r)
	a.mulK(a.konst(f.ln2Lo), k, lo)
	a.add(lo, r, r)
	a.sub(r, h, h)
	a.sub(g, h, h)
	a.mulK(a.konst(f.ln2Hi), k, k)
	a.sub(k, h, h)
	a.add(h, h, h)
	a.VSQRTPD(h, h)
	return h
}

// angle is cosine and sine of a random angle: of one in the first eighth of the
// circle, exchanged and with signs by the lowest three bits.
func (a *asm) angle(w reg.VecVirtual) (c, s reg.VecVirtual) {
	t, u := a.fraction(w), a.vec()
	a.subK(a.konst(1), t, t)
	a.mul(t, t, u)
	sin, cos := a.hornerApart(u, sinC), a.hornerApart(u, cosC)
	a.mul(t, sin, sin)
	c, s = a.vec(), a.vec()
	a.mov(cos, c)
	a.mov(sin, s)
	swap := a.signBits(63, w)
	a.blend(swap, sin, c)
	a.blend(swap, cos, s)
	sign := a.bits(1 << 63)
	for i, x := range []reg.VecVirtual{c, s} {
		b := a.vec()
		a.shiftLeft(62-i, w, b)
		a.and(sign, b, b)
		a.xor(b, x, x)
	}
	return c, s
}

// signBits is the mask of the lanes whose top bit is set after a shift.
func (a *asm) signBits(shift int, w reg.VecVirtual) mask {
	x := a.vec()
	a.shiftLeft(shift, w, x)
	if !a.avx512() {
		return mask{x}
	}
	k := a.K()
	a.VPMOVQ2M(x, k)
	return mask{k}
}

// storePairs stores x0 y0 x1 y1 ...
func (a *asm) storePairs(x, y reg.VecVirtual, dst reg.Register) {
	if a.avx512() {
		lo, hi := a.vec(), a.vec()
		a.VMOVUPD(a.table("pairslo", 0, 8, 1, 9, 2, 10, 3, 11), lo)
		a.VMOVUPD(a.table("pairshi", 4, 12, 5, 13, 6, 14, 7, 15), hi)
		a.VPERMI2PD(y, x, lo)
		a.VPERMI2PD(y, x, hi)
		a.store(lo, operand.Mem{Base: dst})
		a.store(hi, operand.Mem{Base: dst, Disp: 64})
		return
	}
	lo, hi, p := a.vec(), a.vec(), a.vec()
	a.VUNPCKLPD(y, x, lo) // x0 y0 x2 y2
	a.VUNPCKHPD(y, x, hi) // x1 y1 x3 y3
	a.VPERM2F128(operand.U8(0x20), hi, lo, p)
	a.store(p, operand.Mem{Base: dst})
	a.VPERM2F128(operand.U8(0x31), hi, lo, p)
	a.store(p, operand.Mem{Base: dst, Disp: 32})
}
