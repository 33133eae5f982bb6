package report

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-lab/assay/lab"
)

// keep is a folder in which the tests leave their pictures, to be looked at.
var keep = flag.String("keep", "", "leave the pictures in this folder")

func keepFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sampleMethod decays like c·budget^-order, and diverges below some budget.
type sampleMethod struct {
	name            string
	c, order, needs float64
}

var sampleMethods = []sampleMethod{
	{"DDIM", 0.9, 1, 0}, {"DPM-Solver++(2S)", 5, 2, 0}, {"DPM-Solver++(2M)", 2.5, 1.9, 0}, {"DPM-Solver++(3M)", 3, 2, 0},
	{"3M corrected", 9, 2.6, 0}, {"UniPC", 6, 2.5, 0}, {"DPM-Solver-fast-2", 40, 2.3, 8}, {"DPM-Solver-fast-3", 900, 3.1, 12},
	{"PLMS", 12, 2.4, 6}, {"Heun", 30, 2.2, 6},
}

// sample is a run of the kind that experiments give: panels × methods × budgets × seeds.
func sample(panels []string, methods int, budgets []float64, seeds int) (*lab.Experiment, lab.Curves) {
	e := &lab.Experiment{
		Name: "dpm-solver-pp/guided", Title: "How fast do samplers converge on a guided Gaussian mixture?",
		Cost:    lab.Axis{Name: "NFE", Log: true},
		Quality: lab.Axis{Name: "RMS error", Log: true},
	}
	var grid []lab.Cell
	for _, p := range panels {
		for _, m := range sampleMethods[:methods] {
			for _, b := range budgets {
				for s := range seeds {
					grid = append(grid, lab.Cell{Panel: p, Method: m.name, Budget: b, Seed: uint64(s)})
				}
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	c := e.Gather(grid, func(cell lab.Cell) (lab.Result, bool) {
		for _, m := range sampleMethods {
			if m.name != cell.Method {
				continue
			}
			q := m.c * math.Pow(cell.Budget, -m.order) * math.Exp(0.15*r.NormFloat64())
			if cell.Panel == "guidance 7.5" {
				q *= 2
				if cell.Budget < m.needs {
					q = math.NaN()
				}
			}
			return lab.Result{Cell: cell, Outcome: lab.Outcome{Cost: cell.Budget, Quality: q, Metrics: map[string]float64{"steps": cell.Budget}}}, true
		}
		return lab.Result{}, false
	})
	e.Claims = []lab.Claim{{
		Name: "guided", Text: "At guidance 7.5, 2M beats DDIM at 10 and 20 evaluations.", Paper: "15 to 20 steps give high-quality samples",
		Judge: lab.All(lab.Beats("guidance 7.5", "DPM-Solver++(2M)", "DDIM", 10, 20)...),
	}, {
		Name: "fast-3", Text: "At guidance 7.5, the noise form of order 3 is worse than DDIM.",
		Judge: lab.All(lab.Beats("guidance 7.5", "DDIM", "DPM-Solver-fast-3", 10, 50)...),
	}}
	return e, c
}

var someBudgets = []float64{5, 6, 8, 10, 12, 15, 20, 25, 30, 50}
