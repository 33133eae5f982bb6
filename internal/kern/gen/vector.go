package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An elem is what the vectors hold.
type elem struct {
	suffix string // in names of functions
	goType string
	size   int
}

var (
	float32s = elem{"F32", "float32", 4}
	float64s = elem{"F64", "float64", 8}
)

// lanes is the number of elements in a vector.
func (a *asm) lanes() int { return a.isa.bytes / a.elem.size }

// each writes functions for float32 and float64, for AVX2 and AVX-512.
func (a *asm) each(emit func()) {
	for _, a.elem = range []elem{float32s, float64s} {
		a.both(emit)
	}
}

// Arithmetic on vectors of either type; operands are in Go's order, the
// destination last.

func (a *asm) load(m operand.Mem, v reg.Register) {
	if a.elem.size == 4 {
		a.VMOVUPS(m, v)
	} else {
		a.VMOVUPD(m, v)
	}
}

func (a *asm) store(v reg.Register, m operand.Mem) {
	if a.elem.size == 4 {
		a.VMOVUPS(v, m)
	} else {
		a.VMOVUPD(v, m)
	}
}

// stream stores past the caches; m must be aligned to the vector.
func (a *asm) stream(v reg.Register, m operand.Mem) {
	if a.elem.size == 4 {
		a.VMOVNTPS(v, m)
	} else {
		a.VMOVNTPD(v, m)
	}
}

func (a *asm) broadcast(m operand.Op) reg.VecVirtual {
	if a.elem.size == 4 {
		return a.broadcast32(m)
	}
	return a.broadcast64(m)
}

func (a *asm) add(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VADDPS(x, y, dst)
	} else {
		a.VADDPD(x, y, dst)
	}
}

// sub is dst = y − x.
func (a *asm) sub(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VSUBPS(x, y, dst)
	} else {
		a.VSUBPD(x, y, dst)
	}
}

func (a *asm) mul(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VMULPS(x, y, dst)
	} else {
		a.VMULPD(x, y, dst)
	}
}

// max is dst = max(y, x): x where one of them is NaN.
func (a *asm) max(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VMAXPS(x, y, dst)
	} else {
		a.VMAXPD(x, y, dst)
	}
}

// min is dst = min(y, x): x where one of them is NaN.
func (a *asm) min(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VMINPS(x, y, dst)
	} else {
		a.VMINPD(x, y, dst)
	}
}

// fma is dst += x·y.
func (a *asm) fma(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VFMADD231PS(x, y, dst)
	} else {
		a.VFMADD231PD(x, y, dst)
	}
}

// fnma is dst −= x·y.
func (a *asm) fnma(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VFNMADD231PS(x, y, dst)
	} else {
		a.VFNMADD231PD(x, y, dst)
	}
}

// konst is the address of a constant of the type at hand.
func (a *asm) konst(x float64) operand.Mem {
	if a.elem.size == 4 {
		return a.f32(float32(x))
	}
	return a.f64(x)
}

// mulK is dst = y·x for the constant at x.
func (a *asm) mulK(x operand.Mem, y, dst reg.Register) {
	switch {
	case !a.avx512():
		a.mul(x, y, dst)
	case a.elem.size == 4:
		a.VMULPS_BCST(x, y, dst)
	default:
		a.VMULPD_BCST(x, y, dst)
	}
}

// addK is dst = y + x for the constant at x.
func (a *asm) addK(x operand.Mem, y, dst reg.Register) {
	switch {
	case !a.avx512():
		a.add(x, y, dst)
	case a.elem.size == 4:
		a.VADDPS_BCST(x, y, dst)
	default:
		a.VADDPD_BCST(x, y, dst)
	}
}

// subK is dst = y − x for the constant at x.
func (a *asm) subK(x operand.Mem, y, dst reg.Register) {
	switch {
	case !a.avx512():
		a.sub(x, y, dst)
	case a.elem.size == 4:
		a.VSUBPS_BCST(x, y, dst)
	default:
		a.VSUBPD_BCST(x, y, dst)
	}
}

// fmadd213 is p = p·t + c.
func (a *asm) fmadd213(c operand.Op, t, p reg.Register) {
	if a.elem.size == 4 {
		a.VFMADD213PS(c, t, p)
	} else {
		a.VFMADD213PD(c, t, p)
	}
}

// fmaK is dst += x·y for the constant at x.
func (a *asm) fmaK(x operand.Mem, y, dst reg.Register) {
	switch {
	case !a.avx512():
		a.fma(x, y, dst)
	case a.elem.size == 4:
		a.VFMADD231PS_BCST(x, y, dst)
	default:
		a.VFMADD231PD_BCST(x, y, dst)
	}
}

// fnmaK is dst −= x·y for the constant at x.
func (a *asm) fnmaK(x operand.Mem, y, dst reg.Register) {
	switch {
	case !a.avx512():
		a.fnma(x, y, dst)
	case a.elem.size == 4:
		a.VFNMADD231PS_BCST(x, y, dst)
	default:
		a.VFNMADD231PD_BCST(x, y, dst)
	}
}

// horner is p = p·t + c.
func (a *asm) horner(c float64, t, p reg.Register) {
	m := a.konst(c)
	switch {
	case !a.avx512():
		a.fmadd213(m, t, p)
	case a.elem.size == 4:
		a.VFMADD213PS_BCST(m, t, p)
	default:
		a.VFMADD213PD_BCST(m, t, p)
	}
}

// poly is c[0] + c[1]·t + c[2]·t² + ..., by Horner's rule.
func (a *asm) poly(t reg.Register, c ...float64) reg.VecVirtual {
	p := a.broadcast(a.konst(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		a.horner(c[i], t, p)
	}
	return p
}

// and, or and xor are bitwise; so are integer operations on lanes of the size of
// the type at hand.

func (a *asm) and(x operand.Op, y, dst reg.Register) {
	if a.avx512() {
		a.VPANDQ(x, y, dst)
	} else {
		a.VPAND(x, y, dst)
	}
}

func (a *asm) or(x operand.Op, y, dst reg.Register) {
	if a.avx512() {
		a.VPORQ(x, y, dst)
	} else {
		a.VPOR(x, y, dst)
	}
}

func (a *asm) xor(x operand.Op, y, dst reg.Register) {
	if a.avx512() {
		a.VPXORQ(x, y, dst)
	} else {
		a.VPXOR(x, y, dst)
	}
}

func (a *asm) addInt(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VPADDD(x, y, dst)
	} else {
		a.VPADDQ(x, y, dst)
	}
}

func (a *asm) shiftLeft(n int, x, dst reg.Register) {
	if a.elem.size == 4 {
		a.VPSLLD(operand.U8(n), x, dst)
	} else {
		a.VPSLLQ(operand.U8(n), x, dst)
	}
}

// shiftRight fills with zeros.
func (a *asm) shiftRight(n int, x, dst reg.Register) {
	if a.elem.size == 4 {
		a.VPSRLD(operand.U8(n), x, dst)
	} else {
		a.VPSRLQ(operand.U8(n), x, dst)
	}
}

// div is dst = y / x.
func (a *asm) div(x operand.Op, y, dst reg.Register) {
	if a.elem.size == 4 {
		a.VDIVPS(x, y, dst)
	} else {
		a.VDIVPD(x, y, dst)
	}
}

// round is dst = x rounded to an integer, halves to even.
func (a *asm) round(x, dst reg.Register) {
	switch {
	case a.avx512() && a.elem.size == 4:
		a.VRNDSCALEPS(operand.U8(0), x, dst)
	case a.avx512():
		a.VRNDSCALEPD(operand.U8(0), x, dst)
	case a.elem.size == 4:
		a.VROUNDPS(operand.U8(0), x, dst)
	default:
		a.VROUNDPD(operand.U8(0), x, dst)
	}
}

// Predicates of cmp.
const (
	equal       = 0
	less        = 1
	lessEqual   = 2
	unorderedly = 3
	notLess     = 5 // or unordered
)

// A mask selects lanes: a mask register with AVX-512, else ones in a vector.
type mask struct{ reg.Register }

// cmp is the mask of the lanes where x p y.
func (a *asm) cmp(p int, x reg.Register, y operand.Op) mask {
	if a.avx512() {
		m := mask{a.K()}
		if a.elem.size == 4 {
			a.VCMPPS(operand.U8(p), y, x, m.Register)
		} else {
			a.VCMPPD(operand.U8(p), y, x, m.Register)
		}
		return m
	}
	m := mask{a.vec()}
	if a.elem.size == 4 {
		a.VCMPPS(operand.U8(p), y, x, m.Register)
	} else {
		a.VCMPPD(operand.U8(p), y, x, m.Register)
	}
	return m
}

// any sets r to something else than 0 if m selects a lane.
func (a *asm) any(m mask, r reg.GPVirtual) {
	switch {
	case a.avx512():
		a.KMOVW(m.Register, r)
	case a.elem.size == 4:
		a.VMOVMSKPS(m.Register, r)
	default:
		a.VMOVMSKPD(m.Register, r)
	}
}

// blend is dst = x in the lanes of m.
func (a *asm) blend(m mask, x, dst reg.Register) {
	switch {
	case a.avx512() && a.elem.size == 4:
		a.VMOVAPS(x, m.Register, dst)
	case a.avx512():
		a.VMOVAPD(x, m.Register, dst)
	case a.elem.size == 4:
		a.VBLENDVPS(m.Register, x, dst, dst)
	default:
		a.VBLENDVPD(m.Register, x, dst, dst)
	}
}

// k is a register of copies of a constant.
func (a *asm) k(x float64) reg.VecVirtual { return a.broadcast(a.konst(x)) }

// bits is a register of copies of a pattern of 32 or 64 bits.
func (a *asm) bits(x uint64) reg.VecVirtual {
	if a.elem.size == 4 {
		return a.broadcast32(a.u32(uint32(x)))
	}
	return a.broadcast64(a.u64(x))
}

// mov copies a register.
func (a *asm) mov(x, dst reg.Register) {
	if a.elem.size == 4 {
		a.VMOVAPS(x, dst)
	} else {
		a.VMOVAPD(x, dst)
	}
}
