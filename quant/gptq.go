package quant

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// GPTQ rounds one input after the other and lets the ones that follow make good
// the error, by the inverse of H = Σ x·xᵀ (Frantar et al. 2023). Groups are blocks:
// a group's scale is found when its turn comes, from weights that have already
// been corrected. The zero value is what MixLLM uses.
type GPTQ struct {
	// Damp is what is added to the diagonal of H, as a part of its mean; 0: 0.01.
	Damp float64
	// InOrder takes groups from left to right instead of those with the strongest
	// inputs first.
	InOrder bool
	// FullRange leaves out the search for clipping ranges.
	FullRange bool
}

// A GPTQReport says what came of it.
type GPTQReport struct {
	Order      []int   // groups in the order of their treatment
	MSE        float64 // of the output, over tokens and rows
	NearestMSE float64 // and by rounding to nearest
	// Singular says that H could not be factorized: the weights were rounded to
	// nearest.
	Singular bool
}

// Quantize quantizes weights.
func (g GPTQ) Quantize(w Dense, in *Inputs, s Spec) (*Matrix, GPTQReport, error) {
	if err := checkWeights(w, s); err != nil {
		return nil, GPTQReport{}, err
	}
	f, err := g.factor(in, w.Cols, s.group())
	if err != nil {
		return nil, GPTQReport{}, err
	}
	m, r := f.quantize(w, s)
	return m, r, nil
}

// gptqFactor is what all rows of a layer share.
type gptqFactor struct {
	GPTQ
	in    *Inputs
	group int
	order []int // groups
	cols  []int // inputs in the same order
	dead  []bool
	u     []float64 // upper triangular with uᵀ·u = H⁻¹, in that order; nil: singular
}

func (g GPTQ) factor(in *Inputs, cols, group int) (*gptqFactor, error) {
	if g.Damp == 0 {
		g.Damp = 0.01
	}
	if !(g.Damp > 0) || math.IsInf(g.Damp, 1) {
		return nil, fmt.Errorf("quant: damp = %g: must be positive and finite", g.Damp)
	}
	if err := in.check(cols); err != nil {
		return nil, err
	}
	f := &gptqFactor{GPTQ: g, in: in, group: group, dead: make([]bool, cols)}
	h := f.hessian()
	var mean float64
	for i := range cols {
		mean += h[i*cols+i] / float64(cols)
	}
	f.sortGroups(h)
	p := mat.NewSymDense(cols, nil)
	for i, a := range f.cols {
		for j := i; j < cols; j++ {
			p.SetSym(i, j, h[a*cols+f.cols[j]])
		}
		p.SetSym(i, i, p.At(i, i)+g.Damp*mean)
	}
	f.u = inverseRoot(p)
	return f, nil
}

// hessian is H: Σ x·xᵀ·2/batches. Inputs that were never active get 1.
func (f *gptqFactor) hessian() []float64 {
	h := slices.Clone(f.in.gram)
	floats.Scale(2/float64(f.in.Batches), h)
	n := f.in.Cols
	for i := range n {
		if h[i*n+i] == 0 {
			h[i*n+i], f.dead[i] = 1, true
		}
	}
	return h
}

// sortGroups fixes the order of groups and inputs.
func (f *gptqFactor) sortGroups(h []float64) {
	n := f.in.Cols
	energy := make([]float64, n/f.group)
	f.order = make([]int, len(energy))
	for k := range f.order {
		f.order[k] = k
		for i := k * f.group; i < (k+1)*f.group; i++ {
			energy[k] += h[i*n+i]
		}
	}
	if !f.InOrder {
		slices.SortStableFunc(f.order, func(a, b int) int { return cmp.Compare(energy[b], energy[a]) })
	}
	for _, k := range f.order {
		for i := range f.group {
			f.cols = append(f.cols, k*f.group+i)
		}
	}
}

// inverseRoot is the upper triangular u with uᵀ·u = h⁻¹, nil if there is none.
func inverseRoot(h *mat.SymDense) []float64 {
	n := h.SymmetricDim()
	var c mat.Cholesky
	if !c.Factorize(h) {
		return nil
	}
	var inv mat.SymDense
	if c.InverseTo(&inv) != nil || !c.Factorize(&inv) {
		return nil
	}
	u := mat.NewTriDense(n, mat.Upper, nil)
	c.UTo(u)
	x := u.RawTriangular().Data
	for i := range n {
		if d := x[i*n+i]; !(d > 0) || math.IsInf(d, 1) {
			return nil
		}
	}
	return x
}

func (f *gptqFactor) quantize(w Dense, s Spec) (*Matrix, GPTQReport) {
	base := nearest(w, s)
	r := GPTQReport{Order: f.order, NearestMSE: f.in.mse(w, base)}
	if f.u == nil {
		r.Singular, r.MSE = true, r.NearestMSE
		return base, r
	}
	m := newMatrix(w.Rows, w.Cols, s)
	each(w.Rows, func(o int) { f.row(m, o, w.Row(o)) })
	if r.MSE = f.in.mse(w, m); math.IsNaN(r.MSE) || math.IsInf(r.MSE, 0) { // corrections grew beyond all bounds
		r.Singular, r.MSE, m = true, r.NearestMSE, base
	}
	return m, r
}

// row quantizes one row. Inputs are in the order of f.cols throughout; codes and
// scales are written to where they belong.
func (f *gptqFactor) row(m *Matrix, o int, w []float64) {
	n, g, s := len(w), f.group, m.Spec
	x, e := make([]float64, n), make([]float64, g)
	for i, c := range f.cols {
		if !f.dead[c] {
			x[i] = w[c]
		}
	}
	for b, k := range f.order {
		from, to := b*g, (b+1)*g
		ratio := 1.0
		if !f.FullRange {
			ratio = float64(f.in.bestClip(x[from:to], k*g, s, e)) / 100
		}
		scale, zero := s.fit(x[from:to], ratio)
		m.Scale[o*m.Groups()+k], m.Zero[o*m.Groups()+k] = scale, uint8(zero)
		for i := from; i < to; i++ {
			u := f.u[i*n : (i+1)*n]
			q := s.code(x[i], scale, zero)
			m.Codes[o*n+f.cols[i]] = uint8(q)
			e[i-from] = (x[i] - float64(q-zero)*scale) / u[i]
			floats.AddScaled(x[i+1:to], -e[i-from], u[i+1:to])
		}
		for i, ei := range e {
			floats.AddScaled(x[to:], -ei, f.u[(from+i)*n+to:(from+i+1)*n])
		}
	}
}
