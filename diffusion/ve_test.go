package diffusion_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// stochasticVE are the stochastic samplers in σ/α.
var stochasticVE = []diffusion.NamedMethod{
	{Name: "reverse diffusion", Method: diffusion.ReverseDiffusion{}},
	{Name: "ancestral", Method: diffusion.ReverseDiffusion{Ancestral: true}},
	{Name: "Euler–Maruyama", Method: diffusion.EulerMaruyama{}},
	{Name: "predictor–corrector", Method: diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: 1, SNR: .05, Each: true}}},
	{Name: "corrected Euler–Maruyama", Method: diffusion.EulerMaruyama{Corrector: diffusion.Langevin{Steps: 2, SNR: .05, Each: true}}},
	{Name: "churned", Method: diffusion.KarrasHeun{Churn: 40, Max: 10, NoiseScale: 1}},
}

// TestReverseMoments: with many steps, samples of a Gaussian have its mean and its
// variance. A wrong sign, gain or noise shows in one of them.
func TestReverseMoments(t *testing.T) {
	const n, d, mu, dev = 400, 32, .7, .5
	one := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{slices.Repeat([]float64{mu}, d)}, S: []float64{dev}}
	p := diffusion.Problem[float64]{Model: model[float64](t, one, diffusion.Noise), N: n, Noise: diffusion.Seeded(11),
		Grid: diffusion.Grid{Schedule: diffusion.EDM{SigmaMin: .01, SigmaMax: 20}, Steps: 300, ToZero: true}}
	var err error
	if p.X, err = diffusion.Start[float64](p.Grid, n, d, p.Noise); err != nil {
		t.Fatal(err)
	}
	// With a step of its own a sample's density is tilted, see Langevin.Each: the
	// corrected ones take the batch's.
	methods := append(slices.Clone(stochasticVE[:3]), stochasticVE[5],
		diffusion.NamedMethod{Name: "predictor–corrector", Method: diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: 1}}},
		diffusion.NamedMethod{Name: "corrected Euler–Maruyama", Method: diffusion.EulerMaruyama{Corrector: diffusion.Langevin{Steps: 2, SNR: .1}}})
	for _, m := range methods {
		x := solve(t, p, m.Method).X
		var mean, v float64
		for _, a := range x {
			mean += a / float64(len(x))
		}
		for _, a := range x {
			v += (a - mean) * (a - mean) / float64(len(x))
		}
		// The bias of 300 steps, and of the corrector's step, is a few per cent of the
		// deviation; four standard errors are 0.02 of it and 0.05 of the variance.
		if math.Abs(mean-mu) > .03*dev || math.Abs(v/(dev*dev)-1) > .1 {
			t.Errorf("%s: mean %.4f and variance %.4f, want %g and %g", m.Name, mean, v, mu, dev*dev)
		}
	}
}

// TestVariables: a sampler in σ/α takes the same path on a variance-preserving model
// as on the variance-exploding one from the same noise.
func TestVariables(t *testing.T) {
	s := diffusion.VPLinear{}
	from, to := s.At(.8), s.At(.01)
	rho := func(l diffusion.Level) float64 { return l.Sigma / l.Alpha }
	vp := problem[float64](t, 9, 3)
	vp.Grid = diffusion.Grid{Schedule: s, Steps: 9, Start: .8, End: .01, ToZero: true}
	ve := vp
	ve.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 9, Start: rho(from), End: rho(to), ToZero: true}
	ve.X = make([]float64, len(vp.X))
	for i, x := range vp.X {
		ve.X[i] = x / from.Alpha
	}
	for _, m := range append(stochasticVE, diffusion.NamedMethod{Name: "Heun", Method: diffusion.KarrasHeun{}}) {
		a, b := solve(t, vp, m.Method).X, solve(t, ve, m.Method).X
		if e := rms(a, b); !(e < 1e-9) { // times and back
			t.Errorf("%s: the paths end %.2g apart", m.Name, e)
		}
	}
	a, err := diffusion.SolveFlow(context.Background(), vp, diffusion.Flow{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := diffusion.SolveFlow(context.Background(), ve, diffusion.Flow{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.X {
		a.X[i] /= to.Alpha
	}
	// the steps are chosen by errors that rounding changes
	if e := rms(a.X, b.X); !(e < 1e-6) || a.NFE != b.NFE {
		t.Errorf("the flows end %.2g apart after %d and %d evaluations", e, a.NFE, b.NFE)
	}
}

// from is the noise of one sample of a batch.
type from struct {
	source diffusion.NoiseSource
	sample int
}

func (f from) Normal(dst []float64, draw, _ int) error { return f.source.Normal(dst, draw, f.sample) }

// TestSolveFrom: samples that start at levels of their own are as if alone.
func TestSolveFrom(t *testing.T) {
	p := problem[float64](t, 8, 4)
	p.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 8, End: .02, ToZero: true}
	starts := []float64{50, .05, 3, .05}
	for _, m := range append(stochasticVE, diffusion.NamedMethod{Name: "Heun", Method: diffusion.KarrasHeun{}},
		diffusion.NamedMethod{Name: "2M", Method: diffusion.DPMSolver{}}) {
		all, err := diffusion.SolveFrom(context.Background(), p, m.Method, starts)
		if err != nil {
			t.Fatal(err)
		}
		for i, start := range starts {
			one := p
			one.Grid.Start, one.X, one.N, one.Noise = start, p.X[2*i:2*i+2], 1, from{p.Noise, i}
			want := solve(t, one, m.Method)
			if !slices.Equal(all.X[2*i:2*i+2], want.X) || all.NFE != want.NFE {
				t.Errorf("%s, from %g: %v after %d evaluations, alone %v after %d", m.Name, start, all.X[2*i:2*i+2], all.NFE, want.X, want.NFE)
			}
		}
	}
}

// TestSolveFromSlices: the steps of a stacked tape give the whole run's bits.
func TestSolveFromSlices(t *testing.T) {
	p := problem[float64](t, 6, 3)
	p.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 6, End: .02, ToZero: true}
	for _, m := range stochasticVE {
		sol, err := diffusion.SolveFrom(context.Background(), p, m.Method, []float64{40, 1, .3})
		if err != nil {
			t.Fatal(err)
		}
		regs := [][]float64{p.X}
		for k := range sol.Tape.Steps() {
			s, err := sol.Tape.Slice(k, k+1)
			if err != nil {
				t.Fatal(err)
			}
			if regs, err = diffusion.Run(context.Background(), s, diffusion.Env[float64]{Model: p.Model, Noise: p.Noise}, p.N, regs...); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(regs[0], sol.X) {
			t.Errorf("%s: the slices give %v, the whole %v", m.Name, regs[0], sol.X)
		}
	}
}

// TestLangevinStep holds the corrector's step against the formula, with a score that
// is the same everywhere: h = 2·(SNR·|z|/|s|)².
func TestLangevinStep(t *testing.T) {
	score := diffusion.Func[float64]{Prediction: diffusion.Score, F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
		for i := range dst {
			dst[i] = []float64{3, 4, 6, 8}[i%4] // norms 5 and 10
		}
		return nil
	}}
	z := diffusion.Recorded{{{1, 0}, {0, 2}}, {{0, 0}, {0, 0}}, {{0, 0}, {0, 0}}, {{0, 0}, {0, 0}}}
	p := diffusion.Problem[float64]{Model: score, N: 2, X: []float64{1, 1, 1, 1}, Noise: z,
		Grid: diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 2, Start: 2, End: 1}}
	for _, tt := range []struct {
		name string
		each bool
		h    [2]float64
	}{
		{"norms of the batch", false, [2]float64{2 * .01 * 1.5 * 1.5 / (7.5 * 7.5), 2 * .01 * 1.5 * 1.5 / (7.5 * 7.5)}},
		{"norms of each", true, [2]float64{2 * .01 * 1 / 25, 2 * .01 * 4 / 100}},
	} {
		// What the corrector adds is the difference to the predictor's step alone, which
		// is the same from everywhere. The second corrector is told by its draws: |z| = 0.
		m := diffusion.ReverseDiffusion{Noisy: true, Corrector: diffusion.Langevin{Steps: 1, SNR: .1, Each: tt.each}}
		tp, err := diffusion.Trace(m, p.Grid, diffusion.TraceOptions{Predicts: diffusion.Score})
		if err != nil {
			t.Fatal(err)
		}
		if tp.Coupled() == tt.each {
			t.Errorf("%s: coupled: %v", tt.name, tp.Coupled())
		}
		first, err := tp.Slice(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := diffusion.Run(context.Background(), first, diffusion.Env[float64]{Model: p.Model, Noise: p.Noise}, 2, p.X)
		if err != nil {
			t.Fatal(err)
		}
		gain := 4. - 1 // ς₁² − ς₀²
		for i, s := range []float64{3, 4, 6, 8} {
			h := tt.h[i/2]
			want := 1 + h*s + math.Sqrt(2*h)*z[0][i/2][i%2] + gain*s
			if math.Abs(got[0][i]-want) > 1e-12 {
				t.Errorf("%s: x[%d] = %v, want %v", tt.name, i, got[0][i], want)
			}
		}
		// Without noise the second corrector has no step.
		if _, err := diffusion.Run(context.Background(), tp, diffusion.Env[float64]{Model: p.Model, Noise: p.Noise}, 2, p.X); err == nil || !strings.Contains(err.Error(), "the corrector's step") {
			t.Errorf("%s: no noise: error %v", tt.name, err)
		}
	}
}

// TestReverseNoise: the ancestral noise has the posterior's deviation ς'/ς·√(ς² − ς'²).
func TestReverseNoise(t *testing.T) {
	score := diffusion.Func[float64]{Prediction: diffusion.Score, F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
		dst[0] = .25
		return nil
	}}
	for _, tt := range []struct {
		ancestral bool
		noise     float64
	}{{false, math.Sqrt(3)}, {true, math.Sqrt(3) / 2}} { // from ς = 2 to 1
		p := diffusion.Problem[float64]{Model: score, N: 1, X: []float64{1}, Noise: diffusion.Recorded{{{.5}}},
			Grid: diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 2, Start: 2, End: 1}}
		var states []float64
		p.OnStep = func(s diffusion.Step[float64]) error { states = append(states, s.X[0]); return nil }
		solve(t, p, diffusion.ReverseDiffusion{Ancestral: tt.ancestral})
		first := 1 + 3*.25 + tt.noise*.5
		for i, want := range []float64{first, first + .25} { // the last is a mean, from ς = 1 to 0
			if math.Abs(states[i]-want) > 1e-12 {
				t.Errorf("ancestral: %v: state %d is %v, want %v", tt.ancestral, i, states[i], want)
			}
		}
	}
}

// TestCoupled: averaged norms make a sample depend on its batch, as published.
func TestCoupled(t *testing.T) {
	whole, part := problem[float64](t, 12, 6), problem[float64](t, 12, 2)
	m := diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: 1}}
	a, b := solve(t, whole, m).X, solve(t, part, m).X
	if slices.Equal(a[:len(b)], b) {
		t.Error("the corrector's norms are not averaged")
	}
}

// TestChurn: γ by its definition, seen in the first evaluation's level.
func TestChurn(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.EDM{}, Steps: 9, Start: .8, End: .01, ToZero: true}
	for _, tt := range []struct {
		name string
		m    diffusion.KarrasHeun
		want float64
	}{
		{"at most √2 − 1", diffusion.KarrasHeun{Churn: 80}, .8 * math.Sqrt2},
		{"a share of Churn a step", diffusion.KarrasHeun{Churn: .9}, .8 * 1.1},
		{"a share of Churn a knot", diffusion.KarrasHeun{Churn: .9, Knots: true}, .8 * 1.09},
		{"not above Max", diffusion.KarrasHeun{Churn: 80, Min: .05, Max: .5}, .8},
	} {
		tp, err := diffusion.Trace(tt.m, g, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := tp.Times()[0]; math.Abs(got/tt.want-1) > 1e-14 {
			t.Errorf("%s: the first evaluation is at σ = %v, want %v", tt.name, got, tt.want)
		}
		if tp.NFE() != 2*9-1 {
			t.Errorf("%s: %d evaluations, want 17", tt.name, tp.NFE())
		}
	}
}

// TestFlow: the adaptive solver comes as near to the exact solution as it is told,
// and a looser tolerance costs less.
func TestFlow(t *testing.T) {
	p := problem[float64](t, 1, 8)
	p.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Start: 20, End: .1}
	for i := range p.X {
		p.X[i] *= 20
	}
	exact, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, 20, .1)
	if err != nil {
		t.Fatal(err)
	}
	last := math.MaxInt
	for _, tol := range []float64{1e-9, 1e-7, 1e-5, 1e-3} {
		steps := 0
		p.OnStep = func(s diffusion.Step[float64]) error { steps++; return nil }
		sol, err := diffusion.SolveFlow(context.Background(), p, diffusion.Flow{RelTol: tol, AbsTol: tol, Eps: 1e-12}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if e := rms(sol.X, exact); e > 30*tol { // local errors add up
			t.Errorf("tolerance %g: off by %.2g", tol, e)
		}
		if sol.NFE >= last || sol.NFE < 2+6*steps {
			t.Errorf("tolerance %g: %d evaluations in %d steps, %d with the tolerance before", tol, sol.NFE, steps, last)
		}
		last = sol.NFE
	}
	p.OnStep = nil
	f := diffusion.Flow{Eps: 1e-9}
	rough, err := diffusion.SolveFlow(context.Background(), p, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Denoise = true
	clean, err := diffusion.SolveFlow(context.Background(), p, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	eps := make([]float64, len(p.X))
	if err := p.Model.Denoise(context.Background(), eps, rough.X, p.N, []diffusion.Level{p.Grid.Schedule.At(.1)}); err != nil {
		t.Fatal(err)
	}
	for i, x := range rough.X {
		if want := x - .1*eps[i]; math.Abs(clean.X[i]-want) > 1e-6 || clean.NFE != rough.NFE+1 {
			t.Fatalf("denoised x[%d] = %v after %d evaluations, want %v after %d", i, clean.X[i], clean.NFE, want, rough.NFE+1)
		}
	}
}

func TestSplit(t *testing.T) {
	p := problem[float64](t, 6, 7)
	want := solve(t, p, diffusion.DDIM{}).X
	q := p
	q.Model = diffusion.Split(p.Model, 3)
	if got := solve(t, q, diffusion.DDIM{}).X; !slices.Equal(got, want) {
		t.Errorf("in three parts %v, in one %v", got, want)
	}
	var err error
	seen := make([]bool, 7)
	q.Model, err = diffusion.SplitBound(7, 3, func(lo, hi int) (diffusion.Denoiser[float64], error) {
		for i := lo; i < hi; i++ {
			seen[i] = true
		}
		return p.Model, nil
	})
	if err != nil || slices.Contains(seen, false) {
		t.Fatalf("bound to %v: %v", seen, err)
	}
	if got := solve(t, q, diffusion.DDIM{}).X; !slices.Equal(got, want) {
		t.Errorf("bound in three parts %v, in one %v", got, want)
	}
	q.N, q.X = 6, q.X[:12]
	if _, err := diffusion.Solve(context.Background(), q, diffusion.DDIM{}); err == nil || !strings.Contains(err.Error(), "bound to 7") {
		t.Errorf("another batch than it is bound to: error %v", err)
	}
	for name, f := range map[string]func(lo int) error{
		"fails":  func(int) error { return errors.New("out of memory") },
		"panics": func(int) error { panic("out of memory") },
	} {
		q.Model = diffusion.Split(diffusion.Denoiser[float64](diffusion.Func[float64]{F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
			return f(0)
		}}), 3)
		if _, err := diffusion.Solve(context.Background(), q, diffusion.DDIM{}); err == nil || !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("the model %s: error %v", name, err)
		}
	}
	if _, err := diffusion.SplitBound(3, 2, func(lo, hi int) (diffusion.Denoiser[float64], error) { return nil, fmt.Errorf("no label") }); err == nil {
		t.Error("a binding that fails is accepted")
	}
}

func TestVEErrors(t *testing.T) {
	ok := func(*diffusion.Problem[float64]) {}
	for _, tt := range []struct {
		name   string
		method diffusion.Method
		change func(*diffusion.Problem[float64])
		want   string
	}{
		{"one step", diffusion.ReverseDiffusion{}, func(p *diffusion.Problem[float64]) { p.Grid.Steps = 1 }, "1 steps: reverse diffusion needs at least 2"},
		{"one step of Euler–Maruyama", diffusion.EulerMaruyama{}, func(p *diffusion.Problem[float64]) { p.Grid.Steps = 1 }, "needs at least 2"},
		{"from data to noise", diffusion.EulerMaruyama{}, func(p *diffusion.Problem[float64]) {
			p.Grid.Start, p.Grid.End = p.Grid.End, p.Grid.Start
		}, "must run from noise to data"},
		{"eps out of range", diffusion.ReverseDiffusion{Eps: 1}, ok, "eps = 1: must be in (0, 1)"},
		{"a negative number of corrector steps", diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: -1}}, ok, "-1 corrector steps"},
		{"NaN for the signal-to-noise ratio", diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: 1, SNR: math.NaN()}}, ok, "ratio = NaN"},
		{"negative churn", diffusion.KarrasHeun{Churn: -1}, ok, "churn = -1"},
		{"churn in no range", diffusion.KarrasHeun{Churn: 1, Min: 2, Max: 1}, ok, "from"},
		{"churn while inverting", diffusion.KarrasHeun{Churn: 1}, func(p *diffusion.Problem[float64]) {
			p.Grid.Start, p.Grid.End = p.Grid.End, p.Grid.Start
		}, "needs churn = 0"},
		{"no noise for the churn", diffusion.Churned, func(p *diffusion.Problem[float64]) { p.Noise = nil }, "noise source"},
	} {
		p := problem[float64](t, 10, 4)
		tt.change(&p)
		want := tt.want
		if want == "from" {
			want = "must be a range"
		}
		if _, err := diffusion.Solve(context.Background(), p, tt.method); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, want)
		}
	}
	for _, tt := range []struct {
		name   string
		starts []float64
		change func(*diffusion.Problem[float64])
		want   string
	}{
		{"too few starts", []float64{1}, ok, "1 start times for 2 samples"},
		{"a start at the end", []float64{1, .01}, ok, "must differ"},
		{"a start below the end", []float64{1, .001}, ok, "sample 1"},
		{"NaN for a start", []float64{1, math.NaN()}, ok, "NaN"},
		{"no model", []float64{1, 1}, func(p *diffusion.Problem[float64]) { p.Model = nil }, "no model"},
	} {
		p := problem[float64](t, 4, 2)
		tt.change(&p)
		if _, err := diffusion.SolveFrom(context.Background(), p, diffusion.ReverseDiffusion{}, tt.starts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		if _, err := diffusion.SolveFlow(context.Background(), p, diffusion.Flow{}, tt.starts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("flow, %s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	for name, f := range map[string]diffusion.Flow{"RelTol": {RelTol: -1}, "AbsTol": {AbsTol: math.NaN()}, "Eps": {Eps: 2}, "MaxNFE": {MaxNFE: 5}} {
		p := problem[float64](t, 4, 2)
		if _, err := diffusion.SolveFlow(context.Background(), p, f, nil); err == nil {
			t.Errorf("flow: a bad %s is accepted", name)
		}
	}
	p := problem[float64](t, 4, 2)
	p.Hook, _ = diffusion.StaticThreshold[float64](1)
	if _, err := diffusion.SolveFlow(context.Background(), p, diffusion.Flow{}, nil); err == nil {
		t.Error("flow: a hook is accepted")
	}
}
