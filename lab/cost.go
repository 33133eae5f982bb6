package lab

import (
	"cmp"
	"fmt"
	"math"
)

// Worst is the worst value of an axis: +Inf where lower is better, -Inf where
// higher is.
func (a Axis) Worst() float64 {
	if a.Better == Higher {
		return math.Inf(-1)
	}
	return math.Inf(1)
}

// Beats reports whether x is strictly better than y. NaN is never better than
// anything, and every number but the worst is better than NaN.
func (a Axis) Beats(x, y float64) bool {
	x, y = a.judged(x), a.judged(y)
	if a.Better == Higher {
		return x > y
	}
	return x < y
}

// judged is x as claims see it: NaN (a method that diverged) counts as the worst.
func (a Axis) judged(x float64) float64 {
	if math.IsNaN(x) {
		return a.Worst()
	}
	return x
}

// MeanAt is the mean quality over the seeds of one point, as claims see it: one
// diverged seed makes it the worst. It is an error that names the point when
// there is none.
func (c Curves) MeanAt(panel, method string, budget float64) (float64, error) {
	cv, _ := c.Curve(panel, method)
	p, ok := cv.At(budget)
	if !ok {
		return 0, fmt.Errorf("no result of %s", c.place(panel, method, budget))
	}
	return c.Quality.judged(p.Mean()), nil
}

// place names a point in the words of the axes: "2M at NFE 15, guidance 7.5".
func (c Curves) place(panel, method string, budget float64) string {
	at := cmp.Or(c.Budget, c.Cost.Name, "budget")
	return within(fmt.Sprintf("%s at %s %g", method, at, budget), panel)
}

func within(s, panel string) string {
	if panel == "" {
		return s
	}
	return s + ", " + panel
}

// CostToReach is the cost at which a method first reaches a quality,
// interpolated between the points of its curve on the axes' scales. It is +Inf
// if no point reaches it, and the cost of the first point, an upper bound, if
// that one does already. After a diverged point nothing is interpolated.
func (c Curves) CostToReach(panel, method string, quality float64) (float64, error) {
	cv, ok := c.Curve(panel, method)
	if !ok {
		return 0, fmt.Errorf("no results of %s", within(method, panel))
	}
	if !finite(quality) {
		return 0, fmt.Errorf("lab: quality to reach is %g: must be finite", quality)
	}
	for i, p := range cv.Points {
		q := c.Quality.judged(p.Mean())
		if c.Quality.Beats(quality, q) {
			continue
		}
		if i == 0 {
			return p.MeanCost(), nil
		}
		before := cv.Points[i-1]
		x0, x1 := before.MeanCost(), p.MeanCost()
		y0, y1 := before.Mean(), q
		if !finite(y0) || !finite(y1) {
			return x1, nil
		}
		sx, sy := scaleOf(c.Cost, x0, x1), scaleOf(c.Quality, y0, y1, quality)
		u := (sy.to(quality) - sy.to(y0)) / (sy.to(y1) - sy.to(y0))
		return sx.from(sx.to(x0) + u*(sx.to(x1)-sx.to(x0))), nil
	}
	return math.Inf(1), nil
}

// A scale is an axis's, linear where some number has no logarithm.
type scale struct{ log bool }

func scaleOf(a Axis, xs ...float64) scale {
	s := scale{a.Log}
	for _, x := range xs {
		s.log = s.log && x > 0
	}
	return s
}

func (s scale) to(x float64) float64 {
	if s.log {
		return math.Log(x)
	}
	return x
}

func (s scale) from(x float64) float64 {
	if s.log {
		return math.Exp(x)
	}
	return x
}

// GeoMean is the geometric mean of positive numbers, the mean for ratios. A 0
// makes it 0, a +Inf makes it +Inf; it is NaN for both together, for a negative
// number and for none.
func GeoMean(xs ...float64) float64 {
	var s float64
	for _, x := range xs {
		s += math.Log(x) // NaN below 0
	}
	return math.Exp(s / float64(len(xs)))
}

// MeanRatio is the geometric mean, over the budgets, of a method's quality over
// its rival's. Where the method diverged it is the worst; budgets at which only
// the rival diverged are left out, to the rival's favour, and skipped says how
// many those are. If they are all, the ratio is 0, or +Inf where higher is better.
func (c Curves) MeanRatio(panel, method, rival string, budgets ...float64) (ratio float64, skipped int, err error) {
	var rs []float64
	for _, b := range budgets {
		x, err := c.MeanAt(panel, method, b)
		if err != nil {
			return 0, 0, err
		}
		y, err := c.MeanAt(panel, rival, b)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case math.IsInf(x, 0):
			return c.Quality.Worst(), 0, nil
		case math.IsInf(y, 0):
			skipped++
		default:
			rs = append(rs, x/y)
		}
	}
	switch {
	case len(budgets) == 0:
		return 0, 0, fmt.Errorf("no budgets for the ratio of %s to %s", method, within(rival, panel))
	case len(rs) > 0:
		return GeoMean(rs...), skipped, nil
	case c.Quality.Better == Higher:
		return math.Inf(1), skipped, nil
	}
	return 0, skipped, nil
}
