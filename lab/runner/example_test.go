package runner_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/store"
)

// Two rules for the integral of exp over [0, 1], at equal numbers of steps.
func ExampleRunner() {
	e := &lab.Experiment{
		Name: "example/quadrature", Cost: lab.Axis{Name: "evaluations"}, Quality: lab.Axis{Name: "error", Log: true},
		Grid: func(v lab.Values) (cells []lab.Cell, err error) {
			for _, method := range []string{"left", "midpoint"} {
				for _, n := range []float64{8, 64} {
					cells = append(cells, lab.Cell{Method: method, Budget: n, Values: v})
				}
			}
			return cells, nil
		},
		Run: func(_ context.Context, c lab.Cell) (lab.Outcome, error) {
			shift := map[string]float64{"left": 0, "midpoint": 0.5}[c.Method]
			var sum float64
			for i := range int(c.Budget) {
				sum += math.Exp((float64(i)+shift)/c.Budget) / c.Budget
			}
			return lab.Outcome{Cost: c.Budget, Quality: math.Abs(sum - (math.E - 1))}, nil
		},
	}

	dir, err := os.MkdirTemp("", "assay")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, damaged, err := store.Open(ctx, filepath.Join(dir, "runs.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if damaged != nil {
		log.Print(damaged)
	}

	r := runner.Runner{Store: s}
	values, err := e.Resolve(lab.Desk, nil)
	if err != nil {
		log.Fatal(err)
	}
	run, err := r.Run(ctx, e, lab.Desk, values)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range run.Curves.Curves {
		for _, p := range c.Points {
			fmt.Printf("%-8s %2.0f evaluations: error %.0e\n", c.Method, p.MeanCost(), p.Mean())
		}
	}
	again, err := r.Run(ctx, e, lab.Desk, values) // nothing is left to do
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("recorded before:", again.Resumed)
	// Output:
	// left      8 evaluations: error 1e-01
	// left     64 evaluations: error 1e-02
	// midpoint  8 evaluations: error 1e-03
	// midpoint 64 evaluations: error 2e-05
	// recorded before: 4
}
