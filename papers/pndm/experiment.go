package pndm

import (
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{speedup(), convergence(), onNetwork()}
}

var (
	ddim  = mixture.Rival{Name: "DDIM", Method: diffusion.PNDM{Order: 1}}
	fon   = mixture.Rival{Name: "FON", Method: diffusion.FON{}}
	spndm = mixture.Rival{Name: "S-PNDM", Method: diffusion.PNDM{Start: diffusion.PseudoImprovedEuler, Order: 2}}
	fpndm = mixture.Rival{Name: "F-PNDM", Method: diffusion.PNDM{}}
	plms  = mixture.Rival{Name: "PLMS", Method: diffusion.PNDM{Start: diffusion.PseudoImprovedEuler}}
	ipndm = mixture.Rival{Name: "iPNDM", Method: diffusion.PNDM{Start: diffusion.PseudoEuler}}
)

var (
	smooth   = mixture.Setting{Problem: "smooth", Schedule: "ddpm-discrete"}
	overlap  = mixture.Setting{Problem: "overlap8", Schedule: "ddpm-discrete"}
	packed   = mixture.Setting{Problem: "packed16", Schedule: "ddpm-discrete"}
	cosine   = mixture.Setting{Problem: "overlap8", Schedule: "cosine-discrete"}
	uniform  = mixture.Setting{Problem: "smooth", Schedule: "vp-linear", End: 1e-2}
	problems = []mixture.Setting{smooth, overlap, packed, cosine}
)

func speedup() *lab.Experiment {
	return mixture.Arena{
		Name:     "pndm/speedup",
		Title:    "Pseudo numerical methods: error over network evaluations",
		Help:     "Three mixtures of Gaussians on the discrete schedule of DDPM, and one of them on the cosine schedule, sampled on time-uniform grids. The error is the distance to the exact solution from the same start. The cost counts the evaluations of the start.",
		Settings: problems,
		Rivals:   []mixture.Rival{ddim, fon, spndm, fpndm, plms, ipndm},
		Steps:    true,
		Budgets:  map[lab.Size]string{lab.Quick: "10,50", lab.Desk: "10,20,50,100,200,500", lab.Full: "10,20,30,50,100,200,500,999"},
		Claims:   speedupClaims(),
	}.Experiment()
}

func convergence() *lab.Experiment {
	return mixture.Arena{
		Name:     "pndm/convergence",
		Title:    "Order of convergence of the pseudo numerical methods",
		Help:     "Three Gaussians in two dimensions on the linear VP schedule from t = 1 to 0.01, steps evenly in time. On logarithmic axes a method of order p is a line of slope −p.",
		Settings: []mixture.Setting{uniform},
		Rivals:   []mixture.Rival{ddim, spndm, fpndm, plms},
		Steps:    true,
		Budgets:  map[lab.Size]string{lab.Quick: "100,200,400", lab.Desk: "50,100,200,400,800", lab.Full: "50,100,200,400,800,1600"},
		Claims:   []lab.Claim{orderClaim()},
	}.Experiment()
}

func speedupClaims() []lab.Claim {
	at := func(s mixture.Setting, r mixture.Rival, steps float64) lab.Term {
		return lab.At(s.String(), r.Name, steps)
	}
	var four, second, floor []lab.Predicate
	for _, s := range problems {
		four = append(four, lab.AtMost(at(s, fpndm, 50), at(s, ddim, 500)))
		if s != cosine {
			second = append(second, lab.AtMost(at(s, spndm, 50), at(s, ddim, 200)))
			floor = append(floor, lab.AtLeast(at(s, fon, 500), at(s, fpndm, 500).Times(10)))
		}
	}
	return []lab.Claim{
		{
			Name:  "50 steps of F-PNDM are worth 500 of DDIM",
			Text:  "F-PNDM with 50 steps, 59 evaluations, is at least as near the exact solution as DDIM with 500, on three problems and two schedules.",
			Paper: "50 steps of PNDM match or beat 1000 of DDIM, a speed-up of 20, on CIFAR-10, CelebA and LSUN, and on linear and cosine schedules (abstract)",
			Judge: lab.All(four...),
		},
		{
			Name:  "50 steps of S-PNDM are worth 200 of DDIM",
			Text:  "S-PNDM with 50 steps is at least as near the exact solution as DDIM with 200.",
			Judge: lab.All(second...),
		},
		{
			Name:  "without the transfer the error has a floor",
			Text:  "The classical fourth-order method (FON) has at least ten times F-PNDM's error at 500 steps.",
			Paper: "classical numerical methods leave the manifold where the data lies, and introduce noise at high speed-ups (section 3.2)",
			Judge: lab.All(floor...),
		},
	}
}

func orderClaim() lab.Claim {
	order := func(r mixture.Rival) lab.Term { return lab.Order(uniform.String(), r.Name, 100, 400) }
	return lab.Claim{
		Name:  "S-PNDM and F-PNDM are of second order",
		Text:  "Both methods converge at order 2, whatever the order of the gradient part.",
		Paper: "S-PNDM and F-PNDM have third-order local truncation error and are second-order convergent (property 4.1)",
		Judge: lab.All(lab.Within(order(spndm), 1.85, 2.15), lab.Within(order(fpndm), 1.85, 2.15)),
	}
}

// onNetwork is the same question on a trained network.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "pndm/denoiser",
		Title:    "PNDM on a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Rivals:   []mixture.Rival{ddim, spndm, fpndm, plms, ipndm},
		Budgets:  map[lab.Size]string{lab.Quick: "10,20", lab.Desk: "5,10,20,50"},
		Guidance: "1",
		Steps:    true,
		Claims: []lab.Claim{{
			Name:  "F-PNDM beats DDIM on a trained network",
			Text:  "F-PNDM is nearer to the network's own exact solution than DDIM with 20 and 50 steps.",
			Paper: "50 steps of PNDM match or beat 1000 of DDIM (abstract)",
			Judge: func(c lab.Curves) lab.Verdict {
				panel := c.Panels()[0]
				return lab.All(lab.Beats(panel, fpndm.Name, ddim.Name, 20, 50)...)(c)
			},
		}},
	}.Experiment()
}
