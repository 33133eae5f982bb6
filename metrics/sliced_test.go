package metrics_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/assay-lab/assay/metrics"
	"gonum.org/v1/gonum/mat"
)

func TestSlicedWasserstein(t *testing.T) {
	line := func(x ...float64) mat.Matrix { return mat.NewDense(len(x), 1, x) }
	for _, tt := range []struct {
		name string
		a, b mat.Matrix
		want float64
	}{
		{"order does not count", line(1, 2, 3), line(3, 1, 2), 0},
		{"a shift", line(1, 2, 3), line(3, 4, 5), 2},
		{"sorted, not paired as given", line(0, 10), line(11, 1), 1},
		{"sets of two sizes", line(0, 3), line(0, 0, 3, 3), 0},
		// quantiles: 0, 0 | 0, 3 | 3, 3 against 0 | 1.5 | 3 in thirds
		{"sizes that share no factor", line(0, 3), line(0, 1.5, 3), 1.5 * math.Sqrt(1./3)},
	} {
		got, err := metrics.SlicedWasserstein(tt.a, tt.b, 8, 1)
		if err != nil || math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

// TestSlicedWassersteinShift: a shift by v in d dimensions has the distance |v|/√d,
// as the mean square of a component of a random direction is 1/d.
func TestSlicedWassersteinShift(t *testing.T) {
	const n, d = 50, 4
	r := rand.New(rand.NewPCG(1, 2))
	a, b := mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	for i := range n {
		for j := range d {
			a.Set(i, j, r.NormFloat64())
			b.Set(i, j, a.At(i, j)+float64(j))
		}
	}
	const directions = 4000
	got, err := metrics.SlicedWasserstein(a, b, directions, 3)
	want := math.Sqrt((0. + 1 + 4 + 9) / d)
	if err != nil || math.Abs(got/want-1) > 4/math.Sqrt(directions) { // four standard errors and more
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestTotalVariation(t *testing.T) {
	if got, err := metrics.TotalVariation([]float64{.5, .5, 0}, []float64{.25, .5, .25}); err != nil || got != .25 {
		t.Errorf("%v, %v", got, err)
	}
	for name, pair := range map[string][2][]float64{
		"other lengths": {{1}, {.5, .5}}, "nothing": {nil, nil}, "a negative one": {{-1}, {1}}, "NaN": {{math.NaN()}, {1}},
	} {
		if _, err := metrics.TotalVariation(pair[0], pair[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSlicedWassersteinRefuses(t *testing.T) {
	ok := mat.NewDense(3, 2, []float64{1, 2, 3, 4, 5, 7})
	for name, x := range map[string]*mat.Dense{
		"other dimensions": mat.NewDense(3, 1, nil),
		"NaN":              mat.NewDense(2, 2, []float64{1, 2, math.NaN(), 3}),
		"infinity":         mat.NewDense(2, 2, []float64{1, 2, math.Inf(1), 3}),
	} {
		if _, err := metrics.SlicedWasserstein(ok, x, 4, 1); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if _, err := metrics.SlicedWasserstein(x, ok, 4, 1); err == nil {
			t.Errorf("%s first is accepted", name)
		}
	}
	if _, err := metrics.SlicedWasserstein(ok, ok, 0, 1); err == nil {
		t.Error("no directions are accepted")
	}
}
