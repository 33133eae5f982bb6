package mlp

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
)

var tiny = Recipe{Dim: 3, Times: 4, Frequency: 10, Hidden: 8, Layers: 2, Steps: 300, Batch: 32, Rate: 1e-2, Seed: 1}

// point is data that are always the same.
func point(n int, _ *rand.Rand) []float64 {
	x := make([]float64, 3*n)
	for i := range x {
		x[i] = float64(i%3) - 1
	}
	return x
}

// TestGradient: against central differences, in float32.
func TestGradient(t *testing.T) {
	tr := newTrainer(tiny, diffusion.VPLinear{}, point)
	l := tiny.layout()
	w := l.Init(rng.Stream(2))
	g := make([]float32, len(w))
	tr.batch(0)
	tr.backward(l.Split(w), l.Split(g))
	scratch := make([]float32, len(w))
	for i := 0; i < len(w); i += 7 {
		const h = 1e-2
		at := func(d float32) float64 {
			v := w[i]
			w[i] += d
			loss := tr.backward(l.Split(w), l.Split(scratch))
			w[i] = v
			return loss
		}
		if want := (at(h) - at(-h)) / (2 * h); math.Abs(float64(g[i])-want) > 2e-3*max(1, math.Abs(want)) {
			t.Errorf("weight %d: %g, by differences %g", i, g[i], want)
		}
	}
}

func train(t testing.TB) *Denoiser {
	d, err := Train(context.Background(), tiny, diffusion.VPLinear{}, point, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestLearns: on one point the noise is (x − α·x₀)/σ, which the network comes near.
func TestLearns(t *testing.T) {
	d := train(t)
	tr := newTrainer(tiny, diffusion.VPLinear{}, point)
	tr.batch(100000)
	l := tiny.layout()
	if loss := tr.backward(l.Split(d.weights), l.Split(make([]float32, l.Len()))); loss > .3 {
		t.Errorf("loss %g; that of 0 is 1", loss)
	}
}

func TestSaveLoad(t *testing.T) {
	d := train(t)
	var b bytes.Buffer
	if err := d.Save(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Load(&b)
	if err != nil {
		t.Fatal(err)
	}
	if again.Recipe != tiny || len(again.weights) != len(d.weights) || math.Abs(float64(again.weights[5]-d.weights[5])) > 1e-3 {
		t.Errorf("read %+v", again.Recipe)
	}
	w, bias := again.Layers()
	if len(w) != 3 || len(w[0]) != 8*7 || len(bias[2]) != 3 {
		t.Errorf("%d layers", len(w))
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(*Recipe){
		"dim = 0":                func(r *Recipe) { r.Dim = 0 },
		"time features: must be": func(r *Recipe) { r.Times = 3 },
		"frequency = 0.5":        func(r *Recipe) { r.Frequency = .5 },
		"too large":              func(r *Recipe) { r.Hidden = 60000 },
	} {
		r := tiny
		change(&r)
		if _, err := Train(context.Background(), r, diffusion.VPLinear{}, point, nn.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := train(f).Save(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		if d, err := Load(bytes.NewReader(file)); err == nil {
			d.Layers()
		}
	})
}
