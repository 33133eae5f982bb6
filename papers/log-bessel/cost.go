package logbessel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/special"
)

// Operations that a logarithm and a log Γ count for, about what their
// polynomials take.
const (
	logFlops    = 20
	lgammaFlops = 60
)

// flops is what one value costs by an expansion.
func flops(m special.Method, terms int, v, x float64) float64 {
	k := float64(terms)
	switch m {
	case special.Debye: // k polynomials of degrees 1 to k, the sum, √, two divisions
		return k*(k+1) + 2*k + 2*logFlops + 12
	case special.Hankel:
		return 5*k + logFlops + 6
	}
	_, n := adaptiveLogI(v, x, 0x1p-56) // about as many terms from the first one on
	return 4*float64(n) + lgammaFlops + 2*logFlops
}

// regions name what the refined table chooses; series stands last.
var regions = []string{"Hankel 3", "Hankel 20", "Debye 4", "Debye 6", "Debye 9", "Debye 13", "series"}

func regionOf(k known) string {
	switch m, terms := (special.Bessel{}).Choose(k.v, k.x); m {
	case special.Hankel:
		return fmt.Sprint("Hankel ", terms)
	case special.Debye:
		return fmt.Sprint("Debye ", terms)
	}
	return "series"
}

var digits = []float64{4, 8, 12, 16}

func cost() *lab.Experiment {
	return &lab.Experiment{
		Name:    "log-bessel/cost",
		Title:   "Error of log I over operations",
		Help:    "One panel for each expansion of the refined table, on the points with known values where it is used. The rival is the power series from its largest term outwards, as far as the digits asked for need. Operations are counted, a logarithm as 20 and log Γ as 60; times are in make bench.",
		Cost:    lab.Axis{Name: "operations a value", Log: true},
		Quality: lab.Axis{Name: "largest error", Log: true},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range regions {
				cs = append(cs, lab.Cell{Panel: panel, Method: refined.Name, Budget: 16, Values: v})
				for _, d := range digits {
					cs = append(cs, lab.Cell{Panel: panel, Method: adaptive.Name, Budget: d, Values: v})
				}
			}
			return cs, nil
		},
		Run:    runCost,
		Claims: costClaims(),
	}
}

func runCost(_ context.Context, c lab.Cell) (lab.Outcome, error) {
	if !slices.Contains(regions, c.Panel) {
		return lab.Outcome{}, fmt.Errorf("no panel is called %q", c.Panel)
	}
	ks, err := knowns()
	if err != nil {
		return lab.Outcome{}, err
	}
	var worst, sum float64
	n := 0
	for _, k := range ks {
		if regionOf(k) != c.Panel {
			continue
		}
		var y, ops float64
		switch c.Method {
		case refined.Name:
			m, terms := (special.Bessel{}).Choose(k.v, k.x)
			y, ops = refined.LogI(k.v, k.x), flops(m, terms, k.v, k.x)
		case adaptive.Name:
			var terms int
			y, terms = adaptiveLogI(k.v, k.x, math.Pow(10, -c.Budget))
			ops = 4*float64(terms) + 2*lgammaFlops + 2*logFlops
		default:
			return lab.Outcome{}, fmt.Errorf("no rival is called %q", c.Method)
		}
		worst = max(worst, k.miss(panelI, y))
		sum += ops
		n++
	}
	return lab.Outcome{Cost: sum / float64(n), Quality: worst, Metrics: map[string]float64{"points": float64(n)}}, nil
}
