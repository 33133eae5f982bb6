package ptq4dm

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{sets(), digits(), criteria(), rounding(), ranges()}
}

// The panels: what samples.
const (
	ddim      = "DDIM"
	multi     = "DPM-Solver++(2M)"
	bdia      = "BDIA-DDIM"
	unclipped = "DDIM, predictions not clipped"
)

// samplers are the methods of the panels.
func samplerOf(panel string) (m diffusion.Method, clip bool, err error) {
	switch panel {
	case ddim:
		return diffusion.DDIM{}, true, nil
	case unclipped:
		return diffusion.DDIM{}, false, nil
	case multi:
		return diffusion.DPMSolver{}, true, nil
	case bdia:
		m, err := diffusion.MethodNamed("bdia-ddim")
		return m, true, err
	}
	return nil, false, fmt.Errorf("panel %q is unknown", panel)
}

var (
	bits  = lab.Axis{Name: "activation bits"}
	rmse  = lab.Axis{Name: "RMS difference from full precision", Log: true}
	moved = lab.Axis{Name: "largest activation", Log: true}
)

// coarse, whatever the bits asked for, has 2: a control that must fail.
const coarse = "ndtc, in 2 bits"

// Further figures of a cell.
const (
	sliced = "sliced W2 to the data"
	exact  = "sliced W2 to the data in full precision"
	floor  = "sliced W2 between two sets of data"
)

func params(seeds string, more ...lab.Param) []lab.Param {
	return append(more,
		lab.Param{Name: "steps", Help: "steps of the sampler, also while calibrating", Kind: lab.Int, Default: "50", Min: 2, Max: 1000},
		lab.Param{Name: "pairs", Help: "pairs of state and time to calibrate on", Kind: lab.Int, Default: "1024", At: map[lab.Size]string{lab.Quick: "256"}, Min: 32, Max: 1 << 16},
		lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "512", At: map[lab.Size]string{lab.Quick: "64", lab.Full: "4096"}, Min: 2, Max: 1 << 17},
		lab.Param{Name: "seeds", Help: "independent calibration sets and start states", Kind: lab.Int, Default: seeds, At: map[lab.Size]string{lab.Quick: "1", lab.Full: "32"}, Min: 1, Max: 1000})
}

func bitsParam(name, help, def string) lab.Param {
	return lab.Param{Name: name, Help: help, Kind: lab.Ints, Default: def, Min: 2, Max: 8}
}

func sets() *lab.Experiment {
	return &lab.Experiment{
		Name:  "ptq4dm/sets",
		Title: "What to calibrate on: error of the quantized sampler over activation bits",
		Help: "A network trained on five Gaussians in eight dimensions, weights in 8 bits. Ranges of activations are found on 1024 pairs of state and time, chosen by NDTC or as its rivals do. " +
			"The error is the distance to the samples of the network itself from equal noise, by DDIM with 50 steps and predicted data clipped to their range; the panels of other samplers have the same quantized network.",
		Cost: bits, Quality: rmse, Version: 1,
		Params: params("8", bitsParam("bits", "bits of activations", "4,6,8")),
		Grid:   setsGrid,
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			m := quant.PostTraining{Activations: quant.RangeSearch{Bits: int(c.Budget)}}
			if c.Method == coarse {
				m.Activations.Bits = 2
				return run(ctx, c, ndtc, m, c.Budget)
			}
			return run(ctx, c, c.Method, m, c.Budget)
		},
		Claims: setsClaims(),
	}
}

func setsGrid(v lab.Values) ([]lab.Cell, error) {
	var cs []lab.Cell
	add := func(panel, method string, bits int) {
		for seed := range v.Int("seeds") {
			cs = append(cs, lab.Cell{Panel: panel, Method: method, Budget: float64(bits), Seed: uint64(seed), Values: v})
		}
	}
	for _, method := range calibration.Names() {
		for _, b := range v.Ints("bits") {
			add(ddim, method, b)
		}
	}
	for _, panel := range []string{multi, bdia, unclipped} {
		_, _, err := samplerOf(panel)
		if err == nil && slices.Contains(v.Ints("bits"), 8) {
			add(panel, ndtc, 8)
		}
	}
	return cs, nil
}

// The ways to judge a range.
var ways = []struct {
	name   string
	search quant.RangeSearch
}{
	{"mean |x − x̂|^2.4", quant.RangeSearch{}},
	{"mean square", quant.RangeSearch{P: 2}},
	{"L1", quant.RangeSearch{P: 1}},
	{"cosine", quant.RangeSearch{Criterion: quant.Cosine}},
	{"KL divergence", quant.RangeSearch{Criterion: quant.Divergence}},
	{"extremes, no search", quant.RangeSearch{Criterion: quant.Extremes}},
	{"2-D search, asymmetric", quant.RangeSearch{Asymmetric: true}},
}

func criteria() *lab.Experiment {
	return &lab.Experiment{
		Name:  "ptq4dm/criteria",
		Title: "How to judge a range: error of the quantized sampler over activation bits",
		Help:  "As ptq4dm/sets, calibrated by NDTC; what differs is the criterion by which ranges of activations are chosen among 100 candidates.",
		Cost:  bits, Quality: rmse, Version: 1,
		Params: params("3", bitsParam("bits", "bits of activations", "4,6,8")),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var names []string
			for _, w := range ways {
				names = append(names, w.name)
			}
			return cells(v, names, v.Ints("bits")), nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			for _, w := range ways {
				if w.name == c.Method {
					w.search.Bits = int(c.Budget)
					return run(ctx, c, ndtc, quant.PostTraining{Activations: w.search}, c.Budget)
				}
			}
			return lab.Outcome{}, fmt.Errorf("no criterion is called %q", c.Method)
		},
		Claims: criteriaClaims(),
	}
}

// cells is method × bits × seed.
func cells(v lab.Values, methods []string, bits []int) []lab.Cell {
	var cs []lab.Cell
	for _, m := range methods {
		for _, b := range bits {
			for seed := range v.Int("seeds") {
				cs = append(cs, lab.Cell{Panel: ddim, Method: m, Budget: float64(b), Seed: uint64(seed), Values: v})
			}
		}
	}
	return cs
}

// The ways to round weights.
const (
	nearest  = "to nearest"
	oneRange = "to nearest, ends in as few bits"
	learned  = "AdaRound"
)

func rounding() *lab.Experiment {
	return &lab.Experiment{
		Name:  "ptq4dm/rounding",
		Title: "How to round weights: error of the quantized sampler over weight bits",
		Help:  "As ptq4dm/sets, calibrated by NDTC, activations in 8 bits. The first and the last layer keep 8 bits but in the control.",
		Cost:  lab.Axis{Name: "weight bits"}, Quality: rmse, Version: 1,
		Params: params("3", bitsParam("bits", "bits of weights", "3,4,6,8"),
			lab.Param{Name: "learn", Help: "steps of AdaRound a layer", Kind: lab.Int, Default: "2000", At: map[lab.Size]string{lab.Quick: "60", lab.Full: "20000"}, Min: 1, Max: 1 << 20}),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return cells(v, []string{nearest, oneRange, learned}, v.Ints("bits")), nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			m := quant.PostTraining{Weights: quant.RangeSearch{Bits: int(c.Budget)}}
			switch c.Method {
			case nearest:
			case oneRange:
				m.Ends = int(c.Budget)
			case learned:
				m.Reconstruct = &quant.Reconstruction{Steps: c.Values.Int("learn"), Seed: c.Seed}
			default:
				return lab.Outcome{}, fmt.Errorf("no rounding is called %q", c.Method)
			}
			return run(ctx, c, ndtc, m, c.Budget)
		},
		Claims: roundingClaims(),
	}
}
