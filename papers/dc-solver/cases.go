// Package dcsolver assays DC-Solver (Zhao et al. 2024): its conformance cases and
// its experiments. The method is diffusion.DCSolver; its ratios come from
// diffusion.RatioSearch or diffusion.CPR.
package dcsolver

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

var sampleName = regexp.MustCompile(`^(UniPC-[1-4] bh[12] \(all ratios 1\)|DC-Solver \(UniPC-[1-4] bh[12], dc_order [123]\))$`)

var fittedName = regexp.MustCompile(`^fitted_cfg([0-9.]+)_nfe([0-9]+)$`)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch {
	case sampleName.MatchString(c.Method):
		return sampleCase(ctx, c)
	case c.Method == "ratio search (AdamW lr 0.1, betas 0.9/0.999, weight decay 0.01, 40 iterations a step, start 1.0)":
		return searchCase(ctx, c)
	case c.Method == "cascade polynomial regression: prediction":
		return predictCase(c)
	case c.Method == "cascade polynomial regression: least-squares fit":
		return fitCase(c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

type input struct {
	mixture.Problem
	Steps           int           `json:"steps"`
	Order           int           `json:"order"`
	Spacing         string        `json:"spacing"`
	Variant         string        `json:"variant"`
	PredictX0       bool          `json:"predict_x0"`
	K               int           `json:"dc_order"`
	LowerOrderFinal *bool         `json:"lower_order_final"`
	Ratios          []float64     `json:"ratios"`
	Iterations      int           `json:"iterations"`
	Rate            float64       `json:"lr"`
	Reference       [][][]float64 `json:"reference_x_at_grid"`
}

func (in *input) base() (diffusion.UniPC, error) {
	m := diffusion.UniPC{Order: in.Order, FullOrderFinal: in.LowerOrderFinal != nil && !*in.LowerOrderFinal}
	if !in.PredictX0 {
		m.Form = diffusion.NoiseForm
	}
	switch in.Variant {
	case "bh1":
	case "bh2":
		m.BH = diffusion.BH2
	default:
		return m, fmt.Errorf("variant %q: must be bh1 or bh2", in.Variant)
	}
	return m, nil
}

// problem is the case's, with the mixture's exact Jacobian where there is no
// guidance; guided, the Jacobian is combined in the same way.
func (in *input) problem() (p diffusion.Problem[float64], m diffusion.Differentiable, err error) {
	if m, err = in.Differentiable(); err != nil {
		return p, nil, err
	}
	p.Model = m
	if p.X, p.N, err = in.Starts(); err != nil {
		return p, nil, err
	}
	p.Grid = diffusion.Grid{Steps: in.Steps, Start: in.TStart, End: in.TEnd}
	if p.Grid.Schedule, err = in.Schedule.Build(); err != nil {
		return p, nil, err
	}
	p.Grid.Spacing, err = mixture.SpacingNamed(in.Spacing)
	return p, m, err
}

func sampleCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in input
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	base, err := in.base()
	if err != nil {
		return nil, err
	}
	p, _, err := in.problem()
	if err != nil {
		return nil, err
	}
	s, err := diffusion.Solve(ctx, p, diffusion.DCSolver{Base: base, Ratios: in.Ratios, K: in.K})
	if err != nil {
		return nil, err
	}
	return conform.Got{"x": mixture.Rows(s.X, p.N), "nfe": s.NFE}, nil
}

func searchCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in input
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	base, err := in.base()
	if err != nil {
		return nil, err
	}
	p, m, err := in.problem()
	if err != nil {
		return nil, err
	}
	reference := make([][]float64, len(in.Reference))
	for i, rows := range in.Reference {
		for _, r := range rows {
			reference[i] = append(reference[i], r...)
		}
	}
	found, err := diffusion.RatioSearch{Base: base, K: in.K, Iterations: in.Iterations, Rate: in.Rate}.Run(ctx, p, m, reference)
	if err != nil {
		return nil, err
	}
	mse := func(method diffusion.Method) (float64, error) {
		s, err := diffusion.Solve(ctx, p, method)
		if err != nil {
			return 0, err
		}
		e := mixture.RMS(s.X, reference[len(reference)-1])
		return e * e, nil
	}
	with, err := mse(diffusion.DCSolver{Base: base, Ratios: found.Ratios, K: in.K})
	if err != nil {
		return nil, err
	}
	without, err := mse(base)
	return conform.Got{"ratios": found.Ratios, "final_mse_with_ratios": with, "final_mse_unipc": without}, err
}

func predictCase(c conform.Case) (conform.Got, error) {
	type query struct {
		Scale  float64   `json:"cfg"`
		NFE    int       `json:"nfe"`
		Ratios []float64 `json:"ratios,omitempty"`
	}
	var in struct {
		Coefficients []float64 `json:"coefficients"`
		Layout       string    `json:"layout"`
		Queries      []query   `json:"queries"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	var cpr diffusion.CPR
	if len(in.Coefficients) != len(cpr) {
		return nil, fmt.Errorf("%d coefficients: want %d", len(in.Coefficients), len(cpr))
	}
	copy(cpr[:], in.Coefficients)
	for i, q := range in.Queries {
		var err error
		if in.Queries[i].Ratios, err = cpr.Ratios(q.Scale, q.NFE); err != nil {
			return nil, err
		}
	}
	return conform.Got{"predictions": in.Queries}, nil
}

func fitCase(c conform.Case) (conform.Got, error) {
	var in struct {
		Data []struct {
			NFE    int       `json:"nfe"`
			Scale  float64   `json:"cfg"`
			Ratios []float64 `json:"ratios_from_step3"`
		} `json:"data"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	var points []diffusion.RatioPoint
	for _, d := range in.Data {
		points = append(points, diffusion.RatioPoint{Scale: d.Scale, NFE: d.NFE, Ratios: d.Ratios})
	}
	cpr, residual, err := diffusion.FitCPR(points)
	if err != nil {
		return nil, err
	}
	got := conform.Got{"rms_residual": residual}
	// a field fitted_cfgC_nfeN holds the fit's ratios from step 3 on
	for name := range c.Expect {
		m := fittedName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		scale, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		nfe, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, err
		}
		r, err := cpr.Ratios(scale, nfe)
		if err != nil {
			return nil, err
		}
		got[name] = r[2:]
	}
	return got, nil
}
