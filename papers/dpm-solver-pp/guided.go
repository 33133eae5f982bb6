package dpmsolverpp

import (
	"context"

	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

var guidedRivals = []mixture.Rival{ddim, fast2, fast3, noise, s2, m2, m3, m3c, unipc}

// guided is the paper's main question on a mixture whose guided ODE is known
// exactly.
func guided() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/guided",
		Title:   "Samplers of a guided model: error over network evaluations",
		Help:    "A mixture of ten Gaussians in sixteen dimensions, guided to three of them, stands in for a guided image model. The error is the distance to the exact solution of the same guided ODE from the same start.",
		Cost:    nfe,
		Quality: rmsError,
		Params: []lab.Param{
			{Name: "problem", Help: "laboratory problem", Kind: lab.Choice, Default: "packed16-cfg", Choices: []string{"packed16-cfg", "cfg8-cfg"}},
			{Name: "schedule", Help: "noise schedule", Kind: lab.Choice, Default: "ddpm-discrete", Choices: []string{"ddpm-discrete", "vp-linear"}},
			{Name: "guidance", Help: "guidance scales, a panel each", Kind: lab.Floats, Default: "1,7.5", Min: 0, Max: 100},
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,8,10,15,20,30,50",
				At: map[lab.Size]string{lab.Quick: "10,15,20", lab.Full: "5,6,8,10,12,15,20,25,30,40,50,75,100"}, Min: 3, Max: 10000},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16", lab.Full: "256"}, Min: 1, Max: 100000},
			seeds,
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, guidancePanels(v), guidedRivals, false), nil
		},
		Run:    runGuided,
		Claims: guidedClaims(),
	}
}

func runGuided(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, err := mixture.Lab(c.Values.Text("problem"), c.Values.Text("schedule"))
	if err != nil {
		return lab.Outcome{}, err
	}
	scale, err := guidanceOf(c)
	if err != nil {
		return lab.Outcome{}, err
	}
	m, err := mixture.RivalNamed(guidedRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, Guidance: scale, N: c.Values.Int("n"), Seed: c.Seed}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	s, err := t.Sample(ctx, m, int(c.Budget), nil)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, exact), Metrics: map[string]float64{"network passes": float64(s.Passes)}}, nil
}
