package mixer

import (
	"math"
	"math/rand/v2"
	"testing"
)

var tiny = Recipe{
	Shape: Shape{Size: 6, Patch: 2, Width: 8, Blocks: 2, Tokens: 5, Hidden: 7, Times: 6, Frequency: 30, Classes: 3},
	Steps: 12, Batch: 18, Rate: 1e-2, Warmup: 3, Clip: 1, EMA: .9, Unlabel: .2, Seed: 1,
}

// tinyData are random images of the size that tiny trains on.
func tinyData() ([]float32, []uint8) {
	r := rand.New(rand.NewPCG(1, 2))
	x, labels := make([]float32, 20*36), make([]uint8, 20)
	for i := range x {
		x[i] = float32(math.Tanh(r.NormFloat64()))
	}
	for i := range labels {
		labels[i] = uint8(r.IntN(3))
	}
	return x, labels
}

// TestGradient holds the backward pass against differences of the loss, in a
// direction of its own for every array. All weights are random: at their initial
// values most gradients are zero.
func TestGradient(t *testing.T) {
	x, labels := tinyData()
	checkGradient(t, newTrainer(tiny, x, labels))
}

func checkGradient(t *testing.T, tr *trainer) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	layout := tr.Shape.layout()
	w, grad := make([]float32, layout.Len()), make([]float32, layout.Len())
	for i := range w {
		w[i] = float32(.5 * r.NormFloat64())
	}
	if _, err := tr.gradient(0, w, grad); err != nil {
		t.Fatal(err)
	}
	rest := make([]float32, len(w))
	from := 0
	for _, p := range layout {
		d := make([]float64, p.Len())
		var along float64
		for i := range d {
			d[i] = r.NormFloat64()
			along += d[i] * float64(grad[from+i])
		}
		loss := func(h float64) float64 {
			v := append([]float32(nil), w...)
			for i := range d {
				v[from+i] += float32(h * d[i])
			}
			y, err := tr.gradient(0, v, rest)
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		// Differences of fourth order: steps that are long enough for float32.
		const h = 1e-3
		diff := (8*(loss(h)-loss(-h)) - (loss(2*h) - loss(-2*h))) / (12 * h)
		if math.Abs(diff-along) > 1e-3*(math.Abs(diff)+.1) {
			t.Errorf("%s: slope %.6g, differences %.6g", p.Name, along, diff)
		}
		from += p.Len()
	}
}
