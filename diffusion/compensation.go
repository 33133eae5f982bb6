package diffusion

import (
	"fmt"
	"math"
)

// DCSolver is dynamic compensation (DC-Solver, Zhao et al., ECCV 2024): before a
// step, the newest output of a multistep sampler is replaced by the outputs'
// interpolation at the time ρ·t₀ + (1−ρ)·t₁, which makes up for the corrector's
// having moved the state since. It costs no evaluation. [RatioSearch] finds the
// ratios, [CPR] predicts them.
type DCSolver struct {
	Base   Method    // UniPC, or a multistep DPMSolver; nil: UniPC{}
	Ratios []float64 // ρ before every step; 1 leaves the output as it is
	K      int       // degree of the interpolation; 0: 2. The first K steps have ratio 1
}

// Trace writes the base method down, compensated.
func (m DCSolver) Trace(t *Tracer, g Grid) error { return m.trace(t, g, false) }

// trace can keep the interpolation also where the ratio is 1, so that the tape's
// shape does not depend on the ratios.
func (m DCSolver) trace(t *Tracer, g Grid, keep bool) error {
	c := &compensation{ratios: m.Ratios, k: m.K, keep: keep}
	if c.k == 0 {
		c.k = 2
	}
	if c.k < 1 || c.k > 3 {
		return fmt.Errorf("diffusion: dynamic compensation of degree %d: must be 1 to 3", c.k)
	}
	if len(m.Ratios) != g.Steps {
		return fmt.Errorf("diffusion: %d ratios for %d steps: want one a step", len(m.Ratios), g.Steps)
	}
	for i, r := range m.Ratios {
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return fmt.Errorf("diffusion: ratio %d = %g: must be finite", i+1, r)
		}
		if i < c.k && r != 1 {
			return fmt.Errorf("diffusion: ratio %d = %g: must be 1, the interpolation needs %d outputs", i+1, r, c.k+1)
		}
	}
	switch b := m.Base.(type) {
	case nil:
		return UniPC{compensation: c}.Trace(t, g)
	case UniPC:
		b.compensation = c
		return b.Trace(t, g)
	case DPMSolver:
		if b.Mode != Multistep {
			return fmt.Errorf("diffusion: dynamic compensation of a %v method: it has no outputs to interpolate", b.Mode)
		}
		b.compensation = c
		return b.Trace(t, g)
	}
	return fmt.Errorf("diffusion: dynamic compensation of %T: must be UniPC or a multistep DPMSolver", m.Base)
}

// compensation replaces outputs of a method that it is hung into.
type compensation struct {
	ratios []float64
	k      int
	keep   bool
}

// depth is how many outputs the method must keep.
func (c *compensation) depth(order int) int {
	if c == nil {
		return order
	}
	return max(order, c.k+1)
}

// apply replaces the newest output before step i.
func (c *compensation) apply(t *Tracer, old history, i int) {
	if c == nil || len(old) < c.k+1 || c.ratios[i] == 1 && !c.keep {
		return
	}
	times := make([]float64, c.k+1)
	for k := range times {
		times[k] = old[k].at.T
	}
	at := c.ratios[i]*times[0] + (1-c.ratios[i])*times[1]
	var m Vec
	for k := range times {
		m = m.Add(lagrange(times, k, at), old[k].m)
	}
	old[0].m = t.Let(m)
}
