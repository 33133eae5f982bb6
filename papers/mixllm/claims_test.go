package mixllm

import (
	"context"
	"os"
	"testing"

	"github.com/assay-lab/assay/lab"
)

// TestMain gives all tests one cache, for the model that several of them train.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mixllm")
	if err != nil {
		panic(err)
	}
	os.Setenv("ASSAY_CACHE", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// run runs an experiment in this process; swap, where it has an entry, is the
// method that stands in for another.
func run(t *testing.T, e *lab.Experiment, set, swap map[string]string) lab.Curves {
	t.Helper()
	v, err := e.Resolve(lab.Quick, set)
	if err != nil {
		t.Fatal(err)
	}
	grid, err := e.Grid(v)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]lab.Result{}
	for _, c := range grid {
		as := c
		if m, ok := swap[c.Method]; ok {
			as.Method = m
		}
		o, err := e.Run(context.Background(), as)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		results[c.String()] = lab.Result{Cell: c, Outcome: o}
	}
	return e.Gather(grid, func(c lab.Cell) (lab.Result, bool) { r, ok := results[c.String()]; return r, ok })
}

// TestClaims: the claims come out as found with the honest methods, and otherwise
// with a stand-in.
func TestClaims(t *testing.T) {
	markov := map[string]string{"percent": "10"}
	letters := map[string]string{"percent": "10,50", "calibration": "24", "test": "120", "rounding": "nearest"}
	salience := map[string]string{"rows": "60"}
	tests := []struct {
		e      func() *lab.Experiment
		set    map[string]string
		claim  string
		honest lab.Status
		swap   map[string]string
		want   lab.Status
	}{
		{markovBits, markov, "10 % of the rows at 8 bits help, if they are the right ones", lab.Holds, map[string]string{mixLLM: random}, lab.Fails},
		{markovBits, markov, "choosing over the whole model beats choosing within layers", lab.Holds, map[string]string{mixLLM: perLayer}, lab.Fails},
		{markovBits, markov, "salience beats weight error", lab.Holds, map[string]string{mixLLM: weightError}, lab.Fails},
		{markovBits, markov, "some layers need many 8-bit rows, others none", lab.Holds, map[string]string{mixLLM: perLayer}, lab.Fails},
		{letterBits, letters, "MixLLM's choice is the best of its size", lab.Holds, map[string]string{mixLLM: uniform}, lab.Fails},
		{letterBits, letters, "10 % more bits take away most of the loss", lab.Fails, map[string]string{mixLLM: eightBits}, lab.Holds},
		{letterBits, letters, "more 8-bit rows are better", lab.Holds, map[string]string{mixLLM: uniform}, lab.HoldsInPart},
		{propagation, salience, "salience predicts the loss", lab.Holds, map[string]string{byRow: random}, lab.HoldsInPart},
		{propagation, salience, "better than the weights' error alone", lab.Holds, map[string]string{byRow: weightError}, lab.Fails},
		{rounding, nil, "GPTQ lessens the error on correlated inputs", lab.Holds, map[string]string{gptq: toNearest}, lab.Fails},
		{exactness, nil, "integer products are exact", lab.Holds, map[string]string{w8a8: pairs}, lab.HoldsInPart},
	}
	curves := map[string]lab.Curves{}
	for _, tt := range tests {
		e := tt.e()
		t.Run(e.Name+"/"+tt.claim, func(t *testing.T) {
			if testing.Short() && tt.set != nil {
				t.Skip("trains or runs a language model")
			}
			if _, ok := curves[e.Name]; !ok {
				curves[e.Name] = run(t, e, tt.set, nil)
			}
			for _, c := range e.Claims {
				if c.Name != tt.claim {
					continue
				}
				if v := c.Verdict(curves[e.Name]); v.Status != tt.honest {
					t.Errorf("honest: %s, want %s: %s", v.Status, tt.honest, v.Reason)
				}
				if v := c.Verdict(swapped(t, e, tt.set, tt.swap, curves[e.Name])); v.Status != tt.want {
					t.Errorf("with %v: %s, want %s: %s", tt.swap, v.Status, tt.want, v.Reason)
				}
				return
			}
			t.Error("no such claim")
		})
	}
}

// swapped are curves in which one method stands in for another.
func swapped(t *testing.T, e *lab.Experiment, set, swap map[string]string, honest lab.Curves) lab.Curves {
	t.Helper()
	only := *e
	grid := e.Grid
	only.Grid = func(v lab.Values) ([]lab.Cell, error) {
		all, err := grid(v)
		var cs []lab.Cell
		for _, c := range all {
			if swap[c.Method] != "" {
				cs = append(cs, c)
			}
		}
		return cs, err
	}
	cs := run(t, &only, set, swap)
	for _, c := range honest.Curves {
		if swap[c.Method] == "" {
			cs.Curves = append(cs.Curves, c)
		}
	}
	return cs
}

// TestBadCells: what cannot be run is refused.
func TestBadCells(t *testing.T) {
	for _, e := range Experiments() {
		v, err := e.Resolve(lab.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]lab.Cell{
			"an unknown method": {Panel: panel(4), Method: "AWQ", Budget: 4, Values: v},
			"an unknown panel":  {Panel: "left", Method: "AWQ", Budget: 4, Values: v},
		} {
			if _, err := e.Run(context.Background(), c); err == nil {
				t.Errorf("%s: %s is accepted", e.Name, name)
			}
		}
	}
	for _, tt := range []struct {
		name string
		e    *lab.Experiment
		set  map[string]string
	}{
		{"one bit", markovBits(), map[string]string{"low": "1"}},
		{"more than all rows", markovBits(), map[string]string{"percent": "101"}},
		{"no seeds", letterBits(), map[string]string{"seeds": "0"}},
		{"an unknown rounding", letterBits(), map[string]string{"rounding": "up"}},
		{"an unknown model", letterBits(), map[string]string{"model": "builtin:gpt"}},
	} {
		if _, err := tt.e.Resolve(lab.Quick, tt.set); err == nil {
			t.Errorf("%s is accepted", tt.name)
		}
	}
	v, err := letterBits().Resolve(lab.Quick, map[string]string{"group": "100"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := letterBits().Run(context.Background(), lab.Cell{Panel: panel(4), Method: uniform, Budget: 4, Values: v}); err == nil {
		t.Error("a group that divides no layer is accepted")
	}
}
