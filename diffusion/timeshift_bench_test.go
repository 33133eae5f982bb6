package diffusion_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

// BenchmarkTimeShift times a step with shifted times beside one of its host's, the
// run in slices without a shift, and the pass over memory that it cannot do without.
func BenchmarkTimeShift(b *testing.B) {
	const steps = 50
	for _, size := range []struct{ n, d int }{{64, 28 * 28}, {16, 3 * 64 * 64}, {4, 3 * 256 * 256}} {
		g := diffusion.Grid{Schedule: table(b), Steps: steps, Spacing: diffusion.TimeUniform}
		x, err := diffusion.Start[float32](g, size.n, size.d, diffusion.Seeded(1))
		if err != nil {
			b.Fatal(err)
		}
		p := diffusion.Problem[float32]{Model: identity, Grid: g, X: x, N: size.n}
		name := fmt.Sprintf("%dx%d", size.n, size.d)
		b.Run(name+"/variance", func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				for i := range size.n {
					diffusion.Variance(x[i*size.d : (i+1)*size.d])
				}
			}
		})
		for _, tt := range []struct {
			name   string
			method diffusion.Method
		}{{"host", diffusion.DDIM{}}, {"unshifted", diffusion.TimeShift{}}, {"shifted", diffusion.TimeShift{Window: 60}}} {
			b.Run(name+"/"+tt.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := diffusion.Solve(context.Background(), p, tt.method); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/steps, "ns/step")
			})
		}
	}
}
