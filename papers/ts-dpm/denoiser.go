package tsdpm

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
	"github.com/assay-lab/assay/papers/internal/nets"
)

var (
	networkSamplers = []sampler{plain, shifted, withData, rescaled, scaled}
	biasSamplers    = []sampler{plain, shifted, withData}
)

// fineSeeds is added to a seed for the samples that stand in for data, so that they
// start elsewhere.
const fineSeeds = 1 << 32

func networkParams(nfe, quick, n, seeds string) []lab.Param {
	return append(append(nets.Params(), windowParams()...),
		lab.Param{Name: "guidance", Help: "guidance scales, a panel each, for networks that take labels", Kind: lab.Floats, Default: "1", Min: 0, Max: 100},
		lab.Param{Name: "nfe", Help: "numbers of steps, which are evaluations", Kind: lab.Ints, Default: nfe, At: map[lab.Size]string{lab.Quick: quick}, Min: 2, Max: 1000},
		lab.Param{Name: "truth", Help: "steps of the fine samples of a network without data", Kind: lab.Int, Default: "200", At: map[lab.Size]string{lab.Quick: "30", lab.Full: "1000"}, Min: 10, Max: 100000},
		lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: n, At: map[lab.Size]string{lab.Quick: "10", lab.Full: "1000"}, Min: 2, Max: 100000},
		lab.Param{Name: "seeds", Help: "independent sets of samples", Kind: lab.Int, Default: seeds, At: map[lab.Size]string{lab.Quick: "1", lab.Full: "5"}, Min: 1, Max: 1000},
	)
}

// denoiser asks the paper's question of a trained network.
func denoiser() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ts-dpm/denoiser",
		Title:   "Time shift on a trained network: distance to the data over steps",
		Help:    "A network trained on handwritten digits, or one that you bring as an ONNX file. The distance is the sliced 2-Wasserstein distance, over 100 directions, to as many real digits, or for your network to as many of its own samples of many steps.",
		Cost:    steps,
		Quality: distance,
		Version: 1,
		Params:  networkParams("10,20", "10", "200", "2"),
		Grid:    networkGrid(networkSamplers),
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			s, a, err := networkAttempt(ctx, c, networkSamplers)
			if err != nil {
				return lab.Outcome{}, err
			}
			return a.outcome(ctx, s)
		},
		Claims: []lab.Claim{{
			Name:  "time shift improves DDIM on a trained network",
			Text:  "TS-DDIM is nearer to the data than DDIM with 10 and 20 steps.",
			Paper: "better FID than DDIM on CIFAR-10 and CelebA at 5 to 100 steps (tables)",
			Judge: func(c lab.Curves) lab.Verdict {
				return lab.All(lab.Beats(c.Panels()[0], shifted.name, plain.name, 10, 20)...)(c)
			},
		}},
	}
}

func networkGrid(all []sampler) func(lab.Values) ([]lab.Cell, error) {
	return func(v lab.Values) ([]lab.Cell, error) {
		m, err := nets.Open(v)
		if err != nil {
			return nil, err
		}
		return cells(v, nets.Panels(m, v.Floats("guidance")), all), nil
	}
}

// networkAttempt is the cell's rival and the network to run it on.
func networkAttempt(ctx context.Context, c lab.Cell, all []sampler) (s sampler, a attempt[float32], err error) {
	if s, err = samplerNamed(all, c.Method); err != nil {
		return s, a, err
	}
	m, err := nets.Open(c.Values)
	if err != nil {
		return s, a, err
	}
	t := nets.Trial{Model: m, Panel: c.Panel, N: c.Values.Int("n"), Seed: c.Seed}
	data, err := dataOf(ctx, t, c.Values)
	if err != nil {
		return s, a, err
	}
	a.dataVar, a.window, a.cutoff = meanVariance(data, t.N), c.Values.Int("window"), c.Values.Int("cutoff")
	a.score = func(x []float32) (float64, error) {
		return metrics.SlicedW2(x, data, m.Len(), directions, rng.Stream(c.Seed, directionStream))
	}
	a.problem, err = t.Problem(int(c.Budget), diffusion.TimeUniform)
	return s, a, err
}

var digits = sync.OnceValues(func() (set struct {
	x      []float32
	labels []uint8
}, err error) {
	set.x, set.labels, err = network.MNISTImages()
	return set, err
})

// dataOf is as many data as the trial has samples: for the shipped network real
// digits of the trial's labels, drawn by its seed; for another its own fine samples.
func dataOf(ctx context.Context, t nets.Trial, v lab.Values) ([]float32, error) {
	if v.Text("model") != nets.Builtin {
		t.Seed += fineSeeds
		return t.Truth(ctx, v.Int("truth"))
	}
	set, err := digits()
	if err != nil {
		return nil, err
	}
	byLabel := map[int][]int{}
	for _, i := range rng.Stream(t.Seed, dataStream).Perm(len(set.labels)) {
		l := int(set.labels[i])
		byLabel[l] = append(byLabel[l], i)
	}
	d := t.Model.Len()
	var x []float32
	for i, l := range t.Labels() {
		of := byLabel[l]
		at := of[i/t.Model.Classes%len(of)]
		x = append(x, set.x[at*d:(at+1)*d]...)
	}
	return x, nil
}

// varianceError is how far the variance of states is from that of noisy data.
var varianceError = lab.Axis{Name: "variance error", Log: true}

// bias measures the exposure bias of a network.
func bias() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ts-dpm/bias",
		Title:   "Exposure bias of a network: is the noise in its states what their time says?",
		Help:    "The variance of the states of a run over that of noisy data, σ² + α²·v₀: 1 where the network sees what it was trained on. The error is the mean over the steps above the cutoff of how far the ratio is from 1; the ratios themselves, step by step, are in variance.csv. v₀ is the variance of real digits, or for your network that of its own samples of many steps.",
		Cost:    steps,
		Quality: varianceError,
		Version: 1,
		Params:  networkParams("5,10,20,50", "5,10", "50", "2"),
		Grid:    networkGrid(biasSamplers),
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			s, a, err := networkAttempt(ctx, c, biasSamplers)
			if err != nil {
				return lab.Outcome{}, err
			}
			return a.bias(ctx, s)
		},
		Claims: []lab.Claim{{
			Name: "few steps make a trained network's states too noisy",
			Text: "With 10 and 20 steps of DDIM the variance of the states is above that of noisy data, in the mean over the steps above the cutoff.",
			Judge: func(c lab.Curves) lab.Verdict {
				p := c.Panels()[0]
				return lab.All(
					lab.More(lab.MetricAt(p, plain.name, 10, inflation), lab.Number(1)),
					lab.More(lab.MetricAt(p, plain.name, 20, inflation), lab.Number(1)))(c)
			},
		}},
		Advise: adviseShift,
	}
}

// bias runs the rival and looks at the variances on the way.
func (a attempt[T]) bias(ctx context.Context, s sampler) (lab.Outcome, error) {
	sol, err := a.solve(ctx, s)
	if err != nil {
		return lab.Outcome{}, err
	}
	var csv bytes.Buffer
	fmt.Fprintln(&csv, "t,variance,noisy data,ratio")
	var sum float64
	n := 0
	for k, st := range sol.Steps {
		r := a.ratio(st)
		fmt.Fprintf(&csv, "%g,%g,%g,%g\n", st.Grid[0].T, r*a.expected(st), a.expected(st), r)
		if k > 0 && st.Index[0] > float64(a.cutoff) {
			sum += math.Abs(r - 1)
			n++
		}
	}
	return lab.Outcome{
		Cost: float64(sol.NFE), Quality: sum / float64(max(n, 1)),
		Metrics: map[string]float64{inflation: a.inflation(sol.Steps), shiftedShare: sol.Share()},
		Files:   []lab.File{{Name: "variance.csv", Type: "text/csv", Data: csv.Bytes()}},
	}, nil
}

// adviseShift says what the measurement means.
func adviseShift(v lab.Values, c lab.Curves) (advice lab.Advice) {
	for _, panel := range c.Panels() {
		for _, budget := range v.Ints("nfe") {
			at := func(method string) float64 {
				_, r, err := lab.MetricAt(panel, method, float64(budget), inflation)(c)
				if err != nil {
					return math.NaN()
				}
				return r
			}
			if r := at(plain.name); !math.IsNaN(r) {
				line := fmt.Sprintf("%s: with %d steps of DDIM the states have %s", panel, budget, varianceOff(r))
				if r := at(shifted.name); !math.IsNaN(r) {
					line += ", with time shift " + varianceOff(r)
				}
				if r := at(withData.name); !math.IsNaN(r) {
					line += ", and where it knows the data's variance " + varianceOff(r)
				}
				advice.Lines = append(advice.Lines, line+".")
			}
		}
	}
	return advice
}

// varianceOff says in words how far a ratio of variances is from 1.
func varianceOff(ratio float64) string {
	switch off := 100 * (ratio - 1); {
	case math.Abs(off) < 0.5:
		return "the right variance"
	case off > 0:
		return fmt.Sprintf("%.1f %% too much variance", off)
	default:
		return fmt.Sprintf("%.1f %% too little variance", -off)
	}
}
