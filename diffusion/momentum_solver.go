package diffusion

import "fmt"

// HeavyBall is heavy-ball momentum on the samplers of data prediction:
// DPM-Solver++(2M) and UniPC (Wizadwongsa et al., ICLR 2024, appendix on other
// solvers). What a step adds to the exact linear part, divided by its first-order
// weight (for 2M this is D₀ + D₁/2), is averaged over the steps,
//
//	v ← (1−β)·v + β·(D₀ + D₁/2),   x_t = σ_t/σ_s·x − α_t·(e^{−h} − 1)·v.
//
// UniPC has two averages, the predictor's and the corrector's. Steps of a first-order
// DPM-Solver++, at the start and the end, are left as they are. The result is first
// order when β < 1, and the base method itself when β = 1.
type HeavyBall struct {
	Base Method  // a deterministic multistep DPMSolver, or UniPC; nil: DPMSolver{}
	Beta float64 // 0.05 to 1; 0: 0.8

	// FromFirst lets the average of a DPMSolver start with the first step's D₀, as one
	// of the authors' two implementations does. The other, the default, starts with
	// the first step of higher order.
	FromFirst bool
	// CorrectorOnly leaves UniPC's predictor without momentum. The authors' code does
	// so in effect: it overwrites the predictor's average.
	CorrectorOnly bool
	// OverSigma averages UniPC's increments divided by σ_t, as the authors' code does.
	// The average then is of numbers that grow from step to step.
	OverSigma bool
}

// Trace writes the base method down with momentum.
func (m HeavyBall) Trace(t *Tracer, g Grid) error {
	beta, err := checkBeta(m.Beta)
	if err != nil {
		return err
	}
	b := &averages{HeavyBall: m, beta: beta}
	switch base := m.Base.(type) {
	case nil:
		return DPMSolver{momentum: b}.Trace(t, g)
	case DPMSolver:
		if base.Mode != Multistep || base.Eta > 0 {
			return fmt.Errorf("diffusion: heavy-ball momentum on a %v DPM-Solver with eta = %g: must be multistep, with eta = 0", base.Mode, base.Eta)
		}
		base.momentum = b
		return base.Trace(t, g)
	case UniPC:
		base.momentum = b
		return base.Trace(t, g)
	}
	return fmt.Errorf("diffusion: heavy-ball momentum on %T: must be UniPC or a multistep DPMSolver; for PLMS see Momentum", m.Base)
}

// averages are where the momentum of a method that they are hung into stands.
type averages struct {
	HeavyBall
	beta         float64
	pred, corr   Vec // divided by the first-order weight
	order1Passed bool
}

// multistep averages the increment of a DPM-Solver's step of that order, whose
// first-order weight is w.
func (b *averages) multistep(t *Tracer, inc Vec, w float64, order int) Vec {
	first := b != nil && !b.order1Passed
	switch {
	case b == nil || b.beta == 1:
		return inc
	case order == 1 && first && b.FromFirst:
		b.order1Passed = true
		b.pred = t.Let(inc.Mul(1 / w))
		return inc
	case order == 1:
		return inc
	}
	return b.average(t, &b.pred, inc, w)
}

// predictor and corrector average the increments of UniPC's step to a level.
func (b *averages) predictor(t *Tracer, inc Vec, w float64, to Level) Vec {
	if b == nil || b.beta == 1 || b.CorrectorOnly {
		return inc
	}
	return b.average(t, &b.pred, inc, b.scale(w, to))
}

func (b *averages) corrector(t *Tracer, inc Vec, w float64, to Level) Vec {
	if b == nil || b.beta == 1 {
		return inc
	}
	return b.average(t, &b.corr, inc, b.scale(w, to))
}

func (b *averages) scale(w float64, to Level) float64 {
	if b.OverSigma {
		return w * to.Sigma
	}
	return w
}

// average is v ← (1−β)·v + β·inc/w, and gives w·v.
func (b *averages) average(t *Tracer, v *Vec, inc Vec, w float64) Vec {
	d := inc.Mul(1 / w)
	if *v != nil {
		d = v.Mul(1-b.beta).Add(b.beta, d)
	}
	*v = t.Let(d)
	return v.Mul(w)
}
