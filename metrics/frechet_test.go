package metrics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/assay-lab/assay/metrics"
	"gonum.org/v1/gonum/mat"
)

func TestFrechetGaussian(t *testing.T) {
	diag := func(x ...float64) mat.Symmetric { return mat.NewDiagDense(len(x), x) }
	// A turned by 30 degrees commutes with nothing diagonal but multiples of 1.
	c, s := math.Cos(math.Pi/6), math.Sin(math.Pi/6)
	turned := mat.NewSymDense(2, []float64{9*c*c + s*s, 8 * c * s, 8 * c * s, 9*s*s + c*c})
	for _, tt := range []struct {
		name   string
		ma, mb []float64
		ca, cb mat.Symmetric
		want   float64
	}{
		{"a point from itself", []float64{1, 2}, []float64{1, 2}, diag(0, 0), diag(0, 0), 0},
		{"means alone", []float64{1, 2}, []float64{4, 6}, diag(1, 5), diag(1, 5), 25},
		{"one dimension: (σa − σb)²", []float64{0}, []float64{0}, diag(9), diag(4), 1},
		{"commuting covariances add up by axis", []float64{0, 0}, []float64{0, 1}, diag(1, 16), diag(4, 1), 1 + 1 + 9},
		{"a singular covariance", []float64{0, 0}, []float64{0, 0}, diag(4, 0), diag(1, 0), 1},
		{"against a multiple of 1", []float64{0, 0}, []float64{0, 0}, turned, diag(4, 4), 1 + 1},
		// In two dimensions tr M^½ = √(tr M + 2·√det M): here of M = A·B.
		{"covariances that do not commute", []float64{0, 0}, []float64{0, 0}, turned, diag(4, 1),
			10 + 5 - 2*math.Sqrt(4*(9*c*c+s*s)+(9*s*s+c*c)+2*math.Sqrt(9*4))},
	} {
		for _, swap := range []bool{false, true} {
			if swap {
				tt.ma, tt.mb, tt.ca, tt.cb = tt.mb, tt.ma, tt.cb, tt.ca
			}
			got, err := metrics.FrechetGaussian(tt.ma, tt.ca, tt.mb, tt.cb)
			// Roots of zero eigenvalues are off by the root of the rounding.
			if err != nil || math.Abs(got-tt.want) > 1e-7 {
				t.Errorf("%s (swapped: %v): %v, %v; want %v", tt.name, swap, got, err, tt.want)
			}
		}
	}
}

// TestFrechet: the distance of samples approaches that of their distributions.
func TestFrechet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	draw := func(mean, dev float64) *mat.Dense {
		x := mat.NewDense(n, 3, nil)
		for i := range n {
			for j := range 3 {
				x.Set(i, j, mean+dev*r.NormFloat64())
			}
		}
		return x
	}
	a := draw(1, 2)
	for _, tt := range []struct {
		name string
		b    *mat.Dense
		want float64
	}{
		{"a set from itself", a, 0},
		{"two samples of one distribution", draw(1, 2), 0},
		{"other mean and deviation", draw(3, 1), 3*4 + 3*1},
	} {
		got, err := metrics.Frechet(a, tt.b)
		// The standard error of the means' part is 2·2·√(3·5/n) ≈ 0.11.
		if err != nil || math.Abs(got-tt.want) > .3 {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestFrechetRefuses(t *testing.T) {
	ok := mat.NewDense(3, 2, []float64{1, 2, 3, 4, 5, 7})
	for name, x := range map[string]*mat.Dense{
		"one point":        mat.NewDense(1, 2, nil),
		"other dimensions": mat.NewDense(3, 1, nil),
		"NaN":              mat.NewDense(2, 2, []float64{1, 2, math.NaN(), 3}),
		"infinity":         mat.NewDense(2, 2, []float64{1, 2, math.Inf(1), 3}),
	} {
		if _, err := metrics.Frechet(ok, x); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if _, err := metrics.Frechet(x, ok); err == nil {
			t.Errorf("%s first is accepted", name)
		}
	}
	if _, err := metrics.FrechetGaussian([]float64{1}, mat.NewDiagDense(2, nil), []float64{1}, mat.NewDiagDense(1, nil)); err == nil {
		t.Error("a mean and a covariance of other dimensions are accepted")
	}
}

func ExampleFrechet() {
	a := mat.NewDense(4, 1, []float64{-1, 1, -1, 1})
	b := mat.NewDense(4, 1, []float64{1, 5, 1, 5})
	d, err := metrics.Frechet(a, b)
	fmt.Printf("%.3f %v\n", d, err)
	// Output: 10.333 <nil>
}
