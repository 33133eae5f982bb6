package dpmsolverpp

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

var convergenceRivals = []mixture.Rival{ddim, {Name: s2.Name, Method: diffusion.DPMSolver{Mode: diffusion.SinglestepFixed}}, m2, m3, m3c}

// convergence measures the order of every method on a small smooth problem.
func convergence() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/convergence",
		Title:   "Order of convergence",
		Help:    "Three Gaussians in two dimensions on the linear VP schedule from t = 1 to 0.01, steps evenly in λ. On logarithmic axes a method of order p is a line of slope −p.",
		Cost:    nfe,
		Quality: rmsError,
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "30,60,120,240,480",
				At: map[lab.Size]string{lab.Quick: "120,240,480", lab.Full: "30,60,120,240,480,960"}, Min: 4, Max: 100000},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16"}, Min: 1, Max: 100000},
			seeds,
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, []string{""}, convergenceRivals, false), nil
		},
		Run:    runConvergence,
		Claims: []lab.Claim{orderClaim()},
	}
}

func runConvergence(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, err := mixture.Smooth()
	if err != nil {
		return lab.Outcome{}, err
	}
	p.TEnd = 1e-2
	m, err := mixture.RivalNamed(convergenceRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, N: c.Values.Int("n"), Seed: c.Seed}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	s, err := t.Sample(ctx, m, int(c.Budget), nil)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, exact)}, nil
}
