package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Here is what sorts arguments by region, with AVX-512 only.

// besselRange writes the box that arguments are in.
func (a *asm) besselRange() {
	a.fn("besselRange", "(v, x *float64, n int) (vLo, vHi, xLo, xHi, bad float64)",
		"gives the least and the greatest of n elements of v and of x; bad is", "not 0 if one of them is infinite or NaN.")
	vs, xs, n := a.arg("v"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	lo, hi, bad, zero := a.vecs(2), a.vecs(2), a.vecs(2), a.zero()
	for k := range lo {
		lo[k], hi[k] = a.k(math.Inf(1)), a.k(math.Inf(-1))
		a.clear(bad[k])
	}
	a.loop("range", n, i, 1, func(_ int, t *tail) {
		for k, base := range []reg.GPVirtual{vs, xs} {
			y := a.vec()
			a.loadTail(t, a.at(base, i, 0), y)
			a.fma(y, zero, bad[k])
			if t == nil {
				a.min(y, lo[k], lo[k])
				a.max(y, hi[k], hi[k])
			} else {
				a.VMINPD(y, lo[k], t.k, lo[k])
				a.VMAXPD(y, hi[k], t.k, hi[k])
			}
		}
	})
	a.add(bad[1], bad[0], bad[0])
	for k, v := range []reg.VecVirtual{lo[0], hi[0], lo[1], hi[1], bad[0]} {
		op := a.min
		switch {
		case k == 4:
			op = a.add
		case k%2 == 1:
			op = a.max
		}
		a.Store(a.fold([]reg.VecVirtual{v}, op), a.ReturnIndex(k))
	}
	a.ret()
}

// besselSplit writes which lanes are of which region: package kern has the table.
func (a *asm) besselSplit() {
	a.fn("besselSplit", "(masks *byte, v, x *float64, n, stride int)",
		"sets a bit for each of n elements in the mask of its region, of", "which there are 11 at that stride.")
	masks, vs, xs, n, stride := a.arg("masks"), a.arg("v"), a.arg("x"), a.arg("n"), a.arg("stride")
	i := a.GP64()
	a.XORQ(i, i)
	a.loop("split", n, i, 1, func(_ int, t *tail) {
		v, x := a.vec(), a.vec()
		a.loadTail(t, a.at(vs, i, 0), v)
		a.loadTail(t, a.at(xs, i, 0), x)
		at := a.GP64()
		a.MOVQ(masks, at)
		put := func(k reg.Register) {
			a.KMOVB(k, operand.Mem{Base: at})
			a.ADDQ(stride, at)
		}
		under := func(v reg.VecVirtual, limit float64, p int, in reg.Register) reg.Register {
			k := a.K()
			a.VCMPPD_BCST(operand.U8(p), a.konst(limit), v, in, k)
			return k
		}
		without := func(k, part reg.Register) reg.Register { // part is within k
			r := a.K()
			a.KXORB(part, k, r)
			return r
		}
		all := reg.Register(a.K())
		if t != nil {
			all = t.k
		} else {
			ones := a.GP32()
			a.MOVL(operand.U32(0xff), ones)
			a.KMOVW(ones, all)
		}
		in := under(v, 0, greaterEqual, all)
		in = under(v, 1e100, less, in)
		in = under(x, 1e-100, greaterEqual, in)
		in = under(x, 1e100, less, in)
		other := without(all, in)

		series := under(v, 20, less, under(x, 30, lessEqual, in))
		rest := without(in, series)
		low := under(v, 12.6964, less, rest)
		rest = without(rest, low)
		for _, d := range []struct{ v, x float64 }{{200, 275}, {70, 110}, {28, 36}} {
			nearer := under(x, d.x, lessEqual, under(v, d.v, lessEqual, rest))
			put(without(rest, nearer))
			rest = nearer
		}
		put(rest)
		few := under(v, 3.05, less, under(x, 1400, greater, low))
		put(few)
		put(without(low, few))
		for _, limit := range []float64{1. / 16, 1, 8} {
			part := under(x, limit, lessEqual, series)
			put(part)
			series = without(series, part)
		}
		put(series)
		put(other)
		a.INCQ(masks)
	})
	a.ret()
}

// compress writes what takes the elements of a mask.
func (a *asm) compress() {
	a.fn("compress2", "(a, b, x, y *float64, mask *byte, n int) int",
		"packs those of n elements of x into a, and of y into b, that the mask", "has, and says how many. Up to 7 elements more are written.")
	da, db, xs, ys, mask, n := a.arg("a"), a.arg("b"), a.arg("x"), a.arg("y"), a.arg("mask"), a.arg("n")
	count, bits := a.GP64(), a.GP64()
	a.XORQ(count, count)
	a.maskLoop("compress", mask, n, bits, func(k reg.Register) {
		for _, pair := range [][2]reg.GPVirtual{{xs, da}, {ys, db}} {
			v := a.vec()
			a.VMOVUPD_Z(operand.Mem{Base: pair[0]}, k, v)
			a.VCOMPRESSPD_Z(v, k, v)
			a.VMOVUPD(v, operand.Mem{Base: pair[1], Index: count, Scale: 8})
			a.ADDQ(operand.I8(64), pair[0])
		}
		a.POPCNTQ(bits, bits)
		a.ADDQ(bits, count)
	})
	a.Store(count, a.ReturnIndex(0))
	a.ret()
}

// expand writes compress's inverse.
func (a *asm) expand() {
	a.fn("expand", "(dst, x *float64, mask *byte, n int)", "puts the elements of x to those of n places in dst that the mask has.")
	dst, xs, mask, n := a.arg("dst"), a.arg("x"), a.arg("mask"), a.arg("n")
	bits := a.GP64()
	a.maskLoop("expand", mask, n, bits, func(k reg.Register) {
		v := a.vec()
		a.VEXPANDPD_Z(operand.Mem{Base: xs}, k, v)
		a.VMOVUPD(v, k, operand.Mem{Base: dst})
		a.POPCNTQ(bits, bits)
		a.LEAQ(operand.Mem{Base: xs, Index: bits, Scale: 8}, xs)
		a.ADDQ(operand.I8(64), dst)
	})
	a.ret()
}

// maskLoop walks over the bytes of a mask of n bits, each also in bits.
func (a *asm) maskLoop(id string, mask, n, bits reg.GPVirtual, body func(k reg.Register)) {
	top, done := id+"top", id+"end"
	a.TESTQ(n, n)
	a.JLE(operand.LabelRef(done))
	a.Label(top)
	a.MOVBQZX(operand.Mem{Base: mask}, bits)
	k := a.K()
	a.KMOVW(bits.As32(), k)
	body(k)
	a.INCQ(mask)
	a.SUBQ(operand.I8(8), n)
	a.JGT(operand.LabelRef(top))
	a.Label(done)
}
