package dmcmc

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/diffusion/mcmc/levelnet"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

var (
	m2           = rival{name: "DPM-Solver++(2M)", method: diffusion.DPMSolver{}}
	digitsRivals = []rival{kar1, dlgKAR1, kar2, dlgKAR2, m2, of(drawn, "DLG + ", m2)}
)

// digits asks the question of a trained network, whose level posterior is learned.
func digits(rivals []rival) *lab.Experiment {
	return &lab.Experiment{
		Name:    "dmcmc/digits",
		Title:   "Denoising MCMC on a trained network: Fréchet distance to real digits",
		Help:    "A network trained on handwritten digits, without labels, or your own as an ONNX file. The chains' level posterior is a small network, trained on samples of the model itself, noisy again. The Fréchet distance is in the features of a classifier that has seen none of the denoiser's digits. The start of the chains is not in the calls: it is listed beside.",
		Cost:    mixture.NFE,
		Quality: lab.Axis{Name: "Fréchet distance", Log: true},
		Version: 1,
		Params: append(nets.Params(),
			lab.Param{Name: "eta", Help: "η, the Langevin step", Kind: lab.Float, Default: "0.8", Min: 1e-6, Max: 100},
			lab.Param{Name: "nfe", Help: "calls a sample", Kind: lab.Ints, Default: "10,20", At: map[lab.Size]string{lab.Quick: "10", lab.Full: "6,10,14,20,30,40"}, Min: 6, Max: 10000},
			lab.Param{Name: "chains", Help: "chains side by side", Kind: lab.Int, Default: "20", At: map[lab.Size]string{lab.Quick: "10", lab.Full: "200"}, Min: 2, Max: 100000},
			lab.Param{Name: "samples", Help: "samples of every chain", Kind: lab.Int, Default: "5", At: map[lab.Size]string{lab.Quick: "2", lab.Full: "10"}, Min: 2, Max: 100000},
			lab.Param{Name: "seeds", Help: "independent runs", Kind: lab.Int, Default: "1", At: map[lab.Size]string{lab.Full: "5"}, Min: 1, Max: 1000}),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			m, err := nets.Open(v)
			if err != nil {
				return nil, err
			}
			if !slices.Equal(m.Shape, []int{1, 28, 28}) {
				return nil, fmt.Errorf("model = %s: samples of shape %v cannot be compared with digits of shape [1 28 28]", v.Text("model"), m.Shape)
			}
			return grid(v, rivals), nil
		},
		Run:    runDigits,
		Claims: []lab.Claim{networkClaim()},
	}
}

// judge is a classifier with the features of real digits, made once.
var judge = sync.OnceValues(func() (j struct {
	network.Classifier
	real *mat.Dense
}, err error) {
	if j.Classifier, err = network.MNISTClassifier(); err != nil {
		return j, err
	}
	x, labels, err := network.MNISTImages()
	if err != nil {
		return j, err
	}
	j.real, err = network.FeatureMatrix(context.Background(), j.Classifier, x, len(labels))
	return j, err
})

func runDigits(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	none := lab.Outcome{}
	r, err := find(digitsRivals, c.Method)
	if err != nil {
		return none, err
	}
	m, err := nets.Open(c.Values)
	if err != nil {
		return none, err
	}
	model, err := m.Denoiser(nil)
	if err != nil {
		return none, err
	}
	w := &onNetwork{model: m, denoiser: model, chains: c.Values.Int("chains"), samples: c.Values.Int("samples"), seed: c.Seed}
	lo, hi := m.Schedule.Range()
	a, b := m.Schedule.At(lo), m.Schedule.At(hi)
	w.least, w.top = a.Sigma/a.Alpha, b.Sigma/b.Alpha
	skip, steps := r.plan(int(c.Budget))
	key, _ := rng.Key(c.Seed, 2)
	w.integrator = mcmc.Integrator[float32]{Model: model, Schedule: m.Schedule, Method: r.method, Steps: steps, SigmaMin: w.least, Tweedie: w.least, Noise: diffusion.Seeded(key)}
	o := lab.Outcome{Metrics: map[string]float64{}}
	var x []float32
	if r.kind == noise {
		x, o.Cost, err = w.vanilla(ctx)
	} else {
		x, o.Cost, err = w.walk(ctx, mcmc.Config{Eta: c.Values.Float("eta"), Skip: skip, Workers: 1}, o.Metrics)
	}
	if err != nil {
		return none, err
	}
	j, err := judge()
	if err != nil {
		return none, err
	}
	n := w.chains * w.samples
	f, err := network.FeatureMatrix(ctx, j.Classifier, x, n)
	if err != nil {
		return none, err
	}
	if o.Quality, err = metrics.Frechet(f, j.real); err != nil {
		return none, err
	}
	if c.Seed == 0 {
		picture, err := nets.Picture(m, x, min(n, 20))
		if err != nil {
			return none, err
		}
		o.Files = []lab.File{picture}
	}
	return o, nil
}

// onNetwork draws from a network.
type onNetwork struct {
	model           *network.Model
	denoiser        diffusion.Denoiser[float32]
	integrator      mcmc.Integrator[float32]
	least, top      float64 // σ/α
	chains, samples int
	seed            uint64
}

// vanilla samples from pure noise, batch by batch.
func (w *onNetwork) vanilla(ctx context.Context) (x []float32, cost float64, err error) {
	r := rng.Stream(w.seed, 1)
	for b := range w.samples {
		st := mcmc.State[float32]{X: make([]float32, w.chains*w.model.Len()), Sigma: slices.Repeat([]float64{w.top}, w.chains)}
		for i := range st.X {
			st.X[i] = float32(w.top * r.NormFloat64())
		}
		part, nfe, err := w.integrator.Denoise(ctx, st, b)
		if err != nil {
			return nil, 0, err
		}
		x, cost = append(x, part...), float64(nfe)
	}
	return x, cost, nil
}

// levels is the network that knows how noisy a digit is. It learns once, from samples
// of the model itself.
func (w *onNetwork) levels(ctx context.Context) (*levelnet.Classifier, error) {
	const n, ladder = 32, 200
	recipe := levelnet.Recipe{Shape: w.model.Shape, Levels: mcmc.Ladder(w.least, w.top, ladder)}
	trial := nets.Trial{Model: w.model, Panel: nets.Unguided, N: n}
	text, err := nets.Fitted(ctx, trial, "dmcmc-levels", recipe, func(ctx context.Context) ([]byte, error) {
		x, _, err := mcmc.FromNoise(ctx, w.denoiser, w.model.Schedule, mcmc.Init{SigmaMax: w.top, SigmaMin: w.least}, n, w.model.Len(), 1)
		if err != nil {
			return nil, err
		}
		c, err := levelnet.Train(ctx, recipe, x, n, nn.Options{})
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		err = c.Save(&b)
		return b.Bytes(), err
	})
	if err != nil {
		return nil, err
	}
	return levelnet.Load(bytes.NewReader(text))
}

// walk samples by chains.
func (w *onNetwork) walk(ctx context.Context, cfg mcmc.Config, figures map[string]float64) (x []float32, cost float64, err error) {
	post, err := w.levels(ctx)
	if err != nil {
		return nil, 0, err
	}
	t := mcmc.Target[float32]{Model: w.denoiser, Schedule: w.model.Schedule, Posterior: post}
	st, start, err := mcmc.Start(ctx, t, cfg, mcmc.Init{SigmaMax: w.top, SigmaMin: w.least}, w.chains, w.model.Len(), mcmc.Seeded(w.seed))
	if err != nil {
		return nil, 0, err
	}
	chains, err := mcmc.New(t, cfg, st, mcmc.Seeded(w.seed))
	if err != nil {
		return nil, 0, err
	}
	done := 0
	for s, err := range chains.Samples(ctx, w.integrator.Denoise) {
		if err != nil {
			return nil, 0, err
		}
		x, cost = append(x, s.X...), float64(s.NFE)
		figures["median eta/sigma²"] = s.Overshoot
		if done++; done == w.samples {
			break
		}
	}
	figures["calls before the first sample"] = float64(start)
	return x, cost, nil
}
