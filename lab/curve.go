package lab

import (
	"cmp"
	"math"
	"slices"
)

// Curves are the results of an experiment's grid, method by method.
type Curves struct {
	Cost    Axis      `json:"cost"`
	Quality Axis      `json:"quality"`
	Budget  string    `json:"budget,omitempty"`  // what budgets count; "": the cost
	Curves  []Curve   `json:"curves"`            // in the order in which the grid names them
	Missing []Missing `json:"missing,omitempty"` // cells that failed or were not run
}

// A Curve is the quality of one method over cost, in one panel.
type Curve struct {
	Panel  string  `json:"panel,omitempty"`
	Method string  `json:"method"`
	Points []Point `json:"points"` // by growing budget
}

// A Point gathers the seeds of one method at one budget. The slices are parallel.
type Point struct {
	Budget  float64
	Seeds   []uint64
	Cost    []float64
	Quality []float64
	Metrics map[string][]float64 // NaN where a seed lacks the metric
}

// Missing is a cell without an outcome.
type Missing struct {
	Cell Cell   `json:"cell"`
	Err  string `json:"error,omitempty"` // why it failed; "" if it was not run
}

// A Result is a finished cell.
type Result struct {
	Cell    Cell
	Outcome Outcome
	Err     string  // the cell failed for good; Outcome is empty
	Seconds float64 // wall clock, recorded and never judged
}

// Gather forms the curves of an experiment from the results of its grid's
// cells. Their order does not matter: the grid gives the order of curves and
// seeds.
func (e *Experiment) Gather(grid []Cell, results func(Cell) (Result, bool)) Curves {
	c := Curves{Cost: e.Cost, Quality: e.Quality, Budget: e.Budget}
	type key struct{ panel, method string }
	at := map[key]int{}
	for _, cell := range grid {
		k := key{cell.Panel, cell.Method}
		i, ok := at[k]
		if !ok {
			i = len(c.Curves)
			at[k] = i
			c.Curves = append(c.Curves, Curve{Panel: cell.Panel, Method: cell.Method})
		}
		r, ok := results(cell)
		if !ok || r.Err != "" {
			c.Missing = append(c.Missing, Missing{cell, r.Err})
			continue
		}
		c.Curves[i].add(cell, r.Outcome)
	}
	for i := range c.Curves {
		slices.SortStableFunc(c.Curves[i].Points, func(a, b Point) int { return cmp.Compare(a.Budget, b.Budget) })
	}
	return c
}

func (c *Curve) add(cell Cell, o Outcome) {
	i := slices.IndexFunc(c.Points, func(p Point) bool { return p.Budget == cell.Budget })
	if i < 0 {
		i = len(c.Points)
		c.Points = append(c.Points, Point{Budget: cell.Budget, Metrics: map[string][]float64{}})
	}
	p := &c.Points[i]
	n := len(p.Seeds)
	p.Seeds = append(p.Seeds, cell.Seed)
	p.Cost = append(p.Cost, o.Cost)
	p.Quality = append(p.Quality, o.Quality)
	for name, x := range o.Metrics {
		if p.Metrics[name] == nil {
			p.Metrics[name] = repeat(math.NaN(), n)
		}
		p.Metrics[name] = append(p.Metrics[name], x)
	}
	for name, xs := range p.Metrics {
		if len(xs) == n {
			p.Metrics[name] = append(xs, math.NaN())
		}
	}
}

func repeat(x float64, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = x
	}
	return xs
}

// Panels lists the panels in the grid's order.
func (c Curves) Panels() []string {
	var ps []string
	for _, cv := range c.Curves {
		if !slices.Contains(ps, cv.Panel) {
			ps = append(ps, cv.Panel)
		}
	}
	return ps
}

// Methods lists the methods of all panels in the grid's order. A method's place
// in it is its colour.
func (c Curves) Methods() []string {
	var ms []string
	for _, cv := range c.Curves {
		if !slices.Contains(ms, cv.Method) {
			ms = append(ms, cv.Method)
		}
	}
	return ms
}

// Curve returns the curve of a method in a panel; ok is false when it has no points.
func (c Curves) Curve(panel, method string) (cv Curve, ok bool) {
	for _, cv := range c.Curves {
		if cv.Panel == panel && cv.Method == method {
			return cv, len(cv.Points) > 0
		}
	}
	return Curve{}, false
}

// At returns the point at that budget.
func (c Curve) At(budget float64) (Point, bool) {
	for _, p := range c.Points {
		if p.Budget == budget {
			return p, true
		}
	}
	return Point{}, false
}

// Mean is the mean quality over the seeds.
func (p Point) Mean() float64 { return mean(p.Quality) }

// MeanCost is the mean cost over the seeds.
func (p Point) MeanCost() float64 { return mean(p.Cost) }

func mean(xs []float64) float64 {
	var s float64
	for _, x := range xs {
		s += x
	}
	return s / float64(len(xs))
}
