// Package dpmsolverpp assays DPM-Solver++ (Lu et al. 2022): its conformance
// cases and its experiments. The method is diffusion.DPMSolver.
package dpmsolverpp

import (
	"context"
	"fmt"
	"regexp"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// caseInput is a sampler run on a mixture, as the cases of the DPM-Solver family
// write it.
type caseInput struct {
	mixture.Problem
	Algorithm       string        `json:"algorithm"`
	Mode            string        `json:"mode"`
	Order           int           `json:"order"`
	Steps           int           `json:"steps"`
	Spacing         string        `json:"spacing"`
	SolverType      string        `json:"solver_type"`
	ThirdOrder      string        `json:"third_order"`
	LowerOrderFinal bool          `json:"lower_order_final"`
	EulerAtFinal    bool          `json:"euler_at_final"`
	DenoiseToZero   bool          `json:"denoise_to_zero"`
	Eta             *float64      `json:"eta"`
	Noise           [][][]float64 `json:"noise"`
	Thresholding    *struct {
		Ratio  float64 `json:"ratio"`
		MaxVal float64 `json:"max_val"`
	} `json:"dynamic_thresholding"`
}

var methodNames = regexp.MustCompile(`^(sde-)?dpmsolver(\+\+)? (multistep|singlestep|singlestep_fixed) order [123]$` +
	`|^2M run backwards \(data to noise\)$` +
	`|^third-order multistep with the second divided difference doubled \(truly third order\)$`)

// Case runs a conformance case of the DPM-Solver family.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	if !methodNames.MatchString(c.Method) {
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	m, err := in.method()
	if err != nil {
		return nil, err
	}
	p, err := in.problem()
	if err != nil {
		return nil, err
	}
	var trajectory [][][]float64
	if m.Mode == diffusion.Multistep && m.Eta == 0 { // the authors' multistep runs store the start as well
		trajectory = append(trajectory, mixture.Rows(p.X, p.N))
	}
	p.OnStep = func(s diffusion.Step[float64]) error {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		return nil
	}
	sol, err := diffusion.Solve(ctx, p, m)
	if err != nil {
		return nil, err
	}
	x := mixture.Rows(sol.X, p.N)
	if m.Denoise {
		trajectory = append(trajectory, x)
	}
	return conform.Got{"x": x, "nfe": sol.NFE, "eval_times": sol.Tape.Times(), "trajectory": trajectory}, nil
}

func (in *caseInput) problem() (p diffusion.Problem[float64], err error) {
	if p.Model, err = in.Model(); err != nil {
		return p, err
	}
	if p.X, p.N, err = in.Starts(); err != nil {
		return p, err
	}
	p.Grid = diffusion.Grid{Steps: in.Steps, Start: in.TStart, End: in.TEnd}
	if p.Grid.Schedule, err = in.Schedule.Build(); err != nil {
		return p, err
	}
	if p.Grid.Spacing, err = mixture.SpacingNamed(in.Spacing); err != nil {
		return p, err
	}
	if in.Noise != nil {
		p.Noise = diffusion.Recorded(in.Noise)
	}
	if th := in.Thresholding; th != nil {
		p.Hook, err = diffusion.DynamicThreshold[float64](th.Ratio, th.MaxVal)
	}
	return p, err
}

// diffusersThreshold is the number of steps below which the implementation that
// gave the SDE cases lowers the last orders.
const diffusersThreshold = 15

func (in *caseInput) method() (m diffusion.DPMSolver, err error) {
	m = diffusion.DPMSolver{Order: in.Order, Denoise: in.DenoiseToZero, FinalEuler: in.EulerAtFinal}
	switch in.Algorithm {
	case "dpmsolver++", "sde-dpmsolver++":
		m.Form = diffusion.DataForm
	case "dpmsolver", "sde-dpmsolver":
		m.Form = diffusion.NoiseForm
	default:
		return m, fmt.Errorf("algorithm %q is unknown", in.Algorithm)
	}
	if in.Algorithm[:3] == "sde" {
		m.Eta, m.LowerOrderBelow = 1, diffusersThreshold
	}
	if in.Eta != nil {
		m.Eta = *in.Eta
	}
	if !in.LowerOrderFinal {
		m.LowerOrderBelow = -1
	}
	switch in.Mode {
	case "multistep", "":
		m.Mode = diffusion.Multistep
	case "singlestep":
		m.Mode = diffusion.Singlestep
	case "singlestep_fixed":
		m.Mode = diffusion.SinglestepFixed
	default:
		return m, fmt.Errorf("mode %q is unknown", in.Mode)
	}
	switch in.SolverType {
	case "dpmsolver", "midpoint", "":
		m.Expansion = diffusion.Midpoint
	case "taylor", "heun":
		m.Expansion = diffusion.Taylor
	default:
		return m, fmt.Errorf("solver_type %q is unknown", in.SolverType)
	}
	switch in.ThirdOrder {
	case "official", "":
		m.ThirdOrder = diffusion.Official
	case "corrected":
		m.ThirdOrder = diffusion.Corrected
	default:
		return m, fmt.Errorf("third_order %q is unknown", in.ThirdOrder)
	}
	return m, nil
}
