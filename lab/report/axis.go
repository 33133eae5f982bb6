package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// An axis maps numbers to places from 0 to 1.
type axis struct {
	lo, hi float64
	log    bool
	ticks  []tick
}

type tick struct {
	at    float64
	label string // "" for a minor tick
}

func (a axis) norm(x float64) float64 {
	if a.log {
		return math.Log(x/a.lo) / math.Log(a.hi/a.lo)
	}
	return (x - a.lo) / (a.hi - a.lo)
}

// shown says whether a number can be placed at all.
func (a axis) shown(x float64) bool {
	return !math.IsNaN(x) && !math.IsInf(x, 0) && (!a.log || x > 0)
}

// newAxis holds all of the numbers that its scale can show, and a margin. The
// scale is linear if a logarithmic one can show none.
func newAxis(log bool, xs []float64) axis {
	a := axis{log: log, lo: math.Inf(1), hi: math.Inf(-1)}
	for _, x := range xs {
		if a.shown(x) {
			a.lo, a.hi = min(a.lo, x), max(a.hi, x)
		}
	}
	switch {
	case a.lo > a.hi && log:
		return newAxis(false, xs)
	case a.lo > a.hi:
		a.lo, a.hi = 0, 1
	case a.lo == a.hi && log:
		a.lo, a.hi = a.lo/2, a.hi*2
	case a.lo == a.hi:
		half := max(math.Abs(a.lo)/2, 0.5)
		a.lo, a.hi = a.lo-half, a.hi+half
	}
	a.extend(0.05, 0.05)
	return a
}

// extend widens the axis by shares of its length.
func (a *axis) extend(below, above float64) {
	if a.log {
		d := math.Log(a.hi / a.lo)
		a.lo, a.hi = a.lo*math.Exp(-below*d), a.hi*math.Exp(above*d)
		return
	}
	d := a.hi - a.lo
	a.lo, a.hi = a.lo-below*d, a.hi+above*d
}

// span is the length of an axis, comparable between axes of one scale.
func (a axis) span() float64 {
	if a.log {
		return math.Log(a.hi / a.lo)
	}
	return a.hi - a.lo
}

// qualityAxis leaves out what is so bad that all else would shrink to a line:
// on a logarithmic scale 10^4 times worse than the median, on a linear one 20
// times further from it than the best. Such points are drawn at the frame.
func qualityAxis(q lab.Axis, xs []float64) axis {
	a := axis{log: q.Log}
	xs = slices.DeleteFunc(slices.Clone(xs), func(x float64) bool { return !a.shown(x) })
	if len(xs) == 0 {
		return newAxis(q.Log, nil)
	}
	slices.Sort(xs)
	median := xs[len(xs)/2]
	low, high := math.Inf(-1), math.Inf(1)
	switch {
	case q.Better == lab.Lower && q.Log:
		high = median * 1e4
	case q.Better == lab.Lower:
		high = median + 20*(median-xs[0])
	case q.Log:
		low = median / 1e4
	default:
		low = median - 20*(xs[len(xs)-1]-median)
	}
	if !q.Log && median == xs[0] && median == xs[len(xs)-1] {
		low, high = math.Inf(-1), math.Inf(1)
	}
	return newAxis(q.Log, slices.DeleteFunc(xs, func(x float64) bool { return x < low || x > high }))
}

// setTicks chooses the ticks: five or so that carry a number.
func (a *axis) setTicks() {
	switch {
	case !a.log || a.hi/a.lo < 4:
		a.ticks = linearTicks(a.lo, a.hi)
	case a.hi/a.lo < 200:
		a.ticks = logTicks(a.lo, a.hi, []int{1, 2, 5}, 1)
	default:
		decades := math.Log10(a.hi / a.lo)
		a.ticks = logTicks(a.lo, a.hi, []int{1}, 1+int(decades/7))
	}
}

func linearTicks(lo, hi float64) []tick {
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*m) <= 7 {
			step *= m
			break
		}
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ts []tick
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		x := i * step
		ts = append(ts, tick{x, plain(x, digits)})
	}
	return ts
}

// logTicks labels the multiples in majors of every nth power of ten.
func logTicks(lo, hi float64, majors []int, nth int) []tick {
	var ts []tick
	for e := int(math.Floor(math.Log10(lo))); e <= int(math.Ceil(math.Log10(hi))); e++ {
		for m := 1; m < 10; m++ {
			x := float64(m) * math.Pow(10, float64(e))
			if x < lo || x > hi || nth > 1 && m > 1 {
				continue
			}
			t := tick{at: x}
			if slices.Contains(majors, m) && e%nth == 0 {
				t.label = power(x)
			}
			ts = append(ts, t)
		}
	}
	alike(ts)
	return ts
}

// alike writes powers of ten in one form: if some need an exponent, all but 1
// and 10 have one.
func alike(ts []tick) {
	if !slices.ContainsFunc(ts, func(t tick) bool { return strings.Contains(t.label, "^") }) {
		return
	}
	for i, t := range ts {
		e := math.Round(math.Log10(t.at))
		if t.label != "" && math.Abs(e) > 1 && math.Abs(math.Log10(t.at)-e) < 1e-9 {
			ts[i].label = "10^" + minus(strconv.Itoa(int(e)))
		}
	}
}

// budgetTicks labels the budgets themselves, as many as have room: widths gives
// the share of the axis that a label takes.
func (a *axis) budgetTicks(budgets []float64, width func(string) float64) {
	budgets = slices.DeleteFunc(slices.Clone(budgets), func(b float64) bool {
		return !a.shown(b) || b < a.lo || b > a.hi
	})
	slices.Sort(budgets)
	budgets = slices.Compact(budgets)
	if len(budgets) < 2 || len(budgets) > 16 {
		a.setTicks()
		return
	}
	a.ticks = make([]tick, len(budgets))
	last := budgets[len(budgets)-1]
	edge := math.Inf(-1) // where the last label ends
	for i, b := range budgets {
		a.ticks[i].at = b
		text := power(b)
		half := width(text) / 2
		at := a.norm(b)
		room := at-half > edge && (b == last || at+half < a.norm(last)-width(power(last))/2)
		if room || i == 0 {
			a.ticks[i].label = text
			edge = at + half
		}
	}
}

// power writes a number as an axis does: 0.02, 5, 2000, 10^-6, 2×10^6.
func power(x float64) string {
	if x == 0 {
		return "0"
	}
	e := int(math.Floor(math.Log10(math.Abs(x)) + 1e-9))
	if e >= -3 && e < 5 {
		return strconv.FormatFloat(roundTo(x, 6), 'f', -1, 64)
	}
	m := strconv.FormatFloat(roundTo(x/math.Pow(10, float64(e)), 3), 'f', -1, 64)
	exp := "10^" + minus(strconv.Itoa(e))
	if m == "1" {
		return exp
	}
	return m + "×" + exp
}

// roundTo rounds to that many significant digits.
func roundTo(x float64, digits int) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return y
}

func plain(x float64, digits int) string {
	if a := math.Abs(x); digits > 4 || a >= 1e5 {
		return power(roundTo(x, 10))
	}
	if x == 0 {
		x = 0 // no "-0"
	}
	return minus(strconv.FormatFloat(x, 'f', digits, 64))
}

// minus writes a real minus sign.
func minus(s string) string {
	if s != "" && s[0] == '-' {
		return "−" + s[1:]
	}
	return s
}
