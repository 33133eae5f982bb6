package diffusion_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"gonum.org/v1/gonum/stat"
)

// mixture is problem FA of the conformance cases: three components in two dimensions.
var mixture = &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .15}}

func model[T diffusion.Float](t testing.TB, m *gmm.Mixture, p diffusion.Prediction) diffusion.Denoiser[T] {
	t.Helper()
	d, err := gmm.Model[T](m, p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// problem is mixture on VP-linear with n seeded starts.
func problem[T diffusion.Float](t testing.TB, steps, n int) diffusion.Problem[T] {
	t.Helper()
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, Start: 1, End: 1e-2}
	x, err := diffusion.Start[T](g, n, mixture.Dim(), diffusion.Seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	return diffusion.Problem[T]{Model: model[T](t, mixture, diffusion.Noise), Grid: g, X: x, N: n, Noise: diffusion.Seeded(3)}
}

func solve[T diffusion.Float](t testing.TB, p diffusion.Problem[T], m diffusion.Method) diffusion.Solution[T] {
	t.Helper()
	s, err := diffusion.Solve(context.Background(), p, m)
	if err != nil {
		t.Fatalf("%+v: %v", m, err)
	}
	return s
}

func rms(a, b []float64) float64 {
	var s float64
	for i := range a {
		s += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(s / float64(len(a)))
}

// uniform and onLogSNR run a method on another grid than its own.
type (
	uniform  struct{ diffusion.Method }
	onLogSNR struct{ diffusion.Method }
	coarse   struct{ uniform }
)

func (uniform) Spacing() diffusion.Spacing  { return diffusion.TimeUniform }
func (onLogSNR) Spacing() diffusion.Spacing { return diffusion.LogSNR }

func TestOrderOfConvergence(t *testing.T) {
	// Slopes over 120, 240, 480 steps, against the orders that the papers prove.
	// Steps of a lower order at the end would hide the order, so none are taken.
	tests := []struct {
		name   string
		method diffusion.Method
		lo, hi float64
	}{
		{"DDIM", diffusion.DDIM{}, .9, 1.1},
		{"1", diffusion.DPMSolver{Order: 1}, .9, 1.1},
		{"2S", diffusion.DPMSolver{Mode: diffusion.SinglestepFixed}, 1.85, 2.15},
		{"2S heun", diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Expansion: diffusion.Taylor}, 1.85, 2.15},
		{"3S", diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Order: 3}, 2.8, 3.2},
		{"3S taylor", diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Order: 3, Expansion: diffusion.Taylor}, 2.8, 3.2},
		{"2M", diffusion.DPMSolver{}, 1.85, 2.15},
		{"2M heun", diffusion.DPMSolver{Expansion: diffusion.Taylor}, 1.85, 2.2},
		{"3M as published is of second order", diffusion.DPMSolver{Order: 3}, 1.7, 2.3},
		{"3M corrected", diffusion.DPMSolver{Order: 3, ThirdOrder: diffusion.Corrected}, 2.7, 3.3},
		{"noise 2S", diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.SinglestepFixed}, 1.85, 2.15},
		{"noise 3S", diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.SinglestepFixed, Order: 3}, 2.85, 3.2},
		{"noise 2M", diffusion.DPMSolver{Form: diffusion.NoiseForm}, 1.85, 2.15},
		{"noise 3M corrected", diffusion.DPMSolver{Form: diffusion.NoiseForm, Order: 3, ThirdOrder: diffusion.Corrected}, 2.7, 3.3},
		{"S-PNDM", diffusion.PNDM{Start: diffusion.PseudoImprovedEuler, Order: 2}, 1.8, 2.2},
		{"F-PNDM, whose transfer is of second order", diffusion.PNDM{}, 1.8, 2.2},
		{"PLMS", diffusion.PNDM{Start: diffusion.PseudoImprovedEuler}, 1.8, 2.2},
		{"F-PNDM on any grid", onLogSNR{diffusion.PNDM{VariableStep: true}}, 1.8, 2.3},
		{"tAB1", uniform{diffusion.DEIS{Order: 1}}, 1.8, 2.1},
		{"tAB2", uniform{diffusion.DEIS{Order: 2}}, 2.6, 3.2},
		// the first-order first step takes over beyond some 200 steps
		{"tAB3", coarse{uniform{diffusion.DEIS{}}}, 3.2, 4.3},
		{"ρAB3", onLogSNR{diffusion.DEIS{Variable: diffusion.Rho}}, 2.8, 4.3},
		{"ρ midpoint", diffusion.RhoRK{Tableau: diffusion.Tableaux[2]}, 1.85, 2.15},
		{"ρ Heun", diffusion.RhoRK{}, 1.85, 2.2},
		{"Karras", diffusion.KarrasHeun{}, 1.85, 2.2},
		{"ρ Kutta", diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}, 2.8, 3.3},
		{"ρ RK4", diffusion.RhoRK{Tableau: diffusion.Tableaux[8]}, 3.7, 4.4},
		// The corrector raises the order by one; the first steps, of lower order, cost
		// next to nothing where the noise is pure.
		{"UniPC-2 predictor", diffusion.UniPC{Order: 2, NoCorrector: true, FullOrderFinal: true}, 1.85, 2.15},
		{"UniPC-2", diffusion.UniPC{Order: 2, FullOrderFinal: true}, 2.6, 3.3},
		{"UniPC-3 bh1", diffusion.UniPC{FullOrderFinal: true}, 2.8, 4.3},
		{"UniPC-3 bh2", diffusion.UniPC{BH: diffusion.BH2, FullOrderFinal: true}, 2.8, 4.3},
		{"UniPC-3 noise", diffusion.UniPC{Form: diffusion.NoiseForm, FullOrderFinal: true}, 2.8, 4.3},
		// GHVB's weights are for steps even in ρ; on other grids its order is 2.
		{"GHVB 3.8", diffusion.Momentum{}, 1.8, 2.3},
		{"GHVB 1.5", diffusion.Momentum{Order: 2, Beta: .5}, 1.8, 2.2},
		{"PLMS with heavy ball is of first order", diffusion.Momentum{Kind: diffusion.Polyak}, .8, 1.2},
		{"PLMS with Nesterov momentum", diffusion.Momentum{Kind: diffusion.Nesterov, Beta: .5}, .8, 1.2},
		{"2M with heavy ball", diffusion.HeavyBall{}, .8, 1.2},
		{"UniPC-3 with heavy ball", diffusion.HeavyBall{Base: diffusion.UniPC{}}, .8, 1.2},
	}
	p := problem[float64](t, 0, 64)
	exact, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logN, logE []float64
			for _, steps := range []int{120, 240, 480} {
				if _, ok := tt.method.(coarse); ok {
					steps = steps * 5 / 12
				}
				p.Grid.Steps = steps
				s := solve(t, p, tt.method)
				logN = append(logN, math.Log(float64(s.NFE)))
				logE = append(logE, math.Log(rms(s.X, exact)))
			}
			_, slope := stat.LinearRegression(logN, logE, nil, false)
			if -slope < tt.lo || -slope > tt.hi {
				t.Errorf("order %.2f, want %g to %g", -slope, tt.lo, tt.hi)
			}
		})
	}
}

// TestConstantPrediction: when the prediction that a method works with is the same
// everywhere, its integrator is exact, at any step size.
func TestConstantPrediction(t *testing.T) {
	c := []float64{.3, -.7}
	constant := func(p diffusion.Prediction) diffusion.Denoiser[float64] {
		return diffusion.Func[float64]{Prediction: p, F: func(_ context.Context, dst, x []float64, n int, at []diffusion.Level) error {
			for i := range dst {
				dst[i] = c[i%2]
			}
			return nil
		}}
	}
	p := problem[float64](t, 12, 4)
	a, b := p.Grid.Schedule.At(p.Grid.Start), p.Grid.Schedule.At(p.Grid.End)
	for _, m := range diffusion.Methods() {
		tp, err := diffusion.Trace(m.Method, p.Grid, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if tp.Stochastic() {
			continue
		}
		form := formOf(m.Method)
		p.Model = constant(form)
		for i, x := range solve(t, p, m.Method).X {
			want := b.Alpha*c[i%2] + b.Sigma/a.Sigma*(p.X[i]-a.Alpha*c[i%2])
			if form == diffusion.Noise {
				want = b.Sigma*c[i%2] + b.Alpha/a.Alpha*(p.X[i]-a.Sigma*c[i%2])
			}
			if math.Abs(x-want) > 1e-11*(1+math.Abs(want)) {
				t.Fatalf("%s: x[%d] = %v, want %v", m.Name, i, x, want)
			}
		}
	}
}

// formOf is the prediction that a method works with.
func formOf(m diffusion.Method) diffusion.Prediction {
	switch m := m.(type) {
	case diffusion.DDIM:
		return diffusion.Data
	case diffusion.BDIA:
		if m.Base == nil {
			return diffusion.Data
		}
		return formOf(m.Base.(diffusion.Method))
	case diffusion.DPMSolver:
		if m.Form == diffusion.DataForm {
			return diffusion.Data
		}
	case diffusion.UniPC:
		if m.Form == diffusion.DataForm {
			return diffusion.Data
		}
	}
	return diffusion.Noise
}

// TestBuffers pins what a method costs: a forgotten Let gives right numbers and
// a tape that keeps every state.
func TestBuffers(t *testing.T) {
	tests := []struct {
		method     string
		predicts   diffusion.Prediction
		nfe, slots int
	}{
		{"ddim", diffusion.Noise, 50, 2},
		{"ddim", diffusion.Data, 50, 2},
		{"dpmpp-2m", diffusion.Noise, 50, 3},
		{"dpmpp-2m", diffusion.Data, 50, 3},
		{"dpmpp-3m", diffusion.Velocity, 50, 4},
		{"dpmpp-2s", diffusion.Noise, 50, 4},
		{"dpmpp-3s", diffusion.Noise, 50, 4},
		{"dpm-fast-3", diffusion.Noise, 50, 4},
		{"dpmpp-2m-sde", diffusion.Noise, 50, 4},
		{"unipc", diffusion.Noise, 50, 6},
		{"ghvb", diffusion.Noise, 50, 5}, // state, four averages
		{"ghvb", diffusion.Velocity, 50, 5},
		{"ghvb-5", diffusion.Noise, 50, 6},
		{"plms-hb", diffusion.Noise, 50, 6}, // state, four outputs, average
		{"plms-nt-3.8", diffusion.Noise, 50, 6},
		{"dpmpp-2m-hb", diffusion.Noise, 50, 4},
		{"unipc-hb", diffusion.Noise, 50, 8},
		{"ltsp-3.8", diffusion.Noise, 100, 8},
		{"edm", diffusion.Noise, 100, 4},
		{"edm-churn", diffusion.Noise, 100, 4},
		{"reverse-diffusion", diffusion.Score, 50, 3},
		{"ve-ancestral", diffusion.Noise, 50, 3},
		{"pc", diffusion.Noise, 100, 4},
		{"euler-maruyama", diffusion.Data, 50, 3},
	}
	for _, tt := range tests {
		m, err := diffusion.MethodNamed(tt.method)
		if err != nil {
			t.Fatal(err)
		}
		tp, err := diffusion.Trace(m, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 50}, diffusion.TraceOptions{Predicts: tt.predicts})
		if err != nil {
			t.Fatal(err)
		}
		if tp.NFE() != tt.nfe || tp.Slots() != tt.slots {
			t.Errorf("%s of a model that predicts %v: %d evaluations in %d buffers, want %d in %d", tt.method, tt.predicts, tp.NFE(), tp.Slots(), tt.nfe, tt.slots)
		}
	}
}

// TestSlices runs every method step by step from checkpoints.
func TestSlices(t *testing.T) {
	p := problem[float64](t, 9, 3)
	env := diffusion.Env[float64]{Model: p.Model, Noise: p.Noise}
	for _, m := range diffusion.Methods() {
		tp, err := diffusion.Trace(m.Method, p.Grid, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := diffusion.Run(context.Background(), tp, env, p.N, p.X)
		if err != nil {
			t.Fatal(err)
		}
		regs, nfe := [][]float64{p.X}, 0
		for k := range tp.Steps() {
			s, err := tp.Slice(k, k+1)
			if err != nil {
				t.Fatal(err)
			}
			nfe += s.NFE()
			if regs, err = diffusion.Run(context.Background(), s, env, p.N, regs...); err != nil {
				t.Fatalf("%s, step %d: %v", m.Name, k, err)
			}
		}
		if !slices.Equal(regs[0], whole[0]) || nfe != tp.NFE() {
			t.Errorf("%s: %d slices give %v after %d evaluations, the whole tape %v after %d", m.Name, tp.Steps(), regs[0], nfe, whole[0], tp.NFE())
		}
		if _, err := tp.Slice(3, 3); err == nil {
			t.Error("an empty slice is accepted")
		}
	}
}

// TestPredictions: what the model estimates changes nothing but the arithmetic.
func TestPredictions(t *testing.T) {
	p := problem[float64](t, 10, 4)
	for _, m := range diffusion.Methods() {
		want := solve(t, p, m.Method).X
		for _, pred := range []diffusion.Prediction{diffusion.Data, diffusion.Velocity, diffusion.Score} {
			q := p
			q.Model = model[float64](t, mixture, pred)
			if e := rms(solve(t, q, m.Method).X, want); e > 1e-11 { // conversions cancel at σ/α = 150
				t.Errorf("%s of a model that predicts %v differs by %.2g", m.Name, pred, e)
			}
		}
	}
}

func TestFloat32(t *testing.T) {
	p, p32 := problem[float64](t, 20, 8), problem[float32](t, 20, 8)
	for _, m := range diffusion.Methods() {
		want, got := solve(t, p, m.Method).X, solve(t, p32, m.Method).X
		for i, x := range got {
			if math.Abs(float64(x)-want[i]) > 2e-4*(1+math.Abs(want[i])) { // float32 through 20 steps
				t.Errorf("%s: x[%d] = %v in float32, %v in float64", m.Name, i, x, want[i])
				break
			}
		}
	}
}

// TestBatch: a sample does not depend on the batch it is in.
func TestBatch(t *testing.T) {
	whole := problem[float64](t, 12, 6)
	part := problem[float64](t, 12, 2)
	for _, m := range diffusion.Methods() {
		a, b := solve(t, whole, m.Method).X, solve(t, part, m.Method).X
		if !slices.Equal(a[:len(b)], b) {
			t.Errorf("%s: 2 samples alone give %v, in a batch of 6 %v", m.Name, b, a[:len(b)])
		}
	}
}

func TestToZero(t *testing.T) {
	p := problem[float64](t, 16, 8)
	p.Grid.ToZero = true
	for _, m := range diffusion.Methods() {
		var last diffusion.Level
		p.OnStep = func(s diffusion.Step[float64]) error { last = s.Level; return nil }
		for i, x := range solve(t, p, m.Method).X {
			if math.IsNaN(x) || math.Abs(x) > 5 {
				t.Fatalf("%s: x[%d] = %v at σ = 0", m.Name, i, x)
			}
		}
		if last.Sigma != 0 {
			t.Errorf("%s: the last level is σ = %g, want 0", m.Name, last.Sigma)
		}
	}
}

// TestInversion: data to noise and back returns to the start as the step shrinks.
func TestInversion(t *testing.T) {
	for _, m := range []diffusion.Method{diffusion.DDIM{}, diffusion.DPMSolver{}, diffusion.DPMSolver{Form: diffusion.NoiseForm}} {
		var errs []float64
		for _, steps := range []int{100, 400} {
			p := problem[float64](t, steps, 4)
			p.Grid.Start, p.Grid.End = p.Grid.End, p.Grid.Start
			p.X = []float64{1, -.5, -1.2, .8, .3, 1.5, .9, -.4}
			back := p
			back.X = solve(t, p, m).X
			back.Grid.Start, back.Grid.End = p.Grid.End, p.Grid.Start
			errs = append(errs, rms(solve(t, back, m).X, p.X))
		}
		if errs[1] > errs[0]/3 || errs[1] > .05 {
			t.Errorf("%+v: round trip errors %.3g and %.3g with 100 and 400 steps", m, errs[0], errs[1])
		}
	}
}

// TestStochasticMoments: on one Gaussian the samples of every stochastic method
// have its mean and variance. The control is the start itself.
func TestStochasticMoments(t *testing.T) {
	const n = 20000
	one := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1.5}}, S: []float64{.5}}
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 60}
	x, err := diffusion.Start[float64](g, n, 1, diffusion.Seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	p := diffusion.Problem[float64]{Model: model[float64](t, one, diffusion.Noise), Grid: g, X: x, N: n, Noise: diffusion.Seeded(2)}
	for name, m := range map[string]diffusion.Method{
		"SDE 2M midpoint":        diffusion.DPMSolver{Eta: 1},
		"SDE 2M heun":            diffusion.DPMSolver{Eta: 1, Expansion: diffusion.Taylor},
		"SDE 2M heun, eta 0.5":   diffusion.DPMSolver{Eta: .5, Expansion: diffusion.Taylor},
		"SDE 3M corrected":       diffusion.DPMSolver{Eta: 1, Order: 3, ThirdOrder: diffusion.Corrected},
		"SDE 2M heun, noise":     diffusion.DPMSolver{Eta: 1, Form: diffusion.NoiseForm, Expansion: diffusion.Taylor},
		"SDE 2M, noise, eta 0.5": diffusion.DPMSolver{Eta: .5, Form: diffusion.NoiseForm, Expansion: diffusion.Taylor},
	} {
		mean, dev := stat.MeanStdDev(solve(t, p, m).X, nil)
		// Four standard errors are 0.014 for the mean and 0.010 for the deviation;
		// the rest is the discretisation.
		if math.Abs(mean-1.5) > .02 || math.Abs(dev-.5) > .02 {
			t.Errorf("%s: mean %.4f, deviation %.4f; want 1.5 and 0.5", name, mean, dev)
		}
	}
}

// TestOfficialStochasticThirdOrder shows that the merged extension's quadratic
// weight, with −1/2 for +1/2, is wrong and not only unusual: it leaves
// the method of order 1.
// With all noise at zero a stochastic sampler follows a mean path, on which a fine
// second-order run is the truth. (At η = 1 the data prediction of one Gaussian is
// constant along it, and every method exact.)
func TestOfficialStochasticThirdOrder(t *testing.T) {
	one := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1.5}}, S: []float64{.5}}
	end := func(m diffusion.Method, steps int) float64 {
		return solve(t, diffusion.Problem[float64]{Model: model[float64](t, one, diffusion.Noise), N: 1, X: []float64{2},
			Grid: diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, Start: .6, End: .1}, Noise: diffusion.Recorded(zeros(steps, 1, 1))}, m).X[0]
	}
	truth := end(diffusion.DPMSolver{Eta: .5, Expansion: diffusion.Taylor}, 20000)
	var logN, logE []float64
	for _, steps := range []int{50, 100, 200} {
		official := math.Abs(end(diffusion.DPMSolver{Eta: .5, Order: 3}, steps) - truth)
		exact := math.Abs(end(diffusion.DPMSolver{Eta: .5, Order: 3, ThirdOrder: diffusion.Corrected}, steps) - truth)
		if exact > official/300 {
			t.Errorf("%d steps: error %.2g with the exact weight, %.2g with the official one", steps, exact, official)
		}
		logN, logE = append(logN, math.Log(float64(steps))), append(logE, math.Log(official))
	}
	if _, k := stat.LinearRegression(logN, logE, nil, false); k < -1.1 {
		t.Errorf("the official update is of order %.2f, want 1", -k)
	}
}

func zeros(a, b, c int) [][][]float64 {
	z := make([][][]float64, a)
	for i := range z {
		z[i] = make([][]float64, b)
		for j := range z[i] {
			z[i][j] = make([]float64, c)
		}
	}
	return z
}

// TestAncestral: DDIM with η = 1 has the variance of DDPM's posterior, which
// samples one Gaussian with the right moments; the formula's own standard
// deviation is checked on a single step.
func TestAncestral(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 1, Start: .6, End: .5}
	a, b := g.Schedule.At(.6), g.Schedule.At(.5)
	tp, err := diffusion.Trace(diffusion.DDIM{Eta: 1}, g, diffusion.TraceOptions{Predicts: diffusion.Data})
	if err != nil {
		t.Fatal(err)
	}
	last := tp.Code[len(tp.Code)-1]
	got := last.Terms[len(last.Terms)-1].C
	// Ho et al. 2020, eq. 7, with ᾱ = α²
	want := math.Sqrt((1 - b.Alpha*b.Alpha) / (1 - a.Alpha*a.Alpha) * (1 - a.Alpha*a.Alpha/(b.Alpha*b.Alpha)))
	if math.Abs(got-want) > 1e-14 {
		t.Errorf("the noise of an ancestral step is %v, want %v", got, want)
	}
}

func TestZeroTerminalSNR(t *testing.T) {
	// α = 0 at the start: only data and velocity models can be asked there.
	grid := diffusion.Grid{Schedule: zeroSNR{}, Steps: 8, Start: 1, End: .01, Spacing: diffusion.TimeUniform}
	for pred, ok := range map[diffusion.Prediction]bool{diffusion.Noise: false, diffusion.Data: true, diffusion.Velocity: true} {
		_, err := diffusion.Trace(diffusion.DDIM{}, grid, diffusion.TraceOptions{Predicts: pred})
		if (err == nil) != ok {
			t.Errorf("a model that predicts %v at α = 0: error %v, want one: %v", pred, err, !ok)
		}
	}
}

// zeroSNR has α(1) = 0.
type zeroSNR struct{}

func (zeroSNR) At(t float64) diffusion.Level {
	l := diffusion.Level{T: t, Alpha: math.Cos(t * math.Pi / 2), Sigma: math.Sin(t * math.Pi / 2)}
	if t == 1 {
		l.Alpha = 0
	}
	l.Lambda = math.Log(l.Alpha / l.Sigma)
	if t == 1 {
		l.Lambda = -50
	}
	return l
}
func (zeroSNR) Time(lambda float64) float64 { return 2 / math.Pi * math.Atan(math.Exp(-lambda)) }
func (zeroSNR) Range() (float64, float64)   { return .01, 1 }

func TestGuidance(t *testing.T) {
	cond, err := mixture.Condition(1)
	if err != nil {
		t.Fatal(err)
	}
	c, u := model[float64](t, cond, diffusion.Noise), model[float64](t, mixture, diffusion.Noise)
	p := problem[float64](t, 10, 4)
	for _, tt := range []struct {
		name   string
		scale  float64
		same   diffusion.Denoiser[float64]
		passes int
	}{
		{"guidance 1 equals conditional", 1, c, 10},
		{"guidance 0 equals unconditional", 0, u, 10},
		{"guidance 3 asks both", 3, nil, 20},
	} {
		g, err := diffusion.NewGuided(c, u, tt.scale)
		if err != nil {
			t.Fatal(err)
		}
		p.Model = g
		s := solve(t, p, diffusion.DPMSolver{})
		if s.NFE != 10 || s.Passes != tt.passes {
			t.Errorf("%s: %d evaluations in %d passes, want 10 in %d", tt.name, s.NFE, s.Passes, tt.passes)
		}
		if tt.same == nil {
			continue
		}
		p.Model = tt.same
		if !slices.Equal(s.X, solve(t, p, diffusion.DPMSolver{}).X) {
			t.Error(tt.name, "fails")
		}
	}
	if _, err := diffusion.NewGuided(c, u, math.NaN()); err == nil {
		t.Error("a guidance scale of NaN is accepted")
	}
	if _, err := diffusion.NewGuided(c, model[float64](t, mixture, diffusion.Data), 2); err == nil {
		t.Error("guidance of a noise model by a data model is accepted")
	}
}

func TestThresholds(t *testing.T) {
	dyn, err := diffusion.DynamicThreshold[float64](.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Sample 1: |x| sorted 1 2 3 8, median 2.5; sample 2 stays: its median is below 1.
	x := []float64{-1, 2, 3, -8, .1, -.2, .3, 5}
	if err := dyn(x, 2, diffusion.Level{}); err != nil {
		t.Fatal(err)
	}
	if want := []float64{-.4, .8, 1, -1, .1, -.2, .3, 1}; !slices.Equal(x, want) {
		t.Errorf("dynamic threshold gives %v, want %v", x, want)
	}
	static, err := diffusion.StaticThreshold[float64](2)
	if err != nil {
		t.Fatal(err)
	}
	x = []float64{-3, .5, 2.5}
	if err := static(x, 1, diffusion.Level{}); err != nil || !slices.Equal(x, []float64{-2, .5, 2}) {
		t.Errorf("static threshold gives %v, %v", x, err)
	}
	if _, err := diffusion.DynamicThreshold[float64](0, 1); err == nil {
		t.Error("quantile 0 is accepted")
	}
	if _, err := diffusion.StaticThreshold[float64](math.NaN()); err == nil {
		t.Error("limit NaN is accepted")
	}
}

func TestErrors(t *testing.T) {
	ok := func(p *diffusion.Problem[float64]) {}
	tests := []struct {
		name   string
		method diffusion.Method
		change func(p *diffusion.Problem[float64])
		want   string
	}{
		{"no model", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Model = nil }, "no model"},
		{"no method", nil, ok, "no method"},
		{"no steps", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.Steps = 0 }, "0 steps"},
		{"fewer steps than the order", diffusion.DPMSolver{Order: 3}, func(p *diffusion.Problem[float64]) { p.Grid.Steps = 2 }, "2 steps: DPM-Solver of order 3 needs at least 3"},
		{"order out of range", diffusion.DPMSolver{Order: 4}, ok, "order 4"},
		{"negative eta", diffusion.DDIM{Eta: -1}, ok, "eta = -1"},
		{"NaN eta", diffusion.DPMSolver{Eta: math.NaN()}, ok, "eta = NaN"},
		{"noise in a deterministic mode", diffusion.DPMSolver{Eta: 1, Mode: diffusion.Singlestep}, ok, "deterministic"},
		{"noise while inverting", diffusion.DPMSolver{Eta: 1}, func(p *diffusion.Problem[float64]) { p.Grid.Start, p.Grid.End = p.Grid.End, p.Grid.Start }, "needs eta = 0"},
		{"no schedule", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.Schedule = nil }, "no schedule"},
		{"equal ends", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.End = p.Grid.Start }, "must differ"},
		{"negative time", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.End = -1 }, "must be positive"},
		{"inversion from sigma 0", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.Start = 0 }, "must be positive"},
		{"repeated times", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) {
			p.Grid.Steps, p.Grid.Spacing = 2, diffusion.Explicit(1, 1, .1)
		}, "strictly"},
		{"times that turn back", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) {
			p.Grid.Steps, p.Grid.Spacing = 3, diffusion.Explicit(1, .4, .5, .1)
		}, "strictly"},
		{"too few times", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.Grid.Spacing = diffusion.Explicit(1, .1) }, "no grid of 10 steps"},
		{"ragged batch", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.N = 3 }, "want 3 samples of equal size"},
		{"empty batch", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) { p.N = 0 }, "0 samples"},
		{"stochastic without noise", diffusion.DPMSolver{Eta: 1}, func(p *diffusion.Problem[float64]) { p.Noise = nil }, "noise source"},
		{"thresholding in noise form", diffusion.DPMSolver{Form: diffusion.NoiseForm}, func(p *diffusion.Problem[float64]) {
			p.Hook, _ = diffusion.StaticThreshold[float64](1)
		}, "has no effect"},
		{"the model fails", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) {
			p.Model = diffusion.Func[float64]{F: func(context.Context, []float64, []float64, int, []diffusion.Level) error {
				return fmt.Errorf("out of memory")
			}}
		}, "step 1, t = 1: out of memory"},
		{"the model gives NaN", diffusion.DDIM{}, func(p *diffusion.Problem[float64]) {
			calls := 0
			p.Model = diffusion.Func[float64]{F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
				clear(dst)
				if calls++; calls == 3 {
					dst[5] = math.NaN()
				}
				return nil
			}}
		}, "step 3, t = "},
	}
	for _, tt := range tests {
		p := problem[float64](t, 10, 4)
		tt.change(&p)
		_, err := diffusion.Solve(context.Background(), p, tt.method)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := problem[float64](t, 50, 2)
	steps := 0
	p.OnStep = func(s diffusion.Step[float64]) error {
		if steps++; steps == 3 {
			cancel()
		}
		return nil
	}
	if _, err := diffusion.Solve(ctx, p, diffusion.DDIM{}); err != context.Canceled || steps != 3 {
		t.Errorf("error %v after %d steps, want context.Canceled after 3", err, steps)
	}
	p.OnStep = func(s diffusion.Step[float64]) error { return fmt.Errorf("enough") }
	if _, err := diffusion.Solve(context.Background(), p, diffusion.DDIM{}); err == nil || err.Error() != "enough" {
		t.Errorf("error %v, want the callback's own", err)
	}
}
