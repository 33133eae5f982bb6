package diffusion

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// latticeComb is comb for a state that is kept on multiples of the tape's lattice. A
// first term with the factor 1 is a state already there: only what is added to it
// is rounded, so that the sum is exact and the same increment taken away again gives
// the term back, bit by bit.
func (x *executor[T]) latticeComb(dst []T, in *Instr) error {
	rest, carry := in.Terms, []T(nil)
	if rest[0].C == 1 {
		rest, carry = rest[1:], x.reg(rest[0].R)
	}
	sum := make([]T, len(dst))
	if len(rest) > 0 {
		x.cs, x.xs = x.cs[:0], x.xs[:0]
		for _, t := range rest {
			x.cs, x.xs = append(x.cs, T(t.C)), append(x.xs, x.reg(t.R))
		}
		kern.Comb(sum, x.cs, x.xs)
	}
	q := x.tp.lattice
	limit := q / (2 * Unit[T]()) // beyond it a multiple of q has no bits left
	for i, v := range sum {
		s := q * math.RoundToEven(float64(v)/q)
		if carry != nil {
			s += float64(carry[i])
		}
		if !(math.Abs(s) < limit) {
			return fmt.Errorf("diffusion: a state of %g does not fit a lattice of %g: want less than %g", s, q, limit)
		}
		dst[i] = T(s)
	}
	return nil
}

// toLattice puts an input on the lattice.
func (x *executor[T]) toLattice(v []T) {
	for i, f := range v {
		v[i] = T(x.tp.lattice * math.RoundToEven(float64(f)/x.tp.lattice))
	}
}

// states says which registers hold states.
func (tp *Tape) states() []bool {
	is := make([]bool, tp.regs)
	for _, r := range tp.Inputs {
		is[r] = true
	}
	for _, m := range tp.Marks {
		is[m.X] = true
	}
	return is
}

// Unit is the rounding unit: half the distance from 1 to the next number.
func Unit[T Float]() float64 {
	one := T(1)
	u := 1.0
	for one+T(u) != one {
		u /= 2
	}
	return u
}
