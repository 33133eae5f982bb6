package lab

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func curvesOf(better Better, log bool, points ...Point) Curves {
	return Curves{Cost: Axis{Name: "NFE"}, Quality: Axis{Name: "error", Log: log, Better: better},
		Curves: []Curve{{Method: "m", Points: points}}}
}

// pointOf is a point at budget 1 with seeds from first on.
func pointOf(first uint64, quality ...float64) Point {
	p := Point{Budget: 1, Quality: quality}
	for i := range quality {
		p.Seeds, p.Cost = append(p.Seeds, first+uint64(i)), append(p.Cost, 1)
	}
	return p
}

func TestDifferences(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name        string
		better      Better
		log         bool
		this, other Point
		want        Finding
		change      float64
		seeds       int
	}{
		{"the same outcomes", Lower, true, pointOf(0, 1, 2, 3), pointOf(0, 1, 2, 3), Equal, 1, 3},
		{"the same but for roundings", Lower, true, pointOf(0, 1, 2), pointOf(0, 1+1e-13, 2), Equal, 1, 2},
		{"one seed, the same", Lower, true, pointOf(0, 1), pointOf(0, 1), Equal, 1, 1},
		{"one seed, another outcome", Lower, true, pointOf(0, 1), pointOf(0, 2), TooFew, 0.5, 1},
		{"seeds differ much, pairs alike: only pairing sees it", Lower, true, pointOf(0, 1, 10, 100), pointOf(0, 1.1, 11.2, 109), Improved, 0.9058, 3},
		{"pairs the other way round", Lower, true, pointOf(0, 1.1, 11.2, 109), pointOf(0, 1, 10, 100), Worsened, 1.104, 3},
		{"pairs that disagree", Lower, true, pointOf(0, 1, 2, 3), pointOf(0, 2, 1, 3), Chance, 1, 3},
		{"two seeds that nearly agree are not enough", Lower, true, pointOf(0, 1, 1), pointOf(0, 1.1, 1.5), Chance, 0.7785, 2},
		{"more of an accuracy is better", Higher, false, pointOf(0, .8, .9, .85), pointOf(0, .7, .8, .74), Improved, 0.1033, 3},
		{"more seeds in one: those of both count", Lower, true, pointOf(0, 1, 2, 3, 50), pointOf(0, 1, 2, 3), Equal, 1, 3},
		{"no seed in common, far apart", Lower, true, pointOf(0, 1, 1.1, 0.9), pointOf(5, 2, 2.1, 2.2), Improved, 0.4750, 0},
		{"no seed in common, spread", Lower, true, pointOf(0, 1, 3, 0.3), pointOf(5, 2, 0.4, 4), Chance, 0.6549, 0},
		{"no seed in common, one of them", Lower, true, pointOf(0, 1), pointOf(5, 2), TooFew, 0.5, 0},
		{"both diverged", Lower, true, pointOf(0, nan, nan), pointOf(0, nan, inf), Equal, 1, 2},
		{"all diverged here", Lower, true, pointOf(0, nan, nan), pointOf(0, 1, 2), Worsened, inf, 2},
		{"all diverged there", Lower, true, pointOf(0, 1, 2), pointOf(0, nan, nan), Improved, 0, 2},
		{"one diverged here", Lower, true, pointOf(0, 1, nan), pointOf(0, 1, 2), Chance, inf, 2},
		{"diverged of an accuracy", Higher, false, pointOf(0, nan, nan), pointOf(0, 1, 2), Worsened, -inf, 2},
		{"an error of 0 has no logarithm", Lower, true, pointOf(0, 0, 0), pointOf(0, 1, 1), Improved, -1, 2},
	} {
		ds := curvesOf(c.better, c.log, c.this).Differences(curvesOf(c.better, c.log, c.other))
		if len(ds) != 1 {
			t.Errorf("%s: %d differences", c.name, len(ds))
			continue
		}
		d := ds[0]
		if d.Finding != c.want || d.Seeds != c.seeds || d.Change != c.change && math.Abs(d.Change-c.change) > 1e-3 {
			t.Errorf("%s: %+v, want %s, %g over %d seeds", c.name, d, c.want, c.change, c.seeds)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestDifferencesLacking: methods, panels and budgets that one run lacks are listed.
func TestDifferencesLacking(t *testing.T) {
	a := curvesOf(Lower, true, pointOf(0, 1, 2))
	b := curvesOf(Lower, true, Point{Budget: 2, Seeds: []uint64{0}, Cost: []float64{2}, Quality: []float64{1}})
	b.Curves = append(b.Curves, Curve{Panel: "p", Method: "n", Points: []Point{pointOf(0, 4)}})
	var got []string
	for _, d := range a.Differences(b) {
		if d.Finding != Lacking || math.IsNaN(d.This) == math.IsNaN(d.Other) {
			t.Errorf("%+v", d)
		}
		got = append(got, d.Panel+d.Method)
	}
	if len(got) != 3 || got[0] != "m" || got[1] != "m" || got[2] != "pn" {
		t.Errorf("%q", got)
	}
	if ds := (Curves{}).Differences(Curves{}); ds != nil {
		t.Errorf("%v", ds)
	}
}

// TestDifferencesByChance: of points that do not differ about one in twenty seems to.
func TestDifferencesByChance(t *testing.T) {
	source := rand.New(rand.NewPCG(7, 7))
	r := func() float64 { return math.Exp(source.NormFloat64()) }
	const n = 2000
	for _, first := range []uint64{0, 10} { // pairs, and none in common
		seem := 0
		for range n {
			p, q := pointOf(0, r(), r(), r(), r()), pointOf(first, r(), r(), r(), r())
			if d := curvesOf(Lower, true, p).Differences(curvesOf(Lower, true, q))[0]; d.Finding != Chance {
				seem++
			}
		}
		// 0.05 of them, give or take five standard deviations of a binomial and what
		// Welch's approximation of the freedom costs
		if share := float64(seem) / n; share < 0.025 || share > 0.075 {
			t.Errorf("seeds from %d: %g of equal points seem to differ", first, share)
		}
	}
}
