package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// A Finding says how a point of one run compares to the same point of another.
type Finding string

const (
	Equal    Finding = "equal"         // seed by seed, where both have the seed; but for roundings
	Improved Finding = "better"        // by more than chance
	Worsened Finding = "worse"         // by more than chance
	Chance   Finding = "within chance" // the 95 % interval has no difference in it
	TooFew   Finding = "too few seeds" // one seed says nothing about the spread
	Lacking  Finding = "missing"       // one of the runs has no such point
)

// A Difference is a point of two runs of an experiment, side by side.
type Difference struct {
	Panel, Method string
	Budget        float64
	This, Other   float64 // mean quality, over the seeds that are compared; NaN where it is missing
	Seeds         int     // that both have, compared pair by pair; 0: the means were compared
	// Change is how This compares to Other, with its 95 % interval: a ratio, the
	// geometric mean over the seeds, on a logarithmic axis, and else a difference. The
	// interval is Student's, NaN where there is none: the few seeds of a run are too
	// few for a bootstrap, which is sure as soon as they agree.
	Change, Lo, Hi float64
	Ratio          bool // Change is one
	Finding        Finding
}

// Differences compares two runs of an experiment, point by point, in the order of c's
// grid and then of o's. Every point is judged alone: of many that do not differ,
// one in twenty seems to.
func (c Curves) Differences(o Curves) []Difference {
	var ds []Difference
	for _, panel := range union(c.Panels(), o.Panels()) {
		for _, method := range union(c.Methods(), o.Methods()) {
			a, _ := c.Curve(panel, method)
			b, _ := o.Curve(panel, method)
			for _, x := range budgets(a, b) {
				p, ok := a.At(x)
				q, ok2 := b.At(x)
				d := Difference{Panel: panel, Method: method, Budget: x, This: math.NaN(), Other: math.NaN(), Finding: Lacking}
				if ok {
					d.This = p.Mean()
				}
				if ok2 {
					d.Other = q.Mean()
				}
				d.Change, d.Lo, d.Hi = math.NaN(), math.NaN(), math.NaN()
				if ok && ok2 {
					d.judge(c.Quality, p, q)
				}
				ds = append(ds, d)
			}
		}
	}
	return ds
}

// union is a, and what b has more.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// budgets are those of either curve, sorted.
func budgets(a, b Curve) (xs []float64) {
	for _, p := range slices.Concat(a.Points, b.Points) {
		xs = append(xs, p.Budget)
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// judge fills in what p and q, points of this and the other run, say of each other.
func (d *Difference) judge(quality Axis, p, q Point) {
	a, b := each(p.Quality, quality.judged), each(q.Quality, quality.judged)
	scale := scaleOf(quality, slices.Concat(a, b)...)
	d.Ratio = scale.log
	var steps, these, others []float64 // of the seeds that both have
	for i, seed := range p.Seeds {
		if j := slices.Index(q.Seeds, seed); j >= 0 {
			steps = append(steps, scale.step(a[i], b[j]))
			these, others = append(these, p.Quality[i]), append(others, q.Quality[j])
		}
	}
	var mid, half float64
	if n := len(steps); n >= 2 || n == min(len(a), len(b)) {
		d.Seeds, d.This, d.Other = n, mean(these), mean(others)
		mid, half = paired(steps)
	} else {
		mid, half = welch(each(a, scale.to), each(b, scale.to))
	}
	d.Change, d.Lo, d.Hi = mid, mid-half, mid+half
	if scale.log {
		d.Change, d.Lo, d.Hi = math.Exp(d.Change), math.Exp(d.Lo), math.Exp(d.Hi)
	}
	switch {
	case d.Seeds > 0 && !slices.ContainsFunc(steps, func(x float64) bool { return x != 0 }):
		d.Finding = Equal
	case math.IsNaN(half):
		d.Finding = TooFew
	case math.IsNaN(mid) || math.Abs(mid) <= half:
		d.Finding = Chance
	case (mid > 0) == (quality.Better == Higher):
		d.Finding = Improved
	default:
		d.Finding = Worsened
	}
}

func each(xs []float64, f func(float64) float64) []float64 {
	ys := make([]float64, len(xs))
	for i, x := range xs {
		ys[i] = f(x)
	}
	return ys
}

// step is a − b on the scale, and 0 where they differ by roundings or both diverged.
func (s scale) step(a, b float64) float64 {
	const rounding = 1e-9 // of sums that another machine forms in another order
	if a == b || math.Abs(a-b) <= rounding*max(math.Abs(a), math.Abs(b)) && finite(a) && finite(b) {
		return 0
	}
	return s.to(a) - s.to(b)
}

// paired is the mean of differences with half its 95 % interval: NaN for fewer than two,
// 0 if all are equal. Where some are infinite, the mean is infinite or NaN.
func paired(steps []float64) (mid, half float64) {
	n := float64(len(steps))
	mid = mean(steps)
	switch {
	case n < 2:
		return mid, math.NaN()
	case slices.Min(steps) == slices.Max(steps): // all diverged on one side, too
		return mid, 0
	case !finite(mid):
		return mid, math.Inf(1)
	}
	return mid, student(n-1) * stat.StdDev(steps, nil) / math.Sqrt(n)
}

// welch is the difference of two means with half its 95 % interval, for samples of
// different spread.
func welch(a, b []float64) (mid, half float64) {
	ma, va := stat.MeanVariance(a, nil)
	mb, vb := stat.MeanVariance(b, nil)
	na, nb := float64(len(a)), float64(len(b))
	va, vb, mid = va/na, vb/nb, ma-mb
	switch {
	case !finite(mid):
		return mid, math.Inf(1)
	case va+vb == 0:
		return mid, 0
	}
	return mid, student((va+vb)*(va+vb)/(va*va/(na-1)+vb*vb/(nb-1))) * math.Sqrt(va+vb)
}

// student is the two-sided 95 % point of Student's distribution.
func student(freedom float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(0.975)
}

// Text is This or Other in words; "–" where it is missing.
func (d Difference) Text(mean float64) string {
	if d.Finding == Lacking && math.IsNaN(mean) {
		return "–"
	}
	return Digits(mean)
}

// ChangeText is Change with its interval in words.
func (d Difference) ChangeText() string {
	one := func(x float64) string {
		if d.Ratio {
			return Digits(x)
		}
		return fmt.Sprintf("%+.3g", x)
	}
	switch {
	case d.Finding == Lacking || math.IsNaN(d.Change):
		return "–"
	case d.Finding == Equal:
		return "="
	case math.IsInf(d.Change, 0) || d.Ratio && d.Change == 0:
		return "diverged in one"
	case math.IsNaN(d.Lo) || d.Lo == d.Hi:
		return one(d.Change)
	}
	return fmt.Sprintf("%s (%s to %s)", one(d.Change), one(d.Lo), one(d.Hi))
}

// MarshalJSON writes the difference; infinite and NaN figures become strings.
func (d Difference) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Panel   string  `json:"panel,omitempty"`
		Method  string  `json:"method"`
		Budget  number  `json:"budget"`
		This    number  `json:"this"`
		Other   number  `json:"other"`
		Seeds   int     `json:"seeds"`
		Change  number  `json:"change"`
		Lo      number  `json:"lo"`
		Hi      number  `json:"hi"`
		Ratio   bool    `json:"ratio"`
		Finding Finding `json:"finding"`
	}{d.Panel, d.Method, number(d.Budget), number(d.This), number(d.Other), d.Seeds, number(d.Change), number(d.Lo), number(d.Hi), d.Ratio, cmp.Or(d.Finding, Lacking)})
}
