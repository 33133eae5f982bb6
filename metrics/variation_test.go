package metrics_test

import (
	"math"
	"testing"

	"github.com/assay-lab/assay/metrics"
)

func TestTotalVariation(t *testing.T) {
	if got, err := metrics.TotalVariation([]float64{.5, .5, 0}, []float64{.25, .5, .25}); err != nil || got != .25 {
		t.Errorf("%v, %v", got, err)
	}
	for name, pair := range map[string][2][]float64{
		"other lengths": {{1}, {.5, .5}}, "nothing": {nil, nil}, "a negative one": {{-1}, {1}}, "NaN": {{math.NaN()}, {1}},
	} {
		if _, err := metrics.TotalVariation(pair[0], pair[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
