// Package adjointdpm assays AdjointDPM (Pan et al. 2024): its conformance cases
// and its experiments. The method is package diffusion/adjoint.
package adjointdpm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

type caseInput struct {
	mixture.Problem
	MLP       *mlp      `json:"mlp"`
	Shift     []float64 `json:"shift"`
	Trainable string    `json:"trainable"`
	Steps     int       `json:"steps"`
	Spacing   string    `json:"spacing"`
	Solver    string    `json:"method"`
	Target    []float64 `json:"target"`
	Loss      string    `json:"loss"`
	Rho       []float64 `json:"rho"`
	T         []float64 `json:"t"`
	Alpha     []float64 `json:"alpha"`
	Sigma     []float64 `json:"sigma"`
}

// solvers are the forward methods by torchdiffeq's names.
var solvers = map[string]diffusion.Method{
	"euler":          diffusion.RhoRK{Tableau: diffusion.Tableaux[0]},
	"midpoint":       diffusion.RhoRK{Tableau: diffusion.Tableaux[2]},
	"rk4":            diffusion.RhoRK{Tableau: diffusion.ThreeEighths},
	"explicit_adams": diffusion.RhoAdams{},
	"implicit_adams": diffusion.RhoAdams{Implicit: true},
}

const (
	closedForm = "exact gradients of the probability-flow ODE for a single Gaussian"
	squares    = "0.5*sum((x_0-target)^2)"
	exactSteps = 800 // of the 3/8 rule, evenly in log ρ, as the cases' reference has them
)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Loss != squares {
		return nil, fmt.Errorf("loss %q is unknown", in.Loss)
	}
	if c.Method == closedForm {
		return in.gaussian(ctx)
	}
	if c.Method != "AdjointDPM, "+in.Solver+" on the rho grid" || solvers[in.Solver] == nil {
		return nil, fmt.Errorf("method %q with solver %q is unknown", c.Method, in.Solver)
	}
	p, err := in.problem()
	if err != nil {
		return nil, err
	}
	m, got := solvers[in.Solver], conform.Got{}
	for name, mode := range map[string]adjoint.Mode{"adjoint": adjoint.Continuous, "discrete": adjoint.Discrete} {
		g, err := adjoint.Solve(ctx, p, m, half(in.Target), adjoint.Options{Mode: mode})
		if err != nil {
			return nil, err
		}
		got["forward_x0"], got["loss"] = mixture.Rows(g.X, p.N), g.Loss
		got[name] = in.gradients(g, p)
	}
	exact, err := in.exact(ctx, p)
	if err != nil {
		return nil, err
	}
	e := in.gradients(exact, p)
	e["x0"], e["loss"] = mixture.Rows(exact.X, p.N), exact.Loss
	got["exact"] = e
	return got, nil
}

// half is the loss ½·Σ|x − target|².
func half(target []float64) adjoint.Loss[float64] {
	return func(x []float64, n int, grad []float64) (float64, error) {
		d := len(x) / n
		if len(target) != d {
			return 0, fmt.Errorf("a target of %d coordinates: want %d", len(target), d)
		}
		var y float64
		for i, v := range x {
			grad[i] = v - target[i%d]
			y += grad[i] * grad[i] / 2
		}
		return y, nil
	}
}

// exact is the gradient of the ODE's solution, to some 10⁻⁹.
func (in *caseInput) exact(ctx context.Context, p diffusion.Problem[float64]) (*adjoint.Gradient[float64], error) {
	p.Grid.Spacing, p.Grid.Steps = diffusion.LogSNR, exactSteps
	return adjoint.Solve(ctx, p, solvers["rk4"], half(in.Target), adjoint.Options{})
}

func (in *caseInput) problem() (p diffusion.Problem[float64], err error) {
	s, err := in.Schedule.Build()
	if err != nil {
		return p, err
	}
	p.Grid = diffusion.Grid{Schedule: s, Steps: in.Steps, Start: in.TStart, End: in.TEnd}
	if len(in.T) > 0 {
		if err := in.checkGrid(s); err != nil {
			return p, err
		}
		p.Grid.Spacing = diffusion.Explicit(in.T...)
	} else if p.Grid.Spacing, err = mixture.SpacingNamed(in.Spacing); err != nil {
		return p, err
	}
	if p.X, p.N, err = in.Starts(); err != nil {
		return p, err
	}
	p.Model, err = in.model()
	return p, err
}

// checkGrid holds the levels that a case lists against the schedule.
func (in *caseInput) checkGrid(s diffusion.Schedule) error {
	for _, list := range [][]float64{in.T, in.Rho, in.Alpha, in.Sigma} {
		if len(list) != in.Steps+1 {
			return fmt.Errorf("a grid of %d levels for %d steps", len(list), in.Steps)
		}
	}
	start := s.At(in.T[0])
	for i, t := range in.T {
		l := s.At(t)
		rho := start.Alpha*(l.Sigma/l.Alpha) - start.Sigma
		if math.Abs(rho-in.Rho[i]) > 1e-9 || math.Abs(l.Alpha-in.Alpha[i]) > 1e-9 || math.Abs(l.Sigma-in.Sigma[i]) > 1e-9 {
			return fmt.Errorf("level %d: rho, alpha and sigma are not those of t = %g", i, t)
		}
	}
	return nil
}

func (in *caseInput) model() (diffusion.VJPDenoiser[float64], error) {
	if in.MLP != nil {
		return in.MLP, in.MLP.validate()
	}
	all, err := gmm.NewTrainable(in.Mixture(), in.Shift)
	if err != nil || in.Guidance == nil {
		return all, err
	}
	cond, err := gmm.NewTrainable(in.Mixture(), in.Shift, in.Guidance.Components...)
	if err != nil {
		return nil, err
	}
	return diffusion.NewGuided[float64](cond, all, in.Guidance.Scale)
}

// gradients are the gradients as cases name them.
func (in *caseInput) gradients(g *adjoint.Gradient[float64], p diffusion.Problem[float64]) map[string]any {
	params := map[string]any{}
	if in.MLP != nil {
		parts, h, d := in.MLP.split(g.Params), len(in.MLP.W1), len(in.MLP.W2)
		params["W1"], params["b1"] = mixture.Rows(parts[0], h), parts[1]
		params["W2"], params["b2"] = mixture.Rows(parts[2], d), parts[3]
	} else {
		params["mu"], params["ls"], params["c"] = in.split(g.Params)
	}
	return map[string]any{"grad_x_T": mixture.Rows(g.Start, p.N), "grad_params": params}
}

// split cuts the gradient of a mixture's parameters.
func (in *caseInput) split(g []float64) (mu [][]float64, logS, shift []float64) {
	k, d := len(in.Fixture.Mu), len(in.Fixture.Mu[0])
	return mixture.Rows(g[:k*d], k), g[k*d : k*d+k], g[k*d+k:]
}

// gaussian gives the gradients of a single Gaussian by the fine discrete gradient,
// which the case's closed form is held against.
func (in *caseInput) gaussian(ctx context.Context) (conform.Got, error) {
	if len(in.Fixture.W) != 1 {
		return nil, fmt.Errorf("%d components: the closed form is of one", len(in.Fixture.W))
	}
	p, err := in.problem()
	if err != nil {
		return nil, err
	}
	g, err := in.exact(ctx, p)
	if err != nil {
		return nil, err
	}
	mu, logS, _ := in.split(g.Params)
	return conform.Got{"x0": mixture.Rows(g.X, p.N), "grad_x_T": mixture.Rows(g.Start, p.N), "grad_mu": mu[0], "grad_s": logS[0] / in.Fixture.S[0]}, nil
}
