package usfs3

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion/search"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/search/evo"
	"github.com/assay-lab/assay/search/evo/gru"
)

// The searches that are compared by their scores.
const (
	evolution = "evolution"
	gaussian  = "evolution on a Gaussian process"
	recurrent = "evolution on a recurrent network"
	linear    = "evolution on a linear predictor"
	random    = "mutations of standard solvers"
)

// rankCorrelation is that of a predictor on schedules that it has not learnt from.
const rankCorrelation = "rank correlation"

// budget asks what a predictor saves.
func budget() *lab.Experiment {
	return &lab.Experiment{
		Name:    "usf-s3/budget",
		Title:   "What a learned predictor saves: error of the best schedule over schedules scored",
		Help:    "The mixture overlap8 on the linear VP schedule. A search is charged for the schedules whose samples it compares with the exact solution; those that a predictor ranks are free. The recurrent network is the paper's predictor.",
		Cost:    lab.Axis{Name: "schedules scored", Log: true},
		Quality: lab.Axis{Name: "RMS error", Log: true},
		Version: 2,
		Params: []lab.Param{
			{Name: "scores", Help: "numbers of schedules scored", Kind: lab.Ints, Default: "100,150,200,300,500,1000,1500", At: map[lab.Size]string{lab.Quick: "100,200", lab.Full: "100,150,200,300,500,1000,1500,3000,5000"}, Min: 40, Max: 1000000},
			{Name: "learned", Help: "the most of them with a predictor", Kind: lab.Int, Default: "500", At: map[lab.Size]string{lab.Quick: "200"}, Min: 120, Max: 1000000},
			{Name: "nfe", Help: "number of evaluations of a schedule", Kind: lab.Int, Default: "5", Min: 1, Max: 50},
			{Name: "starts", Help: "start states that schedules are scored on", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "32"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "searches of a kind", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range []string{evolution, gaussian, recurrent, linear, random} {
				for _, b := range v.Ints("scores") {
					if b > v.Int("learned") && m != evolution && m != random {
						continue
					}
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(b), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runBudget,
		Claims: budgetClaims(),
	}
}

// run searches a space in one of the ways.
func run(ctx context.Context, method string, sp search.Space, sc search.Scorer[float64], scores int, seed uint64) (evo.Result[search.Schedule], error) {
	sp.Uniform = method == s3Uniform
	if method == s3Learned {
		scores = max(scores/3, 120)
	}
	s, err := sp.Evolution(sc.Score, scores, seed)
	if err != nil {
		return evo.Result[search.Schedule]{}, err
	}
	switch method {
	case s3, s3More, s3Uniform, evolution:
	case s3Learned, gaussian:
		s.Screen = sp.Screen()
	case linear:
		s.Screen = &evo.Screen[search.Schedule]{Predictor: &evo.GaussianProcess[search.Schedule]{Encode: sp.Features, Best: 300, Linear: true}}
	case recurrent:
		s.Screen = &evo.Screen[search.Schedule]{Predictor: &gru.Ranker[search.Schedule]{Steps: sp.StepFeatures, Length: sp.NFE + 1, Train: 150}, Stage: 40}
	case s3Random, random: // the first stage never ends
		s.Screen = sp.Screen()
		s.Screen.Initial = scores
	default:
		return evo.Result[search.Schedule]{}, fmt.Errorf("method %q is unknown", method)
	}
	return s.Run(ctx)
}

// A trace is what budgets read off a search: a search that may score more begins with
// the same scores.
type trace struct {
	Best []*float64 // so far, after every score; nil: none is finite
	Rank *float64
}

func runBudget(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	most := slices.Max(c.Values.Ints("scores"))
	if c.Method != evolution && c.Method != random {
		most = max(min(most, c.Values.Int("learned")), int(c.Budget))
	}
	recipe := struct {
		Method              string
		NFE, Starts, Scores int
		Seed                uint64
		Version             int
	}{c.Method, c.Values.Int("nfe"), c.Values.Int("starts"), most, c.Seed, 2}
	b, err := cache.Get(ctx, "schedule-search", recipe, func(ctx context.Context) ([]byte, error) {
		t, err := traceOf(ctx, c, most)
		if err != nil {
			return nil, err
		}
		return json.Marshal(t)
	})
	if err != nil {
		return lab.Outcome{}, err
	}
	var t trace
	if err := json.Unmarshal(b, &t); err != nil || len(t.Best) != most || int(c.Budget) < 1 {
		return lab.Outcome{}, fmt.Errorf("the search in the cache has %d scores, want %d: %v", len(t.Best), most, err)
	}
	o := lab.Outcome{Cost: c.Budget, Quality: math.Inf(1), Metrics: map[string]float64{}}
	if q := t.Best[int(c.Budget)-1]; q != nil {
		o.Quality = *q
	}
	if t.Rank != nil {
		o.Metrics[rankCorrelation] = *t.Rank
	}
	return o, nil
}

func traceOf(ctx context.Context, c lab.Cell, scores int) (t trace, err error) {
	sc, sp, err := scorer(ctx, smooth, c.Seed, c.Values.Int("starts"))
	if err != nil {
		return t, err
	}
	sp.NFE = c.Values.Int("nfe")
	r, err := run(ctx, c.Method, sp, sc, scores, c.Seed)
	if err != nil {
		return t, err
	}
	var best *float64
	for _, x := range r.All {
		if !math.IsInf(x.Score, 0) && (best == nil || x.Score < *best) {
			best = &x.Score
		}
		t.Best = append(t.Best, best)
	}
	var p evo.Predictor[search.Schedule]
	switch c.Method {
	case gaussian:
		p = &evo.GaussianProcess[search.Schedule]{Encode: sp.Features}
	case linear:
		p = &evo.GaussianProcess[search.Schedule]{Encode: sp.Features, Linear: true}
	case recurrent:
		p = &gru.Ranker[search.Schedule]{Steps: sp.StepFeatures, Length: sp.NFE + 1, Train: 150}
	default:
		return t, nil
	}
	rank, err := heldOut(ctx, p, r.All, c.Seed)
	t.Rank = &rank
	return t, err
}

// heldOut is the rank correlation of a predictor on a fifth of the schedules, drawn at
// random, when it has learnt from the others.
func heldOut(ctx context.Context, p evo.Predictor[search.Schedule], all []evo.Scored[search.Schedule], seed uint64) (float64, error) {
	r := rng.Stream(seed, 0x68656c64)
	all = slices.Clone(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	test, train := all[:len(all)/5], all[len(all)/5:]
	if err := p.Fit(ctx, r, train); err != nil {
		return 0, err
	}
	xs, scores := make([]search.Schedule, len(test)), make([]float64, len(test))
	for i, k := range test {
		xs[i], scores[i] = k.X, k.Score
	}
	predicted, err := p.Predict(xs)
	if err != nil {
		return 0, err
	}
	return evo.RankCorrelation(predicted, scores), nil
}
