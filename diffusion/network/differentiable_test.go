package network_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/network"
)

// TestGradientThroughShippedNetwork: gradients through the shipped denoiser, along one
// direction of the start noise and of the label's embedding, against differences; and
// the same with plain back-propagation.
func TestGradientThroughShippedNetwork(t *testing.T) {
	ctx := context.Background()
	m, err := network.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	const n = 2
	loss := func(x []float32, n int, grad []float32) (y float64, err error) {
		for i, v := range x {
			grad[i] = float32(math.Sin(float64(i))) + v
			y += math.Sin(float64(i))*float64(v) + float64(v)*float64(v)/2
		}
		return y, nil
	}
	solve := func(m *network.Model, x []float32, check adjoint.Checkpoint) *adjoint.Gradient[float32] {
		model, err := m.Differentiable([]int{3}, 1.5, network.TrainEmbedding)
		if err != nil {
			t.Fatal(err)
		}
		g, err := adjoint.Solve(ctx, diffusion.Problem[float32]{Model: model, N: n, X: x,
			Grid: diffusion.Grid{Schedule: m.Schedule, Steps: 3}}, diffusion.DDIM{}, loss, adjoint.Options{Checkpoint: check})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	x, err := diffusion.Start[float32](diffusion.Grid{Schedule: m.Schedule}, n, m.Len(), diffusion.Seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	g := solve(m, x, adjoint.GridStates)
	r := rand.New(rand.NewPCG(1, 1))
	moved := func(x, d []float32, h float64) []float32 {
		y := slices.Clone(x)
		for i := range y {
			y[i] += float32(h) * d[i]
		}
		return y
	}
	direction := func(k int) []float32 {
		d := make([]float32, k)
		for i := range d {
			d[i] = float32(r.NormFloat64())
		}
		return d
	}
	// differences of fourth order: steps long enough for float32 through six passes
	const h = 1e-3
	slope := func(at func(h float64) float64) float64 {
		return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
	}
	dx, got := direction(len(x)), 0.0
	for i, v := range g.Start {
		got += float64(v) * float64(dx[i])
	}
	want := slope(func(h float64) float64 { return solve(m, moved(x, dx, h), 0).Loss })
	if math.Abs(got-want) > .005*(1+math.Abs(want)) {
		t.Errorf("along the start noise %.5g, differences %.5g", got, want)
	}
	e, err := m.Embedding(3)
	if err != nil {
		t.Fatal(err)
	}
	de, got := direction(len(e)), 0.0
	for i, v := range g.Params {
		got += v * float64(de[i])
	}
	want = slope(func(h float64) float64 {
		changed, err := m.WithEmbedding(3, moved(e, de, h))
		if err != nil {
			t.Fatal(err)
		}
		return solve(changed, x, 0).Loss
	})
	if math.Abs(got-want) > .005*(1+math.Abs(want)) {
		t.Errorf("along the embedding %.5g, differences %.5g", got, want)
	}
	full := solve(m, x, adjoint.Full)
	for i, v := range full.Start {
		if math.Abs(float64(v-g.Start[i])) > 1e-4*(1e-2+math.Abs(float64(v))) {
			t.Fatalf("start[%d]: %g with kept states, %g by plain back-propagation", i, g.Start[i], v)
		}
	}
}

// TestLogProb: the classifier's gradient on real digits. Its rectifiers have kinks, so
// that steps must be short.
func TestLogProb(t *testing.T) {
	ctx := context.Background()
	judge, err := network.MNISTClassifier()
	if err != nil {
		t.Fatal(err)
	}
	images, _, err := network.MNISTImages()
	if err != nil {
		t.Fatal(err)
	}
	const n, h = 3, 1e-4
	x, labels := images[:n*784], []int{8, 3, 0}
	grad := make([]float32, len(x))
	logs, err := judge.LogProb(ctx, x, n, labels, grad)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 1))
	up, down, along := slices.Clone(x), slices.Clone(x), make([]float64, n)
	for i := range x {
		d := r.NormFloat64()
		up[i] += float32(h * d)
		down[i] -= float32(h * d)
		along[i/784] += d * float64(grad[i])
	}
	a, err := judge.LogProb(ctx, up, n, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := judge.LogProb(ctx, down, n, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if want := (a[i] - b[i]) / (2 * h); logs[i] > 0 || math.Abs(along[i]-want) > .03*(1+math.Abs(want)) {
			t.Errorf("image %d, log probability %g: slope %.5g, differences %.5g", i, logs[i], along[i], want)
		}
	}
}

func TestDifferentiableRefuses(t *testing.T) {
	m, err := network.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		labels []int
		scale  float64
		train  network.Train
		want   string
	}{
		"a label too large":           {[]int{10}, 1, 0, "label 10"},
		"guidance without labels":     {nil, 2, 0, "guidance needs labels"},
		"guidance not finite":         {[]int{1}, math.NaN(), 0, "must be finite"},
		"embedding of several labels": {[]int{1, 2}, 1, network.TrainEmbedding, "one label"},
	} {
		if _, err := m.Differentiable(tt.labels, tt.scale, tt.train); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	if _, err := m.Embedding(10); err == nil {
		t.Error("the embedding of label 10 is read")
	}
	if _, err := m.WithEmbedding(1, nil); err == nil {
		t.Error("an empty embedding is accepted")
	}
	onnx := &network.Model{Name: "my.onnx", Classes: 10}
	if _, err := onnx.Differentiable(nil, 1, 0); err == nil || !strings.Contains(err.Error(), "no gradient") {
		t.Errorf("an ONNX network: %v", err)
	}
	judge, err := network.MNISTClassifier()
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"label 10":   second(judge.LogProb(context.Background(), make([]float32, 784), 1, []int{10}, nil)),
		"783 pixels": second(judge.LogProb(context.Background(), make([]float32, 783), 1, []int{1}, nil)),
		"two labels": second(judge.LogProb(context.Background(), make([]float32, 784), 1, []int{1, 2}, nil)),
	} {
		if err == nil {
			t.Errorf("%s: accepted by the classifier", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }
