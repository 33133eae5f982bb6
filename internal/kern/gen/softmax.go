package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	register("softmax", func(a *asm) {
		a.each(func() {
			a.sumExt()
			a.scaleExt(false)
			a.scaleExt(true)
			a.maxOf()
			a.sumAt(false)
			a.sumAt(true)
			a.storeNear()
			a.shift()
		})
	})
}

// extLowest is where arguments of extExp are cut off: its power of two is below
// any that the kernels' results are used for (2^-2^20).
const extLowest = -1 << 21

// softmaxC are polynomials of e^t for |t| ≤ ln(2)/2: in float32 the paper's, of
// degree 5, in float64 exp's.
func (a *asm) softmaxC() []float64 {
	if a.elem.size == 4 {
		return []float64{1, 0x1.FFFFF6p-1, 0x1.FFFDC6p-2, 0x1.555A80p-3, 0x1.573A1Ap-5, 0x1.0F9F9Cp-7}
	}
	return a.layout().expC
}

// magic rounds to an integer when it is added and subtracted again.
func (a *asm) magic() float64 { return 1.5 * math.Exp2(float64(a.layout().mantissa)) }

// extExp is m and n with e^x = m·2^n, for x not too large: the reduction and
// the polynomial of exp, but the power of two stays apart. NaN gives NaN for
// both.
func (a *asm) extExp(x reg.Register, k *softmaxConsts) (m, n reg.VecVirtual) {
	n = a.vec()
	a.mov(k.magic, n)
	a.fma(k.log2e, x, n)
	a.sub(k.magic, n, n)
	a.fnma(k.ln2Hi, n, x)
	if k.ln2Lo != nil {
		a.fnma(k.ln2Lo, n, x)
	}
	return a.poly(x, a.softmaxC()...), n
}

// softmaxConsts are constants in registers, the last three in memory if there
// are few registers.
type softmaxConsts struct {
	magic, lowest       reg.VecVirtual
	log2e, ln2Hi, ln2Lo operand.Op
}

func (a *asm) softmaxConsts() *softmaxConsts {
	k := &softmaxConsts{magic: a.k(a.magic()), lowest: a.k(extLowest)}
	hi, lo := a.ln2()
	for _, c := range []struct {
		op *operand.Op
		x  float64
	}{{&k.log2e, math.Log2E}, {&k.ln2Hi, hi}, {&k.ln2Lo, lo}} {
		if *c.op = a.konst(c.x); a.avx512() {
			*c.op = a.k(c.x)
		}
	}
	return k
}

// loadOr is a.loadTail with fill in the lanes that are not there.
func (a *asm) loadOr(t *tail, m operand.Mem, fill, v reg.Register) {
	a.loadTail(t, m, v)
	a.fillTail(t, fill, v)
}

// fillTail puts fill into the lanes that are not there.
func (a *asm) fillTail(t *tail, fill, v reg.Register) {
	switch {
	case t == nil:
	case a.avx512() && a.elem.size == 4:
		a.VBLENDMPS(v, fill, t.k, v)
	case a.avx512():
		a.VBLENDMPD(v, fill, t.k, v)
	case a.elem.size == 4:
		a.VBLENDVPS(t.m, v, fill, v)
	default:
		a.VBLENDVPD(t.m, v, fill, v)
	}
}

// loadCut loads numbers and cuts them off below; NaN stays.
func (a *asm) loadCut(t *tail, m operand.Mem, lowest, v reg.Register) {
	if t == nil {
		a.max(m, lowest, v)
		return
	}
	a.loadOr(t, m, lowest, v)
	a.max(v, lowest, v)
}

// pow2 is 2^d for integers d ≤ 0, and 0 where that is not normal: without
// AVX-512. d is used up.
func (a *asm) pow2(d reg.Register) reg.Register {
	f := a.layout()
	a.max(a.konst(-f.bias), d, d)
	a.add(a.konst(a.magic()+f.bias), d, d)
	a.shiftLeft(f.mantissa, d, d)
	return d
}

// An extSum is sums M·2^E, one a lane.
type extSum struct{ m, e reg.VecVirtual }

// addExt adds the numbers m·2^n of some vectors. m and n are used up.
func (a *asm) addExt(s extSum, m, n []reg.VecVirtual) {
	old := a.vec()
	a.mov(s.e, old)
	for _, ni := range n {
		a.max(s.e, ni, s.e) // never NaN: m is enough
	}
	a.sub(s.e, old, old)
	a.scaleDown(s.m, old)
	for i := range m {
		a.sub(s.e, n[i], n[i])
		if a.avx512() {
			a.scaleDown(m[i], n[i])
			a.add(m[i], s.m, s.m)
		} else {
			a.fma(a.pow2(n[i]), m[i], s.m)
		}
	}
}

// scaleDown is m = m·2^d for d ≤ 0.
func (a *asm) scaleDown(m, d reg.Register) {
	switch {
	case !a.avx512():
		a.mul(a.pow2(d), m, m)
	case a.elem.size == 4:
		a.VSCALEFPS(d, m, m)
	default:
		a.VSCALEFPD(d, m, m)
	}
}

// sumExt: every accumulator takes a few vectors a turn, so that it is scaled
// once for all of them.
func (a *asm) sumExt() {
	a.fn("sumExt"+a.elem.suffix, fmt.Sprintf("(x *%[1]s, n int) (m, e %[1]s)", a.elem.goType),
		"is m·2^e = Σ e^x[i] over n elements, if e is from -2^20 to 2^20 and m is",
		"positive and finite; else they are of no use. There must be an element.")
	x, n := a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	k := a.softmaxConsts()
	sums, unroll := make([]extSum, 2), 4
	if a.avx512() {
		unroll = 8
	}
	for j := range sums {
		sums[j] = extSum{a.zero(), a.k(-a.largest())}
	}
	a.loop("ext", n, i, unroll, func(vectors int, t *tail) {
		m, e := make([]reg.VecVirtual, vectors), make([]reg.VecVirtual, vectors)
		for u := range vectors {
			v := a.vec()
			a.loadCut(t, a.at(x, i, u), k.lowest, v)
			m[u], e[u] = a.extExp(v, k)
		}
		if vectors == 1 {
			a.addExt(sums[0], m, e)
			return
		}
		half := vectors / 2
		a.addExt(sums[0], m[:half], e[:half])
		a.addExt(sums[1], m[half:], e[half:])
	})
	most, all := a.vec(), a.vec()
	a.max(sums[1].e, sums[0].e, most)
	first := a.fold([]reg.VecVirtual{most}, a.max)
	a.Store(first, a.ReturnIndex(1))
	a.broadcastLane(first, all)
	for _, s := range sums {
		a.sub(all, s.e, s.e)
		a.scaleDown(s.m, s.e)
	}
	a.Store(a.fold([]reg.VecVirtual{sums[0].m, sums[1].m}, a.add), a.ReturnIndex(0))
	a.ret()
}

// largest is the largest finite number.
func (a *asm) largest() float64 {
	if a.elem.size == 4 {
		return math.MaxFloat32
	}
	return math.MaxFloat64
}

// broadcastLane fills dst with the first lane of x.
func (a *asm) broadcastLane(x, dst reg.Register) {
	if a.elem.size == 4 {
		a.VBROADCASTSS(x, dst)
	} else {
		a.VBROADCASTSD(x, dst)
	}
}

// argVec is a vector of copies of an argument.
func (a *asm) argVec(name string) reg.VecVirtual {
	p, err := a.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return a.broadcast(p.Addr)
}

// storeMaybe stores past the caches if stream is set and the vector whole.
func (a *asm) storeMaybe(stream bool, t *tail, v reg.Register, m operand.Mem) {
	if stream && t == nil {
		a.stream(v, m)
	} else {
		a.storeTail(t, v, m)
	}
}

func streamed(name string, stream bool) string {
	if stream {
		return name + "Stream"
	}
	return name
}

const alignedDst = "dst must be aligned to 64 bytes: the stores bypass the caches."

func (a *asm) scaleExt(stream bool) {
	doc := []string{"is dst[i] = w·2^-e·e^x[i] for n elements."}
	if stream {
		doc = append(doc, alignedDst)
	}
	a.fn(streamed("scaleExt", stream)+a.elem.suffix, fmt.Sprintf("(dst, x *%[1]s, w, e %[1]s, n int)", a.elem.goType), doc...)
	dst, x, n := a.arg("dst"), a.arg("x"), a.arg("n")
	w, e := a.argVec("w"), a.argVec("e")
	i := a.GP64()
	a.XORQ(i, i)
	k := a.softmaxConsts()
	a.loop("ext", n, i, 4, func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadCut(t, a.at(x, i, u), k.lowest, v)
			m, n := a.extExp(v, k)
			a.mul(w, m, m)
			a.sub(e, n, n)
			a.scaleOut(m, n)
			a.storeMaybe(stream, t, m, a.at(dst, i, u))
		}
	})
	a.endStream(stream)
}

// scaleOut is m = m·2^n, for any n, rounded once.
func (a *asm) scaleOut(m, n reg.Register) {
	if !a.avx512() {
		f := a.layout()
		// The second factor of scale has to be a power of two, or 0.
		a.max(a.konst(2*(1-f.bias)), n, n)
	}
	a.scale(m, n)
}

func (a *asm) endStream(stream bool) {
	if stream {
		a.SFENCE()
	}
	a.ret()
}

func (a *asm) maxOf() {
	a.fn("max"+a.elem.suffix, fmt.Sprintf("(x *%[1]s, n int) %[1]s", a.elem.goType), "is the largest of n elements that are not NaN, or -Inf.")
	x, n := a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	least := a.k(math.Inf(-1))
	most := a.vecs(4)
	for _, m := range most {
		a.mov(least, m)
	}
	a.loop("max", n, i, len(most), func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadOr(t, a.at(x, i, u), least, v)
			a.max(most[u], v, most[u])
		}
	})
	a.Store(a.fold(most, a.max), a.ReturnIndex(0))
	a.ret()
}

func (a *asm) sumAt(store bool) {
	name, args, doc := "sumAt", "(x *%[1]s, e %[1]s, n int) %[1]s", []string{"is Σ 2^-e·e^x[i] over n elements; none is larger than 2."}
	if store {
		name, args = "storeAt", "(dst, x *%[1]s, e %[1]s, n int) %[1]s"
		doc = []string{"is dst[i] = 2^-e·e^x[i] for n elements and gives their sum; none is", "larger than 2."}
	}
	a.fn(name+a.elem.suffix, fmt.Sprintf(args, a.elem.goType), doc...)
	var dst reg.Register
	if store {
		dst = a.arg("dst")
	}
	x, n, e := a.arg("x"), a.arg("n"), a.argVec("e")
	i := a.GP64()
	a.XORQ(i, i)
	k := a.softmaxConsts()
	sums := []reg.VecVirtual{a.zero(), a.zero(), a.zero(), a.zero()}
	a.loop("exp", n, i, len(sums), func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadCut(t, a.at(x, i, u), k.lowest, v)
			m, n := a.extExp(v, k)
			a.sub(e, n, n)
			if !store && !a.avx512() {
				a.fma(a.pow2(n), m, sums[u])
				continue
			}
			a.scaleOut(m, n)
			a.add(m, sums[u], sums[u])
			if store {
				a.storeTail(t, m, a.at(dst, i, u))
			}
		}
	})
	a.Store(a.fold(sums, a.add), a.ReturnIndex(0))
	a.ret()
}

// storeNear is storeAt without an exponent and, in float32, without the second
// step of the reduction, which counts for large numbers.
func (a *asm) storeNear() {
	a.fn("storeNear"+a.elem.suffix, fmt.Sprintf("(dst, x *%[1]s, n int) %[1]s", a.elem.goType),
		"is dst[i] = e^x[i] for n elements, none larger than 64, and gives their sum.")
	dst, x, n := a.arg("dst"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	k := a.softmaxConsts()
	if a.elem.size == 4 {
		k.ln2Lo = nil
	}
	k.lowest = a.k(1.2 * a.layout().expLo)
	sums := []reg.VecVirtual{a.zero(), a.zero(), a.zero(), a.zero()}
	a.loop("exp", n, i, len(sums), func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadCut(t, a.at(x, i, u), k.lowest, v)
			m, n := a.extExp(v, k)
			a.scale(m, n)
			a.add(m, sums[u], sums[u])
			a.storeTail(t, m, a.at(dst, i, u))
		}
	})
	a.Store(a.fold(sums, a.add), a.ReturnIndex(0))
	a.ret()
}

func (a *asm) shift() {
	a.fn("shift"+a.elem.suffix, fmt.Sprintf("(dst, x *%[1]s, hi, lo %[1]s, n int)", a.elem.goType), "is dst[i] = (x[i]-hi)-lo for n elements.")
	dst, x, n := a.arg("dst"), a.arg("x"), a.arg("n")
	hi, lo := a.argVec("hi"), a.argVec("lo")
	i := a.GP64()
	a.XORQ(i, i)
	a.loop("shift", n, i, 4, func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadTail(t, a.at(x, i, u), v)
			a.sub(hi, v, v)
			a.sub(lo, v, v)
			a.storeTail(t, v, a.at(dst, i, u))
		}
	})
	a.ret()
}
