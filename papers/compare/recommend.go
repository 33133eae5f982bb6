package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// baseline is the method that a recommendation is held against.
const baseline = "ddim"

// A Choice is the method with the least error.
type Choice struct {
	Panel  string  `json:"panel"`
	Budget float64 `json:"budget"` // evaluations; 0: over all budgets
	Method string  `json:"method"`
	Steps  int     `json:"steps,omitempty"` // that it makes of the budget
	Error  float64 `json:"error"`           // mean over the seeds; over all budgets: its geometric mean

	// How many times its error the baseline and the second best have; 0 where there
	// is none.
	OverBaseline float64 `json:"over_baseline,omitempty"`
	RunnerUp     string  `json:"runner_up,omitempty"`
	OverRunnerUp float64 `json:"over_runner_up,omitempty"`
	// Sure is how often the same method wins when the seeds are drawn again with
	// replacement, from 0 to 1; 0 when there is only one seed.
	Sure float64 `json:"sure,omitempty"`
}

// tossUp is the share of resamplings below which the winner may be chance.
const tossUp = 0.9

// Recommend chooses a method for every panel: at every budget, and over all of them
// (among the methods that ran at all budgets), in this order.
func Recommend(c lab.Curves) []Choice {
	var choices []Choice
	for _, panel := range c.Panels() {
		one := c
		one.Curves = slices.DeleteFunc(slices.Clone(c.Curves), func(cv lab.Curve) bool { return cv.Panel != panel || len(cv.Points) == 0 })
		if len(one.Curves) == 0 {
			continue
		}
		bs := budgets(one)
		for _, b := range bs {
			choices = append(choices, choose(one, panel, b))
		}
		if len(bs) > 1 {
			choices = append(choices, choose(one, panel, 0))
		}
	}
	return choices
}

// budgets lists those of all points, sorted.
func budgets(c lab.Curves) []float64 {
	var bs []float64
	for _, cv := range c.Curves {
		for _, p := range cv.Points {
			bs = append(bs, p.Budget)
		}
	}
	slices.Sort(bs)
	return slices.Compact(bs)
}

// choose chooses among the curves of one panel; budget 0 is over all.
func choose(c lab.Curves, panel string, budget float64) Choice {
	ranked := rank(c, budget)
	if len(ranked) == 0 {
		return Choice{Panel: panel, Budget: budget}
	}
	best := ranked[0]
	ch := Choice{Panel: panel, Budget: budget, Method: best.method, Steps: best.steps, Error: best.err}
	for _, r := range ranked[1:] {
		if ch.RunnerUp == "" {
			ch.RunnerUp, ch.OverRunnerUp = r.method, r.err/best.err
		}
		if r.method == baseline {
			ch.OverBaseline = r.err / best.err
		}
	}
	winner := func(c lab.Curves) lab.Verdict {
		if r := rank(c, budget); len(r) > 0 {
			return lab.Verdict{Status: lab.Status(r[0].method)}
		}
		return lab.Verdict{}
	}
	ch.Sure = lab.Confidence(c, winner)
	return ch
}

type ranking struct {
	method string
	err    float64
	steps  int
}

// rank sorts the methods by error, those first that are mentioned first in ties.
func rank(c lab.Curves, budget float64) []ranking {
	all := []float64{budget}
	if budget == 0 {
		all = budgets(c)
	}
	var rs []ranking
next:
	for _, cv := range c.Curves {
		r := ranking{method: cv.Method}
		var logs float64
		for _, b := range all {
			p, ok := cv.At(b)
			if !ok || math.IsNaN(p.Mean()) {
				continue next
			}
			logs += math.Log(p.Mean())
			if steps := p.Metrics["steps"]; len(all) == 1 && len(steps) > 0 {
				r.steps = int(steps[0])
			}
		}
		r.err = math.Exp(logs / float64(len(all)))
		rs = append(rs, r)
	}
	slices.SortStableFunc(rs, func(a, b ranking) int {
		switch {
		case a.err < b.err:
			return -1
		case a.err > b.err:
			return 1
		}
		return 0
	})
	return rs
}

// String says it in a sentence.
func (c Choice) String() string {
	var b strings.Builder
	if c.Budget == 0 {
		b.WriteString("Over all budgets")
	} else {
		fmt.Fprintf(&b, "At %g evaluations", c.Budget)
	}
	if c.Panel != unguided {
		b.WriteString(", " + c.Panel + ",")
	}
	if c.Method == "" {
		return b.String() + " no method ran everywhere."
	}
	b.WriteString(" use " + c.Method)
	if c.RunnerUp == "" {
		return b.String() + ": nothing else ran."
	}
	b.WriteString(": ")
	if c.OverBaseline > 0 && c.RunnerUp != baseline {
		fmt.Fprintf(&b, "%s times less error than %s, ", factor(c.OverBaseline), baseline)
	}
	fmt.Fprintf(&b, "%s times less than the runner-up, %s", factor(c.OverRunnerUp), c.RunnerUp)
	if c.Budget == 0 {
		b.WriteString(", on geometric average")
	}
	switch {
	case c.Sure == 0:
		b.WriteString(" (one seed: not known how sure).")
	case c.Sure < tossUp:
		fmt.Fprintf(&b, " (a toss-up: best in %.0f %% of resamplings of the seeds).", 100*c.Sure)
	default:
		fmt.Fprintf(&b, " (best in %.0f %% of resamplings of the seeds).", 100*c.Sure)
	}
	return b.String()
}

// factor is a ratio of errors with two digits, or three where two would read 1.
func factor(x float64) string {
	switch {
	case math.IsInf(x, 0) || x >= 1e4:
		return "over 10000"
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	case x < 1.05:
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

// advise is the recommendation in words, with the commands that draw samples so.
func advise(v lab.Values, c lab.Curves) lab.Advice {
	var a lab.Advice
	s, err := Open(v)
	for _, ch := range Recommend(c) {
		a.Lines = append(a.Lines, ch.String())
		if err != nil || s.Exact() || ch.Budget == 0 || ch.Method == "" {
			continue
		}
		for _, command := range commands(s, v, ch) {
			if !slices.Contains(a.Commands, command) {
				a.Commands = append(a.Commands, command)
			}
		}
	}
	if line := statisticsLine(c); line != "" {
		a.Lines = append(a.Lines, line)
	}
	if err != nil {
		return a
	}
	if _, out, err := grid(v); err == nil {
		for _, l := range out {
			a.Lines = append(a.Lines, fmt.Sprintf("Left out: %s at %d evaluations: %s.", l.method, l.budget, l.why))
		}
	}
	return a
}

// statisticsLine says what v3 costs before the first sample.
func statisticsLine(c lab.Curves) string {
	for _, cv := range c.Curves {
		for _, p := range cv.Points {
			if n := p.Metrics[statisticsCost]; len(n) > 0 && n[0] > 0 {
				return fmt.Sprintf("%s needs statistics of the model, once: %.0f evaluations for a sample each.", cv.Method, n[0])
			}
		}
	}
	return ""
}

// commands are what to type to draw samples as chosen.
func commands(s *Subject, v lab.Values, ch Choice) []string {
	var cond string
	if label := labelOf(s, v); label != "" && label != "none" {
		cond = " --label " + quote(label)
		scale := strings.TrimPrefix(ch.Panel, "guidance ")
		if scale != "1" {
			cond += " --guidance " + scale
		}
	}
	sample := fmt.Sprintf("assay sample %s --method %s --steps %d%s", modelArgs(v), ch.Method, ch.Steps, cond)
	if v.Text("spacing") != ownSpacing {
		sample += " --spacing " + v.Text("spacing")
	}
	if !needsStatistics(ch.Method) {
		return []string{sample}
	}
	file := "statistics.safetensors"
	if scale, ok := strings.CutPrefix(ch.Panel, "guidance "); ok && scale != "1" {
		file = "statistics-" + scale + ".safetensors"
	}
	make := fmt.Sprintf("assay statistics %s%s --rows %d --samples %d --probes %d --out %s",
		modelArgs(v), cond, v.Int("rows"), v.Int("samples"), v.Int("probes"), file)
	return []string{make, sample + " --statistics " + file}
}
