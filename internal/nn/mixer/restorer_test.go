package mixer

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
)

// tinyRestorer trains on images of 8×8 between 0 and 1.
var tinyRestorer = RestorerRecipe{
	Recipe: Recipe{
		Shape: Shape{Size: 8, Patch: 2, Width: 8, Blocks: 2, Tokens: 5, Hidden: 7, Times: 6, Frequency: 30, Classes: 3, Channels: 2},
		Steps: 12, Batch: 18, Rate: 1e-2, Warmup: 3, Clip: 1, EMA: .9, Unlabel: .2, Seed: 1,
	},
	Process: diffusion.Reversion{S: .2},
}

func tinyImages(n int) []float32 {
	r := rand.New(rand.NewPCG(9, 9))
	x := make([]float32, n*64)
	for i := range x {
		x[i] = r.Float32()
	}
	return x
}

func trainRestorer(t *testing.T, r RestorerRecipe, x []float32, opt nn.Options) *Restorer {
	t.Helper()
	d, err := TrainRestorer(context.Background(), r, x, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRestorerGradient: the second channel has its part in the backward pass.
func TestRestorerGradient(t *testing.T) {
	r := tinyRestorer
	r.Process.S, r.Shape.Size = 2, 6 // a small loss, for differences in float32
	p, err := r.check()
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(r.Recipe, tinyImages(20)[:20*36], nil)
	tr.fill = func(src *rand.Rand) { r.draw(tr, p, 20, src) }
	checkGradient(t, tr)
}

// TestRestorerLearns: training halves the loss of a network of zero, which is the
// mean square of the velocity.
func TestRestorerLearns(t *testing.T) {
	r := tinyRestorer
	r.Steps = 300
	var loss []float64
	trainRestorer(t, r, tinyImages(1), nn.Options{Progress: func(p nn.Progress) { loss = append(loss, p.Loss) }})
	if first, last := loss[0], loss[len(loss)-1]; first < .2 || last > first/2 {
		t.Errorf("loss %.3g at first, %.3g at last", first, last)
	}
}

// TestRestorerVelocity: an image's velocity depends on x, μ, level and task, and not on
// the batch it is in.
func TestRestorerVelocity(t *testing.T) {
	r := tinyRestorer
	r.Steps = 100
	d := trainRestorer(t, r, tinyImages(20), nn.Options{})
	const n = 19 // two parts, the last not full
	x, mu := tinyImages(n), tinyImages(2 * n)[n*64:]
	at, tasks := make([]diffusion.Level, n), make([]int, n)
	for i := range at {
		at[i], tasks[i] = d.Process().At(float64(i)*5), i%4-1
	}
	all := make([]float32, len(x))
	if err := d.Velocity(context.Background(), all, x, mu, n, at, tasks); err != nil {
		t.Fatal(err)
	}
	one := func(x, mu []float32, at diffusion.Level, task int) []float32 {
		dst := make([]float32, 64)
		if err := d.Velocity(context.Background(), dst, x, mu, 1, []diffusion.Level{at}, []int{task}); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	for i := range n {
		a, b := x[i*64:(i+1)*64], mu[i*64:(i+1)*64]
		got := one(a, b, at[i], tasks[i])
		for j, v := range got {
			if w := all[i*64+j]; math.Abs(float64(v-w)) > 1e-5 || math.IsNaN(float64(v)) {
				t.Fatalf("image %d: velocity %g alone, %g in a batch", i, v, w)
			}
		}
		for what, other := range map[string][]float32{
			"x": one(b, b, at[i], tasks[i]), "mu": one(a, a, at[i], tasks[i]),
			"the level": one(a, b, d.Process().At(97), tasks[i]), "the task": one(a, b, at[i], (tasks[i]+2)%4-1),
		} {
			if slices.Equal(got, other) {
				t.Errorf("image %d: another %s changes nothing", i, what)
			}
		}
	}
	// The velocity is in the unit of the data: s times that of y, which is about 1.
	var sum float64
	for _, v := range all {
		sum += float64(v) * float64(v) / float64(len(all))
	}
	if rms := math.Sqrt(sum); rms < .02 || rms > 2 {
		t.Errorf("velocities of size %g", rms)
	}
}

func TestRestorerRefuses(t *testing.T) {
	d := trainRestorer(t, tinyRestorer, tinyImages(20), nn.Options{})
	x, at := make([]float32, 128), []diffusion.Level{d.Process().At(50)}
	for _, tt := range []struct {
		name       string
		dst, x, mu []float32
		n          int
		at         []diffusion.Level
		tasks      []int
	}{
		{"fewer pixels than images", x, x, x, 3, at, nil},
		{"a shorter result", x[:64], x, x, 2, at, nil},
		{"a shorter mean", x, x, x[:64], 2, at, nil},
		{"no level", x, x, x, 2, nil, nil},
		{"a level that does not preserve variance", x, x, x, 2, []diffusion.Level{d.Process().Outer(at[0])}, nil},
		{"three tasks for two images", x, x, x, 2, at, []int{0, 1, 2}},
		{"an unknown task", x, x, x, 2, at, []int{3}},
	} {
		if err := d.Velocity(context.Background(), tt.dst, tt.x, tt.mu, tt.n, tt.at, tt.tasks); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	for name, change := range map[string]func(*RestorerRecipe){
		"one channel":             func(r *RestorerRecipe) { r.Shape.Channels = 1 },
		"another number of tasks": func(r *RestorerRecipe) { r.Shape.Classes = 2 },
		"no noise scale":          func(r *RestorerRecipe) { r.Process.S = 0 },
		"images of another size":  func(r *RestorerRecipe) { r.Shape.Size = 6 },
	} {
		r := tinyRestorer
		change(&r)
		if _, err := TrainRestorer(context.Background(), r, tinyImages(5), nn.Options{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestRestorerFile(t *testing.T) {
	d := trainRestorer(t, tinyRestorer, tinyImages(20), nn.Options{})
	var b bytes.Buffer
	if err := d.Save(&b); err != nil {
		t.Fatal(err)
	}
	got, err := LoadRestorer(bytes.NewReader(b.Bytes()))
	if err != nil || got.Recipe() != tinyRestorer || got.Process().S != .2 {
		t.Fatalf("comes back as %+v, %v", got, err)
	}
	for i, w := range got.weights {
		if math.Abs(float64(w-d.weights[i])) > 1e-3*math.Abs(float64(d.weights[i]))+1e-7 { // halves have 11 bits
			t.Fatalf("weight %d: %g comes back as %g", i, d.weights[i], w)
		}
	}
	if _, err := Load(bytes.NewReader(b.Bytes())); err == nil || !strings.Contains(err.Error(), "2 channels") {
		t.Errorf("a restorer is read as a denoiser: %v", err)
	}
	if _, err := LoadRestorer(bytes.NewReader(b.Bytes()[:200])); err == nil {
		t.Error("a file cut off is accepted")
	}
}

func FuzzLoadRestorer(f *testing.F) {
	r := tinyRestorer
	r.Shape = Shape{Size: 2, Patch: 2, Width: 2, Blocks: 1, Tokens: 1, Hidden: 1, Times: 2, Frequency: 1, Classes: 3, Channels: 2}
	p, err := r.check()
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := newRestorer(r, p, r.Shape.layout().Init(rand.New(rand.NewPCG(1, 1)))).Save(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(bytes.Replace(b.Bytes(), []byte(`S\":0.2`), []byte(`S\":0.0`), 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := LoadRestorer(bytes.NewReader(file))
		if err != nil {
			return
		}
		n := d.recipe.Shape.Size * d.recipe.Shape.Size
		if err := d.Velocity(context.Background(), make([]float32, n), make([]float32, n), make([]float32, n), 1, []diffusion.Level{d.process.At(.5)}, nil); err != nil {
			t.Error(err)
		}
	})
}
