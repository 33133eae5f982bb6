package search

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/search/evo"
	"github.com/assay-lab/assay/search/evo/gru"
)

var noise = diffusion.VPLinear{}

// spaces are the kinds of spaces there are.
func spaces() map[string]Space {
	return map[string]Space{
		"plain":              {Noise: noise, NFE: 6},
		"one evaluation":     {Noise: noise, NFE: 1},
		"everything allowed": {Noise: noise, NFE: 7, V3: true, Average: true, Implicit: true, EndTo: 5e-3},
		"no guess":           {Noise: noise, NFE: 4, NoGuess: true},
		"uniform":            {Noise: noise, NFE: 8, Uniform: true},
		"variance exploding": {Noise: diffusion.EDM{}, NFE: 5},
		"wild":               {Noise: noise, NFE: 12, TimeSigma: 3, RelaxSigma: 10, Implicit: true},
	}
}

// TestChildrenAreInTheSpace breeds long lines of children: all are valid, cost what
// they should, and leave their parents as they were.
func TestChildrenAreInTheSpace(t *testing.T) {
	for name, sp := range spaces() {
		t.Run(name, func(t *testing.T) {
			pool, err := sp.Baselines()
			if err != nil {
				t.Fatal(err)
			}
			start, end := sp.ends()
			features := len(sp.Features(pool[0]))
			r := rng.Stream(11)
			for i := range 1000 {
				a, b := pool[r.IntN(len(pool))], pool[r.IntN(len(pool))]
				before := text(t, a) + text(t, b)
				child := sp.Mutate(r, sp.Cross(r, a, b))
				if before != text(t, a)+text(t, b) {
					t.Fatal("a parent has changed")
				}
				if child.First == diffusion.FirstAverage {
					finished := Scorer[float64]{Noise: sp.Noise, Average: []float64{0}}.Finish(child)
					if err := finished.Validate(); err != nil {
						t.Fatal(err)
					}
				} else if err := child.Validate(); err != nil {
					t.Fatalf("child %d: %v", i, err)
				}
				n := len(child.Times) - 1
				if child.NFE() != sp.NFE || child.Times[0] != start || sp.EndTo == 0 && child.Times[n] != end || child.Times[n] < end {
					t.Fatalf("child %d: %d evaluations from %g to %g", i, child.NFE(), child.Times[0], child.Times[n])
				}
				if sp.NoGuess && child.First != diffusion.FirstModel {
					t.Fatal("a guess where none is allowed")
				}
				if f := sp.Features(child); len(f) != features || slices.ContainsFunc(f, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) {
					t.Fatalf("child %d has %d features, want %d finite ones: %v", i, len(f), features, f)
				}
				if text(t, child) != text(t, child.Complete()) {
					t.Fatal("a child with decisions left out")
				}
				pool[r.IntN(len(pool))] = child
			}
		})
	}
}

func text(t *testing.T, s Schedule) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryDecisionVaries: nothing in the space is out of reach.
func TestEveryDecisionVaries(t *testing.T) {
	sp := spaces()["everything allowed"]
	start, err := sp.Baselines()
	if err != nil {
		t.Fatal(err)
	}
	if len(start) != 54 {
		t.Errorf("%d baselines, want 3 spacings × 3 orders × 3 forms × 2", len(start))
	}
	r := rng.Stream(5)
	seen := map[string]bool{}
	s := start[7]
	for range 2000 {
		s = sp.Mutate(r, s)
		seen["first "+string(s.First)] = true
		for _, d := range s.Steps {
			seen["form "+string(d.Form)] = true
			seen["correction "+string(d.Correction)] = true
			seen["relaxation "+string(d.Relaxation)] = true
			if fewPoints(d) && d.Order > 2 {
				seen["few points"] = true
			}
			if d.Order == 4 {
				seen["order 4"] = true
			}
		}
		if s.Times[len(s.Times)-1] > 2e-3 {
			seen["a later end"] = true
		}
		if len(s.Steps) > 7 {
			seen["a step more for a guess"] = true
		}
		if len(s.Steps) < 6 {
			seen["steps fewer for implicit correctors"] = true
		}
	}
	for _, want := range []string{"first ", "first zero_x0", "first average_x0", "form data", "form noise", "form v3", "correction ", "correction pseudo", "correction implicit",
		"relaxation linear", "few points", "order 4", "a later end", "a step more for a guess", "steps fewer for implicit correctors"} {
		if !seen[want] {
			t.Errorf("never seen: %s", want)
		}
	}
}

// scorer scores on a small mixture.
func scorer(t *testing.T, seed diffusion.Seeded, n int) Scorer[float64] {
	t.Helper()
	m := &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .35}}
	model, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	g := diffusion.Grid{Schedule: noise}
	x, err := diffusion.Start[float64](g, n, 2, seed)
	if err != nil {
		t.Fatal(err)
	}
	end, start := noise.Range()
	truth, err := gmm.Exact(context.Background(), model, noise, x, n, start, end)
	if err != nil {
		t.Fatal(err)
	}
	return Scorer[float64]{Model: model, Noise: noise, X: x, Truth: truth, N: n, Average: []float64{.2, .3}}
}

// TestSearchPays: what is found beats all standard solvers on starts that the search
// has not seen, and a file of it gives the same samples.
func TestSearchPays(t *testing.T) {
	sp := Space{Noise: noise, NFE: 5, Average: true}
	train, held := scorer(t, 1, 32), scorer(t, 2, 128)
	s, err := sp.Evolution(train.Score, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	score := func(s Schedule) float64 {
		e, err := held.Score(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	standard := math.Inf(1)
	for _, b := range s.Start {
		standard = min(standard, score(b))
	}
	found := score(r.Best.X)
	if found > .7*standard {
		t.Errorf("error %.4g, of the best standard solver %.4g", found, standard)
	}
	back, err := diffusion.ParseSolverSchedule([]byte(text(t, train.Finish(r.Best.X))))
	if err != nil {
		t.Fatal(err)
	}
	if again := score(back); again != found {
		t.Errorf("read from a file the schedule's error is %g, not %g", again, found)
	}
}

func TestScorer(t *testing.T) {
	sc := scorer(t, 1, 4)
	sp := Space{Noise: noise, NFE: 4}
	start, err := sp.Baselines()
	if err != nil {
		t.Fatal(err)
	}
	good := start[0]
	model := sc.Model
	answer := func(f func(dst []float64) error) diffusion.Denoiser[float64] {
		return diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
			if err := model.Denoise(ctx, dst, x, n, at); err != nil {
				return err
			}
			return f(dst)
		}}
	}
	sc.Model = answer(func(dst []float64) error { dst[3] = math.NaN(); return nil })
	if s, err := sc.Score(context.Background(), good); err != nil || !math.IsInf(s, 1) {
		t.Errorf("a model that diverges: score %g, %v; want +Inf", s, err)
	}
	failed := errors.New("out of memory")
	sc.Model = answer(func([]float64) error { return failed })
	if _, err := sc.Score(context.Background(), good); !errors.Is(err, failed) {
		t.Errorf("a model that fails: %v", err)
	}
	sc.Model = model
	coarse := good.Complete()
	coarse.Steps[1].Form = diffusion.StepV3
	if s, err := sc.Score(context.Background(), coarse); err != nil || !math.IsInf(s, 1) {
		t.Errorf("a schedule that cannot be traced: score %g, %v; want +Inf", s, err)
	}
	sc.Truth = sc.Truth[:3]
	if _, err := sc.Score(context.Background(), good); err == nil || !strings.Contains(err.Error(), "3 numbers of truth for 8") {
		t.Errorf("too little truth: %v", err)
	}
}

func TestSpaceErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		sp   Space
		want string
	}{
		"no noise schedule":        {Space{NFE: 5}, "no noise schedule"},
		"no evaluations":           {Space{Noise: noise}, "NFE = 0"},
		"times that rise":          {Space{Noise: noise, NFE: 5, Start: .1, End: .5}, "from t = 0.1 to 0.5"},
		"a last time at the start": {Space{Noise: noise, NFE: 5, EndTo: 1}, "last time up to 1"},
		"negative spread":          {Space{Noise: noise, NFE: 5, TimeSigma: -1}, "time sigma = -1"},
	} {
		if _, err := tt.sp.Baselines(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	if _, err := (Space{Noise: noise, NFE: 5}).Evolution(nil, 10, 1); err == nil || !strings.Contains(err.Error(), "36 standard solvers") {
		t.Errorf("a budget below the baselines: %v", err)
	}
}

// TestPredictorsRankSchedules: on schedules that they have not learnt from, both
// predictors see which are better.
func TestPredictorsRankSchedules(t *testing.T) {
	sp := Space{Noise: noise, NFE: 5}
	sc := scorer(t, 1, 16)
	start, err := sp.Baselines()
	if err != nil {
		t.Fatal(err)
	}
	r := rng.Stream(9)
	var known []evo.Scored[Schedule]
	for i := range 360 {
		x := start[i%len(start)]
		if i >= len(start) {
			x = sp.Mutate(r, x)
		}
		s, err := sc.Score(context.Background(), x)
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, evo.Scored[Schedule]{X: x, Score: s})
	}
	train, test := known[:260], known[260:]
	xs, scores := make([]Schedule, len(test)), make([]float64, len(test))
	for i, k := range test {
		xs[i], scores[i] = k.X, k.Score
	}
	for name, p := range map[string]evo.Predictor[Schedule]{
		"Gaussian process": sp.Screen().Predictor,
		"recurrent":        &gru.Ranker[Schedule]{Steps: sp.StepFeatures, Length: sp.NFE + 1, Train: 100},
	} {
		if err := p.Fit(context.Background(), rand.New(rand.NewPCG(1, 2)), train); err != nil {
			t.Fatal(err)
		}
		predicted, err := p.Predict(xs)
		if err != nil {
			t.Fatal(err)
		}
		if rank := evo.RankCorrelation(predicted, scores); rank < .5 {
			t.Errorf("%s: rank correlation %.2f on schedules not learnt from, want at least 0.5", name, rank)
		} else {
			t.Logf("%s: %.2f", name, rank)
		}
	}
}

// BenchmarkScore is the cost of a candidate with a model that costs a copy: tracing
// and running 64 samples of 8 numbers for 5 evaluations.
func BenchmarkScore(b *testing.B) {
	sp := Space{Noise: noise, NFE: 5}
	start, err := sp.Baselines()
	if err != nil {
		b.Fatal(err)
	}
	x := make([]float64, 64*8)
	free := diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(_ context.Context, dst, x []float64, _ int, _ []diffusion.Level) error {
		copy(dst, x)
		return nil
	}}
	sc := Scorer[float64]{Model: free, Noise: noise, X: x, Truth: x, N: 64}
	for i := 0; b.Loop(); i++ {
		if _, err := sc.Score(context.Background(), start[i%len(start)]); err != nil {
			b.Fatal(err)
		}
	}
}
