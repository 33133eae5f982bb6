package mixer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
)

// A Restorer is a trained network that restores images on a mean-reverting process.
// It is safe for concurrent use.
type Restorer struct {
	recipe  RestorerRecipe
	process *diffusion.MeanReverting
	weights []float32
	p       *parameters
	free    [shard + 1]sync.Pool // of networks for that many images
}

func newRestorer(r RestorerRecipe, p *diffusion.MeanReverting, weights []float32) *Restorer {
	return &Restorer{recipe: r, process: p, weights: weights, p: r.Shape.parameters(weights)}
}

// Recipe is what the restorer was made by.
func (d *Restorer) Recipe() RestorerRecipe { return d.recipe }

// Process is what it was trained on.
func (d *Restorer) Process() *diffusion.MeanReverting { return d.process }

// Velocity writes the predicted velocity s·(α·ε − σ·(x₀ − μ)/s) of n images x that
// revert to mu, all [n, Size, Size], to dst. at has one level of y = (x − μ)/s for
// all images or one for each. tasks has one task for all images or one for each, or
// none; −1 stands for a task that is not known.
func (d *Restorer) Velocity(ctx context.Context, dst, x, mu []float32, n int, at []diffusion.Level, tasks []int) error {
	s := d.recipe.Shape
	area := s.Size * s.Size
	switch {
	case n < 0 || len(x) != n*area || len(dst) != len(x):
		return fmt.Errorf("mixer: %d numbers in, %d out: want %d for %d images", len(x), len(dst), n*area, n)
	case len(mu) != len(x):
		return fmt.Errorf("mixer: %d numbers of degraded images: want %d for %d images", len(mu), len(x), n)
	case len(at) != 1 && len(at) != n:
		return fmt.Errorf("mixer: %d levels for %d images: want 1 or %d", len(at), n, n)
	case len(tasks) > 1 && len(tasks) != n:
		return fmt.Errorf("mixer: %d tasks for %d images: want none, 1 or %d", len(tasks), n, n)
	}
	for _, l := range at {
		if v := l.Alpha*l.Alpha + l.Sigma*l.Sigma; !(math.Abs(v-1) < 1e-3) || math.IsNaN(l.Lambda) {
			return fmt.Errorf("mixer: level with alpha = %g, sigma = %g: must preserve variance", l.Alpha, l.Sigma)
		}
	}
	for _, l := range tasks {
		if l < -1 || l >= s.Classes {
			return fmt.Errorf("mixer: task %d: must be 0 to %d, or -1 for none", l, s.Classes-1)
		}
	}
	each((n+shard-1)/shard, func(k int) {
		if ctx.Err() == nil {
			i := k * shard
			d.pass(dst[i*area:], x[i*area:], mu[i*area:], min(shard, n-i), some(at, i), some(tasks, i))
		}
	})
	return ctx.Err()
}

// pass runs n images, at most shard.
func (d *Restorer) pass(dst, x, mu []float32, n int, at []diffusion.Level, tasks []int) {
	s := d.recipe.Shape
	area, scale := s.Size*s.Size, float32(d.process.S)
	net, ok := d.free[n].Get().(*network)
	if !ok {
		net = s.newNetwork(n, false)
	}
	defer d.free[n].Put(net)
	y := make([]float32, area)
	for i := range n {
		image, mean := x[i*area:][:area], mu[i*area:][:area]
		for j, v := range image {
			y[j] = (v - mean[j]) / scale
		}
		s.see(net, y, mean, i)
		t := d.process.Time(at[min(i, len(at)-1)].Lambda) / float64(d.process.T)
		s.timeFeatures(net.time[i*s.Times:][:s.Times], t)
		net.label[i] = s.Classes
		if len(tasks) > 0 && tasks[min(i, len(tasks)-1)] >= 0 {
			net.label[i] = tasks[min(i, len(tasks)-1)]
		}
	}
	net.forward(d.p)
	for i := range n {
		s.paste(dst[i*area:][:area], net.out, i, n)
	}
	for i := range dst[:n*area] {
		dst[i] *= scale
	}
}

// Save writes the restorer as a safetensors file, its weights rounded to half
// precision.
func (d *Restorer) Save(w io.Writer) error {
	recipe, err := json.Marshal(d.recipe)
	if err != nil {
		return fmt.Errorf("mixer: recipe: %w", err)
	}
	return nn.WriteWeights(w, d.recipe.Shape.layout(), d.weights, string(recipe))
}

// LoadRestorer reads a restorer that Save wrote.
func LoadRestorer(r io.Reader) (*Restorer, error) {
	var recipe RestorerRecipe
	var p *diffusion.MeanReverting
	weights, err := nn.ReadWeights(r, func(text string) (nn.Layout, error) {
		if err := json.Unmarshal([]byte(text), &recipe); err != nil {
			return nil, fmt.Errorf("recipe: %w", err)
		}
		var err error
		if p, err = recipe.check(); err != nil {
			return nil, err
		}
		l := recipe.Shape.layout()
		if l.Len() > maxWeights {
			return nil, errors.New("recipe: the network is too large")
		}
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("mixer: %w", err)
	}
	return newRestorer(recipe, p, weights), nil
}
