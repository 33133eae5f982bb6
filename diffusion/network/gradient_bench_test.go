package network_test

import (
	"context"
	"testing"
	"time"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/network"
)

// BenchmarkGradient times the gradient for the start noise through ten steps of the
// shipped network over sampling alone, alternately: kept states run every evaluation
// again with its product (three times the work of sampling is ideal), plain
// back-propagation does not, and holds the activations instead.
func BenchmarkGradient(b *testing.B) {
	ctx := context.Background()
	m, err := network.MNIST()
	if err != nil {
		b.Fatal(err)
	}
	model, err := m.Differentiable([]int{3}, 1, network.TrainNothing)
	if err != nil {
		b.Fatal(err)
	}
	p := diffusion.Problem[float32]{Model: model, N: 4, Grid: diffusion.Grid{Schedule: m.Schedule, Steps: 10}}
	if p.X, err = diffusion.Start[float32](p.Grid, p.N, m.Len(), diffusion.Seeded(1)); err != nil {
		b.Fatal(err)
	}
	loss := func(x []float32, _ int, grad []float32) (float64, error) { copy(grad, x); return 0, nil }
	gradient := func(o adjoint.Options) *adjoint.Gradient[float32] {
		g, err := adjoint.Solve(ctx, p, diffusion.DDIM{}, loss, o)
		if err != nil {
			b.Fatal(err)
		}
		return g
	}
	for _, check := range []adjoint.Checkpoint{adjoint.GridStates, adjoint.Full, adjoint.Recursive, adjoint.None} {
		b.Run(check.String(), func(b *testing.B) {
			o := adjoint.Options{Checkpoint: check, Tolerance: 1e9}
			held := gradient(o)
			var sampling, gradients time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := diffusion.Solve(ctx, p, diffusion.DDIM{}); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				gradient(o)
				sampling, gradients = sampling+middle.Sub(start), gradients+time.Since(middle)
			}
			b.ReportMetric(float64(gradients)/float64(sampling), "×sampling")
			b.ReportMetric(float64(held.Bytes+held.Recorded)/(1<<20), "MiB-held")
		})
	}
}
