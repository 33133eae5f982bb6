package lab

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// A Fit is a straight line through the logarithms of points: y ≈ Scale·x^Slope.
type Fit struct {
	Slope, Scale float64
	Lo, Hi       float64 // 95 % confidence interval of Slope; infinite for two points
	N            int     // points used
}

// FitPower fits a power law by least squares on log-log axes. It takes at least
// two points with different x, all positive and finite. The interval is
// Student's with N-2 degrees of freedom: it says how straight the points are,
// not how the next seed would fall.
func FitPower(x, y []float64) (Fit, error) {
	if len(x) != len(y) || len(x) < 2 {
		return Fit{}, fmt.Errorf("lab: fit of %d and %d numbers: needs two or more of each", len(x), len(y))
	}
	lx, ly := make([]float64, len(x)), make([]float64, len(y))
	for i := range x {
		lx[i], ly[i] = math.Log(x[i]), math.Log(y[i])
		if !finite(lx[i]) || !finite(ly[i]) {
			return Fit{}, fmt.Errorf("lab: fit at (%g, %g): must be positive and finite", x[i], y[i])
		}
	}
	n := float64(len(x))
	spread := stat.Variance(lx, nil) * (n - 1)
	if spread == 0 {
		return Fit{}, fmt.Errorf("lab: fit of %d points all at %g: needs two different places", len(x), x[0])
	}
	a, b := stat.LinearRegression(lx, ly, nil, false)
	f := Fit{Slope: b, Scale: math.Exp(a), Lo: math.Inf(-1), Hi: math.Inf(1), N: len(x)}
	if len(x) > 2 {
		var rss float64
		for i := range lx {
			r := ly[i] - a - b*lx[i]
			rss += r * r
		}
		half := student(n-2) * math.Sqrt(rss/(n-2)/spread)
		f.Lo, f.Hi = b-half, b+half
	}
	return f, nil
}

// Rate fits quality against cost over the points of a curve whose budgets are
// from lo to hi: the slope is negative where errors fall with cost. A point with
// a diverged seed, or a quality of 0, makes an error.
func (c Curve) Rate(lo, hi float64) (Fit, error) {
	f, _, err := c.rate(lo, hi)
	return f, err
}

// rate also tells how many points there were.
func (c Curve) rate(lo, hi float64) (f Fit, n int, err error) {
	var x, y []float64
	for _, p := range c.Points {
		if p.Budget >= lo && p.Budget <= hi {
			x, y = append(x, p.MeanCost()), append(y, p.Mean())
		}
	}
	if f, err = FitPower(x, y); err != nil {
		err = fmt.Errorf("rate of %s from %g to %g: %w", c.Method, lo, hi, err)
	}
	return f, len(x), err
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
