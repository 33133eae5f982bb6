// Package dpmsolver assays DPM-Solver (Lu et al. 2022): its conformance cases and
// its experiments. The methods are diffusion.DPMSolver in noise form and
// diffusion.Adaptive.
package dpmsolver

import (
	"context"
	"fmt"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	dpmsolverpp "github.com/assay-lab/assay/papers/dpm-solver-pp"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Case runs a conformance case. Those of the whole family are read by the package
// of DPM-Solver++.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch {
	case c.Method == "time grids, order tables, inverse lambda":
		return gridCase(c)
	case strings.HasPrefix(c.Method, "dpmsolver adaptive order ") || strings.HasPrefix(c.Method, "dpmsolver++ adaptive order "):
		return adaptiveCase(ctx, c)
	}
	return dpmsolverpp.Case(ctx, c)
}

type adaptiveInput struct {
	mixture.Problem
	Algorithm       string  `json:"algorithm"`
	Mode            string  `json:"mode"`
	Order           int     `json:"order"`
	Steps           int     `json:"steps"`
	Spacing         string  `json:"spacing"`
	SolverType      string  `json:"solver_type"`
	LowerOrderFinal bool    `json:"lower_order_final"`
	DenoiseToZero   bool    `json:"denoise_to_zero"`
	AbsTol          float64 `json:"atol"`
	RelTol          float64 `json:"rtol"`
}

func adaptiveCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in adaptiveInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	a := diffusion.Adaptive{Order: in.Order, AbsTol: in.AbsTol, RelTol: in.RelTol}
	switch {
	case in.Algorithm == "dpmsolver":
		a.Form = diffusion.NoiseForm
	case in.Algorithm != "dpmsolver++":
		return nil, fmt.Errorf("algorithm %q is unknown", in.Algorithm)
	case in.DenoiseToZero:
		return nil, fmt.Errorf("denoise_to_zero: an adaptive run ends at t_end")
	}
	if in.SolverType != "dpmsolver" && in.SolverType != "" {
		return nil, fmt.Errorf("solver_type %q: an adaptive run is of the type dpmsolver", in.SolverType)
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	model, err := in.Model()
	if err != nil {
		return nil, err
	}
	x, n, err := in.Starts()
	if err != nil {
		return nil, err
	}
	var times []float64
	asked := diffusion.Func[float64]{Prediction: model.Predicts(), F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
		times = append(times, at[0].T)
		return model.Denoise(ctx, dst, x, n, at)
	}}
	g := diffusion.Grid{Schedule: s, Start: in.TStart, End: in.TEnd}
	sol, err := diffusion.SolveAdaptive(ctx, diffusion.Problem[float64]{Model: asked, Grid: g, X: x, N: n}, a)
	if err != nil {
		return nil, err
	}
	return conform.Got{"x": mixture.Rows(sol.X, n), "nfe": sol.NFE, "eval_times": times}, nil
}

// gridCase lists grids, splittings of evaluations into steps, and t(λ).
func gridCase(c conform.Case) (conform.Got, error) {
	var in struct {
		Schedule mixture.Schedule `json:"schedule"`
		TStart   float64          `json:"t_start"`
		TEnd     float64          `json:"t_end"`
		Lambda   []float64        `json:"lambda_probe"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	g := diffusion.Grid{Schedule: s, Start: in.TStart, End: in.TEnd}
	grids, outer, orders := map[string][]float64{}, map[string][]float64{}, map[string][]int{}
	for name, spacing := range map[string]diffusion.Spacing{"logSNR": diffusion.LogSNR, "time_uniform": diffusion.TimeUniform, "time_quadratic": diffusion.TimeQuadratic} {
		for n := 3; n <= 20; n++ {
			g.Spacing, g.Steps = spacing, n
			ls, err := g.Levels(n)
			if err != nil {
				return nil, err
			}
			key := fmt.Sprintf("%s/%d", name, n)
			for _, l := range ls {
				grids[key] = append(grids[key], l.T)
			}
			tape, err := diffusion.Trace(diffusion.DPMSolver{Mode: diffusion.Singlestep, Order: 3}, g, diffusion.TraceOptions{})
			if err != nil {
				return nil, err
			}
			outer[key] = []float64{ls[0].T}
			for _, m := range tape.Marks {
				outer[key] = append(outer[key], m.Level.T)
			}
			for order := 1; order <= 3; order++ {
				orders[fmt.Sprintf("%d/%d", order, n)] = diffusion.SinglestepOrders(order, n)
			}
		}
	}
	var ts []float64
	for _, lambda := range in.Lambda {
		ts = append(ts, s.Time(lambda))
	}
	return conform.Got{"timesteps": grids, "outer_timesteps_order3": outer, "orders": orders, "t_of_lambda": ts}, nil
}
