package dpmsolverpp

import (
	"context"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

const (
	noThreshold      = "no thresholding"
	staticThreshold  = "static thresholding"
	dynamicThreshold = "dynamic thresholding"
)

var thresholds = []mixture.Rival{{Name: noThreshold}, {Name: staticThreshold}, {Name: dynamicThreshold}}

// thresholding asks how much of a strongly guided sample leaves the range of the data.
func thresholding() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/thresholding",
		Title:   "Thresholding: how much of a guided sample leaves the range of the data",
		Help:    "The ten Gaussians with their means clipped to [−1, 1] stand in for pixels. DPM-Solver++(2M) samples them at a large guidance scale; the figure is the share of coordinates outside [−1.05, 1.05].",
		Cost:    nfe,
		Quality: lab.Axis{Name: "coordinates out of range", Unit: "%"},
		Params: []lab.Param{
			{Name: "guidance", Help: "guidance scale", Kind: lab.Float, Default: "8", Min: 0, Max: 100},
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "10,15,20,30,50", At: map[lab.Size]string{lab.Quick: "10,20"}, Min: 2, Max: 10000},
			{Name: "quantile", Help: "of |x₀| in a sample, for dynamic thresholding", Kind: lab.Float, Default: "0.995", Min: 0.01, Max: 1},
			{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "32"}, Min: 1, Max: 100000},
			seeds,
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, []string{""}, thresholds, false), nil
		},
		Run:    runThresholding,
		Claims: []lab.Claim{thresholdingClaim()},
	}
}

func runThresholding(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, err := mixture.Lab("packed16-cfg", "ddpm-discrete")
	if err != nil {
		return lab.Outcome{}, err
	}
	for _, mu := range p.Fixture.Mu {
		for i, x := range mu {
			mu[i] = min(max(x, -1), 1)
		}
	}
	var hook diffusion.Hook[float64]
	switch c.Method {
	case staticThreshold:
		hook, err = diffusion.StaticThreshold[float64](1)
	case dynamicThreshold:
		hook, err = diffusion.DynamicThreshold[float64](c.Values.Float("quantile"), 1)
	}
	if err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, Guidance: c.Values.Float("guidance"), N: c.Values.Int("n"), Seed: c.Seed}
	s, err := t.Sample(ctx, diffusion.DPMSolver{}, int(c.Budget), hook)
	if err != nil {
		return lab.Outcome{}, err
	}
	out := 0
	for _, x := range s.X {
		if math.Abs(x) > 1.05 {
			out++
		}
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: 100 * float64(out) / float64(len(s.X))}, nil
}
