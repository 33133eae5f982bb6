package ptq4dm

import (
	"bytes"
	"context"
	_ "embed"
	"math/rand/v2"
	"sync"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/mlp"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/quant"
)

// The problem: five narrow Gaussians in eight dimensions, and a small network
// trained on them. go generate trains it anew.
//
//go:generate go run ./train
var (
	//go:embed denoiser.safetensors
	weights []byte

	// Recipe is how the network is trained.
	Recipe = mlp.Recipe{Dim: 8, Times: 16, Frequency: 30, Hidden: 96, Layers: 3, Steps: 5000, Batch: 256, Rate: 2e-3, Seed: 1}

	network = sync.OnceValues(func() (*mlp.Denoiser, error) { return mlp.Load(bytes.NewReader(weights)) })
)

// limit bounds the data: predictions of it are clipped there.
const limit = 1.2

// Mixture is the data: five components with deviation 0.1 whose means are within
// ±0.8.
func Mixture() *gmm.Mixture {
	src := rng.Stream(1, 7)
	m := &gmm.Mixture{W: []float64{.3, .25, .2, .15, .1}, S: []float64{.1, .1, .1, .1, .1}}
	for range m.W {
		mu := make([]float64, Recipe.Dim)
		for j := range mu {
			mu[j] = .8 * (2*src.Float64() - 1)
		}
		m.Mu = append(m.Mu, mu)
	}
	return m
}

// Schedule is that of DDPM, 1000 steps.
func Schedule() (diffusion.Schedule, error) {
	return diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, .02, 1000))
}

// Train makes the network.
func Train(ctx context.Context) (*mlp.Denoiser, error) {
	s, err := Schedule()
	if err != nil {
		return nil, err
	}
	m := Mixture()
	return mlp.Train(ctx, Recipe, s, func(n int, src *rand.Rand) []float64 { return m.Sample(n, src) }, nn.Options{})
}

// chain is the network as layers to quantize.
func chain() (quant.Chain, error) {
	d, err := network()
	if err != nil {
		return nil, err
	}
	ws, bs := d.Layers()
	var c quant.Chain
	for i, w := range ws {
		rows := len(bs[i])
		l := quant.ChainLayer{Name: []string{"first", "second", "third", "last"}[min(i, 3)], Weights: quant.NewDense(w, rows, len(w)/rows), Output: quant.SiLU}
		for _, b := range bs[i] {
			l.Bias = append(l.Bias, float64(b))
		}
		if i == len(ws)-1 {
			l.Output = quant.Identity
		}
		c = append(c, l)
	}
	return c, nil
}

// A forward evaluates a network for n inputs.
type forward func(x []float64, n int) ([]float64, error)

// denoiser is a network of that form as a model.
func denoiser(f forward) diffusion.Denoiser[float64] {
	return diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(_ context.Context, dst, x []float64, n int, at []diffusion.Level) error {
		y, err := f(inputs(x, n, at), n)
		copy(dst, y)
		return err
	}}
}

// inputs are states and levels as the network takes them.
func inputs(x []float64, n int, at []diffusion.Level) []float64 {
	k := Recipe.Dim + Recipe.Times
	in := make([]float64, n*k)
	for i := range n {
		mlp.Features(Recipe, in[i*k:(i+1)*k], x[i*Recipe.Dim:], at[min(i, len(at)-1)].T)
	}
	return in
}
