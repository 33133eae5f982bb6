package mixer

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

// TestDifferentiable holds gradients of images, of an embedding and of all weights
// against differences, in one direction each, on 18 images: a whole shard and a part.
func TestDifferentiable(t *testing.T) {
	const n, area = 18, 36
	ctx := context.Background()
	r := rand.New(rand.NewPCG(5, 6))
	normal := func(k int, scale float64) []float32 {
		x := make([]float32, k)
		for i := range x {
			x[i] = float32(scale * r.NormFloat64())
		}
		return x
	}
	w := normal(tiny.Shape.layout().Len(), .5)
	x, a := normal(n*area, 1), normal(n*area, 1)
	at := []diffusion.Level{diffusion.Cosine{}.At(.4)}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i%4 - 1
	}
	value := func(w, x []float32) (y float64) {
		out := make([]float32, len(x))
		if err := newDenoiser(tiny, w).Velocity(ctx, out, x, n, at, labels); err != nil {
			t.Fatal(err)
		}
		for i, v := range out {
			y += float64(v) * float64(a[i])
		}
		return y
	}
	// fourth-order differences along direction d of base, by f
	along := func(base, d []float32, f func([]float32) float64) float64 {
		at := func(h float64) float64 {
			v := slices.Clone(base)
			for i := range v {
				v[i] += float32(h) * d[i]
			}
			return f(v)
		}
		const h = 2e-3
		return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
	}
	d := newDenoiser(tiny, w)
	for _, of := range []Of{Nothing, Embedding, Weights} {
		for _, record := range []bool{false, true} {
			f, err := d.Differentiable(labels, of, 1)
			if err != nil {
				t.Fatal(err)
			}
			gx, params := make([]float32, len(x)), make([]float64, f.Params())
			out := make([]float32, len(x))
			if record {
				pull, numbers, err := f.Record(ctx, out, x, n, at)
				if err != nil || numbers < n*area*tiny.Shape.Blocks {
					t.Fatalf("%d numbers are kept: %v", numbers, err)
				}
				err = pull(ctx, gx, a, params, 2)
				if err != nil {
					t.Fatal(err)
				}
			} else if err := f.VJP(ctx, gx, x, a, n, at, params, 2); err != nil {
				t.Fatal(err)
			}
			dir := normal(len(x), 1)
			var got float64
			for i, v := range gx {
				got += float64(v) * float64(dir[i])
			}
			if want := along(x, dir, func(x []float32) float64 { return value(w, x) }); math.Abs(got-want) > 2e-3*(1+math.Abs(want)) { // float32 over h
				t.Errorf("%d, recorded %v: along the images %.6g, differences %.6g", of, record, got, want)
			}
			if of == Nothing {
				continue
			}
			from, to := 0, len(w)
			if of == Embedding {
				from, to = d.row(1)
			}
			dir, got = normal(to-from, .3), 0
			for i, v := range params {
				got += v * float64(dir[i])
			}
			want := 2 * along(w[from:to], dir, func(part []float32) float64 {
				v := slices.Clone(w)
				copy(v[from:to], part)
				return value(v, x)
			})
			if math.Abs(got-want) > 3e-3*(1+math.Abs(want)) {
				t.Errorf("%d, recorded %v: along the parameters %.6g, differences %.6g", of, record, got, want)
			}
		}
	}
}

func TestWithEmbedding(t *testing.T) {
	d := newDenoiser(tiny, make([]float32, tiny.Shape.layout().Len()))
	e := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	changed, err := d.WithEmbedding(2, e)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(changed.Embedding(2), e) || changed.Embedding(1)[7] != 0 || changed.Embedding(-1)[0] != 0 || d.Embedding(2)[0] != 0 {
		t.Error("another embedding than that of label 2 is changed")
	}
	if _, err := d.WithEmbedding(2, e[1:]); err == nil {
		t.Error("an embedding of 7 numbers is accepted")
	}
	if _, err := d.Differentiable(nil, Embedding, 3); err == nil {
		t.Error("label 3 of 3 is accepted")
	}
	f, err := d.Differentiable([]int{0}, Embedding, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 36)
	at := []diffusion.Level{diffusion.Cosine{}.At(.4)}
	if err := f.VJP(context.Background(), make([]float32, 36), x, x, 1, at, make([]float64, 3), 1); err == nil {
		t.Error("a gradient of 3 numbers for 8 is accepted")
	}
	if err := f.VJP(context.Background(), make([]float32, 35), x, x, 1, at, nil, 1); err == nil {
		t.Error("a gradient of 35 pixels is accepted")
	}
}
