package diffusion

import (
	"fmt"
	"math"
)

// MRSampler is the MR Sampler of Li et al., ICLR 2025 (arXiv 2502.07856): solvers with
// an exact linear part for mean-reverting diffusion, the ODE of order 1 to 3 or the
// SDE of order 1 or 2, in data or noise form, one evaluation a step. The zero value is
// the second-order ODE in data form.
//
// In y = (x − μ)/s the process preserves variance, and every update of the paper is
// that of [DPMSolver] with the exact integral of the linear term ([Taylor]); the
// coefficients of μ that the paper spells out are what is left of 1.
type MRSampler struct {
	SDE   bool // samples from the reverse SDE instead of the ODE
	Form  Form // default DataForm
	Order int  // 1 to 3, for the SDE 1 or 2; 0: 2

	// OfficialOrders lowers the order as the authors' driver does: with fewer than 10
	// steps by steps left after the next one, and back to the full order at the last
	// step. The default is [DPMSolver]'s: min(Order, steps left).
	OfficialOrders bool
	// DenoiseLast makes the data prediction before the last step the result, in place
	// of that step. Evaluations stay one a step.
	DenoiseLast bool
}

// Spacing is Linspace, the authors' default.
func (MRSampler) Spacing() Spacing { return IndexGrid{}.Spacing() }

func (m MRSampler) solver() DPMSolver {
	d := DPMSolver{Form: m.Form, Order: m.Order, Expansion: Taylor}
	if m.SDE {
		d.Eta = 1
	}
	return d
}

func (m MRSampler) check(g Grid) error {
	order := m.solver().order()
	switch {
	case m.Form > NoiseForm:
		return fmt.Errorf("diffusion: MR Sampler of form %d: must be DataForm or NoiseForm", m.Form)
	case order < 1 || order > 3:
		return fmt.Errorf("diffusion: MR Sampler of order %d: must be 1 to 3", m.Order)
	case m.SDE && order > 2:
		return fmt.Errorf("diffusion: MR Sampler of order %d for the SDE: must be 1 or 2", m.Order)
	case g.Steps < order:
		return stepsError(fmt.Sprintf("MR Sampler of order %d", order), g.Steps, order)
	}
	return nil
}

// Trace writes the method down.
func (m MRSampler) Trace(t *Tracer, g Grid) error {
	if err := m.check(g); err != nil {
		return err
	}
	p, err := g.reverting("MR Sampler")
	if err != nil {
		return err
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	if m.SDE && ls[0].Lambda > ls[1].Lambda {
		return fmt.Errorf("diffusion: MR Sampler for the SDE runs from noise to data only")
	}
	d := m.solver()
	x := t.Input()
	var mu Vec // μ/s
	if p.Interp == OfficialInterp && m.Form == DataForm {
		mu = t.Input()
	}
	var old history
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		if m.DenoiseLast && i == g.Steps-1 {
			x = t.Step(m.last(t, x, from, p), Level{Alpha: 1, Lambda: math.Inf(1)})
			break
		}
		pred := m.predict(t, x, from, p)
		if d.order() > 1 {
			pred = t.Let(pred)
		}
		old.push(pred, from, d.order())
		next := d.multistepUpdate(t, x, old, to, m.orderOfStep(i, g.Steps))
		if mu != nil && to.Sigma > 0 {
			next = next.Add(m.leftOver(from, to), mu)
		}
		x = t.Step(next, to)
	}
	t.Return(x)
	return nil
}

// orderOfStep is the order of step i of n.
func (m MRSampler) orderOfStep(i, n int) int {
	d := m.solver()
	if !m.OfficialOrders {
		return d.orderOfStep(i, n)
	}
	o := min(d.order(), i+1)
	if n < 10 && i+1 >= d.order() && i < n-1 {
		o = min(o, n-i-1)
	}
	return o
}

// predict asks the model in the sampler's form. Where α² + σ² ≠ 1, for tables that
// are interpolated the official way, a velocity is read as the authors read it.
func (m MRSampler) predict(t *Tracer, x Vec, at Level, p *MeanReverting) Vec {
	want := m.Form.prediction()
	if t.tape.Predicts != Velocity || p.Interp != OfficialInterp {
		return t.Eval(x, at, want)
	}
	hooked := t.hooked
	t.hooked = false
	v := t.Eval(x, at, Velocity)
	t.hooked = hooked
	if want == Noise {
		if hooked {
			t.fail("diffusion: a hook on the data prediction (thresholding) has no effect on a method that works with the noise prediction: use a data-prediction method")
		}
		return v.Mul(at.Alpha).Add(at.Sigma, x)
	}
	x0 := x.Mul(at.Alpha).Add(-at.Sigma, v)
	if hooked {
		x0 = t.emit(Instr{Op: OpHook, Src: t.Let(x0)[0].R, Level: at})
	}
	return x0
}

// last is the data prediction.
func (m MRSampler) last(t *Tracer, x Vec, at Level, p *MeanReverting) Vec {
	m.Form = DataForm
	return m.predict(t, x, at, p)
}

// leftOver is the factor of μ that the data form leaves when λ ≠ log(α/σ): the
// paper's coefficients of μ, with the others taken off.
func (m MRSampler) leftOver(from, to Level) float64 {
	h := to.Lambda - from.Lambda
	r := to.Sigma / from.Sigma
	if m.SDE {
		return r*math.Exp(-h) - to.Alpha/from.Alpha*math.Exp(-2*h)
	}
	return r*from.Alpha - to.Alpha*math.Exp(-h)
}

// Warning says what is dangerous about running the sampler on the grid, "" if nothing:
// the noise form multiplies what the model gets wrong by e^h.
func (m MRSampler) Warning(g Grid) string {
	const large = 3
	if m.Form != NoiseForm {
		return ""
	}
	if g.Spacing.Place == nil {
		g.Spacing = m.Spacing()
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return ""
	}
	for i, l := range ls[1:] {
		if h := l.Lambda - ls[i].Lambda; h > large && !math.IsInf(h, 0) {
			return fmt.Sprintf("step %d of %d changes λ by %.1f: in noise form it multiplies errors by e^%.1[3]f; take more steps, or the data form", i+1, g.Steps, h)
		}
	}
	return ""
}

// reverting is the grid's schedule as a mean-reverting process.
func (g Grid) reverting(method string) (*MeanReverting, error) {
	p, ok := g.Schedule.(*MeanReverting)
	if !ok || p == nil {
		return nil, fmt.Errorf("diffusion: %s runs on a mean-reverting schedule, not on %T", method, g.Schedule)
	}
	return p, nil
}
