package diffusion_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// identity is a model that costs one copy, so that what is left of a step is the
// executor's own work.
var identity = diffusion.Func[float32]{Prediction: diffusion.Data, F: func(_ context.Context, dst, x []float32, _ int, _ []diffusion.Level) error {
	copy(dst, x)
	return nil
}}

// BenchmarkStep times one step of the executor beside a copy of the same size,
// for latents of four images and for one 28×28 image.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct {
		name string
		n, d int
	}{{"latent 4x64x64x4", 4, 4 * 64 * 64}, {"image 28x28", 1, 28 * 28}, {"64 MB", 16, 1 << 20}} {
		x := make([]float32, size.n*size.d)
		for i := range x {
			x[i] = float32(i%97) / 97
		}
		dst := make([]float32, len(x))
		b.Run(fmt.Sprintf("%s/copy", size.name), func(b *testing.B) {
			b.SetBytes(int64(8 * len(x)))
			for b.Loop() {
				copy(dst, x)
			}
		})
		b.Run(fmt.Sprintf("%s/three reads and a write", size.name), func(b *testing.B) { // BDIA's least
			c, xs := []float32{.5, .3, .2}, [][]float32{x, slices.Clone(x), slices.Clone(x)}
			b.SetBytes(int64(16 * len(x)))
			for b.Loop() {
				kern.Comb(dst, c, xs)
			}
		})
		for _, name := range []string{"ddim", "dpmpp-2m", "bdia-ddim"} {
			m, err := diffusion.MethodNamed(name)
			if err != nil {
				b.Fatal(err)
			}
			const steps = 100
			tp, err := diffusion.Trace(m, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: steps}, diffusion.TraceOptions{Predicts: diffusion.Data})
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%s", size.name, name), func(b *testing.B) {
				for b.Loop() {
					if _, err := diffusion.Run(context.Background(), tp, diffusion.Env[float32]{Model: identity}, size.n, x); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/steps, "ns/step")
			})
		}
	}
}

// BenchmarkTrace times compiling 50 steps.
func BenchmarkTrace(b *testing.B) {
	g := diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 50}
	for _, m := range diffusion.Methods() {
		b.Run(m.Name, func(b *testing.B) {
			for b.Loop() {
				if _, err := diffusion.Trace(m.Method, g, diffusion.TraceOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMomentumStep times a step of GHVB with four slopes beside one pass over as
// many arrays as it touches, k + 2, of latents of four images.
func BenchmarkMomentumStep(b *testing.B) {
	const n, d, steps, arrays = 4, 4 * 64 * 64, 100, 6
	x := make([]float32, n*d)
	for i := range x {
		x[i] = float32(i%97) / 97
	}
	b.Run("pass over 6 arrays", func(b *testing.B) {
		dst, cs, xs := make([]float32, len(x)), []float32(nil), [][]float32(nil)
		for i := range arrays - 1 {
			cs, xs = append(cs, float32(i)/7), append(xs, slices.Clone(x))
		}
		for b.Loop() {
			kern.Comb(dst, cs, xs)
		}
	})
	for _, name := range []string{"ddim", "plms", "ghvb", "plms-hb"} {
		m, err := diffusion.MethodNamed(name)
		if err != nil {
			b.Fatal(err)
		}
		tp, err := diffusion.Trace(m, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: steps}, diffusion.TraceOptions{Predicts: diffusion.Data})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) { benchSteps(b, tp, steps, n, x) })
	}
}

func benchSteps(b *testing.B, tp *diffusion.Tape, steps, n int, x []float32) {
	b.Helper()
	for b.Loop() {
		if _, err := diffusion.Run(context.Background(), tp, diffusion.Env[float32]{Model: identity}, n, x); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(steps), "ns/step")
}
