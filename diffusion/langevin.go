package diffusion

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// A Langevin takes steps of Langevin dynamics at one noise level: Song et al.
// 2021, algorithm 4, which makes a reverse process the predictor–corrector sampler.
//
//	x ← x + h·s(x) + √(2h)·z,   h = 2·(SNR·‖z‖/‖s‖)²
//
// The step h is known only when the norms are. The zero value does nothing.
type Langevin struct {
	Steps int     // before every step of the predictor, one evaluation each
	SNR   float64 // 0: 0.16
	// Each takes the norms of every sample alone. By default they are averaged over
	// the batch, as published, so that a sample depends on the batch that it is in.
	// But a step that depends on the state is not free: it tilts the density by |s|²,
	// which makes the variance of d coordinates too large by about 2/d of itself.
	Each bool
}

func (c Langevin) snr() float64 {
	if c.SNR == 0 {
		return 0.16
	}
	return c.SNR
}

func (c Langevin) check() error {
	if c.Steps < 0 {
		return fmt.Errorf("diffusion: %d corrector steps: must not be negative", c.Steps)
	}
	if !(c.snr() > 0) || math.IsInf(c.snr(), 0) {
		return fmt.Errorf("diffusion: corrector's signal-to-noise ratio = %g: must be positive", c.SNR)
	}
	return nil
}

// trace writes the corrections at a level down. The formula is the same in x and in
// x/α: the score's α is taken out by its norm.
func (c Langevin) trace(t *Tracer, x Vec, at Level) Vec {
	for range c.Steps {
		v := at.Sigma * at.Sigma
		score := t.Let(t.Eval(x, at, Data).Mul(at.Alpha/v).Add(-1/v, x))
		terms := []Term{t.Let(x)[0], score[0], {c.snr(), t.Draw()[0].R}}
		x = t.emit(Instr{Op: OpLangevin, Terms: terms, Each: c.Each})
	}
	return x
}

// langevin runs a corrector's step.
func (x *executor[T]) langevin(dst []T, in *Instr) error {
	at, score, z := x.reg(in.Terms[0].R), x.reg(in.Terms[1].R), x.reg(in.Terms[2].R)
	d := len(dst) / x.n
	group := x.n // samples that share a step
	if in.Each {
		group = 1
	}
	for i := 0; i < x.n; i += group {
		var noise, slope float64
		for j := i; j < i+group; j++ {
			noise += kern.Norm2(z[j*d : (j+1)*d])
			slope += kern.Norm2(score[j*d : (j+1)*d])
		}
		r := in.Terms[2].C * noise / slope
		h := 2 * r * r
		if !(h > 0) || math.IsInf(h, 0) {
			return fmt.Errorf("the corrector's step for sample %d is %g: the norms of its scores are %g on average", i, h, slope/float64(group))
		}
		lo, hi := i*d, (i+group)*d
		kern.Comb(dst[lo:hi], []T{1, T(h), T(math.Sqrt(2 * h))}, [][]T{at[lo:hi], score[lo:hi], z[lo:hi]})
	}
	return nil
}

// Coupled says whether a sample depends on the batch that it is in: the tape has a
// corrector whose norms are averaged.
func (tp *Tape) Coupled() bool {
	for i := range tp.Code {
		if tp.Code[i].Op == OpLangevin && !tp.Code[i].Each {
			return true
		}
	}
	return false
}
