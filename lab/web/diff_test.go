package web

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
)

// noisy is an experiment of pndm whose outcomes depend on the seed and on a setting.
func noisy() *lab.Experiment {
	return &lab.Experiment{
		Name: "pndm/noisy", Title: "Noisy", Cost: lab.Axis{Name: "NFE"}, Quality: lab.Axis{Name: "error", Log: true},
		Params: []lab.Param{
			{Name: "scale", Help: "of the errors of the first method", Kind: lab.Float, Default: "1", Min: 0.1, Max: 10},
			{Name: "budgets", Help: "budgets", Kind: lab.Ints, Default: "1,2", Min: 1, Max: 9},
			{Name: "data", Help: "data", Kind: lab.Input, Default: "builtin:one", Choices: []string{"builtin:one"}, Accept: []string{".csv"}},
		},
		Grid: func(v lab.Values) (cs []lab.Cell, err error) {
			for _, m := range []string{"<i>first</i>", "second"} {
				for _, b := range v.Ints("budgets") {
					for seed := range uint64(4) {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(b), Seed: seed, Values: v})
					}
				}
			}
			return cs, nil
		},
		Run: func(_ context.Context, c lab.Cell) (lab.Outcome, error) {
			q := 1 / c.Budget * (1 + 0.01*float64(c.Seed))
			if c.Method != "second" {
				q *= math.Pow(c.Values.Float("scale"), 1+0.01*float64(c.Seed%2))
			}
			return lab.Outcome{Cost: c.Budget, Quality: q}, nil
		},
		Claims: []lab.Claim{{Name: "first wins", Text: "The first is better.", Judge: lab.All(lab.Less(lab.At("", "<i>first</i>", 2), lab.At("", "second", 2)))}},
	}
}

func noisySite(t *testing.T) *site {
	t.Helper()
	cfg := configIn(t, t.TempDir())
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug == "pndm" {
			return []*lab.Experiment{noisy(), toy()}
		}
		return nil
	}
	return serve(t, cfg)
}

func idOf(run string) string { return strings.TrimPrefix(run, "/runs/") }

// TestDiff: two runs of an experiment stand side by side, on the page and as JSON.
func TestDiff(t *testing.T) {
	s := noisySite(t)
	cfg := s.cfg
	base, page := s.wait(s.begin(map[string]string{"experiment": "pndm/noisy"}, nil))
	if strings.Contains(page, `name="against"`) {
		t.Error("the only run can be compared")
	}
	better, _ := s.wait(s.begin(map[string]string{"experiment": "pndm/noisy", "set.scale": "0.5", "set.budgets": "2,3"}, nil))
	upload, _ := s.wait(s.begin(map[string]string{"experiment": "pndm/noisy"}, map[string][2]string{"file.data": {"<mine>.csv", "1"}}))
	elsewhere, _ := s.wait(s.begin(nil, nil))
	_, page = s.get(better)
	for _, want := range []string{`<option value="` + idOf(base) + `">`, "budgets 1,2 · scale 1", `<option value="` + idOf(upload) + `">`} {
		if !strings.Contains(page, want) {
			t.Errorf("the run's page lacks %q", want)
		}
	}
	if strings.Contains(page, `<option value="`+idOf(elsewhere)) {
		t.Error("a run of another experiment can be chosen")
	}
	_, page = s.get(better + "?against=" + idOf(base))
	for _, want := range []string{"Points compared: 1 better here", "1 equal", "first wins <b>changed</b>", "&lt;i&gt;first", "(other)", "only one run has", "0.498 (0.495 to 0.501)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the comparison lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<i>first") {
		t.Error("a method's name is not escaped")
	}
	for _, path := range []string{upload + "?against=" + idOf(base), base + "?against=" + idOf(upload), "/api" + upload + "?against=" + idOf(base)} {
		if status, text := s.get(path); status != 200 || strings.Contains(text, cfg.Uploads) {
			t.Errorf("%s: status %d, or tells where uploads lie", path, status)
		}
	}
	var got struct {
		Comparison struct {
			Settings []struct{ Name, This, Other string }
			Claims   []struct{ Changed bool }
			Points   []struct {
				Method  string
				Finding lab.Finding
			}
		}
	}
	if _, text := s.get("/api" + better + "?against=" + idOf(base)); json.Unmarshal([]byte(text), &got) != nil || len(got.Comparison.Points) != 6 ||
		len(got.Comparison.Settings) != 2 || !got.Comparison.Claims[0].Changed {
		t.Errorf("API: %+v", got)
	}
}

// TestDiffRefused: what cannot be compared is said, on the page and as JSON.
func TestDiffRefused(t *testing.T) {
	s := noisySite(t)
	base, _ := s.wait(s.begin(map[string]string{"experiment": "pndm/noisy"}, nil))
	elsewhere, _ := s.wait(s.begin(nil, nil))
	for _, tt := range []struct {
		name, against string
		status        int
		want          string
	}{
		{"another experiment", idOf(elsewhere), 400, "want two runs of one experiment"},
		{"itself", idOf(base), 400, "both are run"},
		{"nothing", "nothing", 404, "no such run"},
		{"hostile", "<script>alert(1)</script>", 404, "no such run"},
		{"beginning of an id", idOf(elsewhere)[:4], 404, "no such run"},
	} {
		for _, under := range []string{"", "/api"} {
			status, text := s.get(under + base + "?against=" + url.QueryEscape(tt.against))
			if status != tt.status || !strings.Contains(text, tt.want) || strings.Contains(text, "<script>alert") {
				t.Errorf("%s%s: status %d, want %d and %q in\n%s", tt.name, under, status, tt.status, tt.want, text)
			}
		}
	}
}

// TestDiffCharts: both runs' curves are on one chart, over the costs of both.
func TestDiffCharts(t *testing.T) {
	curves := func(method string, costs ...float64) lab.Curves {
		c := lab.Curve{Method: method}
		for _, x := range costs {
			c.Points = append(c.Points, lab.Point{Budget: x, Seeds: []uint64{0}, Cost: []float64{x}, Quality: []float64{x}})
		}
		return lab.Curves{Curves: []lab.Curve{c}}
	}
	methods := []string{"a", "b"}
	out := pairCharts(chartsIn(curves("a", 1, 3), methods), chartsIn(curves("b", 2, 3), methods))
	if len(out) != 1 || len(out[0].Budgets) != 3 || len(out[0].Series) != 2 {
		t.Fatalf("%+v", out)
	}
	a, b := out[0].Series[0], out[0].Series[1]
	if a.Dashed || !b.Dashed || a.Color == b.Color || b.Method != "b (other)" {
		t.Errorf("series %+v, %+v", a, b)
	}
	if a.Mean[1] != nil || *a.Mean[2] != 3 || b.Mean[0] != nil || *b.Mean[1] != 2 {
		t.Error("the points are at wrong costs")
	}
}

// TestDiffUnfinished: a run that is not finished is compared by what it has.
func TestDiffUnfinished(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	done, _ := s.wait(s.begin(nil, nil))
	job := s.begin(map[string]string{"set.cells": "5000", "set.wait": "1"}, nil)
	var open string
	for range 400 {
		if rs, err := s.cfg.Store.Runs(t.Context()); err == nil && len(rs) == 2 && rs[0].Done > 0 {
			open = rs[0].ID
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	_, page := s.get(done + "?against=" + open)
	for _, want := range []string{"of 5000: not finished", "not judged"} {
		if !strings.Contains(page, want) {
			t.Errorf("the comparison with %q lacks %q:\n%s", open, want, page)
		}
	}
	s.post(job+"/stop", map[string]string{"token": s.token()}, nil)
}
