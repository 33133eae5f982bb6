package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// UniPC is the unified predictor–corrector of Zhao et al. 2023 (arXiv
// 2302.04867) for any order p: one evaluation a step serves the corrector of the
// step just made and the predictor of the next. The last step has no corrector.
type UniPC struct {
	Form        Form // default DataForm
	Order       int  // 0: 3
	BH          BH   // default BH1
	NoCorrector bool // the predictor alone
	Reevaluate  bool // ask the model again at the corrected state: two evaluations a step
	// FullOrderFinal keeps the order up to the last step; by default the order of
	// a step is at most the number of steps left.
	FullOrderFinal bool

	compensation *compensation // see DCSolver
	momentum     *averages     // see HeavyBall
}

// BH is the function B(h) of UniPC.
type BH uint8

const (
	BH1 BH = iota // B(h) = h
	BH2           // B(h) = e^h − 1
)

func (m UniPC) order() int {
	if m.Order == 0 {
		return 3
	}
	return m.Order
}

// Trace writes the method down.
func (m UniPC) Trace(t *Tracer, g Grid) error {
	p := m.order()
	if p < 1 || p > 9 {
		return fmt.Errorf("diffusion: UniPC of order %d: must be 1 to 9", p)
	}
	if g.Steps < p {
		return stepsError(fmt.Sprintf("UniPC of order %d", p), g.Steps, p)
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	want := m.Form.prediction()
	x := t.Input()
	var old history
	keep := m.compensation.depth(p)
	old.push(t.Let(t.Eval(x, ls[0], want)), ls[0], keep)
	for i := range g.Steps {
		to, last := ls[i+1], i == g.Steps-1
		if to.Sigma == 0 {
			x = t.Step(DPMSolver{Form: m.Form}.clean(t, x, old[0].m, old[0].at), to)
			break
		}
		order := min(p, i+1)
		if !m.FullOrderFinal {
			order = min(order, g.Steps-i)
		}
		m.compensation.apply(t, old, i)
		s, err := m.newStep(x, old, to, order)
		if err != nil {
			return err
		}
		x = s.predict(t)
		if !last {
			x = t.Let(x)
			m1 := t.Let(t.Eval(x, to, want))
			if !m.NoCorrector {
				x = s.correct(t, m1)
			}
			if m.Reevaluate && !m.NoCorrector {
				x = t.Let(x)
				m1 = t.Let(t.Eval(x, to, want))
			}
			old.push(m1, to, keep)
		}
		x = t.Step(x, to)
	}
	t.Return(x)
	return nil
}

// A unipcStep holds what predictor and corrector of one step share.
type unipcStep struct {
	x     Vec       // the state, as far as the step keeps it
	to    Level     // reached
	w     float64   // first-order weight, of m0
	scale float64   // −α_t·B or −σ_t·B
	m0    Vec       // the newest output
	d     []Vec     // (m_i − m0)/r_i of the older outputs
	pred  []float64 // the predictor's weights of d
	corr  []float64 // the corrector's weights of d and, last, of m_t − m0

	momentum *averages
}

func (m UniPC) newStep(x Vec, old history, to Level, p int) (*unipcStep, error) {
	from := old[0].at
	h := to.Lambda - from.Lambda
	hh, scale, keep := h, -to.Sigma, to.Alpha/from.Alpha
	if m.Form == DataForm {
		hh, scale, keep = -h, -to.Alpha, to.Sigma/from.Sigma
	}
	bh := hh
	if m.BH == BH2 {
		bh = math.Expm1(hh)
	}
	s := &unipcStep{x: x.Mul(keep), to: to, w: scale * math.Expm1(hh), scale: scale * bh, m0: old[0].m, momentum: m.momentum}
	r := make([]float64, p) // r_i = (λ_i − λ_0)/h of the older outputs, then 1
	r[p-1] = 1
	for i := 1; i < p; i++ {
		r[i-1] = (old[i].at.Lambda - from.Lambda) / h
		s.d = append(s.d, old[i].m.Sub(s.m0).Mul(1/r[i-1]))
	}
	b := unipcMoments(hh, bh, p)
	var err error
	switch { // the lowest orders have weights that do not depend on the system
	case p == 1:
		s.corr = []float64{0.5}
		return s, nil
	case p == 2:
		s.pred = []float64{0.5}
	default:
		if s.pred, err = solveVandermonde(r[:p-1], b[:p-1]); err != nil {
			return nil, err
		}
	}
	s.corr, err = solveVandermonde(r, b)
	return s, err
}

// increment is what a step adds to the state that it keeps.
func (s *unipcStep) increment(weights []float64) Vec {
	inc := s.m0.Mul(s.w)
	for i, d := range s.d {
		inc = inc.Add(s.scale*weights[i], d)
	}
	return inc
}

func (s *unipcStep) predict(t *Tracer) Vec {
	return s.x.Add(1, s.momentum.predictor(t, s.increment(s.pred), s.w, s.to))
}

func (s *unipcStep) correct(t *Tracer, m1 Vec) Vec {
	inc := s.increment(s.corr).Add(s.scale*s.corr[len(s.corr)-1], m1.Sub(s.m0))
	return s.x.Add(1, s.momentum.corrector(t, inc, s.w, s.to))
}

// unipcMoments is b_k = k!·h·φ_{k+1}(h)/B(h), k = 1..p, for the step hh.
func unipcMoments(hh, bh float64, p int) []float64 {
	b := make([]float64, p)
	fact := 1.0
	for k := 1; k <= p; k++ {
		fact *= float64(k)
		b[k-1] = hh * phi(hh, k+1) * fact / bh
	}
	return b
}

// solveVandermonde solves Σ_i r_i^(k−1)·w_i = b_k, k = 1..p.
func solveVandermonde(r, b []float64) ([]float64, error) {
	p := len(r)
	a := mat.NewDense(p, p, nil)
	for k := range p {
		for i := range p {
			a.Set(k, i, math.Pow(r[i], float64(k)))
		}
	}
	var w mat.VecDense
	if err := w.SolveVec(a, mat.NewVecDense(p, b)); err != nil {
		return nil, fmt.Errorf("diffusion: UniPC's weights for steps with ratios %.3g: %w", r, err)
	}
	return w.RawVector().Data, nil
}
