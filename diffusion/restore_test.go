package diffusion_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"gonum.org/v1/gonum/stat"
)

var mean = []float64{.35, -.2}

// meanModel is mixture on a mean-reverting process.
func meanModel[T diffusion.Float](t testing.TB, p *diffusion.MeanReverting, predicts diffusion.Prediction) diffusion.MeanModel[T] {
	t.Helper()
	m, err := gmm.Reverting(model[T](t, mixture, diffusion.Noise), p.S, predicts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// restorationOf is mixture, restored from n seeded starts.
func restorationOf[T diffusion.Float](t testing.TB, p *diffusion.MeanReverting, steps, n int) diffusion.Restoration[T] {
	t.Helper()
	r := diffusion.Restoration[T]{Model: meanModel[T](t, p, diffusion.Noise), Grid: diffusion.Grid{Schedule: p, Steps: steps}, N: n, Noise: diffusion.Seeded(5)}
	for range n {
		r.Mu = append(r.Mu, T(mean[0]), T(mean[1]))
	}
	return r
}

func restore[T diffusion.Float](t testing.TB, r diffusion.Restoration[T], m diffusion.Method) diffusion.Solution[T] {
	t.Helper()
	s, err := diffusion.Restore(context.Background(), r, m)
	if err != nil {
		t.Fatalf("%+v: %v", m, err)
	}
	return s
}

// TestRestorationOrders measures orders of convergence against the exact solution.
func TestRestorationOrders(t *testing.T) {
	p := reversion(t, diffusion.Reversion{T: 1000})
	r := restorationOf[float64](t, p, 0, 32)
	exact := exactRestoration(t, p, r)
	for _, tt := range []struct {
		name   string
		method diffusion.Method
		lo, hi float64
	}{
		{"order 1", diffusion.MRSampler{Order: 1}, .9, 1.1},
		{"order 1 in noise form is the same map", diffusion.MRSampler{Order: 1, Form: diffusion.NoiseForm}, .9, 1.1},
		{"order 2", diffusion.MRSampler{}, 1.8, 2.3},
		{"order 2, noise", diffusion.MRSampler{Form: diffusion.NoiseForm}, 1.8, 2.3},
		{"order 3 as the authors have it is at least of second order", diffusion.MRSampler{Order: 3}, 1.8, 3.5},
		{"Euler", diffusion.RevertingEuler{}, .8, 1.2},
		{"Euler in the process's time", diffusion.RevertingEuler{Integrated: true}, .8, 1.2},
		{"Heun in the process's time", diffusion.RevertingHeun{Integrated: true}, 1.8, 2.3},
	} {
		var logN, logE []float64
		for _, steps := range []int{125, 250, 500} {
			r.Grid.Steps = steps
			s := restore(t, r, tt.method)
			logN, logE = append(logN, math.Log(float64(s.NFE))), append(logE, math.Log(rms(s.X, exact)))
		}
		if _, slope := stat.LinearRegression(logN, logE, nil, false); -slope < tt.lo || -slope > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, -slope, tt.lo, tt.hi)
		}
	}
}

// TestHeunRates: with the table's θ at both ends, Heun's method is far ahead of
// Euler's at the same cost before its O(1/T) shows.
func TestHeunRates(t *testing.T) {
	p := reversion(t, diffusion.Reversion{T: 1000})
	r := restorationOf[float64](t, p, 80, 16)
	exact := exactRestoration(t, p, r)
	euler, heun := rms(restore(t, r, diffusion.RevertingEuler{}).X, exact), rms(restore(t, r, diffusion.RevertingHeun{}).X, exact)
	if heun > euler/3 {
		t.Errorf("Heun is off by %.3g, Euler by %.3g", heun, euler)
	}
}

// exactRestoration is where the ODE ends.
func exactRestoration(t *testing.T, p *diffusion.MeanReverting, r diffusion.Restoration[float64]) []float64 {
	t.Helper()
	y, err := diffusion.Start[float64](r.Grid, r.N, 2, r.Noise)
	if err != nil {
		t.Fatal(err)
	}
	inner := &gmm.Mixture{W: mixture.W}
	for k, mu := range mixture.Mu {
		inner.Mu = append(inner.Mu, []float64{(mu[0] - mean[0]) / p.S, (mu[1] - mean[1]) / p.S})
		inner.S = append(inner.S, mixture.S[k]/p.S)
	}
	end, err := gmm.Exact(context.Background(), model[float64](t, inner, diffusion.Noise), p, y, r.N, float64(p.T), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range end {
		end[i] = mean[i%2] + p.S*end[i]
	}
	return end
}

// TestRestorationMoments: on one Gaussian every stochastic method gives its mean and
// deviation.
func TestRestorationMoments(t *testing.T) {
	const n = 6000
	one := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1.5}}, S: []float64{.5}}
	p := reversion(t, diffusion.Reversion{})
	m, err := gmm.Reverting(model[float64](t, one, diffusion.Noise), p.S, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	r := diffusion.Restoration[float64]{Model: m, Grid: diffusion.Grid{Schedule: p, Steps: 100}, N: n, Noise: diffusion.Seeded(2), Mu: slices.Repeat([]float64{.3}, n)}
	for name, m := range map[string]diffusion.Method{
		"posterior":                    diffusion.RevertingPosterior{},
		"posterior, published":         diffusion.RevertingPosterior{Published: true},
		"Euler SDE":                    diffusion.RevertingEuler{SDE: true},
		"Heun SDE":                     diffusion.RevertingHeun{SDE: true},
		"Heun SDE in its time":         diffusion.RevertingHeun{SDE: true, Integrated: true},
		"Euler SDE in its time":        diffusion.RevertingEuler{SDE: true, Integrated: true},
		"MR Sampler SDE-1":             diffusion.MRSampler{SDE: true, Order: 1},
		"MR Sampler SDE-2":             diffusion.MRSampler{SDE: true},
		"MR Sampler SDE-1, noise form": diffusion.MRSampler{SDE: true, Order: 1, Form: diffusion.NoiseForm},
		"MR Sampler SDE-2, noise form": diffusion.MRSampler{SDE: true, Form: diffusion.NoiseForm},
	} {
		mean, dev := stat.MeanStdDev(restore(t, r, m).X, nil)
		// Four standard errors are 0.026 and 0.018; the rest is the discretisation, and the
		// start, which knows nothing of the α = 0.005 that is left of the data.
		if math.Abs(mean-1.5) > .04 || math.Abs(dev-.5) > .03 {
			t.Errorf("%s: mean %.4f, deviation %.4f; want 1.5 and 0.5", name, mean, dev)
		}
	}
}

// TestPosterior: the exact form is ancestral sampling; the published one is the same
// with one entry a step, and another with more.
func TestPosterior(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	for _, tt := range []struct {
		steps int
		same  bool
	}{{100, true}, {10, false}} {
		r := restorationOf[float64](t, p, tt.steps, 4)
		r.Grid.Spacing = diffusion.RevertingPosterior{}.Spacing()
		exact := restore(t, r, diffusion.RevertingPosterior{}).X
		if e := rms(exact, restore(t, r, diffusion.DDIM{Eta: 1}).X); e > 1e-10 {
			t.Errorf("%d steps: posterior sampling is off ancestral sampling by %.2g", tt.steps, e)
		}
		if e := rms(exact, restore(t, r, diffusion.RevertingPosterior{Published: true}).X); (e < 1e-10) != tt.same {
			t.Errorf("%d steps: the published loop is off by %.2g, same: %v", tt.steps, e, tt.same)
		}
	}
	r := restorationOf[float64](t, p, 100, 4)
	r.Grid.Spacing = diffusion.IndexGrid{}.Spacing()
	if e := rms(restore(t, r, diffusion.RevertingEuler{}).X, restore(t, r, diffusion.RevertingEuler{Published: true}).X); e != 0 {
		t.Errorf("Euler's published loop with one entry a step is off by %g", e)
	}
}

// TestShiftedMean: moving data and μ moves the result, and nothing else.
func TestShiftedMean(t *testing.T) {
	const c = 2.5
	p := reversion(t, diffusion.Reversion{Interp: diffusion.OfficialInterp})
	for _, m := range diffusion.RestorationMethods() {
		r := restorationOf[float64](t, p, 11, 3)
		want := restore(t, r, m.Method).X
		plain := r.Model
		r.Model = diffusion.MeanFunc[float64]{F: func(ctx context.Context, dst, x, mu []float64, n int, at []diffusion.Level) error {
			return plain.DenoiseMean(ctx, dst, added(x, -c), added(mu, -c), n, at)
		}}
		r.Mu = added(r.Mu, c)
		got := added(restore(t, r, m.Method).X, -c)
		// official tables do not keep constants: of μ they leave O(1/T²)
		if e := rms(got, want); e > 2e-3*c || e > 1e-9 && !strings.HasPrefix(m.Name, "mrs") {
			t.Errorf("%s: off by %.2g", m.Name, e)
		}
		r.Grid.Schedule = reversion(t, diffusion.Reversion{})
		got = added(restore(t, r, m.Method).X, -c)
		r.Mu, r.Model = added(r.Mu, -c), plain
		if e := rms(got, restore(t, r, m.Method).X); e > 1e-9 {
			t.Errorf("%s: off by %.2g on the process itself", m.Name, e)
		}
	}
}

func added(x []float64, c float64) []float64 {
	y := slices.Clone(x)
	for i := range y {
		y[i] += c
	}
	return y
}

// TestRestorationPredictions: what the model estimates changes only the arithmetic,
// and so does the float type; a sample does not depend on its batch.
func TestRestorationPredictions(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	for _, m := range diffusion.RestorationMethods() {
		r := restorationOf[float64](t, p, 12, 4)
		want := restore(t, r, m.Method)
		for _, pred := range []diffusion.Prediction{diffusion.Data, diffusion.Velocity, diffusion.Score} {
			q := r
			q.Model = meanModel[float64](t, p, pred)
			if e := rms(restore(t, q, m.Method).X, want.X); e > 1e-9 {
				t.Errorf("%s of a model that predicts %v differs by %.2g", m.Name, pred, e)
			}
		}
		if want.NFE != 12 {
			t.Errorf("%s: %d evaluations in a budget of 12", m.Name, want.NFE)
		}
		small := restorationOf[float64](t, p, 12, 2)
		if got := restore(t, small, m.Method).X; !slices.Equal(got, want.X[:4]) {
			t.Errorf("%s: 2 samples alone give %v, in a batch of 4 %v", m.Name, got, want.X[:4])
		}
		for i, x := range restore(t, restorationOf[float32](t, p, 12, 4), m.Method).X {
			if math.Abs(float64(x)-want.X[i]) > 2e-3*(1+math.Abs(want.X[i])) { // ε of float32 over α = 0.005
				t.Errorf("%s: x[%d] = %v in float32, %v in float64", m.Name, i, x, want.X[i])
			}
		}
	}
}

// drawsNoise says whether a method is stochastic.
func drawsNoise(t *testing.T, m diffusion.Method) bool {
	t.Helper()
	tp, err := diffusion.Trace(m, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 8}, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tp.Stochastic()
}

// TestAnySampler: every deterministic sampler of the package restores.
func TestAnySampler(t *testing.T) {
	p := reversion(t, diffusion.Reversion{T: 1000})
	r := restorationOf[float64](t, p, 60, 8)
	exact := exactRestoration(t, p, r)
	for _, m := range diffusion.Methods() {
		if drawsNoise(t, m.Method) {
			continue
		}
		r.Grid.Spacing = diffusion.LogSNR
		if e := rms(restore(t, r, m.Method).X, exact); e > .12 {
			t.Errorf("%s: error %.3g after 60 steps", m.Name, e)
		}
	}
}

// TestRestorationBuffers pins what a method costs, and runs it step by step.
func TestRestorationBuffers(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	for _, tt := range []struct {
		method     diffusion.Method
		predicts   diffusion.Prediction
		official   bool
		nfe, slots int
	}{
		{diffusion.MRSampler{}, diffusion.Velocity, false, 50, 3},
		{diffusion.MRSampler{}, diffusion.Noise, true, 50, 4},
		{diffusion.MRSampler{Order: 1}, diffusion.Noise, false, 50, 2},
		{diffusion.MRSampler{Order: 3}, diffusion.Noise, false, 50, 4},
		{diffusion.MRSampler{SDE: true}, diffusion.Velocity, false, 50, 4},
		{diffusion.RevertingPosterior{}, diffusion.Noise, false, 50, 3},
		{diffusion.RevertingEuler{SDE: true}, diffusion.Noise, false, 50, 3},
		{diffusion.RevertingEuler{}, diffusion.Noise, false, 50, 2},
		{diffusion.RevertingHeun{}, diffusion.Noise, false, 50, 4},
		{diffusion.RevertingHeun{Integrated: true}, diffusion.Noise, false, 50, 4},
		{diffusion.RevertingHeun{SDE: true}, diffusion.Noise, false, 50, 5},
	} {
		s := p
		if tt.official {
			s = reversion(t, diffusion.Reversion{Interp: diffusion.OfficialInterp})
		}
		tp, err := diffusion.Trace(tt.method, diffusion.Grid{Schedule: s, Steps: 50}, diffusion.TraceOptions{Predicts: tt.predicts})
		if err != nil {
			t.Fatal(err)
		}
		if tp.NFE() != tt.nfe || tp.Slots() != tt.slots {
			t.Errorf("%+v: %d evaluations in %d buffers, want %d in %d", tt.method, tp.NFE(), tp.Slots(), tt.nfe, tt.slots)
		}
		r := restorationOf[float64](t, s, 50, 2)
		m := meanModel[float64](t, s, tt.predicts)
		bound, err := diffusion.Reverting(s, m, r.Mu)
		if err != nil {
			t.Fatal(err)
		}
		env := diffusion.Env[float64]{Model: bound, Noise: diffusion.Seeded(1)}
		in := [][]float64{{1, 2, 3, 4}, {.1, .2, .3, .4}}[:len(tp.Inputs)]
		whole, err := diffusion.Run(context.Background(), tp, env, 2, in...)
		if err != nil {
			t.Fatal(err)
		}
		for k := range tp.Steps() {
			sl, err := tp.Slice(k, k+1)
			if err != nil {
				t.Fatal(err)
			}
			if in, err = diffusion.Run(context.Background(), sl, env, 2, in...); err != nil {
				t.Fatalf("%+v, step %d: %v", tt.method, k, err)
			}
		}
		if !slices.Equal(in[0], whole[0]) {
			t.Errorf("%+v: slices give %v, the whole tape %v", tt.method, in[0], whole[0])
		}
	}
}

// TestRestoreHook: thresholds and clipping see pixels, not (x − μ)/s.
func TestRestoreHook(t *testing.T) {
	for _, interp := range []diffusion.TableInterp{diffusion.RateInterp, diffusion.OfficialInterp} {
		p := reversion(t, diffusion.Reversion{Interp: interp})
		r := restorationOf[float64](t, p, 10, 16)
		r.Model = meanModel[float64](t, p, diffusion.Velocity)
		free := restore(t, r, diffusion.MRSampler{DenoiseLast: true}).X
		if slices.Max(free) <= .5 {
			t.Fatal("nothing to clip")
		}
		r.Hook = func([]float64, int, diffusion.Level) error { return nil }
		if e := rms(restore(t, r, diffusion.MRSampler{DenoiseLast: true}).X, free); e > 1e-9 {
			t.Errorf("a hook that changes nothing changes the result by %.2g", e)
		}
		hook, err := diffusion.StaticThreshold[float64](.5)
		if err != nil {
			t.Fatal(err)
		}
		r.Hook = hook
		if x := restore(t, r, diffusion.MRSampler{DenoiseLast: true}).X; slices.Max(x) > .5+1e-12 || slices.Min(x) < -.5-1e-12 {
			t.Errorf("data predictions clipped to ±0.5 end between %g and %g", slices.Min(x), slices.Max(x))
		}
		if _, err := diffusion.Restore(context.Background(), r, diffusion.MRSampler{Form: diffusion.NoiseForm}); err == nil || !strings.Contains(err.Error(), "has no effect") {
			t.Errorf("thresholding in noise form: %v", err)
		}
		r.Hook, r.Lo, r.Hi = nil, 0, 1
		if x := restore(t, r, diffusion.MRSampler{}).X; slices.Max(x) > 1 || slices.Min(x) < 0 {
			t.Errorf("clipped to [0, 1] the result lies between %g and %g", slices.Min(x), slices.Max(x))
		}
	}
	bounded, err := diffusion.BoundedThreshold[float64](1, 1, 1.5)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{-3, .375, .75, 1.5}
	if err := bounded(x, 1, diffusion.Level{}); err != nil || !slices.Equal(x, []float64{-1, .25, .5, 1}) {
		t.Errorf("a threshold of at most 1.5 gives %v, %v", x, err)
	}
	if _, err := diffusion.BoundedThreshold[float64](.9, 2, 1); err == nil {
		t.Error("threshold limits 2, 1 are accepted")
	}
}

func TestRestoreErrors(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	type R = diffusion.Restoration[float64]
	ok := func(*R) {}
	for _, tt := range []struct {
		name   string
		method diffusion.Method
		change func(r *R)
		want   string
	}{
		{"no model", diffusion.MRSampler{}, func(r *R) { r.Model = nil }, "no model"},
		{"no method", nil, ok, "no method"},
		{"a plain schedule", diffusion.MRSampler{}, func(r *R) { r.Grid.Schedule = diffusion.VPLinear{} }, "runs on a mean-reverting schedule, not on diffusion.VPLinear"},
		{"no schedule", diffusion.MRSampler{}, func(r *R) { r.Grid.Schedule = nil }, "not on <nil>"},
		{"x and mu of two shapes", diffusion.MRSampler{}, func(r *R) { r.X = make([]float64, 6) }, "x has 6 numbers, mu 8"},
		{"a ragged batch", diffusion.MRSampler{}, func(r *R) { r.N = 3 }, "mu has 8 numbers: want 3 images"},
		{"no images", diffusion.MRSampler{}, func(r *R) { r.Mu = nil }, "mu has 0 numbers"},
		{"mu with NaN", diffusion.MRSampler{}, func(r *R) { r.Mu[3] = math.NaN() }, "mu[3] = NaN"},
		{"no noise and no start", diffusion.MRSampler{}, func(r *R) { r.Noise = nil }, "no noise source"},
		{"an empty range", diffusion.MRSampler{}, func(r *R) { r.Lo, r.Hi = 1, 0 }, "clip to [1, 0]"},
		{"order 3 of the SDE", diffusion.MRSampler{SDE: true, Order: 3}, ok, "order 3 for the SDE: must be 1 or 2"},
		{"order 4", diffusion.MRSampler{Order: 4}, ok, "order 4: must be 1 to 3"},
		{"unknown form", diffusion.MRSampler{Form: 7}, ok, "form 7"},
		{"fewer steps than the order", diffusion.MRSampler{Order: 3}, func(r *R) { r.Grid.Steps = 2 }, "2 steps: MR Sampler of order 3 needs at least 3"},
		{"no steps", diffusion.RevertingEuler{}, func(r *R) { r.Grid.Steps = 0 }, "0 steps"},
		{"too little recorded noise", diffusion.MRSampler{SDE: true}, func(r *R) { r.X, r.Noise = r.Mu, diffusion.Recorded{} }, "no recorded draw"},
		{"the SDE backwards", diffusion.MRSampler{SDE: true}, func(r *R) {
			r.Grid.Spacing = diffusion.TimeUniform
			r.Grid.Start, r.Grid.End = 0, 100
		}, "from noise to data only"},
		{"posterior sampling backwards", diffusion.RevertingPosterior{}, func(r *R) {
			r.Grid.Spacing = diffusion.TimeUniform
			r.Grid.Start, r.Grid.End = 0, 100
		}, "from noise to data"},
		{"beyond the table", diffusion.MRSampler{}, func(r *R) { r.Grid.Start, r.Grid.End = 120, 1 }, "times must be positive"},
		{"two readings of a long step", diffusion.RevertingEuler{Published: true, Integrated: true}, ok, "both Published and Integrated"},
		{"a published step below index 1", diffusion.RevertingPosterior{Published: true}, func(r *R) {
			r.Grid.Steps, r.Grid.Spacing = 2, diffusion.Explicit(50, .5, 0)
		}, "must be 1 at least"},
	} {
		r := restorationOf[float64](t, p, 10, 4)
		tt.change(&r)
		if _, err := diffusion.Restore(context.Background(), r, tt.method); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one with %q", tt.name, err, tt.want)
		}
	}
}

// TestReversionMismatch: a mean-reverting model is refused on a plain schedule, and a
// plain one on a mean-reverting schedule, also when wrapped.
func TestReversionMismatch(t *testing.T) {
	p, other := reversion(t, diffusion.Reversion{}), reversion(t, diffusion.Reversion{T: 50})
	bound, err := diffusion.Reverting(p, meanModel[float64](t, p, diffusion.Data), mean)
	if err != nil {
		t.Fatal(err)
	}
	plain := model[float64](t, mixture, diffusion.Noise)
	guided, err := diffusion.NewGuided(bound, bound, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		model    diffusion.Denoiser[float64]
		schedule diffusion.Schedule
		want     string
	}{
		"a plain model on a mean-reverting schedule": {plain, p, "the schedule is mean-reverting, but the model knows no mean"},
		"a bound model on a plain schedule":          {bound, diffusion.Cosine{}, "the model is mean-reverting"},
		"the same behind a conversion":               {diffusion.AsNoise(bound), diffusion.Cosine{}, "the model is mean-reverting"},
		"the same under guidance":                    {guided, diffusion.Cosine{}, "the model is mean-reverting"},
		"a bound model on another process":           {bound, other, "mean-reverting process"},
		"a wrapper that says nothing":                {diffusion.Func[float64]{Prediction: diffusion.Data, F: bound.Denoise}, diffusion.Cosine{}, "the model is mean-reverting, and its process has"},
	} {
		pr := diffusion.Problem[float64]{Model: tt.model, Grid: diffusion.Grid{Schedule: tt.schedule, Steps: 4}, X: []float64{1, 2}, N: 1}
		if _, err := diffusion.Solve(context.Background(), pr, diffusion.DPMSolver{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
		if name == "a wrapper that says nothing" {
			continue
		}
		if _, err := diffusion.SolveAdaptive(context.Background(), pr, diffusion.Adaptive{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, adaptively: %v, want an error with %q", name, err, tt.want)
		}
	}
	pr := diffusion.Problem[float64]{Model: diffusion.AsNoise(bound), Grid: diffusion.Grid{Schedule: p, Steps: 4}, X: []float64{1, 2}, N: 1}
	if _, err := diffusion.Solve(context.Background(), pr, diffusion.DPMSolver{}); err != nil {
		t.Errorf("a bound model on its own schedule: %v", err)
	}
}
