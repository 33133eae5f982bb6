package diffusion_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

// TestInvertClean walks a clean sample to noise and back.
func TestInvertClean(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method diffusion.BDIA
		steps  int
	}{
		{"γ = 1", diffusion.BDIA{}, 20},
		{"γ = 0.96", diffusion.BDIA{Gamma: .96}, 20},
		{"two steps", diffusion.BDIA{}, 2},
		{"a clean end below", diffusion.BDIA{Clean: diffusion.OneStrideBelow}, 20},
		{"on a lattice", diffusion.BDIA{Lattice: 1.0 / (1 << 40)}, 20},
	} {
		p := problem[float64](t, tt.steps, 3)
		clean := []float64{1, -.5, -1.2, .8, .3, 1.5}
		p.X = clean
		var seen []int
		p.OnStep = func(s diffusion.Step[float64]) error {
			if s.Of != tt.steps {
				t.Errorf("%s: %d steps, want %d", tt.name, s.Of, tt.steps)
			}
			seen = append(seen, s.Index)
			return nil
		}
		pair, err := diffusion.InvertClean(context.Background(), p, tt.method, diffusion.Accuracy{})
		if err != nil {
			t.Fatal(tt.name, err)
		}
		for i, k := range seen {
			if k != i {
				t.Errorf("%s: step %d is numbered %d", tt.name, i, k)
			}
		}
		if len(seen) != tt.steps {
			t.Errorf("%s: %d steps seen", tt.name, len(seen))
		}
		p.X, p.OnStep = nil, nil
		back, err := diffusion.FromPair(context.Background(), p, tt.method, pair)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if d := farthest(back.X, clean); d > 1e-11 || back.NFE != tt.steps-1 {
			t.Errorf("%s: comes back %.2g away after %d calls", tt.name, d, back.NFE)
		}
		one := p
		one.X = pair.Noise
		if d := farthest(solve(t, one, tt.method).X, clean); d < 1e-3 {
			t.Errorf("%s: the noise alone gives the sample back to %.2g", tt.name, d)
		}
	}
}

// TestInvertCleanFirstStep: the first step is DDIM inversion with the model asked at
// the clean state's level.
func TestInvertCleanFirstStep(t *testing.T) {
	p := problem[float64](t, 10, 1)
	p.X = []float64{1, -.5}
	var first []float64
	p.OnStep = func(s diffusion.Step[float64]) error {
		if s.Index == 0 {
			first = slices.Clone(s.X)
			return nil
		}
		return errors.New("enough")
	}
	if _, err := diffusion.InvertClean(context.Background(), p, diffusion.BDIA{}, diffusion.Accuracy{}); err == nil || err.Error() != "enough" {
		t.Errorf("error %v, want the callback's own", err)
	}
	back := p
	back.OnStep = nil
	back.Grid = diffusion.Grid{Schedule: p.Grid.Schedule, Steps: 1, Start: p.Grid.End, End: p.Grid.End + (p.Grid.Start-p.Grid.End)/10}
	if d := farthest(first, solve(t, back, diffusion.DDIM{}).X); d > 1e-13 {
		t.Errorf("the first step differs from DDIM's by %.2g", d)
	}
}

func TestInvertCleanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method diffusion.BDIA
		change func(p *diffusion.Problem[float32])
		want   string
	}{
		{"γ = 0", diffusion.BDIA{ZeroGamma: true}, nil, "gamma = 0"},
		{"γ out of range", diffusion.BDIA{Gamma: 2}, nil, "gamma = 2"},
		{"one step", diffusion.BDIA{}, func(p *diffusion.Problem[float32]) { p.Grid.Steps = 1 }, "needs at least 2"},
		{"σ = 0", diffusion.BDIA{}, func(p *diffusion.Problem[float32]) { p.Grid.ToZero = true }, "σ = 0"},
		{"float32 states at γ = 0.5", diffusion.BDIA{Gamma: .5}, nil, "rounding unit of 6e-08"},
		{"reused slopes", diffusion.BDIA{Base: diffusion.RhoRK{}}, nil, "asks the model at a state"},
		{"no model", diffusion.BDIA{}, func(p *diffusion.Problem[float32]) { p.Model = nil }, "no model"},
		{"thresholding", diffusion.BDIA{}, func(p *diffusion.Problem[float32]) { p.Hook, _ = diffusion.StaticThreshold[float32](1) }, "thresholding"},
		{"a ragged batch", diffusion.BDIA{}, func(p *diffusion.Problem[float32]) { p.N = 5 }, "samples of equal size"},
	} {
		p := problem[float32](t, 20, 2)
		if tt.change != nil {
			tt.change(&p)
		}
		_, err := diffusion.InvertClean(context.Background(), p, tt.method, diffusion.Accuracy{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	p := problem[float32](t, 20, 2)
	if _, err := diffusion.FromPair(context.Background(), p, diffusion.BDIA{Base: diffusion.RhoRK{}}, diffusion.Pair[float32]{}); err == nil || !strings.Contains(err.Error(), "Full") {
		t.Errorf("from a pair with reused slopes: error %v", err)
	}
	if _, err := diffusion.FromPair(context.Background(), p, diffusion.BDIA{}, diffusion.Pair[float32]{Noise: p.X}); err == nil {
		t.Error("half a pair is accepted")
	}
}
