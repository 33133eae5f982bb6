package dpmsolverpp

import (
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

var networkRivals = []mixture.Rival{ddim, s2, m2, m3}

// denoiser is the paper's main question on a trained network.
func denoiser() *lab.Experiment {
	return nets.Arena{
		Name:     "dpm-solver-pp/denoiser",
		Title:    "Samplers of a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Rivals:   networkRivals,
		Budgets:  map[lab.Size]string{lab.Quick: "10,15", lab.Desk: "5,8,10,15,20,30", lab.Full: "5,6,8,10,12,15,20,25,30,40,50,100"},
		Guidance: "1,7.5",
		Claims:   denoiserClaims(),
	}.Experiment()
}
