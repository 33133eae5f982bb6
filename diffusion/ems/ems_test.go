package ems_test

import (
	"context"
	"math"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
)

var (
	one   = &gmm.Mixture{W: []float64{1}, Mu: [][]float64{{.7, -1}}, S: []float64{.3}}
	three = &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .15}}
)

func estimate(t *testing.T, m *gmm.Mixture, e ems.Estimator, n, rows int) *diffusion.Statistics {
	t.Helper()
	if e.Model == nil {
		var err error
		if e.Model, err = gmm.Differentiable(m); err != nil {
			t.Fatal(err)
		}
	}
	e.Schedule = diffusion.VPLinear{}
	st, err := e.Estimate(context.Background(), m.Sample(n, rng.Stream(1)), n, 1, 1e-2, rows)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestGaussian: one Gaussian has l = σ²/v exactly, at every sample.
func TestGaussian(t *testing.T) {
	st := estimate(t, one, ems.Estimator{}, 64, 20)
	s := diffusion.VPLinear{}
	for k, row := range st.L {
		at := s.At(s.Time(st.LambdaT + (st.Lambda0-st.LambdaT)*float64(k)/20))
		want := at.Sigma * at.Sigma / (at.Alpha*at.Alpha*.09 + at.Sigma*at.Sigma)
		for i, l := range row {
			if math.Abs(l-want) > 1e-9 {
				t.Errorf("row %d, coordinate %d: l = %v, want %v", k, i, l, want)
			}
		}
	}
}

// TestProbes: Hutchinson's estimate is near the exact diagonal, and differences
// near the exact Jacobian.
func TestProbes(t *testing.T) {
	exact := estimate(t, three, ems.Estimator{}, 512, 10)
	probed := estimate(t, three, ems.Estimator{Probes: 4}, 512, 10)
	model, err := gmm.Model[float64](three, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	differed := estimate(t, three, ems.Estimator{Model: diffusion.Differences{Denoiser: model}}, 512, 10)
	for k := range exact.L {
		for i, l := range exact.L[k] {
			// off-diagonal entries of size 1 leave 1/√(4·512) = 0.02 of noise
			if math.Abs(probed.L[k][i]-l) > .1 {
				t.Errorf("row %d, coordinate %d: l = %v by probes, %v exactly", k, i, probed.L[k][i], l)
			}
			if math.Abs(differed.L[k][i]-l) > 1e-6 || math.Abs(differed.S[k][i]-exact.S[k][i]) > 1e-5*(1+math.Abs(exact.S[k][i])) {
				t.Errorf("row %d, coordinate %d: l, s = %v, %v by differences, %v, %v exactly", k, i, differed.L[k][i], differed.S[k][i], l, exact.S[k][i])
			}
		}
	}
}

func TestErrors(t *testing.T) {
	model, err := gmm.Differentiable(one)
	if err != nil {
		t.Fatal(err)
	}
	data, err := gmm.Model[float64](one, diffusion.Data)
	if err != nil {
		t.Fatal(err)
	}
	good := ems.Estimator{Model: model, Schedule: diffusion.VPLinear{}}
	x := []float64{1, 2, 3, 4}
	for name, f := range map[string]func() error{
		"one sample":     func() error { _, err := good.Estimate(context.Background(), x[:2], 1, 1, .01, 5); return err },
		"no interval":    func() error { _, err := good.Estimate(context.Background(), x, 2, 1, .01, 0); return err },
		"ragged samples": func() error { _, err := good.Estimate(context.Background(), x[:3], 2, 1, .01, 5); return err },
		"no model": func() error {
			_, err := ems.Estimator{Schedule: good.Schedule}.Estimate(context.Background(), x, 2, 1, .01, 5)
			return err
		},
		"a data prediction": func() error {
			_, err := ems.Estimator{Model: diffusion.Differences{Denoiser: data}, Schedule: good.Schedule}.Estimate(context.Background(), x, 2, 1, .01, 5)
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
