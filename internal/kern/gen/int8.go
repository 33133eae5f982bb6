package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { register("int8", emitInt8) }

// The offsets of mulArgs in package kern.
const (
	argDst        = 8 * iota // *float32
	argStride                // bytes between tokens of dst
	argCode                  // *uint8
	argSecond                // bytes from a tile's codes to the next one's
	argScale                 // *float32
	argZero                  // *int32
	argSecondZero            // bytes from a tile's scales and zeros to the next one's
	argX                     // *int8
	argXStride               // bytes between tokens of x
	argXScale                // *float32
	argSum                   // *int32
	argSumStride             // bytes between tokens of scales and sums
	argSecondDst             // bytes from a tile's results to the next one's
	argGroups
	argSteps // pairs of 64 bytes of 8-bit codes, or 64 bytes of 4-bit codes
)

// A dotISA is an instruction set with its byte dot product.
type dotISA struct {
	isa    isa
	vnni   bool
	tokens int // most of them at once
}

var dotISAs = []dotISA{
	{avx2, false, 4},
	{avx512, false, 4},
	{avx512, true, 8},
}

func emitInt8(a *asm) {
	for _, d := range dotISAs {
		a.isa = d.isa
		for _, packed := range []bool{true, false} {
			(&intMul{asm: a, dotISA: d, packed: packed}).emit()
		}
	}
	a.elem = float32s
	a.both(a.quantize)
	a.both(a.quantizeWithin)
}

// intMul writes the product of m tokens and two vectors of rows: two tiles with
// vectors of 64 bytes, the halves of one with 32.
type intMul struct {
	*asm
	dotISA dotISA
	packed bool
	m      int

	args, code, second, steps reg.GPVirtual
	x                         []reg.GPVirtual // of tokens 0, 3, 6
	xStride                   reg.GPVirtual
	acc                       [2][2][]reg.VecVirtual // by half, vector, token
	low, one                  operand.Op             // masks of nibbles, ones of 16 bits
}

// emit writes one function with a loop for every number of tokens.
func (k *intMul) emit() {
	name := "mul"
	if k.dotISA.vnni {
		name = "vnni"
	}
	if k.packed {
		name += "Packed"
	} else {
		name += "Bytes"
	}
	k.fn(name, "(args *[15]int, tokens int)", fmt.Sprintf("is the product of two vectors of rows and 1 to %d tokens: args are", k.dotISA.tokens), "a mulArgs.")
	k.args = k.arg("args")
	tokens := k.arg("tokens")
	for m := 1; m < k.dotISA.tokens; m++ {
		k.CMPQ(tokens, operand.U8(m))
		k.JEQ(operand.LabelRef(k.label("tokens", m)))
	}
	for k.m = k.dotISA.tokens; k.m > 0; k.m-- {
		k.Label(k.label("tokens", k.m))
		k.body()
		k.ret()
	}
}

func (k *intMul) body() {
	k.code, k.second, k.xStride, k.x = k.GP64(), k.GP64(), k.GP64(), nil
	k.MOVQ(k.field(argCode), k.code)
	k.MOVQ(k.field(argSecond), k.second)
	k.MOVQ(k.field(argXStride), k.xStride)
	for t := 0; t < k.m; t += 3 {
		r := k.GP64()
		if t == 0 {
			k.MOVQ(k.field(argX), r)
		} else {
			k.LEAQ(operand.Mem{Base: k.x[t/3-1], Index: k.xStride, Scale: 2}, r)
			k.ADDQ(k.xStride, r)
		}
		k.x = append(k.x, r)
	}
	k.clearDst()
	k.constants()
	group, step := k.label("group", k.m), k.label("step", k.m)
	k.Label(group)
	k.steps = k.GP64()
	k.MOVQ(k.field(argSteps), k.steps)
	k.start()
	k.Label(step)
	k.step()
	k.DECQ(k.steps)
	k.JNE(operand.LabelRef(step))
	k.finish()
	k.DECQ(k.field(argGroups))
	k.JNE(operand.LabelRef(group))
}

func (k *intMul) field(offset int) operand.Mem { return operand.Mem{Base: k.args, Disp: offset} }

// token is the address of four codes of a token.
func (k *intMul) token(t, disp int) operand.Mem {
	m := operand.Mem{Base: k.x[t/3], Disp: disp}
	if t%3 > 0 {
		m.Index, m.Scale = k.xStride, uint8(t%3)
	}
	return m
}

// codes is the address of a vector of codes.
func (k *intMul) codes(vector, disp int) operand.Mem {
	switch {
	case vector == 0:
		return operand.Mem{Base: k.code, Disp: disp}
	case k.avx512():
		return operand.Mem{Base: k.code, Index: k.second, Scale: 1, Disp: disp}
	}
	return operand.Mem{Base: k.code, Disp: disp + 32}
}

// rows is the address of 32-bit numbers of a vector's rows, from base on.
func (k *intMul) rows(base reg.Register, vector int, second reg.Register) operand.Mem {
	switch {
	case vector == 0:
		return operand.Mem{Base: base}
	case k.avx512():
		return operand.Mem{Base: base, Index: second, Scale: 1}
	}
	return operand.Mem{Base: base, Disp: 32}
}

// results calls f with the addresses of every token's results.
func (k *intMul) results(f func(t int, dst [2]operand.Mem)) {
	dst, stride, second := k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(k.field(argDst), dst)
	k.MOVQ(k.field(argStride), stride)
	k.MOVQ(k.field(argSecondDst), second)
	for t := range k.m {
		f(t, [2]operand.Mem{k.rows(dst, 0, second), k.rows(dst, 1, second)})
		if t < k.m-1 {
			k.ADDQ(stride, dst)
		}
	}
}

// clearDst starts the sums over groups, which are kept in dst.
func (k *intMul) clearDst() {
	z := k.zero()
	k.results(func(_ int, dst [2]operand.Mem) {
		k.VMOVUPS(z, dst[0])
		k.VMOVUPS(z, dst[1])
	})
}

// split says whether the two halves of a step have sums of their own: few tokens
// make too few sums to hide the latency of a dot product.
func (k *intMul) split() bool { return k.dotISA.vnni && k.m <= 4 }

// start begins a group's sums with −zero·Σx.
func (k *intMul) start() {
	zero, sum, stride, second := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(k.field(argZero), zero)
	k.MOVQ(k.field(argSum), sum)
	k.MOVQ(k.field(argSumStride), stride)
	k.MOVQ(k.field(argSecondZero), second)
	var minus [2]reg.VecVirtual
	for v := range minus {
		minus[v] = k.zero()
		k.VPSUBD(k.rows(zero, v, second), minus[v], minus[v])
		k.acc[0][v], k.acc[1][v] = k.vecs(k.m), nil
		if k.split() {
			k.acc[1][v] = k.vecs(k.m)
		}
	}
	for t := range k.m {
		s := k.vec()
		k.VPBROADCASTD(operand.Mem{Base: sum}, s)
		for v := range minus {
			k.VPMULLD(s, minus[v], k.acc[0][v][t])
			if k.split() {
				k.clear(k.acc[1][v][t])
			}
		}
		if t < k.m-1 {
			k.ADDQ(stride, sum)
		}
	}
	k.ADDQ(operand.U32(64), k.field(argZero))
	k.ADDQ(operand.U8(4), k.field(argSum))
}

// finish converts a group's sums, scales them and adds them to dst.
func (k *intMul) finish() {
	scale, xScale, stride, second := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(k.field(argScale), scale)
	k.MOVQ(k.field(argXScale), xScale)
	k.MOVQ(k.field(argSumStride), stride)
	k.MOVQ(k.field(argSecondZero), second)
	var s [2]reg.VecVirtual
	for v := range s {
		s[v] = k.vec()
		k.VMOVUPS(k.rows(scale, v, second), s[v])
	}
	k.results(func(t int, dst [2]operand.Mem) {
		b := k.broadcast32(operand.Mem{Base: xScale})
		if t < k.m-1 {
			k.ADDQ(stride, xScale)
		}
		for v := range dst {
			acc, f := k.acc[0][v][t], k.vec()
			if k.split() {
				k.VPADDD(k.acc[1][v][t], acc, acc)
			}
			k.VCVTDQ2PS(acc, acc)
			k.VMULPS(s[v], b, f)
			k.VFMADD213PS(dst[v], f, acc)
		}
		// Where there is no second tile, both are the first: store after both loads.
		for v := range dst {
			k.VMOVUPS(k.acc[0][v][t], dst[v])
		}
	})
	k.ADDQ(operand.U32(64), k.field(argScale))
	k.ADDQ(operand.U8(4), k.field(argXScale))
}

// step takes eight inputs.
func (k *intMul) step() {
	switch {
	case k.dotISA.vnni:
		k.stepVNNI()
	case k.packed:
		k.stepPacked()
	default:
		k.stepBytes(0)
		k.stepBytes(1)
	}
	k.ADDQ(operand.U32(k.stepBytesLen()), k.code)
	for _, x := range k.x {
		k.ADDQ(operand.U8(8), x)
	}
}

func (k *intMul) stepBytesLen() int {
	if k.packed {
		return 64
	}
	return 128
}

// unpacked are the codes for the first and the last four inputs of a step, by half
// and vector.
func (k *intMul) unpacked() (c [2][2]reg.VecVirtual) {
	for v := range 2 {
		c[0][v], c[1][v] = k.vec(), k.vec()
		if !k.packed {
			k.loadInt(k.codes(v, 0), c[0][v])
			k.loadInt(k.codes(v, 64), c[1][v])
			continue
		}
		k.loadInt(k.codes(v, 0), c[0][v])
		k.VPSRLW(operand.U8(4), c[0][v], c[1][v])
		k.nibbles(c[0][v])
		k.nibbles(c[1][v])
	}
	return c
}

func (k *intMul) stepVNNI() {
	c := k.unpacked()
	for half := range 2 {
		for t := range k.m {
			x := k.vec()
			k.VPBROADCASTD(k.token(t, 4*half), x)
			for v := range 2 {
				acc := k.acc[0][v][t]
				if k.split() {
					acc = k.acc[half][v][t]
				}
				k.VPDPBUSD(x, c[half][v], acc)
			}
		}
	}
}

// stepPacked: four products of at most 15·127 stay in 16 bits.
func (k *intMul) stepPacked() {
	c := k.unpacked()
	for t := range k.m {
		lo, hi := k.vec(), k.vec()
		k.VPBROADCASTD(k.token(t, 0), lo)
		k.VPBROADCASTD(k.token(t, 4), hi)
		for v := range 2 {
			p, q := k.vec(), k.vec()
			k.VPMADDUBSW(lo, c[0][v], p)
			k.VPMADDUBSW(hi, c[1][v], q)
			k.VPADDW(q, p, p)
			k.VPMADDWD(k.one, p, p)
			k.VPADDD(p, k.acc[0][v][t], k.acc[0][v][t])
		}
	}
}

// stepBytes takes four inputs: products of 255·127 need 32 bits, so bytes are
// widened, those in even and odd places apart.
func (k *intMul) stepBytes(half int) {
	var even, odd [2]reg.VecVirtual
	for v := range 2 {
		even[v], odd[v] = k.vec(), k.vec()
		k.loadInt(k.codes(v, 64*half), even[v])
		k.VPSRLW(operand.U8(8), even[v], odd[v])
		k.VPSLLW(operand.U8(8), even[v], even[v])
		k.VPSRLW(operand.U8(8), even[v], even[v])
	}
	for t := range k.m {
		x, y := k.vec(), k.vec()
		k.VPBROADCASTD(k.token(t, 4*half), x)
		k.VPSRAW(operand.U8(8), x, y)
		k.VPSLLW(operand.U8(8), x, x)
		k.VPSRAW(operand.U8(8), x, x)
		for v := range 2 {
			p := k.vec()
			k.VPMADDWD(x, even[v], p)
			k.VPADDD(p, k.acc[0][v][t], k.acc[0][v][t])
			k.VPMADDWD(y, odd[v], p)
			k.VPADDD(p, k.acc[0][v][t], k.acc[0][v][t])
		}
	}
}

// Operations on integers that have a name for every size of vector.

func (k *intMul) loadInt(m operand.Mem, v reg.Register) {
	if k.avx512() {
		k.VMOVDQU32(m, v)
	} else {
		k.VMOVDQU(m, v)
	}
}

// constants sets low and one: in registers where there are enough.
func (k *intMul) constants() {
	k.low, k.one = k.asm.u32(0x0f0f0f0f), k.asm.u32(0x00010001)
	for _, c := range []*operand.Op{&k.low, &k.one} {
		if k.avx512() {
			v := k.vec()
			k.VPBROADCASTD(*c, v)
			*c = v
		}
	}
}

// nibbles keeps the low four bits of every byte.
func (k *intMul) nibbles(v reg.Register) {
	if k.avx512() {
		k.VPANDD(k.low, v, v)
	} else {
		k.VPAND(k.low, v, v)
	}
}

// quantize rounds x/scale to bytes, in whole vectors.
func (a *asm) quantize() {
	a.fn("quantizeI8", "(dst *int8, x *float32, scale float32, n int) int32",
		"is dst[i] = round(x[i]/scale) for n elements, a multiple of 16, and their sum.")
	same := func(reg.VecVirtual) {}
	a.quantizeLoop(same, same)
}

// quantizeWithin keeps the quotients within a range, and moves the integers.
func (a *asm) quantizeWithin() {
	a.fn("quantizeWithinI8", "(dst *int8, x *float32, scale, lo, hi, shift float32, n int) int32",
		"is dst[i] = round(max(lo, min(x[i]/scale, hi))) + shift for n elements, a multiple of 16, and their sum.")
	lo, hi := a.broadcast32(a.param("lo")), a.broadcast32(a.param("hi"))
	shift := a.broadcast32(a.param("shift"))
	a.VCVTPS2DQ(shift, shift)
	a.quantizeLoop(func(v reg.VecVirtual) {
		a.min(hi, v, v)
		a.max(lo, v, v)
	}, func(v reg.VecVirtual) { a.VPADDD(shift, v, v) })
}

// param is the address of a parameter.
func (a *asm) param(name string) operand.Mem {
	addr, err := a.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return addr.Addr
}

// quantizeLoop is the loop of both, with what they do to quotients and to integers.
func (a *asm) quantizeLoop(quotients, integers func(v reg.VecVirtual)) {
	dst, x, n := a.arg("dst"), a.arg("x"), a.arg("n")
	s, sum := a.broadcast32(a.param("scale")), a.zero()
	a.Label("quantize")
	for at := 0; at < 16; at += a.lanes() {
		v := a.vec()
		a.VMOVUPS(operand.Mem{Base: x, Disp: 4 * at}, v)
		a.VDIVPS(s, v, v)
		quotients(v)
		a.VCVTPS2DQ(v, v)
		integers(v)
		a.VPADDD(v, sum, sum)
		a.narrow(v, operand.Mem{Base: dst, Disp: at})
	}
	a.ADDQ(operand.U8(64), x)
	a.ADDQ(operand.U8(16), dst)
	a.SUBQ(operand.U8(16), n)
	a.JNE(operand.LabelRef("quantize"))
	if a.avx512() {
		half := a.YMM()
		a.VEXTRACTI64X4(operand.U8(1), sum, half)
		a.VPADDD(half, sum.AsY(), sum.AsY())
	}
	half := a.XMM()
	a.VEXTRACTI128(operand.U8(1), sum.AsY(), half)
	a.VPADDD(half, sum.AsX(), sum.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		a.VPSHUFD(operand.U8(order), sum.AsX(), half)
		a.VPADDD(half, sum.AsX(), sum.AsX())
	}
	r := a.GP32()
	a.VMOVD(sum.AsX(), r)
	a.Store(r, a.ReturnIndex(0))
	a.ret()
}

// narrow stores 32-bit integers that fit as bytes.
func (a *asm) narrow(v reg.VecVirtual, m operand.Mem) {
	if a.avx512() {
		a.VPMOVDB(v, m)
		return
	}
	high := a.XMM()
	a.VEXTRACTI128(operand.U8(1), v.AsY(), high)
	a.VPACKSSDW(high, v.AsX(), high)
	a.VPACKSSWB(high, high, high)
	a.VMOVQ(high, m)
}
