package diffusion

// A Reg is a register of a tape: one state, or one output of the model, for the
// whole batch. It is written once.
type Reg int32

// A Term is C·R.
type Term struct {
	C float64
	R Reg
}

// A Vec is a linear form Σ C·R over registers: what the variables of a method
// are while it is traced. It costs nothing until it is stored or evaluated.
// Registers are distinct, in the order in which they came in; a coefficient that
// comes out as 0 is kept, so that the shape of a tape does not depend on values.
type Vec []Term

// Mul is c·v.
func (v Vec) Mul(c float64) Vec {
	w := make(Vec, len(v))
	for i, t := range v {
		w[i] = Term{c * t.C, t.R}
	}
	return w
}

// Add is v + c·w.
func (v Vec) Add(c float64, w Vec) Vec {
	u := make(Vec, len(v), len(v)+len(w))
	copy(u, v)
next:
	for _, t := range w {
		for i := range v {
			if u[i].R == t.R {
				u[i].C += c * t.C
				continue next
			}
		}
		u = append(u, Term{c * t.C, t.R})
	}
	return u
}

// Sub is v − w.
func (v Vec) Sub(w Vec) Vec { return v.Add(-1, w) }
