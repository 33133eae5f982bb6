package mixture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
)

// Decode reads a case's input strictly: a field that nobody looks at would be a
// setting silently ignored.
func Decode(c conform.Case, into any) error {
	d := json.NewDecoder(bytes.NewReader(c.Input))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return nil
}

// Case runs the fixture's own conformance cases.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "exact probability-flow ODE solution and closed-form noise predictor", "laboratory problem with its exact end points":
	default:
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in struct {
		Problem
		ProbeT []float64     `json:"probe_t"`
		ProbeX [][][]float64 `json:"probe_x"`
	}
	if err := Decode(c, &in); err != nil {
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
	end, err := in.Exact(ctx, model, x, n)
	if err != nil {
		return nil, err
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	var alpha, sigma, lambda []float64
	var eps [][][]float64
	for i, t := range in.ProbeT {
		at := s.At(t)
		alpha, sigma, lambda = append(alpha, at.Alpha), append(sigma, at.Sigma), append(lambda, at.Lambda)
		if i >= len(in.ProbeX) {
			continue
		}
		var flat []float64
		for _, row := range in.ProbeX[i] {
			flat = append(flat, row...)
		}
		dst := make([]float64, len(flat))
		if err := model.Denoise(ctx, dst, flat, len(in.ProbeX[i]), []diffusion.Level{at}); err != nil {
			return nil, err
		}
		eps = append(eps, Rows(dst, len(in.ProbeX[i])))
	}
	got := conform.Got{"exact_x_end": Rows(end, n)}
	if len(in.ProbeT) > 0 {
		got["alpha"], got["sigma"], got["lambda"], got["probe_eps"] = alpha, sigma, lambda, eps
	}
	return got, nil
}
