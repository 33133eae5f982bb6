// Package deis assays DEIS (Zhang & Chen 2023): its conformance cases and its
// experiments. The methods are diffusion.DEIS, diffusion.RhoRK and
// diffusion.PNDM with a pseudo Euler start (iPNDM).
package deis

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

type caseInput struct {
	mixture.Problem
	Method    string  `json:"method"`
	Phase     string  `json:"ts_phase"`
	Kappa     float64 `json:"ts_order"`
	Steps     int     `json:"steps"`
	Order     int     `json:"ab_order"`
	Tableau   string  `json:"rk_method"`
	Quadature string  `json:"quadrature"`
	Layout    string  `json:"coefficients_layout"`
}

var methodNames = regexp.MustCompile(`^(t_ab[0-3]|rho_ab[0-3]|rho_rk (1euler|2heun|3heun|3kutta|3ssprk|3ral|3vdh|4rk)|ipndm)$`)

// riemannPoints is the number of points of the authors' left sum.
const riemannPoints = 10000

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	if !methodNames.MatchString(c.Method) {
		return nil, fmt.Errorf("method %q is unknown", c.Method)
	}
	var in caseInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	m, err := in.method(strings.Contains(c.Source, "as shipped"))
	if err != nil {
		return nil, err
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	times, err := Times(s, in.TStart, in.TEnd, in.Steps, in.Phase, in.Kappa)
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
	g := diffusion.Grid{Schedule: s, Steps: in.Steps, Start: in.TStart, End: in.TEnd, Spacing: diffusion.Explicit(times...)}
	sol, err := diffusion.Solve(ctx, diffusion.Problem[float64]{Model: model, Grid: g, X: x, N: n}, m)
	if err != nil {
		return nil, err
	}
	got := conform.Got{"x": mixture.Rows(sol.X, n), "nfe": sol.NFE, "eval_times": sol.Tape.Times(), "timesteps": times}
	if d, ok := m.(diffusion.DEIS); ok {
		if got["coefficients"], err = coefficients(d, g); err != nil {
			return nil, err
		}
	}
	return got, nil
}

func (in *caseInput) method(riemann bool) (diffusion.Method, error) {
	switch in.Method {
	case "ipndm":
		return diffusion.PNDM{Start: diffusion.PseudoEuler}, nil
	case "rho_rk":
		t, err := diffusion.TableauNamed(in.Tableau)
		return diffusion.RhoRK{Tableau: t}, err
	case "t_ab", "rho_ab":
		if in.Order == 0 {
			return diffusion.PNDM{Order: 1}, nil
		}
		d := diffusion.DEIS{Order: in.Order}
		if in.Method == "rho_ab" {
			d.Variable = diffusion.Rho
		} else if riemann {
			d.Riemann = riemannPoints
		}
		return d, nil
	}
	return nil, fmt.Errorf("method %q is unknown", in.Method)
}

// Times are the authors' grids: "t", even in t^(1/κ); "rho", even in ρ^(1/κ);
// "log", even in log ρ.
func Times(s diffusion.Schedule, start, end float64, n int, phase string, kappa float64) ([]float64, error) {
	if n < 1 || phase != "log" && !(kappa > 0) {
		return nil, fmt.Errorf("%d steps of grid %q with order %g: both must be positive", n, phase, kappa)
	}
	ts := make([]float64, n+1)
	a, b := s.At(start).Lambda, s.At(end).Lambda
	for i := range ts {
		u := float64(i) / float64(n)
		even := func(x, y float64) float64 { return math.Pow(x+u*(y-x), kappa) }
		switch phase {
		case "t":
			ts[i] = even(math.Pow(start, 1/kappa), math.Pow(end, 1/kappa))
		case "rho":
			ts[i] = s.Time(-math.Log(even(math.Exp(-a/kappa), math.Exp(-b/kappa))))
		case "log":
			ts[i] = s.Time(a + u*(b-a))
		default:
			return nil, fmt.Errorf("grid %q: must be t, rho or log", phase)
		}
	}
	ts[0], ts[n] = start, end
	return ts, nil
}

// coefficients is the authors' table: for tAB the factor of x and the weights,
// newest first; for ρAB the weights in ρ. Rows are filled up with zeros.
func coefficients(d diffusion.DEIS, g diffusion.Grid) ([][]float64, error) {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, err
	}
	var rows [][]float64
	for i := range g.Steps {
		var nodes []diffusion.Level
		for j := i; j >= 0 && j >= i-d.Order; j-- {
			nodes = append(nodes, ls[j])
		}
		c := d.Coefficients(g.Schedule, nodes, ls[i+1])
		var row []float64
		if d.Variable == diffusion.Time {
			row = []float64{ls[i+1].Alpha / ls[i].Alpha}
		} else {
			for j := range c {
				c[j] /= ls[i+1].Alpha
			}
		}
		c = append(c, make([]float64, d.Order+1-len(c))...)
		rows = append(rows, append(row, c...))
	}
	return rows, nil
}
