package degrade

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/rng"
)

// TestApply: every damage keeps to the range and leaves the original alone; equal
// streams give equal damage, others another.
func TestApply(t *testing.T) {
	const size = 28
	x := make([]float32, size*size)
	for i := range x {
		x[i] = float32(i%7) / 6
	}
	before := slices.Clone(x)
	for _, task := range Tasks() {
		a, b, c := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		task.Apply(a, x, size, rng.Stream(1))
		task.Apply(b, x, size, rng.Stream(1))
		task.Apply(c, x, size, rng.Stream(2))
		if !slices.Equal(a, b) || slices.Equal(a, c) || !slices.Equal(x, before) {
			t.Errorf("%v: damage is not drawn from its stream alone", task)
		}
		if slices.Min(a) < 0 || slices.Max(a) > 1 || slices.Equal(a, x) {
			t.Errorf("%v: pixels between %g and %g, same: %v", task, slices.Min(a), slices.Max(a), slices.Equal(a, x))
		}
	}
}

// TestBlur: a point becomes a Gaussian of that deviation, and keeps its weight.
func TestBlur(t *testing.T) {
	const size, deviation = 28, 1.5
	x, y := make([]float32, size*size), make([]float32, size*size)
	x[14*size+14] = 1
	blur(y, x, size, deviation)
	var sum, variance float64
	for i, v := range y {
		d := float64(i/size - 14)
		sum, variance = sum+float64(v), variance+float64(v)*d*d
	}
	if math.Abs(sum-1) > 1e-5 || math.Abs(math.Sqrt(variance)-deviation) > .03 { // cut off at three deviations
		t.Errorf("weight %g, deviation %g; want 1 and %g", sum, math.Sqrt(variance), deviation)
	}
	if y[14*size+13] != y[14*size+15] || y[13*size+14] != y[14*size+13] {
		t.Error("the blur is not round")
	}
}

func TestInpaint(t *testing.T) {
	const size = 28
	x, y := make([]float32, size*size), make([]float32, size*size)
	for seed := range uint64(50) {
		Inpaint.Apply(y, x, size, rng.Stream(seed))
		hole := 0
		for _, v := range y {
			if v == Gray {
				hole++
			}
		}
		if hole < 8*8 || hole > 16*16 {
			t.Errorf("seed %d: a hole of %d pixels", seed, hole)
		}
	}
}

func TestParse(t *testing.T) {
	for i, name := range Names() {
		if got, err := Parse(name); err != nil || got != Task(i) || got.String() != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Parse("sharpen"); err == nil || !strings.Contains(err.Error(), "inpaint") {
		t.Errorf("sharpen: %v", err)
	}
}
