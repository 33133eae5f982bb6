package mixer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/onnx"
)

func trainTiny(t *testing.T, r Recipe, opt nn.Options) *Denoiser {
	t.Helper()
	x, labels := tinyData()
	d, err := Train(context.Background(), r, x, labels, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSeed: the same seed gives the same weights on any number of processors;
// another seed gives others.
func TestSeed(t *testing.T) {
	want := trainTiny(t, tiny, nn.Options{}).weights
	old := runtime.GOMAXPROCS(1)
	got := trainTiny(t, tiny, nn.Options{}).weights
	runtime.GOMAXPROCS(old)
	if !slices.Equal(got, want) {
		t.Error("weights differ on one processor")
	}
	other := tiny
	other.Seed++
	if slices.Equal(trainTiny(t, other, nn.Options{}).weights, want) {
		t.Error("another seed gives the same weights")
	}
}

func TestResume(t *testing.T) {
	want := trainTiny(t, tiny, nn.Options{}).weights
	ctx, cancel := context.WithCancel(context.Background())
	opt := nn.Options{Checkpoint: filepath.Join(t.TempDir(), "state"), Progress: func(p nn.Progress) {
		if p.Step == 5 {
			cancel()
		}
	}}
	x, labels := tinyData()
	if _, err := Train(ctx, tiny, x, labels, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := trainTiny(t, tiny, opt).weights; !slices.Equal(got, want) {
		t.Error("a resumed run ends with other weights")
	}
	x[0] += .5
	if _, err := Train(context.Background(), tiny, x, labels, opt); err == nil || !strings.Contains(err.Error(), "recipe") {
		t.Errorf("the state of a run on other images is resumed: %v", err)
	}
}

// TestLearns: the loss of a network of zero is the mean square of the velocity;
// training on a single image halves it.
func TestLearns(t *testing.T) {
	r := tiny
	r.Steps, r.EMA = 300, .5
	x, labels := tinyData()
	var loss []float64
	_, err := Train(context.Background(), r, x[:36], labels[:1], nn.Options{Progress: func(p nn.Progress) { loss = append(loss, p.Loss) }})
	if err != nil {
		t.Fatal(err)
	}
	if first, last := loss[0], loss[len(loss)-1]; first < .2 || last > first/2 {
		t.Errorf("loss %.3g at first, %.3g at last", first, last)
	}
}

func TestVelocity(t *testing.T) {
	r := tiny
	r.Steps = 100
	d := trainTiny(t, r, nn.Options{})
	const n = 35 // three parts, the last not full
	src := rand.New(rand.NewPCG(5, 6))
	x, at, labels := make([]float32, n*36), make([]diffusion.Level, n), make([]int, n)
	for i := range x {
		x[i] = float32(src.NormFloat64())
	}
	for i := range at {
		at[i], labels[i] = diffusion.Cosine{}.At(src.Float64()), i%4-1
	}
	all := make([]float32, len(x))
	if err := d.Velocity(context.Background(), all, x, n, at, labels); err != nil {
		t.Fatal(err)
	}
	one := make([]float32, 36)
	for i := range n {
		if err := d.Velocity(context.Background(), one, x[i*36:(i+1)*36], 1, at[i:i+1], labels[i:i+1]); err != nil {
			t.Fatal(err)
		}
		for j, v := range one {
			// Rounding: tiles of other heights and widths sum in another order.
			if w := all[i*36+j]; math.Abs(float64(v-w)) > 1e-5 || math.IsNaN(float64(v)) {
				t.Fatalf("image %d: velocity %g alone, %g in a batch of %d", i, v, w, n)
			}
		}
	}
	none, minus := make([]float32, len(x)), make([]float32, len(x))
	err := errors.Join(d.Velocity(context.Background(), none, x, n, at[:1], nil), d.Velocity(context.Background(), minus, x, n, at[:1], []int{-1}))
	if err != nil || !slices.Equal(none, minus) || slices.Equal(none, all) {
		t.Errorf("no labels and label -1 differ, or change nothing: %v", err)
	}
}

// TestOtherSchedules: levels of equal λ are the same level.
func TestOtherSchedules(t *testing.T) {
	r := tiny
	r.Steps = 100
	d := trainTiny(t, r, nn.Options{})
	x := make([]float32, 36)
	for i := range x {
		x[i] = float32(i)/18 - 1
	}
	var out [2][36]float32
	for i, s := range []diffusion.Schedule{diffusion.Cosine{}, diffusion.VPLinear{}} {
		if err := d.Velocity(context.Background(), out[i][:], x, 1, []diffusion.Level{s.At(s.Time(-.3))}, []int{1}); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range out[0] {
		if math.Abs(float64(v-out[1][i])) > 1e-5 { // rounding of the time
			t.Errorf("velocity[%d] = %g on the cosine schedule, %g on VP-linear", i, v, out[1][i])
		}
	}
}

func TestVelocityRefuses(t *testing.T) {
	d := trainTiny(t, tiny, nn.Options{})
	x, dst, at := make([]float32, 72), make([]float32, 72), diffusion.Cosine{}.At(.5)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		dst, x []float32
		n      int
		at     []diffusion.Level
		labels []int
	}{
		{"fewer pixels than images", context.Background(), dst, x, 3, []diffusion.Level{at}, nil},
		{"a shorter result", context.Background(), dst[:36], x, 2, []diffusion.Level{at}, nil},
		{"no level", context.Background(), dst, x, 2, nil, nil},
		{"three levels for two images", context.Background(), dst, x, 2, []diffusion.Level{at, at, at}, nil},
		{"a level that does not preserve variance", context.Background(), dst, x, 2, []diffusion.Level{diffusion.EDM{}.At(3)}, nil},
		{"three labels for two images", context.Background(), dst, x, 2, []diffusion.Level{at}, []int{0, 1, 2}},
		{"a label beyond the classes", context.Background(), dst, x, 2, []diffusion.Level{at}, []int{3}},
		{"a cancelled context", cancelled, dst, x, 2, []diffusion.Level{at}, nil},
	} {
		if err := d.Velocity(tt.ctx, tt.dst, tt.x, tt.n, tt.at, tt.labels); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	if err := d.Velocity(context.Background(), nil, nil, 0, []diffusion.Level{at}, nil); err != nil {
		t.Errorf("no images: %v", err)
	}
}

func TestTrainRefuses(t *testing.T) {
	x, labels := tinyData()
	for name, change := range map[string]func(*Recipe){
		"a patch that does not fit": func(r *Recipe) { r.Shape.Patch = 4 },
		"no width":                  func(r *Recipe) { r.Shape.Width = 0 },
		"an odd number of features": func(r *Recipe) { r.Shape.Times = 5 },
		"no frequency":              func(r *Recipe) { r.Shape.Frequency = 0 },
		"images of another size":    func(r *Recipe) { r.Shape.Size = 8 },
		"labels beyond the classes": func(r *Recipe) { r.Shape.Classes = 2 },
		"an empty batch":            func(r *Recipe) { r.Batch = 0 },
		"no steps":                  func(r *Recipe) { r.Steps = 0 },
	} {
		r := tiny
		change(&r)
		if _, err := Train(context.Background(), r, x, labels, nn.Options{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	d := trainTiny(t, tiny, nn.Options{})
	var b bytes.Buffer
	if err := d.Save(&b); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	got, err := Load(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got.recipe != d.recipe {
		t.Errorf("recipe %+v comes back as %+v", d.recipe, got.recipe)
	}
	for i, w := range got.weights {
		if math.Abs(float64(w-d.weights[i])) > 1e-3*math.Abs(float64(d.weights[i]))+1e-7 { // halves have 11 bits
			t.Fatalf("weight %d: %g comes back as %g", i, d.weights[i], w)
		}
	}
	for _, n := range []int{0, 7, 100, len(file) / 2, len(file) - 1} {
		if _, err := Load(bytes.NewReader(file[:n])); err == nil {
			t.Errorf("the first %d bytes of the file are accepted", n)
		}
	}
	if _, err := Load(bytes.NewReader(bytes.Replace(file, []byte(`Width\":8`), []byte(`Width\":9`), 1))); err == nil {
		t.Error("a recipe that does not fit the arrays is accepted")
	}
}

func FuzzLoad(f *testing.F) {
	r := tiny
	r.Shape = Shape{Size: 2, Patch: 2, Width: 2, Blocks: 1, Tokens: 1, Hidden: 1, Times: 2, Frequency: 1, Classes: 1}
	d := newDenoiser(r, r.Shape.layout().Init(rand.New(rand.NewPCG(1, 1))))
	var b bytes.Buffer
	if err := d.Save(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(bytes.Replace(b.Bytes(), []byte(`Width\":2`), []byte(`Width\":3`), 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := Load(bytes.NewReader(file))
		if err != nil {
			return
		}
		s := d.recipe.Shape
		x := make([]float32, s.Size*s.Size)
		if err := d.Velocity(context.Background(), make([]float32, len(x)), x, 1, []diffusion.Level{diffusion.Cosine{}.At(.5)}, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestONNX: the exported network computes the same as this one.
func TestONNX(t *testing.T) {
	r := tiny
	r.Steps = 100
	d := trainTiny(t, r, nn.Options{})
	s, err := onnx.NewSession(d.ONNX(), onnx.Options{Engine: onnx.Embedded})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	src := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 5} {
		x, times, labels := make([]float32, n*36), make([]float32, n), make([]int64, n)
		at, own := make([]diffusion.Level, n), make([]int, n)
		for i := range x {
			x[i] = float32(src.NormFloat64())
		}
		for i := range n {
			at[i], own[i] = diffusion.Cosine{}.At(src.Float64()), i%4-1
			times[i], labels[i] = float32(at[i].T), int64(own[i])
			if own[i] < 0 {
				labels[i] = 3
			}
		}
		out, err := s.Run(context.Background(), map[string]onnx.Tensor{
			"sample": {Shape: []int{n, 1, 6, 6}, Data: x}, "timestep": {Shape: []int{n}, Data: times}, "label": {Shape: []int{n}, Data: labels}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := onnx.Data[float32](out["velocity"])
		want := make([]float32, len(x))
		err = errors.Join(err, d.Velocity(context.Background(), want, x, n, at, own))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d numbers, want %d: %v", len(got), len(want), err)
		}
		for i, v := range got {
			if math.Abs(float64(v-want[i])) > 1e-4 { // the time in float32, times 256
				t.Fatalf("n = %d: velocity[%d] = %g, want %g", n, i, v, want[i])
			}
		}
	}
}
