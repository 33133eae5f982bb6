package twopasssoftmax

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestAccuracyClaims(t *testing.T) {
	labtest.Claim(t, accuracy(), "two passes are accurate at every length", nil, lab.Holds, map[string]string{twoPass.Name: naive.Name}, lab.HoldsInPart)
	labtest.Claim(t, accuracy(), "no overflow", nil, lab.Holds, map[string]string{twoPass.Name: naive.Name}, lab.HoldsInPart)
	labtest.Claim(t, accuracy(), "no overflow", nil, lab.Holds, map[string]string{naive.Name: library.Name}, lab.HoldsInPart)
	labtest.Claim(t, accuracy(), "sums in float32 lose accuracy with the length", map[string]string{"lengths": "1000"}, lab.Undecided, nil, lab.Undecided)
	long := accuracy()
	all := long.Grid
	long.Grid = func(v lab.Values) ([]lab.Cell, error) { // what this claim reads
		cs, err := all(v)
		return slices.DeleteFunc(cs, func(c lab.Cell) bool {
			return c.Panel != narrow || c.Method != twoPass.Name && c.Method != library.Name
		}), err
	}
	labtest.Claim(t, long, "sums in float32 lose accuracy with the length", map[string]string{"lengths": "1048576"}, lab.Holds, map[string]string{library.Name: twoPass.Name}, lab.Fails)
}

// times makes curves of the speed experiment from ratios to two passes' time: on
// this machine's clock a test would depend on its load.
func times(t *testing.T, share, halfSpread float64, over map[string]float64) lab.Curves {
	t.Helper()
	e := speed()
	v, err := e.Resolve(lab.Quick, map[string]string{"kb": "256,65536"})
	if err != nil {
		t.Fatal(err)
	}
	grid, err := e.Grid(v)
	if err != nil {
		t.Fatal(err)
	}
	return e.Gather(grid, func(c lab.Cell) (lab.Result, bool) {
		r, ok := over[c.Method]
		if !ok {
			r = 1
		}
		if c.Budget == 256 && c.Method == reload.Name {
			r -= 0.4
		}
		return lab.Result{Cell: c, Outcome: lab.Outcome{Cost: 1, Quality: r, Metrics: map[string]float64{
			overTwoPass: r, lowQuartile: r - halfSpread, topQuartile: r + halfSpread, cacheShare: share * c.Budget / 65536}}}, true
	})
}

func TestSpeedClaims(t *testing.T) {
	paper := map[string]float64{reload.Name: 1.25, recompute.Name: 1.2}
	for _, tt := range []struct {
		name, claim   string
		share, spread float64
		over          map[string]float64
		want          lab.Status
		reason        string
	}{
		{"as in the paper", "two passes are faster out of cache", 4, 0.02, paper, lab.Holds, "1.25"},
		{"three passes in two passes' place", "two passes are faster out of cache", 4, 0.01, map[string]float64{reload.Name: 1, recompute.Name: 1}, lab.Fails, "not ≥ 1.03"},
		{"one rival is as fast", "two passes are faster out of cache", 4, 0.01, map[string]float64{reload.Name: 1.2, recompute.Name: 1}, lab.HoldsInPart, "recompute"},
		{"a noisy machine", "two passes are faster out of cache", 4, 0.3, paper, lab.Undecided, "the spread exceeds the effect"},
		{"a row that fits", "two passes are faster out of cache", 0.5, 0.01, paper, lab.Undecided, "0.500 times the last-level cache"},
		{"bandwidth bound", "memory sets the pace", 4, 0.02, map[string]float64{reload.Name: 1.5, recompute.Name: 1.3}, lab.Holds, "time for a byte"},
		{"a slow rival", "memory sets the pace", 4, 0.02, map[string]float64{reload.Name: 4, recompute.Name: 1.3}, lab.Fails, "time for a byte"},
		{"reload wins in the cache", "in the cache three passes are faster", 4, 0.02, paper, lab.Holds, "256"},
		{"reload loses in the cache", "in the cache three passes are faster", 4, 0.02, map[string]float64{reload.Name: 1.6}, lab.Fails, "256"},
	} {
		found := false
		for _, c := range speed().Claims {
			if c.Name != tt.claim {
				continue
			}
			found = true
			if v := c.Verdict(times(t, tt.share, tt.spread, tt.over)); v.Status != tt.want || !strings.Contains(v.Reason, tt.reason) {
				t.Errorf("%s: %s (%s), want %s with %q", tt.name, v.Status, v.Reason, tt.want, tt.reason)
			}
		}
		if !found {
			t.Errorf("no claim %q", tt.claim)
		}
	}
}

// TestSpeedRuns: cells of the speed experiment give all that claims read.
func TestSpeedRuns(t *testing.T) {
	e := speed()
	v, err := e.Resolve(lab.Quick, map[string]string{"kb": "4", "rounds": "3"})
	if err != nil {
		t.Fatal(err)
	}
	grid, err := e.Grid(v)
	if err != nil || len(grid) != len(timed) {
		t.Fatalf("%d cells, %v", len(grid), err)
	}
	for _, c := range grid {
		o, err := e.Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !(o.Quality > 0) || !(o.Metrics[overTwoPass] > 0) || !(o.Metrics[gigabytes] > 0) {
			t.Errorf("%s: %+v", c.Method, o)
		}
	}
	if kb := beyondCache(); kb < 1 || kb > mostKB {
		t.Errorf("a row beyond the cache has %d KB", kb)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := e.Run(ctx, grid[0]); err == nil {
		t.Error("a cancelled cell gives no error")
	}
	for name, c := range map[string]lab.Cell{
		"unknown rival": {Panel: standard, Method: "four-pass", Budget: 4, Values: v},
		"unknown panel": {Panel: "x", Method: twoPass.Name, Budget: 4, Values: v},
	} {
		if _, err := e.Run(context.Background(), c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
