package dpmsolverpp

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// rightLabel is the metric of how often a classifier sees the digit asked for.
const rightLabel = "right label"

// digits asks how good the samples look, whatever the exact solution is.
func digits() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/digits",
		Title:   "Samples of a trained network: Fréchet distance to real digits",
		Help:    "The Fréchet distance between samples and real digits in the features of a small classifier, which was trained on digits that the network has not seen. It stands in for FID on images.",
		Cost:    nfe,
		Quality: lab.Axis{Name: "Fréchet distance", Log: true},
		Params: append(nets.Params(),
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each, for networks that take labels", Kind: lab.Floats, Default: "1,7.5", Min: 0, Max: 100},
			lab.Param{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,10,15,20,40", At: map[lab.Size]string{lab.Quick: "10,15", lab.Full: "5,8,10,15,20,30,40,100"}, Min: 3, Max: 10000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "100", At: map[lab.Size]string{lab.Quick: "20", lab.Full: "2000"}, Min: 10, Max: 100000},
			lab.Param{Name: "seeds", Help: "independent sets of samples", Kind: lab.Int, Default: "1", At: map[lab.Size]string{lab.Full: "5"}, Min: 1, Max: 1000},
		),
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			m, err := nets.Open(v)
			if err != nil {
				return nil, err
			}
			if !slices.Equal(m.Shape, []int{1, 28, 28}) {
				return nil, fmt.Errorf("model = %s: samples of shape %v cannot be compared with digits of shape [1 28 28]", v.Text("model"), m.Shape)
			}
			return mixture.Cells(v, nets.Panels(m, v.Floats("guidance")), networkRivals, false), nil
		},
		Run:    runDigits,
		Claims: digitsClaims(),
	}
}

// judge is the classifier with the features of real digits, made once.
var judge = sync.OnceValues(func() (*jury, error) {
	c, err := network.MNISTClassifier()
	if err != nil {
		return nil, err
	}
	x, labels, err := network.MNISTImages()
	if err != nil {
		return nil, err
	}
	real, err := network.FeatureMatrix(context.Background(), c, x, len(labels))
	return &jury{c, real}, err
})

type jury struct {
	classifier network.Classifier
	real       *mat.Dense
}

func runDigits(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := nets.Open(c.Values)
	if err != nil {
		return lab.Outcome{}, err
	}
	r, err := mixture.RivalNamed(networkRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	j, err := judge()
	if err != nil {
		return lab.Outcome{}, err
	}
	t := nets.Trial{Model: m, Panel: c.Panel, N: c.Values.Int("n"), Seed: c.Seed}
	s, err := t.Sample(ctx, r, int(c.Budget))
	if err != nil {
		return lab.Outcome{}, err
	}
	f, err := network.FeatureMatrix(ctx, j.classifier, s.X, t.N)
	if err != nil {
		return lab.Outcome{}, err
	}
	d, err := metrics.Frechet(f, j.real)
	if err != nil {
		return lab.Outcome{}, err
	}
	o := lab.Outcome{Cost: float64(s.NFE), Quality: d, Metrics: map[string]float64{"network passes": float64(s.Passes)}}
	if labels := t.Labels(); labels != nil {
		seen, err := j.classifier.Classify(ctx, s.X, t.N)
		if err != nil {
			return lab.Outcome{}, err
		}
		right := 0
		for i, l := range labels {
			if seen[i] == l {
				right++
			}
		}
		o.Metrics[rightLabel] = float64(right) / float64(t.N)
	}
	if c.Seed == 0 {
		picture, err := nets.Picture(m, s.X, min(t.N, 20))
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Files = []lab.File{picture}
	}
	return o, nil
}
