package diffusion

import "fmt"

// SinglestepOrders splits n evaluations into steps of at most the given order:
// DPM-Solver-fast, Lu et al. 2022, section 3.4.
func SinglestepOrders(order, n int) []int {
	var os []int
	full := func(k, o int) {
		for range k {
			os = append(os, o)
		}
	}
	switch k := n / order; {
	case order == 3 && n%3 == 0:
		full(k-1, 3)
		os = append(os, 2, 1)
	case n%order == 0:
		full(k, order)
	default:
		full(k, order)
		os = append(os, n%order)
	}
	return os
}

// singlestep spends the evaluations inside the steps.
func (m DPMSolver) singlestep(t *Tracer, g Grid) (Vec, Level, error) {
	o := m.order()
	var orders []int
	if m.Mode == Singlestep {
		orders = SinglestepOrders(o, g.Steps)
	} else {
		for range g.Steps / o {
			orders = append(orders, o)
		}
	}
	ls, err := m.outerLevels(g, orders)
	if err != nil {
		return nil, Level{}, err
	}
	x := t.Input()
	for i, order := range orders {
		from, to := ls[i], ls[i+1]
		if to.Sigma == 0 {
			order = 1
		}
		inner, err := m.innerLevels(g, from, to, order)
		if err != nil {
			return nil, Level{}, err
		}
		next, _ := m.singlestepUpdate(t, x, from, to, inner)
		x = t.Step(next, to)
	}
	return x, ls[len(orders)], nil
}

// outerLevels are the ends of the steps. Evenly in λ (and for steps of one
// order) they form a grid of their own; otherwise they are taken from the grid
// that has one interval an evaluation.
func (m DPMSolver) outerLevels(g Grid, orders []int) ([]Level, error) {
	if m.Mode == SinglestepFixed || g.uniformLambda() || g.levels != nil {
		return g.Levels(len(orders))
	}
	all, err := g.Levels(g.Steps)
	if err != nil {
		return nil, err
	}
	ls := []Level{all[0]}
	at := 0
	for _, o := range orders {
		at += o
		ls = append(ls, all[at])
	}
	return ls, nil
}

// innerLevels are the levels of the evaluations after the first one of a step,
// placed by the grid's own spacing.
func (m DPMSolver) innerLevels(g Grid, from, to Level, order int) ([]Level, error) {
	if order == 1 {
		return nil, nil
	}
	g.Start, g.End, g.ToZero, g.levels = from.T, to.T, false, nil
	if g.Spacing.Name == explicitName {
		g.Spacing = LogSNR
	}
	ls, err := g.Levels(order)
	if err != nil {
		return nil, fmt.Errorf("%w (inside the step from t = %g to %g)", err, from.T, to.T)
	}
	inner := ls[1:order]
	for i, l := range inner {
		inner[i] = g.at(l.Lambda)
	}
	return inner, nil
}

// singlestepUpdate evaluates at from and at the inner levels: paper algorithm 1
// (order 2) and, after DPM-Solver's appendix, order 3. From the same evaluations
// it forms the update of one order less.
func (m DPMSolver) singlestepUpdate(t *Tracer, x Vec, from, to Level, inner []Level) (next, lower Vec) {
	return m.singlestepFrom(t, x, t.Eval(x, from, m.Form.prediction()), from, to, inner)
}

// singlestepFrom is singlestepUpdate where the prediction m0 at x is known.
func (m DPMSolver) singlestepFrom(t *Tracer, x, m0 Vec, from, to Level, inner []Level) (next, lower Vec) {
	want := m.Form.prediction()
	if to.Sigma == 0 {
		return m.clean(t, x, m0, from), nil
	}
	w := m.weights(from, to)
	first := x.Mul(w.x).Add(w.m, m0)
	if len(inner) == 0 {
		return first, nil
	}
	h := to.Lambda - from.Lambda
	l1 := inner[0]
	w1 := m.weights(from, l1)
	u1 := x.Mul(w1.x).Add(w1.m, m0)
	d10 := t.Eval(u1, l1, want).Sub(m0).Mul(h / (l1.Lambda - from.Lambda))
	second := first.Add(w.d1, d10)
	if len(inner) == 1 {
		return second, first
	}

	exact := m
	exact.Expansion = Taylor
	w = exact.weights(from, to)
	l2 := inner[1]
	w2 := exact.weights(from, l2)
	r1, r2 := (l1.Lambda-from.Lambda)/h, (l2.Lambda-from.Lambda)/h
	u2 := x.Mul(w2.x).Add(w2.m, m0).Add(r2*w2.d1, d10)
	d11 := t.Eval(u2, l2, want).Sub(m0).Mul(1 / r2)
	if m.Expansion == Midpoint {
		return first.Add(w.d1, d11), second // third order where r2 = 2/3
	}
	d1 := d10.Mul(r2/(r2-r1)).Add(-r1/(r2-r1), d11)
	d2 := d11.Sub(d10).Mul(2 / (r2 - r1))
	return first.Add(w.d1, d1).Add(w.d2, d2), second
}
