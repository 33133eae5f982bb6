package tsdpm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
)

// The streams of a cell's seed.
const (
	mixtureStream = iota
	dataStream
	directionStream
)

const directions = 100

// oracle asks the paper's question of an exact model with an error put in.
func oracle() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ts-dpm/oracle",
		Title:   "Time shift on a model of known error: distance to the data over steps",
		Help:    "The exact noise prediction of a mixture of 6 Gaussians in 64 dimensions, multiplied by 1 + δ. Where δ > 0 it takes too much noise away, and the states have too little variance; where δ < 0 too much. Every seed has its own mixture. The distance is the sliced 2-Wasserstein distance, over 100 directions, to as many exact samples.",
		Cost:    steps,
		Quality: distance,
		Version: 1,
		Params: append(windowParams(),
			lab.Param{Name: "delta", Help: "errors δ of the model, a panel each", Kind: lab.Floats, Default: "0.05,0.02,0,-0.03", Min: -0.5, Max: 0.5},
			lab.Param{Name: "nfe", Help: "numbers of steps, which are evaluations", Kind: lab.Ints, Default: "10,20,50", At: map[lab.Size]string{lab.Quick: "20", lab.Full: "5,10,20,50,100"}, Min: 2, Max: 1000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "1500", At: map[lab.Size]string{lab.Quick: "250", lab.Full: "4000"}, Min: 2, Max: 100000},
			lab.Param{Name: "seeds", Help: "independent mixtures, data and start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var panels []string
			for _, d := range v.Floats("delta") {
				panels = append(panels, deltaPanel(d))
			}
			return cells(v, panels, oracleSamplers), nil
		},
		Run:    func(ctx context.Context, c lab.Cell) (lab.Outcome, error) { return runOracle(ctx, c, oracleSamplers) },
		Claims: oracleClaims(),
	}
}

// cells is panel × sampler × number of steps × seed.
func cells(v lab.Values, panels []string, all []sampler) []lab.Cell {
	var cs []lab.Cell
	for _, panel := range panels {
		for _, s := range all {
			for _, b := range v.Ints("nfe") {
				for seed := range v.Int("seeds") {
					cs = append(cs, lab.Cell{Panel: panel, Method: s.name, Budget: float64(b), Seed: uint64(seed), Values: v})
				}
			}
		}
	}
	return cs
}

func deltaPanel(delta float64) string { return fmt.Sprintf("δ = %g", delta) }

func runOracle(ctx context.Context, c lab.Cell, all []sampler) (lab.Outcome, error) {
	var delta float64
	if _, err := fmt.Sscanf(c.Panel, "δ = %g", &delta); err != nil {
		return lab.Outcome{}, fmt.Errorf("panel %q: %w", c.Panel, err)
	}
	s, err := samplerNamed(all, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	m := drawMixture(c.Seed)
	model, err := biased(m, delta)
	if err != nil {
		return lab.Outcome{}, err
	}
	sch, err := diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, 0.02, 1000))
	if err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("n")
	p := diffusion.Problem[float64]{
		Model: model, N: n, Noise: diffusion.Seeded(c.Seed),
		Grid: diffusion.Grid{Schedule: sch, Steps: int(c.Budget) * max(s.perStep, 1), Spacing: diffusion.TimeUniform},
	}
	if p.X, err = diffusion.Start[float64](p.Grid, n, m.Dim(), p.Noise); err != nil {
		return lab.Outcome{}, err
	}
	data := m.Sample(n, rng.Stream(c.Seed, dataStream))
	a := attempt[float64]{
		problem: p, dataVar: meanVariance(data, n), window: c.Values.Int("window"), cutoff: c.Values.Int("cutoff"),
		score: func(x []float64) (float64, error) {
			return metrics.SlicedW2(x, data, m.Dim(), directions, rng.Stream(c.Seed, directionStream))
		},
	}
	return a.outcome(ctx, s)
}

// drawMixture is a mixture with a standard deviation of about 0.3 a coordinate.
func drawMixture(seed uint64) *gmm.Mixture {
	const components, d, spread, width = 6, 64, 0.27, 0.12
	r := rng.Stream(seed, mixtureStream)
	m := &gmm.Mixture{}
	for range components {
		mu := make([]float64, d)
		for i := range mu {
			mu[i] = spread * r.NormFloat64()
		}
		m.W, m.Mu, m.S = append(m.W, 1./components), append(m.Mu, mu), append(m.S, width)
	}
	return m
}

// biased is the exact noise prediction times 1 + δ.
func biased(m *gmm.Mixture, delta float64) (diffusion.Denoiser[float64], error) {
	exact, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		return nil, err
	}
	return diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
		if err := exact.Denoise(ctx, dst, x, n, at); err != nil {
			return err
		}
		for i := range dst {
			dst[i] *= 1 + delta
		}
		return nil
	}}, nil
}

// meanVariance is the mean over n samples of the variance of their numbers.
func meanVariance[T diffusion.Float](x []T, n int) float64 {
	d := len(x) / n
	var sum float64
	for i := range n {
		sum += diffusion.Variance(x[i*d : (i+1)*d])
	}
	return sum / float64(n)
}
