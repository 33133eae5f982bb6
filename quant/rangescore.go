package quant

import (
	"math"
	"slices"

	"github.com/assay-lab/assay/internal/kern"
)

// scorer gives the function that scores a range for x, whose numbers are at most
// most from zero.
func (s RangeSearch) scorer(x []float64, most float64) func(lo, hi float64) float64 {
	switch s.Criterion {
	case Cosine:
		return func(lo, hi float64) float64 { return cosineDistance(x, s.bits(), lo, hi) }
	case Divergence:
		h := newHistogram(x, most, s.bins())
		return func(lo, hi float64) float64 { return h.divergence(s.bits(), lo, hi) }
	}
	scratch := make([]float64, len(x))
	p := s.power()
	return func(lo, hi float64) float64 {
		residuals(scratch, x, s.bits(), lo, hi)
		return sumPower(scratch, p) / float64(len(x))
	}
}

// residuals are |x − x̂| in a range.
func residuals(dst, x []float64, bits int, lo, hi float64) {
	scale, zero := affine(bits, lo, hi)
	first, last := float64(-zero), float64(1<<bits-1-zero)
	for i, v := range x {
		q := max(first, min(last, math.RoundToEven(v/scale)))
		dst[i] = math.Abs(v - q*scale)
	}
}

// sumPower is Σ r^p of numbers that are not negative, which it overwrites.
func sumPower(r []float64, p float64) float64 {
	powers(r, p)
	var sum float64
	for _, v := range r {
		sum += v
	}
	return sum
}

func cosineDistance(x []float64, bits int, lo, hi float64) float64 {
	scale, zero := affine(bits, lo, hi)
	first, last := float64(-zero), float64(1<<bits-1-zero)
	var xx, xy, yy float64
	for _, v := range x {
		y := max(first, min(last, math.RoundToEven(v/scale))) * scale
		xx, xy, yy = xx+v*v, xy+v*y, yy+y*y
	}
	if xx == 0 {
		return 0
	}
	if yy == 0 {
		return 1
	}
	return 1 - xy/math.Sqrt(xx*yy)
}

// search2 is the search of a two-sided asymmetric range. Within a range the
// rounding error depends on the step alone, not on where the range lies, so that
// sums over the sorted numbers give it for all 2^b places at once; clipped numbers
// are added from the outermost inwards, and a place is given up as soon as it is
// worse than the best, or than a guess. Other criteria than Power are scored place by
// place.
func (s RangeSearch) search2(x []float64) (lo, hi float64) {
	sorted := slices.Sorted(slices.Values(x))
	low, high := sorted[0], sorted[len(sorted)-1]
	top := 1<<s.bits() - 1
	whole := s.scorer(sorted, max(math.Abs(low), high))
	score := func(width float64, z int, _ float64) float64 {
		l := -float64(z) * (width / float64(top))
		return whole(l, width+l)
	}
	fit, limit := func(float64) {}, math.Inf(1)
	if s.Criterion == Power {
		w := &placed{x: sorted, p: s.power(), sums: make([]float64, len(x)+1), scratch: make([]float64, len(x))}
		fit = func(width float64) { w.fit(width / float64(top)) }
		score = func(width float64, z int, limit float64) float64 { return w.error(z, top, width/float64(top), limit) }
		z := clamp(math.RoundToEven(-low/(high-low)*float64(top)), top)
		for i := 1; i <= 10; i++ {
			width := (high - low) * float64(i) / 10
			fit(width)
			limit = min(limit, score(width, z, limit))
		}
		limit *= 1 + 1e-9
	}
	best := math.Inf(1)
	lo, hi = low, high
	for i := 1; i <= s.steps(); i++ {
		width := (high - low) / float64(s.steps()) * float64(i)
		fit(width)
		for z := range top + 1 {
			if e := score(width, z, min(best, limit)); e < best {
				l := -float64(z) * (width / float64(top))
				best, lo, hi = e, l, width+l
			}
		}
	}
	return lo, hi
}

// placed are sorted numbers and the sums of their rounding errors at a step.
type placed struct {
	x, sums, scratch []float64
	p                float64
}

// fit forms the sums for a step.
func (w *placed) fit(step float64) {
	for i, v := range w.x {
		w.scratch[i] = math.Abs(v - math.RoundToEven(v/step)*step)
	}
	powers(w.scratch, w.p)
	for i, e := range w.scratch {
		w.sums[i+1] = w.sums[i] + e
	}
}

// error is the sum of |x − x̂|^p with codes from −z to top − z, or more than limit
// if it is more.
func (w *placed) error(z, top int, step, limit float64) float64 {
	first, last := -float64(z)*step, float64(top-z)*step
	from, _ := slices.BinarySearchFunc(w.x, first, func(v, t float64) int { return order(v > t-step/2) })
	to, _ := slices.BinarySearchFunc(w.x, last, func(v, t float64) int { return order(v > t+step/2) })
	to = max(to, from)
	sum := w.sums[to] - w.sums[from]
	for i, j := 0, len(w.x)-1; (i < from || j >= to) && sum <= limit; {
		below, above := first-w.x[i], w.x[j]-last
		if j < to || i < from && below > above {
			sum += math.Pow(below, w.p)
			i++
		} else {
			sum += math.Pow(above, w.p)
			j--
		}
	}
	return sum
}

// order is the comparison of a binary search for where a condition becomes true.
func order(after bool) int {
	if after {
		return 1
	}
	return -1
}

// powers raises numbers that are not negative to p.
func powers(r []float64, p float64) {
	switch p {
	case 1:
	case 2:
		for i, v := range r {
			r[i] = v * v
		}
	default:
		kern.Log(r, r)
		kern.Scale(r, p)
		kern.Exp(r, r)
	}
}
