package adjointdpm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

const (
	noisePanel     = "start noise, within ±0.2"
	embeddingPanel = "label embedding, within ±0.5"

	through  = "gradient through the run"
	jacobian = "gradient, ε constant in x"
	chance   = "random search, as many calls"

	drawn, sought = 3, 8 // the digit that the model draws, and the one that is wanted
)

// bounds and rates of what is sought.
var digitPanels = map[string]struct{ clamp, rate float64 }{noisePanel: {.2, .03}, embeddingPanel: {.5, .05}}

// digits changes the start noise, or the embedding of a label, of the shipped network
// until its classifier sees another digit.
func digits() *lab.Experiment {
	return &lab.Experiment{
		Name:    "adjoint-dpm/digits",
		Title:   "Guiding a trained network to another digit: score over iterations",
		Help:    "The shipped network draws threes by DPM-Solver++(2M). Adam changes their start noise, or the embedding of the three, within bounds, until the shipped classifier, which was trained on other images, sees eights. The figure is minus the log probability of an eight, in the mean over samples.",
		Cost:    calls,
		Quality: lab.Axis{Name: "-log probability", Log: true},
		Budget:  "iterations", Version: 1,
		Params: append(sizes("4", "2", "2"),
			lab.Param{Name: "iterations", Help: "numbers of steps of Adam", Kind: lab.Ints, Default: "10,20", At: map[lab.Size]string{lab.Quick: "3", lab.Full: "5,10,20,30"}, Min: 1, Max: 1000},
			lab.Param{Name: "nfe", Help: "evaluations a run", Kind: lab.Int, Default: "5", At: map[lab.Size]string{lab.Quick: "3", lab.Full: "30"}, Min: 2, Max: 1000}),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{noisePanel, embeddingPanel} {
				for _, m := range []string{through, jacobian, chance} {
					for _, n := range v.Ints("iterations") {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel, Method: m, Budget: float64(n), Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run:    runDigits,
		Claims: []lab.Claim{digitsClaim()},
	}
}

// A hunt is one cell of digits.
type hunt struct {
	m     *network.Model
	p     diffusion.Problem[float32]
	loss  adjoint.Loss[float32]
	noise bool // what is sought: the start noise, or the embedding
	d     adjoint.Descent
	seed  uint64
}

func runDigits(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	set, ok := digitPanels[c.Panel]
	if !ok {
		return lab.Outcome{}, fmt.Errorf("panel %q is unknown", c.Panel)
	}
	m, err := network.MNIST()
	if err != nil {
		return lab.Outcome{}, err
	}
	judge, err := network.MNISTClassifier()
	if err != nil {
		return lab.Outcome{}, err
	}
	h := hunt{m: m, loss: network.TowardsLabel(ctx, judge, sought), noise: c.Panel == noisePanel, seed: c.Seed,
		d: adjoint.Descent{Iterations: int(c.Budget), Clamp: set.clamp, Adam: adjoint.Adam{Rate: set.rate}}}
	h.p.N, h.p.Grid = c.Values.Int("n"), diffusion.Grid{Schedule: m.Schedule, Steps: c.Values.Int("nfe")}
	if h.p.X, err = diffusion.Start[float32](h.p.Grid, h.p.N, m.Len(), diffusion.Seeded(c.Seed)); err != nil {
		return lab.Outcome{}, err
	}
	if c.Method == chance {
		return h.random(ctx)
	}
	r, err := h.descend(ctx, c.Method == jacobian)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(r.NFE + r.VJPs), Quality: r.Losses[len(r.Losses)-1], Metrics: map[string]float64{"before": r.Losses[0]}}, nil
}

// descend follows the gradient, with the model's Jacobian or without.
func (h *hunt) descend(ctx context.Context, constant bool) (*adjoint.Descended[float32], error) {
	method := diffusion.DPMSolver{}
	if !constant && h.noise {
		return h.m.GuideNoise(ctx, h.p, method, []int{drawn}, 1, h.loss, h.d)
	}
	if !constant {
		return h.m.TuneEmbedding(ctx, h.p, method, drawn, 1, h.loss, h.d)
	}
	if h.noise {
		model, err := h.m.Differentiable([]int{drawn}, 1, network.TrainNothing)
		if err != nil {
			return nil, err
		}
		p := h.p
		p.Model = constantNoise{model}
		return adjoint.DescendStart(ctx, p, method, h.loss, h.d)
	}
	e, err := h.m.Embedding(drawn)
	if err != nil {
		return nil, err
	}
	start := make([]float64, len(e))
	for i, v := range e {
		start[i] = float64(v)
	}
	return adjoint.DescendParams(ctx, h.p, method, h.loss, start, func(params []float64) (diffusion.VJPDenoiser[float32], error) {
		model, err := h.embedded(params)
		return constantNoise{model}, err
	}, h.d)
}

// embedded is the network with that embedding of the digit that is drawn.
func (h *hunt) embedded(params []float64) (diffusion.VJPDenoiser[float32], error) {
	e := make([]float32, len(params))
	for i, v := range params {
		e[i] = float32(v)
	}
	m, err := h.m.WithEmbedding(drawn, e)
	if err != nil {
		return nil, err
	}
	return m.Differentiable([]int{drawn}, 1, network.TrainEmbedding)
}

// constantNoise is a velocity prediction whose noise prediction is taken as constant
// in x on the way back: ε = α·v + σ·x, so that v has the Jacobian −σ/α.
type constantNoise struct{ diffusion.VJPDenoiser[float32] }

func (c constantNoise) VJP(ctx context.Context, gx, x, a []float32, n int, at []diffusion.Level, params []float64, weight float64) error {
	if err := c.VJPDenoiser.VJP(ctx, gx, x, a, n, at, params, weight); err != nil {
		return err
	}
	for i, v := range a {
		gx[i] = float32(-at[0].Sigma / at[0].Alpha * float64(v))
	}
	return nil
}

// random draws points within the bounds, as many as a descent of the same length
// could evaluate, and keeps the best.
func (h *hunt) random(ctx context.Context) (lab.Outcome, error) {
	src := rng.Stream(h.seed, 77)
	e, err := h.m.Embedding(drawn)
	if err != nil {
		return lab.Outcome{}, err
	}
	best, nfe := math.Inf(1), 0
	grad := make([]float32, len(h.p.X))
	for range 2 * (h.d.Iterations + 1) {
		p, params := h.p, make([]float64, len(e))
		for i, v := range e {
			params[i] = float64(v)
			if !h.noise {
				params[i] += h.d.Clamp * (2*src.Float64() - 1)
			}
		}
		if h.noise {
			p.X = make([]float32, len(h.p.X))
			for i, v := range h.p.X {
				p.X[i] = v + float32(h.d.Clamp*(2*src.Float64()-1))
			}
		}
		if p.Model, err = h.embedded(params); err != nil {
			return lab.Outcome{}, err
		}
		s, err := diffusion.Solve(ctx, p, diffusion.DPMSolver{})
		if err != nil {
			return lab.Outcome{}, err
		}
		y, err := h.loss(s.X, p.N, grad)
		if err != nil {
			return lab.Outcome{}, err
		}
		best, nfe = min(best, y), nfe+s.NFE
	}
	return lab.Outcome{Cost: float64(nfe), Quality: best}, nil
}
