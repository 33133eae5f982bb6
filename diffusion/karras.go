package diffusion

import (
	"fmt"
	"math"
)

// KarrasHeun is Heun's method in σ/α on a Karras grid: Karras et al. 2022,
// algorithms 1 and 2. Without Churn it is deterministic, and [RhoRK] of that
// tableau; with it, every step first adds noise up to σ̂ = (1+γ)·σ, with
// γ = min(Churn/N, √2−1). On a grid that goes on to σ = 0 the last step is
// Euler's. Steps counts steps: two evaluations each, one in Euler's.
//
// The zero value is the KAR1 of Denoising MCMC (Kim & Ye 2023), [Churned] its KAR2.
type KarrasHeun struct {
	Churn      float64 // S_churn; 0: none
	Min, Max   float64 // churn where σ/α lies between: S_tmin and S_tmax; both 0: 0.05 and 1
	NoiseScale float64 // S_noise; 0: 1.007
	// Knots divides Churn by N = Steps + 1, the number of the grid's levels, as the
	// notebook of Denoising MCMC does. Karras et al. divide by Steps.
	Knots bool
}

// Churned is the stochastic sampler as Denoising MCMC uses it.
var Churned = KarrasHeun{Churn: 80, Min: 0.05, Max: 1, NoiseScale: 1.007, Knots: true}

var _ Spacer = KarrasHeun{}

// Spacing is the grid of Karras et al.
func (KarrasHeun) Spacing() Spacing { return Karras }

// withDefaults fills in zero fields and checks the others.
func (m KarrasHeun) withDefaults() (KarrasHeun, error) {
	if m.Min == 0 && m.Max == 0 {
		m.Min, m.Max = 0.05, 1
	}
	if m.NoiseScale == 0 {
		m.NoiseScale = 1.007
	}
	switch {
	case !(m.Churn >= 0) || math.IsInf(m.Churn, 0):
		return m, fmt.Errorf("diffusion: churn = %g: must not be negative", m.Churn)
	case !(m.Min >= 0) || !(m.Min <= m.Max):
		return m, fmt.Errorf("diffusion: churn between σ = %g and %g: must be a range", m.Min, m.Max)
	case !(m.NoiseScale > 0) || math.IsInf(m.NoiseScale, 0):
		return m, fmt.Errorf("diffusion: noise scale of the churn = %g: must be positive", m.NoiseScale)
	}
	return m, nil
}

// Trace writes the method down.
func (m KarrasHeun) Trace(t *Tracer, g Grid) error {
	m, err := m.withDefaults()
	if err != nil {
		return err
	}
	heun := Tableaux[1]
	if m.Churn == 0 {
		return RhoRK{Tableau: heun}.Trace(t, g)
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	if ls[0].Lambda > ls[1].Lambda {
		return fmt.Errorf("diffusion: churn = %g: running from data to noise needs churn = 0", m.Churn)
	}
	x := t.Input()
	for i := range g.Steps {
		hat, to := m.raised(g, ls[i]), ls[i+1]
		r, h := rho(ls[i]), rho(hat)
		// A draw a step even where it counts nothing: chains share their numbering.
		x = t.Let(x.Mul(hat.Alpha/ls[i].Alpha).Add(hat.Alpha*m.NoiseScale*math.Sqrt(h*h-r*r), t.Draw()))
		e := t.Eval(x, hat, Noise)
		if to.Sigma > 0 {
			e = t.Let(e)
		}
		x = t.Step(heun.step(t, g, x, e, hat, to), to)
	}
	t.Return(x)
	return nil
}

// raised is the level up to which a step from that level is churned.
func (m KarrasHeun) raised(g Grid, from Level) Level {
	n := g.Steps
	if m.Knots {
		n++
	}
	if r := rho(from); m.Min <= r && r <= m.Max {
		gamma := min(m.Churn/float64(n), math.Sqrt2-1)
		return g.at(-math.Log((1 + gamma) * r))
	}
	return from
}
