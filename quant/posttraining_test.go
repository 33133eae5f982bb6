package quant

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// someChain is a network of three layers with random weights.
func someChain(f OutputFunc) Chain {
	var c Chain
	for i, s := range [][2]int{{12, 4}, {12, 12}, {3, 12}} {
		l := ChainLayer{Name: []string{"first", "middle", "last"}[i], Weights: Dense{s[0], s[1], normals(s[0]*s[1], uint64(i))}, Bias: normals(s[0], uint64(i)+10), Output: f}
		for j := range l.Weights.X {
			l.Weights.X[j] /= math.Sqrt(float64(s[1]))
		}
		c = append(c, l)
	}
	c[2].Output = Identity
	return c
}

func calibrated(t *testing.T, m PostTraining, c Chain, x []float64) *QuantizedChain {
	t.Helper()
	q, err := m.Calibrate(context.Background(), c, x, len(x)/c.Inputs())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func meanSquare(t *testing.T, c Chain, q *QuantizedChain, x []float64) float64 {
	t.Helper()
	a, err := c.Forward(x, len(x)/c.Inputs())
	if err != nil {
		t.Fatal(err)
	}
	b, err := q.Forward(x, len(x)/c.Inputs())
	if err != nil {
		t.Fatal(err)
	}
	var s float64
	for i := range a {
		s += (a[i] - b[i]) * (a[i] - b[i]) / float64(len(a))
	}
	return s
}

// TestPostTraining: two bits fewer make the error about four times as large, in its
// root; so it must fall at every width, wherever activations are quantized.
func TestPostTraining(t *testing.T) {
	x, fresh := normals(4*256, 5), normals(4*100, 6)
	for _, f := range []OutputFunc{ReLU, SiLU} {
		c := someChain(f)
		for _, place := range []Placement{LayerOutputs, LayerInputs} {
			last := math.Inf(1)
			for _, bits := range []int{3, 4, 6, 8} {
				m := PostTraining{Weights: RangeSearch{Bits: bits}, Activations: RangeSearch{Bits: bits}, Place: place}
				e := meanSquare(t, c, calibrated(t, m, c, x), fresh)
				if !(e < last/2) {
					t.Errorf("function %d, place %d, %d bits: mean square %g after %g", f, place, bits, e, last)
				}
				last = e
			}
			if last > 1e-3 {
				t.Errorf("function %d, place %d: mean square %g at 8 bits", f, place, last)
			}
		}
	}
}

// TestChainCodes: weights are codes of their width, 8 bits at the ends, and outputs
// are multiples of the scale.
func TestChainCodes(t *testing.T) {
	c := someChain(ReLU)
	q := calibrated(t, PostTraining{Weights: RangeSearch{Bits: 3}, Activations: RangeSearch{Bits: 4}}, c, normals(4*64, 5))
	for i, want := range []int{8, 3, 8} {
		a, codes := q.Weights(i)
		if a.Bits != want || int(slices.Max(codes)) >= 1<<want || len(a.Scale) != c[i].Weights.Rows {
			t.Errorf("layer %d has %d bits, codes up to %d, %d scales", i, a.Bits, slices.Max(codes), len(a.Scale))
		}
	}
	if a := q.Activations(0); len(a.Scale) != 1 || a.Bits != 4 || a.Zero[0] != 0 {
		t.Errorf("activations behind a ReLU: %+v", a)
	}
	if a := q.Activations(2); len(a.Scale) != 0 {
		t.Errorf("the network's output is quantized: %+v", a)
	}
	if small, large := q.Bytes(); !(small < large/2) {
		t.Errorf("%d bytes of %d", small, large)
	}
}

func TestWarnings(t *testing.T) {
	c := someChain(ReLU)
	for i := range c[0].Bias {
		c[0].Bias[i] = -1e6 // nothing comes through the first ReLU
	}
	q := calibrated(t, PostTraining{}, c, normals(4*70, 5))
	want := []Warning{{Kind: Dropped, Count: 6}, {"first", AllZero, 2}}
	if !slices.Equal(q.Warnings, want) {
		t.Errorf("warnings %v, want %v", q.Warnings, want)
	}
}

// TestAdaRound: variables begin where soft rounding is the weights themselves, and
// hard rounding is to nearest.
func TestAdaRound(t *testing.T) {
	w := normals(60, 1)
	q, err := RangeSearch{Bits: 4, Criterion: Extremes}.Channels(w, 3)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewAdaRound(w, q)
	if err != nil {
		t.Fatal(err)
	}
	soft, hard, near, codes := make([]float64, 60), make([]float64, 60), make([]float64, 60), make([]uint8, 60)
	if err := errors.Join(r.Soft(soft), r.Hard(hard), q.Fake(near, w), q.Quantize(codes, w)); err != nil {
		t.Fatal(err)
	}
	for i, v := range w {
		if clipped := codes[i] == 0 || codes[i] == 15; math.Abs(soft[i]-v) > 1e-9 && !clipped {
			t.Errorf("weight %d: %g, softly %g", i, v, soft[i])
		}
		if math.Abs(hard[i]-near[i]) > 1e-9 {
			t.Errorf("weight %d: %g, hard %g, nearest %g", i, v, hard[i], near[i])
		}
	}
}

// TestAdaRoundGradient: both parts of the loss against central differences.
func TestAdaRoundGradient(t *testing.T) {
	w := normals(12, 1)
	q, err := RangeSearch{Bits: 4}.Channels(w, 3)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewAdaRound(w, q)
	if err != nil {
		t.Fatal(err)
	}
	dw, dv, soft := normals(12, 2), make([]float64, 12), make([]float64, 12)
	r.gradient(dv, dw)
	r.penalty(dv, 3, .7)
	loss := func() float64 {
		if err := r.Soft(soft); err != nil {
			t.Fatal(err)
		}
		return dot64(dw, soft) + .7*r.penalty(make([]float64, 12), 3, 0)
	}
	for i := range r.V {
		const h = 1e-5
		v := r.V[i]
		r.V[i] = v + h
		up := loss()
		r.V[i] = v - h
		down := loss()
		r.V[i] = v
		if want := (up - down) / (2 * h); math.Abs(dv[i]-want) > 1e-5*max(1, math.Abs(want)) {
			t.Errorf("variable %d: %g, by differences %g", i, dv[i], want)
		}
	}
}

// TestReconstruction: learned rounding leaves less error than rounding to nearest,
// on inputs that it has not seen.
func TestReconstruction(t *testing.T) {
	x, fresh := normals(4*256, 5), normals(4*200, 6)
	for _, f := range []OutputFunc{ReLU, SiLU} {
		c := someChain(f)
		m := PostTraining{Weights: RangeSearch{Bits: 3}, Ends: 3}
		nearest := meanSquare(t, c, calibrated(t, m, c, x), fresh)
		m.Reconstruct = &Reconstruction{Steps: 1500}
		learned := meanSquare(t, c, calibrated(t, m, c, x), fresh)
		if !(learned < nearest) {
			t.Errorf("function %d: mean square %g learned, %g to nearest", f, learned, nearest)
		}
	}
}

func TestPostTrainingErrors(t *testing.T) {
	c := someChain(ReLU)
	x := normals(4*64, 1)
	ctx := context.Background()
	calibrate := func(m PostTraining, c Chain, x []float64, n int) func() error {
		return func() error { _, err := m.Calibrate(ctx, c, x, n); return err }
	}
	broken := func(change func(Chain)) Chain {
		b := someChain(ReLU)
		change(b)
		return b
	}
	for _, tt := range []struct {
		name string
		f    func() error
		want string
	}{
		{"fewer samples than a batch", calibrate(PostTraining{}, c, x[:4*20], 20), "calibration on 20 samples, fewer than a batch of 32"},
		{"numbers that do not fit", calibrate(PostTraining{}, c, x[:7], 2), "7 numbers for 2 inputs of 4 features"},
		{"weights of 9 bits", calibrate(PostTraining{Weights: RangeSearch{Bits: 9}}, c, x, 64), "weights: quant: bits = 9"},
		{"ends of 1 bit", calibrate(PostTraining{Ends: 1}, c, x, 64), "bits = 1"},
		{"no layers", calibrate(PostTraining{}, nil, x, 64), "a chain of no layers"},
		{"layers that do not fit", calibrate(PostTraining{}, broken(func(c Chain) { c[1] = c[0] }), x, 64), `layer "first": takes 4 inputs, but 12 come`},
		{"a bias that is missing", calibrate(PostTraining{}, broken(func(c Chain) { c[1].Bias = nil }), x, 64), `layer "middle": 0 biases for 12 outputs`},
		{"NaN in the weights", calibrate(PostTraining{}, broken(func(c Chain) { c[2].Weights.X[3] = math.NaN() }), x, 64), `layer "last": element [0, 3] = NaN`},
		{"fewer activations than bins", calibrate(PostTraining{Activations: RangeSearch{Criterion: Divergence}}, c, x, 64), `layer "first": quant: calibration on 384 numbers, fewer than the 2048 bins`},
		{"NaN among the samples", calibrate(PostTraining{}, c, append(slices.Clone(x[1:]), math.NaN()), 64), "element 255 = NaN"},
		{"an unknown placement", calibrate(PostTraining{Place: 2}, c, x, 64), "placement 2"},
		{"no batch", calibrate(PostTraining{Batch: -1}, c, x, 64), "batches of -1"},
		{"a beta that grows", calibrate(PostTraining{Reconstruct: &Reconstruction{BetaStart: 1, BetaEnd: 3}}, c, x, 64), "beta from 1 to 3"},
		{"a mix of 2", calibrate(PostTraining{Reconstruct: &Reconstruction{Mix: 2}}, c, x, 64), "mix 2 in (0, 1]"},
	} {
		if err := tt.f(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := (PostTraining{}).Calibrate(stopped, c, x, 64); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFakeSlopes: the learned step's gradient (LSQ): the rounding error within the
// range, the outermost codes beyond.
func TestFakeSlopes(t *testing.T) {
	q := Affine{Bits: 2, Scale: []float64{.5}, Zero: []int{1}} // −0.5 to 1
	for _, tt := range []struct{ x, y, byX, byScale float64 }{
		{.6, .5, 1, 1 - 1.2}, {-.4, -.5, 1, -1 + .8}, {9, 1, 0, 2}, {-9, -.5, 0, -1},
	} {
		if y, byX, byScale := fakeSlopes(q, tt.x); math.Abs(y-tt.y)+math.Abs(byX-tt.byX)+math.Abs(byScale-tt.byScale) > 1e-12 {
			t.Errorf("%g: %g, slopes %g and %g: want %+v", tt.x, y, byX, byScale, tt)
		}
	}
}
