package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { register("comb", emitComb) }

const maxTerms = 8

func emitComb(a *asm) {
	a.each(func() {
		a.comb()
		a.combCols()
		a.axpy()
		a.finite()
	})
}

// comb: one loop for every number of terms.
func (a *asm) comb() {
	a.fn("comb"+a.elem.suffix, fmt.Sprintf("(dst *%[1]s, c *%[1]s, x *[]%[1]s, terms, off, n int)", a.elem.goType),
		"is dst[i] = Σ c[j]·x[j][off+i] for n elements and 1 to 8 terms.")
	dst, c, x := a.arg("dst"), a.arg("c"), a.arg("x")
	terms, off, n := a.arg("terms"), a.arg("off"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	a.SHLQ(operand.U8([]int{4: 2, 8: 3}[a.elem.size]), off)
	for k := 1; k < maxTerms; k++ {
		a.CMPQ(terms, operand.U8(k))
		a.JEQ(operand.LabelRef(a.label("terms", k)))
	}
	for k := maxTerms; k >= 1; k-- {
		a.Label(a.label("terms", k))
		base := make([]reg.GPVirtual, k)
		coef := make([]reg.VecVirtual, k)
		for j := range base {
			base[j] = a.GP64()
			a.MOVQ(operand.Mem{Base: x, Disp: 24 * j}, base[j])
			a.ADDQ(off, base[j])
			coef[j] = a.broadcast(operand.Mem{Base: c, Disp: a.elem.size * j})
		}
		a.loop(a.label("k", k), n, i, 4, func(vectors int, t *tail) {
			acc := a.vecs(vectors)
			if t != nil {
				v := a.vec()
				for j := range base {
					a.loadTail(t, a.at(base[j], i, 0), v)
					if j == 0 {
						a.mul(v, coef[0], acc[0])
					} else {
						a.fma(v, coef[j], acc[0])
					}
				}
				a.storeTail(t, acc[0], a.at(dst, i, 0))
				return
			}
			for j := range base {
				for u, v := range acc {
					if j == 0 {
						a.mul(a.at(base[0], i, u), coef[0], v)
					} else {
						a.fma(a.at(base[j], i, u), coef[j], v)
					}
				}
			}
			for u, v := range acc {
				a.store(v, a.at(dst, i, u))
			}
		})
		a.ret()
	}
}

// combCols keeps the arrays' addresses in memory: there are too many.
func (a *asm) combCols() {
	a.fn("combCols"+a.elem.suffix, fmt.Sprintf("(dst *%[1]s, c, x *[]%[1]s, terms, off, n int)", a.elem.goType),
		"is dst[i] = Σ c[j][i]·x[j][off+i] for n elements.")
	dst, c, x := a.arg("dst"), a.arg("c"), a.arg("x")
	terms, off, n := a.arg("terms"), a.arg("off"), a.arg("n")
	i := a.GP64()
	a.XORQ(i, i)
	a.SHLQ(operand.U8([]int{4: 2, 8: 3}[a.elem.size]), off)
	a.LEAQ(operand.Mem{Base: terms, Index: terms, Scale: 2}, terms) // a slice is three words
	a.SHLQ(operand.U8(3), terms)
	term := 0
	a.loop("cols", n, i, 4, func(vectors int, t *tail) {
		term++
		acc := a.vecs(vectors)
		for _, v := range acc {
			a.clear(v)
		}
		j, cj, xj := a.GP64(), a.GP64(), a.GP64()
		v, w := a.vec(), a.vec()
		a.XORQ(j, j)
		a.Label(a.label("term", term))
		a.MOVQ(operand.Mem{Base: c, Index: j, Scale: 1}, cj)
		a.MOVQ(operand.Mem{Base: x, Index: j, Scale: 1}, xj)
		a.ADDQ(off, xj)
		for u := range acc {
			a.loadTail(t, a.at(cj, i, u), v)
			if t != nil {
				a.loadTail(t, a.at(xj, i, u), w)
				a.fma(w, v, acc[u])
			} else {
				a.fma(a.at(xj, i, u), v, acc[u])
			}
		}
		a.ADDQ(operand.U8(24), j)
		a.CMPQ(j, terms)
		a.JLT(operand.LabelRef(a.label("term", term)))
		for u := range acc {
			a.storeTail(t, acc[u], a.at(dst, i, u))
		}
	})
	a.ret()
}

func (a *asm) axpy() {
	a.fn("axpy"+a.elem.suffix, fmt.Sprintf("(y, x *%[1]s, c %[1]s, n int)", a.elem.goType), "is y[i] += c·x[i] for n elements.")
	y, x, n := a.arg("y"), a.arg("x"), a.arg("n")
	addr, err := a.Param("c").Resolve()
	if err != nil {
		panic(err)
	}
	c := a.broadcast(addr.Addr)
	i := a.GP64()
	a.XORQ(i, i)
	a.loop("axpy", n, i, 4, func(vectors int, t *tail) {
		acc := a.vecs(vectors)
		for u, v := range acc {
			a.loadTail(t, a.at(y, i, u), v)
		}
		for u, v := range acc {
			if t == nil {
				a.fma(a.at(x, i, u), c, v)
				continue
			}
			w := a.vec()
			a.loadTail(t, a.at(x, i, u), w)
			a.fma(w, c, v)
		}
		for u, v := range acc {
			a.storeTail(t, v, a.at(y, i, u))
		}
	})
	a.ret()
}

// finite: v − v is 0 unless v is infinite or NaN, and NaN then.
func (a *asm) finite() {
	a.fn("finite"+a.elem.suffix, fmt.Sprintf("(x *%s, n int) int", a.elem.goType),
		"counts elements of x that are finite, from the first, in whole steps of",
		"eight vectors: at the end there may be more.")
	x, n := a.arg("x"), a.arg("n")
	count, i := a.GP64(), a.GP64()
	a.XORQ(count, count)
	a.XORQ(i, i)
	const unroll = 8
	step := operand.I32(unroll * a.lanes())
	a.Label("step")
	a.CMPQ(n, step)
	a.JLT(operand.LabelRef("done"))
	sum := a.vecs(2)
	for u := range unroll {
		v := a.vec()
		a.load(a.at(x, i, u), v)
		if u < 2 {
			a.sub(v, v, sum[u])
		} else {
			a.sub(v, v, v)
			a.add(v, sum[u%2], sum[u%2])
		}
	}
	a.add(sum[0], sum[1], sum[0])
	bad := a.GP32()
	a.any(a.cmp(unorderedly, sum[0], sum[0]), bad)
	a.TESTL(bad, bad)
	a.JNE(operand.LabelRef("done"))
	a.ADDQ(operand.I32(unroll*a.isa.bytes), i)
	a.ADDQ(step, count)
	a.SUBQ(step, n)
	a.JMP(operand.LabelRef("step"))
	a.Label("done")
	a.Store(count, a.ReturnIndex(0))
	a.ret()
}
