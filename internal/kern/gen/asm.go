package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An asm writes one family, in one instruction set at a time.
type asm struct {
	*build.Context
	isa
	elem
	consts map[string]bool // those written
}

// An isa is an instruction set with its vectors.
type isa struct {
	name  string // ends the names of functions
	bytes int    // in a vector
}

var (
	avx512 = isa{"AVX512", 64}
	avx2   = isa{"AVX2", 32}
)

func (a *asm) avx512() bool { return a.isa == avx512 }

// both writes functions for AVX2 and for AVX-512.
func (a *asm) both(emit func()) {
	for _, a.isa = range []isa{avx2, avx512} {
		emit()
	}
}

// vec is a fresh vector register.
func (a *asm) vec() reg.VecVirtual {
	if a.avx512() {
		return a.ZMM()
	}
	return a.YMM()
}

// vecs are n fresh vector registers.
func (a *asm) vecs(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = a.vec()
	}
	return v
}

// fn begins a function: name and the instruction set's name, with arguments like
// "(dst, x *float32, n int)".
func (a *asm) fn(name, args string, doc ...string) {
	a.Function(name + a.isa.name)
	a.Attributes(attr.NOSPLIT)
	a.SignatureExpr("func" + args)
	a.Pragma("noescape")
	if len(doc) > 0 {
		doc[0] = name + a.isa.name + " " + doc[0]
		a.Doc(doc...)
	}
}

// ret ends a function.
func (a *asm) ret() {
	a.VZEROUPPER()
	a.RET()
}

// arg loads a pointer or an integer argument.
func (a *asm) arg(name string) reg.GPVirtual {
	r := a.GP64()
	a.Load(a.Param(name), r)
	return r
}

// A constant is stored as one 32-byte vector of copies: AVX2 reads all of it,
// AVX-512 broadcasts its first element.

// f32 is the address of a float32 constant.
func (a *asm) f32(x float32) operand.Mem { return a.u32(math.Float32bits(x)) }

// f64 is the address of a float64 constant.
func (a *asm) f64(x float64) operand.Mem { return a.u64(math.Float64bits(x)) }

func (a *asm) u32(x uint32) operand.Mem {
	return a.constant(fmt.Sprintf("c32_%08x", x), uint64(x)<<32|uint64(x))
}

func (a *asm) u64(x uint64) operand.Mem {
	return a.constant(fmt.Sprintf("c64_%016x", x), x)
}

func (a *asm) constant(name string, v uint64) operand.Mem {
	return a.table(name, v, v, v, v)
}

// table is the address of 64-bit numbers.
func (a *asm) table(name string, x ...uint64) operand.Mem {
	if !a.consts[name] {
		a.consts[name] = true
		a.StaticGlobal(name)
		a.DataAttributes(attr.RODATA | attr.NOPTR)
		for i, v := range x {
			a.AddDatum(8*i, operand.U64(v))
		}
	}
	return operand.NewDataAddr(operand.NewStaticSymbol(name), 0)
}

// broadcast32 is a vector of copies of the 32-bit number at m.
func (a *asm) broadcast32(m operand.Op) reg.VecVirtual {
	v := a.vec()
	a.VBROADCASTSS(m, v)
	return v
}

// broadcast64 is a vector of copies of the 64-bit number at m.
func (a *asm) broadcast64(m operand.Op) reg.VecVirtual {
	v := a.vec()
	a.VBROADCASTSD(m, v)
	return v
}

// zero is a vector of zeros.
func (a *asm) zero() reg.VecVirtual {
	v := a.vec()
	a.clear(v)
	return v
}

func (a *asm) clear(v reg.VecVirtual) {
	if a.avx512() {
		a.VPXORD(v, v, v)
	} else {
		a.VPXOR(v, v, v)
	}
}

// label is a name with a number.
func (a *asm) label(name string, i int) string { return fmt.Sprintf("%s%d", name, i) }
