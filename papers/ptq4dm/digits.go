package ptq4dm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/internal/nn/mixer"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/quant"
)

// The panels of digits: bits of weights.
const (
	w8 = "weights in 8 bits"
	w4 = "weights in 4 bits"
)

// digitPlans are the calibration sets that are compared on digits.
var digitPlans = []string{ndtc, "mirrored", uniform, "clean", "noisy", "data", "forward"}

// sameDigit is the share of samples that stay what they were.
const sameDigit = "same digit [%]"

// digits is the question on a trained network of images, computed in integers.
func digits() *lab.Experiment {
	return &lab.Experiment{
		Name:  "ptq4dm/digits",
		Title: "What to calibrate on, on a trained network: error over activation bits",
		Help: "The shipped denoiser of handwritten digits, its products in integers. The error is the distance, in a pixel's units of [−1, 1], to the samples of the network itself from equal noise, by DPM-Solver++(2M) with 20 steps; " +
			"a classifier that has not seen the same images says whether a sample is still the same digit.",
		Cost: bits, Quality: rmse, Version: 1,
		Params: []lab.Param{
			bitsParam("bits", "bits of activations", "4,6,8"),
			{Name: "pairs", Help: "pairs of state and time to calibrate on", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "32", lab.Full: "1024"}, Min: 32, Max: 1 << 16},
			{Name: "candidates", Help: "ranges that are tried for a tensor", Kind: lab.Int, Default: "100", At: map[lab.Size]string{lab.Quick: "10"}, Min: 1, Max: 1 << 16},
			{Name: "steps", Help: "steps of the samplers", Kind: lab.Int, Default: "20", At: map[lab.Size]string{lab.Quick: "8"}, Min: 2, Max: 1000},
			{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "60", At: map[lab.Size]string{lab.Quick: "4", lab.Full: "1000"}, Min: 1, Max: 1 << 16},
			{Name: "seeds", Help: "independent calibration sets and start states", Kind: lab.Int, Default: "1", At: map[lab.Size]string{lab.Full: "5"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{w8, w4} {
				for _, method := range digitPlans {
					if panel == w4 && method != ndtc {
						continue
					}
					for _, b := range v.Ints("bits") {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel, Method: method, Budget: float64(b), Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run:    runDigits,
		Claims: digitsClaims(),
	}
}

func digitsClaims() []lab.Claim {
	at := func(method string, bits float64) lab.Term { return lab.At(w8, method, bits) }
	return []lab.Claim{
		{
			Name:  "W8A8 keeps the digits",
			Text:  "With weights and activations in 8 bits, calibrated by NDTC, samples differ from those of full precision by at most 0.1.",
			Paper: "8-bit models keep or improve the FID (abstract)",
			Judge: lab.All(lab.AtMost(at(ndtc, 8), lab.Number(.1))),
		},
		{
			Name:  "one clean time step does not do",
			Text:  "Calibrated at the cleanest time step alone, the error is at least three times that of NDTC, at 8 bits.",
			Paper: "calibration at a single time step collapses (figure)",
			Judge: lab.All(lab.AtLeast(at("clean", 8), at(ndtc, 8).Times(3))),
		},
		{
			Name:  "fewer bits, more error",
			Text:  "The error grows from 8 over 6 to 4 bits of activations.",
			Judge: lab.All(lab.Less(at(ndtc, 8), at(ndtc, 6)), lab.Less(at(ndtc, 6), at(ndtc, 4))),
		},
	}
}

// A digitTrial is what cells on digits share.
type digitTrial struct {
	steps, n, pairs int
	seed            uint64
}

// velocity evaluates a denoiser of digits.
type velocity func(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error

// labelled binds labels that go round, none after the last.
func labelled(f velocity, n int) (diffusion.Denoiser[float32], []int) {
	labels := make([]int, n)
	for i := range labels {
		if labels[i] = i % 11; labels[i] == 10 {
			labels[i] = -1
		}
	}
	return diffusion.Func[float32]{Prediction: diffusion.Velocity, F: func(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) error {
		return f(ctx, dst, x, n, at, labels)
	}}, labels
}

func (t digitTrial) sample(ctx context.Context, f velocity) ([]float32, error) {
	g := diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: t.steps}
	x, err := diffusion.Start[float32](g, t.n, 784, diffusion.Seeded(t.seed))
	if err != nil {
		return nil, err
	}
	m, _ := labelled(f, t.n)
	s, err := diffusion.Solve(ctx, diffusion.Problem[float32]{Model: m, Grid: g, X: x, N: t.n}, diffusion.DPMSolver{})
	return s.X, err
}

// calibration makes a plan's pairs.
func (t digitTrial) calibration(ctx context.Context, plan string) (*mixer.Calibration, error) {
	p, err := calibration.Named(plan)
	if err != nil {
		return nil, err
	}
	p.N, p.Seed = t.pairs, 1000+t.seed
	d, err := mnist.Denoiser()
	if err != nil {
		return nil, err
	}
	images, _, err := mnist.Split()
	if err != nil {
		return nil, err
	}
	m, labels := labelled(d.Velocity, t.pairs)
	set, err := calibration.Collect(ctx, p, calibration.Sampler[float32]{
		Model: m, Grid: diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: t.steps, Spacing: diffusion.TimeUniform}, Size: 784, Data: images.X,
	})
	if err != nil {
		return nil, err
	}
	return &mixer.Calibration{X: set.X, N: set.N, At: set.Levels, Labels: labels}, nil
}

func runDigits(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	t := digitTrial{c.Values.Int("steps"), c.Values.Int("n"), c.Values.Int("pairs"), c.Seed}
	type key struct {
		digitTrial
		what string
	}
	detached := context.WithoutCancel(ctx)
	d, err := mnist.Denoiser()
	if err != nil {
		return lab.Outcome{}, err
	}
	set, err := shared(key{t, c.Method}, func() (*mixer.Calibration, error) { return t.calibration(detached, c.Method) })
	if err != nil {
		return lab.Outcome{}, err
	}
	truth, err := shared(key{t, "truth "}, func() ([]float32, error) { return t.sample(detached, d.Velocity) })
	if err != nil {
		return lab.Outcome{}, err
	}
	m := quant.PostTraining{Activations: quant.RangeSearch{Bits: int(c.Budget)}, Place: quant.LayerInputs, Sample: 1 << 13}
	m.Weights.Steps, m.Activations.Steps = c.Values.Int("candidates"), c.Values.Int("candidates")
	switch c.Panel {
	case w8:
	case w4:
		m.Weights.Bits = 4
	default:
		return lab.Outcome{}, fmt.Errorf("panel %q is unknown", c.Panel)
	}
	q, err := d.Quantize(ctx, m, *set)
	if err != nil {
		return lab.Outcome{}, err
	}
	x, err := t.sample(ctx, q.Velocity)
	if err != nil {
		return lab.Outcome{}, fmt.Errorf("quantized: %w", err)
	}
	judge, err := mnist.Classifier()
	if err != nil {
		return lab.Outcome{}, err
	}
	same, err := judge.Agreement(ctx, truth, x, t.n)
	size, full := q.Bytes()
	return lab.Outcome{Cost: c.Budget, Quality: mixture.RMS(x, truth), Metrics: map[string]float64{
		sameDigit: 100 * same, "bytes of weights": float64(size), "in float32": float64(full),
	}}, err
}
