package classifier

import (
	"context"
	"errors"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn"
)

// BenchmarkStep times one step of training.
func BenchmarkStep(b *testing.B) {
	m, err := data.MNIST()
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	steps := 0
	_, err = Train(ctx, MNIST, m.Float32(data.Signed), m.Labels, nn.Options{Progress: func(nn.Progress) {
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
