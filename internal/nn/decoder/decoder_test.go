package decoder

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/gemm"
	"github.com/assay-lab/assay/internal/nn"
)

var tiny = Recipe{
	Shape: Shape{Vocab: 7, Context: 5, Width: 8, Heads: 2, Blocks: 2, Hidden: 12},
	Steps: 30, Batch: 6, Rate: 1e-2, Warmup: 3, Clip: 1, EMA: .9, Seed: 1,
}

// cycle is a text in which every token says the next.
func cycle(n int) []int {
	text := make([]int, n)
	for i := range text {
		text[i] = i * i % 7
	}
	return text
}

// randomWeights: at their initial values many gradients are zero or small.
func randomWeights(s Shape) []float32 {
	r := rand.New(rand.NewPCG(3, 4))
	w := make([]float32, s.layout().Len())
	for i := range w {
		w[i] = float32(.3 * r.NormFloat64())
	}
	return w
}

// TestGradient holds the backward pass against differences of the loss, in a
// direction of its own for every array.
func TestGradient(t *testing.T) {
	tr := newTrainer(tiny, cycle(50))
	r := rand.New(rand.NewPCG(5, 6))
	layout := tiny.Shape.layout()
	w, grad := randomWeights(tiny.Shape), make([]float32, layout.Len())
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
			v := slices.Clone(w)
			for i := range d {
				v[from+i] += float32(h * d[i])
			}
			y, err := tr.gradient(0, v, rest)
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		const h = 4e-4
		diff := (loss(h) - loss(-h)) / (2 * h)
		// Rounding of a loss of about 3 in float32, over 2h; kinks of the ReLU and
		// curvature, in h.
		if math.Abs(diff-along) > 3e-3*(math.Abs(diff)+.3) {
			t.Errorf("%s: slope %.6g, differences %.6g", p.Name, along, diff)
		}
		from += p.Len()
	}
}

// TestWatch: the inputs and gradients that are shown give the gradient by the
// weights.
func TestWatch(t *testing.T) {
	m, err := New(tiny.Shape, randomWeights(tiny.Shape))
	if err != nil {
		t.Fatal(err)
	}
	seq := cycle(6)
	seen := 0
	_, err = m.Watch(seq, func(layer int, x, grad []float32) error {
		seen++
		l := m.Linears()[layer]
		if len(x) != 5*l.Cols || len(grad) != 5*l.Rows {
			t.Fatalf("%s: %d inputs, %d gradients", l.Name, len(x), len(grad))
		}
		g := make([]float32, l.Rows*l.Cols)
		gemm.Mul(g, transpose(grad, l.Rows, 5), matrix(x, 5, l.Cols), false)
		loss := func(h float32) float64 {
			w := slices.Clone(l.Weights)
			w[3] += h
			changed, err := m.WithLinear(layer, w)
			if err != nil {
				t.Fatal(err)
			}
			y, err := changed.Loss(context.Background(), [][]int{seq}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		const h = 5e-3
		if diff := (loss(h) - loss(-h)) / (2 * h); math.Abs(diff-float64(g[3])) > 2e-3*(math.Abs(diff)+.3) {
			t.Errorf("%s: slope %g, differences %g", l.Name, g[3], diff)
		}
		return nil
	})
	if err != nil || seen != len(m.Linears()) {
		t.Errorf("%d layers seen, %v", seen, err)
	}
	if _, err := m.Watch(seq, func(int, []float32, []float32) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("an error of the watcher is lost: %v", err)
	}
}

var errStop = errors.New("stop")

func TestProductsReplaceLayers(t *testing.T) {
	m, err := New(tiny.Shape, randomWeights(tiny.Shape))
	if err != nil {
		t.Fatal(err)
	}
	seqs := [][]int{cycle(6), cycle(7)[1:], {0, 0, 0, 1, 2, 3}, cycle(6), cycle(6)}
	want, err := m.Losses(context.Background(), seqs, nil)
	if err != nil {
		t.Fatal(err)
	}
	products := make([]Product, len(m.Linears()))
	for i, l := range m.Linears() {
		if i%3 == 0 {
			continue
		}
		products[i] = func(dst, x []float32, tokens int) error {
			gemm.Mul(dst, matrix(x, tokens, l.Cols), transpose(l.Weights, l.Cols, l.Rows), false)
			return nil
		}
	}
	got, err := m.Losses(context.Background(), seqs, products)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v: want %v", got, err, want)
	}
	products[0] = func(dst, _ []float32, _ int) error { clear(dst); return nil }
	if got, err := m.Losses(context.Background(), seqs, products); err != nil || slices.Equal(got, want) {
		t.Errorf("a replaced layer changes nothing: %v, %v", got, err)
	}
	products[0] = func([]float32, []float32, int) error { return errStop }
	if _, err := m.Losses(context.Background(), seqs, products); !errors.Is(err, errStop) {
		t.Errorf("an error of a product is lost: %v", err)
	}
}

// TestCausal: what comes later does not change what was predicted before.
func TestCausal(t *testing.T) {
	m, err := New(tiny.Shape, randomWeights(tiny.Shape))
	if err != nil {
		t.Fatal(err)
	}
	net := m.Shape.newNetwork(1, 5)
	logits := func(seq ...int) []float32 {
		copy(net.tokens, seq)
		if err := net.forward(m.p, nil); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(net.logits)
	}
	a, b := logits(1, 2, 3, 4, 5), logits(1, 2, 3, 0, 0)
	if !slices.Equal(a[:3*7], b[:3*7]) || slices.Equal(a[3*7:], b[3*7:]) {
		t.Error("predictions depend on later tokens, or not on earlier ones")
	}
}

// TestTrain: it learns, the same every time, also when interrupted.
func TestTrain(t *testing.T) {
	text := cycle(200)
	seqs := [][]int{text[:6], text[50:56]}
	r := tiny
	r.Steps = 150
	whole, err := Train(context.Background(), r, text, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	loss, err := whole.Loss(context.Background(), seqs, nil)
	if err != nil || loss > 0.6 { // from log 7 = 1.95; the first token says little
		t.Errorf("loss %g, %v", loss, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opt := nn.Options{Checkpoint: filepath.Join(t.TempDir(), "state"), Progress: func(p nn.Progress) {
		if p.Step == 70 {
			cancel()
		}
	}}
	if _, err := Train(ctx, r, text, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	again, err := Train(context.Background(), r, text, opt)
	if err != nil || !slices.Equal(again.weights, whole.weights) {
		t.Errorf("an interrupted run gives other weights: %v", err)
	}
}

func TestErrors(t *testing.T) {
	m, err := New(tiny.Shape, randomWeights(tiny.Shape))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	losses := func(seqs ...[]int) func() error {
		return func() error { _, err := m.Losses(ctx, seqs, nil); return err }
	}
	recipe := func(change func(*Recipe), text []int) func() error {
		return func() error {
			r := tiny
			change(&r)
			_, err := Train(ctx, r, text, nn.Options{})
			return err
		}
	}
	tensors := func(change func(map[string]data.Tensor)) func() error {
		return func() error {
			ts := m.Tensors()
			change(ts)
			_, err := FromTensors(tiny.Shape, ts)
			return err
		}
	}
	for _, tt := range []struct {
		name string
		err  func() error
		want string
	}{
		{"a token beyond the vocabulary", losses([]int{0, 7}), "token[1] = 7"},
		{"a negative token", losses([]int{-1, 0}), "token[0] = -1"},
		{"a sequence too long", losses(cycle(7)), "7 tokens: must be 2 to 6"},
		{"a sequence of one", losses([]int{1}), "1 tokens"},
		{"unequal sequences", losses([]int{1, 2}, []int{1, 2, 3}), "2 and 3 tokens"},
		{"too few products", func() error { _, err := m.Losses(ctx, [][]int{{1, 2}}, make([]Product, 1)); return err }, "1 products"},
		{"no sequences", func() error { _, err := m.Loss(ctx, nil, nil); return err }, "no sequences"},
		{"heads that do not divide", recipe(func(r *Recipe) { r.Shape.Heads = 3 }, cycle(50)), "3 heads"},
		{"no blocks", recipe(func(r *Recipe) { r.Shape.Blocks = 0 }, cycle(50)), "blocks = 0"},
		{"no batch", recipe(func(r *Recipe) { r.Batch = 0 }, cycle(50)), "batches of 0"},
		{"a short text", recipe(func(*Recipe) {}, cycle(5)), "text of 5 tokens"},
		{"too few weights", func() error { _, err := New(tiny.Shape, nil); return err }, "0 weights"},
		{"a missing tensor", tensors(func(ts map[string]data.Tensor) { delete(ts, "norm") }), `"norm" is missing`},
		{"a misshapen tensor", tensors(func(ts map[string]data.Tensor) { ts["norm"] = data.Tensor{Shape: []int{2}, Data: []float32{1, 2}} }), `"norm" has shape [2], want [8]`},
		{"a layer that is not there", func() error { _, err := m.WithLinear(99, nil); return err }, "layer 99"},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v: want %q in it", tt.name, err, tt.want)
		}
	}
	if err := tensors(func(map[string]data.Tensor) {})(); err != nil {
		t.Error(err)
	}
}
