// Package dpmsolverv3 assays DPM-Solver-v3 (Zheng et al. 2023): its conformance
// cases and its experiments. The method is diffusion.DPMSolverV3, its statistics
// are estimated by diffusion/ems.
package dpmsolverv3

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "DPM-Solver-v3 order 1", "DPM-Solver-v3 order 2", "DPM-Solver-v3 order 3":
		return sampleCase(ctx, c)
	case "empirical model statistics l, s, b":
		return statisticsCase(ctx, c)
	case "with exact statistics the order-1 update is exact for Gaussian data at any step count":
		return gaussianCase(ctx, c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

type tables struct {
	M    int         `json:"M"`
	L    [][]float64 `json:"l"`
	S    [][]float64 `json:"s"`
	B    [][]float64 `json:"b"`
	Rule string      `json:"rule"`
}

type options struct {
	PredictorPseudo bool `json:"p_pseudo"`
	UseCorrector    bool `json:"use_corrector"`
	CorrectorPseudo bool `json:"c_pseudo"`
	LowerOrderFinal bool `json:"lower_order_final"`
	Half            bool `json:"half"`
	Degenerated     bool `json:"degenerated"`
}

func (o options) method(order int, st *diffusion.Statistics) diffusion.DPMSolverV3 {
	m := diffusion.DPMSolverV3{Statistics: st, Order: order, PredictorPseudo: o.PredictorPseudo, CorrectorPseudo: o.CorrectorPseudo,
		FullOrderFinal: !o.LowerOrderFinal, Degenerate: o.Degenerated, Corrector: diffusion.NoCorrector}
	if o.UseCorrector {
		m.Corrector = diffusion.FullCorrector
		if o.Half {
			m.Corrector = diffusion.HalfCorrector
		}
	}
	return m
}

func sampleCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		mixture.Problem
		Steps      int     `json:"steps"`
		Order      int     `json:"order"`
		Spacing    string  `json:"spacing"`
		Statistics tables  `json:"statistics"`
		Options    options `json:"options"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	p, err := sampling(&in.Problem, in.Steps, in.Spacing)
	if err != nil {
		return nil, err
	}
	s := p.Grid.Schedule
	st := &diffusion.Statistics{LambdaT: s.At(in.TStart).Lambda, Lambda0: s.At(in.TEnd).Lambda, L: in.Statistics.L, S: in.Statistics.S, B: in.Statistics.B}
	cached := [][][]float64{mixture.Rows(p.X, p.N)}
	times := []float64{in.TStart}
	p.OnStep = func(s diffusion.Step[float64]) error {
		cached = append(cached, mixture.Rows(s.X, p.N))
		times = append(times, s.Level.T)
		return nil
	}
	sol, err := diffusion.Solve(ctx, p, in.Options.method(in.Order, st))
	if err != nil {
		return nil, err
	}
	var index []int
	for _, t := range times {
		index = append(index, int(math.Round(float64(len(st.L)-1)*(s.At(t).Lambda-st.LambdaT)/(st.Lambda0-st.LambdaT))))
	}
	return conform.Got{"x": mixture.Rows(sol.X, p.N), "cached_x": cached[:len(cached)-1], "indexes": index, "timesteps": times, "nfe": sol.NFE}, nil
}

func sampling(in *mixture.Problem, steps int, spacing string) (p diffusion.Problem[float64], err error) {
	if p.Model, err = in.Model(); err != nil {
		return p, err
	}
	if p.X, p.N, err = in.Starts(); err != nil {
		return p, err
	}
	p.Grid = diffusion.Grid{Steps: steps, Start: in.TStart, End: in.TEnd}
	if p.Grid.Schedule, err = in.Schedule.Build(); err != nil {
		return p, err
	}
	p.Grid.Spacing, err = mixture.SpacingNamed(spacing)
	return p, err
}

// statisticsCase estimates statistics from given samples on a bare λ grid.
func statisticsCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		mixture.Problem
		Family  string        `json:"schedule_family"`
		Lambda  []float64     `json:"lambda"`
		Samples [][][]float64 `json:"samples"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	var s diffusion.Schedule = diffusion.VPLinear{} // any of its family: only α and σ at λ matter
	if strings.HasPrefix(in.Family, "edm") {
		s = diffusion.EDM{}
	}
	model, err := gmm.Differentiable(in.Mixture())
	if err != nil {
		return nil, err
	}
	e := ems.Estimator{Model: model, Schedule: s}
	var samples [][]float64
	for _, rows := range in.Samples {
		var flat []float64
		for _, r := range rows {
			flat = append(flat, r...)
		}
		samples = append(samples, flat)
	}
	st, slope, err := e.FromSamples(ctx, in.Lambda, samples, len(in.Samples[0]))
	if err != nil {
		return nil, err
	}
	return conform.Got{"l": st.L, "s": st.S, "b": st.B, "dl_dlambda": slope}, nil
}

// gaussianCase: with the exact statistics of one Gaussian a single step of order 1
// is exact, up to the trapezoid rule.
func gaussianCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		mixture.Problem
		Steps      []int   `json:"steps"`
		Order      int     `json:"order"`
		Spacing    string  `json:"spacing"`
		Statistics tables  `json:"statistics"`
		Options    options `json:"options"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if len(in.Fixture.W) != 1 || in.Statistics.M < 1 || len(in.Steps) == 0 {
		return nil, fmt.Errorf("%d components, %d rows, steps %v: want one component, rows and steps", len(in.Fixture.W), in.Statistics.M, in.Steps)
	}
	s, err := in.Schedule.Build()
	if err != nil {
		return nil, err
	}
	st := gaussianStatistics(s, in.TStart, in.TEnd, in.Statistics.M, in.Fixture.Mu[0], in.Fixture.S[0])
	var x [][]float64
	for _, steps := range in.Steps {
		p, err := sampling(&in.Problem, steps, in.Spacing)
		if err != nil {
			return nil, err
		}
		sol, err := diffusion.Solve(ctx, p, in.Options.method(in.Order, st))
		if err != nil {
			return nil, err
		}
		now := mixture.Rows(sol.X, p.N)
		if x != nil && worst(x, now) > 2*c.Tolerance.Abs {
			return nil, fmt.Errorf("%d steps differ from %d by %.2g", steps, in.Steps[0], worst(x, now))
		}
		x = now
	}
	return conform.Got{"x": x, "solution": "alpha1*mu + sqrt(v1/v0)*(x_T - alpha0*mu)"}, nil
}

func worst(a, b [][]float64) float64 {
	w := 0.0
	for i := range a {
		for j := range a[i] {
			w = max(w, math.Abs(a[i][j]-b[i][j]))
		}
	}
	return w
}

// gaussianStatistics are the optimal statistics of N(mu, sd²·I).
func gaussianStatistics(s diffusion.Schedule, start, end float64, m int, mu []float64, sd float64) *diffusion.Statistics {
	st := &diffusion.Statistics{LambdaT: s.At(start).Lambda, Lambda0: s.At(end).Lambda}
	for k := range m + 1 {
		at := s.At(s.Time(st.LambdaT + (st.Lambda0-st.LambdaT)*float64(k)/float64(m)))
		r := at.Sigma * at.Sigma / (at.Alpha*at.Alpha*sd*sd + at.Sigma*at.Sigma)
		var l, b []float64
		for _, x := range mu {
			l, b = append(l, r), append(b, 2*r*(1-r)*x)
		}
		st.L, st.S, st.B = append(st.L, l), append(st.S, make([]float64, len(mu))), append(st.B, b)
	}
	return st
}
