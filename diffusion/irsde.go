package diffusion

import (
	"fmt"
	"math"
)

// The samplers that IR-SDE comes with (Luo et al. 2023), on a [MeanReverting] process.
// With fewer steps than T their published form is not what its name says; the fields
// tell the two apart.

// RevertingPosterior draws from the posterior of x_{t−1} given x_t and the predicted
// x₀: with A = α_t/α_t', B = α_t and C = α_t',
//
//	y' = A(1 − C²)/(1 − B²)·y + C(1 − A²)/(1 − B²)·y₀ + √((1 − A²)(1 − C²)/(1 − B²))·z
//
// which is [DDIM] with Eta 1. One evaluation a step.
type RevertingPosterior struct {
	// Published keeps the coefficients of one entry of the table, t to t−1, whatever the
	// step: the published loop that leaves entries out.
	Published bool
}

// Spacing is PublishedLoop.
func (RevertingPosterior) Spacing() Spacing { return IndexGrid{Kind: PublishedLoop}.Spacing() }

// Trace writes the method down.
func (m RevertingPosterior) Trace(t *Tracer, g Grid) error {
	p, ls, err := g.revertingDown("posterior sampling")
	if err != nil {
		return err
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		at := to
		if m.Published {
			if from.T < 1 {
				return fmt.Errorf("diffusion: published posterior sampling from t = %g: must be 1 at least", from.T)
			}
			at = p.At(from.T - 1)
		}
		x = t.Step(m.step(t, x, from, at), to)
	}
	t.Return(x)
	return nil
}

func (m RevertingPosterior) step(t *Tracer, x Vec, from, to Level) Vec {
	a, b, c := from.Alpha/to.Alpha, from.Alpha, to.Alpha
	left := 1 - b*b
	x0 := t.Eval(x, from, Data)
	return x.Mul(a*(1-c*c)/left).Add(c*(1-a*a)/left, x0).Add(math.Sqrt((1-a*a)*(1-c*c)/left), t.Draw())
}

// RevertingEuler is Euler's method on the reverse SDE or ODE, with k entries a step:
//
//	SDE: y' = y + θ_t·k·dt·(y − 2ε/σ) − √(2θ_t·k·dt)·z
//	ODE: y' = y + θ_t·k·dt·(y − ε/σ)
//
// The noise is subtracted, as IR-SDE does, which matters only to recorded noise. One
// evaluation a step.
type RevertingEuler struct {
	SDE       bool
	Published bool // k = 1 whatever the step: the published loop that leaves entries out
	// Integrated takes what θ·dt integrates to over the step in place of θ_t·k·dt: Euler's
	// method in the process's own time ∫θ, which is close to what IR-SDE does when it is
	// given a table of fewer entries (sample_T). θ_t at the start of a step is too large
	// where θ rises with t; on the cosine table that happens to help.
	Integrated bool
}

// Spacing is Linspace.
func (RevertingEuler) Spacing() Spacing { return IndexGrid{}.Spacing() }

// Trace writes the method down.
func (m RevertingEuler) Trace(t *Tracer, g Grid) error {
	p, ls, err := g.revertingDown("Euler's method")
	if err != nil {
		return err
	}
	if m.Published && m.Integrated {
		return fmt.Errorf("diffusion: Euler's method both Published and Integrated: the first steps by one entry, the second by the step")
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		k := from.T - to.T
		if m.Published {
			k = 1
		}
		rate := p.Rate(from.T) * k * p.dt
		if m.Integrated {
			rate = (p.Sum(from.T) - p.Sum(to.T)) * p.dt
		}
		slope := revertingSlope(t, x, from, m.SDE)
		next := x.Add(rate, slope)
		if m.SDE {
			next = next.Add(-math.Sqrt(2*rate), t.Draw())
		}
		x = t.Step(next, to)
	}
	t.Return(x)
	return nil
}

// revertingSlope is y − ε/σ, or y − 2ε/σ for the SDE: what y moves by against time, for
// each unit of θ·dt.
func revertingSlope(t *Tracer, x Vec, at Level, sde bool) Vec {
	c := 1.0
	if sde {
		c = 2
	}
	return x.Add(-c/at.Sigma, t.Eval(x, at, Noise))
}

// RevertingHeun is Heun's method on the reverse SDE or ODE: two evaluations a step, of
// which the budget of n makes ⌊n/2⌋, and one step of Euler's where n is odd. (The method
// of that name in the authors' code divides the noise by the dispersion in place of σ
// and does not stretch its steps to their number, so that it stops short: it is not
// offered.)
type RevertingHeun struct {
	SDE bool
	// Integrated runs in the process's own time ∫θ, as for [RevertingEuler]. With θ of the
	// table at both ends, errors stop falling at O(1/T): the table is half an entry off.
	Integrated bool
}

// Spacing is Linspace.
func (RevertingHeun) Spacing() Spacing { return IndexGrid{}.Spacing() }

// rates are θ·dt at both ends of a step, times its length.
func (m RevertingHeun) rates(p *MeanReverting, from, to Level) (a, b float64) {
	if m.Integrated {
		a = (p.Sum(from.T) - p.Sum(to.T)) * p.dt
		return a, a
	}
	dt := (from.T - to.T) * p.dt
	return p.Rate(from.T) * dt, p.Rate(to.T) * dt
}

// Trace writes the method down.
func (m RevertingHeun) Trace(t *Tracer, g Grid) error {
	p, ls, err := g.revertingDown("Heun's method")
	if err != nil {
		return err
	}
	x := t.Input()
	for i := 0; i < g.Steps; i += 2 {
		from, to := ls[i], ls[min(i+2, g.Steps)]
		a, b := m.rates(p, from, to)
		s0 := t.Let(revertingSlope(t, x, from, m.SDE))
		var noise Vec
		if m.SDE {
			noise = t.Draw().Mul(-math.Sqrt2)
		}
		euler := x.Add(a, s0).Add(math.Sqrt(a), noise)
		if i+1 == g.Steps {
			x = t.Step(euler, to)
			break
		}
		guess := t.Let(euler)
		s1 := revertingSlope(t, guess, to, m.SDE)
		// the deviation is the mean of the ends', as the authors have it
		x = t.Step(x.Add(a/2, s0).Add(b/2, s1).Add((math.Sqrt(a)+math.Sqrt(b))/2, noise), to)
	}
	t.Return(x)
	return nil
}

// revertingDown is the process and the levels of a grid from noise to data that does
// not reach σ = 0.
func (g Grid) revertingDown(method string) (*MeanReverting, []Level, error) {
	p, err := g.reverting(method)
	if err != nil {
		return nil, nil, err
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, nil, err
	}
	if ls[0].Lambda > ls[1].Lambda || g.ToZero {
		return nil, nil, fmt.Errorf("diffusion: %s on a mean-reverting process runs from noise to data, and not to σ = 0", method)
	}
	return p, ls, nil
}
