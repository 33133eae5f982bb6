package kern_test

import (
	"fmt"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/rng"
)

// levels runs a benchmark at every level.
func levels(b *testing.B, f func(b *testing.B)) {
	before := kern.Level()
	defer func() { _ = kern.SetLevel(before) }()
	for _, l := range kern.Levels() {
		if err := kern.SetLevel(l); err != nil {
			b.Fatal(err)
		}
		b.Run(l, f)
	}
}

func BenchmarkComb(b *testing.B) {
	for _, n := range []int{1 << 12, 1 << 17, 1 << 23} {
		x := make([][]float64, 4)
		for j := range x {
			x[j] = numbers[float64](n, j)
		}
		dst, c := make([]float64, n), []float64{1, -0.5, 0.25, 3}
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			levels(b, func(b *testing.B) {
				b.SetBytes(int64(5 * 8 * n))
				for b.Loop() {
					kern.Comb(dst, c, x)
				}
			})
		})
	}
}

func BenchmarkNormal(b *testing.B) {
	dst := make([]float64, 1<<14)
	b.Run("package rand", func(b *testing.B) {
		r := rng.Stream(1, 2)
		b.SetBytes(int64(8 * len(dst)))
		for b.Loop() {
			for i := range dst {
				dst[i] = r.NormFloat64()
			}
		}
	})
	levels(b, func(b *testing.B) {
		b.SetBytes(int64(8 * len(dst)))
		for b.Loop() {
			kern.Normal(dst, 1, 2)
		}
	})
}

func BenchmarkMath(b *testing.B) {
	x, dst := numbers[float64](1<<12, 1), make([]float64, 1<<12)
	for i := range x {
		x[i] = 2 + x[i]
	}
	for name, f := range map[string]func(dst, x []float64){"exp": kern.Exp[float64], "log": kern.Log[float64]} {
		b.Run(name, func(b *testing.B) {
			levels(b, func(b *testing.B) {
				b.SetBytes(int64(8 * len(dst)))
				for b.Loop() {
					f(dst, x)
				}
			})
		})
	}
}
