package bdia

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// The panels of the experiment on sampling.
const (
	evenTime   = "even in time"
	evenLogSNR = "even in log SNR"
)

var spacings = map[string]diffusion.Spacing{evenTime: diffusion.TimeUniform, evenLogSNR: diffusion.LogSNR}

var (
	ddim = mixture.Rival{Name: "DDIM", Method: diffusion.DDIM{}}
	m2   = mixture.Rival{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}, Least: 2}
	pair = mixture.Rival{Name: coupling, Method: edict{mix: 0.93, one: true}, PerStep: 2}
)

// samplers are the rivals in sampling, with a BDIA for every γ.
func samplers(v lab.Values) []mixture.Rival {
	rs := []mixture.Rival{ddim, m2, pair}
	for _, gamma := range v.Floats("gamma") {
		rs = append(rs, mixture.Rival{Name: bdiaName(gamma), Method: diffusion.BDIA{}.WithGamma(gamma)})
	}
	return rs
}

// sampling asks what BDIA is worth as a sampler.
func samplingExperiment() *lab.Experiment {
	return &lab.Experiment{
		Name:    "bdia/sampling",
		Title:   "BDIA-DDIM as a sampler: error over network evaluations, γ by γ",
		Help:    "A mixture of three Gaussians on the linear VP schedule from t = 1 to 0.001. The error is the mean distance to the exact solution from the same start. One panel has steps evenly in time, the authors' choice, the other evenly in the logarithm of the signal-to-noise ratio.",
		Cost:    mixture.NFE,
		Quality: lab.Axis{Name: "mean distance", Log: true},
		Params: []lab.Param{
			gammaParam("0.25,0.5,0.75,0.9,1"),
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "10,20,40,80,160,320", At: map[lab.Size]string{lab.Quick: "10,20,80,160,320", lab.Full: "5,10,20,40,80,160,320,640"}, Min: 2, Max: 100000},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "64", lab.Full: "1024"}, Min: 1, Max: 100000},
			seedsParam("3"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, []string{evenTime, evenLogSNR}, samplers(v), false), nil
		},
		Run:    runSampling,
		Claims: samplingClaims(),
	}
}

func runSampling(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, _, _, err := smooth()
	if err != nil {
		return lab.Outcome{}, err
	}
	return against(ctx, c, p, samplers(c.Values), spacings[c.Panel])
}

// against is the distance of a rival from the exact solution.
func against(ctx context.Context, c lab.Cell, p *mixture.Problem, rivals []mixture.Rival, spacing diffusion.Spacing) (lab.Outcome, error) {
	r, err := mixture.FindRival(rivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	if spacing.Place == nil {
		return lab.Outcome{}, fmt.Errorf("panel %q is unknown", c.Panel)
	}
	t := mixture.Trial{Problem: p, N: c.Values.Int("n"), Seed: c.Seed}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	s, err := t.SampleOn(ctx, r.Method, r.Steps(int(c.Budget), false), spacing)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: meanDistance(s.X, exact, t.N)}, nil
}

// The rivals over EDM.
var (
	edm     = mixture.Rival{Name: "EDM", Method: diffusion.RhoRK{}, PerStep: 2}
	reuse1  = mixture.Rival{Name: "BDIA-EDM, γ = 1", Method: diffusion.BDIA{Base: diffusion.RhoRK{}}, PerStep: 2}
	reuse5  = mixture.Rival{Name: "BDIA-EDM, γ = 0.5", Method: diffusion.BDIA{Base: diffusion.RhoRK{}, Gamma: 0.5}, PerStep: 2}
	full1   = mixture.Rival{Name: "BDIA-EDM, full, γ = 1", Method: diffusion.BDIA{Base: diffusion.RhoRK{}, Backward: diffusion.Full}, PerStep: 3}
	full5   = mixture.Rival{Name: "BDIA-EDM, full, γ = 0.5", Method: diffusion.BDIA{Base: diffusion.RhoRK{}, Backward: diffusion.Full, Gamma: 0.5}, PerStep: 3}
	edmList = []mixture.Rival{edm, reuse1, reuse5, full1, full5}
)

// The panels over EDM.
var edmProblems = []string{"three Gaussians", "overlap8"}

// overEDM asks the same of BDIA over Heun's method.
func overEDM() *lab.Experiment {
	return &lab.Experiment{
		Name:    "bdia/edm",
		Title:   "BDIA-EDM against EDM: error over network evaluations",
		Help:    "Two mixtures of Gaussians with noise levels from 80 to 0.002 on Karras's grid. The error is the mean distance to the exact solution from the same start. BDIA-EDM reuses the slope at the older end of a step, at two evaluations a step as EDM; in its full reading it takes a step of Heun's backwards, at three.",
		Cost:    mixture.NFE,
		Quality: lab.Axis{Name: "mean distance", Log: true},
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "12,20,40,80,160", At: map[lab.Size]string{lab.Quick: "20,40,80", lab.Full: "12,20,40,80,160,320"}, Min: 3, Max: 100000},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "64", lab.Full: "1024"}, Min: 1, Max: 100000},
			seedsParam("3"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, edmProblems, edmList, false), nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			p, err := mixture.Smooth()
			if c.Panel == edmProblems[1] {
				p, err = mixture.Lab("overlap8", "vp-linear")
			}
			if err != nil {
				return lab.Outcome{}, err
			}
			p.Schedule = mixture.Schedule{Kind: "edm"}
			p.TStart, p.TEnd = 80, 0.002
			return against(ctx, c, p, edmList, diffusion.Karras)
		},
		Claims: []lab.Claim{edmClaim()},
	}
}
