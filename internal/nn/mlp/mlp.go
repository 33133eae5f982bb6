// Package mlp is a small denoiser of plain vectors: fully connected layers with
// SiLU on the state and sines and cosines of the time, which predict the noise.
package mlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
)

// A Recipe says how a denoiser is made. Equal recipes and data give equal weights
// on one machine.
type Recipe struct {
	Dim       int // of a state
	Times     int // sine and cosine features of the time, an even number
	Frequency float64
	Hidden    int // numbers in a hidden layer
	Layers    int // hidden layers
	Steps     int
	Batch     int
	Rate      float64 // peak learning rate
	Seed      uint64
}

func (r Recipe) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"dim", r.Dim}, {"times", r.Times}, {"hidden", r.Hidden}, {"layers", r.Layers}, {"steps", r.Steps}, {"batch", r.Batch}} {
		if f.n < 1 || f.n > 1<<16 {
			return fmt.Errorf("mlp: %s = %d: must be between 1 and 65536", f.name, f.n)
		}
	}
	if r.Layers > 64 || r.Dim > 1<<12 || r.Hidden > 1<<12 || r.Times > 1<<12 {
		return errors.New("mlp: the network is too large")
	}
	if r.Times%2 != 0 {
		return fmt.Errorf("mlp: %d time features: must be even", r.Times)
	}
	if !(r.Frequency >= 1 && r.Frequency <= 1e4) {
		return fmt.Errorf("mlp: frequency = %g: must be between 1 and 10000", r.Frequency)
	}
	return nil
}

// sizes are the numbers of features between the layers.
func (r Recipe) sizes() []int {
	s := []int{r.Dim + r.Times}
	for range r.Layers {
		s = append(s, r.Hidden)
	}
	return append(s, r.Dim)
}

// layout lists weights [outputs, inputs] and biases, layer by layer.
func (r Recipe) layout() nn.Layout {
	var l nn.Layout
	s := r.sizes()
	for i := range s[1:] {
		l = append(l, nn.Param{Name: fmt.Sprintf("layer%d.weight", i), Shape: []int{s[i+1], s[i]}, Deviation: math.Sqrt(1 / float64(s[i]))},
			nn.Param{Name: fmt.Sprintf("layer%d.bias", i), Shape: []int{s[i+1]}})
	}
	return l
}

// Features writes a state and its time as the network takes them: Dim + Times
// numbers.
func Features[T diffusion.Float](r Recipe, dst, x []T, t float64) {
	copy(dst, x[:r.Dim])
	half := r.Times / 2
	for k := range half {
		f := math.Pow(r.Frequency, float64(k)/float64(max(half-1, 1)))
		sin, cos := math.Sincos(t * f)
		dst[r.Dim+k], dst[r.Dim+half+k] = T(sin), T(cos)
	}
}

// A Denoiser is a trained network.
type Denoiser struct {
	Recipe  Recipe
	weights []float32
}

// Layers are the weights [outputs, inputs] and biases, layer by layer.
func (d *Denoiser) Layers() (weights, biases [][]float32) {
	for i, part := range d.Recipe.layout().Split(d.weights) {
		if i%2 == 0 {
			weights = append(weights, part)
		} else {
			biases = append(biases, part)
		}
	}
	return weights, biases
}

// Train makes a denoiser of what sample draws: n vectors of Dim numbers.
func Train(ctx context.Context, r Recipe, s diffusion.Schedule, sample func(n int, src *rand.Rand) []float64, opt nn.Options) (*Denoiser, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	id, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("mlp: recipe: %w", err)
	}
	t := newTrainer(r, s, sample)
	w, err := nn.Train(ctx, nn.Task{
		Recipe: string(id), Layout: r.layout(), Gradient: t.gradient, Steps: r.Steps, Seed: r.Seed, EMA: .999,
		Adam: nn.Adam{Rate: r.Rate, Beta1: .9, Beta2: .999, Epsilon: 1e-8, Warmup: min(100, r.Steps/2)},
	}, opt)
	if err != nil {
		return nil, err
	}
	return &Denoiser{r, w}, nil
}

// batch draws the network's inputs and the noise that it should find.
func (t *trainer) batch(step int) {
	src := rng.Stream(t.r.Seed, 1, uint64(step))
	x0 := t.sample(t.r.Batch, src)
	lo, hi := t.schedule.Range()
	x := make([]float32, t.r.Dim)
	n := t.r.Dim + t.r.Times
	for i := range t.r.Batch {
		l := t.schedule.At(lo + (hi-lo)*src.Float64())
		for j := range x {
			e := src.NormFloat64()
			t.noise[i*t.r.Dim+j] = float32(e)
			x[j] = float32(l.Alpha*x0[i*t.r.Dim+j] + l.Sigma*e)
		}
		Features(t.r, t.act[0][i*n:(i+1)*n], x, l.T)
	}
}

// Save writes the denoiser as a safetensors file, its weights rounded to half
// precision.
func (d *Denoiser) Save(w io.Writer) error {
	id, err := json.Marshal(d.Recipe)
	if err != nil {
		return fmt.Errorf("mlp: recipe: %w", err)
	}
	return nn.WriteWeights(w, d.Recipe.layout(), d.weights, string(id))
}

// Load reads a denoiser that Save wrote.
func Load(rd io.Reader) (*Denoiser, error) {
	var r Recipe
	w, err := nn.ReadWeights(rd, func(text string) (nn.Layout, error) {
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("recipe: %w", err)
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		l := r.layout()
		if l.Len() > 1<<24 {
			return nil, errors.New("recipe: the network is too large")
		}
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("mlp: %w", err)
	}
	return &Denoiser{r, w}, nil
}
