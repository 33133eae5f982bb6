package twopasssoftmax

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/softmax"
)

// A rival computes the softmax of one row.
type rival struct {
	Name string
	// Traffic is how many numbers it reads and writes for each of x, by its
	// definition.
	Traffic float64
	Run     func(dst, x []float32) error
}

func method(name string, a softmax.Algorithm, keep bool) rival {
	o := softmax.Options{Algorithm: a, Threads: 1, KeepInCache: keep}
	return rival{name, float64(a.Traffic(1)), func(dst, x []float32) error { return softmax.Rows(dst, x, len(x), o) }}
}

// The methods that are compared. Their names are the same in every experiment,
// and so are their colours. As in the paper no store bypasses the caches, but
// for one rival.
var (
	twoPass   = method("two-pass", softmax.TwoPass, true)
	reload    = method("three-pass, reload", softmax.ThreePassReload, true)
	recompute = method("three-pass, recompute", softmax.ThreePassRecompute, true)
	online    = method("blocked online", softmax.Online, true)
	streaming = method("two-pass, streaming stores", softmax.TwoPass, false)
	library   = rival{"scalar library code", 5, libraryStyle}
	lanes     = rival{"two-pass, sums in float32", 3, float32Lanes}
	naive     = rival{"no maximum subtracted", 4, withoutMaximum}
)

func rivalNamed(among []rival, name string) (rival, error) {
	for _, r := range among {
		if r.Name == name {
			return r, nil
		}
	}
	return rival{}, fmt.Errorf("no rival is called %q", name)
}

// libraryStyle is what one writes first: the maximum, exponentials by the
// language's library, their sum in float32, a division.
func libraryStyle(dst, x []float32) error {
	top := float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	var sum float32
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - top)))
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
	return nil
}

// float32Lanes is the two-pass algorithm as published: sums stay in the lanes of
// three AVX-512 accumulators, 48 float32 numbers, to the end of the row. Their
// common exponent is that of the row: powers of two do not change how sums
// round.
func float32Lanes(dst, x []float32) error {
	top := math.MinInt
	for _, v := range x {
		_, n := softmax.ExtExp(v)
		top = max(top, n)
	}
	var sums [48]float32
	for i, v := range x {
		m, n := softmax.ExtExp(v)
		sums[i%len(sums)] += float32(math.Ldexp(m, n-top))
	}
	var sum float32
	for _, s := range sums {
		sum += s
	}
	for i, v := range x {
		m, n := softmax.ExtExp(v)
		dst[i] = float32(math.Ldexp(m/float64(sum), n-top))
	}
	return nil
}

// withoutMaximum is e^x over its sum in float32, as it stands in a textbook.
func withoutMaximum(dst, x []float32) error {
	var sum float32
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v)))
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
	return nil
}

// Panels: what is in a row.
const (
	standard = "x from N(0, 10²)"
	narrow   = "x from N(0, 1)"
	shifted  = "the same and 10,000"
	huge     = "x from 1,000 to 10,000"
)

var panels = []string{standard, narrow, shifted, huge}

// row draws the numbers of a panel.
func row(panel string, n int, seed uint64) ([]float32, error) {
	key, stream := rng.Key(seed, uint64(n))
	x := make([]float32, n)
	var z [4096]float64
	for lo := 0; lo < n; lo += len(z) {
		part := x[lo:min(lo+len(z), n)]
		kern.Normal(z[:len(part)], key, stream+uint64(lo))
		for i, z := range z[:len(part)] {
			switch panel {
			case standard:
				part[i] = float32(10 * z)
			case narrow:
				part[i] = float32(z)
			case shifted:
				part[i] = float32(10*z) + 1e4
			case huge: // z's distribution function is uniform
				part[i] = float32(1e3 + 9e3*math.Erfc(-z/math.Sqrt2)/2)
			default:
				return nil, fmt.Errorf("no panel is called %q", panel)
			}
		}
	}
	return x, nil
}

// worstError is the largest relative error of y as the softmax of x, among
// results that are normal numbers of float32: +Inf if one is NaN or infinite.
func worstError(y, x []float32) float64 {
	const smallest = 0x1p-126
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v))
	}
	var sum, lost float64
	for _, v := range x { // Kahan's sum: 2^25 terms must not lose what is measured
		t := math.Exp(float64(v)-top) - lost
		next := sum + t
		sum, lost = next, (next-sum)-t
	}
	worst := 0.0
	for i, v := range x {
		want := math.Exp(float64(v)-top) / sum
		e := math.Abs(float64(y[i])-want) / want
		switch {
		case math.IsNaN(float64(y[i])) || math.IsInf(float64(y[i]), 0):
			return math.Inf(1)
		case want >= smallest:
			worst = max(worst, e)
		}
	}
	return worst
}
