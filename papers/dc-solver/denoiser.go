package dcsolver

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// onNetwork is the same question on a trained network.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "dc-solver/denoiser",
		Title:    "Dynamic compensation on a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file, under guidance. Ratios are searched on 10 noises, with the network's Jacobian by differences, and tested on others. The error is the distance to the same network's own solution with 1000 steps.",
		Rivals:   []mixture.Rival{ddim, m2, bh1, bh2, dcBH1},
		Budgets:  map[lab.Size]string{lab.Quick: "5", lab.Desk: "5,8,10", lab.Full: "5,6,8,10,12,15"},
		Guidance: "7.5",
		Params: []lab.Param{
			{Name: "iterations", Help: "of the search, a step", Kind: lab.Int, Default: "15", At: map[lab.Size]string{lab.Quick: "3", lab.Full: "40"}, Min: 1, Max: 1000},
		},
		Make: func(ctx context.Context, t nets.Trial, r mixture.Rival, steps int, v lab.Values) (diffusion.Method, error) {
			t.N, t.Seed = points, searchSeed
			iterations := v.Int("iterations")
			found, err := nets.Fitted(ctx, t, "network-ratios", []any{r.Name, steps, iterations, 1}, func(ctx context.Context) (diffusion.Found, error) {
				return searchOn(ctx, t, bases[r.Name], steps, iterations)
			})
			return diffusion.DCSolver{Base: bases[r.Name], Ratios: found.Ratios}, err
		},
		Claims: []lab.Claim{{
			Name:  "compensation improves UniPC on a trained network",
			Text:  "Compensation lowers the error of UniPC-3 bh1 on other noises than those searched, at 5, 8 and 10 evaluations.",
			Paper: "MSE 0.394 with 5 evaluations at guidance 7.5 on Stable Diffusion 2.1, against 0.434 of UniPC",
			Judge: func(c lab.Curves) lab.Verdict {
				return lab.All(lab.Beats(c.Panels()[0], dcBH1.Name, bh1.Name, 5, 8, 10)...)(c)
			},
		}},
	}.Experiment()
}

// fine is the number of steps of the reference between two levels of the grid.
const fine = 40

// searchOn searches ratios on a network: the reference is a fine solution from level
// to level.
func searchOn(ctx context.Context, t nets.Trial, base diffusion.Method, steps, iterations int) (diffusion.Found, error) {
	m, err := t.Differentiable()
	if err != nil {
		return diffusion.Found{}, err
	}
	g := diffusion.Grid{Schedule: t.Model.Schedule, Steps: steps}
	x, err := diffusion.Start[float64](g, t.N, t.Model.Len(), diffusion.Seeded(t.Seed))
	if err != nil {
		return diffusion.Found{}, err
	}
	ls, err := g.Levels(steps)
	if err != nil {
		return diffusion.Found{}, err
	}
	reference := [][]float64{x}
	for i := range steps {
		between := diffusion.Grid{Schedule: g.Schedule, Steps: fine, Start: ls[i].T, End: ls[i+1].T}
		s, err := diffusion.Solve(ctx, diffusion.Problem[float64]{Model: m, Grid: between, X: reference[i], N: t.N}, diffusion.DPMSolver{})
		if err != nil {
			return diffusion.Found{}, err
		}
		reference = append(reference, s.X)
	}
	p := diffusion.Problem[float64]{Grid: g, X: x, N: t.N}
	return diffusion.RatioSearch{Base: base, Iterations: iterations, Best: true, Lo: 0.2, Hi: 2}.Run(ctx, p, m, reference)
}
