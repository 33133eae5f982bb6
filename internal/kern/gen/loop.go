package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
	const all = 1<<64 - 1
	window := a.table("tailmask", all, all, all, all, 0, 0, 0, 0)
	window.Disp = 32
	at, off := a.GP64(), a.GP64()
	a.LEAQ(window, at)
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
