package mixer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
)

// BenchmarkStep times one step of training the shipped network.
func BenchmarkStep(b *testing.B) {
	m, err := data.MNIST()
	if err != nil {
		b.Fatal(err)
	}
	x := m.Float32(data.Range{Lo: -1, Hi: 1})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	steps := 0
	_, err = Train(ctx, MNIST, x, m.Labels, nn.Options{Progress: func(nn.Progress) {
		if steps == 0 {
			b.ResetTimer() // compiled
		}
		if steps++; steps > b.N {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
}

// BenchmarkVelocity times one evaluation of the shipped network.
func BenchmarkVelocity(b *testing.B) {
	d := newDenoiser(MNIST, MNIST.Shape.layout().Init(rng.Stream(1)))
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("batch %d", n), func(b *testing.B) {
			x, y := make([]float32, n*784), make([]float32, n*784)
			for b.Loop() {
				if err := d.Velocity(context.Background(), y, x, n, []diffusion.Level{diffusion.Cosine{}.At(.5)}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N)/float64(n), "ms/image")
		})
	}
}
