package dmcmc

import (
	"context"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// flowSkip is the walk of a sample before the adaptive solver.
const flowSkip = 4

var (
	ode         = rival{name: "ODE"}
	dlgODE      = of(drawn, "DLG + ", ode)
	flowRivals  = []rival{ode, dlgODE}
	flowCripple = of(fromTop, "from the top + ", ode)
)

// flow is the experiment with the adaptive solver.
func flow() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dmcmc/ode",
		Title:   "Denoising MCMC before the adaptive ODE solver: what the same tolerance costs",
		Help:    "The problem of dmcmc/calls, with Dormand and Prince's method of order 5 at equal absolute and relative tolerance, from pure noise and from chains that walk 4 iterations a sample. The calls are what the solver took, rejected steps and the walk included.",
		Cost:    mixture.NFE,
		Quality: distance,
		Budget:  "digits of the tolerance",
		Version: 1,
		Params: chainParams(lab.Param{Name: "digits", Help: "−log₁₀ of the tolerance", Kind: lab.Ints, Default: "2,3,4,5",
			At: map[lab.Size]string{lab.Quick: "5", lab.Full: "1,2,3,4,5,6"}, Min: 1, Max: 12}),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, r := range flowRivals {
				for _, b := range v.Ints("digits") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: r.name, Budget: float64(b), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			r, err := find(append(slices.Clone(flowRivals), flowCripple), c.Method)
			if err != nil {
				return lab.Outcome{}, err
			}
			tol := math.Pow(10, -c.Budget)
			r.flow = &diffusion.Flow{RelTol: tol, AbsTol: tol}
			o, err := runRival(ctx, c, r, flowSkip, 0)
			if err == nil {
				o.Metrics["calls"] = o.Cost
			}
			return o, err
		},
		Claims: []lab.Claim{flowClaim()},
	}
}
