package bdia

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// digits asks the same of real images on a trained network.
func digits() *lab.Experiment {
	return &lab.Experiment{
		Name:    "bdia/digits",
		Title:   "Real digits to noise and back, on a trained network",
		Help:    "Digits that the network has not seen are walked to noise under their own label and made again from what the method keeps, with states in double precision; the network computes in single. Quality is −log₁₀ of the largest error of a pixel, in units of [−1, 1], in which a gray level of 8 bits is 0.008.",
		Cost:    mixture.NFE,
		Quality: digitsBack,
		Budget:  "steps",
		Params: append(nets.Params(),
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each", Kind: lab.Floats, Default: "1,3", At: map[lab.Size]string{lab.Quick: "1"}, Min: 0, Max: 100},
			gammaParam("0.96,1"),
			lab.Param{Name: "steps", Help: "numbers of steps one way", Kind: lab.Ints, Default: "10,20,50", At: map[lab.Size]string{lab.Quick: "10", lab.Full: "10,20,50,100"}, Min: 2, Max: 10000},
			lab.Param{Name: "n", Help: "images a seed", Kind: lab.Int, Default: "4", At: map[lab.Size]string{lab.Quick: "2", lab.Full: "50"}, Min: 1, Max: 1000},
			lab.Param{Name: "seeds", Help: "independent sets of images", Kind: lab.Int, Default: "2", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "4"}, Min: 1, Max: 4},
		),
		Version: 1,
		Grid:    func(v lab.Values) ([]lab.Cell, error) { return digitsGrid(v, true, takesDigits) },
		Run:     runDigits,
		Claims:  digitsClaims(),
	}
}

// digitsGrid is a panel a guidance scale on a network that passes the check.
func digitsGrid(v lab.Values, alone bool, check func(*network.Model) error) (cells []lab.Cell, err error) {
	m, err := nets.Open(v)
	if err != nil {
		return nil, err
	}
	if err := check(m); err != nil {
		return nil, err
	}
	for _, panel := range nets.Panels(m, v.Floats("guidance")) {
		cells = append(cells, tripCells(v, panel, alone)...)
	}
	return cells, nil
}

func takesDigits(m *network.Model) error {
	if !slices.Equal(m.Shape, []int{1, 28, 28}) {
		return fmt.Errorf("model = %s: digits of shape [1 28 28] are no samples of shape %v", m.Name, m.Shape)
	}
	return nil
}

// realDigits are n digits that the shipped network was not trained on, and their
// labels; every fourth and fifth of MNIST's test split.
func realDigits(n int, seed uint64) (x []float32, labels []int, err error) {
	set, err := data.MNIST()
	if err != nil {
		return nil, nil, err
	}
	all, area := set.Float32(data.Signed), set.H*set.W
	for k := range n {
		i := 5*(int(seed)*n+k) + 3
		if i >= set.N {
			return nil, nil, fmt.Errorf("%d images for seed %d: there are %d unseen ones", n, seed, set.N/5)
		}
		x, labels = append(x, all[i*area:(i+1)*area]...), append(labels, int(set.Labels[i]))
	}
	return x, labels, nil
}

// scaled is the network under the guidance that the cell's panel names.
func scaled(m *network.Model, c lab.Cell, labels []int) (diffusion.Denoiser[float32], error) {
	if m.Classes == 0 {
		return m.Denoiser(nil)
	}
	scales := c.Values.Floats("guidance")
	i := slices.Index(nets.Panels(m, scales), c.Panel)
	if i < 0 {
		return nil, fmt.Errorf("panel %q is unknown", c.Panel)
	}
	return m.Guided(labels, scales[i])
}

func runDigits(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := nets.Open(c.Values)
	if err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("n")
	clean, labels, err := realDigits(n, c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	model, err := scaled(m, c, labels)
	if err != nil {
		return lab.Outcome{}, err
	}
	g := diffusion.Grid{Schedule: m.Schedule, Steps: int(c.Budget)}
	wide := widened(clean)
	tr, err := newTrip(c.Method, diffusion.Widen(model), g)
	if err != nil {
		return lab.Outcome{}, err
	}
	noise, again, calls, err := tr.regenerate(ctx, wide, n)
	if err != nil {
		return diverged(err)
	}
	o := tripOutcome(calls, farthest(again, wide), map[string]float64{
		meanSq: meanSquare(noise), changedPix: float64(changed(again, wide)) / float64(n)})
	if _, ok := gammaOf(c.Method); ok && !strings.HasSuffix(c.Method, noiseAlone) {
		single, err := newTrip(c.Method, model, g)
		if err != nil {
			return lab.Outcome{}, err
		}
		_, again32, _, err := single.regenerate(ctx, clean, n)
		if err != nil {
			return diverged(err)
		}
		o.Metrics[inSingle] = farthest(again32, clean)
	}
	if c.Seed == 0 {
		both := slices.Clone(clean)
		for _, v := range again {
			both = append(both, float32(v))
		}
		picture, err := nets.Picture(m, both, 2*n)
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Files = []lab.File{picture}
	}
	return o, nil
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// changed counts the pixels whose gray level of 8 bits differs.
func changed(a, b []float64) int {
	n := 0
	for i := range a {
		if data.Signed.Byte(float32(a[i])) != data.Signed.Byte(float32(b[i])) {
			n++
		}
	}
	return n
}
