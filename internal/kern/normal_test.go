package kern_test

import (
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// TestNormalBits: the same bits at every level, for every length and alignment,
// and on other machines.
func TestNormalBits(t *testing.T) {
	const n = 20000
	want := make([]float64, n)
	kerntest.Generic(func() { kern.Normal(want, 12345, 678) })
	h := fnv.New64a()
	for _, z := range want {
		b := math.Float64bits(z)
		for s := range 8 {
			h.Write([]byte{byte(b >> (8 * s))})
		}
	}
	if got := h.Sum64(); got != normalHash {
		t.Errorf("the numbers have hash %#x, want %#x: recorded runs would not repeat", got, uint64(normalHash))
	}
	p := kerntest.NewPlace[float64](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		got := make([]float64, n)
		if kern.Normal(got, 12345, 678); !slices.Equal(got, want) {
			t.Errorf("differs from the generic level")
		}
		for n := range kerntest.MaxLen + 1 {
			for at := range p.Offsets() {
				got := p.At(at, n)
				if at == 0 {
					got = p.High(n)
				}
				if kern.Normal(got, 12345, 678); !slices.Equal(got, want[:n]) {
					t.Fatalf("%d numbers at offset %d differ", n, at)
				}
			}
		}
	})
}

const normalHash = 0xa2c2a8327e4ca3cb

// TestNormalDistribution compares with the normal distribution function.
func TestNormalDistribution(t *testing.T) {
	const n = 400000
	x := make([]float64, n)
	kern.Normal(x, 1, 2)
	var m1, m2, m3, m4, lag, pair float64
	for i, z := range x {
		m1 += z / n
		m2 += z * z / n
		m3 += z * z * z / n
		m4 += z * z * z * z / n
		if i > 0 {
			lag += z * x[i-1] / n
			pair += z * z * x[i-1] * x[i-1] / n
		}
	}
	se := 1 / math.Sqrt(n)
	for _, m := range []struct {
		name            string
		got, want, unit float64 // standard error over se
	}{
		{"mean", m1, 0, 1}, {"variance", m2, 1, math.Sqrt2}, {"skewness", m3, 0, math.Sqrt(15)}, {"kurtosis", m4, 3, math.Sqrt(96)},
		{"correlation of neighbours", lag, 0, 1}, {"correlation of squares", pair, 1, math.Sqrt(8)},
	} {
		if math.Abs(m.got-m.want) > 4*m.unit*se {
			t.Errorf("%s is %.5f, want %g within %.5f", m.name, m.got, m.want, 4*m.unit*se)
		}
	}
	slices.Sort(x)
	var ks float64
	for i, z := range x {
		ks = max(ks, math.Abs(math.Erfc(-z/math.Sqrt2)/2-(float64(i)+0.5)/n))
	}
	if ks > 1.95*se { // a right sample exceeds it once in a thousand times
		t.Errorf("Kolmogorov and Smirnov's distance is %.2f/√n", ks/se)
	}
}

// TestNormalStreams: keys and streams that differ in a bit are independent.
func TestNormalStreams(t *testing.T) {
	const n = 50000
	fill := func(key, stream uint64) []float64 {
		x := make([]float64, n)
		kern.Normal(x, key, stream)
		return x
	}
	a := fill(7, 9)
	for _, s := range [][2]uint64{{6, 9}, {7, 8}, {7, 9 | 1<<63}, {7 | 1<<63, 9}, {9, 7}, {0, 0}} {
		if c := kern.Dot(a, fill(s[0], s[1])) / n; math.Abs(c) > 4/math.Sqrt(n) {
			t.Errorf("key and stream %v: correlation %.4f", s, c)
		}
	}
}
