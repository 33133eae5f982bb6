package dpmsolver

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{speedup(), convergence(), adaptive(), onNetwork()}
}

// singlestep is DPM-Solver of an order, all steps of which have that order.
func fixed(order int) diffusion.Method {
	return diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.SinglestepFixed, Order: order}
}

var (
	ddim  = mixture.Rival{Name: "DDIM", Method: diffusion.DDIM{}}
	fast2 = mixture.Rival{Name: "DPM-Solver-2", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.Singlestep}, Least: 2}
	fast3 = mixture.Rival{Name: "DPM-Solver-fast-3", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.Singlestep, Order: 3}, Least: 3}
	multi = mixture.Rival{Name: "DPM-Solver(3M), corrected", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Order: 3, ThirdOrder: diffusion.Corrected}, Least: 3}
	tab3  = mixture.Rival{Name: "tAB3-DEIS", Method: diffusion.DEIS{}}
	heun  = mixture.Rival{Name: "ρ2Heun-DEIS", Method: diffusion.RhoRK{}, Spacing: diffusion.Karras, PerStep: 2}

	overlap = mixture.Setting{Problem: "overlap8", Schedule: "vp-linear"}
	packed  = mixture.Setting{Problem: "packed16", Schedule: "vp-linear"}
	smooth  = mixture.Setting{Problem: "smooth", Schedule: "vp-linear", End: 1e-2}
)

func speedup() *lab.Experiment {
	return mixture.Arena{
		Name:     "dpm-solver/speedup",
		Title:    "DPM-Solver against DDIM and others: error over network evaluations",
		Help:     "Two unconditional mixtures of Gaussians on the linear VP schedule. The error is the distance to the exact solution from the same start. Below some 12 evaluations the third-order solver is worse than DDIM here.",
		Settings: []mixture.Setting{overlap, packed},
		Rivals:   []mixture.Rival{ddim, fast2, fast3, multi, tab3, heun},
		Budgets:  map[lab.Size]string{lab.Quick: "20,30,80,300", lab.Desk: "5,8,10,12,15,20,30,50,80,300", lab.Full: "5,6,8,10,12,15,20,25,30,40,50,80,100,200,300,1000"},
		Claims:   speedupClaims(),
	}.Experiment()
}

func convergence() *lab.Experiment {
	order := func(name string, o int) mixture.Rival {
		return mixture.Rival{Name: name, Method: fixed(o), Least: o}
	}
	return mixture.Arena{
		Name:     "dpm-solver/convergence",
		Title:    "Order of convergence of DPM-Solver-1, -2 and -3",
		Help:     "Three Gaussians in two dimensions on the linear VP schedule from t = 1 to 0.01, steps evenly in λ. On logarithmic axes a method of order p is a line of slope −p.",
		Settings: []mixture.Setting{smooth},
		Rivals:   []mixture.Rival{order("DPM-Solver-1", 1), order("DPM-Solver-2", 2), order("DPM-Solver-3", 3)},
		Budgets:  map[lab.Size]string{lab.Quick: "120,240,480", lab.Desk: "30,60,120,240,480", lab.Full: "30,60,120,240,480,960"},
		Claims:   []lab.Claim{orderClaim()},
	}.Experiment()
}

func speedupClaims() []lab.Claim {
	at := func(s mixture.Setting, r mixture.Rival, n float64) lab.Term { return lab.At(s.String(), r.Name, n) }
	return []lab.Claim{
		{
			Name:  "20 evaluations are worth 80 of DDIM",
			Text:  "DPM-Solver-fast-3 with 20 evaluations is at least as near the exact solution as DDIM with 80, on both problems; with 30 on overlap8 it matches 300.",
			Paper: "4 to 16 times faster than earlier samplers without training; FID 4.70 with 10 evaluations and 2.87 with 20 on CIFAR-10 (abstract)",
			Judge: lab.All(
				lab.AtMost(at(overlap, fast3, 20), at(overlap, ddim, 80)),
				lab.AtMost(at(packed, fast3, 20), at(packed, ddim, 80)),
				lab.AtMost(at(overlap, fast3, 30), at(overlap, ddim, 300))),
		},
		{
			Name:  "10 evaluations suffice",
			Text:  "At 10 evaluations DPM-Solver-fast-3 is nearer the exact solution than DDIM.",
			Paper: "the same; \"in around 10 steps\" is in the title",
			Judge: lab.All(lab.Less(at(overlap, fast3, 10), at(overlap, ddim, 10)), lab.Less(at(packed, fast3, 10), at(packed, ddim, 10))),
		},
	}
}

func orderClaim() lab.Claim {
	order := func(name string) lab.Term { return lab.Order(smooth.String(), name, 120, 480) }
	return lab.Claim{
		Name:  "orders of convergence",
		Text:  "DPM-Solver-k converges at order k, for k = 1, 2, 3.",
		Paper: "DPM-Solver-k is a solver of order k (theorem 3.2, under smoothness)",
		Judge: lab.All(
			lab.Within(order("DPM-Solver-1"), 0.85, 1.15),
			lab.Within(order("DPM-Solver-2"), 1.85, 2.15),
			lab.Within(order("DPM-Solver-3"), 2.85, 3.15)),
	}
}

// adaptive varies the tolerance of the adaptive solvers: the budget is 1/rtol.
func adaptive() *lab.Experiment {
	orders := map[string]int{"DPM-Solver-12": 2, "DPM-Solver-23": 3}
	return &lab.Experiment{
		Name: "dpm-solver/adaptive", Title: "Adaptive steps: error over network evaluations as the tolerance falls",
		Help:    "overlap8 on the linear VP schedule. The points of a curve are relative tolerances, and the cost is what the solver spent, rejected steps included.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Budget:  "1/rtol",
		Version: 1,
		Params: []lab.Param{
			{Name: "rtol", Help: "relative tolerances, as their reciprocals", Kind: lab.Floats, Default: "10,20,40,80,160,320", At: map[lab.Size]string{lab.Quick: "20,80"}, Min: 1, Max: 1e6},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "16", Min: 1, Max: 10000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range []string{"DPM-Solver-12", "DPM-Solver-23"} {
				for _, b := range v.Floats("rtol") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: b, Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			p, err := overlap.Load()
			if err != nil {
				return lab.Outcome{}, err
			}
			t := mixture.Trial{Problem: p, N: c.Values.Int("n"), Seed: c.Seed}
			exact, err := t.Exact(ctx)
			if err != nil {
				return lab.Outcome{}, err
			}
			s, err := t.SampleAdaptive(ctx, diffusion.Adaptive{Form: diffusion.NoiseForm, Order: orders[c.Method], RelTol: 1 / c.Budget, AbsTol: 0.0078 * 20 / c.Budget})
			if err != nil {
				return lab.Outcome{}, err
			}
			return lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, exact)}, nil
		},
		Claims: []lab.Claim{{
			Name: "the tolerance governs the error",
			Text: "Going from a relative tolerance of 0.05 to 0.0125 lowers the error of both adaptive solvers.",
			Judge: lab.All(
				lab.Less(lab.At("", "DPM-Solver-12", 80), lab.At("", "DPM-Solver-12", 20)),
				lab.Less(lab.At("", "DPM-Solver-23", 80), lab.At("", "DPM-Solver-23", 20))),
		}},
	}
}

// onNetwork is the same question on a trained network.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "dpm-solver/denoiser",
		Title:    "DPM-Solver on a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Rivals:   []mixture.Rival{ddim, fast2, fast3, multi, tab3, heun},
		Budgets:  map[lab.Size]string{lab.Quick: "10,20", lab.Desk: "5,8,10,12,15,20,30"},
		Guidance: "1",
		Claims: []lab.Claim{{
			Name:  "DPM-Solver beats DDIM on a trained network",
			Text:  "DPM-Solver-fast-3 is nearer to the network's own exact solution than DDIM at 12 and 20 evaluations.",
			Paper: "FID 4.70 with 10 evaluations and 2.87 with 20 on CIFAR-10 (abstract)",
			Judge: func(c lab.Curves) lab.Verdict {
				panel := c.Panels()[0]
				return lab.All(lab.Beats(panel, fast3.Name, ddim.Name, 12, 20)...)(c)
			},
		}},
	}.Experiment()
}
