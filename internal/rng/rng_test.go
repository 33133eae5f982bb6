package rng

import (
	"math"
	"testing"
)

// TestStreams: equal names give equal streams, and neighbouring ones are not
// correlated.
func TestStreams(t *testing.T) {
	if a, b := Stream(1, 2, 3), Stream(1, 2, 3); a.Uint64() != b.Uint64() {
		t.Error("one name gives two streams")
	}
	const n = 20000
	for _, other := range [][]uint64{{1, 2, 4}, {1, 3, 3}, {2, 2, 3}, {1, 3, 2}, {1, 2}} {
		a, b := Stream(1, 2, 3), Stream(other[0], other[1:]...)
		var c float64
		for range n {
			c += a.NormFloat64() * b.NormFloat64() / n
		}
		if math.Abs(c) > 4/math.Sqrt(n) { // four standard errors
			t.Errorf("streams (1 2 3) and %v are correlated: %.3f", other, c)
		}
	}
}
