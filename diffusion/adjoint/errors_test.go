package adjoint_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/gmm"
)

func TestErrors(t *testing.T) {
	clip, err := diffusion.StaticThreshold[float64](1)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gmm.Model[float64](mixture, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	type setting struct {
		p    diffusion.Problem[float64]
		m    diffusion.Method
		o    adjoint.Options
		loss adjoint.Loss[float64]
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name   string
		change func(*setting)
		want   string
	}{
		{"no model", func(s *setting) { s.p.Model = nil }, "no model"},
		{"no method", func(s *setting) { s.m = nil }, "no method"},
		{"no loss", func(s *setting) { s.loss = nil }, "no loss"},
		{"model without gradient", func(s *setting) { s.p.Model = plain }, "VJPDenoiser"},
		{"clipping", func(s *setting) { s.p.Hook = clip }, "thresholding or clipping"},
		{"unknown mode", func(s *setting) { s.o.Mode = 7 }, "mode 7"},
		{"unknown checkpoint", func(s *setting) { s.o.Checkpoint = 9 }, "checkpoint 9"},
		{"one part", func(s *setting) { s.o.Parts = 1 }, "at least 2"},
		{"negative tolerance", func(s *setting) { s.o.Tolerance = -1 }, "tolerance = -1"},
		{"coefficients of the continuous gradient", func(s *setting) { s.o.Mode, s.o.Coefficients = adjoint.Continuous, true }, "discrete"},
		{"coefficients without states", func(s *setting) { s.o.Checkpoint, s.o.Coefficients = adjoint.None, true }, "kept states"},
		{"continuous and stochastic", func(s *setting) { s.m, s.o.Mode = diffusion.DDIM{Eta: 1}, adjoint.Continuous }, "stochastic"},
		{"no states and stochastic", func(s *setting) { s.m, s.o.Checkpoint = diffusion.DDIM{Eta: 1}, adjoint.None }, "stochastic"},
		{"no states and a state off the grid", func(s *setting) { s.m, s.p.Grid.Steps, s.o.Checkpoint = diffusion.UniPC{}, 5, adjoint.None }, "keep states"},
		{"continuous from σ = 0", func(s *setting) { s.p.Grid.ToZero, s.o.Mode = true, adjoint.Continuous }, "σ = 0"},
		{"no states from σ = 0", func(s *setting) { s.p.Grid.ToZero, s.o.Checkpoint = true, adjoint.None }, "σ = 0"},
		{"an implicit tableau", func(s *setting) {
			s.o.Mode, s.o.Solver = adjoint.Continuous, diffusion.Tableau{Name: "implicit", A: [][]float64{{1}}, B: []float64{1}, C: []float64{1}}
		}, "explicit"},
		{"a time given twice", func(s *setting) {
			s.p.Grid.Steps, s.p.Grid.Spacing = 2, diffusion.Explicit(1, .01, .01)
		}, "strictly in one direction"},
		{"samples of unequal size", func(s *setting) { s.p.X = s.p.X[:3] }, "3 numbers for 2 samples"},
		{"no samples", func(s *setting) { s.p.X = nil }, "0 numbers"},
		{"a loss that fails", func(s *setting) {
			s.loss = func([]float64, int, []float64) (float64, error) { return 0, errors.New("no such class") }
		}, "loss: no such class"},
		{"a loss that is NaN", func(s *setting) {
			s.loss = func([]float64, int, []float64) (float64, error) { return math.NaN(), nil }
		}, "the loss is NaN"},
		{"a gradient that is NaN", func(s *setting) {
			s.loss = func(_ []float64, _ int, g []float64) (float64, error) { g[3] = math.NaN(); return 0, nil }
		}, "the loss's gradient is NaN for sample 1"},
		{"a Jacobian that overflows", func(s *setting) { s.p.Model = explosive{trainable(t, nil)} }, "step 2, t = 0.02: the gradient is"},
	} {
		s := setting{problem(t, 2, 2), euler, adjoint.Options{}, half[float64]}
		if tt.name == "a Jacobian that overflows" {
			s.p.Grid.Spacing = diffusion.Explicit(1, .02, .01)
		}
		tt.change(&s)
		if _, err := adjoint.Solve(context.Background(), s.p, s.m, s.loss, s.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := adjoint.Solve(cancelled, problem(t, 3, 1), euler, half[float64], adjoint.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// explosive has a Jacobian without bound.
type explosive struct{ *gmm.Trainable }

func (explosive) VJP(_ context.Context, gx, _, _ []float64, _ int, _ []diffusion.Level, _ []float64, _ float64) error {
	gx[0] = math.Inf(1)
	return nil
}
