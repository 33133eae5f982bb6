package dpmsolverpp

import (
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{guided(), convergence(), thresholding(), stochastic(), denoiser(), digits()}
}

var (
	nfe      = lab.Axis{Name: "NFE", Log: true}
	rmsError = lab.Axis{Name: "RMS error", Log: true}
)

var seeds = lab.Param{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "5",
	At: map[lab.Size]string{lab.Quick: "2", lab.Full: "20"}, Min: 1, Max: 1000}

// The methods that are compared. Their names are the same in every experiment,
// and so are their colours.
var (
	ddim  = mixture.Rival{Name: "DDIM", Method: diffusion.DDIM{}}
	s2    = mixture.Rival{Name: "DPM-Solver++(2S)", Method: diffusion.DPMSolver{Mode: diffusion.Singlestep}}
	m2    = mixture.Rival{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}}
	m3    = mixture.Rival{Name: "DPM-Solver++(3M)", Method: diffusion.DPMSolver{Order: 3}}
	m3c   = mixture.Rival{Name: "DPM-Solver++(3M), corrected", Method: diffusion.DPMSolver{Order: 3, ThirdOrder: diffusion.Corrected}}
	fast2 = mixture.Rival{Name: "DPM-Solver-fast-2", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.Singlestep}}
	fast3 = mixture.Rival{Name: "DPM-Solver-fast-3", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.Singlestep, Order: 3}}
	noise = mixture.Rival{Name: "DPM-Solver(2M), noise form", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm}}
	unipc = mixture.Rival{Name: "UniPC-3", Method: diffusion.UniPC{}}
)

// guidancePanel names the panel of a guidance scale; guidanceOf reads it back.
func guidancePanel(scale float64) string { return fmt.Sprintf("guidance %g", scale) }

func guidanceOf(c lab.Cell) (scale float64, err error) {
	_, err = fmt.Sscanf(c.Panel, "guidance %g", &scale)
	return scale, err
}

func guidancePanels(v lab.Values) []string {
	var ps []string
	for _, g := range v.Floats("guidance") {
		ps = append(ps, guidancePanel(g))
	}
	return ps
}
