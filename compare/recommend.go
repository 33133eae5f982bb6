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

// sentence says it; with the panel where there are several.
func (c Choice) sentence(panels int) string {
	when := "Over all budgets"
	if c.Budget > 0 {
		when = fmt.Sprintf("At %g evaluations", c.Budget)
	}
	if panels > 1 {
		when += ", " + c.Panel + ","
	}
	switch {
	case c.Method == "":
		return when + " no method ran everywhere."
	case c.RunnerUp == "":
		return fmt.Sprintf("%s use %s: nothing else ran.", when, c.Method)
	}
	var than []string
	if c.OverBaseline > 0 && c.RunnerUp != baseline {
		than = append(than, fmt.Sprintf("%s times less error than %s", factor(c.OverBaseline), baseline))
	}
	sure := fmt.Sprintf("best in %.0f %% of resamplings of the seeds", 100*c.Sure)
	switch {
	case c.Sure > 0 && c.Sure < tossUp:
		than, sure = append(than, "level with "+c.RunnerUp), "a toss-up: "+sure
	case c.Sure == 0:
		sure = "by one seed: more say how sure that is"
		fallthrough
	default:
		than = append(than, fmt.Sprintf("%s times less than the runner-up, %s", factor(c.OverRunnerUp), c.RunnerUp))
	}
	return fmt.Sprintf("%s use %s: %s (%s).", when, c.Method, strings.Join(than, ", "), sure)
}

// factor is a ratio of errors with two digits, or three where two would read 1.0.
func factor(x float64) string {
	switch {
	case math.IsInf(x, 0) || x >= 1e4:
		return "over 10000"
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	case x < 1.05:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

// advise is the recommendation in words, with the commands that draw samples so.
func advise(v lab.Values, c lab.Curves) lab.Advice {
	var a lab.Advice
	s, err := Open(v)
	panels := len(c.Panels())
	for _, ch := range Recommend(c) {
		a.Lines = append(a.Lines, ch.sentence(panels))
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
