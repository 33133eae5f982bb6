package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	register("math", emitMath)
	register("reduce", emitReduce)
}

func emitMath(a *asm) {
	a.each(func() {
		a.elementwise("exp", "is dst[i] = e^x[i] for n elements.", func(x reg.VecVirtual) reg.VecVirtual { return a.exp(x) })
		a.elementwise("log", "is dst[i] = log x[i] for n elements.", func(x reg.VecVirtual) reg.VecVirtual { return a.log(x) })
	})
}

// elementwise writes a function of one array.
func (a *asm) elementwise(name, doc string, f func(reg.VecVirtual) reg.VecVirtual) {
	a.fn(name+a.elem.suffix, fmt.Sprintf("(dst, x *%s, n int)", a.elem.goType), doc)
	dst, x, n := a.arg("dst"), a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	a.loop(name, n, i, 2, func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadTail(t, a.at(x, i, u), v)
			a.storeTail(t, f(v), a.at(dst, i, u))
		}
	})
	a.ret()
}

func emitReduce(a *asm) {
	a.each(func() {
		a.dot()
		a.absSumMax()
	})
}

func (a *asm) dot() {
	a.fn("dot"+a.elem.suffix, fmt.Sprintf("(x, y *%[1]s, n int) %[1]s", a.elem.goType), "is Σ x[i]·y[i] over n elements.")
	x, y, n := a.arg("x"), a.arg("y"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	sum := a.vecs(4)
	for _, s := range sum {
		a.clear(s)
	}
	a.loop("dot", n, i, len(sum), func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadTail(t, a.at(x, i, u), v)
			if t == nil {
				a.fma(a.at(y, i, u), v, sum[u])
				continue
			}
			w := a.vec()
			a.loadTail(t, a.at(y, i, u), w)
			a.fma(v, w, sum[u])
		}
	})
	a.Store(a.fold(sum, a.add), a.ReturnIndex(0))
	a.ret()
}

func (a *asm) absSumMax() {
	a.fn("absSumMax"+a.elem.suffix, fmt.Sprintf("(x *%[1]s, n int) (sum, most %[1]s)", a.elem.goType),
		"is Σ |x[i]| and, if that is not NaN, max |x[i]| over n elements.")
	x, n := a.arg("x"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	sum, most := a.vecs(4), a.vecs(4)
	for u := range sum {
		a.clear(sum[u])
		a.clear(most[u])
	}
	noSign := a.bits(1<<(8*a.elem.size-1) - 1)
	a.loop("abs", n, i, len(sum), func(vectors int, t *tail) {
		for u := range vectors {
			v := a.vec()
			a.loadTail(t, a.at(x, i, u), v)
			a.and(noSign, v, v)
			a.add(v, sum[u], sum[u])
			a.max(v, most[u], most[u])
		}
	})
	a.Store(a.fold(sum, a.add), a.ReturnIndex(0))
	a.Store(a.fold(most, a.max), a.ReturnIndex(1))
	a.ret()
}

// fold combines the lanes of several vectors, a power of two, into the first
// lane of an XMM register.
func (a *asm) fold(v []reg.VecVirtual, op func(x operand.Op, y, dst reg.Register)) reg.Register {
	for len(v) > 1 {
		half := len(v) / 2
		for i := range half {
			op(v[i+half], v[i], v[i])
		}
		v = v[:half]
	}
	low := a.YMM()
	if a.avx512() {
		high := a.YMM()
		a.VEXTRACTF64X4(operand.U8(1), v[0], high)
		op(high, v[0].AsY(), low)
	} else {
		a.mov(v[0], low)
	}
	x, y := a.XMM(), a.XMM()
	a.VEXTRACTF128(operand.U8(1), low, y)
	op(y, low.AsX(), x)
	a.VPERMILPD(operand.U8(1), x, y)
	op(y, x, x)
	if a.elem.size == 4 {
		a.VPERMILPS(operand.U8(1), x, y)
		op(y, x, x)
	}
	return x
}
