package metrics_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/metrics"
)

func TestSlicedW2(t *testing.T) {
	r := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	dist := func(a, b []float64, d, directions int) float64 {
		t.Helper()
		w, err := metrics.SlicedW2(a, b, d, directions, r())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	a := make([]float64, 30*4)
	src := r()
	for i := range a {
		a[i] = src.NormFloat64()
	}
	moved := slices.Clone(a)
	for i := range moved {
		if i%4 == 0 {
			moved[i] += 3
		}
	}
	reversed := make([]float64, 0, len(a))
	for i := 29; i >= 0; i-- {
		reversed = append(reversed, a[4*i:4*i+4]...)
	}
	for _, tt := range []struct {
		name      string
		got, want float64
		tol       float64
	}{
		{"the order of points matters", dist(a, reversed, 4, 20), 0, 0},
		{"each point twice is another distribution", dist(a, append(slices.Clone(a), a...), 4, 20), 0, 1e-15},
		{"on a line it is not the distance of sorted values", dist([]float64{3, 1}, []float64{2, 6}, 1, 5), math.Sqrt((1. + 9) / 2), 1e-15},
		{"sizes are mixed up", dist([]float64{0}, []float64{0, 0, 0, 4}, 1, 1), 2, 1e-15},
		// Moving by c in d dimensions gives the mean of (u·c)², |c|²/d; a tenth is three
		// standard errors of 2000 directions.
		{"a translation is not seen as one", dist(a, moved, 4, 2000), 3. / 2, 0.15},
	} {
		if math.Abs(tt.got-tt.want) > tt.tol {
			t.Errorf("%s: %g, want %g", tt.name, tt.got, tt.want)
		}
	}
}

func TestSlicedW2Errors(t *testing.T) {
	ok := []float64{1, 2}
	for _, tt := range []struct {
		a, b          []float64
		d, directions int
		want          string
	}{
		{ok, ok, 0, 5, "points of 0 numbers"},
		{ok, ok, 2, 0, "0 directions"},
		{ok, nil, 2, 5, "set 2 has 0 numbers"},
		{ok, []float64{1, 2, 3}, 2, 5, "set 2 has 3 numbers"},
		{[]float64{math.NaN(), 0}, ok, 2, 5, "set 1: point 0 has NaN"},
	} {
		_, err := metrics.SlicedW2(tt.a, tt.b, tt.d, tt.directions, rand.New(rand.NewPCG(1, 2)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: want %q", err, tt.want)
		}
	}
}
