package main

import (
	"github.com/mmcloughlin/avo/attr"
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
	case !a.avx512() && a.elem.size == 4:
		a.VFMADD213PS(m, t, p)
	case !a.avx512():
		a.VFMADD213PD(m, t, p)
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

// A tail says which lanes of the last vector are there.
type tail struct {
	k reg.Register   // AVX-512: a mask register
	m reg.VecVirtual // AVX2: all ones in the lanes that are there
}

// tailMask makes a tail of n elements, fewer than a vector has.
func (a *asm) tailMask(n reg.GPVirtual) *tail {
	t := new(tail)
	if a.avx512() {
		bits := a.GP64()
		a.MOVQ(operand.I64(-1), bits)
		a.BZHIQ(n, bits, bits)
		t.k = a.K()
		a.KMOVQ(bits, t.k)
		return t
	}
	// A window on eight words of ones and eight of zeros.
	const name = "tailmask"
	if !a.consts[name] {
		a.consts[name] = true
		a.StaticGlobal(name)
		a.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 8 {
			a.AddDatum(8*i, operand.U64([]uint64{1<<64 - 1, 0}[i/4]))
		}
	}
	at, off := a.GP64(), a.GP64()
	a.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol(name), 32), at)
	a.MOVQ(n, off)
	a.NEGQ(off)
	t.m = a.YMM()
	a.VMOVUPS(operand.Mem{Base: at, Index: off, Scale: uint8(a.elem.size)}, t.m)
	return t
}

// loadTail loads the lanes that are there and zeros.
func (a *asm) loadTail(t *tail, m operand.Mem, v reg.Register) {
	switch {
	case t == nil:
		a.load(m, v)
	case !a.avx512() && a.elem.size == 4:
		a.VMASKMOVPS(m, t.m, v)
	case !a.avx512():
		a.VMASKMOVPD(m, t.m, v)
	case a.elem.size == 4:
		a.VMOVUPS_Z(m, t.k, v)
	default:
		a.VMOVUPD_Z(m, t.k, v)
	}
}

// storeTail stores the lanes that are there.
func (a *asm) storeTail(t *tail, v reg.Register, m operand.Mem) {
	switch {
	case t == nil:
		a.store(v, m)
	case !a.avx512() && a.elem.size == 4:
		a.VMASKMOVPS(v, t.m, m)
	case !a.avx512():
		a.VMASKMOVPD(v, t.m, m)
	case a.elem.size == 4:
		a.VMOVUPS(v, t.k, m)
	default:
		a.VMOVUPD(v, t.k, m)
	}
}

// loop walks over n elements: unroll vectors at a time, then one, then the last
// lanes. It advances i, an offset in bytes, and uses n up. body gets the number
// of vectors and, for the last lanes, which are there.
func (a *asm) loop(id string, n, i reg.GPVirtual, unroll int, body func(vectors int, t *tail)) {
	bytes, lanes := a.isa.bytes, a.lanes()
	for _, u := range []int{unroll, 1} {
		many, next := a.label(id+"by", u), a.label(id+"under", u)
		a.CMPQ(n, operand.I32(u*lanes))
		a.JLT(operand.LabelRef(next))
		a.Label(many)
		body(u, nil)
		a.ADDQ(operand.I32(u*bytes), i)
		a.SUBQ(operand.I32(u*lanes), n)
		a.CMPQ(n, operand.I32(u*lanes))
		a.JGE(operand.LabelRef(many))
		a.Label(next)
		if unroll == 1 {
			break
		}
	}
	done := id + "done"
	a.TESTQ(n, n)
	a.JEQ(operand.LabelRef(done))
	body(1, a.tailMask(n))
	a.Label(done)
}

// at is the address of vector u after base + i.
func (a *asm) at(base, i reg.Register, u int) operand.Mem {
	return operand.Mem{Base: base, Index: i, Scale: 1, Disp: u * a.isa.bytes}
}
