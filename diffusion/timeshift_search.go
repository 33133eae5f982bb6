package diffusion

import (
	"fmt"
	"math"
	"sort"
)

// Nearest is the time around t whose noise fits the variance: a whole number of
// training steps from t, at most half the window, and inside the schedule. It takes
// log₂ Window looks at the schedule, since noise grows with time.
func (s TimeShift) Nearest(sch Schedule, t, variance float64) (float64, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	tb, err := s.table(sch)
	if err != nil {
		return 0, err
	}
	if math.IsNaN(variance) || math.IsNaN(t) {
		return 0, fmt.Errorf("diffusion: the time near t = %g with variance %g: both must be numbers", t, variance)
	}
	u := tb.at(t)
	return tb.timeOf(u + float64(tb.nearest(u, variance, -s.half(), s.half()))), nil
}

// nearest is the j from lo to hi for which the variance at index u + j is nearest to
// v, the lower of two. Index 0 and the last are the bounds, but j = 0 is always there.
func (tb *timeTable) nearest(u, v float64, lo, hi int) int {
	lo = max(lo, min(0, -int(math.Floor(u))))
	hi = min(hi, max(0, int(math.Floor(tb.last-u))))
	at := func(j int) float64 { return tb.variance(tb.schedule.At(tb.timeOf(u + float64(j)))) }
	j := lo + sort.Search(hi-lo, func(i int) bool { return at(lo+i) >= v })
	if j > lo {
		if below, above := v-at(j-1), v-at(j); below*below <= above*above {
			return j - 1
		}
	}
	return j
}

// Variance is the unbiased variance of a sample's numbers: Σ(x − mean)²/(n − 1).
func Variance[T Float](x []T) float64 {
	n := float64(len(x))
	mean := sums(x, 0, false) / n
	return sums(x, mean, true) / (n - 1)
}

// sums is Σ(x − c) or Σ(x − c)², on four chains so that additions overlap.
func sums[T Float](x []T, c float64, square bool) float64 {
	var a [4]float64
	for len(x) >= 4 {
		for i, v := range x[:4] {
			d := float64(v) - c
			if square {
				d *= d
			}
			a[i] += d
		}
		x = x[4:]
	}
	for _, v := range x {
		d := float64(v) - c
		if square {
			d *= d
		}
		a[0] += d
	}
	return a[0] + a[1] + a[2] + a[3]
}
