package diffusion

import (
	"fmt"
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/mat"
)

// Stability is the linear stability of a sampler on the test equation
//
//	dy/dρ = λ·y,   y = x/α, ρ = σ/α,   z = λ·Δρ,
//
// which stands for a model whose noise prediction is λ·x/α. In a steady step, the
// registers of the tape that are live at the step's end are a matrix M(z), its
// companion matrix, times those live before. The sampler is stable at z where no
// eigenvalue of M(z) is larger than 1.
//
// Nothing is known of the method but its tape: any linear sampler has one. On a grid
// even in ρ, λ is a number; on one even in log ρ, where the steps change, λ is
// proportional to 1/ρ, so that z is the same in every step. [StabilityOf] finds out
// on which of them a method is steady.
type Stability struct {
	tape   *Tape
	step   int     // the steady one
	grid   rhoGrid // where evaluations stand
	growth float64 // of y over x in the step
	in     []Reg
	out    []Reg
}

// steadyTolerance is how far apart the matrices of equal steps may be, relative to
// their largest entry: what is left of 16 digits after the algebra of schedules.
const steadyTolerance = 1e-8

// steadyRun is how many steps in a row must be equal.
const steadyRun = 3

// NewStability finds the steady step of a tape: one of the longest series of equal
// steps. Steps are compared in the registers' own units, so it needs a schedule on
// which those do not change, with α constant or σ constant.
func NewStability(tp *Tape) (*Stability, error) {
	switch {
	case tp.width > 0:
		return nil, fmt.Errorf("diffusion: stability of a stacked tape: must be one tape")
	case tp.has(OpDraw):
		return nil, fmt.Errorf("diffusion: stability of a stochastic tape: must draw no noise")
	case tp.has(OpHook):
		return nil, fmt.Errorf("diffusion: stability of a tape with a hook on the data prediction: must be linear")
	}
	for i := range tp.Code {
		if tp.Code[i].Op == OpEval && tp.Code[i].Part != WholeModel {
			return nil, fmt.Errorf("diffusion: stability of a tape that splits its model: the test equation has no parts")
		}
	}
	probe := complex(-0.31, 0.17) // any number at which no coefficient can hide
	var best, before *Stability
	var last *mat.CDense
	length, longest := 0, 0
	for k := range tp.Steps() {
		s := stabilityAt(tp, k)
		var m *mat.CDense
		if s != nil {
			m = s.companion(probe)
		}
		if before != nil && s != nil && alike(last, m) {
			length++
		} else {
			length = 1
		}
		if s != nil && length > longest {
			best, longest = s, length
		}
		before, last = s, m
	}
	if longest < steadyRun {
		return nil, fmt.Errorf("diffusion: the tape has no steady step: want %d equal ones in a row, on a grid even in ρ = σ/α or in log ρ, with α or σ constant", steadyRun)
	}
	return best, nil
}

// stabilityAt is step k as the steady one; nil where the grid is not even.
func stabilityAt(tp *Tape, k int) *Stability {
	if k == 0 {
		return nil // a first step starts with other registers
	}
	s := &Stability{tape: tp, step: k, in: tp.live(tp.Marks[k-1].PC), out: tp.live(tp.Marks[k].PC)}
	from, to := tp.Marks[k-1].Level, tp.Marks[k].Level
	start := tp.startLevel()
	if k > 1 {
		start = tp.Marks[k-2].Level
	}
	var ok bool
	if s.grid, ok = evenGrid(start, from, to); !ok || len(s.in) != len(s.out) || from.Alpha == 0 || to.Alpha == 0 {
		return nil
	}
	s.growth = from.Alpha / to.Alpha
	return s
}

// startLevel is the level of the start state: that of the first evaluation.
func (tp *Tape) startLevel() Level {
	for i := range tp.Code {
		if tp.Code[i].Op == OpEval {
			return tp.Code[i].Level
		}
	}
	return Level{}
}

// A rhoGrid is the step Δρ as a function of ρ: constant, or a ratio of it.
type rhoGrid struct{ step, ratio float64 }

func (g rhoGrid) stepAt(rho float64) float64 {
	if g.step != 0 {
		return g.step
	}
	return g.ratio * rho
}

// evenGrid says whether three levels are even in ρ or in log ρ.
func evenGrid(a, b, c Level) (rhoGrid, bool) {
	const tolerance = 1e-9
	ra, rb, rc := a.Sigma/a.Alpha, b.Sigma/b.Alpha, c.Sigma/c.Alpha
	h, before := rc-rb, rb-ra
	if h == 0 || rb == 0 || ra == 0 {
		return rhoGrid{}, false
	}
	if math.Abs(h-before) <= tolerance*math.Abs(h) {
		return rhoGrid{step: h}, true
	}
	if r := rc/rb - 1; rc != 0 && math.Abs(r-(rb/ra-1)) <= tolerance*math.Abs(r) {
		return rhoGrid{ratio: r}, true
	}
	return rhoGrid{}, false
}

func alike(a, b *mat.CDense) bool {
	if a == nil || b == nil {
		return false
	}
	n, m := a.Dims()
	if p, q := b.Dims(); p != n || q != m {
		return false
	}
	var largest, apart float64
	for i := range n {
		for j := range m {
			largest = max(largest, cmplx.Abs(b.At(i, j)))
			apart = max(apart, cmplx.Abs(a.At(i, j)-b.At(i, j)))
		}
	}
	return apart <= steadyTolerance*largest
}

// Companion is the matrix M(z) of the steady step in units of y. Its order is that in
// which the tape's registers were written.
func (s *Stability) Companion(z complex128) (*mat.CDense, error) {
	if cmplx.IsNaN(z) || cmplx.IsInf(z) {
		return nil, fmt.Errorf("diffusion: stability at z = %g: must be finite", z)
	}
	return s.companion(z), nil
}

// companion runs the step on every unit vector.
func (s *Stability) companion(z complex128) *mat.CDense {
	n := len(s.in)
	m := mat.NewCDense(n, n, nil)
	regs := make([]complex128, s.tape.regs)
	code := s.tape.Code[s.tape.Marks[s.step-1].PC:s.tape.Marks[s.step].PC]
	for j := range n {
		clear(regs)
		regs[s.in[j]] = 1
		for i := range code {
			in := &code[i]
			if in.Op == OpEval {
				regs[in.Dst] = s.model(z, in.Level) * regs[in.Src]
				continue
			}
			var sum complex128
			for _, t := range in.Terms {
				sum += complex(t.C, 0) * regs[t.R]
			}
			regs[in.Dst] = sum
		}
		for i, r := range s.out {
			m.Set(i, j, complex(s.growth, 0)*regs[r])
		}
	}
	return m
}

// model is the factor of the test equation's model: ε = λ·x/α, in the prediction that
// the tape was traced for.
func (s *Stability) model(z complex128, at Level) complex128 {
	a, sigma := complex(at.Alpha, 0), complex(at.Sigma, 0)
	noise := z / complex(s.grid.stepAt(at.Sigma/at.Alpha), 0) / a
	data := (1 - sigma*noise) / a
	switch s.tape.Predicts {
	case Data:
		return data
	case Velocity:
		return a*noise - sigma*data
	case Score:
		return -noise / sigma
	}
	return noise
}

// Radius is the largest absolute value of M(z)'s eigenvalues: stable where it is at
// most 1.
func (s *Stability) Radius(z complex128) (float64, error) {
	m, err := s.Companion(z)
	if err != nil {
		return 0, err
	}
	return spectralRadius(m)
}

// spectralRadius takes the eigenvalues of A + iB as those of the real matrix
// (A −B; B A), which has them and their conjugates.
func spectralRadius(m *mat.CDense) (float64, error) {
	n, _ := m.Dims()
	if n == 1 {
		return cmplx.Abs(m.At(0, 0)), nil
	}
	real2 := mat.NewDense(2*n, 2*n, nil)
	for i := range n {
		for j := range n {
			c := m.At(i, j)
			real2.Set(i, j, real(c))
			real2.Set(n+i, n+j, real(c))
			real2.Set(i, n+j, -imag(c))
			real2.Set(n+i, j, imag(c))
		}
	}
	var e mat.Eigen
	if !e.Factorize(real2, mat.EigenNone) {
		return 0, fmt.Errorf("diffusion: the eigenvalues of a companion matrix of order %d were not found", n)
	}
	var r float64
	for _, v := range e.Values(nil) {
		r = max(r, cmplx.Abs(v))
	}
	return r, nil
}

// Companion is the companion matrix of the tape's steady step at z = λ·Δρ. See
// [Stability], which to ask at many z is faster.
func (tp *Tape) Companion(z complex128) (*mat.CDense, error) {
	s, err := NewStability(tp)
	if err != nil {
		return nil, err
	}
	return s.Companion(z)
}

// StabilityRadius is the spectral radius of Companion.
func (tp *Tape) StabilityRadius(z complex128) (float64, error) {
	s, err := NewStability(tp)
	if err != nil {
		return 0, err
	}
	return s.Radius(z)
}
