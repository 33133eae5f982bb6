package lab_test

import (
	"context"
	"fmt"
	"log"

	"github.com/assay-lab/assay/lab"
)

// An experiment is a grid of cells and a claim about their curves.
func Example() {
	e := &lab.Experiment{
		Name: "paper/rates", Title: "Does the error fall with the square of the cost?",
		Cost:    lab.Axis{Name: "NFE", Log: true},
		Quality: lab.Axis{Name: "error", Log: true},
		Grid: func(v lab.Values) (grid []lab.Cell, err error) {
			for _, method := range []string{"Euler", "Heun"} {
				for _, n := range []float64{10, 20, 40} {
					grid = append(grid, lab.Cell{Method: method, Budget: n, Values: v})
				}
			}
			return grid, nil
		},
		Run: func(_ context.Context, c lab.Cell) (lab.Outcome, error) {
			h := 1 / c.Budget
			if c.Method == "Heun" {
				h *= h
			}
			return lab.Outcome{Cost: c.Budget, Quality: h}, nil
		},
		Claims: []lab.Claim{{
			Name: "second order",
			Text: "Heun's method is of second order and beats Euler's at 10 evaluations.",
			Judge: lab.All(
				lab.Within(lab.Order("", "Heun", 10, 40), 1.9, 2.1),
				lab.Less(lab.At("", "Heun", 10), lab.At("", "Euler", 10).Times(0.5)),
			),
		}},
	}
	values, err := e.Resolve(lab.Quick, nil)
	if err != nil {
		log.Fatal(err)
	}
	grid, err := e.Grid(values)
	if err != nil {
		log.Fatal(err)
	}
	curves := e.Gather(grid, func(c lab.Cell) (lab.Result, bool) { // lab/runner does this on all cores
		o, err := e.Run(context.Background(), c)
		return lab.Result{Cell: c, Outcome: o}, err == nil
	})
	v := e.Claims[0].Verdict(curves)
	fmt.Println(v.Status)
	for _, f := range v.Figures {
		fmt.Println(f.Name, "=", lab.Digits(f.Value), f.Want)
	}
	// Output:
	// holds
	// order of Heun (95 % interval 2.00 to 2.00) = 2.00 from 1.9 to 2.1
	// Heun at NFE 10 = 0.0100 < 0.0500 (0.5 × Euler)
}

// Every rival's own knob gets the same number of tries.
func ExampleKnob_Tune() {
	rate := lab.Knob{Name: "rate", Lo: 1e-3, Hi: 10, Log: true}
	o, err := rate.Tune(context.Background(), lab.Axis{Name: "loss"}, 5, func(_ context.Context, x float64) (lab.Outcome, error) {
		return lab.Outcome{Quality: (x - 0.1) * (x - 0.1)}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("best rate %.1f, at the edge: %g\n", o.Metrics["rate"], o.Metrics["rate at edge"])
	// Output: best rate 0.1, at the edge: 0
}
