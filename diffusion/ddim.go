package diffusion

import (
	"fmt"
	"math"
)

// DDIM is the denoising diffusion implicit model: Song, Meng & Ermon 2021, eq. 12.
// One evaluation a step, order 1. On a grid from data to noise it is DDIM
// inversion.
type DDIM struct {
	Eta float64 // 0: deterministic; 1: the ancestral sampler of DDPM
}

// WithEta returns the method with another η.
func (m DDIM) WithEta(eta float64) Method { return DDIM{Eta: eta} }

// Trace writes the method down.
func (m DDIM) Trace(t *Tracer, g Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	if !(m.Eta >= 0) || math.IsInf(m.Eta, 0) {
		return fmt.Errorf("diffusion: eta = %g: must not be negative", m.Eta)
	}
	if m.Eta > 0 && ls[0].Lambda > ls[1].Lambda {
		return fmt.Errorf("diffusion: eta = %g: running from data to noise needs eta = 0", m.Eta)
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		x0 := t.Eval(x, from, Data)
		s := m.noise(from, to)
		c := math.Sqrt(to.Sigma*to.Sigma-s*s) / from.Sigma // what is left along ε
		next := x0.Mul(to.Alpha-c*from.Alpha).Add(c, x)
		if s > 0 {
			next = next.Add(s, t.Draw())
		}
		x = t.Step(next, to)
	}
	t.Return(x)
	return nil
}

// noise is the deviation of the fresh noise, for any α and σ:
// η·(σ_t/σ_s)·√(σ_s² − (α_s/α_t)²·σ_t²), at most σ_t.
func (m DDIM) noise(from, to Level) float64 {
	if m.Eta == 0 {
		return 0
	}
	r := from.Alpha / to.Alpha * to.Sigma
	return min(m.Eta*to.Sigma/from.Sigma*math.Sqrt(from.Sigma*from.Sigma-r*r), to.Sigma)
}
