package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
)

// decorated and native are the backend under test and the one that it wraps.
func decorated(t testing.TB) compute.Backend {
	t.Helper()
	b, err := Get()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func native(t testing.TB) compute.Backend {
	t.Helper()
	b, err := gobackend.New("")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type array struct {
	dims []int
	data any
}

func random(rng *rand.Rand, dtype dtypes.DType, dims ...int) array {
	n := product(dims)
	if dtype == dtypes.Float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return array{dims, v}
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return array{dims, v}
}

// program is compiled for arrays of the sizes given.
type program struct {
	exec compute.Executable
	in   []compute.Buffer
}

func compile(t testing.TB, b compute.Backend, in []array, build func(f compute.Function, x []compute.Value) (compute.Value, error)) (program, error) {
	t.Helper()
	var p program
	bd := b.Builder("test")
	f := bd.Main()
	var params []compute.Value
	for i, a := range in {
		dtype := dtypes.Float32
		if _, ok := a.data.([]float64); ok {
			dtype = dtypes.Float64
		}
		shape := shapes.Make(dtype, a.dims...)
		param, err := f.Parameter(fmt.Sprint("x", i), shape, nil)
		if err != nil {
			return p, err
		}
		buf, err := b.BufferFromFlatData(0, a.data, shape)
		if err != nil {
			return p, err
		}
		params, p.in = append(params, param), append(p.in, buf)
	}
	y, err := build(f, params)
	if err != nil {
		return p, err
	}
	if err := f.Return([]compute.Value{y}, nil); err != nil {
		return p, err
	}
	p.exec, err = bd.Compile()
	return p, err
}

func (p program) run(t testing.TB) array {
	t.Helper()
	out, err := p.exec.Execute(p.in, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	shape, err := out[0].Shape()
	if err != nil {
		t.Fatal(err)
	}
	flat, err := out[0].Data()
	if err != nil {
		t.Fatal(err)
	}
	return array{shape.Dimensions, flat}
}

// same runs a program on both backends and compares.
func same(t *testing.T, in []array, build func(f compute.Function, x []compute.Value) (compute.Value, error)) {
	t.Helper()
	want, err := compile(t, native(t), in, build)
	if err != nil {
		t.Fatal("native:", err)
	}
	got, err := compile(t, decorated(t), in, build)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got.run(t), want.run(t))
}

func compare(t *testing.T, got, want array) {
	t.Helper()
	if !slices.Equal(got.dims, want.dims) {
		t.Fatalf("shape %v, native %v", got.dims, want.dims)
	}
	g, w := floats(got.data), floats(want.data)
	tol := 1e-12 // sums of at most a few hundred products, in another order
	if _, ok := got.data.([]float32); ok {
		tol = 2e-5
	}
	scale := 1.0
	for _, x := range w {
		scale = max(scale, math.Abs(x))
	}
	for i := range w {
		if !(math.Abs(g[i]-w[i]) <= tol*scale) {
			t.Fatalf("element %d of %v: %g, native %g", i, got.dims, g[i], w[i])
		}
	}
}

func floats(data any) []float64 {
	if d, ok := data.([]float64); ok {
		return d
	}
	var out []float64
	for _, x := range data.([]float32) {
		out = append(out, float64(x))
	}
	return out
}
