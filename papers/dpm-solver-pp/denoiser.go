package dpmsolverpp

import (
	"context"

	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

var networkRivals = []mixture.Rival{ddim, s2, m2, m3}

// denoiser is the paper's main question on a trained network.
func denoiser() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/denoiser",
		Title:   "Samplers of a trained network: error over network evaluations",
		Help:    "A network trained on handwritten digits, or one that you bring as an ONNX file. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Cost:    nfe,
		Quality: rmsError,
		Params: append(nets.Params(),
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each, for networks that take labels", Kind: lab.Floats, Default: "1,7.5", Min: 0, Max: 100},
			lab.Param{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,8,10,15,20,30",
				At: map[lab.Size]string{lab.Quick: "10,15", lab.Full: "5,6,8,10,12,15,20,25,30,40,50,100"}, Min: 3, Max: 10000},
			lab.Param{Name: "truth", Help: "steps of the reference solution", Kind: lab.Int, Default: "1000", At: map[lab.Size]string{lab.Quick: "50"}, Min: 10, Max: 100000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "10", At: map[lab.Size]string{lab.Quick: "2", lab.Full: "100"}, Min: 1, Max: 10000},
			lab.Param{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		),
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			m, err := nets.Open(v)
			if err != nil {
				return nil, err
			}
			return cells(v, nets.Panels(m, v.Floats("guidance")), networkRivals, v.Ints("nfe")), nil
		},
		Run:    runDenoiser,
		Claims: denoiserClaims(),
	}
}

func runDenoiser(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := nets.Open(c.Values)
	if err != nil {
		return lab.Outcome{}, err
	}
	r, err := mixture.RivalNamed(networkRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	t := nets.Trial{Model: m, Panel: c.Panel, N: c.Values.Int("n"), Seed: c.Seed}
	truth, err := t.Truth(ctx, c.Values.Int("truth"))
	if err != nil {
		return lab.Outcome{}, err
	}
	s, err := t.Sample(ctx, r, int(c.Budget))
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, truth), Metrics: map[string]float64{"network passes": float64(s.Passes)}}, nil
}
