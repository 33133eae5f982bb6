package diffusion

import (
	"fmt"
	"math"
)

// ReverseDiffusion is the reverse of the discretised variance-exploding process:
// Song et al. 2021, appendix E, there the predictor of the predictor–corrector
// sampler. With x in units of the data (x/α) and its levels
// ς_j = ρ₁·(ρ₀/ρ₁)^{j/(N−1)}, ρ = σ/α from the grid's start to its end,
//
//	x ← x + (ς_j² − ς_{j−1}²)·s(x) + √(ς_j² − ς_{j−1}²)·z,   ς_{−1} = 0,
//
// for j = N−1 to 0: one evaluation a step. It places its levels itself and ends
// at σ = 0 with the mean of the last step; the grid's Spacing and ToZero play no
// part.
type ReverseDiffusion struct {
	// Ancestral takes the posterior's deviation ς_{j−1}/ς_j·√(ς_j² − ς_{j−1}²) for
	// the noise: the ancestral sampler of a variance-exploding model.
	Ancestral bool
	Eps       float64  // the time, of 1, at which the last evaluation stands; 0: 10⁻⁵
	Noisy     bool     // end with the last step's noise instead of its mean
	Corrector Langevin // before every step; none by default
}

// EulerMaruyama is Euler and Maruyama's method on the reverse of the
// variance-exploding SDE dx = √(2·log(ρ₀/ρ₁))·ρ(u)·dw, ρ(u) = ρ₁·(ρ₀/ρ₁)^u, in N
// steps of 1/N: Song et al. 2021, eq. 6. Levels and end are as in
// [ReverseDiffusion].
type EulerMaruyama struct {
	Eps       float64 // as in ReverseDiffusion
	Noisy     bool
	Corrector Langevin
}

// Trace writes the method down.
func (m ReverseDiffusion) Trace(t *Tracer, g Grid) error {
	r, err := newReverse("reverse diffusion", g, m.Eps)
	if err != nil {
		return err
	}
	return r.trace(t, m.Corrector, m.Noisy, func(u float64) (gain, noise float64) {
		n := float64(r.n - 1)
		j := math.Trunc(u * n)
		hi, lo := r.rho(j/n), 0.0
		if j > 0 {
			lo = r.rho((j - 1) / n)
		}
		gain = hi*hi - lo*lo
		if m.Ancestral {
			return gain, lo / hi * math.Sqrt(gain)
		}
		return gain, math.Sqrt(gain)
	})
}

// Trace writes the method down.
func (m EulerMaruyama) Trace(t *Tracer, g Grid) error {
	r, err := newReverse("Euler–Maruyama", g, m.Eps)
	if err != nil {
		return err
	}
	return r.trace(t, m.Corrector, m.Noisy, func(u float64) (gain, noise float64) {
		gain = 2 * r.rho(u) * r.rho(u) * math.Log(r.from/r.to) / float64(r.n) // g²·Δu
		return gain, math.Sqrt(gain)
	})
}

// defaultEps is the time of the last evaluation of variance-exploding samplers.
const defaultEps = 1e-5

// A reverse is a run of a reverse process in ρ = σ/α.
type reverse struct {
	g        Grid
	n        int
	from, to float64 // ρ₀ and ρ₁
	eps      float64
}

func newReverse(name string, g Grid, eps float64) (*reverse, error) {
	from, to, err := g.rhoEnds(name)
	if err != nil {
		return nil, err
	}
	if eps == 0 {
		eps = defaultEps
	}
	if !(eps > 0 && eps < 1) {
		return nil, fmt.Errorf("diffusion: %s: eps = %g: must be in (0, 1)", name, eps)
	}
	if g.Steps < 2 {
		return nil, stepsError(name, g.Steps, 2)
	}
	return &reverse{g, g.Steps, from, to, eps}, nil
}

// rhoEnds are σ/α at the ends of a grid from noise to data.
func (g Grid) rhoEnds(name string) (from, to float64, err error) {
	start, end, err := g.ends()
	if err != nil {
		return 0, 0, err
	}
	from, to = rho(g.Schedule.At(start)), rho(g.Schedule.At(end))
	if !(to > 0 && from > to) || math.IsInf(from, 0) {
		return 0, 0, fmt.Errorf("diffusion: %s from σ/α = %g to %g: must run from noise to data, within the schedule", name, from, to)
	}
	return from, to, nil
}

// rho is ρ₁·(ρ₀/ρ₁)^u.
func (r *reverse) rho(u float64) float64 { return r.to * math.Pow(r.from/r.to, u) }

// trace writes the steps down. step gives what a step from time u adds of the score
// and of noise.
func (r *reverse) trace(t *Tracer, c Langevin, noisy bool, step func(u float64) (gain, noise float64)) error {
	if err := c.check(); err != nil {
		return err
	}
	us := linspace(1, r.eps, r.n)
	x := t.Input()
	at := r.g.at(-math.Log(r.from))
	for i, u := range us {
		x = c.trace(t, x, at)
		gain, noise := step(u)
		k := gain / (rho(at) * rho(at)) // the score of x/α is (x₀ − x/α)/ρ²
		mean := x.Mul((1-k)/at.Alpha).Add(k, t.Eval(x, at, Data))
		last := i == r.n-1
		if last && !noisy {
			end := Level{Alpha: 1, Lambda: math.Inf(1)}
			t.Return(t.Step(mean, end))
			break
		}
		to := r.g.at(-math.Log(r.to))
		if !last {
			to = r.g.at(-math.Log(r.rho(us[i+1])))
		}
		x = t.Step(mean.Mul(to.Alpha).Add(to.Alpha*noise, t.Draw()), to)
		at = to
		if last {
			t.Return(x)
		}
	}
	return nil
}
