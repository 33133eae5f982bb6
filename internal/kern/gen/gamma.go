package main

import (
	"math"
	"math/big"
)

// Here are the constants of Γ, to more digits than are stored.

// gammaConstants are γ and ζ(2), ζ(3), ... to 200 bits.
func gammaConstants(n int) (euler *big.Float, zeta []*big.Float) {
	const prec = 300
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(x) }
	// ζ(s) by Borwein's second algorithm (2000).
	const terms = 120
	d := make([]*big.Float, terms+1)
	term, sum := num(1), num(0)
	for i := range d {
		sum.Add(sum, term)
		d[i] = num(0).Set(sum)
		term.Mul(term, num(float64((terms+i)*(terms-i)*4)))
		term.Quo(term, num(float64((2*i+1)*(2*i+2))))
	}
	zeta = make([]*big.Float, n+1)
	for s := 2; s <= n; s++ {
		z := num(0)
		for k := range terms {
			t := num(0).Sub(d[k], d[terms])
			for range s {
				t.Quo(t, num(float64(k+1)))
			}
			if k%2 == 1 {
				t.Neg(t)
			}
			z.Add(z, t)
		}
		z.Quo(z, d[terms])
		zeta[s] = z.Quo(z, num(0).Sub(num(math.Exp2(float64(1-s))), num(1)))
	}
	// γ = A/B − log n by Brent and McMillan's first algorithm (1980), n = 64.
	ln2, half := num(0), num(1)
	for k := 1; k < prec+10; k++ {
		half.Quo(half, num(2))
		ln2.Add(ln2, num(0).Quo(half, num(float64(k))))
	}
	h, t, p, q := num(0), num(1), num(0), num(1)
	for k := 1; k < 500; k++ {
		t.Mul(t, num(64*64))
		t.Quo(t, num(float64(k*k)))
		h.Add(h, num(0).Quo(num(1), num(float64(k))))
		p.Add(p, num(0).Mul(t, h))
		q.Add(q, t)
	}
	return p.Sub(p.Quo(p, q), ln2.Mul(ln2, num(6))), zeta
}

// logGamma2 are the coefficients of log Γ(2+u)/u: DLMF 5.7.3.
func logGamma2() []float64 {
	euler, zeta := gammaConstants(27)
	one := new(big.Float).SetInt64(1)
	first, _ := new(big.Float).SetPrec(200).Sub(one, euler).Float64()
	c := []float64{first}
	for k := 2; k < len(zeta); k++ {
		t, _ := new(big.Float).SetPrec(200).Sub(zeta[k], one).Float64()
		c = append(c, math.Copysign(t/float64(k), float64(1-2*(k%2))))
	}
	return c
}

// rgamma are the coefficients of 1/Γ(1+z), of even and of odd powers: DLMF 5.7.1.
func rgamma() (even, odd []float64) {
	const n = 22
	euler, zeta := gammaConstants(n)
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	c := []*big.Float{num(0), num(1), euler}
	for k := 3; k <= n; k++ {
		s := num(0).Mul(euler, c[k-1])
		for j := 2; j < k; j++ {
			t := num(0).Mul(zeta[j], c[k-j])
			if j%2 == 0 {
				t.Neg(t)
			}
			s.Add(s, t)
		}
		c = append(c, s.Quo(s, num(float64(k-1))))
	}
	for k := 1; k <= n; k += 2 {
		e, _ := c[k].Float64()
		o, _ := c[k+1].Float64()
		even, odd = append(even, e), append(odd, o)
	}
	return even, odd
}
