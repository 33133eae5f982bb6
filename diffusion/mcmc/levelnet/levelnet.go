// Package levelnet learns how noisy an image is: p(σ | x) for the chains of package
// mcmc on networks, for which no exact posterior is known.
//
// Kim & Ye 2023 train a small convolutional network for it. Here it is a network of
// two hidden layers on a dozen statistics of the image that tell white noise from
// what images have (quantiles of the differences of neighbours, and differences
// after averaging), whose answer is a normal density in log σ over the ladder. It
// is trained by cross-entropy on x₀ + σ·z for levels σ drawn evenly, as the paper's
// is, in seconds rather than in epochs, and for any number of levels.
package levelnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/gomlx/gomlx/core/graph"
)

// A Recipe says what a classifier is for and how it is trained.
type Recipe struct {
	Shape  []int     // of an image: [C,] H, W
	Levels []float64 // the ladder, as mcmc.Ladder makes it
	// Examples is how many noisy images to learn from, drawn again and again; 0: 8192.
	Examples int
	Steps    int     // 0: 800
	Batch    int     // 0: 128
	Rate     float64 // peak learning rate of Adam; 0: 5·10⁻³
	Seed     uint64
}

func (r Recipe) withDefaults() (Recipe, error) {
	if r.Examples == 0 {
		r.Examples = 8192
	}
	if r.Steps == 0 {
		r.Steps = 800
	}
	if r.Batch == 0 {
		r.Batch = 128
	}
	if r.Rate == 0 {
		r.Rate = 5e-3
	}
	if len(r.Shape) == 2 {
		r.Shape = append([]int{1}, r.Shape...)
	}
	if len(r.Shape) != 3 || r.Shape[0] < 1 || min(r.Shape[1], r.Shape[2]) < coarsest*2 {
		return r, fmt.Errorf("levelnet: samples of shape %v: must be images [C, H, W] of at least %d pixels a side", r.Shape, coarsest*2)
	}
	if len(r.Levels) < 2 {
		return r, fmt.Errorf("levelnet: %d levels: at least 2 are needed", len(r.Levels))
	}
	for i, v := range r.Levels {
		if !(v > 0) || math.IsInf(v, 0) || i > 0 && v >= r.Levels[i-1] {
			return r, fmt.Errorf("levelnet: level %d = %g: levels must be positive and fall from the largest on", i, v)
		}
	}
	if r.Steps < 1 || r.Batch < 1 || r.Examples < 1 || !(r.Rate > 0) {
		return r, fmt.Errorf("levelnet: %d steps of %d of %d images at rate %g: all must be positive", r.Steps, r.Batch, r.Examples, r.Rate)
	}
	return r, nil
}

// width is that of the hidden layers.
const width = 32

var layout = nn.Layout{
	{Name: "hidden1", Shape: []int{features, width}, Deviation: math.Sqrt(1. / features)},
	{Name: "bias1", Shape: []int{width}},
	{Name: "hidden2", Shape: []int{width, width}, Deviation: math.Sqrt(1. / width)},
	{Name: "bias2", Shape: []int{width}},
	{Name: "answer", Shape: []int{width, 2}, Deviation: .1 * math.Sqrt(1./width)},
	{Name: "bias3", Shape: []int{2}},
}

// A Classifier is a trained network. It is safe for concurrent use.
type Classifier struct {
	recipe  Recipe
	weights []float32
	u       []float64 // the levels, as the network sees them
}

var _ mcmc.Posterior[float32] = (*Classifier)(nil)

// Levels are the levels σ/α, the largest first.
func (c *Classifier) Levels() []float64 { return c.recipe.Levels }

// LogProbs writes log p(level | x) up to a constant for n images in units of the data.
func (c *Classifier) LogProbs(ctx context.Context, out []float64, x []float32, n int) error {
	d := c.recipe.Shape[0] * c.recipe.Shape[1] * c.recipe.Shape[2]
	k := len(c.u)
	if n < 1 || len(x) != n*d || len(out) != n*k {
		return fmt.Errorf("levelnet: %d pixels and %d log-probabilities for %d images: want %d and %d each", len(x), len(out), n, d, k)
	}
	var s scratch
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := s.statistics(x[i*d:(i+1)*d], c.recipe.Shape)
		m, logV := c.forward(f)
		for l, u := range c.u {
			out[i*k+l] = -(u - m) * (u - m) / 2 * math.Exp(-logV)
		}
	}
	return nil
}

// standard puts log σ on a scale on which the ladder reaches from −1 to 1.
func standard(levels []float64) []float64 {
	hi, lo := math.Log(levels[0]), math.Log(levels[len(levels)-1])
	u := make([]float64, len(levels))
	for i, sigma := range levels {
		u[i] = (2*math.Log(sigma) - hi - lo) / (hi - lo)
	}
	return u
}

// forward gives the mean and the log variance of the standard level.
func (c *Classifier) forward(f []float64) (mean, logV float64) {
	p := layout.Split(c.weights)
	h := layer(f, p[0], p[1])
	for i := range h {
		h[i] = math.Tanh(h[i])
	}
	h = layer(h, p[2], p[3])
	for i := range h {
		h[i] = math.Tanh(h[i])
	}
	y := layer(h, p[4], p[5])
	return y[0], y[1]
}

func layer(x []float64, w, bias []float32) []float64 {
	y := make([]float64, len(bias))
	for j, b := range bias {
		y[j] = float64(b)
	}
	for i, v := range x {
		for j, c := range w[i*len(y) : (i+1)*len(y)] {
			y[j] += v * float64(c)
		}
	}
	return y
}

// answers is forward as a graph: [n, features] to [n, 2].
func answers(p []*graph.Node, x *graph.Node) *graph.Node {
	h := graph.Tanh(graph.Add(graph.MatMul(x, p[0]), graph.Reshape(p[1], 1, width)))
	h = graph.Tanh(graph.Add(graph.MatMul(h, p[2]), graph.Reshape(p[3], 1, width)))
	return graph.Add(graph.MatMul(h, p[4]), graph.Reshape(p[5], 1, 2))
}

// loss is the mean cross-entropy: in are statistics, one-hot levels and the ladder.
func loss(p, in []*graph.Node) *graph.Node {
	y := answers(p, in[0])
	m, logV := graph.SliceAxis(y, 1, graph.AxisRange(0, 1)), graph.SliceAxis(y, 1, graph.AxisRange(1, 2))
	gap := graph.Sub(in[2], m) // [1, K] − [n, 1]
	logits := graph.MulScalar(graph.Mul(graph.Square(gap), graph.Exp(graph.Neg(logV))), -.5)
	k := in[2].Shape().Dim(1)
	return graph.Neg(graph.MulScalar(graph.ReduceAllMean(graph.Mul(in[1], graph.LogSoftmax(logits))), float64(k)))
}

// Train makes a classifier from n clean images x₀ in units of the data: from the
// user's data, or samples of the model itself.
func Train(ctx context.Context, r Recipe, x0 []float32, n int, opt nn.Options) (*Classifier, error) {
	r, err := r.withDefaults()
	if err != nil {
		return nil, err
	}
	d := r.Shape[0] * r.Shape[1] * r.Shape[2]
	if n < 1 || len(x0) != n*d {
		return nil, fmt.Errorf("levelnet: %d pixels for %d images: want %d each, and at least one", len(x0), n, d)
	}
	for i, v := range x0 {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("levelnet: image %d has %v", i/d, v)
		}
	}
	id, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	u := standard(r.Levels)
	k := len(u)
	examples, err := r.examples(ctx, x0, n)
	if err != nil {
		return nil, err
	}
	batch := func(step int, in [][]float32) {
		examples.draw(rng.Stream(r.Seed, 3, uint64(step)), r.Batch, k, in[0], in[1])
		for i, v := range u {
			in[2][i] = float32(v)
		}
	}
	gradient, err := nn.GraphGradient(layout, [][]int{{r.Batch, features}, {r.Batch, k}, {1, k}}, batch, loss)
	if err != nil {
		return nil, err
	}
	w, err := nn.Train(ctx, nn.Task{Recipe: string(id), Layout: layout, Gradient: gradient, Steps: r.Steps, Seed: r.Seed, EMA: .99,
		Adam: nn.Adam{Rate: r.Rate, Beta1: .9, Beta2: .999, Epsilon: 1e-8, Clip: 10, Warmup: r.Steps / 20}}, opt)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := nn.WriteWeights(&b, layout, w, string(id)); err != nil {
		return nil, err
	}
	return Load(&b) // with weights as they will be stored
}

// Load reads a classifier that Save wrote.
func Load(r io.Reader) (*Classifier, error) {
	c := &Classifier{}
	var err error
	c.weights, err = nn.ReadWeights(r, func(recipe string) (nn.Layout, error) {
		if err := json.Unmarshal([]byte(recipe), &c.recipe); err != nil {
			return nil, fmt.Errorf("the file's recipe: %w", err)
		}
		var err error
		c.recipe, err = c.recipe.withDefaults()
		return layout, err
	})
	if err != nil {
		return nil, fmt.Errorf("levelnet: %w", err)
	}
	c.u = standard(c.recipe.Levels)
	return c, nil
}

// Save writes the classifier as a safetensors file, its weights rounded to half
// precision.
func (c *Classifier) Save(w io.Writer) error {
	id, err := json.Marshal(c.recipe)
	if err != nil {
		return err
	}
	return nn.WriteWeights(w, layout, slices.Clone(c.weights), string(id))
}
