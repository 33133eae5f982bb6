package evo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-lab/assay/internal/rng"
)

// point is a candidate of the test problem: find the target.
type point [4]float64

var target = point{3, -1, 2, 5}

func distance(_ context.Context, x point) (float64, error) {
	var s float64
	for i := range x {
		s += (x[i] - target[i]) * (x[i] - target[i])
	}
	return math.Sqrt(s), nil
}

func search(budget int) Search[point] {
	return Search[point]{
		Name: "points", Start: []point{{}, {1, 1, 1, 1}, {}}, Budget: budget, Seed: 3, Score: distance,
		Mutate: func(r *rand.Rand, x point) point { x[r.IntN(4)] += r.NormFloat64(); return x },
		Cross: func(r *rand.Rand, a, b point) point {
			for i := range a {
				if r.IntN(2) == 0 {
					a[i] = b[i]
				}
			}
			return a
		},
	}
}

func screened(budget int) Search[point] {
	s := search(budget)
	s.Screen = &Screen[point]{Predictor: &GaussianProcess[point]{Encode: func(x point) []float64 { return x[:] }}, Initial: 20, Stage: 10, Explore: 2, Children: 200, Rounds: 4}
	return s
}

func run(t *testing.T, s Search[point]) Result[point] {
	t.Helper()
	r, err := s.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFinds(t *testing.T) {
	plain, withPredictor := run(t, search(400)), run(t, screened(100))
	if plain.Best.Score > .5 || len(plain.All) != 400 {
		t.Errorf("evolution ends at a distance of %g after %d scores", plain.Best.Score, len(plain.All))
	}
	// A smooth score is easy to predict.
	if withPredictor.Best.Score > plain.After(100).Score/2 {
		t.Errorf("with a predictor 100 scores give %g, without %g", withPredictor.Best.Score, plain.After(100).Score)
	}
	if k := len(withPredictor.Rank); k != 8 || math.IsNaN(withPredictor.Rank[0]) {
		t.Errorf("rank correlations of the stages: %v", withPredictor.Rank)
	}
	seen := map[point]bool{}
	for _, x := range plain.All {
		if seen[x.X] {
			t.Errorf("%v is scored twice", x.X)
		}
		seen[x.X] = true
	}
}

// TestDeterminism: neither the number of workers nor their pace changes a search.
func TestDeterminism(t *testing.T) {
	for _, s := range []Search[point]{search(120), screened(80)} {
		s.Workers = 1
		want := run(t, s)
		s.Workers = 5
		s.Score = func(ctx context.Context, x point) (float64, error) {
			time.Sleep(time.Duration(1+int(math.Abs(x[0]*1000))%3) * 100 * time.Microsecond)
			return distance(ctx, x)
		}
		if got := run(t, s); !reflect.DeepEqual(got, want) {
			t.Error("five workers give another search than one")
		}
		s.Seed++
		if got := run(t, s); reflect.DeepEqual(got.All, want.All) {
			t.Error("another seed gives the same search")
		}
	}
}

// TestResume stops a search again and again, in the midst of batches.
func TestResume(t *testing.T) {
	for name, make := range map[string]func(int) Search[point]{"evolution": search, "with a predictor": screened} {
		want := run(t, make(90))
		s := make(90)
		s.State = filepath.Join(t.TempDir(), "state.json")
		var scores atomic.Int64
		stops := 0
		for {
			ctx, cancel := context.WithCancel(context.Background())
			left := 7
			s.Progress = func(Progress[point]) {
				if left--; left == 0 {
					cancel()
				}
			}
			s.Workers = 2
			s.Score = func(ctx context.Context, x point) (float64, error) {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				scores.Add(1)
				return distance(ctx, x)
			}
			got, err := s.Run(ctx)
			cancel()
			if err == nil {
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: the resumed search differs from the undisturbed one", name)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			stops++
		}
		// A score that was under way at a stop may be made again.
		if n := scores.Load(); stops < 9 || n > 90+int64(stops) {
			t.Errorf("%s: %d scores with %d stops, want at most 90 and one for each stop", name, n, stops)
		}
	}
}

func TestGoesOnWithALargerBudget(t *testing.T) {
	s := search(40)
	s.State = filepath.Join(t.TempDir(), "state.json")
	first := run(t, s)
	s.Budget = 60
	if second := run(t, s); len(second.All) != 60 || !reflect.DeepEqual(second.All[:40], first.All) {
		t.Error("the first 40 of 60 scores are not those of the search of 40")
	}
}

func TestBadScores(t *testing.T) {
	s := search(60)
	s.Score = func(ctx context.Context, x point) (float64, error) {
		d, err := distance(ctx, x)
		if d > 5 {
			return math.NaN(), err
		}
		return d, err
	}
	s.State = filepath.Join(t.TempDir(), "state.json")
	r := run(t, s)
	if math.IsNaN(r.Best.Score) || r.Best.Score > 5 {
		t.Errorf("the best score among bad ones is %g", r.Best.Score)
	}
	if again := run(t, s); !reflect.DeepEqual(again.Best, r.Best) {
		t.Error("infinite scores do not survive the state file")
	}
	s = screened(60)
	s.Score = func(context.Context, point) (float64, error) { return math.Inf(1), nil }
	if _, err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "none of 60 candidates") {
		t.Errorf("nothing but bad scores: %v", err)
	}
}

func TestErrors(t *testing.T) {
	failed := errors.New("out of memory")
	state := filepath.Join(t.TempDir(), "state.json")
	other := search(10)
	other.State = state
	run(t, other)
	garbage := filepath.Join(t.TempDir(), "garbage.json")
	if err := os.WriteFile(garbage, []byte(`{"search":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Search[point])
		want   string
	}{
		{"nothing to start from", func(s *Search[point]) { s.Start = nil }, "no candidate to start from"},
		{"no score", func(s *Search[point]) { s.Score = nil }, "mutation and score"},
		{"no budget", func(s *Search[point]) { s.Budget = 0 }, "budget = 0"},
		{"negative parents", func(s *Search[point]) { s.Parents = -1 }, "-1 parents"},
		{"a screen without a predictor", func(s *Search[point]) { s.Screen = &Screen[point]{} }, "without a predictor"},
		{"more at random than a stage has", func(s *Search[point]) {
			*s = screened(10)
			s.Screen.Explore = 11
		}, "with 11 at random"},
		{"a score that fails", func(s *Search[point]) {
			s.Score = func(context.Context, point) (float64, error) { return 0, failed }
		}, "out of memory"},
		{"mutation that finds nothing new", func(s *Search[point]) {
			s.Mutate = func(_ *rand.Rand, x point) point { return x }
			s.CrossRate = -1
		}, "exhausted"},
		{"the state of another search", func(s *Search[point]) { s.State, s.Name = state, "other points" }, "state of another search"},
		{"a state of another seed", func(s *Search[point]) { s.State, s.Seed = state, 4 }, "state of another search"},
		{"no state at all", func(s *Search[point]) { s.State = garbage }, "is no state of a search"},
		{"an encoding of varying length", func(s *Search[point]) {
			*s = screened(40)
			s.Screen.Predictor = &GaussianProcess[point]{Encode: func(x point) []float64 { return x[:1+int(math.Abs(x[0]))%4] }}
		}, "features"},
	}
	for _, tt := range tests {
		s := search(60)
		tt.change(&s)
		if _, err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestStopsPromptly(t *testing.T) {
	s := search(1000)
	s.Workers = 3
	s.Score = func(ctx context.Context, x point) (float64, error) {
		select {
		case <-time.After(time.Minute):
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("stopped after %v with %v", time.Since(began), err)
	}
}

func TestRankCorrelation(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	tests := []struct {
		name string
		a, b []float64
		want float64
	}{
		{"same order", []float64{1, 5, 20}, []float64{-3, 0, .1}, 1},
		{"opposite order", []float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{"ties share their rank", []float64{1, 2, 2, 3}, []float64{1, 2, 2, 3}, 1},
		{"NaN is as bad as infinity", []float64{1, nan, inf}, []float64{1, 2, 2}, 1},
		{"constant", []float64{1, 1}, []float64{1, 2}, nan},
		{"one number", []float64{1}, []float64{1}, nan},
	}
	for _, tt := range tests {
		got := RankCorrelation(tt.a, tt.b)
		if math.Abs(got-tt.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(tt.want) {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

// TestGaussianProcess: candidates that were not learnt from are ranked as they score,
// by curvature that a linear model does not see.
func TestGaussianProcess(t *testing.T) {
	r := rng.Stream(1)
	draw := func(n int) (known []Scored[point]) {
		for range n {
			x := point{r.NormFloat64(), r.NormFloat64(), 7, 0} // two features do not vary
			known = append(known, Scored[point]{x, x[0]*x[0] + x[1]*x[1]})
		}
		return known
	}
	train, test := draw(80), draw(40)
	rank := func(g *GaussianProcess[point]) float64 {
		g.Encode = func(x point) []float64 { return x[:] }
		if err := g.Fit(context.Background(), r, train); err != nil {
			t.Fatal(err)
		}
		var xs []point
		var scores []float64
		for _, k := range test {
			xs, scores = append(xs, k.X), append(scores, k.Score)
		}
		predicted, err := g.Predict(xs)
		if err != nil {
			t.Fatal(err)
		}
		return RankCorrelation(predicted, scores)
	}
	if optimistic := rank(&GaussianProcess[point]{Optimism: .1}); optimistic < .9 {
		t.Errorf("with a little optimism the rank correlation is %.2f", optimistic)
	}
	// Far from all that is known the deviation is that of the scores: optimism prefers it.
	g := &GaussianProcess[point]{Optimism: 10}
	rank(g)
	if p, err := g.Predict([]point{train[0].X, {50, 50, 7, 0}}); err != nil || p[1] > p[0]-5 {
		t.Errorf("predictions %v, %v: an unknown candidate must be preferred", p, err)
	}
	curved, linear := rank(&GaussianProcess[point]{}), rank(&GaussianProcess[point]{Linear: true})
	if curved < .95 || math.Abs(linear) > .5 {
		t.Errorf("rank correlation %.2f, of a linear kernel %.2f; want above 0.95 and near 0", curved, linear)
	}
}

func FuzzParseState(f *testing.F) {
	s := search(5)
	s.State = filepath.Join(f.TempDir(), "state.json")
	if _, err := s.Run(context.Background()); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(s.State)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"search":{"name":"points"},"scored":[{"x":[1,2,3,4],"score":null}],"partial":[{"child":0,"score":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := parseState[point](b)
		if err != nil {
			return
		}
		if _, err := json.Marshal(st); err != nil {
			t.Error(err)
		}
	})
}

func ExampleSearch() {
	s := Search[int]{
		Start:  []int{0},
		Mutate: func(r *rand.Rand, x int) int { return x + r.IntN(21) - 10 },
		Score:  func(_ context.Context, x int) (float64, error) { return math.Abs(float64(x - 60)), nil },
		Budget: 80,
	}
	r, err := s.Run(context.Background())
	fmt.Println(r.Best.X, err)
	// Output: 60 <nil>
}
