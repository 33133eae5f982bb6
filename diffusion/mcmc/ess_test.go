package mcmc_test

import (
	"math"
	"testing"

	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/rng"
)

// TestESS: an autoregressive series x_t = φ·x_{t−1} + noise has n·(1−φ)/(1+φ)
// effective samples.
func TestESS(t *testing.T) {
	const chains, n = 8, 4000
	for _, phi := range []float64{0, .5, .9, -.4} {
		r := rng.Stream(2)
		series := make([][][]float64, chains)
		for c := range series {
			x := []float64{r.NormFloat64() / math.Sqrt(1-phi*phi), r.NormFloat64() / math.Sqrt(1-phi*phi)}
			for range n {
				series[c] = append(series[c], []float64{x[0], x[1]})
				for i := range x {
					x[i] = phi*x[i] + r.NormFloat64()
				}
			}
		}
		got, err := mcmc.ESS(series)
		want := chains * n * (1 - phi) / (1 + phi)
		if err != nil || math.Abs(got/want-1) > .1 { // the estimate of the correlation time
			t.Errorf("φ = %g: %.0f, %v; want %.0f", phi, got, err, want)
		}
	}
}

// TestESSOfStuckChains: of m chains that stay where they are, n samples long, the sum
// of n correlations of 1 makes n·m/(2n − 1), half a sample each.
func TestESSOfStuckChains(t *testing.T) {
	labels := make([][]int, 50)
	for c := range labels {
		for range 20 {
			labels[c] = append(labels[c], c%5)
		}
		labels[c][7] = (c + 1) % 5 // but for one
	}
	series, err := mcmc.OneHot(labels, 5)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mcmc.ESS(series)
	if err != nil || got < 20 || got > 40 {
		t.Errorf("%.1f, %v; want about 25", got, err)
	}
}

func TestESSRefuses(t *testing.T) {
	for name, s := range map[string][][][]float64{
		"nothing":          nil,
		"one sample":       {{{1}}},
		"ragged":           {{{1}, {2}}, {{1}}},
		"ragged samples":   {{{1}, {2, 3}}},
		"empty samples":    {{{}, {}}},
		"NaN":              {{{1}, {math.NaN()}}},
		"what is constant": {{{1}, {1}}},
	} {
		if _, err := mcmc.ESS(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := mcmc.OneHot([][]int{{0, 3}}, 3); err == nil {
		t.Error("a label out of range is accepted")
	}
}
