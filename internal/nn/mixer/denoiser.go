package mixer

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/assay-lab/assay/diffusion"
)

// A Denoiser is a trained network. It is safe for concurrent use.
type Denoiser struct {
	recipe  Recipe
	weights []float32
	p       *parameters
	free    [shard + 1]sync.Pool // of networks for that many images
	kept    [shard + 1]sync.Pool // of those that keep what the way back needs
}

func newDenoiser(r Recipe, weights []float32) *Denoiser {
	return &Denoiser{recipe: r, weights: weights, p: r.Shape.parameters(weights)}
}

// Recipe is what the denoiser was made by.
func (d *Denoiser) Recipe() Recipe { return d.recipe }

// Velocity writes the predicted velocity of n images x [n, Size, Size] to dst. at
// has one level for all images or one for each, of the cosine schedule or another
// that preserves variance: the network's time is that of the same λ. labels has
// one label for all images or one for each, or none; −1 asks for the
// unconditional prediction.
func (d *Denoiser) Velocity(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error {
	return d.recipe.Shape.velocity(ctx, dst, x, n, at, labels, func(dst, x []float32, n int, at []diffusion.Level, labels []int) {
		net, ok := d.free[n].Get().(*network)
		if !ok {
			net = d.recipe.Shape.newNetwork(n, false)
		}
		defer d.free[n].Put(net)
		net.load(x, at, labels)
		net.forward(d.p)
		net.unload(dst)
	})
}

// velocity checks the arguments of Velocity and runs shards of images.
func (s Shape) velocity(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int,
	pass func(dst, x []float32, n int, at []diffusion.Level, labels []int)) error {
	if err := s.checkCall(dst, x, n, at, labels); err != nil {
		return err
	}
	area := s.Size * s.Size
	each((n+shard-1)/shard, func(k int) {
		if ctx.Err() == nil {
			i := k * shard
			pass(dst[i*area:], x[i*area:], min(shard, n-i), some(at, i), some(labels, i))
		}
	})
	return ctx.Err()
}

// checkCall checks the arguments of Velocity.
func (s Shape) checkCall(dst, x []float32, n int, at []diffusion.Level, labels []int) error {
	area := s.Size * s.Size
	switch {
	case n < 0 || len(x) != n*area || len(dst) != len(x):
		return fmt.Errorf("mixer: %d numbers in, %d out: want %d for %d images", len(x), len(dst), n*area, n)
	case len(at) != 1 && len(at) != n:
		return fmt.Errorf("mixer: %d levels for %d images: want 1 or %d", len(at), n, n)
	case len(labels) > 1 && len(labels) != n:
		return fmt.Errorf("mixer: %d labels for %d images: want none, 1 or %d", len(labels), n, n)
	}
	for _, l := range at {
		if v := l.Alpha*l.Alpha + l.Sigma*l.Sigma; !(math.Abs(v-1) < 1e-6) || math.IsNaN(l.Lambda) {
			return fmt.Errorf("mixer: level with alpha = %g, sigma = %g: must preserve variance", l.Alpha, l.Sigma)
		}
	}
	for _, l := range labels {
		if l < -1 || l >= s.Classes {
			return fmt.Errorf("mixer: label %d: must be 0 to %d, or -1 for none", l, s.Classes-1)
		}
	}
	return nil
}

// some cuts off the first i elements of a list that has one for every image, and
// leaves a shorter one alone.
func some[T any](xs []T, i int) []T {
	if len(xs) <= 1 {
		return xs
	}
	return xs[i:]
}

// load takes in n images, their levels and labels.
func (n *network) load(x []float32, at []diffusion.Level, labels []int) {
	area := n.Size * n.Size
	for i := range n.n {
		n.cut(n.x, x[i*area:][:area], i, n.n)
		n.timeFeatures(n.time[i*n.Times:][:n.Times], diffusion.Cosine{}.Time(at[min(i, len(at)-1)].Lambda))
		n.label[i] = n.Classes
		if len(labels) > 0 && labels[min(i, len(labels)-1)] >= 0 {
			n.label[i] = labels[min(i, len(labels)-1)]
		}
	}
}

// unload writes the velocities.
func (n *network) unload(dst []float32) {
	area := n.Size * n.Size
	for i := range n.n {
		n.paste(dst[i*area:][:area], n.out, i, n.n)
	}
}
