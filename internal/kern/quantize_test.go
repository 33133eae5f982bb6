package kern_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// TestQuantizeStaticI8: every level gives the codes of the definition, ends, halves
// and numbers far outside included.
func TestQuantizeStaticI8(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	x := kerntest.NewPlace[float32](t, kerntest.MaxLen)
	q := kerntest.NewPlace[int8](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for n := range kerntest.MaxLen {
			for _, s := range []struct{ zero, top int }{{128, 255}, {127, 255}, {0, 255}, {255, 255}, {8, 15}, {0, 3}} {
				x, dst := x.At(n%5, n), q.High(n)
				for i := range x {
					x[i] = float32(math.Round(r.NormFloat64()*200)) / 64 // halves of a step of 1/32
					if i%7 == 3 {
						x[i] *= 1e30
					}
				}
				sum := kern.QuantizeStaticI8(dst, x, 1./32, -s.zero, s.top-s.zero, s.zero-128)
				var want []int8
				var wantSum int32
				for _, v := range x {
					c := max(0, min(math.RoundToEven(float64(v*32))+float64(s.zero), float64(s.top))) - 128
					want = append(want, int8(c))
					wantSum += int32(c)
				}
				if !slices.Equal(dst, want) || sum != wantSum {
					t.Fatalf("%d numbers, zero %d: sum %d, %v of %v: want sum %d, %v", n, s.zero, sum, dst, x, wantSum, want)
				}
			}
		}
	})
}

// TestQuantizeStaticI8NaN: what is no number gets the same code at all levels.
func TestQuantizeStaticI8NaN(t *testing.T) {
	x := slices.Repeat([]float32{float32(math.NaN())}, 17)
	kerntest.Levels(t, func(t *testing.T) {
		dst := make([]int8, len(x))
		kern.QuantizeStaticI8(dst, x, 1, -128, 127, 0)
		if slices.ContainsFunc(dst, func(q int8) bool { return q != 127 }) {
			t.Errorf("codes %v", dst)
		}
	})
}
