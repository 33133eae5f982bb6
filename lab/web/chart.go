package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
)

// chartData is a panel's curves, for the page's script.
type chartData struct {
	Panel    string        `json:"panel,omitempty"`
	X        string        `json:"x"`
	Y        string        `json:"y"`
	LogX     bool          `json:"logX"`
	LogY     bool          `json:"logY"`
	Budgets  []float64     `json:"budgets"` // costs of the points, sorted
	Series   []chartSeries `json:"series"`
	Diverged []string      `json:"diverged,omitempty"` // methods of which points are not on the chart
}

type chartSeries struct {
	Method string     `json:"method"`
	Color  string     `json:"color"`
	Dashed bool       `json:"dashed,omitempty"` // where colours come round again, or of another run
	Other  string     `json:"other,omitempty"`  // the method, in another run beside this one
	Mean   []*float64 `json:"mean"`             // at every budget; null where there is none
}

func charts(c lab.Curves) []chartData { return chartsIn(c, c.Methods()) }

// chartsIn colours methods by their place in a list.
func chartsIn(c lab.Curves, methods []string) []chartData {
	var out []chartData
	for _, panel := range c.Panels() {
		d := chartData{Panel: panel, X: c.Cost.Label(), Y: c.Quality.Label(), LogX: c.Cost.Log, LogY: c.Quality.Log}
		at := map[float64]int{}
		for _, cv := range c.Curves {
			if cv.Panel != panel {
				continue
			}
			for _, p := range cv.Points {
				if x := p.MeanCost(); !math.IsNaN(x) && !math.IsInf(x, 0) {
					at[x] = 0
				}
			}
		}
		for x := range at {
			d.Budgets = append(d.Budgets, x)
		}
		slices.Sort(d.Budgets)
		for i, x := range d.Budgets {
			at[x] = i
		}
		for i, m := range methods {
			cv, ok := c.Curve(panel, m)
			if !ok {
				continue
			}
			s := chartSeries{Method: m, Color: colorText(i), Dashed: i >= colors, Mean: make([]*float64, len(d.Budgets))}
			lost := false
			for _, p := range cv.Points {
				y := p.Mean()
				if k, ok := at[p.MeanCost()]; ok && drawable(y, d.LogY) {
					s.Mean[k] = &y
				} else {
					lost = true
				}
			}
			if lost {
				d.Diverged = append(d.Diverged, m)
			}
			d.Series = append(d.Series, s)
		}
		out = append(out, d)
	}
	return out
}

// colors is how many methods have a colour of their own.
const colors = 8

func drawable(y float64, log bool) bool {
	return !math.IsNaN(y) && !math.IsInf(y, 0) && (!log || y > 0)
}

func colorText(method int) string {
	c := report.Color(method)
	return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
}

// spark is a picture of a run's first panel, small enough for a card.
func spark(c lab.Curves) template.HTML {
	cs := charts(c)
	if len(cs) == 0 || len(cs[0].Budgets) < 2 {
		return ""
	}
	d := cs[0]
	scale := func(log bool, x float64) float64 {
		if log {
			return math.Log(x)
		}
		return x
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range d.Series {
		for _, y := range s.Mean {
			if y != nil {
				lo, hi = min(lo, scale(d.LogY, *y)), max(hi, scale(d.LogY, *y))
			}
		}
	}
	left, right := scale(d.LogX && d.Budgets[0] > 0, d.Budgets[0]), scale(d.LogX && d.Budgets[0] > 0, d.Budgets[len(d.Budgets)-1])
	if !(hi > lo) || !(right > left) {
		return ""
	}
	const w, h, pad = 120.0, 44.0, 3.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %g %g" role="img" aria-label="Curves of the last run">`, w, h)
	for _, s := range d.Series {
		var pts []string
		for i, y := range s.Mean {
			if y == nil {
				continue
			}
			px := pad + (w-2*pad)*(scale(d.LogX && d.Budgets[0] > 0, d.Budgets[i])-left)/(right-left)
			py := h - pad - (h-2*pad)*(scale(d.LogY, *y)-lo)/(hi-lo)
			pts = append(pts, fmt.Sprintf("%.1f,%.1f", px, py))
		}
		if len(pts) == 1 { // a line of one point is not seen
			x, y, _ := strings.Cut(pts[0], ",")
			fmt.Fprintf(&b, `<circle fill="%s" r="2" cx="%s" cy="%s"/>`, s.Color, x, y)
			continue
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`, s.Color, strings.Join(pts, " "))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // numbers and our own colours
}
