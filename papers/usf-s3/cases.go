// Package usfs3 assays the unified sampling framework and its solver search: Liu,
// Ning, Yang and Wang 2024.
package usfs3

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "USF sampler with a given solver schedule":
		return sampleCase(ctx, c)
	case "Taylor-difference derivative weights":
		return weightsCase(c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

func sampleCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		mixture.Problem
		Decisions  json.RawMessage `json:"decisions"`
		Average    []float64       `json:"average_x0"`
		Statistics *struct {
			M int         `json:"M"`
			L [][]float64 `json:"l"`
			S [][]float64 `json:"s"`
			B [][]float64 `json:"b"`
		} `json:"statistics"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	s, err := decisions(in.Decisions, in.Average)
	if err != nil {
		return nil, err
	}
	method := diffusion.USF{Schedule: s}
	var p diffusion.Problem[float64]
	if p.Grid.Schedule, err = in.Schedule.Build(); err != nil {
		return nil, err
	}
	p.Grid.Start, p.Grid.End = in.TStart, in.TEnd
	if t := in.Statistics; t != nil {
		at := p.Grid.Schedule.At
		method.Statistics = &diffusion.Statistics{LambdaT: at(in.TStart).Lambda, Lambda0: at(in.TEnd).Lambda, L: t.L, S: t.S, B: t.B}
		if len(t.L) != t.M+1 {
			return nil, fmt.Errorf("statistics: %d rows for M = %d", len(t.L), t.M)
		}
	}
	model, err := in.Model()
	if err != nil {
		return nil, err
	}
	if p.X, p.N, err = in.Starts(); err != nil {
		return nil, err
	}
	// The predicted states are those that the model is asked at, after the start.
	predicted := [][][]float64{mixture.Rows(p.X, p.N)}
	p.Model = diffusion.Func[float64]{Prediction: model.Predicts(), F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
		if !slices.Equal(x, p.X) {
			predicted = append(predicted, mixture.Rows(x, n))
		}
		return model.Denoise(ctx, dst, x, n, at)
	}}
	sol, err := diffusion.Solve(ctx, p, method)
	if err != nil {
		return nil, err
	}
	x := mixture.Rows(sol.X, p.N)
	return conform.Got{"x": x, "predicted_x": append(predicted, x), "nfe": sol.NFE}, nil
}

// decisions reads a schedule in the authors' form; a case has the mean of the data
// beside it.
func decisions(text json.RawMessage, average []float64) (*diffusion.SolverSchedule, error) {
	if average != nil {
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, fmt.Errorf("decisions: %w", err)
		}
		fields["average_x0"] = average
		var err error
		if text, err = json.Marshal(fields); err != nil {
			return nil, err
		}
	}
	return diffusion.ParseSolverSchedule(text)
}

func weightsCase(c conform.Case) (conform.Got, error) {
	var in struct {
		Queries []struct {
			Offsets    []float64 `json:"offsets"`
			Derivative int       `json:"derivative"`
		} `json:"queries"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	var weights [][]float64
	for _, q := range in.Queries {
		w, err := diffusion.DerivativeWeights(q.Offsets, q.Derivative)
		if err != nil {
			return nil, err
		}
		weights = append(weights, w)
	}
	return conform.Got{"weights": weights}, nil
}
