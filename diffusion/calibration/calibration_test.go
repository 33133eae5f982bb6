package calibration

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

func TestNDTC(t *testing.T) {
	for _, tt := range []struct {
		name      string
		T         int
		mean, std float64
		z         float64
		want      int
	}{
		{"fractions are cut off", 100, .4, .4, .5, 60},
		{"also below zero, towards it", 100, 0, .1, -.05, 0},
		{"far below is the first step", 100, .4, .4, -5, 0},
		{"far above is the last", 100, .4, .4, 5, 99},
		{"and so is T itself", 100, 1, 0, 0, 99},
		{"one step", 1, .4, .4, 3, 0},
	} {
		if got, err := NDTC(tt.T, tt.mean, tt.std, []float64{tt.z}); err != nil || got[0] != tt.want {
			t.Errorf("%s: %v, %v: want %d", tt.name, got, err, tt.want)
		}
	}
}

// TestNDTCMass: with mean and deviation 0.4 a normal distribution has 16 % of its
// mass at or below 0 and 7 % at or above 1. With 10000 draws a share is known to half
// a percent.
func TestNDTCMass(t *testing.T) {
	steps, err := Plan{N: 10000}.Steps(1000)
	if err != nil {
		t.Fatal(err)
	}
	share := func(k int) (s float64) {
		for _, t := range steps {
			if t == k {
				s += 1e-4
			}
		}
		return s
	}
	if a, b := share(0), share(999); math.Abs(a-.159) > .015 || math.Abs(b-.067) > .01 {
		t.Errorf("%g of all steps are 0, %g the last", a, b)
	}
}

func TestSteps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		plan   Plan
		lo, hi int
	}{
		{"uniform reaches both ends", Plan{Times: Uniform}, 0, 99},
		{"random stays below four fifths", Plan{Times: Random}, 0, 79},
		{"the cleanest", Plan{Times: Clean}, 0, 0},
		{"the middle", Plan{Times: Middle}, 50, 50},
		{"the noisiest", Plan{Times: Noisy}, 99, 99},
		{"normal, clipped to both ends", Plan{}, 0, 99},
	} {
		steps, err := tt.plan.Steps(100)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 1024 || slices.Min(steps) != tt.lo || slices.Max(steps) != tt.hi {
			t.Errorf("%s: %d steps from %d to %d", tt.name, len(steps), slices.Min(steps), slices.Max(steps))
		}
	}
}

// sampler samples a single Gaussian exactly known: DDIM's states on the way.
func sampler(t *testing.T) Sampler[float64] {
	t.Helper()
	m, err := gmm.Model[float64](&gmm.Mixture{W: []float64{1}, Mu: [][]float64{{3, -1}}, S: []float64{.1}}, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	return Sampler[float64]{Model: m, Grid: diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 20}, Size: 2, Data: []float64{3, -1}}
}

// TestCollectPairs: a state lies where its level says. At level t the mean is α·μ
// and the deviation near σ, so that (x − α·μ)/σ stays within some deviations of the
// noise; mirrored states do not.
func TestCollectPairs(t *testing.T) {
	far := func(p Plan) (worst float64) {
		s := sampler(t)
		p.N = 64
		set, err := Collect(context.Background(), p, s)
		if err != nil {
			t.Fatal(err)
		}
		if set.N != 64 || len(set.X) != 128 || len(set.Levels) != 64 {
			t.Fatalf("%d pairs, %d numbers", set.N, len(set.X))
		}
		for i, l := range set.Levels {
			sd := math.Hypot(l.Sigma, .1*l.Alpha)
			worst = max(worst, math.Abs(set.X[2*i]-3*l.Alpha)/sd, math.Abs(set.X[2*i+1]+l.Alpha)/sd)
		}
		return worst
	}
	for _, name := range []string{"ndtc", "uniform", "random", "clean", "middle", "noisy", "forward"} {
		p, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if w := far(p); w > 5 {
			t.Errorf("%s: a state is %.3g deviations from its level", name, w)
		}
	}
	for _, name := range []string{"mirrored", "gaussian"} {
		p, _ := Named(name)
		if w := far(p); w < 6 {
			t.Errorf("%s: all states are within %.3g deviations of their level", name, w)
		}
	}
}

// TestCollectExact: states are those of the sampler itself, the noise and the steps
// before the last included.
func TestCollectExact(t *testing.T) {
	s := sampler(t)
	x, err := diffusion.Start[float64](s.Grid, 3, 2, diffusion.Seeded(0))
	if err != nil {
		t.Fatal(err)
	}
	states := [][]float64{x}
	if _, err := diffusion.Solve(context.Background(), diffusion.Problem[float64]{Model: s.Model, Grid: s.Grid, X: x, N: 3, OnStep: func(st diffusion.Step[float64]) error {
		states = append(states, slices.Clone(st.X))
		return nil
	}}, diffusion.DDIM{}); err != nil {
		t.Fatal(err)
	}
	for name, done := range map[string]int{"noisy": 0, "middle": 9, "clean": 19} {
		p, _ := Named(name)
		p.N = 3
		set, err := Collect(context.Background(), p, s)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(set.X, states[done]) {
			t.Errorf("%s: not the states after %d steps", name, done)
		}
	}
	set, err := Collect(context.Background(), Plan{Times: Clean, Pairing: Mirrored, N: 3}, s)
	if err != nil || !slices.Equal(set.X, states[1]) {
		t.Errorf("mirrored, step 0: not the states after one step from noise, %v", err)
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	s := sampler(t)
	with := func(change func(*Sampler[float64])) Sampler[float64] {
		c := s
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		plan Plan
		s    Sampler[float64]
		want string
	}{
		{"a mean beyond T", Plan{Mean: 1.5}, s, "mean = 1.5: must be in [0, 1]"},
		{"a negative deviation", Plan{Mean: .4, Std: -1}, s, "std = -1"},
		{"negative pairs", Plan{N: -1}, s, "-1 pairs"},
		{"unknown times", Plan{Times: 9}, s, "times 9"},
		{"mirrored data", Plan{Source: RawData, Pairing: Mirrored}, s, "mirrored pairing"},
		{"no size", Plan{}, with(func(s *Sampler[float64]) { s.Size = 0 }), "samples of 0 numbers"},
		{"no data", Plan{Source: Forward}, with(func(s *Sampler[float64]) { s.Data = nil }), "data of 0 numbers for samples of 2"},
		{"no model", Plan{}, with(func(s *Sampler[float64]) { s.Model = nil }), "there is no model"},
		{"no steps", Plan{}, with(func(s *Sampler[float64]) { s.Grid.Steps = 0 }), "0 steps"},
	} {
		if _, err := Collect(ctx, tt.plan, tt.s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Named("best"); err == nil || !strings.Contains(err.Error(), `plan "best": must be one of [ndtc mirrored`) {
		t.Errorf("an unknown plan: %v", err)
	}
	if _, err := NDTC(0, .4, .4, nil); err == nil {
		t.Error("no time steps are accepted")
	}
	if _, err := NDTC(10, .4, .4, []float64{math.NaN()}); err == nil {
		t.Error("NaN is accepted")
	}
}
