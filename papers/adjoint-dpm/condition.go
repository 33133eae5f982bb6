package adjointdpm

import (
	"context"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
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
	adam := adjoint.Adam{Rate: adamRate}
	c = make([]float64, len(wanted))
	first := math.NaN()
	for i := 0; ; i++ {
		t.Shift = c
		p, err := t.problem(finderSteps, diffusion.LogSNR, r.frozen)
		if err != nil {
			return nil, 0, err
		}
		g, err := adjoint.Solve(ctx, p, solvers[r.solver], loss, r.o)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 {
			first = g.Loss
		}
		if i == n {
			return c, g.Loss / first, nil
		}
		grad := g.Params[len(g.Params)-len(c):]
		if r.name == eulerTurned.name {
			for j := range grad {
				grad[j] = -grad[j]
			}
		}
		if err := adam.Step(c, grad); err != nil {
			return nil, 0, err
		}
	}
}
