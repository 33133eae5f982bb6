package adjointdpm

import (
	"context"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/lab"
)

var (
	eulerFrozen = rival{name: "Euler, ε constant in x", solver: "euler", frozen: true, o: adjoint.Options{Mode: adjoint.Continuous}}

	finders = []rival{eulerC, eulerD, eulerFrozen}
	// eulerTurned has the sign of the parameters' integral wrong; for the claim's test
	eulerTurned = rival{name: "Euler, the sign of the integral wrong", solver: "euler", o: adjoint.Options{Mode: adjoint.Continuous}}
	wanted      = []float64{.8, -.6} // the condition that is to be found
)

const (
	finderSteps = 20 // of Euler
	adamSteps   = 60
	adamRate    = .05

	apart = "distance from the discrete gradient's condition"
	off   = "distance from the true condition"
)

// condition finds a condition by its samples.
func condition() *lab.Experiment {
	return &lab.Experiment{
		Name:    "adjoint-dpm/condition",
		Title:   "Finding a condition from samples: loss over steps of Adam",
		Help:    "The condition shifts all means of a mixture of two Gaussians. Samples of the exact ODE under the true condition are given with the noise that they start from; the condition is sought from zero by Adam, through 20 steps of Euler. Figures are relative to the loss at the start.",
		Cost:    lab.Axis{Name: "Adam steps"},
		Quality: lab.Axis{Name: "loss over initial loss", Log: true},
		Version: 1,
		Params: append(sizes("32", "8", "3"),
			lab.Param{Name: "adam", Help: "numbers of steps of Adam", Kind: lab.Ints, Default: "5,10,20,40,60", At: map[lab.Size]string{lab.Quick: "60"}, Min: 1, Max: 1000}),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, r := range finders {
				for _, n := range v.Ints("adam") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: r.name, Budget: float64(n), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			r, err := find(append(slices.Clone(finders), eulerTurned), c.Method)
			if err != nil {
				return lab.Outcome{}, err
			}
			t := task{Mixture: broad, End: 1e-2, N: c.Values.Int("n"), Seed: c.Seed}
			found, ratio, err := t.find(ctx, r, int(c.Budget))
			if err != nil {
				return lab.Outcome{}, err
			}
			discrete, _, err := t.find(ctx, eulerD, int(c.Budget))
			if err != nil {
				return lab.Outcome{}, err
			}
			return lab.Outcome{Cost: c.Budget, Quality: ratio, Metrics: map[string]float64{
				apart: relative(found, discrete), off: relative(found, wanted),
			}}, nil
		},
		Claims: []lab.Claim{conditionClaim()},
	}
}

// find gives the condition that n steps of Adam reach, and the loss there over that
// at the start.
func (t task) find(ctx context.Context, r rival, n int) (c []float64, ratio float64, err error) {
	t.Shift = wanted
	samples, err := t.samples(ctx)
	if err != nil {
		return nil, 0, err
	}
	loss := func(x []float64, n int, grad []float64) (float64, error) {
		var y float64
		for i, v := range x {
			grad[i] = (v - samples[i]) / float64(n)
			y += (v - samples[i]) * (v - samples[i]) / float64(2*n)
		}
		return y, nil
	}
	t.Shift = nil
	p, err := t.problem(finderSteps, diffusion.LogSNR, false)
	if err != nil {
		return nil, 0, err
	}
	model := func(shift []float64) (diffusion.VJPDenoiser[float64], error) {
		m, err := gmm.NewTrainable(&t.Mixture, shift)
		return shifts{m, r}, err
	}
	d, err := adjoint.DescendParams(ctx, p, solvers[r.solver], loss, make([]float64, len(wanted)), model,
		adjoint.Descent{Iterations: n, Adam: adjoint.Adam{Rate: adamRate}, Gradient: r.o})
	if err != nil {
		return nil, 0, err
	}
	return d.Params, d.Losses[n] / d.Losses[0], nil
}

// shifts is a mixture whose parameters are its shift alone, on a rival's way back.
type shifts struct {
	*gmm.Trainable
	r rival
}

// Params counts the shift.
func (s shifts) Params() int { return len(wanted) }

// VJP keeps the shift's part.
func (s shifts) VJP(ctx context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	all := make([]float64, s.Trainable.Params())
	if err := s.Trainable.VJP(ctx, gx, x, a, n, at, all, weight); err != nil {
		return err
	}
	for i := range params {
		v := all[len(all)-len(params)+i]
		if s.r.name == eulerTurned.name {
			v = -v
		}
		params[i] += v
	}
	if s.r.frozen {
		clear(gx)
	}
	return nil
}
