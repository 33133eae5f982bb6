package diffusion_test

import (
	"context"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

// BenchmarkRestore times a step of the MR Sampler on a model that costs one copy,
// beside a loop that streams four buffers of the same size into a fifth: what a step
// must read (x, μ and two predictions).
func BenchmarkRestore(b *testing.B) {
	const steps, n = 50, 3 << 18 // a 512×512 picture in colour
	p := reversion(b, diffusion.Reversion{})
	mu, buffers := make([]float32, n), [4][]float32{}
	for i := range buffers {
		buffers[i] = make([]float32, n)
	}
	dst := make([]float32, n)
	b.Run("streaming 4 buffers", func(b *testing.B) {
		for b.Loop() {
			x0, x1, x2, x3 := buffers[0][:n], buffers[1][:n], buffers[2][:n], buffers[3][:n]
			for i := range dst {
				dst[i] = .9*x0[i] + .1*x1[i] + .2*x2[i] - .2*x3[i]
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/step")
	})
	copies := diffusion.MeanFunc[float32]{Prediction: diffusion.Noise, F: func(_ context.Context, dst, x, _ []float32, _ int, _ []diffusion.Level) error {
		copy(dst, x)
		return nil
	}}
	for _, m := range diffusion.RestorationMethods()[:1] {
		r := diffusion.Restoration[float32]{Model: copies, Grid: diffusion.Grid{Schedule: p, Steps: steps}, Mu: mu, X: mu, N: 1, Noise: diffusion.Seeded(1)}
		b.Run(m.Name, func(b *testing.B) {
			for b.Loop() {
				if _, err := diffusion.Restore(context.Background(), r, m.Method); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/steps, "ns/step")
		})
	}
}
