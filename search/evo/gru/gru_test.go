package gru

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/search/evo"
)

// walk is a candidate whose score depends on the order of its steps.
type walk []float64

func (w walk) score() float64 {
	at, sum := 0.0, 0.0
	for _, s := range w {
		at = at/2 + s
		sum += math.Abs(at)
	}
	return sum
}

func draw(n int) (known []evo.Scored[walk]) {
	r := rng.Stream(4)
	for range n {
		w := make(walk, 2+r.IntN(3))
		for i := range w {
			w[i] = r.NormFloat64()
		}
		known = append(known, evo.Scored[walk]{X: w, Score: w.score()})
	}
	return known
}

func ranker() *Ranker[walk] {
	return &Ranker[walk]{Length: 4, Width: 16, Train: 150, Steps: func(w walk) [][]float64 {
		rows := make([][]float64, len(w))
		for i, s := range w {
			rows[i] = []float64{s, 1} // the second does not vary
		}
		return rows
	}}
}

// TestRanker: walks of several lengths that were not learnt from are ranked well, the
// same for the same stream, and whatever stands beside them.
func TestRanker(t *testing.T) {
	known := draw(300)
	train, test := known[:220], known[220:]
	g := ranker()
	fit := func() {
		if err := g.Fit(context.Background(), rand.New(rand.NewPCG(1, 2)), train); err != nil {
			t.Fatal(err)
		}
	}
	fit()
	var xs []walk
	var scores []float64
	for _, k := range test {
		xs, scores = append(xs, k.X), append(scores, k.Score)
	}
	first, err := g.Predict(xs)
	if err != nil {
		t.Fatal(err)
	}
	if rank := evo.RankCorrelation(first, scores); rank < .8 {
		t.Errorf("rank correlation %.2f, want at least 0.8", rank)
	}
	alone, err := g.Predict(xs[70:71])
	if err != nil || math.Abs(alone[0]-first[70]) > 1e-5 {
		t.Errorf("one walk alone is predicted %v, among others %g, %v", alone, first[70], err)
	}
	fit()
	if again, err := g.Predict(xs); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the same stream gives another network, %v", err)
	}
}

func TestRankerErrors(t *testing.T) {
	known := draw(20)
	r := rand.New(rand.NewPCG(1, 2))
	if _, err := ranker().Predict([]walk{{1}}); err == nil || !strings.Contains(err.Error(), "not been fitted") {
		t.Errorf("predicting before fitting: %v", err)
	}
	short := ranker()
	short.Length = 2
	if err := short.Fit(context.Background(), r, known); err == nil || !strings.Contains(err.Error(), "must be 1 to 2") {
		t.Errorf("steps beyond the length: %v", err)
	}
	if err := ranker().Fit(context.Background(), r, known[:1]); err == nil || !strings.Contains(err.Error(), "two scored candidates") {
		t.Errorf("one candidate: %v", err)
	}
	ragged := ranker()
	ragged.Steps = func(w walk) [][]float64 { return [][]float64{{1}, {1, 2}} }
	if err := ragged.Fit(context.Background(), r, known); err == nil || !strings.Contains(err.Error(), "features") {
		t.Errorf("ragged features: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ranker().Fit(ctx, r, known); err == nil {
		t.Error("a cancelled training has no error")
	}
}
