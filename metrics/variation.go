package metrics

import (
	"fmt"
	"math"
)

// TotalVariation is half the sum of |p − q|: how much of the probability is placed
// elsewhere.
func TotalVariation(p, q []float64) (float64, error) {
	if len(p) != len(q) || len(p) == 0 {
		return 0, fmt.Errorf("metrics: %d and %d probabilities: want as many, at least 1", len(p), len(q))
	}
	var sum float64
	for i := range p {
		if !(p[i] >= 0 && q[i] >= 0) || math.IsInf(p[i], 0) || math.IsInf(q[i], 0) {
			return 0, fmt.Errorf("metrics: probabilities %d are %g and %g: must not be negative", i, p[i], q[i])
		}
		sum += math.Abs(p[i] - q[i])
	}
	return sum / 2, nil
}
