package mcmc_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/rng"
)

var (
	three = &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .15}}
	ve    = diffusion.EDM{}
)

func target(t testing.TB, s diffusion.Schedule, levels []float64) mcmc.Target[float64] {
	t.Helper()
	model, err := gmm.Model[float64](three, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	post, err := mcmc.Exact[float64](three, levels)
	if err != nil {
		t.Fatal(err)
	}
	return mcmc.Target[float64]{Model: model, Schedule: s, Posterior: post}
}

// data is a state of n chains at σ = 0.5.
func data(n int) mcmc.State[float64] {
	r := rng.Stream(1)
	st := mcmc.State[float64]{X: three.Sample(n, r), Sigma: slices.Repeat([]float64{.5}, n)}
	for i := range st.X {
		st.X[i] += .5 * r.NormFloat64()
	}
	return st
}

func TestLadder(t *testing.T) {
	ls := mcmc.Ladder(.01, 50, 1000)
	last := .01 * math.Pow(5000, 1e-3)
	if len(ls) != 1000 || math.Abs(ls[0]-50) > 1e-12 || math.Abs(ls[999]-last) > 1e-14 {
		t.Errorf("from %v to %v: want 50 to %v", ls[0], ls[999], last)
	}
	for i := 2; i < len(ls); i++ {
		if r := ls[i] / ls[i-1] / (ls[1] / ls[0]); math.Abs(r-1) > 1e-12 {
			t.Fatalf("the ratio of levels %d and %d differs from the first by %g", i, i-1, r-1)
		}
	}
}

// TestExact: the log-probabilities are log-densities by the definition, and far away
// too, where every density is 0 in float64.
func TestExact(t *testing.T) {
	levels := mcmc.Ladder(.01, 50, 20)
	post := target(t, ve, levels).Posterior
	x := []float64{.2, .4, -1, 1, 40, -40}
	got := make([]float64, 3*len(levels))
	if err := post.LogProbs(context.Background(), got, x, 3); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for l, sigma := range levels {
			want := math.Inf(-1)
			for k, w := range three.W {
				v := three.S[k]*three.S[k] + sigma*sigma
				q := math.Pow(x[2*i]-three.Mu[k][0], 2) + math.Pow(x[2*i+1]-three.Mu[k][1], 2)
				term := math.Log(w) - q/(2*v) - math.Log(2*math.Pi*v)
				top := max(want, term)
				want = top + math.Log(math.Exp(want-top)+math.Exp(term-top))
			}
			if g := got[i*len(levels)+l]; math.Abs(g-want) > 1e-12*(1+math.Abs(want)) {
				t.Errorf("x = %v, σ = %g: %v, want %v", x[2*i:2*i+2], sigma, g, want)
			}
		}
	}
}

func TestDraw(t *testing.T) {
	logp := []float64{-1000, -1000 + math.Log(2), -1000, math.Inf(-1)} // ¼, ½, ¼, 0
	for _, tt := range []struct {
		name string
		u    float64
		want int
	}{
		{"the first", 0, 0}, {"past its cumulative probability", .2500001, 1},
		{"the third", .8, 2},
	} {
		if got, err := mcmc.Draw(logp, tt.u); err != nil || got != tt.want {
			t.Errorf("%s: u = %g gives %d, %v; want %d", tt.name, tt.u, got, err, tt.want)
		}
	}
	if got, err := mcmc.Draw(make([]float64, 4), .5); err != nil || got != 1 { // of probabilities ¼, without rounding
		t.Errorf("u at a cumulative probability: %d, %v; want the level that reaches it", got, err)
	}
	if got, err := mcmc.Argmax([]float64{1, 3, 3}); err != nil || got != 1 {
		t.Errorf("the first of equals: %d, %v", got, err)
	}
	for name, bad := range map[string][]float64{"none": {}, "NaN": {0, math.NaN()}, "all impossible": {math.Inf(-1)}, "+Inf": {0, math.Inf(1)}} {
		if _, err := mcmc.Draw(bad, .5); err == nil {
			t.Errorf("%s: a level is drawn", name)
		}
	}
	if _, err := mcmc.Draw(logp, math.NaN()); err == nil {
		t.Error("u = NaN is accepted")
	}
}

// TestStep holds one iteration against its formula, on a schedule whose α is not 1.
func TestStep(t *testing.T) {
	for _, s := range []diffusion.Schedule{ve, diffusion.VPLinear{}} {
		tg := target(t, s, mcmc.Ladder(.01, 50, 50))
		st, src := data(5), mcmc.Seeded(3)
		c, err := mcmc.New(tg, mcmc.Config{Eta: .07}, st, src)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := c.State()
		score, err := gmm.Model[float64](three, diffusion.Score)
		if err != nil {
			t.Fatal(err)
		}
		z, g := make([]float64, 2), make([]float64, 2)
		logp := make([]float64, 50)
		for i := range 5 {
			row := st.X[2*i : 2*i+2]
			if err := score.Denoise(context.Background(), g, row, 1, []diffusion.Level{ve.At(.5)}); err != nil {
				t.Fatal(err)
			}
			if err := src.Normal(z, 0, i); err != nil {
				t.Fatal(err)
			}
			for j := range 2 {
				want := row[j] + .07/2*g[j] + math.Sqrt(.07)*z[j]
				if x := got.X[2*i+j]; math.Abs(x-want) > 1e-9 { // σ to time and back
					t.Errorf("%T, chain %d: x[%d] = %v, want %v", s, i, j, x, want)
				}
			}
			if err := tg.Posterior.LogProbs(context.Background(), logp, got.X[2*i:2*i+2], 1); err != nil {
				t.Fatal(err)
			}
			u, err := src.Uniform(0, i)
			if err != nil {
				t.Fatal(err)
			}
			if k, err := mcmc.Draw(logp, u); err != nil || got.Sigma[i] != tg.Posterior.Levels()[k] {
				t.Errorf("%T, chain %d: σ = %v, want %v (%v)", s, i, got.Sigma[i], tg.Posterior.Levels()[k], err)
			}
		}
	}
}

// TestChainsAreAlone: a chain depends neither on the others nor on the workers.
func TestChainsAreAlone(t *testing.T) {
	tg, st := target(t, ve, mcmc.Ladder(.01, 50, 60)), data(7)
	walk := func(st mcmc.State[float64], workers int) mcmc.State[float64] {
		c, err := mcmc.New(tg, mcmc.Config{Eta: .05, Workers: workers}, st, mcmc.Seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := c.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return c.State()
	}
	want := walk(st, 1)
	for _, workers := range []int{2, 3, 16} {
		if got := walk(st, workers); !slices.Equal(got.X, want.X) || !slices.Equal(got.Sigma, want.Sigma) {
			t.Errorf("%d workers give another walk", workers)
		}
	}
	if got := walk(mcmc.State[float64]{X: st.X[:4], Sigma: st.Sigma[:2]}, 1); !slices.Equal(got.X, want.X[:4]) {
		t.Errorf("two chains alone walk to %v, among seven to %v", got.X, want.X[:4])
	}
}

// TestSmallestLevel: a sample is denoised from the smallest level since the last one,
// and the chain goes on from its last state.
func TestSmallestLevel(t *testing.T) {
	tg, st := target(t, ve, mcmc.Ladder(.01, 50, 60)), data(6)
	cfg := mcmc.Config{Eta: .05, Skip: 4}
	a, err := mcmc.New(tg, cfg, st, mcmc.Seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	b, err := mcmc.New(tg, cfg, st, mcmc.Seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	round := 0
	denoise := func(_ context.Context, from mcmc.State[float64], batch int) ([]float64, int, error) {
		if batch != round {
			t.Errorf("batch %d, want %d", batch, round)
		}
		return from.X, 5, nil
	}
	for s, err := range a.Samples(context.Background(), denoise) {
		if err != nil {
			t.Fatal(err)
		}
		seen := []mcmc.State[float64]{b.State()}
		for range cfg.Skip {
			if err := b.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			seen = append(seen, b.State())
		}
		for i := range 6 {
			best := seen[0]
			for _, v := range seen {
				if v.Sigma[i] < best.Sigma[i] {
					best = v
				}
			}
			if s.From.Sigma[i] != best.Sigma[i] || s.From.X[2*i] != best.X[2*i] {
				t.Errorf("round %d, chain %d: σ = %v, want %v", round, i, s.From.Sigma[i], best.Sigma[i])
			}
		}
		if s.NFE != cfg.Skip+5 {
			t.Errorf("%d evaluations, want %d", s.NFE, cfg.Skip+5)
		}
		if round++; round == 3 {
			break
		}
	}
	if got := a.Iterations(); got != 3*cfg.Skip {
		t.Errorf("%d iterations, want %d", got, 3*cfg.Skip)
	}
}

// TestIntegrator: each state from its own level, on any schedule, by any method; what
// stands below SigmaMin takes one Euler step.
func TestIntegrator(t *testing.T) {
	model, err := gmm.Model[float64](three, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	st := mcmc.State[float64]{X: []float64{.9, -.3, -1, 1, .5, 1.2}, Sigma: []float64{.3, 2, .004}}
	for _, m := range []diffusion.Method{nil, diffusion.Churned, diffusion.DPMSolver{}, diffusion.ReverseDiffusion{}} {
		var first []float64
		for _, s := range []diffusion.Schedule{ve, diffusion.VPLinear{}} {
			g := mcmc.Integrator[float64]{Model: model, Schedule: s, Method: m, Steps: 4, Tweedie: -1, Noise: diffusion.Seeded(1)}
			x, nfe, err := g.Denoise(context.Background(), st, 0)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 7, false: 4}[m == nil || m == diffusion.Method(diffusion.Churned)]; nfe != want {
				t.Errorf("%T: %d evaluations, want %d", m, nfe, want)
			}
			eps := make([]float64, 2)
			if err := model.Denoise(context.Background(), eps, st.X[4:], 1, []diffusion.Level{ve.At(.01)}); err != nil {
				t.Fatal(err)
			}
			for j, e := range eps {
				if want := st.X[4+j] - .01*e; math.Abs(x[4+j]-want) > 1e-4 { // from 1.000001 σ, noise of that step
					t.Errorf("%T on %T: below the end x = %v, want %v", m, s, x[4+j], want)
				}
			}
			if first == nil {
				first = x
			}
			for i := range x {
				if math.Abs(x[i]-first[i]) > 1e-7 {
					t.Errorf("%T: x[%d] = %v on %T, %v on the first schedule", m, i, x[i], s, first[i])
				}
			}
			g.Strict = true
			if _, _, err := g.Denoise(context.Background(), st, 0); err == nil || !strings.Contains(err.Error(), "chain 2 stands at σ = 0.004") {
				t.Errorf("strict: error %v", err)
			}
		}
	}
}

// TestTweedie is the step x + τ²·s(x, τ).
func TestTweedie(t *testing.T) {
	tg := target(t, ve, mcmc.Ladder(.01, 50, 10))
	st := mcmc.State[float64]{X: []float64{.9, -.3}, Sigma: []float64{.3}}
	g := mcmc.Integrator[float64]{Model: tg.Model, Schedule: ve, Tweedie: -1}
	x, calls, err := g.Denoise(context.Background(), st, 0)
	if err != nil {
		t.Fatal(err)
	}
	g.Tweedie = .05
	got, more, err := g.Denoise(context.Background(), st, 0)
	if err != nil {
		t.Fatal(err)
	}
	eps := make([]float64, 2)
	if err := tg.Model.Denoise(context.Background(), eps, x, 1, []diffusion.Level{ve.At(.05)}); err != nil {
		t.Fatal(err)
	}
	for i := range x {
		if want := x[i] - .05*eps[i]; math.Abs(got[i]-want) > 1e-12 || more != calls+1 {
			t.Errorf("x[%d] = %v after %d calls, want %v after %d", i, got[i], more, want, calls+1)
		}
	}
}

// TestSamples draws from the mixture by chains: mean and covariance are the data's.
func TestSamples(t *testing.T) {
	const n, rounds = 400, 12
	tg := target(t, ve, mcmc.Ladder(.01, 1, 60)) // in two dimensions a higher one would take the chains away
	tg.Model = diffusion.Split(tg.Model, 2)
	cfg := mcmc.Config{Eta: .02, Skip: 6}
	st, nfe, err := mcmc.Start(context.Background(), tg, cfg, mcmc.Init{SigmaMax: 50, Burn: []mcmc.Burn{{Iterations: 10}}}, n, 2, mcmc.Seeded(4))
	if err != nil {
		t.Fatal(err)
	}
	if nfe != 37+10 {
		t.Errorf("%d evaluations before the first sample, want 37 of KAR2 and 10 of the walk", nfe)
	}
	c, err := mcmc.New(tg, cfg, st, mcmc.Seeded(4))
	if err != nil {
		t.Fatal(err)
	}
	g := mcmc.Integrator[float64]{Model: tg.Model, Schedule: ve, Steps: 8}
	mean, cov := three.Moments()
	var x []float64
	for s, err := range c.Samples(context.Background(), g.Denoise) {
		if err != nil {
			t.Fatal(err)
		}
		if x = append(x, s.X...); len(x) == 2*n*rounds {
			break
		}
	}
	var m [2]float64
	for i, v := range x {
		m[i%2] += v / (n * rounds)
	}
	for j := range 2 {
		var v float64
		for i := j; i < len(x); i += 2 {
			v += (x[i] - m[j]) * (x[i] - m[j]) / (n * rounds)
		}
		// Four standard errors of 400 independent chains: samples of one are alike.
		if math.Abs(m[j]-mean[j]) > 4*math.Sqrt(cov[3*j]/n) || math.Abs(v/cov[3*j]-1) > 4*math.Sqrt(2./n) {
			t.Errorf("coordinate %d: mean %.3f and variance %.3f, want %.3f and %.3f", j, m[j], v, mean[j], cov[3*j])
		}
	}
}

// TestOvershoot: chains that step too far for their level are told.
func TestOvershoot(t *testing.T) {
	tg := target(t, ve, mcmc.Ladder(.01, 50, 100))
	for _, eta := range []float64{.01, 100} {
		c, err := mcmc.New(tg, mcmc.Config{Eta: eta, Skip: 1}, data(50), mcmc.Seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		same := func(_ context.Context, from mcmc.State[float64], _ int) ([]float64, int, error) {
			return from.X, 0, nil
		}
		for s, err := range c.Samples(context.Background(), same) {
			if err != nil {
				t.Fatal(err)
			}
			if want := eta / .25; math.Abs(s.Overshoot/want-1) > 1e-12 || (s.Overshoot > mcmc.MaxOvershoot) != (eta == 100) {
				t.Errorf("η = %g at σ = 0.5: overshoot %g, want %g", eta, s.Overshoot, want)
			}
			break
		}
	}
}

func TestErrors(t *testing.T) {
	levels := mcmc.Ladder(.01, 50, 10)
	type setting struct {
		tg  mcmc.Target[float64]
		cfg mcmc.Config
		st  mcmc.State[float64]
		src mcmc.Source
	}
	for _, tt := range []struct {
		name   string
		change func(*setting)
		want   string
	}{
		{"negative eta", func(s *setting) { s.cfg.Eta = -1 }, "eta = -1"},
		{"NaN eta", func(s *setting) { s.cfg.Eta = math.NaN() }, "eta = NaN"},
		{"negative skip", func(s *setting) { s.cfg.Skip = -1 }, "every -1 iterations"},
		{"negative workers", func(s *setting) { s.cfg.Workers = -1 }, "-1 workers"},
		{"no chains", func(s *setting) { s.st = mcmc.State[float64]{} }, "0 chains"},
		{"ragged chains", func(s *setting) { s.st.X = s.st.X[:5] }, "5 numbers for 3 chains"},
		{"a level of 0", func(s *setting) { s.st.Sigma[1] = 0 }, "chain 1: σ = 0"},
		{"a state with NaN", func(s *setting) { s.st.X[4] = math.NaN() }, "chain 2"},
		{"no model", func(s *setting) { s.tg.Model = nil }, "none may be missing"},
		{"no posterior", func(s *setting) { s.tg.Posterior = nil }, "none may be missing"},
		{"no source", func(s *setting) { s.src = nil }, "source"},
	} {
		s := setting{target(t, ve, levels), mcmc.Config{}, data(3), mcmc.Seeded(1)}
		tt.change(&s)
		if _, err := mcmc.New(s.tg, s.cfg, s.st, s.src); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	for name, bad := range map[string][]float64{"none": nil, "rising": {1, 2}, "zero": {1, 0}} {
		if _, err := mcmc.Exact[float64](three, bad); err == nil {
			t.Errorf("levels %s are accepted", name)
		}
	}
	if _, err := mcmc.Exact[float64](&gmm.Mixture{}, levels); err == nil {
		t.Error("an empty mixture is accepted")
	}
	if _, _, err := mcmc.Start(context.Background(), target(t, ve, levels), mcmc.Config{}, mcmc.Init{Jitter: -1}, 2, 2, 1); err == nil {
		t.Error("negative jitter is accepted")
	}
	if _, _, err := mcmc.Start(context.Background(), target(t, ve, levels), mcmc.Config{}, mcmc.Init{Burn: []mcmc.Burn{{1, -1}}}, 2, 2, 1); err == nil {
		t.Error("a negative number of iterations is accepted")
	}
	if _, _, err := (mcmc.Integrator[float64]{}).Denoise(context.Background(), data(2), 0); err == nil {
		t.Error("an integrator without a model is accepted")
	}
}

// TestScoreError names the chain whose score is NaN, and Samples stops there.
func TestScoreError(t *testing.T) {
	tg := target(t, ve, mcmc.Ladder(.01, 50, 10))
	exact, calls := tg.Model, 0
	tg.Model = diffusion.Func[float64]{F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
		err := exact.Denoise(ctx, dst, x, n, at)
		if calls++; calls == 3 {
			dst[2*4+1] = math.NaN()
		}
		return err
	}}
	c, err := mcmc.New(tg, mcmc.Config{Skip: 2}, data(6), mcmc.Seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	same := func(_ context.Context, from mcmc.State[float64], _ int) ([]float64, int, error) {
		return from.X, 0, nil
	}
	var last error
	rounds := 0
	for _, err := range c.Samples(context.Background(), same) {
		last = err
		rounds++
	}
	var e *mcmc.ScoreError
	if !errors.As(last, &e) || e.Chain != 4 || e.Iteration != 3 || rounds != 2 {
		t.Errorf("error %v after %d rounds, want one for chain 4 in iteration 3, in round 2", last, rounds)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Step(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}
