package compare

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
)

// curves runs an experiment in this process.
func curves(t *testing.T, set map[string]string, seedShift uint64) (lab.Values, lab.Curves) {
	t.Helper()
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := Diffusion()
	v, err := e.Resolve(lab.Quick, set)
	if err != nil {
		t.Fatal(err)
	}
	cells, err := e.Grid(v)
	if err != nil {
		t.Fatal(err)
	}
	return v, e.Gather(cells, func(c lab.Cell) (lab.Result, bool) {
		moved := c
		moved.Seed += seedShift
		o, err := e.Run(context.Background(), moved)
		if err != nil {
			t.Errorf("%v: %v", c, err)
			return lab.Result{}, false
		}
		return lab.Result{Cell: c, Outcome: o}, true
	})
}

// TestRecommendationHolds samples again with other seeds: whatever is recommended
// with confidence must again be the best, or as good as the best.
func TestRecommendationHolds(t *testing.T) {
	for _, model := range []string{"builtin:overlap8", "builtin:packed16-cfg"} {
		set := map[string]string{"model": model, "seeds": "4", "n": "16", "nfe": "6,10", "guidance": "1",
			"methods": "ddim,deis-tab3,dpmpp-2m,dpmpp-3m-corrected,unipc,v3", "samples": "64", "rows": "60", "probes": "0"}
		_, first := curves(t, set, 0)
		_, again := curves(t, set, 1000)
		sure := 0
		for _, ch := range Recommend(first) {
			ranked := rank(again, ch.Budget)
			i := slices.IndexFunc(ranked, func(r ranking) bool { return r.method == ch.Method })
			if i < 0 {
				t.Fatalf("%s: %+v did not run again", model, ch)
			}
			if ch.Sure >= tossUp {
				sure++
			}
			// Errors of 64 states scatter by about a tenth from seed to seed.
			if limit := 1.1; ranked[i].err > limit*ranked[0].err {
				t.Errorf("%s: %s, but with other seeds %s has %.2f times less error", model, ch.sentence(1), ranked[0].method, ranked[i].err/ranked[0].err)
			}
		}
		if sure == 0 && model == "builtin:overlap8" {
			t.Errorf("%s: no recommendation is sure", model)
		}
	}
}

// TestBudgets holds every method to its budget, with as many steps as it pays for.
func TestBudgets(t *testing.T) {
	v, c := curves(t, map[string]string{"model": "builtin:overlap8", "methods": "ddim,pndm,rho-heun,dpmpp-3s,v3", "nfe": "3,9", "seeds": "1", "n": "2", "samples": "4", "rows": "30"}, 0)
	cost := func(method string, budget float64) float64 {
		cv, _ := c.Curve(unguided, method)
		p, ok := cv.At(budget)
		if !ok {
			return 0
		}
		return p.MeanCost()
	}
	for _, tt := range []struct {
		method   string
		of3, of9 float64
	}{{"ddim", 3, 9}, {"rho-heun", 2, 8}, {"dpmpp-3s", 3, 9}, {"v3", 3, 9}} {
		if a, b := cost(tt.method, 3), cost(tt.method, 9); a != tt.of3 || b != tt.of9 {
			t.Errorf("%s spends %g of 3 and %g of 9 evaluations", tt.method, a, b)
		}
	}
	a := advise(v, c)
	if cost("pndm", 3) != 0 || !slices.ContainsFunc(a.Lines, func(l string) bool { return strings.HasPrefix(l, "Left out: pndm at 3 evaluations: ") }) {
		t.Errorf("pndm at 3 evaluations is not said to be left out: %q", a.Lines)
	}
	if !slices.ContainsFunc(a.Lines, func(l string) bool { return strings.HasPrefix(l, "v3 needs statistics") }) {
		t.Errorf("the cost of statistics is not said: %q", a.Lines)
	}
}

func TestGridRefuses(t *testing.T) {
	for _, tt := range []struct{ name, key, value, want string }{
		{"unknown method", "methods", "ddim,euler", "must be one of ddim"},
		{"the same twice", "methods", "ddim,ddim", "twice"},
		{"stochastic", "methods", "dpmpp-2m-sde", "stochastic"},
		{"nothing to guide to", "guidance", "3", "guidance"},
		{"no classes", "label", "7", "no classes"},
		{"too small a budget", "nfe", "1", "none of the methods can run"},
	} {
		set := map[string]string{"model": "builtin:overlap8", "methods": "dpmpp-3m", tt.key: tt.value}
		e := Diffusion()
		v, err := e.Resolve(lab.Quick, set)
		if err == nil {
			_, err = e.Grid(v)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestRecommendFromNumbers uses curves made by hand.
func TestRecommendFromNumbers(t *testing.T) {
	point := func(budget float64, errs ...float64) lab.Point {
		p := lab.Point{Budget: budget, Quality: errs, Cost: slices.Repeat([]float64{budget}, len(errs)), Metrics: map[string][]float64{"steps": slices.Repeat([]float64{budget}, len(errs))}}
		for i := range errs {
			p.Seeds = append(p.Seeds, uint64(i))
		}
		return p
	}
	c := lab.Curves{Curves: []lab.Curve{
		{Panel: unguided, Method: "ddim", Points: []lab.Point{point(5, 4, 4), point(10, 2, 2)}},
		{Panel: unguided, Method: "a", Points: []lab.Point{point(5, 2, 2), point(10, 0.5, 1.5)}},
		{Panel: unguided, Method: "b", Points: []lab.Point{point(10, 1.2, 0.2)}},
	}}
	got := Recommend(c)
	if len(got) != 3 {
		t.Fatalf("%d choices: want one a budget and one over all", len(got))
	}
	at5, at10, all := got[0], got[1], got[2]
	if at5.Method != "a" || at5.OverBaseline != 2 || at5.RunnerUp != "ddim" || at5.Sure != 1 || at5.Steps != 5 {
		t.Errorf("at 5: %+v", at5)
	}
	if at10.Method != "b" || at10.RunnerUp != "a" || math.Abs(at10.OverRunnerUp-1/0.7) > 1e-12 || at10.Sure > 0.9 || at10.Sure < 0.5 {
		t.Errorf("at 10: %+v", at10)
	}
	if want := math.Sqrt(8) / math.Sqrt(2); all.Method != "a" || math.Abs(all.OverBaseline-want) > 1e-12 || all.RunnerUp != "ddim" {
		t.Errorf("over all: %+v: b has not run everywhere", all)
	}
	if s := at5.sentence(1); s != "At 5 evaluations use a: 2.0 times less than the runner-up, ddim (best in 100 % of resamplings of the seeds)." {
		t.Error(s)
	}
	if s := at10.sentence(2); !strings.HasPrefix(s, "At 10 evaluations, unguided, use b: 2.9 times less error than ddim, level with a (a toss-up: best in ") {
		t.Error(s)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}

// TestStatisticsOfNetworks holds the statistics by float32 differences and random
// probes against those of all products, on the network that assay ships.
func TestStatisticsOfNetworks(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates a network")
	}
	t.Setenv("ASSAY_CACHE", t.TempDir())
	v, err := Diffusion().Resolve(lab.Quick, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(v)
	if err != nil {
		t.Fatal(err)
	}
	r := Recipe{Condition: Condition{Labels: []int{1, 2}, Guidance: 1}, Label: "1,2", Rows: 10, Samples: 4, Probes: 2}
	f, err := s.Statistics(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	// 50 steps, then 11 levels with 2 products for l and one for the slope, of two
	// evaluations each, and 5 more for the slope.
	if want := int64(4 * (50 + 11*(2*2+2+5))); f.Evaluations != want {
		t.Errorf("%d evaluations: want %d", f.Evaluations, want)
	}
	if err := f.Check(s.Schedule, s.Shape, 1); err != nil {
		t.Error(err)
	}
	again, err := s.Statistics(context.Background(), r, func(int, int) { t.Error("estimated twice") })
	if err != nil || again.Evaluations != f.Evaluations {
		t.Errorf("from the cache: %d evaluations, %v", again.Evaluations, err)
	}
	// Where all is noise the network's ε is nearly x: l is near 1.
	var mean float64
	for _, l := range f.Statistics.L[0] {
		mean += l / float64(len(f.Statistics.L[0]))
	}
	if math.Abs(mean-1) > 0.1 {
		t.Errorf("mean l at the noisy end is %g: want about 1", mean)
	}
	if _, err := diffusion.WithStatistics(diffusion.DDIM{}, f.Statistics); err == nil {
		t.Error("DDIM takes statistics")
	}
}
