package diffusion

import "fmt"

// An output is a prediction of the model and the level it was made at.
type output struct {
	m  Vec
	at Level
}

// A history is the last outputs, newest first.
type history []output

func (h *history) push(m Vec, at Level, keep int) {
	*h = append(history{{m, at}}, (*h)[:min(len(*h), keep-1)]...)
}

// multistep takes one evaluation a step, and the others from the steps before.
func (m DPMSolver) multistep(t *Tracer, g Grid) (Vec, Level, error) {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, Level{}, err
	}
	if m.Eta > 0 && ls[0].Lambda > ls[1].Lambda {
		return nil, Level{}, fmt.Errorf("diffusion: eta = %g: running from data to noise needs eta = 0", m.Eta)
	}
	x := t.Input()
	var old history
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		pred := t.Eval(x, from, m.Form.prediction())
		keep := m.compensation.depth(m.order())
		if keep > 1 {
			pred = t.Let(pred)
		}
		old.push(pred, from, keep)
		m.compensation.apply(t, old, i)
		x = t.Step(m.multistepUpdate(t, x, old, to, m.orderOfStep(i, g.Steps)), to)
	}
	return x, ls[g.Steps], nil
}

// orderOfStep is the order of step i of n: low at the start, for want of
// outputs, and at the end of short runs.
func (m DPMSolver) orderOfStep(i, n int) int {
	o := min(m.order(), i+1)
	below := m.LowerOrderBelow
	if below == 0 {
		below = 10
	}
	if n < below {
		o = min(o, n-i)
	}
	if m.FinalEuler && i == n-1 {
		o = 1
	}
	return o
}

// multistepUpdate goes from the newest output's level to the next: paper
// algorithm 2 and its third-order sequel.
func (m DPMSolver) multistepUpdate(t *Tracer, x Vec, old history, to Level, order int) Vec {
	m0, s := old[0].m, old[0].at
	if to.Sigma == 0 {
		return m.clean(t, x, m0, s)
	}
	w := m.weights(s, to)
	if order == 3 { // the quadratic update builds on the exact linear one
		w = m.thirdOrderWeights(s, to)
	}
	inc := m0.Mul(w.m)
	if order >= 2 {
		h := to.Lambda - s.Lambda
		h0 := s.Lambda - old[1].at.Lambda
		r0 := h0 / h
		d10 := m0.Sub(old[1].m).Mul(1 / r0)
		if order == 2 {
			inc = inc.Add(w.d1, d10)
		} else {
			r1 := (old[1].at.Lambda - old[2].at.Lambda) / h
			d11 := old[1].m.Sub(old[2].m).Mul(1 / r1)
			bend := d10.Sub(d11)
			d1 := d10.Add(r0/(r0+r1), bend)
			d2 := bend.Mul(1 / (r0 + r1))
			if m.ThirdOrder == Corrected {
				d2 = d2.Mul(2) // a divided difference is half the second derivative
			}
			inc = inc.Add(w.d1, d1).Add(w.d2, d2)
		}
	}
	next := x.Mul(w.x).Add(1, m.momentum.multistep(t, inc, w.m, order))
	if m.Eta > 0 {
		next = next.Add(w.z, t.Draw())
	}
	return next
}

// thirdOrderWeights has the exact linear weight whatever the expansion, and the
// official quadratic one where that is asked for.
func (m DPMSolver) thirdOrderWeights(from, to Level) weights {
	m.Expansion = Taylor
	w := m.weights(from, to)
	if m.Eta > 0 && m.Form == DataForm && m.ThirdOrder == Official {
		w.d2 -= to.Alpha
	}
	return w
}

// clean is the step to σ = 0: the limit λ → ∞ of the first-order update is the
// data prediction itself.
func (m DPMSolver) clean(t *Tracer, x, pred Vec, at Level) Vec {
	if m.Form == NoiseForm {
		return x.Mul(1/at.Alpha).Add(-at.Sigma/at.Alpha, pred)
	}
	return pred
}
