package diffusion

// StepsFrom gives DDIM's steps (Song, Meng & Ermon 2021, eq. 12, η = 0).
func (m DDIM) StepsFrom(t *Tracer, _ Grid, x Vec, at Level) Steps {
	if m.Eta != 0 {
		t.fail("diffusion: eta = %g: a one-step solver of BDIA must be deterministic", m.Eta)
	}
	x0 := t.Eval(x, at, Data)
	return Steps{Out: x0, To: func(to Level) Vec {
		c := to.Sigma / at.Sigma
		return x0.Mul(to.Alpha-c*at.Alpha).Add(c, x)
	}}
}

// StepsFrom gives the steps of a singlestep solver, all of its full order.
func (m DPMSolver) StepsFrom(t *Tracer, g Grid, x Vec, at Level) Steps {
	switch {
	case m.Order < 0 || m.Order > 3:
		t.fail("diffusion: DPM-Solver of order %d: must be 1 to 3", m.Order)
	case m.Eta != 0:
		t.fail("diffusion: eta = %g: a one-step solver of BDIA must be deterministic", m.Eta)
	case m.Mode == Multistep && m.order() > 1:
		t.fail("diffusion: a multistep DPM-Solver of order %d: a one-step solver of BDIA has no memory: take Singlestep", m.order())
	case m.Denoise || m.compensation != nil:
		t.fail("diffusion: a one-step solver of BDIA can neither denoise at the end nor be compensated")
	}
	if t.err != nil {
		return Steps{Out: x, To: func(Level) Vec { return x }}
	}
	m0 := t.Eval(x, at, m.Form.prediction())
	s := Steps{Out: m0, To: func(to Level) Vec {
		if to.Sigma == 0 {
			return m.clean(t, x, m0, at)
		}
		inner, err := m.innerLevels(g, at, to, m.order())
		if err != nil {
			t.fail("%w", err)
			return x
		}
		next, _ := m.singlestepFrom(t, x, m0, at, to, inner)
		return next
	}}
	switch m.order() {
	case 2: // the inner output stands at the end of the step
		s.Reuse = func(out Vec, to Level) Vec {
			w := m.weights(at, to)
			return x.Mul(w.x).Add(w.m, m0).Add(w.d1, out.Sub(m0))
		}
	case 3:
		s.Reuse = func(Vec, Level) Vec {
			t.fail("diffusion: BDIA over DPM-Solver of order 3: an output at the step's end replaces no inner one: set Backward to Full")
			return x
		}
	}
	return s
}

// StepsFrom gives the steps of a Runge–Kutta method in ρ = σ/α; with the zero value
// and α = 1 Heun's, the solver of EDM (Karras et al. 2022, algorithm 1).
func (m RhoRK) StepsFrom(t *Tracer, g Grid, x Vec, at Level) Steps {
	tab, err := m.tableau()
	if err != nil {
		t.fail("%w", err)
		return Steps{Out: x, To: func(Level) Vec { return x }}
	}
	e := t.Let(t.Eval(x, at, Noise))
	s := Steps{Out: e, To: func(to Level) Vec { return tab.step(t, g, x, e, at, to) }}
	switch {
	case len(tab.B) == 1:
	case tab.isHeun(): // the trapezoid of the two slopes
		s.Reuse = func(out Vec, to Level) Vec {
			d := to.Alpha * (rho(to) - rho(at)) / 2
			return x.Mul(to.Alpha/at.Alpha).Add(d, e).Add(d, out)
		}
	default:
		s.Reuse = func(Vec, Level) Vec {
			t.fail("diffusion: BDIA over Runge–Kutta method %q: a slope at the step's end replaces no stage of it: set Backward to Full", tab.Name)
			return x
		}
	}
	return s
}

// isHeun says whether the method is the trapezoid after an Euler step.
func (tab Tableau) isHeun() bool {
	return len(tab.B) == 2 && tab.C[1] == 1 && tab.B[0] == tab.B[1]
}
