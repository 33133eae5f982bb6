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
	// Shifted by one of the numbers, a single pass loses no digits: the mean is then
	// within a few deviations of 0.
	var c float64
	if len(x) > 0 {
		c = float64(x[0])
	}
	sum, square := moments(x, c)
	return (square - sum*sum/n) / (n - 1)
}

// moments is Σ(x − c) and Σ(x − c)², on four chains each so that additions overlap.
func moments[T Float](x []T, c float64) (sum, square float64) {
	var s0, s1, s2, s3, q0, q1, q2, q3 float64
	for len(x) >= 4 {
		a, b, d, e := float64(x[0])-c, float64(x[1])-c, float64(x[2])-c, float64(x[3])-c
		s0, s1, s2, s3 = s0+a, s1+b, s2+d, s3+e
		q0, q1, q2, q3 = q0+a*a, q1+b*b, q2+d*d, q3+e*e
		x = x[4:]
	}
	for _, v := range x {
		a := float64(v) - c
		s0, q0 = s0+a, q0+a*a
	}
	return s0 + s1 + s2 + s3, q0 + q1 + q2 + q3
}
