package kern

import (
	"math"
	"slices"
	"testing"
)

// TestComb checks every number of terms, and storage shared with any operand.
func TestComb(t *testing.T) {
	for terms := range 10 {
		for _, n := range []int{0, 1, 7, 64} {
			c := make([]float64, terms)
			x := make([][]float64, terms)
			want := make([]float64, n)
			for j := range x {
				c[j] = float64(j) - 1.5
				x[j] = make([]float64, n)
				for i := range x[j] {
					x[j][i] = float64(i*i%11) + float64(j)
					want[i] += c[j] * x[j][i]
				}
			}
			dst := make([]float64, n)
			if Comb(dst, c, x); !slices.Equal(dst, want) {
				t.Errorf("%d terms of %d numbers: %v, want %v", terms, n, dst, want)
			}
			for j := range x {
				y := slices.Clone(x)
				y[j] = slices.Clone(x[j])
				if Comb(y[j], c, y); !slices.Equal(y[j], want) {
					t.Errorf("%d terms of %d numbers into operand %d: %v, want %v", terms, n, j, y[j], want)
				}
			}
		}
	}
}

func TestNotFinite(t *testing.T) {
	x := []float32{1, -2, math.MaxFloat32, 0, 5}
	if i := NotFinite(x); i != -1 {
		t.Errorf("finite numbers: index %d", i)
	}
	for i := range x {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			y := slices.Clone(x)
			y[i] = float32(bad)
			if got := NotFinite(y); got != i {
				t.Errorf("%g at %d is found at %d", bad, i, got)
			}
		}
	}
}
