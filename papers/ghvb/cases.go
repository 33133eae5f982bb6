// Package ghvb assays diffusion sampling with momentum (Wizadwongsa et al., ICLR
// 2024): its conformance cases and its experiments. The methods are
// diffusion.Momentum, diffusion.HeavyBall and diffusion.Splitting; regions of
// stability are diffusion.Stability.
package ghvb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	kinds := map[string]diffusion.MomentumKind{
		"GHVB": diffusion.Generalized, "PLMS with heavy ball": diffusion.Polyak, "PLMS with Nesterov": diffusion.Nesterov,
	}
	kind, sampler := kinds[c.Method]
	switch {
	case sampler:
		return samplerCase(ctx, c, kind)
	case c.Method == "GHVB combination weights, newest first":
		return weightsCase(c)
	case c.Method == "largest root modulus of the characteristic polynomial":
		return stabilityCase(c)
	case strings.HasPrefix(c.Method, "guided sampling problem that makes PLMS diverge at "):
		return guidedCase(ctx, c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

// labelled is a problem on the labels of a discrete schedule.
type labelled struct {
	mixture.Problem
	From     []float64 `json:"model_time_index"`  // where the model is asked
	To       []float64 `json:"target_time_index"` // where the step goes
	Negative string    `json:"negative_target"`   // the level of a label below 0
}

// problem puts the labels on a grid. idle says that there is one step more, from
// label 0 to itself, which moves nowhere.
func (in *labelled) problem() (p diffusion.Problem[float64], idle bool, err error) {
	s, err := in.Schedule.Build()
	if err != nil {
		return p, false, err
	}
	table, ok := s.(*diffusion.Discrete)
	if !ok {
		return p, false, fmt.Errorf("schedule %q has no labels", in.Schedule.Kind)
	}
	if len(in.From) == 0 || len(in.From) != len(in.To) {
		return p, false, fmt.Errorf("%d model labels and %d targets: want as many of each", len(in.From), len(in.To))
	}
	labels := append(slices.Clone(in.From), in.To[len(in.To)-1])
	for i, to := range in.To[:len(in.To)-1] {
		if to != labels[i+1] {
			return p, false, fmt.Errorf("target %d is label %g, but the next step starts at %g", i, to, labels[i+1])
		}
	}
	if last := len(labels) - 1; labels[last] < 0 {
		if in.Negative != "alpha_bar[0]" {
			return p, false, fmt.Errorf("negative_target %q: must be alpha_bar[0]", in.Negative)
		}
		labels[last] = 0
		if idle = labels[last-1] == 0; idle {
			labels = labels[:last]
		}
	}
	times := make([]float64, len(labels))
	for i, l := range labels {
		times[i] = table.TimeOf(l)
	}
	if p.Model, err = in.Model(); err != nil {
		return p, false, err
	}
	p.X, p.N, err = in.Starts()
	p.Grid = diffusion.Grid{Schedule: s, Steps: len(times) - 1, Spacing: diffusion.Explicit(times...)}
	return p, idle, err
}

func samplerCase(ctx context.Context, c conform.Case, kind diffusion.MomentumKind) (conform.Got, error) {
	var in struct {
		labelled
		Order   float64 `json:"order"`
		History int     `json:"steps_history"`
		Beta    float64 `json:"beta"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	k, beta, err := diffusion.SplitOrder(in.Order)
	if err != nil {
		return nil, err
	}
	if k != in.History || math.Abs(beta-in.Beta) > 1e-12 {
		return nil, fmt.Errorf("order %g is %d slopes with beta %g, but the case says %d with %g", in.Order, k, beta, in.History, in.Beta)
	}
	p, idle, err := in.problem()
	if err != nil {
		return nil, err
	}
	trajectory := [][][]float64{mixture.Rows(p.X, p.N)}
	p.OnStep = func(s diffusion.Step[float64]) error {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		return nil
	}
	sol, err := diffusion.Solve(ctx, p, diffusion.Momentum{Kind: kind, Order: k, Beta: in.Beta})
	if err != nil {
		return nil, err
	}
	if idle {
		trajectory = append(trajectory, trajectory[len(trajectory)-1])
	}
	return conform.Got{"x_final": mixture.Rows(sol.X, p.N), "trajectory": trajectory, "nfe": sol.NFE}, nil
}

// weightsCase answers every "k,beta" that the case asks for.
func weightsCase(c conform.Case) (conform.Got, error) {
	var in struct {
		Keys string `json:"keys"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Keys != "history length k, beta" {
		return nil, fmt.Errorf("keys %q: must be history length k, beta", in.Keys)
	}
	var asked map[string]json.RawMessage
	if err := json.Unmarshal(c.Expect["weights"], &asked); err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	weights := map[string][]float64{}
	for key := range asked {
		kText, betaText, _ := strings.Cut(key, ",")
		k, err := strconv.Atoi(kText)
		if err != nil {
			return nil, fmt.Errorf("weights of %q: %w", key, err)
		}
		beta, err := strconv.ParseFloat(betaText, 64)
		if err != nil {
			return nil, fmt.Errorf("weights of %q: %w", key, err)
		}
		if weights[key], err = diffusion.MomentumWeights(k, beta); err != nil {
			return nil, err
		}
	}
	return conform.Got{"weights": weights}, nil
}

// A member is one of the methods whose stability a case asks for.
type member struct {
	Family string    `json:"family"`
	K      int       `json:"k"`
	Beta   float64   `json:"beta"`
	Radius []float64 `json:"radius"`
	Left   float64   `json:"left"`
}

func (m member) stability() (*diffusion.Stability, error) {
	kind, ok := map[string]diffusion.MomentumKind{"GHVB": diffusion.Generalized, "HB": diffusion.Polyak, "NT": diffusion.Nesterov}[m.Family]
	if !ok {
		return nil, fmt.Errorf("family %q is unknown", m.Family)
	}
	s, _, err := diffusion.StabilityOf(diffusion.Momentum{Kind: kind, Order: m.K, Beta: m.Beta}, 0)
	return s, err
}

// stabilityCase answers for the methods that the case asks for.
func stabilityCase(c conform.Case) (conform.Got, error) {
	var in struct {
		Z [][2]float64 `json:"z"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	got := conform.Got{}
	for _, name := range slices.Sorted(maps.Keys(c.Expect)) {
		var asked []member
		if err := json.Unmarshal(c.Expect[name], &asked); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for i := range asked {
			m := &asked[i]
			s, err := m.stability()
			if err != nil {
				return nil, err
			}
			m.Radius = make([]float64, len(in.Z))
			for j, z := range in.Z {
				if m.Radius[j], err = s.Radius(complex(z[0], z[1])); err != nil {
					return nil, err
				}
			}
			left, err := s.Reach(180)
			if err != nil {
				return nil, err
			}
			m.Left = -left
		}
		got[name] = asked
	}
	return got, nil
}

// guidedCase runs the samplers that the case asks for, such as ghvb-3.3 and hb-3.8.
func guidedCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in labelled
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	p, _, err := in.problem()
	if err != nil {
		return nil, err
	}
	var asked map[string]json.RawMessage
	if err := json.Unmarshal(c.Expect["x_final"], &asked); err != nil {
		return nil, fmt.Errorf("x_final: %w", err)
	}
	final := map[string][][]float64{}
	for name := range asked {
		m, err := samplerNamed(name)
		if err != nil {
			return nil, err
		}
		sol, err := diffusion.Solve(ctx, p, m)
		if err != nil {
			return nil, err
		}
		final[name] = mixture.Rows(sol.X, p.N)
	}
	got := conform.Got{"x_final": final}
	if _, ok := c.Expect["exact_x_end"]; ok {
		ls, err := p.Grid.Levels(p.Grid.Steps)
		if err != nil {
			return nil, err
		}
		in.TStart, in.TEnd = ls[0].T, ls[len(ls)-1].T
		end, err := in.Exact(ctx, p.Model, p.X, p.N)
		if err != nil {
			return nil, err
		}
		got["exact_x_end"] = mixture.Rows(end, p.N)
	}
	return got, nil
}

// samplerNamed reads the case's names, where heavy ball and Nesterov are hb and nt.
func samplerNamed(name string) (diffusion.Method, error) {
	for _, short := range []string{"hb-", "nt-"} {
		if strings.HasPrefix(name, short) {
			name = "plms-" + name
			break
		}
	}
	return diffusion.MethodNamed(name)
}
