package adjoint_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
)

// TestDescendStart: the loss falls, within the bound.
func TestDescendStart(t *testing.T) {
	p := problem(t, 12, 4)
	told := 0
	d := adjoint.Descent{Iterations: 15, Adam: adjoint.Adam{Rate: .05}, Clamp: .3, OnIteration: func(i int, _ float64) error {
		if i != told {
			t.Errorf("told of iteration %d after %d calls", i, told)
		}
		told++
		return nil
	}}
	r, err := adjoint.DescendStart(context.Background(), p, diffusion.DPMSolver{}, half[float64], d)
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Losses[15]; len(r.Losses) != 16 || told != 16 || last > .8*r.Losses[0] {
		t.Errorf("losses %v, told of %d", r.Losses, told)
	}
	far := 0.0
	for i, x := range r.Start {
		far = max(far, math.Abs(x-p.X[i]))
	}
	if far > .3+1e-12 || far < .29 {
		t.Errorf("the furthest number moved by %g, bound 0.3", far)
	}
	if y, _ := half(r.X, 4, make([]float64, 8)); y != r.Losses[15] || r.NFE != 16*12 || r.VJPs != 16*12 {
		t.Errorf("samples of loss %g, %d evaluations, %d products", y, r.NFE, r.VJPs)
	}
	if y, _ := half(r.First, 4, make([]float64, 8)); y != r.Losses[0] {
		t.Errorf("first samples of loss %g, want %g", y, r.Losses[0])
	}
}

// TestDescendParams: the shift that moves the samples is found.
func TestDescendParams(t *testing.T) {
	p := problem(t, 12, 4)
	m := func(params []float64) (diffusion.VJPDenoiser[float64], error) {
		return onlyShift{trainable(t, params)}, nil
	}
	r, err := adjoint.DescendParams(context.Background(), p, diffusion.DPMSolver{}, half[float64], []float64{0, 0}, m,
		adjoint.Descent{Iterations: 40, Adam: adjoint.Adam{Rate: .05}})
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Losses[40]; last > .95*r.Losses[0] || len(r.Params) != 2 { // the spread of the samples remains
		t.Errorf("losses %v, shift %v", r.Losses, r.Params)
	}
	g := solve(t, diffusion.Problem[float64]{Model: trainable(t, r.Params), Grid: p.Grid, X: p.X, N: 4}, diffusion.DPMSolver{}, adjoint.Options{})
	if g.Loss != r.Losses[40] {
		t.Errorf("the parameters have loss %g, want %g", g.Loss, r.Losses[40])
	}
}

// onlyShift has the shift of its mixture as its parameters.
type onlyShift struct{ diffusion.VJPDenoiser[float64] }

func (onlyShift) Params() int { return 2 }

func (s onlyShift) VJP(ctx context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	all := make([]float64, s.VJPDenoiser.Params())
	err := s.VJPDenoiser.VJP(ctx, gx, x, a, n, at, all, weight)
	for i := range params {
		params[i] += all[len(all)-2+i]
	}
	return err
}

func TestDescendRefuses(t *testing.T) {
	p := problem(t, 3, 1)
	stop := errors.New("enough")
	for _, tt := range []struct {
		name string
		d    adjoint.Descent
		want string
	}{
		{"no iterations", adjoint.Descent{}, "0 iterations"},
		{"negative bound", adjoint.Descent{Iterations: 1, Clamp: -1}, "±-1"},
		{"negative rate", adjoint.Descent{Iterations: 1, Adam: adjoint.Adam{Rate: -1}}, "rate -1"},
		{"beta of 1", adjoint.Descent{Iterations: 1, Adam: adjoint.Adam{Beta1: 1}}, "betas"},
		{"stopped", adjoint.Descent{Iterations: 1, OnIteration: func(int, float64) error { return stop }}, "enough"},
		{"gradient that does not exist", adjoint.Descent{Iterations: 1, Gradient: adjoint.Options{Mode: 5}}, "mode 5"},
	} {
		if _, err := adjoint.DescendStart(context.Background(), p, euler, half[float64], tt.d); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		_, err := adjoint.DescendParams(context.Background(), p, euler, half[float64], make([]float64, 11),
			func([]float64) (diffusion.VJPDenoiser[float64], error) { return trainable(t, nil), nil }, tt.d)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, parameters: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := adjoint.DescendParams(context.Background(), p, euler, half[float64], make([]float64, 3),
		func([]float64) (diffusion.VJPDenoiser[float64], error) { return trainable(t, nil), nil }, adjoint.Descent{Iterations: 1}); err == nil {
		t.Error("3 parameters for a model of 11 are accepted")
	}
}

// TestAdam: the first step has the length of the rate, whatever the gradient's.
func TestAdam(t *testing.T) {
	for _, scale := range []float64{1e-3, 1, 1e3} {
		a := adjoint.Adam{}
		x := []float64{1, 2}
		if err := a.Step(x, []float64{scale, -scale}); err != nil {
			t.Fatal(err)
		}
		if math.Abs(x[0]-.99) > 1e-6 || math.Abs(x[1]-2.01) > 1e-6 { // ε = 10⁻⁸ against 10⁻³
			t.Errorf("gradient %g: %v", scale, x)
		}
		if err := a.Step(x[:1], []float64{1}); err == nil {
			t.Error("a step on fewer numbers is accepted")
		}
	}
}
