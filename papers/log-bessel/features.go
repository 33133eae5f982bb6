package logbessel

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/directional"
	"github.com/assay-lab/assay/lab"
)

const builtinMNIST = "builtin:mnist"

var featureEstimators = []string{mle, closed, viaScaled}

func features() *lab.Experiment {
	return &lab.Experiment{
		Name:    "log-bessel/features",
		Title:   "A von Mises–Fisher distribution fitted to features",
		Help:    "Every row of a file of features, .npy or .csv, is scaled to length 1. Built in are the images of MNIST as vectors of 784 brightnesses. The likelihood is that of the distribution whose mean direction is the rows' and whose κ is estimated.",
		Cost:    lab.Axis{Name: "rows", Log: true},
		Quality: lab.Axis{Name: "mean log-likelihood a coordinate", Better: lab.Higher},
		Params: []lab.Param{
			{Name: "data", Help: "features, a row each", Kind: lab.Input, Default: builtinMNIST, Choices: []string{builtinMNIST}, Accept: []string{".npy", ".csv", ".csv.gz"}},
			{Name: "n", Help: "most rows, the first ones", Kind: lab.Ints, Default: "100,1000,10000", At: map[lab.Size]string{lab.Quick: "100,1000"}, Min: 2, Max: 1e9},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, name := range featureEstimators {
				for _, n := range v.Ints("n") {
					cs = append(cs, lab.Cell{Method: name, Budget: float64(n), Values: v})
				}
			}
			return cs, nil
		},
		Run:    runFeatures,
		Claims: featuresClaims(),
	}
}

func runFeatures(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	x, err := readFeatures(c.Values.Text("data"))
	if err != nil {
		return lab.Outcome{}, err
	}
	p := x.Cols
	n := min(x.Rows, int(c.Budget))
	sum := make([]float64, p)
	for i := range n {
		if ctx.Err() != nil {
			return lab.Outcome{}, ctx.Err()
		}
		row := x.Row(i)
		var s float64
		for _, f := range row {
			s += f * f
		}
		if !(s > 0) || math.IsInf(s, 1) {
			return lab.Outcome{}, fmt.Errorf("%s: row %d has no direction: its norm is %g", c.Values.Text("data"), i, math.Sqrt(s))
		}
		for j, f := range row {
			sum[j] += f / math.Sqrt(s)
		}
	}
	var s float64
	for _, t := range sum {
		s += t * t
	}
	r := math.Sqrt(s) / float64(n)
	kappa, err := estimate(c.Method, p, n, r)
	if err != nil {
		return lab.Outcome{}, err
	}
	mean := directional.LogNormalizer(p, kappa) + kappa*r
	return lab.Outcome{Cost: float64(n), Quality: mean / float64(p), Metrics: map[string]float64{
		"κ": kappa, "R": r, "residual": math.Abs(directional.MeanResultant(p, kappa) - r),
	}}, nil
}

// readFeatures is a table of features, rows of at least two numbers.
func readFeatures(name string) (*data.Table, error) {
	if name == builtinMNIST {
		m, err := data.MNIST()
		if err != nil {
			return nil, err
		}
		t := &data.Table{Rows: m.N, Cols: m.H * m.W, Values: make([]float64, len(m.Pixels))}
		for i, b := range m.Pixels {
			t.Values[i] = float64(b)
		}
		return t, nil
	}
	t, err := data.OpenTable(name)
	if err != nil {
		return nil, err
	}
	if t.Rows < 2 || t.Cols < 2 {
		return nil, fmt.Errorf("%s: %d rows of %d numbers: want at least 2 of 2", name, t.Rows, t.Cols)
	}
	return t, nil
}
