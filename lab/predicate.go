package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Term is a number read off curves, with the words for it: "2M at NFE 15". An
// error says which points it lacks.
type Term func(Curves) (name string, x float64, err error)

// A Predicate is one comparison of a claim. An error says which points it lacks.
type Predicate func(Curves) (Figure, error)

// At is the mean quality of a method at a budget. Diverged seeds (NaN) make it
// the worst value of the axis.
func At(panel, method string, budget float64) Term {
	return func(c Curves) (string, float64, error) {
		x, err := c.MeanAt(panel, method, budget)
		name := c.place(panel, method, budget)
		if err == nil && x == c.Quality.Worst() {
			name += ", diverged"
		}
		return name, x, err
	}
}

// MetricAt is the mean of a further figure over the seeds.
func MetricAt(panel, method string, budget float64, metric string) Term {
	return func(c Curves) (string, float64, error) {
		name := metric + " of " + c.place(panel, method, budget)
		cv, _ := c.Curve(panel, method)
		p, _ := cv.At(budget)
		xs := p.Metrics[metric]
		if len(xs) == 0 {
			return name, 0, fmt.Errorf("no %s", name)
		}
		return name, mean(xs), nil
	}
}

// Order is the order of convergence of a method: minus the slope of log quality
// over log cost, over the points with budgets from lo to hi.
func Order(panel, method string, lo, hi float64) Term {
	return func(c Curves) (string, float64, error) {
		name := "order of " + within(method, panel)
		cv, _ := c.Curve(panel, method)
		f, n, err := cv.rate(lo, hi)
		switch {
		case n < 2:
			return name, 0, fmt.Errorf("no %s: %d points with budgets from %g to %g", name, n, lo, hi)
		case err != nil:
			return name, math.NaN(), nil
		}
		if f.N > 2 {
			name += fmt.Sprintf(" (95 %% interval %s to %s)", Digits(-f.Hi), Digits(-f.Lo))
		}
		return name, -f.Slope, nil
	}
}

// CostTo is the cost at which a method reaches a quality; +Inf if it never does.
func CostTo(panel, method string, quality float64) Term {
	return func(c Curves) (string, float64, error) {
		x, err := c.CostToReach(panel, method, quality)
		name := fmt.Sprintf("%s of %s to reach %s %g", c.Cost.Name, method, c.Quality.Name, quality)
		return within(name, panel), x, err
	}
}

// RatioOver is the geometric mean over the budgets of a method's quality over
// its rival's, as in [Curves.MeanRatio].
func RatioOver(panel, method, rival string, budgets ...float64) Term {
	return func(c Curves) (string, float64, error) {
		x, skipped, err := c.MeanRatio(panel, method, rival, budgets...)
		name := fmt.Sprintf("%s / %s over %d budgets", method, rival, len(budgets)-skipped)
		if skipped > 0 {
			name += fmt.Sprintf(" (%d more where only the rival diverged)", skipped)
		}
		return within(name, panel), x, err
	}
}

// Number is a constant.
func Number(x float64) Term {
	return func(Curves) (string, float64, error) { return "", x, nil }
}

// Times is k times the term.
func (t Term) Times(k float64) Term {
	return func(c Curves) (string, float64, error) {
		name, x, err := t(c)
		return fmt.Sprintf("%g × %s", k, name), k * x, err
	}
}

// Over is the quotient of two terms; NaN, which satisfies nothing, if both are
// infinite or both 0.
func (t Term) Over(u Term) Term {
	return func(c Curves) (string, float64, error) {
		a, x, err := t(c)
		b, y, err2 := u(c)
		if err == nil {
			err = err2
		}
		return "(" + a + ") / (" + b + ")", x / y, err
	}
}

// Less holds if a < b.
func Less(a, b Term) Predicate { return compare(a, "<", b) }

// More holds if a > b.
func More(a, b Term) Predicate { return compare(a, ">", b) }

// AtMost holds if a ≤ b.
func AtMost(a, b Term) Predicate { return compare(a, "≤", b) }

// AtLeast holds if a ≥ b.
func AtLeast(a, b Term) Predicate { return compare(a, "≥", b) }

// Within holds if lo ≤ a ≤ hi.
func Within(a Term, lo, hi float64) Predicate {
	return func(c Curves) (Figure, error) {
		name, x, err := a(c)
		return Figure{name, x, fmt.Sprintf("from %g to %g", lo, hi), lo <= x && x <= hi}, err
	}
}

// Beats holds, budget by budget, where the method's quality is strictly better
// than the rival's.
func Beats(panel, method, rival string, budgets ...float64) []Predicate {
	ps := make([]Predicate, len(budgets))
	for i, b := range budgets {
		ps[i] = func(c Curves) (Figure, error) {
			op := "<"
			if c.Quality.Better == Higher {
				op = ">"
			}
			return compare(At(panel, method, b), op, At(panel, rival, b))(c)
		}
	}
	return ps
}

func compare(a Term, op string, b Term) Predicate {
	return func(c Curves) (Figure, error) {
		an, x, err := a(c)
		bn, y, err2 := b(c)
		if err == nil {
			err = err2
		}
		f := Figure{Name: an, Value: x, Want: op + " " + Digits(y)}
		if bn = shorter(an, bn); bn != "" {
			f.Want += " (" + bn + ")"
		}
		switch op { // each is false for NaN
		case "<":
			f.OK = x < y
		case ">":
			f.OK = x > y
		case "≤": // two that diverged are not equal
			f.OK = x < y || x == y && finite(x)
		case "≥":
			f.OK = x > y || x == y && finite(x)
		}
		return f, err
	}
}

// shorter leaves the place out of b's name if a's ends with the same: "DDIM"
// beside "2M at NFE 15".
func shorter(a, b string) string {
	if method, place, ok := strings.Cut(b, " at "); ok && strings.HasSuffix(a, " at "+place) {
		return method
	}
	return b
}

// All judges a claim by its predicates. It holds if all do, holds in part if
// some do and some do not, and fails if none does. Predicates that lack points
// leave it undecided, unless the others already disagree; Missing names them.
func All(ps ...Predicate) func(Curves) Verdict {
	return func(c Curves) Verdict {
		var v Verdict
		var held, not []Figure
		for _, p := range ps {
			f, err := p(c)
			switch {
			case err != nil:
				v.Missing = append(v.Missing, err.Error())
				continue
			case f.OK:
				held = append(held, f)
			default:
				not = append(not, f)
			}
			v.Figures = append(v.Figures, f)
		}
		switch {
		case len(held) > 0 && len(not) > 0:
			v.Status = HoldsInPart
		case len(v.Missing) > 0 || len(ps) == 0:
			v.Status = Undecided
		case len(not) == 0:
			v.Status = Holds
		default:
			v.Status = Fails
		}
		v.Reason = reason(held, not, v.Missing)
		return v
	}
}

func reason(held, not []Figure, missing []string) string {
	n := len(held) + len(not)
	var s string
	switch {
	case n == 0 && len(missing) == 0:
		return "nothing was compared"
	case n == 0:
		return "nothing could be compared: " + some(missing)
	case n == 1:
		s = append(held, not...)[0].sentence()
	case len(not) == 0:
		s = fmt.Sprintf("all %d comparisons hold, such as: %s", n, held[0].sentence())
	default:
		says := make([]string, len(not))
		for i, f := range not {
			says[i] = f.sentence()
		}
		s = fmt.Sprintf("%d of %d comparisons hold: %s", len(held), n, some(says))
	}
	if len(missing) > 0 {
		s += fmt.Sprintf("; %d could not be made: %s", len(missing), some(missing))
	}
	return s
}

// sentence is a figure in words: "2M at NFE 15 is 0.05, not < 0.04 (DDIM at NFE 15)".
func (f Figure) sentence() string {
	not := ""
	if !f.OK {
		not = "not "
	}
	return fmt.Sprintf("%s is %s, %s%s", f.Name, Digits(f.Value), not, f.Want)
}

// some joins the first two of a list and counts the rest.
func some(list []string) string {
	if n := len(list) - 2; n > 0 {
		return strings.Join(list[:2], "; ") + fmt.Sprintf("; and %d more", n)
	}
	return strings.Join(list, "; ")
}

// Digits writes a number as a report does: three significant digits, "diverged"
// for NaN, "∞" for infinities.
func Digits(x float64) string {
	switch {
	case math.IsNaN(x):
		return "diverged"
	case math.IsInf(x, 1):
		return "∞"
	case math.IsInf(x, -1):
		return "-∞"
	case x == 0:
		return "0"
	}
	switch a := math.Abs(x); {
	case a == math.Trunc(a) && a < 1e6:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case a >= 1e5 || a < 1e-4:
		return strconv.FormatFloat(x, 'e', 2, 64)
	case a >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	default:
		return strconv.FormatFloat(x, 'f', max(0, 2-int(math.Floor(math.Log10(a)))), 64)
	}
}
