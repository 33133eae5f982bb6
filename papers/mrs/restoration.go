package mrs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/degrade"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

const (
	featureDistance = "feature distance"
	untouched       = "nothing done"
)

func restoration() *lab.Experiment {
	rivals := []rival{{Name: untouched}, posterior, published, euler, eulerSDE, ode1, ode2, ode2noise, sde2}
	n := map[lab.Size]string{lab.Quick: "2", lab.Desk: "12", lab.Full: "200"}
	nfe := map[lab.Size]string{lab.Quick: "10,100", lab.Desk: "5,10,20,50,100", lab.Full: "5,8,10,15,20,30,50,100"}
	ps := params(n, nfe)
	ps[2].Default, ps[1].Help = "2", "images a seed"
	return &lab.Experiment{
		Name: "mrs/restoration", Title: "Restored digits: PSNR over network evaluations",
		Help: "The network that comes with assay restores noisy, blurred and torn digits that it has not seen. PSNR rewards the mean of all answers, which few steps are nearer to; so the distance of a classifier's features is given beside it.",
		Cost: mixture.NFE, Quality: lab.Axis{Name: "PSNR", Unit: "dB", Better: lab.Higher}, Version: 1, Claims: restorationClaims(),
		Params: ps,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, degrade.Names(), rivals, false), nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			r, err := mixture.FindRival(rivals, c.Method)
			if err != nil {
				return lab.Outcome{}, err
			}
			return restore(ctx, c, r)
		},
	}
}

// damaged are n clean digits, none of which the network has seen, and spoiled copies.
func damaged(task degrade.Task, n int, seed uint64) (clean, mu []float32, err error) {
	_, set, err := mnist.Split()
	if err != nil {
		return nil, nil, err
	}
	all := set.Unit()
	const area = 28 * 28
	r := rng.Stream(seed, uint64(task))
	for range n {
		i := r.IntN(set.N())
		image, spoiled := all[i*area:(i+1)*area], make([]float32, area)
		task.Apply(spoiled, image, 28, r)
		clean, mu = append(clean, image...), append(mu, spoiled...)
	}
	return clean, mu, nil
}

func restore(ctx context.Context, c lab.Cell, r rival) (lab.Outcome, error) {
	task, err := degrade.Parse(c.Panel)
	if err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("n")
	clean, mu, err := damaged(task, n, c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	if r.Method == nil {
		return judgeImages(ctx, c, clean, mu, mu, n)
	}
	net, err := network.MNISTRestorer()
	if err != nil {
		return lab.Outcome{}, err
	}
	m, err := net.Model(c.Panel)
	if err != nil {
		return lab.Outcome{}, err
	}
	sol, err := diffusion.Restore(ctx, diffusion.Restoration[float32]{
		Model: m, Mu: mu, N: n, Noise: diffusion.Seeded(c.Seed), Lo: 0, Hi: 1,
		Grid: diffusion.Grid{Schedule: net.Process, Steps: int(c.Budget), Spacing: r.Spacing},
	}, r.Method)
	var diverged *diffusion.DivergedError
	switch {
	case errors.As(err, &diverged):
		return lab.Outcome{Cost: c.Budget, Quality: math.NaN()}, nil
	case err != nil:
		return lab.Outcome{}, err
	}
	return judgeImages(ctx, c, clean, mu, sol.X, n)
}

// judgeImages compares restored images with the clean ones.
func judgeImages(ctx context.Context, c lab.Cell, clean, mu, x []float32, n int) (lab.Outcome, error) {
	var psnr float64
	area := len(x) / n
	for i := 0; i < len(x); i += area {
		psnr += -20 * math.Log10(mixture.RMS(x[i:i+area], clean[i:i+area])) / float64(n)
	}
	judge, err := network.MNISTClassifier()
	if err != nil {
		return lab.Outcome{}, err
	}
	f, _, err := judge.Features(ctx, signed(x), n)
	if err != nil {
		return lab.Outcome{}, err
	}
	g, _, err := judge.Features(ctx, signed(clean), n)
	if err != nil {
		return lab.Outcome{}, err
	}
	o := lab.Outcome{Cost: c.Budget, Quality: psnr, Metrics: map[string]float64{featureDistance: mixture.RMS(f, g)}}
	if c.Seed == 0 {
		pic, err := picture(mu, x, clean, n)
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Files = []lab.File{pic}
	}
	return o, nil
}

// signed is pixels between −1 and 1, as the classifier takes them.
func signed(x []float32) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = 2*v - 1
	}
	return y
}

// picture has the degraded, the restored and the clean images in a row each.
func picture(mu, x, clean []float32, n int) (lab.File, error) {
	const most = 10
	area, k := len(x)/n, min(n, most)
	var all []float32
	for _, row := range [][]float32{mu, x, clean} {
		all = append(all, signed(row[:k*area])...)
	}
	img, err := report.ImageGrid(all, 3*k, 1, 28, 28, k)
	if err != nil {
		return lab.File{}, fmt.Errorf("picture: %w", err)
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return lab.File{Name: "restored.png", Type: "image/png", Data: b.Bytes()}, err
}
