package diffusion

import (
	"cmp"
	"context"
	"fmt"
	"math"
)

// Adaptive is DPM-Solver-12 and -23: Lu et al. 2022, appendix C. It takes steps of
// two neighbouring orders from the same evaluations and lets their distance
// choose the step in λ. One step size serves the whole batch, so samples depend
// on the batch that they are in.
type Adaptive struct {
	Form   Form    // default DataForm; the paper's is NoiseForm
	Order  int     // 2 or 3: of the step that is kept; 0: 3
	AbsTol float64 // 0: 0.0078, a grey level of 8-bit images in [−1, 1]
	RelTol float64 // 0: 0.05
	Safety float64 // θ; 0: 0.9
	First  float64 // the first step in λ; 0: 0.05
	EndTol float64 // how near in t the end must be reached; 0: 10⁻⁵
	MaxNFE int     // 0: 10000
}

// withDefaults fills in zero fields and checks the others.
func (a Adaptive) withDefaults() (Adaptive, error) {
	a.Order = cmp.Or(a.Order, 3)
	a.AbsTol, a.RelTol = cmp.Or(a.AbsTol, 0.0078), cmp.Or(a.RelTol, 0.05)
	a.Safety, a.First = cmp.Or(a.Safety, 0.9), cmp.Or(a.First, 0.05)
	a.EndTol, a.MaxNFE = cmp.Or(a.EndTol, 1e-5), cmp.Or(a.MaxNFE, 10000)
	if a.Order != 2 && a.Order != 3 {
		return a, fmt.Errorf("diffusion: adaptive DPM-Solver of order %d: must be 2 or 3", a.Order)
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"absolute tolerance", a.AbsTol}, {"relative tolerance", a.RelTol}, {"safety factor", a.Safety}, {"first step", a.First}, {"end tolerance", a.EndTol}} {
		if !(v.value > 0) || math.IsInf(v.value, 0) {
			return a, fmt.Errorf("diffusion: adaptive DPM-Solver: %s = %g: must be positive", v.name, v.value)
		}
	}
	if a.MaxNFE < a.Order {
		return a, fmt.Errorf("diffusion: adaptive DPM-Solver: at most %d evaluations: a step takes %d", a.MaxNFE, a.Order)
	}
	return a, nil
}

// A trial is one step between two levels as a method: it returns the update of
// the full order and the one below.
type trial struct {
	solver   DPMSolver
	from, to Level
}

func (tr trial) Trace(t *Tracer, g Grid) error {
	x := t.Input()
	h := tr.to.Lambda - tr.from.Lambda
	inner := []Level{g.at(tr.from.Lambda + h/2)}
	if tr.solver.Order == 3 {
		inner = []Level{g.at(tr.from.Lambda + h/3), g.at(tr.from.Lambda + 2*h/3)}
	}
	high, low := tr.solver.singlestepUpdate(t, x, tr.from, tr.to, inner)
	t.Return(high, low)
	return nil
}

// growthIfExact is how much a step grows after one that shows no error at all.
const growthIfExact = 10

// SolveAdaptive runs an adaptive solver from the grid's start to its end; the
// grid's Steps and Spacing play no part. Solution.NFE counts the evaluations of
// rejected steps as well, and Solution.Tape is nil. A [Step]'s Of is 0: how many
// steps there will be is not known.
func SolveAdaptive[T Float](ctx context.Context, p Problem[T], a Adaptive) (Solution[T], error) {
	var none Solution[T]
	a, err := a.withDefaults()
	if err != nil {
		return none, err
	}
	start, end, err := p.Grid.ends()
	if err != nil {
		return none, err
	}
	if start < end || p.Grid.ToZero {
		return none, fmt.Errorf("diffusion: adaptive DPM-Solver from t = %g to %g: runs from noise to data, and not to σ = 0", start, end)
	}
	if p.Model == nil || p.N < 1 || len(p.X) == 0 || len(p.X)%p.N != 0 {
		return none, fmt.Errorf("diffusion: %d samples of %d numbers with model %v: want a model and samples of equal size", p.N, len(p.X), p.Model)
	}
	if err := checkReversion(p.Model, p.Grid.Schedule); err != nil {
		return none, err
	}
	solver := DPMSolver{Form: a.Form, Order: a.Order}
	at, last := p.Grid.Schedule.At(start), p.Grid.Schedule.At(end)
	x, previous := append([]T(nil), p.X...), p.X
	h, nfe := a.First, 0
	for step := 0; math.Abs(at.T-last.T) > a.EndTol; {
		if nfe+a.Order > a.MaxNFE {
			return none, fmt.Errorf("diffusion: adaptive DPM-Solver: t = %g after %d evaluations, with steps of %.3g in λ: more than %d are not allowed", at.T, nfe, h, a.MaxNFE)
		}
		to := p.Grid.at(at.Lambda + h)
		tape, err := Trace(trial{solver, at, to}, p.Grid, TraceOptions{Predicts: p.Model.Predicts(), Hook: p.Hook != nil})
		if err != nil {
			return none, err
		}
		out, err := Run(ctx, tape, Env[T]{Model: p.Model, Hook: p.Hook}, p.N, x)
		if err != nil {
			return none, fmt.Errorf("%w (adaptive step %d from t = %g)", err, step+1, at.T)
		}
		nfe += tape.NFE()
		e := errorNorm(out[0], out[1], previous, p.N, a.AbsTol, a.RelTol)
		if e <= 1 {
			x, previous, at = out[0], out[1], to
			if p.OnStep != nil {
				if err := p.OnStep(Step[T]{Index: step, Level: at, X: x}); err != nil {
					return none, err
				}
			}
			step++
		}
		growth := float64(growthIfExact)
		if e > 0 {
			growth = a.Safety * math.Pow(e, -1/float64(a.Order))
		}
		h = min(h*growth, last.Lambda-at.Lambda)
	}
	return Solution[T]{X: x, NFE: nfe, Passes: nfe * Passes(p.Model)}, nil
}

// errorNorm is the largest over the samples of the root mean square of (high −
// low)/max(absTol, relTol·max(|low|, |previous|)).
func errorNorm[T Float](high, low, previous []T, n int, absTol, relTol float64) float64 {
	d := len(high) / n
	worst := 0.0
	for i := range n {
		sum := 0.0
		for j := i * d; j < (i+1)*d; j++ {
			scale := max(absTol, relTol*max(math.Abs(float64(low[j])), math.Abs(float64(previous[j]))))
			e := (float64(high[j]) - float64(low[j])) / scale
			sum += e * e
		}
		worst = max(worst, math.Sqrt(sum/float64(d)))
	}
	return worst
}
