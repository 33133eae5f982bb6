package ghvb

import (
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{divergence(), tradeoff(), stability(), orders(), onNetwork()}
}

// of is a sampler with momentum of k slopes.
func of(kind diffusion.MomentumKind, k int, beta float64) diffusion.Momentum {
	return diffusion.Momentum{Kind: kind, Order: k, Beta: beta}
}

// The rivals. PLMS of lower order is the control: it too is steadier than PLMS 4.
var (
	ddim    = mixture.Rival{Name: "DDIM", Method: of(diffusion.Generalized, 1, 1)}
	plms2   = mixture.Rival{Name: "PLMS 2", Method: of(diffusion.Generalized, 2, 1), Least: 2}
	plms3   = mixture.Rival{Name: "PLMS 3", Method: of(diffusion.Generalized, 3, 1), Least: 3}
	plms4   = mixture.Rival{Name: "PLMS 4", Method: of(diffusion.Generalized, 4, 1), Least: 4}
	ghvb38  = mixture.Rival{Name: "GHVB 3.8", Method: of(diffusion.Generalized, 4, 0.8), Least: 4}
	ghvb33  = mixture.Rival{Name: "GHVB 3.3", Method: of(diffusion.Generalized, 4, 0.3), Least: 4}
	ghvb28  = mixture.Rival{Name: "GHVB 2.8", Method: of(diffusion.Generalized, 3, 0.8), Least: 3}
	ghvb23  = mixture.Rival{Name: "GHVB 2.3", Method: of(diffusion.Generalized, 3, 0.3), Least: 3}
	hb38    = mixture.Rival{Name: "HB 3.8", Method: of(diffusion.Polyak, 4, 0.8), Least: 4}
	hb35    = mixture.Rival{Name: "HB 3.5", Method: of(diffusion.Polyak, 4, 0.5), Least: 4}
	nt38    = mixture.Rival{Name: "NT 3.8", Method: of(diffusion.Nesterov, 4, 0.8), Least: 4}
	m2      = mixture.Rival{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}, Least: 2}
	m2hb    = mixture.Rival{Name: "DPM-Solver++(2M) + HB 0.8", Method: diffusion.HeavyBall{}, Least: 2}
	unipc   = mixture.Rival{Name: "UniPC", Method: diffusion.UniPC{}, Least: 3}
	unipcHB = mixture.Rival{Name: "UniPC + HB 0.8", Method: diffusion.HeavyBall{Base: diffusion.UniPC{}}, Least: 3}
	ltsp    = mixture.Rival{Name: "LTSP 3.8", Method: diffusion.Splitting{}, PerStep: 2, Least: 4}
)

// onNetwork is the same question on a trained network, under strong guidance.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "ghvb/denoiser",
		Title:    "Momentum on a trained network under strong guidance: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file, at guidance 15. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Rivals:   []mixture.Rival{ddim, plms2, plms4, ghvb38, ghvb33, ghvb23, hb38, m2, m2hb, unipc, unipcHB},
		Budgets:  map[lab.Size]string{lab.Quick: "10,15", lab.Desk: "8,10,15,20,30", lab.Full: "8,10,12,15,20,25,30,40,60"},
		Guidance: "15",
		Claims:   networkClaims(),
	}.Experiment()
}
