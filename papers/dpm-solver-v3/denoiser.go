package dpmsolverv3

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// statisticsSeed draws the samples behind a network's statistics, apart from those
// of the tests.
const statisticsSeed = 1e6

// onNetwork is the same question on a trained network, whose statistics are
// estimated first.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "dpm-solver-v3/denoiser",
		Title:    "DPM-Solver-v3 on a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file. Its statistics are estimated on samples that it draws itself, pixel by pixel, with random probes of its Jacobian. The error is the distance to the same network's own solution with 1000 steps.",
		Rivals:   append(append([]mixture.Rival(nil), rivals[:6]...), mixture.Rival{Name: v3}, mixture.Rival{Name: v3Data}),
		Budgets:  map[lab.Size]string{lab.Quick: "6,10", lab.Desk: "5,6,8,10,15,20"},
		Guidance: "1",
		Params: []lab.Param{
			{Name: "rows", Help: "intervals of the statistics' grid", Kind: lab.Int, Default: "60", At: map[lab.Size]string{lab.Quick: "40", lab.Full: "240"}, Min: 10, Max: 10000},
			{Name: "samples", Help: "samples behind the statistics", Kind: lab.Int, Default: "40", At: map[lab.Size]string{lab.Quick: "4", lab.Full: "400"}, Min: 2, Max: 100000},
			{Name: "probes", Help: "random probes of the Jacobian a sample", Kind: lab.Int, Default: "1", At: map[lab.Size]string{lab.Full: "4"}, Min: 1, Max: 1000},
		},
		Make: func(ctx context.Context, t nets.Trial, r mixture.Rival, steps int, v lab.Values) (diffusion.Method, error) {
			t.N, t.Seed = v.Int("samples"), statisticsSeed
			rows, probes := v.Int("rows"), v.Int("probes")
			st, err := nets.Fitted(ctx, t, "network-statistics", []int{rows, probes, 1}, func(ctx context.Context) (*diffusion.Statistics, error) {
				m, err := t.Differentiable()
				if err != nil {
					return nil, err
				}
				e := ems.Estimator{Model: m, Probes: probes, Seed: statisticsSeed}
				return e.FromModel(ctx, diffusion.Grid{Schedule: t.Model.Schedule, Steps: 50}, t.N, t.Model.Len(), rows)
			})
			if err != nil {
				return nil, err
			}
			return diffusion.DPMSolverV3{Statistics: st, Order: 2, Degenerate: r.Name == v3Data}, nil
		},
		Claims: []lab.Claim{{
			Name:  "statistics of a trained network pay",
			Text:  "At 6 and 10 evaluations DPM-Solver-v3 is nearer to the network's own exact solution than DPM-Solver++(2M) and UniPC-3.",
			Paper: "15 to 30 % fewer evaluations than the best sampler before (abstract)",
			Judge: func(c lab.Curves) lab.Verdict {
				panel := c.Panels()[0]
				return lab.All(append(lab.Beats(panel, v3, "DPM-Solver++(2M)", 6, 10), lab.Beats(panel, v3, "UniPC-3 bh1", 6, 10)...)...)(c)
			},
		}},
	}.Experiment()
}
